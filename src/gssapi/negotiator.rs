//! [RFC 1961 §3 and §4](https://www.rfc-editor.org/rfc/rfc1961#section-3): the context is established, then the
//! protection level is agreed on.

use alloc::vec::Vec;
use core::fmt;
use core::mem::take;
use core::num::NonZeroUsize;

use super::config::{ClientConfig, Framing, Refusal, ServerConfig, available, byte_of};
use super::frame::{FIRST_DECISION, Frame, HEADER_LEN, MessageType, Token, decode_token};
use super::{Context, Encapsulation, Error, Progress, Protection, ProtectionLevel, Services};
use crate::error::InvalidValue;
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

    /// Returns the agreed level if the peer sends `byte`.
    fn judge(self, byte: u8, services: Services) -> Result<Option<ProtectionLevel>, Refusal> {
        match self {
            Self::Client(config) => config.judge(byte, services),
            Self::Server(config) => config.judge(byte, services),
        }
    }
}

/// The message expected from the peer.
#[derive(Clone, Copy)]
enum Message {
    /// A token for the next step.
    Token,
    /// The last authentication message of a server. It allows a client whose context is complete to propose a level
    /// (Q-115).
    Ready { proposal: Option<ProtectionLevel> },
    /// A protection level. If `may_be_ready`, one empty authentication message may precede it.
    Level { may_be_ready: bool },
}

impl Message {
    const fn message_type(self) -> MessageType {
        match self {
            Self::Token | Self::Ready { .. } => MessageType::Authentication,
            Self::Level { .. } => MessageType::ProtectionLevel,
        }
    }

    /// Returns the limit for a token of this type, or `None` if the type is not allowed.
    fn max_token(self, message_type: MessageType, framing: Framing) -> Option<u16> {
        match (self, message_type) {
            (Self::Token | Self::Ready { .. }, MessageType::Authentication) => Some(framing.max_token),
            (Self::Level { .. }, MessageType::ProtectionLevel) => Some(framing.max_level_token),
            (Self::Level { may_be_ready: true }, MessageType::Authentication) => Some(0),
            _ => None,
        }
    }

    fn decode<E>(self, framing: Framing, input: &[u8]) -> Result<Decoded<(MessageType, &[u8])>, Error<E>> {
        decode_token(input, self.message_type(), |got| self.max_token(got, framing))
    }
}

/// The next step when nothing is left to send.
enum State<E> {
    /// A step is pending.
    Step {
        /// The message with the peer's token. Empty at a client's start, when there is no token.
        message: Vec<u8>,
    },
    Read {
        message: Message,
        /// How many more bytes the next decision needs.
        needed: NonZeroUsize,
    },
    Established(Option<ProtectionLevel>),
    Closed(Error<E>),
}

impl<E> State<E> {
    /// Waits for the first byte of `message`.
    const fn expect(message: Message) -> Self {
        Self::Read {
            message,
            needed: FIRST_DECISION,
        }
    }
}

