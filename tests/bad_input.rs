//! Bad input, one test a rule: what is refused, with which octets, and how much of it is taken.
//!
//! [`Exchange::ends`] proves each for every split and every end of input, see `common/exchange.rs`.

mod common;

use common::exchange::Exchange;
use common::{Client, Delivery, Due, Eof, Script, Server, address, octets};
use sans_socks::client::{self, Auth};
use sans_socks::message::Greeting;
use sans_socks::server::{self, Established};
use sans_socks::{
    Address, ApiMisuse, Command, Credentials, Domain, Error, InvalidValue, Malformed, Method, OtherProtocol,
    PeerMisbehaved, Phase, Reply, ReplyCode, Request,
};

const GREETING: &str = "05 01 00";
const REQUEST: &str = "05 01 00 01 7f000001 1f90";
const BIND: &str = "05 02 00 01 7f000001 1f90";
const SUCCESS: &str = "05 00 00 01 00000000 0000";
const GENERAL_FAILURE: &str = "05 01 00 01 00000000 0000";
const ALICE: &str = "01 05 616c696365 06 736563726574";

fn alice() -> Credentials<'static> {
    Credentials::new("alice", "secret").unwrap()
}

/// A server that wants a password.
fn password_server() -> Server<'static> {
    Server {
        prefer: &[Method::USERNAME_PASSWORD],
        ..Server::default()
    }
}

/// A client for [`REQUEST`], or another command with its address.
fn client(command: Command) -> Client<'static> {
    Client::new(command, address("127.0.0.1:8080"))
}

fn password_client() -> Client<'static> {
    Client {
        auth: Auth::password(alice()),
        ..client(Command::CONNECT)
    }
}

fn connecting(name: impl Into<String>) -> Exchange<'static> {
    Exchange::client(name, client(Command::CONNECT), GREETING).step(Phase::MethodSelection, "05 00", REQUEST)
}

/// A client that waits for BIND's second reply.
fn bound(name: impl Into<String>) -> Exchange<'static> {
    Exchange::client(name, client(Command::BIND), GREETING)
        .step(Phase::MethodSelection, "05 00", BIND)
        .step(Phase::Reply, "05 00 00 01 7f000001 8307", "")
}

/// A server that waits for a request.
fn requested(name: impl Into<String>, config: server::Config) -> Exchange<'static> {
    let server = Server {
        config,
        ..Server::default()
    };
    Exchange::server(name, server).step(Phase::Greeting, GREETING, "05 00")
}

fn malformed(fault: Malformed) -> Due {
    Due::Closed(Error::Malformed(fault))
}

fn wrong_version(expected: u8, got: u8) -> Due {
    malformed(common::faults::wrong_version(expected, got))
}

/// All octets but `allowed`.
fn all_but(allowed: &[u8]) -> impl Iterator<Item = u8> {
    (0..=0xff).filter(|octet| !allowed.contains(octet))
}

/// nothing is sent, the octet is not taken.
#[test]
fn wrong_version_to_the_server() {
    for got in all_but(&[5]) {
        Exchange::server(format!("greeting {got:02x}"), Server::default())
            .step(Phase::Greeting, "", "")
            .leaves(&format!("{got:02x} 01 00"))
            .ends(&wrong_version(5, got));
        requested(format!("request {got:02x}"), server::Config::new())
            .step(Phase::Request, "", "")
            .leaves(&format!("{got:02x} 01 00 01 7f000001 1f90"))
            .ends(&wrong_version(5, got));
    }
    for got in all_but(&[1]) {
        Exchange::server(format!("credentials {got:02x}"), password_server())
            .step(Phase::Greeting, "05 01 02", "05 02")
            .step(Phase::Authentication, "", "")
            .leaves(&format!("{got:02x} 05 616c696365 06 736563726574"))
            .ends(&wrong_version(1, got));
    }
}

