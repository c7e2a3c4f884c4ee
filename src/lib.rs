//! A sans-I/O SOCKS implementation: SOCKS5 ([RFC 1928]) with user name and password ([RFC 1929]) and GSSAPI ([RFC 1961]),
//! SOCKS4 and SOCKS4a. Client and server state machines, codecs, UDP relay support. `no_std`, no `unsafe`, no allocation
//! during a handshake.
//!
//! You own the connection, on std threads, tokio, mio, io_uring or bare metal. The state machine returns what to send, how
//! much to read, and what to decide.
//!
//! **If you are new here, read the [`guide`]:** [how to drive a machine](guide::driving), a complete
//! [server](guide::server), a complete [client](guide::client), and everything else that a service needs.
//!
//! | you want to | use |
//! |---|---|
//! | serve clients | [`server::Handshake`] |
//! | connect through a proxy | [`client::Handshake`] |
//! | write the I/O code once, for all machines | [`Machine`] |
//! | relay datagrams, or send them | [`udp`] |
//! | read and write single messages | [`message`], [`socks4`], [`udp::Datagram`] |
//! | protect a connection with GSSAPI | `gssapi`, with feature `alloc` |
//! | handle addresses, names, credentials | [`Address`], [`Domain`], [`Credentials`] |
//! | fuzz your own code | feature `arbitrary`, [`guide::fuzzing`] |
//!
//! The **driver** is your code that runs a machine: it owns the socket, sends, receives, and answers the decisions. The
//! **tunnel** is the stream after the handshake, whose bytes belong to you. Names in capitals, such as REP, ATYP or CD, are
//! the fields of a message, as the specifications name them.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use sans_socks::client::{Auth, Decision, Handshake};
//! use sans_socks::{Address, Machine, Request};
//! use std::io::{self, Read, Write};
//!
//! /// Connects to `target` through the proxy at the other end of `stream`.
//! /// Returns the first bytes of the tunnel, if some were received together with the reply.
//! fn connect(stream: &mut (impl Read + Write), target: Address<'_>) -> io::Result<Vec<u8>> {
//!     let mut handshake = Handshake::new(&Request::connect(target), Auth::none());
//!     let mut carry = Vec::new();
//!     match handshake.advance(stream, &mut carry)? {
//!         Decision::Established(_reply) => Ok(carry),
//!         Decision::Closed(error) => Err(error.into()),
//!         _ => Err(io::ErrorKind::Unsupported.into()), // if you offer another method or request BIND
//!     }
//! }
//! # }
//! ```
//!
//! # Guarantees
//!
//! - **Never over-reads.** Bytes after the handshake stay in your buffer, however the input is split. They even stay in
//!   the stream if you never read more bytes than the machine asks for.
//! - **Refusals are sent first.** A server returns `Closed` only after it has sent the refusal, if the failure has one:
//!   `05 FF`, `01 01`, or a reply with a failure code.
//! - **Illegal calls do not compile.** The types rule out a second reply, a reply before the request, and a request
//!   before authentication. If you reject a request with the code of success, a failure is sent instead.
//! - **Secrets do not print.** `Debug` prints only lengths, comparison is constant-time, and a machine overwrites
//!   credentials as soon as it has sent them (client) or you have answered them (server). If you move it before that, a
//!   copy stays behind.
//! - **Bounded.** A server's handshake is at most 560 bytes of state, a client's at most 1,100. Neither uses the heap.
//! - **Interoperates.** A client accepts what deployed servers send: truncated refusals, address type 00 in a failure,
//!   an empty name in a reply, and an RFC 1929 answer with version 05.
//!
//! The machines do not open sockets, keep time, resolve names, control access or relay data.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `std` | yes | [`advance`](guide::driving#blocking-streams), `Transmit::write_to`, `ToSocketAddrs` for addresses, `Instant` as a [`Timestamp`], `new` of [`udp::Reassembler`] and [`udp::ClientAssociation`], conversions from and into `std::io::Error`; implies `alloc` |
//! | `bytes` | yes | [`Transmit`] as `bytes::Buf`, `handle_buf`, `Encode::encode` into a `BufMut`; implies `alloc` |
//! | `alloc` | yes | `gssapi`, `udp::AssociationTable`, a [`udp::Reassembler`] over a `Vec<u8>` |
//! | `arbitrary` | no | `Arbitrary` for values, messages and configurations; implies `std` |
//!
//! Features add API and never change behaviour. Without any of them the crate is `no_std` and needs no allocator.
//!
//! # Panics
//!
//! No function of this crate panics, for any input from a peer and any argument. There are three exceptions: methods of
//! `bytes::Buf` whose contract requires a panic, a `Vec` of yours that grows beyond `isize::MAX` bytes, and a panic in
//! code that you supply. For most functions, a link-time check proves this in release builds: a program with a reachable
//! panic does not link. The proof covers:
//!
//! - every decoder, and every [`message::Encode::encode_into`],
//! - every method of both handshakes and of their tokens, except those that call your stream or buffer: `advance`,
//!   `advance_exact`, `handle_buf` and `Transmit::write_to`,
//! - every method of [`udp::Association`] except `new`,
//! - [`udp::Reassembler`] over any storage, [`udp::Header::prepend`] and [`udp::fragments`],
//! - `gssapi`, except for the calls listed below.
//!
//! It does not cover:
//!
//! - [`Address::canonical`], [`Address::to_target`], `ToSocketAddrs` for addresses, `Host::try_from` with text, parsing an
//!   [`Address`] or [`AddressBuf`], [`udp::Association::new`], and the constructors of [`udp::ClientAssociation`]. They
//!   call the IPv6 parser of `core`,
//!   whose indices are in bounds, but the optimiser cannot prove that.
//! - `udp::AssociationTable`. It calls the maps of `alloc`, and your implementations of `Ord` and `Clone` for the keys.
//! - `gssapi::Negotiator` while it handles input, runs a step or rejects, and `gssapi::Encapsulation` while it wraps or
//!   unwraps. They call your `gssapi::Context`, and grow a `Vec`, which panics beyond `isize::MAX` bytes. Each of their
//!   own buffers holds at most the longest message, 65,539 bytes, and the two bytes of an abort.
//! - Code outside this crate: formatters, the `bytes::Buf` or `bytes::BufMut` that you pass to `handle_buf` or
//!   `Encode::encode`, the clock of `std::time::Instant`, and the streams that you pass to `advance`.
//!
//! Allocation failure aborts, as usual in Rust. Instead of aborting, a [`udp::Reassembler`] drops the fragments that it
//! holds.
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
// Peer input must not reach a panic.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Some links have no target without `std`. A build with all features checks every link.
#![cfg_attr(not(feature = "std"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

// `#[inline]` is on small functions that programs call for each message. Without it, the compiler inlines only the
// smallest ones into other crates. Where it is `always` or `never`, a comment has the reason.

mod address;
#[cfg(feature = "arbitrary")]
mod arbitrary;
mod buffer;
pub mod client;
mod code_point;
mod credentials;
mod error;
// These pages have no code: only the documentation needs them.
#[cfg(doc)]
pub mod guide;
// A 16-bit `usize` cannot hold the length of the longest token with its header.
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

/// The conventional port of a SOCKS server, 1080: [RFC 1928 §3](https://www.rfc-editor.org/rfc/rfc1928#section-3).
pub const DEFAULT_PORT: u16 = 1080;

/// The longest time that a server may leave the connection open after it detects a failure, 10 s: [RFC 1928 §6].
///
/// The machines have no clock, so you must enforce it.
///
/// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
pub const REFUSAL_CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// The examples in the README are tests, too.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
mod readme {}
