//! The shared driver of the tests: runs either machine through a scripted exchange.

pub mod early;
pub mod exchange;

use std::collections::VecDeque;
use std::num::NonZeroU8;

use sans_socks::client::{self, Auth};
use sans_socks::server::{self, Established};
use sans_socks::socks4::{self, UserId, Version};
use sans_socks::{Address, AddressBuf, Command, Error, Io, Malformed, Method, Phase, ReplyCode, Request};

/// Returns the bytes that `text` spells in hex. Blanks are ignored.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(&digits).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Parses `host:port`.
pub fn address(text: &str) -> Address<'_> {
    Address::try_from(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The next step of either machine, as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    Transmit(Vec<u8>),
    NeedInput(usize),
    SelectMethod(Vec<Method>),
    Authenticate(Vec<u8>, Vec<u8>),
    Negotiate(Method),
    PendingRequest(Command, AddressBuf),
    /// A request of version 4, with its user id.
    PendingSocks4Request(Command, AddressBuf, Vec<u8>),
    PendingPeer,
    Bound(AddressBuf),
    /// `server::Output::Established`.
    Served(Established),
    /// `client::Output::Established`.
    Connected(ReplyCode, AddressBuf),
    Closed(Error),
}

impl Due {
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Served(_) | Self::Connected(..) | Self::Closed(_))
    }

    /// The phase of a decision or an end. Input and output depend on the exchange.
    fn phase(&self) -> Option<Phase> {
        match self {
            Self::Transmit(_) | Self::NeedInput(_) => None,
            Self::SelectMethod(_) => Some(Phase::MethodSelection),
            Self::Authenticate(..) => Some(Phase::Authentication),
            Self::Negotiate(_) => Some(Phase::Negotiation),
            Self::PendingRequest(..) | Self::PendingSocks4Request(..) => Some(Phase::Reply),
            Self::PendingPeer | Self::Bound(_) => Some(Phase::SecondReply),
            Self::Served(_) | Self::Connected(..) => Some(Phase::Established),
            Self::Closed(_) => Some(Phase::Closed),
        }
    }

    /// The phase of an unexpected end of input.
    pub fn eof_phase(&self) -> Option<Phase> {
        self.eof().map(|(phase, _)| phase)
    }

    /// The phase of an unexpected end of input, and how many bytes of the message had been received.
    pub fn eof(&self) -> Option<(Phase, usize)> {
        match self {
            Self::Closed(Error::UnexpectedEof { phase, received, .. }) => Some((*phase, (*received).into())),
            _ => None,
        }
    }

    fn is_version_fault(&self) -> bool {
        matches!(self, Self::Closed(Error::Malformed(Malformed::Version { .. })))
    }
}

impl From<Io<'_>> for Due {
    fn from(io: Io<'_>) -> Self {
        match io {
            Io::Transmit(transmit) => Self::Transmit(transmit.as_bytes().to_vec()),
            Io::NeedInput { needed } => Self::NeedInput(needed.get()),
        }
    }
}

impl From<server::Decision<'_>> for Due {
    fn from(decision: server::Decision<'_>) -> Self {
        use server::Decision;

        match decision {
            Decision::SelectMethod(select) => Self::SelectMethod(select.offered().iter().collect()),
            Decision::Authenticate(authenticate) => {
                let credentials = authenticate.credentials();
                Self::Authenticate(credentials.username().to_vec(), credentials.password().to_vec())
            }
            Decision::Negotiate(negotiate) => Self::Negotiate(negotiate.method()),
            Decision::PendingRequest(pending) => {
                let request = pending.request();
                let (command, address) = (request.command, request.address.into());
                match (pending.version(), pending.user_id()) {
                    (Version::Socks5, None) => Self::PendingRequest(command, address),
                    (Version::Socks4, Some(user_id)) => {
                        Self::PendingSocks4Request(command, address, user_id.as_bytes().to_vec())
                    }
                    (version, user_id) => panic!("{version:?} with {user_id:?}"),
                }
            }
            Decision::PendingPeer(_) => Self::PendingPeer,
            Decision::Established(established) => Self::Served(established),
            Decision::Closed(error) => Self::Closed(error),
        }
    }
}

