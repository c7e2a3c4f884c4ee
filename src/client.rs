//! The client's side of the handshake.
//!
//! Ask [`Handshake::poll_output`] for the one thing to do next, do it, ask again:
//!
//! ```
//! # #[cfg(not(feature = "std"))] fn main() {}
//! # #[cfg(feature = "std")] fn main() -> std::io::Result<()> {
//! use sans_socks::client::{Auth, Handshake, Output};
//! use sans_socks::{Address, Request};
//! use std::io::{self, Read, Write};
//!
//! /// Returns the octets that came behind the handshake: the tunnel's first.
//! fn connect(stream: &mut (impl Read + Write), target: Address<'_>) -> io::Result<Vec<u8>> {
//!     let mut handshake = Handshake::new(&Request::connect(target), Auth::none());
//!     let mut input = Vec::new();
//!     loop {
//!         match handshake.poll_output() {
//!             Output::Transmit(transmit) => {
//!                 stream.write_all(transmit.bytes())?;
//!                 transmit.sent(usize::MAX);
//!             }
//!             Output::NeedInput { .. } => {
//!                 if input.is_empty() {
//!                     let mut chunk = [0; 1024];
//!                     match stream.read(&mut chunk)? {
//!                         0 => handshake.handle_eof(),
//!                         n => input.extend_from_slice(&chunk[..n]),
//!                     }
//!                 }
//!                 let taken = handshake.handle_input(&input);
//!                 input.drain(..taken);
//!             }
//!             Output::Negotiate(negotiate) => negotiate.abandon(),
//!             Output::Bound(bound) => bound.wait_for_peer(),
//!             Output::Established(_reply) => return Ok(input),
//!             Output::Closed(error) => return Err(error.into()),
//!         }
//!     }
//! }
//! # struct Pipe(io::Cursor<Vec<u8>>, Vec<u8>);
//! # impl Read for Pipe { fn read(&mut self, b: &mut [u8]) -> io::Result<usize> { self.0.read(b) } }
//! # impl Write for Pipe {
//! #     fn write(&mut self, b: &[u8]) -> io::Result<usize> { self.1.write(b) }
//! #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
//! # }
//! # let octets = b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00banner";
//! # let mut pipe = Pipe(io::Cursor::new(octets.to_vec()), Vec::new());
//! # assert_eq!(connect(&mut pipe, Address::try_from("a.b:80").unwrap())?, b"banner");
//! # assert_eq!(pipe.1, b"\x05\x01\x00\x05\x01\x00\x03\x03a.b\x00\x50");
//! # Ok(())
//! # }
//! ```
//!
//! # Transitions
//!
//! | phase | is sent | comes | next |
//! |---|---|---|---|
//! | Greeting, method selection | greeting | `05 00` | request |
//! | | | `05 02` | authentication |
//! | | | any other method that was offered | negotiation |
//! | | | `05 FF` | closed: `NoAcceptableMethod` |
//! | | | a method that was not offered | closed: `MethodNotOffered` |
//! | Authentication | credentials | `01 00`, `05 00` | request |
//! | | | any other status | closed: `AuthenticationRejected` |
//! | Negotiation, `finish()` | | | request |
//! | Negotiation, `abandon()` | | | closed: `Abandoned` |
//! | Request, reply | request | REP 00, BIND | bound |
//! | | | REP 00, any other command | established |
//! | | | any other REP | closed: `Refused` |
//! | Reply, `Bound::wait_for_peer()` | | | second reply |
//! | Second reply | | REP 00 | established |
//! | | | any other REP | closed: `Refused` |
//! | any that waits for input | | wrong version octet, which is not taken | closed: `Version` |
//! | | | end of input | closed: `UnexpectedEof` |
//!
//! REP is judged as soon as it is there: what stands behind a failure is not read. Optimistically, all that
//! is sent goes first.

use core::fmt;
use core::num::NonZeroUsize;

pub use crate::buffer::Transmit;

use crate::address::Address;
use crate::buffer::{Buffer, Received, push};
use crate::code::{AuthStatus, Command, Method, ReplyCode};
use crate::credentials::Credentials;
use crate::error::{Error, InvalidValue, Malformed, PeerMisbehaved, Phase};
use crate::message::greeting::{Greeting, Methods, Selection};
use crate::message::request::{Reply, Request};
use crate::message::{Decoded, Encode, VERSION};

