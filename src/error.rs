//! Error types, grouped by who is at fault.
//!
//! - [`Malformed`]: the peer's bytes are not the expected message.
//! - [`PeerMisbehaved`]: the peer's message is well-formed, but not allowed.
//! - [`Error`]: why a handshake ended without a tunnel, for instance because of one of the two above.
//! - [`Discard`](crate::udp::Discard): why a UDP datagram was dropped.
//! - [`InvalidValue`]: the caller's value has no encoding.
//! - [`ApiMisuse`]: the caller made a call that the state of the handshake does not allow.
//!
//! Incomplete input is not an error: see [`Decoded`](crate::message::Decoded).

use crate::code_point::{Method, ReplyCode};
use crate::other_protocol::OtherProtocol;
use crate::socks4::reply_code::ReplyCode as Socks4ReplyCode;

/// Returns the end of the text of [`Malformed::Version`]: the protocol that the peer seems to speak.
const fn other_protocol(expected: u8, got: u8) -> &'static str {
    match OtherProtocol::guess(expected, got) {
        Some(OtherProtocol::Http) => ": looks like HTTP",
        Some(OtherProtocol::Tls) => ": looks like TLS",
        Some(OtherProtocol::Socks4) => ": looks like SOCKS4",
        None => "",
    }
}

/// Bytes that are not the expected message.
///
/// A machine reports a fault as soon as it has received the byte that shows it. The exception is
/// [`ControlBytes`](Self::ControlBytes), which it reports when the request is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The first byte is not the expected version: `05`, `01` in the messages of RFC 1929 and RFC 1961, `04` in a
    /// request of SOCKS4, or `00` in its reply.
    #[error("unexpected version {got:#04x}, expected {expected:#04x}{}", other_protocol(*.expected, *.got))]
    #[non_exhaustive]
    Version {
        /// The version that was expected.
        expected: u8,
        /// The byte received.
        got: u8,
    },
    /// A greeting with NMETHODS `00`.
    #[error("greeting offers no method")]
    NoMethods,
    /// ATYP is not `01`, `03` or `04`, so the length of the address is unknown.
    #[error("unknown address type {0:#04x}")]
    AddressType(u8),
    /// A domain name of length 0.
    #[error("empty domain name")]
    EmptyDomain,
    /// A domain name with a NUL or another control byte, see
    /// [`Domain::has_control_bytes`](crate::Domain::has_control_bytes).
    #[error("control byte in a domain name")]
    ControlBytes,
    /// A domain name of more than 255 bytes in SOCKS4a, which has no length field.
    #[error("domain name of more than 255 bytes")]
    DomainTooLong,
    /// A user id of more than 255 bytes in SOCKS4, which has no length field.
    #[error("user id of more than 255 bytes")]
    UserIdTooLong,
    /// ULEN or PLEN is `00`.
    #[error("empty user name or password")]
    EmptyCredentials,
    /// RSV is not `00`, and the configuration requires `00`.
    #[error("reserved byte is {0:#04x}, expected 0x00")]
    Reserved(u8),
    /// MTYP of RFC 1961 is not `01`, `02`, `03` or `FF`, so the form of the message is unknown.
    #[error("unknown GSSAPI message type {0:#04x}")]
    MessageType(u8),
    /// A datagram ends inside its header. On a stream, this is incomplete input instead.
    #[error("truncated datagram header")]
    Truncated,
}

impl Malformed {
    /// Guesses which protocol the peer speaks, from the byte that is not the expected version.
    ///
    /// Use it for a log line, or to pass the connection to another handler. The machine does not consume a wrong
    /// version byte. If that is the first byte of the connection, the other handler receives the whole stream.
    ///
    /// | byte | guess |
    /// |---|---|
    /// | `G H P C D O T`: first letter of a method or of `HTTP/` | [`OtherProtocol::Http`] |
    /// | `16` handshake, `15` alert | [`OtherProtocol::Tls`] |
    /// | `04` request, `00` reply, where `05` was expected | [`OtherProtocol::Socks4`] |
    ///
    /// There is no guess where version `01` was expected: it begins a later message of the handshake.
    ///
    /// ```
    /// use sans_socks::OtherProtocol;
    /// use sans_socks::message::Greeting;
    ///
    /// let fault = Greeting::decode(b"GET / HTTP/1.1\r\n").unwrap_err();
    /// assert_eq!(fault.looks_like(), Some(OtherProtocol::Http));
    /// ```
    #[must_use]
    pub const fn looks_like(&self) -> Option<OtherProtocol> {
        match *self {
            Self::Version { expected, got } => OtherProtocol::guess(expected, got),
            _ => None,
        }
    }
}

