//! [RFC 1961 §3 and §4](https://www.rfc-editor.org/rfc/rfc1961#section-3): the context is established, then
//! the protection level agreed.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroUsize;

use super::frame::{Frame, HEADER_LEN, MessageType, Token, VERSION, decode_token};
use super::{Context, Encapsulation, Error, Progress, Protection, ProtectionLevel};
use crate::error::{InvalidValue, Malformed};
use crate::message::{Decoded, Encode};

/// A set of levels, a bit each; bit 0 is the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Levels(u8);

impl Levels {
    const fn of(level: Option<ProtectionLevel>) -> Self {
        Self(1 << octet(level))
    }

    const fn with(self, level: Option<ProtectionLevel>) -> Self {
        Self(self.0 | Self::of(level).0)
    }

    const fn has(self, level: Option<ProtectionLevel>) -> bool {
        self.0 & Self::of(level).0 != 0
    }
}

/// The octet of a level; that of none is `00`.
const fn octet(level: Option<ProtectionLevel>) -> u8 {
    match level {
        Some(level) => level.get(),
        None => 0,
    }
}

/// What both roles have a say in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Framing {
    nec: bool,
    max_token: u16,
    max_level_token: u16,
}

impl Framing {
    const DEFAULT: Self = Self {
        nec: false,
        max_token: 16 * 1024,
        max_level_token: 256,
    };
}

/// What a client proposes, and which answers it takes.
///
/// ```
/// use sans_socks::gssapi::{ClientConfig, ProtectionLevel};
///
/// // Confidentiality; integrity alone, should the server say so.
/// let config = ClientConfig::new(ProtectionLevel::Confidentiality).accept(ProtectionLevel::Integrity);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientConfig {
    propose: Option<ProtectionLevel>,
    accept: Levels,
    framing: Framing,
}

impl ClientConfig {
    /// Proposes `level`, and takes no other answer.
    #[must_use]
    pub const fn new(level: ProtectionLevel) -> Self {
        Self::proposing(Some(level))
    }

    /// Proposes level `00`, which RFC 1961 does not have, and takes no other answer: who the client is gets
    /// proved, and nothing of what follows is protected.
    ///
    /// For old curl, and servers set up for it.
    #[must_use]
    pub const fn clear() -> Self {
        Self::proposing(None)
    }

    const fn proposing(level: Option<ProtectionLevel>) -> Self {
        Self {
            propose: level,
            accept: Levels::of(level),
            framing: Framing::DEFAULT,
        }
    }

    /// Takes `level` for an answer, too.
    #[must_use]
    pub const fn accept(self, level: ProtectionLevel) -> Self {
        Self {
            accept: self.accept.with(Some(level)),
            ..self
        }
    }

    /// Whether the level octets are sent, and expected, without a wrapping, as NEC's implementation did it;
    /// anybody on the way can then change them. A wrapped one is not taken: nothing is detected.
    #[must_use]
    pub const fn nec(mut self, nec: bool) -> Self {
        self.framing.nec = nec;
        self
    }

    /// The longest authentication token that is taken; at first 16,384 octets.
    #[must_use]
    pub const fn max_token(mut self, max: u16) -> Self {
        self.framing.max_token = max;
        self
    }

    /// The longest token with a level that is taken; at first 256 octets.
    #[must_use]
    pub const fn max_level_token(mut self, max: u16) -> Self {
        self.framing.max_level_token = max;
        self
    }
}

/// [`ProtectionLevel::Confidentiality`], and nothing less.
impl Default for ClientConfig {
    fn default() -> Self {
        Self::new(ProtectionLevel::Confidentiality)
    }
}

/// Which levels a server agrees to.
///
/// ```
/// use sans_socks::gssapi::{ProtectionLevel, ServerConfig};
///
/// // Confidentiality is what a client gets, whatever it proposes.
/// let config = ServerConfig::new()
///     .allow(&[ProtectionLevel::Confidentiality])
///     .counter_offer(ProtectionLevel::Confidentiality);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    allow: Levels,
    counter_offer: Option<ProtectionLevel>,
    framing: Framing,
}

