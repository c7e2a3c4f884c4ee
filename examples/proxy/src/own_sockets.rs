//! The proxy's own sockets, so that it does not talk to itself.
//!
//! A CONNECT to the proxy's own address makes the proxy its own client, to any depth. One write of 7 KiB once used all
//! descriptors of a server. A check of the requested address is incomplete, because the host has names and aliases. But a
//! connection from the proxy to itself has the same two addresses at both ends. So the addresses of dialed connections are
//! kept here, and compared with those of accepted ones.
//!
//! The local address alone is not enough: a client on the same host may have the same port as one of the proxy's
//! connections, if the other end differs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::TcpStream;

use crate::connect::canonical;
use crate::lock;

/// Both ends of a connection, in canonical form. The ports are first, because they differ most often.
type Ends = [(u16, IpAddr); 2];

fn ends(here: SocketAddr, there: SocketAddr) -> Ends {
    [here, there].map(|end| (end.port(), end.ip().to_canonical()))
}

/// The addresses of the proxy's own sockets.
#[derive(Debug)]
pub(crate) struct OwnSockets {
    /// Dialed connections, by the address here and the address there. Counted, because the system may reuse the ends
    /// of a closed connection before its guard is dropped. Comparing ends is cheaper than hashing them.
    dialed: Mutex<BTreeMap<Ends, usize>>,
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
    /// Remembers a connection that was dialed to `address` until the guard is dropped.
    ///
    /// Call this before a byte is sent through it. Then every request that arrives over it is recognized.
    pub(crate) fn dialed(self: &Arc<Self>, stream: &TcpStream, address: SocketAddr) -> io::Result<Dialed> {
        // A connection to 0.0.0.0 leads to another address.
        let there = if address.ip().is_unspecified() {
            stream.peer_addr()?
        } else {
            address
        };
        let ends = ends(stream.local_addr()?, there);
        *lock(&self.dialed).entry(ends).or_default() += 1;
        Ok(Dialed {
            own: self.clone(),
            ends,
        })
    }

    /// Returns whether the proxy itself has dialed a connection that was accepted from `peer`.
    pub(crate) fn has_dialed(&self, accepted: &TcpStream, peer: SocketAddr) -> io::Result<bool> {
        let ends = ends(peer, accepted.local_addr()?);
        Ok(lock(&self.dialed).contains_key(&ends))
    }

    /// Remembers a socket that receives clients' datagrams until the guard is dropped.
    pub(crate) fn udp_port(self: &Arc<Self>, port: u16) -> UdpPort {
        self.sockets_with(port).fetch_add(1, Ordering::Relaxed);
        UdpPort {
            own: self.clone(),
            port,
        }
    }

    /// Returns whether a datagram to `target` would arrive at a socket that receives clients' datagrams. Its
    /// source would be the host's own address, so it could pass for a local client's.
    pub(crate) fn is_udp_relay(&self, target: SocketAddr) -> bool {
        self.sockets_with(target.port()).load(Ordering::Relaxed) > 0 && is_local(target)
    }

    fn sockets_with(&self, port: u16) -> &AtomicU16 {
        &self.udp_ports[usize::from(port)] // there is one for every port
    }
}

/// A dialed connection that is remembered.
#[derive(Debug)]
pub(crate) struct Dialed {
    own: Arc<OwnSockets>,
    ends: Ends,
}

impl Dialed {
    /// Returns this end of the connection.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        let [(port, ip), _] = self.ends;
        SocketAddr::new(ip, port)
    }
}

impl Drop for Dialed {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = lock(&self.own.dialed).entry(self.ends) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
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

/// Returns whether `address` is on this host, by binding a socket to it with another port. A link-local address is on this
/// host only with its scope.
///
/// That costs three system calls, so compare the port first.
pub(crate) fn is_local(mut address: SocketAddr) -> bool {
    address = canonical(address);
    address.set_port(0);
    let ip = address.ip();
    ip.is_unspecified() || ip.is_loopback() || !is_foreign(&UdpSocket::bind(address))
}

/// Returns whether this is the result of binding a socket to an address of another host. Other errors, such as a lack of
/// descriptors, prove nothing.
fn is_foreign<T>(bound: &io::Result<T>) -> bool {
    use io::ErrorKind::{AddrNotAvailable, InvalidInput};

    // The second is the error of a link-local address without a scope.
    matches!(bound, Err(error) if matches!(error.kind(), AddrNotAvailable | InvalidInput))
}

/// Returns whether [`is_local`] recognizes the IPv4 and the IPv6 addresses of this host. Not if the system permits sockets
/// with foreign addresses, as Linux does with `net.ipv4.ip_nonlocal_bind` and `net.ipv6.ip_nonlocal_bind`.
pub(crate) fn can_recognize_local() -> (bool, bool) {
    // No host has these: the first is reserved, and routers discard the second.
    let v4 = Ipv4Addr::new(255, 255, 255, 254);
    let v6 = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);
    (!is_local((v4, 0).into()), !is_local((v6, 0).into()))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn dialed_connection_is_known_at_its_other_end_until_dropped() {
        let own = Arc::new(OwnSockets::default());
        for (listen, dial) in [
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0", "127.9.9.9"),
            ("::", "0.0.0.0"),
            ("::", "::1"),
        ] {
            let listener = TcpListener::bind((listen, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let address = SocketAddr::new(dial.parse().unwrap(), port);
            let dialed = TcpStream::connect(address).await.unwrap();
            let other = TcpStream::connect(address).await.unwrap();
            let guard = own.dialed(&dialed, address).unwrap();
            assert_eq!(guard.local_addr(), dialed.local_addr().unwrap());
            let (first, first_peer) = listener.accept().await.unwrap();
            let (second, second_peer) = listener.accept().await.unwrap();
            assert!(own.has_dialed(&first, first_peer).unwrap(), "{listen} {dial}");
            assert!(!own.has_dialed(&second, second_peer).unwrap(), "{listen} {dial}");
            drop((guard, other));
            assert!(!own.has_dialed(&first, first_peer).unwrap(), "{listen} {dial}");
        }
    }

    /// The system can reuse the ends of a connection that was reset.
    #[tokio::test]
    async fn dialed_connection_is_known_while_an_older_guard_is_dropped() {
        let own = Arc::new(OwnSockets::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dialed = TcpStream::connect(address).await.unwrap();
        let (accepted, peer) = listener.accept().await.unwrap();
        let [first, second] = [(); 2].map(|()| own.dialed(&dialed, address).unwrap());
        drop(first);
        assert!(own.has_dialed(&accepted, peer).unwrap());
        drop(second);
        assert!(!own.has_dialed(&accepted, peer).unwrap());
    }

    /// Without descriptors, no address is known to be another host's.
    #[test]
    fn only_two_errors_show_that_an_address_is_foreign() {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, InvalidInput, Other, PermissionDenied};

        assert!(!is_foreign(&Ok(())));
        for (kind, foreign) in [
            (AddrNotAvailable, true),
            (InvalidInput, true),
            (AddrInUse, false),
            (PermissionDenied, false),
            (Other, false),
        ] {
            assert_eq!(is_foreign::<()>(&Err(kind.into())), foreign, "{kind:?}");
        }
        let too_many_open_files = io::Error::from_raw_os_error(24);
        assert!(!is_foreign::<()>(&Err(too_many_open_files)));
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
