//! The client's side of the handshake.
//!
//! Create a [`Handshake`] for a [`Request`], and run it with [`Machine::advance`] over a blocking stream, or with
//! [`Handshake::poll_output`] in an event loop. The guide has [complete clients](crate::guide::client), and
//! [every way to drive them](crate::guide::driving).
//!
#![doc = include_str!("client/transitions.md")]

use core::fmt;
use core::num::NonZeroUsize;

use crate::buffer::{Buffer, Progress, Word, push};
use crate::code_point::{AuthStatus, Command, Method, ReplyCode};
use crate::credentials::Credentials;
use crate::error::{Error, PeerMisbehaved, Phase};
use crate::machine::{self, Io, Machine};
use crate::message::greeting::{Greeting, Methods, Selection};
use crate::message::request::{Reply, Request};
use crate::message::{Decoded, Encode};
use crate::socks4::Version;

mod config;
mod decision;
mod version4;

pub use config::{Auth, Config};
pub use decision::{Bound, Decision, Negotiate, Output};

/// The length of the longest greeting, credentials and request together, in bytes.
///
/// The buffer of every client has this size and starts zeroed. An enum of a small and a large buffer would take fewer
/// instructions. But moving the small variant would also copy uninitialized stack bytes, which may hold the password of
/// another machine.
const LONGEST: usize = Greeting::MAX_LEN + Credentials::MAX_LEN + Request::MAX_LEN;
const _: () = assert!(
    LONGEST % size_of::<Word>() == 0,
    "the buffer is written in whole words"
);

/// Enough for greeting, credentials and request of most handshakes together, in bytes.
///
/// They are written to an array that is then moved into the machine. A small array saves a tenth of the instructions.
/// The array is not overwritten afterwards: with a password, that would cost 115 instructions, 15 %.
const SHORT: usize = 64;

/// The client's side of one connection's handshake: no allocation, no clock, at most 1,100 bytes of state.
///
/// It is `Send`, `Sync` and `'static`, so it can stay in a slab for the whole handshake.
///
/// The machine overwrites credentials when they have been sent, when the server does not ask for them, and when it is
/// dropped. If it moves before that, for instance because a `Vec` grows, it leaves a copy that nothing overwrites. So
/// create it where it is to stay. Creating it also leaves one copy on the stack, which lasts until other calls use that
/// memory.
///
/// ```
/// use sans_socks::client::{Auth, Handshake, Output};
/// use sans_socks::{Address, Request};
///
/// let request = Request::connect(Address::try_from("example.com:80")?);
/// let mut handshake = Handshake::new(&request, Auth::none());
/// // What the socket receives after each message: the selection, then the reply and the first byte of the tunnel.
/// let mut received = [&b"\x05\0"[..], b"\x05\0\0\x01\0\0\0\0\0\0!"].into_iter();
/// let bound = loop {
///     match handshake.poll_output() {
///         Output::Transmit(transmit) => transmit.sent_all(), // after `transmit.as_bytes()` was sent
///         Output::NeedInput { .. } => {
///             let input = received.next().unwrap();
///             assert!(handshake.handle_input(input) <= input.len());
///         }
///         Output::Established(reply) => break reply.address,
///         _ => unreachable!("not for this request and this server"),
///     }
/// };
/// assert_eq!(bound, Address::UNSPECIFIED);
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
pub struct Handshake {
    /// Starts with the greeting, the credentials and the request, in this order. Received messages overwrite sent ones:
    /// the selection and the status overwrite two bytes of the greeting. The reply overwrites up to 262 bytes, when all
    /// three have been sent.
    buffer: Buffer<LONGEST>,
    greeting_end: u16,
    credentials_end: u16,
    request_end: u16,
    config: Config,
    version: Version,
    command: Command,
    method: Option<Method>,
    state: State,
}

/// The next step when nothing is left to send.
#[repr(u8)] // Every call reads the tag. A separate tag saves 2 to 5 % of the instructions.
#[derive(Clone, Copy)]
enum State {
    Read(Message),
    Negotiate(Method),
    Bound,
    Established,
    Closed(Error),
}

/// A message from the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Selection,
    Status,
    Reply,
    SecondReply,
}

/// The content of a message.
#[derive(Clone, Copy)]
enum Answer {
    Selected(Method),
    Status(AuthStatus),
    Succeeded,
}

