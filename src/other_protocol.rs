//! Other protocols that clients or servers speak by mistake.

use core::fmt;

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

impl OtherProtocol {
    /// Guesses the protocol from a byte that is not the expected version. `Malformed::looks_like` has the table.
    pub(crate) const fn guess(expected: u8, got: u8) -> Option<Self> {
        match (expected, got) {
            (1, _) => None, // VER of RFC 1929
            (_, b'G' | b'H' | b'P' | b'C' | b'D' | b'O' | b'T') => Some(Self::Http),
            (_, 0x15 | 0x16) => Some(Self::Tls),
            (5, 0x00 | 0x04) => Some(Self::Socks4), // VER of RFC 1928
            _ => None,
        }
    }
}
