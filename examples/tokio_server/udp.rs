//! UDP ASSOCIATE: the relay.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use sans_socks::udp::{Association, Header, MAX_HEADER_LEN, Outcome, Reassembler};
use sans_socks::{Address, AddressBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::coop::consume_budget;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep_until, timeout};

use crate::common::lookup_name;

/// The largest that UDP's length field can tell.
const MAX_DATAGRAM: usize = 65_535;

/// How many names one association may look up at a time; what comes for a further one is dropped.
const MAX_LOOKUPS: usize = 16;

/// Threads that look names up for all associations. The system's resolver cannot be interrupted: a look-up that
/// nobody waits for any longer still has its thread, and CONNECT needs some, too.
static RESOLVERS: Semaphore = Semaphore::const_new(64);

/// How long a datagram waits for its name to be looked up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// One association: its sockets, and what is on its way. All of it ends when this is dropped.
///
/// An idle association holds no buffer. A fragment takes its own length; up to [`MAX_LOOKUPS`] datagrams wait
/// for their names.
pub(crate) struct Relay {
    /// Where the client sends to.
    inner: UdpSocket,
    association: Association,
    reassembler: Reassembler<Instant, Vec<u8>>,
    outer: Outer,
    lookups: JoinSet<Option<Resolved>>,
}

/// The sockets that face the targets, each there from the first datagram that needs it.
#[derive(Default)]
struct Outer {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

/// A datagram whose name has been looked up.
struct Resolved {
    targets: Vec<SocketAddr>,
    payload: Vec<u8>,
}

impl Relay {
    /// A relay for the client at the other end of `control`, which has said that it sends from `requested`.
    pub(crate) async fn open(control: &TcpStream, requested: Address<'_>) -> io::Result<Self> {
        let ip = control.local_addr()?.ip().to_canonical();
        Ok(Self {
            inner: UdpSocket::bind((ip, 0)).await?,
            association: Association::new(control.peer_addr()?, &requested).with_fragments(true),
            reassembler: Reassembler::new(),
            outer: Outer::default(),
            lookups: JoinSet::new(),
        })
    }

    /// BND: where the client sends to.
    pub(crate) fn bound(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Relays, until it is dropped. Nothing that comes over UDP ends it, and no answer is ever made up:
    /// what cannot be relayed is dropped in silence.
    pub(crate) async fn run(mut self) -> Infallible {
        loop {
            tokio::select! {
                (datagram, source) = receive(Some(&self.inner)) => {
                    self.relay_out(&datagram[MAX_HEADER_LEN..], source).await;
                }
                (answer, source) = receive(self.outer.v4.as_ref()) => self.relay_in(answer, source).await,
                (answer, source) = receive(self.outer.v6.as_ref()) => self.relay_in(answer, source).await,
                Some(lookup) = self.lookups.join_next() => {
                    if let Ok(Some(Resolved { targets, payload })) = lookup {
                        self.outer.send(&payload, &targets).await;
                    }
                }
                () = reached(self.reassembler.poll_timeout()) => {
                    self.reassembler.handle_timeout(Instant::now());
                }
            }
        }
    }

    async fn relay_out(&mut self, datagram: &[u8], source: SocketAddr) {
        let Ok(datagram) = self.association.accept(source, datagram) else {
            return;
        };
        if let Outcome::Deliver(whole) = self.reassembler.handle_datagram(Instant::now(), datagram) {
            let address = whole.header.address.canonical();
            if let Some(target) = address.to_socket_addr() {
                self.outer.send(whole.payload, &[target]).await;
            } else if self.lookups.len() < MAX_LOOKUPS {
                self.lookups
                    .spawn(look_up(address.into(), whole.payload.to_vec()));
            }
            // What was put together is let go now, and not when the next datagram comes.
            self.reassembler.handle_timeout(Instant::now());
        }
    }

    /// Puts the header of an answer before it, where it lies.
    async fn relay_in(&self, mut answer: BytesMut, source: SocketAddr) {
        // A dual-stack socket gives IPv4 sources as ::ffff:a.b.c.d, which the client did not ask for.
        let header = Header::standalone(Address::from(source).canonical());
        if let (Some(client), Ok(start)) = (
            self.association.client(),
            header.prepend(&mut answer, MAX_HEADER_LEN),
        ) {
            let _ = self.inner.send_to(&answer[start..], client).await;
        }
    }
}

impl Outer {
    /// Sends to the first of `targets` that the system has a way to.
    async fn send(&mut self, payload: &[u8], targets: &[SocketAddr]) {
        for &target in targets {
            if self.send_to(payload, target).await.is_ok() {
                return;
            }
        }
    }

    async fn send_to(&mut self, payload: &[u8], target: SocketAddr) -> io::Result<usize> {
        let (socket, any) = match target {
            SocketAddr::V4(_) => (&mut self.v4, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (&mut self.v6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let socket = match socket {
            Some(socket) => socket,
            none => none.insert(UdpSocket::bind(SocketAddr::new(any, 0)).await?),
        };
        socket.send_to(payload, target).await
    }
}

/// The next datagram, behind room for a header. Where there is no socket, there is never one.
///
/// The buffer takes the largest datagram, so it is made when a datagram is there, and lives as long as that
/// one is in hand. It is not filled with zeros, so that a small datagram costs little of it.
///
/// An error is an ICMP message about a datagram that was sent before, which the client would not want.
async fn receive(socket: Option<&UdpSocket>) -> (BytesMut, SocketAddr) {
    let Some(socket) = socket else {
        return pending().await;
    };
    loop {
        let _ = socket.readable().await;
        // What is dropped waits for nothing: without this a flood of it could keep all else from its turn, the end
        // of the control connection among it.
        consume_budget().await;
        let mut buf = BytesMut::with_capacity(MAX_HEADER_LEN + MAX_DATAGRAM);
        buf.put_bytes(0, MAX_HEADER_LEN);
        if let Ok((_, source)) = socket.try_recv_buf_from(&mut buf) {
            return (buf, source);
        }
    }
}

async fn look_up(name: AddressBuf, payload: Vec<u8>) -> Option<Resolved> {
    let targets = async {
        let thread = RESOLVERS.acquire().await.ok()?;
        let look_up = spawn_blocking(move || {
            let targets = lookup_name(name.as_address())?.to_socket_addrs()?.collect();
            drop(thread);
            io::Result::Ok(targets)
        });
        look_up.await.ok()?.ok()
    };
    let targets = timeout(LOOKUP_TIMEOUT, targets).await.ok()??;
    Some(Resolved { targets, payload })
}

/// Where there is no deadline, it is never reached.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
