//! The server machine with `with_socks4`.

use sans_socks::server::{Config, Established, Handshake, Output, PendingRequest};
use sans_socks::socks4::{self, Request, UserId};
use sans_socks::{Address, Command, Domain, Error, Malformed, Method, Phase, ReplyCode, Version};

use sans_socks_testing::driver::exchange::Exchange;
use sans_socks_testing::driver::{Delivery, Due, Script, Server, address, run, unhex};
use sans_socks_testing::faults::wrong_version;

fn config() -> Config {
    Config::new().with_socks4(true)
}

fn server() -> Server<'static> {
    Server {
        config: config(),
        ..Server::default()
    }
}

const GRANTED: &str = "00 5a 0000 00000000";
const REJECTED: &str = "00 5b 0000 00000000";

/// DSTPORT, DSTIP and the name in hex, and the address that they mean. Port 0 and `0.0.0.0` are valid.
fn hosts() -> Vec<(&'static str, String, Address<'static>)> {
    const LONG: &[u8] = &[b'a'; 255];
    let named = |name: &'static [u8]| {
        let address = Address::from((Domain::new(name).unwrap(), 80));
        ("0050 00000001", format!("{} 00", hex::encode(name)), address)
    };
    vec![
        ("1f90 7f000001", String::new(), address("127.0.0.1:8080")),
        ("0000 00000000", String::new(), address("0.0.0.0:0")),
        ("0050 00000100", String::new(), address("0.0.1.0:80")),
        named(b"app.test"),
        named(b"127.0.0.1"),
        named(b"\xff\xfe"),
        named(LONG),
    ]
}

fn user_ids() -> [Vec<u8>; 3] {
    [vec![], b"alice\x7f\xff".to_vec(), vec![b'u'; 255]]
}

fn pending(command: Command, address: Address<'_>, user_id: &[u8]) -> Due {
    Due::PendingSocks4Request(command, address.into(), user_id.to_vec())
}

const COMMANDS: [(u8, Established); 6] = [
    (0x01, Established::Stream),
    (0x02, Established::Stream),
    (0xf0, Established::Other(Command::RESOLVE)),
    (0xf1, Established::Other(Command::RESOLVE_PTR)),
    (0x00, Established::Other(Command::new(0))),
    (0x09, Established::Other(Command::new(9))),
];

///
/// every command, form of host and user id is accepted, without method selection or authentication.
#[test]
fn server_grants_every_request() {
    for (byte, established) in COMMANDS {
        let command = Command::new(byte);
        for (place, name, target) in hosts() {
            for user_id in user_ids() {
                // Testing every truncation of a long request would take seconds.
                let is_long = name.len() > 255 || user_id.len() == 255;
                let is_longest = name.len() > 255 && user_id.len() == 255;
                if is_long && !(is_longest && command == Command::CONNECT) {
                    continue;
                }
                let script = Server {
                    reply: Ok(address("192.0.2.1:40000")),
                    peer: Ok(address("198.51.100.9:20")),
                    ..server()
                };
                let request = format!("04 {byte:02x} {place} {} 00 {name}", hex::encode(&user_id));
                let mut replies = "00 5a 9c40 c0000201".to_string();
                let mut decisions = vec![pending(command, target, &user_id)];
                if command == Command::BIND {
                    decisions.push(Due::PendingPeer);
                    replies += "00 5a 0014 c6336409";
                }
                let what = format!("{command:?} {target}, user id of {} bytes", user_id.len());
                Exchange::server(what, script)
                    .step(Phase::Greeting, &request, &replies)
                    .decides(decisions)
                    .ends(&Due::Served(established));
            }
        }
    }
}

/// every refusal by a code of version 5 is `5B`, even in BIND's second reply.
#[test]
fn server_refuses_with_5b() {
    for code in 0..=0xff {
        let code = ReplyCode::new(code);
        // Success cannot be sent by mistake.
        let reported = match code {
            ReplyCode::SUCCEEDED => ReplyCode::GENERAL_FAILURE,
            code => code,
        };
        let end = Due::Closed(Error::Refused(reported));
        let script = Server {
            reply: Err(code),
            ..server()
        };
        Exchange::server(format!("refused with {code}"), script)
            .step(Phase::Greeting, "04 01 0050 00000001 75 00 61 00", REJECTED)
            .value(code.get())
            .ends(&end);
        let script = Server {
            peer: Err(code),
            ..server()
        };
        Exchange::server(format!("peer refused with {code}"), script)
            .step(
                Phase::Greeting,
                "04 02 0050 c0000209 75 00",
                &format!("{GRANTED} {REJECTED}"),
            )
            .decides([
                pending(Command::BIND, address("192.0.2.9:80"), b"u"),
                Due::PendingPeer,
            ])
            .value(code.get())
            .ends(&end);
    }
}

