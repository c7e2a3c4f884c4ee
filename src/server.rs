//! The server's side of the handshake.
//!
//! Ask [`Handshake::poll_output`] for the one thing to do next, do it, ask again:
//!
//! ```
//! # #[cfg(not(feature = "std"))] fn main() {}
//! # #[cfg(feature = "std")] fn main() -> std::io::Result<()> {
//! use sans_socks::server::{Established, Handshake, Output};
//! use sans_socks::{Address, Command, Method, ReplyCode};
//! use std::io::{self, Read, Write};
//!
//! /// Returns the octets that came behind the handshake: the tunnel's first.
//! fn serve(stream: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
//!     let mut handshake = Handshake::new();
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
//!             Output::SelectMethod(select) => {
//!                 select.select_preferred(&[Method::USERNAME_PASSWORD]);
//!             }
//!             Output::Authenticate(authenticate) => {
//!                 if authenticate.credentials().verify("alice", "secret") {
//!                     authenticate.accept();
//!                 } else {
//!                     authenticate.reject();
//!                 }
//!             }
//!             Output::Negotiate(negotiate) => negotiate.abandon(),
//!             Output::Request(pending) => match pending.request().command {
//!                 // Dial pending.request().address here.
//!                 Command::CONNECT => pending.succeed(Address::UNSPECIFIED),
//!                 _ => pending.fail(ReplyCode::COMMAND_NOT_SUPPORTED),
//!             },
//!             Output::AwaitPeer(pending) => pending.fail(ReplyCode::GENERAL_FAILURE),
//!             Output::Established(_) => return Ok(input),
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
//! # let octets = b"\x05\x01\x02\x01\x05alice\x06secret\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50early";
//! # let mut pipe = Pipe(io::Cursor::new(octets.to_vec()), Vec::new());
//! # assert_eq!(serve(&mut pipe)?, b"early");
//! # assert_eq!(pipe.1, b"\x05\x02\x01\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00");
//! # Ok(())
//! # }
//! ```
//!
//! # Transitions
//!
//! | phase | comes | is sent | next |
//! |---|---|---|---|
//! | Greeting | greeting | | method selection |
//! | | NMETHODS 00 | `05 FF` | closed: `NoMethods` |
//! | Method selection | `select(00)` | `05 00` | request |
//! | | `select(02)` | `05 02` | authentication |
//! | | `select(other)` | `05 xx` | negotiation |
//! | | `reject()`, nothing preferred | `05 FF` | closed: `NoAcceptableMethod` |
//! | Authentication | credentials, `accept()` | `01 00` | request |
//! | | credentials, `reject()` | `01 01` | closed: `AuthenticationRejected` |
//! | | an empty field | `01 01` | closed: `EmptyCredentials` |
//! | Negotiation | `finish()` | | request |
//! | | `abandon()` | | closed: `Abandoned` |
//! | Request | request | | reply |
//! | | unknown ATYP | REP 08 | closed: `AddressType` |
//! | | empty name, control octets, strict RSV | REP 01 | closed: `EmptyDomain`, `ControlOctets`, `Reserved` |
//! | Reply | `succeed()`, BIND | REP 00 | second reply |
//! | | `succeed()`, any other command | REP 00 | established |
//! | | `fail(code)` | REP code | closed: `Refused` |
//! | Second reply | `connected()` | REP 00 | established |
//! | | `fail(code)` | REP code | closed: `Refused` |
//! | any that waits for input | wrong version octet, which is not taken | | closed: `Version` |
//! | | end of input | | closed: `UnexpectedEof` |

use core::fmt;
use core::num::{NonZeroU8, NonZeroUsize};

pub use crate::buffer::Transmit;

use crate::address::{Address, Host};
use crate::buffer::{Buffer, Received};
use crate::code::{AuthStatus, Command, Method, ReplyCode};
use crate::credentials::Credentials;
use crate::error::{Error, InvalidValue, Malformed, Phase};
use crate::message::greeting::{Greeting, Methods, Selection};
use crate::message::request::{Reply, Request};
use crate::message::{Decoded, Encode, VERSION};

