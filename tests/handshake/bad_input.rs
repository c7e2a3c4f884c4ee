//! Bad input, one test for each rule: what is refused, which bytes are sent, and how many are consumed.
//!
//! [`Exchange::ends`] checks each for every split and every end of input, see `testing/src/driver/exchange.rs`.

use sans_socks::client::{self, Auth};
use sans_socks::message::Greeting;
use sans_socks::server::{self, Established};
use sans_socks::socks4::UserId;
use sans_socks::{
    Address, ApiMisuse, Command, Credentials, Domain, Error, InvalidValue, Malformed, Method, OtherProtocol,
    PeerMisbehaved, Phase, Reply, ReplyCode, Request,
};
use sans_socks_testing::driver;
use sans_socks_testing::driver::exchange::Exchange;
use sans_socks_testing::driver::{
    Client, Delivery, Due, Eof, Machine, Script, Server, Verdict, address, unhex,
};
use sans_socks_testing::faults::authentication_rejected;

const GREETING: &str = "05 01 00";
const REQUEST: &str = "05 01 00 01 7f000001 1f90";
const BIND: &str = "05 02 00 01 7f000001 1f90";
const SUCCESS: &str = "05 00 00 01 00000000 0000";
const GENERAL_FAILURE: &str = "05 01 00 01 00000000 0000";
const ALICE: &str = "01 05 616c696365 06 736563726574";

fn alice() -> Credentials<'static> {
    Credentials::new("alice", "secret").unwrap()
}

/// A server that requires a password.
fn password_server(config: server::Config) -> Server<'static> {
    Server {
        config,
        prefer: &[Method::USERNAME_PASSWORD],
        ..Server::default()
    }
}

/// A client that sends [`REQUEST`], or another command with the same address.
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

/// A client that needs BIND's second reply.
fn bound(name: impl Into<String>) -> Exchange<'static> {
    Exchange::client(name, client(Command::BIND), GREETING)
        .step(Phase::MethodSelection, "05 00", BIND)
        .step(Phase::Reply, "05 00 00 01 7f000001 8307", "")
}

/// A server that needs a request.
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
    malformed(sans_socks_testing::faults::wrong_version(expected, got))
}

/// All bytes except `allowed`.
fn all_but(allowed: &[u8]) -> impl Iterator<Item = u8> {
    (0..=0xff).filter(|byte| !allowed.contains(byte))
}

/// nothing is sent, and the byte is not consumed.
#[test]
fn greeting_wrong_version_sends_nothing() {
    for got in all_but(&[5]) {
        Exchange::server(format!("greeting {got:02x}"), Server::default())
            .step(Phase::Greeting, "", "")
            .leaves(&format!("{got:02x} 01 00"))
            .value(got)
            .ends(&wrong_version(5, got));
    }
}

/// REP 01 is sent, and the byte is not consumed.
#[test]
fn request_wrong_version_is_refused_with_01() {
    for got in all_but(&[5]) {
        requested(format!("request {got:02x}"), server::Config::new())
            .step(Phase::Request, "", GENERAL_FAILURE)
            .leaves(&format!("{got:02x} 01 00 01 7f000001 1f90"))
            .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
            .value(got)
            .ends(&wrong_version(5, got));
    }
}

/// `01 01` is sent, and the byte is not consumed.
#[test]
fn credentials_wrong_version_is_rejected_with_01() {
    let lenient = server::Config::new().with_lenient_version(true);
    for (config, accepted) in [(server::Config::new(), &[1][..]), (lenient, &[1, 5])] {
        for got in all_but(accepted) {
            Exchange::server(format!("credentials {got:02x}"), password_server(config))
                .step(Phase::Greeting, "05 01 02", "05 02")
                .step(Phase::Authentication, "", "01 01")
                .leaves(&format!("{got:02x} 05 616c696365 06 736563726574"))
                .decides([Due::SelectMethod(vec![Method::USERNAME_PASSWORD])])
                .value(got)
                .ends(&wrong_version(1, got));
        }
    }
}

