//! Values: code points, addresses, credentials and errors, with their conversions and text forms.

use sans_socks_testing::faults::{authentication_rejected, wrong_version};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use proptest::prelude::*;
use sans_socks::message::{AuthStatus, Encode, Greeting, Methods, Selection};
use sans_socks::{
    Address, AddressBuf, Command, Credentials, CredentialsBuf, Domain, Error, ErrorKind, Host, InvalidValue,
    Malformed, Method, OtherProtocol, PeerMisbehaved, Phase, Reply, ReplyCode, Request, Target, Version,
    client, server, socks4,
};

/// the constants of the RFC.
#[test]
fn constants_are_those_of_the_rfc() {
    assert_eq!(sans_socks::DEFAULT_PORT, 1080);
    assert_eq!(sans_socks::REFUSAL_CLOSE_DEADLINE, Duration::from_secs(10));
}

#[test]
fn server_config_prints_every_setting() {
    let config = server::Config::new().with_control_bytes(true);
    assert_eq!(
        format!("{config:?}"),
        "Config { empty_credentials: false, control_bytes: true, strict_reserved: false, \
         lenient_version: false, socks4: false }"
    );
}

#[test]
fn methods_by_value_are_those_by_reference() {
    let greeting = Greeting::new(&[Method::USERNAME_PASSWORD, Method::NO_AUTHENTICATION]).unwrap();
    let methods = greeting.methods();
    assert_eq!(methods.into_iter().collect::<Vec<_>>(), Vec::from_iter(&methods));
}

/// A name is no IP address, even if it reads as one.
#[test]
fn name_is_not_an_ip_address() {
    let host = Host::Domain(Domain::new("192.0.2.1").unwrap());
    assert_eq!(IpAddr::try_from(host), Err(InvalidValue::NotAnIp));
    assert_eq!(
        IpAddr::try_from(Host::from(Ipv4Addr::LOCALHOST)),
        Ok(Ipv4Addr::LOCALHOST.into())
    );
}

/// Every setting is off by default, is returned as it was set, and changes no other one.
#[test]
fn config_settings_are_returned() {
    let client = client::Config::new();
    let of_client = |it: client::Config| [it.optimistic(), it.strict_reserved(), it.strict_status_version()];
    for (at, on) in [
        client.with_optimistic(true),
        client.with_strict_reserved(true),
        client.with_strict_status_version(true),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(of_client(client), [false; 3]);
        assert_eq!(of_client(on), std::array::from_fn(|setting| setting == at));
    }

    let server = server::Config::new();
    let of_server = |it: server::Config| {
        [
            it.empty_credentials(),
            it.control_bytes(),
            it.strict_reserved(),
            it.lenient_version(),
            it.socks4(),
        ]
    };
    for (at, on) in [
        server.with_empty_credentials(true),
        server.with_control_bytes(true),
        server.with_strict_reserved(true),
        server.with_lenient_version(true),
        server.with_socks4(true),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(of_server(server), [false; 5]);
        assert_eq!(of_server(on), std::array::from_fn(|setting| setting == at));
    }
}

/// The longest form of each message in the RFCs' diagrams.
#[test]
fn messages_max_len_follows_the_rfc() {
    assert_eq!(Greeting::MAX_LEN, 257);
    assert_eq!(Selection::MAX_LEN, 2);
    assert_eq!(Credentials::MAX_LEN, 513);
    assert_eq!(AuthStatus::MAX_LEN, 2);
    assert_eq!(Request::MAX_LEN, 262);
    assert_eq!(Reply::MAX_LEN, 262);
    assert_eq!(Domain::MAX_LEN, 255);
    assert_eq!(Credentials::MAX_FIELD_LEN, 255);
}

/// the numbers of RFC 1928, IANA and Tor.
#[test]
fn code_points_named_have_their_numbers() {
    let methods = [
        (Method::NO_AUTHENTICATION, 0x00, "NO_AUTHENTICATION"),
        (Method::GSSAPI, 0x01, "GSSAPI"),
        (Method::USERNAME_PASSWORD, 0x02, "USERNAME_PASSWORD"),
        (Method::CHAP, 0x03, "CHAP"),
        (Method::CRAM, 0x05, "CRAM"),
        (Method::SSL, 0x06, "SSL"),
        (Method::NDS, 0x07, "NDS"),
        (Method::MAF, 0x08, "MAF"),
        (Method::JSON_PARAMETER_BLOCK, 0x09, "JSON_PARAMETER_BLOCK"),
        (Method::NO_ACCEPTABLE, 0xff, "NO_ACCEPTABLE"),
    ];
    for (method, byte, name) in methods {
        assert_eq!((method.get(), format!("{method:?}")), (byte, name.to_string()));
    }
    let commands = [
        (Command::CONNECT, 0x01, "CONNECT"),
        (Command::BIND, 0x02, "BIND"),
        (Command::UDP_ASSOCIATE, 0x03, "UDP_ASSOCIATE"),
        (Command::RESOLVE, 0xf0, "RESOLVE"),
        (Command::RESOLVE_PTR, 0xf1, "RESOLVE_PTR"),
    ];
    for (command, byte, name) in commands {
        assert_eq!((command.get(), format!("{command:?}")), (byte, name.to_string()));
    }
    let codes = [
        (ReplyCode::SUCCEEDED, 0x00, "SUCCEEDED"),
        (ReplyCode::GENERAL_FAILURE, 0x01, "GENERAL_FAILURE"),
        (ReplyCode::NOT_ALLOWED, 0x02, "NOT_ALLOWED"),
        (ReplyCode::NETWORK_UNREACHABLE, 0x03, "NETWORK_UNREACHABLE"),
        (ReplyCode::HOST_UNREACHABLE, 0x04, "HOST_UNREACHABLE"),
        (ReplyCode::CONNECTION_REFUSED, 0x05, "CONNECTION_REFUSED"),
        (ReplyCode::TTL_EXPIRED, 0x06, "TTL_EXPIRED"),
        (ReplyCode::COMMAND_NOT_SUPPORTED, 0x07, "COMMAND_NOT_SUPPORTED"),
        (
            ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED,
            0x08,
            "ADDRESS_TYPE_NOT_SUPPORTED",
        ),
        (
            ReplyCode::ONION_DESCRIPTOR_NOT_FOUND,
            0xf0,
            "ONION_DESCRIPTOR_NOT_FOUND",
        ),
        (
            ReplyCode::ONION_DESCRIPTOR_INVALID,
            0xf1,
            "ONION_DESCRIPTOR_INVALID",
        ),
        (
            ReplyCode::ONION_INTRODUCTION_FAILED,
            0xf2,
            "ONION_INTRODUCTION_FAILED",
        ),
        (
            ReplyCode::ONION_RENDEZVOUS_FAILED,
            0xf3,
            "ONION_RENDEZVOUS_FAILED",
        ),
        (
            ReplyCode::ONION_CLIENT_AUTH_MISSING,
            0xf4,
            "ONION_CLIENT_AUTH_MISSING",
        ),
        (
            ReplyCode::ONION_CLIENT_AUTH_WRONG,
            0xf5,
            "ONION_CLIENT_AUTH_WRONG",
        ),
        (ReplyCode::ONION_ADDRESS_INVALID, 0xf6, "ONION_ADDRESS_INVALID"),
        (
            ReplyCode::ONION_INTRODUCTION_TIMED_OUT,
            0xf7,
            "ONION_INTRODUCTION_TIMED_OUT",
        ),
    ];
    for (code, byte, name) in codes {
        assert_eq!((code.get(), format!("{code:?}")), (byte, name.to_string()));
    }
    assert_eq!((AuthStatus::SUCCESS.get(), AuthStatus::FAILURE.get()), (0, 1));
}

