//! The cost of SOCKS5 crates on the same bytes: see README.md.

pub mod command;
pub mod job;
pub mod peer;
#[cfg(feature = "peers")]
pub mod peers;
#[cfg(feature = "peers")]
pub mod stream;
