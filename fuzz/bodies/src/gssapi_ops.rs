//! RFC 1961 over a context that checks its input. There are three targets: a negotiator of either role with the
//! messages of a peer, the layer with the frames of a peer, and two negotiators, followed by messages at the level that
//! they have agreed on.
//!
//! The input is a list of operations that [`Arbitrary`] decodes, so a finding is printed as such a list.

use std::collections::VecDeque;

use allocation_counter::measure;
use arbitrary::Arbitrary;
use sans_socks::gssapi::{
    ClientConfig, Encapsulation, Error, Negotiator, Protection, ProtectionLevel, ServerConfig,
};

use sans_socks_testing::driver::early::RESTS;
use sans_socks_testing::driver::{Due, Side};
use sans_socks_testing::gssapi::{
    Fake, Fault, Negotiation, OVERHEAD, converse, drive, drive_after_eof, frame, held, wrapped,
};

/// The objects under test, and the operations on them.
#[derive(Arbitrary, Clone, Debug)]
pub enum Scenario {
    /// A client, and the messages of its peer.
    Client { client: Client, ops: Vec<Op> },
    /// A server, and the messages of its peer.
    Server { server: Server, ops: Vec<Op> },
    /// The layer, and the frames of its peer.
    Stream { level: Level, ops: Vec<StreamOp> },
    /// A client and a server, and the messages after their negotiation.
    Conversation {
        client: Client,
        server: Server,
        ops: Vec<Message>,
    },
}

/// The settings of a client.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Client {
    pub proposed: Level,
    pub accepted: Levels,
    pub framing: Framing,
    pub context: Context,
}

/// The settings of a server.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Server {
    pub allowed: Levels,
    pub clear: bool,
    pub counter_offer: Level,
    pub framing: Framing,
    pub context: Context,
}

/// A level, or none.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Level {
    None,
    Integrity,
    Confidentiality,
    Selective,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Levels {
    pub integrity: bool,
    pub confidentiality: bool,
    pub selective: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Framing {
    pub nec: bool,
    pub max_token: MaxToken,
}

/// The limit for the tokens of a peer. Those of the context have 7 bytes.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum MaxToken {
    Default,
    Longest,
    Exact,
    TooShort,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Context {
    /// The number of tokens, 1 to 6. In a conversation, only the client's number is used.
    pub tokens: u8,
    pub lacks_integrity: bool,
    pub lacks_confidentiality: bool,
    pub fails: bool,
}

/// An operation on a negotiator. If it does not apply, it does nothing.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Op {
    /// Bytes arrive, unless the input has ended.
    Receive {
        piece: Piece,
    },
    /// Offers at most this many bytes.
    Offer {
        n: u8,
    },
    /// Offers at most the bytes needed, all of which must be consumed.
    OfferNeeded,
    /// Sends at most this many bytes.
    Send {
        n: u8,
    },
    Step,
    /// The input ends. The caller first announces the end, and then offers the bytes that it holds.
    End,
    Reject,
}

/// A message of the peer, or a part of one.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Piece {
    /// The next token.
    Token,
    /// An empty authentication message.
    Ready,
    Level {
        byte: u8,
        confidential: bool,
    },
    BareLevel {
        byte: u8,
    },
    Abort,
    Frame {
        mtyp: u8,
        token: [u8; 8],
    },
    /// The first bytes of this array.
    Raw {
        len: u8,
        bytes: [u8; 8],
    },
}

/// An operation on a layer.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum StreamOp {
    /// A good frame of this many bytes arrives.
    Seal {
        confidential: bool,
        len: u8,
    },
    /// Other bytes arrive.
    Receive {
        piece: Piece,
    },
    Offer {
        n: u8,
    },
}

/// A message of a conversation.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Message {
    pub to_server: bool,
    pub op: MessageOp,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum MessageOp {
    Select {
        confidential: bool,
    },
    Send {
        len: u8,
    },
    /// Sends more than fits in a frame. Only once, because it is slow.
    SendLong,
    Deliver {
        len: u8,
    },
    DeliverAll,
    /// An attacker flips a bit of the bytes that were not delivered.
    Flip {
        at: u16,
        bit: u8,
    },
    Datagram {
        len: u8,
    },
    /// An attacker changes a datagram, cuts it, and replays it.
    DatagramUnderAttack {
        len: u8,
        at: u8,
        bit: u8,
    },
}

