//! Replays recorded sessions of real programs: clients (`data/transcripts/client-*`) into the server machine, servers
//! (`data/transcripts/server-*`) into the client machine.
//!
//! The machine gets one side's bytes, send by send, and then the end of input. The tables here have the expected result of
//! every case.

use std::collections::BTreeMap;

use sans_socks::client::Auth;
use sans_socks::message::{Decoded, Greeting};
use sans_socks::server::{self, Established};
use sans_socks::socks4::{self, UserId};
use sans_socks::{
    Address, Command, Credentials, Domain, Error, Malformed, Method, PeerMisbehaved, Phase, ReplyCode,
    Request,
};
use sans_socks_testing::driver;
use sans_socks_testing::driver::{Client, Delivery, Due, Eof, Record, Script, Server, address};
use sans_socks_testing::faults::{authentication_rejected, wrong_version};
use sans_socks_testing::transcripts::{Transcript, transcripts};

/// The cases of each transcript whose name begins with `role`, by file and id.
fn cases(role: &str) -> BTreeMap<(String, String), Transcript> {
    let mut cases = BTreeMap::new();
    for transcript in transcripts(role) {
        let file = transcript
            .file
            .strip_prefix(role)
            .expect("a file of this role")
            .to_string();
        let twice = cases.insert((file, transcript.id.clone()), transcript);
        assert!(twice.is_none(), "{twice:?}");
    }
    cases
}

/// Runs every case that `table` lists. Fails unless the table and the transcripts have the same cases.
fn replay<T>(role: &str, table: &[(&str, &str, T)], check: impl Fn(&str, &Transcript, &T)) {
    let mut transcripts = cases(role);
    for (files, ids, stated) in table {
        for file in files.split_whitespace() {
            let ids: Vec<&str> = ids.split_whitespace().collect();
            for id in if ids.is_empty() { &[""] } else { &ids[..] } {
                let case = (file.to_string(), id.to_string());
                let transcript = transcripts.remove(&case);
                let transcript =
                    transcript.unwrap_or_else(|| panic!("{file} [{id}]: listed twice, or missing"));
                check(&format!("{file} [{id}]"), &transcript, stated);
            }
        }
    }
    let unlisted: Vec<_> = transcripts.keys().collect();
    assert!(unlisted.is_empty(), "transcripts that no row lists: {unlisted:?}");
}

fn alice() -> Credentials<'static> {
    Credentials::new("alice", "secret").unwrap()
}

// Clients

