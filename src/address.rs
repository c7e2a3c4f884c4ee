//! Where to, and from where: [RFC 1928 §5] addressing as values.
//!
//! How they stand on the wire is in `message/addressing.rs`.
//!
//! [RFC 1928 §5]: https://www.rfc-editor.org/rfc/rfc1928#section-5

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::{FromStr, Utf8Error};

use crate::error::InvalidValue;

/// A domain name as SOCKS carries it: 1 to 255 octets of anything, no terminating NUL.
///
/// RFC 1928 defines no character set, so this is octets. [`is_hostname`](Self::is_hostname) and
/// [`to_str`](Self::to_str) judge them.
///
/// ```
/// use sans_socks::Domain;
///
/// let name = Domain::new("example.com")?;
/// assert_eq!(name.as_bytes(), b"example.com");
/// assert!(Domain::new("").is_err());
/// assert!(Domain::new(&[b'a'; 256]).is_err());
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain<'a>(&'a [u8]);

impl<'a> Domain<'a> {
    /// The most octets a name can have.
    pub const MAX_LEN: usize = 255;

    /// Checks the length.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::DomainLength`] unless `name` has 1 to 255 octets. A longer name is never cut: its
    /// rest would be read as the port and whatever comes next.
    #[inline]
    pub fn new<T: AsRef<[u8]> + ?Sized>(name: &'a T) -> Result<Self, InvalidValue> {
        let octets = name.as_ref();
        match octets.len() {
            1..=Self::MAX_LEN => Ok(Self(octets)),
            len => Err(InvalidValue::DomainLength(len)),
        }
    }

    /// For octets whose count came from a length octet that is not 0.
    #[inline]
    pub(crate) const fn from_counted(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The name's octets.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The name as text.
    ///
    /// # Errors
    ///
    /// When the octets are not UTF-8. Nothing in RFC 1928 says that they are.
    pub const fn to_str(self) -> Result<&'a str, Utf8Error> {
        core::str::from_utf8(self.0)
    }

    /// Whether the name is free of NUL and of the other ASCII control octets (`00` to `1F`, `7F`).
    ///
    /// Resolvers written in C stop at a NUL, so `localhost\0.example.com` passes an access list that
    /// looks at its end and then reaches `localhost`. The server machine refuses such names by itself.
    ///
    /// ```
    /// # use sans_socks::Domain;
    /// assert!(Domain::new("example.com")?.is_hostname());
    /// assert!(!Domain::new("localhost\0.example.com")?.is_hostname());
    /// # Ok::<(), sans_socks::InvalidValue>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn is_hostname(self) -> bool {
        let words = || self.0.chunks_exact(8).filter_map(<[u8]>::first_chunk);
        !match self.0.last_chunk() {
            Some(last) => has_control(last) || words().any(has_control),
            None => self.0.iter().any(u8::is_ascii_control),
        }
    }
}

/// Whether one of eight octets is below `20` or is `7F`, without a look at each.
#[inline]
fn has_control(octets: &[u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The highest bit of a lane is set if its octet is below n, and then perhaps of lanes above it.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & (ONES * 0x80);
    let word = u64::from_ne_bytes(*octets);
    below(word, 0x20) | below(word ^ (ONES * 0x7f), 1) != 0
}

/// The name; where it is not plain text, with its octets escaped, so that a log line stays a line.
impl fmt::Display for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_str() {
            Ok(name) if !name.chars().any(char::is_control) => f.pad(name),
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

impl fmt::Debug for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain(\"{}\")", self.0.escape_ascii())
    }
}

impl AsRef<[u8]> for Domain<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

/// ATYP and the address it announces.
#[expect(
    clippy::exhaustive_enums,
    reason = "the grammar: an unknown ATYP has no length, so it can be reported but not represented"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[repr(u32)] // No promise: the octets of an IPv4 address are then a word, and go in and out of memory in one piece.
pub enum Host<'a> {
    /// ATYP `01`: 4 octets.
    Ipv4(Ipv4Addr),
    /// ATYP `03`: a length octet and the name.
    Domain(Domain<'a>),
    /// ATYP `04`: 16 octets.
    Ipv6(Ipv6Addr),
}

impl Host<'_> {
    /// Whether this is `0.0.0.0` or `::`.
    ///
    /// As a CONNECT target that reaches the server's own loopback on many systems.
    #[must_use]
    pub const fn is_unspecified(&self) -> bool {
        match self {
            Self::Ipv4(ip) => ip.is_unspecified(),
            Self::Ipv6(ip) => ip.is_unspecified(),
            Self::Domain(_) => false,
        }
    }
}

