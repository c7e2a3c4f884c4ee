//! [RFC 1961 §3 and §4](https://www.rfc-editor.org/rfc/rfc1961#section-3): the context is established, then
//! the protection level agreed.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroUsize;

use super::config::{ClientConfig, Framing, Refusal, ServerConfig, available, byte_of};
use super::frame::{Frame, HEADER_LEN, MessageType, Token, VERSION, decode_token};
use super::{Context, Encapsulation, Error, Progress, Protection, ProtectionLevel, Services};
use crate::error::{InvalidValue, Malformed};
use crate::machine::{self, Io, Machine};
use crate::message::{Decoded, Encode};
use crate::transmit::{Cursor, Transmit};

#[derive(Clone, Copy)]
enum Role {
    Client(ClientConfig),
    Server(ServerConfig),
}

impl Role {
    const fn framing(&self) -> Framing {
        match self {
            Self::Client(config) => config.framing(),
            Self::Server(config) => config.framing(),
        }
    }

    /// Returns the level agreed on when the peer names `byte`.
    fn judge(self, byte: u8, services: Services) -> Result<Option<ProtectionLevel>, Refusal> {
        match self {
            Self::Client(config) => config.judge(byte, services),
            Self::Server(config) => config.judge(byte, services),
        }
    }
}

/// What is due when nothing is left to send.
enum State<E> {
    /// Over the token received; at the client's start there is none.
    Step,
    ReadToken,
    /// The client's context is complete, and the server will say that its own is.
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
    /// The message in progress; during a step, the one before it.
    received: Vec<u8>,
    outgoing: Vec<u8>,
    cursor: Cursor,
    /// How far the input reached that was offered last, counted like `received`.
    reach: usize,
    eof: bool,
}

