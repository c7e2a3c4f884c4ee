//! A caller that announces the end of input before it has offered all the bytes that it holds, as an event loop may.

use super::{Due, Machine, Record, Script, Side};

/// The calls around the announcement, and how the rest of the input is offered after it.
#[derive(Clone, Copy, Debug)]
pub enum Rest {
    /// Announces the end, then offers all of the rest whenever input is needed.
    Whole,
    /// Announces the end, then offers single bytes. Polls only when a byte is not consumed.
    ByteByByte,
    /// Offers all of the rest, which is not consumed completely, then announces the end. Then offers single bytes, and polls
    /// after each.
    OfferedThenPolled,
    /// Announces the end, then offers all of the rest. Then offers single bytes, and polls after each.
    WholeThenPolled,
    /// Announces the end, then offers all of the rest twice before each poll, for any next step.
    BeforeEachPoll,
}

pub const RESTS: [Rest; 5] = [
    Rest::Whole,
    Rest::ByteByByte,
    Rest::OfferedThenPolled,
    Rest::WholeThenPolled,
    Rest::BeforeEachPoll,
];

/// When the end is announced.
#[derive(Clone, Copy, Debug)]
pub struct Early {
    /// How many bytes of the input are consumed before that.
    pub at: usize,
    /// Whether it is announced only when more is needed, and not as soon as `at` bytes are consumed.
    pub when_asked: bool,
    pub rest: Rest,
}

/// Runs `script` over `input`. The record has no `waits`.
pub fn run_early(script: &Script<'_>, input: &[u8], early: Early) -> Record {
    drive_early(&mut *script.start(), input, early)
}

/// Runs `machine` over `input`. The record has no `waits`.
pub fn drive_early(machine: &mut dyn Machine, input: &[u8], early: Early) -> Record {
    let mut side = Side::new(machine);
    side.inbox.extend_from_slice(input);
    let mut caller = Caller {
        side,
        len: input.len(),
        early,
        raw: 0,
    };
    let mut trace = Vec::new();
    for step in 0.. {
        assert!(step < 1_000 + 10 * input.len(), "unlimited steps: {trace:?}");
        caller.before_each_poll();
        let due = caller.side.poll();
        let asked = matches!(due, Due::NeedInput(_));
        let may_announce = caller.position() >= early.at && (asked || !early.when_asked);
        if !caller.side.has_announced() && may_announce {
            caller.announce();
            continue;
        }
        match &due {
            Due::NeedInput(_) => {
                caller.hand_over();
                continue;
            }
            Due::Transmit(bytes) => {
                caller.side.send(usize::MAX, bytes);
            }
            Due::Negotiate(_) => {
                let before = caller.position();
                caller.side.decide(&due);
                caller.raw += caller.position() - before;
            }
            _ if due.is_end() => {
                trace.push(due);
                break;
            }
            _ => caller.side.decide(&due),
        }
        trace.push(due);
    }
    Record {
        trace,
        waits: Vec::new(),
        unread: caller.side.inbox,
    }
}

struct Caller<'a> {
    side: Side<'a>,
    /// The length of the input.
    len: usize,
    early: Early,
    /// How many bytes a negotiation has consumed.
    raw: usize,
}

impl Caller<'_> {
    /// How much of the input is consumed.
    fn position(&self) -> usize {
        self.len - self.side.inbox.len()
    }

    fn announce(&mut self) {
        match self.early.rest {
            Rest::Whole | Rest::WholeThenPolled => {
                self.side.announce();
                self.offer(usize::MAX);
            }
            Rest::ByteByByte => {
                self.side.announce();
                while self.offer(1) {}
            }
            Rest::OfferedThenPolled => {
                self.offer(usize::MAX);
                self.side.announce();
            }
            Rest::BeforeEachPoll => self.side.announce(),
        }
    }

    /// Offers the rest twice. The second call offers bytes that are not needed, unless the machine consumes several messages
    /// without a poll.
    fn before_each_poll(&mut self) {
        if matches!(self.early.rest, Rest::BeforeEachPoll) && self.side.has_announced() {
            for _ in 0..2 {
                // An empty slice would mean that nothing is left.
                if !self.side.inbox.is_empty() {
                    self.offer(usize::MAX);
                }
            }
        }
    }

    /// Offers some of the input that is needed.
    fn hand_over(&mut self) {
        let end = if self.side.has_announced() {
            self.len
        } else {
            self.early.at
        };
        let held = end - self.position();
        if held == 0 {
            // The machine did not consume these bytes, and does not know that the negotiation has consumed them since.
            assert!(self.raw > 0, "input is needed although none is left");
            self.end_again();
            return;
        }
        match self.early.rest {
            Rest::Whole | Rest::BeforeEachPoll => {
                self.offer(held);
            }
            Rest::ByteByByte => while self.position() < end && self.offer(1) {},
            Rest::OfferedThenPolled | Rest::WholeThenPolled => {
                self.offer(1);
            }
        }
    }

    /// Announces in one of two ways that no bytes are left, which closes the machine.
    fn end_again(&mut self) {
        match self.early.rest {
            Rest::Whole | Rest::ByteByByte | Rest::BeforeEachPoll => self.side.announce(),
            Rest::OfferedThenPolled | Rest::WholeThenPolled => {
                assert_eq!(self.side.machine.handle_input(&[]), 0);
            }
        }
        assert!(self.side.poll().is_end(), "a machine without input closes");
    }

    /// Offers at most `n` bytes. Returns whether some were consumed.
    fn offer(&mut self, n: usize) -> bool {
        self.side.hand_over(n) > 0
    }
}
