//! The hosts to which the client has sent datagrams, and which may therefore answer.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use crate::server::Shared;

/// The hosts that the client has sent datagrams to, at least the last [`Hosts::GENERATION`] of them.
#[derive(Default)]
pub(super) struct Hosts {
    current: HashSet<IpAddr>,
    previous: HashSet<IpAddr>,
}

impl Hosts {
    const GENERATION: usize = 512;

    /// Returns whether a datagram may be sent to `target`. If so, answers of its host are accepted.
    pub(super) fn admit(&mut self, shared: &Shared, target: SocketAddr) -> bool {
        // Nothing can be sent to port 0, and the error would look like a lack of segmentation offload.
        if target.port() == 0 || shared.own.is_udp_relay(target) {
            return false;
        }
        if self.current.contains(&target.ip()) {
            return true;
        }
        if !shared.config.rules.permits(target.ip()) {
            return false;
        }
        if self.current.len() >= Self::GENERATION {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current.insert(target.ip())
    }

    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.current.contains(&ip) || self.previous.contains(&ip)
    }
}
