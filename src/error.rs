//! What can go wrong, by whose fault it is.
//!
//! [`Malformed`]: the octets are wrong. [`PeerMisbehaved`]: the octets are right, what they say is not
//! allowed. [`Error`]: how a handshake ended without a tunnel; the two above are among its causes.
//! [`Discard`]: why a UDP datagram goes no further; nothing ends by it.
//! [`InvalidValue`] and [`BufferTooSmall`]: the caller's.
//!
//! "Not yet" is none of these: see [`Decoded`](crate::Decoded).

use crate::code::{Method, ReplyCode};
use crate::message::VERSION;

/// Octets that are not the message which is due.
///
/// A fault is reported at the first octet that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The first octet is not the message's version: `05`, or `01` inside RFC 1929 and RFC 1961.
    #[error("version {got:#04x} where {expected:#04x} was due")]
    Version {
        /// The version that was due.
        expected: u8,
        /// The octet that came.
        got: u8,
    },
    /// A greeting with NMETHODS `00`.
    #[error("a greeting that offers no method")]
    NoMethods,
    /// ATYP is not `01`, `03` or `04`: what follows has no known length.
    #[error("unknown address type {0:#04x}")]
    AddressType(u8),
    /// A domain name of length 0 where one must not be empty.
    #[error("an empty domain name")]
    EmptyDomain,
    /// A domain name with a NUL or another control octet, refused by the server machine
    /// (see [`Domain::is_hostname`](crate::Domain::is_hostname)).
    #[error("a domain name with control octets")]
    ControlOctets,
    /// ULEN or PLEN `00` where empty credentials were not allowed.
    #[error("empty user name or password")]
    EmptyCredentials,
    /// RSV is not `00`, where a strict configuration asks for it.
    #[error("reserved octet {0:#04x}")]
    Reserved(u8),
    /// MTYP of RFC 1961 is not `01`, `02`, `03` or `FF`: what follows has no known length.
    #[error("unknown GSSAPI message type {0:#04x}")]
    MessageType(u8),
    /// A datagram or an inner field that ends before its content does. Never said of a stream.
    #[error("truncated")]
    Truncated,
}

impl Malformed {
    /// What the peer seems to speak instead, guessed from the octet where version `05` was due.
    ///
    /// For a log line, or to hand the connection on: a wrong version octet was not taken, so whoever
    /// comes next finds the stream as it began.
    ///
    /// | octet | guess |
    /// |---|---|
    /// | `G H P C D O T`: a method's first letter, or `HTTP/` | [`Protocol::Http`] |
    /// | `16` handshake, `15` alert | [`Protocol::Tls`] |
    /// | `04` request, `00` reply | [`Protocol::Socks4`] |
    ///
    /// ```
    /// use sans_socks::{Greeting, Protocol};
    ///
    /// let fault = Greeting::decode(b"GET / HTTP/1.1\r\n").unwrap_err();
    /// assert_eq!(fault.looks_like(), Some(Protocol::Http));
    /// ```
    #[must_use]
    pub const fn looks_like(&self) -> Option<Protocol> {
        match self {
            Self::Version {
                expected: VERSION,
                got,
            } => match got {
                b'G' | b'H' | b'P' | b'C' | b'D' | b'O' | b'T' => Some(Protocol::Http),
                0x15 | 0x16 => Some(Protocol::Tls),
                0x00 | 0x04 => Some(Protocol::Socks4),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A protocol that is often spoken to the wrong port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.
    Http,
    /// TLS.
    Tls,
    /// SOCKS4 or SOCKS4a.
    Socks4,
}

impl core::fmt::Display for Protocol {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
            Self::Socks4 => "SOCKS4",
        })
    }
}

/// A well-formed message that the peer had no right to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// The server selected a method that the client did not offer.
    #[error("the server selected {0}, which was not offered")]
    MethodNotOffered(Method),
}

/// Where in the protocol a handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The client's greeting, [RFC 1928 §3](https://www.rfc-editor.org/rfc/rfc1928#section-3).
    Greeting,
    /// The server's selection of a method.
    MethodSelection,
    /// Username and password, RFC 1929.
    Authentication,
    /// Another method's own sub-negotiation.
    Negotiation,
    /// The request, [RFC 1928 §4](https://www.rfc-editor.org/rfc/rfc1928#section-4).
    Request,
    /// The reply, [RFC 1928 §6](https://www.rfc-editor.org/rfc/rfc1928#section-6); for BIND, the first.
    Reply,
    /// BIND: the connection that is waited for, and the second reply.
    SecondReply,
    /// The handshake is over and has succeeded.
    Established,
    /// The handshake is over and has failed.
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
/// By the time a machine says so, the octets that refuse the peer have been sent.
///
/// With `std` it converts into a `std::io::Error` of the kind that fits, which holds it as its inner error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer sent octets that are not the message which was due.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The peer sent a message that it had no right to send.
    #[error(transparent)]
    PeerMisbehaved(#[from] PeerMisbehaved),
    /// `05 FF`: the client offered no method that the server accepts.
    #[error("no acceptable authentication method")]
    NoAcceptableMethod,
    /// The server rejected the user name and password.
    #[error("authentication rejected with status {status:#04x}")]
    AuthenticationRejected {
        /// The STATUS that was sent, never `00`.
        status: u8,
    },
    /// The server refused the request.
    #[error("refused: {0}")]
    Refused(ReplyCode),
    /// The peer ended its side of the connection where it was its turn.
    #[error("the connection ended in phase {phase}")]
    #[non_exhaustive]
    UnexpectedEof {
        /// The phase that waited for input.
        phase: Phase,
    },
    /// This side gave up on the sub-negotiation of a method.
    #[error("negotiation abandoned")]
    Abandoned,
}

