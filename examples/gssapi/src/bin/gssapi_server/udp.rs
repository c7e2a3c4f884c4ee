//! UDP ASSOCIATE: the relay, with a thread for each way.

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

/// The largest that UDP's length field can tell.
const MAX_DATAGRAM: usize = 65_535;

/// One association: its sockets, and whose datagrams it takes. It drops fragments.
pub(crate) struct Relay {
    /// Where the client sends to.
    inner: UdpSocket,
    /// Where the targets answer to.
    outer: UdpSocket,
    association: Mutex<Association>,
    ended: AtomicBool,
}

impl Relay {
    /// A relay at `ip` for a client at `client`, which has said that it sends from `requested`.
    pub(crate) fn open(ip: IpAddr, client: IpAddr, requested: Address<'_>) -> io::Result<Self> {
        let inner = UdpSocket::bind((ip, 0))?;
        // A socket for IPv6 is one for IPv4 as well, where there is IPv6.
        let outer = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
            .or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
        inner.set_read_timeout(Some(TICK))?;
        outer.set_read_timeout(Some(TICK))?;
        Ok(Self {
            inner,
            outer,
            association: Mutex::new(Association::new(client, &requested)),
            ended: AtomicBool::new(false),
        })
    }

    /// BND: where the client sends to.
    pub(crate) fn bound(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Relays as long as the control connection stands. Nothing that comes over UDP ends it, and no answer is ever
    /// made up: what cannot be relayed is dropped in silence.
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
            // A stranger's datagram is not worth the work of unwrapping it.
            if !self.association().admits(source) || layer.open_datagram(&buf[..len], &mut plain).is_err() {
                continue;
            }
            let datagram = self.association().from_client(source, &plain);
            if let Ok(datagram) = datagram {
                // A name is looked up right here: it is this client alone that waits for it.
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
            // A dual-stack socket gives IPv4 sources as ::ffff:a.b.c.d, which the client did not ask for.
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

    /// Waits a moment for a datagram. `None` when the association has ended.
    ///
    /// An error is an ICMP message about a datagram that was sent before, which the client would not want.
    #[expect(clippy::option_option, reason = "the outer is the end, the inner a datagram")]
    fn receive(&self, socket: &UdpSocket, buf: &mut [u8]) -> Option<Option<(usize, SocketAddr)>> {
        (!self.ended.load(Ordering::Relaxed)).then(|| socket.recv_from(buf).ok())
    }

    /// `target` as a socket for IPv6 takes it.
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