impl From<server::Output<'_>> for Due {
    fn from(output: server::Output<'_>) -> Self {
        use server::{Decision, Output};

        match output {
            Output::Transmit(transmit) => Io::Transmit(transmit).into(),
            Output::NeedInput { needed } => Io::NeedInput { needed }.into(),
            Output::SelectMethod(select) => Decision::SelectMethod(select).into(),
            Output::Authenticate(authenticate) => Decision::Authenticate(authenticate).into(),
            Output::Negotiate(negotiate) => Decision::Negotiate(negotiate).into(),
            Output::PendingRequest(pending) => Decision::PendingRequest(pending).into(),
            Output::PendingPeer(pending) => Decision::PendingPeer(pending).into(),
            Output::Established(established) => Decision::Established(established).into(),
            Output::Closed(error) => Decision::Closed(error).into(),
        }
    }
}

impl From<client::Decision<'_>> for Due {
    fn from(decision: client::Decision<'_>) -> Self {
        use client::Decision;

        match decision {
            Decision::Negotiate(negotiate) => Self::Negotiate(negotiate.method()),
            Decision::Bound(bound) => Self::Bound(bound.address().into()),
            Decision::Established(reply) => Self::Connected(reply.code, reply.address.into()),
            Decision::Closed(error) => Self::Closed(error),
        }
    }
}

impl From<client::Output<'_>> for Due {
    fn from(output: client::Output<'_>) -> Self {
        use client::{Decision, Output};

        match output {
            Output::Transmit(transmit) => Io::Transmit(transmit).into(),
            Output::NeedInput { needed } => Io::NeedInput { needed }.into(),
            Output::Negotiate(negotiate) => Decision::Negotiate(negotiate).into(),
            Output::Bound(bound) => Decision::Bound(bound).into(),
            Output::Established(reply) => Decision::Established(reply).into(),
            Output::Closed(error) => Decision::Closed(error).into(),
        }
    }
}

/// A machine, and the decisions of its caller.
pub trait Machine {
    fn handle_input(&mut self, input: &[u8]) -> usize;
    #[cfg(feature = "bytes")]
    fn handle_buf(&mut self, input: &mut dyn bytes::Buf);
    fn handle_eof(&mut self);
    fn phase(&self) -> Phase;
    /// What `poll_output` returns. `poll_io` and `poll_decision` must agree with it.
    fn due(&mut self) -> Due;
    /// Calls `Transmit::sent`; panics unless bytes are to be sent.
    fn sent(&mut self, n: usize);
    /// Drains `Transmit` as a `Buf`, `n` bytes at a time.
    #[cfg(feature = "bytes")]
    fn drain(&mut self, n: usize) -> Vec<u8>;
    /// Answers the pending decision according to the script.
    fn decide(&mut self);
    /// How many bytes of the raw stream the method's own negotiation consumes.
    fn raw_negotiation(&self) -> usize;
    fn reject_negotiation(&mut self);
}

/// A server machine and the answers of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    pub config: server::Config,
    /// Rejects every offer if empty.
    pub prefer: &'a [Method],
    pub verdict: Verdict,
    pub raw_negotiation: usize,
    pub reply: Result<Address<'a>, ReplyCode>,
    /// BIND's second reply.
    pub peer: Result<Address<'a>, ReplyCode>,
    /// Rejects every request by `reject_socks4` with this code.
    pub socks4_code: Option<socks4::ReplyCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Reject,
    RejectWith(NonZeroU8),
}

/// Accepts clients without authentication, and every request.
impl Default for Server<'_> {
    fn default() -> Self {
        Self {
            config: server::Config::new(),
            prefer: &[Method::NO_AUTHENTICATION],
            verdict: Verdict::Accept,
            raw_negotiation: 0,
            reply: Ok(Address::UNSPECIFIED),
            peer: Ok(Address::UNSPECIFIED),
            socks4_code: None,
        }
    }
}

/// A client machine and the wishes of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub request: Request<'a>,
    pub auth: Auth<'a>,
    pub config: client::Config,
    pub raw_negotiation: usize,
    /// Requests by version 4, with this user id.
    pub socks4: Option<UserId<'a>>,
}

impl<'a> Client<'a> {
    pub fn new(command: Command, address: Address<'a>) -> Self {
        Self {
            request: Request::new(command, address),
            auth: Auth::none(),
            config: client::Config::new(),
            raw_negotiation: 0,
            socks4: None,
        }
    }

    /// Requests by version 4.
    pub fn socks4(command: Command, address: Address<'a>, user_id: UserId<'a>) -> Self {
        Self {
            socks4: Some(user_id),
            ..Self::new(command, address)
        }
    }