/// What a server lets pass. The defaults are what programs in the wild get along with.
///
/// ```
/// use sans_socks::server::{Config, Handshake};
///
/// let handshake = Handshake::with_config(Config::new().allow_empty_credentials(true));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct Config {
    allow_empty_credentials: bool,
    allow_control_octets: bool,
    strict_reserved: bool,
}

impl Config {
    /// The defaults: all off.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            allow_empty_credentials: false,
            allow_control_octets: false,
            strict_reserved: false,
        }
    }

    /// Whether an empty user name or password reaches [`Authenticate`]; else it is rejected with `01 01`.
    ///
    /// RFC 1929 does not allow it; Tor takes it, and curl and Java send it.
    #[must_use]
    pub const fn allow_empty_credentials(self, allow: bool) -> Self {
        Self {
            allow_empty_credentials: allow,
            ..self
        }
    }

    /// Whether a name with NUL or control octets reaches [`PendingRequest`]; else it is refused with REP 01.
    ///
    /// A resolver written in C stops at a NUL: see [`Domain::is_hostname`](crate::Domain::is_hostname).
    #[must_use]
    pub const fn allow_control_octets(self, allow: bool) -> Self {
        Self {
            allow_control_octets: allow,
            ..self
        }
    }

    /// Whether a request with RSV other than `00` is refused with REP 01; else RSV is not looked at.
    #[must_use]
    pub const fn strict_reserved(self, strict: bool) -> Self {
        Self {
            strict_reserved: strict,
            ..self
        }
    }
}

/// The server's side of one connection's handshake: no allocation, no clock, at most 560 octets of state.
///
/// It is `Send`, `Sync` and `'static`; it can stay in a slab from the first octet to the last.
pub struct Handshake {
    buffer: Buffer<{ Credentials::MAX_LEN }>,
    config: Config,
    state: State,
}

/// What is due when nothing is left to send.
#[repr(u8)] // A tag of its own, not one woven into the error's: every call looks at it.
#[derive(Clone, Copy)]
enum State {
    ReadGreeting,
    SelectMethod,
    ReadCredentials,
    Authenticate,
    Negotiate(Method),
    ReadRequest,
    Reply,
    AwaitPeer,
    Established(Established),
    Closed(Error),
}

impl State {
    const fn phase(self) -> Phase {
        match self {
            Self::ReadGreeting => Phase::Greeting,
            Self::SelectMethod => Phase::MethodSelection,
            Self::ReadCredentials | Self::Authenticate => Phase::Authentication,
            Self::Negotiate(_) => Phase::Negotiation,
            Self::ReadRequest => Phase::Request,
            Self::Reply => Phase::Reply,
            Self::AwaitPeer => Phase::SecondReply,
            Self::Established(_) => Phase::Established,
            Self::Closed(_) => Phase::Closed,
        }
    }
}

