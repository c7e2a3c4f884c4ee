#![cfg_attr(feature = "std", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "std"),
    doc = "SOCKS5 as pure state machines and codecs: see the README."
)]
#![no_std]
#![forbid(unsafe_code)]
#![warn(
    clippy::alloc_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core
)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
// What a peer sends must not reach a panic.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod address;
mod buffer;
pub mod client;
mod code;
mod credentials;
mod error;
#[cfg(feature = "alloc")]
pub mod gssapi;
mod message;
pub mod server;
mod time;
pub mod udp;

use core::time::Duration;

pub use address::{Address, AddressBuf, Domain, Host};
pub use code::{AuthStatus, Command, Method, ReplyCode};
pub use credentials::Credentials;
pub use error::{BufferTooSmall, Error, ErrorKind, InvalidValue, Malformed, PeerMisbehaved, Phase, Protocol};
pub use message::greeting::{Greeting, Methods, Selection};
pub use message::request::{Reply, Request};
pub use message::{Decoded, Encode};
pub use time::Instant;

/// 1080: where a SOCKS server listens by convention, [RFC 1928 §3](https://www.rfc-editor.org/rfc/rfc1928#section-3).
pub const DEFAULT_PORT: u16 = 1080;

/// 10 s: how long after a refusal a server may leave the connection open at most, [RFC 1928 §6].
///
/// The machines have no clock; this is for the driver.
///
/// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
pub const REFUSAL_CLOSE_DEADLINE: Duration = Duration::from_secs(10);
