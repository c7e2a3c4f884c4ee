//! The decisions of a server's driver. Each is a token that the answer consumes.

use core::num::{NonZeroU8, NonZeroUsize};

use super::{Handshake, Message, Received, State};
use crate::address::Address;
use crate::code_point::{AuthStatus, Command, Method, ReplyCode};
use crate::credentials::Credentials;
use crate::error::{ApiMisuse, Error};
use crate::machine::Io;
use crate::message::greeting::{Methods, Selection};
use crate::message::request::Request;
use crate::message::{Decoded, userpass};
use crate::socks4::{self, UserId, Version};
use crate::transmit::Transmit;

/// The next step.
///
/// A decision is a token that borrows the handshake. The answer consumes the token. If you drop the token without an
/// answer, the next poll returns it again, so an event loop can pause at a decision. You may hold it across an `.await`.
/// A second reply, a reply before the request, and a request before authentication do not compile.
///
/// If your function returns between a token and its answer, for instance by `?`, the client gets no answer. Do fallible
/// work in another function, and answer with its result.
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
    /// Select one of the methods that the client offers.
    SelectMethod(SelectMethod<'a>),
    /// Accept or reject the user name and password.
    Authenticate(Authenticate<'a>),
    /// Perform the method's own sub-negotiation on the raw stream.
    Negotiate(Negotiate<'a>),
    /// Perform the request, and answer it.
    PendingRequest(PendingRequest<'a>),
    /// BIND: wait for the peer's connection, and answer a second time.
    PendingPeer(PendingPeer<'a>),
    /// The handshake has succeeded. The bytes that you still hold belong to the tunnel. Further calls return the same.
    Established(Established),
    /// The handshake has failed, and the refusal was sent. ([`Error`] lists the failures that have no refusal.) Close the
    /// connection. Further calls return the same.
    ///
    /// If you close a socket that has unread input, the system sends a reset, which can erase the refusal. First end your
    /// side (`shutdown`), then read and discard until the client has closed, or for a second or two. RFC 1928 allows up to
    /// [`REFUSAL_CLOSE_DEADLINE`](crate::REFUSAL_CLOSE_DEADLINE).
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
    /// See [`Output::SelectMethod`].
    SelectMethod(SelectMethod<'a>),
    /// See [`Output::Authenticate`].
    Authenticate(Authenticate<'a>),
    /// See [`Output::Negotiate`].
    Negotiate(Negotiate<'a>),
    /// See [`Output::PendingRequest`].
    PendingRequest(PendingRequest<'a>),
    /// See [`Output::PendingPeer`].
    PendingPeer(PendingPeer<'a>),
    /// See [`Output::Established`].
    Established(Established),
    /// See [`Output::Closed`].
    Closed(Error),
}

impl<'a> Output<'a> {
    #[inline]
    pub(super) fn split(self) -> Result<Io<'a>, Decision<'a>> {
        Err(match self {
            Self::Transmit(transmit) => return Ok(Io::Transmit(transmit)),
            Self::NeedInput { needed } => return Ok(Io::NeedInput { needed }),
            Self::SelectMethod(select) => Decision::SelectMethod(select),
            Self::Authenticate(authenticate) => Decision::Authenticate(authenticate),
            Self::Negotiate(negotiate) => Decision::Negotiate(negotiate),
            Self::PendingRequest(pending) => Decision::PendingRequest(pending),
            Self::PendingPeer(pending) => Decision::PendingPeer(pending),
            Self::Established(established) => Decision::Established(established),
            Self::Closed(error) => Decision::Closed(error),
        })
    }
}

/// The use of the connection after the handshake.
///
/// ```
/// use sans_socks::server::Established;
/// use std::io::{self, Read};
///
/// fn serve<S: Read>(
///     established: Established,
///     mut client: S,
///     relay: impl FnOnce(S) -> io::Result<()>,
/// ) -> io::Result<()> {
///     match established {
///         Established::Stream => relay(client),
///         // The association ends when this returns.
///         Established::UdpAssociation => io::copy(&mut client, &mut io::sink()).map(drop),
///         Established::Other(_) => Ok(()), // the client has its answer
///     }
/// }
/// ```
#[expect(clippy::exhaustive_enums, reason = "part of `Output`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Established {
    /// CONNECT and BIND: a tunnel to the target or the peer.
    Stream,
    /// UDP ASSOCIATE: the control connection. It carries no data, so discard what it receives. The association ends when
    /// it closes.
    UdpAssociation,
    /// Any other command, for instance Tor's look-ups. The reply contains the result, and nothing follows. Close the
    /// connection.
    Other(Command),
}

/// The methods that the client offers, [RFC 1928 §3]: select one of them.
///
/// Clients usually list their preferred method first. The protocol gives the order no meaning, so the server follows its
/// own order. A server that checks credentials must not select [`Method::NO_AUTHENTICATION`].
///
/// ```
/// use sans_socks::Method;
/// use sans_socks::server::SelectMethod;
///
/// /// Selects GSSAPI if the client offers it, otherwise a password. Rejects clients that offer neither.
/// fn select(select: SelectMethod<'_>) {
///     select.select_preferred(&[Method::GSSAPI, Method::USERNAME_PASSWORD]);
/// }
/// ```
///
/// [RFC 1928 §3]: https://www.rfc-editor.org/rfc/rfc1928#section-3
#[derive(Debug)]
#[must_use = "the handshake continues when a method is selected, or all are rejected"]
pub struct SelectMethod<'a> {
    pub(super) handshake: &'a mut Handshake,
}

impl SelectMethod<'_> {
    /// Returns the methods offered, without `FF`.
    #[inline]
    #[must_use]
    pub fn offered(&self) -> Methods<'_> {
        self.handshake.methods()
    }

    /// Selects `method`.
    ///
    /// `00` continues with the request, `02` with [`Authenticate`], any other with [`Negotiate`].
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::MethodNotOffered`] when the client did not offer it. The decision is then still pending.
    #[inline]
    pub fn select(self, method: Method) -> Result<(), ApiMisuse> {
        if !self.offered().contains(method) {
            return Err(ApiMisuse::MethodNotOffered(method));
        }
        self.answer(method);
        Ok(())
    }

    /// Selects the first of `preferred` that was offered. If none of them was, rejects all methods.
    ///
    /// [`Handshake::method`] returns the selected method.
    #[inline]
    pub fn select_preferred(self, preferred: &[Method]) {
        let offered = self.offered();
        let method = preferred.iter().copied().find(|method| offered.contains(*method));
        self.answer(method.unwrap_or(Method::NO_ACCEPTABLE));
    }

    /// Rejects all methods with `05 FF`, and closes.
    #[inline]
    pub fn reject(self) {
        self.answer(Method::NO_ACCEPTABLE);
    }

    fn answer(self, method: Method) {
        let handshake = self.handshake;
        let selection = Selection::new(method);
        if method == Method::NO_ACCEPTABLE {
            handshake.buffer.send_after_received(&selection);
            handshake.state = State::Closed(Error::NoAcceptableMethod);
            return;
        }
        handshake.buffer.send_message(&selection);
        handshake.method = Some(method);
        match method {
            Method::NO_AUTHENTICATION => handshake.read(Message::Request),
            Method::USERNAME_PASSWORD => handshake.read(Message::Credentials),
            other => handshake.state = State::Negotiate(other),
        }
    }
}

/// The client's credentials, [RFC 1929 §2], awaiting a verdict. You may hold the token across an `.await`.
///
/// Acceptance is not authorization: you can still refuse the request. The machine overwrites the credentials when you
/// answer.
///
/// ```
/// use sans_socks::server::Authenticate;
///
/// fn check(authenticate: Authenticate<'_>) {
///     if authenticate.credentials().verify("alice", "secret") {
///         authenticate.accept();
///     } else {
///         authenticate.reject();
///     }
/// }
/// ```
///
/// [RFC 1929 §2]: https://www.rfc-editor.org/rfc/rfc1929#section-2
#[derive(Debug)]
#[must_use = "the handshake continues when the credentials are accepted or rejected"]
pub struct Authenticate<'a> {
    pub(super) handshake: &'a mut Handshake,
}

impl Authenticate<'_> {
    /// Returns the user name and password. [`Credentials::verify`] compares them in constant time.
    ///
    /// They borrow the token. If you need them after the answer, first copy them, for instance into a
    /// [`CredentialsBuf`](crate::CredentialsBuf).
    #[inline]
    #[must_use]
    pub fn credentials(&self) -> Credentials<'_> {
        let bytes = self.handshake.buffer.received();
        let version = bytes.first().map_or(userpass::VERSION, |version| *version);
        match userpass::decode(bytes, version, 0) {
            Ok(Decoded::Complete { value, .. }) => value,
            _ => {
                debug_assert!(false, "credentials were decoded before");
                Credentials::from_counted(&[], &[])
            }
        }
    }

    /// Accepts the credentials with `01 00`. The request is read next.
    #[inline]
    pub fn accept(self) {
        let handshake = self.answer(AuthStatus::SUCCESS);
        handshake.read(Message::Request);
    }

    /// Rejects the credentials with `01 01`, and closes.
    #[inline]
    pub fn reject(self) {
        self.reject_with(NonZeroU8::MIN);
    }

    /// Rejects the credentials with `01` and `status`, and closes. No known client distinguishes the values.
    #[inline]
    pub fn reject_with(self, status: NonZeroU8) {
        let status = status.get();
        let handshake = self.answer(AuthStatus::new(status));
        handshake.state = State::Closed(Error::AuthenticationRejected { status });
    }
}

impl<'a> Authenticate<'a> {
    #[inline]
    fn answer(self, status: AuthStatus) -> &'a mut Handshake {
        self.handshake.buffer.wipe_secret();
        self.handshake.buffer.send_message(&status);
        self.handshake
    }
}

/// A selected method that has its own sub-negotiation.
///
/// Until you answer, you use the raw stream, and the machine consumes no input. If the method encapsulates later messages,
/// put its layer between the stream and this machine.
///
/// ```
/// use sans_socks::server::Negotiate;
/// use std::io::{self, Read, Write};
///
/// /// A private method: the server sends one byte, and expects it back.
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
    /// Returns the method that was selected.
    #[inline]
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Marks the negotiation as successful. The request is read next.
    #[inline]
    pub fn accept(self) {
        self.handshake.read(Message::Request);
    }

    /// Fails the handshake. If the method has a rejection message, send that first.
    #[inline]
    pub fn reject(self) {
        self.handshake.state = State::Closed(Error::Abandoned);
    }
}

/// The client's request, [RFC 1928 §4], awaiting the reply of [§6].
///
/// Report success only when the connection, the listener or the relay exists: a reply cannot be withdrawn.
///
/// ```
/// use sans_socks::server::PendingRequest;
/// use sans_socks::{Address, Command, ReplyCode};
/// use std::net::SocketAddr;
///
/// fn connect(pending: PendingRequest<'_>, dial: impl FnOnce(Address<'_>) -> Result<SocketAddr, ReplyCode>) {
///     let request = pending.request();
///     let result = match request.command {
///         Command::CONNECT => dial(request.address.canonical()),
///         _ => Err(ReplyCode::COMMAND_NOT_SUPPORTED),
///     };
///     pending.answer(result);
/// }
/// ```
///
/// [RFC 1928 §4]: https://www.rfc-editor.org/rfc/rfc1928#section-4
/// [§6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
#[derive(Debug)]
#[must_use = "the client waits for a reply"]
pub struct PendingRequest<'a> {
    pub(super) handshake: &'a mut Handshake,
    pub(super) request: Received,
}