/// The one thing to do next.
///
/// A decision comes as a token that borrows the machine and is consumed by the answer; dropped without an
/// answer, it comes again. So a second reply, a reply before the request or a request before authentication
/// cannot be written. A token may be held over an `.await`.
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
    /// Select one of the methods that the client offers.
    SelectMethod(SelectMethod<'a>),
    /// Judge the user name and password.
    Authenticate(Authenticate<'a>),
    /// Carry out the method's own sub-negotiation on the raw stream.
    Negotiate(Negotiate<'a>),
    /// Carry out the request, and answer it.
    Request(PendingRequest<'a>),
    /// BIND: wait for the peer's connection, and answer once more.
    AwaitPeer(PendingPeer<'a>),
    /// The handshake is over; what has not been taken of the input is the tunnel's. Stable.
    Established(Established),
    /// The handshake has failed and the client was told so. Close. Stable.
    Closed(Error),
}

/// What the connection is, now that the handshake is over.
#[expect(clippy::exhaustive_enums, reason = "part of `Output`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Established {
    /// CONNECT and BIND: a tunnel to the target or the peer.
    Stream,
    /// UDP ASSOCIATE: a life-line. It carries no data (read and discard what comes); its end is the
    /// association's end.
    UdpAssociation,
    /// Another command, to which the reply was the answer.
    Other(Command),
}

impl Handshake {
    /// The octets up to the first decision about a request: ATYP, or RSV before it.
    const fn request_start(&self) -> u16 {
        if self.config.strict_reserved { 3 } else { 4 }
    }

    /// A handshake with a client that has just connected.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self::with_config(Config::new())
    }

    /// The same, with a configuration.
    #[inline]
    #[must_use]
    pub const fn with_config(config: Config) -> Self {
        Self {
            buffer: Buffer::receiving(2),
            config,
            state: State::ReadGreeting,
        }
    }

    /// Takes octets from the client: those of the message in progress, and not one more.
    ///
    /// Returns how many were taken; 0 while anything but [`Output::NeedInput`] is due. What was not taken is
    /// given again later, or is the tunnel's. An octet that shows a wrong version is not taken, so that
    /// another protocol's handler can have the stream.
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

    /// The client has ended its side, and all octets before that have been taken.
    ///
    /// Where input is due, now or later, that is [`Error::UnexpectedEof`]. A decision or a refusal that is
    /// pending is still carried out: a client may half-close after its request.
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
        self.state.phase()
    }

    #[inline]
    fn poll_action(&mut self) -> Output<'_> {
        if self.buffer.is_sending() {
            return Output::Transmit(self.buffer.transmit());
        }
        match self.state {
            State::SelectMethod => Output::SelectMethod(SelectMethod { handshake: self }),
            State::Authenticate => Output::Authenticate(Authenticate { handshake: self }),
            State::Negotiate(method) => Output::Negotiate(Negotiate {
                handshake: self,
                method,
            }),
            State::Reply => Output::Request(PendingRequest { handshake: self }),
            State::AwaitPeer => Output::AwaitPeer(PendingPeer { handshake: self }),
            State::Established(established) => Output::Established(established),
            State::Closed(error) => Output::Closed(error),
            // Input is due and none is missing: the client has ended its side.
            State::ReadGreeting | State::ReadCredentials | State::ReadRequest => {
                let error = Error::UnexpectedEof {
                    phase: self.state.phase(),
                };
                self.buffer.wipe_secret();
                self.state = State::Closed(error);
                Output::Closed(error)
            }
        }
    }

    fn decide(&mut self, input: &[u8]) -> usize {
        if self.buffer.missing().is_none() {
            return 0;
        }
        let config = &self.config;
        match self.state {
            State::ReadGreeting => {
                let received = self
                    .buffer
                    .receive(input, |octets| Ok(Greeting::decode(octets)?.framing()));
                self.received(received, State::SelectMethod)
            }
            State::ReadCredentials => {
                let received = self
                    .buffer
                    .receive(input, |octets| Ok(config.decode_credentials(octets)?.framing()));
                self.buffer.mark_received_secret();
                self.received(received, State::Authenticate)
            }
            State::ReadRequest => {
                let received = self
                    .buffer
                    .receive(input, |octets| Ok(config.decode_request(octets)?.framing()));
                self.received(received, State::Reply)
            }
            _ => 0,
        }
    }

    /// Goes on to `next` if the message is whole. Returns how many octets were taken.
    #[inline]
    fn received(&mut self, received: Received<Malformed>, next: State) -> usize {
        match received {
            Received::Partial(taken) => taken,
            Received::Message(taken) => {
                self.state = next;
                taken
            }
            Received::Fault(taken, fault) => {
                self.refuse(fault);
                taken
            }
        }
    }

    /// Closes because of a fault, with the octets that RFC 1928 and 1929 have for it.
    fn refuse(&mut self, fault: Malformed) {
        self.buffer.wipe_secret();
        match (fault, self.state) {
            (Malformed::Version { .. }, _) => {}
            (_, State::ReadGreeting) => self
                .buffer
                .send_message(&Selection::new(Method::NO_ACCEPTABLE), 0),
            (_, State::ReadCredentials) => self.buffer.send_message(&AuthStatus::FAILURE, 0),
            (Malformed::AddressType(_), _) => self.send_failure(ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED),
            _ => self.send_failure(ReplyCode::GENERAL_FAILURE),
        }
        self.state = State::Closed(fault.into());
    }

    fn send_failure(&mut self, code: ReplyCode) {
        self.buffer
            .send_message(&Reply::new(code, Address::UNSPECIFIED), 0);
    }

    /// Answers a request, or BIND a second time, with success.
    fn succeed(&mut self, address: Address<'_>, next: State) {
        self.buffer
            .send_message(&Reply::new(ReplyCode::SUCCEEDED, address), 0);
        self.state = next;
    }

    fn fail(&mut self, code: ReplyCode) {
        let code = if code.is_success() {
            ReplyCode::GENERAL_FAILURE
        } else {
            code
        };
        self.send_failure(code);
        self.state = State::Closed(Error::Refused(code));
    }
}

