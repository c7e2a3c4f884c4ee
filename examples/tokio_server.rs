//! A server on tokio: CONNECT, BIND, and UDP ASSOCIATE with fragments.
//!
//! ```text
//! cargo run --example tokio_server
//! curl --socks5-hostname 127.0.0.1:1080 http://example.com/
//! ```
//!
//! It shows decisions that take their time: a token is held while a name is resolved, a target is dialled or
//! a peer is waited for, and the client is still listened to meanwhile. `tokio_server/udp.rs` is a relay that
//! copies no datagram.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::process;
use std::time::Instant;

use bytes::BytesMut;
use sans_socks::server::{Handshake, Output};
use sans_socks::{Address, Command, Error, Machine, ReplyCode, Request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::{sleep, timeout, timeout_at};

#[path = "common/bind.rs"]
mod bind;
#[path = "common/server.rs"]
mod common;
#[path = "tokio_server/udp.rs"]
mod udp;
use bind::{PEER_TIMEOUT, is_expected};
use common::{
    ACCEPT_PAUSE, DIAL_TIMEOUT, EARLY_LIMIT, LINGER, Options, announce, exit_code, log, log_failure,
    lookup_name, share, unresolved,
};

/// How much one read of a tunnel may give: at first, and when there is much to be read.
const MIN_BUFFER: usize = 2 * 1024;
const MAX_BUFFER: usize = 64 * 1024;

#[tokio::main]
async fn main() {
    process::exit(exit_code(run().await));
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::from_command_line()?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| options.explain(&error))?;
    announce(listener.local_addr()?)?;
    // This function is not on one of the runtime's own threads; a task is, and so is what it spawns, at once.
    match tokio::spawn(accept(listener, options)).await? {}
}