const PROTECTIONS: [Protection; 2] = [Protection::Integrity, Protection::Confidentiality];

/// The length of the longest frame.
const MAX_FRAME: usize = 4 + 65_535;

impl Level {
    fn level(self) -> Option<ProtectionLevel> {
        match self {
            Self::None => None,
            Self::Integrity => Some(ProtectionLevel::Integrity),
            Self::Confidentiality => Some(ProtectionLevel::Confidentiality),
            Self::Selective => Some(ProtectionLevel::Selective),
        }
    }
}

impl Levels {
    fn levels(self) -> Vec<ProtectionLevel> {
        [
            (self.integrity, ProtectionLevel::Integrity),
            (self.confidentiality, ProtectionLevel::Confidentiality),
            (self.selective, ProtectionLevel::Selective),
        ]
        .into_iter()
        .filter_map(|(has, level)| has.then_some(level))
        .collect()
    }
}

impl MaxToken {
    fn bytes(self) -> u16 {
        match self {
            Self::Default => 16 * 1024,
            Self::Longest => u16::MAX,
            Self::Exact => 7,
            Self::TooShort => 6,
        }
    }
}

impl Context {
    fn tokens(self) -> usize {
        usize::from(1 + self.tokens % 6)
    }

    fn start(self, initiator: bool, tokens: usize) -> Fake {
        let mut context = if initiator {
            Fake::initiator(tokens)
        } else {
            Fake::acceptor(tokens)
        };
        context.services.integrity = !self.lacks_integrity;
        context.services.confidentiality = !self.lacks_confidentiality;
        context.failing_step = self.fails.then_some(2);
        context.sequence = false;
        context
    }
}

impl Client {
    fn start(self, tokens: usize) -> Negotiator<Fake> {
        let config = self
            .proposed
            .level()
            .map_or(ClientConfig::unprotected(), ClientConfig::new)
            .with_accepted(&self.accepted.levels())
            .with_nec(self.framing.nec)
            .with_max_token(self.framing.max_token.bytes());
        Negotiator::client(self.context.start(true, tokens), config)
    }
}

impl Server {
    fn start(self, tokens: usize) -> Negotiator<Fake> {
        let config = ServerConfig::new()
            .with_allowed(&self.allowed.levels())
            .with_clear(self.clear)
            .with_counter_offer(self.counter_offer.level())
            .with_nec(self.framing.nec)
            .with_max_token(self.framing.max_token.bytes());
        Negotiator::server(self.context.start(false, tokens), config)
    }
}

pub fn gssapi_ops(scenario: Scenario) {
    match scenario {
        Scenario::Client { client, ops } => {
            negotiation(|| client.start(client.context.tokens()), true, &ops);
        }
        Scenario::Server { server, ops } => {
            negotiation(|| server.start(server.context.tokens()), false, &ops);
        }
        Scenario::Stream { level, ops } => stream(level.level(), &ops),
        Scenario::Conversation { client, server, ops } => {
            let tokens = client.context.tokens();
            conversation(client.start(tokens), server.start(tokens), &ops);
        }
    }
}

/// The bytes that the peer of one side sends.
struct Peer {
    initiator: bool,
    next_token: usize,
}

impl Peer {
    fn bytes(&mut self, piece: Piece) -> Vec<u8> {
        match piece {
            Piece::Token => {
                let token = format!("token {}", self.next_token);
                self.next_token += 2;
                frame(1, token.as_bytes())
            }
            Piece::Ready => frame(1, b""),
            Piece::Level { byte, confidential } => {
                let protection = PROTECTIONS[usize::from(confidential)];
                frame(2, &wrapped(self.initiator, protection, &[byte]))
            }
            Piece::BareLevel { byte } => frame(2, &[byte]),
            Piece::Abort => b"\x01\xff".to_vec(),
            Piece::Frame { mtyp, token } => frame(mtyp, &token),
            Piece::Raw { len, bytes } => bytes[..usize::from(len) % (bytes.len() + 1)].to_vec(),
        }
    }
}

