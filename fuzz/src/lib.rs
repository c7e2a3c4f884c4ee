//! Compares this crate with `tor-socksproto` 0.47.0. Both must consume and send the same bytes, and decode the same request or
//! reply, except for these known differences.
//!
//! Its server:
//! - S1: accepts a user id of any length, and reads a name of SOCKS4a to its end before it fails because of the length.
//! - S2: sends no refusal for a wrong version, for a greeting without methods or without a common one, for an unknown ATYP, and
//!   for a request of SOCKS4 that is malformed or has an unsupported command.
//! - S3: fails for commands other than CONNECT, RESOLVE and RESOLVE_PTR.
//! - S4: fails for CONNECT to port 0.
//! - S5: fails for a name that is not UTF-8 or has a NUL, before the port is received.
//! - S6: accepts an empty name.
//! - S7: accepts empty credentials (this crate is configured to do so, too), and cannot reject any.
//! - S8: in a reply without an address, uses the request's address family; in one with an address, uses the request's port.
//!
//! Its client:
//! - C1: reads a refusal to its end. It waits for the bytes after REP, and fails for an unknown ATYP.
//! - C2: treats a name in a reply as in S5 and S6.
//! - C3: fails for an RFC 1929 status with VER 05 (this crate is configured to do so, too).
//! - C4: with credentials, always offers no authentication as well (this crate is given the same offer).
//! - C5: in SOCKS4, sends an IPv6 address as a name, and an address 0.0.0.x as an address (neither is compared).
//! - C6: fails for a SOCKS4 reply with VN 04.

use std::net::{IpAddr, SocketAddrV4};

use arbitrary::Arbitrary;
use sans_socks::message::Encode;
use sans_socks::socks4::{self, UserId};
use sans_socks::{
    Address, AddressBuf, Command, Credentials, Domain, Error, Host, Malformed, Method, Reply, ReplyCode,
    Request, Version, client, server,
};
use sans_socks_fuzz_bodies::script::Target;
use tor_socksproto::{
    Buffer, Handshake, NextStep, SocksAddr, SocksAuth, SocksClientHandshake, SocksCmd, SocksHostname,
    SocksProxyHandshake, SocksReply, SocksRequest, SocksStatus, SocksVersion,
};

const PASSWORD_OR_NONE: [Method; 2] = [Method::USERNAME_PASSWORD, Method::NO_AUTHENTICATION];

#[derive(Arbitrary, Debug)]
pub enum Peer<'a> {
    /// Sends these bytes to the servers.
    Client(&'a [u8]),
    /// Sends these bytes to the clients.
    Server(Wishes, &'a [u8]),
    /// Sends these bytes to the clients, which speak version 4.
    Socks4Server(Socks4Wishes<'a>, &'a [u8]),
}

/// The requests of the clients.
#[derive(Arbitrary, Debug)]
pub struct Wishes {
    command: Resolvable,
    target: Target,
    username_len: u8,
    password_len: u8,
    authenticate: bool,
}

/// The same for version 4.
#[derive(Arbitrary, Debug)]
pub struct Socks4Wishes<'a> {
    command: Resolvable,
    target: Target,
    user_id: UserId<'a>,
}

/// The commands that both know.
#[derive(Arbitrary, Debug)]
pub enum Resolvable {
    Connect,
    Resolve,
    ResolvePtr,
}

impl Resolvable {
    fn both(&self) -> (Command, SocksCmd) {
        match self {
            Self::Connect => (Command::CONNECT, SocksCmd::CONNECT),
            Self::Resolve => (Command::RESOLVE, SocksCmd::RESOLVE),
            Self::ResolvePtr => (Command::RESOLVE_PTR, SocksCmd::RESOLVE_PTR),
        }
    }
}

pub fn differential(peer: Peer<'_>) {
    match peer {
        Peer::Client(bytes) => as_servers(bytes),
        Peer::Server(wishes, bytes) => as_clients(&wishes, bytes),
        Peer::Socks4Server(wishes, bytes) => as_socks4_clients(&wishes, bytes),
    }
}