impl ServerConfig {
    /// The defaults: agrees to any of the three levels, as the client proposes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            allow: Levels::of(Some(ProtectionLevel::Integrity))
                .with(Some(ProtectionLevel::Confidentiality))
                .with(Some(ProtectionLevel::Selective)),
            counter_offer: None,
            framing: Framing::DEFAULT,
        }
    }

    /// Agrees to these levels, and to no other.
    #[must_use]
    pub const fn allow(self, levels: &[ProtectionLevel]) -> Self {
        let mut allow = Levels(self.allow.0 & Levels::of(None).0);
        let mut rest = levels;
        while let [level, others @ ..] = rest {
            allow = allow.with(Some(*level));
            rest = others;
        }
        Self { allow, ..self }
    }

    /// Answers `level` to a client that proposes another of the three which it may not have, or which the
    /// context cannot do, and leaves it to the client to close; else that is refused with `01 FF`.
    ///
    /// `level` need not be among those that are [allowed](Self::allow).
    #[must_use]
    pub const fn counter_offer(self, level: ProtectionLevel) -> Self {
        Self {
            counter_offer: Some(level),
            ..self
        }
    }

    /// Whether a client that proposes level `00`, which RFC 1961 does not have, may have it: who it is was
    /// proved, and nothing of what follows is protected.
    ///
    /// For old curl, which proposes nothing else.
    #[must_use]
    pub const fn allow_clear(self, allow: bool) -> Self {
        let clear = Levels::of(None).0;
        Self {
            allow: Levels(if allow {
                self.allow.0 | clear
            } else {
                self.allow.0 & !clear
            }),
            ..self
        }
    }

    /// As [`ClientConfig::nec`].
    #[must_use]
    pub const fn nec(mut self, nec: bool) -> Self {
        self.framing.nec = nec;
        self
    }

    /// As [`ClientConfig::max_token`].
    #[must_use]
    pub const fn max_token(mut self, max: u16) -> Self {
        self.framing.max_token = max;
        self
    }

    /// As [`ClientConfig::max_level_token`].
    #[must_use]
    pub const fn max_level_token(mut self, max: u16) -> Self {
        self.framing.max_level_token = max;
        self
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy)]
enum Role {
    Client(ClientConfig),
    Server(ServerConfig),
}

/// What is due when nothing is left to send.
enum State<E> {
    /// Over the token received; at the client's start there is none.
    Step,
    ReadToken,
    /// The client's context is complete, and the server will say that its own is (Q-115).
    ReadReady,
    /// A client may find one empty authentication message before the level: `may_be_ready`.
    ReadLevel {
        may_be_ready: bool,
    },
    Established(Option<ProtectionLevel>),
    Closed(Error<E>),
}

/// The sub-negotiation of method `01`, of either side, over a context that the program brings.
///
/// It is for the raw stream, while the handshake says `Negotiate`. Ask [`poll_output`](Self::poll_output) for
/// the one thing to do next, do it, ask again; the [module's documentation](super) shows it.
///
/// Before the peer has proved who it is, it can make this hold 16,384 octets of a token, or 256 of a level,
/// and only as it sends them: no room is made on the word of "len".
///
/// # Transitions
///
/// | client's state | comes | is sent | next |
/// |---|---|---|---|
/// | Step | continue, with or without a token | `01 01`, or nothing | token |
/// | | complete, with a token | `01 01` | ready |
/// | | complete, without a token | `01 02` | level |
/// | | failure | | closed: `Context` |
/// | Step, Ready | what the context cannot do is to be proposed | | closed: `LevelUnavailable` |
/// | Token | `01 01` | | step |
/// | Ready | `01 01`, whatever is in it | `01 02` | level |
/// | Level | `01 01 00 00`, once at most | | level |
/// | | `01 02`, acceptable | | established |
/// | | `01 02`, not acceptable | | closed: `LevelNotAllowed`, `LevelUnavailable` |
///
/// | server's state | comes | is sent | next |
/// |---|---|---|---|
/// | Token | `01 01` | | step |
/// | Step | continue, with or without a token | `01 01`, or nothing | token |
/// | | complete, with or without a token | `01 01` | level |
/// | | failure | `01 FF` | closed: `Context` |
/// | Level | `01 02`, allowed, or a counter-offer is | `01 02` | established |
/// | | `01 02`, not allowed | `01 FF` | closed: `LevelNotAllowed`, `LevelUnavailable` |
///
/// | both, where input is due | is sent | next |
/// |---|---|---|
/// | `01 FF` | | closed: `Rejected` |
/// | end of input | | closed: `UnexpectedEof` |
/// | anything else | by the server `01 FF` | closed |
pub struct Negotiator<C: Context> {
    context: C,
    role: Role,
    state: State<C::Error>,
    /// The message in progress, and over a step the one before it.
    received: Vec<u8>,
    outgoing: Outgoing,
    eof: bool,
}