/// Checks that the operations have the same result as one read of all bytes, with the end announced after them or before.
fn negotiation(start: impl Fn() -> Negotiator<Fake>, is_client: bool, ops: &[Op]) {
    let mut peer = Peer {
        initiator: !is_client,
        next_token: usize::from(is_client),
    };
    let mut negotiation = Negotiation::from(start());
    let mut side = Side::new(&mut negotiation);
    let mut run = Run::default();
    for op in ops {
        run.act(*op, &mut side, &mut peer);
    }
    side.inbox_ended = true;
    side.finish();
    let (sent, unread) = (side.sent, side.inbox);

    let wire = &run.wire;
    let whole = drive(start(), &[wire]).facts();
    assert!(wire.ends_with(&whole.1), "the bytes left are the last ones");
    for rest in RESTS {
        assert_eq!(drive_after_eof(start(), wire, rest).facts(), whole, "{rest:?}");
    }
    if run.rejected {
        assert!(sent.ends_with(if is_client { b"" } else { b"\x01\xff" }));
        return;
    }
    assert_eq!(negotiation.outcome(sent, unread).facts(), whole);
}

/// What the operations have done.
#[derive(Default)]
struct Run {
    /// All bytes that the peer has sent.
    wire: Vec<u8>,
    rejected: bool,
}

impl Run {
    fn act(&mut self, op: Op, side: &mut Side<'_>, peer: &mut Peer) {
        let due = side.due();
        match (op, &due) {
            (Op::Receive { .. }, _) if side.inbox_ended => {}
            (Op::Receive { piece }, _) => {
                let bytes = peer.bytes(piece);
                self.wire.extend_from_slice(&bytes);
                side.receive(&bytes);
            }
            (Op::Offer { n }, _) => {
                side.offer(n.into(), &due);
            }
            (Op::OfferNeeded, _) => side.offer_needed(&due),
            (Op::Send { n }, Due::Transmit(bytes)) => {
                side.send(n.into(), bytes);
            }
            (Op::Step, Due::Step) => side.decide(&due),
            (Op::End, _) => {
                side.inbox_ended = true;
                side.end(usize::MAX, &due);
            }
            // After the agreement, further bytes belong to the layer.
            (Op::Reject, Due::Negotiated) => {}
            (Op::Reject, _) => {
                side.machine.reject_negotiation();
                self.rejected |= !due.is_end();
            }
            (Op::Send { .. } | Op::Step, _) => {}
        }
        side.due();
    }
}

/// Returns the layer of a side whose context was not negotiated.
fn layer(initiator: bool, level: ProtectionLevel) -> Encapsulation<Fake> {
    let context = if initiator {
        Fake::initiator(0)
    } else {
        Fake::acceptor(0)
    };
    Encapsulation::new(context, level)
}

/// Checks that frames and other bytes have the same plaintext and the same end in every split.
fn stream(level: Option<ProtectionLevel>, ops: &[StreamOp]) {
    let level = level.unwrap_or(ProtectionLevel::Selective);
    let mut sender = layer(true, ProtectionLevel::Selective);
    let mut peer = Peer {
        initiator: true,
        next_token: 0,
    };
    let mut serial = Serial::default();
    let (mut wire, mut cuts) = (Vec::new(), vec![0]);
    for op in ops {
        match *op {
            StreamOp::Seal { confidential, len } => {
                sender.select(PROTECTIONS[usize::from(confidential)]);
                sender
                    .encapsulate(&serial.take(len), &mut wire)
                    .expect("a context that works");
            }
            StreamOp::Receive { piece } => wire.extend(peer.bytes(piece)),
            StreamOp::Offer { n } => cuts.push(wire.len().min(cuts[cuts.len() - 1] + usize::from(n))),
        }
    }
    cuts.push(wire.len());
    let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]).collect();
    let whole = decapsulated(layer(false, level), &[&wire]);
    assert_eq!(decapsulated(layer(false, level), &pieces), whole);
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(decapsulated(layer(false, level), &bytes), whole);
}

/// Generates payloads whose bytes count up.
#[derive(Default)]
struct Serial(u8);

impl Serial {
    fn take(&mut self, len: u8) -> Vec<u8> {
        let mut next = || {
            self.0 = self.0.wrapping_add(1);
            self.0
        };
        (0..len % 32).map(|_| next()).collect()
    }
}

