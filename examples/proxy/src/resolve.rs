//! Names to addresses, with a share for each client.
//!
//! The system's resolver blocks a thread and cannot be interrupted. With a silent name server, that takes 10 s and more. So
//! each look-up counts until its thread is free again, even if the client has left. A client's slow names delay only its own
//! next names. A look-up for which no client waits is not started.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::limits::Client;
use crate::lock;

/// Look-ups at a time, in total. Tokio has 512 threads for blocking work, so no look-up waits for a thread.
const MAX_LOOKUPS: usize = 256;

/// Look-ups at a time for one client.
const MAX_LOOKUPS_PER_CLIENT: usize = 16;

/// Resolves names, and may block while it does.
pub trait Resolve: Send + Sync + 'static {
    /// Returns the addresses of a name, best first.
    ///
    /// # Errors
    ///
    /// Any error counts as a name that has no address.
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((name, port).to_socket_addrs()?.collect())
    }
}

/// A resolver, and how much of it each client uses.
pub(crate) struct Resolver {
    resolve: Arc<dyn Resolve>,
    all: Arc<Semaphore>,
    shares: Mutex<HashMap<Client, Weak<Semaphore>>>,
}

impl Resolver {
    pub(crate) fn new(resolve: Arc<dyn Resolve>) -> Self {
        Self {
            resolve,
            all: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            shares: Mutex::default(),
        }
    }

    /// Resolves a name for a client.
    pub(crate) async fn resolve(&self, client: Client, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let share = self.share(client).acquire_owned().await;
        let permit = self.all.clone().acquire_owned().await;
        let (resolve, name) = (self.resolve.clone(), name.to_owned());
        let lookup = spawn_blocking(move || {
            let addresses = resolve.resolve(&name, port);
            drop((share, permit)); // not earlier, even if the client leaves
            addresses
        });
        lookup.await.map_err(io::Error::other)?
    }

    /// Returns the client's semaphore, which exists while it is in use.
    fn share(&self, client: Client) -> Arc<Semaphore> {
        let mut shares = lock(&self.shares);
        if let Some(share) = shares.get(&client).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= 2 * MAX_LOOKUPS {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(MAX_LOOKUPS_PER_CLIENT));
        shares.insert(client, Arc::downgrade(&share));
        share
    }
}