/// The classes of [`Error`], by whose fault it is and what can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer does not speak SOCKS5, or speaks it wrongly.
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
    /// The error's class.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed(_) => ErrorKind::Malformed,
            Self::PeerMisbehaved(_) => ErrorKind::PeerMisbehaved,
            Self::NoAcceptableMethod | Self::AuthenticationRejected { .. } | Self::Refused(_) => {
                ErrorKind::Refused
            }
            Self::UnexpectedEof { .. } => ErrorKind::UnexpectedEof,
            Self::Abandoned => ErrorKind::Abandoned,
        }
    }

    /// The REP of a refused request.
    #[must_use]
    pub const fn reply_code(&self) -> Option<ReplyCode> {
        match self {
            Self::Refused(code) => Some(*code),
            _ => None,
        }
    }
}

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
            Error::Refused(_) => ErrorKind::Other,
            Error::UnexpectedEof { .. } => ErrorKind::UnexpectedEof,
            Error::Abandoned => ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

/// Why a datagram was dropped. For a counter or a log line: nothing is sent about it, and it ends nothing.
///
/// A relay relays "silently, without any notification to the requesting client", [RFC 1928 §7], and drops
/// alike: an answer to a datagram whose source is not known to be true would serve to flood a third party.
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Discard {
    /// It did not come from the client: another IP address than the control connection's peer, or another
    /// port than the one that the client sends from.
    #[error("a datagram from a foreign source")]
    Source,
    /// It is not a SOCKS datagram.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// FRAG is not `00`, and fragments were not asked for.
    #[error("a fragment, and fragments are not accepted")]
    Fragment,
    /// FRAG `80`: the end of a sequence at position 0, which is no position. A sequence goes on.
    #[error("an invalid FRAG")]
    InvalidFrag,
    /// A fragment that is not the first, with no sequence open.
    #[error("a fragment of a sequence whose start is missing")]
    NoStart,
    /// A position that the sequence is already beyond. The sequence was emptied.
    #[error("a fragment of a lower position than the one before")]
    Reset,
    /// The position that came last, once more. The sequence goes on.
    #[error("a fragment that came twice")]
    Duplicate,
    /// A position beyond the next one. The sequence was emptied.
    #[error("a fragment behind one that is missing")]
    Gap,
    /// Another address than the sequence's. The sequence was emptied.
    #[error("a fragment with another address than the one before")]
    AddressMismatch,
    /// The datagram would be longer than allowed, or there is no memory for it. The sequence was emptied.
    #[error("a fragment that makes its datagram too large")]
    TooLarge,
    /// Position 127 without the mark of the last one. The sequence was emptied.
    #[error("a sequence without an end")]
    Unterminated,
}

/// A value that the protocol has no octets for.
///
/// Lengths are checked here, when a value is built, so that an encoder can never cut or wrap one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValue {
    /// A domain name that has not 1 to 255 octets.
    #[error("a domain name has 1 to 255 octets, not {0}")]
    DomainLength(usize),
    /// A user name that has not 1 to 255 octets.
    #[error("a user name has 1 to 255 octets, not {0}")]
    UsernameLength(usize),
    /// A password that has not 1 to 255 octets.
    #[error("a password has 1 to 255 octets, not {0}")]
    PasswordLength(usize),
    /// A GSSAPI token with more than 65,535 octets.
    #[error("a token has at most 65535 octets, not {0}")]
    TokenLength(usize),
    /// Text that is not `host:port` or `[ipv6]:port`.
    #[error("not an address of the form host:port or [ipv6]:port")]
    AddressSyntax,
    /// A greeting that offers no method, or more than 255.
    #[error("a greeting offers 1 to 255 methods, not {0}")]
    MethodCount(usize),
    /// A greeting that offers `FF`, which is an answer and not a method.
    #[error("method 0xff cannot be offered")]
    NoAcceptableOffered,
    /// A server selects a method that the client did not offer.
    #[error("{0} was not offered")]
    MethodNotOffered(Method),
    /// Username/password is offered, and there are no credentials to send.
    #[error("username/password offered without credentials")]
    CredentialsMissing,
}

/// The buffer has no room for the whole message. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("a message of {needed} octets does not fit")]
#[non_exhaustive]
pub struct BufferTooSmall {
    /// The octets that the message takes.
    pub needed: usize,
}
