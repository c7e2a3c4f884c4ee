//! Datagrams that the system could not send at once.

use std::io;
use std::net::SocketAddr;

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

/// Copies of the datagrams that are still to be sent, in order.
#[derive(Default)]
pub(super) struct Backlog(Vec<Unsent>);

pub(super) type Unsent = (Side, SocketAddr, Vec<u8>);

impl Backlog {
    /// Sends from slots, and keeps the datagrams that the system cannot send at once.
    pub(super) fn send(&mut self, socket: &Socket, side: Side, slots: &[Slot<'_>], sends: &[Send]) {
        let sent = if self.0.is_empty() {
            socket.send(slots, sends)
        } else {
            0
        };
        let unsent = sends.iter().skip(sent);
        self.0
            .extend(unsent.map(|send| (side, send.target, send.bytes(slots).to_vec())));
    }

    /// Sends one datagram, or keeps it.
    pub(super) fn send_one(&mut self, socket: &Socket, side: Side, datagram: &[u8], target: SocketAddr) {
        let blocked = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if !self.0.is_empty() || socket.send_now(datagram, target).is_err_and(blocked) {
            self.0.push((side, target, datagram.to_vec()));
        }
    }

    /// Returns all datagrams that it keeps.
    pub(super) fn take(&mut self) -> Vec<Unsent> {
        std::mem::take(&mut self.0)
    }
}
