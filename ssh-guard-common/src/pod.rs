//! Lets the daemon read and write the records through aya.

use crate::budget::Rate;
use crate::flat::Shape;
use crate::records::{Block, KnownGood, NetworkKey, Settings, SourceRecord, VerdictCount};
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

pod!(Block, KnownGood, NetworkKey, Rate, Settings, Shape, Source, SourceMask, SourceRecord, VerdictCount);
