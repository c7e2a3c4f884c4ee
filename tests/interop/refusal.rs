//! What a client sees that a server does not serve, octet by octet, from outside.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, wait_until};
use crate::raw::{BIND, CONNECT, OFFER_NONE, Raw, UDP_ASSOCIATE, failure, login, request, request_name};
use crate::server::{PASSWORD, Server, USER};
use crate::target;

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(tokio_server, $($scenario),+);
        tests!(std_server, $($scenario),+, udp_associate_is_refused);
        tests!(mio_server, $($scenario),+, udp_associate_is_refused, bind_is_refused);
    };
}

every_server!(
    wrong_user_or_password,
    empty_password,
    method_00_where_a_login_is_wanted,
    login_where_none_is_wanted,
    no_methods,
    target_that_refuses,
    name_that_does_not_resolve,
    unknown_command,
    unknown_address_type,
    early_data_does_not_cost_the_reply,
    http,
    tls,
    socks4,
    end_of_input_before_the_request,
    handshake_deadline,
);

macro_rules! every_thin_relay {
    ($($scenario:ident),+ $(,)?) => {
        tests!(udp_relay, $($scenario),+);
        tests!(udp_relay_std, $($scenario),+);
    };
}

every_thin_relay!(
    wrong_user_or_password,
    empty_password,
    method_00_where_a_login_is_wanted,
    login_where_none_is_wanted,
    no_methods,
    unknown_command,
    unknown_address_type,
    connect_is_refused,
    bind_is_refused,
    early_data_does_not_cost_the_refusal,
    end_of_input_before_the_request,
);

/// `01 01`, then closed.
fn wrong_user_or_password(driver: &str) {
    let server = Server::with_login(driver);
    for octets in [
        login(USER, "wrong"),
        login("mallory", PASSWORD),
        login(USER, &PASSWORD[1..]),
        login(USER, &format!("{PASSWORD}\0x")),
    ] {
        let mut client = Raw::connect(server.address);
        client.send(b"\x05\x01\x02");
        client.expect(b"\x05\x02");
        client.send(&octets);
        client.expect(b"\x01\x01");
        client.expect_end();
    }
    // It is the password that was wrong, not the server: R-064.
    let mut client = Raw::connect(server.address);
    client.send(b"\x05\x01\x02");
    client.expect(b"\x05\x02");
    client.send(&login(USER, PASSWORD));
    client.expect(b"\x01\x00");
    assert!(!server.process.log().contains(PASSWORD), "a password in the log");
}

///
fn empty_password(driver: &str) {
    let server = Server::with_login(driver);
    let mut client = Raw::connect(server.address);
    client.send(b"\x05\x01\x02");
    client.expect(b"\x05\x02");
    client.send(b"\x01\x05alice\x00");
    client.expect(b"\x01\x01");
    client.expect_end();
}

/// `05 ff`, then closed.
fn method_00_where_a_login_is_wanted(driver: &str) {
    let server = Server::with_login(driver);
    let mut client = Raw::connect(server.address);
    client.send(OFFER_NONE);
    client.expect(b"\x05\xff");
    client.expect_end();
}

/// neither GSSAPI nor a private method is what this server can do.
fn login_where_none_is_wanted(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::connect(server.address);
    client.send(b"\x05\x03\x01\x02\x80");
    client.expect(b"\x05\xff");
    client.expect_end();
}

///
fn no_methods(driver: &str) {
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
fn target_that_refuses(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request(CONNECT, target::refusing()), 0x05);
    expect_refusal(
        &server,
        &request_name("localhost", target::refusing().port()),
        0x05,
    );
}

/// REP=04. RFC 6761 section 6.4 keeps `.invalid` from ever resolving.
fn name_that_does_not_resolve(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request_name("sans-socks.invalid", 80), 0x04);
}

/// REP=07; Tor's RESOLVE (F0) is one that these servers do not know.
fn unknown_command(driver: &str) {
    let server = Server::open(driver);
    for command in [0x00, 0x09, 0xF0, 0xFF] {
        expect_refusal(&server, &request(command, target::refusing()), 0x07);
    }
}

/// REP=08.
fn unknown_address_type(driver: &str) {
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

/// a server that closes on unread input sends a reset, and a reset can overtake the reply.
fn early_data_does_not_cost_the_reply(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::greeted(server.address);
    let mut octets = request(CONNECT, target::refusing());
    octets.resize(octets.len() + 32 * 1024, b'x');
    client.send(&octets);
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

/// by a server for UDP ASSOCIATE alone.
fn connect_is_refused(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request(CONNECT, target::refusing()), 0x07);
}

/// Closed at once, nothing sent, and a log line that says what it looked like.
fn expect_other_protocol(driver: &str, octets: &[u8], name: &str) {
    let server = Server::open(driver);
    let mut client = Raw::connect(server.address);
    client.send(octets);
    client.expect_closed();
    wait_until(&format!("{name} in the log of {driver}"), || {
        server.process.log().contains(name)
    });
}

///
fn http(driver: &str) {
    expect_other_protocol(driver, b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "HTTP");
    expect_other_protocol(driver, b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", "HTTP");
}

/// the start of a ClientHello.
fn tls(driver: &str) {
    expect_other_protocol(driver, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS");
}

///
fn socks4(driver: &str) {
    expect_other_protocol(driver, b"\x04\x01\x00\x50\x7f\x00\x00\x01alice\0", "SOCKS4");
}

/// A client that goes away in the middle of the handshake is answered with the end of the stream, nothing else.
fn end_of_input_before_the_request(driver: &str) {
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

/// the deadline is for the whole handshake, so that sending an octet now and then does not move it; what is
/// established has none.
fn handshake_deadline(driver: &str) {
    let server = Server::start(driver, &["--handshake-timeout", "1"]);
    let mut tunnel = Raw::greeted(server.address);
    tunnel.send(&request(CONNECT, target::echo(Ipv4Addr::LOCALHOST)));
    tunnel.expect_success();

    let start = Instant::now();
    let mut slow = Raw::connect(server.address);
    slow.send(b"\x05\xff");
    let mut trickle = slow.0.try_clone().expect("a second handle");
    let trickle = thread::spawn(move || {
        while start.elapsed() < PATIENCE && trickle.write_all(b"\x80").is_ok() {
            thread::sleep(Duration::from_millis(300));
        }
    });
    slow.expect_closed();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(slow);
    trickle.join().expect("no panic");

    tunnel.send(b"still here");
    tunnel.expect(b"still here");
}

/// A client that sends a byte now and then has no more time than a silent one.
fn expect_one_deadline(driver: &str) {
    let server = Server::open(driver);
    let start = Instant::now();
    let (mut silent, mut slow) = (Raw::connect(server.address), Raw::connect(server.address));
    slow.send(b"\x05\xff");
    let mut trickle = slow.0.try_clone().expect("a second handle");
    let trickle = thread::spawn(move || {
        while start.elapsed() < PATIENCE && trickle.write_all(b"\x80").is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
    });
    silent.expect_closed();
    slow.expect_closed();
    let elapsed = start.elapsed();
    assert!((9..15).contains(&elapsed.as_secs()), "{elapsed:?}");
    drop(slow);
    trickle.join().expect("no panic");
}

/// All at once, since each takes 10 s.
#[test]
fn slow_client_meets_one_deadline() {
    thread::scope(|scope| {
        for driver in ["udp_relay", "udp_relay_std"] {
            scope.spawn(move || expect_one_deadline(driver));
        }
    });
}