///
#[test]
fn wrong_version_to_the_client() {
    for got in all_but(&[5]) {
        Exchange::client(format!("selection {got:02x}"), client(Command::CONNECT), GREETING)
            .step(Phase::MethodSelection, "", "")
            .leaves(&format!("{got:02x} 00"))
            .ends(&wrong_version(5, got));
        connecting(format!("reply {got:02x}"))
            .step(Phase::Reply, "", "")
            .leaves(&format!("{got:02x} 00 00 01 7f000001 c001"))
            .ends(&wrong_version(5, got));
        bound(format!("second reply {got:02x}"))
            .step(Phase::SecondReply, "", "")
            .leaves(&format!("{got:02x} 00 00 01 7f000001 c001"))
            .ends(&wrong_version(5, got));
    }
    let strict = client::Config::new().with_strict_status_version(true);
    for (config, allowed) in [(client::Config::new(), &[1, 5][..]), (strict, &[1])] {
        for got in all_but(allowed) {
            let client = Client {
                config,
                ..password_client()
            };
            Exchange::client(format!("status {got:02x}"), client, "05 01 02")
                .step(Phase::MethodSelection, "05 02", ALICE)
                .step(Phase::Authentication, "", "")
                .leaves(&format!("{got:02x} 00"))
                .ends(&wrong_version(1, got));
        }
    }
}

