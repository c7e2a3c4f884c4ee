//! UDP ASSOCIATE: the relay.

mod names;
mod socket;

use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sans_socks::udp::{Association, Frag, Header, MAX_HEADER_LEN, Outcome, Reassembler};
use sans_socks::{Address, Target};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep_until, timeout};

use crate::config::{Config, PortRange};
use crate::connect::canonical;
use crate::limits::Client;
use crate::own::UdpPort;
use crate::server::Shared;
use names::Names;
use socket::{Send, Slot, Socket};

/// One association: its sockets, and its pending datagrams. Dropping it ends everything.
///
/// An idle association holds no buffer.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    client: Client,
    /// Where the client sends to.
    inner: Socket,
    /// Its address, as the reply reports it.
    bound: SocketAddr,
    /// Makes the inner socket known as the proxy's own.
    _port: UdpPort,
    association: Association,
    reassembler: Reassembler,
    expiry: Pin<Box<Sleep>>,
    outer: Outer,
    names: Names,
    lookups: JoinSet<Lookup>,
    hosts: Hosts,
    /// Datagrams that the system could not send at once.
    backlog: Vec<Unsent>,
}

/// A name, and the resolver's answer.
type Lookup = (Box<str>, io::Result<Vec<IpAddr>>);

/// How long datagrams wait for a name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// A datagram that the system could not send at once.
type Unsent = (Side, SocketAddr, Vec<u8>);

/// The sockets that face the targets, each opened when a datagram first needs it.
struct Outer {
    bind_v4: IpAddr,
    bind_v6: IpAddr,
    v4: Option<Socket>,
    v6: Option<Socket>,
}

/// Which socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Inner,
    V4,
    V6,
}

impl Side {
    const fn towards(target: SocketAddr) -> Self {
        if target.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// The datagrams to send from slots, for each outer socket.
#[derive(Default)]
struct Sends {
    v4: Vec<Send>,
    v6: Vec<Send>,
}

/// The work that can be done now.
#[derive(Default)]
struct Ready {
    inner: bool,
    v4: bool,
    v6: bool,
    lookup: Option<Lookup>,
    expired: bool,
}

impl Relay {
    /// Opens a relay for the client at the other end of `control`. `requested` is the address in its request.
    pub(crate) fn open(
        shared: Arc<Shared>,
        client: Client,
        control: &TcpStream,
        requested: Address<'_>,
    ) -> io::Result<Self> {
        let config = &shared.config.udp;
        let local = local_address(control)?;
        let same_version = |ip: &IpAddr| ip.is_ipv4() == local.is_ipv4();
        let inner = match config.bind.filter(same_version) {
            Some(ip) => bind_inner(SocketAddr::new(ip, 0), config.ports.as_ref())?,
            None => bind_inner(local, config.ports.as_ref())?,
        };
        let mut bound = inner.local_addr()?;
        if bound.ip().is_unspecified() {
            bound.set_ip(local.ip());
        }
        let port = shared.own.udp_port(bound.port());
        if let Some(ip) = config.advertise.filter(same_version) {
            bound.set_ip(ip);
        }
        let association = Association::new(control.peer_addr()?, &requested)
            .with_fragments(true)
            .with_any_port(config.any_port);
        Ok(Self {
            client,
            inner,
            bound,
            _port: port,
            association,
            reassembler: Reassembler::new(),
            expiry: Box::pin(sleep_until(tokio::time::Instant::now())),
            outer: Outer::new(&shared.config),
            names: Names::default(),
            lookups: JoinSet::new(),
            hosts: Hosts::default(),
            backlog: Vec::new(),
            shared,
        })
    }

    /// Returns BND: where the client sends to.
    pub(crate) const fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// Relays until it is dropped. Nothing that arrives over UDP ends it. Datagrams that cannot be relayed are dropped without
    /// an answer.
    pub(crate) async fn run(mut self) {
        loop {
            let ready = poll_fn(|cx| self.poll(cx)).await;
            if let Some((name, addresses)) = ready.lookup {
                self.send_waiting(&name, addresses);
            }
            if ready.inner {
                self.relay_out();
            }
            for (is_ready, side) in [(ready.v4, Side::V4), (ready.v6, Side::V6)] {
                if is_ready {
                    self.relay_in(side);
                }
            }
            if ready.expired {
                self.reassembler.handle_timeout(Instant::now());
            }
            for (side, target, datagram) in std::mem::take(&mut self.backlog) {
                if let Some(socket) = self.socket(side) {
                    socket.send_later(&datagram, target).await;
                }
            }
        }
    }

    /// Returns the work of all sources at once, so that no source can delay another.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ready> {
        let readable = |socket: Option<&Socket>, cx: &mut Context<'_>| {
            socket.is_some_and(|socket| socket.poll_readable(cx).is_ready())
        };
        let mut ready = Ready {
            inner: readable(Some(&self.inner), cx),
            v4: readable(self.outer.v4.as_ref(), cx),
            v6: readable(self.outer.v6.as_ref(), cx),
            ..Ready::default()
        };
        if let Poll::Ready(Some(lookup)) = self.lookups.poll_join_next(cx) {
            ready.lookup = lookup.ok(); // it does not panic
        }
        if let Some(deadline) = self.reassembler.poll_timeout() {
            if self.expiry.deadline().into_std() != deadline {
                self.expiry.as_mut().reset(deadline.into());
            }
            ready.expired = self.expiry.as_mut().poll(cx).is_ready();
        }
        match ready {
            Ready {
                inner: false,
                v4: false,
                v6: false,
                lookup: None,
                expired: false,
            } => Poll::Pending,
            ready => Poll::Ready(ready),
        }
    }