    fn start(&self) -> client::Handshake {
        match self.socks4 {
            Some(user_id) => {
                client::Handshake::socks4(&self.request, user_id).expect("a request of version 4")
            }
            None => client::Handshake::with_config(&self.request, self.auth, self.config),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Script<'a> {
    Server(Server<'a>),
    Client(Client<'a>),
}

impl<'a> Script<'a> {
    pub fn start(&'a self) -> Box<dyn Machine + 'a> {
        match self {
            Self::Server(script) => Box::new(ServerMachine {
                handshake: server::Handshake::with_config(script.config),
                script,
            }),
            Self::Client(script) => Box::new(ClientMachine {
                handshake: script.start(),
                script,
            }),
        }
    }
}

struct ServerMachine<'a> {
    handshake: server::Handshake,
    script: &'a Server<'a>,
}

struct ClientMachine<'a> {
    handshake: client::Handshake,
    script: &'a Client<'a>,
}

/// The methods of [`Machine`] that are spelled the same for both roles.
macro_rules! same_in_both {
    ($module:ident) => {
        fn handle_input(&mut self, input: &[u8]) -> usize {
            self.handshake.handle_input(input)
        }

        #[cfg(feature = "bytes")]
        fn handle_buf(&mut self, mut input: &mut dyn bytes::Buf) {
            sans_socks::Machine::handle_buf(&mut self.handshake, &mut input);
        }

        fn handle_eof(&mut self) {
            self.handshake.handle_eof();
        }

        fn phase(&self) -> Phase {
            self.handshake.phase()
        }

        fn due(&mut self) -> Due {
            use sans_socks::Machine;

            let due = Due::from(self.handshake.poll_output());
            let io = self.handshake.poll_io().map(Due::from);
            let decision = self.handshake.poll_decision().map(Due::from);
            match (&io, &decision) {
                (Some(polled), None) | (None, Some(polled)) => assert_eq!(*polled, due),
                _ => panic!("{due:?}, but poll_io returns {io:?} and poll_decision {decision:?}"),
            }
            due
        }

        fn sent(&mut self, n: usize) {
            let $module::Output::Transmit(transmit) = self.handshake.poll_output() else {
                panic!("nothing to send");
            };
            if n == usize::MAX {
                transmit.sent_all();
            } else {
                transmit.sent(n);
            }
        }

        #[cfg(feature = "bytes")]
        fn drain(&mut self, n: usize) -> Vec<u8> {
            use bytes::Buf;

            let $module::Output::Transmit(mut transmit) = self.handshake.poll_output() else {
                panic!("nothing to send");
            };
            let mut drained = Vec::new();
            while transmit.has_remaining() {
                assert_eq!(transmit.chunk().len(), transmit.remaining());
                let n = n.min(transmit.remaining());
                drained.extend_from_slice(&transmit.chunk()[..n]);
                transmit.advance(n);
                assert!(drained.len() < 10_000, "unlimited output");
            }
            drained
        }

        fn raw_negotiation(&self) -> usize {
            self.script.raw_negotiation
        }

        fn reject_negotiation(&mut self) {
            let $module::Output::Negotiate(negotiate) = self.handshake.poll_output() else {
                panic!("no pending negotiation");
            };
            negotiate.reject();
        }
    };
}

impl Machine for ServerMachine<'_> {
    same_in_both!(server);

    fn decide(&mut self) {
        use server::Output;

        match self.handshake.poll_output() {
            Output::SelectMethod(select) if self.script.prefer.is_empty() => select.reject(),
            Output::SelectMethod(select) => select.select_preferred(self.script.prefer),
            Output::Authenticate(authenticate) => match self.script.verdict {
                Verdict::Accept => authenticate.accept(),
                Verdict::Reject => authenticate.reject(),
                Verdict::RejectWith(status) => authenticate.reject_with(status),
            },
            Output::Negotiate(negotiate) => negotiate.accept(),
            Output::PendingRequest(pending) => match (self.script.socks4_code, self.script.reply) {
                (Some(code), _) => pending.reject_socks4(code),
                (None, Ok(bound)) => pending.accept(bound),
                (None, Err(code)) => pending.reject(code),
            },
            Output::PendingPeer(pending) => pending.answer(self.script.peer),
            other => panic!("not a decision: {other:?}"),
        }
    }
}

impl Machine for ClientMachine<'_> {
    same_in_both!(client);

    fn decide(&mut self) {
        use client::Output;

        match self.handshake.poll_output() {
            Output::Negotiate(negotiate) => negotiate.accept(),
            Output::Bound(bound) => bound.wait_for_peer(),
            other => panic!("not a decision: {other:?}"),
        }
    }
}

/// When the driver announces the end of input, once it has offered everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eof {
    Never,
    /// When the machine needs more input.
    WhenAsked,
    /// As soon as the machine has consumed the last byte, whatever the next step is.
    AtOnce,
}

