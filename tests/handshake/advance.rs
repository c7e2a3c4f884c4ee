//! `Machine::advance` and `advance_exact` over streams that block, fail, buffer and end at every operation.
//!
//! The peer at the other end of [`Stream`] answers only what was flushed, so a missing flush is a deadlock, which fails
//! the test.

use std::collections::VecDeque;
use std::io::{self, BufWriter, ErrorKind, Read, Write};

use sans_socks::client::{self, Auth};
use sans_socks::server::{self, Established};
use sans_socks::socks4::{self, UserId};
use sans_socks::{
    Address, Command, Credentials, Error, Io, Machine, Malformed, Method, ReplyCode, Request, Transmit,
};
use sans_socks_testing::driver;
use sans_socks_testing::driver::{Client, Delivery, Due, Eof, Script, Server, Verdict, address, unhex};
use sans_socks_testing::faults::{authentication_rejected, wrong_version};

/// The faults of a stream. An operation that fails has no effect.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// Every operation fails, and succeeds when it is repeated.
    Every(ErrorKind),
    /// The operation of this number fails.
    At(usize, ErrorKind),
    /// The operation of this number, if it is a write, accepts nothing.
    AcceptsNothingAt(usize),
    /// Every flush fails, and succeeds when it is repeated.
    EveryFlush(ErrorKind),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
    Flush,
}

/// How a stream behaves.
#[derive(Clone, Copy, Debug)]
struct Nature {
    /// The most bytes that one operation transfers.
    at_most: usize,
    /// Whether writes reach the peer only when they are flushed.
    buffered: bool,
    fault: Fault,
    /// After how many bytes the input ends.
    eof: Option<usize>,
}

const PLAIN: Nature = Nature {
    at_most: usize::MAX,
    buffered: false,
    fault: Fault::None,
    eof: None,
};

/// A stream to a scripted peer.
struct Stream {
    nature: Nature,
    /// The pieces that the peer sends, each with the number of bytes that it must have received before.
    peer: VecDeque<(usize, Vec<u8>)>,
    /// Sent by the peer, and not read.
    inbox: VecDeque<u8>,
    /// How many bytes were read.
    read: usize,
    unflushed: Vec<u8>,
    /// Received by the peer.
    received: Vec<u8>,
    operations: usize,
    /// Which kinds of operation have failed since their last success.
    failed: [bool; 3],
}

impl Stream {
    fn new(peer: &[(usize, Vec<u8>)], nature: Nature) -> Self {
        Self {
            nature,
            peer: peer.iter().cloned().collect(),
            inbox: VecDeque::new(),
            read: 0,
            unflushed: Vec::new(),
            received: Vec::new(),
            operations: 0,
            failed: [false; 3],
        }
    }

    /// Returns whether the operation is a write that accepts nothing, or the error that it fails with.
    fn begin(&mut self, operation: Operation) -> io::Result<bool> {
        let number = self.operations;
        self.operations += 1;
        assert!(number < 100_000, "unlimited operations");
        let kind = match self.nature.fault {
            Fault::Every(kind) => kind,
            Fault::EveryFlush(kind) if operation == Operation::Flush => kind,
            Fault::At(at, kind) if at == number => return Err(kind.into()),
            Fault::AcceptsNothingAt(at) => return Ok(at == number && operation == Operation::Write),
            _ => return Ok(false),
        };
        let failed = &mut self.failed[operation as usize];
        *failed = !*failed;
        if *failed { Err(kind.into()) } else { Ok(false) }
    }

    /// The bytes that the peer has sent or will send, and that were not read.
    fn unread(&self) -> Vec<u8> {
        let later = self.peer.iter().flat_map(|(_, bytes)| bytes);
        self.inbox.iter().chain(later).copied().collect()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "such a read looks like the end of input");
        assert!(self.unflushed.is_empty(), "read without a flush");
        self.begin(Operation::Read)?;
        while self
            .peer
            .front()
            .is_some_and(|(after, _)| *after <= self.received.len())
        {
            self.inbox
                .extend(self.peer.pop_front().into_iter().flat_map(|(_, bytes)| bytes));
        }
        let mut n = buffer.len().min(self.inbox.len()).min(self.nature.at_most);
        match self.nature.eof {
            Some(eof) => n = n.min(eof - self.read),
            None => assert!(n > 0, "deadlock: the peer has received {:02x?}", self.received),
        }
        for (slot, byte) in buffer.iter_mut().zip(self.inbox.drain(..n)) {
            *slot = byte;
        }
        self.read += n;
        Ok(n)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "there is nothing to write");
        if self.begin(Operation::Write)? {
            return Ok(0);
        }
        let n = bytes.len().min(self.nature.at_most);
        self.unflushed.extend(&bytes[..n]);
        if !self.nature.buffered {
            self.received.append(&mut self.unflushed);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.begin(Operation::Flush)?;
        self.received.append(&mut self.unflushed);
        Ok(())
    }
}

