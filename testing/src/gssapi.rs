//! A context that checks its input, and drivers for the machines over it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use allocation_counter::measure;
use sans_socks::gssapi::{
    Context, Decision, Encapsulation, Error, Negotiator, Output, Progress, Protection, ProtectionLevel,
    Services,
};
use sans_socks::{Io, Machine};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The token of a step is not the one that the other side made.
    Token,
    /// A wrapped token was changed, or is of the other direction.
    Checksum,
    /// A wrapped token is a replay, or not the next.
    Sequence,
    /// The test asked for a failure.
    Told,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

/// The bytes of a token besides the plaintext: a flag for confidentiality, a number, a checksum.
pub const OVERHEAD: usize = 1 + 8 + 8;

/// A context of `tokens` tokens, the first by the initiator. It checks each token that it receives. After that, messages
/// have a checksum and a number.
pub struct Fake {
    initiator: bool,
    tokens: usize,
    seen: usize,
    /// The step that fails.
    pub failing_step: Option<usize>,
    steps: usize,
    /// The least length of a token.
    pub token_len: usize,
    pub services: Services,
    /// Whether messages must arrive in order (GSS_C_SEQUENCE_FLAG), or only not twice (GSS_C_REPLAY_FLAG).
    pub sequence: bool,
    sent: u64,
    received: u64,
    numbers: BTreeSet<u64>,
    /// The overhead that `max_plain` reckons with.
    pub claimed_overhead: usize,
    /// What confidentiality adds to that.
    pub claimed_for_confidentiality: usize,
    /// The number of the message that cannot be wrapped.
    pub failing_wrap: Option<u64>,
    /// Whether `wrap` leaves confidentiality out and reports that, as a library may.
    pub never_confidential: bool,
    /// Lives as long as the context does.
    pub life: Arc<()>,
}

impl Fake {
    pub fn initiator(tokens: usize) -> Self {
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
            never_confidential: false,
            life: Arc::new(()),
        }
    }

    pub fn acceptor(tokens: usize) -> Self {
        Self {
            initiator: false,
            ..Self::initiator(tokens)
        }
    }

    pub fn integrity_only(mut self) -> Self {
        self.services.confidentiality = false;
        self
    }

    fn token(&self, number: usize) -> Vec<u8> {
        let mut token = format!("token {number}").into_bytes();
        token.resize(token.len().max(self.token_len), b'.');
        token
    }

    fn checksum(by_initiator: bool, bytes: &[u8]) -> [u8; 8] {
        let seed = 0xcbf2_9ce4_8422_2325 ^ u64::from(by_initiator);
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.iter().fold(seed, fold).to_be_bytes()
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
            "R-110: no token in the first step of an initiator, else one"
        );
        assert!(self.seen < self.tokens, "a step after the last");
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
        assert_eq!(self.seen, self.tokens, "R-115: services of an incomplete context");
        self.services
    }

    fn wrap(&mut self, protection: Protection, plain: &[u8], out: &mut Vec<u8>) -> Result<Protection, Fault> {
        if self.failing_wrap == Some(self.sent) {
            out.extend_from_slice(b"half a token");
            return Err(Fault::Told);
        }
        let requested = protection == Protection::Confidentiality;
        assert!(self.services.confidentiality || !requested);
        let confidential = requested && !self.never_confidential;
        let start = out.len();
        out.push(confidential.into());
        out.extend_from_slice(&self.sent.to_be_bytes());
        out.extend(
            plain
                .iter()
                .map(|byte| byte ^ if confidential { 0x5a } else { 0 }),
        );
        out.extend_from_slice(&Self::checksum(self.initiator, &out[start..]));
        self.sent += 1;
        Ok(reported(confidential))
    }

    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Fault> {
        let (body, checksum) = token.split_last_chunk::<8>().ok_or(Fault::Checksum)?;
        let (head, sealed) = body.split_first_chunk::<9>().ok_or(Fault::Checksum)?;
        let confidential = head[0] == 1;
        // Appended before it is verified: the caller must discard it after an error.
        out.extend(
            sealed
                .iter()
                .map(|byte| byte ^ if confidential { 0x5a } else { 0 }),
        );
        if *checksum != Self::checksum(!self.initiator, body) {
            return Err(Fault::Checksum);
        }
        let number = u64::from_be_bytes(head[1..].try_into().unwrap());
        if !self.numbers.insert(number) || self.sequence && number != self.received {
            return Err(Fault::Sequence);
        }
        self.received = number + 1;
        Ok(reported(confidential))
    }

    fn max_plain(&self, protection: Protection, max_token: usize) -> usize {
        let added = match protection {
            Protection::Integrity => 0,
            Protection::Confidentiality => self.claimed_for_confidentiality,
        };
        max_token.saturating_sub(self.claimed_overhead + added)
    }
}

