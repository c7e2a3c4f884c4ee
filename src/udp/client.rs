//! The client's side of UDP ASSOCIATE.

#[cfg(feature = "std")]
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::association::is_same_host;
use super::{Datagram, Discard, Outcome, Reassembler, Storage, max_payload};
use crate::address::Address;
use crate::error::InvalidValue;
use crate::time::Timestamp;

/// The largest payload of UDP over IPv4 and over IPv6.
const MAX_OVER_IPV4: usize = 65_507;
const MAX_OVER_IPV6: usize = 65_527;

macro_rules! client_association {
    ($($clock:ty, $storage:ty)?) => {
        /// The client's side of one UDP ASSOCIATE: where to send datagrams, and which to accept.
        ///
        /// - Write datagrams with [`Datagram::encode_into`](super::Datagram::encode_into), or with
        ///   [`Header::prepend`](super::Header::prepend) in front of a payload. Send them to [`relay`](Self::relay).
        /// - The address in an answer may differ from the one in the query. The answer for a name has the IP address that the
        ///   name resolves to.
        /// - The proxy chooses the host to which you send datagrams, which may be a host in your own network. If that matters,
        ///   compare the IP address of [`relay`](Self::relay) with the proxy's.
        /// - Ignore errors of `recv_from`. On some systems, it reports that an earlier datagram was not delivered.
        ///
        /// Keep the control connection open: the association ends when it closes.
        ///
        /// ```
        /// # #[cfg(not(feature = "std"))] fn main() {}
        /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// use sans_socks::udp::{ClientAssociation, Datagram, Header, Outcome};
        /// use sans_socks::Address;
        /// use std::net::UdpSocket;
        /// use std::time::Instant;
        ///
        /// # let relay = UdpSocket::bind("127.0.0.1:0")?;
        /// # let bound = Address { port: relay.local_addr()?.port(), ..Address::UNSPECIFIED };
        /// # let proxy = "127.0.0.1:1080".parse()?;
        /// // `bound` is the address in the reply, `proxy` the peer address of the control connection.
        /// let mut association = ClientAssociation::new(&bound, proxy)?;
        /// let socket = UdpSocket::bind("127.0.0.1:0")?;
        ///
        /// let to = Address::try_from("192.0.2.1:53")?;
        /// assert!(b"query".len() <= association.max_payload(&to));
        /// let mut buf = [0; 2048];
        /// let len = Datagram::new(Header::standalone(to), b"query").encode_into(&mut buf)?;
        /// socket.send_to(&buf[..len], association.relay())?;
        ///
        /// # let (len, client) = relay.recv_from(&mut buf)?;
        /// # relay.send_to(&buf[..len], client)?;
        /// let (len, source) = socket.recv_from(&mut buf)?;
        /// match association.accept(Instant::now(), source, &buf[..len]) {
        ///     Outcome::Deliver(answer) => assert_eq!(answer.payload, b"query"), // the relay here echoes
        ///     Outcome::Pending | Outcome::Dropped(_) => {} // receive the next
        /// }
        /// # Ok(())
        /// # }
        /// ```
        pub struct ClientAssociation<T $(= $clock)?, B $(= $storage)?> {
            bound: SocketAddr,
            proxy: SocketAddr,
            proxy_host: bool,
            reassembler: Reassembler<T, B>,
        }
    };
}

#[cfg(feature = "std")]
client_association!(std::time::Instant, Vec<u8>);
#[cfg(not(feature = "std"))]
client_association!();

#[cfg(feature = "std")]
impl ClientAssociation {
    /// Creates an association. `bound` is the address in the reply, and `proxy` is the peer address of the control
    /// connection.
    ///
    /// Many servers send an unspecified BND.ADDR. The host of `proxy` then replaces it. A link-local BND.ADDR gets the
    /// scope of `proxy`.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::NotAnIp`] if BND.ADDR is a name that spells no IP address. [`InvalidValue::PortZero`] if BND.PORT is 0.
    pub fn new(bound: &Address<'_>, proxy: SocketAddr) -> Result<Self, InvalidValue> {
        Self::with_reassembler(bound, proxy, Reassembler::new())
    }
}

