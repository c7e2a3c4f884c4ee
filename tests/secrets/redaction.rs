//! No printable value shows a user name, a password or a user id.

use core::cell::RefCell;
use core::fmt::{Debug, Display};
use std::collections::HashSet;
use std::sync::LazyLock;

use sans_socks::client::{self, Auth};
use sans_socks::message::Encode;
use sans_socks::server;
use sans_socks::socks4::{self, UserId};
use sans_socks::{Address, Command, Credentials, CredentialsBuf, Error, Machine, Method, Request};
use sans_socks_testing::session::{Fault, PASSWORD, Seen, Session, USERNAME, every_session};

/// Four successive bytes of a secret in each printed form: as text, as hex, or as a list of numbers.
static LEAKS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let list = |part: &[u8], number: fn(&u8) -> String| {
        let numbers: Vec<String> = part.iter().map(number).collect();
        numbers.join(" ")
    };
    let secrets = [USERNAME.as_bytes(), PASSWORD.as_bytes()];
    let parts = secrets.iter().flat_map(|secret| secret.windows(4));
    let leaks = parts.flat_map(|part| {
        [
            part.escape_ascii().to_string().to_ascii_lowercase(),
            hex::encode(part),
            list(part, |byte| format!("{byte}")),
            list(part, |byte| format!("{byte:x}")),
            list(part, |byte| format!("{byte:#x}")),
        ]
    });
    leaks.collect()
});

fn leaks(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let text = words.join(" ");
    LEAKS.iter().any(|leak| text.contains(leak))
}

thread_local! {
    /// The texts without a leak. Most are printed many times, and searched only once.
    static CLEAN: RefCell<HashSet<String>> = RefCell::default();
}

#[track_caller]
fn look_at_text(text: String) {
    if !CLEAN.with_borrow(|clean| clean.contains(&text)) {
        assert!(!leaks(&text), "{text}");
        CLEAN.with_borrow_mut(|clean| clean.insert(text));
    }
}

#[track_caller]
fn look(value: &impl Debug) {
    look_at_text(format!("{value:?}"));
    look_at_text(format!("{value:#?}"));
    look_at_text(format!("{value:x?}"));
    look_at_text(format!("{value:#X?}"));
}

#[track_caller]
fn look_at_display(value: &impl Display) {
    look_at_text(format!("{value} {value:#} {value:<300}"));
}

#[track_caller]
fn look_at_error(error: Error) {
    look(&error);
    look_at_display(&error);
    look(&error.kind());
    #[cfg(feature = "std")]
    {
        let error = std::io::Error::from(error);
        look(&error);
        look_at_display(&error);
    }
}

/// The search finds a secret in every form of output.
#[test]
fn search_finds_a_secret_in_every_form() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "`Debug` reads the fields")]
    struct Leaky<'a> {
        username: &'a str,
        password: &'a [u8],
    }
    let text = Leaky {
        username: &USERNAME[3..9],
        password: b"",
    };
    let bytes = Leaky {
        username: "",
        password: &PASSWORD.as_bytes()[2..],
    };
    for leak in [
        format!("{text:?}"),
        format!("{text:#?}"),
        format!("{bytes:?}"),
        format!("{bytes:#?}"),
        format!("{bytes:x?}"),
        format!("{bytes:#04X?}"),
        hex::encode(PASSWORD),
        PASSWORD.as_bytes().escape_ascii().to_string(),
        String::from_utf8_lossy(&[b"\x01\x0c", PASSWORD.as_bytes()].concat()).into_owned(),
    ] {
        assert!(leaks(&leak), "{leak}");
    }
    assert!(!leaks("Credentials { username: 12 bytes, password: 12 bytes }"));
}

