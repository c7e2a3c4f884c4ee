//! An exchange as the RFCs specify it, with checks that a machine follows it however the bytes are split.

use std::env;

use sans_socks::{Error, Phase};

use super::early::{Early, RESTS, run_early};
use super::{Client, Delivery, Due, Eof, Record, Script, Server, Side, run, unhex};

/// Bytes after the handshake in the same read. They begin like a message, so a machine that reads too far
/// misinterprets them.
const TUNNEL: &[u8] = b"\x05\x01\x00\x01\x00 tunnel";

/// The messages, by their decision points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Greeting,
    /// A selection or a status.
    TwoBytes,
    Credentials,
    Request,
    Reply,
    Socks4Request,
    Socks4Reply,
}

/// Returns how many bytes lead to the next decision about `message`, of which `have` bytes have been received.
///
/// `bytes` is a whole message, or one that ends at a fault.
pub fn next_decision(message: Message, strict_reserved: bool, bytes: &[u8], have: usize) -> Option<usize> {
    match message {
        Message::Socks4Request => Some(next_socks4_decision(bytes, have)),
        _ => decision_points(message, strict_reserved, bytes)
            .into_iter()
            .find(|point| *point > have),
    }
}

/// Does the same for a request of version 4. No length precedes its fields, so decisions depend on every byte.
fn next_socks4_decision(bytes: &[u8], have: usize) -> usize {
    let Some(fields) = bytes[..have].get(8..) else {
        // The shortest request has an empty user id: 8 bytes and the NULL.
        return 9;
    };
    let named = bytes[4..7] == [0, 0, 0] && bytes[7] != 0;
    let in_user_id = !fields.contains(&0);
    // A name can follow the NULL of the user id, and its first byte can be a fault. Byte 256 must be that NULL.
    let second = named && in_user_id && fields.len() < 255;
    have + 1 + usize::from(second)
}

/// Returns after how many bytes of `message` each decision about it is possible. `needed` must lead to these numbers.
///
/// `bytes` is a whole message, or one that ends at a fault.
fn decision_points(message: Message, strict_reserved: bool, bytes: &[u8]) -> Vec<usize> {
    let byte = |at: usize| bytes.get(at).map_or(0, |byte| usize::from(*byte));
    let mut points = match message {
        Message::Greeting => return vec![2, 2 + byte(1)],
        Message::TwoBytes => return vec![2],
        Message::Socks4Reply => return vec![2, 8],
        Message::Socks4Request => unreachable!("its decisions depend on every byte"),
        Message::Credentials => return vec![2, 3 + byte(1), 3 + byte(1) + byte(2 + byte(1))],
        Message::Request => vec![4],
        Message::Reply => vec![2, 4],
    };
    if strict_reserved {
        points.push(3);
    }
    match byte(3) {
        1 => points.push(10),
        3 => points.extend([5, 7 + byte(4)]),
        4 => points.push(22),
        _ => {}
    }
    points.sort_unstable();
    points
}

/// A message from the peer, up to the last byte consumed, and the bytes sent before the next message is needed.
struct Step {
    phase: Phase,
    takes: Vec<u8>,
    sends: Vec<u8>,
}

/// A script, the input, and all results that it must have.
pub struct Exchange<'a> {
    name: String,
    script: Script<'a>,
    first: Vec<u8>,
    steps: Vec<Step>,
    leaves: Vec<u8>,
    decisions: Option<Vec<Due>>,
    every_split: bool,
}

/// Returns whether an exchange with this byte is checked with every split and every end. These are assigned values, their
/// neighbours, and the first bytes of other protocols.
fn is_representative(byte: u8) -> bool {
    let assigned = matches!(byte, 0..=0x0a | 0x59..=0x5e | 0x7f..=0x81 | 0xef..=0xf8 | 0xfe | 0xff);
    assigned || b"\x15\x16\x1f\x20\x7eCDGHOPT".contains(&byte)
}

impl<'a> Exchange<'a> {
    pub fn server(name: impl Into<String>, script: Server<'a>) -> Self {
        Self::new(name.into(), Script::Server(script), "")
    }

    /// `first` has the bytes that the client sends before it has received anything.
    pub fn client(name: impl Into<String>, script: Client<'a>, first: &str) -> Self {
        Self::new(name.into(), Script::Client(script), first)
    }

    fn new(name: String, script: Script<'a>, first: &str) -> Self {
        Self {
            name,
            script,
            first: unhex(first),
            steps: Vec::new(),
            leaves: Vec::new(),
            decisions: None,
            every_split: true,
        }
    }

    /// Marks one of many exchanges that differ only in the value of a byte. For most values, [`ends`](Self::ends) uses only
    /// one read, and single bytes. If `SANS_SOCKS_EVERY_SPLIT` is set, it performs all its checks for every value.
    pub fn value(self, byte: u8) -> Self {
        let every_split = is_representative(byte) || env::var_os("SANS_SOCKS_EVERY_SPLIT").is_some();
        Self { every_split, ..self }
    }