/// The result of a client's bytes in the server machine, which selects the method of the captured server.
enum Asks {
    /// A request without or with credentials. The remaining bytes belong to the tunnel.
    Request(Command, &'static str),
    AsUser(&'static str, &'static str, Command, &'static str),
    /// The input ends in this phase, and all of it is consumed.
    EndsIn(Phase),
    Closed(Error),
    /// Closed, because the message begins with this byte instead of 05.
    Version(u8),
    /// The credentials were rejected with this status.
    Rejected(u8),
    /// It is a request, but not the intended one.
    Misread,
}

const CONNECT: Command = Command::CONNECT;
const NAME: &str = "app.test:8080";
const LONG_NAME: &str = concat!(
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:8080",
);

const CLIENTS: &[(&str, &str, Asks)] = &[
    // IP addresses are sent with ATYP 1 and 4, names with ATYP 3.
    (
        "curl-socks5 curl-socks5h-ipv4-literal",
        "",
        Asks::Request(CONNECT, "127.0.0.1:8080"),
    ),
    (
        "curl-socks5-ipv6 curl-socks5h-ipv6-literal",
        "",
        Asks::Request(CONNECT, "[::1]:8080"),
    ),
    ("curl-refused", "", Asks::Request(CONNECT, "127.0.0.1:9")),
    ("curl-unresolvable", "", Asks::Request(CONNECT, "nope.invalid:80")),
    ("curl-trailing-dot", "", Asks::Request(CONNECT, "app.test.:8080")),
    ("curl-host255", "", Asks::Request(CONNECT, LONG_NAME)),
    (
        "curl-socks5-hostname curl-bnd-atyp00 curl-bnd-domain curl-bnd-domain0 curl-bnd-v6 curl-coalesced
         curl-fail-2bytes curl-fail-atyp00 curl-fail-short curl-rep09 curl-rsv1 curl-split curl-two-replies
         curl-ver0 pysocks pysocks-bnd-atyp00 pysocks-bnd-domain pysocks-bnd-domain0 pysocks-bnd-v6
         pysocks-coalesced pysocks-fail-2bytes pysocks-fail-atyp00 pysocks-fail-short pysocks-rep09 pysocks-rsv1
         pysocks-split pysocks-two-replies pysocks-ver0",
        "",
        Asks::Request(CONNECT, NAME),
    ),
    (
        "curl-auth-ver05 curl-socks5h-basic-only curl-socks5h-userpass pysocks-userpass",
        "",
        Asks::AsUser("alice", "secret", CONNECT, NAME),
    ),
    // V-055, V-056, Q-088: the address in the UDP ASSOCIATE of PySocks.
    (
        "pysocks-udp",
        "",
        Asks::Request(Command::UDP_ASSOCIATE, "0:42159"),
    ),
    (
        "pysocks-udp-rdnsfalse",
        "",
        Asks::Request(Command::UDP_ASSOCIATE, "0.0.0.0:41940"),
    ),
    // The client stopped after the server's answer.
    (
        "curl-auth-status02 pysocks-auth-status02 pysocks-auth-ver05",
        "",
        Asks::EndsIn(Phase::Request),
    ),
    // The password was wrong, which is the caller's decision.
    (
        "curl-socks5h-badpass",
        "",
        Asks::Rejected(1),
    ),
    // an empty password.
    (
        "curl-emptypass",
        "",
        Asks::Closed(Error::Malformed(Malformed::EmptyCredentials)),
    ),
    // curl offers 02, and then does not send a user name of 256 bytes.
    ("curl-user256", "", Asks::EndsIn(Phase::Authentication)),
    // V-037, Q-039b: a length of 200 as UTF-8. The request and the tunnel bytes disappear in the password.
    ("pysocks-user200", "", Asks::EndsIn(Phase::Authentication)),
    // The client stopped because the selection was malformed, or was not offered.
    (
        "curl-greet-ver4 curl-http-reply curl-method80 curl-socks4-reply pysocks-greet-ver4 pysocks-http-reply
         pysocks-method02-unoffered pysocks-method80 pysocks-socks4-reply",
        "",
        Asks::EndsIn(Phase::Request),
    ),
    (
        "curl-methodff curl-socks5h-noauth-only pysocks-methodff",
        "",
        Asks::Closed(Error::NoAcceptableMethod),
    ),
    // the server selected 02, which was not offered, and the client sends empty credentials. That selection
    // cannot be repeated here, so they arrive in place of the request.
    (
        "curl-method02-unoffered",
        "",
        Asks::Version(1),
    ),
    // With a name of 256 bytes, curl does not connect.
    ("curl-host256", "", Asks::EndsIn(Phase::Greeting)),
    // Q-010, V-013.
    (
        "curl-socks4 curl-socks4-userid curl-socks4a",
        "",
        Asks::Version(4),
    ),
    // Q-039b: see `recorded_wrong_length_reads_as_another_name`.
    ("pysocks-host200", "", Asks::Misread),
];

/// Returns a server machine with the decisions of the captured server. If these are impossible, it selects 00.
fn serve(transcript: &Transcript) -> Record {
    let greeting = transcript
        .client
        .first()
        .map(|greeting| Greeting::decode(greeting));
    let selected = match transcript.server.first().map(Vec::as_slice) {
        Some(&[5, selected, ..]) => Method::new(selected),
        _ => Method::NO_AUTHENTICATION,
    };
    let prefer: &[Method] = match greeting {
        Some(Ok(Decoded::Complete { value, .. })) if value.methods().contains(selected) => &[selected],
        _ if selected == Method::NO_ACCEPTABLE => &[],
        _ => &[Method::NO_AUTHENTICATION],
    };
    let wrong = transcript.client.iter().any(|sent| sent.ends_with(b"wrong"));
    let script = Script::Server(Server {
        prefer,
        verdict: if wrong {
            driver::Verdict::Reject
        } else {
            driver::Verdict::Accept
        },
        ..Server::default()
    });
    driver::run(
        &script,
        &Delivery::reads(transcript.client.clone()).eof(Eof::WhenAsked),
    )
}

/// Returns the client's bytes after its request: all sends after the one that holds it.
fn tunnel(transcript: &Transcript, messages: usize) -> Vec<u8> {
    transcript.client[messages..].concat()
}

///
#[test]
fn recorded_client_is_understood_or_refused() {
    replay("client-", CLIENTS, |case, transcript, stated| {
        let record = serve(transcript);
        let (user, command, target) = match stated {
            Asks::Request(command, target) => (None, command, target),
            Asks::AsUser(username, password, command, target) => {
                (Some((username, password)), command, target)
            }
            Asks::EndsIn(phase) => {
                assert_eq!(record.end().and_then(Due::eof_phase), Some(*phase), "{case}");
                assert_eq!(record.unread, [], "{case}");
                return;
            }
            Asks::Closed(error) => {
                assert_eq!(record.end(), Some(&Due::Closed(*error)), "{case}");
                return;
            }
            Asks::Version(got) => {
                let error = wrong_version(5, *got).into();
                assert_eq!(record.end(), Some(&Due::Closed(error)), "{case}");
                return;
            }
            Asks::Rejected(status) => {
                let error = authentication_rejected(*status);
                assert_eq!(record.end(), Some(&Due::Closed(error)), "{case}");
                return;
            }
            Asks::Misread => {
                assert_eq!(record.end(), Some(&Due::Served(Established::Stream)), "{case}");
                return;
            }
        };
        let established = match *command {
            Command::UDP_ASSOCIATE => Established::UdpAssociation,
            _ => Established::Stream,
        };
        assert_eq!(record.end(), Some(&Due::Served(established)), "{case}");
        let decisions = record.decisions();
        let request = Due::PendingRequest(*command, address(target).into());
        assert_eq!(decisions.last(), Some(&request), "{case}");
        let user = user.map(|(username, password)| {
            Due::Authenticate(username.as_bytes().to_vec(), password.as_bytes().to_vec())
        });
        assert_eq!(
            decisions[1..decisions.len() - 1],
            Vec::from_iter(user.clone()),
            "{case}"
        );
        let messages = 2 + usize::from(user.is_some());
        assert_eq!(
            record.unread,
            tunnel(transcript, messages),
            "{case}: bytes of the tunnel"
        );
    });
}

/// a SOCKS4 client is recognized, gets no bytes, and can be passed on with its whole stream.
#[test]
fn recorded_socks4_client_can_be_handed_on() {
    let transcripts = cases("client-");
    for file in ["curl-socks4", "curl-socks4-userid", "curl-socks4a"] {
        let transcript = &transcripts[&(file.to_string(), String::new())];
        let record = serve(transcript);
        assert_eq!(record.sent(), [], "{file}");
        assert_eq!(record.unread, transcript.client.concat(), "{file}");
    }
}

/// with SOCKS4 enabled, the machines exchange what curl and Dante did.
#[test]
fn recorded_socks4_session_is_what_the_machines_exchange() {
    let transcripts = cases("client-");
    for (file, target, user, bound) in [
        ("curl-socks4", "127.0.0.1:8080", "", Ok("127.0.0.1:40501")),
        (
            "curl-socks4-userid",
            "127.0.0.1:8080",
            "alice",
            Ok("127.0.0.1:34679"),
        ),
        // Dante does not support SOCKS4a.
        (
            "curl-socks4a",
            "app.test:8080",
            "",
            Err(ReplyCode::GENERAL_FAILURE),
        ),
    ] {
        let transcript = &transcripts[&(file.to_string(), String::new())];
        let script = Script::Server(Server {
            config: server::Config::new().with_socks4(true),
            reply: bound.map(address),
            ..Server::default()
        });
        let record = driver::run(&script, &Delivery::reads(transcript.client.clone()));
        let request =
            Due::PendingSocks4Request(Command::CONNECT, address(target).into(), user.as_bytes().to_vec());
        assert_eq!(record.decisions()[0], request, "{file}");
        assert_eq!(record.unread, tunnel(transcript, 1), "{file}");
        match bound {
            Ok(_) => assert_eq!(record.sent(), transcript.server[0], "{file}"),
            // Dante's refusal has an address.
            Err(_) => assert_eq!(record.sent(), driver::unhex("00 5b 0000 00000000"), "{file}"),
        }

        let user_id = UserId::new(user).unwrap();
        let script = Script::Client(Client::socks4(Command::CONNECT, address(target), user_id));
        let record = driver::run(&script, &Delivery::reads(transcript.server.clone()));
        assert_eq!(record.sent(), transcript.client[0], "{file}");
        let end = match bound {
            Ok(bound) => Due::Connected(ReplyCode::SUCCEEDED, address(bound).into()),
            Err(_) => Due::Closed(Error::Socks4Refused(socks4::ReplyCode::REJECTED)),
        };
        assert_eq!(record.end(), Some(&end), "{file}");
    }
}

/// with empty fields allowed, curl's empty password reaches the caller, and then its request does.
#[test]
fn recorded_empty_password_is_accepted_where_allowed() {
    let transcript = &cases("client-")[&("curl-emptypass".to_string(), String::new())];
    let script = Script::Server(Server {
        config: server::Config::new().with_empty_credentials(true),
        prefer: &[Method::USERNAME_PASSWORD],
        ..Server::default()
    });
    let record = driver::run(&script, &Delivery::reads(transcript.client.clone()));
    assert_eq!(record.end(), Some(&Due::Served(Established::Stream)));
    assert_eq!(
        record.decisions()[1],
        Due::Authenticate(b"alice".to_vec(), vec![])
    );
    assert_eq!(record.unread, tunnel(transcript, 3));
}

/// Q-039b: PySocks wrote the length 199 of a name as UTF-8, `c3 87`. That reads as a name of 195 bytes that starts with 87,
/// and a port of the name's last letters. The other bytes are left for the tunnel.
#[test]
fn recorded_wrong_length_reads_as_another_name() {
    let transcript = &cases("client-")[&("pysocks-host200".to_string(), String::new())];
    let name = [vec![b'a'; 49], vec![b'a'; 49], vec![b'a'; 49], vec![b'a'; 49]].join(&b'.');
    let sent = [b"\x05\x01\x00\x03\xc3\x87", &name[..], b"\x1f\x90"].concat();
    assert_eq!(transcript.client[1], sent);

    let record = serve(transcript);
    let misread = [b"\x87", &name[..194]].concat();
    let port = u16::from_be_bytes(*b"aa");
    let misread = Address::from((Domain::new(&misread).unwrap(), port));
    assert_eq!(
        record.decisions()[1],
        Due::PendingRequest(CONNECT, misread.into())
    );
    assert_eq!(
        record.unread,
        [&name[196..], b"\x1f\x90", b"GET / HTTP/1.0\r\n\r\n"].concat()
    );
}

// Servers

/// The result of a server's bytes in the client machine.
enum Answers {
    /// The address of the reply (for BIND, of the second), and the bytes of the tunnel.
    Connected(&'static str, &'static [u8]),
    /// The same, for servers whose port differs in each session.
    ConnectedFrom(&'static str, &'static [u8]),
    Refused(u8),
    Rejected(u8),
    NoMethod,
    EndsIn(Phase),
    Closed(Error),
    /// Closed, because a message begins with the second byte instead of the first.
    Version(u8, u8),
}

use Answers::{Closed, Connected, ConnectedFrom, EndsIn, NoMethod, Refused, Rejected, Version};

const OK: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
const BANNER: &[u8] = b"220 banner\r\n";
const NOWHERE: &str = "0.0.0.0:0";

const SERVERS: &[(&str, &str, Answers)] = &[
    // Dante
    (
        "dante-1.4.2",
        "s01 s06 s07 s08 s08b s09 s12 s15 s15b s18 s18b s27",
        ConnectedFrom("127.0.0.1", OK),
    ),
    ("dante-1.4.2", "s10 s14", ConnectedFrom("::1", OK)),
    ("dante-1.4.2", "s04 s05 s05b", ConnectedFrom("127.0.0.1", b"")),
    ("dante-1.4.2", "s02 s02b s03", NoMethod),
    // the requested name is echoed in the refusal, even an empty one.
    ("dante-1.4.2", "s11 s13 s16 s16b s16c s25b", Refused(4)),
    ("dante-1.4.2", "s17 s28", Refused(8)),
    ("dante-1.4.2", "s24", Refused(5)),
    ("dante-1.4.2", "s25", Refused(3)),
    // no failure reply at all.
    (
        "dante-1.4.2",
        "s19 s19b s19c s19d s20 s20b s21 s21b s29 s30 s31",
        EndsIn(Phase::Reply),
    ),
    (
        "dante-1.4.2",
        "s26 s26b s26c",
        EndsIn(Phase::MethodSelection),
    ),
    // Its answers to SOCKS4 clients.
    ("dante-1.4.2", "s26d s26e", Version(5, 0)),
    // the reply and the tunnel's bytes in one segment.
    ("dante-1.4.2", "s32", Connected("127.0.0.1:57507", BANNER)),
    ("dante-1.4.2", "b01", Connected("127.0.0.1:57278", b"peer-data")),
    ("dante-1.4.2", "u01", Connected("127.0.0.1:41638", b"")),
    ("dante-1.4.2", "u02", Connected("127.0.0.1:33207", b"")),
    ("dante-1.4.2", "u03", Connected("127.0.0.1:53325", b"")),
    ("dante-1.4.2-auth", "a01", ConnectedFrom("127.0.0.1", OK)),
    (
        "dante-1.4.2-auth",
        "a04 a10 a11 a13 a14",
        ConnectedFrom("127.0.0.1", b""),
    ),
    ("dante-1.4.2-auth", "a02 a05 a06 a07 a09", Rejected(1)),
    ("dante-1.4.2-auth", "a03 a15", NoMethod),
    ("dante-1.4.2-auth", "a08 a12", EndsIn(Phase::Authentication)),
    // microsocks: Q-040, BND is 0.0.0.0:0.
    (
        "microsocks-1.0.3",
        "s01 s09 s10 s12 s14 s15 s15b s27 s28",
        Connected(NOWHERE, OK),
    ),
    ("microsocks-1.0.3", "s04 s05 s05b s08b", Connected(NOWHERE, b"")),
    ("microsocks-1.0.3", "s32", Connected(NOWHERE, BANNER)),
    (
        "microsocks-1.0.3",
        "s02 s02b s03 s26 s26b s26c s26d s26e",
        NoMethod,
    ),
    // It assumes that one recv() returns one message.
    ("microsocks-1.0.3", "s06", EndsIn(Phase::MethodSelection)),
    ("microsocks-1.0.3", "s08", EndsIn(Phase::Reply)),
    (
        "microsocks-1.0.3",
        "s07 s11 s13 s16 s16b s16c s18 s18b s21 s21b s25b s29 s30 s31",
        Refused(1),
    ),
    ("microsocks-1.0.3", "s17 s24", Refused(5)),
    ("microsocks-1.0.3", "s19 s19b s19c s19d b01 u01", Refused(7)),
    ("microsocks-1.0.3", "s20 s20b", Refused(8)),
    ("microsocks-1.0.3", "s25", Refused(3)),
    ("microsocks-1.0.3-auth", "a01", Connected(NOWHERE, OK)),
    ("microsocks-1.0.3-auth", "a04 a10 a11", Connected(NOWHERE, b"")),
    // it fails with 01 and with 02.
    ("microsocks-1.0.3-auth", "a02 a05 a09", Rejected(2)),
    ("microsocks-1.0.3-auth", "a06 a07 a08 a12", Rejected(1)),
    ("microsocks-1.0.3-auth", "a03 a15", NoMethod),
    ("microsocks-1.0.3-auth", "a13", EndsIn(Phase::Authentication)),
    ("microsocks-1.0.3-auth", "a14", EndsIn(Phase::Authentication)),
    // OpenSSH, it closes in cases where others refuse.
    (
        "openssh-9.2p1-D",
        "s01 s06 s07 s08 s08b s09 s10 s12 s14 s15 s15b s27 s28",
        Connected(NOWHERE, OK),
    ),
    ("openssh-9.2p1-D", "s04 s05 s05b", Connected(NOWHERE, b"")),
    ("openssh-9.2p1-D", "s32", Connected(NOWHERE, BANNER)),
    (
        "openssh-9.2p1-D",
        "s02 s02b s03 s26 s26b s26c",
        EndsIn(Phase::MethodSelection),
    ),
    ("openssh-9.2p1-D", "s26d s26e", Version(5, 0)),
    (
        "openssh-9.2p1-D",
        "s11 s13 s16 s16b s16c s17 s18 s18b s19 s19b s19c s19d s20 s20b s21 s21b s24 s25 s25b s29 s30 s31
         b01 u01",
        EndsIn(Phase::Reply),
    ),
    // tor has no network here, and refuses loopback.
    (
        "tor-0.4.9.11",
        "s01 s05b s06 s07 s08 s08b s10 s11 s12 s13 s14 s15 s15b s16 s17 s18 s18b s19 s19b s20 s20b s24 s25 s27
         s28 s32",
        Refused(1),
    ),
    ("tor-0.4.9.11", "s09 s16b", Refused(6)),
    // V-088, Q-043: with ATYP 00.
    ("tor-0.4.9.11", "s19d", Refused(4)),
    ("tor-0.4.9.11", "s03", NoMethod),
    ("tor-0.4.9.11", "s02 s02b s26c", EndsIn(Phase::MethodSelection)),
    ("tor-0.4.9.11", "s16c s19c s21 s25b s29 s31", EndsIn(Phase::Reply)),
    // It returns to authentication instead of the request (s21b, s30), and answers with a page (s26).
    ("tor-0.4.9.11", "s21b s30", Version(5, 1)),
    ("tor-0.4.9.11", "s26 s26b", Version(5, b'H')),
    ("tor-0.4.9.11", "s26d s26e", Version(5, 0)),
    // a reply instead of the status. The rest of it is ignored.
    ("tor-0.4.9.11", "s04 s05", Rejected(1)),
    ("tor-0.4.9.11-auth", "a08 a12", Rejected(1)),
    (
        "tor-0.4.9.11-auth",
        "a01 a02 a03 a04 a05 a06 a07 a09 a10 a11 a14",
        Refused(1),
    ),
    ("tor-0.4.9.11-auth", "a15", NoMethod),
    // the server lost the selection.
    ("tor-0.4.9.11-auth", "a13", Version(5, 1)),
    ("tor-0.4.9.11-exterr", "x1 x2 x3", Refused(0xf6)),
    ("tor-0.4.9.11-exterr", "x4", Refused(4)),
    ("tor-0.4.9.11-exterr", "x5", Refused(8)),
    ("tor-0.4.9.11-exterr", "x6 x8 x10", Refused(6)),
    ("tor-0.4.9.11-exterr", "x7", Rejected(1)),
    (
        "tor-0.4.9.11-exterr",
        "x9",
        EndsIn(Phase::MethodSelection),
    ),
];

/// The messages of the captured client. Messages that a client of this crate cannot send are replaced.
struct Said<'a> {
    methods: Vec<Method>,
    credentials: Credentials<'a>,
    request: Request<'a>,
}

fn said(mut bytes: &[u8]) -> Said<'_> {
    let mut said = Said {
        methods: vec![Method::NO_AUTHENTICATION],
        credentials: alice(),
        request: Request::connect(address(NAME)),
    };
    if let Ok(Decoded::Complete { value, consumed }) = Greeting::decode(bytes) {
        said.methods = value.methods().iter().collect();
        bytes = &bytes[consumed..];
    }
    if let Ok(Decoded::Complete { value, consumed }) = Credentials::decode_allowing_empty(bytes) {
        said.credentials = value;
        bytes = &bytes[consumed..];
    }
    if let Ok(Decoded::Complete { value, .. }) = Request::decode(bytes) {
        said.request = value;
    }
    said
}

