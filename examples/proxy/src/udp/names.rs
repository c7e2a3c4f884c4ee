//! Datagrams to names.
//!
//! Each association has a bounded table of names. Datagrams for a name that is being resolved wait for it, in their
//! order. The addresses are kept for a minute, and a flow stays with its address as long as that answers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connect::canonical;
use crate::limits::Client;
use crate::server::Shared;

/// Names that an association may use at a time.
const MAX_NAMES: usize = 256;

/// Bytes that may wait for names, and what each datagram counts in addition.
const MAX_WAITING: usize = 128 * 1024;
const OVERHEAD: usize = 64;

/// How long addresses are used without another look-up.
const KEEP: Duration = Duration::from_secs(60);

/// How long datagrams wait for a name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// After this long without an answer to any datagram, the next address is tried.
const NO_ANSWER: Duration = Duration::from_secs(3);

/// The names of an association.
pub(super) struct Names {
    names: HashMap<Box<str>, Name>,
    waiting: usize,
    lookups: JoinSet<(Box<str>, io::Result<Vec<SocketAddr>>)>,
}

#[derive(Default)]
struct Name {
    /// Empty during the first look-up.
    addresses: Vec<IpAddr>,
    /// Which of the addresses is in use.
    current: usize,
    /// Since when datagrams have had no answer.
    unanswered: Option<Instant>,
    /// When the addresses are looked up again.
    expires: Option<Instant>,
    looking_up: bool,
    /// What waits for the first look-up.
    waiting: Vec<Waiting>,
}

/// A datagram that waits.
pub(super) struct Waiting {
    pub(super) port: u16,
    pub(super) payload: Vec<u8>,
}

/// What a look-up has led to.
pub(super) struct Resolved {
    pub(super) ip: IpAddr,
    /// The datagrams that waited, in their order.
    pub(super) waiting: Vec<Waiting>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            names: HashMap::new(),
            waiting: 0,
            lookups: JoinSet::new(),
        }
    }

    /// Returns the address of a name, if it is known. Otherwise keeps a copy of the datagram until it is, if there is
    /// room.
    pub(super) fn address(
        &mut self,
        shared: &Arc<Shared>,
        client: Client,
        (name, port): (&str, u16),
        payload: &[u8],
    ) -> Option<IpAddr> {
        let now = Instant::now();
        if !self.names.contains_key(name) {
            if self.names.len() >= MAX_NAMES {
                // Names under way are kept, and with them what waits for them.
                self.names
                    .retain(|_, name| name.looking_up || name.expires.is_some_and(|at| now < at));
            }
            if self.names.len() >= MAX_NAMES {
                return None;
            }
            self.names.insert(name.into(), Name::default());
        }
        let entry = self.names.get_mut(name)?;
        if !entry.looking_up && entry.expires.is_none_or(|at| at <= now) {
            entry.looking_up = true;
            let (shared, name) = (shared.clone(), Box::<str>::from(name));
            self.lookups.spawn(async move {
                let lookup = shared.resolver.resolve(client, &name, 0);
                let addresses = timeout(LOOKUP_TIMEOUT, lookup)
                    .await
                    .unwrap_or_else(|late| Err(late.into()));
                (name, addresses)
            });
        }
        if entry.addresses.is_empty() {
            let size = payload.len() + OVERHEAD;
            if self.waiting + size <= MAX_WAITING {
                self.waiting += size;
                entry.waiting.push(Waiting {
                    port,
                    payload: payload.to_vec(),
                });
            }
            return None;
        }
        entry.give_way(now);
        entry.addresses.get(entry.current).copied()
    }

    /// Returns the next finished look-up for which datagrams wait. Pending as well if there is no look-up.
    pub(super) fn poll_resolved(&mut self, cx: &mut Context<'_>) -> Poll<Resolved> {
        while let Poll::Ready(Some(done)) = self.lookups.poll_join_next(cx) {
            let Ok((name, addresses)) = done else { continue };
            let Some(mut entry) = self.names.remove(&name) else {
                continue;
            };
            entry.looking_up = false;
            let waiting = std::mem::take(&mut entry.waiting);
            let size = |waiting: &Waiting| waiting.payload.len() + OVERHEAD;
            self.waiting -= waiting.iter().map(size).sum::<usize>();
            if let Ok(addresses) = addresses {
                entry.update(
                    addresses
                        .into_iter()
                        .map(|address| canonical(address).ip())
                        .collect(),
                );
            }
            // A failed look-up leaves nothing, and is tried again with the next datagram.
            if let Some(ip) = entry.addresses.get(entry.current).copied() {
                self.names.insert(name, entry);
                return Poll::Ready(Resolved { ip, waiting });
            }
        }
        Poll::Pending
    }

    /// Notes that a host has answered.
    pub(super) fn answered(&mut self, ip: IpAddr) {
        for name in self.names.values_mut() {
            if name.unanswered.is_some() && name.addresses.get(name.current) == Some(&ip) {
                name.unanswered = None;
            }
        }
    }
}

impl Name {
    /// Replaces the addresses. A flow stays with its address if that is still one of them.
    fn update(&mut self, addresses: Vec<IpAddr>) {
        if addresses.is_empty() {
            return;
        }
        let used = self.addresses.get(self.current);
        self.current = used
            .and_then(|used| addresses.iter().position(|ip| ip == used))
            .unwrap_or(0);
        self.addresses = addresses;
        self.expires = Some(Instant::now() + KEEP);
    }

    /// Changes to the next address if the current one does not answer.
    fn give_way(&mut self, now: Instant) {
        if self.addresses.len() < 2 {
            return;
        }
        match self.unanswered {
            None => self.unanswered = Some(now),
            Some(since) if now < since + NO_ANSWER => {}
            Some(_) => {
                self.current = (self.current + 1) % self.addresses.len();
                self.unanswered = Some(now);
            }
        }
    }
}