/// The next step.
#[expect(clippy::exhaustive_enums, reason = "a driver must not overlook a new step")]
#[must_use]
pub enum Output<'a, C: Context> {
    /// Send these bytes.
    Transmit(Transmit<'a>),
    /// Pass received bytes to [`handle_input`](Negotiator::handle_input). Read from the stream if you have none.
    ///
    /// Flush a buffered stream before you read.
    NeedInput {
        /// Bytes until the next decision. Fewer are fine. Read at most this many, and nothing is ever left over.
        needed: NonZeroUsize,
    },
    /// Run a step of context establishment, on a thread that may block.
    Step(Step<'a, C>),
    /// The level is agreed. [`into_encapsulation`](Negotiator::into_encapsulation) returns the [`Encapsulation`]. Bytes
    /// that you still hold belong to it. Further calls return the same.
    Established,
    /// The negotiation has failed, and a server has told the peer by `01 FF`. Close the connection.
    /// [`into_encapsulation`](Negotiator::into_encapsulation) returns the error by value. Further calls return the same.
    Closed(&'a Error<C::Error>),
}

/// A decision, or the end of the negotiation: [`Output`] without input and output.
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver must not overlook a new decision"
)]
#[must_use]
pub enum Decision<'a, C: Context> {
    /// See [`Output::Step`].
    Step(Step<'a, C>),
    /// See [`Output::Established`].
    Established,
    /// See [`Output::Closed`].
    Closed(&'a Error<C::Error>),
}

impl<'a, C: Context> Output<'a, C> {
    fn split(self) -> Result<Io<'a>, Decision<'a, C>> {
        Err(match self {
            Self::Transmit(transmit) => return Ok(Io::Transmit(transmit)),
            Self::NeedInput { needed } => return Ok(Io::NeedInput { needed }),
            Self::Step(step) => Decision::Step(step),
            Self::Established => Decision::Established,
            Self::Closed(error) => Decision::Closed(error),
        })
    }
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
            outgoing: Vec::new(),
            cursor: Cursor::new(0, 0, (0, 0)),
            reach: 0,
            eof: false,
        }
    }

    /// Consumes bytes from the peer: those of the message in progress, and not one more.
    ///
    /// Returns how many: 0 unless [`Output::NeedInput`] is due. Keep the rest; it belongs to a later call or to the
    /// [`Encapsulation`]. Always poll again afterwards, also after 0: a wrong version byte is not consumed, and still
    /// ends the negotiation.
    #[must_use = "what was not consumed belongs to a later call or to the encapsulation"]
    pub fn handle_input(&mut self, input: &[u8]) -> usize {
        if input.is_empty() {
            self.reach = 0;
            return 0;
        }
        self.reach = self.reach.max(self.received.len().saturating_add(input.len()));
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
            let received = self.received.len();
            if self.decide() {
                self.reach = self.reach.saturating_sub(received);
                break;
            }
        }
        input.len() - rest.len()
    }

    /// Notes that the peer has ended its side, as [`Machine::handle_eof`] says.
    ///
    /// To a client that is as good as `01 FF`, and Dante sends nothing else. A pending step or refusal is finished first.
    pub fn handle_eof(&mut self) {
        if self.eof && self.needed().is_some() {
            self.reach = 0;
        }
        self.eof = true;
    }

    /// Returns the next step. Until it is performed, further calls return the same one.
    pub fn poll_output(&mut self) -> Output<'_, C> {
        if self.cursor.is_sending() {
            return Output::Transmit(Transmit::new(&mut self.outgoing, &mut self.cursor));
        }
        self.outgoing = Vec::new();
        if let (Some(needed), Some(due)) = (self.needed(), self.due()) {
            if !self.eof || self.reach > self.received.len() {
                return Output::NeedInput { needed };
            }
            self.state = State::Closed(Error::UnexpectedEof { due });
        }
        match self.state {
            State::Established(_) => Output::Established,
            State::Closed(ref error) => Output::Closed(error),
            _ => Output::Step(Step { negotiator: self }),
        }
    }

    /// Runs the step that is due, as [`Step::run`] does; does nothing if none is.
    ///
    /// With it a negotiator can move to a thread that may block, and back.
    pub fn run_step(&mut self) {
        if !self.cursor.is_sending() && matches!(self.state, State::Step) {
            self.step();
        }
    }

    /// Rejects the peer, for any reason. A server sends `01 FF`, a client nothing. Then [`Output::Closed`] follows, with
    /// [`Error::Abandoned`]. A negotiation that has failed stays as it is.
    ///
    /// For instance, the name that the [`context`](Self::context) reports may not be allowed.
    pub fn reject(&mut self) {
        if !matches!(self.state, State::Closed(_)) {
            self.refuse(Error::Abandoned);
        }
    }

    /// Returns the context, which knows who the peer is.
    #[must_use]
    pub const fn context(&self) -> &C {
        &self.context
    }

    /// Returns the layer over the stream, at the level agreed on.
    ///
    /// # Errors
    ///
    /// After [`Output::Closed`], its error. Before that and before [`Output::Established`], [`Error::Abandoned`].
    pub fn into_encapsulation(self) -> Result<Encapsulation<C>, Error<C::Error>> {
        match self.state {
            State::Established(level) if !self.cursor.is_sending() => {
                Ok(Encapsulation::agreed(self.context, level))
            }
            State::Closed(error) => Err(error),
            _ => Err(Error::Abandoned),
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

    /// Returns how many bytes are missing to the next decision, if input is due.
    fn needed(&self) -> Option<NonZeroUsize> {
        if self.due().is_none() || self.cursor.is_sending() {
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
        let framing = self.role.framing();
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
            // With no token, this is the one that says that the server is ready.
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
        let level = available(config.proposed(), self.context.services())?;
        self.state = State::ReadLevel { may_be_ready: true };
        self.send_level(level)
    }

    /// The peer has named a level by this byte: the server answers, the client accepts.
    fn agree(&mut self, byte: u8) -> Result<(), Error<C::Error>> {
        let agreed = self.role.judge(byte, self.context.services())?;
        self.state = State::Established(agreed);
        match self.role {
            Role::Client(_) => Ok(()),
            Role::Server(_) => self.send_level(agreed),
        }
    }

    fn send_level(&mut self, level: Option<ProtectionLevel>) -> Result<(), Error<C::Error>> {
        let plain = [byte_of(level)];
        if self.role.framing().nec {
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
        self.push(&Frame::Token { message_type, token });
        Ok(())
    }

    /// Adds a message to those that are being sent.
    fn push(&mut self, frame: &Frame<'_>) {
        if !self.cursor.is_sending() {
            self.outgoing = Vec::new();
            self.cursor.send(0, 0);
        }
        let start = self.outgoing.len();
        self.outgoing.resize(start + frame.encoded_len(), 0);
        let written = frame.encode_into(self.outgoing.get_mut(start..).unwrap_or_default());
        debug_assert!(written.is_ok(), "there is room: it was just made");
        self.cursor.extend(self.outgoing.len() as u32);
    }

    /// Closes because of `error`: a server says so with `01 FF`, a client with nothing.
    fn refuse(&mut self, error: Error<C::Error>) {
        if let (Role::Server(_), false) = (self.role, matches!(error, Error::Rejected)) {
            self.push(&Frame::Abort);
        }
        self.received.clear();
        self.state = State::Closed(error);
    }
}

/// The one octet in `token`.
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

impl<C: Context> fmt::Debug for Decision<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Step(_) => "Step",
            Self::Established => "Established",
            Self::Closed(_) => "Closed",
        })
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

impl<C: Context> machine::private::Sealed for Negotiator<C> {}
impl<C: Context> Machine for Negotiator<C> {
    type Decision<'a>
        = Decision<'a, C>
    where
        C: 'a;

    fn handle_input(&mut self, input: &[u8]) -> usize {
        self.handle_input(input)
    }

    fn handle_eof(&mut self) {
        self.handle_eof();
    }

    fn poll_io(&mut self) -> Option<Io<'_>> {
        self.poll_output().split().ok()
    }

    fn poll_decision(&mut self) -> Option<Decision<'_, C>> {
        self.poll_output().split().err()
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