/// with `lenient_version`, 05 is read like 01, empty fields included.
#[test]
fn credentials_lenient_version_accepts_05() {
    let lenient = server::Config::new().with_lenient_version(true);
    for version in ["01", "05"] {
        let alice = format!("{version} 05 616c696365 06 736563726574");
        Exchange::server(format!("lenient, {version}"), password_server(lenient))
            .step(Phase::Greeting, "05 01 02", "05 02")
            .step(Phase::Authentication, &alice, "01 00")
            .step(Phase::Request, REQUEST, SUCCESS)
            .decides([
                Due::SelectMethod(vec![Method::USERNAME_PASSWORD]),
                Due::Authenticate(b"alice".to_vec(), b"secret".to_vec()),
                Due::PendingRequest(Command::CONNECT, address("127.0.0.1:8080").into()),
            ])
            .ends(&Due::Served(Established::Stream));
        let rejecting = Server {
            verdict: Verdict::Reject,
            ..password_server(lenient)
        };
        Exchange::server(format!("lenient, {version}, rejected"), rejecting)
            .step(Phase::Greeting, "05 01 02", "05 02")
            .step(Phase::Authentication, &alice, "01 01")
            .leaves(REQUEST)
            .ends(&Due::Closed(authentication_rejected(1)));
        for (takes, leaves) in [("00", "06 736563726574"), ("05 616c696365 00", REQUEST)] {
            let takes = format!("{version} {takes}");
            Exchange::server(format!("lenient, {takes}"), password_server(lenient))
                .step(Phase::Greeting, "05 01 02", "05 02")
                .step(Phase::Authentication, &takes, "01 01")
                .leaves(leaves)
                .ends(&malformed(Malformed::EmptyCredentials));
        }
        let empty = lenient.with_empty_credentials(true);
        Exchange::server(format!("lenient, {version}, empty"), password_server(empty))
            .step(Phase::Greeting, "05 01 02", "05 02")
            .step(Phase::Authentication, &format!("{version} 00 00"), "01 00")
            .step(Phase::Request, REQUEST, SUCCESS)
            .ends(&Due::Served(Established::Stream));
    }
}

///
#[test]
fn client_wrong_version_closes_and_is_not_consumed() {
    for got in all_but(&[5]) {
        Exchange::client(format!("selection {got:02x}"), client(Command::CONNECT), GREETING)
            .step(Phase::MethodSelection, "", "")
            .leaves(&format!("{got:02x} 00"))
            .value(got)
            .ends(&wrong_version(5, got));
        connecting(format!("reply {got:02x}"))
            .step(Phase::Reply, "", "")
            .leaves(&format!("{got:02x} 00 00 01 7f000001 c001"))
            .value(got)
            .ends(&wrong_version(5, got));
        bound(format!("second reply {got:02x}"))
            .step(Phase::SecondReply, "", "")
            .leaves(&format!("{got:02x} 00 00 01 7f000001 c001"))
            .value(got)
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
                .value(got)
                .ends(&wrong_version(1, got));
        }
    }
}

/// Q-008..Q-010, Q-011, V-013, V-014, V-016, V-025, V-026, V-094: another protocol is named, and none of its bytes
/// are consumed.
#[test]
fn other_protocol_is_named_and_not_consumed() {
    let server = Script::Server(Server::default());
    let client = Script::Client(client(Command::CONNECT));
    let (http, tls, socks4) = (
        Some(OtherProtocol::Http),
        Some(OtherProtocol::Tls),
        Some(OtherProtocol::Socks4),
    );
    let tls_hello = unhex("16 03 01 00 2e 01 00 00 2a 03 03");
    let tls_alert = unhex("15 03 01 00 02 02 0a");
    let socks4_request = unhex("04 01 1f90 7f000001 00");
    let socks4_refusal = unhex("00 5b 0000 00000000");
    let socks4_client = Script::Client(Client::socks4(
        Command::CONNECT,
        address("127.0.0.1:8080"),
        UserId::EMPTY,
    ));
    let cases: [(&Script<'_>, &[u8], Option<OtherProtocol>); 17] = [
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
        (&socks4_client, b"HTTP/1.1 400 Bad Request\r\n\r\n", http),
        (&socks4_client, &tls_alert, tls),
        (&socks4_client, b"\x05\xff", None),
    ];
    for (script, input, protocol) in cases {
        let record = driver::run(script, &Delivery::reads([input]));
        let Some(Due::Closed(Error::Malformed(fault))) = record.end() else {
            panic!("{input:02x?}: {:?}", record.end());
        };
        assert_eq!(fault.looks_like(), protocol, "{input:02x?}");
        let (expected, sent) = match script {
            Script::Server(_) => ("0x05", ""),
            Script::Client(client) if client.socks4.is_some() => ("0x00", "04011f907f00000100"),
            Script::Client(_) => ("0x05", "050100"),
        };
        let named = protocol.map_or(String::new(), |it| {
            format!("expected {expected}: looks like {it}")
        });
        assert!(fault.to_string().ends_with(&named), "{fault}");
        assert_eq!(record.unread, input);
        assert_eq!(hex::encode(record.sent()), sent);
    }
    // Only the first byte of a connection identifies a protocol.
    for got in all_but(&[1]) {
        assert_eq!(
            sans_socks_testing::faults::wrong_version(1, got).looks_like(),
            None
        );
    }
    assert_eq!(Malformed::AddressType(0x47).looks_like(), None);
    assert_eq!(Malformed::Reserved(4).looks_like(), None);
    assert_eq!(Malformed::NoMethods.looks_like(), None);
}

/// R-006, V-010, Q-006: the fault is reported at the second byte.
#[test]
fn server_greeting_without_methods_is_answered_05_ff() {
    Exchange::server("NMETHODS 00", Server::default())
        .step(Phase::Greeting, "05 00", "05 ff")
        .leaves(REQUEST)
        .decides([])
        .ends(&malformed(Malformed::NoMethods));
}

/// V-022, V-023: only a method that was offered can be selected.
#[test]
fn client_selection_that_was_not_offered_closes() {
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
                .value(selected)
                .ends(&Due::Closed(Error::PeerMisbehaved(unoffered)));
        }
    }
}

