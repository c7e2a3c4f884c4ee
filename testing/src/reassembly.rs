//! A simple model of reassembly, and a comparison with the machine.

use core::time::Duration;

use allocation_counter::measure;
use sans_socks::AddressBuf;
use sans_socks::udp::{Datagram, Discard, Frag, Outcome, Reassembler, Storage};

use Discard::{AddressMismatch, Duplicate, Gap, InvalidFrag, NoStart, Reset, TooLarge, Unterminated};
use Expected::{Drop, Pending};

/// A reassembler with any storage.
pub trait Machine {
    fn handle_datagram<'a>(&'a mut self, now: Duration, datagram: Datagram<'a>) -> Outcome<'a>;
    fn handle_timeout(&mut self, now: Duration);
    fn poll_timeout(&self) -> Option<Duration>;
    fn buffered(&self) -> usize;
    fn reset(&mut self);
}

impl<B: Storage> Machine for Reassembler<Duration, B> {
    fn handle_datagram<'a>(&'a mut self, now: Duration, datagram: Datagram<'a>) -> Outcome<'a> {
        self.handle_datagram(now, datagram)
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.poll_timeout()
    }

    fn buffered(&self) -> usize {
        self.buffered()
    }

    fn reset(&mut self) {
        self.reset();
    }
}

/// The expected outcome of a datagram.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    Pending,
    Deliver(Vec<u8>),
    Drop(Discard),
}

impl From<Outcome<'_>> for Expected {
    fn from(outcome: Outcome<'_>) -> Self {
        match outcome {
            Outcome::Pending => Pending,
            Outcome::Deliver(datagram) => {
                assert_eq!(
                    datagram.header.frag,
                    Frag::STANDALONE,
                    "a delivered datagram is whole"
                );
                Self::Deliver(datagram.payload.to_vec())
            }
            Outcome::Dropped(reason) => Drop(reason),
        }
    }
}

/// The model, which stores the fragments and joins them at the end.
struct Naive {
    max_datagram: usize,
    room: usize,
    timeout: Duration,
    started: Duration,
    pieces: Vec<(AddressBuf, Vec<u8>)>,
    /// The length of a delivery, until the next call.
    delivered: usize,
}

impl Naive {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(|(_, payload)| payload.len()).sum()
    }

    fn buffered(&self) -> usize {
        self.bytes() + self.delivered
    }

    fn deadline(&self) -> Option<Duration> {
        (!self.pieces.is_empty()).then(|| self.started + self.timeout)
    }

    fn tick(&mut self, now: Duration) {
        self.delivered = 0;
        if !self.pieces.is_empty() && now >= self.started + self.timeout {
            self.pieces.clear();
        }
    }

    fn step(&mut self, now: Duration, frag: u8, address: &AddressBuf, payload: &[u8]) -> Expected {
        self.tick(now);
        let (position, last) = (usize::from(frag & 0x7f), frag & 0x80 != 0);
        if frag == 0x80 {
            return Drop(InvalidFrag);
        }
        if frag == 0x00 {
            self.pieces.clear();
            return Expected::Deliver(payload.to_vec());
        }
        let highest = self.pieces.len();
        let again = (address.clone(), payload.to_vec());
        if position == highest && frag != 0x81 && self.pieces.last() == Some(&again) {
            return Drop(Duplicate);
        }
        if position <= highest || position > highest + 1 {
            self.pieces.clear();
        }
        if position != self.pieces.len() + 1 {
            return Drop(if highest == 0 {
                NoStart
            } else if position <= highest {
                Reset
            } else {
                Gap
            });
        }
        let total = self.bytes() + payload.len();
        // A sequence of one fragment needs no room.
        let no_room = total > self.room && frag != 0x81;
        let fault = if self.pieces.first().is_some_and(|(first, _)| first != address) {
            Some(AddressMismatch)
        } else if total > self.max_datagram || no_room {
            Some(TooLarge)
        } else if frag == 0x7f {
            Some(Unterminated)
        } else {
            None
        };
        if let Some(fault) = fault {
            self.pieces.clear();
            return Drop(fault);
        }
        if self.pieces.is_empty() {
            self.started = now;
        }
        self.pieces.push((address.clone(), payload.to_vec()));
        if !last {
            return Pending;
        }
        let whole: Vec<u8> = self.pieces.drain(..).flat_map(|(_, payload)| payload).collect();
        self.delivered = if position == 1 { 0 } else { whole.len() };
        Expected::Deliver(whole)
    }
}