/// Q-008..Q-010, Q-011, V-013, V-014, V-016, V-025, V-026, V-094: what speaks something else is named, and
/// its octets are left whole.
#[test]
fn other_protocols_are_named() {
    let server = Script::Server(Server::default());
    let client = Script::Client(client(Command::CONNECT));
    let (http, tls, socks4) = (
        Some(OtherProtocol::Http),
        Some(OtherProtocol::Tls),
        Some(OtherProtocol::Socks4),
    );
    let tls_hello = octets("16 03 01 00 2e 01 00 00 2a 03 03");
    let tls_alert = octets("15 03 01 00 02 02 0a");
    let socks4_request = octets("04 01 1f90 7f000001 00");
    let socks4_refusal = octets("00 5b 0000 00000000");
    let cases: [(&Script<'_>, &[u8], Option<OtherProtocol>); 14] = [
        (&server, b"GET / HTTP/1.0\r\n\r\n", http),
        (&server, b"HEAD / HTTP/1.0\r\n\r\n", http),
        (&server, b"POST / HTTP/1.0\r\n\r\n", http),
        (&server, b"PUT / HTTP/1.0\r\n\r\n", http),
        (&server, b"CONNECT app.test:8080 HTTP/1.1\r\n\r\n", http),
        (&server, b"DELETE / HTTP/1.0\r\n\r\n", http),
        (&server, b"OPTIONS * HTTP/1.0\r\n\r\n", http),
        (&server, b"TRACE / HTTP/1.0\r\n\r\n", http),
        (&server, &tls_hello, tls),
        (&server, &socks4_request, socks4),
        (&server, b"\x06\x01\x00", None),
        (&client, b"HTTP/1.1 400 Bad Request\r\n\r\n", http),
        (&client, &tls_alert, tls),
        (&client, &socks4_refusal, socks4),
    ];
    for (script, input, protocol) in cases {
        let record = common::run(script, &Delivery::reads([input]));
        let Some(Due::Closed(Error::Malformed(fault))) = record.end() else {
            panic!("{input:02x?}: {:?}", record.end());
        };
        assert_eq!(fault.looks_like(), protocol, "{input:02x?}");
        assert_eq!(record.unread, input);
        let sent = if matches!(script, Script::Client(_)) {
            "050100"
        } else {
            ""
        };
        assert_eq!(hex::encode(record.sent()), sent);
    }
    // Only the first octet says so: the same number anywhere else is no protocol.
    for got in 0..=0xff {
        assert_eq!(common::faults::wrong_version(1, got).looks_like(), None);
    }
    assert_eq!(Malformed::AddressType(0x47).looks_like(), None);
    assert_eq!(Malformed::Reserved(4).looks_like(), None);
    assert_eq!(Malformed::NoMethods.looks_like(), None);
}

/// R-006, V-010, Q-006: decided at the second octet.
#[test]
fn no_methods() {
    Exchange::server("NMETHODS 00", Server::default())
        .step(Phase::Greeting, "05 00", "05 ff")
        .leaves(REQUEST)
        .decides([])
        .ends(&malformed(Malformed::NoMethods));
}

/// V-022, V-023: of all methods, only the ones offered.
#[test]
fn unoffered_selection() {
    let methods = [Method::GSSAPI, Method::new(0x80)];
    let mixed = Auth::new(&methods, None).unwrap();
    for (auth, greeting, offered) in [
        (Auth::none(), "05 01 00", &[0][..]),
        (Auth::password(alice()), "05 01 02", &[2]),
        (mixed, "05 02 01 80", &[1, 0x80]),
    ] {
        for selected in all_but(offered).filter(|selected| *selected != 0xff) {
            let client = Client {
                auth,
                ..client(Command::CONNECT)
            };
            let unoffered = PeerMisbehaved::MethodNotOffered(Method::new(selected));
            Exchange::client(format!("{greeting}, selected {selected:02x}"), client, greeting)
                .step(Phase::MethodSelection, &format!("05 {selected:02x}"), "")
                .leaves(SUCCESS)
                .ends(&Due::Closed(Error::PeerMisbehaved(unoffered)));
        }
    }
}

/// FF is no method. A client cannot offer it; a server passes over it, and cannot select it.
#[test]
fn no_acceptable_offered() {
    for methods in [
        &[Method::NO_ACCEPTABLE][..],
        &[Method::NO_AUTHENTICATION, Method::NO_ACCEPTABLE],
    ] {
        assert_eq!(
            Auth::new(methods, None).unwrap_err(),
            InvalidValue::NoAcceptableOffered
        );
        assert_eq!(Greeting::new(methods), Err(InvalidValue::NoAcceptableOffered));
    }
    Exchange::server("FF and 00 offered", Server::default())
        .step(Phase::Greeting, "05 02 ff 00", "05 00")
        .step(Phase::Request, REQUEST, SUCCESS)
        .decides([
            Due::SelectMethod(vec![Method::NO_AUTHENTICATION]),
            Due::Request(Command::CONNECT, address("127.0.0.1:8080").into()),
        ])
        .ends(&Due::Served(Established::Stream));
    let prefers_ff = Server {
        prefer: &[Method::NO_ACCEPTABLE],
        ..Server::default()
    };
    Exchange::server("FF offered and preferred", prefers_ff)
        .step(Phase::Greeting, "05 01 ff", "05 ff")
        .decides([Due::SelectMethod(vec![])])
        .ends(&Due::Closed(Error::NoAcceptableMethod));
}

/// selecting what was not offered is an error of the program, and decides nothing.
#[test]
fn server_cannot_select_what_was_not_offered() {
    let mut handshake = server::Handshake::new();
    assert_eq!(handshake.handle_input(&[5, 2, 0xff, 0x80]), 4);
    for octet in all_but(&[0x80]) {
        let server::Output::SelectMethod(select) = handshake.poll_output() else {
            panic!("still to be selected");
        };
        let method = Method::new(octet);
        assert_eq!(select.select(method), Err(ApiMisuse::MethodNotOffered(method)));
    }
    let server::Output::SelectMethod(select) = handshake.poll_output() else {
        panic!("still to be selected");
    };
    assert_eq!(select.select(Method::new(0x80)), Ok(()));
    let server::Output::Transmit(transmit) = handshake.poll_output() else {
        panic!("the selection is to be sent");
    };
    assert_eq!(transmit.as_bytes(), [5, 0x80]);
}

/// R-062, V-032, Q-062: ULEN or PLEN 00, seen at that octet.
#[test]
fn empty_credentials() {
    for (takes, leaves) in [
        ("01 00", "06 736563726574"),
        ("01 00", "00"),
        ("01 05 616c696365 00", REQUEST),
    ] {
        Exchange::server(format!("{takes} {leaves}"), password_server())
            .step(Phase::Greeting, "05 01 02", "05 02")
            .step(Phase::Authentication, takes, "01 01")
            .leaves(leaves)
            .decides([Due::SelectMethod(vec![Method::USERNAME_PASSWORD])])
            .ends(&malformed(Malformed::EmptyCredentials));
    }
}

/// R-027, V-061: any ATYP but 01, 03, 04 is REP 08, and nothing behind it is taken.
#[test]
fn unknown_address_type_in_a_request() {
    for atyp in all_but(&[1, 3, 4]) {
        requested(format!("ATYP {atyp:02x}"), server::Config::new())
            .step(
                Phase::Request,
                &format!("05 01 00 {atyp:02x}"),
                "05 08 00 01 00000000 0000",
            )
            .leaves("7f000001 1f90")
            .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
            .ends(&malformed(Malformed::AddressType(atyp)));
    }
}

/// V-089, Q-044: success with an ATYP that has no length. ATYP 00 is one of them.
#[test]
fn unknown_address_type_in_a_success() {
    for atyp in all_but(&[1, 3, 4]) {
        let takes = format!("05 00 00 {atyp:02x}");
        connecting(format!("ATYP {atyp:02x}"))
            .step(Phase::Reply, &takes, "")
            .leaves("000000000000")
            .ends(&malformed(Malformed::AddressType(atyp)));
        bound(format!("second reply, ATYP {atyp:02x}"))
            .step(Phase::SecondReply, &takes, "")
            .leaves("000000000000")
            .ends(&malformed(Malformed::AddressType(atyp)));
    }
}

/// V-088, Q-043: in a failure, REP is what counts, whatever ATYP says.
#[test]
fn unknown_address_type_in_a_failure() {
    for atyp in all_but(&[1, 3, 4]) {
        connecting(format!("REP 04, ATYP {atyp:02x}"))
            .step(Phase::Reply, "05 04", "")
            .leaves(&format!("00 {atyp:02x} 000000000000"))
            .ends(&Due::Closed(Error::Refused(ReplyCode::HOST_UNREACHABLE)));
        // The decoder has no such judgement: it is the machine's.
        let reply = [5, 4, 0, atyp, 0, 0, 0, 0, 0, 0];
        assert_eq!(Reply::decode(&reply), Err(Malformed::AddressType(atyp)));
    }
}

/// R-030, V-062, Q-030: a request for a name of length 0 is REP 01, seen at the length.
#[test]
fn empty_name_in_a_request() {
    requested("a name of length 0", server::Config::new())
        .step(Phase::Request, "05 01 00 03 00", GENERAL_FAILURE)
        .leaves("1f90")
        .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
        .ends(&malformed(Malformed::EmptyDomain));
}

/// V-064, Q-031: NUL and the other control octets, anywhere in the name, are REP 01, unless they are allowed.
#[test]
fn control_octets_in_a_name() {
    for octet in (0..=0x1f).chain([0x7f]) {
        for name in [
            format!("{octet:02x}"),
            format!("{octet:02x} 6161"),
            format!("6161 {octet:02x} 6161"),
            format!("6161 {octet:02x}"),
        ] {
            let len = octets(&name).len();
            let request = format!("05 01 00 03 {len:02x} {name} 1f90");
            requested(format!("name {name}"), server::Config::new())
                .step(Phase::Request, &request, GENERAL_FAILURE)
                .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
                .ends(&malformed(Malformed::ControlBytes));

            let octets = octets(&name);
            let target = Address::from((Domain::new(&octets).unwrap(), 8080));
            requested(
                format!("name {name}, allowed"),
                server::Config::new().with_control_bytes(true),
            )
            .step(Phase::Request, &request, SUCCESS)
            .decides([
                Due::SelectMethod(vec![Method::NO_AUTHENTICATION]),
                Due::Request(Command::CONNECT, target.into()),
            ])
            .ends(&Due::Served(Established::Stream));
        }
    }
}

/// V-065, Q-035: any other octet passes, text or not; so does the longest name (V-053).
#[test]
fn odd_names_pass() {
    let every: Vec<u8> = (0x20..=0xff).filter(|octet| *octet != 0x7f).collect();
    for name in [
        every,
        b"\xff\xfe".to_vec(),
        vec![b'a'; 255],
        vec![0xff; 255],
        b" ".to_vec(),
    ] {
        let target = Address::from((Domain::new(&name).unwrap(), 0));
        let request = format!("05 01 00 03 {:02x} {} 0000", name.len(), hex::encode(&name));
        requested(format!("name {name:02x?}"), server::Config::new())
            .step(Phase::Request, &request, SUCCESS)
            .decides([
                Due::SelectMethod(vec![Method::NO_AUTHENTICATION]),
                Due::Request(Command::CONNECT, target.into()),
            ])
            .ends(&Due::Served(Established::Stream));
    }
}

/// what does not fit its length octet cannot be built.
#[test]
fn too_long_at_construction() {
    let (fits, long) = ([b'a'; 255], [b'a'; 256]);
    assert!(Domain::new(&fits).is_ok());
    assert_eq!(Domain::new(&long), Err(InvalidValue::DomainLength(256)));
    assert_eq!(Domain::new(""), Err(InvalidValue::DomainLength(0)));
    let text = format!("{}:80", "a".repeat(256));
    assert_eq!(Address::try_from(&*text), Err(InvalidValue::DomainLength(256)));

    for new in [Credentials::new::<[u8], [u8]>, Credentials::new_allowing_empty] {
        assert!(new(&fits, &fits).is_ok());
        assert_eq!(new(&long, &fits).unwrap_err(), InvalidValue::UsernameLength(256));
        assert_eq!(new(&fits, &long).unwrap_err(), InvalidValue::PasswordLength(256));
    }
    assert_eq!(
        Credentials::new("", "b").unwrap_err(),
        InvalidValue::UsernameLength(0)
    );
    assert_eq!(
        Credentials::new("a", "").unwrap_err(),
        InvalidValue::PasswordLength(0)
    );
    assert!(Credentials::new_allowing_empty("", "").is_ok());

    let methods = [Method::GSSAPI; 256];
    assert_eq!(Greeting::new(&methods), Err(InvalidValue::MethodCount(256)));
    assert_eq!(Greeting::new(&[]), Err(InvalidValue::MethodCount(0)));
    assert_eq!(
        Auth::new(&methods, None).unwrap_err(),
        InvalidValue::MethodCount(256)
    );
    assert_eq!(Auth::new(&[], None).unwrap_err(), InvalidValue::MethodCount(0));
    assert!(Auth::new(&methods[..255], None).is_ok());
    let password = Auth::new(&[Method::USERNAME_PASSWORD], None);
    assert_eq!(password.unwrap_err(), InvalidValue::CredentialsMissing);
}

/// R-025, V-059, V-092, Q-048: strict, RSV is judged at the octet itself, before ATYP.
#[test]
fn strict_reserved() {
    for rsv in all_but(&[0]) {
        requested(
            format!("RSV {rsv:02x}"),
            server::Config::new().with_strict_reserved(true),
        )
        .step(Phase::Request, &format!("05 01 {rsv:02x}"), GENERAL_FAILURE)
        .leaves("02 7f000001 1f90")
        .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
        .ends(&malformed(Malformed::Reserved(rsv)));

        let strict = client::Config::new().with_strict_reserved(true);
        let client = |command| Client {
            config: strict,
            ..client(command)
        };
        let takes = format!("05 00 {rsv:02x}");
        Exchange::client(
            format!("reply, RSV {rsv:02x}"),
            client(Command::CONNECT),
            GREETING,
        )
        .step(Phase::MethodSelection, "05 00", REQUEST)
        .step(Phase::Reply, &takes, "")
        .leaves("01 7f000001 c001")
        .ends(&malformed(Malformed::Reserved(rsv)));
        Exchange::client(
            format!("second reply, RSV {rsv:02x}"),
            client(Command::BIND),
            GREETING,
        )
        .step(Phase::MethodSelection, "05 00", BIND)
        .step(Phase::Reply, SUCCESS, "")
        .step(Phase::SecondReply, &takes, "")
        .leaves("01 7f000001 c001")
        .ends(&malformed(Malformed::Reserved(rsv)));
        // A refusal is one, whatever its RSV.
        Exchange::client(
            format!("refusal, RSV {rsv:02x}"),
            client(Command::CONNECT),
            GREETING,
        )
        .step(Phase::MethodSelection, "05 00", REQUEST)
        .step(Phase::Reply, "05 05", "")
        .leaves(&format!("{rsv:02x} 01 00000000 0000"))
        .ends(&Due::Closed(Error::Refused(ReplyCode::CONNECTION_REFUSED)));
    }
}

/// R-034, V-086, Q-042: everything but 00 is a failure and keeps its octet, 09..FF too.
#[test]
fn unassigned_reply_codes_are_failures() {
    for rep in all_but(&[0]) {
        let code = ReplyCode::new(rep);
        assert!(!code.is_success());
        let end = Due::Closed(Error::Refused(code));
        connecting(format!("REP {rep:02x}"))
            .step(Phase::Reply, &format!("05 {rep:02x}"), "")
            .leaves("00 01 00000000 0000 44415441")
            .ends(&end);
        bound(format!("second reply, REP {rep:02x}"))
            .step(Phase::SecondReply, &format!("05 {rep:02x}"), "")
            .leaves("00 01 00000000 0000")
            .ends(&end);
        assert_eq!(Error::Refused(code).reply_code(), Some(code));
    }
}

/// a failure cut after 2, 3 or 4 octets, and then the end: the code is kept. A success cut
/// there, or anything cut after one octet, ended too early. (Every other cut: [`Exchange::ends`].)
#[test]
fn cut_replies() {
    for optimistic in [false, true] {
        let client = Client {
            config: client::Config::new().with_optimistic(optimistic),
            ..client(Command::CONNECT)
        };
        let script = Script::Client(client);
        let cut = |reply: &str, eof| {
            let input = octets(&format!("05 00 {reply}"));
            common::run(&script, &Delivery::reads([input]).eof(eof))
        };
        for eof in [Eof::WhenAsked, Eof::AtOnce] {
            for reply in ["05 07", "05 07 00", "05 07 00 01", "05 07 00 00", "05 07 00 03"] {
                let refused = Due::Closed(Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED));
                assert_eq!(cut(reply, eof).end(), Some(&refused), "{reply}");
            }
            for reply in ["", "05", "05 00", "05 00 00", "05 00 00 01", "05 00 00 03 00 00"] {
                let phase = cut(reply, eof).end().and_then(Due::eof_phase);
                assert_eq!(phase, Some(Phase::Reply), "{reply}");
            }
        }
    }
}