/// "conf_state".
fn reported(confidential: bool) -> Protection {
    if confidential {
        Protection::Confidentiality
    } else {
        Protection::Integrity
    }
}

/// Returns the first token that the [`Fake`] of that side makes, of this plaintext.
pub fn wrapped(by_initiator: bool, protection: Protection, plain: &[u8]) -> Vec<u8> {
    let mut token = Vec::new();
    let mut context = if by_initiator {
        Fake::initiator(0)
    } else {
        Fake::acceptor(0)
    };
    context.wrap(protection, plain, &mut token).unwrap();
    token
}

pub fn frame(mtyp: u8, token: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, mtyp];
    bytes.extend_from_slice(&u16::try_from(token.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(token);
    bytes
}

/// The outcome of a negotiation.
#[derive(Debug)]
pub struct Outcome<C: Context> {
    pub sent: Vec<u8>,
    pub unread: Vec<u8>,
    pub end: Result<Encapsulation<C>, Error<C::Error>>,
}

impl<C: Context<Error: Clone>> Outcome<C> {
    /// Returns everything that can be compared.
    pub fn facts(&self) -> Facts<C::Error> {
        let end = match &self.end {
            Ok(layer) => Ok(layer.level()),
            Err(error) => Err(error.clone()),
        };
        (self.sent.clone(), self.unread.clone(), end)
    }

    pub fn error(self) -> Error<C::Error> {
        self.end.expect_err("a negotiation that fails")
    }
}

pub type Facts<E> = (Vec<u8>, Vec<u8>, Result<Option<ProtectionLevel>, Error<E>>);

/// More than any negotiation requires. To send the longest token 5 bytes at a time takes 13,108.
const MOST_POLLS: usize = 20_000;

/// Drives a negotiator over input that arrives in these pieces and then ends.
pub fn drive<C: Context>(mut negotiator: Negotiator<C>, pieces: &[&[u8]]) -> Outcome<C> {
    let mut pieces = pieces.iter();
    let (mut sent, mut unread) = (Vec::new(), Vec::new());
    let mut given = 0;
    let mut polls = 0..MOST_POLLS;
    loop {
        assert!(polls.next().is_some(), "unlimited steps");
        let asked = due(&mut negotiator);
        assert_eq!(due(&mut negotiator), asked, "polling has no effect");
        match negotiator.poll_output() {
            Output::NeedInput { .. } => {
                let mut consumed = 0;
                let memory = measure(|| consumed = negotiator.handle_input(&unread));
                assert!(memory.bytes_max <= held(given), "more memory than bytes arrived");
                unread.drain(..consumed);
                if consumed == 0 && matches!(negotiator.poll_output(), Output::NeedInput { .. }) {
                    assert!(unread.is_empty(), "input is due and not consumed");
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
                // As a socket that accepts a few bytes at a time.
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
                    "nothing is consumed at the end"
                );
                negotiator.handle_eof();
                assert_eq!(due(&mut negotiator), asked, "an end is final");
                break;
            }
        }
        assert_eq!(
            match negotiator.poll_output() {
                Output::NeedInput { .. } => 0,
                _ => negotiator.handle_input(b"\x01\x01\x00\x00"),
            },
            0,
            "nothing is consumed while something else is due"
        );
    }
    unread.extend(pieces.copied().flatten());
    Outcome {
        sent,
        unread,
        end: negotiator.into_encapsulation(),
    }
}

/// Returns what is due, with the bytes to send. `poll_io` and `poll_decision` must agree with it.
fn due<C: Context>(negotiator: &mut Negotiator<C>) -> (String, Vec<u8>) {
    let output = negotiator.poll_output();
    let bytes = match &output {
        Output::Transmit(transmit) => transmit.as_bytes().to_vec(),
        _ => Vec::new(),
    };
    let due = (format!("{output:?}"), bytes);

    let io = negotiator.poll_io().map(|io| match io {
        Io::Transmit(transmit) => (format!("Transmit({transmit:?})"), transmit.as_bytes().to_vec()),
        Io::NeedInput { needed } => (format!("NeedInput {{ needed: {needed} }}"), Vec::new()),
    });
    let decision = negotiator.poll_decision().map(|decision| {
        let is_end = !matches!(decision, Decision::Step(_));
        (format!("{decision:?}"), is_end)
    });
    match (&io, &decision) {
        (Some(io), None) => assert_eq!(*io, due),
        (None, Some((decision, is_end))) => {
            assert_eq!(*decision, due.0);
            if *is_end {
                // There is no step to run.
                negotiator.run_step();
            }
        }
        _ => panic!("{due:?}, but poll_io returns {io:?} and poll_decision {decision:?}"),
    }
    if io.is_some() {
        negotiator.run_step();
    }
    due
}

/// Drives a negotiator whose caller learns of the end of input first, and offers all that is left before each poll.
pub fn drive_after_eof<C: Context>(mut negotiator: Negotiator<C>, wire: &[u8]) -> Outcome<C> {
    let (mut sent, mut unread) = (Vec::new(), wire);
    negotiator.handle_eof();
    for _ in 0..MOST_POLLS {
        // The second call offers bytes that are not due, unless the negotiator consumes one message after another.
        for _ in 0..2 {
            if !unread.is_empty() {
                let consumed = negotiator.handle_input(unread);
                unread = &unread[consumed..];
            }
        }
        match negotiator.poll_output() {
            Output::NeedInput { .. } => assert!(!unread.is_empty(), "no one has the bytes that it needs"),
            Output::Transmit(transmit) => {
                sent.extend_from_slice(transmit.as_bytes());
                transmit.sent_all();
            }
            Output::Step(step) => step.run(),
            Output::Established | Output::Closed(_) => {
                return Outcome {
                    sent,
                    unread: unread.to_vec(),
                    end: negotiator.into_encapsulation(),
                };
            }
        }
    }
    panic!("unlimited steps")
}

/// the most memory that may be allocated at once when this many bytes have arrived. Each is in two buffers at most,
/// and one of these may be growing to twice its size.
pub fn held(bytes: usize) -> u64 {
    8 * bytes as u64 + 1024
}

/// Runs two negotiators against each other until both have ended or wait. Returns the outcome of each.
pub fn converse<C: Context, S: Context>(
    mut client: Negotiator<C>,
    mut server: Negotiator<S>,
) -> (Outcome<C>, Outcome<S>) {
    fn act<C: Context>(negotiator: &mut Negotiator<C>, sent: &mut Vec<u8>, input: &[u8], read: &mut usize) {
        for _ in 0..MOST_POLLS {
            match negotiator.poll_output() {
                Output::NeedInput { .. } => {
                    let consumed = negotiator.handle_input(&input[*read..]);
                    *read += consumed;
                    if consumed == 0 && matches!(negotiator.poll_output(), Output::NeedInput { .. }) {
                        assert_eq!(*read, input.len(), "input is due and not consumed");
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
        panic!("unlimited steps");
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

/// Checks that `run` returns the same for the bytes whole, split in two anywhere, and one by one.
pub fn every_split<T: PartialEq + Debug>(bytes: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let whole = run(&[bytes]);
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(run(&[first, second]), whole, "split at {at} of {}", bytes.len());
    }
    let singles: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(run(&singles), whole, "byte by byte");
    whole
}
