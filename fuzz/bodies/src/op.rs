//! Single operations of a machine's caller.

use arbitrary::Arbitrary;

use sans_socks_testing::driver::{Due, Side};

/// What the caller of a machine does next. It does nothing where the operation does not apply.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Op {
    Poll,
    /// Offers at most this many bytes.
    Offer(u8),
    OfferAll,
    /// Offers no more than is needed, all of which must be consumed.
    OfferNeeded,
    /// Offers everything as a `Buf` of two chunks, of which the first has this many bytes.
    OfferChained(u8),
    Send(u8),
    SendAll,
    /// Drains `Transmit` as a `Buf`, this many bytes at a time.
    Drain(u8),
    Decide,
    /// If the input has ended, announces that and offers everything that is left.
    End,
    /// The same, but offers single bytes until one is not consumed.
    EndByteByByte,
}

impl Op {
    /// Does it, and returns what is sent.
    pub(crate) fn act(self, side: &mut Side<'_>) -> Vec<u8> {
        let due = side.due();
        let mut sent = Vec::new();
        match (self, &due) {
            (Self::Offer(n), _) => {
                side.offer(n.into(), &due);
            }
            (Self::OfferAll, _) => {
                side.offer(usize::MAX, &due);
            }
            (Self::OfferNeeded, _) => side.offer_needed(&due),
            (Self::OfferChained(n), _) => side.offer_chained(n.into(), &due),
            (Self::Send(n), Due::Transmit(bytes)) => sent = side.send(n.into(), bytes),
            (Self::SendAll, Due::Transmit(bytes)) => sent = side.send(usize::MAX, bytes),
            (Self::Drain(n), Due::Transmit(bytes)) => sent = side.drain(n.into(), bytes),
            (Self::Decide, _) => side.decide(&due),
            (Self::End, _) if side.inbox_ended => side.end(usize::MAX, &due),
            (Self::EndByteByByte, _) if side.inbox_ended => side.end(1, &due),
            _ => {}
        }
        side.due();
        sent
    }
}
