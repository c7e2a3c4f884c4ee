//! Captures as text, as streams and as packets: every byte is annotated, and nothing of the handshake is unknown.

use etherparse::PacketBuilder;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
use pcap_file::{DataLink, Endianness};
use sans_socks_testing::transcripts::transcripts;
use sans_socks_transcript::annotate::{Direction, Message};
use sans_socks_transcript::{Event, capture, pcap};

fn messages(events: &[Event]) -> Vec<&Message> {
    let messages = events.iter().filter_map(|event| match event {
        Event::Message(message) => Some(message),
        Event::Note(_) => None,
    });
    messages.collect()
}

fn titles(events: &[Event]) -> Vec<&'static str> {
    messages(events).iter().map(|message| message.title).collect()
}

fn notes(events: &[Event]) -> Vec<&str> {
    let notes = events.iter().filter_map(|event| match event {
        Event::Note(note) => Some(&note[..]),
        Event::Message(_) => None,
    });
    notes.collect()
}

/// All bytes that go one way.
fn bytes(events: &[Event], direction: Direction) -> Vec<u8> {
    let messages = messages(events);
    let sent = messages.iter().filter(|message| message.direction == direction);
    sent.flat_map(|message| message.bytes.clone()).collect()
}

/// Each capture in the order of the wire, and as two streams.
#[test]
fn captures_of_deployed_programs_are_annotated_whole() {
    let mut connections = 0;
    for transcript in transcripts("") {
        let text = &transcript.text;
        let (client, server) = (transcript.client.concat(), transcript.server.concat());
        for events in [capture::hex(text).unwrap(), capture::streams(&client, &server)] {
            for message in messages(&events) {
                let named: usize = message.fields.iter().map(|field| field.len).sum();
                assert_eq!(named, message.bytes.len(), "{message}");
            }
            assert_eq!(bytes(&events, Direction::ToServer), client, "{text}");
            assert_eq!(bytes(&events, Direction::ToClient), server, "{text}");
        }
        connections += usize::from(!client.is_empty());
    }
    assert!(connections > 200, "{connections}");
}

const LOGIN: &str = "
# A client that waits for nothing.
C>S 05 01 02 01 01 61 01 62 05 01 00 01 7f 00 00 01 00 50 68 65 6c 6c 6f
S>C 05 02 01 00   # in one segment
S>C 05 00 00 01 7f 00 00 01 1f
S>C 90 77 6f 72 6c 64
C>S EOF
";

#[test]
fn pipelined_and_cut_messages_are_told_apart() {
    let events = capture::hex(LOGIN).unwrap();
    let expected = [
        "greeting",
        "method selection",
        "username and password",
        "status",
        "request",
        "data",
        "reply",
        "data",
    ];
    assert_eq!(titles(&events), expected);
    assert_eq!(notes(&events), ["The client ends its side."]);

    // The status arrives after the selection, when the request is already known.
    let events = capture::hex(&LOGIN.replace("05 02 01 00", "05 02\nS>C 01 00")).unwrap();
    let expected = [
        "greeting",
        "method selection",
        "username and password",
        "request",
        "data",
        "status",
        "reply",
        "data",
    ];
    assert_eq!(titles(&events), expected);
    assert_eq!(notes(&events), ["The client ends its side."]);
}

#[test]
fn refusals_end_the_handshake() {
    for (text, expected) in [
        ("C>S 05 01 00\nS>C 05 ff", &["greeting", "method selection"][..]),
        (
            "C>S 05 01 02\nS>C 05 02\nC>S 01 01 61 01 62\nS>C 01 01",
            &["greeting", "method selection", "username and password", "status"],
        ),
        (
            "C>S 04 01 00 50 7f 00 00 01 00\nS>C 00 5b 00 00 00 00 00 00",
            &["request", "reply"],
        ),
    ] {
        let events = capture::hex(text).unwrap();
        assert_eq!(titles(&events), expected);
        assert_eq!(notes(&events), [""; 0]);
    }
}

#[test]
fn bind_has_two_replies_in_both_versions() {
    let five = "C -> S  05 01 00\nS -> C  05 00\nC -> S  05 02 00 01 00 00 00 00 00 00\n\
                S -> C  05 00 00 01 7f 00 00 01 9c 40\nS -> C  05 00 00 01 7f 00 00 01 9c 41 78";
    let titles_of_five = [
        "greeting",
        "method selection",
        "request",
        "reply",
        "second reply",
        "data",
    ];
    assert_eq!(titles(&capture::hex(five).unwrap()), titles_of_five);
    let four = "C>S 04 02 00 00 7f 00 00 01 00\nS>C 00 5a 9c 40 00 00 00 00 00 5a 9c 41 7f 00 00 01 78";
    assert_eq!(
        titles(&capture::hex(four).unwrap()),
        ["request", "reply", "second reply", "data"]
    );
}

#[test]
fn gssapi_frames_are_told_apart_from_plain_messages() {
    let text = "C>S 05 01 01\nS>C 05 01\nC>S 01 01 00 02 61 62 01 02 00 01 63\nS>C 01 02 00 01 64\n\
                C>S 05 01 00 01 7f 00 00 01 00 50\nS>C 05 00 00 01 7f 00 00 01 00 50";
    let frame = "GSSAPI frame";
    let expected = [
        "greeting",
        "method selection",
        frame,
        frame,
        frame,
        "request",
        "reply",
    ];
    assert_eq!(titles(&capture::hex(text).unwrap()), expected);
}

#[test]
fn other_protocols_and_truncated_captures_are_reported() {
    let events = capture::hex("C>S 47 45 54 20 2f").unwrap();
    assert!(
        notes(&events)[0].contains("looks like HTTP"),
        "{:?}",
        notes(&events)
    );
    assert_eq!(titles(&events), ["unknown bytes"]);

    let events = capture::hex("C>S 05 02 00").unwrap();
    assert_eq!(notes(&events), ["The capture ends within a message."]);
    assert_eq!(bytes(&events, Direction::ToServer), [5, 2, 0]);
}

