//! The layer between a stream and the handshakes, which do not know about it.

use sans_socks_testing::faults::wrong_version;
use std::num::NonZeroUsize;
use std::time::Duration;

use sans_socks::gssapi::{ClientConfig, Encapsulation, Error, Negotiator, ProtectionLevel, ServerConfig};
use sans_socks::message::Encode;
use sans_socks::udp::{Association, Datagram, Header, Outcome, Reassembler, fragments, max_payload};
use sans_socks::{Address, Command, Method, Reply, ReplyCode, Request, client, server};

use sans_socks_testing::gssapi::{Fake, converse};

const LEVELS: [ProtectionLevel; 3] = [
    ProtectionLevel::Integrity,
    ProtectionLevel::Confidentiality,
    ProtectionLevel::Selective,
];

fn layers(level: ProtectionLevel) -> (Encapsulation<Fake>, Encapsulation<Fake>) {
    let (of_client, of_server) = converse(
        Negotiator::client(Fake::initiator(2), ClientConfig::new(level)),
        Negotiator::server(Fake::acceptor(2), ServerConfig::new()),
    );
    (of_client.end.unwrap(), of_server.end.unwrap())
}

/// Encapsulates `message` of the handshake and `early` in one token.
fn token(layer: &mut Encapsulation<Fake>, message: &impl Encode, behind: &[u8]) -> Vec<u8> {
    let mut plain = vec![0; message.encoded_len()];
    message.encode_into(&mut plain).unwrap();
    plain.extend_from_slice(behind);
    let mut wire = Vec::new();
    layer.encapsulate(&plain, &mut wire).unwrap();
    wire
}

/// Returns the plaintext of `wire`, offered in pieces of `size`.
fn opened(layer: &mut Encapsulation<Fake>, wire: &[u8], size: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    for mut piece in wire.chunks(size) {
        while !piece.is_empty() {
            let consumed = layer.decapsulate(piece, &mut plain).unwrap();
            assert_ne!(consumed, 0, "at least one byte is consumed");
            piece = &piece[consumed..];
        }
    }
    plain
}

fn target() -> Address<'static> {
    Address::try_from("host.example:80").unwrap()
}

/// a request and bytes of the tunnel in one token. The handshake consumes the request, and
/// leaves the rest.
#[test]
fn server_early_bytes_in_the_token_of_a_request_are_kept() {
    for level in LEVELS {
        for size in [1, 7, 1000] {
            let (mut of_client, mut of_server) = layers(level);
            let mut handshake = server::Handshake::new();
            let _ = handshake.handle_input(&[5, 1, 1]);
            let server::Output::SelectMethod(select) = handshake.poll_output() else {
                panic!()
            };
            select.select_preferred(&[Method::GSSAPI]);
            let server::Output::Transmit(transmit) = handshake.poll_output() else {
                panic!()
            };
            assert_eq!(transmit.as_bytes(), [5, 1], "not encapsulated");
            transmit.sent(2);
            let server::Output::Negotiate(negotiate) = handshake.poll_output() else {
                panic!()
            };
            negotiate.accept();

            let wire = token(&mut of_client, &Request::connect(target()), b"early");
            let mut plain = opened(&mut of_server, &wire, size);
            let consumed = handshake.handle_input(&plain);
            plain.drain(..consumed);
            let server::Output::PendingRequest(pending) = handshake.poll_output() else {
                panic!()
            };
            assert_eq!(pending.request(), Request::connect(target()));
            pending.accept(Address::UNSPECIFIED);
            let server::Output::Transmit(transmit) = handshake.poll_output() else {
                panic!()
            };
            let mut wire = Vec::new();
            of_server.encapsulate(transmit.as_bytes(), &mut wire).unwrap();
            transmit.sent_all();
            assert!(matches!(handshake.poll_output(), server::Output::Established(_)));
            assert_eq!(handshake.handle_input(&plain), 0);
            assert_eq!(plain, b"early");
            assert_eq!(
                opened(&mut of_client, &wire, size),
                b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
            );
        }
    }
}

