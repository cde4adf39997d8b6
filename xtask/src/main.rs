//! The verbs a developer types.
fn main() {}