/// codes of version 4 are sent, in BIND's second reply, too, but never success. A client of version 5 gets a code of
/// version 5.
#[test]
fn server_refuses_with_codes_of_version_4() {
    let refused = Err(ReplyCode::NOT_ALLOWED);
    let request = Server {
        reply: refused,
        ..server()
    };
    let peer = Server {
        peer: refused,
        ..server()
    };
    for (command, script, granted, granted_in_5) in [
        ("01", request, String::new(), ""),
        ("02", peer, format!("{GRANTED} "), "05 00 00 01 00000000 0000 "),
    ] {
        for byte in 0..=0xff {
            let code = socks4::ReplyCode::new(byte);
            let script = Server {
                socks4_code: Some(code),
                ..script
            };
            let sent = if byte == 0x5a { 0x5b } else { byte };
            Exchange::server(format!("command {command} refused with {code}"), script)
                .step(
                    Phase::Greeting,
                    &format!("04 {command} 0050 c0000209 75 00"),
                    &format!("{granted}00 {sent:02x} 0000 00000000"),
                )
                .value(byte)
                .ends(&Due::Closed(Error::Socks4Refused(socks4::ReplyCode::new(sent))));

            let converted = ReplyCode::from(socks4::ReplyCode::new(sent));
            assert!(!converted.is_success());
            Exchange::server(
                format!("command {command} of version 5 refused with {code}"),
                script,
            )
            .step(Phase::Greeting, "05 01 00", "05 00")
            .step(
                Phase::Request,
                &format!("05 {command} 00 01 c0000209 0050"),
                &format!("{granted_in_5}05 {converted:02x} 00 01 00000000 0000"),
            )
            .value(byte)
            .ends(&Due::Closed(Error::Refused(converted)));
        }
    }
}

/// the reply has room only for an IPv4 address. For any other address the server sends zeros, which the client
/// replaces by the proxy's address.
#[test]
fn server_sends_ipv4_addresses_only() {
    let long = [b'a'; 255];
    let long = Address::from((Domain::new(&long).unwrap(), 8080));
    for (bound, sent) in [
        (address("127.0.0.1:8080"), "1f90 7f000001"),
        (address("0.0.0.0:0"), "0000 00000000"),
        (address("[::ffff:127.0.0.1]:8080"), "1f90 7f000001"),
        (address("[2001:db8::1]:8080"), "1f90 00000000"),
        (address("[::]:8080"), "1f90 00000000"),
        (address("bound.test:8080"), "1f90 00000000"),
        (long, "1f90 00000000"),
    ] {
        for (byte, established) in COMMANDS {
            let command = Command::new(byte);
            let script = Server {
                reply: Ok(bound),
                peer: Ok(bound),
                ..server()
            };
            let request = format!("04 {byte:02x} 0050 00000001 00 61 00");
            let reply = format!("00 5a {sent}");
            let exchange = Exchange::server(format!("{command:?}, bound {bound}"), script);
            let is_answer = !matches!(command, Command::CONNECT | Command::BIND);
            if is_answer && sent.ends_with("00000000") && bound != Address::UNSPECIFIED {
                // Tor's look-up found an address that has no encoding.
                exchange
                    .step(Phase::Greeting, &request, REJECTED)
                    .ends(&Due::Closed(Error::Refused(
                        ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED,
                    )));
            } else {
                let second = if command == Command::BIND { &reply[..] } else { "" };
                exchange
                    .step(Phase::Greeting, &request, &format!("{reply} {second}"))
                    .ends(&Due::Served(established));
            }
        }
    }
}

/// 03 is not a command of version 4, and not accepted as UDP ASSOCIATE.
#[test]
fn server_refuses_udp_associate() {
    for user_id in user_ids() {
        let request = format!("04 03 0050 c0000209 {} 00", hex::encode(user_id));
        Exchange::server("UDP ASSOCIATE", server())
            .step(Phase::Greeting, &request, REJECTED)
            .decides([])
            .ends(&Due::Closed(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED)));
    }
}

