//! Other protocols that clients or servers speak by mistake.

use core::fmt;

use crate::error::Malformed;
use crate::message::{VERSION, userpass};

/// A protocol that peers often speak on a SOCKS port by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OtherProtocol {
    /// HTTP.
    Http,
    /// TLS.
    Tls,
    /// SOCKS4 or SOCKS4a.
    Socks4,
}

impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
            Self::Socks4 => "SOCKS4",
        })
    }
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
        let Self::Version { expected, got } = *self else {
            return None;
        };
        match (expected, got) {
            (userpass::VERSION, _) => None,
            (_, b'G' | b'H' | b'P' | b'C' | b'D' | b'O' | b'T') => Some(OtherProtocol::Http),
            (_, 0x15 | 0x16) => Some(OtherProtocol::Tls),
            (VERSION, 0x00 | 0x04) => Some(OtherProtocol::Socks4),
            _ => None,
        }
    }
}
