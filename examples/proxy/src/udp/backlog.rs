//! Datagrams that the system could not send at once.

use std::io;
use std::net::SocketAddr;

use super::names::Waiting;
use super::socket::{Send, Slot, Socket};

/// Which socket of an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Inner,
    V4,
    V6,
}

impl Side {
    pub(super) const fn towards(target: SocketAddr) -> Self {
        if target.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// The most bytes that an association keeps. Further datagrams are dropped, as the system would do.
const MAX_BYTES: usize = 128 * 1024;

/// Copies of the datagrams that are still to be sent, in order.
#[derive(Default)]
pub(super) struct Backlog {
    unsent: Vec<Unsent>,
    bytes: usize,
}

pub(super) type Unsent = (Side, SocketAddr, Vec<u8>);

impl Backlog {
    /// Sends from slots, and keeps the datagrams that the system cannot send at once.
    pub(super) fn send(&mut self, socket: &Socket, side: Side, slots: &[Slot<'_>], sends: &[Send]) {
        let sent = if self.unsent.is_empty() {
            socket.send(slots, sends)
        } else {
            0
        };
        for send in sends.iter().skip(sent) {
            self.keep(side, send.bytes(slots), send.target);
        }
    }

    /// Sends one datagram, or keeps it.
    pub(super) fn send_one(&mut self, socket: &Socket, side: Side, datagram: &[u8], target: SocketAddr) {
        let blocked = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if !self.unsent.is_empty() || socket.send_now(datagram, target).is_err_and(blocked) {
            self.keep(side, datagram, target);
        }
    }

    fn keep(&mut self, side: Side, datagram: &[u8], target: SocketAddr) {
        let bytes = self.bytes + Waiting::size(datagram);
        if bytes <= MAX_BYTES {
            self.bytes = bytes;
            self.unsent.push((side, target, datagram.to_vec()));
        }
    }

    /// Returns all datagrams that it keeps.
    pub(super) fn take(&mut self) -> Vec<Unsent> {
        self.bytes = 0;
        std::mem::take(&mut self.unsent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backlog_is_bounded_in_bytes_and_keeps_the_first_datagrams() {
        let mut backlog = Backlog::default();
        let target = SocketAddr::from(([192, 0, 2, 1], 9));
        for _ in 0..2 {
            for n in 0..255 {
                backlog.keep(Side::V4, &[n; 1000], target);
            }
            let kept = backlog.take();
            assert_eq!(kept.len(), MAX_BYTES / Waiting::size(&[0; 1000]));
            assert!((0..).zip(&kept).all(|(n, (.., datagram))| *datagram == [n; 1000]));
        }
        (0..100_000).for_each(|_| backlog.keep(Side::V4, &[], target));
        assert!(backlog.take().len() < 10_000, "empty datagrams use memory, too");
    }
}
