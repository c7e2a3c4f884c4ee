//! One client: handshake, request, and what follows.

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sans_socks::server::{Authenticate, Decision, Handshake, PendingPeer, PendingRequest};
use sans_socks::{Command, Error, Io, Machine, Method, ReplyCode, Request};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use zeroize::{Zeroize, Zeroizing};

use crate::bind::Binding;
use crate::connect::{Outgoing, connect, not_allowed};
use crate::limits::Turn;
use crate::own_sockets::Dialed;
use crate::relay::{End, discard, relay};
use crate::server::Slot;
use crate::udp::Relay;

/// How long further input of a refused client is read and discarded. Less than
/// [`REFUSAL_CLOSE_DEADLINE`](sans_socks::REFUSAL_CLOSE_DEADLINE).
///
/// Closing a socket with unread input resets the connection, and the client may then never see the refusal.
const LINGER: Duration = Duration::from_secs(2);

/// How many bytes a client may send before BIND's second reply.
const EARLY_LIMIT: usize = 16 * 1024;

/// Serves one client, from its first byte to the end of its tunnel or association. The slot counts it.
///
/// Most of a proxy's memory is in connections that wait, and a task always has the size that its largest state needs. So this
/// is not an `async fn`, which would hold its arguments twice. Parts that few connections run at a time are boxed.
pub(crate) fn serve(slot: Slot, stream: TcpStream) -> impl Future<Output = ()> {
    let mut session = Session {
        handshake: Handshake::with_config(slot.shared.config.handshake()),
        connection: Connection {
            slot: Box::new(slot),
            stream,
            early: Zeroizing::default(),
            outcome: None,
        },
    };
    async move {
        'handshake: {
            let mut deadline = pin!(sleep(session.connection.slot.shared.config.handshake_timeout));
            let error = loop {
                if let Err(error) = poll_fn(|cx| session.poll_io(cx, deadline.as_mut())).await {
                    break error;
                }
                let Session {
                    handshake,
                    connection,
                } = &mut session;
                let Some(decision) = handshake.poll_decision() else {
                    continue;
                };
                match decision {
                    Decision::SelectMethod(select) => select.select_preferred(connection.methods()),
                    Decision::Authenticate(login) => {
                        let deadline = deadline.deadline();
                        Box::pin(connection.authenticate(login, deadline)).await;
                    }
                    Decision::Negotiate(negotiate) => negotiate.reject(), // other methods are not selected
                    Decision::PendingRequest(pending) => Box::pin(connection.answer_request(pending)).await,
                    Decision::PendingPeer(pending) => Box::pin(connection.answer_peer(pending)).await,
                    Decision::Established(_) => break 'handshake,
                    Decision::Closed(error) => break error.into(),
                }
            };
            // The client has already been refused.
            session.connection.log_failure(&error);
            return Box::pin(session.connection.linger()).await;
        }
        Box::pin(session.connection.carry_out()).await;
    }
}

struct Session {
    handshake: Handshake,
    connection: Connection,
}

struct Connection {
    /// Boxed, because tokio rounds the size of a task up to a multiple of 128 bytes.
    slot: Box<Slot>,
    stream: TcpStream,
    /// The client's bytes that the handshake has not consumed yet, which may be a password. At the end of the handshake,
    /// they are the first bytes of the tunnel.
    early: Zeroizing<Vec<u8>>,
    /// The result of the request so far.
    outcome: Option<Box<Outcome>>,
}

enum Outcome {
    Binding(Binding),
    Tunnel(TcpStream, Option<Dialed>),
    Association(Box<Relay>),
}