impl From<Ipv4Addr> for Host<'_> {
    #[inline]
    fn from(ip: Ipv4Addr) -> Self {
        Self::Ipv4(ip)
    }
}

impl From<Ipv6Addr> for Host<'_> {
    #[inline]
    fn from(ip: Ipv6Addr) -> Self {
        Self::Ipv6(ip)
    }
}

impl From<IpAddr> for Host<'_> {
    #[inline]
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::Ipv4(ip),
            IpAddr::V6(ip) => Self::Ipv6(ip),
        }
    }
}

impl<'a> From<Domain<'a>> for Host<'a> {
    #[inline]
    fn from(name: Domain<'a>) -> Self {
        Self::Domain(name)
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(ip) => ip.fmt(f),
            Self::Domain(name) => name.fmt(f),
            Self::Ipv6(ip) => ip.fmt(f),
        }
    }
}

/// A host and a port, borrowed: what requests, replies and UDP headers carry.
///
/// [`AddressBuf`] is the owned form.
///
/// ```
/// use sans_socks::{Address, Host};
/// use std::net::SocketAddr;
///
/// let address = Address::try_from("example.com:443")?;
/// assert!(matches!(address.host, Host::Domain(_)));
/// assert_eq!(address.to_socket_addr(), None);
///
/// let address = Address::try_from("[::1]:80")?;
/// assert_eq!(address.to_socket_addr(), "[::1]:80".parse().ok());
/// assert_eq!(address, Address::from(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80))));
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[expect(clippy::exhaustive_structs, reason = "the wire has these two fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Address<'a> {
    /// DST.ADDR or BND.ADDR.
    pub host: Host<'a>,
    /// DST.PORT or BND.PORT.
    pub port: u16,
}

impl<'a> Address<'a> {
    /// `0.0.0.0:0`: the address of a failure reply, and of a UDP ASSOCIATE from a client that does not
    /// know where its datagrams will come from.
    pub const UNSPECIFIED: Self = Self {
        host: Host::Ipv4(Ipv4Addr::UNSPECIFIED),
        port: 0,
    };

    /// The socket address, unless the host is a name.
    #[must_use]
    pub const fn to_socket_addr(&self) -> Option<SocketAddr> {
        let ip = match self.host {
            Host::Ipv4(ip) => IpAddr::V4(ip),
            Host::Ipv6(ip) => IpAddr::V6(ip),
            Host::Domain(_) => return None,
        };
        Some(SocketAddr::new(ip, self.port))
    }

    /// The address that this one is another spelling of: **what an access list must look at**.
    ///
    /// A name that spells an IP (`127.0.0.1`, `::1`, `[::1]`) becomes that IP, and an IPv4-mapped IPv6
    /// becomes its IPv4. A real name stays: check the addresses that it resolves to, since a resolver may
    /// also take `127.1` or `0x7f000001` for an address.
    ///
    /// ```
    /// use sans_socks::Address;
    ///
    /// for spelling in ["127.0.0.1:80", "[::ffff:127.0.0.1]:80"] {
    ///     let address = Address::try_from(spelling)?.canonical();
    ///     assert_eq!(address.to_socket_addr(), "127.0.0.1:80".parse().ok());
    /// }
    /// # Ok::<(), sans_socks::InvalidValue>(())
    /// ```
    #[must_use]
    pub fn canonical(self) -> Self {
        let host = match self.host {
            Host::Domain(name) => match ip_literal(name) {
                Some(ip) => ip.to_canonical().into(),
                None => self.host,
            },
            Host::Ipv6(ip) => ip.to_canonical().into(),
            Host::Ipv4(_) => self.host,
        };
        Self { host, ..self }
    }

    /// This address, with `ip` in the place of an unspecified host.
    ///
    /// Many servers answer UDP ASSOCIATE or BIND with BND.ADDR `0.0.0.0` and mean the address that the
    /// client has reached them at.
    #[must_use]
    pub fn or_host(self, ip: IpAddr) -> Self {
        if self.host.is_unspecified() {
            Self {
                host: ip.into(),
                ..self
            }
        } else {
            self
        }
    }
}

/// The IP that a name spells, with or without brackets.
fn ip_literal(name: Domain<'_>) -> Option<IpAddr> {
    let text = name.to_str().ok()?;
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

impl From<SocketAddr> for Address<'_> {
    #[inline]
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().into(),
            port: address.port(),
        }
    }
}

