//! ssh-guard.
pub mod event;
pub mod moment;
