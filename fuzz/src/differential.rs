//! The same octets to this crate and to `tor-socksproto` 0.47.0: both must take the same, say the same and come to
//! the same request or reply, but for what is listed here.
//!
//! Where it is a server:
//! - S1: SOCKS4 is spoken too.
//! - S2: no common method, an unknown ATYP and an empty list of methods are errors with nothing to send.
//! - S3: commands other than CONNECT, RESOLVE and RESOLVE_PTR are errors.
//! - S4: CONNECT to port 0 is an error.
//! - S5: a name that is not UTF-8 or has a NUL is an error, seen before the port has come.
//! - S6: an empty name is one.
//! - S7: empty credentials are taken (here by configuration), and none can be rejected.
//! - S8: a reply without an address has the request's family; with one, the request's port.
//!
//! Where it is a client:
//! - C1: a refusal is read to its end: REP without the rest waits, with an unknown ATYP it is an error.
//! - C2: a name in a reply is as in S5 and S6.
//! - C3: an RFC 1929 status with VER 05 is an error (here by configuration).
//! - C4: with credentials, no authentication is always offered as well (here the same is asked for).

use std::net::IpAddr;

use sans_socks::message::Encode;
use sans_socks::{
    Address, AddressBuf, Command, Credentials, Domain, Error, Host, Malformed, Method, Reply, ReplyCode,
    Request, client, server,
};
use sans_socks_fuzz::octets::Octets;
use tor_socksproto::{
    Buffer, Handshake, NextStep, SocksAddr, SocksAuth, SocksClientHandshake, SocksCmd, SocksHostname,
    SocksProxyHandshake, SocksReply, SocksRequest, SocksStatus, SocksVersion,
};

const PASSWORD_OR_NONE: [Method; 2] = [Method::USERNAME_PASSWORD, Method::NO_AUTHENTICATION];

pub fn differential(input: &[u8]) {
    let mut input = Octets(input);
    match input.octet() & 1 {
        0 => as_servers(input.0),
        _ => as_clients(input),
    }
}

/// How a handshake went over some input that then stops.
struct Run<T, E> {
    sent: Vec<u8>,
    unread: Vec<u8>,
    /// `None`: it waits for more.
    end: Option<Result<T, E>>,
}

fn theirs<H: Handshake>(mut handshake: H, octets: &[u8]) -> Run<H::Output, tor_socksproto::Error> {
    // Room for all input, and for any message that it may end in the middle of.
    let mut buffer = <Buffer>::with_size(octets.len() + Credentials::MAX_LEN);
    let (mut sent, mut given) = (Vec::new(), false);
    loop {
        match handshake.step(&mut buffer) {
            Ok(NextStep::Send(octets)) => sent.extend(octets),
            Ok(NextStep::Recv(mut recv)) if !given && !octets.is_empty() => {
                recv.buf()[..octets.len()].copy_from_slice(octets);
                recv.note_received(octets.len()).expect("not the end");
                given = true;
            }
            Ok(NextStep::Recv(_)) => {
                let (unread, end) = (Vec::new(), None);
                return Run { sent, unread, end };
            }
            Ok(NextStep::Finished(finished)) => {
                let (output, unread) = finished.into_output_and_slice();
                let (unread, end) = (unread.to_vec(), Some(Ok(output)));
                return Run { sent, unread, end };
            }
            Err(error) => {
                let (unread, end) = (Vec::new(), Some(Err(error)));
                return Run { sent, unread, end };
            }
        }
    }
}

/// What a request comes to.
struct Asked {
    command: Command,
    address: AddressBuf,
    credentials: Option<(Vec<u8>, Vec<u8>)>,
}

fn our_server(octets: &[u8]) -> Run<Asked, Error> {
    use server::Output;

    let config = server::Config::new()
        .with_empty_credentials(true)
        .with_control_bytes(true);
    let mut handshake = server::Handshake::with_config(config);
    let (mut sent, mut rest, mut credentials) = (Vec::new(), octets, None);
    let end = loop {
        match handshake.poll_output() {
            Output::Transmit(transmit) => {
                sent.extend_from_slice(transmit.as_bytes());
                transmit.sent_all();
            }
            Output::NeedInput { .. } if rest.is_empty() => break None,
            Output::NeedInput { .. } => rest = &rest[handshake.handle_input(rest)..],
            Output::SelectMethod(select) => {
                select.select_preferred(&PASSWORD_OR_NONE);
            }
            Output::Authenticate(authenticate) => {
                let given = authenticate.credentials();
                credentials = Some((given.username().to_vec(), given.password().to_vec()));
                authenticate.accept();
            }
            Output::PendingRequest(pending) => {
                let Request { command, address } = pending.request();
                break Some(Ok(Asked {
                    command,
                    address: address.into(),
                    credentials,
                }));
            }
            Output::Closed(error) => break Some(Err(error)),
            other => panic!("{other:?}"),
        }
    };
    let unread = rest.to_vec();
    Run { sent, unread, end }
}