/// A well-formed message that the peer must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// The server selected a method that the client did not offer.
    #[error("server selected {0}, which was not offered")]
    MethodNotOffered(Method),
}

/// The phases of a handshake, in their order.
///
/// A handshake never goes back to an earlier phase, so you can compare phases to choose a deadline:
///
/// ```
/// use sans_socks::Phase;
/// use std::time::Duration;
///
/// /// How old a connection may be in this phase, since `TcpListener::accept`.
/// fn limit(phase: Phase) -> Option<Duration> {
///     match phase {
///         Phase::Established | Phase::Closed => None,
///         phase if phase < Phase::Reply => Some(Duration::from_secs(30)), // for the client
///         Phase::Reply => Some(Duration::from_secs(50)),                  // and 20 for the dial
///         _ => Some(Duration::from_secs(300)),                            // for BIND's peer
///     }
/// }
/// assert_eq!(limit(Phase::Authentication), Some(Duration::from_secs(30)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The client's greeting, [RFC 1928 §3](https://www.rfc-editor.org/rfc/rfc1928#section-3). On a server that accepts
    /// SOCKS4, also the arrival of a request of that version, which is the client's first message.
    Greeting,
    /// The server's selection of a method.
    MethodSelection,
    /// User name and password, RFC 1929.
    Authentication,
    /// The sub-negotiation of another method.
    Negotiation,
    /// The request, [RFC 1928 §4](https://www.rfc-editor.org/rfc/rfc1928#section-4).
    Request,
    /// The reply, [RFC 1928 §6](https://www.rfc-editor.org/rfc/rfc1928#section-6); for BIND, the first.
    Reply,
    /// BIND: the second reply, which follows the peer's connection.
    SecondReply,
    /// The handshake has succeeded.
    Established,
    /// The handshake has failed.
    Closed,
}

impl core::fmt::Display for Phase {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Greeting => "greeting",
            Self::MethodSelection => "method selection",
            Self::Authentication => "authentication",
            Self::Negotiation => "negotiation",
            Self::Request => "request",
            Self::Reply => "reply",
            Self::SecondReply => "second reply",
            Self::Established => "established",
            Self::Closed => "closed",
        })
    }
}

/// Why a handshake ended without a tunnel. Close the connection.
///
/// A server sends the refusal before it reports the error. Three errors have no refusal: a wrong version byte in the
/// greeting, an unexpected end of input, and [`Abandoned`](Self::Abandoned).
///
/// With feature `std`, an `Error` converts into a `std::io::Error`, which keeps the `Error` as its inner error:
///
/// | error | `std::io::ErrorKind` |
/// |---|---|
/// | `Malformed`, `PeerMisbehaved` | `InvalidData` |
/// | `NoAcceptableMethod`, `AuthenticationRejected`, REP 02, SOCKS4's `5C` and `5D` | `PermissionDenied` |
/// | REP 03 | `NetworkUnreachable` |
/// | REP 04 | `HostUnreachable` |
/// | REP 05 | `ConnectionRefused` |
/// | REP 06 | `TimedOut` |
/// | REP 07, REP 08 | `Unsupported` |
/// | any other REP, any other code of SOCKS4 | `Other` |
/// | `UnexpectedEof` | `UnexpectedEof` |
/// | `Abandoned` | `ConnectionAborted` |
///
/// ```
/// use sans_socks::{Error, Malformed};
///
/// fn log(error: &Error) {
///     match error {
///         // A health check or a port scan: the client connected and left.
///         Error::UnexpectedEof { received: 0, .. } => {}
///         Error::Malformed(fault) => match fault.looks_like() {
///             Some(protocol) => eprintln!("the client speaks {protocol}"),
///             None => eprintln!("malformed input: {fault}"),
///         },
///         error => eprintln!("handshake failed: {error}"),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer sent bytes that are not the expected message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The peer sent a message that it must not send.
    #[error(transparent)]
    PeerMisbehaved(#[from] PeerMisbehaved),
    /// `05 FF`: the client offered no method that the server accepts.
    ///
    /// [`server::Handshake::offered`](crate::server::Handshake::offered) returns what was offered.
    #[error("no acceptable authentication method")]
    NoAcceptableMethod,
    /// The server rejected the user name and password.
    #[error("authentication rejected with status {status:#04x}")]
    #[non_exhaustive]
    AuthenticationRejected {
        /// The STATUS that was sent, never `00`.
        status: u8,
    },
    /// The server refused the request.
    ///
    /// [`server::Handshake::request`](crate::server::Handshake::request) returns what was requested.
    #[error("refused: {0}")]
    Refused(ReplyCode),
    /// The server refused a request of SOCKS4, with the code of that version.
    #[error("refused: {0}")]
    Socks4Refused(Socks4ReplyCode),
    /// The peer ended its side of the connection while a message from it was expected.
    #[error("connection ended in phase {phase}, after {received} bytes of the message")]
    #[non_exhaustive]
    UnexpectedEof {
        /// The phase that waited for input.
        phase: Phase,
        /// How many bytes of the message had been received. 0 in [`Phase::Greeting`] means that the client sent nothing, for
        /// instance because it is a health check or a port scan.
        received: u16,
    },
    /// This side rejected the sub-negotiation of a method.
    #[error("negotiation rejected")]
    Abandoned,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer does not speak SOCKS, or speaks it wrongly.
    Malformed,
    /// The peer broke a rule of the protocol.
    PeerMisbehaved,
    /// One side refused the other: the method, the credentials or the request.
    Refused,
    /// The connection ended too early.
    UnexpectedEof,
    /// This side gave up.
    Abandoned,
}

