//! Datagrams to names.
//!
//! Each association has a bounded table of names. Datagrams for a name that is being resolved wait for it in order. The
//! addresses are kept for a minute. The table neither resolves names nor reads a clock.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::addresses::Addresses;

/// How many names an association has. A new one replaces the least recently used one.
const MAX_NAMES: usize = 256;

/// Look-ups at a time. Datagrams to further names are dropped.
const MAX_LOOKUPS: usize = 64;

/// How many bytes may wait for names, and how many are added for each datagram.
const MAX_WAITING: usize = 128 * 1024;
const OVERHEAD: usize = 64;

/// How long addresses are used without another look-up.
const KEEP: Duration = Duration::from_secs(60);

/// How long a failed look-up is not repeated.
const RETRY: Duration = Duration::from_secs(1);

/// The names of an association.
#[derive(Default)]
pub(super) struct Names {
    names: HashMap<Box<str>, Name>,
    lookups: usize,
    /// The bytes of all waiting datagrams.
    waiting: usize,
}

struct Name {
    used: Instant,
    /// Empty until a look-up succeeds.
    addresses: Addresses,
    /// When the name is looked up again. `None` while it is being looked up.
    expires: Option<Instant>,
    /// The datagrams that wait for the first look-up.
    waiting: VecDeque<Waiting>,
}

/// A datagram that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) port: u16,
    pub(super) payload: Vec<u8>,
}

impl Waiting {
    /// Returns the bytes that a waiting datagram uses.
    pub(super) const fn size(payload: &[u8]) -> usize {
        payload.len() + OVERHEAD
    }
}

/// The decision about a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Where it is to be sent. `None`: it waits, or is dropped.
    pub(super) target: Option<SocketAddr>,
    /// Whether the name must be looked up now. [`Names::resolved`] takes the result.
    pub(super) look_up: bool,
}

impl Names {
    /// Returns the address of a name if it is known. Otherwise keeps a copy of the datagram until the address is known, if
    /// there is room.
    pub(super) fn address(&mut self, now: Instant, name: &str, port: u16, payload: &[u8]) -> Answer {
        let mut answer = Answer {
            target: None,
            look_up: false,
        };
        if !self.names.contains_key(name) && !self.insert(now, name) {
            return answer;
        }
        let Some(entry) = self.names.get_mut(name) else {
            return answer;
        };
        entry.used = now;
        if self.lookups < MAX_LOOKUPS && entry.expires.is_some_and(|at| at <= now) {
            entry.expires = None;
            self.lookups += 1;
            answer.look_up = true;
        }
        answer.target = entry.addresses.current(now).map(|it| with_port(it, port));
        if answer.target.is_none() && entry.expires.is_none() {
            self.wait(name, port, payload);
        }
        answer
    }

    /// Adds a name that is to be looked up. Returns `false` if there is no room.
    fn insert(&mut self, now: Instant, name: &str) -> bool {
        if self.lookups >= MAX_LOOKUPS {
            return false;
        }
        if self.names.len() >= MAX_NAMES {
            let known = self.names.iter().filter(|(_, entry)| entry.expires.is_some());
            let Some((oldest, _)) = known.min_by_key(|(_, entry)| entry.used) else {
                return false;
            };
            let oldest = oldest.clone();
            self.names.remove(&oldest);
        }
        self.names.insert(name.into(), Name::new(now));
        true
    }

    /// Keeps a datagram. If there is no room, the name with the most waiting bytes loses its last datagrams.
    fn wait(&mut self, name: &str, port: u16, payload: &[u8]) {
        let size = Waiting::size(payload);
        while self.waiting + size > MAX_WAITING {
            let longest = self
                .names
                .iter_mut()
                .max_by_key(|(_, entry)| entry.waiting_size());
            let Some((longest, entry)) = longest else { return };
            if **longest == *name {
                return;
            }
            let Some(dropped) = entry.waiting.pop_back() else {
                return;
            };
            self.waiting -= Waiting::size(&dropped.payload);
        }
        if let Some(entry) = self.names.get_mut(name) {
            self.waiting += size;
            entry.waiting.push_back(Waiting {
                port,
                payload: payload.to_vec(),
            });
        }
    }

    /// Stores the result of a look-up. Returns the address, and the datagrams that have waited for it.
    pub(super) fn resolved(
        &mut self,
        now: Instant,
        name: &str,
        addresses: io::Result<Vec<SocketAddr>>,
    ) -> Option<(SocketAddr, VecDeque<Waiting>)> {
        let entry = self.names.get_mut(name)?;
        self.lookups -= 1;
        self.waiting -= entry.waiting_size();
        let waiting = std::mem::take(&mut entry.waiting);
        match addresses {
            Ok(addresses) if !addresses.is_empty() => {
                entry.addresses.update(now, addresses);
                entry.expires = Some(now + KEEP);
            }
            _ => entry.expires = Some(now + RETRY),
        }
        if waiting.is_empty() {
            return None;
        }
        Some((entry.addresses.current(now)?, waiting))
    }

    /// Notes that a host has answered.
    pub(super) fn answered(&mut self, ip: IpAddr) {
        for name in self.names.values_mut() {
            name.addresses.answered(ip);
        }
    }
}

impl Name {
    const fn new(now: Instant) -> Self {
        Self {
            used: now,
            addresses: Addresses::new(),
            expires: Some(now),
            waiting: VecDeque::new(),
        }
    }

    fn waiting_size(&self) -> usize {
        self.waiting.iter().map(|it| Waiting::size(&it.payload)).sum()
    }
}

