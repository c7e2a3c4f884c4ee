//! Captures of packets: pcap and pcapng files.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::annotate::{Direction, Message};
use crate::capture::sender;
use crate::observe::Observer;
use crate::{Error, Event};

/// Annotates every connection to `port`, and the datagrams of its UDP associations.
///
/// # Errors
///
/// The file is not a capture, or has no such connection.
pub fn annotate(file: &[u8], port: u16) -> Result<Vec<Event>, Error> {
    let mut connections = Vec::new();
    for (link, packet) in packets(file)? {
        read_packet(&mut connections, port, link, &packet);
    }
    if connections.is_empty() {
        return Err(format!("no connection to port {port} in the capture").into());
    }
    Ok(connections.into_iter().flat_map(Connection::finish).collect())
}

/// Returns all packets, each with the kind of its header.
fn packets(file: &[u8]) -> Result<Vec<(DataLink, Vec<u8>)>, Error> {
    let mut packets = Vec::new();
    // A pcapng file begins with a section header block.
    if file.starts_with(b"\x0a\x0d\x0d\x0a") {
        let mut reader = PcapNgReader::new(file)?;
        let mut links = Vec::new();
        while let Some(block) = reader.next_block() {
            match block? {
                Block::SectionHeader(_) => links.clear(),
                Block::InterfaceDescription(interface) => links.push(interface.linktype),
                Block::EnhancedPacket(packet) => {
                    let link = links.get(packet.interface_id as usize);
                    let link = link.ok_or("a packet of an unknown interface")?;
                    packets.push((*link, packet.data.into_owned()));
                }
                Block::SimplePacket(packet) => {
                    let link = links.first().ok_or("a packet of an unknown interface")?;
                    packets.push((*link, packet.data.into_owned()));
                }
                _ => {}
            }
        }
    } else {
        let mut reader = PcapReader::new(file)?;
        let link = reader.header().datalink;
        while let Some(packet) = reader.next_packet() {
            packets.push((link, packet?.data.into_owned()));
        }
    }
    Ok(packets)
}

/// A TCP connection of a client to the server's port, and its UDP association.
struct Connection {
    client: SocketAddr,
    server: SocketAddr,
    observer: Observer,
    to_server: Stream,
    to_client: Stream,
    events: Vec<Event>,
}

impl Connection {
    fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            client,
            server,
            observer: Observer::new(),
            to_server: Stream::default(),
            to_client: Stream::default(),
            events: vec![Event::Note(format!("Connection from {client} to {server}."))],
        }
    }

    fn segment(&mut self, direction: Direction, segment: &Segment<'_>) {
        let stream = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        let bytes = stream.read(segment);
        let end = stream.end(segment);
        if !bytes.is_empty() {
            self.events.extend(self.observer.observe(direction, &bytes));
        }
        if let Some(end) = end {
            self.events
                .push(Event::Note(format!("{} {end}.", sender(direction))));
        }
    }

    /// Returns the direction of a datagram, if it belongs to the association.
    fn direction(&self, source: SocketAddr, destination: SocketAddr) -> Option<Direction> {
        let relay = self.observer.relay()?;
        let ip = match relay.ip() {
            ip if ip.is_unspecified() => self.server.ip(),
            ip => ip,
        };
        let relay = SocketAddr::new(ip, relay.port());
        if destination == relay && source.ip() == self.client.ip() {
            Some(Direction::ToServer)
        } else if source == relay && destination.ip() == self.client.ip() {
            Some(Direction::ToClient)
        } else {
            None
        }
    }

    fn datagram(&mut self, direction: Direction, bytes: &[u8]) {
        let message = Message::datagram(direction, bytes).unwrap_or_else(|error| {
            let note = format!("Not a datagram of SOCKS: {error}.");
            self.events.push(Event::Note(note));
            Message::unknown(direction, bytes)
        });
        self.events.push(Event::Message(message));
    }

    fn finish(mut self) -> Vec<Event> {
        self.events.extend(self.observer.finish());
        self.events
    }
}

/// The content of a TCP segment.
struct Segment<'a> {
    sequence: u32,
    syn: bool,
    fin: bool,
    rst: bool,
    payload: &'a [u8],
}

/// One direction of a TCP connection.
#[derive(Default)]
struct Stream {
    /// The number of the next byte. `None` before the first segment.
    next: Option<u32>,
    /// Segments that were captured too early, by their number.
    early: BTreeMap<u32, Vec<u8>>,
    /// The number after the last byte, once FIN was captured.
    end: Option<u32>,
    has_ended: bool,
    is_reset: bool,
}