/// The bytes that were read and not consumed. `advance` has them in a carry, and `advance_exact` has none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Carry {
    Held(Vec<u8>),
    Exact,
}

impl Carry {
    const EMPTY: Self = Self::Held(Vec::new());

    fn advance<'m, M: Machine>(
        &mut self,
        machine: &'m mut M,
        stream: &mut Stream,
    ) -> io::Result<M::Decision<'m>> {
        match self {
            Self::Held(carry) => machine.advance(stream, carry),
            Self::Exact => machine.advance_exact(stream),
        }
    }

    fn held(&self) -> &[u8] {
        match self {
            Self::Held(carry) => carry,
            Self::Exact => &[],
        }
    }
}

/// A handshake over a stream, up to its end.
struct Session<'a> {
    stream: Stream,
    carry: Carry,
    script: &'a Script<'a>,
    errors: Vec<ErrorKind>,
}

impl<'a> Session<'a> {
    fn new(conversation: &'a Conversation, carry: Carry, nature: Nature) -> Self {
        Self {
            stream: Stream::new(&conversation.peer, nature),
            carry,
            script: &conversation.script,
            errors: Vec::new(),
        }
    }

    /// Runs the handshake, repeats every call that fails, and returns the end. Calls after it return the same.
    fn run(&mut self) -> Due {
        match self.script {
            Script::Server(script) => {
                let mut handshake = server::Handshake::with_config(script.config);
                let end = self.serve(&mut handshake, script);
                self.is_stable(&end, |session| session.serve(&mut handshake, script));
                end
            }
            Script::Client(script) => {
                let mut handshake = match script.socks4 {
                    Some(user_id) => client::Handshake::socks4(&script.request, user_id).unwrap(),
                    None => client::Handshake::with_config(&script.request, script.auth, script.config),
                };
                let end = self.connect(&mut handshake, script);
                self.is_stable(&end, |session| session.connect(&mut handshake, script));
                end
            }
        }
    }

    fn serve(&mut self, handshake: &mut server::Handshake, script: &Server<'_>) -> Due {
        use server::Decision;

        loop {
            match self.carry.advance(handshake, &mut self.stream) {
                Err(error) => self.note(&error),
                Ok(Decision::SelectMethod(select)) => select.select_preferred(script.prefer),
                Ok(Decision::Authenticate(authenticate)) => match script.verdict {
                    Verdict::Accept => authenticate.accept(),
                    _ => authenticate.reject(),
                },
                Ok(Decision::Negotiate(negotiate)) => {
                    self.negotiate(script.raw_negotiation);
                    negotiate.accept();
                }
                Ok(Decision::PendingRequest(pending)) => pending.answer(script.reply),
                Ok(Decision::PendingPeer(pending)) => pending.answer(script.peer),
                Ok(Decision::Established(established)) => return Due::Served(established),
                Ok(Decision::Closed(error)) => return Due::Closed(error),
            }
        }
    }

    fn connect(&mut self, handshake: &mut client::Handshake, script: &Client<'_>) -> Due {
        use client::Decision;

        loop {
            match self.carry.advance(handshake, &mut self.stream) {
                Err(error) => self.note(&error),
                Ok(Decision::Negotiate(negotiate)) => {
                    self.negotiate(script.raw_negotiation);
                    negotiate.accept();
                }
                Ok(Decision::Bound(bound)) => bound.wait_for_peer(),
                Ok(Decision::Established(reply)) => return Due::Connected(reply.code, reply.address.into()),
                Ok(Decision::Closed(error)) => return Due::Closed(error),
            }
        }
    }

    fn note(&mut self, error: &io::Error) {
        self.errors.push(error.kind());
        assert!(self.errors.len() < 10_000, "unlimited errors");
    }

    /// The caller's own negotiation: `TOKEN` to the peer, and `len` bytes from it.
    fn negotiate(&mut self, len: usize) {
        assert!(self.stream.unflushed.is_empty(), "a decision without a flush");
        // Faults here would not affect the machine.
        let fault = std::mem::replace(&mut self.stream.nature.fault, Fault::None);
        self.stream.write_all(TOKEN).unwrap();
        self.stream.flush().unwrap();
        let from_carry = match &mut self.carry {
            Carry::Held(carry) => carry.drain(..len.min(carry.len())).count(),
            Carry::Exact => 0,
        };
        let mut rest = vec![0; len - from_carry];
        self.stream.read_exact(&mut rest).unwrap();
        self.stream.nature.fault = fault;
    }

