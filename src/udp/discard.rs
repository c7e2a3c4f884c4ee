//! The reasons for dropping a datagram.

use crate::error::Malformed;

/// The reason for dropping a datagram. Count it or log it. Nothing is sent, and nothing ends.
///
/// A relay relays "silently, without any notification to the requesting client", [RFC 1928 §7], and drops silently
/// too. An answer to a datagram with a forged source would flood a third party.
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Discard {
    /// The source is not the other side's: another host, another port than the one in use, or port 0.
    #[error("datagram from a foreign source")]
    Source,
    /// It is not a SOCKS datagram, or has a name with control bytes.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// FRAG is not `00`, and fragments are not accepted.
    #[error("fragment, and fragments are not accepted")]
    Fragment,
    /// FRAG `80`: the last piece at position 0, which does not exist. An open sequence stays open.
    #[error("invalid FRAG 0x80")]
    InvalidFrag,
    /// A fragment other than the first, and no sequence is open.
    #[error("fragment of a sequence whose first fragment is missing")]
    NoStart,
    /// A position that the sequence has passed, or its last position with another address or payload. The sequence was
    /// dropped.
    #[error("fragment of an earlier position, or in contradiction to the last one")]
    Reset,
    /// The last fragment again. The sequence stays open.
    #[error("duplicate fragment")]
    Duplicate,
    /// A position after the next one. The sequence was dropped.
    #[error("fragment out of sequence (gap)")]
    Gap,
    /// Another address than the sequence's. The sequence was dropped.
    #[error("fragment with another address than the one before")]
    AddressMismatch,
    /// The datagram would exceed the limit, or there is no memory for it. The sequence was dropped.
    #[error("reassembled datagram too large")]
    TooLarge,
    /// Position 127 without the mark of the last piece. The sequence was dropped.
    #[error("sequence without an end")]
    Unterminated,
}