/// Cases in which the captured client sent what this client cannot: FF offered, RSV other than 00, a wrong length.
const SAID_OTHERWISE: [&str; 4] = ["[s05b]", "[s18]", "[s18b]", "pysocks-user200"];

/// The client machine sends the messages of the captured client, and then gets the server's bytes.
fn understands(case: &str, transcript: &Transcript, stated: &Answers) {
    let captured = transcript.client.concat();
    let said = said(&captured);
    let script = Script::Client(Client {
        request: said.request,
        auth: Auth::new(&said.methods, Some(said.credentials)).unwrap(),
        ..Client::new(CONNECT, address(NAME))
    });
    let reads = Delivery::reads(transcript.server.clone());
    let record = driver::run(&script, &reads.eof(Eof::WhenAsked));
    let end = record.end();
    match *stated {
        Connected(bound, tunnel) | ConnectedFrom(bound, tunnel) => {
            let Some(Due::Connected(ReplyCode::SUCCEEDED, address)) = end else {
                panic!("{case}: {end:?}");
            };
            let host = address.as_address().host.to_string();
            let exact = matches!(stated, Connected(..));
            let got = if exact { address.to_string() } else { host };
            assert_eq!(got, bound, "{case}");
            assert_eq!(record.unread, tunnel, "{case}: bytes of the tunnel");
            let same = captured.starts_with(&record.sent());
            let otherwise = SAID_OTHERWISE.iter().any(|other| case.contains(other));
            assert_eq!(same, !otherwise, "{case}: sent");
        }
        Refused(code) => {
            assert_eq!(
                end,
                Some(&Due::Closed(Error::Refused(ReplyCode::new(code)))),
                "{case}"
            );
        }
        Rejected(status) => {
            assert_eq!(end, Some(&Due::Closed(authentication_rejected(status))), "{case}");
        }
        NoMethod => assert_eq!(end, Some(&Due::Closed(Error::NoAcceptableMethod)), "{case}"),
        EndsIn(phase) => assert_eq!(end.and_then(Due::eof_phase), Some(phase), "{case}"),
        Closed(error) => assert_eq!(end, Some(&Due::Closed(error)), "{case}"),
        Version(expected, got) => {
            let error = wrong_version(expected, got).into();
            assert_eq!(end, Some(&Due::Closed(error)), "{case}");
        }
    }
}

