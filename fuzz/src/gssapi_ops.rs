//! RFC 1961 over a context that checks what it is given: frames as a peer may send them, whole and in pieces; two
//! negotiators against each other, and what they agreed on with octets changed on the way.

use allocation_counter::measure;
use sans_socks::gssapi::{
    ClientConfig, Context, Encapsulation, Error, Negotiator, Protection, ProtectionLevel, ServerConfig,
};

use super::context::{Fake, Fault, converse, drive, frame, held, wrapped};
use super::octets::{Octets, pieces};

const LEVELS: [Option<ProtectionLevel>; 4] = [
    None,
    Some(ProtectionLevel::Integrity),
    Some(ProtectionLevel::Confidentiality),
    Some(ProtectionLevel::Selective),
];
const PROTECTIONS: [Protection; 2] = [Protection::Integrity, Protection::Confidentiality];

/// The octets that a negotiator is chosen by.
const PROGRAM: usize = 6;

/// The most that a frame may have.
const MAX_FRAME: usize = 4 + 65_535;

impl Octets<'_> {
    fn client_config(&mut self) -> ClientConfig {
        let config = self
            .choose(LEVELS)
            .map_or(ClientConfig::clear(), ClientConfig::new);
        let config = match self.choose(LEVELS) {
            Some(level) => config.with_accepted(&[level]),
            None => config,
        };
        let (flags, max_token) = (self.octet(), self.max_token());
        config.with_nec(flags & 1 != 0).with_max_token(max_token)
    }

    fn server_config(&mut self) -> ServerConfig {
        let config = match self.octet() {
            0 => ServerConfig::new(),
            some => {
                let of = |bit: usize| LEVELS[bit].filter(|_| some & 1 << bit != 0);
                let levels: Vec<_> = (1..4).filter_map(of).collect();
                ServerConfig::new().with_allowed(&levels)
            }
        };
        let config = match self.choose(LEVELS) {
            Some(level) => config.with_counter_offer(Some(level)),
            None => config,
        };
        let (flags, max_token) = (self.octet(), self.max_token());
        config
            .with_clear(flags & 2 != 0)
            .with_nec(flags & 1 != 0)
            .with_max_token(max_token)
    }

    fn max_token(&mut self) -> u16 {
        self.choose([16 * 1024, 16 * 1024, 16 * 1024, 8, 7, u16::MAX])
    }

    fn context(&mut self, initiator: bool, tokens: usize) -> Fake {
        let mut context = match initiator {
            true => Fake::initiator(tokens),
            false => Fake::acceptor(tokens),
        };
        let flags = self.octet();
        context.services.integrity = flags & 1 == 0;
        context.services.confidentiality = flags & 2 == 0;
        context.failing_step = (flags >> 4 == 15).then_some(2);
        context.sequence = false;
        context
    }

    fn negotiator(&mut self, initiator: bool, tokens: usize) -> Negotiator<Fake> {
        let context = self.context(initiator, tokens);
        match initiator {
            true => Negotiator::client(context, self.client_config()),
            false => Negotiator::server(context, self.server_config()),
        }
    }
}

pub fn gssapi_ops(input: &[u8]) {
    let mut input = Octets(input);
    match input.octet() % 3 {
        0 => negotiator_split(input),
        1 => decapsulation_split(input),
        _ => conversation(input),
    }
}

/// One side, and frames that its peer may send.
fn negotiator_split(mut input: Octets<'_>) {
    let initiator = input.octet() & 1 == 0;
    let tokens = usize::from(1 + input.octet() % 6);
    let seed = u64::from(input.u16()) * 0x0001_0001_0001_0001;
    // Each run begins with a context that has seen nothing.
    let program = Octets(input.take(PROGRAM));
    let start = || Octets(program.0).negotiator(initiator, tokens);

    let mut token = usize::from(initiator);
    let mut wire = Vec::new();
    while let Some(op) = input.next_op() {
        match op % 8 {
            // The token that is due next.
            0..=2 => {
                wire.extend(frame(1, format!("token {token}").as_bytes()));
                token += 2;
            }
            3 => wire.extend(frame(1, b"")),
            4 => wire.extend(frame(
                2,
                &wrapped(!initiator, PROTECTIONS[usize::from(op >> 7)], &[op >> 3 & 7]),
            )),
            5 => wire.extend(frame(2, &[op >> 3 & 7])),
            6 => wire.extend(frame(op >> 3 & 3, input.take(9))),
            _ => wire.extend_from_slice(input.take(usize::from(op >> 3))),
        }
    }
    let whole = drive(start(), &[&wire]).facts();
    assert!(
        wire.ends_with(&whole.1),
        "what is left is the end of what was given"
    );
    assert_eq!(drive(start(), &pieces(seed, &wire)).facts(), whole);
}