impl From<(IpAddr, u16)> for Address<'_> {
    #[inline]
    fn from((ip, port): (IpAddr, u16)) -> Self {
        Self {
            host: ip.into(),
            port,
        }
    }
}

impl<'a> From<(Domain<'a>, u16)> for Address<'a> {
    #[inline]
    fn from((name, port): (Domain<'a>, u16)) -> Self {
        Self {
            host: name.into(),
            port,
        }
    }
}

/// Reads `host:port`; an IPv6 host stands in brackets, as in `[::1]:80`.
///
/// # Errors
///
/// [`InvalidValue::AddressSyntax`] where there is no port, no host, or an IPv6 host without brackets;
/// [`InvalidValue::DomainLength`] for a name of more than 255 octets.
impl<'a> TryFrom<&'a str> for Address<'a> {
    type Error = InvalidValue;

    fn try_from(text: &'a str) -> Result<Self, InvalidValue> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidValue::AddressSyntax)?;
        if !port.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(InvalidValue::AddressSyntax);
        }
        let port = port.parse().map_err(|_| InvalidValue::AddressSyntax)?;
        let host = if let Some(bracketed) = host.strip_prefix('[') {
            bracketed
                .strip_suffix(']')
                .and_then(|ip| ip.parse().ok())
                .map(Host::Ipv6)
                .ok_or(InvalidValue::AddressSyntax)?
        } else if let Ok(ip) = host.parse() {
            Host::Ipv4(ip)
        } else if host.is_empty() || host.contains([':', '[', ']']) {
            return Err(InvalidValue::AddressSyntax);
        } else {
            Host::Domain(Domain::new(host)?)
        };
        Ok(Self { host, port })
    }
}

/// `host:port`, with brackets around an IPv6 host.
impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Ipv6(ip) => write!(f, "[{ip}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// An owned [`Address`], inline: no allocation, so that a slab can keep the address of a pending dial.
///
/// ```
/// use sans_socks::{Address, AddressBuf};
///
/// let address: AddressBuf = "example.com:443".parse()?;
/// assert_eq!(address.as_address(), Address::try_from("example.com:443")?);
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[derive(Clone)]
pub struct AddressBuf {
    host: HostBuf,
    port: u16,
}

#[expect(clippy::large_enum_variant, reason = "inline is what it is for")]
#[derive(Clone)]
enum HostBuf {
    Ipv4(Ipv4Addr),
    Domain { octets: [u8; Domain::MAX_LEN], len: u8 },
    Ipv6(Ipv6Addr),
}

impl AddressBuf {
    /// The borrowed form.
    #[must_use]
    pub fn as_address(&self) -> Address<'_> {
        let host = match &self.host {
            HostBuf::Ipv4(ip) => Host::Ipv4(*ip),
            HostBuf::Ipv6(ip) => Host::Ipv6(*ip),
            HostBuf::Domain { octets, len } => Host::Domain(Domain::from_counted(
                octets.get(..usize::from(*len)).unwrap_or(octets),
            )),
        };
        Address {
            host,
            port: self.port,
        }
    }
}

impl From<Address<'_>> for AddressBuf {
    fn from(address: Address<'_>) -> Self {
        let host = match address.host {
            Host::Ipv4(ip) => HostBuf::Ipv4(ip),
            Host::Ipv6(ip) => HostBuf::Ipv6(ip),
            Host::Domain(name) => {
                let mut octets = [0; Domain::MAX_LEN];
                let mut len = 0;
                for (slot, octet) in octets.iter_mut().zip(name.as_bytes()) {
                    *slot = *octet;
                    len += 1;
                }
                HostBuf::Domain { octets, len }
            }
        };
        Self {
            host,
            port: address.port,
        }
    }
}

impl<'a> From<&'a AddressBuf> for Address<'a> {
    fn from(address: &'a AddressBuf) -> Self {
        address.as_address()
    }
}

impl From<SocketAddr> for AddressBuf {
    fn from(address: SocketAddr) -> Self {
        Address::from(address).into()
    }
}

/// As [`Address`] reads it.
impl FromStr for AddressBuf {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Address::try_from(text).map(Self::from)
    }
}

impl PartialEq for AddressBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_address() == other.as_address()
    }
}

impl Eq for AddressBuf {}

impl Hash for AddressBuf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_address().hash(state);
    }
}

impl fmt::Debug for AddressBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_address().fmt(f)
    }
}

impl fmt::Display for AddressBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_address(), f)
    }
}
