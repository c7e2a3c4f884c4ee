//! Ordinary sessions, written out: each byte of both directions, and each decision, in order.
//!
//! Read these first. The other modules generate variations of them.

use sans_socks::client::{self, Auth};
use sans_socks::server::{self, Established};
use sans_socks::socks4::UserId;
use sans_socks::{
    Address, Command, Credentials, Error, Io, Machine, Method, Reply, ReplyCode, Request, Version,
};
use sans_socks_testing::driver::address;

/// The peer sends `bytes`, and the machine consumes all of them.
#[track_caller]
fn receives(machine: &mut impl Machine, bytes: &[u8]) {
    assert_eq!(machine.handle_input(bytes), bytes.len());
}

/// The machine sends exactly `bytes`.
#[track_caller]
fn sends(machine: &mut impl Machine, bytes: &[u8]) {
    match machine.poll_io() {
        Some(Io::Transmit(transmit)) => {
            assert_eq!(transmit.as_bytes(), bytes);
            transmit.sent_all();
        }
        other => panic!("{other:?}"),
    }
}

/// Returns the token of the pending decision, which must be this variant.
macro_rules! decision {
    ($machine:expr, $role:ident :: $variant:ident) => {
        match $machine.poll_decision() {
            Some($role::Decision::$variant(token)) => token,
            other => panic!("{other:?}"),
        }
    };
}

fn alice() -> Credentials<'static> {
    Credentials::new("alice", "secret").unwrap()
}

const GREETING: &[u8] = &[5, 1, 0];
const CONNECT: &[u8] = b"\x05\x01\x00\x03\x08app.test\x00\x50";
const SUCCESS: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0x1f, 0x90];

/// A server that has received [`GREETING`] and accepted it.
fn server_without_login() -> server::Handshake {
    let mut server = server::Handshake::new();
    receives(&mut server, GREETING);
    decision!(server, server::SelectMethod).select_preferred(&[Method::NO_AUTHENTICATION]);
    sends(&mut server, &[5, 0]);
    server
}

/// CONNECT without authentication.
#[test]
fn server_connect_is_answered_with_success() {
    let mut server = server_without_login();
    receives(&mut server, CONNECT);
    let pending = decision!(server, server::PendingRequest);
    assert_eq!(pending.request(), Request::connect(address("app.test:80")));
    pending.accept(address("127.0.0.1:8080"));
    sends(&mut server, SUCCESS);
    assert_eq!(decision!(server, server::Established), Established::Stream);
}

/// user name and password.
#[test]
fn server_password_is_checked_before_the_request() {
    let mut server = server::Handshake::new();
    receives(&mut server, &[5, 2, 0, 2]);
    decision!(server, server::SelectMethod).select_preferred(&[Method::USERNAME_PASSWORD]);
    sends(&mut server, &[5, 2]);
    receives(&mut server, b"\x01\x05alice\x06secret");
    let authenticate = decision!(server, server::Authenticate);
    assert!(authenticate.credentials().verify("alice", "secret"));
    authenticate.accept();
    sends(&mut server, &[1, 0]);
    receives(&mut server, CONNECT);
    decision!(server, server::PendingRequest).accept(address("127.0.0.1:8080"));
    sends(&mut server, SUCCESS);
    assert_eq!(decision!(server, server::Established), Established::Stream);
}

/// a wrong password. The rejection is sent before the machine closes.
#[test]
fn server_wrong_password_is_rejected_with_01_01() {
    let mut server = server::Handshake::new();
    receives(&mut server, &[5, 1, 2]);
    decision!(server, server::SelectMethod).select_preferred(&[Method::USERNAME_PASSWORD]);
    sends(&mut server, &[5, 2]);
    receives(&mut server, b"\x01\x05alice\x05wrong");
    decision!(server, server::Authenticate).reject();
    sends(&mut server, &[1, 1]);
    let error = decision!(server, server::Closed);
    assert!(matches!(error, Error::AuthenticationRejected { .. }), "{error:?}");
}

/// no method in common.
#[test]
fn server_without_a_common_method_answers_05_ff() {
    let mut server = server::Handshake::new();
    receives(&mut server, GREETING);
    decision!(server, server::SelectMethod).select_preferred(&[Method::USERNAME_PASSWORD]);
    sends(&mut server, &[5, 0xff]);
    assert_eq!(decision!(server, server::Closed), Error::NoAcceptableMethod);
}

