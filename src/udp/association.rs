//! Which datagrams are the client's.

use core::net::{IpAddr, SocketAddr};

use super::{Datagram, Frag};
use crate::address::Address;
use crate::error::{Discard, Malformed};

/// The relay's side of one UDP ASSOCIATE: whose datagrams it takes.
///
/// UDP has no authentication of its own. What stands for it is that the datagrams come from the host that
/// holds the control connection: a relay "MUST drop any datagrams arriving from any source IP address other
/// than the one recorded for the particular association", [RFC 1928 §7].
///
/// - The IP address is the control connection's peer. What the request says in DST.ADDR does not change it.
/// - The port is DST.PORT, if the request names one together with that very IP address. Otherwise it is that
///   of the first datagram which is the client's and is passed on; from then on it stays.
/// - An IPv4-mapped IPv6 address (`::ffff:127.0.0.1`, as a dual-stack socket gives it) is that IPv4 address.
/// - Fragments are dropped, unless [`accept_fragments`](Self::accept_fragments) says that a
///   [`Reassembler`](super::Reassembler) comes next.
///
/// Everything else is dropped: nothing is sent, nothing is learned from it, and nothing ends by it.
///
/// The association lives as long as the control connection; drop both together.
///
/// ```
/// use sans_socks::udp::{Association, Discard};
/// use sans_socks::Address;
///
/// let (client, thief) = ("192.0.2.7:4000".parse()?, "192.0.2.8:4000".parse()?);
/// let mut association = Association::new("192.0.2.7".parse()?, &Address::UNSPECIFIED);
///
/// let octets = b"\0\0\0\x01\xc6\x33\x64\x09\0\x35query";
/// assert_eq!(association.from_client(thief, octets), Err(Discard::Source));
/// assert_eq!(association.from_client(client, octets)?.payload, b"query");
/// assert_eq!(association.client(), Some(client));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
#[derive(Clone, Debug)]
pub struct Association {
    /// In canonical form.
    ip: IpAddr,
    /// Once it is known.
    port: Option<u16>,
    client: Option<SocketAddr>,
    accept_fragments: bool,
    strict_reserved: bool,
}

impl Association {
    /// The association of a client whose control connection comes from `control_peer`, and whose request
    /// named `requested`.
    ///
    /// To learn the port of a client whose datagrams pass a NAT that changes it, pass
    /// [`Address::UNSPECIFIED`] instead of what the request named.
    #[must_use]
    pub fn new(control_peer: IpAddr, requested: &Address<'_>) -> Self {
        let ip = control_peer.to_canonical();
        let port = match requested.to_socket_addr() {
            Some(named) if named.ip().to_canonical() == ip && named.port() != 0 => Some(named.port()),
            _ => None,
        };
        Self {
            ip,
            port,
            client: None,
            accept_fragments: false,
            strict_reserved: false,
        }
    }

    /// Passes fragments on. Hand every datagram to a [`Reassembler`](super::Reassembler) then: a relay that
    /// cannot reassemble must drop them ([RFC 1928 §7]).
    ///
    /// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
    #[must_use]
    pub const fn accept_fragments(self) -> Self {
        Self {
            accept_fragments: true,
            ..self
        }
    }

    /// Drops datagrams with RSV other than `0000` as [`Malformed::Reserved`]; else RSV is not looked at.
    #[must_use]
    pub const fn strict_reserved(self) -> Self {
        Self {
            strict_reserved: true,
            ..self
        }
    }

    /// Whether a datagram from `source` may be the client's.
    ///
    /// A look at the address alone, before work is spent on the octets: with an authentication method that
    /// encapsulates datagrams, before they are unwrapped. [`from_client`](Self::from_client) looks by itself.
    #[inline]
    #[must_use]
    pub fn admits(&self, source: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == source.port()) && source.ip().to_canonical() == self.ip
    }

    /// Reads a datagram that came to the relay from `source`.
    ///
    /// # Errors
    ///
    /// [`Discard::Source`], [`Discard::Malformed`], [`Discard::Fragment`], [`Discard::InvalidFrag`]. The
    /// association is then as it was.
    #[inline]
    pub fn from_client<'a>(
        &mut self,
        source: SocketAddr,
        datagram: &'a [u8],
    ) -> Result<Datagram<'a>, Discard> {
        if !self.admits(source) {
            return Err(Discard::Source);
        }
        let decoded = Datagram::decode(datagram)?;
        if self.strict_reserved {
            if let Some(&reserved) = datagram.iter().take(2).find(|&&octet| octet != 0) {
                return Err(Malformed::Reserved(reserved).into());
            }
        }
        let frag = decoded.header.frag;
        if frag != Frag::STANDALONE {
            if !self.accept_fragments {
                return Err(Discard::Fragment);
            }
            if frag.position() == 0 {
                return Err(Discard::InvalidFrag);
            }
        }
        self.port = Some(source.port());
        self.client.get_or_insert(source);
        Ok(decoded)
    }

    /// Where the client sends from, and so where the answers go: as the socket gave it, not in canonical
    /// form. `None` until its first datagram was passed on.
    #[inline]
    #[must_use]
    pub const fn client(&self) -> Option<SocketAddr> {
        self.client
    }
}