/// FF is not a method. A client cannot offer it. A server ignores it, and cannot select it.
#[test]
fn method_ff_is_neither_offered_nor_selected() {
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
            Due::PendingRequest(Command::CONNECT, address("127.0.0.1:8080").into()),
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

/// selecting a method that was not offered is an error of the caller. The decision stays pending.
#[test]
fn server_cannot_select_what_was_not_offered() {
    let mut handshake = server::Handshake::new();
    assert_eq!(handshake.handle_input(&[5, 2, 0xff, 0x80]), 4);
    for byte in all_but(&[0x80]) {
        let server::Output::SelectMethod(select) = handshake.poll_output() else {
            panic!("still to be selected");
        };
        let method = Method::new(byte);
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

/// R-062, V-032, Q-062: ULEN or PLEN 00 is rejected at that byte.
#[test]
fn server_empty_credentials_are_rejected_at_the_length() {
    for (takes, leaves) in [
        ("01 00", "06 736563726574"),
        ("01 00", "00"),
        ("01 05 616c696365 00", REQUEST),
    ] {
        Exchange::server(
            format!("{takes} {leaves}"),
            password_server(server::Config::new()),
        )
        .step(Phase::Greeting, "05 01 02", "05 02")
        .step(Phase::Authentication, takes, "01 01")
        .leaves(leaves)
        .decides([Due::SelectMethod(vec![Method::USERNAME_PASSWORD])])
        .ends(&malformed(Malformed::EmptyCredentials));
    }
}

/// R-027, V-061: any ATYP except 01, 03 and 04 is refused with REP 08. Nothing after it is consumed.
#[test]
fn server_unknown_atyp_is_refused_with_08() {
    for atyp in all_but(&[1, 3, 4]) {
        requested(format!("ATYP {atyp:02x}"), server::Config::new())
            .step(
                Phase::Request,
                &format!("05 01 00 {atyp:02x}"),
                "05 08 00 01 00000000 0000",
            )
            .leaves("7f000001 1f90")
            .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
            .value(atyp)
            .ends(&malformed(Malformed::AddressType(atyp)));
    }
}

/// V-089, Q-044: success with an ATYP whose address length is unknown, such as 00.
#[test]
fn client_unknown_atyp_in_a_success_closes() {
    for atyp in all_but(&[1, 3, 4]) {
        let takes = format!("05 00 00 {atyp:02x}");
        connecting(format!("ATYP {atyp:02x}"))
            .step(Phase::Reply, &takes, "")
            .leaves("000000000000")
            .value(atyp)
            .ends(&malformed(Malformed::AddressType(atyp)));
        bound(format!("second reply, ATYP {atyp:02x}"))
            .step(Phase::SecondReply, &takes, "")
            .leaves("000000000000")
            .value(atyp)
            .ends(&malformed(Malformed::AddressType(atyp)));
    }
}

/// V-088, Q-043: REP decides that a reply is a failure, for every ATYP.
#[test]
fn client_unknown_atyp_in_a_failure_is_a_refusal() {
    for atyp in all_but(&[1, 3, 4]) {
        connecting(format!("REP 04, ATYP {atyp:02x}"))
            .step(Phase::Reply, "05 04", "")
            .leaves(&format!("00 {atyp:02x} 000000000000"))
            .value(atyp)
            .ends(&Due::Closed(Error::Refused(ReplyCode::HOST_UNREACHABLE)));
        // The machine acts on REP. The decoder does not.
        let reply = [5, 4, 0, atyp, 0, 0, 0, 0, 0, 0];
        assert_eq!(Reply::decode(&reply), Err(Malformed::AddressType(atyp)));
    }
}

/// R-030, V-062, Q-030: a request for a name of length 0 is refused with REP 01, at the length.
#[test]
fn server_empty_name_is_refused_with_01() {
    requested("a name of length 0", server::Config::new())
        .step(Phase::Request, "05 01 00 03 00", GENERAL_FAILURE)
        .leaves("1f90")
        .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
        .ends(&malformed(Malformed::EmptyDomain));
}

/// V-064, Q-031: NUL and other control bytes in a name are refused with REP 01, unless they are allowed.
#[test]
fn server_control_bytes_in_a_name_are_refused_with_01() {
    for byte in (0..=0x1f).chain([0x7f]) {
        for name in [
            format!("{byte:02x}"),
            format!("{byte:02x} 6161"),
            format!("6161 {byte:02x} 6161"),
            format!("6161 {byte:02x}"),
            format!("{} {byte:02x} 61", "61".repeat(9)),
        ] {
            let len = unhex(&name).len();
            let request = format!("05 01 00 03 {len:02x} {name} 1f90");
            requested(format!("name {name}"), server::Config::new())
                .step(Phase::Request, &request, GENERAL_FAILURE)
                .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
                .value(byte)
                .ends(&malformed(Malformed::ControlBytes));

            let bytes = unhex(&name);
            let target = Address::from((Domain::new(&bytes).unwrap(), 8080));
            requested(
                format!("name {name}, allowed"),
                server::Config::new().with_control_bytes(true),
            )
            .step(Phase::Request, &request, SUCCESS)
            .decides([
                Due::SelectMethod(vec![Method::NO_AUTHENTICATION]),
                Due::PendingRequest(Command::CONNECT, target.into()),
            ])
            .value(byte)
            .ends(&Due::Served(Established::Stream));
        }
    }
}

/// V-065, Q-035: a name may have any other byte, and need not be text. V-053: it may have 255 bytes.
#[test]
fn server_name_of_any_other_bytes_is_accepted() {
    let every: Vec<u8> = (0x20..=0xff).filter(|byte| *byte != 0x7f).collect();
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
                Due::PendingRequest(Command::CONNECT, target.into()),
            ])
            .ends(&Due::Served(Established::Stream));
    }
}