/// V-076, Q-047: a reply of seven octets, and tunnel data behind it that looks like the rest of ten.
#[test]
fn seven_octet_reply_with_tunnel_data() {
    connecting("seven octets")
        .step(Phase::Reply, "05 00 00 03 00 0000", "")
        .leaves("44415441 31323334")
        .ends(&Due::Connected(ReplyCode::SUCCEEDED, Address::UNSPECIFIED.into()));
    bound("seven octets, second")
        .step(Phase::SecondReply, "05 00 00 03 00 1f90", "")
        .leaves("7065")
        .ends(&Due::Connected(
            ReplyCode::SUCCEEDED,
            address("0.0.0.0:8080").into(),
        ));
}

/// what stands behind a reply with a name, at every length where one could be wrong about it.
#[test]
fn reply_with_a_name_and_tunnel_data() {
    for len in [1, 15, 16, 17, 127, 128, 255] {
        let name = "x".repeat(len);
        let reply = format!("05 00 00 03 {len:02x} {} 1f90", hex::encode(&name));
        connecting(format!("a name of {len}"))
            .step(Phase::Reply, &reply, "")
            .leaves("05000001 7f000001")
            .ends(&Due::Connected(
                ReplyCode::SUCCEEDED,
                address(&format!("{name}:8080")).into(),
            ));
    }
}

