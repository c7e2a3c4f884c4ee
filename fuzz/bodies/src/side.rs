//! A machine and its input, driven by single operations in any order.

use arbitrary::Arbitrary;
use sans_socks::{Error, Malformed};

use sans_socks_testing::driver::{Due, Machine, Script};

/// What the caller of a machine does next. It does nothing where the operation does not apply.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Op {
    Poll,
    /// Offers at most this many bytes.
    Offer(u8),
    OfferAll,
    /// Offers no more than is needed, all of which must be consumed.
    OfferNeeded,
    /// Offers everything as a `Buf` of two chunks, of which the first has this many bytes.
    OfferChained(u8),
    Send(u8),
    SendAll,
    /// Drains `Transmit` as a `Buf`, this many bytes at a time.
    Drain(u8),
    Decide,
    /// If the input has ended, announces that and offers everything that is left.
    End,
    /// The same, but offers single bytes until one is not consumed.
    EndByteByByte,
}

/// A machine, and the bytes that it has not consumed.
pub(crate) struct Side<'a> {
    machine: Box<dyn Machine + 'a>,
    pub inbox: Vec<u8>,
    /// Whether the inbox has everything that the peer sends.
    pub inbox_ended: bool,
    announced: bool,
    /// Whether all of the inbox was offered since then. Otherwise each poll must follow an offer that is not
    /// consumed.
    is_known: bool,
    pub sent: Vec<u8>,
    pub decisions: Vec<Due>,
    pub end: Option<Due>,
    /// Whether the machine needed input and consumed none of it.
    left_first_byte: bool,
    /// Whether bytes of several messages may have been consumed without a poll in between.
    unpolled: bool,
}

impl<'a> Side<'a> {
    pub(crate) fn new(script: &'a Script<'a>) -> Self {
        Self {
            machine: script.start(),
            inbox: Vec::new(),
            inbox_ended: false,
            announced: false,
            is_known: false,
            sent: Vec::new(),
            decisions: Vec::new(),
            end: None,
            left_first_byte: false,
            unpolled: false,
        }
    }

    /// Returns the next step. Polled again, it is the same; and it does not change after the end.
    pub(crate) fn due(&mut self) -> Due {
        let due = self.machine.due();
        assert_eq!(self.machine.due(), due);
        if let Some(end) = &self.end {
            assert_eq!(due, *end);
        } else if due.is_end() {
            self.has_ended(&due);
            self.end = Some(due.clone());
        }
        due
    }

    fn has_ended(&self, end: &Due) {
        let version = matches!(end, Due::Closed(Error::Malformed(Malformed::Version { .. })));
        assert!(
            version == self.left_first_byte || (version && self.unpolled),
            "only a wrong version byte is not consumed"
        );
        if end.eof_phase().is_some() {
            assert!(self.announced && self.inbox.is_empty(), "input was lost");
        }
    }

    /// Does `op`, and returns what it sends.
    pub(crate) fn act(&mut self, op: Op) -> Vec<u8> {
        let due = self.due();
        match (op, &due) {
            (Op::Offer(n), _) => self.offer(n.into(), &due),
            (Op::OfferAll, _) => self.offer(usize::MAX, &due),
            (Op::OfferNeeded, Due::NeedInput(needed)) => {
                let left = self.inbox.len().saturating_sub(*needed);
                self.offer(*needed, &due);
                assert!(
                    self.inbox.len() <= left || self.left_first_byte,
                    "`needed` exceeds the message"
                );
            }
            (Op::OfferChained(n), _) => self.offer_chained(n.into(), &due),
            (Op::Send(n), Due::Transmit(bytes)) => return self.send(n.into(), bytes),
            (Op::SendAll, Due::Transmit(bytes)) => return self.send(usize::MAX, bytes),
            (Op::Drain(n), Due::Transmit(bytes)) => return self.drain(n, bytes),
            (Op::Decide, _) => self.decide(&due),
            (Op::End, _) if self.inbox_ended => {
                self.announce();
                self.offer(usize::MAX, &due);
            }
            (Op::EndByteByByte, _) if self.inbox_ended => {
                self.announce();
                self.offer(1, &due);
            }
            _ => {}
        }
        self.due();
        Vec::new()
    }

