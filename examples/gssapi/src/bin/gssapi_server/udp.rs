//! UDP ASSOCIATE: the relay, with a thread for each direction.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use sans_socks::Address;
use sans_socks::udp::{Association, Header, MAX_HEADER_LEN};
use sans_socks_gssapi::{Acceptor, Layer};

use crate::TICK;
use crate::dial::resolve;

/// The largest value of UDP's length field.
const MAX_DATAGRAM: usize = 65_535;

/// One association and its sockets. It drops fragments.
pub(crate) struct Relay {
    /// Receives the datagrams of the client.
    inner: UdpSocket,
    /// Receives the answers of the targets.
    outer: UdpSocket,
    association: Mutex<Association>,
    ended: AtomicBool,
}

impl Relay {
    /// Opens a relay at `ip`. `peer` is the client's address in the control connection, and `requested` is the address in its
    /// request.
    pub(crate) fn open(ip: IpAddr, peer: SocketAddr, requested: Address<'_>) -> io::Result<Self> {
        let inner = UdpSocket::bind((ip, 0))?;
        // A socket for IPv6 also carries IPv4. A system without IPv6 gets a socket for IPv4.
        let outer = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
            .or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
        inner.set_read_timeout(Some(TICK))?;
        outer.set_read_timeout(Some(TICK))?;
        Ok(Self {
            inner,
            outer,
            association: Mutex::new(Association::new(peer, &requested)),
            ended: AtomicBool::new(false),
        })
    }

    /// Returns BND: the address that the client sends to.
    pub(crate) fn bound(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Relays until the control connection ends. Datagrams that cannot be relayed are dropped without an answer.
    pub(crate) fn run(&self, layer: &Layer<Acceptor>, mut control: &TcpStream) -> io::Result<()> {
        thread::scope(|scope| {
            let upload = thread::Builder::new().spawn_scoped(scope, || self.upload(layer));
            let download = thread::Builder::new().spawn_scoped(scope, || self.download(layer));
            let mut nothing = Vec::new();
            let end = upload.and(download).and_then(|_| {
                while layer.receive(&mut control, &mut nothing)? {
                    nothing.clear();
                }
                Ok(())
            });
            self.ended.store(true, Ordering::Relaxed);
            end
        })
    }

    fn upload(&self, layer: &Layer<Acceptor>) {
        let mut buf = vec![0; MAX_DATAGRAM];
        let mut plain = Vec::new();
        while let Some(received) = self.receive(&self.inner, &mut buf) {
            plain.clear();
            let Some((len, source)) = received else { continue };
            // The source is checked first, so that strangers cannot cause the work of unwrapping.
            if !self.association().admits(source) || layer.open_datagram(&buf[..len], &mut plain).is_err() {
                continue;
            }
            let datagram = self.association().accept(source, &plain);
            if let Ok(datagram) = datagram {
                // A name is resolved on this thread, so only this client waits for it.
                let targets = resolve(datagram.header.address).unwrap_or_default();
                let _ = targets.iter().any(|target| {
                    self.outer
                        .send_to(datagram.payload, self.outwards(*target))
                        .is_ok()
                });
            }
        }
    }

    fn download(&self, layer: &Layer<Acceptor>) {
        let mut buf = vec![0; MAX_HEADER_LEN + MAX_DATAGRAM];
        let mut sealed = Vec::new();
        while let Some(received) = self.receive(&self.outer, &mut buf[MAX_HEADER_LEN..]) {
            sealed.clear();
            let (Some((len, source)), Some(client)) = (received, self.association().client()) else {
                continue;
            };
            // A dual-stack socket reports IPv4 sources as ::ffff:a.b.c.d. The client expects a.b.c.d.
            let header = Header::standalone(Address::from(source).canonical());
            let Ok(start) = header.prepend(&mut buf, MAX_HEADER_LEN) else {
                continue;
            };
            if layer
                .seal_datagram(&buf[start..MAX_HEADER_LEN + len], &mut sealed)
                .is_ok()
            {
                let _ = self.inner.send_to(&sealed, client);
            }
        }
    }

    /// Waits up to a tick for a datagram. Returns `None` when the association has ended.
    ///
    /// An error is a timeout, or an ICMP message about an earlier datagram.
    #[expect(
        clippy::option_option,
        reason = "outer `None`: association ended; inner `None`: no datagram"
    )]
    fn receive(&self, socket: &UdpSocket, buf: &mut [u8]) -> Option<Option<(usize, SocketAddr)>> {
        (!self.ended.load(Ordering::Relaxed)).then(|| socket.recv_from(buf).ok())
    }

    /// Returns `target` in the form that a socket for IPv6 accepts.
    fn outwards(&self, target: SocketAddr) -> SocketAddr {
        match (self.outer.local_addr(), target.ip()) {
            (Ok(SocketAddr::V6(_)), IpAddr::V4(ip)) => (ip.to_ipv6_mapped(), target.port()).into(),
            _ => target,
        }
    }

    fn association(&self) -> MutexGuard<'_, Association> {
        self.association.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
