//! Both sides of a Kerberos context in one process, for tests with too many sessions for sockets.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process;
use std::time::Instant;

use sans_socks::client::{Auth, Decision, Handshake};
use sans_socks::gssapi::{
    ClientConfig, Context, Encapsulation, Error, Negotiator, Progress, Protection, ProtectionLevel,
};
use sans_socks::udp::{Datagram, Header};
use sans_socks::{Address, Command, Method, Request};
use sans_socks_gssapi::{Acceptor, Credentials, Initiator, Link};

use crate::programs::{SERVER, Server};
use crate::realm::inside;
use sans_socks_testing::programs::process::{PATIENCE, wait_until};

const LEVELS: [ProtectionLevel; 3] = [
    ProtectionLevel::Integrity,
    ProtectionLevel::Confidentiality,
    ProtectionLevel::Selective,
];

/// Returns both sides of an established context.
fn contexts(datagrams: bool) -> (Initiator, Acceptor) {
    let credentials = Credentials::of("rcmd@localhost").expect("a key");
    let mut initiator = Initiator::new("rcmd@localhost", datagrams).expect("a name");
    let mut acceptor = Acceptor::new(&credentials);
    let (mut first, mut second, mut none) = (Vec::new(), Vec::new(), Vec::new());
    let begun = initiator.step(None, &mut first).expect("a ticket");
    assert_eq!(begun, Progress::ContinueNeeded);
    let accepted = acceptor.step(Some(&first), &mut second).expect("a key");
    assert_eq!(accepted, Progress::Complete);
    let ended = initiator
        .step(Some(&second), &mut none)
        .expect("the server's proof");
    assert_eq!((ended, none.len()), (Progress::Complete, 0));
    assert_eq!(acceptor.client().expect("a name"), "alice@EXAMPLE.TEST");
    (initiator, acceptor)
}

fn established(
    level: ProtectionLevel,
    datagrams: bool,
) -> (Encapsulation<Initiator>, Encapsulation<Acceptor>) {
    let (initiator, acceptor) = contexts(datagrams);
    (
        Encapsulation::new(initiator, level),
        Encapsulation::new(acceptor, level),
    )
}

/// a datagram with any bit flipped is dropped, and the original is accepted after that.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn datagram_with_any_bit_flipped_is_dropped() {
    fn check<A: Context, B: Context<Error: Debug>>(from: &mut Encapsulation<A>, to: &mut Encapsulation<B>) {
        let (mut datagram, mut plain) = (Vec::new(), Vec::new());
        assert!(
            from.encapsulate_datagram(b"sixteen bytes...", &mut datagram)
                .is_ok()
        );
        for bit in 0..datagram.len() * 8 {
            let mut altered = datagram.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(
                to.decapsulate_datagram(&altered, &mut plain).is_err(),
                "bit {bit} of {altered:02x?}"
            );
            assert_eq!(plain, b"");
        }
        to.decapsulate_datagram(&datagram, &mut plain)
            .expect("the one that was sent");
        assert_eq!(plain, b"sixteen bytes...");
    }
    inside("contexts::datagram_with_any_bit_flipped_is_dropped", || {
        for level in LEVELS {
            let (mut client, mut server) = established(level, true);
            check(&mut client, &mut server);
            check(&mut server, &mut client);
        }
    });
}

/// datagrams are accepted in any order, and each only once.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn datagrams_are_accepted_in_any_order_once() {
    inside("contexts::datagrams_are_accepted_in_any_order_once", || {
        let (mut client, mut server) = established(ProtectionLevel::Confidentiality, true);
        let datagrams = [b"1", b"2", b"3"].map(|plain| {
            let mut datagram = Vec::new();
            client
                .encapsulate_datagram(plain, &mut datagram)
                .expect("it fits");
            datagram
        });
        let mut plain = Vec::new();
        for datagram in [&datagrams[2], &datagrams[0], &datagrams[1]] {
            server
                .decapsulate_datagram(datagram, &mut plain)
                .expect("the first time");
        }
        for datagram in &datagrams {
            let again = server.decapsulate_datagram(datagram, &mut plain);
            assert!(matches!(again, Err(Error::Context(_))), "{again:?}");
        }
        assert_eq!(plain, b"312");
    });
}

/// at level 3, each message is protected as its sender selects, and the receiver learns the protection.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn message_at_level_3_has_the_protection_of_its_sender() {
    inside(
        "contexts::message_at_level_3_has_the_protection_of_its_sender",
        || {
            let (mut client, mut server) = established(ProtectionLevel::Selective, false);
            let mut plain = Vec::new();
            for protection in [
                Protection::Integrity,
                Protection::Confidentiality,
                Protection::Integrity,
            ] {
                client.select(protection);
                let mut wire = Vec::new();
                client.encapsulate(b"words", &mut wire).expect("a frame");
                let readable = wire.windows(5).any(|bytes| bytes == b"words");
                assert_eq!(readable, protection == Protection::Integrity);
                assert_eq!(
                    server.decapsulate(&wire, &mut plain).expect("a good frame"),
                    wire.len()
                );
                assert_eq!(server.last_protection(), Some(protection));
            }
            assert_eq!(plain, b"wordswordswords");
        },
    );
}

