//! The server's side of the handshake.
//!
//! Create a [`Handshake`] for each connection, and run it with [`Machine::advance`] over a blocking stream, or with
//! [`Handshake::poll_output`] in an event loop. The guide has [complete servers](crate::guide::server), and
//! [every way to drive them](crate::guide::driving).
//!
#![doc = include_str!("server/transitions.md")]

use core::fmt;
use core::num::NonZeroUsize;

use crate::address::Address;
use crate::buffer::{Buffer, Progress};
use crate::code_point::{AuthStatus, Method, ReplyCode};
use crate::error::{Error, Malformed, Phase};
use crate::machine::{self, Io, Machine};
use crate::message::greeting::{Greeting, Methods, Selection};
use crate::message::request::{Reply, Request};
use crate::message::{Decoded, Encode};
use crate::socks4::{self, Version};

mod config;
mod decision;
mod received;
mod version4;

use received::Received;

pub use config::Config;
pub use decision::{
    Authenticate, Decision, Established, Negotiate, Output, PendingPeer, PendingRequest, SelectMethod,
};

/// The server's side of one connection's handshake: no allocation, no clock, at most 560 bytes of state.
///
/// It is `Send`, `Sync` and `'static`, so it can stay in a slab for the whole handshake.
///
/// The machine overwrites credentials when you answer them, and when it is dropped. If it moves before that, for instance
/// because a `Vec` grows, it leaves a copy that nothing overwrites. So do not move it while it holds credentials.
///
/// ```
/// use sans_socks::server::{Handshake, Output};
/// use sans_socks::Method;
///
/// let mut handshake = Handshake::new();
/// let mut input = &b"\x05\x01\x00"[..]; // what the socket has received
/// let mut output = Vec::new(); // what the socket is to send
/// loop {
///     match handshake.poll_output() {
///         Output::Transmit(transmit) => {
///             output.extend_from_slice(transmit.as_bytes());
///             transmit.sent_all();
///         }
///         Output::NeedInput { .. } if input.is_empty() => break, // until the socket is readable
///         Output::NeedInput { .. } => {
///             let consumed = handshake.handle_input(input);
///             input = &input[consumed..];
///         }
///         Output::SelectMethod(select) => select.select_preferred(&[Method::NO_AUTHENTICATION]),
///         _ => break, // the other decisions, `Established` and `Closed`
///     }
/// }
/// assert_eq!(output, [5, 0]);
/// ```
pub struct Handshake {
    buffer: Buffer<{ socks4::Request::MAX_LEN }>,
    config: Config,
    method: Option<Method>,
    state: State,
}

/// The next step when nothing is left to send.
#[repr(u8)] // Every call reads the tag. A separate tag saves 2 to 5 % of the instructions.
enum State {
    Read(Message),
    SelectMethod,
    Authenticate,
    Negotiate(Method),
    Reply(Received),
    AwaitPeer(Version),
    Established(Established),
    Closed(Error),
}

/// A message from the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Greeting,
    Credentials,
    Request,
}

impl Message {
    const fn phase(self) -> Phase {
        match self {
            Self::Greeting => Phase::Greeting,
            Self::Credentials => Phase::Authentication,
            Self::Request => Phase::Request,
        }
    }

    /// Returns how many bytes of the message the decoder needs to find a fault or the length.
    const fn first_decision(self, config: Config) -> u16 {
        match self {
            Self::Greeting | Self::Credentials => 2,
            Self::Request => config.first_decision_of_request(),
        }
    }
}

impl State {
    const fn phase(&self) -> Phase {
        match self {
            Self::Read(message) => message.phase(),
            Self::SelectMethod => Phase::MethodSelection,
            Self::Authenticate => Phase::Authentication,
            Self::Negotiate(_) => Phase::Negotiation,
            Self::Reply(_) => Phase::Reply,
            Self::AwaitPeer(_) => Phase::SecondReply,
            Self::Established(_) => Phase::Established,
            Self::Closed(_) => Phase::Closed,
        }
    }

