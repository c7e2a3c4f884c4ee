//! Split invariance: an exchange has the same steps and leaves the same bytes, however its input is split
//! (R-003, R-032, R-043, R-049, Q-020..Q-027).
//!
//! The exchanges follow the RFCs, or the documentation of the machines where the RFCs are silent.
//! [`Exchange::ends`] checks each, see `testing/src/driver/exchange.rs`. Malformed input is in `bad_input.rs`.

use std::num::NonZeroU8;

use proptest::prelude::*;
use sans_socks::client::{self, Auth};
use sans_socks::server::{self, Established};
use sans_socks::socks4::UserId;
use sans_socks::{Address, Command, Credentials, Domain, Error, Method, Phase, ReplyCode, Request};
use sans_socks_testing::driver;
use sans_socks_testing::driver::early::{Early, RESTS, run_early};
use sans_socks_testing::driver::exchange::Exchange;
use sans_socks_testing::driver::{Client, Delivery, Due, Eof, Script, Server, Verdict, address};
use sans_socks_testing::faults::authentication_rejected;

/// Hosts and ports on the wire and as an address, port 0 included.
fn hosts() -> Vec<(String, Address<'static>)> {
    let wire = |text: &str| text.to_string();
    vec![
        (wire("01 7f000001 1f90"), address("127.0.0.1:8080")),
        (wire("03 08 6170702e74657374 1f90"), address("app.test:8080")),
        (wire("03 01 30 a4af"), address("0:42159")),
        (
            wire("04 00000000000000000000000000000001 1f90"),
            address("[::1]:8080"),
        ),
        (wire("01 00000000 0000"), Address::UNSPECIFIED),
    ]
}

/// The longest name, names that are not text, and one with a trailing dot.
fn odd_hosts() -> Vec<(String, Address<'static>)> {
    let odd = |name: &'static [u8]| {
        let name = Domain::new(name).unwrap();
        let wire = format!("03 {:02x} {} 0001", name.as_bytes().len(), hex::encode(name));
        (wire, Address::from((name, 1)))
    };
    vec![
        odd(&[b'a'; 255]),
        odd(b"\xff\xfe"),
        odd(b"b\xc3\xbccher.test"),
        odd(b"app.test."),
    ]
}

const COMMANDS: [(u8, Command, Established); 7] = [
    (0x01, Command::CONNECT, Established::Stream),
    (0x02, Command::BIND, Established::Stream),
    (0x03, Command::UDP_ASSOCIATE, Established::UdpAssociation),
    (0xf0, Command::RESOLVE, Established::Other(Command::RESOLVE)),
    (
        0xf1,
        Command::RESOLVE_PTR,
        Established::Other(Command::RESOLVE_PTR),
    ),
    (0x00, Command::new(0), Established::Other(Command::new(0))),
    (0x09, Command::new(9), Established::Other(Command::new(9))),
];

const ALICE: &str = "01 05 616c696365 06 736563726574";
const SUCCESS: &str = "05 00 00 01 00000000 0000";
const PRIVATE: Method = Method::new(0x80);

fn alice() -> Credentials<'static> {
    Credentials::new("alice", "secret").unwrap()
}

/// A way through authentication: the offer, the selection, and the bytes of both directions up to the request.
struct Form {
    name: &'static str,
    greeting: &'static str,
    offered: &'static [u8],
    selected: Method,
    auth: Auth<'static>,
    /// A sub-negotiation on the raw stream: the client's bytes and the server's.
    raw: Option<(&'static str, &'static str)>,
}

fn forms() -> Vec<Form> {
    const MIXED: &[Method] = &[Method::GSSAPI, Method::USERNAME_PASSWORD];
    const NO_OR_PRIVATE: &[Method] = &[Method::NO_AUTHENTICATION, PRIVATE];
    let form = |name, greeting, offered, selected, auth, raw| Form {
        name,
        greeting,
        offered,
        selected,
        auth,
        raw,
    };
    let (none, password) = (Method::NO_AUTHENTICATION, Method::USERNAME_PASSWORD);
    let both = Auth::password_or_none(alice());
    let mixed = Auth::new(MIXED, Some(alice())).unwrap();
    let gssapi = Auth::new(&[Method::GSSAPI], None).unwrap();
    let private = Auth::new(NO_OR_PRIVATE, None).unwrap();
    let tokens = Some(("01 01 0002 aabb 01 02 0001 01", "01 01 0000 01 02 0001 01"));
    vec![
        form("none", "05 01 00", &[0], none, Auth::none(), None),
        form(
            "password",
            "05 01 02",
            &[2],
            password,
            Auth::password(alice()),
            None,
        ),
        form("password of both", "05 02 00 02", &[0, 2], password, both, None),
        form("none of both", "05 02 00 02", &[0, 2], none, both, None),
        form("password of 01 02", "05 02 01 02", &[1, 2], password, mixed, None),
        form(
            "GSSAPI of 01 02",
            "05 02 01 02",
            &[1, 2],
            Method::GSSAPI,
            mixed,
            tokens,
        ),
        form("GSSAPI", "05 01 01", &[1], Method::GSSAPI, gssapi, tokens),
        form(
            "private",
            "05 02 00 80",
            &[0, 0x80],
            PRIVATE,
            private,
            Some(("ff", "fe")),
        ),
    ]
}

