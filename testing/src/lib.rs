//! What the tests of this workspace share. Not published.

pub mod programs;
