//! Datagrams at a relay and at a client: which are accepted, which association they belong to, and how fragments are
//! reassembled. Simple models run beside the code.
//!
//! The input is a list of operations that [`Arbitrary`] decodes, so a finding is printed as such a list.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use arbitrary::Arbitrary;
use sans_socks::message::Encode;
use sans_socks::udp::{
    Association, AssociationTable, ClientAssociation, Datagram, Discard, Header, Outcome, Reassembler,
    Storage, TableError, max_payload,
};
use sans_socks::{Address, AddressBuf, Domain, InvalidValue, Malformed};

use sans_socks_testing::reassembly::{Machine, Pair};

/// The objects under test, and the operations on them.
#[derive(Arbitrary, Clone, Debug)]
pub enum Scenario {
    /// One association and its reassembler.
    Relay {
        config: Config,
        peer: Source,
        requested: Requested,
        memory: Memory,
        ops: Vec<Op>,
    },
    /// Associations that share a socket.
    Table { limit: u8, ops: Vec<TableOp> },
    /// The client's side.
    Client {
        bound: Requested,
        proxy: Source,
        proxy_host: bool,
        memory: Memory,
        ops: Vec<Op>,
    },
}

/// An operation on an association. Time is in milliseconds.
#[derive(Arbitrary, Clone, Debug)]
pub enum Op {
    /// A datagram from the usual source: the relay's client, or the client's relay.
    Usual {
        wire: Wire,
    },
    From {
        source: Source,
        wire: Wire,
    },
    Wait {
        ms: u16,
    },
    /// Time passes, and the timer is handled.
    Tick {
        ms: u16,
    },
    Reset,
}

/// An operation on a table.
#[derive(Arbitrary, Clone, Debug)]
pub enum TableOp {
    Insert {
        key: u8,
        peer: Source,
        requested: Requested,
        config: Config,
    },
    Remove {
        key: u8,
    },
    From {
        source: Source,
        wire: Wire,
    },
}

/// The settings of an association.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Config {
    pub any_port: bool,
    pub fragments: bool,
    pub control_bytes: bool,
    pub strict_reserved: bool,
}

/// The storage of a reassembler: a `Vec`, an array that is shorter than the limit, a slice that is longer.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Memory {
    Vec,
    Array,
    Slice,
}

/// A datagram on the wire. All payloads differ, so a delivery shows its fragments.
#[derive(Arbitrary, Clone, Debug)]
pub enum Wire {
    /// The fragment that the open sequence waits for.
    Next { last: bool, len: u8 },
    /// The previous datagram, with these bits of FRAG flipped.
    Again { flip: u8 },
    Built {
        reserved: [u8; 2],
        frag: u8,
        to: To,
        len: u8,
    },
    /// The first `len` bytes, which need not be a datagram.
    Raw { len: u8, bytes: [u8; 24] },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Source {
    pub ip: Ip,
    pub port: Port,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Ip {
    V4,
    Mapped,
    OtherV4,
    V6,
    /// A link-local address with its scope.
    Link2,
    Link3,
    LinkUnscoped,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Port {
    First,
    Second,
    Zero,
}

/// The address in a request or a reply.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Requested {
    Unspecified {
        port: Port,
    },
    Socket {
        source: Source,
    },
    /// A name that spells an IP address.
    Spelled {
        source: Source,
    },
    Name {
        port: Port,
    },
}

/// The address in a datagram.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum To {
    Usual,
    V6,
    Name,
    ControlBytes,
    LongName,
}

pub fn udp_ops(scenario: Scenario) {
    match scenario {
        Scenario::Relay {
            config,
            peer,
            requested,
            memory,
            ops,
        } => {
            let association = config.association(peer, &requested);
            let naive = Naive::new(peer, &requested, config);
            memory.with(|machine, limits| {
                relay(association, naive, Pair::new(machine, limits.0, limits.1), &ops);
            });
        }
        Scenario::Table { limit, ops } => table(usize::from(limit % 8), &ops),
        Scenario::Client {
            bound,
            proxy,
            proxy_host,
            memory,
            ops,
        } => client(&bound, proxy, proxy_host, memory, &ops),
    }
}

impl Memory {
    /// The largest sum of fragments, and the room for them.
    fn limits(self) -> (usize, usize) {
        match self {
            Self::Vec => (24, 24),
            Self::Array => (24, 17),
            Self::Slice => (280, 300),
        }
    }

