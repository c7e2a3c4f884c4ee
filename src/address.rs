//! Address types of RFC 1928 §5: hosts, ports and domain names.
//!
//! `message/addressing.rs` has their encoding, and `address/text.rs` their text form.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::str::Utf8Error;

use crate::error::InvalidValue;

mod text;

/// A domain name as SOCKS encodes it, [RFC 1928 §5]: 1 to 255 bytes of any value, without a terminating NUL.
///
/// RFC 1928 defines no character set, so a peer's name may contain any bytes. [`to_str`](Self::to_str) and
/// [`has_control_bytes`](Self::has_control_bytes) check them.
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
///
/// [RFC 1928 §5]: https://www.rfc-editor.org/rfc/rfc1928#section-5
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain<'a>(&'a [u8]);

impl<'a> Domain<'a> {
    /// The length of the longest name in bytes.
    pub const MAX_LEN: usize = 255;

    /// Creates a name after checking its length.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::DomainLength`] unless `name` has 1 to 255 bytes. A longer name is never truncated.
    #[inline]
    pub fn new<T: AsRef<[u8]> + ?Sized>(name: &'a T) -> Result<Self, InvalidValue> {
        let bytes = name.as_ref();
        match bytes.len() {
            1..=Self::MAX_LEN => Ok(Self(bytes)),
            len => Err(InvalidValue::DomainLength(len)),
        }
    }

    /// Creates a name of 1 to 255 bytes without a check: the decoder has checked the length.
    #[inline]
    pub(crate) const fn from_counted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the name's bytes.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the name as text.
    ///
    /// # Errors
    ///
    /// If the bytes are not UTF-8. RFC 1928 does not require UTF-8.
    pub const fn to_str(self) -> Result<&'a str, Utf8Error> {
        core::str::from_utf8(self.0)
    }

    /// Returns whether the name contains an ASCII control byte: `00` to `1F`, or `7F`.
    ///
    /// Resolvers written in C stop at a NUL. An access list that allows names ending in `.example.com` allows
    /// `localhost\0.example.com`, and the resolver then returns the address of `localhost`. The server's handshake
    /// refuses such names by default.
    ///
    /// A name without control bytes need not be a host name: examples are `" "`, `*` and `../../etc/passwd`.
    ///
    /// ```
    /// # use sans_socks::Domain;
    /// assert!(!Domain::new("example.com")?.has_control_bytes());
    /// assert!(Domain::new("localhost\0.example.com")?.has_control_bytes());
    /// # Ok::<(), sans_socks::InvalidValue>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn has_control_bytes(self) -> bool {
        let words = || self.0.chunks_exact(8).filter_map(<[u8]>::first_chunk);
        match self.0.last_chunk() {
            Some(last) if are_printable(last) && words().all(are_printable) => false,
            _ => self.0.iter().any(u8::is_ascii_control),
        }
    }
}

/// Returns whether eight bytes are printable ASCII: `20` to `7E`. It checks all of them at once.
///
/// Most names pass. If each byte were checked, a handshake with the longest names would take twice as many instructions.
#[inline]
fn are_printable(bytes: &[u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_ne_bytes(*bytes);
    // The difference sets the highest bit for a byte below 20, the sum for 7F, and at least one of them for 80 to FF.
    // No byte before the first of these borrows or carries, so the first one always sets its bit.
    let difference = word.wrapping_sub(ONES * 0x20);
    let sum = word.wrapping_add(ONES);
    (difference | sum) & (ONES * 0x80) == 0
}

impl AsRef<[u8]> for Domain<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

/// A host, [RFC 1928 §5]: an IPv4 address, an IPv6 address or a domain name.
///
/// ```
/// use sans_socks::Host;
///
/// assert!(matches!(Host::try_from("::1")?, Host::Ipv6(_)));
/// assert!(matches!(Host::try_from("example.com")?, Host::Domain(_)));
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
///
/// [RFC 1928 §5]: https://www.rfc-editor.org/rfc/rfc1928#section-5
#[expect(
    clippy::exhaustive_enums,
    reason = "RFC 1928 has these three. An unknown ATYP is an error, because its length is unknown"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[repr(u32)] // Not part of the API. It lets an IPv4 address be copied as one word: 2 to 6 % fewer instructions.
pub enum Host<'a> {
    /// ATYP `01`: 4 bytes.
    Ipv4(Ipv4Addr),
    /// ATYP `03`: a length byte and the name.
    Domain(Domain<'a>),
    /// ATYP `04`: 16 bytes.
    Ipv6(Ipv6Addr),
}

impl Host<'_> {
    /// Returns whether this is `0.0.0.0` or `::`.
    ///
    /// On many systems, a connection to this address reaches the server's own loopback.
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

/// # Errors
///
/// [`InvalidValue::NotAnIp`] for a name, even if it spells an IP address: see [`Address::canonical`].
impl TryFrom<Host<'_>> for IpAddr {
    type Error = InvalidValue;

    fn try_from(host: Host<'_>) -> Result<Self, InvalidValue> {
        match host {
            Host::Ipv4(ip) => Ok(Self::V4(ip)),
            Host::Ipv6(ip) => Ok(Self::V6(ip)),
            Host::Domain(_) => Err(InvalidValue::NotAnIp),
        }
    }
}

