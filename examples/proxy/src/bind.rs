//! BIND: one connection from a peer that the client names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use sans_socks::Address;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::connect::{DIAL_TIMEOUT, canonical, not_allowed, resolve};
use crate::limits::Client;
use crate::server::{ACCEPT_PAUSE, Shared, is_of_one_connection};
use crate::socket;

/// How long a BIND waits for its peer.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(120);

/// A listener for one peer.
#[derive(Debug)]
pub(crate) struct Binding {
    listener: TcpListener,
    expected: Expected,
    /// BND: where the peer must connect.
    pub(crate) bound: SocketAddr,
}

/// Who may connect.
#[derive(Debug)]
enum Expected {
    /// The request named no host. The peer is the first host to connect that the rules permit.
    Anyone,
    Hosts(Vec<SocketAddr>),
}

impl Binding {
    /// Listens for the peer that the request names. `local` is this end of the client's control connection.
    ///
    /// The listener has an address of the peer's IP version, which may differ from the client's. BND is where the peer
    /// can reach it: the address that the host would use towards the peer, or the one at which the client has
    /// reached the proxy.
    pub(crate) async fn open(
        shared: &Arc<Shared>,
        client: Client,
        local: SocketAddr,
        peer: Address<'_>,
    ) -> io::Result<Self> {
        if peer.canonical().host.is_unspecified() {
            let listener = match shared.config.bind_address(local.ip().to_canonical()) {
                Some(ip) => socket::listen(SocketAddr::new(ip, 0))?,
                None => listen_everywhere(true)?,
            };
            let ip = listener.local_addr()?.ip();
            let ip = if ip.is_unspecified() {
                local.ip().to_canonical()
            } else {
                ip
            };
            return Self::new(listener, Expected::Anyone, ip);
        }
        let mut hosts = timeout(DIAL_TIMEOUT, resolve(shared, client, peer)).await??;
        hosts.retain(|host| shared.config.rules.permits(host.ip()));
        let Some(&first) = hosts.first() else {
            return Err(not_allowed());
        };
        let listener = match shared.config.bind_address(first.ip()) {
            Some(ip) => socket::listen(SocketAddr::new(ip, 0))?,
            None => listen_everywhere(hosts.iter().any(SocketAddr::is_ipv6))?,
        };
        let ip = listener.local_addr()?.ip();
        let ip = if ip.is_unspecified() {
            address_towards(first)?
        } else {
            ip
        };
        Self::new(listener, Expected::Hosts(hosts), ip)
    }

    fn new(listener: TcpListener, expected: Expected, ip: IpAddr) -> io::Result<Self> {
        let bound = SocketAddr::new(ip, listener.local_addr()?.port());
        Ok(Self {
            listener,
            expected,
            bound,
        })
    }

    /// Waits for the peer. Connections from strangers, such as port scanners, are closed and do not end the wait.
    pub(crate) async fn accept(self, shared: &Shared) -> io::Result<(TcpStream, SocketAddr)> {
        timeout(PEER_TIMEOUT, async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, peer)) => {
                        let peer = canonical(peer);
                        if self.expects(shared, peer) {
                            return (stream, peer);
                        }
                        tracing::debug!(%peer, "BIND: not the expected peer");
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                }
            }
        })
        .await
        .map_err(io::Error::from)
    }

    fn expects(&self, shared: &Shared, peer: SocketAddr) -> bool {
        match &self.expected {
            Expected::Anyone => shared.config.rules.permits(peer.ip()),
            Expected::Hosts(hosts) => hosts.iter().any(|host| is_same_host(*host, peer)),
        }
    }
}

/// Returns whether an expected host has connected. Without a scope, any scope is expected.
fn is_same_host(expected: SocketAddr, peer: SocketAddr) -> bool {
    match (expected, peer) {
        (SocketAddr::V6(expected), SocketAddr::V6(peer)) => {
            expected.ip() == peer.ip() && [0, peer.scope_id()].contains(&expected.scope_id())
        }
        _ => expected.ip() == peer.ip(),
    }
}

/// Listens at all IPv4 addresses of the host. With `ipv6`, also at its IPv6 addresses, if it has any.
fn listen_everywhere(ipv6: bool) -> io::Result<TcpListener> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    if ipv6 {
        socket::listen(v6).or_else(|_| socket::listen(v4))
    } else {
        socket::listen(v4)
    }
}

/// Returns the address that the host would use towards `peer`. Nothing is sent.
fn address_towards(mut peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    peer.set_port(9); // one is needed, but not used
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_peer_has_the_address_and_the_scope() {
        for (expected, peer, same) in [
            ("192.0.2.1:0", "192.0.2.1:9", true),
            ("192.0.2.1:0", "192.0.2.2:9", false),
            ("[2001:db8::1]:0", "[2001:db8::1]:9", true),
            ("[fe80::1%2]:0", "[fe80::1%2]:9", true),
            ("[fe80::1%2]:0", "[fe80::1%3]:9", false),
            ("[fe80::1]:0", "[fe80::1%3]:9", true),
            ("[fe80::1%2]:0", "[fe80::2%2]:9", false),
        ] {
            let same_host = is_same_host(expected.parse().unwrap(), peer.parse().unwrap());
            assert_eq!(same_host, same, "{expected} {peer}");
        }
    }
}
