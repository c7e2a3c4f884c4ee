//! The relay's side: many associations on one socket.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, SocketAddr};

use super::{Association, Datagram, Discard};

/// The associations that share one UDP socket. You choose the type of their keys, such as a connection number.
///
/// A datagram belongs to an association of the host that sent it. The first item of this list that matches an association
/// decides. If an item matches several associations, the datagram belongs to the oldest of them:
///
/// 1. the association whose client is the source,
/// 2. an association without a client, whose request named the source's port,
/// 3. an association without a client, which accepts any port,
/// 4. an association with a client that [may use any port](Association::with_any_port).
///
/// A loop that asks each association in turn gets this wrong. Suppose that two clients on one host have an association each,
/// and that only the client of the second association has sent a datagram. The first association then accepts the
/// next datagram of that client, and the first association's own client is locked out:
///
/// ```
/// # use sans_socks::udp::Association;
/// # use sans_socks::Address;
/// # let bytes = b"\0\0\0\x01\xc6\x33\x64\x09\0\x35query";
/// # let (known, new) = ("192.0.2.7:4000".parse()?, "192.0.2.7:4001".parse()?);
/// # let unused = Association::new("192.0.2.7:51000".parse()?, &Address::UNSPECIFIED);
/// # let mut used = unused.clone();
/// # used.accept(known, bytes)?;
/// # let mut associations = [unused, used];
/// let found = associations.iter_mut().position(|it| it.accept(known, bytes).is_ok());
/// assert_eq!(found, Some(0)); // wrong: `known` is the client of associations[1]
/// let found = associations.iter_mut().position(|it| it.accept(new, bytes).is_ok());
/// assert_eq!(found, None); // and `new`, the client of associations[0], is locked out
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// If several clients of one host do not name their port in the request, their first datagrams do not show which client sent
/// them. The table then assigns associations in the order of insertion, which may swap clients. If that matters, use one
/// socket for each association.
///
/// Every method takes time logarithmic in the number of associations, except that hosts with the same link-local address on
/// different links are searched one by one. Keys are cloned, so use small ones.
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
///     assert_eq!((key, datagram.payload), (1, &b"query"[..]));
/// }
/// assert_eq!(table.accept(second, bytes)?.0, 2);
///
/// // Answers for association 1 are sent to this address.
/// assert_eq!(table.get(&1).and_then(Association::client), Some(first));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AssociationTable<K> {
    limit: usize,
    /// How many associations have been inserted so far, including removed ones.
    inserted: u64,
    entries: BTreeMap<K, Entry>,
    /// Where `accept` looks for the association of a datagram. In each place, the oldest association is first.
    places: BTreeMap<(Place, u64), K>,
}

#[derive(Clone, Debug)]
struct Entry {
    association: Association,
    /// The value of `inserted` before this association.
    age: u64,
}

/// Sources whose datagrams may belong to an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// In canonical form.
    host: IpAddr,
    role: Role,
    /// 0 for any port.
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// The client of the association has this host and this port.
    Client,
    /// The association has no client, and accepts this port.
    Unused,
    /// The association has a client that may change its port.
    AnyPort,
}

impl Place {
    fn new(host: IpAddr, role: Role, port: u16) -> Self {
        let host = host.to_canonical();
        Self { host, role, port }
    }

    /// Returns the places of an association: one, or two with a client that may use any port.
    fn of(association: &Association) -> impl Iterator<Item = Self> + use<> {
        let host = association.control_peer().ip();
        let (first, second) = match association.client() {
            None => (
                Self::new(host, Role::Unused, association.required_port().unwrap_or(0)),
                None,
            ),
            Some(client) => (
                Self::new(host, Role::Client, client.port()),
                association.any_port().then(|| Self::new(host, Role::AnyPort, 0)),
            ),
        };
        core::iter::once(first).chain(second)
    }
}

/// The reason why a table did not insert an association. The table is unchanged.
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
            inserted: 0,
            entries: BTreeMap::new(),
            places: BTreeMap::new(),
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
        self.entries.len()
    }

    /// Returns whether the table holds no association.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the association of `key`. Answers go to its [`client`](Association::client).
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&Association> {
        self.entries.get(key).map(|entry| &entry.association)
    }

    /// Adds an association.
    ///
    /// # Errors
    ///
    /// [`TableError::KeyInUse`] or [`TableError::Full`].
    pub fn insert(&mut self, key: K, association: Association) -> Result<(), TableError> {
        if self.entries.contains_key(&key) {
            return Err(TableError::KeyInUse);
        }
        if self.entries.len() >= self.limit {
            return Err(TableError::Full(self.limit));
        }
        let age = self.inserted;
        self.inserted = age.wrapping_add(1);
        for place in Place::of(&association) {
            self.places.insert((place, age), key.clone());
        }
        self.entries.insert(key, Entry { association, age });
        Ok(())
    }

    /// Removes the association of `key`, and returns it. Call this as soon as its control connection closes. Until then, the
    /// association still accepts datagrams from its client's address and port.
    pub fn remove(&mut self, key: &K) -> Option<Association> {
        let Entry { association, age } = self.entries.remove(key)?;
        for place in Place::of(&association) {
            self.places.remove(&(place, age));
        }
        Some(association)
    }

    /// Decodes a datagram that the socket received from `source`, and returns the key of its association.
    ///
    /// # Errors
    ///
    /// [`Discard::Source`] if it belongs to no association. Otherwise the errors of [`Association::accept`]. The table
    /// is then unchanged.
    pub fn accept<'a>(
        &mut self,
        source: SocketAddr,
        datagram: &'a [u8],
    ) -> Result<(K, Datagram<'a>), Discard> {
        let key = self.find(source).ok_or(Discard::Source)?.clone();
        let Entry { association, age } = self.entries.get_mut(&key).ok_or(Discard::Source)?;
        // The association's places do not change. To replace them anyway would take twice the instructions.
        if association.client() == Some(source) {
            return Ok((key, association.accept(source, datagram)?));
        }
        let old_places = Place::of(association);
        let decoded = association.accept(source, datagram)?;
        for place in old_places {
            self.places.remove(&(place, *age));
        }
        for place in Place::of(association) {
            self.places.insert((place, *age), key.clone());
        }
        Ok((key, decoded))
    }

    /// Returns the key of the association that a datagram from `source` belongs to.
    fn find(&self, source: SocketAddr) -> Option<&K> {
        let (host, port) = (source.ip(), source.port());
        // No association admits port 0. In a place, it means any port, so that place would be searched to its end.
        if port == 0 {
            return None;
        }
        let places = [
            (Role::Client, port),
            (Role::Unused, port),
            (Role::Unused, 0),
            (Role::AnyPort, 0),
        ];
        let keys = |(role, port)| {
            let place = Place::new(host, role, port);
            let oldest_first = self.places.range((place, 0)..);
            oldest_first
                .take_while(move |((other, _), _)| *other == place)
                .map(|(_, key)| key)
        };
        // Skips hosts of another scope.
        places.into_iter().flat_map(keys).find(|key| {
            self.get(key)
                .is_some_and(|association| association.admits(source))
        })
    }
}