/// The result of a handshake over some input.
struct Run<T, E> {
    sent: Vec<u8>,
    unread: Vec<u8>,
    /// `None` if it needs more input.
    end: Option<Result<T, E>>,
}

fn theirs<H: Handshake>(mut handshake: H, bytes: &[u8]) -> Run<H::Output, tor_socksproto::Error> {
    // Room for all input, and for the rest of any message that it may end in.
    let mut buffer = <Buffer>::with_size(bytes.len() + Credentials::MAX_LEN);
    let (mut sent, mut given) = (Vec::new(), false);
    loop {
        match handshake.step(&mut buffer) {
            Ok(NextStep::Send(bytes)) => sent.extend(bytes),
            Ok(NextStep::Recv(mut recv)) if !given && !bytes.is_empty() => {
                recv.buf()[..bytes.len()].copy_from_slice(bytes);
                recv.note_received(bytes.len()).expect("not the end");
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

/// A request, and who makes it.
struct Asked {
    version: Version,
    command: Command,
    address: AddressBuf,
    auth: SocksAuth,
}

fn our_server(bytes: &[u8]) -> Run<Asked, Error> {
    use server::Output;

    let config = server::Config::new()
        .with_empty_credentials(true)
        .with_control_bytes(true)
        .with_socks4(true);
    let mut handshake = server::Handshake::with_config(config);
    let (mut sent, mut rest, mut auth) = (Vec::new(), bytes, SocksAuth::NoAuth);
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
                auth = SocksAuth::Username(given.username().to_vec(), given.password().to_vec());
                authenticate.accept();
            }
            Output::PendingRequest(pending) => {
                let Request { command, address } = pending.request();
                if let Some(user_id @ [_, ..]) = pending.user_id().map(UserId::as_bytes) {
                    auth = SocksAuth::Socks4(user_id.to_vec());
                }
                break Some(Ok(Asked {
                    version: pending.version(),
                    command,
                    address: address.into(),
                    auth,
                }));
            }
            Output::Closed(error) => break Some(Err(error)),
            other => panic!("{other:?}"),
        }
    };
    let unread = rest.to_vec();
    Run { sent, unread, end }
}

const SOCKS4_REFUSAL: [u8; 8] = [0, 0x5b, 0, 0, 0, 0, 0, 0];

fn as_servers(bytes: &[u8]) {
    let (ours, theirs) = (our_server(bytes), theirs(SocksProxyHandshake::new(), bytes));
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
            let is_socks4 = bytes.first() == Some(&4);
            match &theirs.end {
                Some(Ok(request)) => assert_eq!(request.addr().to_string(), ""),
                Some(Err(error)) => drop(format!("{error:?}")), // S3, S4
                None => assert!(!is_socks4 && ours.unread.len() < 2, "the port is missing"),
            }
            match is_socks4 {
                true => &SOCKS4_REFUSAL[..],
                false => &[5, 1, 0, 1, 0, 0, 0, 0, 0, 0],
            }
        }
        Some(Err(Error::Malformed(Malformed::UserIdTooLong))) => &SOCKS4_REFUSAL, // S1
        Some(Err(Error::Malformed(Malformed::DomainTooLong))) => {
            assert!(!matches!(theirs.end, Some(Ok(_)))); // S1
            &SOCKS4_REFUSAL
        }
        Some(Err(error)) => {
            assert!(matches!(theirs.end, Some(Err(_))), "{error:?}, and not for them");
            match (error, &*theirs.sent) {
                (Error::NoAcceptableMethod | Error::Malformed(Malformed::NoMethods), _) => &[5, 0xff][..],
                (Error::Malformed(Malformed::AddressType(_)), _) => &[5, 8, 0, 1, 0, 0, 0, 0, 0, 0],
                (Error::Malformed(Malformed::Version { .. }), []) => &[],
                (Error::Malformed(Malformed::Version { .. }), [5, 2]) => &[1, 1],
                (Error::Malformed(Malformed::Version { .. }), _) => &[5, 1, 0, 1, 0, 0, 0, 0, 0, 0],
                (Error::Refused(ReplyCode::COMMAND_NOT_SUPPORTED), []) if bytes.starts_with(&[4, 3]) => {
                    &SOCKS4_REFUSAL // S3
                }
                (other, _) => panic!("{other:?}"),
            }
        }
        None => {
            match &theirs.end {
                None => {}
                Some(Err(_)) => assert!(ends_in_strange_name(bytes), "an error already"), // S5
                Some(Ok(request)) => panic!("{request:?} already"),
            }
            &[]
        }
    };
    assert_eq!(ours.sent, [&theirs.sent, refusal].concat()); // S2
}

