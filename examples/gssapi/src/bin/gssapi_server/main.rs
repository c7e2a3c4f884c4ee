//! A server for GSSAPI with Kerberos, on blocking sockets with a thread for each connection: CONNECT, BIND and UDP
//! ASSOCIATE.
//!
//! ```text
//! gssapi_server --levels 2
//! ```
//!
//! It shows a step of the negotiation that blocks no other connection, the handshake over the encapsulated stream, and a
//! relay whose two directions share one context.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use clap::Parser;
use sans_socks::gssapi::{Negotiator, ServerConfig};
use sans_socks::server::{Decision, Handshake};
use sans_socks::{AddressBuf, Command, Error, Method, ReplyCode, Request};
use sans_socks_gssapi::{Acceptor, Credentials, Layer, Level, Link, exit_code, log, server_config};

mod dial;
mod options;
mod udp;

use dial::{DIAL_TIMEOUT, PEER_TIMEOUT, dial, expected, is_expected};
use options::{Options, log_failure};

/// How often a thread that waits for something else polls the client.
const TICK: Duration = Duration::from_millis(50);

/// How long the bytes of a refused client are read and discarded. Less than
/// [`REFUSAL_CLOSE_DEADLINE`](sans_socks::REFUSAL_CLOSE_DEADLINE).
///
/// Closing with unread input makes the system send a reset, which can erase the refusal.
const LINGER: Duration = Duration::from_secs(2);

/// How many bytes a client may send before the reply.
const EARLY_LIMIT: usize = 64 * 1024;

/// The pause after a failed `accept`: when out of descriptors, the next one fails too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A SOCKS5 proxy that authenticates its users by Kerberos
///
/// With --user and --password it also admits clients with these. Such a session is not protected.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Use this service name, whose key is in the default keytab
    #[arg(long, value_name = "NAME@HOST", default_value = "rcmd@localhost")]
    service: String,
    /// Allow these protection levels (1, 2, 3; 0: no protection)
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "1,2,3")]
    levels: Vec<Level>,
    /// Send and expect protection levels unwrapped, as in NEC's implementation
    #[arg(long)]
    nec: bool,
}

/// The settings for all clients.
struct Service {
    options: Options,
    credentials: Credentials,
    config: ServerConfig,
}

impl Service {
    /// Without --user, only clients with a ticket are admitted.
    fn methods(&self) -> &'static [Method] {
        match self.options.login.credentials() {
            Ok(Some(_)) => &[Method::GSSAPI, Method::USERNAME_PASSWORD],
            _ => &[Method::GSSAPI],
        }
    }
}

