//! Simulated sessions: every byte has a field with a name, and the bytes are right.

use sans_socks::{Command, ReplyCode};
use sans_socks_transcript::Event;
use sans_socks_transcript::annotate::Message;
use sans_socks_transcript::session::{Auth, Outcome, Session};

fn password(username: &str, password: &str) -> Auth {
    Auth::Password {
        username: username.into(),
        password: password.into(),
    }
}

fn run(command: Command, target: &str, auth: Auth, outcome: Outcome) -> Vec<Event> {
    let session = Session {
        command,
        target: target.parse().unwrap(),
        auth,
        outcome,
    };
    session.run().unwrap()
}

fn messages<'a>(events: &'a [Event]) -> Vec<&'a Message> {
    let message = |event: &'a Event| match event {
        Event::Message(message) => Some(message),
        Event::Note(_) => None,
    };
    events.iter().filter_map(message).collect()
}

fn hex(events: &[Event]) -> String {
    plain(
        &messages(events)
            .iter()
            .map(|message| message.hex())
            .collect::<String>(),
    )
}

/// Removes the colours.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn text(events: &[Event]) -> String {
    plain(&events.iter().map(ToString::to_string).collect::<String>())
}

fn socks4(user_id: &str) -> Auth {
    Auth::Socks4 {
        user_id: user_id.into(),
    }
}

#[test]
fn every_byte_is_annotated() {
    let long = format!("{}:65535", "n".repeat(255));
    let field = "x".repeat(255);
    let mut sessions = 0;
    for command in [Command::CONNECT, Command::BIND, Command::UDP_ASSOCIATE] {
        for target in ["example.com:80", "192.0.2.9:1", "[2001:db8::1]:443", &long] {
            for auth in [
                Auth::None,
                password("alice", "se:cret\u{fc}"),
                password(&field, &field),
                Auth::Gssapi,
            ] {
                let refused = Outcome::Refused(ReplyCode::new(0xa7));
                for outcome in [Outcome::Success, Outcome::Rejected, refused] {
                    let events = run(command, target, auth.clone(), outcome);
                    for message in messages(&events) {
                        let named: usize = message.fields.iter().map(|field| field.len).sum();
                        assert_eq!(named, message.bytes.len(), "{message}");
                        assert!(message.fields.iter().all(|field| !field.name.is_empty()));

                        // Reads the printed text back: the offsets have no gaps, and the bytes are the message's.
                        let text = plain(&message.to_string());
                        let mut printed = Vec::new();
                        for row in text.lines().skip(1) {
                            assert_eq!(row[..6].trim().parse(), Ok(printed.len()), "{text}");
                            printed.extend(
                                hex::decode(row.get(8..43).unwrap_or(&row[8..]).replace(' ', "")).unwrap(),
                            );
                        }
                        assert_eq!(printed, message.bytes, "{text}");
                        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
                    }
                    sessions += 1;
                }
            }
        }
    }
    assert_eq!(sessions, 3 * 4 * 4 * 3);
}

#[test]
fn connect_has_two_messages_each_way_and_a_tunnel() {
    let events = run(Command::CONNECT, "example.com:80", Auth::None, Outcome::Success);
    let expected = "\
        C -> S  05 01 00\n\
        S -> C  05 00\n\
        C -> S  05 01 00 03 0b 65 78 61 6d 70 6c 65 2e 63 6f 6d 00 50\n\
        S -> C  05 00 00 01 c0 00 02 01 c0 00\n\
        C -> S  47 45 54 20 2f 20 48 54 54 50 2f 31 2e 30 0d 0a 0d 0a\n\
        S -> C  48 54 54 50 2f 31 2e 30 20 32 30 30 20 4f 4b 0d 0a 0d 0a\n";
    assert_eq!(hex(&events), expected);
}

