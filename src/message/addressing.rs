//! [RFC 1928 §5]: ATYP, address and port, after the first three bytes of requests, replies and UDP headers.
//!
//! ```text
//! +---------+------+----------+------+
//! |  head   | ATYP |   ADDR   | PORT |
//! +---------+------+----------+------+
//! |    3    |  1   | Variable |  2   |
//! +---------+------+----------+------+
//!
//! ATYP 01: ADDR is an IPv4 address, 4 bytes
//! ATYP 03: ADDR is one byte n and a name of n bytes, 1 + n bytes
//! ATYP 04: ADDR is an IPv6 address, 16 bytes
//! ```
//!
//! [RFC 1928 §5]: https://www.rfc-editor.org/rfc/rfc1928#section-5

use core::net::{Ipv4Addr, Ipv6Addr};

use super::{copy, length_byte};
use crate::address::{Address, Domain, Host};
use crate::error::Malformed;
use crate::message::BufferTooSmall;

const IPV4: u8 = 1;
const DOMAIN: u8 = 3;
const IPV6: u8 = 4;

/// The length of a message up to ATYP, inclusive.
pub(crate) const TO_ATYP: usize = 4;
const IPV4_LEN: usize = TO_ATYP + 4 + 2;
const IPV6_LEN: usize = TO_ATYP + 16 + 2;
const EMPTY_DOMAIN_LEN: usize = TO_ATYP + 1 + 2;
pub(crate) const MAX_LEN: usize = EMPTY_DOMAIN_LEN + Domain::MAX_LEN;

/// The meaning of a name of length 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmptyDomain {
    /// A fault (R-030).
    Malformed,
    /// There is no address. Some servers send such replies (Q-046, Q-047).
    Unspecified,
}

/// Decodes the address in `message`. The slice starts with the first byte of the message, not with ATYP.
///
/// Decides at byte 4 (ATYP), for a name at byte 5 (its length), and at the last byte. `complete` gets the address and the
/// length of the message. `incomplete` gets the length up to the next decision.
///
/// Each arm builds the result itself. If one place after the arms built it, the address would be stored in parts and
/// then loaded in one access, which stalls the processor.
#[inline(always)] // Each caller gets a copy that builds its own result.
pub(crate) fn decode<'a, T>(
    message: &'a [u8],
    empty: EmptyDomain,
    complete: impl FnOnce(Address<'a>, usize) -> Result<T, Malformed>,
    incomplete: impl FnOnce(usize) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let complete = |host, port, len| {
        let port = u16::from_be_bytes(port);
        complete(Address { host, port }, len)
    };
    match *message {
        [_, _, _, IPV4, a, b, c, d, p, q, ..] => {
            complete(Host::Ipv4(Ipv4Addr::new(a, b, c, d)), [p, q], IPV4_LEN)
        }
        [_, _, _, IPV4, ..] => incomplete(IPV4_LEN),
        [_, _, _, DOMAIN, 0, ..] if empty == EmptyDomain::Malformed => Err(Malformed::EmptyDomain),
        [_, _, _, DOMAIN, 0, p, q, ..] => complete(Address::UNSPECIFIED.host, [p, q], EMPTY_DOMAIN_LEN),
        [_, _, _, DOMAIN, n, ref rest @ ..] => {
            let n = usize::from(n);
            let total = EMPTY_DOMAIN_LEN + n;
            match rest.get(..n + 2) {
                Some(&[ref name @ .., p, q]) => {
                    complete(Host::Domain(Domain::from_counted(name)), [p, q], total)
                }
                _ => incomplete(total),
            }
        }
        [_, _, _, DOMAIN] => incomplete(TO_ATYP + 1),
        [_, _, _, IPV6, ref rest @ ..] => match rest.split_first_chunk::<16>() {
            Some((ip, &[p, q, ..])) => complete(Host::Ipv6(Ipv6Addr::from(*ip)), [p, q], IPV6_LEN),
            _ => incomplete(IPV6_LEN),
        },
        [_, _, _, unknown, ..] => Err(Malformed::AddressType(unknown)),
        _ => incomplete(TO_ATYP),
    }
}

/// Returns the length of a message with this address.
#[inline]
pub(crate) fn encoded_len(address: &Address<'_>) -> usize {
    match address.host {
        Host::Ipv4(_) => IPV4_LEN,
        Host::Domain(name) => EMPTY_DOMAIN_LEN + name.as_bytes().len(),
        Host::Ipv6(_) => IPV6_LEN,
    }
}

/// Writes a message to the front of `out`: its first three bytes, then the address.
#[inline]
pub(crate) fn encode(head: [u8; 3], address: &Address<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    encode_to(head, address, |needed| out.get_mut(..needed))
}

/// Writes a message so that it ends at byte `end` of `buf`, and returns where it begins.
#[inline]
pub(crate) fn encode_before(
    head: [u8; 3],
    address: &Address<'_>,
    buf: &mut [u8],
    end: usize,
) -> Result<usize, BufferTooSmall> {
    let len = encode_to(head, address, |needed| buf.get_mut(end.checked_sub(needed)?..end))?;
    Ok(end.saturating_sub(len))
}

/// Writes a message to the slice that `place` returns for its length.
#[inline(always)] // Each caller gets a copy with its `place`.
fn encode_to<'a>(
    head: [u8; 3],
    address: &Address<'_>,
    place: impl FnOnce(usize) -> Option<&'a mut [u8]>,
) -> Result<usize, BufferTooSmall> {
    let room = |needed| place(needed).ok_or(BufferTooSmall { needed });
    let [x, y, z] = head;
    let [p, q] = address.port.to_be_bytes();
    match address.host {
        Host::Ipv4(ip) => {
            if let Some(out) = room(IPV4_LEN)?.first_chunk_mut() {
                let [to_x, to_y, to_z, atyp, addr @ .., to_p, to_q]: &mut [u8; IPV4_LEN] = out;
                [*to_x, *to_y, *to_z, *atyp, *to_p, *to_q] = [x, y, z, IPV4, p, q];
                *addr = ip.octets();
            }
            Ok(IPV4_LEN)
        }
        Host::Domain(name) => {
            let name = name.as_bytes();
            let needed = EMPTY_DOMAIN_LEN + name.len();
            if let [to_x, to_y, to_z, atyp, n, to @ .., to_p, to_q] = room(needed)? {
                [*to_x, *to_y, *to_z, *atyp, *n] = [x, y, z, DOMAIN, length_byte(name)];
                copy(name, to);
                [*to_p, *to_q] = [p, q];
            }
            Ok(needed)
        }
        Host::Ipv6(ip) => {
            if let Some(out) = room(IPV6_LEN)?.first_chunk_mut() {
                let [to_x, to_y, to_z, atyp, addr @ .., to_p, to_q]: &mut [u8; IPV6_LEN] = out;
                [*to_x, *to_y, *to_z, *atyp, *to_p, *to_q] = [x, y, z, IPV6, p, q];
                *addr = ip.octets();
            }
            Ok(IPV6_LEN)
        }
    }
}
