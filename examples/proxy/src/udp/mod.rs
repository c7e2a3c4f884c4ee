//! UDP ASSOCIATE: the relay.

mod addresses;
mod backlog;
mod hosts;
mod inner;
mod names;
mod outer;
mod socket;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sans_socks::udp::{Association, Frag, Header, MAX_HEADER_LEN, Outcome, Reassembler};
use sans_socks::{Address, Target};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep_until, timeout};

use crate::connect::canonical;
use crate::limits::Client;
use crate::server::Shared;
use backlog::{Backlog, Side};
use hosts::Hosts;
use inner::Inner;
use names::{Names, with_port};
use outer::{Outer, Sends};
use socket::{Send, Socket};

/// How long datagrams wait for a name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// One association: its sockets, and its pending datagrams. Dropping it ends everything.
///
/// An idle association holds no buffer.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    client: Client,
    inner: Inner,
    association: Association,
    reassembler: Reassembler,
    expiry: Pin<Box<Sleep>>,
    outer: Outer,
    names: Names,
    lookups: JoinSet<Lookup>,
    hosts: Hosts,
    backlog: Backlog,
}

/// A name, and the resolver's answer.
type Lookup = (Box<str>, io::Result<Vec<SocketAddr>>);

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
        let inner = Inner::open(&shared, control)?;
        let association = Association::new(control.peer_addr()?, &requested)
            .with_fragments(true)
            .with_any_port(shared.config.udp.any_port);
        Ok(Self {
            client,
            inner,
            association,
            reassembler: Reassembler::new(),
            expiry: Box::pin(sleep_until(tokio::time::Instant::now())),
            outer: Outer::new(&shared.config),
            names: Names::default(),
            lookups: JoinSet::new(),
            hosts: Hosts::default(),
            backlog: Backlog::default(),
            shared,
        })
    }

    /// Returns BND: where the client sends to.
    pub(crate) const fn bound(&self) -> SocketAddr {
        self.inner.bound
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
            for (side, target, datagram) in self.backlog.take() {
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
            inner: readable(Some(&self.inner.socket), cx),
            v4: readable(self.outer.v4.as_ref(), cx),
            v6: readable(self.outer.v6.as_ref(), cx),
            ..Ready::default()
        };
        if let Poll::Ready(Some(lookup)) = self.lookups.poll_join_next(cx) {
            ready.lookup = lookup.ok(); // the task does not panic
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
            Side::Inner => Some(&self.inner.socket),
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
        inner.socket.receive(|slots| {
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
                let target = match whole.header.address.to_target() {
                    Ok(Target::Socket(target)) => Some(target),
                    Ok(Target::Name(name, port)) => {
                        let answer = names.address(now, name, port, whole.payload);
                        if answer.look_up {
                            lookups.spawn(look_up(shared.clone(), *client, name.into()));
                        }
                        answer.target
                    }
                    Err(_) => None,
                };
                let Some(target) = target else { continue };
                if !hosts.admit(shared, target) {
                    continue;
                }
                if frag == Frag::STANDALONE {
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
        let (hosts, names, inner, backlog) = (
            &self.hosts,
            &mut self.names,
            &self.inner.socket,
            &mut self.backlog,
        );
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
            backlog.send(inner, Side::Inner, slots, &sends);
        });
    }

    /// Sends the datagrams that have waited for a name.
    fn send_waiting(&mut self, name: &str, addresses: io::Result<Vec<SocketAddr>>) {
        let Some((address, waiting)) = self.names.resolved(Instant::now(), name, addresses) else {
            return;
        };
        for datagram in waiting {
            let target = with_port(address, datagram.port);
            if self.hosts.admit(&self.shared, target) {
                self.outer.send_one(&datagram.payload, target, &mut self.backlog);
            }
        }
    }
}

/// Looks up a name, and returns the addresses that the rules permit. A flow that began with a denied address would lose
/// its datagrams.
async fn look_up(shared: Arc<Shared>, client: Client, name: Box<str>) -> Lookup {
    let addresses = match timeout(LOOKUP_TIMEOUT, shared.resolver.resolve(client, &name, 0)).await {
        Ok(Ok(mut addresses)) => {
            addresses.retain(|it| shared.config.rules.permits(it.ip()));
            Ok(addresses.into_iter().map(canonical).collect())
        }
        Ok(Err(error)) => Err(error),
        Err(late) => Err(late.into()),
    };
    (name, addresses)
}
