//! The sender's side of fragmentation.

use core::num::NonZeroUsize;

use super::{Datagram, Frag, Header};
use crate::address::Address;

/// Splits a payload into datagrams, each with at most `max_payload` bytes of the payload, [RFC 1928 §7].
///
/// All have the same address. A payload that fits becomes one datagram with FRAG `00`, even if it is empty. Otherwise the
/// fragments are numbered from 1, and the last one is marked.
///
/// Few relays reassemble, and if one fragment is lost, the payload is lost. Fragment only for a peer that is known to
/// reassemble. [`max_payload`](super::max_payload) returns how many bytes fit into one datagram with a header.
///
/// ```
/// use core::num::NonZeroUsize;
/// use sans_socks::udp::fragments;
/// use sans_socks::Address;
///
/// let to = Address::try_from("127.0.0.1:5300")?;
/// let mut pieces = fragments(to, b"hello", NonZeroUsize::new(2).unwrap())?
///     .map(|datagram| (datagram.header.frag.get(), datagram.payload));
/// assert_eq!(pieces.next(), Some((0x01, &b"he"[..])));
/// assert_eq!(pieces.next(), Some((0x02, &b"ll"[..])));
/// assert_eq!(pieces.next(), Some((0x83, &b"o"[..])));
/// assert_eq!(pieces.next(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`TooManyFragments`] if more than 127 fragments are needed.
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
pub fn fragments<'a>(
    to: Address<'a>,
    payload: &'a [u8],
    max_payload: NonZeroUsize,
) -> Result<impl ExactSizeIterator<Item = Datagram<'a>>, TooManyFragments> {
    let max_payload = max_payload.get();
    let pieces = payload.len().div_ceil(max_payload).max(1);
    let Ok(last @ ..=Frag::MAX_POSITION) = u8::try_from(pieces) else {
        return Err(TooManyFragments { pieces });
    };
    Ok((1..=last).map(move |position| {
        let frag = match position {
            1 if last == 1 => Frag::STANDALONE,
            _ if position == last => Frag::new(Frag::LAST | position),
            _ => Frag::new(position),
        };
        let start = usize::from(position)
            .saturating_sub(1)
            .saturating_mul(max_payload);
        let rest = payload.get(start..).unwrap_or_default();
        Datagram::new(Header::new(frag, to), rest.get(..max_payload).unwrap_or(rest))
    }))
}

/// A payload that needs more than 127 fragments: 127 is the highest position in FRAG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{pieces} fragments needed, at most 127 are possible")]
#[non_exhaustive]
pub struct TooManyFragments {
    /// How many fragments are needed.
    pub pieces: usize,
}