impl Form {
    fn prefer(&self) -> [Method; 1] {
        [self.selected]
    }

    /// The server's exchange up to the request, and its decisions.
    fn server<'a>(&self, name: String, script: Server<'a>) -> (Exchange<'a>, Vec<Due>) {
        let raw = self.raw.map_or("", |(from_client, _)| from_client);
        let script = Server {
            raw_negotiation: driver::unhex(raw).len(),
            ..script
        };
        let selection = format!("05 {:02x}", self.selected);
        let offered = self.offered.iter().copied().map(Method::new).collect();
        let mut decisions = vec![Due::SelectMethod(offered)];
        let exchange = Exchange::server(name, script).step(Phase::Greeting, self.greeting, &selection);
        let exchange = match self.selected {
            Method::NO_AUTHENTICATION => exchange,
            Method::USERNAME_PASSWORD => {
                decisions.push(Due::Authenticate(b"alice".to_vec(), b"secret".to_vec()));
                exchange.step(Phase::Authentication, ALICE, "01 00")
            }
            other => {
                decisions.push(Due::Negotiate(other));
                exchange.step(Phase::Negotiation, raw, "")
            }
        };
        (exchange, decisions)
    }

    /// The client's exchange up to the reply, and its decisions.
    fn client<'a>(&self, name: String, script: Client<'a>, request: &str) -> (Exchange<'a>, Vec<Due>) {
        let raw = self.raw.map_or("", |(_, from_server)| from_server);
        let script = Client {
            auth: self.auth,
            raw_negotiation: driver::unhex(raw).len(),
            ..script
        };
        let selection = format!("05 {:02x}", self.selected);
        let exchange = Exchange::client(name, script, self.greeting);
        let selected = |sends| exchange.step(Phase::MethodSelection, &selection, sends);
        match self.selected {
            Method::NO_AUTHENTICATION => (selected(request), vec![]),
            Method::USERNAME_PASSWORD => {
                let exchange = selected(ALICE).step(Phase::Authentication, "01 00", request);
                (exchange, vec![])
            }
            other => {
                let exchange = selected("").step(Phase::Negotiation, raw, request);
                (exchange, vec![Due::Negotiate(other)])
            }
        }
    }
}

///
/// every command, form of host and form of authentication is accepted.
#[test]
fn server_grants_every_form_of_request() {
    for form in forms() {
        let prefer = form.prefer();
        let odd = if form.name == "none" { odd_hosts() } else { vec![] };
        for (wire, target) in hosts().into_iter().chain(odd) {
            for (byte, command, established) in COMMANDS {
                let script = Server {
                    prefer: &prefer,
                    reply: Ok(address("[::1]:56916")),
                    peer: Ok(address("127.0.0.1:57278")),
                    ..Server::default()
                };
                let name = format!("server, {}, {command:?} {target}", form.name);
                let (exchange, mut decisions) = form.server(name, script);
                decisions.push(Due::PendingRequest(command, target.into()));
                let mut replies = "05 00 00 04 00000000000000000000000000000001 de54".to_string();
                if command == Command::BIND {
                    decisions.push(Due::PendingPeer);
                    replies += "05 00 00 01 7f000001 dfbe";
                }
                exchange
                    .step(Phase::Request, &format!("05 {byte:02x} 00 {wire}"), &replies)
                    .decides(decisions)
                    .ends(&Due::Served(established));
            }
        }
    }
}