impl Stream {
    /// Returns the next bytes. Leaves out bytes that are sent again, and keeps bytes that are early.
    fn read(&mut self, segment: &Segment<'_>) -> Vec<u8> {
        if segment.syn {
            self.next = Some(segment.sequence.wrapping_add(1));
            return Vec::new();
        }
        let mut next = *self.next.get_or_insert(segment.sequence);
        let early = self.early.entry(segment.sequence).or_default();
        if early.len() < segment.payload.len() {
            *early = segment.payload.to_vec();
        }
        let mut bytes = Vec::new();
        while let Some((sequence, payload)) = self.take_due(next) {
            let known = next.wrapping_sub(sequence) as usize;
            let new = payload.get(known..).unwrap_or_default();
            bytes.extend_from_slice(new);
            next = next.wrapping_add(new.len() as u32);
        }
        self.next = Some(next);
        bytes
    }

    /// Returns what the sender does after the bytes so far. `None` if that was returned before.
    fn end(&mut self, segment: &Segment<'_>) -> Option<&'static str> {
        if segment.fin {
            self.end = Some(segment.sequence.wrapping_add(segment.payload.len() as u32));
        }
        let (known, end) = if segment.rst {
            (&mut self.is_reset, "resets the connection")
        } else if self.end.is_some() && self.end == self.next {
            (&mut self.has_ended, "ends its side")
        } else {
            return None;
        };
        (!std::mem::replace(known, true)).then_some(end)
    }

    /// Returns whether a SYN is the one with which the client began, and nothing has followed it.
    fn has_begun_with(&self, segment: &Segment<'_>) -> bool {
        self.next == Some(segment.sequence.wrapping_add(1))
    }

    /// Returns a segment that does not begin after `next`.
    fn take_due(&mut self, next: u32) -> Option<(u32, Vec<u8>)> {
        let is_due = |sequence: &&u32| next.wrapping_sub(**sequence) < 1 << 31;
        let sequence = *self.early.keys().find(is_due)?;
        Some((sequence, self.early.remove(&sequence)?))
    }
}

fn read_packet(connections: &mut Vec<Connection>, port: u16, link: DataLink, packet: &[u8]) {
    let Some(packet) = parse(link, packet) else {
        return; // for instance ARP
    };
    let (source, destination) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => (
            IpAddr::from(ip.header().source_addr()),
            IpAddr::from(ip.header().destination_addr()),
        ),
        Some(NetSlice::Ipv6(ip)) => (
            IpAddr::from(ip.header().source_addr()),
            IpAddr::from(ip.header().destination_addr()),
        ),
        _ => return,
    };
    match packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let source = SocketAddr::new(source, tcp.source_port());
            let destination = SocketAddr::new(destination, tcp.destination_port());
            let segment = Segment {
                sequence: tcp.sequence_number(),
                syn: tcp.syn(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                payload: tcp.payload(),
            };
            let (direction, client, server) = if destination.port() == port {
                (Direction::ToServer, source, destination)
            } else if source.port() == port {
                (Direction::ToClient, destination, source)
            } else {
                return;
            };
            let known = connections
                .iter()
                .rposition(|it| (it.client, it.server) == (client, server));
            let is_new = |index: usize| {
                let begins = segment.syn && direction == Direction::ToServer;
                begins && !connections[index].to_server.has_begun_with(&segment)
            };
            let index = match known.filter(|index| !is_new(*index)) {
                Some(index) => index,
                None => {
                    connections.push(Connection::new(client, server));
                    connections.len() - 1
                }
            };
            connections[index].segment(direction, &segment);
        }
        Some(TransportSlice::Udp(udp)) => {
            let source = SocketAddr::new(source, udp.source_port());
            let destination = SocketAddr::new(destination, udp.destination_port());
            for connection in connections {
                if let Some(direction) = connection.direction(source, destination) {
                    connection.datagram(direction, udp.payload());
                    return;
                }
            }
        }
        _ => {}
    }
}

fn parse(link: DataLink, packet: &[u8]) -> Option<SlicedPacket<'_>> {
    match link {
        DataLink::ETHERNET => SlicedPacket::from_ethernet(packet).ok(),
        DataLink::LINUX_SLL => SlicedPacket::from_linux_sll(packet).ok(),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => SlicedPacket::from_ip(packet).ok(),
        // Four bytes with the address family.
        DataLink::NULL | DataLink::LOOP => SlicedPacket::from_ip(packet.get(4..)?).ok(),
        // `tcpdump -i any`: 20 bytes, of which the first two are the type of the payload.
        DataLink::Unknown(276) => SlicedPacket::from_ip(packet.get(20..)?).ok(),
        _ => None,
    }
}