fn main() {
    process::exit(exit_code(run()));
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    arguments.options.login.credentials()?;
    let credentials = Credentials::of(&arguments.service)
        .map_err(|error| format!("no key for {}: {error}", arguments.service))?;
    let service: &Service = Box::leak(Box::new(Service {
        options: arguments.options,
        credentials,
        config: server_config(&arguments.levels, arguments.nec),
    }));
    let options = &service.options;
    let listener = TcpListener::bind(options.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    announce(listener.local_addr()?)?;
    loop {
        let started = listener.accept().and_then(|(client, address)| {
            thread::Builder::new().spawn(move || serve(client, address, service))
        });
        if let Err(error) = started {
            log(format_args!("accept: {error}"));
            sleep(ACCEPT_PAUSE);
        }
    }
}

/// Prints the listen address to stdout, and flushes. With port 0, the port is known only now.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}

fn serve(client: TcpStream, address: SocketAddr, service: &Service) {
    let deadline = Instant::now() + service.options.handshake_timeout();
    let mut session = Session {
        link: Link::new(client, Some(deadline)),
        address,
        listener: None,
        way: None,
    };
    if let Err(error) = shake_hands(&mut session, service) {
        log_failure(address, &error);
        // There is nothing to do about an error here.
        let _ = session.linger();
    } else if let Err(error) = session.relay() {
        log_failure(address, &error);
    }
}

fn shake_hands(session: &mut Session, service: &Service) -> io::Result<()> {
    let options = &service.options;
    let mut handshake = Handshake::new();
    session.link.stream.set_nodelay(true)?;
    loop {
        match session.link.advance(&mut handshake)? {
            Decision::SelectMethod(select) => select.select_preferred(service.methods()),
            Decision::Authenticate(login) if options.admits(&login.credentials()) => login.accept(),
            Decision::Authenticate(login) => login.reject(),
            Decision::Negotiate(negotiate) => {
                session.negotiate(service)?;
                negotiate.accept();
            }
            Decision::PendingRequest(pending) => {
                let answer = session.carry_out(pending.request());
                pending.answer(answer.map_err(ReplyCode::from));
            }
            Decision::PendingPeer(pending) => {
                pending.answer(session.await_peer().map_err(ReplyCode::from));
            }
            Decision::Established(_) => return Ok(()),
            Decision::Closed(error) => return Err(error.into()),
        }
    }
}

/// A client, and the result of its request.
struct Session {
    link: Link<Acceptor>,
    address: SocketAddr,
    listener: Option<Listener>,
    way: Option<Way>,
}

/// The listener of a BIND.
struct Listener {
    socket: TcpListener,
    /// The hosts that may connect, or `None` for any.
    expected: Option<Vec<IpAddr>>,
}

/// Where the client's bytes are sent.
enum Way {
    Target(TcpStream),
    Relay(udp::Relay),
}

impl Session {
    fn negotiate(&mut self, service: &Service) -> io::Result<()> {
        let context = Acceptor::new(&service.credentials);
        self.link.negotiate(Negotiator::server(context, service.config))?;
        self.link.negotiated(|level, context| {
            let client = context.client().unwrap_or_else(|error| error.to_string());
            match level {
                Some(level) => log(format_args!("{}: {client}, {level}", self.address)),
                None => log(format_args!("{}: {client}, in the clear", self.address)),
            }
        });
        Ok(())
    }

    /// Executes a request up to the reply. Returns BND: the local address of the connection or the listener.
    fn carry_out(&mut self, request: Request<'_>) -> io::Result<SocketAddr> {
        let address = AddressBuf::from(request.address);
        match request.command {
            Command::CONNECT => {
                let target = self.in_background(Command::CONNECT, move || dial(address.as_address()))?;
                target.set_nodelay(true)?;
                let bound = target.local_addr()?;
                self.way = Some(Way::Target(target));
                Ok(bound)
            }
            Command::BIND => {
                let expected = self.in_background(Command::BIND, move || expected(address.as_address()))?;
                let socket = TcpListener::bind((self.own_ip()?, 0))?;
                let bound = socket.local_addr()?;
                self.listener = Some(Listener { socket, expected });
                Ok(bound)
            }
            Command::UDP_ASSOCIATE => {
                let relay = udp::Relay::open(self.own_ip()?, self.address, request.address)?;
                let bound = relay.bound()?;
                self.way = Some(Way::Relay(relay));
                Ok(bound)
            }
            _ => Err(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED).into()),
        }
    }

    /// Returns the address that the client has connected to.
    fn own_ip(&self) -> io::Result<IpAddr> {
        Ok(self.link.stream.local_addr()?.ip().to_canonical())
    }

    /// BIND: returns the address of the peer, once it has connected.
    fn await_peer(&mut self) -> io::Result<SocketAddr> {
        let Some(Listener { socket, expected }) = self.listener.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let deadline = Instant::now() + PEER_TIMEOUT;
        socket.set_nonblocking(true)?;
        let (target, address) = self.unless_gone(Command::BIND, || match socket.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(TICK);
                (Instant::now() > deadline).then(|| Err(io::ErrorKind::TimedOut.into()))
            }
            accepted => Some(accepted),
        })?;
        if !is_expected(address, expected.as_deref()) {
            return Err(Error::Refused(ReplyCode::NOT_ALLOWED).into());
        }
        target.set_nonblocking(false)?;
        target.set_nodelay(true)?;
        self.way = Some(Way::Target(target));
        Ok(address)
    }

    /// Runs `task` on another thread. If this returns early, the thread ends later.
    fn in_background<T: Send + 'static>(
        &mut self,
        command: Command,
        task: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (sender, receiver) = channel();
        thread::Builder::new().spawn(move || sender.send(task()))?;
        // The resolver of the system has no deadline.
        let deadline = Instant::now() + DIAL_TIMEOUT;
        self.unless_gone(command, || match receiver.recv_timeout(TICK) {
            Ok(done) => Some(done),
            Err(_) if deadline <= Instant::now() => Some(Err(io::ErrorKind::TimedOut.into())),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(io::ErrorKind::Other.into())),
        })
    }

    /// Calls `task` until it is done or the client has left, and keeps the bytes that the client sends early.
    ///
    /// A client has left after a reset, or if its bytes cannot be unwrapped. A client that ends its side may still want the
    /// answer of a target, so CONNECT continues up to `DIAL_TIMEOUT`. BIND ends, because no client half-closes to wait for a
    /// peer.
    fn unless_gone<T>(
        &mut self,
        command: Command,
        mut task: impl FnMut() -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let Link {
            stream, layer, carry, ..
        } = &mut self.link;
        stream.set_nonblocking(true)?;
        let done = loop {
            if let Some(done) = task() {
                break done;
            }
            if carry.len() >= EARLY_LIMIT {
                continue;
            }
            match layer.receive(stream, carry) {
                Ok(false) if command == Command::BIND => break Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break Err(error),
                _ => {}
            }
        };
        stream.set_nonblocking(false)?;
        done
    }

    fn relay(self) -> io::Result<()> {
        let Link {
            stream: client,
            layer,
            carry,
            ..
        } = self.link;
        client.set_read_timeout(None)?;
        match self.way {
            Some(Way::Target(target)) => relay(&layer, &client, &target, carry),
            Some(Way::Relay(relay)) => relay.run(&layer, &client),
            None => Ok(()),
        }
    }

    /// Ends the connection so that the client can read the refusal.
    fn linger(&mut self) -> io::Result<()> {
        let Link { stream, deadline, .. } = &mut self.link;
        stream.shutdown(Shutdown::Write)?;
        *deadline = Some(Instant::now() + LINGER);
        // Further bytes are discarded without unwrapping them.
        self.link.layer = Layer::default();
        while self.link.receive()? {
            self.link.carry.clear();
        }
        Ok(())
    }
}

