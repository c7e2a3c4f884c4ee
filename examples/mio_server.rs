//! A server on mio: one thread, and a slab of connections that are gone on with when a descriptor is ready.
//! CONNECT.
//!
//! ```text
//! cargo run --example mio_server
//! curl --socks5-hostname 127.0.0.1:1080 http://example.com/
//! ```
//!
//! It shows a machine that stays where it is while its request waits: each time the connection is gone on
//! with, `poll_output` gives the same token again, until the dial is done and the token is answered. In the
//! functions of this file `WouldBlock` says "not yet": an event or the next tick will go on.

use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::process;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use std::vec;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use sans_socks::server::{Handshake, Output};
use sans_socks::{Command, Error, ReplyCode, Request};
use slab::Slab;

#[path = "common/server.rs"]
mod common;
use common::{
    ACCEPT_PAUSE, DIAL_TIMEOUT, EARLY_LIMIT, LINGER, Options, announce, exit_code, log, log_failure,
    lookup_name, share, unresolved,
};

/// How often deadlines are looked at, and an accept that failed is tried again.
const TICK: Duration = ACCEPT_PAUSE;

/// How many reads and writes one direction of one tunnel may do before the others have their turn.
const TURN: usize = 16;

/// How much one read may give.
const BUFFER: usize = 64 * 1024;

/// Names that are looked up at a time, and those that may wait for it.
const RESOLVERS: usize = 4;
const RESOLVER_QUEUE: usize = 1024;

const LISTENER: Token = Token(0);
const RESOLVED: Token = Token(1);

/// The sockets of the connection with this key in the slab.
const fn client_token(key: usize) -> Token {
    Token(2 * key + 2)
}
const fn target_token(key: usize) -> Token {
    Token(2 * key + 3)
}
const fn key(token: Token) -> usize {
    token.0 / 2 - 1
}

fn main() {
    process::exit(exit_code(run()));
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::from_command_line()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(options.listen).map_err(|error| options.explain(&error))?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let (resolver, resolved) = start_resolver(Waker::new(poll.registry(), RESOLVED)?)?;
    let mut server = Server {
        listener,
        connections: Slab::new(),
        context: Context {
            options,
            registry: poll.registry().try_clone()?,
            resolver,
            buffer: vec![0; BUFFER],
        },
    };
    announce(server.listener.local_addr()?)?;

    let mut events = Events::with_capacity(1024);
    let mut ready: Vec<usize> = Vec::new();
    let mut ticked = Instant::now();
    loop {
        // What did not finish its turn is ready still.
        let wait = if ready.is_empty() { TICK } else { Duration::ZERO };
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept(),
                RESOLVED => ready.extend(resolved.try_iter()),
                token => ready.push(key(token)),
            }
        }
        if ticked.elapsed() >= TICK {
            ticked = Instant::now();
            server.accept();
            ready.extend(server.late(ticked));
        }
        ready.sort_unstable();
        ready.dedup();
        ready.retain(|key| server.advance(*key));
    }
}

struct Server {
    listener: TcpListener,
    connections: Slab<Connection>,
    context: Context,
}

/// What all connections need.
struct Context {
    options: &'static Options,
    registry: Registry,
    resolver: SyncSender<Lookup>,
    /// What is read goes through here, so that a connection has memory only for what must wait.
    buffer: Vec<u8>,
}

impl Server {
    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((client, address)) => {
                    if let Err(error) = self.admit(client, address) {
                        log_failure(address, &error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Out of descriptors, perhaps: the next tick tries again.
                Err(error) => return log(format_args!("accept: {error}")),
            }
        }
    }

    fn admit(&mut self, mut client: TcpStream, address: SocketAddr) -> io::Result<()> {
        client.set_nodelay(true)?;
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.context
            .registry
            .register(&mut client, client_token(key), both)?;
        entry.insert(Connection {
            key,
            client,
            address,
            handshake: Handshake::new(),
            stage: Stage::Handshake,
            deadline: Instant::now() + self.context.options.handshake_timeout(),
            dial: Dial::Idle,
            target: None,
            upload: Pipe::default(),
            download: Pipe::default(),
        });
        Ok(())
    }

