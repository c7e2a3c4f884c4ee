//! GSSAPI, method `01`: [RFC 1961](https://www.rfc-editor.org/rfc/rfc1961).
//!
//! Three parts, each of use alone: [`Frame`] is the message, [`Negotiator`] proves who both sides are and agrees
//! on a [`ProtectionLevel`], [`Encapsulation`] is the layer under all that follows. No mechanism is linked: the
//! program brings a [`Context`] over the GSS-API library of its choice.
//!
//! ```text
//! client                                          server
//!   01 01 len token              ->                            a step of each side's context makes a
//!                                <-   01 01 len token          token, for as many legs as it takes
//!                                <-   01 01 00 00              in place of a last token: "ready"
//!   01 02 len wrap(level)        ->                            01 integrity, 02 confidentiality, 03 selective
//!                                <-   01 02 len wrap(level)    the server's choice
//!   01 03 len wrap(request)      ->
//!                                <-   01 03 len wrap(reply)
//!   01 03 len wrap(octets)      <-->  01 03 len wrap(octets)   a datagram is one such frame
//!                                <-   01 FF                    at any time: refused
//! ```
//!
//! # With the handshakes
//!
//! It is a layer between the socket and the handshake, which knows nothing of it. When the handshake says
//! `Negotiate`, what it has not taken is the negotiator's; when that is established, what it has not taken
//! is the encapsulation's; and what comes out of that is the handshake's, then the tunnel's.
//!
//! [`Context::step`] may wait for a key distribution centre, so it does not run while input is handled, but as
//! an output, on the thread that the driver chooses. Here that is one of tokio's for blocking work, and the
//! negotiator goes there and comes back; under `std::thread`, `step.run()` is all.
//!
//! ```
//! # #[cfg(not(feature = "std"))] fn main() {}
//! # #[cfg(feature = "std")] mod program {
//! use sans_socks::gssapi::{self, ClientConfig, Context, Encapsulation, Negotiator, ServerConfig};
//! use sans_socks::{Address, Method, Request, client, server};
//! use std::io;
//! use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
//!
//! /// A stream, and the layer over it as soon as there is one.
//! struct Link<S, C> {
//!     stream: S,
//!     wire: Vec<u8>,
//!     plain: Vec<u8>,
//!     layer: Option<Encapsulation<C>>,
//! }
//!
//! impl<S, C> Link<S, C>
//! where
//!     S: AsyncRead + AsyncWrite + Unpin,
//!     C: Context<Error: std::error::Error + Send + Sync> + Send + 'static,
//! {
//!     async fn negotiate(&mut self, mut negotiator: Negotiator<C>) -> io::Result<()> {
//!         self.wire.append(&mut self.plain);
//!         loop {
//!             match negotiator.poll_output() {
//!                 gssapi::Output::Transmit(transmit) => {
//!                     self.stream.write_all(transmit.bytes()).await?;
//!                     transmit.sent(usize::MAX);
//!                 }
//!                 gssapi::Output::NeedInput { .. } => {
//!                     if self.wire.is_empty() && self.stream.read_buf(&mut self.wire).await? == 0 {
//!                         negotiator.handle_eof();
//!                     }
//!                     let taken = negotiator.handle_input(&self.wire);
//!                     self.wire.drain(..taken);
//!                 }
//!                 gssapi::Output::Step(_) => {
//!                     let stepped = tokio::task::spawn_blocking(move || {
//!                         if let gssapi::Output::Step(step) = negotiator.poll_output() {
//!                             step.run();
//!                         }
//!                         negotiator
//!                     });
//!                     negotiator = stepped.await?;
//!                 }
//!                 gssapi::Output::Established | gssapi::Output::Closed(_) => {
//!                     self.layer = Some(negotiator.finish()?);
//!                     return Ok(());
//!                 }
//!             }
//!         }
//!     }
//!
//!     async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
//!         let Some(layer) = &mut self.layer else {
//!             return self.stream.write_all(octets).await;
//!         };
//!         let mut wire = Vec::new();
//!         layer.encapsulate(octets, &mut wire)?;
//!         self.stream.write_all(&wire).await
//!     }
//!
//!     /// More octets in `self.plain`, or `false`: the peer has ended its side.
//!     async fn receive(&mut self) -> io::Result<bool> {
//!         let before = self.plain.len();
//!         while self.plain.len() == before {
//!             if self.wire.is_empty() && self.stream.read_buf(&mut self.wire).await? == 0 {
//!                 if let Some(layer) = &mut self.layer {
//!                     layer.handle_eof()?;
//!                 }
//!                 return Ok(false);
//!             }
//!             match &mut self.layer {
//!                 Some(layer) => {
//!                     let taken = layer.decapsulate(&self.wire, &mut self.plain)?;
//!                     self.wire.drain(..taken);
//!                 }
//!                 None => self.plain.append(&mut self.wire),
//!             }
//!         }
//!         Ok(true)
//!     }
//!
//!     /// Connects; `self.plain` then holds what the target has sent already.
//!     async fn connect(&mut self, context: C, target: Address<'_>) -> io::Result<()> {
//!         let auth = client::Auth::new(&[Method::GSSAPI], None).map_err(io::Error::other)?;
//!         let mut handshake = client::Handshake::new(&Request::connect(target), auth);
//!         let mut context = Some(context);
//!         loop {
//!             match handshake.poll_output() {
//!                 client::Output::Transmit(transmit) => {
//!                     self.send(transmit.bytes()).await?;
//!                     transmit.sent(usize::MAX);
//!                 }
//!                 client::Output::NeedInput { .. } => {
//!                     if self.plain.is_empty() && !self.receive().await? {
//!                         handshake.handle_eof();
//!                     }
//!                     let taken = handshake.handle_input(&self.plain);
//!                     self.plain.drain(..taken);
//!                 }
//!                 client::Output::Negotiate(negotiate) => match context.take() {
//!                     Some(context) => {
//!                         let config = ClientConfig::default();
//!                         self.negotiate(Negotiator::client(context, config)).await?;
//!                         negotiate.finish();
//!                     }
//!                     None => negotiate.abandon(),
//!                 },
//!                 client::Output::Bound(bound) => bound.wait_for_peer(),
//!                 client::Output::Established(_) => return Ok(()),
//!                 client::Output::Closed(error) => return Err(error.into()),
//!             }
//!         }
//!     }
//!
//!     // And the server, with `Negotiator::server(context, ServerConfig::new())`:
//!     async fn serve(&mut self, context: C) -> io::Result<()> {
//! #       let mut handshake = server::Handshake::new();
//! #       let mut context = Some(context);
//! #       loop {
//! #           match handshake.poll_output() {
//! #               server::Output::Transmit(transmit) => {
//! #                   self.send(transmit.bytes()).await?;
//! #                   transmit.sent(usize::MAX);
//! #               }
//! #               server::Output::NeedInput { .. } => {
//! #                   if self.plain.is_empty() && !self.receive().await? {
//! #                       handshake.handle_eof();
//! #                   }
//! #                   let taken = handshake.handle_input(&self.plain);
//! #                   self.plain.drain(..taken);
//! #               }
//! #               server::Output::SelectMethod(select) => {
//! #                   select.select_preferred(&[Method::GSSAPI]);
//! #               }
//! #               server::Output::Authenticate(authenticate) => authenticate.reject(),
//! #               server::Output::Negotiate(negotiate) => match context.take() {
//! #                   Some(context) => {
//! #                       self.negotiate(Negotiator::server(context, ServerConfig::new())).await?;
//! #                       negotiate.finish();
//! #                   }
//! #                   None => negotiate.abandon(),
//! #               },
//! #               server::Output::Request(pending) => pending.succeed(Address::UNSPECIFIED),
//! #               server::Output::AwaitPeer(pending) => pending.connected(Address::UNSPECIFIED),
//! #               server::Output::Established(_) => return Ok(()),
//! #               server::Output::Closed(error) => return Err(error.into()),
//! #           }
//! #       }
//!         // ...
//!     }
//! }
//! #
//! # use sans_socks::gssapi::{Progress, Protection, Services};
//! #
//! # /// Protects nothing: it stands for one over a GSS-API library.
//! # struct Toy;
//! #
//! # impl Context for Toy {
//! #     type Error = io::Error;
//! #     fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> io::Result<Progress> {
//! #         match token {
//! #             None => {
//! #                 out.extend_from_slice(b"hello");
//! #                 Ok(Progress::ContinueNeeded)
//! #             }
//! #             Some(b"hello") => {
//! #                 out.extend_from_slice(b"welcome");
//! #                 Ok(Progress::Complete)
//! #             }
//! #             Some(_) => Ok(Progress::Complete),
//! #         }
//! #     }
//! #     fn services(&self) -> Services {
//! #         Services { integrity: true, confidentiality: true }
//! #     }
//! #     fn wrap(&mut self, protection: Protection, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
//! #         out.push((protection == Protection::Confidentiality).into());
//! #         out.extend_from_slice(plain);
//! #         Ok(())
//! #     }
//! #     fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> io::Result<Protection> {
//! #         let (sealed, plain) = token.split_first().ok_or(io::ErrorKind::InvalidData)?;
//! #         out.extend_from_slice(plain);
//! #         Ok(if *sealed == 0 { Protection::Integrity } else { Protection::Confidentiality })
//! #     }
//! #     fn max_plain(&self, _: Protection, max_token: usize) -> usize {
//! #         max_token.saturating_sub(1)
//! #     }
//! # }
//! #
//! # pub async fn run() -> io::Result<()> {
//! #     let (near, far) = tokio::io::duplex(7);
//! #     let link = |stream| Link { stream, wire: Vec::new(), plain: Vec::new(), layer: None };
//! #     let (mut client, mut server) = (link(near), link(far));
//! #     let target = Address::try_from("host.example:80").map_err(io::Error::other)?;
//! #     tokio::try_join!(client.connect(Toy, target), server.serve(Toy))?;
//! #     tokio::try_join!(server.send(b"banner"), async {
//! #         while client.plain.len() < 6 {
//! #             assert!(client.receive().await?);
//! #         }
//! #         Ok(())
//! #     })?;
//! #     assert_eq!(client.plain, b"banner");
//! #     Ok(())
//! # }
//! # }
//! # #[cfg(feature = "std")]
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! #     program::run().await
//! # }
//! ```
//!
//! # A relay
//!
//! Both directions go through one context, so they take turns with it, and never while they wait for a socket.
//! What has been read before and not been taken, of the wire and of what came out of it, is the tunnel's
//! beginning. In one task, a `RefCell` is enough:
//!
//! ```
//! # #[cfg(not(feature = "std"))] fn main() {}
//! # #[cfg(feature = "std")] mod program {
//! # use sans_socks::gssapi::{Context, Encapsulation};
//! use std::cell::RefCell;
//! use std::io;
//! use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
//!
//! pub async fn relay<C>(
//!     layer: Encapsulation<C>,
//!     mut wire: Vec<u8>,
//!     mut plain: Vec<u8>,
//!     client: impl AsyncRead + AsyncWrite,
//!     target: impl AsyncRead + AsyncWrite,
//! ) -> io::Result<()>
//! where
//!     C: Context<Error: std::error::Error + Send + Sync + 'static>,
//! {
//!     let layer = RefCell::new(layer);
//!     let (mut from_client, mut to_client) = split(client);
//!     let (mut from_target, mut to_target) = split(target);
//!     let upstream = async {
//!         loop {
//!             while !wire.is_empty() {
//!                 let taken = layer.borrow_mut().decapsulate(&wire, &mut plain)?;
//!                 wire.drain(..taken);
//!             }
//!             to_target.write_all(&plain).await?;
//!             plain.clear();
//!             wire.reserve(16 * 1024);
//!             if from_client.read_buf(&mut wire).await? == 0 {
//!                 layer.borrow_mut().handle_eof()?;
//!                 return to_target.shutdown().await;
//!             }
//!         }
//!     };
//!     let downstream = async {
//!         let (mut chunk, mut wire) = (vec![0; 16 * 1024], Vec::new());
//!         loop {
//!             let n = from_target.read(&mut chunk).await?;
//!             if n == 0 {
//!                 return to_client.shutdown().await;
//!             }
//!             layer.borrow_mut().encapsulate(&chunk[..n], &mut wire)?;
//!             to_client.write_all(&wire).await?;
//!             wire.clear();
//!         }
//!     };
//!     tokio::try_join!(upstream, downstream)?;
//!     Ok(())
//! }
//! # use sans_socks::gssapi::{Progress, Protection, ProtectionLevel, Services};
//! # struct Toy;
//! # impl Context for Toy {
//! #     type Error = io::Error;
//! #     fn step(&mut self, _: Option<&[u8]>, _: &mut Vec<u8>) -> io::Result<Progress> {
//! #         Ok(Progress::Complete)
//! #     }
//! #     fn services(&self) -> Services {
//! #         Services { integrity: true, confidentiality: false }
//! #     }
//! #     fn wrap(&mut self, _: Protection, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
//! #         out.extend_from_slice(plain);
//! #         Ok(())
//! #     }
//! #     fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> io::Result<Protection> {
//! #         out.extend_from_slice(token);
//! #         Ok(Protection::Integrity)
//! #     }
//! #     fn max_plain(&self, _: Protection, max_token: usize) -> usize {
//! #         max_token
//! #     }
//! # }
//! # pub async fn run() -> io::Result<()> {
//! #     let (mut client, near) = tokio::io::duplex(64);
//! #     let (mut target, far) = tokio::io::duplex(64);
//! #     let layer = Encapsulation::new(Toy, ProtectionLevel::Integrity);
//! #     let ends = async {
//! #         client.write_all(b"\x02hi\x01\x03\x00\x01!").await?;
//! #         client.shutdown().await?;
//! #         target.write_all(b"bye").await?;
//! #         target.shutdown().await?;
//! #         let (mut got_target, mut got_client) = (Vec::new(), Vec::new());
//! #         target.read_to_end(&mut got_target).await?;
//! #         client.read_to_end(&mut got_client).await?;
//! #         assert_eq!(got_target, b"plain, hi!");
//! #         assert_eq!(got_client, b"\x01\x03\x00\x03bye");
//! #         Ok(())
//! #     };
//! #     let (wire, plain) = (b"\x01\x03\x00".to_vec(), b"plain, ".to_vec());
//! #     tokio::try_join!(relay(layer, wire, plain, near, far), ends)?;
//! #     Ok(())
//! # }
//! # }
//! # #[cfg(feature = "std")]
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! #     program::run().await
//! # }
//! ```
//!
//! With a task or a thread for each direction it is a lock. One direction alone encapsulates, so what
//! it seals goes out in that order:
//!
//! ```
//! # #[cfg(feature = "std")] mod program {
//! use sans_socks::gssapi::{Context, Encapsulation};
//! use std::io::{self, Read, Write};
//! use std::sync::{Mutex, PoisonError};
//!
//! fn downstream<C>(
//!     layer: &Mutex<Encapsulation<C>>,
//!     target: &mut impl Read,
//!     client: &mut impl Write,
//! ) -> io::Result<()>
//! where
//!     C: Context<Error: std::error::Error + Send + Sync + 'static>,
//! {
//!     let (mut chunk, mut wire) = (vec![0; 16 * 1024], Vec::new());
//!     loop {
//!         let n = target.read(&mut chunk)?;
//!         if n == 0 {
//!             return client.flush();
//!         }
//!         let mut locked = layer.lock().unwrap_or_else(PoisonError::into_inner);
//!         locked.encapsulate(&chunk[..n], &mut wire)?;
//!         drop(locked);
//!         client.write_all(&wire)?;
//!         wire.clear();
//!     }
//! }
//! # }
//! ```
//!
//! # Datagrams
//!
//! Those of an association go through the same layer as its stream, with
//! [`decapsulate_datagram`](Encapsulation::decapsulate_datagram) and
//! [`encapsulate_datagram`](Encapsulation::encapsulate_datagram): what is in the token is RFC 1928's header and the
//! data. A fragment is wrapped alone: unwrap first, then reassemble; split to
//! [`max_plain`](Encapsulation::max_plain), then wrap.

