//! The relay's side: many associations on one socket.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::association::is_same_host;
use super::{Association, Datagram, Discard};

/// The associations that share one UDP socket, by a key of the caller's, such as a connection number.
///
/// A datagram belongs to the association whose client is its source. Only if there is none, it may be the first datagram
/// of an association that has no client yet. The obvious loop over all associations with [`Association::accept`] gets
/// this wrong: an unused association of the same host takes the next datagram of the first client, fixes its port, and
/// locks its own client out.
///
/// Several clients of one host that do not name their port in the request cannot be told apart before their first
/// datagram; associations are then assigned in the order of insertion. Use a socket for each where that matters.
///
/// Finding an association takes time logarithmic in the number of hosts and clients, plus linear in the number of
/// associations of the same host that have no client yet or accept any port.
///
/// ```
/// use sans_socks::udp::{Association, AssociationTable};
/// use sans_socks::Address;
///
/// let mut table = AssociationTable::new(1000);
/// let control_peer = "192.0.2.7:51000".parse()?;
/// table.insert(1, Association::new(control_peer, &Address::UNSPECIFIED))?;
/// table.insert(2, Association::new(control_peer, &Address::UNSPECIFIED))?;
///
/// let bytes = b"\0\0\0\x01\xc6\x33\x64\x09\0\x35query";
/// let (first, second) = ("192.0.2.7:4000".parse()?, "192.0.2.7:4001".parse()?);
/// for _ in 0..2 {
///     let (key, datagram) = table.accept(first, bytes)?;
///     assert_eq!((*key, datagram.payload), (1, &b"query"[..]));
/// }
/// assert_eq!(*table.accept(second, bytes)?.0, 2);
///
/// // An answer for association 1 goes here.
/// assert_eq!(table.get(&1).and_then(Association::client), Some(first));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AssociationTable<K> {
    limit: usize,
    associations: BTreeMap<K, Association>,
    /// The association of each client, by its source.
    clients: BTreeMap<(IpAddr, u16), Vec<K>>,
    /// The associations of each host that may accept another source, in the order of insertion.
    open: BTreeMap<IpAddr, Vec<K>>,
}

/// The table has as many associations as it may, or one with this key. It is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The limit is reached.
    #[error("table of {0} associations is full")]
    Full(usize),
    /// An association with this key exists.
    #[error("key is in use")]
    KeyInUse,
}

impl<K: Clone + Ord> AssociationTable<K> {
    /// Creates a table for at most `limit` associations.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            associations: BTreeMap::new(),
            clients: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// Returns how many associations the table may hold.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how many associations the table holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.associations.len()
    }

    /// Returns whether the table holds no association.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.associations.is_empty()
    }

    /// Returns the association of `key`. Its [`client`](Association::client) is where answers go.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&Association> {
        self.associations.get(key)
    }

    /// Adds an association.
    ///
    /// # Errors
    ///
    /// [`TableError::KeyInUse`] or [`TableError::Full`].
    pub fn insert(&mut self, key: K, association: Association) -> Result<(), TableError> {
        if self.associations.contains_key(&key) {
            return Err(TableError::KeyInUse);
        }
        if self.associations.len() >= self.limit {
            return Err(TableError::Full(self.limit));
        }
        self.index(&key, &association);
        self.associations.insert(key, association);
        Ok(())
    }

    /// Removes the association of `key`, and returns it. Do so as soon as its control connection closes: until then it
    /// keeps its client's address and port.
    pub fn remove(&mut self, key: &K) -> Option<Association> {
        let association = self.associations.remove(key)?;
        self.unindex(key, &association);
        Some(association)
    }

    /// Decodes a datagram that the socket received from `source`, and returns the association that it belongs to.
    ///
    /// # Errors
    ///
    /// [`Discard::Source`] if it belongs to none, else as [`Association::accept`]. Nothing has changed then.
    pub fn accept<'a>(
        &mut self,
        source: SocketAddr,
        datagram: &'a [u8],
    ) -> Result<(&K, Datagram<'a>), Discard> {
        let key = self.find(source).ok_or(Discard::Source)?;
        let association = self.associations.get_mut(&key).ok_or(Discard::Source)?;
        let before = association.clone();
        let decoded = association.accept(source, datagram)?;
        if before.client() != association.client() {
            let after = association.clone();
            self.unindex(&key, &before);
            self.index(&key, &after);
        }
        let (key, _) = self.associations.get_key_value(&key).ok_or(Discard::Source)?;
        Ok((key, decoded))
    }

    /// Returns the key of the association that a datagram from `source` belongs to.
    fn find(&self, source: SocketAddr) -> Option<K> {
        let admitting = |keys: &'_ Vec<K>| {
            let admits = |key: &&K| {
                self.get(key)
                    .is_some_and(|association| association.admits(source))
            };
            keys.iter()
                .filter(admits)
                .min_by_key(|key| self.rank(key, source))
                .cloned()
        };
        let ip = source.ip().to_canonical();
        let of_client = self.clients.get(&(ip, source.port())).and_then(admitting);
        of_client.or_else(|| self.open.get(&ip).and_then(admitting))
    }

    /// Orders the associations that admit `source`: its own; one that waits for its port; one that waits for any; one
    /// that accepts any port and has a client.
    fn rank(&self, key: &K, source: SocketAddr) -> u8 {
        let Some(association) = self.get(key) else {
            return u8::MAX;
        };
        match association.client() {
            Some(client) if client.port() == source.port() && is_same_host(client, source) => 0,
            None if association.required_port().is_some() => 1,
            None => 2,
            Some(_) => 3,
        }
    }

    fn index(&mut self, key: &K, association: &Association) {
        if let Some(client) = association.client() {
            let source = (client.ip().to_canonical(), client.port());
            self.clients.entry(source).or_default().push(key.clone());
        }
        if is_open(association) {
            let ip = association.control_peer().ip().to_canonical();
            self.open.entry(ip).or_default().push(key.clone());
        }
    }

    fn unindex(&mut self, key: &K, association: &Association) {
        if let Some(client) = association.client() {
            take(
                &mut self.clients,
                &(client.ip().to_canonical(), client.port()),
                key,
            );
        }
        if is_open(association) {
            take(
                &mut self.open,
                &association.control_peer().ip().to_canonical(),
                key,
            );
        }
    }
}

/// Returns whether an association may accept a source that is not its client's.
fn is_open(association: &Association) -> bool {
    association.client().is_none() || association.any_port()
}

/// Removes `key` from the keys under `place`.
fn take<P: Ord, K: PartialEq>(index: &mut BTreeMap<P, Vec<K>>, place: &P, key: &K) {
    if let Some(keys) = index.get_mut(place) {
        keys.retain(|other| other != key);
        if keys.is_empty() {
            index.remove(place);
        }
    }
}