/// Returns the plaintext and the end of the stream.
fn decapsulated(mut layer: Encapsulation<Fake>, pieces: &[&[u8]]) -> (Vec<u8>, Result<(), Error<Fault>>) {
    let mut plain = Vec::new();
    let mut given = 0;
    for piece in pieces {
        let mut rest = *piece;
        given += rest.len();
        while !rest.is_empty() {
            let before = (plain.clone(), layer.last_protection());
            let mut outcome = Ok(0);
            let memory = measure(|| outcome = layer.decapsulate(rest, &mut plain));
            assert!(memory.bytes_max <= held(given), "more memory than bytes arrived");
            match outcome {
                Ok(consumed) => {
                    assert!(consumed > 0 && consumed <= rest.len().min(MAX_FRAME));
                    assert!(plain.starts_with(&before.0) && plain.len() - before.0.len() <= MAX_FRAME);
                    assert!(plain.len() == before.0.len() || layer.last_protection().is_some());
                    rest = &rest[consumed..];
                }
                Err(error) => {
                    assert!(plain == before.0, "nothing is appended after an error");
                    assert_eq!(layer.last_protection(), before.1);
                    has_failed(&mut layer);
                    return (plain, Err(error));
                }
            }
        }
    }
    let end = layer.handle_eof();
    (plain, end)
}

/// Checks that a stream that has failed has failed in both directions.
fn has_failed(layer: &mut Encapsulation<Fake>) {
    let mut out = b"before".to_vec();
    for _ in 0..2 {
        assert_eq!(layer.decapsulate(b"\x01\x03\0\0", &mut out), Err(Error::Failed));
        assert_eq!(layer.encapsulate(b"plain", &mut out), Err(Error::Failed));
        assert_eq!(
            layer.decapsulate_datagram(b"\x01\x03\0\0", &mut out),
            Err(Error::Failed)
        );
        assert_eq!(layer.encapsulate_datagram(b"plain", &mut out), Err(Error::Failed));
        assert_eq!(layer.handle_eof(), Err(Error::Failed));
    }
    assert_eq!(out, b"before");
}

/// Checks that two negotiators agree or both fail, and that their layers then understand each other.
fn conversation(client: Negotiator<Fake>, server: Negotiator<Fake>, ops: &[Message]) {
    let (client, server) = converse(client, server);
    let ends = (client.facts().2, server.facts().2);
    let stuck = matches!(ends, (Err(Error::Abandoned), Err(Error::Abandoned)));
    assert!(!stuck, "deadlock");
    // Only the client can refuse the level that the server has chosen.
    if ends.0.is_ok() {
        assert_eq!(ends.0, ends.1);
        assert!(client.unread.is_empty() && server.unread.is_empty());
    }
    if let (Ok(client), Ok(server)) = (client.end, server.end) {
        traffic(client, server, ops);
    }
}

/// One direction of a stream.
#[derive(Default)]
struct Way {
    sent: Vec<u8>,
    /// How each message was protected, in the order of `sent`, and how long its plaintext was.
    protections: VecDeque<(Option<Protection>, usize)>,
    wire: Vec<u8>,
    received: Vec<u8>,
    changed: bool,
    failed: bool,
}

impl Way {
    fn send(&mut self, from: &mut Encapsulation<Fake>, plain: &[u8], selected: Protection) {
        from.encapsulate(plain, &mut self.wire)
            .expect("a context that works");
        self.sent.extend_from_slice(plain);
        let protection = match from.level() {
            None => return,
            Some(ProtectionLevel::Integrity) => Protection::Integrity,
            Some(ProtectionLevel::Confidentiality) => Protection::Confidentiality,
            Some(ProtectionLevel::Selective) => selected,
        };
        let pieces = plain.chunks(65_535 - OVERHEAD);
        self.protections
            .extend(pieces.map(|piece| (Some(protection), piece.len())));
    }

    fn deliver(&mut self, to: &mut Encapsulation<Fake>, n: usize) {
        let n = n.min(self.wire.len());
        if n == 0 || self.failed {
            return;
        }
        let before = self.received.len();
        match to.decapsulate(&self.wire[..n], &mut self.received) {
            Ok(consumed) => {
                assert!(consumed > 0 && consumed <= n);
                self.wire.drain(..consumed);
                if to.level().is_some() && self.received.len() > before {
                    let message = (to.last_protection(), self.received.len() - before);
                    assert_eq!(self.protections.pop_front(), Some(message));
                }
            }
            Err(_) => {
                assert!(self.changed, "an error without an attack");
                has_failed(to);
                self.failed = true;
            }
        }
        assert!(
            self.sent.starts_with(&self.received),
            "only what was sent, in order"
        );
    }
}