/// R-041..R-043, R-053, Q-023, Q-024: both of BIND's replies and the peer's data in one segment; the second
/// waits.
#[test]
fn second_bind_reply_glued_to_the_first() {
    bound("both replies")
        .step(Phase::SecondReply, "05 00 00 01 7f000001 dfbe", "")
        .leaves("70656572 2d64617461")
        .decides([Due::Bound(address("127.0.0.1:33543").into())])
        .ends(&Due::Connected(
            ReplyCode::SUCCEEDED,
            address("127.0.0.1:57278").into(),
        ));

    let mut handshake = client::Handshake::new(
        &Request::new(Command::BIND, address("127.0.0.1:8080")),
        Auth::none(),
    );
    transmit_all(&mut handshake);
    assert_eq!(handshake.handle_input(&[5, 0]), 2);
    transmit_all(&mut handshake);
    let glued = octets(&format!("{SUCCESS} 05 00 00 01 7f000001 dfbe 7065"));
    assert_eq!(handshake.handle_input(&glued), 10);
    assert!(matches!(handshake.poll_output(), client::Output::Bound(_)));
    assert_eq!(
        handshake.handle_input(&glued[10..]),
        0,
        "not before `wait_for_peer`"
    );
    let client::Output::Bound(bound) = handshake.poll_output() else {
        panic!("bound");
    };
    assert_eq!(bound.address(), Address::UNSPECIFIED);
    bound.wait_for_peer();
    assert_eq!(handshake.phase(), Phase::SecondReply);
    assert_eq!(handshake.handle_input(&glued[10..]), 10);
    assert!(matches!(handshake.poll_output(), client::Output::Established(_)));
    assert_eq!(handshake.handle_input(b"pe"), 0);
}

