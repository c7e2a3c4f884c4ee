//! The client machine that `Handshake::socks4` creates.

use sans_socks::client::{Handshake, Output};
use sans_socks::socks4::{ReplyCode as Code, UserId};
use sans_socks::{Address, Command, Domain, Error, ErrorKind, InvalidValue, Phase, ReplyCode, Request};

use sans_socks_testing::driver::exchange::Exchange;
use sans_socks_testing::driver::{Client, Due, address, unhex};
use sans_socks_testing::faults::wrong_version;

fn user(user_id: &[u8]) -> UserId<'_> {
    UserId::new(user_id).unwrap()
}

fn connecting(name: impl Into<String>) -> Exchange<'static> {
    let client = Client::socks4(Command::CONNECT, address("a:80"), UserId::EMPTY);
    Exchange::client(name, client, "04 01 0050 00000001 00 61 00")
}

fn binding(name: impl Into<String>) -> Exchange<'static> {
    let client = Client::socks4(Command::BIND, address("192.0.2.9:20"), user(b"u"));
    Exchange::client(name, client, "04 02 0014 c0000209 75 00")
}

fn connected(text: &str) -> Due {
    Due::Connected(ReplyCode::SUCCEEDED, address(text).into())
}

/// every command, form of host
/// and user id is requested, and granted by a reply of either VN.
#[test]
fn client_is_granted_every_form_of_request() {
    let long = [b'u'; 255];
    let name = [b'a'; 255];
    let longest = Address::from((Domain::new(&name).unwrap(), 0xffff));
    let hosts = [
        (address("127.0.0.1:8080"), "1f90 7f000001", String::new()),
        (address("0.0.0.0:0"), "0000 00000000", String::new()),
        (
            address("app.test:8080"),
            "1f90 00000001",
            "6170702e74657374 00".into(),
        ),
        (longest, "ffff 00000001", format!("{} 00", hex::encode(name))),
    ];
    for command in [1, 2, 0xf0, 0xf1, 0, 9].map(Command::new) {
        for (target, place, name) in &hosts {
            for user_id in [&b""[..], b"alice", &long] {
                for vn in ["00", "04"] {
                    let request = format!("04 {command:02x} {place} {} 00 {name}", hex::encode(user_id));
                    let client = Client::socks4(command, *target, user(user_id));
                    let what = format!("{command:?} {target}, {} bytes, VN {vn}", user_id.len());
                    let exchange = Exchange::client(what, client, &request).step(
                        Phase::Reply,
                        &format!("{vn} 5a 8307 7f000001"),
                        "",
                    );
                    if command == Command::BIND {
                        exchange
                            .step(Phase::SecondReply, &format!("{vn} 5a dfbe c0000209"), "")
                            .decides([Due::Bound(address("127.0.0.1:33543").into())])
                            .ends(&connected("192.0.2.9:57278"));
                    } else {
                        exchange.decides([]).ends(&connected("127.0.0.1:33543"));
                    }
                }
            }
        }
    }
}

/// every CD except `5A` is a failure. It is reported as soon as it is received, with its
/// value. Nothing after it is consumed, and the reply may end there.
#[test]
fn client_refusal_is_judged_at_cd() {
    for byte in (0..=0xff).filter(|byte| *byte != 0x5a) {
        let end = Due::Closed(Error::Socks4Refused(Code::new(byte)));
        for vn in ["00", "04"] {
            let refusal = format!("{vn} {byte:02x}");
            for after in ["", "00", "0000 00000000"] {
                let is_named = matches!(byte, 0 | 0x5b..=0x5d | 0xff);
                if !is_named && (vn == "04" || after.len() < 4) {
                    continue;
                }
                connecting(format!("refused with {refusal}, {after}"))
                    .step(Phase::Reply, &refusal, "")
                    .leaves(after)
                    .value(byte)
                    .ends(&end);
                binding(format!("peer refused with {refusal}, {after}"))
                    .step(Phase::Reply, "00 5a 8307 7f000001", "")
                    .step(Phase::SecondReply, &refusal, "")
                    .leaves(after)
                    .decides([Due::Bound(address("127.0.0.1:33543").into())])
                    .value(byte)
                    .ends(&end);
            }
        }
    }
}