/// all 256 values of each code point pass through, and one of them is success.
#[test]
fn code_points_of_every_byte_round_trip() {
    for byte in 0..=0xff {
        assert_eq!(u8::from(Method::from(byte)), byte);
        assert_eq!(u8::from(Command::from(byte)), byte);
        assert_eq!(u8::from(ReplyCode::from(byte)), byte);
        assert_eq!(u8::from(AuthStatus::from(byte)), byte);
        assert_eq!(Method::new(byte).get(), byte);
        assert_eq!(
            format!("{:x} {:#04X}", Method::new(byte), Command::new(byte)),
            format!("{byte:x} {byte:#04X}")
        );
        assert_eq!(Method::new(byte).is_private(), (0x80..=0xfe).contains(&byte));
        assert_eq!(ReplyCode::new(byte).is_success(), byte == 0);
        assert_eq!(AuthStatus::new(byte).is_success(), byte == 0);
    }
}

/// A code point without a name prints its byte, and none prints an empty text.
#[test]
fn code_points_unnamed_print_their_byte() {
    assert_eq!(format!("{:?}", Method::new(0x80)), "Method(0x80)");
    assert_eq!(format!("{:?}", Command::new(9)), "Command(0x09)");
    assert_eq!(format!("{:?}", ReplyCode::new(0xff)), "ReplyCode(0xff)");
    assert_eq!(format!("{:?}", AuthStatus::new(2)), "AuthStatus(0x02)");
    assert_eq!(Method::new(0x80).to_string(), "method 0x80");
    assert_eq!(Command::new(9).to_string(), "command 0x09");
    assert_eq!(ReplyCode::new(0xff).to_string(), "reply code 0xff");
    assert_eq!(AuthStatus::new(2).to_string(), "authentication status 0x02");
    assert_eq!(ReplyCode::CONNECTION_REFUSED.to_string(), "connection refused");
    assert_eq!(Command::UDP_ASSOCIATE.to_string(), "UDP ASSOCIATE");
    assert_eq!(Method::USERNAME_PASSWORD.to_string(), "username/password");
    assert_eq!(format!("[{:>10}]", Command::BIND), "[      BIND]");
    for byte in 0..=0xff {
        assert!(!Method::new(byte).to_string().is_empty());
        assert!(!ReplyCode::new(byte).to_string().is_empty());
    }
}

fn name(text: &[u8], port: u16) -> Address<'_> {
    Address::from((Domain::new(text).unwrap(), port))
}

fn ip(text: &str) -> Address<'static> {
    text.parse::<SocketAddr>().unwrap().into()
}

/// a parsed address prints as the same text, and keeps a dot at the end.
#[test]
fn address_text_round_trips() {
    for (text, address) in [
        ("127.0.0.1:80", ip("127.0.0.1:80")),
        ("0.0.0.0:0", Address::UNSPECIFIED),
        ("[::1]:65535", ip("[::1]:65535")),
        ("[::ffff:127.0.0.1]:1", ip("[::ffff:127.0.0.1]:1")),
        ("example.com:443", name(b"example.com", 443)),
        ("app.test.:1", name(b"app.test.", 1)),
        ("localhost:0", name(b"localhost", 0)),
        // These are names. An IPv4 address is four numbers up to 255 without leading zeros.
        ("127.1:80", name(b"127.1", 80)),
        ("256.0.0.1:80", name(b"256.0.0.1", 80)),
        ("01.2.3.4:80", name(b"01.2.3.4", 80)),
        ("h:80", name(b"h", 80)),
        ("*:80", name(b"*", 80)),
    ] {
        assert_eq!(Address::try_from(text), Ok(address), "{text}");
        assert_eq!(text.parse(), Ok(AddressBuf::from(address)), "{text}");
        assert_eq!(address.to_string(), text);
        assert_eq!(AddressBuf::from(address).to_string(), text);
    }
    // Other spellings print in the form above, or quoted.
    let foreign = name("b\u{fc}cher.test".as_bytes(), 80);
    assert_eq!(Address::try_from("b\u{fc}cher.test:80"), Ok(foreign));
    assert_eq!(foreign.to_string(), "\"b\\xc3\\xbccher.test\":80");
    assert_eq!(Address::try_from("[0:0::1]:00080"), Ok(ip("[::1]:80")));
    // A port has at most five digits, with leading zeros as in std.
    assert_eq!(Address::try_from("h:080"), Ok(name(b"h", 80)));
    assert_eq!(Address::try_from("h:00080"), Ok(name(b"h", 80)));
    assert_eq!(
        "127.0.0.1:080".parse::<SocketAddr>().ok(),
        ip("127.0.0.1:80").to_socket_addr()
    );
}