    fn socket(&self, side: Side) -> Option<&Socket> {
        match side {
            Side::Inner => Some(&self.inner),
            Side::V4 => self.outer.v4.as_ref(),
            Side::V6 => self.outer.v6.as_ref(),
        }
    }

    /// From the client to targets.
    fn relay_out(&mut self) {
        let Self {
            shared,
            client,
            inner,
            association,
            reassembler,
            outer,
            names,
            lookups,
            hosts,
            backlog,
            ..
        } = self;
        inner.receive(|slots| {
            let now = Instant::now();
            let mut sends = Sends::default();
            for (index, slot) in slots.iter().enumerate() {
                let Ok(datagram) = association.accept(slot.source, slot.datagram()) else {
                    continue;
                };
                let frag = datagram.header.frag;
                // A whole datagram is sent from its slot. A reassembled one must be sent before the reassembler is used again.
                let start = MAX_HEADER_LEN + slot.len - datagram.payload.len();
                let Outcome::Deliver(whole) = reassembler.handle_datagram(now, datagram) else {
                    continue;
                };
                let ip = match whole.header.address.to_target() {
                    Ok(Target::Socket(target)) => Some(target.ip()),
                    Ok(Target::Name(name, port)) => {
                        let answer = names.address(now, name, port, whole.payload);
                        if answer.look_up {
                            lookups.spawn(look_up(shared.clone(), *client, name.into()));
                        }
                        answer.ip
                    }
                    Err(_) => None,
                };
                let Some(ip) = ip else { continue };
                let target = SocketAddr::new(ip, whole.header.address.port);
                if !hosts.admit(shared, target) {
                    continue;
                }
                if frag == Frag::STANDALONE {
                    let sends = match Side::towards(target) {
                        Side::V6 => &mut sends.v6,
                        _ => &mut sends.v4,
                    };
                    sends.push(Send {
                        slot: index,
                        range: start..MAX_HEADER_LEN + slot.len,
                        target,
                    });
                } else {
                    outer.send(slots, &mut sends, backlog);
                    outer.send_one(whole.payload, target, backlog);
                }
            }
            outer.send(slots, &mut sends, backlog);
        });
        // Without an open sequence, this releases the memory of the last delivery.
        reassembler.handle_timeout(Instant::now());
    }

    /// Relays from targets to the client. The header is written into the room before each datagram.
    fn relay_in(&mut self, side: Side) {
        let socket = match side {
            Side::V4 => &self.outer.v4,
            _ => &self.outer.v6,
        };
        let (Some(socket), Some(client)) = (socket, self.association.client()) else {
            return;
        };
        let (hosts, names, inner, backlog) = (&self.hosts, &mut self.names, &self.inner, &mut self.backlog);
        socket.receive(|slots| {
            let mut sends = Vec::with_capacity(slots.len());
            let mut answered = None;
            for (index, slot) in slots.iter_mut().enumerate() {
                // Only hosts to which the client has sent may answer. Floods from other hosts end here.
                let ip = slot.source.ip();
                if answered != Some(ip) {
                    if !hosts.contains(ip) {
                        continue;
                    }
                    answered = Some(ip);
                    names.answered(ip);
                }
                let header = Header::standalone(Address::from(slot.source));
                let Ok(start) = header.prepend(slot.bytes, MAX_HEADER_LEN) else {
                    continue;
                };
                sends.push(Send {
                    slot: index,
                    range: start..MAX_HEADER_LEN + slot.len,
                    target: client,
                });
            }
            send(inner, Side::Inner, slots, &sends, backlog);
        });
    }

