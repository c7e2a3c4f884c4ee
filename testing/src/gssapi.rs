//! A context that checks its input, and negotiators over it for the driver.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use allocation_counter::measure;
use sans_socks::Machine as _;
use sans_socks::gssapi::{
    Context, Encapsulation, Error, Negotiator, Output, Progress, Protection, ProtectionLevel, Services,
};

use crate::driver::early::{Early, Rest, drive_early};
use crate::driver::{self, Caller, Delivery, Due, Eof, Side};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The token of a step is not the one that the other side has produced.
    Token,
    /// A wrapped token was changed, or has the wrong direction.
    Checksum,
    /// A wrapped token is a replay, or out of sequence.
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

/// How many bytes a token adds to the plaintext: a flag for confidentiality, a number, a checksum.
pub const OVERHEAD: usize = 1 + 8 + 8;

/// A context that exchanges `tokens` tokens, the first of which is the initiator's. It checks each token that it receives.
/// Messages after that have a checksum and a number.
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
    /// The overhead that `max_plain` assumes.
    pub claimed_overhead: usize,
    /// The additional overhead of confidentiality.
    pub claimed_for_confidentiality: usize,
    /// The number of the message that cannot be wrapped.
    pub failing_wrap: Option<u64>,
    /// Whether `wrap` leaves confidentiality out and reports that, as a library may.
    pub never_confidential: bool,
    /// A handle that lives as long as the context.
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
            "R-110: no token in the first step of an initiator, and one in every other step"
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
        // The plaintext is appended before it is verified. The caller must discard it after an error.
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

/// Returns the protection that "conf_state" of `gss_wrap` and `gss_unwrap` reports.
fn reported(confidential: bool) -> Protection {
    if confidential {
        Protection::Confidentiality
    } else {
        Protection::Integrity
    }
}

/// Returns the first token of the [`Fake`] of that side, for this plaintext.
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

/// A negotiator whose caller runs each step. Its memory is bounded by what it has received.
pub struct Negotiation<C: Context> {
    pub negotiator: Negotiator<C>,
    consumed: usize,
}

impl<C: Context> From<Negotiator<C>> for Negotiation<C> {
    fn from(negotiator: Negotiator<C>) -> Self {
        Self {
            negotiator,
            consumed: 0,
        }
    }
}

impl<C: Context> Negotiation<C> {
    pub fn outcome(self, sent: Vec<u8>, unread: Vec<u8>) -> Outcome<C> {
        Outcome {
            sent,
            unread,
            end: self.negotiator.into_encapsulation(),
        }
    }
}

impl<C: Context> Caller for Negotiation<C> {
    type Machine = Negotiator<C>;

    fn machine(&mut self) -> &mut Negotiator<C> {
        &mut self.negotiator
    }

    fn output(&mut self) -> Due {
        let due = Due::from(self.negotiator.poll_output());
        if due != Due::Step {
            // Without a pending step, this must do nothing.
            self.negotiator.run_step();
        }
        due
    }

    fn decision(&mut self) -> Option<Due> {
        self.negotiator.poll_decision().map(Due::from)
    }

    fn decide(&mut self) {
        match self.negotiator.poll_output() {
            Output::Step(step) => step.run(),
            other => panic!("not a decision: {other:?}"),
        }
    }

    fn consume(&mut self, input: &[u8]) -> usize {
        let mut consumed = 0;
        let memory = measure(|| consumed = self.negotiator.handle_input(input));
        assert!(
            memory.bytes_max <= held(self.consumed + input.len()),
            "more memory than bytes arrived"
        );
        self.consumed += consumed;
        consumed
    }

    fn reject_negotiation(&mut self) {
        self.negotiator.reject();
    }
}

/// Drives a negotiator over input that arrives in these pieces and then ends, and sends a few bytes at a time.
pub fn drive<C: Context>(negotiator: Negotiator<C>, pieces: &[&[u8]]) -> Outcome<C> {
    let mut negotiation = Negotiation::from(negotiator);
    let delivery = Delivery {
        write: 5,
        ..Delivery::reads(pieces.iter().copied()).eof(Eof::WhenAsked)
    };
    let record = driver::drive(&mut negotiation, &delivery);
    negotiation.outcome(record.sent(), record.unread)
}

/// Drives a negotiator whose caller learns of the end of input first, and hands over all of `wire` after that.
pub fn drive_after_eof<C: Context>(negotiator: Negotiator<C>, wire: &[u8], rest: Rest) -> Outcome<C> {
    let mut negotiation = Negotiation::from(negotiator);
    let early = Early {
        at: 0,
        when_asked: false,
        rest,
    };
    let record = drive_early(&mut negotiation, wire, early);
    negotiation.outcome(record.sent(), record.unread)
}

/// the most memory that may be allocated at once when this many bytes have arrived. Each byte is in at most two
/// buffers, and one of these may be growing to twice its size.
pub fn held(bytes: usize) -> u64 {
    8 * bytes as u64 + 1024
}

/// Runs two negotiators against each other until both have ended or wait. Returns the outcome of each.
pub fn converse<C: Context, S: Context>(
    client: Negotiator<C>,
    server: Negotiator<S>,
) -> (Outcome<C>, Outcome<S>) {
    let (mut client, mut server) = (Negotiation::from(client), Negotiation::from(server));
    let (mut of_client, mut of_server) = (Side::new(&mut client), Side::new(&mut server));
    driver::converse(&mut of_client, &mut of_server, usize::MAX);
    let (sent, unread) = (of_client.sent, of_client.inbox);
    let (sent_by_server, unread_by_server) = (of_server.sent, of_server.inbox);
    (
        client.outcome(sent, unread),
        server.outcome(sent_by_server, unread_by_server),
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
