//! Old logs: what they are understood as, line by line and in sum, and what would have been decided on them.

pub mod clock;
pub mod decided;
pub mod decisions;
pub mod in_order;
pub mod logs;
pub mod report;
pub mod spread;
pub mod summary;
pub mod top;

pub use self::decided::Decided;
pub use self::decisions::Rehearsals;
pub use self::in_order::read_in_order;
pub use self::logs::{Logs, Reader, Told};
pub use self::report::Report;
pub use self::summary::Summary;
