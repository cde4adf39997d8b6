//! Sets attacks and accidents on the policy, beside two others, and writes down what came of it.
//!
//! ```text
//! scenario → cast → sessions → run: three contenders → report, plot → docs/policy.md
//! ```
//!
//! A scenario is a file (`tests/scenarios`) and a seed; the same file gives the same sessions. Each policy meets the same ones:
//! nobody in a scenario changes plans because of a ban. A session that a policy drops reaches no server, and no line of a log
//! tells of it.

pub mod actors;
pub mod cast;
pub mod contenders;
pub mod document;
pub mod lines;
pub mod plot;
pub mod random;
pub mod report;
pub mod run;
pub mod scenario;
pub mod session;