mod encapsulation;
mod frame;
mod negotiator;

use alloc::vec::Vec;

use thiserror::Error as ThisError;

pub use encapsulation::Encapsulation;
pub use frame::{Frame, MessageType, Token};
pub use negotiator::{ClientConfig, Negotiator, Output, ServerConfig, Step, Transmit};

use crate::error::Malformed;

/// A security context: what a GSS-API library gives, of either side.
///
/// This crate links no mechanism; the program implements this over the library of its choice, and brings
/// names and credentials itself. Dropping it deletes the context, with no output token: that is never sent
/// (R-124, R-125).
///
/// A context of RFC 1961 asks for `GSS_C_MUTUAL_FLAG`, `GSS_C_REPLAY_FLAG`, `GSS_C_INTEG_FLAG`, for
/// `GSS_C_CONF_FLAG` unless confidentiality is of no interest, and for `GSS_C_SEQUENCE_FLAG` unless it is for
/// an association: datagrams come in any order, and are counted with the stream's messages (R-104). The RFC
/// also wants `GSS_C_DELEG_FLAG`, which hands the user's credentials to the proxy: leave it to the user, as
/// Dante does (R-103, Q-116).
///
/// Each `out` is appended to: what stands in it already is not the context's. After an error nothing that was
/// appended is looked at.
pub trait Context {
    /// What the library reports.
    type Error;