    /// Sends the datagrams that have waited for a name.
    fn send_waiting(&mut self, name: &str, addresses: io::Result<Vec<IpAddr>>) {
        let Some((ip, waiting)) = self.names.resolved(Instant::now(), name, addresses) else {
            return;
        };
        for datagram in waiting {
            let target = SocketAddr::new(ip, datagram.port);
            if self.hosts.admit(&self.shared, target) {
                self.outer.send_one(&datagram.payload, target, &mut self.backlog);
            }
        }
    }
}

async fn look_up(shared: Arc<Shared>, client: Client, name: Box<str>) -> Lookup {
    let addresses = match timeout(LOOKUP_TIMEOUT, shared.resolver.resolve(client, &name, 0)).await {
        Ok(Ok(addresses)) => Ok(addresses.into_iter().map(|it| canonical(it).ip()).collect()),
        Ok(Err(error)) => Err(error),
        Err(late) => Err(late.into()),
    };
    (name, addresses)
}

impl Outer {
    fn new(config: &Config) -> Self {
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

    fn send(&mut self, slots: &[Slot<'_>], sends: &mut Sends, backlog: &mut Vec<Unsent>) {
        for (side, sends) in [(Side::V4, &mut sends.v4), (Side::V6, &mut sends.v6)] {
            if !sends.is_empty() {
                if let Some(socket) = self.socket(side) {
                    send(socket, side, slots, sends, backlog);
                }
                sends.clear();
            }
        }
    }

    /// Sends a datagram that is not in a slot.
    fn send_one(&mut self, datagram: &[u8], target: SocketAddr, backlog: &mut Vec<Unsent>) {
        let side = Side::towards(target);
        let Some(socket) = self.socket(side) else { return };
        let blocked = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if !backlog.is_empty() || socket.send_now(datagram, target).is_err_and(blocked) {
            backlog.push((side, target, datagram.to_vec()));
        }
    }
}

/// Sends from slots, and copies the datagrams that the system cannot send at once.
fn send(socket: &Socket, side: Side, slots: &[Slot<'_>], sends: &[Send], backlog: &mut Vec<Unsent>) {
    let sent = if backlog.is_empty() {
        socket.send(slots, sends)
    } else {
        0
    };
    for unsent in sends.iter().skip(sent) {
        backlog.push((side, unsent.target, unsent.bytes(slots).to_vec()));
    }
}

/// The hosts that the client has sent datagrams to, at least the last [`Hosts::GENERATION`] of them.
#[derive(Default)]
struct Hosts {
    current: HashSet<IpAddr>,
    previous: HashSet<IpAddr>,
}

impl Hosts {
    const GENERATION: usize = 512;

    /// Returns whether a datagram may be sent to `target`. If so, answers of its host are accepted.
    fn admit(&mut self, shared: &Shared, target: SocketAddr) -> bool {
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

    fn contains(&self, ip: IpAddr) -> bool {
        self.current.contains(&ip) || self.previous.contains(&ip)
    }
}

/// Returns the address at which the client has reached the proxy, with port 0. A link-local address keeps its scope.
fn local_address(control: &TcpStream) -> io::Result<SocketAddr> {
    let mut local = canonical(control.local_addr()?);
    local.set_port(0);
    Ok(local)
}

/// Opens the socket for the client's datagrams, at one of the configured ports.
fn bind_inner(mut address: SocketAddr, ports: Option<&PortRange>) -> io::Result<Socket> {
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
    let mut error = io::ErrorKind::AddrInUse.into();
    for port in (first..=*ports.end()).chain(*ports.start()..first) {
        address.set_port(port);
        match Socket::bind(address) {
            Ok(socket) => return Ok(socket),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}