impl Config {
    /// Reads credentials, as far as this configuration lets them pass.
    #[inline]
    fn decode_credentials<'a>(&self, octets: &'a [u8]) -> Result<Decoded<Credentials<'a>>, Malformed> {
        if self.allow_empty_credentials {
            Credentials::decode_allowing_empty(octets)
        } else {
            Credentials::decode(octets)
        }
    }

    /// Reads a request, as far as this configuration lets it pass.
    #[inline]
    fn decode_request<'a>(&self, octets: &'a [u8]) -> Result<Decoded<Request<'a>>, Malformed> {
        if let [VERSION, _, reserved, ..] = *octets {
            if self.strict_reserved && reserved != 0 {
                return Err(Malformed::Reserved(reserved));
            }
        }
        let decoded = Request::decode(octets)?;
        if let Decoded::Complete {
            value:
                Request {
                    address:
                        Address {
                            host: Host::Domain(name),
                            ..
                        },
                    ..
                },
            ..
        } = decoded
        {
            if !self.allow_control_octets && !name.is_hostname() {
                return Err(Malformed::ControlOctets);
            }
        }
        Ok(decoded)
    }
}

impl Default for Handshake {
    fn default() -> Self {
        Self::new()
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

/// The client offers these methods: select one of them.
///
/// The order of the offer is the client's preference by convention only; the server goes by its own. A
/// server that has credentials to check must not prefer, nor fall back on, [`Method::NO_AUTHENTICATION`].
#[derive(Debug)]
#[must_use = "the handshake goes on when a method is selected, or all are rejected"]
pub struct SelectMethod<'a> {
    handshake: &'a mut Handshake,
}

impl SelectMethod<'_> {
    /// The methods offered, without `FF`.
    #[inline]
    #[must_use]
    pub fn offered(&self) -> Methods<'_> {
        Methods::from_wire(self.handshake.buffer.received().get(2..).unwrap_or_default())
    }

    /// Selects `method`.
    ///
    /// `00` goes on to the request, `02` to [`Authenticate`], any other to [`Negotiate`].
    ///
    /// # Errors
    ///
    /// [`InvalidValue::MethodNotOffered`] when the client did not offer it; nothing has then been decided.
    #[inline]
    pub fn select(self, method: Method) -> Result<(), InvalidValue> {
        if !self.offered().contains(method) {
            return Err(InvalidValue::MethodNotOffered(method));
        }
        self.answer(method);
        Ok(())
    }

    /// Selects the first of `preferred` that was offered. `None`: none was, and `05 FF` is on its way.
    #[inline]
    pub fn select_preferred(self, preferred: &[Method]) -> Option<Method> {
        let offered = self.offered();
        let method = preferred.iter().copied().find(|method| offered.contains(*method));
        self.answer(method.unwrap_or(Method::NO_ACCEPTABLE));
        method
    }

    /// Refuses with `05 FF`, and closes.
    #[inline]
    pub fn reject(self) {
        self.answer(Method::NO_ACCEPTABLE);
    }

    fn answer(self, method: Method) {
        let handshake = self.handshake;
        let (state, then) = match method {
            Method::NO_AUTHENTICATION => (State::ReadRequest, handshake.request_start()),
            Method::USERNAME_PASSWORD => (State::ReadCredentials, 2),
            Method::NO_ACCEPTABLE => (State::Closed(Error::NoAcceptableMethod), 0),
            other => (State::Negotiate(other), 0),
        };
        handshake.buffer.send_message(&Selection::new(method), then);
        handshake.state = state;
    }
}

/// The client says who it is: judge it, in whatever time it takes.
///
/// Success is not authorisation: a request can still be refused. Once this is answered the credentials are
/// wiped from the machine.
#[derive(Debug)]
#[must_use = "the handshake goes on when the credentials are accepted or rejected"]
pub struct Authenticate<'a> {
    handshake: &'a mut Handshake,
}

