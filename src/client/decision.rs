//! The decisions of a client's driver. Each is a token that the answer consumes.

use core::num::NonZeroUsize;

use super::{Handshake, Message};
use crate::address::Address;
use crate::code_point::Method;
use crate::error::Error;
use crate::machine::Io;
use crate::message::request::Reply;
use crate::transmit::Transmit;

/// The next step.
///
/// A decision is a token that borrows the handshake. The answer consumes the token. If you drop the token without an
/// answer, the next poll returns it again. You may hold it across an `.await`.
#[expect(clippy::exhaustive_enums, reason = "a driver must not overlook a new step")]
#[derive(Debug)]
#[must_use]
pub enum Output<'a> {
    /// Send these bytes.
    Transmit(Transmit<'a>),
    /// Pass received bytes to [`handle_input`](Handshake::handle_input). Read from the socket if you have none.
    ///
    /// Flush a buffered or encrypted stream before you read.
    NeedInput {
        /// How many bytes the machine can use now. Fewer are fine. If you read at most this many, it consumes all of
        /// them, except a wrong version byte and what follows it.
        needed: NonZeroUsize,
    },
    /// Perform the method's own sub-negotiation on the raw stream. Methods `00` and `02` do not lead here.
    Negotiate(Negotiate<'a>),
    /// BIND: the server listens. Tell the peer where, then wait for it.
    Bound(Bound<'a>),
    /// The handshake has succeeded. The bytes that you still hold belong to the tunnel. Further calls return the same.
    ///
    /// This is the last reply, which for BIND is the second. Its address is BND: for UDP ASSOCIATE, where to send datagrams
    /// (see [`Address::or_host`]), and for BIND, the peer that has connected.
    ///
    /// Some servers report success before they connect to the target, and close the tunnel if that fails.
    Established(Reply<'a>),
    /// The handshake has failed. Close the connection. Further calls return the same.
    Closed(Error),
}

/// A decision, or the end of the handshake: every [`Output`] except those for input and output.
///
/// [`Machine::advance`](crate::Machine::advance) and [`Machine::poll_decision`](crate::Machine::poll_decision) return it.
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver must not overlook a new decision"
)]
#[derive(Debug)]
#[must_use]
pub enum Decision<'a> {
    /// See [`Output::Negotiate`].
    Negotiate(Negotiate<'a>),
    /// See [`Output::Bound`].
    Bound(Bound<'a>),
    /// See [`Output::Established`].
    Established(Reply<'a>),
    /// See [`Output::Closed`].
    Closed(Error),
}

impl<'a> Output<'a> {
    #[inline]
    pub(super) fn split(self) -> Result<Io<'a>, Decision<'a>> {
        Err(match self {
            Self::Transmit(transmit) => return Ok(Io::Transmit(transmit)),
            Self::NeedInput { needed } => return Ok(Io::NeedInput { needed }),
            Self::Negotiate(negotiate) => Decision::Negotiate(negotiate),
            Self::Bound(bound) => Decision::Bound(bound),
            Self::Established(reply) => Decision::Established(reply),
            Self::Closed(error) => Decision::Closed(error),
        })
    }
}

/// A selected method that has its own sub-negotiation.
///
/// Until you answer, you use the raw stream, and the machine consumes no input. If the method encapsulates later messages,
/// put its layer between the stream and this machine.
///
/// ```
/// use sans_socks::client::Negotiate;
/// use std::io::{self, Read, Write};
///
/// /// A private method: the client sends one byte, and expects it back.
/// fn negotiate(negotiate: Negotiate<'_>, stream: &mut (impl Read + Write)) -> io::Result<()> {
///     let mut answer = [0];
///     let result = stream.write_all(&[7]).and_then(|()| stream.read_exact(&mut answer));
///     match answer {
///         [7] if result.is_ok() => negotiate.accept(),
///         _ => negotiate.reject(),
///     }
///     result
/// }
/// ```
#[derive(Debug)]
#[must_use = "the handshake continues when the negotiation is accepted or rejected"]
pub struct Negotiate<'a> {
    pub(super) handshake: &'a mut Handshake,
    pub(super) method: Method,
}

impl Negotiate<'_> {
    /// Returns the method that was selected, one of those that were offered.
    #[inline]
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Marks the negotiation as successful. The request is sent next.
    #[inline]
    pub fn accept(self) {
        self.handshake.send_request();
    }

    /// Fails the handshake. If the method has a rejection message, send that first.
    #[inline]
    pub fn reject(self) {
        self.handshake.close(Error::Abandoned);
    }
}

/// BIND: the server listens for one connection.
///
/// [RFC 1928 §6] expects a client to use BIND "only to establish secondary connections after a primary connection is
/// established using CONNECT". Neither machine requires that.
///
/// ```
/// use sans_socks::client::Bound;
/// use std::net::IpAddr;
///
/// /// Tells the peer where to connect, and waits for it.
/// fn announce(bound: Bound<'_>, proxy: IpAddr, tell: impl FnOnce(String)) {
///     tell(bound.address().or_host(proxy).to_string());
///     bound.wait_for_peer();
/// }
/// ```
///
/// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
#[derive(Debug)]
#[must_use = "the second reply follows `wait_for_peer`"]
pub struct Bound<'a> {
    pub(super) handshake: &'a mut Handshake,
}

impl Bound<'_> {
    /// Returns where the server listens, which is BND of the first reply. Send it to the peer. An unspecified host means the
    /// address at which the client reached the proxy: see [`Address::or_host`].
    #[inline]
    #[must_use]
    pub fn address(&self) -> Address<'_> {
        self.handshake.reply().address
    }

    /// Waits for the second reply, which has the address of the peer that has connected.
    #[inline]
    pub fn wait_for_peer(self) {
        self.handshake.read(Message::SecondReply);
    }
}