/// the target refuses the connection.
#[test]
fn server_refusal_has_the_code_and_no_address() {
    let mut server = server_without_login();
    receives(&mut server, CONNECT);
    decision!(server, server::PendingRequest).reject(ReplyCode::CONNECTION_REFUSED);
    sends(&mut server, &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
    let error = Error::Refused(ReplyCode::CONNECTION_REFUSED);
    assert_eq!(decision!(server, server::Closed), error);
}

/// BIND has two replies, the second when the peer has connected.
#[test]
fn server_bind_is_answered_twice() {
    let mut server = server_without_login();
    receives(&mut server, &[5, 2, 0, 1, 192, 0, 2, 1, 0, 21]);
    decision!(server, server::PendingRequest).accept(address("127.0.0.1:8080"));
    sends(&mut server, SUCCESS);
    decision!(server, server::PendingPeer).accept(address("192.0.2.1:20"));
    sends(&mut server, &[5, 0, 0, 1, 192, 0, 2, 1, 0, 20]);
    assert_eq!(decision!(server, server::Established), Established::Stream);
}

/// UDP ASSOCIATE of a client that does not know its source.
#[test]
fn server_udp_associate_establishes_an_association() {
    let mut server = server_without_login();
    receives(&mut server, &[5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
    let pending = decision!(server, server::PendingRequest);
    assert_eq!(pending.request(), Request::udp_associate(Address::UNSPECIFIED));
    pending.accept(address("127.0.0.1:8080"));
    sends(&mut server, SUCCESS);
    let established = decision!(server, server::Established);
    assert_eq!(established, Established::UdpAssociation);
}

/// SOCKS4a on the same port.
#[test]
fn server_socks4a_connect_is_granted() {
    let config = server::Config::new().with_socks4(true);
    let mut server = server::Handshake::with_config(config);
    receives(&mut server, b"\x04\x01\x00\x50\x00\x00\x00\x01alice\0app.test\0");
    let pending = decision!(server, server::PendingRequest);
    assert_eq!(pending.version(), Version::Socks4);
    assert_eq!(pending.request(), Request::connect(address("app.test:80")));
    pending.accept(address("127.0.0.1:8080"));
    sends(&mut server, &[0, 0x5a, 0x1f, 0x90, 127, 0, 0, 1]);
    assert_eq!(decision!(server, server::Established), Established::Stream);
}

/// CONNECT without authentication.
#[test]
fn client_connect_is_established() {
    let mut client = client::Handshake::new(&Request::connect(address("app.test:80")), Auth::none());
    sends(&mut client, GREETING);
    receives(&mut client, &[5, 0]);
    sends(&mut client, CONNECT);
    receives(&mut client, SUCCESS);
    let reply = decision!(client, client::Established);
    assert_eq!(reply, Reply::new(ReplyCode::SUCCEEDED, address("127.0.0.1:8080")));
}

/// user name and password.
#[test]
fn client_password_is_sent_when_it_is_selected() {
    let request = Request::connect(address("app.test:80"));
    let mut client = client::Handshake::new(&request, Auth::password(alice()));
    sends(&mut client, &[5, 1, 2]);
    receives(&mut client, &[5, 2]);
    sends(&mut client, b"\x01\x05alice\x06secret");
    receives(&mut client, &[1, 0]);
    sends(&mut client, CONNECT);
    receives(&mut client, SUCCESS);
    let _ = decision!(client, client::Established);
}

/// the server refuses.
#[test]
fn client_refusal_is_reported_with_its_code() {
    let mut client = client::Handshake::new(&Request::connect(address("app.test:80")), Auth::none());
    sends(&mut client, GREETING);
    receives(&mut client, &[5, 0]);
    sends(&mut client, CONNECT);
    // The code is enough. The address is not consumed.
    assert_eq!(client.handle_input(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]), 2);
    let error = Error::Refused(ReplyCode::HOST_UNREACHABLE);
    assert_eq!(decision!(client, client::Closed), error);
}

/// BIND has two replies.
#[test]
fn client_bind_waits_for_the_peer() {
    let request = Request::new(Command::BIND, address("192.0.2.1:21"));
    let mut client = client::Handshake::new(&request, Auth::none());
    sends(&mut client, GREETING);
    receives(&mut client, &[5, 0]);
    sends(&mut client, &[5, 2, 0, 1, 192, 0, 2, 1, 0, 21]);
    receives(&mut client, SUCCESS);
    let bound = decision!(client, client::Bound);
    assert_eq!(bound.address(), address("127.0.0.1:8080"));
    bound.wait_for_peer();
    receives(&mut client, &[5, 0, 0, 1, 192, 0, 2, 1, 0, 20]);
    let reply = decision!(client, client::Established);
    assert_eq!(reply.address, address("192.0.2.1:20"));
}

/// SOCKS4a.
#[test]
fn client_socks4a_connect_is_established() {
    let request = Request::connect(address("app.test:80"));
    let mut client = client::Handshake::socks4(&request, UserId::new("alice").unwrap()).unwrap();
    sends(&mut client, b"\x04\x01\x00\x50\x00\x00\x00\x01alice\0app.test\0");
    receives(&mut client, &[0, 0x5a, 0, 0, 0, 0, 0, 0]);
    let _ = decision!(client, client::Established);
}
