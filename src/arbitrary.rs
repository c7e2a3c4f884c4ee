//! Implementations of `Arbitrary` where a derived one would be wrong: for lengths, and for fields that depend on each other.
//! Common code points and names are more likely than others, because a server refuses nearly all uniformly distributed ones.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::address::{Address, AddressBuf, Domain, Host};
use crate::client::Auth;
use crate::code_point::{AuthStatus, Command, Method, ReplyCode};
use crate::credentials::{Credentials, CredentialsBuf};
use crate::gssapi::{ClientConfig, ProtectionLevel, ServerConfig, Token};
use crate::message::greeting::Methods;
use crate::server::Established;
use crate::socks4::{self, UserId};
use crate::udp::{Datagram, Frag};

/// 255 bytes in the form of a host name, two more than DNS allows. Every suffix that starts with a letter has that form,
/// too.
const HOST_NAME: &str = concat!(
    "labels-of-sixty-three-bytes-are-the-longest-ones-that-dns-allow.",
    "labels-of-sixty-three-bytes-are-the-longest-ones-that-dns-allow.",
    "labels-of-sixty-three-bytes-are-the-longest-ones-that-dns-allow.",
    "a-few.shorter-labels.follow.here.www.mail.host-12.example.com.a",
);
const _: () = assert!(HOST_NAME.len() == Domain::MAX_LEN);

/// Implements `Arbitrary` for code points. Three in four are named, and the others are any byte.
macro_rules! mostly_named {
    ($($type:ty),*) => {$(
        impl<'a> Arbitrary<'a> for $type {
            fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
                if u.ratio(3_u8, 4_u8)? {
                    u.choose(Self::NAMED).copied()
                } else {
                    u8::arbitrary(u).map(Self::new)
                }
            }

            fn size_hint(_: usize) -> (usize, Option<usize>) {
                (0, Some(2))
            }
        }
    )*};
}

mostly_named!(Method, ReplyCode, AuthStatus, Frag, socks4::ReplyCode);

/// Half of the generated commands are CONNECT, and half of the others are named.
impl<'a> Arbitrary<'a> for Command {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        match u.int_in_range(0..=3_u8)? {
            0 | 1 => Ok(Self::CONNECT),
            2 => u.choose(Self::NAMED).copied(),
            _ => u8::arbitrary(u).map(Self::new),
        }
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (0, Some(2))
    }
}

/// Takes 1 to 255 bytes, but at most half of the input, so that bytes are left for the next value. If the input is empty,
/// returns one byte.
fn counted<'a>(u: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let len = u.int_in_range(1..=255)?;
    match u.len().div_ceil(2) {
        0 => Ok(b"a"),
        half => u.bytes(len.min(half)),
    }
}

/// Takes up to `max` bytes, but at most half of the input.
fn up_to<'a>(u: &mut Unstructured<'a>, max: usize) -> Result<&'a [u8]> {
    let len = u.int_in_range(0..=max.min(u.len() / 2))?;
    u.bytes(len)
}

/// Half of the generated names are host names, and the others are any bytes.
impl<'a> Arbitrary<'a> for Domain<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if bool::arbitrary(u)? {
            return Ok(Self::from_counted(counted(u)?));
        }
        let start = HOST_NAME.len() - usize::from(u.int_in_range(1..=255_u8)?);
        let name = HOST_NAME.get(start..).unwrap_or_default();
        let name = name.trim_start_matches(['.', '-']);
        Ok(Self::from_counted(name.as_bytes()))
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (0, Some(2 + Self::MAX_LEN))
    }
}

impl<'a> Arbitrary<'a> for AddressBuf {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Address::arbitrary(u).map(Self::from)
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        Address::size_hint(depth)
    }
}

/// Neither field is empty.
impl<'a> Arbitrary<'a> for Credentials<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::from_counted(counted(u)?, counted(u)?))
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (0, Some(2 * (1 + Self::MAX_FIELD_LEN)))
    }
}

/// Neither field is empty.
impl<'a> Arbitrary<'a> for CredentialsBuf {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Credentials::arbitrary(u).map(Self::from)
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        Credentials::size_hint(depth)
    }
}