impl<T: Timestamp, B: Storage> ClientAssociation<T, B> {
    /// Creates an association as `new` does, with a reassembler over another clock or storage.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sans_socks::Address;
    /// use sans_socks::udp::{ClientAssociation, Reassembler};
    ///
    /// let (bound, proxy) = (Address::try_from("192.0.2.1:4000")?, "192.0.2.1:1080".parse()?);
    /// // No allocator, and time as a duration since some moment.
    /// let reassembler = Reassembler::with_storage([0; 1500]);
    /// let mut association = ClientAssociation::with_reassembler(&bound, proxy, reassembler)?;
    /// association.handle_timeout(Duration::from_millis(20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidValue::NotAnIp`] if BND.ADDR is a name that spells no IP address. [`InvalidValue::PortZero`] if BND.PORT
    /// is 0.
    pub fn with_reassembler(
        bound: &Address<'_>,
        proxy: SocketAddr,
        reassembler: Reassembler<T, B>,
    ) -> Result<Self, InvalidValue> {
        let mut bound = SocketAddr::try_from(bound.canonical().or_host(proxy.ip()))?;
        if bound.port() == 0 {
            return Err(InvalidValue::PortZero);
        }
        // A link-local address needs a scope, which SOCKS does not carry.
        if let (SocketAddr::V6(bound), SocketAddr::V6(proxy)) = (&mut bound, proxy) {
            if bound.ip().is_unicast_link_local() {
                bound.set_scope_id(proxy.scope_id());
            }
        }
        Ok(Self {
            bound,
            proxy,
            proxy_host: false,
            reassembler,
        })
    }

    /// Sets whether datagrams are sent to the proxy's host instead of BND.ADDR. The port is BND.PORT in both cases.
    ///
    /// Use it for a server behind NAT, which reports an address that clients cannot reach. It also prevents the proxy from
    /// directing datagrams to other hosts.
    ///
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sans_socks::Address;
    /// use sans_socks::udp::ClientAssociation;
    ///
    /// let (bound, proxy) = (Address::try_from("10.0.0.1:4000")?, "192.0.2.1:1080".parse()?);
    /// let association = ClientAssociation::new(&bound, proxy)?;
    /// assert_eq!(association.relay(), "10.0.0.1:4000".parse()?);
    /// assert_eq!(association.with_proxy_host(true).relay(), "192.0.2.1:4000".parse()?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn with_proxy_host(mut self, proxy_host: bool) -> Self {
        self.proxy_host = proxy_host;
        self
    }

    /// Returns whether datagrams are sent to the proxy's host instead of BND.ADDR.
    #[inline]
    #[must_use]
    pub const fn proxy_host(&self) -> bool {
        self.proxy_host
    }

    /// Returns where to send datagrams.
    #[inline]
    #[must_use]
    pub fn relay(&self) -> SocketAddr {
        let mut relay = if self.proxy_host { self.proxy } else { self.bound };
        relay.set_port(self.bound.port());
        relay
    }

    /// Returns the size in bytes of the largest payload that a datagram for the target `to` can have.
    #[must_use]
    pub fn max_payload(&self, to: &Address<'_>) -> usize {
        let limit = match self.relay().ip().to_canonical() {
            IpAddr::V4(_) => MAX_OVER_IPV4,
            IpAddr::V6(_) => MAX_OVER_IPV6,
        };
        max_payload(limit, to)
    }

    /// Returns whether a datagram from `source` is the relay's.
    #[inline]
    #[must_use]
    pub fn admits(&self, source: SocketAddr) -> bool {
        let relay = self.relay();
        source.port() == relay.port() && is_same_host(source, relay)
    }

    /// Decodes a datagram that the client received from `source`, if it is the relay's, and reassembles fragments.
    ///
    /// A datagram from another source is dropped as [`Discard::Source`]. A delivered datagram borrows `datagram`, or the
    /// storage of the fragments.
    pub fn accept<'a>(&'a mut self, now: T, source: SocketAddr, datagram: &'a [u8]) -> Outcome<'a> {
        if !self.admits(source) {
            return Outcome::Dropped(Discard::Source);
        }
        match Datagram::decode(datagram) {
            Ok(datagram) => self.reassembler.handle_datagram(now, datagram),
            Err(fault) => Outcome::Dropped(fault.into()),
        }
    }

    /// Returns the reassembler of answers, for instance for the number of bytes that it has
    /// [buffered](Reassembler::buffered).
    #[inline]
    #[must_use]
    pub const fn reassembler(&self) -> &Reassembler<T, B> {
        &self.reassembler
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout), as [`Reassembler::poll_timeout`] does.
    #[inline]
    #[must_use]
    pub fn poll_timeout(&self) -> Option<T> {
        self.reassembler.poll_timeout()
    }

    /// Drops fragments that have expired, as [`Reassembler::handle_timeout`] does.
    #[inline]
    pub fn handle_timeout(&mut self, now: T) {
        self.reassembler.handle_timeout(now);
    }
}

impl<T: fmt::Debug, B> fmt::Debug for ClientAssociation<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAssociation")
            .field("bound", &self.bound)
            .field("proxy", &self.proxy)
            .field("proxy_host", &self.proxy_host)
            .field("reassembler", &self.reassembler)
            .finish()
    }
}
