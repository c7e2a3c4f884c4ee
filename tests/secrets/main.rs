//! Credentials are not printed, and do not stay in memory.

mod redaction;
mod wiping;