/// both replies of a BIND and the first bytes of its peer in one token.
#[test]
fn client_early_bytes_in_the_token_of_replies_are_kept() {
    for level in LEVELS {
        for size in [1, 7, 1000] {
            let (mut of_client, mut of_server) = layers(level);
            let auth = client::Auth::new(&[Method::GSSAPI], None).unwrap();
            let mut handshake = client::Handshake::new(&Request::new(Command::BIND, target()), auth);
            let client::Output::Transmit(transmit) = handshake.poll_output() else {
                panic!()
            };
            transmit.sent_all();
            assert_eq!(handshake.handle_input(&[5, 1]), 2);
            let client::Output::Negotiate(negotiate) = handshake.poll_output() else {
                panic!()
            };
            negotiate.accept();
            let client::Output::Transmit(transmit) = handshake.poll_output() else {
                panic!()
            };
            let mut wire = Vec::new();
            of_client.encapsulate(transmit.as_bytes(), &mut wire).unwrap();
            transmit.sent_all();
            assert_eq!(opened(&mut of_server, &wire, size)[..4], [5, 2, 0, 3]);

            let reply = Reply::new(ReplyCode::SUCCEEDED, Address::UNSPECIFIED);
            let second = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50hello";
            let wire = token(&mut of_server, &reply, second);
            let mut plain = opened(&mut of_client, &wire, size);
            let consumed = handshake.handle_input(&plain);
            plain.drain(..consumed);
            let client::Output::Bound(bound) = handshake.poll_output() else {
                panic!()
            };
            bound.wait_for_peer();
            let consumed = handshake.handle_input(&plain);
            plain.drain(..consumed);
            let client::Output::Established(reply) = handshake.poll_output() else {
                panic!()
            };
            assert_eq!(reply.address.to_string(), "127.0.0.1:80");
            assert_eq!(plain, b"hello");
        }
    }
}

/// D-13, R-121: each fragment is wrapped separately, up to the limit of the network, and unwrapped before reassembly.
#[test]
fn fragments_are_wrapped_one_by_one() {
    const LIMIT: usize = 100;

    for level in LEVELS {
        let (mut of_client, mut of_server) = layers(level);
        let payload: Vec<u8> = (0..200).collect();
        let size = NonZeroUsize::new(max_payload(of_client.max_plain(LIMIT), &target())).unwrap();
        let pieces = fragments(target(), &payload, size).unwrap();
        let (count, mut delivered) = (pieces.len(), Vec::new());
        assert!(count > 2);
        let mut reassembler = Reassembler::<Duration, Vec<u8>>::with_storage(Vec::new());
        for (at, piece) in pieces.enumerate() {
            let mut wire = Vec::new();
            of_client
                .encapsulate_datagram(&encoded(&piece), &mut wire)
                .unwrap();
            assert!(wire.len() == LIMIT || at == count - 1 && wire.len() < LIMIT);

            let mut plain = Vec::new();
            of_server.decapsulate_datagram(&wire, &mut plain).unwrap();
            let datagram = Datagram::decode(&plain).unwrap();
            if let Outcome::Deliver(whole) = reassembler.handle_datagram(Duration::ZERO, datagram) {
                assert_eq!((at, whole.header.address), (count - 1, target()));
                delivered.extend_from_slice(whole.payload);
            }
        }
        assert_eq!(delivered, payload);
    }
}

fn encoded(datagram: &Datagram<'_>) -> Vec<u8> {
    let mut bytes = vec![0; datagram.encoded_len()];
    datagram.encode_into(&mut bytes).unwrap();
    bytes
}

/// header and payload are in one frame, in both directions. A datagram without a frame is dropped.
#[test]
fn datagram_is_unwrapped_before_it_is_judged() {
    let source = "192.0.2.7:4000".parse().unwrap();
    for level in LEVELS {
        let (mut of_client, mut of_server) = layers(level);
        let mut association = Association::new(([192, 0, 2, 7], 51000).into(), &Address::UNSPECIFIED);
        let query = Datagram::new(Header::standalone(target()), b"query");
        let answer = Datagram::new(Header::standalone(target()), b"answer");
        let (mut wire, mut plain) = (Vec::new(), Vec::new());

        let bare = of_server.decapsulate_datagram(&encoded(&query), &mut plain);
        let version = wrong_version(1, 0);
        assert_eq!(bare, Err(Error::Malformed(version)));
        of_client
            .encapsulate_datagram(&encoded(&query), &mut wire)
            .unwrap();
        assert_eq!(wire[..2], [1, 3]);
        of_server.decapsulate_datagram(&wire, &mut plain).unwrap();
        assert_eq!(association.accept(source, &plain), Ok(query));

        (wire, plain) = (Vec::new(), Vec::new());
        of_server
            .encapsulate_datagram(&encoded(&answer), &mut wire)
            .unwrap();
        assert_eq!(wire[..2], [1, 3]);
        of_client.decapsulate_datagram(&wire, &mut plain).unwrap();
        assert_eq!(Datagram::decode(&plain), Ok(answer));
    }
}