impl PendingRequest<'_> {
    /// Returns the request. Apply access lists to [`Address::canonical`] of its address.
    ///
    /// It borrows the token. Log it before you answer, or copy the address into an [`AddressBuf`](crate::AddressBuf).
    #[inline]
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        self.handshake.pending(&self.request)
    }

    /// Returns the version of the request. It is [`Version::Socks4`] only if
    /// [`Config::with_socks4`](super::Config::with_socks4) is set. A client of version 4 **has not been
    /// authenticated**.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> Version {
        self.request.version()
    }

    /// Returns the user id of a request of version 4. It proves nothing.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId<'_>> {
        self.request.user_id(self.handshake.buffer.received())
    }

    /// Accepts the request with REP 00, or `5A` in version 4.
    ///
    /// `bound` is BND:
    ///
    /// - CONNECT: the local address of the connection to the target
    /// - BIND: the address of the listener
    /// - UDP ASSOCIATE: the address of the relay
    /// - Tor's commands: the answer
    ///
    /// A reply of version 4 has room only for an IPv4 address. An IPv4-mapped IPv6 address is sent as the IPv4 address.
    /// Any other host depends on the command:
    ///
    /// - CONNECT and BIND: it is sent as `0.0.0.0`, with the port of `bound`.
    /// - any other command: the request is refused with `5B`, and the handshake closes with [`Error::Refused`] and REP 08.
    #[inline]
    pub fn accept<'b>(self, bound: impl Into<Address<'b>>) {
        let version = self.request.version();
        let next = match self.request.command {
            Command::CONNECT => State::Established(Established::Stream),
            Command::BIND => State::AwaitPeer(version),
            Command::UDP_ASSOCIATE => State::Established(Established::UdpAssociation),
            other => State::Established(Established::Other(other)),
        };
        self.handshake.accept(version, bound.into(), next);
    }

    /// Rejects the request with `code` and the address `0.0.0.0:0` (10 bytes), and closes. In version 4, sends `5B`
    /// (8 bytes).
    ///
    /// [`ReplyCode::SUCCEEDED`] is sent as [`ReplyCode::GENERAL_FAILURE`], so a mistake cannot send success.
    #[inline]
    pub fn reject(self, code: ReplyCode) {
        self.handshake.reject(self.request.version(), code);
    }

    /// Rejects a request of version 4 with a code of version 4, and closes. `5A` is sent as `5B`.
    ///
    /// For a request of version 5, the code is [converted](socks4::ReplyCode).
    pub fn reject_socks4(self, code: socks4::ReplyCode) {
        self.handshake.reject_socks4(self.request.version(), code);
    }

    /// Accepts the request with an address, or rejects it with a code.
    #[inline]
    pub fn answer<'b>(self, answer: Result<impl Into<Address<'b>>, ReplyCode>) {
        match answer {
            Ok(bound) => self.accept(bound),
            Err(code) => self.reject(code),
        }
    }
}