/// Returns whether `tor-socksproto` also accepts the name.
fn known_name(host: Host<'_>) -> bool {
    match host {
        Host::Domain(name) => name.to_str().is_ok_and(|name| !name.contains('\0')),
        _ => true,
    }
}

/// Returns whether the input ends with a name that `tor-socksproto` does not accept, and at most one byte of the port.
fn ends_in_strange_name(bytes: &[u8]) -> bool {
    let names = [0, 1].into_iter().flat_map(|port| {
        let upto = bytes.len().saturating_sub(port);
        (1..=upto).filter_map(move |start| {
            let name = &bytes[start..upto];
            (usize::from(bytes[start - 1]) == name.len()).then_some(name)
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
    assert_eq!(*theirs.auth(), ours.auth); // S7
    for (status, code) in [
        (SocksStatus::SUCCEEDED, ReplyCode::SUCCEEDED),
        (SocksStatus::HS_BAD_ADDRESS, ReplyCode::ONION_ADDRESS_INVALID),
    ] {
        let with = theirs.reply(status, Some(theirs.addr())).expect("a reply");
        let without = theirs.reply(status, None).expect("a reply");
        let (address, nowhere) = match (ours.version, host) {
            (Version::Socks4, Host::Ipv4(_)) => (Address { host, port }, Address::UNSPECIFIED),
            (Version::Socks5, Host::Ipv6(_)) => (Address { host, port }, (IpAddr::from([0; 16]), 0).into()),
            (Version::Socks5, _) => (Address { host, port }, Address::UNSPECIFIED),
            (_, _) => (Address::UNSPECIFIED, Address::UNSPECIFIED),
        };
        // S8
        assert_eq!(reply(ours.version, code, address), with);
        assert_eq!(reply(ours.version, code, nowhere), without);
    }
}

fn reply(version: Version, code: ReplyCode, address: Address<'_>) -> Vec<u8> {
    match (version, address.host) {
        (Version::Socks5, _) => encoded(&Reply::new(code, address)),
        (_, Host::Ipv4(ip)) => {
            let address = SocketAddrV4::new(ip, address.port);
            encoded(&socks4::Reply::new(code.into(), address))
        }
        (_, host) => panic!("{host:?} in a reply of version 4"),
    }
}

fn encoded(message: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![0; message.encoded_len()];
    assert_eq!(message.encode_into(&mut bytes), Ok(bytes.len()));
    bytes
}

fn same_host(ours: Host<'_>, theirs: &SocksAddr) -> bool {
    match (ours, theirs) {
        (Host::Domain(ours), SocksAddr::Hostname(theirs)) => ours.as_bytes() == theirs.as_ref().as_bytes(),
        (ours, SocksAddr::Ip(theirs)) => ours == Host::from(*theirs),
        _ => false,
    }
}

fn our_client(mut handshake: client::Handshake, bytes: &[u8]) -> Run<(ReplyCode, AddressBuf), Error> {
    use client::Output;

    let (mut sent, mut rest) = (Vec::new(), bytes);
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

/// Returns a target whose port is not 0 (S4).
fn reachable(target: Target) -> Address<'static> {
    let Address { host, port } = target.address();
    let port = port.max(1);
    Address { host, port }
}

/// Returns the host as their type, if they support it.
fn theirs_of(host: Host<'_>) -> Option<SocksAddr> {
    Some(match host {
        Host::Ipv4(ip) => SocksAddr::Ip(ip.into()),
        Host::Ipv6(ip) => SocksAddr::Ip(ip.into()),
        Host::Domain(name) => {
            let name = name.to_str().ok()?.to_string();
            SocksAddr::Hostname(SocksHostname::try_from(name).ok()?)
        }
    })
}

fn as_clients(wishes: &Wishes, bytes: &[u8]) {
    let (command, cmd) = wishes.command.both();
    let address = reachable(wishes.target);
    let Some(addr) = theirs_of(address.host) else {
        return; // S5
    };
    let fields = (
        vec![b'u'; wishes.username_len.into()],
        vec![b'p'; wishes.password_len.into()],
    );
    let credentials = Credentials::new_allowing_empty(&fields.0, &fields.1).expect("at most 255 bytes");
    let (auth, their_auth) = match wishes.authenticate {
        false => (client::Auth::none(), SocksAuth::NoAuth),
        true => (
            client::Auth::new(&PASSWORD_OR_NONE, Some(credentials)).expect("an offer"), // C4
            SocksAuth::Username(fields.0.clone(), fields.1.clone()),
        ),
    };
    let request =
        SocksRequest::new(SocksVersion::V5, cmd, addr, address.port, their_auth).expect("a request");

    let config = client::Config::new().with_strict_status_version(true); // C3
    let handshake = client::Handshake::with_config(&Request::new(command, address), auth, config);
    let ours = our_client(handshake, bytes);
    let theirs = theirs(SocksClientHandshake::new(request), bytes);
    assert_eq!(ours.sent, theirs.sent);
    match (&ours.end, &theirs.end) {
        (None, None) => assert!(ours.unread.is_empty()),
        (None, Some(Err(_))) => assert!(ends_in_strange_name(bytes), "an error already"), // C2
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

fn as_socks4_clients(wishes: &Socks4Wishes<'_>, bytes: &[u8]) {
    let (command, cmd) = wishes.command.both();
    let address = reachable(wishes.target);
    let handshake = client::Handshake::socks4(&Request::new(command, address), wishes.user_id);
    let (addr, handshake) = match (theirs_of(address.host), handshake) {
        (Some(addr), Ok(handshake)) => (addr, handshake),
        (Some(addr), Err(_)) => return assert!(matches!(addr, SocksAddr::Ip(IpAddr::V6(_)))), // C5
        (None, handshake) => return assert!(handshake.is_err()),                              // S5
    };
    let their_auth = match wishes.user_id.as_bytes() {
        [] => SocksAuth::NoAuth,
        user_id => SocksAuth::Socks4(user_id.to_vec()),
    };
    let request =
        SocksRequest::new(SocksVersion::V4, cmd, addr, address.port, their_auth).expect("a request");

    let ours = our_client(handshake, bytes);
    let theirs = theirs(SocksClientHandshake::new(request), bytes);
    assert_eq!(ours.sent, theirs.sent);
    match (&ours.end, &theirs.end) {
        (None, None) => assert!(ours.unread.is_empty()),
        (Some(Ok((code, address))), Some(Ok(reply))) => {
            assert_eq!(ours.unread, theirs.unread);
            same_reply(*code, address.as_address(), reply);
        }
        // C1
        (Some(Err(Error::Socks4Refused(code))), Some(Ok(reply))) => {
            assert_eq!(u8::from(reply.status()), ReplyCode::from(*code).get());
        }
        (Some(Err(Error::Socks4Refused(_))), None) => assert!(bytes.len() < socks4::Reply::MAX_LEN),
        (Some(Err(Error::Malformed(Malformed::Version { .. }))), Some(Err(_))) => {}
        (_, Some(Err(_))) => assert_eq!(bytes.first(), Some(&4)), // C6
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