    /// A step of establishment: `gss_init_sec_context` or `gss_accept_sec_context`.
    ///
    /// `token` is what the peer has sent, maybe of no octets; `None` in an initiator's first step. What is
    /// appended to `out` goes to the peer; with nothing appended nothing is sent, but for the empty token with
    /// which an acceptor says that it is ready. It is not called again once complete.
    ///
    /// This may block. A server that lets in some names only looks at the initiator's name when the context
    /// is complete, and fails the step: the client is then refused with `01 FF`.
    ///
    /// # Errors
    ///
    /// Any major status but `GSS_S_COMPLETE` and `GSS_S_CONTINUE_NEEDED`; and when mutual authentication was
    /// asked for and not given.
    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Self::Error>;

    /// Which services the context has, once it is complete: `GSS_C_INTEG_FLAG` and `GSS_C_CONF_FLAG` of
    /// "ret_flags".
    fn services(&self) -> Services;

    /// Protects `plain`: `gss_wrap`, with "conf_req_flag" as `protection` says and the default quality.
    ///
    /// # Errors
    ///
    /// Any major status but `GSS_S_COMPLETE`; and when confidentiality was asked for and "conf_state" says that
    /// it was not applied.
    fn wrap(&mut self, protection: Protection, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Checks and opens `token`: `gss_unwrap`. Returns what "conf_state" says about it.
    ///
    /// # Errors
    ///
    /// Any major status but plain `GSS_S_COMPLETE`: with one of the bits `GSS_S_DUPLICATE_TOKEN`,
    /// `GSS_S_OLD_TOKEN`, `GSS_S_UNSEQ_TOKEN` and `GSS_S_GAP_TOKEN` the token was replayed, or others are
    /// missing before it.
    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Self::Error>;

    /// The most plaintext whose token has at most `max_token` octets: `gss_wrap_size_limit`. 0, if the
    /// overhead alone is more.
    fn max_plain(&self, protection: Protection, max_token: usize) -> usize;
}

/// How far a context has come with a step.
#[expect(clippy::exhaustive_enums, reason = "GSS-API has these two")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Progress {
    /// `GSS_S_CONTINUE_NEEDED`: it needs another token from the peer.
    ContinueNeeded,
    /// `GSS_S_COMPLETE`: it is established.
    Complete,
}