/// The sub-negotiation of method GSSAPI, [RFC 1961 §3] and [§4], for either side, over your [`Context`].
///
/// Run it over the raw stream while the handshake returns `Negotiate`. It is a [`Machine`], like the handshakes. The
/// guide has [complete handshakes](crate::guide::gssapi).
///
/// ```
/// # mod toy { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/gssapi/toy_context.rs")); }
/// # use toy::Toy;
/// use sans_socks::gssapi::{ClientConfig, Negotiator, Output};
///
/// let context = Toy; // use a context of a GSS-API library
/// let mut negotiator = Negotiator::client(context, ClientConfig::default());
/// if let Output::Step(step) = negotiator.poll_output() {
///     step.run(); // it may block
/// }
/// if let Output::Transmit(transmit) = negotiator.poll_output() {
///     assert_eq!(transmit.as_bytes(), b"\x01\x01\0\x05hello");
///     transmit.sent_all();
/// }
/// assert!(matches!(negotiator.poll_output(), Output::NeedInput { .. }));
/// ```
///
/// An unauthenticated peer can make the negotiator buffer a token of 16,384 bytes. A peer whose context is complete can
/// make it buffer a level of 256 bytes. Both limits can be configured. Bytes are buffered as they arrive: memory for "len"
/// bytes is not reserved in advance.
///
/// # Transitions
///
/// | state of a client | event | sent | next state |
/// |---|---|---|---|
/// | Step | to be continued, with or without a token | `01 01`, or nothing | Token |
/// | | complete, with a token | `01 01` | Ready |
/// | | complete, without a token | `01 02` | Level |
/// | | failed | | closed: `Context` |
/// | Step, Ready | the level to propose requires a service that the context lacks | | closed: `LevelUnavailable` |
/// | Token | `01 01` | | Step |
/// | Ready | `01 01` with any token | `01 02` | Level |
/// | Level | `01 01 00 00`, at most once | | Level |
/// | | `01 02`, accepted | | established |
/// | | `01 02`, not accepted | | closed: `LevelNotAllowed`, `LevelUnavailable` |
///
/// | state of a server | event | sent | next state |
/// |---|---|---|---|
/// | Token | `01 01` | | Step |
/// | Step | to be continued, with or without a token | `01 01`, or nothing | Token |
/// | | complete, with or without a token | `01 01` | Level |
/// | | failed | `01 FF` | closed: `Context` |
/// | Level | `01 02`, allowed, or answered by a counter-offer | `01 02` | established |
/// | | `01 02`, not allowed | `01 FF` | closed: `LevelNotAllowed`, `LevelUnavailable` |
///
/// | received by either, while input is needed | sent | next state |
/// |---|---|---|
/// | `01 FF` | | closed: `Rejected` |
/// | end of input | | closed: `UnexpectedEof` |
/// | any other message | `01 FF` by a server | closed |
///
/// [RFC 1961 §3]: https://www.rfc-editor.org/rfc/rfc1961#section-3
/// [§4]: https://www.rfc-editor.org/rfc/rfc1961#section-4
pub struct Negotiator<C: Context> {
    context: C,
    role: Role,
    state: State<C::Error>,
    /// The bytes of the message in progress that have been received.
    received: Vec<u8>,
    outgoing: Vec<u8>,
    /// The part of `outgoing` that is still to be sent.
    cursor: Cursor,
    /// The farthest end of the input offered so far, counted from the start of the message. If it is beyond `received`,
    /// the caller still holds input.
    reach: usize,
    /// Whether the peer has ended its side.
    eof: bool,
}