    /// In `phase` the machine consumes `takes` and sends `sends`.
    ///
    /// A malformed message is consumed up to the byte that shows the fault, and not at all if that is VER.
    pub fn step(mut self, phase: Phase, takes: &str, sends: &str) -> Self {
        let (takes, sends) = (unhex(takes), unhex(sends));
        self.steps.push(Step { phase, takes, sends });
        self
    }

    /// Adds bytes after the last step, which are not consumed.
    pub fn leaves(self, leaves: &str) -> Self {
        let leaves = unhex(leaves);
        Self { leaves, ..self }
    }

    /// The decisions that the caller must take, in order.
    pub fn decides(self, decisions: impl IntoIterator<Item = Due>) -> Self {
        let decisions = Some(decisions.into_iter().collect());
        Self { decisions, ..self }
    }

    fn taken(&self) -> Vec<u8> {
        self.steps.iter().flat_map(|step| step.takes.clone()).collect()
    }

    fn strict_reserved(&self) -> bool {
        match &self.script {
            Script::Server(server) => server.config == server.config.with_strict_reserved(true),
            Script::Client(client) => client.config == client.config.with_strict_reserved(true),
        }
    }

    /// Checks the exchange, and that it ends with `end`:
    ///
    /// - in one read, in any two reads, byte by byte, in reads of `needed` bytes, as a chained `Buf`;
    /// - with tunnel bytes after it;
    /// - with writes of every size;
    /// - with the end of input after each byte, announced in time or early.
    pub fn ends(&self, end: &Due) {
        let whole = self.run(&Delivery::reads([self.input()]));
        let name = &self.name;
        let answers: Vec<u8> = self.steps.iter().flat_map(|step| step.sends.clone()).collect();
        let sends = [self.first.clone(), answers].concat();
        assert_eq!(hex::encode(whole.sent()), hex::encode(sends), "{name}: sent");
        assert_eq!(whole.end(), Some(end), "{name}: end");
        assert_eq!(whole.waits, self.waits(), "{name}: phases that need input");
        assert_eq!(
            hex::encode(&whole.unread),
            hex::encode(&self.leaves),
            "{name}: not consumed"
        );
        if let Some(decisions) = &self.decisions {
            assert_eq!(whole.decisions(), *decisions, "{name}: decisions");
        }
        if !self.every_split {
            assert_eq!(
                self.run(&Delivery::reads(self.input().chunks(1))),
                whole,
                "{name}: byte by byte"
            );
            return;
        }
        self.is_split_invariant(&whole);
        self.is_write_invariant(&whole);
        self.asks_up_to_the_next_decision();
        self.reports_where_input_ends(&whole);
        self.loses_nothing_to_an_early_end(&whole);
    }

    /// Returns all bytes that are received.
    fn input(&self) -> Vec<u8> {
        [self.taken(), self.leaves.clone()].concat()
    }

    fn run(&self, delivery: &Delivery) -> Record {
        run(&self.script, delivery)
    }

    fn waits(&self) -> Vec<Phase> {
        let phases = self.steps.iter().map(|step| step.phase);
        phases.filter(|phase| *phase != Phase::Negotiation).collect()
    }

    fn is_split_invariant(&self, whole: &Record) {
        let name = &self.name;
        let handshake = self.input();
        for behind in [&b""[..], TUNNEL] {
            let input = [&handshake, behind].concat();
            let stated = Record {
                unread: [&self.leaves, behind].concat(),
                ..whole.clone()
            };
            for at in 0..=input.len() {
                let (first, second) = input.split_at(at);
                let split = Delivery::reads([first, second]);
                assert_eq!(self.run(&split), stated, "{name}: split at {at}");
                if cfg!(feature = "bytes") && !behind.is_empty() {
                    // `handle_buf` continues with the next message, without a poll in between.
                    let chained = Delivery {
                        chained: true,
                        ..split
                    };
                    let waits = stated.waits.clone();
                    let chained = Record {
                        waits,
                        ..self.run(&chained)
                    };
                    assert_eq!(chained, stated, "{name}: chained at {at}");
                }
            }
            let bytewise = Delivery::reads(input.chunks(1));
            assert_eq!(self.run(&bytewise), stated, "{name}: byte by byte");
            let exact = Delivery {
                exact: true,
                ..bytewise
            };
            assert_eq!(self.run(&exact), stated, "{name}: `needed` bytes at a time");
        }
    }

    fn is_write_invariant(&self, whole: &Record) {
        let input = self.input();
        let transmits = whole.trace.iter().map(|due| match due {
            Due::Transmit(bytes) => bytes.len(),
            _ => 0,
        });
        let longest = transmits.max().unwrap_or(0);
        for write in 1..=longest + 1 {
            for drain in [false, true] {
                let delivery = Delivery {
                    write,
                    drain,
                    ..Delivery::reads([&input[..]])
                };
                assert_eq!(
                    self.run(&delivery),
                    *whole,
                    "{}: {write} bytes a write",
                    self.name
                );
            }
        }
    }