/// The services of a context, [RFC 1961 §4.1](https://www.rfc-editor.org/rfc/rfc1961#section-4.1).
#[expect(clippy::exhaustive_structs, reason = "RFC 1961 names these two")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Services {
    /// `GSS_C_INTEG_FLAG`.
    pub integrity: bool,
    /// `GSS_C_CONF_FLAG`.
    pub confidentiality: bool,
}

impl Services {
    /// Whether a context with these can do `level`: each takes integrity, and
    /// [`ProtectionLevel::Confidentiality`] confidentiality also.
    #[must_use]
    pub const fn suffice_for(self, level: ProtectionLevel) -> bool {
        self.integrity && (self.confidentiality || !matches!(level, ProtectionLevel::Confidentiality))
    }
}

/// What one message gets, or got.
#[expect(clippy::exhaustive_enums, reason = "\"conf_req_flag\" is true or false")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Protection {
    /// Integrity alone: anybody on the way can read it.
    Integrity,
    /// Integrity and confidentiality.
    Confidentiality,
}

/// What is agreed about all that follows, [RFC 1961 §4.2](https://www.rfc-editor.org/rfc/rfc1961#section-4.2).
#[expect(clippy::exhaustive_enums, reason = "RFC 1961 has these three")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum ProtectionLevel {
    /// `01`: every message has integrity, and none is confidential.
    Integrity = 1,
    /// `02`: every message has integrity and is confidential.
    Confidentiality = 2,
    /// `03`: every message has integrity; its sender chooses whether it is confidential.
    Selective = 3,
}

