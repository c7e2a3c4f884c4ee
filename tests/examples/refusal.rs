//! The bytes that a refused client receives.

use std::net::{Ipv4Addr, SocketAddr};

use crate::process::wait_until;
use crate::raw::{BIND, CONNECT, OFFER_NONE, Raw, UDP_ASSOCIATE, failure, login, request, request_name};
use crate::server::{PASSWORD, Server, USER};
use crate::{target, tests};

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(
            tokio_server,
            $($scenario),+,
            name_that_does_not_resolve_is_answered_04,
            name_of_a_target_that_refuses_is_answered_05,
        );
        tests!(
            std_server,
            $($scenario),+,
            name_that_does_not_resolve_is_answered_04,
            name_of_a_target_that_refuses_is_answered_05,
        );
        tests!(mio_server, $($scenario),+, name_is_refused);
    };
}

every_server!(
    wrong_user_or_password_is_rejected_with_01_01,
    empty_password_is_rejected,
    method_00_where_a_login_is_wanted_is_answered_05_ff,
    login_where_none_is_wanted_is_answered_05_ff,
    greeting_without_methods_is_answered_05_ff,
    target_that_refuses_is_answered_05,
    udp_associate_is_refused,
    bind_is_refused,
    unknown_command_is_answered_07,
    unknown_address_type_is_answered_08,
    early_data_does_not_cost_the_reply,
    http_gets_no_answer,
    tls_gets_no_answer,
    socks4_where_a_login_is_wanted_gets_no_tunnel,
    end_of_input_before_the_request_closes,
);

macro_rules! every_thin_relay {
    ($($scenario:ident),+ $(,)?) => {
        tests!(udp_relay, $($scenario),+);
        tests!(udp_relay_std, $($scenario),+);
    };
}

every_thin_relay!(
    wrong_user_or_password_is_rejected_with_01_01,
    empty_password_is_rejected,
    method_00_where_a_login_is_wanted_is_answered_05_ff,
    login_where_none_is_wanted_is_answered_05_ff,
    greeting_without_methods_is_answered_05_ff,
    unknown_command_is_answered_07,
    unknown_address_type_is_answered_08,
    connect_is_refused,
    bind_is_refused,
    early_data_does_not_cost_the_refusal,
    end_of_input_before_the_request_closes,
);

/// `01 01`, then closed.
fn wrong_user_or_password_is_rejected_with_01_01(driver: &str) {
    let server = Server::with_login(driver);
    for bytes in [
        login(USER, "wrong"),
        login("mallory", PASSWORD),
        login(USER, &PASSWORD[1..]),
        login(USER, &format!("{PASSWORD}\0x")),
    ] {
        let mut client = Raw::connect(server.address);
        client.send(b"\x05\x01\x02");
        client.expect(b"\x05\x02");
        client.send(&bytes);
        client.expect(b"\x01\x01");
        client.expect_end();
    }
    // A correct password is still accepted: R-064.
    let mut client = Raw::connect(server.address);
    client.send(b"\x05\x01\x02");
    client.expect(b"\x05\x02");
    client.send(&login(USER, PASSWORD));
    client.expect(b"\x01\x00");
    assert!(!server.process.log().contains(PASSWORD), "a password in the log");
}

///
fn empty_password_is_rejected(driver: &str) {
    let server = Server::with_login(driver);
    let mut client = Raw::connect(server.address);
    client.send(b"\x05\x01\x02");
    client.expect(b"\x05\x02");
    client.send(b"\x01\x05alice\x00");
    client.expect(b"\x01\x01");
    client.expect_end();
}

/// `05 ff`, then closed.
fn method_00_where_a_login_is_wanted_is_answered_05_ff(driver: &str) {
    let server = Server::with_login(driver);
    let mut client = Raw::connect(server.address);
    client.send(OFFER_NONE);
    client.expect(b"\x05\xff");
    client.expect_end();
}

/// this server supports neither GSSAPI nor a private method.
fn login_where_none_is_wanted_is_answered_05_ff(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::connect(server.address);
    client.send(b"\x05\x03\x01\x02\x80");
    client.expect(b"\x05\xff");
    client.expect_end();
}

///
fn greeting_without_methods_is_answered_05_ff(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::connect(server.address);
    client.send(b"\x05\x00");
    client.expect(b"\x05\xff");
    client.expect_end();
}