/// The methods that a client offers, and the credentials for username/password.
///
/// Offering [`Method::NO_AUTHENTICATION`] beside another lets the server (or whoever answers in its place)
/// do without: it is a choice of its own, [`password_or_none`](Self::password_or_none).
///
/// ```
/// use sans_socks::client::Auth;
/// use sans_socks::{Credentials, Method};
///
/// let credentials = Credentials::new("alice", "secret")?;
/// let password = Auth::password(credentials);
///
/// let gssapi_or_password = Auth::new(&[Method::GSSAPI, Method::USERNAME_PASSWORD], Some(credentials))?;
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Auth<'a> {
    greeting: Greeting<'a>,
    credentials: Option<Credentials<'a>>,
}

impl<'a> Auth<'a> {
    /// No authentication: offers `00`.
    #[inline]
    #[must_use]
    pub const fn none() -> Self {
        Self {
            greeting: Greeting::from_checked(&[Method::NO_AUTHENTICATION]),
            credentials: None,
        }
    }

    /// Username/password, and nothing less: offers `02`.
    #[inline]
    #[must_use]
    pub const fn password(credentials: Credentials<'a>) -> Self {
        Self {
            greeting: Greeting::from_checked(&[Method::USERNAME_PASSWORD]),
            credentials: Some(credentials),
        }
    }

    /// Username/password or no authentication, as the server likes: offers `00 02`.
    #[inline]
    #[must_use]
    pub const fn password_or_none(credentials: Credentials<'a>) -> Self {
        Self {
            greeting: Greeting::from_checked(&[Method::NO_AUTHENTICATION, Method::USERNAME_PASSWORD]),
            credentials: Some(credentials),
        }
    }

    /// Any methods, in this order. For all but `00` and `02` the program negotiates itself, see [`Negotiate`].
    ///
    /// # Errors
    ///
    /// [`InvalidValue::MethodCount`] unless there are 1 to 255; [`InvalidValue::NoAcceptableOffered`] when
    /// [`Method::NO_ACCEPTABLE`] is among them; [`InvalidValue::CredentialsMissing`] when
    /// [`Method::USERNAME_PASSWORD`] is, and there are no credentials.
    pub fn new(methods: &'a [Method], credentials: Option<Credentials<'a>>) -> Result<Self, InvalidValue> {
        Self::offering(Greeting::new(methods)?, credentials)
    }

    pub(crate) fn offering(
        greeting: Greeting<'a>,
        credentials: Option<Credentials<'a>>,
    ) -> Result<Self, InvalidValue> {
        let password = greeting.methods().contains(Method::USERNAME_PASSWORD);
        if password && credentials.is_none() {
            return Err(InvalidValue::CredentialsMissing);
        }
        Ok(Self {
            greeting,
            credentials: credentials.filter(|_| password),
        })
    }
}

/// What a client does, and lets pass. The defaults are what programs in the wild get along with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct Config {
    optimistic: bool,
    strict_reserved: bool,
    strict_status_version: bool,
}

impl Config {
    /// The defaults: all off.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            optimistic: false,
            strict_reserved: false,
            strict_status_version: false,
        }
    }

    /// Whether greeting, credentials and request go out in one flight, where the one method offered is
    /// `00` or `02`; with any other offer this changes nothing.
    ///
    /// Saves one or two round trips. The order is the RFC's, but some servers lose what comes early
    /// (microsocks 1.0.3 does, and tor 0.4.9.11 loses an answer). The credentials are sent before the server
    /// has asked for them.
    #[must_use]
    pub const fn optimistic(self, optimistic: bool) -> Self {
        Self { optimistic, ..self }
    }

    /// Whether a reply with RSV other than `00` is malformed; else RSV is not looked at.
    #[must_use]
    pub const fn strict_reserved(self, strict: bool) -> Self {
        Self {
            strict_reserved: strict,
            ..self
        }
    }

    /// Whether an RFC 1929 status must begin with `01`; else `05` will do, which many servers send.
    #[must_use]
    pub const fn strict_status_version(self, strict: bool) -> Self {
        Self {
            strict_status_version: strict,
            ..self
        }
    }
}