#[test]
fn socks4_requests_have_a_name_or_an_address() {
    let events = run(
        Command::CONNECT,
        "example.com:80",
        socks4("alice"),
        Outcome::Success,
    );
    let expected = "\
        C -> S  04 01 00 50 00 00 00 01 61 6c 69 63 65 00 65 78 61 6d 70 6c 65 2e 63 6f 6d 00\n\
        S -> C  00 5a c0 00 c0 00 02 01\n";
    assert!(hex(&events).starts_with(expected), "{}", hex(&events));
    let text = text(&events);
    for line in [
        "C -> S  request, 26 bytes                            SOCKS4, SOCKS4a",
        "     4  00 00 00 01                          DSTIP     0.0.0.x: a name follows, SOCKS4a",
        "     8  61 6c 69 63 65                       USERID    \"alice\"",
        "    14  65 78 61 6d 70 6c 65 2e 63 6f 6d     DOMAIN    \"example.com\"",
        "     1  5a                                   CD        request granted",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line}\n{text}");
    }

    let events = run(Command::BIND, "198.51.100.7:20", socks4(""), Outcome::Success);
    let expected = "\
        C -> S  04 02 00 14 c6 33 64 07 00\n\
        S -> C  00 5a 9c 40 c0 00 02 01\n\
        S -> C  00 5a 00 14 c6 33 64 07\n";
    assert!(hex(&events).starts_with(expected), "{}", hex(&events));

    let refused = Outcome::Refused(ReplyCode::CONNECTION_REFUSED);
    let events = run(Command::CONNECT, "192.0.2.9:80", socks4(""), refused);
    assert!(hex(&events).ends_with("S -> C  00 5b 00 00 00 00 00 00\n"));
}

#[test]
fn socks4_with_ipv6_is_an_error() {
    let session = Session {
        command: Command::CONNECT,
        target: "[2001:db8::1]:443".parse().unwrap(),
        auth: socks4(""),
        outcome: Outcome::Success,
    };
    assert!(session.run().is_err());
}

#[test]
fn bind_has_two_replies() {
    let alice = password("alice", "secret");
    let events = run(Command::BIND, "198.51.100.7:20", alice, Outcome::Success);
    let expected = "\
        C -> S  05 01 02\n\
        S -> C  05 02\n\
        C -> S  01 05 61 6c 69 63 65 06 73 65 63 72 65 74\n\
        S -> C  01 00\n\
        C -> S  05 02 00 01 c6 33 64 07 00 14\n\
        S -> C  05 00 00 01 c0 00 02 01 9c 40\n\
        S -> C  05 00 00 01 c6 33 64 07 00 14\n\
        S -> C  66 72 6f 6d 20 74 68 65 20 70 65 65 72 0a\n\
        C -> S  74 6f 20 74 68 65 20 70 65 65 72 0a\n";
    assert_eq!(hex(&events), expected);
}

/// the client sends 0.0.0.0:0.: datagrams, whole and in fragments.
#[test]
fn udp_associate_has_datagrams_and_fragments() {
    let events = run(
        Command::UDP_ASSOCIATE,
        "192.0.2.9:53",
        Auth::None,
        Outcome::Success,
    );
    let expected = "\
        C -> S  05 01 00\n\
        S -> C  05 00\n\
        C -> S  05 03 00 01 00 00 00 00 00 00\n\
        S -> C  05 00 00 01 c0 00 02 01 c3 50\n\
        C -> S  00 00 00 01 c0 00 02 09 00 35 61 20 71 75 65 73 74 69 6f 6e\n\
        C -> S  00 00 01 01 c0 00 02 09 00 35 61 20 71 75 65 73 74 69 6f 6e\n\
        C -> S  00 00 02 01 c0 00 02 09 00 35 20 69 6e 20 74 68 72 65 65 20\n\
        C -> S  00 00 83 01 c0 00 02 09 00 35 70 69 65 63 65 73\n\
        S -> C  00 00 00 01 c0 00 02 09 00 35 61 6e 20 61 6e 73 77 65 72\n";
    assert_eq!(hex(&events), expected);

    let text = text(&events);
    for line in [
        "C -> S  datagram, 16 bytes                           RFC 1928 section 7, UDP",
        "     2  02                                   FRAG      piece 2, more follow",
        "     2  83                                   FRAG      piece 3, the last",
        "    10  70 69 65 63 65 73                    DATA      \"pieces\"",
        "# The relay sends \"a question in three pieces\" to 192.0.2.9:53.",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line}\n{text}");
    }

    // The header of an answer has an address, even if the question had a name.
    let events = run(
        Command::UDP_ASSOCIATE,
        "example.com:53",
        Auth::None,
        Outcome::Success,
    );
    assert!(hex(&events).ends_with("S -> C  00 00 00 01 c6 33 64 07 00 35 61 6e 20 61 6e 73 77 65 72\n"));
}