fn transmit_all(handshake: &mut client::Handshake) {
    let client::Output::Transmit(transmit) = handshake.poll_output() else {
        panic!("something is to be sent");
    };
    transmit.sent_all();
}

/// octets that come before it is their turn are no error. They wait with the driver.
#[test]
fn early_surplus_octets() {
    let early = octets(&format!("05 00 {SUCCESS} 44415441"));
    let mut handshake = client::Handshake::new(&Request::connect(address("127.0.0.1:8080")), Auth::none());
    assert_eq!(handshake.handle_input(&early), 0, "before the greeting was sent");
    transmit_all(&mut handshake);
    assert_eq!(handshake.handle_input(&early), 2);
    assert_eq!(
        handshake.handle_input(&early[2..]),
        0,
        "before the request was sent"
    );
    let client::Output::Transmit(transmit) = handshake.poll_output() else {
        panic!("the request is to be sent");
    };
    transmit.sent(3);
    assert_eq!(
        handshake.handle_input(&early[2..]),
        0,
        "before all of the request was sent"
    );
    transmit_all(&mut handshake);
    assert_eq!(handshake.handle_input(&early[2..]), 10);
    assert_eq!(handshake.handle_input(b"DATA"), 0);
    assert!(matches!(handshake.poll_output(), client::Output::Established(_)));
}