/// a refusal has ten bytes, an address of zeros, and closes.
#[test]
fn server_refuses_the_request() {
    for code in [1, 2, 3, 4, 5, 6, 7, 8, 9, 0xf0, 0xff] {
        for form in forms() {
            let prefer = form.prefer();
            let refused = Err(ReplyCode::new(code));
            let refusal = format!("05 {code:02x} 00 01 00000000 0000");
            let end = Due::Closed(Error::Refused(ReplyCode::new(code)));

            let script = Server {
                prefer: &prefer,
                reply: refused,
                ..Server::default()
            };
            let name = format!("server, {}, refuses with {code:02x}", form.name);
            let (exchange, _) = form.server(name, script);
            exchange
                .step(Phase::Request, "05 01 00 01 7f000001 0009", &refusal)
                .ends(&end);

            let script = Server {
                reply: Ok(address("127.0.0.1:33543")),
                peer: refused,
                ..script
            };
            let name = format!("server, {}, refuses the peer with {code:02x}", form.name);
            let (exchange, _) = form.server(name, script);
            let replies = format!("05 00 00 01 7f000001 8307 {refusal}");
            exchange
                .step(Phase::Request, "05 02 00 01 7f000001 0000", &replies)
                .ends(&end);
        }
    }
}

/// without a common method the server sends `05 ff`.
#[test]
fn server_refuses_the_methods() {
    const NOTHING: &[Method] = &[];
    const UNOFFERED: &[Method] = &[Method::new(0x7f), Method::NO_ACCEPTABLE];
    let long = format!("05 ff {}", "01".repeat(255));
    let greetings = ["05 01 80", "05 02 ff 00", "05 04 00 00 02 02", "05 01 ff", &long];
    for (prefer, greeting) in [NOTHING, UNOFFERED]
        .into_iter()
        .flat_map(|p| greetings.map(|g| (p, g)))
    {
        let script = Server {
            prefer,
            ..Server::default()
        };
        let offered = driver::unhex(greeting)
            .into_iter()
            .skip(2)
            .filter(|byte| *byte != 0xff);
        Exchange::server(format!("server refuses {greeting}"), script)
            .step(Phase::Greeting, greeting, "05 ff")
            .decides([Due::SelectMethod(offered.map(Method::new).collect())])
            .ends(&Due::Closed(Error::NoAcceptableMethod));
    }
}

/// an offer may repeat a method, contain FF, and have 255 methods.
#[test]
fn server_accepts_repeated_and_reserved_offers() {
    let long = format!("05 ff {}", "00".repeat(255));
    for greeting in ["05 04 00 00 02 02", "05 03 ff 00 ff", &long] {
        let offered = driver::unhex(greeting).into_iter().skip(2);
        let offered = offered.filter(|byte| *byte != 0xff).map(Method::new).collect();
        Exchange::server(format!("server accepts {greeting}"), Server::default())
            .step(Phase::Greeting, greeting, "05 00")
            .step(Phase::Request, "05 01 00 01 7f000001 1f90", SUCCESS)
            .decides([
                Due::SelectMethod(offered),
                Due::PendingRequest(Command::CONNECT, address("127.0.0.1:8080").into()),
            ])
            .ends(&Due::Served(Established::Stream));
    }
}

/// the server follows its own preference, not the order of the offer.
#[test]
fn server_prefers_by_its_own_list() {
    const PASSWORD_FIRST: &[Method] = &[Method::USERNAME_PASSWORD, Method::NO_AUTHENTICATION];
    const NONE_FIRST: &[Method] = &[Method::NO_AUTHENTICATION, Method::USERNAME_PASSWORD];
    let server = |prefer| Server {
        prefer,
        ..Server::default()
    };
    Exchange::server("password first", server(PASSWORD_FIRST))
        .step(Phase::Greeting, "05 02 00 02", "05 02")
        .step(Phase::Authentication, ALICE, "01 00")
        .step(Phase::Request, "05 01 00 01 7f000001 1f90", SUCCESS)
        .ends(&Due::Served(Established::Stream));
    Exchange::server("none first", server(NONE_FIRST))
        .step(Phase::Greeting, "05 02 02 00", "05 00")
        .step(Phase::Request, "05 01 00 01 7f000001 1f90", SUCCESS)
        .ends(&Due::Served(Established::Stream));
}

