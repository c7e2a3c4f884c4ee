//! The relay's side: deciding which datagrams belong to the client.

use core::net::SocketAddr;

use super::{Datagram, Discard, Frag};
use crate::address::{Address, Host};
use crate::error::Malformed;

/// The relay's side of one UDP ASSOCIATE: decides which datagrams belong to the client.
///
/// UDP has no authentication. Instead, datagrams must come from the host that holds the control connection. A relay "MUST
/// drop any datagrams arriving from any source IP address other than the one recorded for the particular association",
/// [RFC 1928 §7].
///
/// - **Host.** It must be the peer of the control connection. DST.ADDR in the request does not change that. An IPv4-mapped
///   IPv6 address counts as the IPv4 address. IPv6 scopes are compared if both addresses have one. If the peer's address has
///   none, the first datagram determines the scope.
/// - **Port.** If the request names the peer's own address and a port other than 0, DST.PORT is the port. Otherwise the
///   first datagram accepted determines the port. [`with_any_port`](Self::with_any_port) accepts every port.
/// - **Fragments** are dropped, unless [`with_fragments`](Self::with_fragments) is set for a
///   [`Reassembler`](super::Reassembler) that handles them next.
///
/// A datagram that breaks one of these rules is dropped and changes nothing.
///
/// An attacker that can forge the client's address can send the first datagram, and so determine the port. A client prevents
/// that if its request names its address and port.
///
/// A relay must not send to the sockets of its own associations. Such a datagram has the address of the relay's host, so an
/// association of a client on that host would accept it.
///
/// Drop the association when the control connection closes. Its size is at most 80 bytes, and it never allocates.
///
/// ```
/// use sans_socks::udp::{Association, Discard};
/// use sans_socks::Address;
///
/// let (client, thief) = ("192.0.2.7:4000".parse()?, "192.0.2.8:4000".parse()?);
/// let control_peer = "192.0.2.7:51000".parse()?;
/// let mut association = Association::new(control_peer, &Address::UNSPECIFIED);
///
/// let bytes = b"\0\0\0\x01\xc6\x33\x64\x09\0\x35query";
/// assert_eq!(association.accept(thief, bytes), Err(Discard::Source));
/// assert_eq!(association.accept(client, bytes)?.payload, b"query");
/// assert_eq!(association.client(), Some(client));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
#[derive(Clone, Debug)]
pub struct Association {
    /// Only the address is used, not the port.
    control_peer: SocketAddr,
    /// The client's port, once it is known.
    port: Option<u16>,
    client: Option<SocketAddr>,
    any_port: bool,
    fragments: bool,
    control_bytes: bool,
    strict_reserved: bool,
}

impl Association {
    /// Creates the association of a client. `control_peer` is the peer address of the control connection, and `requested` is
    /// the address in the request.
    ///
    /// The port in `requested` counts only if the host is the peer's own address, or a name that spells it. Otherwise the
    /// first datagram sets the port: many clients request the target's address, and behind a NAT the port of
    /// `0.0.0.0:port` may be wrong. To require a port in any case, pass it with the peer's IP address. To accept the first
    /// port, pass [`Address::UNSPECIFIED`].
    #[must_use]
    pub fn new(control_peer: SocketAddr, requested: &Address<'_>) -> Self {
        let port = match requested.canonical().to_socket_addr() {
            Some(named) if named.ip() == control_peer.ip().to_canonical() && named.port() != 0 => {
                Some(named.port())
            }
            _ => None,
        };
        Self {
            control_peer,
            port,
            client: None,
            any_port: false,
            fragments: false,
            control_bytes: false,
            strict_reserved: false,
        }
    }

    /// Sets whether every port of the client's host is accepted, even after the first datagram. If so, answers go
    /// to the source of the last datagram accepted.
    ///
    /// RFC 1928 restricts only the IP address. Some clients change their port within an association.
    #[must_use]
    pub const fn with_any_port(mut self, any_port: bool) -> Self {
        self.any_port = any_port;
        self
    }

    /// Returns whether every port of the client's host is accepted.
    #[must_use]
    pub const fn any_port(&self) -> bool {
        self.any_port
    }

    /// Sets whether fragments are accepted. If they are, pass every datagram to a [`Reassembler`](super::Reassembler),
    /// because a relay that does not reassemble must drop fragments ([RFC 1928 §7]).
    ///
    /// ```
    /// use sans_socks::udp::{Association, Outcome, Reassembler, Storage};
    /// use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// /// `association` was created `with_fragments(true)`. `now` is the time since some moment.
    /// fn accept<'a, B: Storage>(
    ///     association: &mut Association,
    ///     reassembler: &'a mut Reassembler<Duration, B>,
    ///     (now, source, bytes): (Duration, SocketAddr, &'a [u8]),
    /// ) -> Outcome<'a> {
    ///     match association.accept(source, bytes) {
    ///         Ok(datagram) => reassembler.handle_datagram(now, datagram),
    ///         Err(reason) => Outcome::Dropped(reason),
    ///     }
    /// }
    /// ```
    ///
    /// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
    #[must_use]
    pub const fn with_fragments(mut self, fragments: bool) -> Self {
        self.fragments = fragments;
        self
    }