impl Session {
    /// Sends and reads until a decision is pending, or until the deadline.
    fn poll_io(&mut self, cx: &mut Context<'_>, deadline: Pin<&mut Sleep>) -> Poll<io::Result<()>> {
        let Connection { stream, early, .. } = &mut self.connection;
        let io = poll_io(cx, &mut self.handshake, stream, early);
        if io.is_pending() {
            // A request may take longer than this. Its reply is still sent, because that needs no wait.
            ready!(deadline.poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        io
    }
}

impl Connection {
    /// Returns the methods to select from.
    fn methods(&self) -> &'static [Method] {
        match self.slot.shared.config.login {
            Some(_) => &[Method::USERNAME_PASSWORD],
            None => &[Method::NO_AUTHENTICATION],
        }
    }

    /// Checks credentials, after a delay if the client has sent wrong ones before.
    async fn authenticate(&self, login: Authenticate<'_>, deadline: Instant) {
        let (shared, client) = (&self.slot.shared, self.slot.client());
        let logins = &shared.logins;
        let turn = logins.reserve(client, std::time::Instant::now(), deadline.into_std());
        if let Turn::At(turn) = turn {
            sleep_until(turn.into()).await;
        }
        let expected = shared.config.login.as_deref();
        let expected = expected.map(|login| login.as_credentials());
        let is_right = expected.is_some_and(|expected| {
            login
                .credentials()
                .verify(expected.username(), expected.password())
        });
        if turn == Turn::TooLate {
            login.reject();
        } else if is_right {
            logins.succeeded(client);
            login.accept();
        } else {
            logins.failed(client, std::time::Instant::now());
            login.reject();
        }
    }

    async fn answer_request(&mut self, pending: PendingRequest<'_>) {
        let bound = self.perform(pending.request()).await;
        pending.answer(bound.map_err(ReplyCode::from));
    }

    /// BIND: answers a second time.
    async fn answer_peer(&mut self, pending: PendingPeer<'_>) {
        let peer = self.await_peer().await;
        pending.answer(peer.map_err(ReplyCode::from));
    }

    /// Performs a request up to the reply. Returns BND.
    async fn perform(&mut self, request: Request<'_>) -> io::Result<SocketAddr> {
        let Slot { shared, peer } = &*self.slot;
        let (shared, peer, client) = (shared.clone(), *peer, self.slot.client());
        // The proxy records a connection before it sends a byte through it. So its own connections are found here.
        if shared.own.has_dialed(&self.stream, peer)? {
            return Err(not_allowed());
        }
        let result = match request.command {
            Command::CONNECT => {
                let dial = connect(&shared, client, request.address);
                self.unless_gone(request.command, dial).await.map(|outgoing| {
                    let Outgoing { stream, dialed } = outgoing;
                    let bound = dialed.local_addr();
                    self.outcome = Some(Box::new(Outcome::Tunnel(stream, Some(dialed))));
                    bound
                })
            }
            Command::BIND => {
                let local = self.stream.local_addr()?;
                let open = Binding::open(&shared, client, local, request.address);
                self.unless_gone(request.command, open).await.map(|binding| {
                    let bound = binding.bound;
                    self.outcome = Some(Box::new(Outcome::Binding(binding)));
                    bound
                })
            }
            Command::UDP_ASSOCIATE => {
                Relay::open(shared, client, &self.stream, request.address).map(|relay| {
                    let bound = relay.bound();
                    self.outcome = Some(Box::new(Outcome::Association(Box::new(relay))));
                    bound
                })
            }
            _ => Err(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED).into()),
        };
        let (command, address) = (request.command, request.address);
        match &result {
            Ok(_) => tracing::debug!(%peer, "{command} {address}"),
            Err(error) => tracing::info!(%peer, "{command} {address}: {error}"),
        }
        result
    }

    /// BIND: returns the address of the peer, once it has connected.
    async fn await_peer(&mut self) -> io::Result<SocketAddr> {
        let Some(Outcome::Binding(binding)) = self.outcome.take().map(|outcome| *outcome) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let shared = self.slot.shared.clone();
        let accept = binding.accept(&shared);
        let (stream, peer) = self.unless_gone(Command::BIND, accept).await?;
        self.outcome = Some(Box::new(Outcome::Tunnel(stream, None)));
        Ok(peer)
    }