/// any other command reaches the caller, whether version 4 has it or not.
#[test]
fn server_passes_every_other_command_to_its_caller() {
    for byte in (0..=0xff).filter(|byte| *byte != 3) {
        let command = Command::new(byte);
        let script = Server {
            reply: Err(ReplyCode::COMMAND_NOT_SUPPORTED),
            ..server()
        };
        Exchange::server(format!("command {byte:02x}"), script)
            .step(
                Phase::Greeting,
                &format!("04 {byte:02x} 0050 c0000209 75 00"),
                REJECTED,
            )
            .leaves("74756e6e656c")
            .decides([pending(command, address("192.0.2.9:80"), b"u")])
            .value(byte)
            .ends(&Due::Closed(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED)));
    }
}

/// a field without an end and an empty name are refused at the byte that shows it. No later byte is
/// consumed or buffered.
#[test]
fn server_refuses_malformed_requests() {
    let (user_id, name) = ("75".repeat(256), "6e".repeat(256));
    let longest = "75".repeat(255);
    for (request, fault) in [
        (format!("04 01 0050 7f000001 {user_id}"), Malformed::UserIdTooLong),
        (format!("04 01 0050 00000001 {user_id}"), Malformed::UserIdTooLong),
        (format!("04 03 0050 00000000 {user_id}"), Malformed::UserIdTooLong),
        (format!("04 01 0050 00000001 00 {name}"), Malformed::DomainTooLong),
        (
            format!("04 01 0050 000000ff {longest} 00 {name}"),
            Malformed::DomainTooLong,
        ),
        ("04 01 0050 00000001 00 00".into(), Malformed::EmptyDomain),
        ("04 02 0050 00000001 75 00 00".into(), Malformed::EmptyDomain),
    ] {
        Exchange::server(format!("{fault}"), server())
            .step(Phase::Greeting, &request, REJECTED)
            .leaves("75 00 6e 00")
            .decides([])
            .ends(&Due::Closed(Error::Malformed(fault)));
    }
}

/// 64 KiB without a NUL, at once, byte by byte, and with a read that ends before byte 256.
#[test]
fn server_consumes_at_most_256_bytes_of_an_endless_user_id() {
    let input = [&unhex("04 01 0050 00000001")[..], &[b'u'; 65_536]].concat();
    let (head, user_id) = input.split_at(8);
    let (longest, rest) = user_id.split_at(255);
    let pieces = [head, longest].into_iter().chain(rest.chunks(1));
    for reads in [
        vec![input.clone()],
        input.chunks(1).map(<[u8]>::to_vec).collect(),
        pieces.map(<[u8]>::to_vec).collect(),
    ] {
        let record = run(&Script::Server(server()), &Delivery::reads(reads));
        assert_eq!(record.sent(), unhex(REJECTED));
        assert_eq!(record.unread, input[8 + 256..]);
        assert_eq!(
            record.end(),
            Some(&Due::Closed(Error::Malformed(Malformed::UserIdTooLong)))
        );
    }
}

/// As in version 5, a name with control bytes is refused unless it is allowed. A user id may have them.
#[test]
fn server_refuses_control_bytes_in_a_name() {
    for byte in 1..=0xff {
        let command = Command::CONNECT;
        let name = [b'a', byte, b'b'];
        let target = Address::from((Domain::new(&name).unwrap(), 80));
        let request = format!("04 01 0050 00000001 {byte:02x} 00 {} 00", hex::encode(name));
        for allowed in [false, true] {
            let script = Server {
                config: config().with_control_bytes(allowed),
                ..server()
            };
            let exchange = Exchange::server(format!("{byte:02x} in a name, {allowed}"), script);
            if byte.is_ascii_control() && !allowed {
                exchange
                    .step(Phase::Greeting, &request, REJECTED)
                    .decides([])
                    .value(byte)
                    .ends(&Due::Closed(Error::Malformed(Malformed::ControlBytes)));
            } else {
                exchange
                    .step(Phase::Greeting, &request, GRANTED)
                    .decides([pending(command, target, &[byte])])
                    .value(byte)
                    .ends(&Due::Served(Established::Stream));
            }
        }
    }
}

