//! A relay's way for datagrams: whose they are, then what they are pieces of. Both against models that say it in
//! the simplest words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sans_socks::message::Encode;
use sans_socks::udp::{Association, Datagram, Discard, Reassembler};
use sans_socks::{Address, Malformed};

use super::model::{Machine, Pair};
use super::octets::Octets;

const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

impl Octets<'_> {
    fn ip(&mut self) -> IpAddr {
        self.choose([
            V4.into(),
            V4.to_ipv6_mapped().into(),
            V6.into(),
            Ipv4Addr::LOCALHOST.into(),
        ])
    }

    fn port(&mut self) -> u16 {
        self.choose([0, 4000, 4001])
    }
}

/// Whose datagrams an association takes.
struct Naive {
    peer: IpAddr,
    port: Option<u16>,
    client: Option<SocketAddr>,
    fragments: bool,
    strict: bool,
}

impl Naive {
    fn same_ip(one: IpAddr, other: IpAddr) -> bool {
        let octets = |ip| match ip {
            IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip).octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        octets(one) == octets(other)
    }

    fn new(peer: IpAddr, requested: &Address<'_>, fragments: bool, strict: bool) -> Self {
        let named = requested.to_socket_addr();
        let named = named.filter(|named| Self::same_ip(named.ip(), peer) && named.port() > 0);
        Self {
            peer,
            port: named.map(|named| named.port()),
            client: None,
            fragments,
            strict,
        }
    }

    fn admits(&self, source: SocketAddr) -> bool {
        Self::same_ip(source.ip(), self.peer) && (self.port.is_none() || self.port == Some(source.port()))
    }

    /// The octets of the header, if the datagram goes on.
    fn judge(&mut self, source: SocketAddr, datagram: &[u8]) -> Result<usize, Discard> {
        if !self.admits(source) {
            return Err(Discard::Source);
        }
        let octet = |at: usize| datagram.get(at).copied().ok_or(Malformed::Truncated);
        let header_len = match octet(3)? {
            1 => 10,
            3 => match octet(4)? {
                0 => return Err(Malformed::EmptyDomain.into()),
                n => 7 + usize::from(n),
            },
            4 => 22,
            other => return Err(Malformed::AddressType(other).into()),
        };
        octet(header_len - 1)?;
        let reserved = if datagram[0] != 0 {
            datagram[0]
        } else {
            datagram[1]
        };
        if self.strict && reserved != 0 {
            return Err(Malformed::Reserved(reserved).into());
        }
        match datagram[2] {
            0 => {}
            _ if !self.fragments => return Err(Discard::Fragment),
            0x80 => return Err(Discard::InvalidFrag),
            _ => {}
        }
        self.port = Some(source.port());
        self.client = self.client.or(Some(source));
        Ok(header_len)
    }
}

pub fn udp_ops(input: &[u8]) {
    let mut input = Octets(input);
    match input.octet() % 3 {
        0 => relay(
            input,
            &mut Reassembler::with_storage(Vec::new()).with_max_datagram(24),
            24,
            24,
        ),
        1 => relay(
            input,
            &mut Reassembler::with_storage([0xa5; 17]).with_max_datagram(24),
            24,
            17,
        ),
        _ => relay(
            input,
            &mut Reassembler::with_storage(&mut [0xa5; 300][..]).with_max_datagram(280),
            280,
            300,
        ),
    }
}

fn relay(mut input: Octets<'_>, reassembler: &mut dyn Machine, max_datagram: usize, room: usize) {
    let flags = input.octet();
    let (fragments, strict) = (flags & 1 == 0, flags & 2 != 0);
    let peer = input.ip();
    let requested = match flags & 4 {
        0 => Address::from((input.ip(), input.port())),
        _ => input.address(),
    };
    let mut association = Association::new(SocketAddr::new(peer, 51000), &requested);
    if fragments {
        association = association.with_fragments(true);
    }
    if strict {
        association = association.with_strict_reserved(true);
    }
    let mut naive = Naive::new(peer, &requested, fragments, strict);
    let mut pair = Pair::new(reassembler, max_datagram, room);

    // The client's own datagrams come more often than what somebody else sends it.
    let usual = SocketAddr::new(peer, naive.port.unwrap_or(4000));
    while let Some(op) = input.next_op() {
        pair.pass(Duration::from_millis(match op >> 5 & 3 {
            3 => input.u16().into(),
            few => 40 * u64::from(few),
        }));
        let source = match op >> 3 & 3 {
            3 => SocketAddr::new(input.ip(), input.port()),
            _ => usual,
        };
        let next = pair.next_position();
        let datagram = match op & 7 {
            0 if op & 0x18 == 0x18 => {
                pair.reset();
                continue;
            }
            0 => {
                pair.handle_timeout();
                continue;
            }
            // Octets as they come.
            1 => {
                let len = input.octet();
                input.take(len.into()).to_vec()
            }
            // A header of these, and some payload.
            2 => build(
                input.octet(),
                [input.octet(), input.octet()],
                input.address(),
                &mut input,
            ),
            // The piece that is due, or the last, to where the client sends mostly.
            last @ (3 | 4) => build(next | (last & 4) << 5, [0, 0], USUAL, &mut input),
            _ => build(next, [0, 0], USUAL, &mut input),
        };

        let before = (association.client(), association.admits(usual));
        assert_eq!(association.admits(source), naive.admits(source));
        let judged = association.accept(source, &datagram);
        let stated = naive.judge(source, &datagram);
        assert_eq!(association.client(), naive.client);
        match (judged, stated) {
            (Ok(decoded), Ok(header_len)) => {
                assert_eq!(decoded.header.frag.get(), datagram[2]);
                assert_eq!(decoded.header.encoded_len(), header_len);
                assert_eq!(decoded.payload, &datagram[header_len..]);
                pair.handle_datagram(decoded);
            }
            (Err(reason), stated) => {
                assert_eq!(Err(reason), stated);
                assert_eq!(
                    (association.client(), association.admits(usual)),
                    before,
                    "nothing is learned"
                );
                // Nor would the reassembler break by what it was not meant to see.
                if let Ok(unjudged) = Datagram::decode(&datagram) {
                    pair.handle_datagram(unjudged);
                }
            }
            (Ok(decoded), Err(reason)) => panic!("{decoded:?} instead of {reason:?}"),
        }
    }
}

const USUAL: Address<'static> = Address::UNSPECIFIED;

fn build(frag: u8, reserved: [u8; 2], to: Address<'_>, input: &mut Octets<'_>) -> Vec<u8> {
    let len = input.octet();
    let payload = input.take(usize::from(len % 32));
    let mut datagram = reserved.to_vec();
    datagram.push(frag);
    // The rest of the header, from an encoder that another target looks at.
    let header = sans_socks::udp::Header::standalone(to);
    let mut octets = vec![0; header.encoded_len()];
    header.encode_into(&mut octets).expect("room");
    datagram.extend_from_slice(&octets[3..]);
    datagram.extend_from_slice(payload);
    datagram
}
