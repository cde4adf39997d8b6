//! Lets the daemon read and write the records through aya.

use crate::budget::Rate;
use crate::flat::Shape;
use crate::records::{
    Authenticated, Block, KnownGood, NetworkKey, SessionKey, SessionRecord, Settings, SourceRecord,
    VerdictCount,
};
use crate::source::{Source, SourceMask};

macro_rules! pod {
    ($($record:ty),* $(,)?) => {
        $(
            // SAFETY: bytemuck derived `Pod` for the record: any bytes make one, and it has no padding.
            unsafe impl aya::Pod for $record {}
        )*
        const _: () = { $(assert_pod::<$record>();)* };
    };
}

const fn assert_pod<T: bytemuck::Pod>() {}

pod!(
    Authenticated,
    Block,
    KnownGood,
    NetworkKey,
    Rate,
    SessionKey,
    SessionRecord,
    Settings,
    Shape,
    Source,
    SourceMask,
    SourceRecord,
    VerdictCount,
);