/// A layer that wraps for [`Fake::initiator`]'s peer, or reads what that has wrapped.
fn layer(initiator: bool, level: ProtectionLevel, sequence: bool) -> Encapsulation<Fake> {
    let mut context = match initiator {
        true => Fake::initiator(0),
        false => Fake::acceptor(0),
    };
    context.sequence = sequence;
    Encapsulation::new(context, level)
}

/// The stream behind a negotiation: good frames, and octets as the fuzzer likes.
fn decapsulation_split(mut input: Octets<'_>) {
    let level = input.choose(LEVELS).unwrap_or(ProtectionLevel::Selective);
    let seed = u64::from(input.u16()) * 0x0001_0001_0001_0001;
    let mut sender = layer(true, ProtectionLevel::Selective, true);
    let mut wire = Vec::new();
    while let Some(op) = input.next_op() {
        match op % 4 {
            0 | 1 => {
                sender.select(PROTECTIONS[usize::from(op & 1)]);
                let plain = input.take(usize::from(op >> 2));
                sender
                    .encapsulate(plain, &mut wire)
                    .expect("a context that works");
            }
            2 => wire.extend(frame(3, input.take(usize::from(op >> 2)))),
            _ => wire.extend_from_slice(input.take(usize::from(op >> 2))),
        }
    }
    let whole = stream(layer(false, level, true), &[&wire]);
    assert_eq!(stream(layer(false, level, true), &pieces(seed, &wire)), whole);
    let octets: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(stream(layer(false, level, true), &octets), whole);
}

/// What comes out, and how it ends.
fn stream<C: Context<Error = Fault>>(
    mut layer: Encapsulation<C>,
    pieces: &[&[u8]],
) -> (Vec<u8>, Result<(), Error<Fault>>) {
    let mut plain = Vec::new();
    let mut given = 0;
    for piece in pieces {
        let mut rest = *piece;
        given += rest.len();
        while !rest.is_empty() {
            let before = plain.clone();
            let mut outcome = Ok(0);
            let memory = measure(|| outcome = layer.decapsulate(rest, &mut plain));
            assert!(memory.bytes_max <= held(given), "more memory than octets came");
            match outcome {
                Ok(taken) => {
                    assert!(taken > 0 && taken <= rest.len().min(MAX_FRAME));
                    assert!(plain.starts_with(&before) && plain.len() - before.len() <= MAX_FRAME);
                    rest = &rest[taken..];
                }
                Err(error) => {
                    assert!(plain == before, "nothing of a token that does not pass");
                    has_failed(&mut layer);
                    return (plain, Err(error));
                }
            }
        }
    }
    let end = layer.handle_eof();
    (plain, end)
}

