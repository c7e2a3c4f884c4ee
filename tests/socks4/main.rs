//! SOCKS4 and SOCKS4a: the codec, both machines, and one machine against the other.

mod client;
mod codec;
mod pair;
mod server;