/// rejected credentials are answered, and nothing after them is consumed.
#[test]
fn server_rejects_the_credentials() {
    let statuses = [(Verdict::Reject, 1)].into_iter();
    let statuses = statuses.chain(
        [1, 2, 0x7f, 0xff].map(|status| (Verdict::RejectWith(NonZeroU8::new(status).unwrap()), status)),
    );
    for (verdict, status) in statuses {
        let script = Server {
            prefer: &[Method::USERNAME_PASSWORD],
            verdict,
            ..Server::default()
        };
        Exchange::server(format!("server rejects with {status:02x}"), script)
            .step(Phase::Greeting, "05 01 02", "05 02")
            .step(Phase::Authentication, ALICE, &format!("01 {status:02x}"))
            .leaves("05 01 00 01 7f000001 1f90")
            .decides([
                Due::SelectMethod(vec![Method::USERNAME_PASSWORD]),
                Due::Authenticate(b"alice".to_vec(), b"secret".to_vec()),
            ])
            .ends(&Due::Closed(authentication_rejected(status)));
    }
}

/// V-031, V-034, Q-062, Q-063, Q-141: the shortest and the longest credentials, NULs, and empty
/// credentials where they are allowed.
#[test]
fn server_accepts_credentials_of_every_length() {
    let long = |byte| vec![byte; 255];
    let lenient = server::Config::new().with_empty_credentials(true);
    let strict = server::Config::new();
    for (config, username, password) in [
        (strict, b"a".to_vec(), b"b".to_vec()),
        (strict, long(b'u'), b"b".to_vec()),
        (strict, b"a".to_vec(), long(b'p')),
        (strict, b"alice\0x".to_vec(), b"secret\0x".to_vec()),
        (strict, b"\xff\0".to_vec(), b"\0".to_vec()),
        (lenient, vec![], vec![]),
        (lenient, b"alice".to_vec(), vec![]),
        (lenient, vec![], b"secret".to_vec()),
        (lenient, b"alice".to_vec(), b"secret".to_vec()),
    ] {
        let script = Server {
            config,
            prefer: &[Method::USERNAME_PASSWORD],
            ..Server::default()
        };
        let (u, p) = (username.len(), password.len());
        let message = format!(
            "01 {u:02x} {} {p:02x} {}",
            hex::encode(&username),
            hex::encode(&password)
        );
        Exchange::server(format!("server, {u} and {p} bytes"), script)
            .step(Phase::Greeting, "05 01 02", "05 02")
            .step(Phase::Authentication, &message, "01 00")
            .step(Phase::Request, "05 01 00 01 7f000001 1f90", SUCCESS)
            .decides([
                Due::SelectMethod(vec![Method::USERNAME_PASSWORD]),
                Due::Authenticate(username, password),
                Due::PendingRequest(Command::CONNECT, address("127.0.0.1:8080").into()),
            ])
            .ends(&Due::Served(Established::Stream));
    }
}

/// R-025, V-059: RSV is ignored by default, and 00 is always accepted.
#[test]
fn server_accepts_reserved_bytes() {
    let strict = server::Config::new().with_strict_reserved(true);
    for (config, rsv) in [
        (server::Config::new(), "01"),
        (server::Config::new(), "ff"),
        (strict, "00"),
    ] {
        for (wire, target) in hosts() {
            let script = Server {
                config,
                ..Server::default()
            };
            Exchange::server(format!("server, RSV {rsv}, {target}"), script)
                .step(Phase::Greeting, "05 01 00", "05 00")
                .step(Phase::Request, &format!("05 01 {rsv} {wire}"), SUCCESS)
                .decides([
                    Due::SelectMethod(vec![Method::NO_AUTHENTICATION]),
                    Due::PendingRequest(Command::CONNECT, target.into()),
                ])
                .ends(&Due::Served(Established::Stream));
        }
    }
}

/// BND in replies of deployed servers, and the address that it means.
fn bound() -> Vec<(String, Address<'static>)> {
    let mut bound = hosts();
    // V-076: a name of length 0 means no address, and the reply has seven bytes.
    bound.push(("03 00 0000".to_string(), Address::UNSPECIFIED));
    bound.push(("03 00 1f90".to_string(), address("0.0.0.0:8080")));
    bound
}