impl ProtectionLevel {
    /// The level with this octet; `None` for any but `01`, `02` and `03`.
    #[must_use]
    pub const fn new(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Integrity),
            2 => Some(Self::Confidentiality),
            3 => Some(Self::Selective),
            _ => None,
        }
    }

    /// Its octet.
    #[must_use]
    pub const fn get(self) -> u8 {
        self as u8
    }
}

impl core::fmt::Display for ProtectionLevel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Integrity => "integrity",
            Self::Confidentiality => "confidentiality",
            Self::Selective => "selective",
        })
    }
}

/// Why a negotiation failed, a stream ended, or a datagram was dropped. `E` is the context's own error.
///
/// With `std` it converts into a `std::io::Error` of the kind that fits, which holds it as its inner error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ThisError)]
#[non_exhaustive]
pub enum Error<E> {
    /// The peer sent octets that are no frame.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The peer sent a message of another type than the one that was due.
    #[error("a message of type {got} where {expected} was due")]
    UnexpectedMessage {
        /// The type that was due.
        expected: MessageType,
        /// The type that came.
        got: MessageType,
    },
    /// The peer announced, or the context made, a token that is too long. Of the peer's, nothing but the length was taken.
    #[error("a token of {len} octets, where {max} are the most")]
    TokenTooLong {
        /// The octets it has.
        len: usize,
        /// The octets it may have.
        max: usize,
    },
    /// The context failed: it could not be established, or a message did not pass.
    #[error("the GSSAPI context failed")]
    Context(#[source] E),
    /// `01 FF`: the peer refused.
    #[error("rejected by the peer")]
    Rejected,
    /// A protection level is one octet, and this many were wrapped.
    #[error("a protection level of {0} octets")]
    LevelLength(usize),
    /// The peer named a protection level that this side does not allow, or that RFC 1961 does not have.
    #[error("protection level {0:#04x} is not allowed")]
    LevelNotAllowed(u8),
    /// The context has not the services for this level.
    #[error("the context cannot do protection level {0}")]
    LevelUnavailable(ProtectionLevel),
    /// At [`ProtectionLevel::Confidentiality`] a token came that was not confidential.
    #[error("a token that is not confidential")]
    NotConfidential,
    /// Plaintext that does not fit one token.
    #[error("{len} octets do not fit a token, which has room for {max}")]
    PlainTooLong {
        /// The octets there are.
        len: usize,
        /// The octets there is room for.
        max: usize,
    },
    /// A datagram is longer or shorter than the one frame in it.
    #[error("a datagram that is not exactly one frame")]
    DatagramLength,
    /// The peer ended its side of the connection where its message was due. Many a server refuses like this.
    #[error("the connection ended where a message of type {due} was due")]
    #[non_exhaustive]
    UnexpectedEof {
        /// The message that was due.
        due: MessageType,
    },
    /// This side ended the negotiation before it was over.
    #[error("negotiation abandoned")]
    Abandoned,
    /// The stream has failed before.
    #[error("the encapsulated stream has failed before")]
    Failed,
}

#[cfg(feature = "std")]
impl<E> From<Error<E>> for std::io::Error
where
    E: core::error::Error + Send + Sync + 'static,
{
    fn from(error: Error<E>) -> Self {
        use std::io::ErrorKind;

        let kind = match error {
            Error::Malformed(_)
            | Error::UnexpectedMessage { .. }
            | Error::TokenTooLong { .. }
            | Error::LevelLength(_)
            | Error::NotConfidential
            | Error::DatagramLength => ErrorKind::InvalidData,
            Error::Rejected | Error::LevelNotAllowed(_) => ErrorKind::PermissionDenied,
            Error::LevelUnavailable(_) => ErrorKind::Unsupported,
            Error::PlainTooLong { .. } => ErrorKind::InvalidInput,
            Error::UnexpectedEof { .. } => ErrorKind::UnexpectedEof,
            Error::Abandoned | Error::Failed => ErrorKind::ConnectionAborted,
            Error::Context(_) => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