#[test]
fn address_malformed_text_is_refused() {
    for text in [
        "",
        ":",
        ":80",
        "80",
        "example.com",
        "example.com:",
        "example.com:http",
        "example.com:65536",
        "example.com:-1",
        "example.com:+80",
        "example.com: 80",
        "example.com:80 ",
        "example.com:0x50",
        "example.com:\u{ff18}\u{ff10}",
        "::1",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[example.com]:80",
        "a:b:80",
        "example.com:000080",
        "[::1%1]:80",
        "[fe80::1%eth0]:80",
        " example.com:80",
        " h:80",
        "h\r\nX:80",
        "a\tb:80",
        "a\x7fb:80",
        "a\u{85}b:80",
        "a\u{a0}b:80",
        "a\u{3000}b:80",
        "example.com :80",
        "ex ample.com:80",
        "a\nb:80",
        "a\r\nX:80",
        "a\0b:80",
        "a\u{2028}b:80",
        "user@example.com:80",
        "/etc:1",
        "http://example.com:80",
        "\"example.com\":80",
        "a\\x00b:80",
    ] {
        assert_eq!(
            Address::try_from(text),
            Err(InvalidValue::AddressSyntax),
            "{text:?}"
        );
        assert_eq!(
            text.parse::<AddressBuf>(),
            Err(InvalidValue::AddressSyntax),
            "{text:?}"
        );
    }
    let long = format!("{}:80", "x".repeat(256));
    assert_eq!(Address::try_from(&*long), Err(InvalidValue::DomainLength(256)));
}

/// the form that an access list must check. The documentation lists the forms that do not change.
#[test]
fn address_canonical_unifies_spellings() {
    for (spelling, expected) in [
        (ip("127.0.0.1:80"), ip("127.0.0.1:80")),
        (ip("[::1]:80"), ip("[::1]:80")),
        (ip("[::ffff:127.0.0.1]:80"), ip("127.0.0.1:80")),
        (name(b"127.0.0.1", 80), ip("127.0.0.1:80")),
        (name(b"93.184.216.34", 80), ip("93.184.216.34:80")),
        (name(b"::1", 80), ip("[::1]:80")),
        (name(b"[::1]", 80), ip("[::1]:80")),
        (name(b"::ffff:127.0.0.1", 80), ip("127.0.0.1:80")),
        (name(b"[::FFFF:7f00:1]", 80), ip("127.0.0.1:80")),
        (name(b"::1%1", 80), ip("[::1]:80")),
        (name(b"[::1%1]", 80), ip("[::1]:80")),
        (name(b"[::ffff:127.0.0.1%0]", 80), ip("127.0.0.1:80")),
        (name(b"fe80::1%eth0", 80), ip("[fe80::1]:80")),
    ] {
        assert_eq!(spelling.canonical(), expected, "{spelling:?}");
        assert_eq!(spelling.canonical().canonical(), expected, "{spelling:?}");
    }
    for other in [
        &b"example.com"[..],
        b"app.test.",
        b"localhost",
        b"127.1",
        b"0x7f000001",
        b"0x7f.1",
        b"2130706433",
        b"017700000001",
        b"0177.0.0.1",
        b"0",
        b"LOCALHOST",
        b"localhost.",
        b"127.0.0.1.",
        b"127.0.0.1%1",
        b"[127.0.0.1]",
        b"[::1",
        b"::1]",
        b"127.0.0.1\0",
        b" 127.0.0.1",
        b"\xff\xfe",
        b"[]",
    ] {
        assert_eq!(name(other, 80).canonical(), name(other, 80), "{other:?}");
    }
    // Other addresses that embed an IPv4 address stay IPv6.
    for other in ["[::127.0.0.1]:80", "[64:ff9b::7f00:1]:80", "[2002:7f00:1::]:80"] {
        assert_eq!(ip(other).canonical(), ip(other));
    }
}

/// an unspecified host means the address at which the proxy was reached. The port does not
/// change.
#[test]
fn address_unspecified_host_is_replaced() {
    let proxy = IpAddr::from(Ipv6Addr::LOCALHOST);
    for (bound, expected) in [
        (Address::UNSPECIFIED, ip("[::1]:0")),
        (ip("0.0.0.0:5300"), ip("[::1]:5300")),
        (ip("[::]:5300"), ip("[::1]:5300")),
        (ip("127.0.0.1:5300"), ip("127.0.0.1:5300")),
        (name(b"0.0.0.0", 1), name(b"0.0.0.0", 1)),
        (name(b"srv.test", 1), name(b"srv.test", 1)),
    ] {
        assert_eq!(bound.or_host(proxy), expected, "{bound}");
    }
    assert!(Host::from(Ipv4Addr::UNSPECIFIED).is_unspecified());
    assert!(Host::from(Ipv6Addr::UNSPECIFIED).is_unspecified());
    assert!(!Host::from(proxy).is_unspecified());
}

#[test]
fn address_from_socket_addr_converts_back() {
    for text in ["127.0.0.1:80", "[::1]:443", "[::ffff:1.2.3.4]:1"] {
        let socket: SocketAddr = text.parse().unwrap();
        assert_eq!(Address::from(socket).to_socket_addr(), Some(socket));
        assert_eq!(Address::from((socket.ip(), socket.port())), Address::from(socket));
        assert_eq!(AddressBuf::from(socket).as_address(), Address::from(socket));
    }
    assert_eq!(name(b"127.0.0.1", 80).to_socket_addr(), None);
}

/// The owned form compares, hashes and prints like the borrowed one, at every length.
#[test]
fn address_buf_equals_what_it_owns() {
    let hasher = RandomState::new();
    let mut dials = HashMap::new();
    let every: Vec<u8> = (1..=255).collect();
    for len in 1..=255 {
        let borrowed = name(&every[..len], len as u16);
        let owned = AddressBuf::from(borrowed);
        assert_eq!(owned.as_address(), borrowed);
        assert_eq!(Address::from(&owned), borrowed);
        assert_eq!(owned.clone(), owned);
        assert_eq!(owned.to_string(), borrowed.to_string());
        assert_eq!(format!("{owned:?}"), format!("{borrowed:?}"));
        assert_eq!(hasher.hash_one(&owned), hasher.hash_one(borrowed));
        assert_eq!(dials.insert(owned, len), None);
    }
    assert_eq!(dials.get(&AddressBuf::from(name(&every[..7], 7))), Some(&7));
    assert_eq!(dials.get(&AddressBuf::from(name(&every[..7], 8))), None);
    assert_ne!(
        AddressBuf::from(name(b"127.0.0.1", 80)),
        AddressBuf::from(ip("127.0.0.1:80"))
    );
}