fn traffic(client: Encapsulation<Fake>, server: Encapsulation<Fake>, ops: &[Message]) {
    let protected = client.level().is_some();
    let mut ends = [client, server];
    let mut ways = [Way::default(), Way::default()];
    let default =
        |end: &Encapsulation<Fake>| PROTECTIONS[usize::from(end.context().services.confidentiality)];
    let mut selected = [default(&ends[0]), default(&ends[1])];
    let mut long = &[0x5a; 70_000][..];
    let mut serial = Serial::default();
    for Message { to_server, op } in ops {
        if ways.iter().any(|way| way.failed) {
            // Both directions have ended.
            return;
        }
        let at = usize::from(!to_server);
        let [one, other] = &mut ends;
        let (from, to) = if at == 0 { (one, other) } else { (other, one) };
        let way = &mut ways[at];
        match *op {
            MessageOp::Select { confidential } => {
                if !confidential || from.context().services.confidentiality {
                    selected[at] = PROTECTIONS[usize::from(confidential)];
                    from.select(selected[at]);
                }
            }
            MessageOp::Send { len } => way.send(from, &serial.take(len), selected[at]),
            MessageOp::SendLong => way.send(from, std::mem::take(&mut long), selected[at]),
            MessageOp::Deliver { len } => way.deliver(to, len.into()),
            MessageOp::DeliverAll => way.deliver(to, usize::MAX),
            MessageOp::Flip { at, bit } => {
                if let Some(byte) = way.wire.get_mut(usize::from(at)).filter(|_| protected) {
                    *byte ^= 1 << (bit % 8);
                    way.changed = true;
                }
            }
            MessageOp::Datagram { len } => datagram(from, to, &serial.take(len)),
            MessageOp::DatagramUnderAttack { len, at, bit } if protected => {
                datagram_under_attack(from, to, &serial.take(len), at, bit);
            }
            MessageOp::DatagramUnderAttack { .. } => {}
        }
    }
    let [client, server] = &mut ends;
    for (way, to) in ways.iter_mut().zip([server, client]) {
        while !way.wire.is_empty() && !way.failed && !way.changed {
            way.deliver(to, usize::MAX);
        }
        if !way.changed {
            assert!(way.received == way.sent && way.protections.is_empty());
            assert_eq!(to.handle_eof(), Ok(()));
        }
    }
}

fn sealed(from: &mut Encapsulation<Fake>, plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    from.encapsulate_datagram(plain, &mut wire)
        .expect("a context that works");
    assert!(
        from.max_plain(wire.len()) >= plain.len(),
        "the plaintext would have fit"
    );
    wire
}

/// Checks that a datagram is received as it was sent.
fn datagram(from: &mut Encapsulation<Fake>, to: &mut Encapsulation<Fake>, plain: &[u8]) {
    let wire = sealed(from, plain);
    let mut received = b"before".to_vec();
    assert_eq!(to.decapsulate_datagram(&wire, &mut received), Ok(()));
    assert_eq!(received, [b"before", plain].concat());
}

/// Checks that a datagram that was changed, cut or replayed is dropped, with no effect on the original.
fn datagram_under_attack(
    from: &mut Encapsulation<Fake>,
    to: &mut Encapsulation<Fake>,
    plain: &[u8],
    at: u8,
    bit: u8,
) {
    let wire = sealed(from, plain);
    let at = usize::from(at) % wire.len();
    let mut changed = wire.clone();
    changed[at] ^= 1 << (bit % 8);
    let mut received = b"before".to_vec();
    for bad in [&changed, &wire[..at]] {
        to.decapsulate_datagram(bad, &mut received)
            .expect_err("it was changed or cut");
        assert_eq!(received, b"before");
    }
    assert_eq!(to.decapsulate_datagram(&wire, &mut received), Ok(()));
    to.decapsulate_datagram(&wire, &mut received)
        .expect_err("a replay");
    assert_eq!(received, [b"before", plain].concat());
}