/// a reply has eight bytes, even if what follows its beginning looks like a whole reply, too.
#[test]
fn client_consumes_one_reply_however_it_is_split() {
    // The last six bytes and two of the tunnel are such a reply.
    let input = unhex("00 5a 005a 7f000001 7475");
    for split in 1..8 {
        let request = Request::connect(address("192.0.2.9:20"));
        let mut handshake = Handshake::socks4(&request, UserId::EMPTY).unwrap();
        if let Output::Transmit(transmit) = handshake.poll_output() {
            transmit.sent_all();
        }
        let (first, rest) = input.split_at(split);
        assert_eq!(handshake.handle_input(first), split);
        assert_eq!(handshake.handle_input(rest), 8 - split, "after {split} bytes");
        match handshake.poll_output() {
            Output::Established(reply) => assert_eq!(reply.address, address("127.0.0.1:90")),
            other => panic!("{other:?}"),
        }
    }
}

/// any VN except 00 and 04 closes, and is not consumed.
#[test]
fn client_closes_on_other_versions() {
    for version in (1..=0xff).filter(|version| *version != 4) {
        let end = Due::Closed(wrong_version(0, version).into());
        // The second one would be a success in version 5.
        for rest in ["5a 0000 00000000", "00 0001 00000000 0000"] {
            let wrong = format!("{version:02x} {rest}");
            connecting(wrong.as_str())
                .step(Phase::Reply, "", "")
                .leaves(&wrong)
                .value(version)
                .ends(&end);
            binding(format!("{wrong} in the second reply"))
                .step(Phase::Reply, "00 5a 8307 7f000001", "")
                .step(Phase::SecondReply, "", "")
                .leaves(&wrong)
                .value(version)
                .ends(&end);
        }
    }
}

/// the address has a meaning only for BIND, where zeros mean the proxy.
#[test]
fn client_replaces_zeros_by_the_proxy() {
    for reply in ["00 5a 0000 00000000", "00 5a 1f90 00000000"] {
        connecting(reply)
            .step(Phase::Reply, reply, "")
            .ends(&connected(if reply.contains("1f90") {
                "0.0.0.0:8080"
            } else {
                "0.0.0.0:0"
            }));
    }
    let proxy = [192, 0, 2, 1].into();
    assert_eq!(address("0.0.0.0:8080").or_host(proxy), address("192.0.2.1:8080"));
}

/// a request without an encoding is refused at construction.
#[test]
fn client_cannot_request_what_has_no_encoding() {
    let error = |command, target| {
        let request = Request::new(command, target);
        Handshake::socks4(&request, UserId::EMPTY).unwrap_err()
    };
    for target in ["[::1]:80", "[::ffff:127.0.0.1]:80", "0.0.0.1:80", "0.0.0.255:80"] {
        assert_eq!(
            error(Command::CONNECT, address(target)),
            InvalidValue::Socks4Address,
            "{target}"
        );
    }
    let name = Address::from((Domain::new("a\0b").unwrap(), 80));
    assert_eq!(error(Command::CONNECT, name), InvalidValue::Socks4Address);
    assert_eq!(
        error(Command::UDP_ASSOCIATE, address("a:80")),
        InvalidValue::Socks4Command
    );
    assert_eq!(
        InvalidValue::Socks4Command.to_string(),
        "command does not exist in SOCKS4"
    );
}

/// the code has its meaning as a reply code of version 5 and as a `std::io::ErrorKind`.
#[test]
fn refusal_keeps_its_meaning() {
    for byte in 0..=0xff {
        let code = Code::new(byte);
        let error = Error::Socks4Refused(code);
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.to_string(), format!("refused: {code}"));
        assert_eq!(error.reply_code(), Some(code.into()));
        #[cfg(feature = "std")]
        {
            let identd = matches!(byte, 0x5c | 0x5d);
            let kind = match identd {
                true => std::io::ErrorKind::PermissionDenied,
                false => std::io::ErrorKind::Other,
            };
            let error = std::io::Error::from(error);
            assert_eq!(error.kind(), kind);
            let chained = match identd {
                true => ReplyCode::NOT_ALLOWED,
                false => ReplyCode::GENERAL_FAILURE,
            };
            assert_eq!(ReplyCode::from(error), chained);
        }
    }
}

/// The phases are those of version 5, from the request on. No method is selected.
#[test]
fn phases_begin_with_the_request() {
    use sans_socks::client::Output;

    let request = Request::new(Command::BIND, address("192.0.2.9:20"));
    let mut handshake = Handshake::socks4(&request, UserId::EMPTY).unwrap();
    assert_eq!(handshake.phase(), Phase::Request);
    let Output::Transmit(transmit) = handshake.poll_output() else {
        panic!("{handshake:?}");
    };
    transmit.sent_all();
    assert_eq!(handshake.phase(), Phase::Reply);
    assert_eq!(handshake.handle_input(b"\0\x5a\0\0\0\0\0\0"), 8);
    assert_eq!(
        (handshake.phase(), handshake.method()),
        (Phase::SecondReply, None)
    );
}