    /// Completes `task` unless the client leaves.
    ///
    /// Bytes that the client sends meanwhile stay in the system's buffer, which is bounded. A reset means that the client has
    /// left. A client that ends its side may still want the answer of a target, but does not wait for the peer of a BIND. To
    /// notice that end, up to [`EARLY_LIMIT`] bytes are read during a BIND.
    async fn unless_gone<T>(
        &mut self,
        command: Command,
        task: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let gone = async {
            if command == Command::BIND {
                while self.early.len() < EARLY_LIMIT {
                    if read(&mut self.stream, &mut self.early).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
            self.stream.ready(Interest::ERROR).await?;
            match self.stream.take_error()? {
                Some(error) => Err(error),
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            done = task => done,
            gone = gone => gone,
        }
    }

    /// Runs the tunnel or the association until it ends. Like [`serve`], this is not an `async fn`.
    fn carry_out(self) -> impl Future<Output = ()> {
        let Self {
            slot,
            stream,
            mut early,
            outcome,
        } = self;
        async move {
            let Slot { shared, peer } = &*slot;
            let idle = shared.config.idle_timeout;
            match outcome.map(|outcome| *outcome) {
                Some(Outcome::Tunnel(target, _dialed)) => {
                    let early = std::mem::take(&mut *early);
                    match relay(stream, target, early, idle).await {
                        End::Closed => {}
                        End::Idle => tracing::info!(%peer, "ended an idle tunnel"),
                        End::Reset(error) => tracing::debug!(%peer, "tunnel: {error}"),
                    }
                }
                Some(Outcome::Association(relay)) => {
                    tokio::select! {
                        _ = discard(&stream) => {}
                        () = Box::pin(relay.run()) => {}
                    }
                }
                Some(Outcome::Binding(_)) | None => {}
            }
        }
    }

    /// Closes a refused connection so that the client can read the refusal.
    async fn linger(&mut self) {
        let drain = async {
            self.stream.shutdown().await?;
            discard(&self.stream).await
        };
        let _ = timeout(LINGER, drain).await;
    }

    /// Logs why a handshake failed. No error of the library contains credentials.
    fn log_failure(&self, error: &io::Error) {
        let peer = self.slot.peer;
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Error::AuthenticationRejected { .. }) => tracing::warn!(%peer, "{error}"),
            // `perform` has logged the reason.
            Some(Error::Refused(_) | Error::Socks4Refused(_)) => {}
            // A health check or a port scan.
            Some(Error::UnexpectedEof { received: 0, .. }) => tracing::debug!(%peer, "{error}"),
            Some(error) => tracing::info!(%peer, "{error}"),
            None => tracing::debug!(%peer, "handshake: {error}"),
        }
    }
}

/// Sends and reads until a decision is pending. Further bytes that were read are kept in `carry`.
///
/// The example in the documentation of [`Machine`] is shorter. This one reads into a buffer on the stack, so that a waiting
/// handshake holds none. It overwrites the bytes, which may be a password.
fn poll_io(
    cx: &mut Context<'_>,
    machine: &mut impl Machine,
    stream: &mut TcpStream,
    carry: &mut Zeroizing<Vec<u8>>,
) -> Poll<io::Result<()>> {
    while let Some(io) = machine.poll_io() {
        match io {
            Io::Transmit(transmit) => {
                let sent = ready!(Pin::new(&mut *stream).poll_write(cx, transmit.as_bytes()))?;
                transmit.sent(sent);
            }
            Io::NeedInput { .. } if carry.is_empty() => {
                let mut chunk = [0; 1024];
                let mut read = ReadBuf::new(&mut chunk);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
                if read.filled().is_empty() {
                    machine.handle_eof();
                }
                let consumed = machine.handle_input(read.filled());
                carry.extend_from_slice(read.filled().get(consumed..).unwrap_or_default());
                read.filled_mut().zeroize();
            }
            Io::NeedInput { .. } => {
                let consumed = machine.handle_input(carry);
                *carry = carry.split_off(consumed).into(); // overwrites the consumed bytes
            }
        }
    }
    Poll::Ready(Ok(()))
}

/// Appends the bytes of one read. Returns how many.
async fn read(stream: &mut TcpStream, early: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut chunk = [0; 4096];
        let mut read = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        early.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most of the memory of a waiting connection is its task. Tokio adds 112 bytes, and rounds up to a multiple of 128.
    #[test]
    fn task_of_a_connection_is_small() {
        fn size<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(serve);
        assert!(size <= 896 - 112, "{size} bytes");
    }
}
