//! The sender's side of fragmentation.

use core::num::NonZeroUsize;

use super::{Datagram, Frag, Header};
use crate::address::Address;

/// Cuts a payload into datagrams that carry at most `max_payload` octets of it each, [RFC 1928 §7].
///
/// They all carry the same address. A payload that fits is sent whole, with FRAG `00`; so is an empty one.
/// Otherwise the pieces are numbered from 1, and the last is marked.
///
/// Few relays reassemble, and a piece that is lost takes the whole with it: fragment only for a relay that is
/// known to take it. [`max_payload`](super::max_payload) tells what fits with a header into a datagram.
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
/// [`TooManyFragments`] when it takes more than 127 pieces.
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

/// A payload that would take more than the 127 fragments which FRAG can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{pieces} fragments where 127 is the most")]
#[non_exhaustive]
pub struct TooManyFragments {
    /// The fragments that it would take.
    pub pieces: usize,
}
