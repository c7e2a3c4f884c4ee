//! A machine and its input, driven by single operations in any order.

use sans_socks::Phase;

use super::{Due, Machine};

/// A machine, the bytes that it has not consumed, and its steps. Each operation checks the invariants of every machine.
pub struct Side<'a> {
    pub machine: &'a mut dyn Machine,
    pub inbox: Vec<u8>,
    /// Whether the inbox has everything that the peer sends.
    pub inbox_ended: bool,
    /// The bytes that [`converse`] sends as soon as the caller may use the tunnel: a client after its request, a server after
    /// its last reply.
    pub tunnel: &'static [u8],
    announced: bool,
    /// Whether the whole inbox was offered after the announcement. Until then, bytes must be offered before each poll, until
    /// the machine leaves some unconsumed.
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
    pub fn new(machine: &'a mut dyn Machine) -> Self {
        Self {
            machine,
            inbox: Vec::new(),
            inbox_ended: false,
            tunnel: b"",
            announced: false,
            is_known: false,
            sent: Vec::new(),
            decisions: Vec::new(),
            end: None,
            left_first_byte: false,
            unpolled: false,
        }
    }

    /// Returns the next step, polled twice.
    pub fn due(&mut self) -> Due {
        let due = self.poll();
        assert_eq!(self.machine.due(), due, "polled again, it returns the same");
        due
    }

    /// Returns the next step. It does not change after the end.
    pub fn poll(&mut self) -> Due {
        let due = self.machine.due();
        if let Some(phase) = due.phase() {
            assert_eq!(self.machine.phase(), Some(phase), "{due:?}");
        }
        if let Some(end) = &self.end {
            assert_eq!(due, *end, "an end is final");
        } else if due.is_end() {
            self.has_ended(&due);
            self.end = Some(due.clone());
        }
        due
    }

    fn has_ended(&self, end: &Due) {
        let version = end.is_version_fault();
        assert!(
            version == self.left_first_byte || (version && self.unpolled),
            "only a wrong version byte is not consumed: {end:?}"
        );
        if end.eof().is_some() {
            assert!(self.announced && self.inbox.is_empty(), "input was lost");
        }
    }

    /// Performs the machine's next step, with at most `chunk` bytes. Returns the bytes that it sends, or `None` if it has ended
    /// or needs input that may still be received.
    pub fn advance(&mut self, chunk: usize) -> Option<Vec<u8>> {
        let due = self.poll();
        match &due {
            Due::NeedInput(_) if !self.inbox.is_empty() => {
                self.offer(chunk, &due);
            }
            Due::NeedInput(_) if self.inbox_ended => self.end(usize::MAX, &due),
            Due::NeedInput(_) => return None,
            Due::Transmit(bytes) => return Some(self.send(chunk, bytes)),
            _ if due.is_end() => return None,
            _ => self.decide(&due),
        }
        Some(Vec::new())
    }

    /// Offers at most `n` bytes, where `due` is the next step. Returns how many were consumed.
    pub fn offer(&mut self, n: usize, due: &Due) -> usize {
        if n == 0 && self.announced && !self.inbox.is_empty() {
            return 0; // An empty offer would mean that no bytes are left.
        }
        let offered = n.min(self.inbox.len());
        let mut consumed = self.give(n);
        if self.announced && !self.is_known {
            let mut last = consumed;
            while last > 0 && !self.inbox.is_empty() {
                last = self.hand_over(n);
                consumed += last;
            }
        }
        self.check_consumed(offered, consumed, due);
        consumed
    }

    /// Offers at most the bytes needed, all of which must be consumed. Does nothing if no input is needed.
    pub fn offer_needed(&mut self, due: &Due) {
        if let Due::NeedInput(needed) = due {
            let left = self.inbox.len().saturating_sub(*needed);
            self.offer(*needed, due);
            assert!(
                self.inbox.len() <= left || self.left_first_byte,
                "`needed` exceeds the message"
            );
        }
    }

    /// Offers everything as a `Buf` of two chunks, of which the first has `n` bytes.
    #[cfg(feature = "bytes")]
    pub fn offer_chained(&mut self, n: usize, due: &Due) {
        use bytes::Buf;

        self.unpolled = true;
        let offered = self.inbox.len();
        let (first, second) = self.inbox.split_at(n.min(offered));
        let mut chain = first.chain(second);
        self.machine.handle_buf(&mut chain);
        let consumed = offered - chain.remaining();
        self.inbox.drain(..consumed);
        if !self.inbox.is_empty() {
            assert_eq!(
                self.machine.handle_input(&self.inbox),
                0,
                "`handle_buf` stopped early"
            );
        }
        self.check_consumed(offered, consumed, due);
    }

    #[cfg(not(feature = "bytes"))]
    pub fn offer_chained(&mut self, _: usize, due: &Due) {
        self.offer(usize::MAX, due);
    }

    /// Offers at most `n` bytes with no poll before or after. Returns how many were consumed.
    pub fn hand_over(&mut self, n: usize) -> usize {
        self.unpolled = true;
        self.give(n)
    }

    fn give(&mut self, n: usize) -> usize {
        let offered = n.min(self.inbox.len());
        self.is_known |= self.announced && offered == self.inbox.len();
        let consumed = self.machine.handle_input(&self.inbox[..offered]);
        assert!(consumed <= offered);
        self.inbox.drain(..consumed);
        consumed
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
            assert!(
                !matches!(due, Due::NeedInput(_)),
                "needed input is not consumed: {:02x?}",
                self.inbox
            );
        }
    }

    /// Checks that input is consumed only for `NeedInput`, and otherwise changes nothing.
    pub fn consumes_nothing(&mut self, due: &Due) {
        // The empty slice is the last. It means that no bytes are left, so the machine forgets the offers before it.
        for early in [b"\x05", &b"\x05\x01\x00"[..], b"\x01\x01\x00\x00", &[0; 600], b""] {
            assert_eq!(self.machine.handle_input(early), 0, "{due:?}");
        }
        assert_eq!(self.machine.due(), *due);
    }

    /// Announces the end of the input. A second call means that no bytes are left.
    pub fn announce(&mut self) {
        self.machine.handle_eof();
        self.announced = true;
    }

    pub fn has_announced(&self) -> bool {
        self.announced
    }

    /// Announces the end of the input, and offers the remaining bytes, `n` at a time, until some are not consumed.
    pub fn end(&mut self, n: usize, due: &Due) {
        if !self.announced || self.inbox.is_empty() {
            self.announce();
        }
        self.offer(n, due);
    }

    /// Sends at most `n` of `bytes`, which the machine must send. Returns the bytes sent.
    pub fn send(&mut self, n: usize, bytes: &[u8]) -> Vec<u8> {
        assert!(!bytes.is_empty(), "`Transmit` is never empty");
        self.machine.sent(n);
        self.has_sent(&bytes[..n.min(bytes.len())])
    }

    /// Drains all of `bytes`, `n` at a time.
    #[cfg(feature = "bytes")]
    pub fn drain(&mut self, n: usize, bytes: &[u8]) -> Vec<u8> {
        assert!(!bytes.is_empty(), "`Transmit` is never empty");
        assert_eq!(self.machine.drain(n.max(1)), bytes);
        self.has_sent(bytes)
    }

    #[cfg(not(feature = "bytes"))]
    pub fn drain(&mut self, _: usize, bytes: &[u8]) -> Vec<u8> {
        self.send(usize::MAX, bytes)
    }

    fn has_sent(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.sent.extend_from_slice(bytes);
        bytes.to_vec()
    }

    /// Answers `due`, if it is a decision.
    pub fn decide(&mut self, due: &Due) {
        match due {
            Due::Transmit(_) | Due::NeedInput(_) => return,
            _ if due.is_end() => return,
            Due::Negotiate(_) if !self.take_raw() => self.machine.reject_negotiation(),
            _ => self.machine.decide(),
        }
        self.decisions.push(due.clone());
    }

    /// Removes the bytes that a negotiation consumes of the raw stream. Returns false if the stream ends before.
    pub fn take_raw(&mut self) -> bool {
        let len = self.machine.raw_negotiation();
        let raw = len.min(self.inbox.len());
        self.inbox.drain(..raw);
        raw == len
    }

    /// Receives `bytes`, unless the peer has ended.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !self.inbox_ended {
            self.inbox.extend_from_slice(bytes);
        }
    }

    fn may_use_tunnel(&mut self) -> bool {
        match self.poll() {
            Due::NeedInput(_) => self.machine.phase() == Some(Phase::Reply),
            due => matches!(due, Due::Served(_) | Due::Connected(..)),
        }
    }

    /// Runs until it has ended, or needs input that it does not have.
    pub fn finish(&mut self) {
        for _ in 0..MOST_OPERATIONS {
            if self.advance(usize::MAX).is_none() {
                return;
            }
        }
        panic!("unlimited steps: {:?}", self.decisions);
    }

    /// Runs as far as it can, and sends to `peer`. Returns whether it did anything.
    fn talk(&mut self, peer: &mut Self, chunk: usize) -> bool {
        let mut done = false;
        for _ in 0..MOST_OPERATIONS {
            if !self.tunnel.is_empty() && self.may_use_tunnel() {
                let tunnel = std::mem::take(&mut self.tunnel);
                peer.receive(&self.has_sent(tunnel));
                done = true;
            }
            match self.advance(chunk) {
                Some(sent) => peer.receive(&sent),
                None => return done,
            }
            done = true;
        }
        panic!("unlimited steps: {:?}", self.decisions);
    }
}

/// More steps than any machine takes before it needs input. Sending the longest GSSAPI token byte by byte takes 65,539.
const MOST_OPERATIONS: usize = 100_000;

/// Runs one machine against another until neither can continue, with at most `chunk` bytes at a time.
pub fn converse<'a>(client: &mut Side<'a>, server: &mut Side<'a>, chunk: usize) {
    while client.talk(server, chunk) | server.talk(client, chunk) {}
}

/// Does the same, but a side that has closed ends its side of the stream.
pub fn conclude<'a>(client: &mut Side<'a>, server: &mut Side<'a>, chunk: usize) {
    converse(client, server, chunk);
    client.inbox_ended |= matches!(server.end, Some(Due::Closed(_)));
    server.inbox_ended |= matches!(client.end, Some(Due::Closed(_)));
    converse(client, server, chunk);
}