/// at level 2 a token that is not confidential is an error.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn token_without_confidentiality_is_an_error_at_level_2() {
    inside(
        "contexts::token_without_confidentiality_is_an_error_at_level_2",
        || {
            let (initiator, acceptor) = contexts(false);
            let mut client = Encapsulation::new(initiator, ProtectionLevel::Integrity);
            let mut server = Encapsulation::new(acceptor, ProtectionLevel::Confidentiality);
            let mut wire = Vec::new();
            client.encapsulate(b"words", &mut wire).expect("a frame");
            let mut plain = Vec::new();
            let refused = server.decapsulate(&wire, &mut plain);
            assert!(matches!(refused, Err(Error::NotConfidential)), "{refused:?}");
            assert_eq!(plain, b"");
        },
    );
}

/// the limit is that of the library, to the byte.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn plaintext_limit_is_that_of_the_library() {
    inside("contexts::plaintext_limit_is_that_of_the_library", || {
        for level in [ProtectionLevel::Integrity, ProtectionLevel::Confidentiality] {
            let (mut client, mut server) = established(level, false);
            for frame in [100, 1500, 16_384, 65_539] {
                let most = client.max_plain(frame);
                let mut datagram = Vec::new();
                client
                    .encapsulate_datagram(&vec![7; most], &mut datagram)
                    .expect("it fits");
                assert_eq!(datagram.len(), frame);
                let mut plain = Vec::new();
                server
                    .decapsulate_datagram(&datagram, &mut plain)
                    .expect("a good frame");
                assert_eq!(plain, vec![7; most]);
            }
            let most = client.max_plain(usize::MAX);
            let (len, mut datagram) = (most + 1, Vec::new());
            let refused = client.encapsulate_datagram(&vec![7; len], &mut datagram);
            assert!(matches!(refused, Err(Error::PlainTooLong { .. })), "{refused:?}");

            // In a stream, longer plaintext is split.
            let (mut wire, mut plain) = (Vec::new(), Vec::new());
            client
                .encapsulate(&vec![7; 3 * most + 1], &mut wire)
                .expect("frames");
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                let consumed = server.decapsulate(rest, &mut plain).expect("good frames");
                rest = &rest[consumed..];
            }
            assert_eq!(plain, vec![7; 3 * most + 1]);
        }
    });
}

/// Returns a client with an association, and the address of the relay.
fn associated(proxy: SocketAddr) -> (Link<Initiator>, SocketAddr) {
    let mut link = Link::new(
        TcpStream::connect(proxy).expect("it listens"),
        Some(Instant::now() + PATIENCE),
    );
    let request = Request::new(Command::UDP_ASSOCIATE, Address::UNSPECIFIED);
    let auth = Auth::new(&[Method::GSSAPI], None).expect("a method");
    let mut handshake = Handshake::new(&request, auth);
    loop {
        match link.advance(&mut handshake).expect("a stream") {
            Decision::Negotiate(negotiate) => {
                let context = Initiator::new("rcmd@localhost", true).expect("a name");
                link.negotiate(Negotiator::client(context, ClientConfig::default()))
                    .expect("a layer");
                negotiate.accept();
            }
            Decision::Established(reply) => {
                let relay = reply.address.to_socket_addr().expect("an address");
                return (link, relay);
            }
            Decision::Bound(_) | Decision::Closed(_) => panic!("no association"),
        }
    }
}

/// A datagram that arrives at the relay twice is relayed once. One that was changed, is not wrapped, or has another source
/// is dropped. The association continues.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn relay_drops_bad_datagrams_and_continues() {
    inside("contexts::relay_drops_bad_datagrams_and_continues", || {
        let server = Server::listening(process::Command::new(SERVER), &[]);
        let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        target.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let header = Header::standalone(target.local_addr().expect("bound").into());
        let (link, relay) = associated(server.address);
        let sealed = |payload: &[u8]| {
            let datagram = Datagram::new(header, payload);
            let mut plain = vec![0; datagram.encoded_len()];
            datagram.encode_into(&mut plain).expect("room");
            let mut sealed = Vec::new();
            link.layer.seal_datagram(&plain, &mut sealed).expect("it fits");
            (plain, sealed)
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let elsewhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (plain, first) = sealed(b"first");
        let (_, mut altered) = sealed(b"altered");
        let (_, stolen) = sealed(b"from elsewhere");
        let (_, last) = sealed(b"last");
        altered[60] ^= 1;
        socket.send_to(&first, relay).expect("a socket");
        socket.send_to(&first, relay).expect("a socket");
        socket.send_to(&altered, relay).expect("a socket");
        socket.send_to(&plain, relay).expect("a socket");
        let mut got = [0; 100];
        let (len, _) = target.recv_from(&mut got).expect("the first");
        assert_eq!(&got[..len], b"first");
        elsewhere.send_to(&stolen, relay).expect("a socket");
        socket.send_to(&last, relay).expect("a socket");
        let (len, _) = target.recv_from(&mut got).expect("the last");
        assert_eq!(String::from_utf8_lossy(&got[..len]), "last");
        assert!(!server.process.has_ended());

        // The association ends with the control connection, and its port is free again.
        drop(link);
        wait_until("the relay's end", || UdpSocket::bind(relay).is_ok());
    });
}