impl Error {
    /// Returns the error's class.
    ///
    /// ```
    /// use sans_socks::{Error, ErrorKind, ReplyCode};
    ///
    /// assert_eq!(Error::Refused(ReplyCode::HOST_UNREACHABLE).kind(), ErrorKind::Refused);
    /// ```
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed(_) => ErrorKind::Malformed,
            Self::PeerMisbehaved(_) => ErrorKind::PeerMisbehaved,
            Self::NoAcceptableMethod
            | Self::AuthenticationRejected { .. }
            | Self::Refused(_)
            | Self::Socks4Refused(_) => ErrorKind::Refused,
            Self::UnexpectedEof { .. } => ErrorKind::UnexpectedEof,
            Self::Abandoned => ErrorKind::Abandoned,
        }
    }

    /// Returns the REP of a refused request, converted from a code of SOCKS4 if necessary.
    ///
    /// ```
    /// use sans_socks::{Error, ReplyCode, socks4};
    ///
    /// let refused = Error::Socks4Refused(socks4::ReplyCode::IDENTD_MISMATCH);
    /// assert_eq!(refused.reply_code(), Some(ReplyCode::NOT_ALLOWED));
    /// assert_eq!(Error::NoAcceptableMethod.reply_code(), None);
    /// ```
    #[must_use]
    pub fn reply_code(&self) -> Option<ReplyCode> {
        match self {
            Self::Refused(code) => Some(*code),
            Self::Socks4Refused(code) => Some((*code).into()),
            _ => None,
        }
    }
}

/// Keeps the error as the inner error. [`Error`] has the table of kinds.
///
/// ```
/// use sans_socks::{Error, ReplyCode};
/// use std::io;
///
/// let error = io::Error::from(Error::Refused(ReplyCode::HOST_UNREACHABLE));
/// assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
/// let inner: Option<&Error> = error.get_ref().and_then(|inner| inner.downcast_ref());
/// assert_eq!(inner.and_then(Error::reply_code), Some(ReplyCode::HOST_UNREACHABLE));
/// ```
#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;

        let kind = match error {
            Error::Malformed(_) | Error::PeerMisbehaved(_) => ErrorKind::InvalidData,
            Error::NoAcceptableMethod | Error::AuthenticationRejected { .. } => ErrorKind::PermissionDenied,
            Error::Refused(ReplyCode::NOT_ALLOWED) => ErrorKind::PermissionDenied,
            Error::Refused(ReplyCode::NETWORK_UNREACHABLE) => ErrorKind::NetworkUnreachable,
            Error::Refused(ReplyCode::HOST_UNREACHABLE) => ErrorKind::HostUnreachable,
            Error::Refused(ReplyCode::CONNECTION_REFUSED) => ErrorKind::ConnectionRefused,
            Error::Refused(ReplyCode::TTL_EXPIRED) => ErrorKind::TimedOut,
            Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED | ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED) => {
                ErrorKind::Unsupported
            }
            Error::Socks4Refused(code) if ReplyCode::from(code) == ReplyCode::NOT_ALLOWED => {
                ErrorKind::PermissionDenied
            }
            Error::Refused(_) | Error::Socks4Refused(_) => ErrorKind::Other,
            Error::UnexpectedEof { .. } => ErrorKind::UnexpectedEof,
            Error::Abandoned => ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

