//! The server: listeners, accept loops, and shutdown.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::limits::{Full, Limits, Logins};
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
    pub(crate) limits: Arc<Limits>,
    pub(crate) logins: Logins,
    pub(crate) own: Arc<OwnSockets>,
    pub(crate) resolver: Resolver,
    accept_errors: Repeated,
    turned_away: Repeated,
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
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (connections, stopping) = (TaskTracker::new(), CancellationToken::new());
        for listener in self.listeners {
            let accepting = accept(listener, self.shared.clone(), connections.clone());
            tokio::spawn(stopping.clone().run_until_cancelled_owned(accepting));
        }
        stop.await;
        stopping.cancel();
        connections.close();
        tracing::info!("stopping; {} connections are open", connections.len());
        if timeout(self.shared.config.drain_timeout, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!("{} connections are cut", connections.len());
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

async fn accept(listener: TcpListener, shared: Arc<Shared>, connections: TaskTracker) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                shared
                    .accept_errors
                    .log(|more| tracing::error!("accept: {error} ({more} more times)"));
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match shared.limits.admit(peer.ip().into()) {
            Ok(slot) => {
                let session = session::serve(shared.clone(), slot, stream, peer);
                connections.spawn(session);
            }
            Err(full) => shared.turned_away.log(|more| {
                let limit = match full {
                    Full::All => "--max-connections",
                    Full::Client => "--max-per-client",
                };
                tracing::warn!(%peer, "closed: {limit} is reached ({more} more)");
            }),
        }
    }
}
