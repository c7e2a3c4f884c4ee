//! `Machine::advance` and `advance_exact` over two negotiators whose streams block, transfer little and buffer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use sans_socks::Machine;
use sans_socks::gssapi::{
    ClientConfig, Decision, Encapsulation, Error, Negotiator, ProtectionLevel, ServerConfig,
};

use sans_socks_testing::gssapi::{Fake, Fault};

/// The bytes of one direction.
type Pipe = Rc<RefCell<VecDeque<u8>>>;

#[derive(Clone, Copy)]
enum Operation {
    Read,
    Write,
    Flush,
}

/// One end of a connection. It never waits: an operation that cannot proceed returns `WouldBlock`.
struct Stream {
    incoming: Pipe,
    outgoing: Pipe,
    unflushed: Vec<u8>,
    /// The most bytes that one operation transfers.
    at_most: usize,
    /// Every operation fails with this error, and succeeds when it is repeated.
    fault: Option<ErrorKind>,
    operations: usize,
    /// Which kinds of operation have failed since they last succeeded.
    failed: [bool; 3],
    /// Whether the peer has ended its side.
    ended: bool,
}

impl Stream {
    fn pair(at_most: usize, fault: Option<ErrorKind>) -> (Self, Self) {
        let (one, other) = (Pipe::default(), Pipe::default());
        let end = |incoming: &Pipe, outgoing: &Pipe| Self {
            incoming: Rc::clone(incoming),
            outgoing: Rc::clone(outgoing),
            unflushed: Vec::new(),
            at_most,
            fault,
            operations: 0,
            failed: [false; 3],
            ended: false,
        };
        (end(&one, &other), end(&other, &one))
    }

    fn begin(&mut self, operation: Operation) -> io::Result<()> {
        self.operations += 1;
        assert!(self.operations < 100_000, "unlimited operations");
        let failed = &mut self.failed[operation as usize];
        *failed = !*failed;
        match self.fault {
            Some(fault) if *failed => Err(fault.into()),
            _ => Ok(()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(self.unflushed.is_empty(), "a read before a flush");
        self.begin(Operation::Read)?;
        let mut incoming = self.incoming.borrow_mut();
        let n = incoming.len().min(self.at_most).min(buffer.len());
        if n == 0 && !self.ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (slot, byte) in buffer.iter_mut().zip(incoming.drain(..n)) {
            *slot = byte;
        }
        Ok(n)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begin(Operation::Write)?;
        let n = bytes.len().min(self.at_most);
        self.unflushed.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.begin(Operation::Flush)?;
        self.outgoing.borrow_mut().extend(self.unflushed.drain(..));
        Ok(())
    }
}

/// How a side reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Carry,
    Exact,
}

struct Side {
    negotiator: Option<Negotiator<Fake>>,
    stream: Stream,
    mode: Mode,
    carry: Vec<u8>,
    end: Option<Result<Encapsulation<Fake>, Error<Fault>>>,
}

impl Side {
    fn new(negotiator: Negotiator<Fake>, stream: Stream, mode: Mode) -> Self {
        Self {
            negotiator: Some(negotiator),
            stream,
            mode,
            carry: Vec::new(),
            end: None,
        }
    }

    /// Continues until the stream blocks or the negotiation ends.
    fn turn(&mut self) {
        while let Some(mut negotiator) = self.negotiator.take() {
            let advanced = match self.mode {
                Mode::Carry => negotiator.advance(&mut self.stream, &mut self.carry),
                Mode::Exact => negotiator.advance_exact(&mut self.stream),
            };
            match advanced {
                Ok(Decision::Step(step)) => step.run(),
                Ok(Decision::Established | Decision::Closed(_)) => {
                    self.is_stable(&mut negotiator);
                    self.end = Some(negotiator.into_encapsulation());
                    return;
                }
                Err(error) => {
                    let kind = error.kind();
                    assert!(
                        kind == ErrorKind::WouldBlock || Some(kind) == self.stream.fault,
                        "{kind:?}"
                    );
                    self.negotiator = Some(negotiator);
                    return;
                }
            }
            self.negotiator = Some(negotiator);
        }
    }

