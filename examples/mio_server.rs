//! A SOCKS server for CONNECT to IP addresses, on mio: one thread, and a slab of connections.
//!
//! ```text
//! cargo run --example mio_server -- [LISTEN] [USER PASSWORD]
//! curl --socks5 127.0.0.1:1080 http://example.com/
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use sans_socks::server::{Config, Decision, Handshake};
use sans_socks::{Address, Command, Credentials, Error, Machine, Method, ReplyCode};
use slab::Slab;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
type Login = Option<Credentials<'static>>;

struct Connection {
    client: TcpStream,
    handshake: Handshake,
    target: Option<TcpStream>,
    /// The deadline until the tunnel is established, and another one after a refusal.
    deadline: Option<Instant>,
    /// Whether the handshake has ended, with a tunnel or with a refusal.
    shaken: bool,
    /// Holds the bytes that the handshake has not consumed. They become the first bytes of the tunnel.
    upload: Pipe,
    download: Pipe,
}

impl Connection {
    /// Returns `WouldBlock` until the tunnel is established.
    fn shake_hands(&mut self, registry: &Registry, token: Token, login: Login) -> io::Result<()> {
        let method = login.map_or(Method::NO_AUTHENTICATION, |_| Method::USERNAME_PASSWORD);
        loop {
            match self.handshake.advance(&mut self.client, &mut self.upload.bytes)? {
                Decision::SelectMethod(select) => select.select_preferred(&[method]),
                Decision::Authenticate(given) => match login {
                    Some(it) if given.credentials().verify(it.username(), it.password()) => given.accept(),
                    _ => given.reject(),
                },
                Decision::PendingRequest(pending) if pending.request().command == Command::CONNECT => {
                    match dial(&mut self.target, pending.request().address, (registry, token)) {
                        // This drops the token. The next call returns it again.
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                        bound => pending.answer(bound.map_err(ReplyCode::from)),
                    }
                }
                Decision::PendingRequest(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
                Decision::Established(_) => return Ok(()),
                Decision::Closed(error) => return Err(error.into()),
                _ => return Err(ErrorKind::Unsupported.into()), // if you select another method or accept BIND
            }
        }
    }

    /// Advances as far as the sockets allow. Returns `WouldBlock` until the connection has ended.
    fn advance(&mut self, registry: &Registry, token: Token, login: Login) -> io::Result<()> {
        if !self.shaken {
            match self.shake_hands(registry, token, login) {
                Ok(()) => self.deadline = None,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) => {
                    let _ = writeln!(io::stderr(), "{:?}: {error}", self.client.peer_addr());
                    // Closing with unread input would send a reset, which can erase the refusal.
                    self.client.shutdown(Shutdown::Write)?;
                    (self.target, self.deadline) = (None, Some(Instant::now() + Duration::from_secs(2)));
                }
            }
            self.shaken = true;
        }
        let Some(target) = &mut self.target else {
            // If 256 KiB are available in one call, this closes: a client that does not stop would delay the others.
            return io::copy(&mut (&self.client).take(1 << 18), &mut io::sink()).map(drop);
        };
        let upload = self.upload.pump(&mut self.client, target);
        self.download.pump(target, &mut self.client).and(upload)
    }
}

/// Returns the local address of the connection to `to`, or `WouldBlock` until it is established.
fn dial(target: &mut Option<TcpStream>, to: Address<'_>, poll: (&Registry, Token)) -> io::Result<SocketAddr> {
    let Some(socket) = target else {
        // Check an access list here. A production server also resolves names, on other threads: see `examples/proxy`.
        let named = Error::Refused(ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED);
        let address = to.canonical().to_socket_addr().ok_or(named)?;
        poll.0
            .register(target.insert(TcpStream::connect(address)?), poll.1, BOTH)?;
        return Err(ErrorKind::WouldBlock.into());
    };
    match (socket.take_error()?, socket.peer_addr()) {
        (Some(error), _) => Err(error),
        (None, Ok(_)) => socket.local_addr(),
        (None, Err(_)) => Err(ErrorKind::WouldBlock.into()),
    }
}

/// One direction of a tunnel. A production server limits how long one direction can delay the others.
#[derive(Default)]
struct Pipe {
    /// Bytes that have been read and not yet written.
    bytes: Vec<u8>,
    ended: bool,
}

impl Pipe {
    /// Copies up to the end, then half-closes `to`. An error ends only this direction: the other may still have data.
    fn pump(&mut self, from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        loop {
            while !self.bytes.is_empty() {
                match to.write(&self.bytes) {
                    Ok(n) => drop(self.bytes.drain(..n)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                    Err(_) => (self.ended, self.bytes) = (true, Vec::new()),
                }
            }
            if self.ended {
                let _ = to.shutdown(Shutdown::Write);
                return Ok(());
            }
            match from.read(&mut chunk) {
                Ok(n) if n > 0 => self.bytes.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                _ => self.ended = true,
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: &[String] = std::env::args().skip(1).collect::<Vec<_>>().leak();
    let (listen, login) = match args {
        [] => ("127.0.0.1:1080", None),
        [listen] => (&listen[..], None),
        [listen, user, password] => (&listen[..], Some(Credentials::new(user, password)?)),
        _ => return Err("usage: mio_server [LISTEN] [USER PASSWORD]".into()),
    };
    let config = Config::new().with_socks4(login.is_none()); // SOCKS4 has no passwords
    let (mut poll, mut listener) = (Poll::new()?, TcpListener::bind(listen.parse()?)?);
    let registry = &poll.registry().try_clone()?;
    registry.register(&mut listener, Token(usize::MAX), Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut connections, mut events) = (Slab::<Connection>::new(), Events::with_capacity(1024));
    loop {
        match poll.poll(&mut events, Some(Duration::from_secs(1))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for token in events.iter().map(|event| event.token()) {
            match connections
                .get_mut(token.0)
                .map(|it| it.advance(registry, token, login))
            {
                None => {}
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                Some(_) => drop(connections.remove(token.0)),
            }
        }
        // Stops at any error: `WouldBlock`, or no free descriptor. The next attempt follows within a second.
        while let Ok((mut client, _)) = listener.accept() {
            let entry = connections.vacant_entry();
            if registry.register(&mut client, Token(entry.key()), BOTH).is_ok() {
                entry.insert(Connection {
                    client,
                    handshake: Handshake::with_config(config),
                    target: None,
                    deadline: Some(Instant::now() + Duration::from_secs(10)),
                    shaken: false,
                    upload: Pipe::default(),
                    download: Pipe::default(),
                });
            }
        }
        connections.retain(|_, it| it.deadline.is_none_or(|deadline| Instant::now() < deadline));
    }
}
