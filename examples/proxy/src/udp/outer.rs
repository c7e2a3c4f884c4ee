//! The sockets that face the targets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::backlog::{Backlog, Side};
use super::socket::{Send, Slot, Socket};
use crate::config::Config;

/// One socket for each IP version, opened when a datagram first needs it.
pub(super) struct Outer {
    bind_v4: IpAddr,
    bind_v6: IpAddr,
    pub(super) v4: Option<Socket>,
    pub(super) v6: Option<Socket>,
}

/// The datagrams to send from slots, for each socket.
#[derive(Default)]
pub(super) struct Sends {
    v4: Vec<Send>,
    v6: Vec<Send>,
}

impl Sends {
    pub(super) fn push(&mut self, send: Send) {
        match send.target {
            SocketAddr::V4(_) => self.v4.push(send),
            SocketAddr::V6(_) => self.v6.push(send),
        }
    }
}

impl Outer {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            bind_v4: config.bind_v4.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            bind_v6: config.bind_v6.unwrap_or(Ipv6Addr::UNSPECIFIED.into()),
            v4: None,
            v6: None,
        }
    }

    /// Returns the socket of a side, and opens it if necessary. `None` if the host does not support it.
    fn socket(&mut self, side: Side) -> Option<&Socket> {
        let (socket, ip) = match side {
            Side::V6 => (&mut self.v6, self.bind_v6),
            _ => (&mut self.v4, self.bind_v4),
        };
        if socket.is_none() {
            *socket = Socket::bind(SocketAddr::new(ip, 0)).ok();
        }
        socket.as_ref()
    }

    pub(super) fn send(&mut self, slots: &[Slot<'_>], sends: &mut Sends, backlog: &mut Backlog) {
        for (side, sends) in [(Side::V4, &mut sends.v4), (Side::V6, &mut sends.v6)] {
            if !sends.is_empty() {
                if let Some(socket) = self.socket(side) {
                    backlog.send(socket, side, slots, sends);
                }
                sends.clear();
            }
        }
    }

    /// Sends a datagram that is not in a slot.
    pub(super) fn send_one(&mut self, datagram: &[u8], target: SocketAddr, backlog: &mut Backlog) {
        let side = Side::towards(target);
        if let Some(socket) = self.socket(side) {
            backlog.send_one(socket, side, datagram, target);
        }
    }
}