    /// Calls after the end return it again, and transfer nothing.
    fn is_stable(&mut self, negotiator: &mut Negotiator<Fake>) {
        let state = |side: &Self| {
            let stream = &side.stream;
            let (incoming, outgoing) = (stream.incoming.borrow(), stream.outgoing.borrow());
            (side.carry.clone(), incoming.clone(), outgoing.clone())
        };
        let before = state(self);
        self.stream.fault = None; // each call flushes
        let ends = [(); 2].map(|()| {
            let end = match self.mode {
                Mode::Carry => negotiator.advance(&mut self.stream, &mut self.carry),
                Mode::Exact => negotiator.advance_exact(&mut self.stream),
            };
            format!("{:?}", end.unwrap())
        });
        assert_eq!(state(self), before, "calls after {ends:?}");
        assert_eq!(ends[0], ends[1]);
        assert!(
            ends[0].starts_with("Established") || ends[0].starts_with("Closed"),
            "{ends:?}"
        );
    }

    /// Returns the bytes after the negotiation.
    fn rest(&mut self) -> Vec<u8> {
        if self.mode == Mode::Exact {
            assert!(self.carry.is_empty());
        }
        let mut rest = std::mem::take(&mut self.carry);
        rest.extend(self.stream.incoming.borrow_mut().drain(..));
        rest
    }
}

fn every_fault(mode: Mode) -> impl Iterator<Item = (Mode, Option<ErrorKind>)> {
    let errors = [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::Other].map(Some);
    errors.into_iter().chain([None]).map(move |fault| (mode, fault))
}

/// Every way to read, over every kind of stream: both sides agree, and the bytes after the negotiation are kept.
#[test]
fn advance_runs_both_roles() {
    let config = ClientConfig::new(ProtectionLevel::Confidentiality);
    for tokens in 1..=6 {
        for at_most in [1, 3, usize::MAX] {
            for (mode, fault) in [Mode::Carry, Mode::Exact].into_iter().flat_map(every_fault) {
                let (client, server) = Stream::pair(at_most, fault);
                let client_negotiator = Negotiator::client(Fake::initiator(tokens), config);
                let server_negotiator = Negotiator::server(Fake::acceptor(tokens), ServerConfig::new());
                let mut client = Side::new(client_negotiator, client, mode);
                let mut server = Side::new(server_negotiator, server, mode);
                for _ in 0..10_000 {
                    server.turn();
                    // The server speaks first in the tunnel, before the client has read the level.
                    if let Some(Ok(layer)) = &mut server.end {
                        let mut wire = Vec::new();
                        layer.encapsulate(b"early", &mut wire).unwrap();
                        server.stream.outgoing.borrow_mut().extend(wire);
                        break;
                    }
                    client.turn();
                }
                for _ in 0..10_000 {
                    client.turn();
                }
                let mut layer = client.end.take().expect("an end").unwrap();
                assert_eq!(layer.level(), Some(ProtectionLevel::Confidentiality));
                let (rest, mut plain) = (client.rest(), Vec::new());
                assert_eq!(layer.decapsulate(&rest, &mut plain), Ok(rest.len()));
                assert_eq!(plain, b"early");
                assert_eq!(server.rest(), b"");
            }
        }
    }
}

/// The end of the stream closes the negotiation, and a server that rejects sends its abort first.
#[test]
fn advance_closes_at_the_end_of_input() {
    for mode in [Mode::Carry, Mode::Exact] {
        for received in [
            &b""[..],
            b"\x01",
            b"\x01\x01",
            b"\x01\x01\x00",
            b"\x01\x01\x00\x02\xd7",
        ] {
            let (_, mut stream) = Stream::pair(3, Some(ErrorKind::WouldBlock));
            stream.ended = true;
            stream.incoming.borrow_mut().extend(received);
            let negotiator = Negotiator::server(Fake::acceptor(2), ServerConfig::new());
            let mut server = Side::new(negotiator, stream, mode);
            while server.end.is_none() {
                server.turn();
            }
            assert!(matches!(server.end, Some(Err(Error::UnexpectedEof { .. }))));
            assert!(server.stream.outgoing.borrow().is_empty());
        }

        let (_, stream) = Stream::pair(1, Some(ErrorKind::WouldBlock));
        stream.incoming.borrow_mut().extend(b"HTTP");
        let negotiator = Negotiator::server(Fake::acceptor(2), ServerConfig::new());
        let mut server = Side::new(negotiator, stream, mode);
        while server.end.is_none() {
            server.turn();
        }
        assert!(matches!(server.end, Some(Err(Error::Malformed(_)))));
        assert_eq!(*server.stream.outgoing.borrow(), [1, 0xff]);
    }
}