/// A host and a port, borrowed: the address of requests, replies and UDP headers, [RFC 1928 §5].
///
/// [`AddressBuf`] is the owned form.
///
/// ```
/// use sans_socks::{Address, Host};
/// use std::net::SocketAddr;
///
/// let address = Address::try_from(("example.com", 443))?;
/// assert!(matches!(address.host, Host::Domain(_)));
/// assert_eq!(address, Address::try_from("example.com:443")?);
/// assert_eq!(address.to_socket_addr(), None);
///
/// let loopback = SocketAddr::from(([127, 0, 0, 1], 80));
/// assert_eq!(Address::try_from("127.0.0.1:80")?, Address::from(loopback));
/// assert_eq!(SocketAddr::try_from(Address::from(loopback))?, loopback);
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
///
/// [RFC 1928 §5]: https://www.rfc-editor.org/rfc/rfc1928#section-5
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
    /// `0.0.0.0:0`. Failure replies have this address. So do UDP ASSOCIATE requests of clients that do not know the
    /// source address of their datagrams.
    pub const UNSPECIFIED: Self = Self {
        host: Host::Ipv4(Ipv4Addr::UNSPECIFIED),
        port: 0,
    };

    /// Returns the socket address, or `None` if the host is a name.
    #[must_use]
    pub const fn to_socket_addr(&self) -> Option<SocketAddr> {
        let ip = match self.host {
            Host::Ipv4(ip) => IpAddr::V4(ip),
            Host::Ipv6(ip) => IpAddr::V6(ip),
            Host::Domain(_) => return None,
        };
        Some(SocketAddr::new(ip, self.port))
    }

    /// Returns the canonical form. **Apply access lists to this, not to the raw address.**
    ///
    /// A name that spells an IP address (`127.0.0.1`, `::1`, `[::1]`, with or without a zone as in `[::1%1]`) becomes
    /// that address, without the zone. An IPv4-mapped IPv6 address becomes the IPv4 address.
    ///
    /// These forms do not change:
    ///
    /// - names that some resolvers accept as an address: `127.1`, `0x7f.1`, `2130706433`, `0177.0.0.1`, `0`
    /// - other spellings of a name: `LOCALHOST`, `localhost.`
    /// - IPv6 addresses that embed an IPv4 address in another way: `::127.0.0.1`, `64:ff9b::7f00:1` (NAT64),
    ///   `2002:7f00:1::` (6to4)
    ///
    /// So resolve a name first, then check the canonical form of each address.
    ///
    /// ```
    /// use sans_socks::Address;
    ///
    /// for host in ["127.0.0.1", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]"] {
    ///     let address = Address::try_from((host, 80))?.canonical();
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

    /// Returns the target in [canonical](Self::canonical) form: a socket address to connect to, or a name to resolve.
    ///
    /// ```
    /// use sans_socks::{Address, Target};
    ///
    /// let address = Address::try_from("example.com:443")?;
    /// assert_eq!(address.to_target()?, Target::Name("example.com", 443));
    /// # Ok::<(), sans_socks::InvalidValue>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidValue::DomainText`] for a name that is not UTF-8 or has control bytes. Do not pass such a name to a resolver.
    pub fn to_target(self) -> Result<Target<'a>, InvalidValue> {
        let Self { host, port } = self.canonical();
        Ok(match host {
            Host::Ipv4(ip) => Target::Socket(SocketAddr::new(ip.into(), port)),
            Host::Ipv6(ip) => Target::Socket(SocketAddr::new(ip.into(), port)),
            Host::Domain(name) => match name.to_str() {
                Ok(text) if !name.has_control_bytes() => Target::Name(text, port),
                _ => return Err(InvalidValue::DomainText),
            },
        })
    }

    /// Returns this address, with `ip` in place of an unspecified host.
    ///
    /// Many servers answer UDP ASSOCIATE or BIND with BND.ADDR `0.0.0.0`. They mean the address at which the client reached
    /// them.
    ///
    /// ```
    /// use sans_socks::Address;
    ///
    /// let proxy = [192, 0, 2, 1].into();
    /// let bound = Address::try_from("0.0.0.0:4000")?;
    /// assert_eq!(bound.or_host(proxy).to_string(), "192.0.2.1:4000");
    /// # Ok::<(), sans_socks::InvalidValue>(())
    /// ```
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

