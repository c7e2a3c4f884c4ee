//! A SOCKS5 server for CONNECT to IP addresses. mio: one thread, and a slab of connections.
//!
//! ```text
//! cargo run --example mio_server -- [LISTEN] [USER PASSWORD]
//! curl --socks5 127.0.0.1:1080 http://example.com/
//! ```
//!
//! A real server limits how long one tunnel keeps the others waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use sans_socks::server::{Decision, Handshake};
use sans_socks::{Address, Command, Credentials, Error, Machine, Method, ReplyCode};
use slab::Slab;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

type Login = Option<Credentials<'static>>;

struct Connection {
    client: TcpStream,
    handshake: Handshake,
    target: Option<TcpStream>,
    /// Until the tunnel is there, and again after a refusal.
    deadline: Option<Instant>,
    refused: bool,
    /// Its bytes are those that the handshake has not consumed, then the first of the tunnel.
    upload: Pipe,
    download: Pipe,
}

impl Connection {
    /// Returns when the tunnel is there, or `WouldBlock` until then.
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
                    match dial(&mut self.target, pending.request().address, registry, token) {
                        // The token is dropped. The next call returns it again.
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                        bound => pending.answer(bound.map_err(ReplyCode::from)),
                    }
                }
                Decision::PendingRequest(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
                Decision::Established(_) => return Ok(()),
                Decision::Closed(error) => return Err(error.into()),
                // Only for methods and commands that this server does not accept.
                Decision::Negotiate(negotiate) => negotiate.reject(),
                Decision::PendingPeer(pending) => pending.reject(ReplyCode::GENERAL_FAILURE),
            }
        }
    }

    /// Does what can be done now. Returns `WouldBlock` until the connection has ended.
    fn advance(&mut self, registry: &Registry, token: Token, login: Login) -> io::Result<()> {
        if self.deadline.is_some() && !self.refused {
            match self.shake_hands(registry, token, login) {
                Ok(()) => self.deadline = None,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) => {
                    eprintln!("{:?}: {error}", self.client.peer_addr());
                    // A close with unread input would send a reset, which can destroy the refusal on its way.
                    self.client.shutdown(Shutdown::Write)?;
                    self.refused = true;
                    self.deadline = Some(Instant::now() + Duration::from_secs(2));
                }
            }
        }
        if let (Some(target), false) = (&mut self.target, self.refused) {
            let upload = self.upload.pump(&mut self.client, target);
            return self.download.pump(target, &mut self.client).and(upload);
        }
        while self.client.read(&mut [0; 4096])? > 0 {}
        Ok(())
    }
}

/// Returns the local address of the connection to `address`, or `WouldBlock` until it is established.
fn dial(
    target: &mut Option<TcpStream>,
    address: Address<'_>,
    registry: &Registry,
    token: Token,
) -> io::Result<SocketAddr> {
    let Some(socket) = target else {
        // An access list belongs here. A real server has names resolved, on other threads.
        let named = Error::Refused(ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED);
        let address = address.canonical().to_socket_addr().ok_or(named)?;
        let socket = target.insert(TcpStream::connect(address)?);
        registry.register(socket, token, BOTH)?;
        return Err(ErrorKind::WouldBlock.into());
    };
    match (socket.take_error()?, socket.peer_addr()) {
        (Some(error), _) => Err(error),
        (None, Ok(_)) => socket.local_addr(),
        (None, Err(_)) => Err(ErrorKind::WouldBlock.into()),
    }
}

/// One direction of a tunnel.
#[derive(Default)]
struct Pipe {
    /// Bytes that have been read and not yet written.
    bytes: Vec<u8>,
    ended: bool,
}

impl Pipe {
    /// Copies up to the end, and passes it on. A failed write ends this direction alone.
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
            let n = from.read(&mut chunk)?;
            self.bytes.extend_from_slice(&chunk[..n]);
            self.ended = n == 0;
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
    let (mut poll, mut listener) = (Poll::new()?, TcpListener::bind(listen.parse()?)?);
    let registry = &poll.registry().try_clone()?;
    registry.register(&mut listener, Token(usize::MAX), Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut connections, mut events) = (Slab::<Connection>::new(), Events::with_capacity(1024));
    loop {
        let polled = poll.poll(&mut events, Some(Duration::from_secs(1)));
        polled.or_else(|error| {
            if error.kind() == ErrorKind::Interrupted {
                Ok(())
            } else {
                Err(error)
            }
        })?;
        for token in events.iter().map(|event| event.token()) {
            let Some(connection) = connections.get_mut(token.0) else {
                continue;
            };
            match connection.advance(registry, token, login) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => drop(connections.remove(token.0)),
            }
        }
        // Errors are `WouldBlock`, or for instance no free descriptors: then it is tried again within a second.
        while let Ok((mut client, _)) = listener.accept() {
            let entry = connections.vacant_entry();
            registry.register(&mut client, Token(entry.key()), BOTH)?;
            entry.insert(Connection {
                client,
                handshake: Handshake::new(),
                target: None,
                deadline: Some(Instant::now() + Duration::from_secs(10)),
                refused: false,
                upload: Pipe::default(),
                download: Pipe::default(),
            });
        }
        let now = Instant::now();
        connections.retain(|_, connection| connection.deadline.is_none_or(|deadline| now < deadline));
    }
}
