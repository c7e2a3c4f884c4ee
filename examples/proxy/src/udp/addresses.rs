//! Which of a name's addresses a flow of datagrams uses.
//!
//! A flow keeps its address as long as that address answers. Name servers rotate addresses, and two hosts of one name
//! share no state.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long datagrams may be unanswered before the next address is tried, for an address that has never answered, and for one
/// that has.
const NEVER_ANSWERED: Duration = Duration::from_secs(3);
const NO_LONGER_ANSWERS: Duration = Duration::from_secs(30);

/// The addresses of a name. Their port is not used. A link-local address has a scope, so an IP address is not enough.
pub(super) struct Addresses {
    /// The first is in use.
    all: VecDeque<SocketAddr>,
    /// Whether the address in use has ever answered.
    has_answered: bool,
    /// When the first unanswered datagram was sent.
    unanswered: Option<Instant>,
}

impl Addresses {
    pub(super) const fn new() -> Self {
        Self {
            all: VecDeque::new(),
            has_answered: false,
            unanswered: None,
        }
    }

    /// Replaces the addresses. The one in use stays while it answers.
    pub(super) fn update(&mut self, now: Instant, addresses: Vec<SocketAddr>) {
        let used = self.all.front().copied();
        self.all = addresses.into();
        match used.map(|used| (used, self.all.iter().position(|&it| it == used))) {
            Some((_, Some(position))) => self.all.rotate_left(position),
            Some((used, None)) if self.has_answered && !self.is_silent(now) => {
                self.all.push_front(used);
            }
            _ => self.change(),
        }
    }

    /// Returns the address for a datagram that is sent now. If the address in use does not answer, the next one is used.
    pub(super) fn current(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.all.len() > 1 && self.is_silent(now) {
            self.all.rotate_left(1);
            self.change();
        }
        self.unanswered.get_or_insert(now);
        self.all.front().copied()
    }

    /// Returns whether the address in use has left datagrams unanswered for too long.
    fn is_silent(&self, now: Instant) -> bool {
        let patience = if self.has_answered {
            NO_LONGER_ANSWERS
        } else {
            NEVER_ANSWERED
        };
        self.unanswered.is_some_and(|since| since + patience <= now)
    }

    /// Notes that a host has answered.
    pub(super) fn answered(&mut self, ip: IpAddr) {
        if self.all.front().is_some_and(|used| used.ip() == ip) {
            self.has_answered = true;
            self.unanswered = None;
        }
    }

    /// Begins with another address, which has not answered yet.
    fn change(&mut self) {
        self.has_answered = false;
        self.unanswered = None;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const FIRST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 0);
    const SECOND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 0);
    const THIRD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3)), 0);

    fn of(ips: &[SocketAddr]) -> Addresses {
        let mut addresses = Addresses::new();
        addresses.update(Instant::now(), ips.into());
        addresses
    }

    /// Name servers rotate addresses, and some return only one of many.
    #[test]
    fn address_that_answers_survives_an_update() {
        for later in [&[SECOND, THIRD, FIRST][..], &[SECOND, THIRD], &[THIRD]] {
            let now = Instant::now();
            let mut addresses = of(&[FIRST, SECOND]);
            assert_eq!(addresses.current(now), Some(FIRST));
            addresses.answered(FIRST.ip());
            addresses.update(now, later.into());
            assert_eq!(addresses.current(now), Some(FIRST), "{later:?}");
            // This look-up ends before the datagram that caused it is answered.
            addresses.update(now, later.into());
            assert_eq!(addresses.current(now), Some(FIRST), "{later:?}");
            let late = now + NO_LONGER_ANSWERS;
            addresses.update(late, vec![THIRD]);
            assert_eq!(addresses.current(late), Some(THIRD), "{later:?}");
        }
    }

    #[test]
    fn address_that_has_not_answered_is_replaced_by_an_update() {
        let now = Instant::now();
        let mut addresses = of(&[FIRST]);
        assert_eq!(addresses.current(now), Some(FIRST));
        addresses.update(now, vec![THIRD, SECOND]);
        assert_eq!(addresses.current(now), Some(THIRD));
    }

    #[test]
    fn silent_address_gives_way_to_the_next() {
        let now = Instant::now();
        let mut addresses = of(&[FIRST, SECOND]);
        let at = |addresses: &mut Addresses, seconds| {
            let now = now + Duration::from_secs(seconds);
            addresses.current(now).expect("there are two")
        };
        assert_eq!([0, 2].map(|s| at(&mut addresses, s)), [FIRST; 2]);
        assert_eq!([3, 4, 5].map(|s| at(&mut addresses, s)), [SECOND; 3]);
        // After the last address, the first is used again.
        assert_eq!(at(&mut addresses, 6), FIRST);
        addresses.answered(SECOND.ip()); // a late answer of the second, not one of the first
        assert_eq!(at(&mut addresses, 9), SECOND);
        // An address that has answered is left much later.
        addresses.answered(SECOND.ip());
        assert_eq!([10, 13, 39].map(|s| at(&mut addresses, s)), [SECOND; 3]);
        assert_eq!(at(&mut addresses, 40), FIRST);
    }

    #[test]
    fn only_address_stays_in_use() {
        let now = Instant::now();
        let mut addresses = of(&[FIRST]);
        assert_eq!(addresses.current(now), Some(FIRST));
        assert_eq!(addresses.current(now + NO_LONGER_ANSWERS * 2), Some(FIRST));
    }
}
