//! What the tests of the machines share: one driver that runs either machine through a scripted exchange.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test compiles this as its own, and takes what it needs"
)]

pub mod exchange;
pub mod faults;

use std::collections::VecDeque;
use std::num::NonZeroU8;

use sans_socks::client::{self, Auth};
use sans_socks::server::{self, Established};
use sans_socks::{Address, AddressBuf, Command, Error, Malformed, Method, Phase, ReplyCode, Request};

/// Octets from hex; blanks are for the reader.
pub fn octets(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(&digits).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// An address from `host:port`.
pub fn address(text: &str) -> Address<'_> {
    Address::try_from(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// An output of either machine, as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    Transmit(Vec<u8>),
    NeedInput(usize),
    SelectMethod(Vec<Method>),
    Authenticate(Vec<u8>, Vec<u8>),
    Negotiate(Method),
    Request(Command, AddressBuf),
    AwaitPeer,
    Bound(AddressBuf),
    /// The server's end.
    Served(Established),
    /// The client's end.
    Connected(ReplyCode, AddressBuf),
    Closed(Error),
}

impl Due {
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Served(_) | Self::Connected(..) | Self::Closed(_))
    }

    /// The phase that a decision or an end is in; the others go by the exchange.
    fn phase(&self) -> Option<Phase> {
        match self {
            Self::Transmit(_) | Self::NeedInput(_) => None,
            Self::SelectMethod(_) => Some(Phase::MethodSelection),
            Self::Authenticate(..) => Some(Phase::Authentication),
            Self::Negotiate(_) => Some(Phase::Negotiation),
            Self::Request(..) => Some(Phase::Reply),
            Self::AwaitPeer | Self::Bound(_) => Some(Phase::SecondReply),
            Self::Served(_) | Self::Connected(..) => Some(Phase::Established),
            Self::Closed(_) => Some(Phase::Closed),
        }
    }

    /// The phase of an unexpected end of input.
    pub fn eof_phase(&self) -> Option<Phase> {
        match self {
            Self::Closed(Error::UnexpectedEof { phase, .. }) => Some(*phase),
            _ => None,
        }
    }
}

/// A machine and the decisions of its program.
pub trait Machine {
    fn handle_input(&mut self, input: &[u8]) -> usize;
    #[cfg(feature = "bytes")]
    fn handle_buf(&mut self, input: &mut dyn bytes::Buf);
    fn handle_eof(&mut self);
    fn phase(&self) -> Phase;
    fn due(&mut self) -> Due;
    /// `Transmit::sent`, where a `Transmit` is due.
    fn sent(&mut self, n: usize);
    /// Drains the `Transmit` that is due as a `Buf`, `n` octets a call.
    #[cfg(feature = "bytes")]
    fn drain(&mut self, n: usize) -> Vec<u8>;
    /// Answers the decision that is due, by the script.
    fn decide(&mut self);
    /// How many octets of the raw stream the method's own negotiation takes.
    fn raw_negotiation(&self) -> usize;
    fn reject_negotiation(&mut self);
}

/// A server machine and what its program will say.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    pub config: server::Config,
    /// Empty: rejects whatever is offered.
    pub prefer: &'a [Method],
    pub verdict: Verdict,
    pub raw_negotiation: usize,
    pub reply: Result<Address<'a>, ReplyCode>,
    /// The second reply, for BIND.
    pub peer: Result<Address<'a>, ReplyCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Reject,
    RejectWith(NonZeroU8),
}

/// Asks for nothing, and succeeds at everything.
impl Default for Server<'_> {
    fn default() -> Self {
        Self {
            config: server::Config::new(),
            prefer: &[Method::NO_AUTHENTICATION],
            verdict: Verdict::Accept,
            raw_negotiation: 0,
            reply: Ok(Address::UNSPECIFIED),
            peer: Ok(Address::UNSPECIFIED),
        }
    }
}

/// A client machine and what its program wants.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub request: Request<'a>,
    pub auth: Auth<'a>,
    pub config: client::Config,
    pub raw_negotiation: usize,
}

impl<'a> Client<'a> {
    pub fn new(command: Command, address: Address<'a>) -> Self {
        Self {
            request: Request::new(command, address),
            auth: Auth::none(),
            config: client::Config::new(),
            raw_negotiation: 0,
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
                handshake: client::Handshake::with_config(&script.request, script.auth, script.config),
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

/// The part of [`Machine`] that both machines have in the same words.
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

        fn sent(&mut self, n: usize) {
            let $module::Output::Transmit(transmit) = self.handshake.poll_output() else {
                panic!("nothing to send");
            };
            transmit.sent(n);
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
                assert!(drained.len() < 10_000, "it does not end");
            }
            drained
        }

        fn raw_negotiation(&self) -> usize {
            self.script.raw_negotiation
        }

        fn reject_negotiation(&mut self) {
            let $module::Output::Negotiate(negotiate) = self.handshake.poll_output() else {
                panic!("nothing is negotiated");
            };
            negotiate.reject();
        }
    };
}