///
#[test]
fn values_and_messages_print_no_secret() {
    let credentials = Credentials::new(USERNAME, PASSWORD).unwrap();
    look(&credentials);
    look(&Credentials::new_allowing_empty(USERNAME, PASSWORD));
    look(&CredentialsBuf::from(credentials));
    look(&CredentialsBuf::new(USERNAME, PASSWORD));
    look(&CredentialsBuf::new_allowing_empty(USERNAME, PASSWORD));
    look(&Auth::password(credentials));
    look(&Auth::password_or_none(credentials));
    look(&Auth::new(
        &[Method::GSSAPI, Method::USERNAME_PASSWORD],
        Some(credentials),
    ));
    look(&Auth::new(&[Method::NO_ACCEPTABLE], Some(credentials)));

    let mut bytes = [0; 27];
    look(&credentials.encode_into(&mut bytes[..10]));
    assert_eq!(credentials.encode_into(&mut bytes), Ok(27));
    for end in 0..=bytes.len() {
        look(&Credentials::decode(&bytes[..end]));
        look(&Credentials::decode_allowing_empty(&bytes[..end]));
    }
    for start in 1..bytes.len() {
        let error = Credentials::decode(&bytes[start..]).unwrap_err();
        look(&error);
        look_at_display(&error);
    }

    // A user id of SOCKS4 may be a secret too.
    let user_id = UserId::new(PASSWORD).unwrap();
    look(&user_id);
    let request = socks4::Request::new(Command::CONNECT, Address::UNSPECIFIED, user_id).unwrap();
    look(&request);
    let mut bytes = [0; 21];
    look(&request.encode_into(&mut bytes[..20]));
    assert_eq!(request.encode_into(&mut bytes), Ok(21));
    for end in 0..=bytes.len() {
        look(&socks4::Request::decode(&bytes[..end]));
    }
    let error = UserId::new(&[PASSWORD, "\0"].concat()).unwrap_err();
    look(&error);
    look_at_display(&error);

    let long = PASSWORD.repeat(30);
    for error in [
        Credentials::new(&long, PASSWORD).unwrap_err(),
        Credentials::new(USERNAME, &long).unwrap_err(),
        Credentials::new("", PASSWORD).unwrap_err(),
        CredentialsBuf::new(USERNAME, &long).unwrap_err(),
        CredentialsBuf::new_allowing_empty(&long, PASSWORD).unwrap_err(),
    ] {
        look(&error);
        look_at_display(&error);
    }
}

/// The variants that were printed, to check that none is missing.
type Looked = HashSet<(&'static str, String)>;

fn name(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].into()
}

fn look_at_server(handshake: &mut server::Handshake, looked: &mut Looked) {
    look(handshake);
    looked.insert(("server phase", name(&handshake.phase())));
    look(&handshake.method());
    look(&handshake.offered());
    look(&handshake.request());
    look(&handshake.poll_io());
    look(&handshake.poll_decision());
    let output = handshake.poll_output();
    look(&output);
    looked.insert(("server output", name(&output)));
    match output {
        server::Output::Transmit(transmit) => look(&transmit),
        server::Output::NeedInput { .. } => {}
        server::Output::SelectMethod(select) => {
            look(&select.offered());
            look(&select);
        }
        server::Output::Authenticate(authenticate) => {
            look(&authenticate.credentials());
            look(&authenticate);
        }
        server::Output::Negotiate(negotiate) => look(&negotiate),
        server::Output::PendingRequest(pending) => {
            look(&pending.request());
            look(&pending.user_id());
            look(&pending);
        }
        server::Output::PendingPeer(pending) => look(&pending),
        server::Output::Established(established) => look(&established),
        server::Output::Closed(error) => {
            look_at_error(error);
            looked.insert(("server error", name(&error)));
        }
    }
}