/// The octets of the longest greeting, credentials and request.
///
/// All machines have as many, and zeroed. In an enum of this and a smaller room, what stands behind the smaller one
/// moves with it: whatever the stack held, another machine's password among it.
const LONGEST: usize = Greeting::MAX_LEN + Credentials::MAX_LEN + Request::MAX_LEN;

/// The client's side of one connection's handshake: no allocation, no clock, at most 1,100 octets of state.
///
/// It is `Send`, `Sync` and `'static`; it can stay in a slab from the first octet to the last.
pub struct Handshake {
    /// Greeting, credentials and request stand here one behind the other from the start. What comes in is
    /// laid over what has been sent: two octets over the greeting, then a reply over all.
    buffer: Buffer<LONGEST>,
    greeting_end: u16,
    credentials_end: u16,
    request_end: u16,
    config: Config,
    command: Command,
    method: Option<Method>,
    state: State,
}

/// What is due when nothing is left to send.
#[repr(u8)] // A tag of its own, not one woven into the error's: every call looks at it.
#[derive(Clone, Copy)]
enum State {
    ReadSelection,
    ReadStatus,
    Negotiate(Method),
    ReadReply,
    Bound,
    ReadSecondReply,
    Established,
    Closed(Error),
}

impl State {
    const fn phase(self) -> Phase {
        match self {
            Self::ReadSelection => Phase::MethodSelection,
            Self::ReadStatus => Phase::Authentication,
            Self::Negotiate(_) => Phase::Negotiation,
            Self::ReadReply => Phase::Reply,
            Self::Bound | Self::ReadSecondReply => Phase::SecondReply,
            Self::Established => Phase::Established,
            Self::Closed(_) => Phase::Closed,
        }
    }
}