/// A stream that has failed once has failed in both directions.
fn has_failed<C: Context<Error = Fault>>(layer: &mut Encapsulation<C>) {
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

/// Two negotiators, then the traffic that they have agreed on.
fn conversation(mut input: Octets<'_>) {
    let tokens = usize::from(1 + input.octet() % 6);
    let (client, server) = (input.negotiator(true, tokens), input.negotiator(false, tokens));
    let (client, server) = converse(client, server);
    let ends = (client.facts().2, server.facts().2);
    let stuck = matches!(ends, (Err(Error::Abandoned), Err(Error::Abandoned)));
    assert!(!stuck, "both wait");
    // What the server has chosen can still be refused by the client, and by nobody else.
    if ends.0.is_ok() {
        assert_eq!(ends.0, ends.1);
        assert!(client.unread.is_empty() && server.unread.is_empty());
    }
    if let (Ok(client), Ok(server)) = (client.end, server.end) {
        traffic(client, server, input);
    }
}

/// One direction of a stream.
#[derive(Default)]
struct Way {
    sent: Vec<u8>,
    wire: Vec<u8>,
    received: Vec<u8>,
    changed: bool,
    failed: bool,
}

impl Way {
    fn deliver(&mut self, to: &mut Encapsulation<Fake>, n: usize) {
        let n = n.min(self.wire.len());
        if n == 0 || self.failed {
            return;
        }
        match to.decapsulate(&self.wire[..n], &mut self.received) {
            Ok(taken) => {
                assert!(taken > 0 && taken <= n);
                self.wire.drain(..taken);
            }
            Err(_) => {
                assert!(self.changed, "nobody has touched it");
                has_failed(to);
                self.failed = true;
            }
        }
        assert!(
            self.sent.starts_with(&self.received),
            "what was sent, in its order"
        );
    }
}

fn traffic(client: Encapsulation<Fake>, server: Encapsulation<Fake>, mut input: Octets<'_>) {
    let protected = client.level().is_some();
    let mut ends = [client, server];
    let mut ways = [Way::default(), Way::default()];
    let mut long = &[0x5a; 70_000][..];
    while let Some(op) = input.next_op() {
        let there = usize::from(op & 1);
        let [from, to] = &mut ends;
        let (from, to) = if there == 0 { (from, to) } else { (to, from) };
        let n = usize::from(op >> 4);
        if ways.iter().any(|way| way.failed) {
            // Both directions are over.
            return;
        }
        let way = &mut ways[there];
        match op >> 1 & 7 {
            0 if from.context().services.confidentiality => from.select(PROTECTIONS[n & 1]),
            0..=2 => {
                let plain = match n {
                    // More than one frame, once: it takes its time.
                    15 => std::mem::take(&mut long),
                    n => input.take(n),
                };
                from.encapsulate(plain, &mut way.wire)
                    .expect("a context that works");
                way.sent.extend_from_slice(plain);
            }
            3 => way.deliver(to, n),
            4 => way.deliver(to, usize::MAX),
            5 if protected => {
                let at = usize::from(input.u16());
                if let Some(octet) = way.wire.get_mut(at) {
                    *octet ^= 1 << (n & 7);
                    way.changed = true;
                }
            }
            _ => datagram(from, to, input.take(n), protected.then(|| input.octet())),
        }
    }
    let [client, server] = &mut ends;
    for (way, to) in ways.iter_mut().zip([server, client]) {
        while !way.wire.is_empty() && !way.failed && !way.changed {
            way.deliver(to, usize::MAX);
        }
        if !way.changed {
            assert!(way.received == way.sent);
            assert_eq!(to.handle_eof(), Ok(()));
        }
    }
}

/// A datagram of its own: it comes as it was, once; and what was changed on its way is dropped, and nothing else.
fn datagram(from: &mut Encapsulation<Fake>, to: &mut Encapsulation<Fake>, plain: &[u8], change: Option<u8>) {
    let mut wire = Vec::new();
    from.encapsulate_datagram(plain, &mut wire)
        .expect("a context that works");
    let room = wire.len();
    assert!(from.max_plain(room) >= plain.len(), "it would have fit");
    let mut received = b"before".to_vec();
    if let Some(change) = change {
        let mut changed = wire.clone();
        let at = usize::from(change >> 3) % changed.len();
        changed[at] ^= 1 << (change & 7);
        to.decapsulate_datagram(&changed, &mut received)
            .expect_err("it was changed");
        to.decapsulate_datagram(&wire[..at], &mut received)
            .expect_err("it was cut");
        assert_eq!(received, b"before");
    }
    assert_eq!(to.decapsulate_datagram(&wire, &mut received), Ok(()));
    assert_eq!(received, [b"before", plain].concat());
    if change.is_some() {
        to.decapsulate_datagram(&wire, &mut received)
            .expect_err("a replay");
        assert_eq!(received, [b"before", plain].concat());
    }
}