    /// After each byte, `needed` leads to the next decision. All bytes before arrive in one read, as the answer depends on
    /// it for a request of version 4: byte by byte, the machine asks for one byte more.
    fn asks_up_to_the_next_decision(&self) {
        let strict = self.strict_reserved();
        let taken = self.taken();
        let mut start = 0;
        for Step { phase, takes, .. } in &self.steps {
            if let Some(message) = self.message(*phase, takes) {
                for have in 0..takes.len() {
                    let needed = self.needed(&taken[..start + have]);
                    let point = match (message, have) {
                        // It could be a greeting.
                        (Message::Socks4Request, 0) => Some(2),
                        _ => next_decision(message, strict, takes, have),
                    };
                    assert_eq!(
                        Some(have + needed),
                        point,
                        "{}: after {have} bytes in {phase}",
                        self.name
                    );
                }
            }
            start += takes.len();
        }
    }

    /// Returns the message that is read in `phase`, or `None` during a negotiation.
    fn message(&self, phase: Phase, takes: &[u8]) -> Option<Message> {
        match (phase, &self.script) {
            (Phase::Greeting, Script::Server(server))
                if server.config.socks4() && takes.starts_with(&[4]) =>
            {
                Some(Message::Socks4Request)
            }
            (Phase::Reply | Phase::SecondReply, Script::Client(client)) if client.socks4.is_some() => {
                Some(Message::Socks4Reply)
            }
            (Phase::Greeting, _) => Some(Message::Greeting),
            (Phase::Authentication, Script::Server(_)) => Some(Message::Credentials),
            (Phase::MethodSelection | Phase::Authentication, _) => Some(Message::TwoBytes),
            (Phase::Request, _) => Some(Message::Request),
            (Phase::Reply | Phase::SecondReply, _) => Some(Message::Reply),
            _ => None,
        }
    }

    /// Returns how many bytes a machine needs after it has consumed `received`.
    fn needed(&self, received: &[u8]) -> usize {
        let mut machine = self.script.start();
        let mut side = Side::new(&mut *machine);
        side.inbox.extend_from_slice(received);
        side.finish();
        match side.due() {
            Due::NeedInput(needed) => needed,
            due => panic!("{}: ends after {received:02x?}: {due:?}", self.name),
        }
    }

    /// Checks that the error names the phase and the received length of the message in which the input ends.
    fn reports_where_input_ends(&self, whole: &Record) {
        let name = &self.name;
        let input = self.input();
        for at in 0..=input.len() {
            let mut sent = self.first.clone();
            let mut end = 0;
            let mut cut = None;
            for step in &self.steps {
                let start = end;
                end += step.takes.len();
                // A version byte that is not consumed must still be seen.
                if at < end + usize::from(step.takes.is_empty()) {
                    cut = Some((step.phase, at - start));
                    break;
                }
                sent.extend_from_slice(&step.sends);
            }
            for eof in [Eof::WhenAsked, Eof::AtOnce] {
                let record = self.run(&Delivery::reads([&input[..at]]).eof(eof));
                let what = format!("{name}: input ends after {at} bytes, {eof:?}");
                match cut {
                    None => assert_eq!(record.trace, whole.trace, "{what}"),
                    Some((Phase::Negotiation, _)) => {
                        assert_eq!(record.end(), Some(&Due::Closed(Error::Abandoned)), "{what}");
                    }
                    Some(cut) => assert_eq!(record.end().and_then(Due::eof), Some(cut), "{what}"),
                }
                assert_eq!(hex::encode(record.sent()), hex::encode(&sent), "{what}: sent");
            }
        }
    }

    /// Checks that announcing the end of input before the last bytes are offered changes nothing.
    fn loses_nothing_to_an_early_end(&self, whole: &Record) {
        let input = self.input();
        // Every position in short exchanges. In long ones, every 64th, and those around the first bytes of each message.
        let mut starts = vec![0];
        for step in &self.steps {
            starts.push(starts.last().unwrap_or(&0) + step.takes.len());
        }
        let is_near = |at: usize| starts.iter().any(|start| at.abs_diff(*start) < 6);
        let mut positions: Vec<usize> = (0..=input.len()).collect();
        if input.len() > 64 {
            positions.retain(|at| at % 64 == 0 || is_near(*at));
        }
        for at in positions {
            self.is_told_early(&input, at, whole);
            // The same with a part of the input: it ends in the middle of a message.
            let part = &input[..at];
            let cut = self.run(&Delivery::reads([part]).eof(Eof::WhenAsked));
            let before = if at % 2 == 0 { 0 } else { at - 1 };
            self.is_told_early(part, before, &cut);
        }
    }

    fn is_told_early(&self, input: &[u8], at: usize, late: &Record) {
        for rest in RESTS {
            for when_asked in [false, true] {
                let early = Early { at, when_asked, rest };
                let what = || format!("{}: {early:?} of {} bytes", self.name, input.len());
                let record = run_early(&self.script, input, early);
                assert_eq!(record.trace, late.trace, "{}", what());
                assert_eq!(record.unread, late.unread, "{}: not consumed", what());
            }
        }
    }
}