/// BIND's second reply, [RFC 1928 §6]. The first has told the client where the listener is, and the peer has not connected
/// yet.
///
/// ```
/// use sans_socks::ReplyCode;
/// use sans_socks::server::PendingPeer;
/// use std::io;
/// use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
///
/// /// Waits for the peer that the request names. It may never connect, so set a deadline.
/// fn wait(pending: PendingPeer<'_>, listener: &TcpListener, named: IpAddr) -> io::Result<TcpStream> {
///     let is_stranger = |peer: &SocketAddr| peer.ip().to_canonical() != named.to_canonical();
///     let accepted = loop {
///         match listener.accept() {
///             Ok((_, peer)) if is_stranger(&peer) => {} // drops the connection
///             accepted => break accepted,
///         }
///     };
///     pending.answer(accepted.as_ref().map(|it| it.1).map_err(|_| ReplyCode::GENERAL_FAILURE));
///     accepted.map(|(stream, _)| stream)
/// }
/// ```
///
/// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
#[derive(Debug)]
#[must_use = "the client waits for the second reply"]
pub struct PendingPeer<'a> {
    pub(super) handshake: &'a mut Handshake,
    pub(super) version: Version,
}

impl PendingPeer<'_> {
    /// Returns the version of the request.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Sends REP 00, or `5A` in version 4, with the address of the peer that has connected.
    ///
    /// In version 4, an IPv4-mapped IPv6 address is sent as the IPv4 address. Any other IPv6 address, or a name, is sent as
    /// `0.0.0.0`, with the port of `peer`.
    #[inline]
    pub fn accept<'b>(self, peer: impl Into<Address<'b>>) {
        let next = State::Established(Established::Stream);
        self.handshake.accept(self.version, peer.into(), next);
    }

    /// Sends `code` as [`PendingRequest::reject`] does, and closes.
    ///
    /// Do not reject because a stranger connects. Drop that connection, and wait for the peer that the request names.
    #[inline]
    pub fn reject(self, code: ReplyCode) {
        self.handshake.reject(self.version, code);
    }

    /// Sends a code of version 4 as [`PendingRequest::reject_socks4`] does, and closes.
    pub fn reject_socks4(self, code: socks4::ReplyCode) {
        self.handshake.reject_socks4(self.version, code);
    }

    /// Accepts with the peer's address, or rejects with a code.
    #[inline]
    pub fn answer<'b>(self, answer: Result<impl Into<Address<'b>>, ReplyCode>) {
        match answer {
            Ok(peer) => self.accept(peer),
            Err(code) => self.reject(code),
        }
    }
}