/// The machine and the model, with the same input.
pub struct Pair<'m> {
    machine: &'m mut dyn Machine,
    naive: Naive,
    now: Duration,
    /// Bytes of heap that the machine holds.
    heap: i64,
    /// The accepted fragments: time, position, address, payload.
    taken: Vec<(Duration, usize, AddressBuf, Vec<u8>)>,
}

impl<'m> Pair<'m> {
    /// Creates both for sequences of `max_datagram` bytes, of which `room` fit, with a timeout of 5 s.
    pub fn new(machine: &'m mut dyn Machine, max_datagram: usize, room: usize) -> Self {
        let naive = Naive {
            max_datagram,
            room,
            timeout: Duration::from_secs(5),
            started: Duration::ZERO,
            pieces: Vec::new(),
            delivered: 0,
        };
        Self {
            machine,
            naive,
            now: Duration::ZERO,
            heap: 0,
            taken: Vec::new(),
        }
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// The position that the model waits for.
    pub fn next_position(&self) -> u8 {
        self.naive.pieces.len() as u8 + 1
    }

    pub fn handle_timeout(&mut self) {
        self.heap += measure(|| self.machine.handle_timeout(self.now)).bytes_current;
        self.naive.tick(self.now);
        self.holds_the_same();
    }

    pub fn reset(&mut self) {
        self.heap += measure(|| self.machine.reset()).bytes_current;
        self.naive.pieces.clear();
        self.naive.delivered = 0;
        self.holds_the_same();
    }

    /// Handles a datagram with both, and checks that a delivery consists of consecutive fragments of one address, all within
    /// the timeout.
    pub fn handle_datagram(&mut self, datagram: Datagram<'_>) {
        let Datagram { header, payload } = datagram;
        let (frag, address) = (header.frag.get(), AddressBuf::from(header.address));
        let mut outcome = Outcome::Pending;
        self.heap += measure(|| outcome = self.machine.handle_datagram(self.now, datagram)).bytes_current;
        let delivered_to = match outcome {
            Outcome::Deliver(delivered) => Some(delivered.header.address.into()),
            _ => None,
        };
        let outcome = Expected::from(outcome);
        let stated = self.naive.step(self.now, frag, &address, payload);
        assert_eq!(outcome, stated, "FRAG {frag:#04x}");
        self.holds_the_same();

        let position = usize::from(frag & 0x7f);
        match outcome {
            Pending => self.taken.push((self.now, position, address, payload.to_vec())),
            Expected::Deliver(whole) if position > 1 => {
                // Positions 1..n in a row, with equal addresses, all within the timeout.
                let sequence = &self.taken[self.taken.len() + 1 - position..];
                for (index, piece) in sequence.iter().enumerate() {
                    assert_eq!((piece.1, &piece.2), (index + 1, &address));
                }
                assert!(self.now - sequence[0].0 < self.naive.timeout);
                let mut parts: Vec<u8> = sequence.iter().flat_map(|piece| piece.3.clone()).collect();
                parts.extend_from_slice(payload);
                assert_eq!((delivered_to, whole), (Some(address), parts));
            }
            Expected::Deliver(whole) => {
                assert_eq!((delivered_to, &whole[..]), (Some(address), payload));
            }
            Drop(_) => {}
        }
    }

    fn holds_the_same(&self) {
        let Naive {
            max_datagram, room, ..
        } = self.naive;
        assert_eq!(self.machine.buffered(), self.naive.buffered(), "bytes held");
        assert!(self.machine.buffered() <= max_datagram.min(room));
        assert!(self.heap <= max_datagram as i64, "{} bytes of heap", self.heap);
        assert_eq!(self.machine.poll_timeout(), self.naive.deadline());
    }
}