    /// Calls after the end return it again, and transfer nothing.
    fn is_stable(&mut self, end: &Due, mut call: impl FnMut(&mut Self) -> Due) {
        assert!(self.stream.unflushed.is_empty(), "{end:?} without a flush");
        self.stream.nature.fault = Fault::None;
        let state = |session: &Self| {
            let stream = &session.stream;
            (stream.read, stream.received.clone(), session.carry.clone())
        };
        let before = state(self);
        for _ in 0..3 {
            assert_eq!(call(self), *end);
        }
        assert_eq!(state(self), before, "calls after {end:?} transfer nothing");
    }
}

/// The bytes that each side sends in the caller's own negotiation.
const TOKEN: &[u8] = b"\x01\x01\x00\x03key";

/// A handshake, and its expected result.
struct Conversation {
    name: &'static str,
    script: Script<'static>,
    /// The pieces that the peer sends, each with the number of bytes that it must have received before. The last one
    /// also has the bytes after the handshake.
    peer: Vec<(usize, Vec<u8>)>,
    /// How many of these bytes are not the handshake's.
    surplus: usize,
    sends: Vec<u8>,
    end: Due,
}

impl Conversation {
    fn new(
        name: &'static str,
        script: Script<'static>,
        peer: &[(usize, &str)],
        sends: &str,
        end: Due,
    ) -> Self {
        Self {
            name,
            script,
            peer: peer.iter().map(|(after, bytes)| (*after, unhex(bytes))).collect(),
            surplus: 0,
            sends: unhex(sends),
            end,
        }
    }

    /// The last `surplus` bytes of the peer are not the handshake's.
    fn surplus(self, surplus: usize) -> Self {
        Self { surplus, ..self }
    }