/// The list ends before the first `FF`, because `FF` cannot be offered.
impl<'a> Arbitrary<'a> for Methods<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bytes = counted(u)?;
        let refusal = bytes.iter().position(|byte| *byte == Method::NO_ACCEPTABLE.get());
        Ok(match bytes.get(..refusal.unwrap_or(bytes.len())) {
            None | Some([]) => Self::from_wire(&[0]),
            Some(methods) => Self::from_wire(methods),
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (0, Some(256))
    }
}

/// It has credentials if it offers user name and password. Half of the values offer only `00`, only `02`, or both.
impl<'a> Arbitrary<'a> for Auth<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        match u.int_in_range(0..=5_u8)? {
            0 => return Ok(Self::none()),
            1 => return Ok(Self::password(u.arbitrary()?)),
            2 => return Ok(Self::password_or_none(u.arbitrary()?)),
            _ => {}
        }
        let greeting = u.arbitrary()?;
        match Self::offering(greeting, None) {
            Ok(auth) => Ok(auth),
            Err(_) => {
                Self::offering(greeting, Some(u.arbitrary()?)).map_err(|_| arbitrary::Error::IncorrectFormat)
            }
        }
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        let methods = Methods::size_hint(depth).1;
        let credentials = Credentials::size_hint(depth).1;
        (0, methods.zip(credentials).map(|(a, b)| 1 + a + b))
    }
}

/// `Other` never holds CONNECT, BIND or UDP ASSOCIATE, as in a server's handshake: they have the other variants.
impl<'a> Arbitrary<'a> for Established {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=2_u8)? {
            0 => Self::Stream,
            1 => Self::UdpAssociation,
            _ => match Command::arbitrary(u)? {
                Command::CONNECT | Command::BIND | Command::UDP_ASSOCIATE => Self::Other(Command::RESOLVE),
                other => Self::Other(other),
            },
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (0, Some(3))
    }
}

impl<'a> Arbitrary<'a> for Datagram<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::new(u.arbitrary()?, up_to(u, usize::MAX)?))
    }
}

impl<'a> Arbitrary<'a> for UserId<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bytes = up_to(u, Self::MAX_LEN)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Ok(Self::from_delimited(bytes.get(..end).unwrap_or_default()))
    }
}

/// A host that version 4 cannot encode becomes `0.0.0.0`.
impl<'a> Arbitrary<'a> for socks4::Request<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (command, address): (_, Address<'_>) = u.arbitrary()?;
        let user_id = u.arbitrary()?;
        Self::new(command, address, user_id)
            .or_else(|_| {
                let host = Host::from(core::net::Ipv4Addr::UNSPECIFIED);
                Self::new(command, Address { host, ..address }, user_id)
            })
            .map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for Token<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Self::new(up_to(u, Self::MAX_LEN)?).map_err(|_| arbitrary::Error::IncorrectFormat)
    }

    fn arbitrary_take_rest(u: Unstructured<'a>) -> Result<Self> {
        let bytes = u.take_rest();
        Self::new(bytes.get(..Self::MAX_LEN).unwrap_or(bytes)).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for ClientConfig {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let proposed: Option<ProtectionLevel> = u.arbitrary()?;
        Ok(proposed
            .map_or(Self::unprotected(), Self::new)
            .with_accepted(levels(u)?)
            .with_nec(u.arbitrary()?)
            .with_max_token(u.arbitrary()?)
            .with_max_level_token(u.arbitrary()?))
    }
}

impl<'a> Arbitrary<'a> for ServerConfig {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::new()
            .with_allowed(levels(u)?)
            .with_clear(u.arbitrary()?)
            .with_counter_offer(u.arbitrary()?)
            .with_nec(u.arbitrary()?)
            .with_max_token(u.arbitrary()?)
            .with_max_level_token(u.arbitrary()?))
    }
}

/// Any set of levels.
fn levels(u: &mut Unstructured<'_>) -> Result<&'static [ProtectionLevel]> {
    use ProtectionLevel::{Confidentiality, Integrity, Selective};

    const SETS: [&[ProtectionLevel]; 8] = [
        &[],
        &[Integrity],
        &[Confidentiality],
        &[Selective],
        &[Integrity, Confidentiality],
        &[Integrity, Selective],
        &[Confidentiality, Selective],
        &[Integrity, Confidentiality, Selective],
    ];
    u.choose(&SETS).copied()
}
