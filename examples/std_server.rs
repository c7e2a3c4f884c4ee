//! A server on blocking sockets, with a thread for each connection: CONNECT and BIND.
//!
//! ```text
//! cargo run --example std_server
//! curl --socks5-hostname 127.0.0.1:1080 http://example.com/
//! ```
//!
//! It shows that the machine needs no runtime, and how a blocking program keeps a deadline and listens to the
//! client while a name is resolved, a target is dialled or a peer is waited for.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use sans_socks::server::{Handshake, Output};
use sans_socks::{AddressBuf, Command, Error, ReplyCode, Request};

#[path = "common/bind.rs"]
mod bind;
#[path = "common/server.rs"]
mod common;
#[path = "common/dial.rs"]
mod dial;
use bind::{PEER_TIMEOUT, is_expected};
use common::{
    ACCEPT_PAUSE, DIAL_TIMEOUT, EARLY_LIMIT, LINGER, Options, announce, exit_code, log, log_failure,
};
use dial::{dial, expected};

/// How often a thread that waits for something else looks at the client.
const TICK: Duration = Duration::from_millis(50);

fn main() {
    process::exit(exit_code(run()));
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::from_command_line()?;
    let listener = TcpListener::bind(options.listen).map_err(|error| options.explain(&error))?;
    announce(listener.local_addr()?)?;
    loop {
        let started = listener.accept().and_then(|(client, address)| {
            thread::Builder::new().spawn(move || serve(client, address, options))
        });
        if let Err(error) = started {
            log(format_args!("accept: {error}"));
            sleep(ACCEPT_PAUSE);
        }
    }
}

fn serve(client: TcpStream, address: SocketAddr, options: &Options) {
    let mut session = Session {
        client,
        deadline: Instant::now() + options.handshake_timeout(),
        carry: Vec::new(),
        listener: None,
        target: None,
    };
    if let Err(error) = shake_hands(&mut session, options) {
        log_failure(address, &error);
        // What fails here can no longer be helped.
        let _ = session.linger();
    } else if let Err(error) = session.relay() {
        log_failure(address, &error);
    }
}

fn shake_hands(session: &mut Session, options: &Options) -> io::Result<()> {
    let mut handshake = Handshake::new();
    session.client.set_nodelay(true)?;
    loop {
        match handshake.poll_output() {
            Output::Transmit(transmit) => {
                let n = session.client.write(transmit.as_bytes())?;
                transmit.sent(n);
            }
            Output::NeedInput { .. } => {
                if session.carry.is_empty() && session.read()? == 0 {
                    handshake.handle_eof();
                }
                let taken = handshake.handle_input(&session.carry);
                session.carry.drain(..taken);
            }
            Output::SelectMethod(select) => select.select_preferred(options.methods()),
            Output::Authenticate(login) if options.admits(&login.credentials()) => login.accept(),
            Output::Authenticate(login) => login.reject(),
            Output::Negotiate(negotiate) => negotiate.reject(),
            Output::PendingRequest(pending) => match session.carry_out(pending.request()) {
                Ok(bound) => pending.accept(bound),
                Err(error) => pending.reject((&error).into()),
            },
            Output::PendingPeer(pending) => match session.await_peer() {
                Ok(peer) => pending.accept(peer),
                Err(error) => pending.reject((&error).into()),
            },
            Output::Established(_) => return Ok(()),
            Output::Closed(error) => return Err(error.into()),
        }
    }
}

/// A client, and what its request has led to.
struct Session {
    client: TcpStream,
    deadline: Instant,
    /// What the client has sent and the handshake has not taken: in the end, the tunnel's first octets.
    carry: Vec<u8>,
    listener: Option<Listener>,
    target: Option<TcpStream>,
}

/// BIND's first half.
struct Listener {
    socket: TcpListener,
    /// Who may connect; `None` is anybody.
    expected: Option<Vec<IpAddr>>,
}

impl Session {
    /// Waits for octets from the client, up to the deadline.
    fn read(&mut self) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.client.set_read_timeout(Some(left))?;
        match self.read_now() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            read => read,
        }
    }

    fn read_now(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 4096];
        let n = self.client.read(&mut chunk)?;
        self.carry.extend_from_slice(&chunk[..n]);
        Ok(n)
    }

    /// Carries out a request, up to the reply. Gives BND: our address towards the target, or where we listen.
    fn carry_out(&mut self, request: Request<'_>) -> io::Result<SocketAddr> {
        let address = AddressBuf::from(request.address);
        match request.command {
            Command::CONNECT => {
                let target = self.in_background(Command::CONNECT, move || dial(address.as_address()))?;
                target.set_nodelay(true)?;
                self.target.insert(target).local_addr()
            }
            Command::BIND => {
                let expected = self.in_background(Command::BIND, move || expected(address.as_address()))?;
                let ip = self.client.local_addr()?.ip().to_canonical();
                let socket = TcpListener::bind((ip, 0))?;
                self.listener
                    .insert(Listener { socket, expected })
                    .socket
                    .local_addr()
            }
            _ => Err(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED).into()),
        }
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
        self.target = Some(target);
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
    /// A client that is reset is gone. One that ends its input may still want the answer of a target, which
    /// `DIAL_TIMEOUT` bounds; but nobody half-closes and waits for a peer, so that ends BIND.
    fn unless_gone<T>(
        &mut self,
        command: Command,
        mut task: impl FnMut() -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        self.client.set_nonblocking(true)?;
        let done = loop {
            if let Some(done) = task() {
                break done;
            }
            if self.carry.len() >= EARLY_LIMIT {
                continue;
            }
            match self.read_now() {
                Ok(0) if command == Command::BIND => break Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break Err(error),
                _ => {}
            }
        };
        self.client.set_nonblocking(false)?;
        done
    }

    /// Copies both ways until both have ended.
    fn relay(self) -> io::Result<()> {
        let Some(target) = &self.target else {
            return Ok(());
        };
        self.client.set_read_timeout(None)?;
        thread::scope(|scope| {
            let download = thread::Builder::new().spawn_scoped(scope, || pump(&[], target, &self.client))?;
            let upload = pump(&self.carry, &self.client, target);
            download.join().unwrap_or(Ok(())).and(upload)
        })
    }

    /// Ends the connection in such a way that the client can read the refusal.
    fn linger(&mut self) -> io::Result<()> {
        self.client.shutdown(Shutdown::Write)?;
        self.deadline = Instant::now() + LINGER;
        while self.read()? > 0 {
            self.carry.clear();
        }
        Ok(())
    }
}

/// Copies `carry` and then one direction of a tunnel, and passes its end on.
///
/// What cannot be written is this direction's end alone: there may be an answer still to be read.
fn pump(carry: &[u8], mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    to.write_all(carry)?;
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return to.shutdown(Shutdown::Write),
            Ok(n) => to.write_all(&chunk[..n])?,
            Err(error) => {
                let _ = to.shutdown(Shutdown::Both);
                return Err(error);
            }
        }
    }
}