    /// Reads `message`, and returns the state after it. A greeting is one of version 4: how much of one of version 5 is
    /// missing is known as soon as a part of it is consumed.
    fn after(message: Message, config: Config, bytes: &[u8]) -> Result<Decoded<Self>, Malformed> {
        Ok(match message {
            Message::Greeting => config
                .decode_socks4(bytes)?
                .map(|request| Self::Reply(Received::socks4(&request))),
            Message::Credentials => config.decode_credentials(bytes)?.map(|_| Self::Authenticate),
            Message::Request => config
                .decode_request(bytes)?
                .map(|request| Self::Reply(Received::new(&request))),
        })
    }
}

impl Handshake {
    /// Creates a handshake with a client that has just connected.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self::with_config(Config::new())
    }

    /// Creates a handshake with a configuration.
    #[inline]
    #[must_use]
    pub const fn with_config(config: Config) -> Self {
        Self {
            buffer: Buffer::new(),
            config,
            method: None,
            state: State::Read(Message::Greeting),
        }
    }

    /// Consumes bytes from the client, up to the end of the message in progress. Returns how many.
    ///
    /// Keep the rest: it belongs to a later call or to the tunnel. Unless [`Output::NeedInput`] is pending, nothing is
    /// consumed. Poll again after every call, even if it returns 0. A wrong version byte ends the handshake without being
    /// consumed, so that you can pass the stream to the handler of another protocol.
    #[inline]
    #[must_use = "what was not consumed belongs to a later call or to the tunnel"]
    pub fn handle_input(&mut self, input: &[u8]) -> usize {
        match self.buffer.take_short(input) {
            Some(consumed) => consumed,
            None => self.decide(input),
        }
    }

    /// Notes that the client has ended its side, as [`Machine::handle_eof`] describes.
    ///
    /// Still answer a pending decision, because a client may half-close after its request:
    ///
    /// ```
    /// use sans_socks::server::{Handshake, Output};
    /// use sans_socks::{Error, Method};
    ///
    /// let mut handshake = Handshake::new();
    /// assert_eq!(handshake.handle_input(&[5, 1, 0]), 3);
    /// handshake.handle_eof();
    /// if let Output::SelectMethod(select) = handshake.poll_output() {
    ///     select.select_preferred(&[Method::NO_AUTHENTICATION]);
    /// }
    /// if let Output::Transmit(transmit) = handshake.poll_output() {
    ///     assert_eq!(transmit.as_bytes(), [5, 0]);
    ///     transmit.sent_all();
    /// }
    /// // The request will not follow.
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
        self.state.phase()
    }

    /// Returns the selected method, or `None` before the selection.
    #[must_use]
    pub const fn method(&self) -> Option<Method> {
        self.method
    }

    /// Returns the methods that the client offered, while you select one and after you rejected all of them.
    ///
    /// ```
    /// use sans_socks::server::{Handshake, Output};
    /// use sans_socks::{Error, Method};
    ///
    /// let mut handshake = Handshake::new();
    /// let _ = handshake.handle_input(&[5, 2, 0x01, 0x80]);
    /// if let Output::SelectMethod(select) = handshake.poll_output() {
    ///     select.select_preferred(&[Method::USERNAME_PASSWORD]);
    /// }
    /// if let Output::Transmit(transmit) = handshake.poll_output() {
    ///     assert_eq!(transmit.as_bytes(), [5, 0xff]);
    ///     transmit.sent_all();
    /// }
    /// assert!(matches!(handshake.poll_output(), Output::Closed(Error::NoAcceptableMethod)));
    /// let offered = handshake.offered().into_iter().flatten().map(|method| method.to_string());
    /// assert_eq!(offered.collect::<Vec<_>>(), ["GSSAPI", "method 0x80"]);
    /// ```
    #[must_use]
    pub fn offered(&self) -> Option<Methods<'_>> {
        match self.state {
            State::SelectMethod | State::Closed(Error::NoAcceptableMethod) => Some(self.methods()),
            _ => None,
        }
    }

    /// Returns the client's request, while it is pending and after it was refused.
    ///
    /// Returns `None` once it was accepted. That includes BIND whose second reply is a refusal.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        match self.state {
            State::Reply(ref request) => Some(self.pending(request)),
            // After these errors, the buffer holds a complete request, unless the machine has already accepted it.
            State::Closed(
                Error::Refused(_) | Error::Socks4Refused(_) | Error::Malformed(Malformed::ControlBytes),
            ) => {
                let bytes = self.buffer.received();
                let request = match self.config.reads_socks4(bytes) {
                    true => socks4::Request::decode(bytes)
                        .ok()?
                        .map(|it| Received::socks4(&it)),
                    false => Request::decode(bytes).ok()?.map(|it| Received::new(&it)),
                };
                Some(self.pending(&request.complete()?.0))
            }
            _ => None,
        }
    }

    #[inline]
    fn poll_action(&mut self) -> Output<'_> {
        if self.buffer.is_sending() {
            return Output::Transmit(self.buffer.transmit());
        }
        match self.state {
            State::Read(message) => match self.want(message) {
                Some(needed) => Output::NeedInput { needed },
                None => Output::Closed(self.unexpected_eof(message)),
            },
            State::SelectMethod => Output::SelectMethod(SelectMethod { handshake: self }),
            State::Authenticate => Output::Authenticate(Authenticate { handshake: self }),
            State::Negotiate(method) => Output::Negotiate(Negotiate {
                handshake: self,
                method,
            }),
            State::Reply(ref request) => {
                let request = request.clone();
                Output::PendingRequest(PendingRequest {
                    handshake: self,
                    request,
                })
            }
            State::AwaitPeer(version) => Output::PendingPeer(PendingPeer {
                handshake: self,
                version,
            }),
            State::Established(established) => Output::Established(established),
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
            return NonZeroUsize::new(message.first_decision(self.config).into());
        }
        self.want_more(message)
    }

    #[inline(never)] // It is rare. Inlined, it makes every message prepare its arguments.
    fn want_more(&self, message: Message) -> Option<NonZeroUsize> {
        let config = self.config;
        self.buffer.want(message.first_decision(config), |bytes| {
            State::after(message, config, bytes)
        })
    }

    fn decide(&mut self, input: &[u8]) -> usize {
        match self.wants_input() {
            // Most messages arrive whole. Each has its own code: a shared decoder would pass its result through memory,
            // which costs a third more instructions.
            Some(message) if self.buffer.received_len() == 0 => match message {
                Message::Greeting => self.take_greeting(input),
                Message::Credentials => self.take_credentials(input),
                Message::Request => self.take_request(input),
            },
            Some(message) => self.receive(input, message),
            None => {
                self.buffer.hold(input);
                0
            }
        }
    }

    #[inline(never)] // A tail call: the path of the other messages need not save registers.
    fn take_greeting(&mut self, input: &[u8]) -> usize {
        let Ok(Decoded::Complete { consumed, .. }) = Greeting::decode(input) else {
            return self.receive(input, Message::Greeting);
        };
        self.state = State::SelectMethod;
        self.buffer.take_whole(input, consumed);
        consumed
    }

    #[inline(never)] // Likewise.
    fn take_credentials(&mut self, input: &[u8]) -> usize {
        let Ok(Decoded::Complete { consumed, .. }) = self.config.decode_credentials(input) else {
            return self.receive(input, Message::Credentials);
        };
        self.state = State::Authenticate;
        self.buffer.take_whole(input, consumed);
        self.buffer.mark_received_secret();
        consumed
    }

    #[inline(never)] // Likewise.
    fn take_request(&mut self, input: &[u8]) -> usize {
        let Ok(Decoded::Complete { value, consumed }) = self.config.decode_request(input) else {
            return self.receive(input, Message::Request);
        };
        self.state = State::Reply(Received::new(&value));
        self.buffer.take_whole(input, consumed);
        consumed
    }

    /// Consumes part of a message, or a message of version 4.
    ///
    /// `input` comes first, as in `decide`, because it then stays in the same registers. That saves every message 8
    /// instructions.
    #[inline(never)] // Likewise.
    fn receive(&mut self, input: &[u8], message: Message) -> usize {
        let config = self.config;
        let begun = match self.buffer.received() {
            [] => input,
            received => received,
        };
        match message {
            Message::Greeting if config.reads_socks4(begun) => self.receive_socks4(input),
            Message::Greeting => self.receive_part(message, input, |bytes| {
                Ok(Greeting::decode(bytes)?.map(|_| State::SelectMethod))
            }),
            Message::Credentials => self.receive_part(message, input, |bytes| {
                Ok(config.decode_credentials(bytes)?.map(|_| State::Authenticate))
            }),
            Message::Request => self.receive_part(message, input, |bytes| {
                let decoded = config.decode_request(bytes)?;
                Ok(decoded.map(|request| State::Reply(Received::new(&request))))
            }),
        }
    }

    #[inline(always)] // Each message gets a copy of this function, with its own decoder.
    fn receive_part(
        &mut self,
        message: Message,
        input: &[u8],
        decode: impl Fn(&[u8]) -> Result<Decoded<State>, Malformed>,
    ) -> usize {
        let first = message.first_decision(self.config);
        let (consumed, progress) = self.buffer.receive(input, first, decode);
        if message == Message::Credentials {
            self.buffer.mark_received_secret();
        }
        match progress {
            Progress::Partial => {}
            Progress::Message(next) => self.state = next,
            Progress::Fault(fault) => self.refuse(message, Version::Socks5, fault),
        }
        consumed
    }

    /// Reads `message` next, as soon as nothing is left to send.
    #[inline]
    fn read(&mut self, message: Message) {
        self.buffer.begin();
        self.state = State::Read(message);
    }

    /// Closes because of a fault in `message`, with the refusal that the protocol has for it.
    fn refuse(&mut self, message: Message, version: Version, fault: Malformed) {
        match (message, fault) {
            (Message::Greeting, Malformed::Version { .. }) => {}
            (Message::Greeting, _) if version == Version::Socks4 => {
                self.send_socks4_failure(socks4::ReplyCode::REJECTED);
            }
            (Message::Greeting, _) => self
                .buffer
                .send_after_received(&Selection::new(Method::NO_ACCEPTABLE)),
            (Message::Credentials, _) => {
                self.buffer.wipe_secret();
                self.buffer.send_message(&AuthStatus::FAILURE);
            }
            (Message::Request, Malformed::AddressType(_)) => {
                self.send_failure(version, ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED);
            }
            (Message::Request, _) => self.send_failure(version, ReplyCode::GENERAL_FAILURE),
        }
        self.state = State::Closed(fault.into());
    }

    fn unexpected_eof(&mut self, message: Message) -> Error {
        let error = Error::UnexpectedEof {
            phase: message.phase(),
            received: self.buffer.received_len(),
        };
        self.buffer.wipe_secret();
        self.state = State::Closed(error);
        error
    }

    fn send_failure(&mut self, version: Version, code: ReplyCode) {
        match version {
            Version::Socks5 => self
                .buffer
                .send_after_received(&Reply::new(code, Address::UNSPECIFIED)),
            Version::Socks4 => self.send_socks4_failure(code.into()),
        }
    }

    /// Accepts a request, or the peer of BIND.
    #[inline]
    fn accept(&mut self, version: Version, address: Address<'_>, next: State) {
        self.state = next;
        match version {
            Version::Socks5 => self
                .buffer
                .send_message(&Reply::new(ReplyCode::SUCCEEDED, address)),
            Version::Socks4 => self.accept_socks4(address),
        }
    }

    fn reject(&mut self, version: Version, code: ReplyCode) {
        let code = if code.is_success() {
            ReplyCode::GENERAL_FAILURE
        } else {
            code
        };
        self.send_failure(version, code);
        self.state = State::Closed(Error::Refused(code));
    }

    #[inline]
    fn methods(&self) -> Methods<'_> {
        Methods::from_wire(self.buffer.range(2, self.buffer.received_len()))
    }

    #[inline]
    fn pending(&self, request: &Received) -> Request<'_> {
        request.view(self.buffer.bytes())
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

impl Default for Handshake {
    fn default() -> Self {
        Self::new()
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