/// Returns the IP address that a name spells, with or without brackets and zone.
fn ip_literal(name: Domain<'_>) -> Option<IpAddr> {
    let text = name.to_str().ok()?;
    if let Ok(ip) = text.parse() {
        return Some(IpAddr::V4(ip));
    }
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let text = inner.unwrap_or(text);
    let (ip, _zone) = text.split_once('%').unwrap_or((text, ""));
    ip.parse().ok().map(IpAddr::V6)
}

/// The destination of a connection, see [`Address::to_target`].
///
/// An access list checks the addresses that a name resolves to, each in canonical form:
///
/// ```no_run
/// use sans_socks::{Address, Target};
/// use std::io;
/// use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
///
/// fn dial(address: Address<'_>) -> io::Result<TcpStream> {
///     let resolved: Vec<SocketAddr> = match address.to_target().map_err(io::Error::other)? {
///         Target::Socket(address) => vec![address],
///         Target::Name(name, port) => (name, port).to_socket_addrs()?.collect(),
///     };
///     let allowed = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
///     let allowed: Vec<SocketAddr> = resolved.into_iter().filter(allowed).collect();
///     TcpStream::connect(&*allowed)
/// }
/// ```
#[expect(clippy::exhaustive_enums, reason = "a target is one or the other")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target<'a> {
    /// An IP address and a port. Dial it.
    Socket(SocketAddr),
    /// A name without control bytes, and a port. Resolve it, then check and dial the addresses.
    Name(&'a str, u16),
}

impl From<SocketAddr> for Address<'_> {
    #[inline]
    fn from(address: SocketAddr) -> Self {
        Self::from((address.ip(), address.port()))
    }
}

impl From<SocketAddrV4> for Address<'_> {
    #[inline]
    fn from(address: SocketAddrV4) -> Self {
        Self::from((*address.ip(), address.port()))
    }
}

impl From<SocketAddrV6> for Address<'_> {
    #[inline]
    fn from(address: SocketAddrV6) -> Self {
        Self::from((*address.ip(), address.port()))
    }
}

/// Converts from a host and a port.
macro_rules! from_host_and_port {
    ($($host:ty),*) => {$(
        impl<'a> From<($host, u16)> for Address<'a> {
            #[inline]
            fn from((host, port): ($host, u16)) -> Self {
                Self { host: host.into(), port }
            }
        }

        impl<'a> From<($host, u16)> for AddressBuf {
            fn from(address: ($host, u16)) -> Self {
                Address::from(address).into()
            }
        }
    )*};
}

from_host_and_port!(IpAddr, Ipv4Addr, Ipv6Addr, Domain<'a>, Host<'a>);

/// # Errors
///
/// [`InvalidValue::NotAnIp`] for a name, even if it spells an IP address: see [`Address::canonical`].
impl TryFrom<Address<'_>> for SocketAddr {
    type Error = InvalidValue;

    fn try_from(address: Address<'_>) -> Result<Self, InvalidValue> {
        address.to_socket_addr().ok_or(InvalidValue::NotAnIp)
    }
}