    fn with(self, run: impl FnOnce(&mut dyn Machine, (usize, usize))) {
        let limits = self.limits();
        match self {
            Self::Vec => run(&mut reassembler(Vec::new(), limits), limits),
            Self::Array => run(&mut reassembler([0xa5; 17], limits), limits),
            Self::Slice => run(&mut reassembler(&mut [0xa5; 300][..], limits), limits),
        }
    }
}

fn reassembler<B: Storage>(storage: B, limits: (usize, usize)) -> Reassembler<Duration, B> {
    Reassembler::with_storage(storage).with_max_datagram(limits.0)
}

impl Config {
    fn association(self, peer: Source, requested: &Requested) -> Association {
        Association::new(peer.socket(), &requested.address().as_address())
            .with_any_port(self.any_port)
            .with_fragments(self.fragments)
            .with_control_bytes(self.control_bytes)
            .with_strict_reserved(self.strict_reserved)
    }
}

impl Ip {
    const ALL: [Self; 7] = [
        Self::V4,
        Self::Mapped,
        Self::OtherV4,
        Self::V6,
        Self::Link2,
        Self::Link3,
        Self::LinkUnscoped,
    ];

    /// The address and its scope.
    fn scoped(self) -> (IpAddr, u32) {
        let v4 = Ipv4Addr::new(192, 0, 2, 7);
        let link = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);
        match self {
            Self::V4 => (v4.into(), 0),
            Self::Mapped => (v4.to_ipv6_mapped().into(), 0),
            Self::OtherV4 => (Ipv4Addr::new(192, 0, 2, 8).into(), 0),
            Self::V6 => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into(), 0),
            Self::Link2 => (link.into(), 2),
            Self::Link3 => (link.into(), 3),
            Self::LinkUnscoped => (link.into(), 0),
        }
    }
}

impl Port {
    const ALL: [Self; 3] = [Self::First, Self::Second, Self::Zero];

    fn number(self) -> u16 {
        match self {
            Self::First => 4000,
            Self::Second => 4001,
            Self::Zero => 0,
        }
    }
}

impl Source {
    fn all() -> impl Iterator<Item = SocketAddr> {
        let of_ip = |ip| Port::ALL.map(|port| Self { ip, port }.socket());
        Ip::ALL.into_iter().flat_map(of_ip)
    }

    fn socket(self) -> SocketAddr {
        match self.ip.scoped() {
            (IpAddr::V6(ip), scope) => SocketAddrV6::new(ip, self.port.number(), 0, scope).into(),
            (ip, _) => SocketAddr::new(ip, self.port.number()),
        }
    }
}

impl Requested {
    fn address(&self) -> AddressBuf {
        let named = |name: &str, port| Address::from((Domain::new(name).expect("a short name"), port)).into();
        match self {
            Self::Unspecified { port } => AddressBuf::from((Ipv4Addr::UNSPECIFIED, port.number())),
            Self::Socket { source } => source.socket().into(),
            Self::Spelled { source } => named(&source.ip.scoped().0.to_string(), source.port.number()),
            Self::Name { port } => named("app.test", port.number()),
        }
    }

    /// The IP address and port, where the host is one or spells one.
    fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket { source } | Self::Spelled { source } => {
                Some(SocketAddr::new(source.ip.scoped().0, source.port.number()))
            }
            Self::Unspecified { .. } | Self::Name { .. } => None,
        }
    }
}

impl To {
    fn address(self) -> Address<'static> {
        const LONG: &[u8] = &[b'x'; 255];
        let name = |bytes: &'static [u8]| Address::from((Domain::new(bytes).expect("1 to 255 bytes"), 53));
        match self {
            Self::Usual => Address::UNSPECIFIED,
            Self::V6 => Address::from((Ipv6Addr::LOCALHOST, 53)),
            Self::Name => name(b"app.test"),
            Self::ControlBytes => name(b"localhost\0.test"),
            Self::LongName => name(LONG),
        }
    }
}

/// Builds datagrams.
#[derive(Default)]
struct Wires {
    serial: u8,
    last: Vec<u8>,
}

impl Wires {
    /// Returns the bytes of `wire`, where `next` is the position that the open sequence waits for.
    fn build(&mut self, wire: &Wire, next: u8) -> &[u8] {
        match *wire {
            Wire::Next { last, len } => {
                self.encode([0, 0], next & 0x7f | u8::from(last) << 7, To::Usual, len);
            }
            Wire::Again { flip } => {
                if let Some(frag) = self.last.get_mut(2) {
                    *frag ^= flip;
                }
            }
            Wire::Built {
                reserved,
                frag,
                to,
                len,
            } => self.encode(reserved, frag, to, len),
            Wire::Raw { len, bytes } => {
                self.last = bytes[..usize::from(len) % (bytes.len() + 1)].to_vec();
            }
        }
        &self.last
    }