    /// Does what the machine needs next. Returns `None` if it has ended, or needs input that may still be received.
    pub(crate) fn advance(&mut self) -> Option<Vec<u8>> {
        let op = match self.due() {
            Due::NeedInput(_) if !self.inbox.is_empty() => Op::OfferAll,
            Due::NeedInput(_) if self.inbox_ended => Op::End,
            Due::NeedInput(_) => return None,
            Due::Transmit(_) => Op::SendAll,
            due if due.is_end() => return None,
            _ => Op::Decide,
        };
        Some(self.act(op))
    }

    pub(crate) fn reject_negotiation(&mut self) -> bool {
        let negotiates = matches!(self.due(), Due::Negotiate(_));
        if negotiates {
            self.machine.reject_negotiation();
        }
        negotiates
    }

    /// A second announcement means that nothing is left.
    fn announce(&mut self) {
        if !self.announced || self.inbox.is_empty() {
            self.machine.handle_eof();
            self.announced = true;
        }
    }

    /// Offers at most `n` bytes where `due` is the next step.
    fn offer(&mut self, n: usize, due: &Due) {
        if n == 0 && self.announced && !self.inbox.is_empty() {
            return; // It would mean that nothing is left.
        }
        let offered = n.min(self.inbox.len());
        let mut consumed = self.hand_over(n);
        if self.announced && !self.is_known {
            self.unpolled = true;
            let mut last = consumed;
            while last > 0 && !self.inbox.is_empty() {
                last = self.hand_over(n);
                consumed += last;
            }
        }
        self.check_consumed(offered, consumed, due);
    }

    fn check_consumed(&mut self, offered: usize, consumed: usize, due: &Due) {
        if !matches!(due, Due::NeedInput(_)) {
            assert_eq!(
                (consumed, self.machine.due()),
                (0, due.clone()),
                "input changes nothing"
            );
        } else if offered > 0 && consumed == 0 {
            self.left_first_byte = true;
            let due = self.machine.due();
            assert!(!matches!(due, Due::NeedInput(_)), "needed input is not consumed");
        }
    }

    fn hand_over(&mut self, n: usize) -> usize {
        let offered = n.min(self.inbox.len());
        self.is_known |= self.announced && offered == self.inbox.len();
        let consumed = self.machine.handle_input(&self.inbox[..offered]);
        assert!(consumed <= offered);
        self.inbox.drain(..consumed);
        consumed
    }

    #[cfg(feature = "bytes")]
    fn offer_chained(&mut self, n: usize, due: &Due) {
        use bytes::Buf;

        self.unpolled = true;
        let offered = self.inbox.len();
        let (first, second) = self.inbox.split_at(n.min(offered));
        let mut chain = first.chain(second);
        self.machine.handle_buf(&mut chain);
        let consumed = offered - chain.remaining();
        self.inbox.drain(..consumed);
        self.check_consumed(offered, consumed, due);
    }

    #[cfg(not(feature = "bytes"))]
    fn offer_chained(&mut self, _: usize, due: &Due) {
        self.offer(usize::MAX, due);
    }

    fn send(&mut self, n: usize, bytes: &[u8]) -> Vec<u8> {
        assert!(!bytes.is_empty(), "`Transmit` is never empty");
        self.machine.sent(n);
        self.has_sent(&bytes[..n.min(bytes.len())])
    }

    #[cfg(feature = "bytes")]
    fn drain(&mut self, n: u8, bytes: &[u8]) -> Vec<u8> {
        assert_eq!(self.machine.drain(usize::from(n).max(1)), bytes);
        self.has_sent(bytes)
    }

    #[cfg(not(feature = "bytes"))]
    fn drain(&mut self, _: u8, bytes: &[u8]) -> Vec<u8> {
        self.send(usize::MAX, bytes)
    }

    fn has_sent(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.sent.extend_from_slice(bytes);
        bytes.to_vec()
    }

    fn decide(&mut self, due: &Due) {
        match due {
            Due::Transmit(_) | Due::NeedInput(_) => return,
            Due::Negotiate(_) => {
                let raw = self.machine.raw_negotiation();
                if self.inbox.len() < raw {
                    self.inbox.clear();
                    self.machine.reject_negotiation();
                } else {
                    self.inbox.drain(..raw);
                    self.machine.decide();
                }
            }
            due if due.is_end() => return,
            _ => self.machine.decide(),
        }
        self.decisions.push(due.clone());
    }
}