/// How bytes are transferred, in both directions.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The result of each read.
    pub reads: Vec<Vec<u8>>,
    /// Reads exactly `needed` bytes of the concatenated `reads`.
    pub exact: bool,
    /// Passes the input as one `Buf`, a chain of the reads.
    pub chained: bool,
    /// Drains `Transmit` as a `Buf`.
    pub drain: bool,
    /// The most bytes that one write accepts.
    pub write: usize,
    pub eof: Eof,
}

impl Delivery {
    pub fn reads<T: Into<Vec<u8>>>(reads: impl IntoIterator<Item = T>) -> Self {
        Self {
            reads: reads.into_iter().map(Into::into).collect(),
            exact: false,
            chained: false,
            drain: false,
            write: usize::MAX,
            eof: Eof::Never,
        }
    }

    pub fn eof(self, eof: Eof) -> Self {
        Self { eof, ..self }
    }
}

/// What happened in an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Every step except `NeedInput`, in order.
    pub trace: Vec<Due>,
    /// The phases that needed input.
    pub waits: Vec<Phase>,
    /// The input that the machine and its negotiation have not consumed.
    pub unread: Vec<u8>,
}

impl Record {
    pub fn sent(&self) -> Vec<u8> {
        let sent = self.trace.iter().filter_map(|due| match due {
            Due::Transmit(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        sent.collect::<Vec<_>>().concat()
    }

    /// The decisions that the caller had to take.
    pub fn decisions(&self) -> Vec<Due> {
        let decisions = self
            .trace
            .iter()
            .filter(|due| !due.is_end() && !matches!(due, Due::Transmit(_)));
        decisions.cloned().collect()
    }

    /// How it ended, or `None` if the machine still needs input.
    pub fn end(&self) -> Option<&Due> {
        self.trace.last().filter(|due| due.is_end())
    }
}

/// Runs `script` over `delivery`, and checks what holds for every exchange.
pub fn run(script: &Script<'_>, delivery: &Delivery) -> Record {
    let mut machine = script.start();
    let mut input = Input::new(delivery);
    let mut trace = Vec::new();
    let mut waits = Vec::new();
    loop {
        input.eof_at_once(machine.as_mut());
        let due = machine.due();
        assert_eq!(machine.due(), due, "polled again, it returns the same");
        if let Some(phase) = due.phase() {
            assert_eq!(machine.phase(), phase, "{due:?}");
        }
        match due {
            Due::NeedInput(needed) => {
                if waits.last() != Some(&machine.phase()) {
                    waits.push(machine.phase());
                }
                if !input.give(machine.as_mut(), needed) {
                    break;
                }
                continue;
            }
            Due::Transmit(ref bytes) => transmit(machine.as_mut(), bytes, delivery),
            Due::Negotiate(_) => {
                consumes_nothing(machine.as_mut(), &due);
                if input.take_raw(machine.raw_negotiation()) {
                    input.eof_at_once(machine.as_mut());
                    machine.decide();
                } else {
                    machine.reject_negotiation();
                }
            }
            _ if due.is_end() => {
                consumes_nothing(machine.as_mut(), &due);
                machine.handle_eof();
                consumes_nothing(machine.as_mut(), &due);
                trace.push(due);
                break;
            }
            _ => {
                consumes_nothing(machine.as_mut(), &due);
                machine.decide();
            }
        }
        trace.push(due);
        assert!(trace.len() < 50, "unlimited steps: {trace:?}");
    }
    if !delivery.chained {
        let version_fault = trace.last().is_some_and(Due::is_version_fault);
        assert_eq!(
            input.left_first_byte, version_fault,
            "only a wrong version byte is not consumed: {trace:?}"
        );
    }
    Record {
        trace,
        waits,
        unread: input.unread(),
    }
}

/// Sends all of `bytes` as `delivery` says.
fn transmit(machine: &mut dyn Machine, bytes: &[u8], delivery: &Delivery) {
    assert!(!bytes.is_empty(), "`Transmit` is never empty");
    #[cfg(feature = "bytes")]
    if delivery.drain {
        assert_eq!(machine.drain(delivery.write), bytes);
        return;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let due = Due::Transmit(rest.to_vec());
        consumes_nothing(machine, &due);
        machine.sent(0);
        assert_eq!(machine.due(), due, "what was not sent remains");
        machine.sent(delivery.write);
        rest = rest.get(delivery.write..).unwrap_or_default();
    }
}

/// Input is consumed only for `NeedInput`. Otherwise it changes nothing.
fn consumes_nothing(machine: &mut dyn Machine, due: &Due) {
    // The empty slice comes last: it takes back the others.
    for early in [b"\x05", &b"\x05\x01\x00"[..], &[0; 600], b""] {
        assert_eq!(machine.handle_input(early), 0, "{due:?}");
    }
    assert_eq!(machine.due(), *due);
}

/// The input that the driver has read and still holds, and what it can still read.
struct Input<'a> {
    delivery: &'a Delivery,
    reads: VecDeque<Vec<u8>>,
    carry: Vec<u8>,
    at_end: bool,
    /// Whether the machine needed input and consumed none of it.
    left_first_byte: bool,
}

impl<'a> Input<'a> {
    fn new(delivery: &'a Delivery) -> Self {
        Self {
            delivery,
            reads: delivery.reads.iter().cloned().collect(),
            carry: Vec::new(),
            at_end: false,
            left_first_byte: false,
        }
    }

    /// Offers some input, or announces the end. Returns false if there is neither.
    fn give(&mut self, machine: &mut dyn Machine, needed: usize) -> bool {
        if self.carry.is_empty() {
            match self.read(needed) {
                Some(read) => self.carry = read,
                None if self.delivery.eof == Eof::WhenAsked && !self.at_end => {
                    self.at_end = true;
                    machine.handle_eof();
                    return true;
                }
                None => return false,
            }
        }
        let (offered, consumed) = if self.delivery.chained {
            self.give_chained(machine)
        } else {
            let consumed = machine.handle_input(&self.carry);
            let offered = self.carry.len();
            self.carry.drain(..consumed);
            (offered, consumed)
        };
        let stuck = offered > 0 && consumed == 0 && matches!(machine.due(), Due::NeedInput(_));
        assert!(!stuck, "needed input is not consumed: {:02x?}", self.carry);
        self.left_first_byte |= offered > 0 && consumed == 0;
        if self.delivery.exact && consumed > 0 {
            assert_eq!(consumed, offered, "`needed` never exceeds the message");
        }
        true
    }

    #[cfg(feature = "bytes")]
    fn give_chained(&mut self, machine: &mut dyn Machine) -> (usize, usize) {
        use bytes::{Buf, Bytes};

        let first = Bytes::from(std::mem::take(&mut self.carry));
        let second = Bytes::from(self.reads.pop_front().unwrap_or_default());
        let mut chain = first.chain(second);
        let offered = chain.remaining();
        machine.handle_buf(&mut chain);
        let consumed = offered - chain.remaining();
        let (first, second) = chain.into_inner();
        self.carry = first.into();
        if second.has_remaining() {
            self.reads.push_front(second.into());
        }
        (offered, consumed)
    }

    #[cfg(not(feature = "bytes"))]
    fn give_chained(&mut self, _: &mut dyn Machine) -> (usize, usize) {
        unreachable!("`Buf` needs feature `bytes`")
    }

    fn read(&mut self, needed: usize) -> Option<Vec<u8>> {
        if !self.delivery.exact {
            return self.reads.pop_front();
        }
        let mut all = std::mem::take(&mut self.reads).into_iter().flatten();
        let read: Vec<u8> = all.by_ref().take(needed).collect();
        self.reads.push_back(all.collect());
        (!read.is_empty()).then_some(read)
    }

    /// Removes the negotiation's bytes from the raw stream. Returns false if the stream ends before.
    fn take_raw(&mut self, len: usize) -> bool {
        while self.carry.len() < len {
            match self.read(len - self.carry.len()) {
                Some(read) => self.carry.extend(read),
                None => break,
            }
        }
        let raw = len.min(self.carry.len());
        self.carry.drain(..raw);
        raw == len
    }

    fn eof_at_once(&mut self, machine: &mut dyn Machine) {
        let empty = self.carry.is_empty() && self.reads.iter().all(Vec::is_empty);
        if self.delivery.eof == Eof::AtOnce && empty && !self.at_end {
            self.at_end = true;
            machine.handle_eof();
        }
    }

    fn unread(self) -> Vec<u8> {
        self.carry
            .into_iter()
            .chain(self.reads.into_iter().flatten())
            .collect()
    }
}