/// `fail(SUCCEEDED)` sends GENERAL_FAILURE, and so says the end; for both of BIND's replies.
#[test]
fn success_cannot_be_sent_by_mistake() {
    let end = Due::Closed(Error::Refused(ReplyCode::GENERAL_FAILURE));
    let failing = Server {
        reply: Err(ReplyCode::SUCCEEDED),
        ..Server::default()
    };
    Exchange::server("fail(SUCCEEDED)", failing)
        .step(Phase::Greeting, GREETING, "05 00")
        .step(Phase::Request, REQUEST, GENERAL_FAILURE)
        .ends(&end);
    let failing = Server {
        peer: Err(ReplyCode::SUCCEEDED),
        ..Server::default()
    };
    Exchange::server("fail(SUCCEEDED) of the peer", failing)
        .step(Phase::Greeting, GREETING, "05 00")
        .step(Phase::Request, BIND, &format!("{SUCCESS} {GENERAL_FAILURE}"))
        .ends(&end);
    // Status 0 cannot even be written: `reject_with` takes a `NonZeroU8`.
}

/// The end of input undoes neither a decision nor a refusal that is pending, and it is
/// latched: what needs input after it fails at once.
#[test]
fn end_of_input_is_latched_behind_what_is_pending() {
    use server::Output;

    let mut handshake = server::Handshake::new();
    assert_eq!(handshake.handle_input(&octets(GREETING)), 3);
    handshake.handle_eof();
    let Output::SelectMethod(select) = handshake.poll_output() else {
        panic!("the selection is still to be made");
    };
    assert_eq!(select.select(Method::NO_AUTHENTICATION), Ok(()));
    let Output::Transmit(transmit) = handshake.poll_output() else {
        panic!("and sent");
    };
    assert_eq!(transmit.as_bytes(), [5, 0]);
    transmit.sent(2);
    assert_eq!(
        handshake.handle_input(&octets(REQUEST)),
        0,
        "nothing can come after the end"
    );
    match handshake.poll_output() {
        Output::Closed(Error::UnexpectedEof { phase, .. }) => assert_eq!(phase, Phase::Request),
        other => panic!("{other:?}"),
    }

    // A client may half-close behind its request, and still gets both replies.
    let half_closed = Script::Server(Server::default());
    let input = octets(&format!("{GREETING} {BIND}"));
    let record = common::run(&half_closed, &Delivery::reads([input]).eof(Eof::AtOnce));
    assert_eq!(record.end(), Some(&Due::Served(Established::Stream)));
    assert_eq!(record.sent(), octets(&format!("05 00 {SUCCESS} {SUCCESS}")));
}