/// The one thing to do next.
///
/// A decision comes as a token that borrows the machine and is consumed by the answer; dropped without an
/// answer, it comes again. A token may be held over an `.await`.
#[expect(
    clippy::exhaustive_enums,
    reason = "a new thing to do must not be overlooked by a driver"
)]
#[derive(Debug)]
#[must_use]
pub enum Output<'a> {
    /// Send these octets.
    Transmit(Transmit<'a>),
    /// Give [`handle_input`](Handshake::handle_input) what has been read; read, if nothing is left of that.
    ///
    /// A buffered or encrypted stream must be flushed first.
    NeedInput {
        /// The octets up to the next decision: a hint for exact reads, not a minimum to wait for.
        needed: NonZeroUsize,
    },
    /// Carry out the method's own sub-negotiation on the raw stream.
    Negotiate(Negotiate<'a>),
    /// BIND: the server listens. Tell the peer where, then wait for it.
    Bound(Bound<'a>),
    /// The handshake is over; what has not been taken of the input is the tunnel's. Stable.
    ///
    /// The reply is the last one: for BIND, the second. Its address is BND: for UDP ASSOCIATE where the
    /// datagrams go (see [`Address::or_host`]), for BIND the peer that has connected.
    ///
    /// It is the server's word, no more: some say so before they have connected to the target, and close the
    /// tunnel when they cannot.
    Established(Reply<'a>),
    /// The handshake has failed. Close. Stable.
    Closed(Error),
}

impl Handshake {
    /// A handshake that asks for `request`.
    #[inline]
    #[must_use]
    pub fn new(request: &Request<'_>, auth: Auth<'_>) -> Self {
        Self::with_config(request, auth, Config::new())
    }

    /// The same, with a configuration.
    #[inline(always)] // Else the machine is built in one place and copied to another, octet by octet.
    #[must_use]
    pub fn with_config(request: &Request<'_>, auth: Auth<'_>, config: Config) -> Self {
        let config = config.optimistic(config.optimistic && auth.is_certain());
        let mut octets = [0; LONGEST];
        let greeting_end = push(&mut octets, 0, &auth.greeting);
        let (credentials_end, secret) = match &auth.credentials {
            Some(credentials) => {
                let end = push(&mut octets, greeting_end, credentials);
                (end, (greeting_end, end))
            }
            None => (greeting_end, (0, 0)),
        };
        let request_end = push(&mut octets, credentials_end, request);
        let first = if config.optimistic {
            request_end
        } else {
            greeting_end
        };
        Self {
            buffer: Buffer::sending(octets, first, secret, 2),
            greeting_end,
            credentials_end,
            request_end,
            config,
            command: request.command,
            method: None,
            state: State::ReadSelection,
        }
    }

    /// Takes octets from the server: those of the message in progress, and not one more.
    ///
    /// Returns how many were taken; 0 while anything but [`Output::NeedInput`] is due. What was not taken is
    /// given again later, or is the tunnel's. An octet that shows a wrong version is not taken.
    #[inline]
    #[must_use = "what was not taken has to be given again, or is the tunnel's"]
    pub fn handle_input(&mut self, input: &[u8]) -> usize {
        match self.buffer.take_short(input) {
            Some(taken) => taken,
            None => self.decide(input),
        }
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

    /// The server has ended its side, and all octets before that have been taken.
    ///
    /// Where input is due, now or later, that is [`Error::UnexpectedEof`].
    pub fn handle_eof(&mut self) {
        self.buffer.handle_eof();
    }

    /// The one thing to do next. Asking again without doing it gives the same.
    #[inline]
    pub fn poll_output(&mut self) -> Output<'_> {
        match self.buffer.missing() {
            Some(needed) => Output::NeedInput { needed },
            None => self.poll_action(),
        }
    }

    /// Where the handshake stands, for logs and deadlines.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::ReadSelection if self.buffer.is_sending() => Phase::Greeting,
            State::ReadReply if self.buffer.is_sending() => Phase::Request,
            state => state.phase(),
        }
    }

    /// The method that the server selected, once it has.
    #[must_use]
    pub const fn method(&self) -> Option<Method> {
        self.method
    }

    #[inline(always)] // Else a reply goes through memory, stored in parts and loaded whole, which waits.
    fn poll_action(&mut self) -> Output<'_> {
        if self.buffer.is_sending() {
            return Output::Transmit(self.buffer.transmit());
        }
        match self.state {
            State::Negotiate(method) => Output::Negotiate(Negotiate {
                handshake: self,
                method,
            }),
            State::Bound => Output::Bound(Bound { handshake: self }),
            State::Established => Output::Established(self.reply()),
            State::Closed(error) => Output::Closed(error),
            // Input is due and none is missing: the server has ended its side.
            State::ReadSelection | State::ReadStatus | State::ReadReply | State::ReadSecondReply => {
                let error = Error::UnexpectedEof {
                    phase: self.state.phase(),
                };
                self.close(error);
                Output::Closed(error)
            }
        }
    }

    fn decide(&mut self, input: &[u8]) -> usize {
        if self.buffer.missing().is_none() {
            return 0;
        }
        let config = &self.config;
        let received = match self.state {
            State::ReadSelection => self
                .buffer
                .receive(input, |octets| Ok(Selection::decode(octets)?.framing())),
            State::ReadStatus => self
                .buffer
                .receive(input, |octets| Ok(config.decode_status(octets)?.framing())),
            State::ReadReply | State::ReadSecondReply => self
                .buffer
                .receive(input, |octets| Ok(config.decode_reply(octets)?.framing())),
            _ => return 0,
        };
        match received {
            Received::Partial(taken) => taken,
            Received::Fault(taken, error) => {
                self.close(error);
                taken
            }
            Received::Message(taken) => {
                match self.state {
                    State::ReadSelection => self.selected(),
                    State::ReadStatus => self.authenticated(),
                    State::ReadReply if self.command == Command::BIND => self.state = State::Bound,
                    _ => self.state = State::Established,
                }
                taken
            }
        }
    }

    /// The server has selected the method in the second octet.
    fn selected(&mut self) {
        let method = Method::new(self.answer());
        let offered = Methods::from_wire(self.buffer.octets(2, self.greeting_end));
        if method == Method::NO_ACCEPTABLE {
            return self.close(Error::NoAcceptableMethod);
        }
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
                self.state = State::ReadStatus;
                if self.config.optimistic {
                    self.buffer.want(2);
                } else {
                    self.buffer.send(self.greeting_end, self.credentials_end, 2);
                }
            }
            other => self.state = State::Negotiate(other),
        }
    }

    /// The server has judged the credentials, in the second octet.
    fn authenticated(&mut self) {
        match AuthStatus::new(self.answer()) {
            AuthStatus::SUCCESS => self.send_request(),
            status => self.close(Error::AuthenticationRejected { status: status.get() }),
        }
    }

    /// The second of two octets.
    fn answer(&self) -> u8 {
        match *self.buffer.received() {
            [_, answer] => answer,
            _ => Method::NO_ACCEPTABLE.get(),
        }
    }

    fn send_request(&mut self) {
        self.state = State::ReadReply;
        if self.config.optimistic {
            self.buffer.want(2);
        } else {
            self.buffer.send(self.credentials_end, self.request_end, 2);
        }
    }

    /// The reply that has been received.
    #[inline]
    fn reply(&self) -> Reply<'_> {
        match Reply::decode(self.buffer.received()) {
            Ok(Decoded::Complete { value, .. }) => value,
            _ => Reply::new(ReplyCode::SUCCEEDED, Address::UNSPECIFIED),
        }
    }

    fn close(&mut self, error: Error) {
        self.buffer.wipe_secret();
        self.buffer.want(0);
        self.state = State::Closed(error);
    }
}