/// ..R-043, R-044, R-047, R-049, R-060, R-066, Q-020, Q-023..Q-025,
/// every command, form of host and form of authentication is granted.
#[test]
fn client_is_granted_every_form_of_request() {
    for form in forms() {
        let odd = if form.name == "none" { odd_hosts() } else { vec![] };
        for (wire, target) in hosts().into_iter().chain(odd) {
            for (byte, command, _) in COMMANDS {
                let name = format!("client, {}, {command:?} {target}", form.name);
                let request = format!("05 {byte:02x} 00 {wire}");
                let (exchange, mut decisions) = form.client(name, Client::new(command, target), &request);
                let mut exchange = exchange.step(Phase::Reply, "05 00 00 01 7f000001 8307", "");
                let mut reply = address("127.0.0.1:33543");
                if command == Command::BIND {
                    decisions.push(Due::Bound(reply.into()));
                    exchange = exchange.step(Phase::SecondReply, "05 00 00 01 7f000001 dfbe", "");
                    reply = address("127.0.0.1:57278");
                }
                let end = Due::Connected(ReplyCode::SUCCEEDED, reply.into());
                exchange.decides(decisions).ends(&end);
            }
        }
    }
}

/// V-073, V-074, V-076: every form of BND, in CONNECT's reply and in both of BIND's.
#[test]
fn client_reads_every_form_of_bound_address() {
    for (wire, reply) in bound().into_iter().chain(odd_hosts()) {
        let end = Due::Connected(ReplyCode::SUCCEEDED, reply.into());
        let success = format!("05 00 00 {wire}");
        Exchange::client(
            format!("client, BND {wire}"),
            Client::new(Command::CONNECT, address("a:1")),
            "05 01 00",
        )
        .step(Phase::MethodSelection, "05 00", "05 01 00 03 01 61 0001")
        .step(Phase::Reply, &success, "")
        .ends(&end);
        Exchange::client(
            format!("client, BIND, BND {wire}"),
            Client::new(Command::BIND, address("a:1")),
            "05 01 00",
        )
        .step(Phase::MethodSelection, "05 00", "05 02 00 03 01 61 0001")
        .step(Phase::Reply, &success, "")
        .step(Phase::SecondReply, &success, "")
        .decides([Due::Bound(reply.into())])
        .ends(&end);
    }
}

/// a failure is reported as soon as REP is received. Nothing after it is consumed.
#[test]
fn client_refusal_is_judged_at_rep() {
    let after = [
        "",
        "00",
        "00 01",
        "00 01 00000000 0000",
        "00 00 00000000 0000",
        "00 03 00 1f90",
    ];
    for code in [1, 2, 3, 4, 5, 6, 7, 8, 9, 0xf0, 0xff] {
        let refusal = format!("05 {code:02x}");
        let end = Due::Closed(Error::Refused(ReplyCode::new(code)));
        for form in forms() {
            let name = format!("client, {}, refused with {code:02x}", form.name);
            let client = Client::new(Command::CONNECT, address("a:1"));
            let (exchange, _) = form.client(name, client, "05 01 00 03 01 61 0001");
            exchange
                .step(Phase::Reply, &refusal, "")
                .leaves(after[3])
                .ends(&end);
        }
        for after in after {
            let client = Client::new(Command::BIND, address("a:1"));
            Exchange::client(
                format!("client, peer refused with {refusal} {after}"),
                client,
                "05 01 00",
            )
            .step(Phase::MethodSelection, "05 00", "05 02 00 03 01 61 0001")
            .step(Phase::Reply, "05 00 00 01 7f000001 8307", "")
            .step(Phase::SecondReply, &refusal, "")
            .leaves(after)
            .decides([Due::Bound(address("127.0.0.1:33543").into())])
            .ends(&end);
        }
    }
}

/// `05 ff` closes, regardless of the bytes after it.
#[test]
fn client_without_acceptable_method_closes() {
    for form in forms() {
        let client = Client {
            auth: form.auth,
            ..Client::new(Command::CONNECT, address("a:1"))
        };
        Exchange::client(format!("client, {}, 05 ff", form.name), client, form.greeting)
            .step(Phase::MethodSelection, "05 ff", "")
            .leaves("05 02")
            .ends(&Due::Closed(Error::NoAcceptableMethod));
    }
}

/// any status except 00 is a rejection, also after version 05.
#[test]
fn client_status_other_than_00_is_a_rejection() {
    for version in ["01", "05"] {
        for status in [1, 2, 5, 0xff] {
            let client = Client {
                auth: Auth::password(alice()),
                ..Client::new(Command::CONNECT, address("a:1"))
            };
            Exchange::client(
                format!("client, status {version} {status:02x}"),
                client,
                "05 01 02",
            )
            .step(Phase::MethodSelection, "05 02", ALICE)
            .step(Phase::Authentication, &format!("{version} {status:02x}"), "")
            .leaves("00 01 00000000 0000")
            .ends(&Due::Closed(authentication_rejected(status)));
        }
    }
}

