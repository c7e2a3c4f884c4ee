//! SOCKS4 and SOCKS4a: the codec, both machines, and one machine against the other.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod codec;
mod pair;
mod server;