/// a finished machine takes nothing, and says the same for ever.
#[test]
fn every_call_on_a_finished_machine() {
    let ends: [(Script<'_>, String, Due, Phase); 6] = [
        (
            Script::Server(Server::default()),
            format!("{GREETING} {REQUEST}"),
            Due::Served(Established::Stream),
            Phase::Established,
        ),
        (
            Script::Server(Server::default()),
            "05 00".into(),
            malformed(Malformed::NoMethods),
            Phase::Closed,
        ),
        (
            Script::Server(Server::default()),
            "04".into(),
            wrong_version(5, 4),
            Phase::Closed,
        ),
        (
            Script::Client(client(Command::CONNECT)),
            format!("05 00 {SUCCESS}"),
            Due::Connected(ReplyCode::SUCCEEDED, Address::UNSPECIFIED.into()),
            Phase::Established,
        ),
        (
            Script::Client(client(Command::CONNECT)),
            "05 00 05 05".into(),
            Due::Closed(Error::Refused(ReplyCode::CONNECTION_REFUSED)),
            Phase::Closed,
        ),
        (
            Script::Client(client(Command::CONNECT)),
            "48".into(),
            wrong_version(5, 0x48),
            Phase::Closed,
        ),
    ];
    for (script, input, end, phase) in ends {
        let mut machine = script.start();
        let input = octets(&input);
        let mut rest = &input[..];
        // More than any of them has.
        for _ in 0..20 {
            match machine.due() {
                Due::NeedInput(_) => {
                    assert!(!rest.is_empty(), "{end:?} needs no more input");
                    rest = &rest[machine.handle_input(rest)..];
                }
                Due::Transmit(_) => machine.sent(usize::MAX),
                due if due.is_end() => break,
                _ => machine.decide(),
            }
        }
        for _ in 0..3 {
            assert_eq!(machine.due(), end);
            assert_eq!(machine.phase(), phase);
            for more in [&input[..], b"\x05\x01\x00", b"\x01", b""] {
                assert_eq!(machine.handle_input(more), 0, "{end:?}");
                #[cfg(feature = "bytes")]
                {
                    let mut buf = more;
                    machine.handle_buf(&mut buf);
                    assert_eq!(buf, more, "{end:?}");
                }
            }
            machine.handle_eof();
        }
    }
}

/// an unexpected end is an end like any other.
#[test]
fn unexpected_end_of_input_is_stable() {
    let scripts = [
        (Script::Server(Server::default()), Phase::Greeting),
        (Script::Client(client(Command::CONNECT)), Phase::MethodSelection),
    ];
    for (script, phase) in scripts {
        let mut machine = script.start();
        machine.handle_eof();
        if let Due::Transmit(greeting) = machine.due() {
            assert_eq!(greeting, octets(GREETING), "what is to be sent comes first");
            machine.sent(3);
        }
        for _ in 0..3 {
            assert_eq!(machine.due().eof_phase(), Some(phase));
            assert_eq!(machine.phase(), Phase::Closed);
            assert_eq!(machine.handle_input(&octets("05 01 00")), 0);
            machine.handle_eof();
        }
    }
}

/// A token that is dropped without an answer has decided nothing.
#[test]
fn dropped_tokens_come_again() {
    let mut handshake = server::Handshake::new();
    let _ = handshake.handle_input(&octets(GREETING));
    for _ in 0..3 {
        assert!(matches!(handshake.poll_output(), server::Output::SelectMethod(_)));
        assert_eq!(handshake.phase(), Phase::MethodSelection);
        assert_eq!(handshake.handle_input(&octets(REQUEST)), 0);
    }
}

/// the two roles do not take each other's messages for their own.
#[test]
fn a_machine_does_not_understand_its_own_role() {
    // A selection is no greeting of one method: `05 00` offers none.
    Exchange::server("a server that meets a server", Server::default())
        .step(Phase::Greeting, "05 00", "05 ff")
        .ends(&malformed(Malformed::NoMethods));
    // A greeting of one method reads as the selection of 01, which was not offered.
    let unoffered = PeerMisbehaved::MethodNotOffered(Method::GSSAPI);
    Exchange::client("a client that meets a client", client(Command::CONNECT), GREETING)
        .step(Phase::MethodSelection, "05 01", "")
        .leaves("00")
        .ends(&Due::Closed(Error::PeerMisbehaved(unoffered)));
}
