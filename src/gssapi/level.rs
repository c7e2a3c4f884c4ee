//! Protection levels, [RFC 1961 §4.2](https://www.rfc-editor.org/rfc/rfc1961#section-4.2).

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
