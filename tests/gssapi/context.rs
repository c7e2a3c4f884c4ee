//! A context that checks what it is given, and drivers for the machines over it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use allocation_counter::measure;
use sans_socks::gssapi::{
    Context, Encapsulation, Error, Negotiator, Output, Progress, Protection, ProtectionLevel, Services,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The token of a step is not the one that the other side has made.
    Token,
    /// A wrapped token was changed, or is the other direction's.
    Checksum,
    /// It is one that has been seen, or not the next.
    Sequence,
    /// It was told to fail.
    Told,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

/// What a token has besides the plaintext: confidential or not, a number, a checksum.
pub(crate) const OVERHEAD: usize = 1 + 8 + 8;

/// A conversation of `tokens` tokens, the initiator's first, each checked to be what it should; then messages
/// with a checksum and a number.
pub(crate) struct Fake {
    initiator: bool,
    tokens: usize,
    seen: usize,
    /// The step that fails.
    pub(crate) failing_step: Option<usize>,
    steps: usize,
    /// How long each token is at least.
    pub(crate) token_len: usize,
    pub(crate) services: Services,
    /// Whether messages must come in order (GSS_C_SEQUENCE_FLAG), or only not twice (GSS_C_REPLAY_FLAG).
    pub(crate) sequence: bool,
    sent: u64,
    received: u64,
    numbers: BTreeSet<u64>,
    /// What it claims of its overhead.
    pub(crate) claimed_overhead: usize,
    /// And what confidentiality adds to it.
    pub(crate) claimed_for_confidentiality: usize,
    /// The message that cannot be wrapped.
    pub(crate) failing_wrap: Option<u64>,
    /// Lives as long as the context does.
    pub(crate) life: Arc<()>,
}

impl Fake {
    pub(crate) fn initiator(tokens: usize) -> Self {
        Self {
            initiator: true,
            tokens,
            seen: 0,
            failing_step: None,
            steps: 0,
            token_len: 0,
            services: Services::new().with_integrity(true).with_confidentiality(true),
            sequence: true,
            sent: 0,
            received: 0,
            numbers: BTreeSet::new(),
            claimed_overhead: OVERHEAD,
            claimed_for_confidentiality: 0,
            failing_wrap: None,
            life: Arc::new(()),
        }
    }

    pub(crate) fn acceptor(tokens: usize) -> Self {
        Self {
            initiator: false,
            ..Self::initiator(tokens)
        }
    }

    pub(crate) fn integrity_only(mut self) -> Self {
        self.services.confidentiality = false;
        self
    }

    fn token(&self, number: usize) -> Vec<u8> {
        let mut token = format!("token {number}").into_bytes();
        token.resize(token.len().max(self.token_len), b'.');
        token
    }

    fn checksum(by_initiator: bool, octets: &[u8]) -> [u8; 8] {
        let seed = 0xcbf2_9ce4_8422_2325 ^ u64::from(by_initiator);
        let fold = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        octets.iter().fold(seed, fold).to_be_bytes()
    }
}

impl Context for Fake {
    type Error = Fault;

    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Fault> {
        self.steps += 1;
        if self.failing_step == Some(self.steps) {
            out.extend_from_slice(b"an error token, which has no place in RFC 1961");
            return Err(Fault::Told);
        }
        assert_eq!(
            token.is_none(),
            self.initiator && self.seen == 0,
            "R-110: a token, but for the initiator's first step"
        );
        assert!(self.seen < self.tokens, "no step after the last");
        if let Some(token) = token {
            if token != self.token(self.seen) {
                return Err(Fault::Token);
            }
            self.seen += 1;
        }
        if self.seen < self.tokens {
            out.extend(self.token(self.seen));
            self.seen += 1;
        }
        Ok(if self.seen == self.tokens {
            Progress::Complete
        } else {
            Progress::ContinueNeeded
        })
    }

    fn services(&self) -> Services {
        assert_eq!(
            self.seen, self.tokens,
            "R-115: asked only when the context is complete"
        );
        self.services
    }

    fn wrap(&mut self, protection: Protection, plain: &[u8], out: &mut Vec<u8>) -> Result<Protection, Fault> {
        if self.failing_wrap == Some(self.sent) {
            out.extend_from_slice(b"half a token");
            return Err(Fault::Told);
        }
        let confidential = protection == Protection::Confidentiality;
        assert!(self.services.confidentiality || !confidential);
        let start = out.len();
        out.push(confidential.into());
        out.extend_from_slice(&self.sent.to_be_bytes());
        out.extend(
            plain
                .iter()
                .map(|octet| octet ^ if confidential { 0x5a } else { 0 }),
        );
        out.extend_from_slice(&Self::checksum(self.initiator, &out[start..]));
        self.sent += 1;
        Ok(protection)
    }

    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Fault> {
        let (body, checksum) = token.split_last_chunk::<8>().ok_or(Fault::Checksum)?;
        let (head, sealed) = body.split_first_chunk::<9>().ok_or(Fault::Checksum)?;
        let confidential = head[0] == 1;
        // Given out before it is judged: who calls must not look at it after an error.
        out.extend(
            sealed
                .iter()
                .map(|octet| octet ^ if confidential { 0x5a } else { 0 }),
        );
        if *checksum != Self::checksum(!self.initiator, body) {
            return Err(Fault::Checksum);
        }
        let number = u64::from_be_bytes(head[1..].try_into().unwrap());
        if !self.numbers.insert(number) || self.sequence && number != self.received {
            return Err(Fault::Sequence);
        }
        self.received = number + 1;
        Ok(if confidential {
            Protection::Confidentiality
        } else {
            Protection::Integrity
        })
    }

    fn max_plain(&self, protection: Protection, max_token: usize) -> usize {
        let added = match protection {
            Protection::Integrity => 0,
            Protection::Confidentiality => self.claimed_for_confidentiality,
        };
        max_token.saturating_sub(self.claimed_overhead + added)
    }
}

/// A token as [`Fake`] of the other side would make its first, with any plaintext.
pub(crate) fn wrapped(by_initiator: bool, protection: Protection, plain: &[u8]) -> Vec<u8> {
    let mut token = Vec::new();
    let mut context = if by_initiator {
        Fake::initiator(0)
    } else {
        Fake::acceptor(0)
    };
    context.wrap(protection, plain, &mut token).unwrap();
    token
}

pub(crate) fn frame(mtyp: u8, token: &[u8]) -> Vec<u8> {
    let mut octets = vec![1, mtyp];
    octets.extend_from_slice(&u16::try_from(token.len()).unwrap().to_be_bytes());
    octets.extend_from_slice(token);
    octets
}

/// How a negotiation went.
#[derive(Debug)]
pub(crate) struct Outcome<C: Context> {
    pub(crate) sent: Vec<u8>,
    pub(crate) unread: Vec<u8>,
    pub(crate) end: Result<Encapsulation<C>, Error<C::Error>>,
}

impl<C: Context<Error: Clone>> Outcome<C> {
    /// All of it that can be compared.
    pub(crate) fn facts(&self) -> Facts<C::Error> {
        let end = match &self.end {
            Ok(layer) => Ok(layer.level()),
            Err(error) => Err(error.clone()),
        };
        (self.sent.clone(), self.unread.clone(), end)
    }

    pub(crate) fn error(self) -> Error<C::Error> {
        self.end.expect_err("a negotiation that fails")
    }
}

pub(crate) type Facts<E> = (Vec<u8>, Vec<u8>, Result<Option<ProtectionLevel>, Error<E>>);

/// More than any negotiation takes: where the longest token goes out five octets at a time, 13,108 and a few.
const MOST_POLLS: usize = 20_000;

/// Drives a negotiator over octets that come in these pieces, and then end.
pub(crate) fn drive<C: Context>(mut negotiator: Negotiator<C>, pieces: &[&[u8]]) -> Outcome<C> {
    let mut pieces = pieces.iter();
    let (mut sent, mut unread) = (Vec::new(), Vec::new());
    let mut given = 0;
    let mut polls = 0..MOST_POLLS;
    loop {
        assert!(polls.next().is_some(), "it does not end");
        let asked = due(&mut negotiator);
        assert_eq!(due(&mut negotiator), asked, "asking changes nothing");
        match negotiator.poll_output() {
            Output::NeedInput { .. } => {
                let mut taken = 0;
                let memory = measure(|| taken = negotiator.handle_input(&unread));
                assert!(memory.bytes_max <= held(given), "more memory than octets came");
                unread.drain(..taken);
                if taken == 0 && matches!(negotiator.poll_output(), Output::NeedInput { .. }) {
                    assert!(unread.is_empty(), "input is due and not taken");
                    match pieces.next() {
                        Some(piece) => {
                            unread.extend_from_slice(piece);
                            given += piece.len();
                        }
                        None => negotiator.handle_eof(),
                    }
                }
                continue;
            }
            Output::Transmit(transmit) => {
                // As a socket that takes a little at a time.
                let n = transmit.as_bytes().len().min(5);
                assert_ne!(n, 0);
                sent.extend_from_slice(&transmit.as_bytes()[..n]);
                transmit.sent(n);
            }
            Output::Step(step) => step.run(),
            Output::Established | Output::Closed(_) => {
                assert_eq!(
                    negotiator.handle_input(b"\x01\x01\x00\x00"),
                    0,
                    "nothing is taken at the end"
                );
                negotiator.handle_eof();
                assert_eq!(due(&mut negotiator), asked, "an end stays");
                break;
            }
        }
        assert_eq!(
            match negotiator.poll_output() {
                Output::NeedInput { .. } => 0,
                _ => negotiator.handle_input(b"\x01\x01\x00\x00"),
            },
            0,
            "nothing is taken while something else is due"
        );
    }
    unread.extend(pieces.copied().flatten());
    Outcome {
        sent,
        unread,
        end: negotiator.into_encapsulation(),
    }
}

/// What is due, with the octets that are to be sent.
fn due<C: Context>(negotiator: &mut Negotiator<C>) -> (String, Vec<u8>) {
    let due = negotiator.poll_output();
    let octets = match &due {
        Output::Transmit(transmit) => transmit.as_bytes().to_vec(),
        _ => Vec::new(),
    };
    (format!("{due:?}"), octets)
}

/// the most memory that may be taken at once where this many octets have come. Each stands in two buffers at
/// most, of which one may just be moved to twice its size.
pub(crate) fn held(octets: usize) -> u64 {
    8 * octets as u64 + 1024
}

/// Lets two negotiators talk until both are done, or can do no more. What each has sent, and its end.
pub(crate) fn converse<C: Context, S: Context>(
    mut client: Negotiator<C>,
    mut server: Negotiator<S>,
) -> (Outcome<C>, Outcome<S>) {
    fn act<C: Context>(negotiator: &mut Negotiator<C>, sent: &mut Vec<u8>, input: &[u8], read: &mut usize) {
        for _ in 0..MOST_POLLS {
            match negotiator.poll_output() {
                Output::NeedInput { .. } => {
                    let taken = negotiator.handle_input(&input[*read..]);
                    *read += taken;
                    if taken == 0 && matches!(negotiator.poll_output(), Output::NeedInput { .. }) {
                        assert_eq!(*read, input.len(), "input is due and not taken");
                        return;
                    }
                }
                Output::Transmit(transmit) => {
                    assert_ne!(transmit.as_bytes(), b"");
                    sent.extend_from_slice(transmit.as_bytes());
                    transmit.sent_all();
                }
                Output::Step(step) => step.run(),
                Output::Established | Output::Closed(_) => return,
            }
        }
        panic!("it does not end");
    }

    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    let (mut read_by_client, mut read_by_server) = (0, 0);
    loop {
        let before = (
            from_client.len(),
            from_server.len(),
            read_by_client,
            read_by_server,
        );
        act(&mut client, &mut from_client, &from_server, &mut read_by_client);
        act(&mut server, &mut from_server, &from_client, &mut read_by_server);
        if before
            == (
                from_client.len(),
                from_server.len(),
                read_by_client,
                read_by_server,
            )
        {
            break;
        }
    }
    (
        Outcome {
            unread: from_server[read_by_client..].to_vec(),
            sent: from_client.clone(),
            end: client.into_encapsulation(),
        },
        Outcome {
            unread: from_client[read_by_server..].to_vec(),
            sent: from_server,
            end: server.into_encapsulation(),
        },
    )
}

/// `run` gives the same of the octets whole, cut in two anywhere, and one by one.
pub(crate) fn every_split<T: PartialEq + Debug>(octets: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let whole = run(&[octets]);
    for at in 0..=octets.len() {
        let (first, second) = octets.split_at(at);
        assert_eq!(run(&[first, second]), whole, "cut at {at} of {}", octets.len());
    }
    let singles: Vec<&[u8]> = octets.chunks(1).collect();
    assert_eq!(run(&singles), whole, "octet by octet");
    whole
}
