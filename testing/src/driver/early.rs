//! A caller that announces the end of input before it has handed over all that it holds, as an event loop may.

use super::{Due, Machine, Record, Script};

/// What happens around the announcement, and how the rest of the input is handed over after it.
#[derive(Clone, Copy, Debug)]
pub enum Rest {
    /// End, then all of the rest whenever it is due.
    Whole,
    /// End, then single bytes. Polls only when a byte is not consumed.
    ByteByByte,
    /// All of the rest, which is consumed in part at most, then the end. Then single bytes, polled after each.
    OfferedThenPolled,
    /// End, then all of the rest. Then single bytes, polled after each.
    WholeThenPolled,
}

pub const RESTS: [Rest; 4] = [
    Rest::Whole,
    Rest::ByteByByte,
    Rest::OfferedThenPolled,
    Rest::WholeThenPolled,
];

/// When the end is announced.
#[derive(Clone, Copy, Debug)]
pub struct Early {
    /// How many bytes of the input are consumed before.
    pub at: usize,
    /// Whether it is announced only when more is needed, and not as soon as `at` bytes are consumed.
    pub when_asked: bool,
    pub rest: Rest,
}

/// Runs `script` over `input`. The record has no `waits`.
pub fn run_early(script: &Script<'_>, input: &[u8], early: Early) -> Record {
    let mut caller = Caller {
        machine: script.start(),
        input,
        early,
        position: 0,
        announced: false,
        raw: 0,
    };
    let mut trace = Vec::new();
    for step in 0.. {
        assert!(step < 1_000 + 10 * input.len(), "unlimited steps: {trace:?}");
        let due = caller.machine.due();
        let asked = matches!(due, Due::NeedInput(_));
        if !caller.announced && caller.position >= early.at && (asked || !early.when_asked) {
            caller.announce();
            continue;
        }
        match due {
            Due::NeedInput(_) => {
                caller.hand_over();
                continue;
            }
            Due::Transmit(_) => caller.machine.sent(usize::MAX),
            Due::Negotiate(_) => caller.negotiate(),
            _ if due.is_end() => {
                trace.push(due);
                break;
            }
            _ => caller.machine.decide(),
        }
        trace.push(due);
    }
    Record {
        trace,
        waits: Vec::new(),
        unread: input[caller.position..].to_vec(),
    }
}

struct Caller<'a> {
    machine: Box<dyn Machine + 'a>,
    input: &'a [u8],
    early: Early,
    /// How much of the input is consumed.
    position: usize,
    announced: bool,
    /// How many bytes a negotiation has consumed.
    raw: usize,
}

impl Caller<'_> {
    fn announce(&mut self) {
        self.announced = true;
        match self.early.rest {
            Rest::Whole => {
                self.machine.handle_eof();
                self.offer(usize::MAX);
            }
            Rest::ByteByByte => {
                self.machine.handle_eof();
                while self.offer(1) {}
            }
            Rest::OfferedThenPolled => {
                self.offer(usize::MAX);
                self.machine.handle_eof();
            }
            Rest::WholeThenPolled => {
                self.machine.handle_eof();
                self.offer(usize::MAX);
            }
        }
    }

    /// Hands over some of the input that is needed.
    fn hand_over(&mut self) {
        let end = if self.announced {
            self.input.len()
        } else {
            self.early.at
        };
        let held = end - self.position;
        if held == 0 {
            // The machine has left bytes before, and does not know that the negotiation consumed them.
            assert!(self.raw > 0, "input is needed where none is left");
            self.end_again();
            return;
        }
        match self.early.rest {
            Rest::Whole => {
                self.offer(held);
            }
            Rest::ByteByByte => while self.position < end && self.offer(1) {},
            Rest::OfferedThenPolled | Rest::WholeThenPolled => {
                self.offer(1);
            }
        }
    }

    /// Says in one of two ways that nothing is left, which closes the machine.
    fn end_again(&mut self) {
        match self.early.rest {
            Rest::Whole | Rest::ByteByByte => self.machine.handle_eof(),
            _ => assert_eq!(self.machine.handle_input(&[]), 0),
        }
        assert!(self.machine.due().is_end(), "nothing is left to hand over");
    }

    /// Offers at most `n` bytes. Returns whether some were consumed.
    fn offer(&mut self, n: usize) -> bool {
        let held = &self.input[self.position..];
        let consumed = self.machine.handle_input(&held[..n.min(held.len())]);
        self.position += consumed;
        consumed > 0
    }

    fn negotiate(&mut self) {
        let raw = self
            .machine
            .raw_negotiation()
            .min(self.input.len() - self.position);
        self.position += raw;
        self.raw += raw;
        if raw == self.machine.raw_negotiation() {
            self.machine.decide();
        } else {
            self.machine.reject_negotiation();
        }
    }
}
