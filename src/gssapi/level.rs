//! Protection levels, [RFC 1961 §4.2](https://www.rfc-editor.org/rfc/rfc1961#section-4.2).

use core::fmt;

/// The protection of all messages after the negotiation, [RFC 1961 §4.2].
///
/// ```
/// use sans_socks::gssapi::ProtectionLevel;
///
/// assert_eq!(ProtectionLevel::new(2), Some(ProtectionLevel::Confidentiality));
/// assert_eq!(ProtectionLevel::new(0), None);
/// assert_eq!(ProtectionLevel::Selective.get(), 3);
/// ```
///
/// [RFC 1961 §4.2]: https://www.rfc-editor.org/rfc/rfc1961#section-4.2
#[expect(clippy::exhaustive_enums, reason = "RFC 1961 has these three")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum ProtectionLevel {
    /// `01`: every message has integrity, and none is confidential.
    Integrity = 1,
    /// `02`: every message has integrity and is confidential.
    Confidentiality = 2,
    /// `03`: every message has integrity, and its sender chooses whether it is confidential.
    Selective = 3,
}

impl ProtectionLevel {
    /// Returns the level with this byte, or `None` for any byte other than `01`, `02` and `03`.
    #[must_use]
    pub const fn new(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Integrity),
            2 => Some(Self::Confidentiality),
            3 => Some(Self::Selective),
            _ => None,
        }
    }

    /// Returns the byte of this level.
    #[must_use]
    pub const fn get(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for ProtectionLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Integrity => "integrity",
            Self::Confidentiality => "confidentiality",
            Self::Selective => "selective",
        })
    }
}
