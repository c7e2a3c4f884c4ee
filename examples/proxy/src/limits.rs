//! Limits on connections, and on the rate of password guesses.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock;

/// The unit that limits count: an IPv4 address, or the /64 network of an IPv6 address.
///
/// A single host can usually choose its addresses from a whole /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Client {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Client {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// The limits on connections, in total and for each client.
#[derive(Debug)]
pub(crate) struct Limits {
    max: usize,
    max_per_client: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    /// A map that releases memory as it shrinks.
    by_client: BTreeMap<Client, usize>,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    All,
    Client,
}

impl Limits {
    pub(crate) fn new(max: usize, max_per_client: usize) -> Self {
        Self {
            max,
            max_per_client,
            open: Mutex::default(),
        }
    }

    /// Counts a connection until it is released, unless a limit is reached.
    pub(crate) fn admit(&self, client: Client) -> Result<(), Full> {
        let mut open = lock(&self.open);
        if open.all >= self.max {
            return Err(Full::All);
        }
        let count = open.by_client.entry(client).or_default();
        if *count >= self.max_per_client {
            return Err(Full::Client); // the entry existed before, because the limit is at least 1
        }
        *count += 1;
        open.all += 1;
        Ok(())
    }

    /// Ends the count of an admitted connection.
    pub(crate) fn release(&self, client: Client) {
        let mut open = lock(&self.open);
        open.all = open.all.saturating_sub(1);
        if let Some(count) = open.by_client.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.by_client.remove(&client);
            }
        }
    }
}

/// Wrong passwords without a delay, because people mistype them.
const FREE_FAILURES: u32 = 3;

/// The time between two attempts after that. It doubles up to [`MAX_SPACING`].
const SPACING: Duration = Duration::from_millis(500);
const MAX_SPACING: Duration = Duration::from_secs(8);

/// How long failures are remembered.
const MEMORY: Duration = Duration::from_secs(600);

/// The most clients that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// When a login attempt may be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    Now,
    At(Instant),
    /// There are too many attempts from this address. Reject it unseen.
    TooLate,
}

/// Slows down clients that try wrong passwords.
///
/// The delay precedes the check of a password, and all connections of a client share it. Delaying only the answer would not
/// help, because an attacker would open the next connection instead of waiting.
#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<HashMap<Client, Failures>>);

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
    /// When the next attempt is checked.
    next: Instant,
}

impl Logins {
    /// Returns when an attempt may be checked, and reserves that time. Reserves no time after `deadline`, so few attempts of an
    /// address wait. While an attacker continues, other users of the same address must compete for their turn.
    pub(crate) fn reserve(&self, client: Client, now: Instant, deadline: Instant) -> Turn {
        let mut clients = lock(&self.0);
        let Some(failures) = clients.get_mut(&client) else {
            return Turn::Now;
        };
        let Some(over) = failures.count.checked_sub(FREE_FAILURES) else {
            return Turn::Now;
        };
        let turn = failures.next.max(now);
        if turn >= deadline {
            return Turn::TooLate;
        }
        failures.next = turn + SPACING.saturating_mul(1 << over.min(8)).min(MAX_SPACING);
        if turn == now { Turn::Now } else { Turn::At(turn) }
    }

    /// Notes a wrong password.
    pub(crate) fn failed(&self, client: Client, now: Instant) {
        let mut clients = lock(&self.0);
        if clients.len() >= MAX_REMEMBERED && !clients.contains_key(&client) {
            clients.retain(|_, failures| now < failures.last + MEMORY);
            if clients.len() >= MAX_REMEMBERED {
                return; // against more attackers than that, use a firewall
            }
        }
        let failures = clients.entry(client).or_insert(Failures {
            count: 0,
            last: now,
            next: now,
        });
        if failures.last + MEMORY <= now {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if failures.count == FREE_FAILURES {
            failures.next = now + SPACING;
        }
    }

    /// Notes the right password.
    pub(crate) fn succeeded(&self, client: Client) {
        lock(&self.0).remove(&client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Client {
        IpAddr::from([192, 0, 2, last]).into()
    }

    #[test]
    fn limits_count_all_and_each_client() {
        let limits = Limits::new(3, 2);
        assert_eq!([1, 1, 2].map(|last| limits.admit(client(last))), [Ok(()); 3]);
        assert_eq!(limits.admit(client(3)), Err(Full::All));
        limits.release(client(2));
        assert_eq!(limits.admit(client(1)), Err(Full::Client));
        limits.release(client(1));
        assert_eq!(limits.admit(client(1)), Ok(()));
    }

    #[test]
    fn clients_without_connections_are_forgotten() {
        let limits = Limits::new(3, 2);
        assert_eq!([1, 2, 2].map(|last| limits.admit(client(last))), [Ok(()); 3]);
        assert_eq!(lock(&limits.open).by_client.len(), 2);
        [1, 2, 2]
            .into_iter()
            .for_each(|last| limits.release(client(last)));
        assert!(lock(&limits.open).by_client.is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let client = |ip: &str| Client::from(ip.parse::<IpAddr>().unwrap());
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
    }

    #[test]
    fn wrong_passwords_are_spaced_across_connections() {
        let (logins, now) = (Logins::default(), Instant::now());
        let deadline = now + Duration::from_secs(30);
        for _ in 0..FREE_FAILURES {
            assert_eq!(logins.reserve(client(1), now, deadline), Turn::Now);
            logins.failed(client(1), now);
        }
        let mut last = now;
        while let Turn::At(turn) = logins.reserve(client(1), now, deadline) {
            assert!(last + SPACING <= turn);
            last = turn;
        }
        assert_eq!(logins.reserve(client(1), now, deadline), Turn::TooLate);
        assert_eq!(
            logins.reserve(client(2), now, deadline),
            Turn::Now,
            "another client"
        );
        logins.succeeded(client(1));
        assert_eq!(logins.reserve(client(1), now, deadline), Turn::Now);
    }
}