fn look_at_client(handshake: &mut client::Handshake, looked: &mut Looked) {
    look(handshake);
    looked.insert(("client phase", name(&handshake.phase())));
    look(&handshake.method());
    look(&handshake.poll_io());
    look(&handshake.poll_decision());
    let output = handshake.poll_output();
    look(&output);
    looked.insert(("client output", name(&output)));
    match output {
        client::Output::Transmit(transmit) => look(&transmit),
        client::Output::NeedInput { .. } => {}
        client::Output::Negotiate(negotiate) => look(&negotiate),
        client::Output::Bound(bound) => {
            look(&bound.address());
            look(&bound);
        }
        client::Output::Established(reply) => look(&reply),
        client::Output::Closed(error) => {
            look_at_error(error);
            looked.insert(("client error", name(&error)));
        }
    }
}

/// both machines after every step of every session, byte by byte too, and with connections that end early
/// or carry a secret in the wrong place.
#[test]
fn machines_print_no_secret_in_any_phase() {
    let mut looked = Looked::new();
    every_session(|session| {
        // The form of the address makes no difference.
        if session.request.address.to_socket_addr().is_some() {
            return;
        }
        let mut look_at = |session: Session<'_>| {
            session.run(|seen| match seen {
                Seen::Client(handshake) => look_at_client(handshake, &mut looked),
                Seen::Server(handshake) => look_at_server(handshake, &mut looked),
            });
        };
        for chunk in [1, 7, usize::MAX] {
            look_at(Session { chunk, ..session });
        }
        for turn in 1..16 {
            for fault in [Fault::Eof, Fault::Garbage] {
                let fault = Some((turn, fault));
                look_at(Session { fault, ..session });
            }
        }
    });
    // In no session does the server select a method that was not offered.
    let request = Request::connect(Address::try_from("example.com:80").unwrap());
    let credentials = Credentials::new(USERNAME, PASSWORD).unwrap();
    let mut handshake = client::Handshake::new(&request, Auth::password(credentials));
    let client::Output::Transmit(transmit) = handshake.poll_output() else {
        panic!("the greeting is sent first");
    };
    transmit.sent_all();
    assert_eq!(handshake.handle_input(&[5, 0x80]), 2);
    look_at_client(&mut handshake, &mut looked);
    // Nor does it refuse with a code of version 4.
    let mut handshake = server::Handshake::with_config(server::Config::new().with_socks4(true));
    let user_id = UserId::new(PASSWORD).unwrap();
    let request = socks4::Request::new(Command::CONNECT, Address::UNSPECIFIED, user_id).unwrap();
    let mut bytes = [0; 21];
    assert_eq!(request.encode_into(&mut bytes), Ok(21));
    assert_eq!(handshake.handle_input(&bytes), 21);
    look_at_server(&mut handshake, &mut looked);
    let server::Output::PendingRequest(pending) = handshake.poll_output() else {
        panic!("the request is whole");
    };
    pending.reject_socks4(socks4::ReplyCode::IDENTD_MISMATCH);
    look_at_server(&mut handshake, &mut looked);
    let server::Output::Transmit(transmit) = handshake.poll_output() else {
        panic!("the refusal is sent first");
    };
    transmit.sent_all();
    look_at_server(&mut handshake, &mut looked);

    let of = |kind| {
        let names = looked.iter().filter(|(looked, _)| *looked == kind);
        let mut names: Vec<&str> = names.map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(
        of("server phase"),
        "Authentication Closed Established Greeting MethodSelection Negotiation Reply Request SecondReply"
    );
    assert_eq!(
        of("client phase"),
        "Authentication Closed Established Greeting MethodSelection Negotiation Reply Request SecondReply"
    );
    assert_eq!(
        of("server output"),
        "Authenticate Closed Established NeedInput Negotiate PendingPeer PendingRequest SelectMethod Transmit"
    );
    assert_eq!(
        of("client output"),
        "Bound Closed Established NeedInput Negotiate Transmit"
    );
    assert_eq!(
        of("server error"),
        "Abandoned AuthenticationRejected Malformed NoAcceptableMethod Refused Socks4Refused UnexpectedEof"
    );
    assert_eq!(
        of("client error"),
        "Abandoned AuthenticationRejected Malformed NoAcceptableMethod PeerMisbehaved Refused Socks4Refused UnexpectedEof"
    );
}
