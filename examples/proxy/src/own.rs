//! The proxy's own sockets, so that it does not talk to itself.
//!
//! A CONNECT to the proxy's own address makes the proxy its own client, to any depth: one write of 7 KiB once took all
//! descriptors of a server. Names and aliases of the host make a check of the requested address incomplete. But a
//! connection from the proxy to itself has the same address on both sides, so the local addresses of dialed
//! connections are kept here and compared with the peers of accepted ones.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock;

/// The addresses of own sockets.
#[derive(Debug)]
pub(crate) struct OwnSockets {
    /// Local addresses of dialed connections.
    dialed: Mutex<HashSet<(IpAddr, u16)>>,
    /// How many sockets that receive clients' datagrams have each port. It is looked up for every datagram, so without
    /// a lock.
    udp_ports: Box<[AtomicU16]>,
}

impl Default for OwnSockets {
    fn default() -> Self {
        Self {
            dialed: Mutex::default(),
            udp_ports: (0..=u16::MAX).map(|_| AtomicU16::new(0)).collect(),
        }
    }
}

impl OwnSockets {
    /// Remembers a dialed connection until the guard is dropped.
    ///
    /// Call this before a byte is sent through it. Then no request that arrives over it can be overlooked.
    pub(crate) fn dialed(self: &Arc<Self>, local: SocketAddr) -> Dialed {
        let local = (local.ip().to_canonical(), local.port());
        lock(&self.dialed).insert(local);
        Dialed {
            own: self.clone(),
            local,
        }
    }

    /// Returns whether a connection with this peer was dialed by the proxy itself.
    pub(crate) fn is_dialed(&self, peer: SocketAddr) -> bool {
        lock(&self.dialed).contains(&(peer.ip().to_canonical(), peer.port()))
    }

    /// Remembers a socket that receives clients' datagrams until the guard is dropped.
    pub(crate) fn udp_port(self: &Arc<Self>, port: u16) -> UdpPort {
        self.sockets_with(port).fetch_add(1, Ordering::Relaxed);
        UdpPort {
            own: self.clone(),
            port,
        }
    }

    /// Returns whether a datagram to `target` would arrive at a socket that receives clients' datagrams. There it would
    /// have the host's own address, and could pass for a local client's.
    pub(crate) fn is_udp_relay(&self, target: SocketAddr) -> bool {
        self.sockets_with(target.port()).load(Ordering::Relaxed) > 0 && is_local(target.ip())
    }

    fn sockets_with(&self, port: u16) -> &AtomicU16 {
        &self.udp_ports[usize::from(port)] // there is one for every port
    }
}

/// A dialed connection that is remembered.
#[derive(Debug)]
pub(crate) struct Dialed {
    own: Arc<OwnSockets>,
    local: (IpAddr, u16),
}

impl Drop for Dialed {
    fn drop(&mut self) {
        lock(&self.own.dialed).remove(&self.local);
    }
}

/// A socket for clients' datagrams that is remembered.
#[derive(Debug)]
pub(crate) struct UdpPort {
    own: Arc<OwnSockets>,
    port: u16,
}

impl Drop for UdpPort {
    fn drop(&mut self) {
        self.own.sockets_with(self.port).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns whether `ip` is an address of this host, which then is one that a socket can be bound to.
///
/// That costs three system calls. Ask only when a port matches.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_unspecified() || ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialed_connection_is_known_under_its_mapped_address_until_dropped() {
        let own = Arc::new(OwnSockets::default());
        let dialed = own.dialed("127.0.0.1:4000".parse().unwrap());
        assert!(own.is_dialed("[::ffff:127.0.0.1]:4000".parse().unwrap()));
        assert!(!own.is_dialed("127.0.0.1:4001".parse().unwrap()));
        drop(dialed);
        assert!(!own.is_dialed("127.0.0.1:4000".parse().unwrap()));
    }

    #[test]
    fn relay_socket_is_known_under_every_address_of_this_host() {
        let own = Arc::new(OwnSockets::default());
        let guards = (own.udp_port(4000), own.udp_port(4000));
        for ip in ["127.0.0.1", "127.3.3.3", "0.0.0.0", "::", "::1"] {
            assert!(
                own.is_udp_relay(SocketAddr::new(ip.parse().unwrap(), 4000)),
                "{ip}"
            );
            assert!(
                !own.is_udp_relay(SocketAddr::new(ip.parse().unwrap(), 4001)),
                "{ip}"
            );
        }
        assert!(
            !own.is_udp_relay("192.0.2.1:4000".parse().unwrap()),
            "another host"
        );
        drop(guards.0);
        assert!(own.is_udp_relay("127.0.0.1:4000".parse().unwrap()));
        drop(guards.1);
        assert!(!own.is_udp_relay("127.0.0.1:4000".parse().unwrap()));
    }
}