///
#[test]
fn recorded_server_is_understood_or_refused() {
    replay("server-", SERVERS, understands);
}

/// The answers of the servers in the clients' transcripts, many of them wrong on purpose. The client machine replaces
/// curl and PySocks.
const ANSWERS: &[(&str, &str, Answers)] = &[
    (
        "curl-socks5 curl-socks5-hostname curl-socks5h-ipv4-literal curl-socks5h-userpass curl-socks5h-basic-only
         pysocks pysocks-userpass",
        "",
        ConnectedFrom("127.0.0.1", OK),
    ),
    (
        "curl-socks5-ipv6 curl-socks5h-ipv6-literal",
        "",
        ConnectedFrom("::1", OK),
    ),
    // RSV 01 and a status of version 05 are accepted.
    (
        "curl-coalesced curl-split curl-rsv1 curl-auth-ver05 curl-emptypass pysocks-coalesced pysocks-split
         pysocks-rsv1 pysocks-user200",
        "",
        Connected("127.0.0.1:49153", b"DATA"),
    ),
    (
        "curl-host255 curl-trailing-dot curl-two-replies pysocks-two-replies pysocks-host200",
        "",
        Connected("127.0.0.1:49153", b""),
    ),
    (
        "curl-bnd-domain pysocks-bnd-domain",
        "",
        Connected("srv.test:8080", b"DATA"),
    ),
    // curl consumes three bytes of the data.
    (
        "curl-bnd-domain0 pysocks-bnd-domain0",
        "",
        Connected(NOWHERE, b"DATA1234"),
    ),
    (
        "curl-bnd-v6 pysocks-bnd-v6",
        "",
        Connected("[::1]:8080", b"DATA"),
    ),
    ("pysocks-udp", "", Connected("127.0.0.1:35347", b"")),
    ("pysocks-udp-rdnsfalse", "", Connected("127.0.0.1:56787", b"")),
    ("curl-refused", "", Refused(5)),
    ("curl-unresolvable", "", Refused(4)),
    //
    ("curl-rep09 pysocks-rep09", "", Refused(9)),
    ("curl-fail-atyp00 pysocks-fail-atyp00", "", Refused(4)),
    ("curl-fail-2bytes pysocks-fail-2bytes", "", Refused(5)),
    ("curl-fail-short pysocks-fail-short", "", Refused(7)),
    //
    (
        "curl-bnd-atyp00 pysocks-bnd-atyp00",
        "",
        Closed(Error::Malformed(Malformed::AddressType(0))),
    ),
    //
    (
        "curl-ver0 pysocks-ver0 curl-socks4-reply pysocks-socks4-reply curl-socks4 curl-socks4-userid
         curl-socks4a",
        "",
        Version(5, 0),
    ),
    ("curl-greet-ver4 pysocks-greet-ver4", "", Version(5, 4)),
    ("curl-http-reply pysocks-http-reply", "", Version(5, b'H')),
    // curl continues.
    (
        "curl-method02-unoffered pysocks-method02-unoffered",
        "",
        Closed(Error::PeerMisbehaved(PeerMisbehaved::MethodNotOffered(
            Method::USERNAME_PASSWORD,
        ))),
    ),
    (
        "curl-method80 pysocks-method80",
        "",
        Closed(Error::PeerMisbehaved(PeerMisbehaved::MethodNotOffered(Method::new(
            0x80,
        )))),
    ),
    (
        "curl-methodff curl-socks5h-noauth-only pysocks-methodff",
        "",
        NoMethod,
    ),
    ("curl-socks5h-badpass", "", Rejected(1)),
    ("curl-auth-status02 pysocks-auth-status02", "", Rejected(2)),
    // The captured client did not wait for these answers, or had not asked for them.
    ("pysocks-auth-ver05", "", EndsIn(Phase::Reply)),
    ("curl-user256", "", EndsIn(Phase::Authentication)),
    ("curl-host256", "", EndsIn(Phase::MethodSelection)),
];

/// ..Q-049, Q-060, Q-065.
#[test]
fn recorded_answer_to_a_client_is_understood_or_refused() {
    replay("client-", ANSWERS, understands);
}