///
#[test]
fn refusals_end_with_their_message() {
    let alice = password("alice", "wrong");
    let events = run(Command::CONNECT, "192.0.2.9:80", alice, Outcome::Rejected);
    assert!(hex(&events).ends_with("S -> C  01 01\n"));

    let events = run(Command::CONNECT, "192.0.2.9:80", Auth::None, Outcome::Rejected);
    assert_eq!(hex(&events), "C -> S  05 01 00\nS -> C  05 ff\n");

    let refused = Outcome::Refused(ReplyCode::CONNECTION_REFUSED);
    let events = run(Command::CONNECT, "192.0.2.9:80", Auth::None, refused);
    assert!(hex(&events).ends_with("S -> C  05 05 00 01 00 00 00 00 00 00\n"));
}

/// the frames of RFC 1961, and the messages of RFC 1928 in them.
#[test]
fn gssapi_frames_carry_the_messages() {
    let events = run(Command::CONNECT, "192.0.2.9:80", Auth::Gssapi, Outcome::Success);
    let expected = "\
        C -> S  05 01 01\n\
        S -> C  05 01\n\
        C -> S  01 01 00 0f 74 6f 79 3a 20 49 20 61 6d 20 61 6c 69 63 65\n\
        S -> C  01 01 00 13 74 6f 79 3a 20 49 20 61 6d 20 74 68 65 20 70 72 6f 78 79\n\
        C -> S  01 02 00 02 01 01\n\
        S -> C  01 02 00 02 01 01\n\
        C -> S  01 03 00 0b 05 01 00 01 c0 00 02 09 00 50 22\n\
        S -> C  01 03 00 0b 05 00 00 01 c0 00 02 01 c0 00 89\n\
        C -> S  01 03 00 13 47 45 54 20 2f 20 48 54 54 50 2f 31 2e 30 0d 0a 0d 0a 7b\n\
        S -> C  01 03 00 14 48 54 54 50 2f 31 2e 30 20 32 30 30 20 4f 4b 0d 0a 0d 0a 98\n";
    assert_eq!(hex(&events), expected);

    let text = text(&events);
    for line in [
        "C -> S  request, 15 bytes                            RFC 1928 section 4; RFC 1961 section 5",
        "     1  03                                   MTYP      encapsulated data",
        "     2  00 0b                                LEN       11 bytes follow",
        "     5  01                                   CMD       CONNECT",
        "    14  22                                   TOKEN     toy: the sum of the bytes in it",
        "     4  01                                   TOKEN     integrity",
        "# A toy replaces Kerberos on both sides. It proves nothing, and protects nothing.",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line}\n{text}");
    }

    // A datagram is one frame.
    let events = run(
        Command::UDP_ASSOCIATE,
        "192.0.2.9:53",
        Auth::Gssapi,
        Outcome::Success,
    );
    let last = "S -> C  01 03 00 14 00 00 00 01 c0 00 02 09 00 35 61 6e 20 61 6e 73 77 65 72 80\n";
    assert!(hex(&events).ends_with(last), "{}", hex(&events));

    let events = run(Command::CONNECT, "192.0.2.9:80", Auth::Gssapi, Outcome::Rejected);
    assert!(hex(&events).ends_with("61 6c 69 63 65\nS -> C  01 ff\n"));
}