/// Converts the error of a failed dial or bind into the reply that reports it.
///
/// | `std::io::Error` | REP |
/// |---|---|
/// | holds an [`Error::Refused`] or `Socks4Refused`: a chained proxy's refusal | its [`reply_code`](Error::reply_code) |
/// | `ConnectionRefused` | 05 |
/// | `NetworkUnreachable`, `NetworkDown` | 03 |
/// | `HostUnreachable` | 04 |
/// | a failed look-up by the [`Address`](crate::Address) implementation of `ToSocketAddrs` | 04 |
/// | `TimedOut` | 06 |
/// | `PermissionDenied` | 02 |
/// | any other | 01 |
///
/// `std` and tokio report a failed look-up with an unstable `ErrorKind`, which becomes 01. Reject such a request with
/// [`ReplyCode::HOST_UNREACHABLE`] yourself.
///
/// ```
/// use sans_socks::ReplyCode;
/// use std::io;
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// assert_eq!(ReplyCode::from(&refused), ReplyCode::CONNECTION_REFUSED);
/// ```
#[cfg(feature = "std")]
impl From<&std::io::Error> for ReplyCode {
    fn from(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;

        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner.and_then(Error::reply_code) {
            Some(code) if !code.is_success() => return code,
            _ => {}
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::CONNECTION_REFUSED,
            ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Self::NETWORK_UNREACHABLE,
            ErrorKind::HostUnreachable => Self::HOST_UNREACHABLE,
            ErrorKind::TimedOut => Self::TTL_EXPIRED,
            ErrorKind::PermissionDenied => Self::NOT_ALLOWED,
            _ => Self::GENERAL_FAILURE,
        }
    }
}

/// Converts as `From<&std::io::Error>` does.
#[cfg(feature = "std")]
impl From<std::io::Error> for ReplyCode {
    fn from(error: std::io::Error) -> Self {
        Self::from(&error)
    }
}

/// A value that has no encoding, or text that does not parse.
///
/// Constructors check lengths, so no encoder truncates a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValue {
    /// A domain name that does not have 1 to 255 bytes.
    #[error("domain name of {0} bytes, expected 1 to 255")]
    DomainLength(usize),
    /// A domain name that is not UTF-8, or has control bytes.
    #[error("domain name is not UTF-8, or has control bytes")]
    DomainText,
    /// A domain name where an IP address is required.
    #[error("host is a domain name, expected an IP address")]
    NotAnIp,
    /// Port 0 where datagrams are to be sent.
    #[error("port 0, expected 1 to 65535")]
    PortZero,
    /// A user name that is empty where it must not be, or has more than 255 bytes.
    #[error("user name of {0} bytes, expected {bound}", bound = length_bound(*.0))]
    UsernameLength(usize),
    /// A password that is empty where it must not be, or has more than 255 bytes.
    #[error("password of {0} bytes, expected {bound}", bound = length_bound(*.0))]
    PasswordLength(usize),
    /// A SOCKS4 user id of more than 255 bytes, or with a NUL.
    #[error("user id of {0} bytes, expected at most 255 and no NUL")]
    UserId(usize),
    /// An address that SOCKS4 cannot carry: IPv6, `0.0.0.x` with x other than 0, or a name with a NUL.
    #[error("address has no encoding in SOCKS4")]
    Socks4Address,
    /// A command that SOCKS4 does not have: UDP ASSOCIATE.
    #[error("command does not exist in SOCKS4")]
    Socks4Command,
    /// A GSSAPI token of more than 65,535 bytes.
    #[error("token of {0} bytes, expected at most 65535")]
    TokenLength(usize),
    /// Text that is not `host:port` or `[ipv6]:port`.
    #[error("invalid address, expected host:port or [ipv6]:port")]
    AddressSyntax,
    /// A greeting that offers no method, or more than 255.
    #[error("{0} methods offered, expected 1 to 255")]
    MethodCount(usize),
    /// A greeting that offers `FF`. That byte is only an answer.
    #[error("method 0xff cannot be offered")]
    NoAcceptableOffered,
    /// User name and password are offered without credentials to send.
    #[error("username/password offered without credentials")]
    CredentialsMissing,
}

/// Returns the bound that a field of this length breaks.
const fn length_bound(len: usize) -> &'static str {
    if len == 0 { "at least 1" } else { "at most 255" }
}

/// A call that the state of a handshake does not allow. The handshake has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// On a server, the caller selected a method that the client did not offer.
    #[error("{0} was not offered")]
    MethodNotOffered(Method),
}
