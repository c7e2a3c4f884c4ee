//! The request of SOCKS4, and its extension for names, SOCKS4a.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::Ipv4Addr;

use constant_time_eq::constant_time_eq;

use super::VERSION;
use crate::address::{Address, Domain, Host};
use crate::code_point::Command;
use crate::error::{InvalidValue, Malformed};
use crate::message::{BufferTooSmall, Decoded, Encode, copy, private, room};

/// VN, CD, DSTPORT and DSTIP.
const HEAD_LEN: usize = 8;

/// USERID: the name that the client claims. 0 to 255 bytes without a NUL.
///
/// It proves nothing, because version 4 has no authentication. Some programs still use it as a secret. So `Debug` prints
/// only its length, the time of `==` depends only on the lengths, and the handshakes overwrite it like credentials.
///
/// ```
/// use sans_socks::socks4::UserId;
///
/// let user_id = UserId::new("alice")?;
/// assert_eq!(user_id.as_bytes(), b"alice");
/// assert_eq!(format!("{user_id:?}"), "UserId(5 bytes)");
/// assert!(UserId::new("a\0b").is_err());
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Eq, Default)]
pub struct UserId<'a>(&'a [u8]);

impl<'a> UserId<'a> {
    /// The length of the longest user id in bytes. The protocol sets no limit, but this one is common.
    pub const MAX_LEN: usize = 255;

    /// The empty user id.
    pub const EMPTY: Self = Self(&[]);

    /// Creates a user id after checking that it has at most 255 bytes and no NUL. A NUL would end it early.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::UserId`] when it has more than 255 bytes or a NUL.
    pub fn new<T: AsRef<[u8]> + ?Sized>(user_id: &'a T) -> Result<Self, InvalidValue> {
        let bytes = user_id.as_ref();
        if bytes.len() > Self::MAX_LEN || bytes.contains(&0) {
            return Err(InvalidValue::UserId(bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// Creates a user id of at most 255 bytes without a NUL, which the decoder has checked.
    #[inline]
    pub(crate) const fn from_delimited(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, without the NUL.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Compares in a time that depends only on the lengths, not on which byte differs.
impl PartialEq for UserId<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.0, other.0)
    }
}

impl Hash for UserId<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Prints only the length.
impl fmt::Debug for UserId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({} bytes)", self.0.len())
    }
}

/// A client's request, SOCKS4 or SOCKS4a. It has 9 to 520 bytes.
///
/// ```text
/// +----+----+---------+-------+----------+------+----------+------+
/// | VN | CD | DSTPORT | DSTIP |  USERID  | NULL |   NAME   | NULL |
/// +----+----+---------+-------+----------+------+----------+------+
/// | 04 | 1  |    2    |   4   | 0 to 255 |  00  | 1 to 255 |  00  |
/// +----+----+---------+-------+----------+------+----------+------+
/// ```
///
/// In SOCKS4a, DSTIP is `0.0.0.x` with x other than 0, and a name and its NUL follow. So none of these addresses can
/// be the target of a request. `0.0.0.0` is an address like any other.
///
/// ```
/// use sans_socks::message::Encode;
/// use sans_socks::socks4::{Request, UserId};
/// use sans_socks::{Address, Command};
///
/// let address = Address::try_from(("example.com", 80))?;
/// let request = Request::new(Command::CONNECT, address, UserId::new("alice")?)?;
/// let mut bytes = [0; Request::MAX_LEN];
/// let len = request.encode_into(&mut bytes)?;
/// assert_eq!(&bytes[..len], b"\x04\x01\x00\x50\0\0\0\x01alice\0example.com\0");
/// assert_eq!(Request::decode(&bytes[..len])?.complete(), Some((request, len)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request<'a> {
    command: Command,
    /// Not IPv6, not `0.0.0.x` with x other than 0, and not a name with a NUL.
    address: Address<'a>,
    user_id: UserId<'a>,
}

impl<'a> Request<'a> {
    /// Creates a request.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::Socks4Address`] when the host is an IPv6 address, `0.0.0.x` with x other than 0, or a name with a
    /// NUL.
    pub fn new(command: Command, address: Address<'a>, user_id: UserId<'a>) -> Result<Self, InvalidValue> {
        let encodable = match address.host {
            Host::Ipv4(ip) => !announces_name(ip),
            Host::Domain(name) => !name.as_bytes().contains(&0),
            Host::Ipv6(_) => false,
        };
        if !encodable {
            return Err(InvalidValue::Socks4Address);
        }
        Ok(Self {
            command,
            address,
            user_id,
        })
    }

    /// Returns the command: the field CD. Unknown commands are decoded too, and a server gets them as a pending
    /// request.
    #[inline]
    #[must_use]
    pub const fn command(&self) -> Command {
        self.command
    }

