//! The drivers of `examples/` as programs. The tests act as their peers, byte by byte.
//!
//! `cargo test` builds the drivers. `cargo test --test examples` does not: run `cargo build --examples` first.

mod bind;
mod chain;
mod clients;
mod deadlines;
mod delivery;
#[cfg(target_os = "linux")] // which has /proc, and more than one address on loopback
mod ends;
mod no_alloc;
mod refusal;
mod socks4;
#[cfg(target_os = "linux")]
mod udp;
mod verbatim;

use sans_socks_testing::programs::{client, process, raw, server, target};
use sans_socks_testing::tests;