/// Ambiguous names are quoted, so a log distinguishes ATYP 01 from ATYP 03.
#[test]
fn address_ambiguous_names_are_quoted() {
    for (raw, shown) in [
        (&b"127.0.0.1"[..], "\"127.0.0.1\":80"),
        (b"::1", "\"::1\":80"),
        (b"[::1]", "\"[::1]\":80"),
        (b"evil.com:80", "\"evil.com:80\":80"),
        (b"a\\x00b", "\"a\\\\x00b\":80"),
        (b"a\0b", "\"a\\x00b\":80"),
        (b"a\"b", "\"a\\\"b\":80"),
        (b" ", "\"\\x20\":80"),
        (b"01.2.3.4", "01.2.3.4:80"),
    ] {
        let address = name(raw, 80);
        assert_eq!(address.to_string(), shown);
        match Address::try_from(shown) {
            Ok(read) => assert_eq!(read, address),
            Err(error) => assert_eq!(error, InvalidValue::AddressSyntax),
        }
    }
}

/// The conversions that users of `std::net` try first.
#[test]
fn address_std_conversions_agree() {
    let socket: SocketAddr = "127.0.0.1:80".parse().unwrap();
    for host in ["127.0.0.1", "::1", "[::1]", "example.com"] {
        let address = Address::try_from((host, 80)).unwrap();
        assert_eq!(Host::try_from(host), Ok(address.host));
        assert_eq!(AddressBuf::try_from((host, 80)), Ok(address.into()));
    }
    assert_eq!(Address::try_from(("::1", 80)), Ok(ip("[::1]:80")));
    assert_eq!(Address::try_from(("a\0b", 80)), Err(InvalidValue::AddressSyntax));
    assert_eq!(Address::try_from(("", 80)), Err(InvalidValue::AddressSyntax));
    assert_eq!(Address::from((Ipv4Addr::LOCALHOST, 80)), ip("127.0.0.1:80"));
    assert_eq!(Address::from((Ipv6Addr::LOCALHOST, 80)), ip("[::1]:80"));
    assert_eq!(AddressBuf::from((socket.ip(), 80)), ip("127.0.0.1:80"));
    let (v4, v6): (SocketAddrV4, SocketAddrV6) =
        ("127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap());
    assert_eq!(
        (Address::from(v4), Address::from(v6)),
        (ip("127.0.0.1:80"), ip("[::1]:80"))
    );
    assert_eq!(AddressBuf::from(v4), ip("127.0.0.1:80"));
    assert_eq!(AddressBuf::from(v6), ip("[::1]:80"));
    for Address { host, port } in [name(b"a", 80), ip("127.0.0.1:80"), ip("[::1]:80")] {
        assert_eq!(Address::from((host, port)), Address { host, port });
        assert_eq!(AddressBuf::from((host, port)), Address { host, port });
    }
    assert_eq!(AddressBuf::from((Domain::new("a").unwrap(), 80)), name(b"a", 80));
    assert_eq!(
        AddressBuf::try_from("127.0.0.1:80"),
        Ok(ip("127.0.0.1:80").into())
    );
    assert_eq!(SocketAddr::try_from(Address::from(socket)), Ok(socket));
    assert_eq!(IpAddr::try_from(Host::from(socket.ip())), Ok(socket.ip()));
    let spelled = name(b"127.0.0.1", 80);
    assert_eq!(SocketAddr::try_from(spelled), Err(InvalidValue::NotAnIp));
    assert_eq!(IpAddr::try_from(spelled.host), Err(InvalidValue::NotAnIp));
    let owned = AddressBuf::from(spelled);
    assert_eq!((owned.host(), owned.port()), (spelled.host, 80));
    assert_eq!(owned, spelled);
    assert_eq!(spelled, owned);
    for other in [name(b"127.0.0.1", 81), name(b"127.0.0.2", 80), ip("127.0.0.1:80")] {
        assert_ne!(owned, other);
        assert_ne!(other, owned);
    }
}

/// A map of owned addresses is in the order of the borrowed ones.
#[test]
fn address_buf_order_is_that_of_address() {
    let addresses = [
        ip("127.0.0.1:80"),
        ip("127.0.0.1:81"),
        ip("[::1]:80"),
        name(b"a", 80),
        name(b"aa", 1),
        name(b"b", 80),
    ];
    for a in addresses {
        for b in addresses {
            assert_eq!(
                AddressBuf::from(a).cmp(&AddressBuf::from(b)),
                a.cmp(&b),
                "{a} {b}"
            );
            assert_eq!(
                AddressBuf::from(a).partial_cmp(&AddressBuf::from(b)),
                Some(a.cmp(&b))
            );
        }
    }
}

/// neither a name that spells an IP address nor one that is not text reaches a resolver.
#[test]
fn address_to_target_resolves_no_ip() {
    let socket = |text: &str| Ok(Target::Socket(text.parse().unwrap()));
    for (address, target) in [
        (ip("127.0.0.1:80"), socket("127.0.0.1:80")),
        (ip("[::ffff:127.0.0.1]:80"), socket("127.0.0.1:80")),
        (name(b"127.0.0.1", 80), socket("127.0.0.1:80")),
        (name(b"[::1]", 80), socket("[::1]:80")),
        (name(b"[::ffff:127.0.0.1%0]", 80), socket("127.0.0.1:80")),
        (name(b"example.com", 80), Ok(Target::Name("example.com", 80))),
        (name(b"127.1", 80), Ok(Target::Name("127.1", 80))),
        (
            name("b\u{fc}cher.test".as_bytes(), 80),
            Ok(Target::Name("b\u{fc}cher.test", 80)),
        ),
        (name(b"\xff\xfe", 80), Err(InvalidValue::DomainText)),
        (name(b"localhost\0x", 80), Err(InvalidValue::DomainText)),
    ] {
        assert_eq!(address.to_target(), target, "{address}");
    }
}

#[test]
fn code_points_parse_their_names_and_numbers() {
    assert_eq!("CONNECT".parse(), Ok(Command::CONNECT));
    assert_eq!("udp_associate".parse(), Ok(Command::UDP_ASSOCIATE));
    assert_eq!("0xf0".parse(), Ok(Command::RESOLVE));
    assert_eq!("0XF0".parse(), Ok(Command::RESOLVE));
    assert_eq!("240".parse(), Ok(Command::RESOLVE));
    assert_eq!("NOT_ALLOWED".parse(), Ok(ReplyCode::NOT_ALLOWED));
    for text in [
        "",
        "256",
        "-1",
        "+1",
        "0x",
        "0x100",
        "0x+1",
        "CONNECT ",
        "f0",
        "UDP ASSOCIATE",
    ] {
        let error = text.parse::<Command>().unwrap_err();
        assert!(error.to_string().contains("0 to 255"), "{text:?}");
    }
    for byte in 0..=0xff {
        let method = Method::new(byte);
        if let Some(name) = method.name() {
            assert_eq!(name.parse(), Ok(method));
            assert_eq!(format!("{method:?}"), name);
        }
        assert_eq!(byte.to_string().parse(), Ok(method));
        assert_eq!(format!("{method:#04x}").parse(), Ok(method));
    }
    assert_eq!(Method::new(0x80).name(), None);
}

#[test]
fn request_constructors_set_their_command() {
    let address = ip("127.0.0.1:80");
    assert_eq!(Request::bind(address), Request::new(Command::BIND, address));
    assert_eq!(
        Request::udp_associate(address),
        Request::new(Command::UDP_ASSOCIATE, address)
    );
}

/// lengths are checked when credentials are built, and the message contains the bound.
#[test]
fn credentials_buf_is_checked_and_compares_as_borrowed() {
    let long = [b'x'; 256];
    let owned = CredentialsBuf::new("alice", "secret").unwrap();
    assert_eq!(owned.as_credentials().username(), b"alice");
    assert_eq!(owned.as_credentials().password(), b"secret");
    assert!(owned.clone().verify("alice", "secret"));
    assert!(!owned.verify("alice", "secret\0"));
    assert!(!owned.verify("secret", "alice"));
    assert_eq!(
        format!("{owned:?}"),
        "Credentials { username: 5 bytes, password: 6 bytes }"
    );
    let longest = CredentialsBuf::new(&long[..255], &long[..255]).unwrap();
    assert!(longest.verify(&long[..255], &long[..255]));
    assert!(!longest.verify(&long[..254], &long[..255]));
    let error = |result: Result<CredentialsBuf, InvalidValue>| result.unwrap_err().to_string();
    assert_eq!(
        error(CredentialsBuf::new("", "p")),
        "user name of 0 bytes, expected at least 1"
    );
    assert_eq!(
        error(CredentialsBuf::new("u", "")),
        "password of 0 bytes, expected at least 1"
    );
    assert_eq!(
        error(CredentialsBuf::new(long, "p")),
        "user name of 256 bytes, expected at most 255"
    );
    assert_eq!(
        error(CredentialsBuf::new_allowing_empty(long, "")),
        "user name of 256 bytes, expected at most 255"
    );
    assert_eq!(
        error(CredentialsBuf::new_allowing_empty("", long)),
        "password of 256 bytes, expected at most 255"
    );
    assert!(
        CredentialsBuf::new_allowing_empty("", "")
            .unwrap()
            .as_credentials()
            .verify("", "")
    );
    let borrowed = Credentials::new("bob", "hunter2").unwrap();
    assert!(
        CredentialsBuf::from(borrowed)
            .as_credentials()
            .verify("bob", "hunter2")
    );
}

/// a name is bytes. It prints as ASCII graphic characters, so a log line stays one line.
#[test]
fn domain_text_is_ascii_graphic() {
    let plain = Domain::new("example.com").unwrap();
    assert_eq!(
        (plain.to_str(), plain.to_string().as_str()),
        (Ok("example.com"), "example.com")
    );
    assert_eq!(format!("{plain:?}"), "Domain(\"example.com\")");
    assert_eq!(plain.as_ref(), b"example.com");
    let foreign = Domain::new("b\u{fc}cher.test").unwrap();
    assert_eq!(foreign.to_string(), "\"b\\xc3\\xbccher.test\"");
    let binary = Domain::new(b"\xff\xfe").unwrap();
    assert!(binary.to_str().is_err());
    assert_eq!(binary.to_string(), "\"\\xff\\xfe\"");
    for forged in [
        "a\nb",
        "a\r\nb",
        "a\0b",
        "a\x1b[2Jb",
        "a\u{85}b",
        "a\u{9b}b",
        "a\u{2028}b",
        "a\u{202e}b",
        "a\u{2066}b",
        "a\u{200b}b",
        "a\u{feff}b",
        "a\u{e0041}b",
        "ok:443 10.0.0.1:5: allowed",
    ] {
        let forged = Domain::new(forged).unwrap();
        for shown in [forged.to_string(), name(forged.as_bytes(), 1).to_string()] {
            assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown}");
        }
        let debug = format!("{forged:?}");
        assert!(
            debug.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()),
            "{debug}"
        );
    }
}