    fn input(&self) -> Vec<u8> {
        self.peer.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    fn tail(&self) -> Vec<u8> {
        self.input().split_off(self.input().len() - self.surplus)
    }

    /// Returns the same case, with a peer that does not wait and sends everything at once.
    fn pipelined(&self) -> Self {
        Self {
            name: self.name,
            script: self.script,
            peer: vec![(0, self.input())],
            surplus: self.surplus,
            sends: self.sends.clone(),
            end: self.end.clone(),
        }
    }

    /// Runs it over a stream, checks the result, and returns the errors on the way.
    fn check(&self, carry: Carry, nature: Nature) -> Vec<ErrorKind> {
        let what = format!("{}: {nature:?}", self.name);
        let prefilled = carry.held().len();
        let mut session = Session::new(self, carry, nature);
        // The prefilled bytes are not read from the stream.
        let mut skip = prefilled;
        for (_, bytes) in &mut session.stream.peer {
            skip -= bytes.drain(..skip.min(bytes.len())).count();
        }
        assert_eq!(session.run(), self.end, "{what}");
        assert_eq!(
            hex::encode(&session.stream.received),
            hex::encode(&self.sends),
            "{what}"
        );
        let left = [session.carry.held(), &session.stream.unread()].concat();
        assert_eq!(hex::encode(left), hex::encode(self.tail()), "{what}: surplus");
        if session.carry == Carry::Exact {
            let handshake = self.input().len() - self.surplus;
            assert_eq!(session.stream.read, handshake, "{what}: read");
        }
        session.errors
    }
}

const GREETING: &str = "05 01 00";
const LOGIN: &str = "05 01 02";
const ALICE: &str = "01 05 616c696365 06 736563726574";
const REQUEST: &str = "05 01 00 01 7f000001 1f90";
const BIND: &str = "05 02 00 01 7f000001 1f90";
const ASSOCIATE: &str = "05 03 00 01 00000000 0000";
const SUCCESS: &str = "05 00 00 01 00000000 0000";
const PEER: &str = "05 00 00 01 7f000001 dfbe";
const REFUSED: &str = "05 05 00 01 00000000 0000";
const TUNNEL: &str = "05 01 00 05 00 00 01 7475";
const RAW: &str = "01 01 0003 6b6579";

fn servers() -> Vec<Conversation> {
    let with =
        |prefer: &'static [Method], script: Server<'static>| Script::Server(Server { prefer, ..script });
    let (none, password) = (&[Method::NO_AUTHENTICATION], &[Method::USERNAME_PASSWORD]);
    let server = Server::default();
    let socks4 = Server {
        config: server::Config::new().with_socks4(true),
        ..server
    };
    let stream = || Due::Served(Established::Stream);
    let tunnel = |message: &str| format!("{message} {TUNNEL}");
    vec![
        Conversation::new(
            "server, CONNECT",
            with(none, server),
            &[(0, GREETING), (2, &tunnel(REQUEST))],
            &format!("05 00 {SUCCESS}"),
            stream(),
        )
        .surplus(9),
        Conversation::new(
            "server, password",
            with(password, server),
            &[(0, LOGIN), (2, ALICE), (4, &tunnel(REQUEST))],
            &format!("05 02 01 00 {SUCCESS}"),
            stream(),
        )
        .surplus(9),
        Conversation::new(
            "server, BIND",
            with(
                none,
                Server {
                    peer: Ok(address("127.0.0.1:57278")),
                    ..server
                },
            ),
            &[(0, GREETING), (2, &tunnel(BIND))],
            &format!("05 00 {SUCCESS} {PEER}"),
            stream(),
        )
        .surplus(9),
        Conversation::new(
            "server, UDP",
            with(none, server),
            &[(0, GREETING), (2, &tunnel(ASSOCIATE))],
            &format!("05 00 {SUCCESS}"),
            Due::Served(Established::UdpAssociation),
        )
        .surplus(9),
        Conversation::new(
            "server, GSSAPI",
            with(
                &[Method::GSSAPI],
                Server {
                    raw_negotiation: 7,
                    ..server
                },
            ),
            &[(0, "05 01 01"), (9, RAW), (9, &tunnel(REQUEST))],
            &format!("05 01 {RAW} {SUCCESS}"),
            stream(),
        )
        .surplus(9),
        Conversation::new(
            "server, no acceptable method",
            with(password, server),
            &[(0, GREETING)],
            "05 ff",
            Due::Closed(Error::NoAcceptableMethod),
        ),
        Conversation::new(
            "server, wrong password",
            with(
                password,
                Server {
                    verdict: Verdict::Reject,
                    ..server
                },
            ),
            &[(0, LOGIN), (2, &tunnel(ALICE))],
            "05 02 01 01",
            Due::Closed(authentication_rejected(1)),
        )
        .surplus(9),
        Conversation::new(
            "server, refused",
            with(
                none,
                Server {
                    reply: Err(ReplyCode::CONNECTION_REFUSED),
                    ..server
                },
            ),
            &[(0, GREETING), (2, &tunnel(REQUEST))],
            &format!("05 00 {REFUSED}"),
            Due::Closed(Error::Refused(ReplyCode::CONNECTION_REFUSED)),
        )
        .surplus(9),
        Conversation::new(
            "server, peer refused",
            with(
                none,
                Server {
                    peer: Err(ReplyCode::CONNECTION_REFUSED),
                    ..server
                },
            ),
            &[(0, GREETING), (2, BIND)],
            &format!("05 00 {SUCCESS} {REFUSED}"),
            Due::Closed(Error::Refused(ReplyCode::CONNECTION_REFUSED)),
        ),
        Conversation::new(
            "server, no methods",
            with(none, server),
            &[(0, "05 00")],
            "05 ff",
            Due::Closed(Malformed::NoMethods.into()),
        ),
        Conversation::new(
            "server, SOCKS4a",
            with(none, socks4),
            &[(0, &tunnel("04 01 1f90 00000001 7575 00 6170702e74657374 00"))],
            "00 5a 0000 00000000",
            stream(),
        )
        .surplus(9),
        Conversation::new(
            "server, SOCKS4 BIND",
            with(
                none,
                Server {
                    peer: Ok(address("127.0.0.1:57278")),
                    ..socks4
                },
            ),
            &[(0, &tunnel("04 02 1f90 7f000001 00"))],
            "00 5a 0000 00000000 00 5a dfbe 7f000001",
            stream(),
        )
        .surplus(9),
        Conversation::new(
            "server, SOCKS4 refused",
            with(
                none,
                Server {
                    reply: Err(ReplyCode::CONNECTION_REFUSED),
                    ..socks4
                },
            ),
            &[(0, &tunnel("04 01 1f90 7f000001 00"))],
            "00 5b 0000 00000000",
            Due::Closed(Error::Refused(ReplyCode::CONNECTION_REFUSED)),
        )
        .surplus(9),
    ]
}

fn clients() -> Vec<Conversation> {
    const GSSAPI: &[Method] = &[Method::GSSAPI];
    let client = |command| Client::new(command, address("127.0.0.1:8080"));
    let connect = client(Command::CONNECT);
    let socks4 =
        |command, address| Script::Client(Client::socks4(command, address, UserId::new("uu").unwrap()));
    let login = Client {
        auth: Auth::password(Credentials::new("alice", "secret").unwrap()),
        ..connect
    };
    let connected = || Due::Connected(ReplyCode::SUCCEEDED, Address::UNSPECIFIED.into());
    let tunnel = |message: &str| format!("{message} {TUNNEL}");
    vec![
        Conversation::new(
            "client, CONNECT",
            Script::Client(connect),
            &[(3, "05 00"), (13, &tunnel(SUCCESS))],
            &format!("{GREETING} {REQUEST}"),
            connected(),
        )
        .surplus(9),
        Conversation::new(
            "client, password",
            Script::Client(login),
            &[(3, "05 02"), (17, "01 00"), (27, &tunnel(SUCCESS))],
            &format!("{LOGIN} {ALICE} {REQUEST}"),
            connected(),
        )
        .surplus(9),
        Conversation::new(
            "client, optimistic",
            Script::Client(Client {
                config: client::Config::new().with_optimistic(true),
                ..login
            }),
            &[(27, &tunnel(&format!("05 02 01 00 {SUCCESS}")))],
            &format!("{LOGIN} {ALICE} {REQUEST}"),
            connected(),
        )
        .surplus(9),
        Conversation::new(
            "client, BIND",
            Script::Client(client(Command::BIND)),
            &[(3, "05 00"), (13, SUCCESS), (13, &tunnel(PEER))],
            &format!("{GREETING} {BIND}"),
            Due::Connected(ReplyCode::SUCCEEDED, address("127.0.0.1:57278").into()),
        )
        .surplus(9),
        Conversation::new(
            "client, UDP",
            Script::Client(Client::new(Command::UDP_ASSOCIATE, Address::UNSPECIFIED)),
            &[(3, "05 00"), (13, SUCCESS)],
            &format!("{GREETING} {ASSOCIATE}"),
            connected(),
        ),
        Conversation::new(
            "client, GSSAPI",
            Script::Client(Client {
                auth: Auth::new(GSSAPI, None).unwrap(),
                raw_negotiation: 7,
                ..connect
            }),
            &[(3, "05 01"), (10, RAW), (20, &tunnel(SUCCESS))],
            &format!("05 01 01 {RAW} {REQUEST}"),
            connected(),
        )
        .surplus(9),
        Conversation::new(
            "client, no acceptable method",
            Script::Client(connect),
            &[(3, "05 ff")],
            GREETING,
            Due::Closed(Error::NoAcceptableMethod),
        ),
        Conversation::new(
            "client, wrong password",
            Script::Client(login),
            &[(3, "05 02"), (17, "01 01")],
            &format!("{LOGIN} {ALICE}"),
            Due::Closed(authentication_rejected(1)),
        ),
        // REP is reported before the rest is received.
        Conversation::new(
            "client, refused",
            Script::Client(connect),
            &[(3, "05 00"), (13, REFUSED)],
            &format!("{GREETING} {REQUEST}"),
            Due::Closed(Error::Refused(ReplyCode::CONNECTION_REFUSED)),
        )
        .surplus(8),
        Conversation::new(
            "client, SOCKS4a",
            socks4(Command::CONNECT, address("app.test:8080")),
            &[(20, &tunnel("00 5a 0000 00000000"))],
            "04 01 1f90 00000001 7575 00 6170702e74657374 00",
            connected(),
        )
        .surplus(9),
        Conversation::new(
            "client, SOCKS4 BIND",
            socks4(Command::BIND, address("127.0.0.1:8080")),
            &[(11, "00 5a 0000 00000000"), (11, &tunnel("00 5a dfbe 7f000001"))],
            "04 02 1f90 7f000001 7575 00",
            Due::Connected(ReplyCode::SUCCEEDED, address("127.0.0.1:57278").into()),
        )
        .surplus(9),
        // CD is reported before the rest is received.
        Conversation::new(
            "client, SOCKS4 refused",
            socks4(Command::CONNECT, address("127.0.0.1:8080")),
            &[(11, "00 5b 0000 00000000")],
            "04 01 1f90 7f000001 7575 00",
            Due::Closed(Error::Socks4Refused(socks4::ReplyCode::REJECTED)),
        )
        .surplus(6),
    ]
}

fn every_conversation(check: impl Fn(&Conversation)) {
    for conversation in servers().iter().chain(&clients()) {
        check(conversation);
        check(&conversation.pipelined());
    }
}

const CARRIES: [Carry; 2] = [Carry::EMPTY, Carry::Exact];

/// both functions transfer all that belongs to the handshake. What follows stays in the carry, or in the stream.
#[test]
fn advance_runs_every_handshake() {
    every_conversation(|conversation| {
        for carry in CARRIES {
            for buffered in [false, true] {
                for at_most in [usize::MAX, 7, 1] {
                    let nature = Nature {
                        at_most,
                        buffered,
                        ..PLAIN
                    };
                    assert_eq!(conversation.check(carry.clone(), nature), []);
                }
            }
        }
    });
}

/// An error before every operation loses nothing, one byte at a time or more.
#[test]
fn advance_continues_after_every_error() {
    every_conversation(|conversation| {
        for carry in CARRIES {
            for kind in [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::Other] {
                for buffered in [false, true] {
                    for at_most in [usize::MAX, 1] {
                        for fault in [Fault::Every(kind), Fault::EveryFlush(kind)] {
                            let nature = Nature {
                                at_most,
                                buffered,
                                fault,
                                eof: None,
                            };
                            let errors = conversation.check(carry.clone(), nature);
                            assert!(errors.len() > 1, "{}: {errors:?}", conversation.name);
                            assert!(errors.iter().all(|error| *error == kind), "{errors:?}");
                        }
                    }
                }
            }
        }
    });
}

/// A single error, at every possible operation, is returned unchanged and once.
#[test]
fn advance_returns_each_error_once() {
    every_conversation(|conversation| {
        for carry in CARRIES {
            for buffered in [false, true] {
                let (mut errors, mut zeros) = (0, 0);
                for at in 0.. {
                    let nature = |fault| Nature {
                        at_most: 3,
                        buffered,
                        fault,
                        eof: None,
                    };
                    let broken = nature(Fault::At(at, ErrorKind::ConnectionReset));
                    match *conversation.check(carry.clone(), broken) {
                        [ErrorKind::ConnectionReset] => errors += 1,
                        // There is no operation of this number, so all have been tried.
                        [] => break,
                        ref other => panic!("{}: {other:?}", conversation.name),
                    }
                    match *conversation.check(carry.clone(), nature(Fault::AcceptsNothingAt(at))) {
                        [ErrorKind::WriteZero] => zeros += 1,
                        [] => {}
                        ref other => panic!("{}: {other:?}", conversation.name),
                    }
                }
                assert!(zeros > 0 && errors > zeros, "{}", conversation.name);
            }
        }
    });
}

/// the end of input at every byte closes the handshake where it needs more, as without a stream.
#[test]
fn advance_closes_at_the_end_of_input() {
    every_conversation(|conversation| {
        let negotiates = match conversation.script {
            Script::Server(script) => script.raw_negotiation > 0,
            Script::Client(script) => script.raw_negotiation > 0,
        };
        let input = conversation.input();
        for end in 0..=input.len() {
            let delivery = Delivery::reads([&input[..end]]).eof(Eof::WhenAsked);
            let stated = driver::run(&conversation.script, &delivery);
            // The end of the caller's own negotiation is not tested here.
            if negotiates && end < input.len() - conversation.surplus {
                continue;
            }
            for carry in CARRIES {
                for at_most in [usize::MAX, 1] {
                    let nature = Nature {
                        at_most,
                        eof: Some(end),
                        ..PLAIN
                    };
                    let mut session = Session::new(conversation, carry.clone(), nature);
                    let what = format!("{}: ends after {end} bytes", conversation.name);
                    assert_eq!(Some(&session.run()), stated.end(), "{what}");
                    if !negotiates {
                        assert_eq!(session.stream.received, stated.sent(), "{what}");
                    }
                }
            }
        }
    });
}

/// A carry that the caller has filled is consumed before anything is read.
#[test]
fn advance_consumes_the_carry_first() {
    every_conversation(|conversation| {
        let input = conversation.input();
        let negotiation_is_over = match conversation.script {
            Script::Server(_) => true,
            // This peer has answered the client's greeting before receiving it.
            Script::Client(_) => false,
        };
        for prefilled in 0..=input.len() {
            let carry = Carry::Held(input[..prefilled].to_vec());
            for at_most in [usize::MAX, 1] {
                let nature = Nature { at_most, ..PLAIN };
                assert_eq!(conversation.check(carry.clone(), nature), []);
            }
            if prefilled == input.len() && negotiation_is_over {
                let mut session = Session::new(conversation, carry, PLAIN);
                session.stream.peer.clear();
                assert_eq!(session.run(), conversation.end);
                assert_eq!(session.stream.read, 0, "{}", conversation.name);
            }
        }
    });
}

/// Q-008..Q-010: another protocol's bytes are all in the carry.
#[test]
fn advance_keeps_the_bytes_of_another_protocol() {
    let http = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let fault = |got| Due::Closed(wrong_version(5, got).into());
    for at_most in [usize::MAX, 5, 1] {
        let nature = Nature {
            at_most,
            eof: Some(http.len()),
            ..PLAIN
        };
        let server = Conversation {
            name: "HTTP",
            script: Script::Server(Server::default()),
            peer: vec![(0, http.to_vec())],
            surplus: http.len(),
            sends: Vec::new(),
            end: fault(b'G'),
        };
        let mut session = Session::new(&server, Carry::EMPTY, nature);
        assert_eq!(session.run(), fault(b'G'));
        assert_eq!(session.stream.received, []);
        assert_eq!(session.carry.held(), &http[..at_most.min(http.len())]);

        // Without a carry, the bytes before the first decision about a greeting are lost.
        let mut session = Session::new(&server, Carry::Exact, nature);
        assert_eq!(session.run(), fault(b'G'));
        assert_eq!(session.stream.read, at_most.min(2));
    }
    // In a later message, the bytes consumed before are lost, and the others are kept.
    let credentials = Conversation {
        name: "a request in the place of credentials",
        script: Script::Server(Server {
            prefer: &[Method::USERNAME_PASSWORD],
            ..Server::default()
        }),
        peer: vec![(0, unhex(&format!("{LOGIN} {REQUEST}")))],
        surplus: 10,
        sends: unhex("05 02 01 01"),
        end: Due::Closed(wrong_version(1, 5).into()),
    };
    for at_most in [usize::MAX, 1] {
        let nature = Nature { at_most, ..PLAIN };
        assert_eq!(credentials.check(Carry::EMPTY, nature), []);
    }
}

/// A carry of more bytes than one read returns is kept whole.
#[test]
fn advance_keeps_a_long_tail() {
    let tail = vec![0xa5; 5000];
    let conversation = &servers()[0];
    let input = unhex(&format!("{GREETING} {REQUEST}"));
    let long = Conversation {
        peer: vec![(0, [&input[..], &tail].concat())],
        surplus: tail.len(),
        ..conversation.pipelined()
    };
    assert_eq!(long.check(Carry::EMPTY, PLAIN), []);
    assert_eq!(long.check(Carry::Exact, PLAIN), []);
    let carry = Carry::Held(long.input());
    assert_eq!(long.check(carry, PLAIN), []);

    // `advance` reads no more than a kilobyte at a time.
    let mut session = Session::new(&long, Carry::EMPTY, PLAIN);
    assert_eq!(session.run(), long.end);
    assert_eq!(session.stream.read, 1024);
    assert_eq!(session.carry.held().len(), 1024 - input.len());
}

/// A reference to a trait object works as a stream.
#[test]
fn advance_accepts_a_trait_object() {
    trait Both: Read + Write {}
    impl Both for Stream {}

    let conversation = &servers()[0];
    for exact in [false, true] {
        let mut stream = Stream::new(&conversation.peer, PLAIN);
        let stream: &mut dyn Both = &mut stream;
        let mut handshake = server::Handshake::new();
        let mut carry = Vec::new();
        let decision = if exact {
            handshake.advance_exact(stream)
        } else {
            handshake.advance(stream, &mut carry)
        };
        assert!(matches!(decision, Ok(server::Decision::SelectMethod(_))));
    }
}

/// Input that has arrived, output that is ignored, and the number of reads.
struct Counted<'a> {
    input: &'a [u8],
    reads: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        self.input.read(buffer)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The documentation promises these numbers.
#[test]
fn advance_exact_takes_as_many_reads_as_promised() {
    let request = sans_socks::Request::connect(Address::UNSPECIFIED);
    let login = Credentials::new("user", "password").unwrap();
    for (auth, input, reads) in [
        (Auth::none(), &b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0"[..], 4),
        (
            Auth::password(login),
            b"\x05\x02\x01\x00\x05\x00\x00\x03\x01a\0\0",
            6,
        ),
    ] {
        let mut stream = Counted { input, reads: 0 };
        let mut handshake = client::Handshake::new(&request, auth);
        let end = handshake.advance_exact(&mut stream).unwrap();
        assert!(matches!(end, client::Decision::Established(_)), "{end:?}");
        assert_eq!(stream.reads, reads);
    }
    for (input, reads) in [
        (&b"\x05\x01\x00\x05\x01\x00\x01\0\0\0\0\0\0"[..], 4),
        (b"\x05\x01\x02\x01\x01u\x01p\x05\x01\x00\x03\x01a\0\0", 8),
        // Version 4: a read for each byte of the user id and the name, or for two where at least two must follow.
        (b"\x04\x01\0\x50\x7f\0\0\x01user\0", 6),
        (b"\x04\x01\0\x50\0\0\0\x01user\0name\0", 9),
    ] {
        let mut stream = Counted { input, reads: 0 };
        let mut handshake = server::Handshake::with_config(server::Config::new().with_socks4(true));
        loop {
            match handshake.advance_exact(&mut stream).unwrap() {
                server::Decision::SelectMethod(select) => {
                    select.select_preferred(&[Method::USERNAME_PASSWORD, Method::NO_AUTHENTICATION]);
                }
                server::Decision::Authenticate(login) => login.accept(),
                server::Decision::PendingRequest(pending) => pending.accept(Address::UNSPECIFIED),
                server::Decision::Established(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(stream.reads, reads);
    }
}

/// A client that has its greeting to send.
fn greeting() -> client::Handshake {
    let request = sans_socks::Request::connect(Address::UNSPECIFIED);
    client::Handshake::new(&request, Auth::none())
}

fn transmit(handshake: &mut client::Handshake) -> Transmit<'_> {
    match handshake.poll_io() {
        Some(Io::Transmit(transmit)) => transmit,
        other => panic!("{other:?}"),
    }
}

fn is_sent(handshake: &mut client::Handshake) -> bool {
    matches!(handshake.poll_io(), Some(Io::NeedInput { .. }))
}

#[test]
fn transmit_sent_confirms_up_to_all_bytes() {
    let mut handshake = greeting();
    transmit(&mut handshake).sent(0);
    assert_eq!(transmit(&mut handshake).as_bytes(), [5, 1, 0]);
    transmit(&mut handshake).sent(1);
    assert_eq!(transmit(&mut handshake).as_bytes(), [1, 0]);
    let _dropped = transmit(&mut handshake);
    transmit(&mut handshake).sent(2);
    assert!(is_sent(&mut handshake));

    for more in [3, 4, 1 << 16, usize::MAX] {
        let mut handshake = greeting();
        transmit(&mut handshake).sent(more);
        assert!(is_sent(&mut handshake), "{more}");
    }
    let mut handshake = greeting();
    transmit(&mut handshake).sent(2);
    transmit(&mut handshake).sent_all();
    assert!(is_sent(&mut handshake));
}

#[test]
fn transmit_write_to_keeps_its_place() {
    for (fault, kind) in [
        (Fault::At(1, ErrorKind::WouldBlock), ErrorKind::WouldBlock),
        (Fault::At(1, ErrorKind::Interrupted), ErrorKind::Interrupted),
        (Fault::AcceptsNothingAt(1), ErrorKind::WriteZero),
    ] {
        let nature = Nature {
            at_most: 1,
            fault,
            ..PLAIN
        };
        let mut stream = Stream::new(&[], nature);
        let mut handshake = greeting();
        let error = transmit(&mut handshake).write_to(&mut stream).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(transmit(&mut handshake).as_bytes(), [1, 0]);
        transmit(&mut handshake).write_to(&mut stream).unwrap();
        assert_eq!(stream.received, [5, 1, 0]);
        assert!(is_sent(&mut handshake));
    }
    // `write_to` does not flush, and accepts a trait object.
    let nature = Nature {
        buffered: true,
        ..PLAIN
    };
    let mut stream = Stream::new(&[], nature);
    let mut handshake = greeting();
    let stream_object: &mut dyn Write = &mut stream;
    transmit(&mut handshake).write_to(stream_object).unwrap();
    assert_eq!((stream.unflushed, stream.received), (vec![5, 1, 0], vec![]));
}

/// A blocking stream behind a `BufWriter` of `std`.
struct Buffered(BufWriter<Stream>);

impl Read for Buffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.get_mut().read(buffer)
    }
}

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Every message leaves a `BufWriter` before its answer is read: otherwise the peer would not answer.
#[test]
fn advance_flushes_a_buf_writer() {
    let peer = [(3, unhex("05 00")), (13, unhex("05 00 00 01 00000000 0000 21"))];
    for exact in [false, true] {
        let mut stream = Buffered(BufWriter::new(Stream::new(&peer, PLAIN)));
        let mut handshake = client::Handshake::new(&Request::connect(Address::UNSPECIFIED), Auth::none());
        let mut carry = Vec::new();
        let end = match exact {
            false => handshake.advance(&mut stream, &mut carry).unwrap(),
            true => handshake.advance_exact(&mut stream).unwrap(),
        };
        assert!(matches!(end, client::Decision::Established(_)), "{end:?}");
        let surplus = [carry, stream.0.get_ref().unread()].concat();
        assert_eq!(surplus, b"!");
        let sent = unhex("05 01 00 05 01 00 01 00000000 0000");
        assert_eq!(stream.0.get_ref().received, sent);
    }
}
