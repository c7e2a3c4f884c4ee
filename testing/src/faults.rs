//! Errors that only the crate can construct, obtained from the bytes of a peer.

use sans_socks::client::{Auth, Handshake, Output};
use sans_socks::message::{AuthStatus, Selection};
use sans_socks::{Address, Credentials, Error, Malformed, Request, socks4};

/// Returns the fault of a message that begins with `got`, where version `expected` is required.
pub fn wrong_version(expected: u8, got: u8) -> Malformed {
    let decoded = match expected {
        0 => socks4::Reply::decode(&[got]).map(drop),
        4 => socks4::Request::decode(&[got]).map(drop),
        1 => AuthStatus::decode(&[got]).map(drop),
        5 => Selection::decode(&[got]).map(drop),
        other => panic!("no message has version {other}"),
    };
    decoded.expect_err("a wrong version")
}

/// Returns the error of a client whose credentials were answered with `status`.
pub fn authentication_rejected(status: u8) -> Error {
    let credentials = Credentials::new("u", "p").expect("valid lengths");
    let request = Request::connect(Address::UNSPECIFIED);
    let mut client = Handshake::new(&request, Auth::password(credentials));
    for answer in [[5, 2], [1, status]] {
        if let Output::Transmit(transmit) = client.poll_output() {
            transmit.sent_all();
        }
        assert_eq!(client.handle_input(&answer), 2);
    }
    match client.poll_output() {
        Output::Closed(error) => error,
        other => panic!("status {status}: {other:?}"),
    }
}