fn as_servers(octets: &[u8]) {
    if octets.first() == Some(&4) {
        return; // S1
    }
    let (ours, theirs) = (our_server(octets), theirs(SocksProxyHandshake::new(), octets));
    let refusal = match &ours.end {
        Some(Ok(asked)) => {
            let strange = !known_name(asked.address.as_address().host); // S5
            let foreign =
                ![Command::CONNECT, Command::RESOLVE, Command::RESOLVE_PTR].contains(&asked.command); // S3
            let portless = asked.command == Command::CONNECT && asked.address.as_address().port == 0; // S4
            match &theirs.end {
                Some(Ok(request)) => {
                    assert!(!(strange || foreign || portless));
                    assert_eq!(theirs.unread, ours.unread);
                    same_request(asked, request);
                }
                other => assert!(
                    matches!(other, Some(Err(_))) && (strange || foreign || portless),
                    "{other:?}"
                ),
            }
            &[][..]
        }
        Some(Err(Error::Malformed(Malformed::EmptyDomain))) => {
            // S6
            match &theirs.end {
                Some(Ok(request)) => assert_eq!(request.addr().to_string(), ""),
                Some(Err(error)) => drop(format!("{error:?}")), // S3, S4
                None => assert!(ours.unread.len() < 2, "the port is missing"),
            }
            &[5, 1, 0, 1, 0, 0, 0, 0, 0, 0]
        }
        Some(Err(error)) => {
            assert!(matches!(theirs.end, Some(Err(_))), "{error:?}, and not for them");
            match error {
                Error::NoAcceptableMethod | Error::Malformed(Malformed::NoMethods) => &[5, 0xff][..],
                Error::Malformed(Malformed::AddressType(_)) => &[5, 8, 0, 1, 0, 0, 0, 0, 0, 0],
                Error::Malformed(Malformed::Version { .. }) => &[],
                other => panic!("{other:?}"),
            }
        }
        None => {
            match &theirs.end {
                None => {}
                Some(Err(_)) => assert!(ends_in_strange_name(octets), "an error already"), // S5
                Some(Ok(request)) => panic!("{request:?} already"),
            }
            &[]
        }
    };
    assert_eq!(ours.sent, [&theirs.sent, refusal].concat()); // S2
}

/// Whether they take it, too.
fn known_name(host: Host<'_>) -> bool {
    match host {
        Host::Domain(name) => name.to_str().is_ok_and(|name| !name.contains('\0')),
        _ => true,
    }
}

/// Whether a name ends in the last octet, or the one before, that they do not take: the port is not whole.
fn ends_in_strange_name(octets: &[u8]) -> bool {
    let names = [0, 1].into_iter().flat_map(|port| {
        let upto = octets.len().saturating_sub(port);
        (1..=upto).filter_map(move |start| {
            let name = &octets[start..upto];
            (usize::from(octets[start - 1]) == name.len()).then_some(name)
        })
    });
    names
        .filter_map(|name| Domain::new(name).ok())
        .any(|name| !known_name(name.into()))
}

fn same_request(ours: &Asked, theirs: &SocksRequest) {
    let Address { host, port } = ours.address.as_address();
    assert_eq!(u8::from(theirs.command()), ours.command.get());
    assert_eq!(theirs.port(), port);
    assert!(same_host(host, theirs.addr()));
    let credentials = match theirs.auth() {
        SocksAuth::NoAuth => None,
        SocksAuth::Username(username, password) => Some((username.clone(), password.clone())),
        other => panic!("{other:?}"),
    };
    assert_eq!(credentials, ours.credentials); // S7

    // S8
    let reply = |code: ReplyCode, address| {
        let mut octets = vec![0; Reply::MAX_LEN];
        let len = Reply::new(code, address).encode_into(&mut octets).expect("room");
        octets.truncate(len);
        octets
    };
    for (status, code) in [
        (SocksStatus::SUCCEEDED, ReplyCode::SUCCEEDED),
        (SocksStatus::HS_BAD_ADDRESS, ReplyCode::ONION_ADDRESS_INVALID),
    ] {
        let with = theirs.reply(status, Some(theirs.addr())).expect("a reply");
        assert_eq!(reply(code, Address { host, port }), with);
        let nowhere = match host {
            Host::Ipv6(_) => Address::from((IpAddr::from([0; 16]), 0)),
            _ => Address::UNSPECIFIED,
        };
        assert_eq!(reply(code, nowhere), theirs.reply(status, None).expect("a reply"));
    }
}