/// The octets of a message to send.
#[derive(Default)]
struct Outgoing {
    octets: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    fn unsent(&self) -> &[u8] {
        self.octets.get(self.sent..).unwrap_or_default()
    }

    fn push(&mut self, frame: &Frame<'_>) {
        let start = self.octets.len();
        self.octets.resize(start + frame.encoded_len(), 0);
        // There is room: it was just made.
        let _ = frame.encode_into(self.octets.get_mut(start..).unwrap_or_default());
    }

    fn skip(&mut self, n: usize) {
        self.sent = self.sent.saturating_add(n);
        if self.unsent().is_empty() {
            self.octets.clear();
            self.sent = 0;
        }
    }
}

/// The one thing to do next.
#[expect(
    clippy::exhaustive_enums,
    reason = "a new thing to do must not be overlooked by a driver"
)]
#[must_use]
pub enum Output<'a, C: Context> {
    /// Send these octets.
    Transmit(Transmit<'a>),
    /// Give [`handle_input`](Negotiator::handle_input) what has been read; read, if nothing is left of that.
    NeedInput {
        /// The octets up to the next decision: a hint for exact reads, not a minimum to wait for.
        needed: NonZeroUsize,
    },
    /// Run a step of context establishment, on a thread that may wait for it.
    Step(Step<'a, C>),
    /// The level is agreed. [`finish`](Negotiator::finish) gives the [`Encapsulation`]; what has not been
    /// taken of the input is its. Stable.
    Established,
    /// The negotiation has failed, and the peer was told so as far as it is to be. Close; `finish` gives the
    /// error away. Stable.
    Closed(&'a Error<C::Error>),
}

impl<C: Context> Negotiator<C> {
    /// The client's side, with a context that has made no step.
    #[must_use]
    pub const fn client(context: C, config: ClientConfig) -> Self {
        Self::with(context, Role::Client(config), State::Step)
    }

    /// The server's side, with a context that has made no step.
    #[must_use]
    pub const fn server(context: C, config: ServerConfig) -> Self {
        Self::with(context, Role::Server(config), State::ReadToken)
    }

    const fn with(context: C, role: Role, state: State<C::Error>) -> Self {
        Self {
            context,
            role,
            state,
            received: Vec::new(),
            outgoing: Outgoing {
                octets: Vec::new(),
                sent: 0,
            },
            eof: false,
        }
    }

    /// Takes octets from the peer: those of the message in progress, and not one more.
    ///
    /// Returns how many were taken; 0 while anything but [`Output::NeedInput`] is due. What was not taken is
    /// given again later, or is the [`Encapsulation`]'s. An octet that shows a wrong version is not taken.
    #[must_use = "what was not taken has to be given again, or is the encapsulation's"]
    pub fn handle_input(&mut self, input: &[u8]) -> usize {
        let mut rest = input;
        while let (Some(needed), Some(first)) = (self.needed(), rest.first()) {
            if self.received.is_empty() && *first != VERSION {
                self.refuse(Error::Malformed(Malformed::Version {
                    expected: VERSION,
                    got: *first,
                }));
                break;
            }
            let (now, later) = rest.split_at_checked(needed.get()).unwrap_or((rest, &[]));
            self.received.extend_from_slice(now);
            rest = later;
            if self.decide() {
                break;
            }
        }
        input.len() - rest.len()
    }

    /// As [`handle_input`](Self::handle_input), and advances `input` over what was taken.
    #[cfg(feature = "bytes")]
    pub fn handle_buf(&mut self, input: &mut impl bytes::Buf) {
        while input.has_remaining() {
            match self.handle_input(input.chunk()) {
                0 => break,
                taken => input.advance(taken),
            }
        }
    }

    /// The peer has ended its side, and all octets before that have been taken.
    ///
    /// Where input is due, now or later, that is [`Error::UnexpectedEof`]: to a client as good as `01 FF`, and
    /// Dante sends nothing else. A step or a refusal that is pending is still carried out.
    pub fn handle_eof(&mut self) {
        self.eof = true;
    }

    /// The one thing to do next. Asking again without doing it gives the same.
    pub fn poll_output(&mut self) -> Output<'_, C> {
        if !self.outgoing.unsent().is_empty() {
            return Output::Transmit(Transmit {
                outgoing: &mut self.outgoing,
            });
        }
        if let Some(needed) = self.needed() {
            return Output::NeedInput { needed };
        }
        if let Some(due) = self.due() {
            // Input is due and cannot come: the peer has ended its side.
            self.state = State::Closed(Error::UnexpectedEof { due });
        }
        match self.state {
            State::Established(_) => Output::Established,
            State::Closed(ref error) => Output::Closed(error),
            _ => Output::Step(Step { negotiator: self }),
        }
    }

    /// Gives up, whatever the reason: a server says `01 FF` (R-114), a client nothing. Then
    /// [`Output::Closed`] comes, with [`Error::Abandoned`]. It does nothing to a negotiation that has failed.
    ///
    /// For a client whose name the [`context`](Self::context) tells, and who is not to come in.
    pub fn abandon(&mut self) {
        if !matches!(self.state, State::Closed(_)) {
            self.refuse(Error::Abandoned);
        }
    }

    /// The context, to ask it who the peer is.
    #[must_use]
    pub const fn context(&self) -> &C {
        &self.context
    }

    /// What was negotiated.
    ///
    /// # Errors
    ///
    /// After [`Output::Closed`], its error. Before that and before [`Output::Established`],
    /// [`Error::Abandoned`].
    pub fn finish(self) -> Result<Encapsulation<C>, Error<C::Error>> {
        match self.state {
            State::Established(level) if self.outgoing.unsent().is_empty() => {
                Ok(Encapsulation::agreed(self.context, level))
            }
            State::Closed(error) => Err(error),
            _ => Err(Error::Abandoned),
        }
    }

    const fn framing(&self) -> Framing {
        match self.role {
            Role::Client(config) => config.framing,
            Role::Server(config) => config.framing,
        }
    }

    /// The message that is due from the peer.
    const fn due(&self) -> Option<MessageType> {
        match self.state {
            State::ReadToken | State::ReadReady => Some(MessageType::Authentication),
            State::ReadLevel { .. } => Some(MessageType::ProtectionLevel),
            State::Step | State::Established(_) | State::Closed(_) => None,
        }
    }

    /// The octets up to the next decision, if input can be taken.
    fn needed(&self) -> Option<NonZeroUsize> {
        if self.due().is_none() || self.eof || !self.outgoing.unsent().is_empty() {
            return None;
        }
        match Frame::decode(&self.received) {
            Ok(Decoded::Incomplete { needed }) => Some(needed),
            _ => None,
        }
    }

    /// Judges what has been received so far; says whether that is all of a message.
    fn decide(&mut self) -> bool {
        let Some(due) = self.due() else { return true };
        let framing = self.framing();
        let (expected, max) = match (due, &self.state, self.received.get(1)) {
            (MessageType::ProtectionLevel, State::ReadLevel { may_be_ready: true }, Some(1)) => {
                (MessageType::Authentication, 0)
            }
            (MessageType::ProtectionLevel, ..) => (due, framing.max_level_token),
            _ => (due, framing.max_token),
        };
        let token = match decode_token(&self.received, expected, max) {
            Ok(Decoded::Incomplete { .. }) => return false,
            Ok(Decoded::Complete { value, .. }) => value,
            Err(error) => {
                self.refuse(error);
                return true;
            }
        };
        let outcome = match self.state {
            State::ReadToken => {
                self.state = State::Step;
                return true;
            }
            State::ReadReady => self.propose(),
            _ if expected == MessageType::Authentication => {
                self.state = State::ReadLevel { may_be_ready: false };
                Ok(())
            }
            _ => open_level(&mut self.context, framing, token).and_then(|octet| self.agree(octet)),
        };
        self.received.clear();
        if let Err(error) = outcome {
            self.refuse(error);
        }
        true
    }

    fn step(&mut self) {
        let mut out = Vec::new();
        let token = self.received.get(HEADER_LEN..);
        let outcome = self.context.step(token, &mut out).map_err(Error::Context);
        self.received.clear();
        let outcome = outcome.and_then(|progress| match (progress, self.role) {
            (Progress::ContinueNeeded, _) => {
                self.state = State::ReadToken;
                if out.is_empty() {
                    return Ok(());
                }
                self.send(MessageType::Authentication, &out)
            }
            (Progress::Complete, Role::Client(_)) if out.is_empty() => self.propose(),
            (Progress::Complete, Role::Client(_)) => {
                self.state = State::ReadReady;
                self.send(MessageType::Authentication, &out)
            }
            // With no token, this is the one that says that the server is ready (R-112).
            (Progress::Complete, Role::Server(_)) => {
                self.state = State::ReadLevel { may_be_ready: false };
                self.send(MessageType::Authentication, &out)
            }
        });
        if let Err(error) = outcome {
            self.refuse(error);
        }
    }

    /// The client proposes its level.
    fn propose(&mut self) -> Result<(), Error<C::Error>> {
        let Role::Client(config) = self.role else {
            return Ok(());
        };
        self.check_service(config.propose)?;
        self.state = State::ReadLevel { may_be_ready: true };
        self.send_level(config.propose)
    }

    /// The peer has named the level with this octet: the server answers, the client accepts.
    fn agree(&mut self, octet: u8) -> Result<(), Error<C::Error>> {
        let level = ProtectionLevel::new(octet);
        if level.is_none() && octet != 0 {
            return Err(Error::LevelNotAllowed(octet));
        }
        let allowed = match self.role {
            Role::Client(config) => config.accept.has(level),
            Role::Server(config) => config.allow.has(level),
        };
        let judged = if allowed {
            self.check_service(level)
        } else {
            Err(Error::LevelNotAllowed(octet))
        };
        let agreed = match (judged, self.role) {
            (Ok(()), _) => level,
            (Err(_), Role::Server(ServerConfig { counter_offer, .. }))
                if level.is_some() && counter_offer.is_some() =>
            {
                self.check_service(counter_offer)?;
                counter_offer
            }
            (Err(error), _) => return Err(error),
        };
        self.state = State::Established(agreed);
        match self.role {
            Role::Client(_) => Ok(()),
            Role::Server(_) => self.send_level(agreed),
        }
    }

    /// Whether the context has what `level` takes (R-115).
    fn check_service(&self, level: Option<ProtectionLevel>) -> Result<(), Error<C::Error>> {
        let services = self.context.services();
        match level {
            Some(level) if !services.suffice_for(level) => Err(Error::LevelUnavailable(level)),
            _ => Ok(()),
        }
    }

    fn send_level(&mut self, level: Option<ProtectionLevel>) -> Result<(), Error<C::Error>> {
        let plain = [octet(level)];
        if self.framing().nec {
            return self.send(MessageType::ProtectionLevel, &plain);
        }
        let mut token = Vec::new();
        self.context
            .wrap(Protection::Integrity, &plain, &mut token)
            .map_err(Error::Context)?;
        self.send(MessageType::ProtectionLevel, &token)
    }

    fn send(&mut self, message_type: MessageType, token: &[u8]) -> Result<(), Error<C::Error>> {
        let token = Token::new(token).map_err(|_: InvalidValue| Error::TokenTooLong {
            len: token.len(),
            max: Token::MAX_LEN,
        })?;
        self.outgoing.push(&Frame::Token { message_type, token });
        Ok(())
    }

    /// Closes because of `error`: a server says so with `01 FF`, a client with nothing.
    fn refuse(&mut self, error: Error<C::Error>) {
        if let (Role::Server(_), false) = (self.role, matches!(error, Error::Rejected)) {
            self.outgoing.push(&Frame::Abort);
        }
        self.received.clear();
        self.state = State::Closed(error);
    }
}

/// The one octet in `token` (R-119).
fn open_level<C: Context>(context: &mut C, framing: Framing, token: &[u8]) -> Result<u8, Error<C::Error>> {
    let mut plain = Vec::new();
    if framing.nec {
        plain.extend_from_slice(token);
    } else {
        context.unwrap(token, &mut plain).map_err(Error::Context)?;
    }
    match *plain {
        [octet] => Ok(octet),
        _ => Err(Error::LevelLength(plain.len())),
    }
}

/// No octet of a token, and nothing of the context.
impl<C: Context> fmt::Debug for Negotiator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Step => "step",
            State::ReadToken => "token",
            State::ReadReady => "ready",
            State::ReadLevel { .. } => "level",
            State::Established(_) => "established",
            State::Closed(_) => "closed",
        };
        f.debug_struct("Negotiator")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl<C: Context> fmt::Debug for Output<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transmit(transmit) => f.debug_tuple("Transmit").field(transmit).finish(),
            Self::NeedInput { needed } => f.debug_struct("NeedInput").field("needed", needed).finish(),
            Self::Step(step) => fmt::Debug::fmt(step, f),
            Self::Established => f.write_str("Established"),
            Self::Closed(_) => f.write_str("Closed"),
        }
    }
}

