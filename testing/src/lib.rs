//! What the tests of this workspace share. Not published.

#![allow(
    missing_debug_implementations,
    reason = "handles of programs, which no test prints"
)]

pub mod programs;
