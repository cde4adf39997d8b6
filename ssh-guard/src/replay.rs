//! Old logs: what they are understood as, line by line and in sum.

pub mod logs;
pub mod report;
pub mod summary;
pub mod top;

pub use self::logs::{Logs, Reader, Told};
pub use self::report::Report;
pub use self::summary::Summary;