/// Generates the bytes of names. Half of the names look like an address.
fn any_host() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..=255),
        "[a-zA-Z0-9.-]{1,20}".prop_map(String::into_bytes),
        "[ -~]{1,20}".prop_map(String::into_bytes),
        "\\[?[0-9a-f:.%x]{1,15}\\]?(:[0-9]{1,5})?".prop_map(String::into_bytes),
        any::<Ipv4Addr>().prop_map(|ip| ip.to_string().into_bytes()),
        any::<Ipv6Addr>().prop_map(|ip| ip.to_string().into_bytes()),
        any::<SocketAddr>().prop_map(|address| address.to_string().into_bytes()),
        "\\PC{1,20}".prop_map(String::into_bytes),
    ]
}

/// Returns the bytes of a printed name, quoted or not.
fn unquoted(text: &str) -> Option<Vec<u8>> {
    let Some(inner) = text.strip_prefix('"') else {
        return Some(text.into());
    };
    let mut bytes = inner.strip_suffix('"')?.bytes();
    let mut name = Vec::new();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'"' => return None,
            b'\\' => match bytes.next()? {
                b'x' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                escaped => escaped,
            },
            byte => byte,
        });
    }
    Some(name)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// printed text is ASCII graphic, differs for different names, and parses as the same address or not at all.
    #[test]
    fn address_printed_parses_as_itself_or_not(bytes in any_host(), port in any::<u16>()) {
        prop_assume!((1..=255).contains(&bytes.len()));
        let address = name(&bytes, port);
        let text = address.to_string();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        let (host, printed_port) = text.rsplit_once(':').unwrap();
        prop_assert_eq!(printed_port.parse(), Ok(port));
        prop_assert_eq!(unquoted(host), Some(bytes.clone()));
        prop_assert_eq!(address.host.to_string(), host);
        match Address::try_from(&*text) {
            Ok(parsed) => prop_assert_eq!(parsed, address),
            Err(error) => {
                prop_assert_eq!(error, InvalidValue::AddressSyntax);
                prop_assert!(host.starts_with('"'), "{text}");
            }
        }
        prop_assert_eq!(text.parse::<SocketAddr>().ok(), None);
        prop_assert_eq!(text.parse().ok(), Address::try_from(&*text).ok().map(AddressBuf::from));
    }

    #[test]
    fn address_printed_ip_parses_as_itself(socket in any::<SocketAddr>()) {
        let address = Address::from(socket);
        let text = address.to_string();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        prop_assert_eq!(Address::try_from(&*text), Ok(address));
        let host = socket.ip().to_string();
        prop_assert_eq!(Address::try_from((&*host, socket.port())), Ok(address));
        // std prints the zone of an IPv6 address, which SOCKS cannot carry.
        prop_assert_eq!(SocketAddr::new(socket.ip(), socket.port()).to_string(), text);
    }

    /// text with a control byte, white space or a delimiter is not an address.
    #[test]
    fn address_parsed_is_a_plain_name_or_an_ip(text in "\\PC{0,12}|[ -~]{1,20}|.{1,20}", port in any::<u16>()) {
        for parsed in [Address::try_from(&*text), Address::try_from((&*text, port))] {
            let Ok(Address { host: Host::Domain(name), .. }) = parsed else { continue };
            let name = name.to_str().unwrap();
            prop_assert!(!name.is_empty() && text.starts_with(name));
            prop_assert!(!name.contains(|c: char| c.is_whitespace() || c.is_control()));
            prop_assert!(!name.contains([':', '/', '?', '#', '[', ']', '@', '"', '\\']));
            prop_assert_eq!(name.parse::<IpAddr>().ok(), None);
        }
    }
}