/// only 04 and 05 are accepted; 04 only if it is configured. Nothing is sent, and the byte is not
/// consumed.
#[test]
fn server_closes_on_other_versions() {
    for (config, accepted) in [(Config::new(), &[5][..]), (config(), &[4, 5])] {
        for version in (0..=0xff).filter(|version| !accepted.contains(version)) {
            let script = Server {
                config,
                ..Server::default()
            };
            Exchange::server(format!("version {version:02x}"), script)
                .step(Phase::Greeting, "", "")
                .leaves(&format!("{version:02x} 01 0050 7f000001 75 00"))
                .decides([])
                .value(version)
                .ends(&Due::Closed(wrong_version(5, version).into()));
        }
    }
}

/// Version 5 on the same port behaves as without version 4.
///
#[test]
fn server_speaks_version_5_as_well() {
    let script = Server {
        prefer: &[Method::USERNAME_PASSWORD],
        ..server()
    };
    let alice = "01 05 616c696365 06 736563726574";
    let begun = |name| {
        Exchange::server(name, script)
            .step(Phase::Greeting, "05 02 00 02", "05 02")
            .step(Phase::Authentication, alice, "01 00")
    };
    begun("CONNECT")
        .step(
            Phase::Request,
            "05 01 00 03 01 61 0050",
            "05 00 00 01 00000000 0000",
        )
        .decides([
            Due::SelectMethod(vec![Method::NO_AUTHENTICATION, Method::USERNAME_PASSWORD]),
            Due::Authenticate(b"alice".to_vec(), b"secret".to_vec()),
            Due::PendingRequest(Command::CONNECT, address("a:80").into()),
        ])
        .ends(&Due::Served(Established::Stream));
    // a request of version 4 after a greeting of version 5 would skip the authentication.
    begun("version 4 after a login")
        .step(Phase::Request, "", "05 01 00 01 00000000 0000")
        .leaves("04 01 0050 7f000001 75 00")
        .ends(&Due::Closed(wrong_version(5, 4).into()));
    Exchange::server("version 4 for credentials", script)
        .step(Phase::Greeting, "05 01 02", "05 02")
        .step(Phase::Authentication, "", "01 01")
        .leaves("04 01 0050 7f000001 75 00")
        .ends(&Due::Closed(wrong_version(1, 4).into()));
    Exchange::server("no common method", script)
        .step(Phase::Greeting, "05 01 00", "05 ff")
        .ends(&Due::Closed(Error::NoAcceptableMethod));
}

/// A greeting of version 5 after a request of version 4 belongs to the tunnel.
#[test]
fn server_leaves_what_follows_a_request() {
    for request in ["04 01 0050 c0000209 75 00", "04 01 0050 00000001 75 00 61 00"] {
        for after in ["05 01 00", request, "00", "00 00 00"] {
            Exchange::server(format!("{request}, then {after}"), server())
                .step(Phase::Greeting, request, GRANTED)
                .leaves(after)
                .ends(&Due::Served(Established::Stream));
        }
    }
}

/// Returns the handshake after it has consumed `bytes`.
fn received(bytes: &[u8]) -> Handshake {
    let mut handshake = Handshake::with_config(config());
    assert_eq!(handshake.handle_input(bytes), bytes.len());
    handshake
}

fn pending_request(handshake: &mut Handshake) -> PendingRequest<'_> {
    match handshake.poll_output() {
        Output::PendingRequest(pending) => pending,
        other => panic!("{other:?}"),
    }
}

fn sent(handshake: &mut Handshake) -> Vec<u8> {
    match handshake.poll_output() {
        Output::Transmit(transmit) => {
            let bytes = transmit.as_bytes().to_vec();
            transmit.sent_all();
            bytes
        }
        other => panic!("{other:?}"),
    }
}

/// a server that requires credentials recognizes a request that has none, and refuses it.
#[test]
fn server_can_refuse_clients_without_credentials() {
    let mut handshake = received(&unhex("04 01 0050 c0000209 616c696365 00"));
    let pending = pending_request(&mut handshake);
    assert_eq!(pending.version(), Version::Socks4);
    assert_eq!(pending.user_id(), Some(UserId::new("alice").unwrap()));
    pending.reject(ReplyCode::NOT_ALLOWED);
    assert_eq!(sent(&mut handshake), unhex(REJECTED));
    let Output::Closed(Error::Refused(ReplyCode::NOT_ALLOWED)) = handshake.poll_output() else {
        panic!("{handshake:?}");
    };
    assert_eq!(handshake.method(), None);
}