/// Returns an address with another port. A scope stays.
pub(super) fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const FIRST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 0);
    const SECOND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 0);

    const LOOK_UP: Answer = Answer {
        target: None,
        look_up: true,
    };
    const NOTHING: Answer = Answer {
        target: None,
        look_up: false,
    };

    /// The port is the one of most datagrams here.
    fn send(address: SocketAddr) -> Answer {
        Answer {
            target: Some(with_port(address, 9)),
            look_up: false,
        }
    }

    /// Names, one of which is known.
    fn known(now: Instant) -> Names {
        let mut names = Names::default();
        assert_eq!(names.address(now, "name", 9, b"x"), LOOK_UP);
        let (ip, _) = names.resolved(now, "name", Ok(vec![FIRST])).expect("one waits");
        assert_eq!(ip, FIRST);
        names
    }

    fn not_found() -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    #[test]
    fn datagrams_wait_for_their_name_in_order() {
        let (mut names, now) = (Names::default(), Instant::now());
        assert_eq!(names.address(now, "name", 1, b"a"), LOOK_UP);
        assert_eq!(names.address(now, "name", 2, b""), NOTHING);
        assert_eq!(names.address(now, "other", 9, b"not these"), LOOK_UP);
        assert_eq!(names.address(now, "name", 1, b"c"), NOTHING);
        let (ip, waiting) = names.resolved(now, "name", Ok(vec![FIRST])).expect("three");
        let expected = [(1, &b"a"[..]), (2, b""), (1, b"c")].map(|(port, payload)| Waiting {
            port,
            payload: payload.into(),
        });
        assert_eq!((ip, Vec::from(waiting)), (FIRST, Vec::from(expected)));
        assert_eq!(names.address(now, "name", 9, b"d"), send(FIRST));
        assert_eq!(names.resolved(now, "other", Ok(vec![])), None);
        assert_eq!((names.waiting, names.lookups), (0, 0));
    }

    #[test]
    fn waiting_bytes_are_bounded_and_shared_between_names() {
        let (mut names, now) = (Names::default(), Instant::now());
        for _ in 0..1000 {
            names.address(now, "slow", 9, &[0; 1000]);
        }
        let slow = names.waiting / Waiting::size(&[0; 1000]);
        assert!(names.waiting <= MAX_WAITING && slow > 100, "{slow}");
        // Another name gets room, and the slow one keeps the first of its datagrams.
        for n in 0..20_u8 {
            names.address(now, "quick", 9, &[n; 1000]);
        }
        assert!(names.waiting <= MAX_WAITING);
        let (_, waiting) = names.resolved(now, "quick", Ok(vec![FIRST])).expect("20");
        let order: Vec<u8> = waiting.iter().map(|it| it.payload[0]).collect();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
        let (_, waiting) = names.resolved(now, "slow", Ok(vec![FIRST])).expect("the rest");
        assert!((slow - 20..slow).contains(&waiting.len()), "{}", waiting.len());
        assert_eq!(names.waiting, 0);
    }

    #[test]
    fn addresses_are_kept_for_a_minute() {
        let now = Instant::now();
        let mut names = known(now);
        let expired = now + KEEP;
        let before = expired - Duration::from_secs(1);
        assert_eq!(names.address(before, "name", 9, b"x"), send(FIRST));
        // The known address is used until the next look-up ends.
        let again = Answer {
            look_up: true,
            ..send(FIRST)
        };
        assert_eq!(names.address(expired, "name", 9, b"x"), again);
        assert_eq!(names.address(expired, "name", 9, b"x"), send(FIRST));
        assert_eq!(names.resolved(expired, "name", Ok(vec![SECOND])), None);
        assert_eq!(names.address(expired, "name", 9, b"x"), send(SECOND));
    }

    #[test]
    fn failed_lookup_is_repeated_after_a_second() {
        let (mut names, now) = (Names::default(), Instant::now());
        assert_eq!(names.address(now, "name", 9, b"x"), LOOK_UP);
        assert_eq!(names.resolved(now, "name", not_found()), None);
        assert_eq!(names.address(now, "name", 9, b"dropped"), NOTHING);
        assert_eq!(names.address(now + RETRY, "name", 9, b"x"), LOOK_UP);
        let (_, waiting) = names.resolved(now, "name", Ok(vec![FIRST])).expect("one");
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn failed_lookup_leaves_known_addresses() {
        let now = Instant::now();
        let mut names = known(now);
        assert!(names.address(now + KEEP, "name", 9, b"x").look_up);
        names.resolved(now + KEEP, "name", not_found());
        assert_eq!(names.address(now + KEEP, "name", 9, b"x"), send(FIRST));
    }

    #[test]
    fn names_being_looked_up_are_limited() {
        let (mut names, now) = (Names::default(), Instant::now());
        for n in 0..MAX_LOOKUPS {
            assert_eq!(names.address(now, &n.to_string(), 9, b"x"), LOOK_UP);
        }
        assert_eq!(names.address(now, "one more", 9, b"x"), NOTHING);
        names.resolved(now, "7", not_found());
        assert_eq!(names.address(now, "one more", 9, b"x"), LOOK_UP);
    }

    #[test]
    fn least_recently_used_name_makes_room() {
        let (mut names, mut now) = (Names::default(), Instant::now());
        for n in 0..10 * MAX_NAMES {
            now += Duration::from_millis(1);
            let name = n.to_string();
            assert_eq!(names.address(now, &name, 9, b"x"), LOOK_UP);
            names.resolved(now, &name, Ok(vec![FIRST]));
            assert!(names.names.len() <= MAX_NAMES);
            // The first name is always in use.
            assert_eq!(names.address(now, "0", 9, b"x"), send(FIRST));
        }
        assert_eq!(names.address(now, "1", 9, b"x"), LOOK_UP);
    }
}
