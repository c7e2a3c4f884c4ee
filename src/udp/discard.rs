//! The reasons for dropping a datagram.

use crate::error::Malformed;

/// The reason for dropping a datagram. Count it or log it. Send nothing, and do not end the association.
///
/// A *sequence* is the fragments of one datagram. It is open from the first fragment until the datagram is complete or
/// the sequence is dropped.
///
/// A relay relays "silently, without any notification to the requesting client", [RFC 1928 §7], and also drops silently. An
/// answer to a datagram with a forged source would reach a third party.
///
/// ```
/// use sans_socks::udp::Discard;
/// use std::collections::HashMap;
///
/// let mut dropped: HashMap<Discard, u64> = HashMap::new();
/// *dropped.entry(Discard::Fragment).or_default() += 1;
/// for (reason, count) in &dropped {
///     println!("{count} times: {reason}"); // 1 times: fragments are not accepted
/// }
/// ```
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Discard {
    /// The source is not the other side's address, or has port 0.
    #[error("datagram from a foreign source")]
    Source,
    /// The header is not valid, or the configuration does not accept it: a name with control bytes, or RSV.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// FRAG is not `00`, and fragments are not accepted.
    #[error("fragments are not accepted")]
    Fragment,
    /// FRAG `80`: the last fragment, at position 0, which does not exist. An open sequence stays open.
    #[error("invalid FRAG 0x80")]
    InvalidFrag,
    /// A fragment after the first, while no sequence is open.
    #[error("fragment of a sequence whose first fragment is missing")]
    NoStart,
    /// A position from 2 up to the highest one received, unless it is a [`Duplicate`](Self::Duplicate). The sequence
    /// was dropped.
    #[error("fragment at an earlier position, or another fragment at the same position")]
    Reset,
    /// The most recent fragment once more. The sequence stays open.
    #[error("duplicate fragment")]
    Duplicate,
    /// A position beyond the one that must come next. The sequence was dropped.
    #[error("fragment out of sequence (gap)")]
    Gap,
    /// An address other than that of the sequence. The sequence was dropped.
    #[error("fragment with an address other than that of its sequence")]
    AddressMismatch,
    /// The datagram would exceed the limit, or there is no memory for it. The sequence was dropped.
    #[error("reassembled datagram too large")]
    TooLarge,
    /// Position 127 without the mark of the last fragment. The sequence was dropped.
    #[error("fragment 127 is not marked as the last")]
    Unterminated,
}