async fn accept(listener: TcpListener, options: &'static Options) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((client, address)) => {
                tokio::spawn(serve(client, address, options));
            }
            Err(error) => {
                log(format_args!("accept: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(client: TcpStream, address: SocketAddr, options: &Options) {
    let mut session = Session {
        client,
        carry: BytesMut::new(),
        listener: None,
        target: None,
        udp: None,
    };
    if let Err(error) = shake_hands(&mut session, options).await {
        log_failure(address, &error);
        session.linger().await;
    } else if let Err(error) = session.relay().await {
        log_failure(address, &error);
    }
}

async fn shake_hands(session: &mut Session, options: &Options) -> io::Result<()> {
    let deadline = (Instant::now() + options.handshake_timeout()).into();
    let mut handshake = Handshake::new();
    session.client.set_nodelay(true)?;
    loop {
        match handshake.poll_output() {
            Output::Transmit(mut transmit) => {
                // What need not wait is written even when the dial has used up the time.
                timeout_at(deadline, session.client.write_all_buf(&mut transmit)).await??;
            }
            Output::NeedInput { .. } => {
                if session.carry.is_empty() && timeout_at(deadline, session.read()).await?? == 0 {
                    handshake.handle_eof();
                }
                handshake.handle_buf(&mut session.carry);
            }
            Output::SelectMethod(select) => select.select_preferred(options.methods()),
            Output::Authenticate(login) if options.admits(&login.credentials()) => login.accept(),
            Output::Authenticate(login) => login.reject(),
            Output::Negotiate(negotiate) => negotiate.reject(),
            Output::PendingRequest(pending) => match session.carry_out(pending.request()).await {
                Ok(bound) => pending.accept(bound),
                Err(error) => pending.reject((&error).into()),
            },
            Output::PendingPeer(pending) => match session.await_peer().await {
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
    /// What the client has sent and the handshake has not taken: in the end, the tunnel's first octets.
    carry: BytesMut,
    listener: Option<Listener>,
    target: Option<TcpStream>,
    /// In a box, since it is large, and few ask for it.
    udp: Option<Box<udp::Relay>>,
}

/// BIND's first half.
struct Listener {
    socket: TcpListener,
    /// Who may connect; `None` is anybody.
    expected: Option<Vec<IpAddr>>,
}

impl Session {
    async fn read(&mut self) -> io::Result<usize> {
        self.client.read_buf(&mut self.carry).await
    }

    /// Carries out a request, up to the reply. Gives BND: our address towards the target, or where we listen
    /// for the peer or for datagrams.
    async fn carry_out(&mut self, request: Request<'_>) -> io::Result<SocketAddr> {
        match request.command {
            Command::CONNECT => {
                let target = self
                    .unless_gone(Command::CONNECT, Box::pin(dial(request.address)))
                    .await?;
                target.set_nodelay(true)?;
                self.target.insert(target).local_addr()
            }
            Command::BIND => {
                let expected = self
                    .unless_gone(Command::BIND, Box::pin(expected(request.address)))
                    .await?;
                let ip = self.client.local_addr()?.ip().to_canonical();
                let socket = TcpListener::bind((ip, 0)).await?;
                self.listener
                    .insert(Listener { socket, expected })
                    .socket
                    .local_addr()
            }
            Command::UDP_ASSOCIATE => {
                let relay = udp::Relay::open(&self.client, request.address).await?;
                self.udp.insert(Box::new(relay)).bound()
            }
            _ => Err(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED).into()),
        }
    }

    /// BIND: gives the address of the peer, once it has connected.
    async fn await_peer(&mut self) -> io::Result<SocketAddr> {
        let Some(Listener { socket, expected }) = self.listener.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let accepted = async { timeout(PEER_TIMEOUT, socket.accept()).await? };
        let (target, address) = self.unless_gone(Command::BIND, Box::pin(accepted)).await?;
        if !is_expected(address, expected.as_deref()) {
            return Err(Error::Refused(ReplyCode::NOT_ALLOWED).into());
        }
        target.set_nodelay(true)?;
        self.target = Some(target);
        Ok(address)
    }

    /// Does `task`, as long as the client is there, and keeps what it sends early.
    ///
    /// A client that is reset is gone. One that ends its input may still want the answer of a target, which
    /// `DIAL_TIMEOUT` bounds; but nobody half-closes and waits for a peer, so that ends BIND.
    async fn unless_gone<T>(
        &mut self,
        command: Command,
        task: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let gone = async {
            while self.carry.len() < EARLY_LIMIT {
                match self.read().await {
                    Ok(0) if command == Command::BIND => return io::ErrorKind::UnexpectedEof.into(),
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
            pending().await
        };
        tokio::select! {
            biased;
            done = task => done,
            error = gone => Err(error),
        }
    }

    /// A tunnel: copies both ways until both have ended. An association: relays until the client ends the
    /// connection.
    async fn relay(&mut self) -> io::Result<()> {
        if let Some(relay) = self.udp.take() {
            return tokio::select! {
                ended = discard(&mut self.client) => ended,
                never = Box::pin(relay.run()) => match never {},
            };
        }
        if let Some(target) = &mut self.target {
            let (from_client, to_client) = self.client.split();
            let (from_target, to_target) = target.split();
            tokio::try_join!(
                pump(from_client, to_target, mem::take(&mut self.carry)),
                pump(from_target, to_client, BytesMut::new()),
            )?;
        }
        Ok(())
    }

    /// Ends the connection in such a way that the client can read the refusal.
    async fn linger(&mut self) {
        let drain = async {
            self.client.shutdown().await?;
            discard(&mut self.client).await
        };
        let _ = timeout(LINGER, drain).await;
    }
}

/// Copies `octets` and then one direction of a tunnel, and passes its end on.
///
/// The buffer grows when a read fills it, so that a tunnel of few octets stays small.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut octets: BytesMut,
) -> io::Result<()> {
    let mut size = MIN_BUFFER;
    loop {
        to.write_all(&octets).await?;
        octets.clear();
        octets.reserve(size);
        match from.read_buf(&mut octets).await? {
            0 => return to.shutdown().await,
            n if n >= size => size = (2 * size).min(MAX_BUFFER),
            _ => {}
        }
    }
}

/// Reads to the end of input, for the end alone.
async fn discard(stream: &mut TcpStream) -> io::Result<()> {
    copy(stream, &mut sink()).await.map(drop)
}

/// Connects to the first address of a host that answers.
async fn dial(address: Address<'_>) -> io::Result<TcpStream> {
    let deadline = Instant::now() + DIAL_TIMEOUT;
    let addresses = timeout_at(deadline.into(), resolve(address)).await??;
    let mut error = unresolved();
    for (tried, address) in addresses.iter().enumerate() {
        let connect = TcpStream::connect(address);
        match timeout(share(deadline, addresses.len() - tried), connect).await {
            Ok(Ok(target)) => return Ok(target),
            Ok(Err(failed)) => error = failed,
            Err(late) => error = late.into(),
        }
    }
    Err(error)
}

/// Who may connect to a BIND; where the request leaves it open, anybody.
async fn expected(peer: Address<'_>) -> io::Result<Option<Vec<IpAddr>>> {
    if peer.canonical().host.is_unspecified() {
        return Ok(None);
    }
    let addresses = timeout(DIAL_TIMEOUT, resolve(peer)).await??;
    let ips = addresses.iter().map(|address| address.ip().to_canonical());
    Ok(Some(ips.collect()))
}

async fn resolve(address: Address<'_>) -> io::Result<Vec<SocketAddr>> {
    match lookup_host(lookup_name(address)?).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) => Err(unresolved()),
    }
}