/// How many bytes the decoder needs to find a fault or the length: a whole selection or status, or a reply up to REP.
const FIRST_DECISION: u16 = 2;

impl Message {
    const fn phase(self) -> Phase {
        match self {
            Self::Selection => Phase::MethodSelection,
            Self::Status => Phase::Authentication,
            Self::Reply => Phase::Reply,
            Self::SecondReply => Phase::SecondReply,
        }
    }

    fn decode(self, version: Version, config: Config, bytes: &[u8]) -> Result<Decoded<Answer>, Error> {
        Ok(match self {
            Self::Selection => Selection::decode(bytes)?.map(|selection| Answer::Selected(selection.method)),
            Self::Status => config.decode_status(bytes)?.map(Answer::Status),
            Self::Reply | Self::SecondReply if version == Version::Socks4 => {
                version4::decode_socks4_reply(bytes)?
            }
            Self::Reply | Self::SecondReply => config.judge_reply(bytes)?.map(|()| Answer::Succeeded),
        })
    }
}

impl State {
    const fn phase(self) -> Phase {
        match self {
            Self::Read(message) => message.phase(),
            Self::Negotiate(_) => Phase::Negotiation,
            Self::Bound => Phase::SecondReply,
            Self::Established => Phase::Established,
            Self::Closed(_) => Phase::Closed,
        }
    }
}

impl Handshake {
    /// Creates a handshake that asks for `request`.
    #[inline]
    #[must_use]
    pub fn new(request: &Request<'_>, auth: Auth<'_>) -> Self {
        Self::with_config(request, auth, Config::new())
    }

    /// Creates a handshake with a configuration.
    #[inline(always)] // For the same reason as `sending`.
    #[must_use]
    pub fn with_config(request: &Request<'_>, auth: Auth<'_>, config: Config) -> Self {
        let credentials_len = auth.credentials().map_or(0, Encode::encoded_len);
        match auth.greeting().encoded_len() + credentials_len + request.encoded_len() {
            ..=SHORT => Self::sending([Word::default(); SHORT / 8], request, &auth, config),
            _ => Self::sending_long(request, &auth, config),
        }
    }

    #[inline(never)] // It is rare, and its array is large.
    fn sending_long(request: &Request<'_>, auth: &Auth<'_>, config: Config) -> Self {
        Self::sending([Word::default(); LONGEST / 8], request, auth, config)
    }

    /// Writes the messages to `words`, and creates the handshake that sends them.
    #[inline(always)] // Otherwise the machine is built on the stack and copied.
    fn sending<const M: usize>(
        mut words: [Word; M],
        request: &Request<'_>,
        auth: &Auth<'_>,
        config: Config,
    ) -> Self {
        let config = config.with_optimistic(config.optimistic() && auth.is_certain());
        let bytes = words.as_flattened_mut();
        let greeting_end = push(bytes, 0, auth.greeting());
        let (credentials_end, secret) = match auth.credentials() {
            Some(credentials) => {
                let end = push(bytes, greeting_end, credentials);
                (end, (greeting_end, end))
            }
            None => (greeting_end, (0, 0)),
        };
        let request_end = push(bytes, credentials_end, request);
        let first = if config.optimistic() {
            request_end
        } else {
            greeting_end
        };
        Self {
            buffer: Buffer::sending(words, first, secret),
            greeting_end,
            credentials_end,
            request_end,
            config,
            version: Version::Socks5,
            command: request.command,
            method: None,
            state: State::Read(Message::Selection),
        }
    }

    /// Consumes bytes from the server, up to the end of the message in progress. Returns how many.
    ///
    /// Keep the rest: it belongs to a later call or to the tunnel. Unless [`Output::NeedInput`] is pending, nothing is
    /// consumed. Poll again after every call, even if it returns 0: a wrong version byte ends the handshake without being
    /// consumed.
    #[inline]
    #[must_use = "what was not consumed belongs to a later call or to the tunnel"]
    pub fn handle_input(&mut self, input: &[u8]) -> usize {
        match self.buffer.take_short(input) {
            Some(consumed) => consumed,
            None => self.decide(input),
        }
    }