/// Resolves what [`to_target`](Address::to_target) returns, so that `TcpStream::connect(address)` works.
///
/// The system resolves a name, which blocks. **You cannot apply an access list between the look-up and the dial.** If you
/// have one, use [`to_target`](Address::to_target).
///
/// # Errors
///
/// - `InvalidInput` for a name that is not UTF-8 or has control bytes
/// - `HostUnreachable`, which becomes REP 04, for a name that does not resolve
#[cfg(feature = "std")]
impl std::net::ToSocketAddrs for Address<'_> {
    type Iter = alloc::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> std::io::Result<Self::Iter> {
        use std::io::{Error, ErrorKind};

        match self.to_target() {
            Ok(Target::Socket(address)) => Ok(alloc::vec![address].into_iter()),
            Ok(Target::Name(name, port)) => (name, port)
                .to_socket_addrs()
                .map_err(|error| Error::new(ErrorKind::HostUnreachable, error)),
            Err(error) => Err(Error::new(ErrorKind::InvalidInput, error)),
        }
    }
}

/// Resolves as [`Address`] does.
///
/// # Errors
///
/// Those of [`Address`].
#[cfg(feature = "std")]
impl std::net::ToSocketAddrs for AddressBuf {
    type Iter = alloc::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> std::io::Result<Self::Iter> {
        self.as_address().to_socket_addrs()
    }
}

/// An owned [`Address`], [RFC 1928 §5]. It needs no allocation, so a slab can hold the address of a pending dial.
///
/// Its size is about 260 bytes, so it is not `Copy`.
///
/// ```
/// use sans_socks::{Address, AddressBuf};
///
/// let address: AddressBuf = "example.com:443".parse()?;
/// assert_eq!(address, Address::try_from(("example.com", 443))?);
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
///
/// [RFC 1928 §5]: https://www.rfc-editor.org/rfc/rfc1928#section-5
#[derive(Clone)]
pub struct AddressBuf {
    host: HostBuf,
    port: u16,
}

#[expect(clippy::large_enum_variant, reason = "it must not allocate")]
#[derive(Clone)]
enum HostBuf {
    Ipv4(Ipv4Addr),
    Domain { bytes: [u8; Domain::MAX_LEN], len: u8 },
    Ipv6(Ipv6Addr),
}

impl AddressBuf {
    /// Returns the borrowed form.
    #[must_use]
    pub fn as_address(&self) -> Address<'_> {
        Address {
            host: self.host(),
            port: self.port,
        }
    }

    /// Returns the host.
    #[must_use]
    pub fn host(&self) -> Host<'_> {
        match &self.host {
            HostBuf::Ipv4(ip) => Host::Ipv4(*ip),
            HostBuf::Ipv6(ip) => Host::Ipv6(*ip),
            HostBuf::Domain { bytes, len } => Host::Domain(Domain::from_counted(
                bytes.get(..usize::from(*len)).unwrap_or(bytes),
            )),
        }
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl From<Address<'_>> for AddressBuf {
    fn from(address: Address<'_>) -> Self {
        let host = match address.host {
            Host::Ipv4(ip) => HostBuf::Ipv4(ip),
            Host::Ipv6(ip) => HostBuf::Ipv6(ip),
            Host::Domain(name) => {
                let mut bytes = [0; Domain::MAX_LEN];
                let mut len = 0;
                for (slot, byte) in bytes.iter_mut().zip(name.as_bytes()) {
                    *slot = *byte;
                    len += 1;
                }
                HostBuf::Domain { bytes, len }
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

impl From<SocketAddrV4> for AddressBuf {
    fn from(address: SocketAddrV4) -> Self {
        Address::from(address).into()
    }
}

impl From<SocketAddrV6> for AddressBuf {
    fn from(address: SocketAddrV6) -> Self {
        Address::from(address).into()
    }
}

impl PartialEq for AddressBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_address() == other.as_address()
    }
}

impl Eq for AddressBuf {}

impl PartialEq<Address<'_>> for AddressBuf {
    fn eq(&self, other: &Address<'_>) -> bool {
        self.as_address() == *other
    }
}

impl PartialEq<AddressBuf> for Address<'_> {
    fn eq(&self, other: &AddressBuf) -> bool {
        *self == other.as_address()
    }
}

impl PartialOrd for AddressBuf {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Orders as [`Address`] does.
impl Ord for AddressBuf {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_address().cmp(&other.as_address())
    }
}

/// Hashes as [`Address`] does.
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
