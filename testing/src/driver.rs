//! The driver of the tests. It runs any machine of the crate over a script of bytes ([`run`], [`drive`]), against another
//! machine ([`converse`]), or by single operations in any order ([`Side`]). On the way it checks the invariants of every
//! machine.

pub mod early;
pub mod exchange;

mod due;
mod machine;
mod script;
mod side;

use std::collections::VecDeque;

use sans_socks::{Address, Phase};

pub use due::Due;
pub use machine::{Caller, Machine};
pub use script::{Client, Script, Server, Verdict};
pub use side::{Side, conclude, converse};

/// Returns the bytes that `text` spells in hex. Blanks are ignored.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(&digits).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Parses `host:port`.
pub fn address(text: &str) -> Address<'_> {
    Address::try_from(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// When the driver announces the end of input, once it has offered everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eof {
    Never,
    /// When the machine needs more input.
    WhenAsked,
    /// As soon as the machine has consumed the last byte, for any next step.
    AtOnce,
}

/// How bytes are transferred, in both directions.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The result of each read.
    pub reads: Vec<Vec<u8>>,
    /// Reads exactly `needed` bytes of the concatenated `reads`.
    pub exact: bool,
    /// Passes the input as one `Buf`, a chain of the reads.
    pub chained: bool,
    /// Drains `Transmit` as a `Buf`.
    pub drain: bool,
    /// The most bytes that one write accepts.
    pub write: usize,
    pub eof: Eof,
}

impl Delivery {
    pub fn reads<T: Into<Vec<u8>>>(reads: impl IntoIterator<Item = T>) -> Self {
        Self {
            reads: reads.into_iter().map(Into::into).collect(),
            exact: false,
            chained: false,
            drain: false,
            write: usize::MAX,
            eof: Eof::Never,
        }
    }

    pub fn eof(self, eof: Eof) -> Self {
        Self { eof, ..self }
    }
}

/// What happened in an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Every step except `NeedInput`, in order.
    pub trace: Vec<Due>,
    /// The phases that needed input.
    pub waits: Vec<Phase>,
    /// The input that the machine and its negotiation have not consumed.
    pub unread: Vec<u8>,
}

impl Record {
    pub fn sent(&self) -> Vec<u8> {
        let sent = self.trace.iter().filter_map(|due| match due {
            Due::Transmit(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        sent.collect::<Vec<_>>().concat()
    }

    /// The decisions that the caller had to take.
    pub fn decisions(&self) -> Vec<Due> {
        let decisions = self
            .trace
            .iter()
            .filter(|due| !due.is_end() && !matches!(due, Due::Transmit(_)));
        decisions.cloned().collect()
    }

    /// How it ended, or `None` if the machine still needs input.
    pub fn end(&self) -> Option<&Due> {
        self.trace.last().filter(|due| due.is_end())
    }
}

/// Runs `script` over `delivery`, and checks the invariants of every exchange.
pub fn run(script: &Script<'_>, delivery: &Delivery) -> Record {
    drive(&mut *script.start(), delivery)
}

/// More steps than any exchange has. Bytes that are sent at once are one step.
const MOST_STEPS: usize = 100;

/// Runs `machine` over `delivery`, and checks the invariants of every machine.
pub fn drive(machine: &mut dyn Machine, delivery: &Delivery) -> Record {
    let mut side = Side::new(machine);
    let mut reads = Reads::new(delivery);
    let mut trace = Vec::new();
    let mut waits = Vec::new();
    loop {
        reads.eof_at_once(&mut side);
        let due = side.due();
        match &due {
            Due::NeedInput(needed) => {
                let phase = side.machine.phase();
                if waits.last() != phase.as_ref() {
                    waits.extend(phase);
                }
                if !reads.give(&mut side, *needed) {
                    break;
                }
                continue;
            }
            Due::Transmit(bytes) => transmit(&mut side, bytes, delivery),
            Due::Negotiate(_) => {
                side.consumes_nothing(&due);
                reads.fill(&mut side);
                if side.take_raw() {
                    reads.eof_at_once(&mut side);
                    side.machine.decide();
                } else {
                    side.machine.reject_negotiation();
                }
            }
            _ if due.is_end() => {
                side.consumes_nothing(&due);
                side.machine.handle_eof();
                side.consumes_nothing(&due);
                trace.push(due);
                break;
            }
            _ => {
                side.consumes_nothing(&due);
                side.machine.decide();
            }
        }
        trace.push(due);
        assert!(trace.len() < MOST_STEPS, "unlimited steps: {trace:?}");
    }
    let unread = reads.unread(side);
    Record { trace, waits, unread }
}

/// Sends all of `bytes`, as `delivery` specifies.
fn transmit(side: &mut Side<'_>, bytes: &[u8], delivery: &Delivery) {
    if delivery.drain {
        side.drain(delivery.write, bytes);
        return;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let due = Due::Transmit(rest.to_vec());
        side.consumes_nothing(&due);
        side.send(0, rest);
        assert_eq!(side.due(), due, "unsent bytes stay pending");
        side.send(delivery.write, rest);
        rest = rest.get(delivery.write..).unwrap_or_default();
    }
}

/// The input that the driver can still read.
struct Reads<'a> {
    delivery: &'a Delivery,
    reads: VecDeque<Vec<u8>>,
}

impl<'a> Reads<'a> {
    fn new(delivery: &'a Delivery) -> Self {
        Self {
            delivery,
            reads: delivery.reads.iter().cloned().collect(),
        }
    }

    /// Offers some input, or announces the end. Returns false if there is neither.
    fn give(&mut self, side: &mut Side<'_>, needed: usize) -> bool {
        if side.inbox.is_empty() {
            match self.read(needed) {
                Some(read) => side.inbox = read,
                None if self.delivery.eof == Eof::WhenAsked && !side.has_announced() => {
                    side.announce();
                    return true;
                }
                None => return false,
            }
        }
        let due = Due::NeedInput(needed);
        if self.delivery.chained {
            let first = side.inbox.len();
            side.inbox.extend(self.reads.pop_front().unwrap_or_default());
            side.offer_chained(first, &due);
            return true;
        }
        let offered = side.inbox.len();
        let consumed = side.offer(usize::MAX, &due);
        if self.delivery.exact && consumed > 0 {
            assert_eq!(consumed, offered, "`needed` never exceeds the message");
        }
        true
    }

    fn read(&mut self, needed: usize) -> Option<Vec<u8>> {
        if !self.delivery.exact {
            return self.reads.pop_front();
        }
        let mut all = std::mem::take(&mut self.reads).into_iter().flatten();
        let read: Vec<u8> = all.by_ref().take(needed).collect();
        self.reads.push_back(all.collect());
        (!read.is_empty()).then_some(read)
    }

    /// Reads until the side holds all bytes that a negotiation consumes from the raw stream, or none are left.
    fn fill(&mut self, side: &mut Side<'_>) {
        let len = side.machine.raw_negotiation();
        while side.inbox.len() < len {
            match self.read(len - side.inbox.len()) {
                Some(read) => side.inbox.extend(read),
                None => return,
            }
        }
    }

    fn eof_at_once(&self, side: &mut Side<'_>) {
        let empty = side.inbox.is_empty() && self.reads.iter().all(Vec::is_empty);
        if self.delivery.eof == Eof::AtOnce && empty && !side.has_announced() {
            side.announce();
        }
    }

    fn unread(self, side: Side<'_>) -> Vec<u8> {
        let reads = self.reads.into_iter().flatten();
        side.inbox.into_iter().chain(reads).collect()
    }
}