/// a NUL or another control byte is found at every position.
#[test]
fn domain_control_bytes_are_found_at_every_place() {
    // Eight bytes are checked together. So every byte is tried at every position of every length up to 25, between bytes
    // that the check treats differently.
    for neighbour in [b'a', 0x20, 0x7e, 0x80, 0x9f, 0xa0, 0xff] {
        for len in 1..=25 {
            let mut name = vec![neighbour; len];
            for at in 0..len {
                for byte in 0..=0xff_u8 {
                    name[at] = byte;
                    let found = Domain::new(&name).unwrap().has_control_bytes();
                    assert_eq!(found, byte < 0x20 || byte == 0x7f, "{name:02x?}");
                }
                name[at] = neighbour;
            }
        }
    }
    for at in 0..Domain::MAX_LEN {
        let mut name = [b'a'; Domain::MAX_LEN];
        assert!(!Domain::new(&name).unwrap().has_control_bytes());
        name[at] = 0;
        assert!(Domain::new(&name).unwrap().has_control_bytes(), "{at}");
    }
}

/// fields are compared whole, and a NUL is a byte like any other.
#[test]
fn credentials_verify_compares_whole_fields() {
    let given = Credentials::new("alice", "secret\0x").unwrap();
    assert!(given.verify("alice", "secret\0x"));
    assert_eq!(
        format!("{given:?}"),
        "Credentials { username: 5 bytes, password: 8 bytes }"
    );
    for (username, password) in [
        ("alice", "secret"),
        ("alice", "secret\0"),
        ("alice", "secret\0y"),
        ("alice\0", "secret\0x"),
        ("Alice", "secret\0x"),
        ("alic", "secret\0x"),
        ("", ""),
        ("secret\0x", "alice"),
    ] {
        assert!(!given.verify(username, password), "{username:?} {password:?}");
    }
    let empty = Credentials::new_allowing_empty("", "").unwrap();
    assert!(empty.verify("", ""));
    assert!(!empty.verify("", "\0"));
}

#[test]
fn error_kind_follows_its_variant() {
    let refused = Error::Refused(ReplyCode::TTL_EXPIRED);
    for (error, kind, code) in [
        (Error::Malformed(Malformed::NoMethods), ErrorKind::Malformed, None),
        (
            Error::PeerMisbehaved(PeerMisbehaved::MethodNotOffered(Method::GSSAPI)),
            ErrorKind::PeerMisbehaved,
            None,
        ),
        (Error::NoAcceptableMethod, ErrorKind::Refused, None),
        (authentication_rejected(1), ErrorKind::Refused, None),
        (refused, ErrorKind::Refused, Some(ReplyCode::TTL_EXPIRED)),
        (
            Error::Socks4Refused(socks4::ReplyCode::IDENTD_MISMATCH),
            ErrorKind::Refused,
            Some(ReplyCode::NOT_ALLOWED),
        ),
        (Error::Abandoned, ErrorKind::Abandoned, None),
        (unexpected_eof(), ErrorKind::UnexpectedEof, None),
    ] {
        assert_eq!((error.kind(), error.reply_code()), (kind, code), "{error:?}");
    }
}