/// Copies both ways until both have ended. An error, such as a token that cannot be unwrapped, ends both at once.
fn relay(layer: &Layer<Acceptor>, client: &TcpStream, target: &TcpStream, carry: Vec<u8>) -> io::Result<()> {
    let end = |error| {
        let _ = target.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
        Err(error)
    };
    thread::scope(|scope| {
        let download =
            thread::Builder::new().spawn_scoped(scope, || download(layer, client, target).or_else(end))?;
        let upload = upload(layer, client, target, carry).or_else(end);
        upload.and(download.join().unwrap_or(Ok(())))
    })
}

fn upload(
    layer: &Layer<Acceptor>,
    mut client: &TcpStream,
    mut target: &TcpStream,
    carry: Vec<u8>,
) -> io::Result<()> {
    let mut plain = carry;
    loop {
        // A failed write ends only this direction: there may still be an answer to read.
        if target.write_all(&plain).is_err() {
            return Ok(());
        }
        plain.clear();
        if !layer.receive(&mut client, &mut plain)? {
            return target.shutdown(Shutdown::Write);
        }
    }
}

fn download(layer: &Layer<Acceptor>, mut client: &TcpStream, mut target: &TcpStream) -> io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    loop {
        match target.read(&mut chunk)? {
            0 => return client.shutdown(Shutdown::Write),
            n => layer.send(&mut client, &chunk[..n])?,
        }
    }
}