/// `FF` in an offer is not a method, and still a byte.
#[test]
fn every_byte_of_a_greeting_is_named() {
    let events = capture::hex("C>S 05 02 ff 00").unwrap();
    assert_eq!(titles(&events), ["greeting"]);
    assert_eq!(messages(&events)[0].fields.len(), 4);
}

#[test]
fn wrong_lines_are_named() {
    for (text, reason) in [
        ("C>S 05\nfoo", "line 2"),
        ("C>S 5", "line 1"),
        ("C>S 05 0g", "not bytes in hex"),
    ] {
        let error = capture::hex(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn long_data_is_cut_in_print_alone() {
    let long = "78 ".repeat(1000);
    let events = capture::hex(&format!("C>S 05 01 00\nS>C 05 ff\nC>S {long}")).unwrap();
    let data = *messages(&events).last().unwrap();
    assert_eq!(data.bytes.len(), 1000);
    let text = format!("{data}{}", data.hex());
    assert!(text.contains("and 760 bytes more"), "{text}");
    assert!(text.lines().count() < 35, "{text}");
}

const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 7], 40_000);
const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 1080);

/// A packet of the connection. `sequence` counts from the first byte after SYN.
fn segment(direction: Direction, sequence: u32, syn: bool, fin: bool, payload: &[u8]) -> Vec<u8> {
    let (from, to) = match direction {
        Direction::ToServer => (CLIENT, SERVER),
        Direction::ToClient => (SERVER, CLIENT),
    };
    // The numbers wrap within the session.
    let sequence = (u32::MAX - 2).wrapping_add(sequence);
    let mut builder = PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4(from.0, to.0, 64)
        .tcp(from.1, to.1, sequence, 65_535)
        .ack(1);
    if syn {
        builder = builder.syn();
    }
    if fin {
        builder = builder.fin();
    }
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn datagram(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4(from.0, to.0, 64)
        .udp(from.1, to.1)
        .write(&mut packet, payload)
        .unwrap();
    packet
}

/// A UDP association over segments that are lost, doubled, swapped and overlapping.
fn packets() -> Vec<Vec<u8>> {
    use Direction::{ToClient, ToServer};
    let relay = (SERVER.0, 50_000);
    let reply = b"\x05\0\0\x01\0\0\0\0\xc3\x50"; // 0.0.0.0 is the server
    vec![
        segment(ToServer, 0, true, false, b""),
        segment(ToServer, 0, true, false, b""), // again
        segment(ToClient, 0, true, false, b""),
        segment(ToServer, 1, false, false, b"\x05\x01\0"),
        segment(ToServer, 1, false, false, b"\x05\x01\0"), // again
        segment(ToClient, 1, false, false, b"\x05\0"),
        segment(ToServer, 6, false, false, b"\0\x01\0\0\0\0\0\0"), // too early
        segment(ToServer, 14, false, true, b""),                   // too early
        segment(ToServer, 3, false, false, b"\0\x05\x03"),         // overlaps
        segment(ToClient, 3, false, false, reply),
        datagram(
            (CLIENT.0, 40_001),
            relay,
            b"\0\0\0\x01\xc0\0\x02\x09\0\x35question",
        ),
        datagram(
            ([192, 0, 2, 66], 9),
            relay,
            b"\0\0\0\x01\xc0\0\x02\x09\0\x35of a stranger",
        ),
        datagram(relay, (CLIENT.0, 40_001), b"\0\0\0\x01\xc0\0\x02\x09\0\x35answer"),
        datagram((CLIENT.0, 40_001), relay, b"malformed"),
        segment(ToServer, 14, false, true, b""), // again
    ]
}

fn expect_association(events: &[Event]) {
    let expected = [
        "greeting",
        "method selection",
        "request",
        "reply",
        "datagram",
        "datagram",
        "unknown bytes",
    ];
    assert_eq!(titles(events), expected);
    let notes = notes(events);
    assert_eq!(notes[0], "Connection from 192.0.2.7:40000 to 192.0.2.1:1080.");
    assert_eq!(notes[1], "The client ends its side.");
    assert!(notes[2].starts_with("Not a datagram of SOCKS"), "{notes:?}");
    assert_eq!(notes.len(), 3);
}

#[test]
fn pcap_segments_are_put_in_order_and_datagrams_recognised() {
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for packet in packets() {
        let time = std::time::Duration::ZERO;
        writer
            .write_packet(&PcapPacket::new(
                time,
                u32::try_from(packet.len()).unwrap(),
                &packet,
            ))
            .unwrap();
    }
    let file = writer.into_writer();
    expect_association(&pcap::annotate(&file, 1080).unwrap());
    let error = pcap::annotate(&file, 1081).unwrap_err().to_string();
    assert_eq!(error, "no connection to port 1081 in the capture");
}

#[test]
fn pcapng_is_read_as_well() {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: 0,
        options: Vec::new(),
    };
    writer.write_pcapng_block(interface).unwrap();
    for packet in packets() {
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: std::time::Duration::ZERO,
            original_len: u32::try_from(packet.len()).unwrap(),
            data: packet.into(),
            options: Vec::new(),
        };
        writer.write_pcapng_block(block).unwrap();
    }
    expect_association(&pcap::annotate(&writer.into_inner(), 1080).unwrap());
}

#[test]
fn file_that_is_not_a_capture_is_an_error() {
    assert!(pcap::annotate(b"C>S 05 01 00", 1080).is_err());
    assert!(pcap::annotate(b"", 1080).is_err());
}