    fn encode(&mut self, reserved: [u8; 2], frag: u8, to: To, len: u8) {
        // The encoder of the rest of the header is tested by another target.
        let header = Header::standalone(to.address());
        self.last = vec![0; header.encoded_len()];
        header.encode_into(&mut self.last).expect("room");
        self.last[..2].copy_from_slice(&reserved);
        self.last[2] = frag;
        for _ in 0..len % 32 {
            self.serial = self.serial.wrapping_add(1);
            self.last.push(self.serial);
        }
    }
}

fn same_host(one: SocketAddr, other: SocketAddr) -> bool {
    let bytes = |of: SocketAddr| match of.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let scopes = [one, other].map(|of| match of {
        SocketAddr::V6(of) => of.scope_id(),
        SocketAddr::V4(_) => 0,
    });
    bytes(one) == bytes(other) && (scopes[0] == scopes[1] || scopes.contains(&0))
}

/// The length of the header, if the bytes begin with one.
fn header_len(datagram: &[u8]) -> Result<usize, Malformed> {
    let byte = |at: usize| datagram.get(at).copied().ok_or(Malformed::Truncated);
    let len = match byte(3)? {
        1 => 10,
        3 => match byte(4)? {
            0 => return Err(Malformed::EmptyDomain),
            n => 7 + usize::from(n),
        },
        4 => 22,
        other => return Err(Malformed::AddressType(other)),
    };
    byte(len - 1)?;
    Ok(len)
}

/// The model of an association.
#[derive(Clone, Debug)]
struct Naive {
    config: Config,
    peer: SocketAddr,
    port: Option<u16>,
    client: Option<SocketAddr>,
}

impl Naive {
    fn new(peer: Source, requested: &Requested, config: Config) -> Self {
        let peer = peer.socket();
        let named = requested
            .socket()
            .filter(|named| same_host(*named, peer) && named.port() != 0);
        Self {
            config,
            peer,
            port: named.map(|named| named.port()).filter(|_| !config.any_port),
            client: None,
        }
    }

    fn admits(&self, source: SocketAddr) -> bool {
        let hosts = [Some(self.peer), self.client];
        source.port() != 0
            && hosts.into_iter().flatten().all(|host| same_host(host, source))
            && (self.port.is_none() || self.port == Some(source.port()))
    }

    /// Returns the length of the header, if the datagram is accepted.
    fn accept(&mut self, source: SocketAddr, datagram: &[u8]) -> Result<usize, Discard> {
        if !self.admits(source) {
            return Err(Discard::Source);
        }
        let len = header_len(datagram)?;
        let reserved = datagram[0].max(datagram[1]);
        if self.config.strict_reserved && reserved != 0 {
            let first = if datagram[0] != 0 {
                datagram[0]
            } else {
                datagram[1]
            };
            return Err(Malformed::Reserved(first).into());
        }
        let is_name = datagram[3] == 3;
        let control_bytes = is_name && datagram[5..len - 2].iter().any(u8::is_ascii_control);
        if control_bytes && !self.config.control_bytes {
            return Err(Malformed::ControlBytes.into());
        }
        match datagram[2] {
            0 => {}
            _ if !self.config.fragments => return Err(Discard::Fragment),
            0x80 => return Err(Discard::InvalidFrag),
            _ => {}
        }
        if self.config.any_port {
            self.client = Some(source);
        } else {
            self.port = Some(source.port());
            self.client = self.client.or(Some(source));
        }
        Ok(len)
    }

    /// Checks that the association agrees with the model. A dropped datagram changes nothing.
    fn agrees(&self, association: &Association) {
        assert_eq!(association.client(), self.client);
        for source in Source::all() {
            assert_eq!(association.admits(source), self.admits(source), "{source}");
        }
    }
}

fn is_datagram(decoded: Datagram<'_>, header_len: usize, wire: &[u8]) {
    assert_eq!(decoded.header.frag.get(), wire[2]);
    assert_eq!(decoded.header.encoded_len(), header_len);
    assert_eq!(decoded.payload, &wire[header_len..]);
}