impl Authenticate<'_> {
    /// The user name and password. [`Credentials::verify`] compares them in constant time.
    #[inline]
    #[must_use]
    pub fn credentials(&self) -> Credentials<'_> {
        match Credentials::decode_allowing_empty(self.handshake.buffer.received()) {
            Ok(Decoded::Complete { value, .. }) => value,
            _ => Credentials::from_counted(&[], &[]),
        }
    }

    /// Answers `01 00`.
    #[inline]
    pub fn accept(self) {
        let then = self.handshake.request_start();
        self.answer(AuthStatus::SUCCESS, then, State::ReadRequest);
    }

    /// Answers `01 01`, and closes.
    #[inline]
    pub fn reject(self) {
        self.reject_with(NonZeroU8::MIN);
    }

    /// Answers `01` and `status`, and closes. No client is known to care which it is.
    #[inline]
    pub fn reject_with(self, status: NonZeroU8) {
        let status = status.get();
        let closed = State::Closed(Error::AuthenticationRejected { status });
        self.answer(AuthStatus::new(status), 0, closed);
    }

    fn answer(self, status: AuthStatus, then: u16, state: State) {
        self.handshake.buffer.wipe_secret();
        self.handshake.buffer.send_message(&status, then);
        self.handshake.state = state;
    }
}

/// A method was selected that has a sub-negotiation of its own.
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
    /// The method that was selected.
    #[inline]
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The client is who it should be; the request is next.
    #[inline]
    pub fn finish(self) {
        let start = self.handshake.request_start();
        self.handshake.buffer.want(start);
        self.handshake.state = State::ReadRequest;
    }

    /// Closes. What the method has to say to the client was the program's to send.
    #[inline]
    pub fn abandon(self) {
        self.handshake.state = State::Closed(Error::Abandoned);
    }
}

/// The client's request: carry it out, then answer.
///
/// Answer success only when the connection stands, the socket is bound, or the relay runs: there is no
/// taking it back.
#[derive(Debug)]
#[must_use = "the client waits for a reply"]
pub struct PendingRequest<'a> {
    handshake: &'a mut Handshake,
}

impl PendingRequest<'_> {
    /// The request. Look at [`Address::canonical`] before you apply an access list.
    #[inline]
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        match Request::decode(self.handshake.buffer.received()) {
            Ok(Decoded::Complete { value, .. }) => value,
            _ => Request::new(Command::new(0), Address::UNSPECIFIED),
        }
    }

    /// Answers REP 00.
    ///
    /// `bound` is BND: for CONNECT the local address of the connection to the target, for BIND where the
    /// server listens, for UDP ASSOCIATE where the client is to send its datagrams, for Tor's commands the
    /// answer.
    #[inline]
    pub fn succeed(self, bound: Address<'_>) {
        let command = self.handshake.buffer.received().get(1).map_or(0, |octet| *octet);
        let next = match Command::new(command) {
            Command::CONNECT => State::Established(Established::Stream),
            Command::BIND => State::AwaitPeer,
            Command::UDP_ASSOCIATE => State::Established(Established::UdpAssociation),
            other => State::Established(Established::Other(other)),
        };
        self.handshake.succeed(bound, next);
    }

    /// Answers `code` with the address `0.0.0.0:0`, ten octets, and closes.
    ///
    /// [`ReplyCode::SUCCEEDED`] is sent as [`ReplyCode::GENERAL_FAILURE`]: success cannot be said by mistake.
    #[inline]
    pub fn fail(self, code: ReplyCode) {
        self.handshake.fail(code);
    }
}

/// BIND: the server listens, and the client knows where. Wait for the connection, then answer once more.
#[derive(Debug)]
#[must_use = "the client waits for the second reply"]
pub struct PendingPeer<'a> {
    handshake: &'a mut Handshake,
}

impl PendingPeer<'_> {
    /// Answers REP 00 with the address of the peer that has connected.
    #[inline]
    pub fn connected(self, peer: Address<'_>) {
        self.handshake
            .succeed(peer, State::Established(Established::Stream));
    }

    /// Answers `code`, as [`PendingRequest::fail`] does, and closes. A peer other than the request's is
    /// [`ReplyCode::NOT_ALLOWED`].
    #[inline]
    pub fn fail(self, code: ReplyCode) {
        self.handshake.fail(code);
    }
}
