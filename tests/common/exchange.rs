//! An exchange as the RFCs say that it goes, and the proof that a machine goes through it however its
//! octets are cut.

use sans_socks::{Error, Phase};

use super::{Client, Delivery, Due, Eof, Record, Script, Server, octets, run};

/// What stands behind the handshake in the same read. It begins like a message, so that a machine that reads
/// on too far has something to misread.
const TUNNEL: &[u8] = b"\x05\x01\x00\x01\x00 tunnel";

/// The messages, by what they are decided at.
#[derive(Clone, Copy, Debug)]
pub enum Message {
    Greeting,
    /// A selection or a status.
    TwoOctets,
    Credentials,
    Request,
    Reply,
}

/// The octets that `message` is decided at, counted from its first: where `needed` must end.
///
/// `octets` is a whole message, or one cut off where it shows a fault.
pub fn decision_points(message: Message, strict_reserved: bool, octets: &[u8]) -> Vec<usize> {
    let octet = |at: usize| octets.get(at).map_or(0, |octet| usize::from(*octet));
    let mut points = match message {
        Message::Greeting => return vec![2, 2 + octet(1)],
        Message::TwoOctets => return vec![2],
        Message::Credentials => return vec![2, 3 + octet(1), 3 + octet(1) + octet(2 + octet(1))],
        Message::Request => vec![4],
        Message::Reply => vec![2, 4],
    };
    if strict_reserved {
        points.push(3);
    }
    match octet(3) {
        1 => points.push(10),
        3 => points.extend([5, 7 + octet(4)]),
        4 => points.push(22),
        _ => {}
    }
    points.sort_unstable();
    points
}

/// One message that comes, as far as it is the handshake's, and what is sent before the next one is due.
struct Step {
    phase: Phase,
    takes: Vec<u8>,
    sends: Vec<u8>,
}

/// A script, what comes, and all that follows from it.
pub struct Exchange<'a> {
    name: String,
    script: Script<'a>,
    first: Vec<u8>,
    steps: Vec<Step>,
    leaves: Vec<u8>,
    decisions: Option<Vec<Due>>,
}

impl<'a> Exchange<'a> {
    pub fn server(name: impl Into<String>, script: Server<'a>) -> Self {
        Self::new(name.into(), Script::Server(script), "")
    }

    /// `first`: what the client sends before anything comes.
    pub fn client(name: impl Into<String>, script: Client<'a>, first: &str) -> Self {
        Self::new(name.into(), Script::Client(script), first)
    }

    fn new(name: String, script: Script<'a>, first: &str) -> Self {
        Self {
            name,
            script,
            first: octets(first),
            steps: Vec::new(),
            leaves: Vec::new(),
            decisions: None,
        }
    }

    /// In `phase` comes `takes`, upon which `sends` is sent.
    ///
    /// A faulty message is taken up to the octet that shows the fault: none, if that is VER.
    pub fn step(mut self, phase: Phase, takes: &str, sends: &str) -> Self {
        let (takes, sends) = (octets(takes), octets(sends));
        self.steps.push(Step { phase, takes, sends });
        self
    }

    /// Octets that come behind, and are not the handshake's.
    pub fn leaves(self, leaves: &str) -> Self {
        let leaves = octets(leaves);
        Self { leaves, ..self }
    }

    /// What the program is asked to decide, in order.
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