    /// Returns DSTIP or the name, with DSTPORT.
    #[inline]
    #[must_use]
    pub const fn address(&self) -> Address<'a> {
        self.address
    }

    /// Returns the user id: the field USERID.
    #[inline]
    #[must_use]
    pub const fn user_id(&self) -> UserId<'a> {
        self.user_id
    }

    /// Decodes a request. [Decides](crate::message) at byte 1 (VN), at byte 9, and then at every byte that can end a
    /// field or be a fault.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VN is not `04`, [`Malformed::UserIdTooLong`] at byte 256 of a user id,
    /// [`Malformed::EmptyDomain`] for a name of length 0, [`Malformed::DomainTooLong`] at byte 256 of a name.
    #[inline]
    pub fn decode(input: &'a [u8]) -> Result<Decoded<Self>, Malformed> {
        let have = input.len();
        let (command, port, ip, rest) = match *input {
            [got, ..] if got != VERSION => {
                return Err(Malformed::Version {
                    expected: VERSION,
                    got,
                });
            }
            [_, command, p, q, a, b, c, d, ref rest @ ..] => {
                let ip = Ipv4Addr::new(a, b, c, d);
                (Command::new(command), u16::from_be_bytes([p, q]), ip, rest)
            }
            _ => return Ok(Decoded::incomplete(HEAD_LEN + 1, have)),
        };
        let named = announces_name(ip);
        let (user_id, rest) = match field(rest, UserId::MAX_LEN, Malformed::UserIdTooLong)? {
            Field::Whole(user_id, rest) => (user_id, rest),
            // At least the NUL and the first byte of the name follow. If that byte is another NUL, the name is empty.
            Field::Open { full: false } if named => return Ok(Decoded::incomplete(have + 2, have)),
            Field::Open { .. } => return Ok(Decoded::incomplete(have + 1, have)),
        };
        let (host, rest) = if named {
            match field(rest, Domain::MAX_LEN, Malformed::DomainTooLong)? {
                Field::Whole([], _) => return Err(Malformed::EmptyDomain),
                Field::Whole(name, rest) => (Host::Domain(Domain::from_counted(name)), rest),
                Field::Open { .. } => return Ok(Decoded::incomplete(have + 1, have)),
            }
        } else {
            (Host::Ipv4(ip), rest)
        };
        Ok(Decoded::Complete {
            value: Self {
                command,
                address: Address { host, port },
                user_id: UserId::from_delimited(user_id),
            },
            consumed: have - rest.len(),
        })
    }

    /// Returns whether `more`, which follows `have` bytes of a request, is known to stay inside a field: it neither
    /// ends the field nor reaches its limit. `false` means that only the decoder can tell, for instance for most bytes of a
    /// name after a long user id.
    pub(crate) fn is_inside_field(have: u16, more: &[u8]) -> bool {
        let total = usize::from(have).saturating_add(more.len());
        usize::from(have) >= HEAD_LEN
            && total < HEAD_LEN + UserId::MAX_LEN
            && !more.is_empty()
            && !more.contains(&0)
    }

    /// Returns where the name begins.
    pub(crate) fn name_start(user_id_len: u8) -> usize {
        HEAD_LEN + usize::from(user_id_len) + 1
    }

    /// Where USERID begins.
    pub(crate) const USER_ID_START: usize = HEAD_LEN;
}

/// Returns whether a name follows: `0.0.0.x` with x other than 0.
fn announces_name(ip: Ipv4Addr) -> bool {
    matches!(ip.octets(), [0, 0, 0, 1..=255])
}

/// A field that a NUL ends.
enum Field<'a> {
    /// The field, and the bytes after its NUL.
    Whole(&'a [u8], &'a [u8]),
    /// There is no NUL yet. If `full`, the next byte must be the NUL.
    Open { full: bool },
}

/// Decodes a field of at most `max` bytes.
#[inline]
fn field(bytes: &[u8], max: usize, too_long: Malformed) -> Result<Field<'_>, Malformed> {
    let within = bytes.get(..=max).unwrap_or(bytes);
    match within.iter().position(|byte| *byte == 0) {
        Some(end) => {
            let rest = bytes.get(end + 1..).unwrap_or_default();
            Ok(Field::Whole(bytes.get(..end).unwrap_or_default(), rest))
        }
        None if bytes.len() > max => Err(too_long),
        None => Ok(Field::Open {
            full: bytes.len() == max,
        }),
    }
}

const _: () = assert!(Request::MAX_LEN == HEAD_LEN + UserId::MAX_LEN + 1 + Domain::MAX_LEN + 1);

impl private::Sealed for Request<'_> {}
impl Encode for Request<'_> {
    const MAX_LEN: usize = 520;

    #[inline]
    fn encoded_len(&self) -> usize {
        let name = match self.address.host {
            Host::Domain(name) => name.as_bytes().len() + 1,
            Host::Ipv4(_) | Host::Ipv6(_) => 0,
        };
        HEAD_LEN + self.user_id.as_bytes().len() + 1 + name
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = self.encoded_len();
        let (ip, name) = match self.address.host {
            Host::Ipv4(ip) => (ip, None),
            Host::Domain(name) => (Ipv4Addr::new(0, 0, 0, 1), Some(name.as_bytes())),
            Host::Ipv6(_) => {
                debug_assert!(false, "a request cannot be built with IPv6");
                (Ipv4Addr::UNSPECIFIED, None)
            }
        };
        let [p, q] = self.address.port.to_be_bytes();
        let [a, b, c, d] = ip.octets();
        let user_id = self.user_id.as_bytes();
        if let Some((head, rest)) = room(out, needed)?.split_first_chunk_mut::<HEAD_LEN>() {
            *head = [VERSION, self.command.get(), p, q, a, b, c, d];
            if let Some((to, [nul, rest @ ..])) = rest.split_at_mut_checked(user_id.len()) {
                copy(user_id, to);
                *nul = 0;
                if let (Some(name), [to @ .., nul]) = (name, rest) {
                    copy(name, to);
                    *nul = 0;
                }
            }
        }
        Ok(needed)
    }
}