/// V-091: by default, common deviations are accepted. Strict settings accept the RFC's form.
#[test]
fn client_common_deviations_are_accepted_unless_strict() {
    let strict = client::Config::new()
        .with_strict_reserved(true)
        .with_strict_status_version(true);
    for (config, version, rsv) in [(client::Config::new(), "05", "01"), (strict, "01", "00")] {
        for (wire, reply) in bound() {
            let client = Client {
                auth: Auth::password(alice()),
                config,
                ..Client::new(Command::BIND, address("a:1"))
            };
            let success = format!("05 00 {rsv} {wire}");
            Exchange::client(format!("client, status {version}, RSV {rsv}"), client, "05 01 02")
                .step(Phase::MethodSelection, "05 02", ALICE)
                .step(
                    Phase::Authentication,
                    &format!("{version} 00"),
                    "05 02 00 03 01 61 0001",
                )
                .step(Phase::Reply, &success, "")
                .step(Phase::SecondReply, &success, "")
                .ends(&Due::Connected(ReplyCode::SUCCEEDED, reply.into()));
        }
    }
}

/// greeting, credentials and request are sent at once, in the RFC's order, if the only method offered is
/// 00 or 02. The answers are checked as always.
#[test]
fn client_optimistic_sends_everything_at_once() {
    let request = "05 01 00 03 01 61 0001";
    let client = |auth| Client {
        auth,
        config: client::Config::new().with_optimistic(true),
        ..Client::new(Command::CONNECT, address("a:1"))
    };
    let none = || {
        Exchange::client(
            "optimistic, none",
            client(Auth::none()),
            &format!("05 01 00 {request}"),
        )
    };
    let password = || {
        let flight = format!("05 01 02 {ALICE} {request}");
        Exchange::client("optimistic, password", client(Auth::password(alice())), &flight)
    };
    let connected = Due::Connected(ReplyCode::SUCCEEDED, Address::UNSPECIFIED.into());
    let refused = Due::Closed(Error::Refused(ReplyCode::CONNECTION_REFUSED));
    let unacceptable = Due::Closed(Error::NoAcceptableMethod);
    let rejected = Due::Closed(authentication_rejected(1));
    let (selection, authentication, reply) = (Phase::MethodSelection, Phase::Authentication, Phase::Reply);

    none()
        .step(selection, "05 00", "")
        .step(reply, SUCCESS, "")
        .ends(&connected);
    none()
        .step(selection, "05 00", "")
        .step(reply, "05 05", "")
        .leaves("00")
        .ends(&refused);
    none().step(selection, "05 ff", "").ends(&unacceptable);
    let selected = || password().step(selection, "05 02", "");
    let authenticated = || selected().step(authentication, "01 00", "");
    authenticated().step(reply, SUCCESS, "").ends(&connected);
    authenticated()
        .step(reply, "05 05", "")
        .leaves("00")
        .ends(&refused);
    selected().step(authentication, "01 01", "").ends(&rejected);
    password().step(selection, "05 ff", "").ends(&unacceptable);

    // With any other offer the selection is uncertain, and nothing is sent early.
    let both = Auth::password_or_none(alice());
    Exchange::client("optimistic, both", client(both), "05 02 00 02")
        .step(selection, "05 02", ALICE)
        .step(authentication, "01 00", request)
        .step(reply, SUCCESS, "")
        .ends(&connected);
    let private = Client {
        raw_negotiation: 1,
        ..client(Auth::new(&[PRIVATE], None).unwrap())
    };
    Exchange::client("optimistic, private", private, "05 01 80")
        .step(selection, "05 80", "")
        .step(Phase::Negotiation, "ff", request)
        .step(reply, SUCCESS, "")
        .ends(&connected);
}

/// The most bytes that are sent at once: 3 + 513 + 262. With more methods in the offer, the selection is uncertain.
#[test]
fn client_longest_flight_has_778_bytes() {
    let (user, password) = ([b'u'; 255], [b'p'; 255]);
    let name = [b'a'; 255];
    let target = Address::from((Domain::new(&name).unwrap(), 0xffff));
    let client = Client {
        request: Request::connect(target),
        auth: Auth::password(Credentials::new(&user, &password).unwrap()),
        config: client::Config::new().with_optimistic(true),
        raw_negotiation: 0,
        socks4: None,
    };
    let (user, password, name) = (hex::encode(user), hex::encode(password), hex::encode(name));
    let flight = format!("05 01 02 01 ff {user} ff {password} 05 01 00 03 ff {name} ffff");
    assert_eq!(driver::unhex(&flight).len(), 3 + 513 + 262);
    Exchange::client("the longest flight", client, &flight)
        .step(Phase::MethodSelection, "05 02", "")
        .step(Phase::Authentication, "01 00", "")
        .step(Phase::Reply, &format!("05 00 00 03 ff {name} 0001"), "")
        .ends(&Due::Connected(
            ReplyCode::SUCCEEDED,
            Address { port: 1, ..target }.into(),
        ));
}