#[track_caller]
fn expect_refusal(server: &Server, request: &[u8], code: u8) {
    let mut client = Raw::greeted(server.address);
    client.send(request);
    client.expect(&failure(code));
    client.expect_end();
}

/// REP=05, then closed.
fn target_that_refuses_is_answered_05(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request(CONNECT, target::refusing()), 0x05);
}

///
fn name_of_a_target_that_refuses_is_answered_05(driver: &str) {
    let server = Server::open(driver);
    let request = request_name("localhost", target::refusing().port());
    expect_refusal(&server, &request, 0x05);
}

/// by a server that does not resolve names.
fn name_is_refused(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request_name("localhost", 80), 0x08);
}

/// REP=04. RFC 6761 section 6.4 keeps `.invalid` from ever resolving.
fn name_that_does_not_resolve_is_answered_04(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request_name("sans-socks.invalid", 80), 0x04);
}

/// REP=07. These servers do not support Tor's RESOLVE (F0).
fn unknown_command_is_answered_07(driver: &str) {
    let server = Server::open(driver);
    for command in [0x00, 0x09, 0xF0, 0xFF] {
        expect_refusal(&server, &request(command, target::refusing()), 0x07);
    }
}

/// REP=08.
fn unknown_address_type_is_answered_08(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, b"\x05\x01\x00\x02\x7f\x00\x00\x01\x00\x50", 0x08);
}

///
fn bind_is_refused(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request(BIND, (Ipv4Addr::UNSPECIFIED, 0).into()), 0x07);
}

///
fn udp_associate_is_refused(driver: &str) {
    let server = Server::open(driver);
    let unspecified = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    expect_refusal(&server, &request(UDP_ASSOCIATE, unspecified), 0x07);
}

/// a server that closes with unread input sends a reset, which can erase the reply.
fn early_data_does_not_cost_the_reply(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::greeted(server.address);
    let mut bytes = request(CONNECT, target::refusing());
    bytes.resize(bytes.len() + 32 * 1024, b'x');
    client.send(&bytes);
    client.expect(&failure(0x05));
    client.expect_closed();
}

///
fn early_data_does_not_cost_the_refusal(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::greeted(server.address);
    let mut bytes = request(CONNECT, target::refusing());
    bytes.resize(bytes.len() + 32 * 1024, b'x');
    client.send(&bytes);
    client.expect(&failure(0x07));
    client.expect_closed();
}

/// by a server for UDP ASSOCIATE only.
fn connect_is_refused(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request(CONNECT, target::refusing()), 0x07);
}

/// Expects that the server closes at once, sends nothing, and logs the name of the protocol.
fn expect_other_protocol(server: &Server, bytes: &[u8], name: &str) {
    let mut client = Raw::connect(server.address);
    client.send(bytes);
    client.expect_closed();
    wait_until(&format!("{name} in the log"), || {
        server.process.log().contains(&format!("looks like {name}"))
    });
}

///
fn http_gets_no_answer(driver: &str) {
    let server = Server::open(driver);
    expect_other_protocol(&server, b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "HTTP");
    expect_other_protocol(&server, b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", "HTTP");
}

/// the start of a ClientHello.
fn tls_gets_no_answer(driver: &str) {
    let server = Server::open(driver);
    expect_other_protocol(&server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS");
}

/// SOCKS4 has no passwords, so it must not be a way around the login.
fn socks4_where_a_login_is_wanted_gets_no_tunnel(driver: &str) {
    let server = Server::with_login(driver);
    let request = b"\x04\x01\x00\x50\x7f\x00\x00\x01alice\0";
    expect_other_protocol(&server, request, "SOCKS4");
}

/// A client that ends its side in the middle of the handshake receives the end of the stream, and no bytes.
fn end_of_input_before_the_request_closes(driver: &str) {
    let server = Server::open(driver);
    for sent in [&b""[..], b"\x05", b"\x05\x02\x00"] {
        let mut client = Raw::connect(server.address);
        client.send(sent);
        client.end();
        client.expect_end();
    }
    let mut client = Raw::greeted(server.address);
    client.send(b"\x05\x01\x00\x01\x7f");
    client.end();
    client.expect_end();
}