fn relay(mut association: Association, mut naive: Naive, mut pair: Pair<'_>, ops: &[Op]) {
    let mut wires = Wires::default();
    let mut usual = naive.peer;
    usual.set_port(naive.port.unwrap_or(4000));
    for op in ops {
        let (source, wire) = match op {
            Op::Usual { wire } => (usual, wire),
            Op::From { source, wire } => (source.socket(), wire),
            Op::Wait { ms } => {
                pair.pass(Duration::from_millis(u64::from(ms % 8192)));
                continue;
            }
            Op::Tick { ms } => {
                pair.pass(Duration::from_millis(u64::from(ms % 8192)));
                pair.handle_timeout();
                continue;
            }
            Op::Reset => {
                pair.reset();
                continue;
            }
        };
        let datagram = wires.build(wire, pair.next_position());
        let accepted = association.accept(source, datagram);
        let stated = naive.accept(source, datagram);
        naive.agrees(&association);
        match (accepted, stated) {
            (Ok(decoded), Ok(header_len)) => {
                is_datagram(decoded, header_len, datagram);
                pair.handle_datagram(decoded);
            }
            (Err(reason), stated) => {
                assert_eq!(Err(reason), stated);
                // The reassembler also gets datagrams that a relay would not pass to it.
                if let Ok(decoded) = Datagram::decode(datagram) {
                    pair.handle_datagram(decoded);
                }
            }
            (Ok(decoded), Err(reason)) => panic!("{decoded:?} instead of {reason:?}"),
        }
    }
}

fn table(limit: usize, ops: &[TableOp]) {
    let mut table = AssociationTable::new(limit);
    // In the order of insertion.
    let mut naive: Vec<(u8, Naive)> = Vec::new();
    let mut wires = Wires::default();
    for op in ops {
        match op {
            TableOp::Insert {
                key,
                peer,
                requested,
                config,
            } => {
                let result = table.insert(*key, config.association(*peer, requested));
                let in_use = naive.iter().any(|(other, _)| other == key);
                let stated = if in_use {
                    Err(TableError::KeyInUse)
                } else if naive.len() == limit {
                    Err(TableError::Full(limit))
                } else {
                    naive.push((*key, Naive::new(*peer, requested, *config)));
                    Ok(())
                };
                assert_eq!(result, stated);
            }
            TableOp::Remove { key } => {
                let index = naive.iter().position(|(other, _)| other == key);
                let removed = table.remove(key);
                assert_eq!(removed.is_some(), index.is_some());
                if let (Some(removed), Some(index)) = (removed, index) {
                    naive.remove(index).1.agrees(&removed);
                }
            }
            TableOp::From { source, wire } => {
                let source = source.socket();
                let datagram = wires.build(wire, 1);
                let accepted = table.accept(source, datagram);
                let stated = match best(&naive, source) {
                    Some(index) => {
                        let (key, naive) = &mut naive[index];
                        naive.accept(source, datagram).map(|len| (*key, len))
                    }
                    None => Err(Discard::Source),
                };
                match (accepted, stated) {
                    (Ok((key, decoded)), Ok((stated, header_len))) => {
                        assert_eq!(key, stated);
                        is_datagram(decoded, header_len, datagram);
                    }
                    (accepted, stated) => {
                        assert_eq!(accepted.map(|(key, _)| key), stated.map(|(key, _)| key));
                    }
                }
            }
        }
        assert_eq!((table.len(), table.is_empty()), (naive.len(), naive.is_empty()));
        for (key, naive) in &naive {
            assert_eq!(table.get(key).and_then(Association::client), naive.client);
        }
    }
    for (key, naive) in &naive {
        naive.agrees(table.get(key).expect("it was inserted"));
    }
}

/// Returns the association of a datagram: the one whose client is the source, otherwise an unused one that waits for the port,
/// or for any port, or a used one that accepts any port. Of several, the first.
fn best(naive: &[(u8, Naive)], source: SocketAddr) -> Option<usize> {
    let rank = |naive: &Naive| match (naive.client, naive.port) {
        (Some(client), _) if client.port() == source.port() => 0,
        (None, Some(_)) => 1,
        (None, None) => 2,
        (Some(_), _) => 3,
    };
    let admitting = (0..naive.len()).filter(|index| naive[*index].1.admits(source));
    admitting.min_by_key(|index| rank(&naive[*index].1))
}

fn client(bound: &Requested, proxy: Source, proxy_host: bool, memory: Memory, ops: &[Op]) {
    let limits = memory.limits();
    let new = (bound, proxy.socket(), proxy_host);
    match memory {
        Memory::Vec => client_with(new, reassembler(Vec::new(), limits), limits, ops),
        Memory::Array => client_with(new, reassembler([0xa5; 17], limits), limits, ops),
        Memory::Slice => client_with(new, reassembler(&mut [0xa5; 300][..], limits), limits, ops),
    }
}