/// a client has room for the longest of each message, with the shortest and the longest of the others.
#[test]
fn client_sends_messages_of_every_length() {
    let long = [b'u'; 255];
    let (short, longest) = (
        Credentials::new("u", "p").unwrap(),
        Credentials::new(&long, &long).unwrap(),
    );
    let logins = [
        (Method::NO_AUTHENTICATION, None, String::new()),
        (
            Method::USERNAME_PASSWORD,
            Some(short),
            String::from("01 01 75 01 70"),
        ),
        (
            Method::USERNAME_PASSWORD,
            Some(longest),
            format!("01 ff {0} ff {0}", hex::encode(long)),
        ),
    ];
    for (method, credentials, login) in &logins {
        for offered in [vec![*method; 1], vec![*method; 255]] {
            for len in (245..=255).chain([1]) {
                let name = vec![b'a'; len];
                let client = Client {
                    request: Request::connect((Domain::new(&name).unwrap(), 0x1f90).into()),
                    auth: Auth::new(&offered, *credentials).unwrap(),
                    config: client::Config::new(),
                    raw_negotiation: 0,
                    socks4: None,
                };
                let (n, selected) = (offered.len(), method.get());
                let greeting = format!("05 {n:02x} {}", format!("{selected:02x}").repeat(n));
                let request = format!("05 01 00 03 {:02x} {} 1f90", name.len(), hex::encode(&name));
                let described = format!("{n} methods, {login:.20}, {} bytes", name.len());
                let selection = Exchange::client(described, client, &greeting);
                let selected = format!("05 {selected:02x}");
                let authenticated = if login.is_empty() {
                    selection.step(Phase::MethodSelection, &selected, &request)
                } else {
                    selection.step(Phase::MethodSelection, &selected, login).step(
                        Phase::Authentication,
                        "01 00",
                        &request,
                    )
                };
                authenticated
                    .step(Phase::Reply, SUCCESS, "")
                    .ends(&Due::Connected(ReplyCode::SUCCEEDED, Address::UNSPECIFIED.into()));
            }
        }
    }
}

/// The selected method is known from the selection on, if it was offered.
#[test]
fn client_method_is_known_from_the_selection_on() {
    for form in forms() {
        for selected in [form.selected, Method::NO_ACCEPTABLE, Method::new(0x33)] {
            let request = Request::connect(address("a:1"));
            let mut handshake = client::Handshake::new(&request, form.auth);
            assert_eq!(handshake.phase(), Phase::Greeting);
            let client::Output::Transmit(transmit) = handshake.poll_output() else {
                panic!("the greeting is sent first");
            };
            transmit.sent_all();
            assert_eq!(handshake.method(), None);
            assert_eq!(handshake.handle_input(&[5, selected.get()]), 2);
            let stated = (selected == form.selected).then_some(selected);
            assert_eq!(handshake.method(), stated, "{}, {selected}", form.name);
        }
    }
}

/// A negotiation that the caller rejects closes the machine, which consumed nothing meanwhile.
#[test]
fn rejected_negotiation_closes() {
    // The raw stream ends before the negotiation does.
    let server = Server {
        prefer: &[Method::GSSAPI],
        raw_negotiation: 100,
        ..Server::default()
    };
    let script = Script::Server(server);
    let record = driver::run(&script, &Delivery::reads([driver::unhex("05 01 01 01 ff")]));
    assert_eq!(record.sent(), [5, 1]);
    assert_eq!(record.end(), Some(&Due::Closed(Error::Abandoned)));

    let client = Client {
        auth: Auth::new(&[Method::GSSAPI], None).unwrap(),
        raw_negotiation: 100,
        ..Client::new(Command::CONNECT, address("a:1"))
    };
    let script = Script::Client(client);
    let record = driver::run(&script, &Delivery::reads([driver::unhex("05 01 01 ff")]));
    assert_eq!(record.sent(), [5, 1, 1]);
    assert_eq!(record.end(), Some(&Due::Closed(Error::Abandoned)));
}