/// A step of context establishment is due: `gss_init_sec_context` or `gss_accept_sec_context`.
///
/// It may ask a key distribution centre over the network, and takes its time. Dropped without being run, it
/// comes again.
#[must_use = "the negotiation goes on when the step is run"]
pub struct Step<'a, C: Context> {
    negotiator: &'a mut Negotiator<C>,
}

impl<C: Context> Step<'_, C> {
    /// Calls [`Context::step`], and blocks for as long as that does.
    ///
    /// What came of it is the next output.
    pub fn run(self) {
        self.negotiator.step();
    }
}

impl<C: Context> fmt::Debug for Step<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}

/// Octets to send, in this order, before anything else is done.
///
/// With feature `bytes` this is also a [`bytes::Buf`].
#[must_use = "the octets are due until `sent` says that they are gone"]
pub struct Transmit<'a> {
    outgoing: &'a mut Outgoing,
}

impl Transmit<'_> {
    /// The octets that have not been sent; never empty when it comes from `poll_output`.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.outgoing.unsent()
    }

    /// The first `n` of them are gone; all, if there are fewer.
    pub fn sent(self, n: usize) {
        self.outgoing.skip(n);
    }
}

#[cfg(feature = "bytes")]
impl bytes::Buf for Transmit<'_> {
    fn remaining(&self) -> usize {
        self.bytes().len()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes()
    }

    /// As [`Transmit::sent`], with the same clamp.
    fn advance(&mut self, n: usize) {
        self.outgoing.skip(n);
    }
}

/// How many octets are left, not which.
impl fmt::Debug for Transmit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transmit({} octets)", self.bytes().len())
    }
}
