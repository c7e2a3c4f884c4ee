//! A sans-I/O SOCKS implementation: SOCKS5 ([RFC 1928]) with user name and password ([RFC 1929]) and GSSAPI ([RFC 1961]),
//! SOCKS4 and SOCKS4a. Client and server state machines, codecs, UDP relay support. `no_std`, no `unsafe`, no allocation
//! during a handshake.
//!
//! You own the connection, on std threads, tokio, mio, io_uring or bare metal. The state machine tells you what to send,
//! how much to read, and what to decide.
//!
//! **New here? Read the [`guide`]:** [how a machine is driven](guide::driving), a whole [server](guide::server), a whole
//! [client](guide::client), and everything that a service needs besides.
//!
//! | you want to | use |
//! |---|---|
//! | serve clients | [`server::Handshake`] |
//! | connect through a proxy | [`client::Handshake`] |
//! | write the input and output once, for all machines | [`Machine`] |
//! | relay datagrams, or send them | [`udp`] |
//! | read and write single messages | [`message`], [`socks4`], [`udp::Datagram`] |
//! | protect a connection with GSSAPI | `gssapi`, with feature `alloc` |
//! | handle addresses, names, credentials | [`Address`], [`Domain`], [`Credentials`] |
//! | fuzz your own code | feature `arbitrary`, [`guide::fuzzing`] |
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use sans_socks::client::{Auth, Decision, Handshake};
//! use sans_socks::{Address, Machine, Request};
//! use std::io::{self, Read, Write};
//!
//! /// Connects to `target` through the proxy at the other end of `stream`.
//! /// Returns the bytes received after the handshake: the first of the tunnel.
//! fn connect(stream: &mut (impl Read + Write), target: Address<'_>) -> io::Result<Vec<u8>> {
//!     let mut handshake = Handshake::new(&Request::connect(target), Auth::none());
//!     let mut carry = Vec::new();
//!     match handshake.advance(stream, &mut carry)? {
//!         Decision::Established(_reply) => Ok(carry),
//!         Decision::Closed(error) => Err(error.into()),
//!         _ => Err(io::ErrorKind::Unsupported.into()), // only for BIND, and methods not offered here
//!     }
//! }
//! # }
//! ```
//!
//! # Guarantees
//!
//! - **Never over-reads.** Bytes after the handshake stay in your buffer, however the input was split. If you read at most
//!   as many bytes as the machine asks for, they stay in the stream.
//! - **Refusals reach the peer first.** `05 FF`, `01 01` or the reply is sent; only then do you see `Closed`.
//! - **Illegal calls do not compile.** A second reply, a request before authentication or success by mistake cannot be
//!   written.
//! - **Secrets do not print.** `Debug` prints only lengths, comparison is constant-time, and the machine overwrites
//!   credentials once they are sent or answered.
//! - **Bounded.** A server's handshake takes at most 560 bytes, a client's 1,100, without heap.
//! - **Interoperates.** Truncated refusals, ATYP 00 in a failure, an empty name in a reply or an RFC 1929 answer with the
//!   wrong version are accepted where that is safe. Options make it strict.
//!
//! Out of scope: sockets, timeouts, name resolution, access control, the relay itself.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `std` | yes | [`advance`](guide::driving#blocking-streams), `ToSocketAddrs` for addresses, conversions from and into `std::io::Error`; implies `alloc` |
//! | `bytes` | yes | [`Transmit`] as `bytes::Buf`, `handle_buf`, `Encode::encode` into a `BufMut`; implies `alloc` |
//! | `alloc` | yes | `gssapi`, `udp::AssociationTable`, a [`udp::Reassembler`] over a `Vec<u8>` |
//! | `arbitrary` | no | `Arbitrary` for values, messages and configurations; implies `std` |
//!
//! Features add API and never change behaviour. Without any of them the crate is `no_std` and needs no allocator.
//!
//! # Panics
//!
//! No function of this crate panics, for any input of a peer and any argument, except methods of `bytes::Buf` that must by
//! contract. For release builds, the linker proves it: it refuses a program with a reachable panic. The proof covers:
//!
//! - every decoder, and every [`message::Encode::encode_into`],
//! - every method of both handshakes and of their tokens,
//! - the other methods of [`udp::Association`], [`udp::Reassembler`] over any storage, [`udp::Header::prepend`] and [`udp::fragments`],
//! - the part of `gssapi` that does not grow a `Vec`.
//!
//! It does not cover:
//!
//! - [`Address::canonical`] and [`Address::to_target`], `Host::try_from` with text, reading an [`Address`] or [`AddressBuf`]
//!   from text, [`udp::Association::new`], and the constructors of [`udp::ClientAssociation`]. They end in the IPv6 parser
//!   of `core`. Its indices are right, but the optimiser does not see why.
//! - `udp::AssociationTable`, which calls the maps of `alloc`, and the `Ord` and `Clone` of your keys.
//! - `gssapi::Negotiator` where it takes input, runs a step or rejects, and `gssapi::Encapsulation` where it wraps or
//!   unwraps. They grow a `Vec`, which panics beyond `isize::MAX` bytes, and call your `gssapi::Context`. What they hold
//!   themselves is bounded by a message of 65,539 bytes.
//! - Code that is not of this crate: formatters, a `bytes::Buf` or `bytes::BufMut` under `handle_buf` and
//!   `Encode::encode`, the clock of `std::time::Instant`, streams under `advance`.
//!
//! Allocation failure aborts, as usual in Rust; a [`udp::Reassembler`] drops the fragment instead.
//!
//! [RFC 1928]: https://www.rfc-editor.org/rfc/rfc1928
//! [RFC 1929]: https://www.rfc-editor.org/rfc/rfc1929
//! [RFC 1961]: https://www.rfc-editor.org/rfc/rfc1961
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
// Without `std`, some links lead to what is not there. With all features, every link is checked.
#![cfg_attr(not(feature = "std"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod address;
#[cfg(feature = "arbitrary")]
mod arbitrary;
mod buffer;
pub mod client;
mod code_point;
mod credentials;
mod error;
// Pages without code: only the documentation has them.
#[cfg(doc)]
pub mod guide;
// Where `usize` has 16 bits, a token and its header do not fit.
#[cfg(all(feature = "alloc", not(target_pointer_width = "16")))]
pub mod gssapi;
mod machine;
pub mod message;
mod other_protocol;
pub mod server;
pub mod socks4;
mod time;
mod transmit;
pub mod udp;

use core::time::Duration;

pub use address::{Address, AddressBuf, Domain, Host, Target};
pub use code_point::{Command, Method, ParseCodePointError, ReplyCode};
pub use credentials::{Credentials, CredentialsBuf};
pub use error::{ApiMisuse, Error, ErrorKind, InvalidValue, Malformed, PeerMisbehaved, Phase};
pub use machine::{Io, Machine};
pub use message::{Reply, Request};
pub use other_protocol::OtherProtocol;
pub use socks4::Version;
pub use time::Timestamp;
pub use transmit::Transmit;

/// 1080: where a SOCKS server listens by convention, [RFC 1928 §3](https://www.rfc-editor.org/rfc/rfc1928#section-3).
pub const DEFAULT_PORT: u16 = 1080;

/// 10 s: how long after a refusal a server may leave the connection open at most, [RFC 1928 §6].
///
/// The machines have no clock; this is for the driver.
///
/// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
pub const REFUSAL_CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// The examples in the README are tests, too.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
mod readme {}