impl Machine for ServerMachine<'_> {
    same_in_both!(server);

    fn due(&mut self) -> Due {
        use server::Output;

        match self.handshake.poll_output() {
            Output::Transmit(transmit) => Due::Transmit(transmit.as_bytes().to_vec()),
            Output::NeedInput { needed } => Due::NeedInput(needed.get()),
            Output::SelectMethod(select) => Due::SelectMethod(select.offered().iter().collect()),
            Output::Authenticate(authenticate) => {
                let credentials = authenticate.credentials();
                Due::Authenticate(credentials.username().to_vec(), credentials.password().to_vec())
            }
            Output::Negotiate(negotiate) => Due::Negotiate(negotiate.method()),
            Output::PendingRequest(pending) => {
                let request = pending.request();
                Due::Request(request.command, request.address.into())
            }
            Output::PendingPeer(_) => Due::AwaitPeer,
            Output::Established(established) => Due::Served(established),
            Output::Closed(error) => Due::Closed(error),
        }
    }

    fn decide(&mut self) {
        use server::Output;

        match self.handshake.poll_output() {
            Output::SelectMethod(select) if self.script.prefer.is_empty() => select.reject(),
            Output::SelectMethod(select) => {
                select.select_preferred(self.script.prefer);
            }
            Output::Authenticate(authenticate) => match self.script.verdict {
                Verdict::Accept => authenticate.accept(),
                Verdict::Reject => authenticate.reject(),
                Verdict::RejectWith(status) => authenticate.reject_with(status),
            },
            Output::Negotiate(negotiate) => negotiate.accept(),
            Output::PendingRequest(pending) => match self.script.reply {
                Ok(bound) => pending.accept(bound),
                Err(code) => pending.reject(code),
            },
            Output::PendingPeer(pending) => match self.script.peer {
                Ok(peer) => pending.accept(peer),
                Err(code) => pending.reject(code),
            },
            other => panic!("not a decision: {other:?}"),
        }
    }
}

impl Machine for ClientMachine<'_> {
    same_in_both!(client);

    fn due(&mut self) -> Due {
        use client::Output;

        match self.handshake.poll_output() {
            Output::Transmit(transmit) => Due::Transmit(transmit.as_bytes().to_vec()),
            Output::NeedInput { needed } => Due::NeedInput(needed.get()),
            Output::Negotiate(negotiate) => Due::Negotiate(negotiate.method()),
            Output::Bound(bound) => Due::Bound(bound.address().into()),
            Output::Established(reply) => Due::Connected(reply.code, reply.address.into()),
            Output::Closed(error) => Due::Closed(error),
        }
    }

    fn decide(&mut self) {
        use client::Output;

        match self.handshake.poll_output() {
            Output::Negotiate(negotiate) => negotiate.accept(),
            Output::Bound(bound) => bound.wait_for_peer(),
            other => panic!("not a decision: {other:?}"),
        }
    }
}

/// When the driver says that the peer has ended its side, once all input was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eof {
    Never,
    /// When the machine asks for more.
    WhenAsked,
    /// As soon as the machine has taken the last octet, whatever is due then.
    AtOnce,
}

/// How octets are handed on, in both directions.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What each read gives.
    pub reads: Vec<Vec<u8>>,
    /// Reads exactly what `needed` says, out of all of `reads`.
    pub exact: bool,
    /// Gives the input as one `Buf` that is a chain of the reads.
    pub chained: bool,
    /// Drains `Transmit` as a `Buf`.
    pub drain: bool,
    /// What one write takes at most.
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

/// What an exchange came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Every output but `NeedInput`, in order.
    pub trace: Vec<Due>,
    /// The phases that input was waited for in.
    pub waits: Vec<Phase>,
    /// The input that is not the handshake's.
    pub unread: Vec<u8>,
}

impl Record {
    pub fn sent(&self) -> Vec<u8> {
        let sent = self.trace.iter().filter_map(|due| match due {
            Due::Transmit(octets) => Some(octets.as_slice()),
            _ => None,
        });
        sent.collect::<Vec<_>>().concat()
    }

    /// The program's decisions, as they were put to it.
    pub fn decisions(&self) -> Vec<Due> {
        let decisions = self
            .trace
            .iter()
            .filter(|due| !due.is_end() && !matches!(due, Due::Transmit(_)));
        decisions.cloned().collect()
    }