    /// Proves that the exchange goes so and ends with `end`: in one read, in every two, octet by octet, in
    /// reads of what `needed` says, as a chained `Buf`; with tunnel octets behind it; with every size of
    /// write; and what the end of input after each of its octets makes of it.
    pub fn ends(&self, end: &Due) {
        let whole = self.run(&Delivery::reads([[self.taken(), self.leaves.clone()].concat()]));
        let name = &self.name;
        let answers: Vec<u8> = self.steps.iter().flat_map(|step| step.sends.clone()).collect();
        let sends = [self.first.clone(), answers].concat();
        assert_eq!(hex::encode(whole.sent()), hex::encode(sends), "{name}: sent");
        assert_eq!(whole.end(), Some(end), "{name}: the end");
        assert_eq!(
            whole.waits,
            self.waits(),
            "{name}: the phases that wait for input"
        );
        assert_eq!(
            hex::encode(&whole.unread),
            hex::encode(&self.leaves),
            "{name}: left unread"
        );
        if let Some(decisions) = &self.decisions {
            assert_eq!(whole.decisions(), *decisions, "{name}: decisions");
        }
        self.is_split_invariant(&whole);
        self.is_write_invariant(&whole);
        self.asks_up_to_the_next_decision();
        self.names_the_phase_that_input_ends_in(&whole);
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
        let handshake = [self.taken(), self.leaves.clone()].concat();
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
                    // This goes on from message to message where nothing is due between them.
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
            let octetwise = Delivery::reads(input.chunks(1));
            assert_eq!(self.run(&octetwise), stated, "{name}: octet by octet");
            let exact = Delivery {
                exact: true,
                ..octetwise
            };
            assert_eq!(self.run(&exact), stated, "{name}: as `needed` says");
        }
    }

    fn is_write_invariant(&self, whole: &Record) {
        let input = [self.taken(), self.leaves.clone()].concat();
        let transmits = whole.trace.iter().map(|due| match due {
            Due::Transmit(octets) => octets.len(),
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
                    "{}: {write} octets a write",
                    self.name
                );
            }
        }
    }

    /// What the machine needs after each octet is what is missing up to the next decision.
    fn asks_up_to_the_next_decision(&self) {
        let strict = self.strict_reserved();
        let taken = self.taken();
        let mut start = 0;
        for Step { phase, takes, .. } in &self.steps {
            if let Some(message) = self.message(*phase) {
                let points = decision_points(message, strict, takes);
                for have in 0..takes.len() {
                    let needed = self.needed(&taken[..start + have]);
                    let point = points.iter().find(|point| **point > have).copied();
                    assert_eq!(
                        Some(have + needed),
                        point,
                        "{}: after {have} octets in {phase}",
                        self.name
                    );
                }
            }
            start += takes.len();
        }
    }

    /// What comes in `phase`; `None` while the program negotiates.
    fn message(&self, phase: Phase) -> Option<Message> {
        match (phase, &self.script) {
            (Phase::Greeting, _) => Some(Message::Greeting),
            (Phase::Authentication, Script::Server(_)) => Some(Message::Credentials),
            (Phase::MethodSelection | Phase::Authentication, _) => Some(Message::TwoOctets),
            (Phase::Request, _) => Some(Message::Request),
            (Phase::Reply | Phase::SecondReply, _) => Some(Message::Reply),
            _ => None,
        }
    }

    /// What a machine needs once it has gone as far as `come` takes it.
    fn needed(&self, come: &[u8]) -> usize {
        let mut machine = self.script.start();
        let mut rest = come;
        loop {
            match machine.due() {
                Due::NeedInput(needed) if rest.is_empty() => return needed,
                Due::NeedInput(_) => {
                    let taken = machine.handle_input(rest);
                    assert_ne!(taken, 0, "{}: {rest:02x?} is not taken", self.name);
                    rest = &rest[taken..];
                }
                Due::Transmit(_) => machine.sent(usize::MAX),
                Due::Negotiate(_) => {
                    rest = &rest[machine.raw_negotiation()..];
                    machine.decide();
                }
                due if due.is_end() => panic!("{}: over after {come:02x?}: {due:?}", self.name),
                _ => machine.decide(),
            }
        }
    }

    fn names_the_phase_that_input_ends_in(&self, whole: &Record) {
        let name = &self.name;
        let input = [self.taken(), self.leaves.clone()].concat();
        for at in 0..=input.len() {
            let mut sent = self.first.clone();
            let mut end = 0;
            let mut cut = None;
            for step in &self.steps {
                end += step.takes.len();
                // A version octet that is not taken must still be seen.
                if at < end + usize::from(step.takes.is_empty()) {
                    cut = Some(step.phase);
                    break;
                }
                sent.extend_from_slice(&step.sends);
            }
            for eof in [Eof::WhenAsked, Eof::AtOnce] {
                let record = self.run(&Delivery::reads([&input[..at]]).eof(eof));
                let what = format!("{name}: input ends after {at} octets, {eof:?}");
                match cut {
                    None => assert_eq!(record.trace, whole.trace, "{what}"),
                    Some(Phase::Negotiation) => {
                        assert_eq!(record.end(), Some(&Due::Closed(Error::Abandoned)), "{what}");
                    }
                    Some(phase) => assert_eq!(record.end().and_then(Due::eof_phase), Some(phase), "{what}"),
                }
                assert_eq!(hex::encode(record.sent()), hex::encode(&sent), "{what}: sent");
            }
        }
    }
}