/// Returns an error that only a machine can build.
fn unexpected_eof() -> Error {
    let mut handshake = sans_socks::server::Handshake::new();
    handshake.handle_eof();
    match handshake.poll_output() {
        sans_socks::server::Output::Closed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn error_text_contains_what_was_got() {
    for (shown, expected) in [
        (
            Error::from(wrong_version(5, 0x47)).to_string(),
            "unexpected version 0x47, expected 0x05: looks like HTTP",
        ),
        (
            Error::from(wrong_version(5, 0x16)).to_string(),
            "unexpected version 0x16, expected 0x05: looks like TLS",
        ),
        (
            Error::from(wrong_version(5, 0x04)).to_string(),
            "unexpected version 0x04, expected 0x05: looks like SOCKS4",
        ),
        (
            Error::from(wrong_version(5, 0x06)).to_string(),
            "unexpected version 0x06, expected 0x05",
        ),
        (
            Error::from(Malformed::AddressType(2)).to_string(),
            "unknown address type 0x02",
        ),
        (
            Error::from(PeerMisbehaved::MethodNotOffered(Method::new(0x80))).to_string(),
            "server selected method 0x80, which was not offered",
        ),
        (
            Error::Refused(ReplyCode::CONNECTION_REFUSED).to_string(),
            "refused: connection refused",
        ),
        (
            Error::Refused(ReplyCode::new(9)).to_string(),
            "refused: reply code 0x09",
        ),
        (
            authentication_rejected(0xff).to_string(),
            "authentication rejected with status 0xff",
        ),
        (
            unexpected_eof().to_string(),
            "connection ended in phase greeting, after 0 bytes of the message",
        ),
    ] {
        assert_eq!(shown, expected);
    }
}

#[test]
fn phase_and_protocol_names_are_padded() {
    for (phase, name) in [
        (Phase::Greeting, "greeting"),
        (Phase::MethodSelection, "method selection"),
        (Phase::Authentication, "authentication"),
        (Phase::Negotiation, "negotiation"),
        (Phase::Request, "request"),
        (Phase::Reply, "reply"),
        (Phase::SecondReply, "second reply"),
        (Phase::Established, "established"),
        (Phase::Closed, "closed"),
    ] {
        assert_eq!(phase.to_string(), name);
        assert_eq!(format!("{phase:>20}"), format!("{name:>20}"));
    }
    for (protocol, name) in [
        (OtherProtocol::Http, "HTTP"),
        (OtherProtocol::Tls, "TLS"),
        (OtherProtocol::Socks4, "SOCKS4"),
    ] {
        assert_eq!(protocol.to_string(), name);
        assert_eq!(format!("{protocol:>8}"), format!("{name:>8}"));
    }
    for (version, name) in [(Version::Socks4, "SOCKS4"), (Version::Socks5, "SOCKS5")] {
        assert_eq!(version.to_string(), name);
        assert_eq!(format!("{version:>8}"), format!("{name:>8}"));
    }
}

/// `FF` in a received list is skipped, and kept when the list is encoded again.
#[test]
fn methods_received_ff_is_skipped() {
    let bytes = [5, 4, 2, 0xff, 0x80, 2];
    let (received, _) = Greeting::decode(&bytes).unwrap().complete().unwrap();
    let built = [
        Method::USERNAME_PASSWORD,
        Method::new(0x80),
        Method::USERNAME_PASSWORD,
    ];
    let built = Greeting::new(&built).unwrap();
    for greeting in [received, built] {
        let methods = greeting.methods();
        for byte in 0..=0xff {
            assert_eq!(methods.contains(Method::new(byte)), [2, 0x80].contains(&byte));
        }
        assert_eq!(
            format!("{methods:?}"),
            "[USERNAME_PASSWORD, Method(0x80), USERNAME_PASSWORD]"
        );
    }
    assert_eq!(received, built);
    // Each remaining byte of a received list may be `FF`.
    let mut iter = received.methods().iter();
    for remaining in [4, 3, 1, 0, 0] {
        assert_eq!(iter.size_hint(), (0, Some(remaining)));
        assert_eq!(iter.next().is_some(), remaining > 0);
    }
    let mut methods = Vec::new();
    for method in &received.methods() {
        methods.push(method);
    }
    assert_eq!(methods, received.methods().iter().collect::<Vec<_>>());
    for other in [
        &[Method::USERNAME_PASSWORD, Method::new(0x80)][..],
        &[
            Method::new(0x80),
            Method::USERNAME_PASSWORD,
            Method::USERNAME_PASSWORD,
        ],
    ] {
        assert_ne!(received, Greeting::new(other).unwrap());
    }
    let mut out = [0; 6];
    assert_eq!(received.encode_into(&mut out), Ok(6));
    assert_eq!(out, bytes);
    assert_eq!(built.encode_into(&mut out), Ok(5));
    assert_eq!(out[..5], [5, 3, 2, 0x80, 2]);
}

#[test]
fn server_default_equals_new() {
    use sans_socks::server::{Config, Handshake, Output};

    assert_eq!(Config::default(), Config::new());
    let mut handshake = Handshake::default();
    assert_eq!(handshake.phase(), Phase::Greeting);
    assert!(matches!(handshake.poll_output(), Output::NeedInput { needed } if needed.get() == 2));
}

/// The hash of two lists depends on where the first one ends.
#[test]
fn methods_hash_and_debug_show_their_content() {
    fn list(greeting: &[u8]) -> Methods<'_> {
        Greeting::decode(greeting)
            .unwrap()
            .complete()
            .unwrap()
            .0
            .methods()
    }
    let [a, b, both] = [&b"\x05\x01\x01"[..], b"\x05\x01\0", b"\x05\x02\x01\0"].map(list);
    let none = list(b"\x05\x01\xff"); // FF offers nothing
    let hasher = RandomState::new();
    assert_eq!(hasher.hash_one(a), hasher.hash_one(list(b"\x05\x02\x01\xff")));
    assert_ne!(hasher.hash_one(a), hasher.hash_one(b));
    assert_ne!(hasher.hash_one([a, b]), hasher.hash_one([both, none]));
    assert_eq!(format!("{a:?}"), format!("{:?}", [Method::GSSAPI]));
    assert_eq!(format!("{:?}", a.iter()), format!("{a:?}"));
}

/// `Debug` of a machine prints its phase, and of a transmission its length.
#[test]
fn machine_debug_prints_its_phase() {
    use sans_socks::client::{self, Auth};
    use sans_socks::server;

    let request = Request::new(Command::CONNECT, Address::UNSPECIFIED);
    let mut client = client::Handshake::new(&request, Auth::none());
    assert_eq!(format!("{client:?}"), "Handshake { phase: Greeting, .. }");
    assert_eq!(
        format!("{:?}", client.poll_output()),
        "Transmit(Transmit(3 bytes))"
    );
    let server = server::Handshake::new();
    assert_eq!(format!("{server:?}"), "Handshake { phase: Greeting, .. }");
}

#[cfg(feature = "std")]
mod io {
    use std::io;

    use core::net::SocketAddr;

    use super::{
        Address, AddressBuf, Error, InvalidValue, Malformed, Method, PeerMisbehaved, ReplyCode, ip, name,
        unexpected_eof,
    };
    use sans_socks_testing::faults::authentication_rejected;

    /// the reply to a failed dial.
    #[test]
    fn reply_code_of_io_error_follows_the_table() {
        use io::ErrorKind as Kind;

        for (kind, code) in [
            (Kind::ConnectionRefused, ReplyCode::CONNECTION_REFUSED),
            (Kind::NetworkUnreachable, ReplyCode::NETWORK_UNREACHABLE),
            (Kind::NetworkDown, ReplyCode::NETWORK_UNREACHABLE),
            (Kind::HostUnreachable, ReplyCode::HOST_UNREACHABLE),
            (Kind::TimedOut, ReplyCode::TTL_EXPIRED),
            (Kind::PermissionDenied, ReplyCode::NOT_ALLOWED),
            (Kind::ConnectionReset, ReplyCode::GENERAL_FAILURE),
            (Kind::AddrInUse, ReplyCode::GENERAL_FAILURE),
            (Kind::NotFound, ReplyCode::GENERAL_FAILURE),
            (Kind::UnexpectedEof, ReplyCode::GENERAL_FAILURE),
            (Kind::Other, ReplyCode::GENERAL_FAILURE),
        ] {
            assert_eq!(ReplyCode::from(&io::Error::from(kind)), code, "{kind:?}");
            // An inner error of another type changes nothing.
            assert_eq!(ReplyCode::from(&io::Error::new(kind, "text")), code, "{kind:?}");
        }
    }

    /// a name that does not resolve becomes REP 04. A name that is not text is not looked up.
    #[test]
    fn address_to_socket_addrs_resolves_targets() {
        use std::net::ToSocketAddrs;

        let resolved = |address: Address<'_>| address.to_socket_addrs().map(Vec::from_iter);
        let socket: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(resolved(ip("127.0.0.1:80")).unwrap(), [socket]);
        assert_eq!(resolved(name(b"127.0.0.1", 80)).unwrap(), [socket]);
        let owned = AddressBuf::from(ip("127.0.0.1:80"));
        assert_eq!(owned.to_socket_addrs().unwrap().collect::<Vec<_>>(), [socket]);
        for raw in [&b"localhost\0x"[..], b"localhost\n", b"\xff"] {
            let error = resolved(name(raw, 80)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            assert_eq!(inner, Some(&InvalidValue::DomainText));
        }
        let local = resolved(name(b"localhost", 80)).unwrap();
        assert!(!local.is_empty());
        assert!(local.iter().all(|to| to.ip().is_loopback() && to.port() == 80));
        // A label has at most 63 bytes, so this fails without a query.
        let error = resolved(name(&[b'a'; 64], 80)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
        assert_eq!(ReplyCode::from(error), ReplyCode::HOST_UNREACHABLE);
    }

    #[test]
    fn reply_code_of_owned_error_equals_borrowed() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(ReplyCode::from(refused()), ReplyCode::from(&refused()));
    }

    /// A chained proxy forwards the reply code of the next one, named or not. Other failures get their own code.
    #[test]
    fn reply_code_of_chained_refusal_is_kept() {
        for byte in 1..=0xff {
            let code = ReplyCode::new(byte);
            assert_eq!(ReplyCode::from(&io::Error::from(Error::Refused(code))), code);
        }
        // No machine reports this, but callers can build it. An error never becomes success.
        let refused = Error::Refused(ReplyCode::SUCCEEDED);
        assert_eq!(
            ReplyCode::from(&io::Error::from(refused)),
            ReplyCode::GENERAL_FAILURE
        );
        for (error, code) in [
            (Error::NoAcceptableMethod, ReplyCode::NOT_ALLOWED),
            (authentication_rejected(1), ReplyCode::NOT_ALLOWED),
            (Error::Malformed(Malformed::NoMethods), ReplyCode::GENERAL_FAILURE),
            (unexpected_eof(), ReplyCode::GENERAL_FAILURE),
            (Error::Abandoned, ReplyCode::GENERAL_FAILURE),
        ] {
            assert_eq!(ReplyCode::from(&io::Error::from(error)), code, "{error:?}");
        }
    }

    #[test]
    fn io_error_kind_follows_the_table() {
        use io::ErrorKind as Kind;

        let unoffered = PeerMisbehaved::MethodNotOffered(Method::GSSAPI);
        for (error, kind) in [
            (Error::Malformed(Malformed::NoMethods), Kind::InvalidData),
            (Error::PeerMisbehaved(unoffered), Kind::InvalidData),
            (Error::NoAcceptableMethod, Kind::PermissionDenied),
            (authentication_rejected(1), Kind::PermissionDenied),
            (Error::Refused(ReplyCode::GENERAL_FAILURE), Kind::Other),
            (Error::Refused(ReplyCode::NOT_ALLOWED), Kind::PermissionDenied),
            (
                Error::Refused(ReplyCode::NETWORK_UNREACHABLE),
                Kind::NetworkUnreachable,
            ),
            (Error::Refused(ReplyCode::HOST_UNREACHABLE), Kind::HostUnreachable),
            (
                Error::Refused(ReplyCode::CONNECTION_REFUSED),
                Kind::ConnectionRefused,
            ),
            (Error::Refused(ReplyCode::TTL_EXPIRED), Kind::TimedOut),
            (
                Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED),
                Kind::Unsupported,
            ),
            (
                Error::Refused(ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED),
                Kind::Unsupported,
            ),
            (Error::Refused(ReplyCode::new(9)), Kind::Other),
            (Error::Refused(ReplyCode::ONION_ADDRESS_INVALID), Kind::Other),
            (
                Error::Socks4Refused(sans_socks::socks4::ReplyCode::IDENTD_MISMATCH),
                Kind::PermissionDenied,
            ),
            (
                Error::Socks4Refused(sans_socks::socks4::ReplyCode::REJECTED),
                Kind::Other,
            ),
            (unexpected_eof(), Kind::UnexpectedEof),
            (Error::Abandoned, Kind::ConnectionAborted),
        ] {
            let io = io::Error::from(error);
            assert_eq!(io.kind(), kind, "{error:?}");
            let inner = io.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            assert_eq!(inner, Some(&error));
            assert_eq!(io.to_string(), error.to_string());
        }
    }
}
