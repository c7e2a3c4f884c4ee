//! The socket that faces the client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpStream;

use super::socket::Socket;
use crate::config::PortRange;
use crate::connect::canonical;
use crate::own_sockets::UdpPort;
use crate::server::Shared;

pub(super) struct Inner {
    pub(super) socket: Socket,
    /// BND: its address, as the reply reports it.
    pub(super) bound: SocketAddr,
    /// Makes the socket known as the proxy's own.
    _port: UdpPort,
}

impl Inner {
    /// Opens the socket at the address at which `control` has reached the proxy, or at the address in the settings.
    pub(super) fn open(shared: &Shared, control: &TcpStream) -> io::Result<Self> {
        let config = &shared.config.udp;
        let local = local_address(control)?;
        let same_version = |ip: &IpAddr| ip.is_ipv4() == local.is_ipv4();
        let address = match config.bind.filter(same_version) {
            Some(ip) => SocketAddr::new(ip, 0),
            None => local,
        };
        let socket = bind(address, config.ports.as_ref())?;
        let mut bound = socket.local_addr()?;
        if bound.ip().is_unspecified() {
            bound.set_ip(local.ip());
        }
        let port = shared.own.udp_port(bound.port());
        if let Some(ip) = config.advertise.filter(same_version) {
            bound.set_ip(ip);
        }
        Ok(Self {
            socket,
            bound,
            _port: port,
        })
    }
}

/// Returns the address at which the client has reached the proxy, with port 0. A link-local address keeps its scope.
fn local_address(control: &TcpStream) -> io::Result<SocketAddr> {
    let mut local = canonical(control.local_addr()?);
    local.set_port(0);
    Ok(local)
}

/// Binds a socket to one of the ports, or to any.
fn bind(mut address: SocketAddr, ports: Option<&PortRange>) -> io::Result<Socket> {
    let Some(PortRange(ports)) = ports else {
        return Socket::bind(address);
    };
    // Each search begins at another port, so that it is short even if many ports are taken.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = ports.end() - ports.start();
    let offset = NEXT
        .fetch_add(1, Ordering::Relaxed)
        .checked_rem(count.saturating_add(1))
        .unwrap_or(0);
    let first = ports.start() + offset;
    for port in (first..=*ports.end()).chain(*ports.start()..first) {
        address.set_port(port);
        match Socket::bind(address) {
            Ok(socket) => return Ok(socket),
            // Some systems reserve ranges of ports.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
                ) => {}
            Err(error) => return Err(error), // other ports would not help
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