impl Auth<'_> {
    /// Whether the server's selection is certain, since nothing else is offered.
    fn is_certain(&self) -> bool {
        let mut methods = self.greeting.methods().iter();
        matches!(
            (methods.next(), methods.next()),
            (Some(Method::NO_AUTHENTICATION | Method::USERNAME_PASSWORD), None)
        )
    }
}

impl Config {
    /// Reads a status, as far as this configuration lets it pass.
    #[inline]
    fn decode_status(&self, octets: &[u8]) -> Result<Decoded<AuthStatus>, Malformed> {
        match *octets {
            [VERSION] if !self.strict_status_version => Ok(Decoded::incomplete(2, 1)),
            [VERSION, status, ..] if !self.strict_status_version => Ok(Decoded::Complete {
                value: AuthStatus::new(status),
                consumed: 2,
            }),
            _ => AuthStatus::decode(octets),
        }
    }

    /// Reads a reply, and judges REP before anything behind it (Q-043, Q-045).
    #[inline]
    fn decode_reply<'a>(&self, octets: &'a [u8]) -> Result<Decoded<Reply<'a>>, Error> {
        if let [VERSION, code, ..] = *octets {
            let code = ReplyCode::new(code);
            if !code.is_success() {
                return Err(Error::Refused(code));
            }
        }
        if self.strict_reserved {
            match *octets {
                [VERSION, _] => return Ok(Decoded::incomplete(3, 2)),
                [VERSION, _, reserved, ..] if reserved != 0 => {
                    return Err(Malformed::Reserved(reserved).into());
                }
                _ => {}
            }
        }
        Ok(Reply::decode(octets)?)
    }
}

/// The phase alone: the buffer may hold a password.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// The server selected a method that has a sub-negotiation of its own.
///
/// The raw stream is the program's until it says that the negotiation is over; the machine takes no input.
/// If the method encapsulates what follows, its layer goes between the stream and this machine.
#[derive(Debug)]
#[must_use = "the handshake goes on when the negotiation is finished or abandoned"]
pub struct Negotiate<'a> {
    handshake: &'a mut Handshake,
    method: Method,
}

impl Negotiate<'_> {
    /// The method that was selected, one of those that were offered.
    #[inline]
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The server has accepted; the request is next.
    #[inline]
    pub fn finish(self) {
        self.handshake.send_request();
    }

    /// Closes. What the method has to say to the server was the program's to send.
    #[inline]
    pub fn abandon(self) {
        self.handshake.close(Error::Abandoned);
    }
}

/// BIND: the server listens for one connection.
///
/// "It is expected that" BIND is used "only to establish secondary connections after a primary connection is
/// established using CONNECT", [RFC 1928 §6]; neither machine asks for that.
///
/// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
#[derive(Debug)]
#[must_use = "the second reply comes after `wait_for_peer`"]
pub struct Bound<'a> {
    handshake: &'a mut Handshake,
}

impl Bound<'_> {
    /// Where the server listens: BND of the first reply, to be passed on to the peer. An unspecified host
    /// is the address that the proxy was reached at, see [`Address::or_host`].
    #[inline]
    #[must_use]
    pub fn address(&self) -> Address<'_> {
        self.handshake.reply().address
    }

    /// Waits for the second reply, which says who has connected.
    #[inline]
    pub fn wait_for_peer(self) {
        self.handshake.buffer.want(2);
        self.handshake.state = State::ReadSecondReply;
    }
}