fn same_host(ours: Host<'_>, theirs: &SocksAddr) -> bool {
    match (ours, theirs) {
        (Host::Domain(ours), SocksAddr::Hostname(theirs)) => ours.as_bytes() == theirs.as_ref().as_bytes(),
        (ours, SocksAddr::Ip(theirs)) => ours == Host::from(*theirs),
        _ => false,
    }
}

fn our_client(
    request: &Request<'_>,
    auth: client::Auth<'_>,
    octets: &[u8],
) -> Run<(ReplyCode, AddressBuf), Error> {
    use client::Output;

    let config = client::Config::new().with_strict_status_version(true); // C3
    let mut handshake = client::Handshake::with_config(request, auth, config);
    let (mut sent, mut rest) = (Vec::new(), octets);
    let end = loop {
        match handshake.poll_output() {
            Output::Transmit(transmit) => {
                sent.extend_from_slice(transmit.as_bytes());
                transmit.sent_all();
            }
            Output::NeedInput { .. } if rest.is_empty() => break None,
            Output::NeedInput { .. } => rest = &rest[handshake.handle_input(rest)..],
            Output::Established(reply) => break Some(Ok((reply.code, reply.address.into()))),
            Output::Closed(error) => break Some(Err(error)),
            other => panic!("{other:?}"),
        }
    };
    let unread = rest.to_vec();
    Run { sent, unread, end }
}

fn as_clients(mut input: Octets<'_>) {
    let (command, cmd) = input.choose([
        (Command::CONNECT, SocksCmd::CONNECT),
        (Command::RESOLVE, SocksCmd::RESOLVE),
        (Command::RESOLVE_PTR, SocksCmd::RESOLVE_PTR),
    ]);
    let mut address = input.address();
    address.port = address.port.max(1); // S4
    let addr = match address.host {
        Host::Ipv4(ip) => SocksAddr::Ip(ip.into()),
        Host::Ipv6(ip) => SocksAddr::Ip(ip.into()),
        Host::Domain(name) => match name
            .to_str()
            .map(|name| SocksHostname::try_from(name.to_string()))
        {
            Ok(Ok(name)) => SocksAddr::Hostname(name),
            _ => return, // S5
        },
    };
    let lens = (input.octet(), input.octet());
    let fields = (vec![b'u'; lens.0.into()], vec![b'p'; lens.1.into()]);
    let credentials = Credentials::new_allowing_empty(&fields.0, &fields.1).expect("255 octets at most");
    let (auth, their_auth) = match input.octet() & 1 {
        0 => (client::Auth::none(), SocksAuth::NoAuth),
        _ => (
            client::Auth::new(&PASSWORD_OR_NONE, Some(credentials)).expect("an offer"), // C4
            SocksAuth::Username(fields.0.clone(), fields.1.clone()),
        ),
    };
    let request =
        SocksRequest::new(SocksVersion::V5, cmd, addr, address.port, their_auth).expect("a request");

    let ours = our_client(&Request::new(command, address), auth, input.0);
    let theirs = theirs(SocksClientHandshake::new(request), input.0);
    assert_eq!(ours.sent, theirs.sent);
    match (&ours.end, &theirs.end) {
        (None, None) => assert!(ours.unread.is_empty()),
        (None, Some(Err(_))) => assert!(ends_in_strange_name(input.0), "an error already"), // C2
        (Some(Ok((_, address))), Some(Err(_))) => assert!(!known_name(address.as_address().host)), // C2
        (Some(Ok((code, address))), Some(Ok(reply))) => {
            assert_eq!(ours.unread, theirs.unread);
            same_reply(*code, address.as_address(), reply);
        }
        // C1
        (Some(Err(Error::Refused(code))), Some(Ok(reply))) => {
            assert_eq!(u8::from(reply.status()), code.get())
        }
        (Some(Err(Error::Refused(_))), None | Some(Err(_))) | (Some(Err(_)), Some(Err(_))) => {}
        (ours, theirs) => panic!("{:?} and {theirs:?}", ours.as_ref().map(Result::is_ok)),
    }
}

fn same_reply(code: ReplyCode, address: Address<'_>, theirs: &SocksReply) {
    assert_eq!(u8::from(theirs.status()), code.get());
    assert_eq!(theirs.port(), address.port);
    match theirs.addr() {
        SocksAddr::Hostname(name) if name.as_ref().is_empty() => {
            assert_eq!(address.host, Address::UNSPECIFIED.host); // C2
        }
        theirs => assert!(same_host(address.host, theirs)),
    }
}
