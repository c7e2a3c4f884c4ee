//! A request in the buffer of a server, decoded once.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::address::{Address, Domain, Host};
use crate::code_point::Command;
use crate::message::length_byte;
use crate::message::request::Request;
use crate::socks4::{self, UserId, Version};

/// The kind of a complete request, and where its parts are.
///
/// It is `Clone` and not `Copy`. A bitwise copy would load all fields in one access, although they were stored one by
/// one, and the processor would stall.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) command: Command,
    host: Place,
    port: u16,
    version: Version,
    /// The length of USERID, which only version 4 has.
    user_id: u8,
}

/// The kind of host.
#[derive(Clone, Debug)]
enum Place {
    Ipv4,
    Ipv6,
    Name { len: u8 },
}

impl Received {
    #[inline]
    pub(super) fn new(request: &Request<'_>) -> Self {
        Self {
            command: request.command,
            host: Place::of(request.address.host),
            port: request.address.port,
            version: Version::Socks5,
            user_id: 0,
        }
    }

    pub(super) fn socks4(request: &socks4::Request<'_>) -> Self {
        let Address { host, port } = request.address();
        Self {
            command: request.command(),
            host: Place::of(host),
            port,
            version: Version::Socks4,
            user_id: length_byte(request.user_id().as_bytes()),
        }
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// Returns the request in these bytes.
    #[inline]
    pub(super) fn view<'a>(&self, bytes: &'a [u8]) -> Request<'a> {
        // In both versions, four bytes precede an IP address.
        let after_head = bytes.get(4..).unwrap_or_default();
        let host = match self.host {
            Place::Ipv4 => Host::Ipv4(Ipv4Addr::from(first_chunk(after_head))),
            Place::Ipv6 => Host::Ipv6(Ipv6Addr::from(first_chunk(after_head))),
            Place::Name { len } => {
                let start = match self.version {
                    Version::Socks5 => Request::NAME_START,
                    Version::Socks4 => socks4::Request::name_start(self.user_id),
                };
                Host::Domain(Domain::from_counted(range(bytes, start, len)))
            }
        };
        let port = self.port;
        Request::new(self.command, Address { host, port })
    }

    pub(super) fn user_id<'a>(&self, bytes: &'a [u8]) -> Option<UserId<'a>> {
        match self.version {
            Version::Socks5 => None,
            Version::Socks4 => {
                let bytes = range(bytes, socks4::Request::USER_ID_START, self.user_id);
                Some(UserId::from_delimited(bytes))
            }
        }
    }
}

impl Place {
    #[inline]
    const fn of(host: Host<'_>) -> Self {
        match host {
            Host::Ipv4(_) => Self::Ipv4,
            Host::Ipv6(_) => Self::Ipv6,
            Host::Domain(name) => Self::Name {
                len: length_byte(name.as_bytes()),
            },
        }
    }
}

/// Returns `len` bytes of a complete request.
#[inline]
fn range(bytes: &[u8], start: usize, len: u8) -> &[u8] {
    let range = bytes.get(start..start + usize::from(len));
    debug_assert!(range.is_some(), "the request is complete");
    range.unwrap_or_default()
}

/// Returns the first bytes of a part of a complete request.
#[inline]
fn first_chunk<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let chunk = bytes.first_chunk();
    debug_assert!(chunk.is_some(), "the request is complete");
    chunk.copied().unwrap_or([0; N])
}
