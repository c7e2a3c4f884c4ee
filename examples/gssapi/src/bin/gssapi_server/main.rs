//! A server for GSSAPI with Kerberos, on blocking sockets with a thread for each connection: CONNECT, BIND and UDP
//! ASSOCIATE.
//!
//! ```text
//! gssapi_server --levels 2
//! ```
//!
//! It shows a step of the negotiation that waits for the key distribution centre while nobody else does, the
//! handshake over the encapsulated stream, and a relay whose two directions share one context.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use clap::Parser;
use sans_socks::gssapi::{Negotiator, ServerConfig};
use sans_socks::server::{Handshake, Output};
use sans_socks::{AddressBuf, Command, Error, Method, ReplyCode, Request};
use sans_socks_gssapi::{Acceptor, Credentials, Layer, Level, Link, server_config};

#[path = "../../../../common/bind.rs"]
mod bind;
#[path = "../../../../common/server.rs"]
#[expect(dead_code, reason = "methods are selected here, and there are more options")]
mod common;
#[path = "../../../../common/dial.rs"]
mod dial;
mod udp;
use bind::{PEER_TIMEOUT, is_expected};
use common::{
    ACCEPT_PAUSE, DIAL_TIMEOUT, EARLY_LIMIT, LINGER, Options, announce, exit_code, log, log_failure,
};
use dial::{dial, expected};

/// How often a thread that waits for something else looks at the client.
const TICK: Duration = Duration::from_millis(50);

/// A SOCKS5 proxy that knows its users by Kerberos
///
/// With --user and --password it also lets in who knows these; nothing of such a session is protected.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Name of this service, whose key is in the default keytab
    #[arg(long, value_name = "NAME@HOST", default_value = "rcmd@localhost")]
    service: String,
    /// Protection levels to allow: 1 integrity, 2 confidentiality, 3 selective; 0 is no protection at all
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "1,2,3")]
    levels: Vec<Level>,
    /// Take and send protection levels unprotected, as NEC's implementation does
    #[arg(long)]
    nec: bool,
}

/// What is the same for all clients.
struct Service {
    options: Options,
    credentials: Credentials,
    config: ServerConfig,
}

impl Service {
    /// Without a login, nobody is let in who does not have a ticket.
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
        .map_err(|error| format!("there is no key for {}: {error}", arguments.service))?;
    let service: &Service = Box::leak(Box::new(Service {
        options: arguments.options,
        credentials,
        config: server_config(&arguments.levels, arguments.nec),
    }));
    let options = &service.options;
    let listener = TcpListener::bind(options.listen).map_err(|error| options.explain(&error))?;
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
        // What fails here can no longer be helped.
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
        match handshake.poll_output() {
            Output::Transmit(octets) => {
                session.link.send(octets.bytes())?;
                octets.sent_all();
            }
            Output::NeedInput { .. } => {
                if session.link.carry.is_empty() && !session.link.receive()? {
                    handshake.handle_eof();
                }
                let taken = handshake.handle_input(&session.link.carry);
                session.link.carry.drain(..taken);
            }
            Output::SelectMethod(select) => {
                select.select_preferred(service.methods());
            }
            Output::Authenticate(login) if options.admits(&login.credentials()) => login.accept(),
            Output::Authenticate(login) => login.reject(),
            Output::Negotiate(negotiate) => {
                session.negotiate(service)?;
                negotiate.accept();
            }
            Output::PendingRequest(pending) => match session.carry_out(pending.request()) {
                Ok(bound) => pending.accept(bound.into()),
                Err(error) => pending.reject((&error).into()),
            },
            Output::PendingPeer(pending) => match session.await_peer() {
                Ok(peer) => pending.accept(peer.into()),
                Err(error) => pending.reject((&error).into()),
            },
            Output::Established(_) => return Ok(()),
            Output::Closed(error) => return Err(error.into()),
        }
    }
}

/// A client, and what its request has led to.
struct Session {
    link: Link<Acceptor>,
    address: SocketAddr,
    listener: Option<Listener>,
    way: Option<Way>,
}

/// BIND's first half.
struct Listener {
    socket: TcpListener,
    /// Who may connect; `None` is anybody.
    expected: Option<Vec<IpAddr>>,
}

/// Where what the client sends goes.
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

    /// Carries out a request, up to the reply. Gives BND: our address towards the target, or where we listen.
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
                let relay = udp::Relay::open(self.own_ip()?, self.address.ip(), request.address)?;
                let bound = relay.bound()?;
                self.way = Some(Way::Relay(relay));
                Ok(bound)
            }
            _ => Err(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED).into()),
        }
    }

    /// The address at which the client has reached us.
    fn own_ip(&self) -> io::Result<IpAddr> {
        Ok(self.link.stream.local_addr()?.ip().to_canonical())
    }

    /// BIND: gives the address of the peer, once it has connected.
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

    /// Does `task` on a thread of its own, which ends by itself if it is no longer waited for.
    fn in_background<T: Send + 'static>(
        &mut self,
        command: Command,
        task: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (sender, receiver) = channel();
        thread::Builder::new().spawn(move || sender.send(task()))?;
        // The system's resolver keeps no deadline of ours.
        let deadline = Instant::now() + DIAL_TIMEOUT;
        self.unless_gone(command, || match receiver.recv_timeout(TICK) {
            Ok(done) => Some(done),
            Err(_) if deadline <= Instant::now() => Some(Err(io::ErrorKind::TimedOut.into())),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(io::ErrorKind::Other.into())),
        })
    }

    /// Asks `task` until it is done, as long as the client is there, and keeps what it sends early.
    ///
    /// A client that is reset is gone, and so is one whose octets do not pass. One that ends its input may still
    /// want the answer of a target, which `DIAL_TIMEOUT` bounds; but nobody half-closes and waits for a peer, so
    /// that ends BIND.
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

    /// Ends the connection in such a way that the client can read the refusal.
    fn linger(&mut self) -> io::Result<()> {
        let Link { stream, deadline, .. } = &mut self.link;
        stream.shutdown(Shutdown::Write)?;
        *deadline = Some(Instant::now() + LINGER);
        // What still comes is not looked at.
        self.link.layer = Layer::default();
        while self.link.receive()? {
            self.link.carry.clear();
        }
        Ok(())
    }
}

/// Copies both ways until both have ended, or the client's octets do not pass: then both end at once.
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
    let mut octets = carry;
    loop {
        // What cannot be written is this direction's end alone: there may be an answer still to be read.
        if target.write_all(&octets).is_err() {
            return Ok(());
        }
        octets.clear();
        if !layer.receive(&mut client, &mut octets)? {
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