    /// The connections whose deadline has passed.
    fn late(&self, now: Instant) -> impl Iterator<Item = usize> {
        self.connections
            .iter()
            .filter(move |(_, connection)| connection.is_late(now))
            .map(|(key, _)| key)
    }

    /// Goes on with a connection, and says whether it could do more at once.
    fn advance(&mut self, key: usize) -> bool {
        // A stale event finds nothing, or another connection, which it does no harm.
        let Some(connection) = self.connections.get_mut(key) else {
            return false;
        };
        match connection.advance(&mut self.context) {
            Ok(Next::Again) => return true,
            Ok(Next::Wait) => {}
            Ok(Next::Close) => drop(self.connections.remove(key)),
            Err(error) => {
                log_failure(connection.address, &error);
                self.connections.remove(key);
            }
        }
        false
    }
}

/// What is to become of a connection that has been gone on with.
enum Next {
    Wait,
    Again,
    Close,
}

struct Connection {
    key: usize,
    client: TcpStream,
    address: SocketAddr,
    handshake: Handshake,
    stage: Stage,
    /// Of the handshake, less the dial, and of the time to linger.
    deadline: Instant,
    dial: Dial,
    target: Option<TcpStream>,
    /// Client to target: at first, what the handshake reads; then the tunnel's first octets.
    upload: Pipe,
    download: Pipe,
}

enum Stage {
    Handshake,
    Relay,
    Linger,
}

impl Connection {
    fn is_late(&self, now: Instant) -> bool {
        match self.stage {
            Stage::Handshake => self.dial.deadline().unwrap_or(self.deadline) <= now,
            Stage::Relay => false,
            Stage::Linger => self.deadline <= now,
        }
    }

