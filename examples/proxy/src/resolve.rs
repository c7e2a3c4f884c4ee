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

/// The most addresses of a name that are used. The owner of a name chooses how many it has.
const MAX_ADDRESSES: usize = 32;

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

    /// Resolves a name for a client. Returns at most [`MAX_ADDRESSES`].
    pub(crate) async fn resolve(&self, client: Client, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let share = self.share(client).acquire_owned().await;
        let permit = self.all.clone().acquire_owned().await;
        let (resolve, name) = (self.resolve.clone(), name.to_owned());
        let lookup = spawn_blocking(move || {
            let mut addresses = resolve.resolve(&name, port);
            if let Ok(addresses) = &mut addresses {
                addresses.truncate(MAX_ADDRESSES);
                addresses.shrink_to_fit();
            }
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    struct Many(u16);

    impl Resolve for Many {
        fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            let host = |n: u16| SocketAddr::from((Ipv4Addr::from_bits(n.into()), port));
            Ok((0..self.0).map(host).collect())
        }
    }

    /// The first addresses are the best, so they are kept.
    #[tokio::test]
    async fn addresses_of_a_name_are_limited() {
        for (count, expected) in [(1, 1), (5000, MAX_ADDRESSES)] {
            let resolver = Resolver::new(Arc::new(Many(count)));
            let client = IpAddr::from(Ipv4Addr::LOCALHOST).into();
            let addresses = resolver.resolve(client, "many.test", 80).await.unwrap();
            assert_eq!(addresses.len(), expected);
            assert_eq!(addresses[..], Many(count).resolve("", 80).unwrap()[..expected]);
        }
    }
}