/// The next thing to do.
#[expect(clippy::exhaustive_enums, reason = "a driver must not overlook a new step")]
#[must_use]
pub enum Output<'a, C: Context> {
    /// Send these bytes.
    Transmit(Transmit<'a>),
    /// Pass received bytes to [`handle_input`](Negotiator::handle_input). Read from the stream if you have none.
    ///
    /// Flush a buffered stream before you read.
    NeedInput {
        /// How many bytes the machine can use now. Fewer are fine. If you read at most this many, it consumes all of
        /// them, except a wrong version byte and what follows it.
        needed: NonZeroUsize,
    },
    /// Run a step of context establishment, on a thread that may block.
    Step(Step<'a, C>),
    /// The level is agreed on. [`into_encapsulation`](Negotiator::into_encapsulation) returns the [`Encapsulation`].
    /// The bytes that you still hold belong to it. Further calls return the same.
    Established,
    /// The negotiation has failed. A server has sent `01 FF`, except after the end of input or an `01 FF` of the client.
    /// Close the connection.
    ///
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
    /// Creates the client's side, with a context that has not run a step.
    #[must_use]
    pub const fn client(context: C, config: ClientConfig) -> Self {
        let message = Vec::new();
        Self::with(context, Role::Client(config), State::Step { message })
    }

    /// Creates the server's side, with a context that has not run a step.
    #[must_use]
    pub const fn server(context: C, config: ServerConfig) -> Self {
        Self::with(context, Role::Server(config), State::expect(Message::Token))
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

    /// Consumes bytes from the peer, up to the end of the message in progress. Returns how many.
    ///
    /// Keep the rest: it belongs to a later call or to the [`Encapsulation`]. Unless [`Output::NeedInput`] is pending, nothing
    /// is consumed. Poll again after every call, even if it returns 0: a wrong version byte ends the negotiation without being
    /// consumed.
    #[must_use = "what was not consumed belongs to a later call or to the encapsulation"]
    pub fn handle_input(&mut self, input: &[u8]) -> usize {
        let Some(first) = input.get(..1) else {
            self.reach = 0;
            return 0;
        };
        self.reach = self.reach.max(self.received.len().saturating_add(input.len()));
        let mut rest = input;
        while let (Some((message, needed)), [_, ..]) = (self.input_due(), rest) {
            if self.received.is_empty() {
                // A wrong version is not consumed.
                if let Err(error) = message.decode(self.role.framing(), first) {
                    self.refuse(error);
                    break;
                }
            }
            let (now, later) = rest.split_at_checked(needed.get()).unwrap_or((rest, &[]));
            self.received.extend_from_slice(now);
            rest = later;
            if self.decide(message) {
                break;
            }
        }
        input.len() - rest.len()
    }

    /// Notes that the peer has ended its side, as [`Machine::handle_eof`] describes. A pending step is finished first.
    ///
    /// Some servers, Dante among them, end the connection instead of sending `01 FF`.
    pub fn handle_eof(&mut self) {
        if self.eof && self.input_due().is_some() {
            self.reach = 0;
        }
        self.eof = true;
    }

    /// Returns the next step. Until you perform it, further calls return the same one.
    pub fn poll_output(&mut self) -> Output<'_, C> {
        if self.cursor.is_sending() {
            return Output::Transmit(Transmit::new(&mut self.outgoing, &mut self.cursor));
        }
        self.outgoing = Vec::new();
        if let State::Read { message, needed } = self.state {
            if !self.eof || self.reach > self.received.len() {
                return Output::NeedInput { needed };
            }
            let due = message.message_type();
            self.close(Error::UnexpectedEof { due });
        }
        match self.state {
            State::Established(_) => Output::Established,
            State::Closed(ref error) => Output::Closed(error),
            _ => Output::Step(Step { negotiator: self }),
        }
    }

    /// Runs the pending step, as [`Step::run`] does. Does nothing if no step is pending.
    ///
    /// A [`Step`] borrows the negotiator. To run it on another thread, drop the step, move the negotiator there, call this
    /// method, and move the negotiator back.
    pub fn run_step(&mut self) {
        let State::Step { message } = &mut self.state else {
            return;
        };
        let message = take(message);
        let mut out = Vec::new();
        let outcome = self.context.step(message.get(HEADER_LEN..), &mut out);
        let outcome = outcome.map_err(Error::Context).and_then(|progress| {
            let next = match (progress, self.role) {
                (Progress::ContinueNeeded, _) => Message::Token,
                (Progress::Complete, Role::Client(config)) if out.is_empty() => {
                    return self.propose(config.proposed());
                }
                (Progress::Complete, Role::Client(config)) => Message::Ready {
                    proposal: config.proposed(),
                },
                (Progress::Complete, Role::Server(_)) => Message::Level { may_be_ready: false },
            };
            self.state = State::expect(next);
            // Without a token, a step that must continue sends nothing: an empty token would mean "complete" (R-112).
            if out.is_empty() && progress == Progress::ContinueNeeded {
                return Ok(());
            }
            self.send(MessageType::Authentication, &out)
        });
        if let Err(error) = outcome {
            self.refuse(error);
        }
    }

    /// Rejects the peer. A server sends `01 FF`, and a client sends nothing. Then [`Output::Closed`] follows, with
    /// [`Error::Abandoned`]. If the negotiation has already failed, this does nothing.
    ///
    /// Call it for instance if the [`context`](Self::context) reports a name that you do not admit.
    pub fn reject(&mut self) {
        if !matches!(self.state, State::Closed(_)) {
            self.refuse(Error::Abandoned);
        }
    }

    /// Returns the context, which knows the name of the peer.
    #[must_use]
    pub const fn context(&self) -> &C {
        &self.context
    }

    /// Returns the layer over the stream, at the agreed level.
    ///
    /// # Errors
    ///
    /// The error of [`Output::Closed`], or [`Error::Abandoned`] if the negotiation has not ended.
    pub fn into_encapsulation(self) -> Result<Encapsulation<C>, Error<C::Error>> {
        match self.state {
            State::Established(level) if !self.cursor.is_sending() => {
                Ok(Encapsulation::agreed(self.context, level))
            }
            State::Closed(error) => Err(error),
            _ => Err(Error::Abandoned),
        }
    }

    /// Returns the message that needs input, and the number of bytes up to the next decision.
    const fn input_due(&self) -> Option<(Message, NonZeroUsize)> {
        match self.state {
            State::Read { message, needed } if !self.cursor.is_sending() => Some((message, needed)),
            _ => None,
        }
    }

    /// Handles the bytes of `message` that have been received. Returns whether `message` is complete, or failed.
    fn decide(&mut self, message: Message) -> bool {
        let received = take(&mut self.received);
        let outcome = match message.decode(self.role.framing(), &received) {
            Ok(Decoded::Incomplete { needed }) => {
                self.received = received;
                self.state = State::Read { message, needed };
                return false;
            }
            Ok(Decoded::Complete {
                value: (message_type, token),
                consumed,
            }) => {
                self.reach = self.reach.saturating_sub(consumed);
                match (message, message_type) {
                    (Message::Token, _) => {
                        self.state = State::Step { message: received };
                        Ok(())
                    }
                    (Message::Ready { proposal }, _) => self.propose(proposal),
                    (Message::Level { .. }, MessageType::Authentication) => {
                        self.state = State::expect(Message::Level { may_be_ready: false });
                        Ok(())
                    }
                    (Message::Level { .. }, _) => self.agree(token),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.refuse(error);
        }
        true
    }

    /// Sends the client's level, and waits for the server's.
    fn propose(&mut self, level: Option<ProtectionLevel>) -> Result<(), Error<C::Error>> {
        let level = available(level, self.context.services())?;
        self.state = State::expect(Message::Level { may_be_ready: true });
        self.send_level(level)
    }

    /// Agrees on the level that the peer has sent in `token`. A server sends its answer.
    fn agree(&mut self, token: &[u8]) -> Result<(), Error<C::Error>> {
        let byte = self.open_level(token)?;
        let agreed = self.role.judge(byte, self.context.services())?;
        self.state = State::Established(agreed);
        match self.role {
            Role::Client(_) => Ok(()),
            Role::Server(_) => self.send_level(agreed),
        }
    }

    /// Returns the one byte in `token` (R-119).
    fn open_level(&mut self, token: &[u8]) -> Result<u8, Error<C::Error>> {
        let mut plain = Vec::new();
        if self.role.framing().nec {
            plain.extend_from_slice(token);
        } else {
            self.context.unwrap(token, &mut plain).map_err(Error::Context)?;
        }
        match *plain {
            [byte] => Ok(byte),
            _ => Err(Error::LevelLength(plain.len())),
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

    /// Appends a message to the bytes to send.
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

    /// Closes because of `error`. A server sends `01 FF`, unless the peer has sent it.
    fn refuse(&mut self, error: Error<C::Error>) {
        if let (Role::Server(_), false) = (self.role, matches!(error, Error::Rejected)) {
            self.push(&Frame::Abort);
        }
        self.close(error);
    }

    fn close(&mut self, error: Error<C::Error>) {
        self.received = Vec::new();
        self.state = State::Closed(error);
    }
}

/// Prints only the state. Tokens and the context are not printed.
impl<C: Context> fmt::Debug for Negotiator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Step { .. } => "step",
            State::Read { message, .. } => match message {
                Message::Token => "token",
                Message::Ready { .. } => "ready",
                Message::Level { .. } => "level",
            },
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

/// A step of context establishment: `gss_init_sec_context` or `gss_accept_sec_context`.
///
/// It may block while it waits for a key distribution centre. If you drop it without running it, the next poll returns it
/// again. On a thread that must not block, run it on another one:
///
/// ```
/// use sans_socks::gssapi::{Context, Negotiator};
/// use std::io;
/// use std::thread::{Builder, JoinHandle};
///
/// /// Call it when a step is pending. `join` returns the negotiator.
/// fn run_elsewhere<C>(mut negotiator: Negotiator<C>) -> io::Result<JoinHandle<Negotiator<C>>>
/// where
///     C: Context<Error: Send> + Send + 'static,
/// {
///     Builder::new().spawn(move || {
///         negotiator.run_step();
///         negotiator
///     })
/// }
/// ```
#[must_use = "the negotiation continues when the step is run"]
pub struct Step<'a, C: Context> {
    negotiator: &'a mut Negotiator<C>,
}

impl<C: Context> Step<'_, C> {
    /// Calls [`Context::step`], and blocks as long as that does. The next output depends on the result.
    pub fn run(self) {
        self.negotiator.run_step();
    }
}

impl<C: Context> fmt::Debug for Step<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}