    /// Returns whether fragments are accepted.
    #[must_use]
    pub const fn fragments(&self) -> bool {
        self.fragments
    }

    /// Sets whether datagrams whose names have control bytes are accepted. By default they are dropped as
    /// [`Malformed::ControlBytes`]: the server's handshake refuses such names, too.
    #[must_use]
    pub const fn with_control_bytes(mut self, control_bytes: bool) -> Self {
        self.control_bytes = control_bytes;
        self
    }

    /// Returns whether names with control bytes are accepted.
    #[must_use]
    pub const fn control_bytes(&self) -> bool {
        self.control_bytes
    }

    /// Sets whether datagrams with RSV other than `0000` are dropped as [`Malformed::Reserved`]. By default RSV is
    /// ignored.
    #[must_use]
    pub const fn with_strict_reserved(mut self, strict_reserved: bool) -> Self {
        self.strict_reserved = strict_reserved;
        self
    }

    /// Returns whether datagrams with RSV other than `0000` are dropped.
    #[must_use]
    pub const fn strict_reserved(&self) -> bool {
        self.strict_reserved
    }

    /// Returns whether a datagram from `source` may be the client's.
    ///
    /// It checks only the source address and port. Use it, for instance, before you decrypt a datagram.
    /// [`accept`](Self::accept) includes this check.
    #[inline]
    #[must_use]
    pub fn admits(&self, source: SocketAddr) -> bool {
        let port = source.port();
        // The known client is compared first. Without that, `accept` takes 23 % more instructions.
        self.client == Some(source)
            || port != 0
                && (self.any_port || self.port.is_none_or(|fixed| fixed == port))
                && is_same_host(source, self.control_peer)
                && self.client.is_none_or(|client| is_same_host(source, client))
    }

    /// Decodes a datagram that the relay received from `source`, if it is the client's.
    ///
    /// # Errors
    ///
    /// [`Discard::Source`], [`Discard::Malformed`], [`Discard::Fragment`] or [`Discard::InvalidFrag`]. The association
    /// is then unchanged.
    #[inline]
    pub fn accept<'a>(&mut self, source: SocketAddr, datagram: &'a [u8]) -> Result<Datagram<'a>, Discard> {
        if !self.admits(source) {
            return Err(Discard::Source);
        }
        let decoded = Datagram::decode(datagram)?;
        if self.strict_reserved {
            if let Some(&reserved) = datagram.iter().take(2).find(|&&byte| byte != 0) {
                return Err(Malformed::Reserved(reserved).into());
            }
        }
        match decoded.header.address.host {
            Host::Domain(name) if !self.control_bytes && name.has_control_bytes() => {
                return Err(Malformed::ControlBytes.into());
            }
            _ => {}
        }
        let frag = decoded.header.frag;
        if frag != Frag::STANDALONE {
            if !self.fragments {
                return Err(Discard::Fragment);
            }
            if frag.position() == 0 {
                return Err(Discard::InvalidFrag);
            }
        }
        self.port = Some(source.port());
        if self.any_port || self.client.is_none() {
            self.client = Some(source);
        }
        Ok(decoded)
    }

    /// Returns the client's address, to which you send the answers. It is the address as the socket reported it, not
    /// the canonical form. Returns `None` until the first datagram is accepted.
    #[inline]
    #[must_use]
    pub const fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// Returns the control connection's peer, as passed to [`new`](Self::new).
    #[inline]
    #[must_use]
    pub const fn control_peer(&self) -> SocketAddr {
        self.control_peer
    }

    /// Returns the source port that a datagram must have, if it is fixed.
    #[cfg(feature = "alloc")]
    pub(super) fn required_port(&self) -> Option<u16> {
        self.port.filter(|_| !self.any_port)
    }
}

/// Returns whether both addresses are of one host. Scopes are compared only if both addresses have one.
#[inline]
pub(super) fn is_same_host(a: SocketAddr, b: SocketAddr) -> bool {
    let scopes_agree = match (a, b) {
        (SocketAddr::V6(a), SocketAddr::V6(b)) => {
            a.scope_id() == b.scope_id() || a.scope_id() == 0 || b.scope_id() == 0
        }
        _ => true,
    };
    scopes_agree && a.ip().to_canonical() == b.ip().to_canonical()
}