fn client_with<B: Storage>(
    (bound, proxy, proxy_host): (&Requested, SocketAddr, bool),
    reassembler: Reassembler<Duration, B>,
    limits: (usize, usize),
    ops: &[Op],
) {
    let created = ClientAssociation::with_reassembler(&bound.address().as_address(), proxy, reassembler);
    let relay = match relay_of(bound, proxy, proxy_host) {
        Ok(relay) => relay,
        Err(error) => {
            assert_eq!(created.map(|_| ()), Err(error));
            return;
        }
    };
    let client = created
        .expect("an address to send to")
        .with_proxy_host(proxy_host);
    assert_eq!(client.relay(), relay);
    let limit = if relay.ip().to_canonical().is_ipv4() {
        65_507
    } else {
        65_527
    };
    let usual = To::Usual.address();
    assert_eq!(client.max_payload(&usual), max_payload(limit, &usual));

    let mut client = Client {
        client,
        relay,
        wire: [0; 1024],
    };
    let mut pair = Pair::new(&mut client, limits.0, limits.1);
    let mut wires = Wires::default();
    for op in ops {
        match op {
            Op::Usual { wire } | Op::From { wire, .. } => {
                let datagram = wires.build(wire, pair.next_position());
                if let Ok(decoded) = Datagram::decode(datagram) {
                    pair.handle_datagram(decoded);
                }
            }
            Op::Wait { ms } => pair.pass(Duration::from_millis(u64::from(ms % 8192))),
            Op::Tick { ms } => {
                pair.pass(Duration::from_millis(u64::from(ms % 8192)));
                pair.handle_timeout();
            }
            Op::Reset => {}
        }
    }
}

/// Where a client sends.
fn relay_of(bound: &Requested, proxy: SocketAddr, proxy_host: bool) -> Result<SocketAddr, InvalidValue> {
    let port = bound.address().port();
    let mut relay = match bound {
        Requested::Name { .. } => return Err(InvalidValue::NotAnIp),
        Requested::Unspecified { .. } => proxy,
        Requested::Socket { source } | Requested::Spelled { source } => match source.ip.scoped().0 {
            IpAddr::V6(ip) if ip.segments()[0] == 0xfe80 => {
                let scope = match proxy {
                    SocketAddr::V6(proxy) => proxy.scope_id(),
                    SocketAddr::V4(_) => 0,
                };
                SocketAddrV6::new(ip, 0, 0, scope).into()
            }
            ip => SocketAddr::new(ip.to_canonical(), 0),
        },
    };
    if port == 0 {
        return Err(InvalidValue::PortZero);
    }
    if proxy_host {
        relay = proxy;
    }
    relay.set_port(port);
    Ok(relay)
}

/// A client's association as a reassembler of what its relay sends.
struct Client<B> {
    client: ClientAssociation<Duration, B>,
    relay: SocketAddr,
    wire: [u8; 1024],
}

impl<B: Storage> Machine for Client<B> {
    fn handle_datagram<'a>(&'a mut self, now: Duration, datagram: Datagram<'a>) -> Outcome<'a> {
        let len = datagram.encode_into(&mut self.wire).expect("room");
        let wire = &self.wire[..len];
        // A datagram from another source than the relay changes nothing.
        let state = |client: &ClientAssociation<Duration, B>| {
            (client.poll_timeout(), client.reassembler().buffered())
        };
        let before = state(&self.client);
        for source in Source::all() {
            let is_relay = same_host(source, self.relay) && source.port() == self.relay.port();
            assert_eq!(self.client.admits(source), is_relay, "{source}");
            if !is_relay {
                let outcome = self.client.accept(now, source, wire);
                assert_eq!(outcome, Outcome::Dropped(Discard::Source), "{source}");
            }
        }
        for cut in [0, 3, len - datagram.payload.len() - 1] {
            let outcome = self.client.accept(now, self.relay, &wire[..cut]);
            assert_eq!(outcome, Outcome::Dropped(Malformed::Truncated.into()));
        }
        assert_eq!(state(&self.client), before);
        self.client.accept(now, self.relay, wire)
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.client.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.client.poll_timeout()
    }

    fn buffered(&self) -> usize {
        self.client.reassembler().buffered()
    }

    fn reset(&mut self) {}
}