    /// How it ended; `None` if it waits for input that does not come.
    pub fn end(&self) -> Option<&Due> {
        self.trace.last().filter(|due| due.is_end())
    }
}

/// Runs `script` over `delivery`, and checks on the way what is true of every exchange.
pub fn run(script: &Script<'_>, delivery: &Delivery) -> Record {
    let mut machine = script.start();
    let mut input = Input::new(delivery);
    let mut trace = Vec::new();
    let mut waits = Vec::new();
    loop {
        input.eof_at_once(machine.as_mut());
        let due = machine.due();
        assert_eq!(machine.due(), due, "asked again, it is the same");
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
            Due::Transmit(ref octets) => transmit(machine.as_mut(), octets, delivery),
            Due::Negotiate(_) => {
                takes_nothing(machine.as_mut(), &due);
                if input.take_raw(machine.raw_negotiation()) {
                    input.eof_at_once(machine.as_mut());
                    machine.decide();
                } else {
                    machine.reject_negotiation();
                }
            }
            _ if due.is_end() => {
                takes_nothing(machine.as_mut(), &due);
                machine.handle_eof();
                takes_nothing(machine.as_mut(), &due);
                trace.push(due);
                break;
            }
            _ => {
                takes_nothing(machine.as_mut(), &due);
                machine.decide();
            }
        }
        trace.push(due);
        assert!(trace.len() < 50, "no exchange has that many outputs: {trace:?}");
    }
    Record {
        trace,
        waits,
        unread: input.unread(),
    }
}

/// Sends all of `octets`, as `delivery` wants it.
fn transmit(machine: &mut dyn Machine, octets: &[u8], delivery: &Delivery) {
    assert!(!octets.is_empty(), "there is something to send");
    #[cfg(feature = "bytes")]
    if delivery.drain {
        assert_eq!(machine.drain(delivery.write), octets);
        return;
    }
    let mut rest = octets;
    while !rest.is_empty() {
        let due = Due::Transmit(rest.to_vec());
        takes_nothing(machine, &due);
        machine.sent(0);
        assert_eq!(machine.due(), due, "what was not sent is due");
        machine.sent(delivery.write);
        rest = rest.get(delivery.write..).unwrap_or_default();
    }
}

/// While anything but `NeedInput` is due no input is taken, and none changes what is due.
fn takes_nothing(machine: &mut dyn Machine, due: &Due) {
    for early in [&b""[..], b"\x05", b"\x05\x01\x00", &[0; 600]] {
        assert_eq!(machine.handle_input(early), 0, "{due:?} is due");
    }
    assert_eq!(machine.due(), *due);
}

/// What the driver has read and not handed on, and what it can still read.
struct Input<'a> {
    delivery: &'a Delivery,
    reads: VecDeque<Vec<u8>>,
    carry: Vec<u8>,
    at_end: bool,
}

impl<'a> Input<'a> {
    fn new(delivery: &'a Delivery) -> Self {
        Self {
            delivery,
            reads: delivery.reads.iter().cloned().collect(),
            carry: Vec::new(),
            at_end: false,
        }
    }

    /// Hands some input on, or says that there is no more; false if there is nothing to be said.
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
        let (given, taken) = if self.delivery.chained {
            self.give_chained(machine)
        } else {
            let taken = machine.handle_input(&self.carry);
            let given = self.carry.len();
            self.carry.drain(..taken);
            (given, taken)
        };
        let due = machine.due();
        let stuck = given > 0 && taken == 0 && matches!(due, Due::NeedInput(_));
        assert!(!stuck, "input is due and not taken: {:02x?}", self.carry);
        if self.delivery.exact && !matches!(due, Due::Closed(Error::Malformed(Malformed::Version { .. }))) {
            assert_eq!(
                taken, given,
                "`needed` asks for nothing that is not this message's"
            );
        }
        true
    }

    #[cfg(feature = "bytes")]
    fn give_chained(&mut self, machine: &mut dyn Machine) -> (usize, usize) {
        use bytes::{Buf, Bytes};

        let first = Bytes::from(std::mem::take(&mut self.carry));
        let second = Bytes::from(self.reads.pop_front().unwrap_or_default());
        let mut chain = first.chain(second);
        let given = chain.remaining();
        machine.handle_buf(&mut chain);
        let taken = given - chain.remaining();
        let (first, second) = chain.into_inner();
        self.carry = first.into();
        if second.has_remaining() {
            self.reads.push_front(second.into());
        }
        (given, taken)
    }

    #[cfg(not(feature = "bytes"))]
    fn give_chained(&mut self, _: &mut dyn Machine) -> (usize, usize) {
        unreachable!("there is no `Buf` without `bytes`")
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

    /// Takes the negotiation's octets out of the raw stream; false if the stream ends before.
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