/// credentials that follow such a request are not read.
#[test]
fn server_that_wants_a_login_never_reads_one_after_a_request() {
    let refused = Error::Refused(ReplyCode::NOT_ALLOWED);
    let script = Server {
        prefer: &[Method::USERNAME_PASSWORD],
        reply: Err(ReplyCode::NOT_ALLOWED),
        ..server()
    };
    Exchange::server("a login is wanted", script)
        .step(Phase::Greeting, "04 01 0050 c0000209 616c696365 00", REJECTED)
        .leaves("05 01 02 01 05 616c696365 06 736563726574")
        .decides([pending(Command::CONNECT, address("192.0.2.9:80"), b"alice")])
        .ends(&Due::Closed(refused));
}

/// By default version 4 is off, and its clients get no answer.
#[test]
fn server_by_default_does_not_accept_version_4() {
    assert!(!Config::new().socks4());
    assert!(!Config::default().socks4());
    assert!(config().socks4());
    assert_ne!(config(), Config::new());
    let mut handshake = Handshake::new();
    assert_eq!(handshake.handle_input(&unhex("04 01 0050 7f000001 00")), 0);
    let Output::Closed(error) = handshake.poll_output() else {
        panic!("{handshake:?}");
    };
    assert_eq!(error, wrong_version(5, 4).into());
}

/// a request is known while it is pending, and after it was refused, before and after the reply is sent, even the
/// longest.
#[test]
fn request_is_known_after_a_refusal() {
    let refusals: [fn(PendingRequest<'_>); 2] = [
        |pending| pending.reject(ReplyCode::HOST_UNREACHABLE),
        |pending| pending.reject_socks4(socks4::ReplyCode::IDENTD_MISMATCH),
    ];
    for refuse in refusals {
        for (_, _, target) in hosts() {
            for user_id in user_ids() {
                let request = Request::new(Command::CONNECT, target, UserId::new(&user_id).unwrap()).unwrap();
                let known = Some(sans_socks::Request::connect(target));
                let mut handshake = received(&encoded(&request));
                assert_eq!(handshake.request(), known);
                refuse(pending_request(&mut handshake));
                assert_eq!(handshake.request(), known);
                sent(&mut handshake);
                assert_eq!(handshake.request(), known);
                assert!(matches!(handshake.poll_output(), Output::Closed(_)));
                assert_eq!(handshake.request(), known);
            }
        }
    }
    // Complete requests that the machine itself refuses.
    for (bytes, known) in [
        (&b"\x04\x03\0\x50\xc0\0\x02\x09user\0"[..], "192.0.2.9:80"),
        (b"\x04\x01\0\x50\0\0\0\x01user\0a\x7fb\0", ""),
        (b"\x04\x01\0\x50\0\0\0\x01user\0\0", "-"),
    ] {
        let mut handshake = received(bytes);
        sent(&mut handshake);
        let address = match known {
            "-" => None,
            "" => Some(Address::from((Domain::new("a\x7fb").unwrap(), 80))),
            text => Some(address(text)),
        };
        assert_eq!(handshake.request().map(|request| request.address), address);
    }
    // After success the buffer holds the reply.
    let mut handshake = received(b"\x04\x01\0\x50\xc0\0\x02\x09user\0");
    pending_request(&mut handshake).accept(Address::UNSPECIFIED);
    assert_eq!(handshake.request(), None);
}

fn encoded(request: &Request<'_>) -> Vec<u8> {
    use sans_socks::message::Encode;

    let mut bytes = vec![0; request.encoded_len()];
    request.encode_into(&mut bytes).unwrap();
    bytes
}

/// Until the request is complete, the phase is that of the first message of either version.
#[test]
fn phases_are_those_of_version_5() {
    let mut handshake = received(b"\x04\x02\0\x50\xc0\0\x02\x09user");
    assert_eq!(handshake.phase(), Phase::Greeting);
    assert_eq!(handshake.handle_input(b"\0"), 1);
    assert_eq!(handshake.phase(), Phase::Reply);
    assert_eq!((handshake.method(), handshake.offered()), (None, None));
    pending_request(&mut handshake).accept(Address::UNSPECIFIED);
    assert_eq!(handshake.phase(), Phase::SecondReply);
    sent(&mut handshake);
    let Output::PendingPeer(pending) = handshake.poll_output() else {
        panic!("{handshake:?}");
    };
    assert_eq!(pending.version(), Version::Socks4);
    pending.accept(Address::UNSPECIFIED);
    assert_eq!(handshake.phase(), Phase::Established);
}
