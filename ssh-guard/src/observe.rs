//! Shows what the guard does. Whoever asks reads what was last written down; nobody asks the kernel or the guard.

mod heartbeat;
mod http;
mod metrics;

pub use heartbeat::Heartbeat;
pub use http::{answer, listen};
pub use metrics::{Gauges, LineOutcome, MapOperation, Metrics, Unbanned};
