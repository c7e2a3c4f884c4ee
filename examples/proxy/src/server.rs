//! The server: listeners, accept loops, and shutdown.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::limits::{Client, Full, Limits, Logins};
use crate::logging::Repeated;
use crate::own_sockets::OwnSockets;
use crate::resolve::{Resolve, Resolver};
use crate::session;
use crate::socket;

/// The pause after a failed `accept`. Without free descriptors, the next one fails too.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A proxy that listens.
pub struct Server {
    listeners: Vec<TcpListener>,
    shared: Arc<Shared>,
}

/// The state that all connections share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) listening: Vec<SocketAddr>,
    limits: Limits,
    pub(crate) logins: Logins,
    pub(crate) own: Arc<OwnSockets>,
    pub(crate) resolver: Resolver,
    accept_errors: Repeated,
    turned_away: Repeated,
}

/// A connection that counts towards the limits until this is dropped.
pub(crate) struct Slot {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: SocketAddr,
}

impl Slot {
    fn new(shared: &Arc<Shared>, peer: SocketAddr) -> Result<Self, Full> {
        shared.limits.admit(peer.ip().into())?;
        Ok(Self {
            shared: shared.clone(),
            peer,
        })
    }

    pub(crate) fn client(&self) -> Client {
        self.peer.ip().into()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.limits.release(self.client());
    }
}

impl Server {
    /// Opens the listeners. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The first listener that cannot be opened.
    pub fn bind(config: Config, resolver: impl Resolve) -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut listening = Vec::new();
        for address in &config.listen {
            let listener = socket::listen(*address).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?;
            listening.push(listener.local_addr()?);
            listeners.push(listener);
        }
        let shared = Shared {
            limits: Limits::new(config.max_connections, config.max_per_client),
            config,
            listening,
            logins: Logins::default(),
            own: Arc::default(),
            resolver: Resolver::new(Arc::new(resolver)),
            accept_errors: Repeated::default(),
            turned_away: Repeated::default(),
        };
        Ok(Self {
            listeners,
            shared: Arc::new(shared),
        })
    }

    /// Returns where the proxy listens.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.shared.listening
    }

    /// Serves clients until `stop` completes. Then accepts no more, and lets connections finish for the drain timeout.
    ///
    /// When this returns, or when the future is dropped, the listeners are closed. Connections that are still open end with
    /// the runtime, which resets their tunnels.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let sessions = TaskTracker::new(); // unlike a `JoinSet`, it needs no memory for each session
        let mut listeners = JoinSet::new(); // dropping it closes them
        for listener in self.listeners {
            listeners.spawn(listen(listener, self.shared.clone(), sessions.clone()));
        }
        stop.await;
        listeners.shutdown().await;
        sessions.close();
        tracing::info!("stopping; open connections: {}", sessions.len());
        if timeout(self.shared.config.drain_timeout, sessions.wait())
            .await
            .is_err()
        {
            tracing::warn!("connections that are still open: {}", sessions.len());
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listening", &self.shared.listening)
            .finish_non_exhaustive()
    }
}

/// Returns whether a failed `accept` concerns only a connection that has ended before. Then the next one may succeed at once.
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Serves the clients of one listener.
async fn listen(listener: TcpListener, shared: Arc<Shared>, sessions: TaskTracker) {
    loop {
        if let Some((stream, slot)) = accept(&listener, &shared).await {
            sessions.spawn(session::serve(slot, stream));
        }
    }
}

/// Accepts a connection. `None` if that fails, or if a limit is reached.
async fn accept(listener: &TcpListener, shared: &Arc<Shared>) -> Option<(TcpStream, Slot)> {
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) if is_of_one_connection(&error) => return None,
        Err(error) => {
            shared
                .accept_errors
                .log(|more| tracing::error!("accept: {error} ({more} more times)"));
            sleep(ACCEPT_PAUSE).await;
            return None;
        }
    };
    match Slot::new(shared, peer) {
        Ok(slot) => Some((stream, slot)),
        Err(full) => {
            shared.turned_away.log(|more| {
                let limit = match full {
                    Full::All => "--max-connections",
                    Full::Client => "--max-per-client",
                };
                tracing::warn!(%peer, "closed: {limit} is reached ({more} more)");
            });
            None
        }
    }
}
