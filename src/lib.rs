#![cfg_attr(feature = "std", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "std"),
    doc = "SOCKS5 as pure state machines and codecs: see the README."
)]
#![cfg_attr(
    feature = "arbitrary",
    doc = r##"
# Fuzzing

With feature `arbitrary`, values, messages and configurations implement [`Arbitrary`](::arbitrary::Arbitrary):
they can be taken out of a fuzzer's octets, borrow from them, and are always such as the protocol has octets for.

```
use arbitrary::{Arbitrary, Unstructured};
use sans_socks::Request;
use sans_socks::message::Encode;

// As it comes with `fuzz_target!(|request: Request| { ... })`.
let request = Request::arbitrary(&mut Unstructured::new(b"the octets of a fuzzer"))?;

let mut octets = [0; Request::MAX_LEN];
let len = request.encode_into(&mut octets)?;
let (decoded, consumed) = Request::decode(&octets[..len])?.complete().ok_or("not whole")?;
assert_eq!((decoded, consumed), (request, len));
# Ok::<(), Box<dyn std::error::Error>>(())
```
"##
)]
//! # Panics
//!
//! But for the methods that `bytes` says must, no function of this crate panics, whatever a peer sends and
//! whatever it is called with. For a release build that is not only tested: the linker is made to refuse a
//! program in which a panic is left (`checks/no_panic` in the repository), for every decoder, every
//! [`message::Encode::encode_into`], every method of both handshakes and of their tokens, [`udp::Association`],
//! [`udp::Reassembler`] over any storage, [`udp::Header::prepend`] and [`udp::fragments`]; under `gssapi` for what
//! does not grow a `Vec`. What it cannot be shown of:
//!
//! - [`Address::canonical`], and reading an [`Address`] or [`AddressBuf`] from text: they end in the parser of
//!   IPv6 addresses of `core`, which cuts slices by indices that are right, but not to the optimiser;
//! - `gssapi::Negotiator` where it takes input, makes a step or is abandoned, and `gssapi::Encapsulation` where it
//!   wraps or unwraps: they grow a `Vec`, which panics beyond `isize::MAX` octets, and end in the caller's
//!   `gssapi::Context`. What they hold themselves is bounded by a message of 65,539 octets;
//! - what ends in other code: a formatter; a `bytes::Buf` or `bytes::BufMut` under `handle_buf` and
//!   `Encode::encode`, and the methods that `Buf` itself gives to `Transmit`, which panic by contract where there
//!   are too few octets; the clock of `std::time::Instant`.
//!
//! Where a heap has no memory, that is the program's end, as everywhere in Rust; but a `Reassembler` drops the
//! fragment.
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
#[cfg(feature = "arbitrary")]
mod arbitrary;
mod buffer;
pub mod client;
mod code_point;
mod credentials;
mod error;
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