/// a value that does not fit its length byte cannot be built.
#[test]
fn value_too_long_for_its_length_byte_cannot_be_built() {
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

/// R-025, V-059, V-092, Q-048: with `strict_reserved`, RSV is checked at its own byte, before ATYP.
#[test]
fn strict_reserved_byte_is_judged_before_atyp() {
    for rsv in all_but(&[0]) {
        requested(
            format!("RSV {rsv:02x}"),
            server::Config::new().with_strict_reserved(true),
        )
        .step(Phase::Request, &format!("05 01 {rsv:02x}"), GENERAL_FAILURE)
        .leaves("02 7f000001 1f90")
        .decides([Due::SelectMethod(vec![Method::NO_AUTHENTICATION])])
        .value(rsv)
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
        .value(rsv)
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
        .value(rsv)
        .ends(&malformed(Malformed::Reserved(rsv)));
        // RSV of a refusal is not checked.
        Exchange::client(
            format!("refusal, RSV {rsv:02x}"),
            client(Command::CONNECT),
            GREETING,
        )
        .step(Phase::MethodSelection, "05 00", REQUEST)
        .step(Phase::Reply, "05 05", "")
        .leaves(&format!("{rsv:02x} 01 00000000 0000"))
        .value(rsv)
        .ends(&Due::Closed(Error::Refused(ReplyCode::CONNECTION_REFUSED)));
    }
}

/// R-034, V-086, Q-042: every REP except 00 is a failure and keeps its value, 09 to FF included.
#[test]
fn client_unassigned_reply_code_is_a_refusal() {
    for rep in all_but(&[0]) {
        let code = ReplyCode::new(rep);
        assert!(!code.is_success());
        let end = Due::Closed(Error::Refused(code));
        connecting(format!("REP {rep:02x}"))
            .step(Phase::Reply, &format!("05 {rep:02x}"), "")
            .leaves("00 01 00000000 0000 44415441")
            .value(rep)
            .ends(&end);
        bound(format!("second reply, REP {rep:02x}"))
            .step(Phase::SecondReply, &format!("05 {rep:02x}"), "")
            .leaves("00 01 00000000 0000")
            .value(rep)
            .ends(&end);
        assert_eq!(Error::Refused(code).reply_code(), Some(code));
    }
}

/// a failure that ends after 2, 3 or 4 bytes is reported with its code. A success that ends there, or a
/// reply of one byte, is an unexpected end. [`Exchange::ends`] has the other cuts.
#[test]
fn client_failure_cut_after_rep_keeps_its_code() {
    for optimistic in [false, true] {
        let client = Client {
            config: client::Config::new().with_optimistic(optimistic),
            ..client(Command::CONNECT)
        };
        let script = Script::Client(client);
        let cut = |reply: &str, eof| {
            let input = unhex(&format!("05 00 {reply}"));
            driver::run(&script, &Delivery::reads([input]).eof(eof))
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

/// tunnel data after a reply with a name, at the lengths that other programs get wrong.
#[test]
fn client_reply_with_a_name_leaves_the_tunnel_data() {
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

/// R-041..R-043, R-053, Q-023, Q-024: both of BIND's replies and the peer's data in one segment. The second is
/// consumed after `wait_for_peer`.
#[test]
fn client_bind_replies_in_one_segment_are_consumed_one_by_one() {
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
    let glued = unhex(&format!("{SUCCESS} 05 00 00 01 7f000001 dfbe 7065"));
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
        panic!("nothing to send");
    };
    transmit.sent_all();
}

/// bytes that are received too early are not an error. The caller keeps them.
#[test]
fn early_bytes_are_left_to_the_caller() {
    let early = unhex(&format!("05 00 {SUCCESS} 44415441"));
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

/// `reject(SUCCEEDED)` sends and reports GENERAL_FAILURE, even for BIND's second reply.
#[test]
fn reject_with_succeeded_sends_general_failure() {
    let end = Due::Closed(Error::Refused(ReplyCode::GENERAL_FAILURE));
    let failing = Server {
        reply: Err(ReplyCode::SUCCEEDED),
        ..Server::default()
    };
    Exchange::server("reject(SUCCEEDED)", failing)
        .step(Phase::Greeting, GREETING, "05 00")
        .step(Phase::Request, REQUEST, GENERAL_FAILURE)
        .ends(&end);
    let failing = Server {
        peer: Err(ReplyCode::SUCCEEDED),
        ..Server::default()
    };
    Exchange::server("reject(SUCCEEDED) of the peer", failing)
        .step(Phase::Greeting, GREETING, "05 00")
        .step(Phase::Request, BIND, &format!("{SUCCESS} {GENERAL_FAILURE}"))
        .ends(&end);
    // Status 0 does not compile: `reject_with` takes a `NonZeroU8`.
}

/// A machine that has consumed `first` bytes of `input` and was offered the rest, before the end was announced. It needs the
/// next message, whose first decision takes `needed` bytes.
struct Left {
    script: Script<'static>,
    input: String,
    first: usize,
    phase: Phase,
    needed: usize,
}

impl Left {
    fn cases() -> [Self; 3] {
        [
            Self {
                script: Script::Server(Server::default()),
                input: format!("{GREETING} {REQUEST}"),
                first: 3,
                phase: Phase::Request,
                needed: 4,
            },
            Self {
                script: Script::Client(client(Command::CONNECT)),
                input: format!("05 00 {SUCCESS}"),
                first: 2,
                phase: Phase::Reply,
                needed: 2,
            },
            Self {
                script: Script::Server(password_server(server::Config::new())),
                input: format!("05 01 02 {ALICE}"),
                first: 3,
                phase: Phase::Authentication,
                needed: 2,
            },
        ]
    }

    /// Returns the machine, and the bytes that it has left. `announce` is when the end is announced: while the first decision
    /// or the bytes to send are pending, or when the next message is needed.
    fn start(&self, announce: usize) -> (Box<dyn Machine + '_>, Vec<u8>) {
        let input = unhex(&self.input);
        let mut machine = self.script.start();
        while let Due::Transmit(_) = machine.due() {
            machine.sent(usize::MAX);
        }
        assert_eq!(machine.handle_input(&input), self.first);
        for step in 0.. {
            if step == announce {
                machine.handle_eof();
            }
            match machine.due() {
                Due::NeedInput(_) if step >= announce => break,
                Due::NeedInput(_) => {}
                Due::Transmit(_) => machine.sent(usize::MAX),
                _ => machine.decide(),
            }
        }
        assert_eq!(machine.due(), Due::NeedInput(self.needed));
        (machine, input[self.first..].to_vec())
    }
}

/// the machine asks again for bytes that it was offered before the end and did not consume.
#[test]
fn eof_with_bytes_left_asks_for_them() {
    for case in Left::cases() {
        for announce in 0..4 {
            let (mut machine, left) = case.start(announce);
            for (at, byte) in left.iter().enumerate() {
                assert!(matches!(machine.due(), Due::NeedInput(_)), "after {at} bytes");
                assert_eq!(machine.handle_input(&[*byte]), 1);
            }
            assert!(!matches!(machine.due(), Due::NeedInput(_)), "complete");
        }
    }
}

/// a second announcement, or an empty slice, closes a machine that asks for bytes that the caller no longer holds.
#[test]
fn eof_again_closes_a_machine_that_needs_input() {
    for case in Left::cases() {
        for announce in 0..4 {
            for consumed in 0..case.needed {
                let (mut machine, left) = case.start(announce);
                assert_eq!(machine.handle_input(&left[..consumed]), consumed);
                if consumed > 0 {
                    assert!(matches!(machine.due(), Due::NeedInput(_)));
                    machine.handle_eof();
                    assert_eq!(machine.due().eof(), Some((case.phase, consumed)));
                    continue;
                }
                // The empty slice above was the second announcement.
                assert_eq!(machine.due().eof(), Some((case.phase, 0)));

                let (mut machine, _) = case.start(announce);
                machine.handle_eof();
                assert_eq!(machine.due().eof(), Some((case.phase, 0)));
            }
        }
    }
}

/// a caller whose own negotiation consumed the rest passes an empty slice, at any time. A second announcement has
/// the same effect only while the machine needs input.
#[test]
fn eof_after_a_negotiation_that_consumed_the_rest_closes() {
    fn next(machine: &mut dyn Machine) {
        match machine.due() {
            Due::Transmit(_) => machine.sent(usize::MAX),
            _ => machine.decide(),
        }
    }
    let methods = [Method::GSSAPI];
    let client = Script::Client(Client {
        auth: Auth::new(&methods, None).unwrap(),
        ..client(Command::CONNECT)
    });
    let server = Script::Server(Server {
        prefer: &methods,
        ..Server::default()
    });
    for (script, input, first, phase) in [
        (&client, "05 01 746f6b", 2, Phase::Reply),
        (&server, "05 01 01 746f6b", 3, Phase::Request),
    ] {
        for (empties_at, again_at) in [(0, 9), (1, 9), (2, 9), (9, 0), (9, 1), (9, 2), (9, 9)] {
            let mut machine = script.start();
            while !matches!(machine.due(), Due::NeedInput(_)) {
                next(&mut *machine);
            }
            assert_eq!(machine.handle_input(&unhex(input)), first);
            while !matches!(machine.due(), Due::Negotiate(_)) {
                next(&mut *machine);
            }
            machine.handle_eof();
            let mut step = 0;
            let end = loop {
                if step == empties_at {
                    assert_eq!(machine.handle_input(&[]), 0);
                }
                if step == again_at {
                    machine.handle_eof();
                }
                step += 1;
                match machine.due() {
                    Due::NeedInput(_) if step > 3 => break None,
                    Due::NeedInput(_) => {}
                    due if due.is_end() => break due.eof(),
                    _ => next(&mut *machine),
                }
            };
            let what = format!("{phase}, {empties_at}, {again_at}");
            // A client has its request to send at step 1.
            let needs_input_at = if phase == Phase::Reply { 2 } else { 1 };
            let closes = empties_at < 9 || (needs_input_at..9).contains(&again_at);
            assert_eq!(end, closes.then_some((phase, 0)), "{what}");
        }
    }
}

/// bytes that are offered after the end are consumed, or noted if they are not needed yet.
#[test]
fn eof_before_the_last_bytes_loses_nothing() {
    for case in Left::cases() {
        let input = unhex(&case.input);
        let mut machine = case.script.start();
        while let Due::Transmit(_) = machine.due() {
            machine.sent(usize::MAX);
        }
        assert_eq!(machine.handle_input(&input[..case.first]), case.first);
        machine.handle_eof();
        let left = &input[case.first..];
        assert_eq!(machine.handle_input(left), 0, "a selection is pending");
        while !matches!(machine.due(), Due::NeedInput(_)) {
            match machine.due() {
                Due::Transmit(_) => machine.sent(usize::MAX),
                due if due.is_end() => panic!("{due:?}"),
                _ => machine.decide(),
            }
        }
        assert_eq!(machine.due(), Due::NeedInput(case.needed));
        assert_eq!(machine.handle_input(left), left.len());
        assert!(!matches!(machine.due(), Due::NeedInput(_) | Due::Closed(_)));
    }
}

/// a pending decision and unsent bytes survive the end. A machine that then needs input closes.
#[test]
fn eof_with_nothing_left_closes_at_the_next_need_for_input() {
    for case in Left::cases() {
        for announce in 0..3 {
            let mut machine = case.script.start();
            while let Due::Transmit(_) = machine.due() {
                machine.sent(usize::MAX);
            }
            assert_eq!(
                machine.handle_input(&unhex(&case.input)[..case.first]),
                case.first
            );
            let mut steps = 0;
            let end = loop {
                if steps == announce {
                    machine.handle_eof();
                }
                steps += 1;
                match machine.due() {
                    Due::NeedInput(_) => assert!(steps <= announce, "the end was announced"),
                    Due::Transmit(_) => machine.sent(usize::MAX),
                    due if due.is_end() => break due,
                    _ => machine.decide(),
                }
            };
            assert_eq!(end.eof(), Some((case.phase, 0)));
        }
    }
}

/// a client may half-close after its request, and still receives both replies.
#[test]
fn half_closed_client_receives_both_replies() {
    let half_closed = Script::Server(Server::default());
    let input = unhex(&format!("{GREETING} {BIND}"));
    for eof in [Eof::AtOnce, Eof::WhenAsked] {
        let record = driver::run(&half_closed, &Delivery::reads([&*input]).eof(eof));
        assert_eq!(record.end(), Some(&Due::Served(Established::Stream)));
        assert_eq!(record.sent(), unhex(&format!("05 00 {SUCCESS} {SUCCESS}")));
    }
}

/// the error distinguishes a peer that sends nothing from one that ends inside a message. [`Exchange::ends`] checks
/// every other cut.
#[test]
fn eof_tells_silence_from_a_cut_message() {
    let cases = [
        (Script::Server(Server::default()), "", Phase::Greeting, 0),
        (Script::Server(Server::default()), "05", Phase::Greeting, 1),
        (Script::Server(Server::default()), "05 02 00", Phase::Greeting, 3),
        (Script::Server(Server::default()), GREETING, Phase::Request, 0),
        (
            Script::Server(Server::default()),
            "05 01 00 05 01 00 01 7f",
            Phase::Request,
            5,
        ),
        (
            Script::Client(client(Command::CONNECT)),
            "",
            Phase::MethodSelection,
            0,
        ),
        (
            Script::Client(client(Command::CONNECT)),
            "05",
            Phase::MethodSelection,
            1,
        ),
        (Script::Client(client(Command::CONNECT)), "05 00", Phase::Reply, 0),
        (
            Script::Client(client(Command::CONNECT)),
            "05 00 05 00 00",
            Phase::Reply,
            3,
        ),
    ];
    for (script, input, phase, received) in cases {
        for eof in [Eof::WhenAsked, Eof::AtOnce] {
            let record = driver::run(&script, &Delivery::reads([unhex(input)]).eof(eof));
            assert_eq!(
                record.end().and_then(Due::eof),
                Some((phase, received)),
                "{input}"
            );
        }
    }
}

/// a finished machine consumes nothing, and returns the same forever.
#[test]
fn finished_machine_consumes_nothing_and_stays_the_same() {
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
        let input = unhex(&input);
        let mut rest = &input[..];
        // More steps than any of them has.
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
            assert_eq!(machine.phase(), Some(phase));
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

/// an unexpected end of input is final.
#[test]
fn unexpected_eof_is_final() {
    let scripts = [
        (Script::Server(Server::default()), Phase::Greeting),
        (Script::Client(client(Command::CONNECT)), Phase::MethodSelection),
    ];
    for (script, phase) in scripts {
        let mut machine = script.start();
        machine.handle_eof();
        if let Due::Transmit(greeting) = machine.due() {
            assert_eq!(greeting, unhex(GREETING), "bytes to send come first");
            machine.sent(3);
        }
        for _ in 0..3 {
            assert_eq!(machine.due().eof(), Some((phase, 0)));
            assert_eq!(machine.phase(), Some(Phase::Closed));
            assert_eq!(machine.handle_input(&unhex("05 01 00")), 0);
            machine.handle_eof();
        }
    }
}

/// A token that is dropped without an answer is returned again.
#[test]
fn dropped_tokens_are_returned_again() {
    let mut handshake = server::Handshake::new();
    let _ = handshake.handle_input(&unhex(GREETING));
    for _ in 0..3 {
        assert!(matches!(handshake.poll_output(), server::Output::SelectMethod(_)));
        assert_eq!(handshake.phase(), Phase::MethodSelection);
        assert_eq!(handshake.handle_input(&unhex(REQUEST)), 0);
    }
}

/// two machines of the same role do not accept each other's messages.
#[test]
fn two_machines_of_one_role_fail() {
    // A selection `05 00` is a greeting without methods.
    Exchange::server("a server that meets a server", Server::default())
        .step(Phase::Greeting, "05 00", "05 ff")
        .ends(&malformed(Malformed::NoMethods));
    // A greeting with one method is a selection of 01, which was not offered.
    let unoffered = PeerMisbehaved::MethodNotOffered(Method::GSSAPI);
    Exchange::client("a client that meets a client", client(Command::CONNECT), GREETING)
        .step(Phase::MethodSelection, "05 01", "")
        .leaves("00")
        .ends(&Due::Closed(Error::PeerMisbehaved(unoffered)));
}

/// Returns the results of `offered` and `request` in a phase.
fn known(handshake: &server::Handshake) -> (Option<Vec<u8>>, Option<Request<'_>>) {
    let offered = handshake.offered().map(|it| it.iter().map(Method::get).collect());
    (offered, handshake.request())
}

fn select(handshake: &mut server::Handshake, preferred: &[Method]) {
    let server::Output::SelectMethod(select) = handshake.poll_output() else {
        panic!("no selection to be made");
    };
    select.select_preferred(preferred);
}

fn send(handshake: &mut server::Handshake) {
    let server::Output::Transmit(transmit) = handshake.poll_output() else {
        panic!("nothing to send");
    };
    transmit.sent_all();
}

fn pending(handshake: &mut server::Handshake) -> server::PendingRequest<'_> {
    match handshake.poll_output() {
        server::Output::PendingRequest(pending) => pending,
        other => panic!("{other:?}"),
    }
}

/// A server that has consumed [`GREETING`] and `request`.
fn server_with_request(request: &str, config: server::Config) -> server::Handshake {
    let mut handshake = server::Handshake::with_config(config);
    assert_eq!(handshake.handle_input(&unhex(GREETING)), 3);
    select(&mut handshake, &[Method::NO_AUTHENTICATION]);
    send(&mut handshake);
    assert_eq!(handshake.handle_input(&unhex(request)), unhex(request).len());
    handshake
}

/// the methods offered are known while one is to be selected, and after all were rejected.
#[test]
fn offered_methods_are_known_after_a_rejection() {
    for reject in [false, true] {
        let mut handshake = server::Handshake::new();
        assert_eq!(known(&handshake), (None, None));
        // These methods would be a request if the greeting were decoded as one.
        assert_eq!(
            handshake.handle_input(&unhex("05 09 00 01 02 03 04 05 06 07 ff")),
            11
        );
        let offered = Some(vec![0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(known(&handshake), (offered.clone(), None));
        let preferred: &[Method] = if reject { &[] } else { &[Method::NO_AUTHENTICATION] };
        select(&mut handshake, preferred);
        let after = if reject { offered } else { None };
        assert_eq!(known(&handshake), (after.clone(), None));
        send(&mut handshake);
        assert_eq!(known(&handshake), (after, None));
        let method = (!reject).then_some(Method::NO_AUTHENTICATION);
        assert_eq!(handshake.method(), method);
    }
}

/// a request is known while it is pending, and after it was refused.
#[test]
fn request_is_known_after_a_refusal() {
    let request = Request::connect(address("127.0.0.1:8080"));
    let mut handshake = server_with_request(REQUEST, server::Config::new());
    assert_eq!(known(&handshake), (None, Some(request)));
    pending(&mut handshake).reject(ReplyCode::NOT_ALLOWED);
    assert_eq!(known(&handshake), (None, Some(request)));
    send(&mut handshake);
    assert!(matches!(handshake.poll_output(), server::Output::Closed(_)));
    assert_eq!(known(&handshake), (None, Some(request)));
    assert_eq!(handshake.method(), Some(Method::NO_AUTHENTICATION));

    // A name with control bytes is refused by the machine.
    let mut handshake = server_with_request("05 01 00 03 03 610a62 0050", server::Config::new());
    let target = Address::from((Domain::new(b"a\nb").unwrap(), 80));
    assert_eq!(known(&handshake), (None, Some(Request::connect(target))));
    send(&mut handshake);
    assert_eq!(known(&handshake), (None, Some(Request::connect(target))));
}

/// a request is unknown before it is complete, after it was accepted, and where the buffer holds another message.
#[test]
fn request_is_unknown_otherwise() {
    let mut handshake = server_with_request(REQUEST, server::Config::new());
    pending(&mut handshake).accept(Address::UNSPECIFIED);
    assert_eq!(known(&handshake), (None, None));
    send(&mut handshake);
    assert_eq!(known(&handshake), (None, None));

    // In BIND, the first reply has overwritten the request.
    let mut handshake = server_with_request(BIND, server::Config::new());
    pending(&mut handshake).accept(Address::UNSPECIFIED);
    send(&mut handshake);
    let server::Output::PendingPeer(peer) = handshake.poll_output() else {
        panic!("BIND waits for its peer");
    };
    peer.reject(ReplyCode::TTL_EXPIRED);
    assert_eq!(known(&handshake), (None, None));

    // A fault, or the end, before it is complete.
    let strict = server::Config::new().with_strict_reserved(true);
    for (request, config) in [
        ("05 01 00 02", server::Config::new()),
        ("05 01 01", strict),
        ("05 01 00 03 00", server::Config::new()),
    ] {
        assert_eq!(
            known(&server_with_request(request, config)),
            (None, None),
            "{request}"
        );
    }
    let mut handshake = server_with_request("05 01 00 01 7f", server::Config::new());
    assert_eq!(known(&handshake), (None, None));
    handshake.handle_eof();
    assert!(matches!(handshake.poll_output(), server::Output::Closed(_)));
    assert_eq!(known(&handshake), (None, None));

    // Greetings that would also be requests: one that ends early, and one without an acceptable method.
    let greeting = unhex("05 09 00 01 02 03 04 05 06 07 08");
    let mut handshake = server::Handshake::new();
    assert_eq!(handshake.handle_input(&greeting[..10]), 10);
    handshake.handle_eof();
    assert!(matches!(handshake.poll_output(), server::Output::Closed(_)));
    assert_eq!(known(&handshake), (None, None));
    let mut handshake = server::Handshake::new();
    assert_eq!(handshake.handle_input(&greeting), 11);
    select(&mut handshake, &[Method::GSSAPI]);
    send(&mut handshake);
    let server::Output::Negotiate(negotiate) = handshake.poll_output() else {
        panic!("GSSAPI was selected");
    };
    assert_eq!(negotiate.method(), Method::GSSAPI);
    negotiate.reject();
    assert_eq!(known(&handshake), (None, None));
    assert_eq!(handshake.method(), Some(Method::GSSAPI));
}

/// a deadline or a log can compare phases.
#[test]
fn phases_are_ordered_as_in_the_protocol() {
    let phases = [
        Phase::Greeting,
        Phase::MethodSelection,
        Phase::Authentication,
        Phase::Negotiation,
        Phase::Request,
        Phase::Reply,
        Phase::SecondReply,
        Phase::Established,
        Phase::Closed,
    ];
    assert!(phases.is_sorted_by(|a, b| a < b));
}