    fn advance(&mut self, context: &mut Context) -> io::Result<Next> {
        if let Stage::Handshake = self.stage {
            match self.shake_hands(context) {
                Ok(()) => self.stage = Stage::Relay,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait),
                Err(error) => {
                    log_failure(self.address, &error);
                    self.stage = Stage::Linger;
                    self.upload.octets = Vec::new();
                    self.deadline = Instant::now() + LINGER;
                    let _ = self.client.shutdown(Shutdown::Write);
                }
            }
        }
        match self.stage {
            Stage::Linger => self.linger(&mut context.buffer).or(Ok(Next::Close)),
            _ => self.relay(&mut context.buffer),
        }
    }

    fn shake_hands(&mut self, context: &mut Context) -> io::Result<()> {
        loop {
            match self.handshake.poll_output() {
                Output::Transmit(transmit) => {
                    // A reply may come behind the deadline, since the dial has its own, but not wait there.
                    let n = match self.client.write(transmit.as_bytes()) {
                        Err(error)
                            if error.kind() == io::ErrorKind::WouldBlock
                                && self.deadline <= Instant::now() =>
                        {
                            return Err(io::ErrorKind::TimedOut.into());
                        }
                        written => written?,
                    };
                    transmit.sent(n);
                }
                Output::NeedInput { .. } => {
                    if self.upload.octets.is_empty() && self.read(&mut context.buffer)? == 0 {
                        self.handshake.handle_eof();
                    }
                    let taken = self.handshake.handle_input(&self.upload.octets);
                    self.upload.octets.drain(..taken);
                }
                Output::SelectMethod(select) => select.select_preferred(context.options.methods()),
                Output::Authenticate(login) if context.options.admits(&login.credentials()) => login.accept(),
                Output::Authenticate(login) => login.reject(),
                Output::Negotiate(negotiate) => negotiate.reject(),
                Output::PendingRequest(pending) => {
                    self.upload.fill_up(&mut self.client, &mut context.buffer)?;
                    match self.dial.poll(pending.request(), self.key, context) {
                        Ok((target, bound)) => {
                            self.target = Some(target);
                            pending.accept(bound);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                        Err(error) => pending.reject((&error).into()),
                    }
                }
                Output::PendingPeer(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
                Output::Established(_) => return Ok(()),
                Output::Closed(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.deadline <= Instant::now() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.upload.fill(&mut self.client, buffer)
    }

    fn relay(&mut self, buffer: &mut [u8]) -> io::Result<Next> {
        let Some(target) = &mut self.target else {
            return Ok(Next::Close);
        };
        let download = self.download.pump(target, &mut self.client, buffer)?;
        let upload = self.upload.pump(&mut self.client, target, buffer)?;
        Ok(match (download, upload) {
            (Next::Close, Next::Close) => Next::Close,
            (Next::Again, _) | (_, Next::Again) => Next::Again,
            _ => Next::Wait,
        })
    }

    /// Discards what a refused client still sends, up to its end or the deadline.
    fn linger(&mut self, buffer: &mut [u8]) -> io::Result<Next> {
        for _ in 0..TURN {
            if self.deadline <= Instant::now() {
                return Ok(Next::Close);
            }
            let read = self.client.read(buffer);
            if let Ok(0) = read {
                return Ok(Next::Close);
            }
            if !went_on(read)? {
                return Ok(Next::Wait);
            }
        }
        Ok(Next::Again)
    }
}

/// One direction of a tunnel: what has been read from one socket and not been written to the other.
#[derive(Default)]
struct Pipe {
    octets: Vec<u8>,
    /// The end has been read.
    ended: bool,
    /// It has been passed on.
    closed: bool,
}

impl Pipe {
    /// Reads once; 0 is the end.
    fn fill(&mut self, from: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let n = from.read(buffer)?;
        self.octets.extend_from_slice(&buffer[..n]);
        self.ended = n == 0;
        Ok(n)
    }

    /// Reads what there is, up to the limit.
    ///
    /// So a client that is reset while its target is dialled is noticed. One that ends its input is not gone:
    /// it may still want the answer, and the dial ends in any case.
    fn fill_up(&mut self, from: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let room = EARLY_LIMIT.saturating_sub(self.octets.len()).min(buffer.len());
            if self.ended || room == 0 || !went_on(self.fill(from, &mut buffer[..room]))? {
                return Ok(());
            }
        }
    }

    /// Copies until one of the sockets does not go on, or the turn is over, and passes the end on.
    fn pump(&mut self, from: &mut TcpStream, to: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Next> {
        for _ in 0..TURN {
            if self.closed {
                return Ok(Next::Close);
            }
            let step = if !self.octets.is_empty() {
                self.flush(to)
            } else if !self.ended {
                self.pass(from, to, buffer)
            } else {
                self.closed = true;
                to.shutdown(Shutdown::Write)
            };
            if !went_on(step)? {
                return Ok(Next::Wait);
            }
        }
        Ok(Next::Again)
    }

    /// Writes some of what has waited. Once there is none of it left, neither is its memory.
    fn flush(&mut self, to: &mut TcpStream) -> io::Result<()> {
        let n = to.write(&self.octets)?;
        self.octets.drain(..n);
        if self.octets.is_empty() {
            self.octets = Vec::new();
        }
        Ok(())
    }

    /// Reads once, and writes as much of it as can be written now.
    fn pass(&mut self, from: &mut TcpStream, to: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
        let n = from.read(buffer)?;
        self.ended = n == 0;
        let mut rest = &buffer[..n];
        while !rest.is_empty() {
            match to.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.octets.extend_from_slice(rest);
        Ok(())
    }
}

/// Whether something was done; `WouldBlock` says that it must wait.
fn went_on<T>(result: io::Result<T>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// A dial that never blocks: first the look-up of a name, then one address after the other.
enum Dial {
    Idle,
    Resolving {
        answer: Receiver<io::Result<Vec<SocketAddr>>>,
        deadline: Instant,
    },
    Connecting(Connecting),
}

struct Connecting {
    addresses: vec::IntoIter<SocketAddr>,
    socket: Option<TcpStream>,
    /// Why the last address failed.
    error: io::Error,
    /// Of this address, and of all.
    socket_deadline: Instant,
    deadline: Instant,
}

impl Dial {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Idle => None,
            Self::Resolving { deadline, .. } => Some(*deadline),
            Self::Connecting(connecting) => Some(connecting.socket_deadline),
        }
    }

    /// Gives the target and our address towards it, or `WouldBlock`.
    fn poll(
        &mut self,
        request: Request<'_>,
        key: usize,
        context: &Context,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            *self = match self {
                Self::Idle => Self::start(request, key, context)?,
                Self::Resolving { answer, deadline } => match answer.try_recv() {
                    Ok(addresses) => Self::Connecting(Connecting::new(addresses?, *deadline)),
                    Err(_) if *deadline <= Instant::now() => return Err(io::ErrorKind::TimedOut.into()),
                    Err(_) => return Err(io::ErrorKind::WouldBlock.into()),
                },
                Self::Connecting(connecting) => return connecting.poll(key, context),
            };
        }
    }

    fn start(request: Request<'_>, key: usize, context: &Context) -> io::Result<Self> {
        if request.command != Command::CONNECT {
            return Err(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED).into());
        }
        let deadline = Instant::now() + DIAL_TIMEOUT;
        if let Some(address) = request.address.canonical().to_socket_addr() {
            return Ok(Self::Connecting(Connecting::new(vec![address], deadline)));
        }
        let (sender, answer) = channel();
        let lookup = Lookup {
            name: lookup_name(request.address)?,
            key,
            answer: sender,
        };
        context.resolver.try_send(lookup).map_err(io::Error::other)?;
        Ok(Self::Resolving { answer, deadline })
    }
}

impl Connecting {
    fn new(addresses: Vec<SocketAddr>, deadline: Instant) -> Self {
        Self {
            addresses: addresses.into_iter(),
            socket: None,
            error: unresolved(),
            socket_deadline: deadline,
            deadline,
        }
    }

    fn poll(&mut self, key: usize, context: &Context) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            if let Some(socket) = self.socket.take() {
                self.error = match local_address(&socket) {
                    Ok(address) => return Ok((socket, address)),
                    Err(error) if error.kind() != io::ErrorKind::NotConnected => error,
                    Err(_) if self.socket_deadline <= Instant::now() => io::ErrorKind::TimedOut.into(),
                    Err(_) => {
                        self.socket = Some(socket);
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                };
            }
            let left = self.addresses.len();
            let Some(address) = self.addresses.next() else {
                return Err(mem::replace(&mut self.error, unresolved()));
            };
            self.socket_deadline = Instant::now() + share(self.deadline, left);
            match connect(address, key, context) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => self.error = error,
            }
        }
    }
}