    /// Notes that the server has ended its side, as [`Machine::handle_eof`] describes.
    ///
    /// ```
    /// use sans_socks::client::{Auth, Handshake, Output};
    /// use sans_socks::{Address, Error, Request};
    ///
    /// let mut handshake = Handshake::new(&Request::connect(Address::UNSPECIFIED), Auth::none());
    /// if let Output::Transmit(transmit) = handshake.poll_output() {
    ///     transmit.sent_all();
    /// }
    /// handshake.handle_eof(); // a read has returned 0 bytes
    /// assert!(matches!(handshake.poll_output(), Output::Closed(Error::UnexpectedEof { .. })));
    /// ```
    pub fn handle_eof(&mut self) {
        self.buffer.handle_eof(self.wants_input().is_some());
    }

    /// Returns the next step. Until you perform it, further calls return the same one.
    #[inline]
    pub fn poll_output(&mut self) -> Output<'_> {
        match self.buffer.missing() {
            Some(needed) => Output::NeedInput { needed },
            None => self.poll_action(),
        }
    }

    /// Returns the phase of the handshake, for logs and deadlines.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::Read(Message::Selection) if self.buffer.is_sending() => Phase::Greeting,
            State::Read(Message::Reply) if self.buffer.is_sending() => Phase::Request,
            state => state.phase(),
        }
    }

    /// Returns the method that the server selected, or `None` before the selection.
    #[must_use]
    pub const fn method(&self) -> Option<Method> {
        self.method
    }

    #[inline(always)] // Otherwise a reply passes through memory.
    fn poll_action(&mut self) -> Output<'_> {
        if self.buffer.is_sending() {
            return Output::Transmit(self.buffer.transmit());
        }
        match self.state {
            State::Read(message) => match self.want(message) {
                Some(needed) => Output::NeedInput { needed },
                None => Output::Closed(self.unexpected_eof(message)),
            },
            State::Negotiate(method) => Output::Negotiate(Negotiate {
                handshake: self,
                method,
            }),
            State::Bound => Output::Bound(Bound { handshake: self }),
            State::Established => Output::Established(self.reply()),
            State::Closed(error) => Output::Closed(error),
        }
    }

    /// Returns the message to read, unless bytes must be sent first.
    fn wants_input(&self) -> Option<Message> {
        match self.state {
            State::Read(message) if !self.buffer.is_sending() => Some(message),
            _ => None,
        }
    }

    #[inline]
    fn want(&self, message: Message) -> Option<NonZeroUsize> {
        if self.buffer.is_at_start() {
            return NonZeroUsize::new(FIRST_DECISION.into());
        }
        self.want_more(message)
    }

    #[inline(never)] // It is rare. Inlined, it makes every message prepare its arguments.
    fn want_more(&self, message: Message) -> Option<NonZeroUsize> {
        let (version, config) = (self.version, self.config);
        self.buffer
            .want(FIRST_DECISION, |bytes| message.decode(version, config, bytes))
    }

    fn decide(&mut self, input: &[u8]) -> usize {
        let Some(message) = self.wants_input() else {
            self.buffer.hold(input);
            return 0;
        };
        if self.buffer.received_len() == 0 && self.version == Version::Socks5 {
            // Most messages arrive whole. Each has its own code, as in the server.
            match message {
                Message::Selection => {
                    if let Ok(Decoded::Complete { value, consumed }) = Selection::decode(input) {
                        self.buffer.take_whole(input, consumed);
                        self.selected(value.method);
                        return consumed;
                    }
                }
                Message::Status => {
                    if let Ok(Decoded::Complete { value, consumed }) = self.config.decode_status(input) {
                        self.buffer.take_whole(input, consumed);
                        self.authenticated(value);
                        return consumed;
                    }
                }
                Message::Reply | Message::SecondReply => {
                    if let Ok(Decoded::Complete { consumed, .. }) = self.config.judge_reply(input) {
                        self.succeeded(message);
                        self.buffer.take_whole(input, consumed);
                        return consumed;
                    }
                }
            }
        }
        self.receive(input, message)
    }

    /// Consumes part of a message, or a message of version 4.
    ///
    /// `input` comes first, as in `decide`, because it then stays in the same registers.
    #[inline(never)] // A tail call: the path of whole messages need not save registers.
    fn receive(&mut self, input: &[u8], message: Message) -> usize {
        let config = self.config;
        match message {
            _ if self.version == Version::Socks4 => self.receive_socks4(input, message),
            Message::Selection => self.receive_part(message, input, |bytes| {
                Ok(Selection::decode(bytes)?.map(|selection| Answer::Selected(selection.method)))
            }),
            Message::Status => self.receive_part(message, input, |bytes| {
                Ok(config.decode_status(bytes)?.map(Answer::Status))
            }),
            Message::Reply | Message::SecondReply => self.receive_part(message, input, |bytes| {
                Ok(config.judge_reply(bytes)?.map(|()| Answer::Succeeded))
            }),
        }
    }

    #[inline(always)] // Each message gets a copy of this function, with its own decoder.
    fn receive_part(
        &mut self,
        message: Message,
        input: &[u8],
        decode: impl Fn(&[u8]) -> Result<Decoded<Answer>, Error>,
    ) -> usize {
        let (consumed, progress) = self.buffer.receive(input, FIRST_DECISION, decode);
        match progress {
            Progress::Partial => {}
            Progress::Message(Answer::Selected(method)) => self.selected(method),
            Progress::Message(Answer::Status(status)) => self.authenticated(status),
            Progress::Message(Answer::Succeeded) => self.succeeded(message),
            Progress::Fault(error) => self.close(error),
        }
        consumed
    }

    fn authenticated(&mut self, status: AuthStatus) {
        match status {
            AuthStatus::SUCCESS => self.send_request(),
            _ => self.close(Error::AuthenticationRejected { status: status.get() }),
        }
    }

    fn succeeded(&mut self, message: Message) {
        self.state = match self.command {
            Command::BIND if message == Message::Reply => State::Bound,
            _ => State::Established,
        };
    }

    fn selected(&mut self, method: Method) {
        if method == Method::NO_ACCEPTABLE {
            return self.close(Error::NoAcceptableMethod);
        }
        let offered = Methods::from_wire(self.buffer.range(2, self.greeting_end));
        if !offered.contains(method) {
            return self.close(PeerMisbehaved::MethodNotOffered(method).into());
        }
        self.method = Some(method);
        if method != Method::USERNAME_PASSWORD {
            self.buffer.wipe_secret();
        }
        match method {
            Method::NO_AUTHENTICATION => self.send_request(),
            Method::USERNAME_PASSWORD => {
                self.send(self.greeting_end, self.credentials_end);
                self.read(Message::Status);
            }
            other => self.state = State::Negotiate(other),
        }
    }

    fn send_request(&mut self) {
        self.send(self.credentials_end, self.request_end);
        self.read(Message::Reply);
    }

    /// Sends the bytes from `start` to `end`, unless an optimistic handshake has sent them at the start.
    fn send(&mut self, start: u16, end: u16) {
        if !self.config.optimistic() {
            self.buffer.send(start, end);
        }
    }

    /// Reads `message` next, as soon as nothing is left to send.
    #[inline]
    fn read(&mut self, message: Message) {
        self.buffer.begin();
        self.state = State::Read(message);
    }

    /// Returns the reply that was received.
    #[inline]
    fn reply(&self) -> Reply<'_> {
        if self.version == Version::Socks4 {
            return self.socks4_reply();
        }
        match Reply::decode(self.buffer.bytes()) {
            Ok(Decoded::Complete { value, .. }) => value,
            _ => {
                debug_assert!(false, "the reply was decoded before");
                Reply::new(ReplyCode::GENERAL_FAILURE, crate::Address::UNSPECIFIED)
            }
        }
    }

    fn unexpected_eof(&mut self, message: Message) -> Error {
        let error = Error::UnexpectedEof {
            phase: message.phase(),
            received: self.buffer.received_len(),
        };
        self.close(error);
        error
    }

    fn close(&mut self, error: Error) {
        self.buffer.wipe_secret();
        self.state = State::Closed(error);
    }
}

impl machine::private::Sealed for Handshake {}
impl Machine for Handshake {
    type Decision<'a> = Decision<'a>;

    #[inline]
    fn handle_input(&mut self, input: &[u8]) -> usize {
        self.handle_input(input)
    }

    fn handle_eof(&mut self) {
        self.handle_eof();
    }

    #[inline]
    fn poll_io(&mut self) -> Option<Io<'_>> {
        self.poll_output().split().ok()
    }

    #[inline]
    fn poll_decision(&mut self) -> Option<Decision<'_>> {
        self.poll_output().split().err()
    }
}

/// Prints only the phase, because the buffer may hold a password.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}