/// Generates bytes that often are a message, or the beginning of one.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        Just("05 01 00"),
        Just("05 02 00 02"),
        Just("05 03 01 02 80"),
        Just("05 00"),
        Just("05 02"),
        Just("05 80"),
        Just("05 ff"),
        Just("01 00"),
        Just("01 01"),
        Just(ALICE),
        Just("01 00 00"),
        Just("05 01 00 01 7f000001 1f90"),
        Just("05 02 00 03 02 6100 0001"),
        Just(SUCCESS),
        Just("05 00 00 03 00 1f90"),
        Just("05 00 00 04 00000000000000000000000000000001 1f90"),
        Just("05 05 00 00"),
        Just("04 01 0050 c0000209 75 00"),
        Just("04 02 0050 00000001 75 00 61 00"),
        Just("04 01 0050 00000001 00 00"),
        Just("04 01 0050 00000001"),
        Just("75 75"),
        Just("00 5a 0000 00000000"),
        Just("04 5a 1f90 7f000001"),
        Just("00 5b 0000"),
    ];
    let message = message.prop_map(driver::unhex);
    let likely = prop_oneof![0..6u8, Just(0xff), any::<u8>()];
    let bytes = proptest::collection::vec(likely, 0..6);
    let piece = prop_oneof![3 => message, 1 => bytes];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Checks that one read, single bytes, reads of `needed` bytes and two pieces have the same result, and that announcing the
/// end of input early does not change it.
fn is_split_invariant(script: &Script<'_>, input: &[u8], at: prop::sample::Index) {
    let (first, second) = input.split_at(at.index(input.len() + 1));
    for eof in [Eof::Never, Eof::WhenAsked, Eof::AtOnce] {
        let whole = driver::run(script, &Delivery::reads([input]).eof(eof));
        let bytewise = Delivery::reads(input.chunks(1)).eof(eof);
        assert_eq!(driver::run(script, &bytewise), whole, "byte by byte");
        let exact = Delivery {
            exact: true,
            ..bytewise
        };
        assert_eq!(driver::run(script, &exact), whole, "`needed` bytes at a time");
        let split = Delivery::reads([first, second]).eof(eof);
        assert_eq!(driver::run(script, &split), whole, "{first:02x?} {second:02x?}");
    }
    let late = driver::run(script, &Delivery::reads([input]).eof(Eof::WhenAsked));
    for rest in RESTS {
        for when_asked in [false, true] {
            let at = first.len();
            let early = Early { at, when_asked, rest };
            let record = run_early(script, input, early);
            assert_eq!(
                (&record.trace, &record.unread),
                (&late.trace, &late.unread),
                "{early:?}"
            );
        }
    }
}

const PREFERENCES: &[&[Method]] = &[
    &[],
    &[Method::USERNAME_PASSWORD],
    &[PRIVATE, Method::NO_AUTHENTICATION],
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    ///
    #[test]
    fn server_any_input_gives_the_same_in_every_split(
        input in input(),
        at: prop::sample::Index,
        (empty, control, reserved, version, socks4) in any::<(bool, bool, bool, bool, bool)>(),
        prefer in prop::sample::select(PREFERENCES),
    ) {
        let config = server::Config::new()
            .with_empty_credentials(empty)
            .with_control_bytes(control)
            .with_strict_reserved(reserved)
            .with_lenient_version(version)
            .with_socks4(socks4);
        let server = Server { config, prefer, raw_negotiation: 1, ..Server::default() };
        is_split_invariant(&Script::Server(server), &input, at);
    }

    ///
    #[test]
    fn client_any_input_gives_the_same_in_every_split(
        input in input(),
        at: prop::sample::Index,
        (optimistic, reserved, version) in any::<(bool, bool, bool)>(),
        form in 0..forms().len(),
        command in prop::sample::select(&[Command::CONNECT, Command::BIND]),
        socks4 in proptest::option::of(Just(UserId::EMPTY)),
    ) {
        let config = client::Config::new()
            .with_optimistic(optimistic)
            .with_strict_reserved(reserved)
            .with_strict_status_version(version);
        let auth = forms()[form].auth;
        let client = Client { auth, config, raw_negotiation: 1, socks4, ..Client::new(command, address("a:1")) };
        is_split_invariant(&Script::Client(client), &input, at);
    }
}