fn connect(address: SocketAddr, key: usize, context: &Context) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    let both = Interest::READABLE | Interest::WRITABLE;
    context.registry.register(&mut socket, target_token(key), both)?;
    Ok(socket)
}

/// What a socket is bound to once it is connected; `NotConnected` until then.
fn local_address(socket: &TcpStream) -> io::Result<SocketAddr> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    socket.peer_addr()?;
    socket.set_nodelay(true)?;
    socket.local_addr()
}

/// A name to be looked up for the connection with this key.
struct Lookup {
    name: String,
    key: usize,
    answer: Sender<io::Result<Vec<SocketAddr>>>,
}

/// Starts the threads that look up names, since the system's resolver blocks.
///
/// Each answer goes to the dial that waits for it, if it still does; the key of its connection comes out of
/// the receiver, after `waker` was used.
fn start_resolver(waker: Waker) -> io::Result<(SyncSender<Lookup>, Receiver<usize>)> {
    let (lookups, queue) = sync_channel::<Lookup>(RESOLVER_QUEUE);
    let (done, resolved) = channel();
    let shared = Arc::new((Mutex::new(queue), waker));
    for _ in 0..RESOLVERS {
        let (shared, done) = (Arc::clone(&shared), done.clone());
        thread::Builder::new().spawn(move || {
            let (queue, waker) = &*shared;
            loop {
                let Ok(lookup) = queue.lock().expect("no thread panics with it").recv() else {
                    return;
                };
                let addresses = lookup.name.to_socket_addrs().map(Iterator::collect);
                let _ = lookup.answer.send(addresses.map_err(|_| unresolved()));
                let _ = done.send(lookup.key);
                let _ = waker.wake();
            }
        })?;
    }
    Ok((lookups, resolved))
}
