//! The client drivers. The test acts as the proxy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::client::{SECOND_PROXY, start};
use crate::process::Process;
use crate::raw::{BIND, CONNECT, OFFER_NONE, Raw, SELECT_NONE, UDP_ASSOCIATE, failure, request, success};

use crate::tests;

macro_rules! every_client {
    ($($scenario:ident),+ $(,)?) => {
        tests!(std_client, password_is_the_only_method_offered, wrong_password_is_reported, $($scenario),+);
        tests!(tokio_client, password_is_the_only_method_offered, wrong_password_is_reported, $($scenario),+);
        tests!(bind_client, password_is_the_only_method_offered, wrong_password_is_reported, $($scenario),+);
        tests!(chain, $($scenario),+);
    };
}

every_client!(
    reply_byte_by_byte_is_accepted,
    banner_behind_the_reply_is_not_lost,
    end_of_stdin_is_passed_on,
    refusal_is_reported,
    proxy_that_closes_is_reported,
    other_protocol_is_named,
);

tests!(
    udp_client,
    password_is_the_only_method_offered,
    wrong_password_is_reported,
    refusal_is_reported
);

/// The target. It receives no connection.
pub(crate) const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7);

/// A client driver, and the connection that it has made to the test.
pub(crate) struct Proxied {
    pub(crate) client: Process,
    pub(crate) control: Raw,
}

impl Proxied {
    pub(crate) fn start(driver: &str, login: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        let proxy = listener.local_addr().expect("bound");
        let client = start(driver, proxy, login, &TARGET.ip().to_string(), TARGET.port());
        let control = Raw::over(listener.accept().expect("the client").0);
        Self { client, control }
    }

    /// Selects method 00, and expects the request of `command` for `target`.
    fn expect_request(&mut self, command: u8, target: SocketAddr) {
        self.control.expect(OFFER_NONE);
        self.control.send(SELECT_NONE);
        self.control.expect(&request(command, target));
    }

    /// Acts as the proxies in the handshake of `driver`, up to the last proxy's reply, which is not sent.
    pub(crate) fn until_first_reply(driver: &str) -> Self {
        let mut proxied = Self::start(driver, &[]);
        match driver {
            "bind_client" => proxied.expect_request(BIND, TARGET),
            "chain" => {
                // The test acts as both proxies, because a tunnel through the first leads to the second.
                proxied.expect_request(CONNECT, SECOND_PROXY);
                proxied.control.send(&success(TARGET));
                proxied.expect_request(CONNECT, TARGET);
            }
            "udp_client" => proxied.expect_request(UDP_ASSOCIATE, (Ipv4Addr::UNSPECIFIED, 0).into()),
            _ => proxied.expect_request(CONNECT, TARGET),
        }
        proxied
    }

    /// Acts as the proxies in the handshake of `driver`. Only the last reply is not sent.
    pub(crate) fn shake_hands(driver: &str) -> Self {
        let mut proxied = Self::until_first_reply(driver);
        if driver == "bind_client" {
            proxied.control.send(&success(TARGET));
            assert_eq!(proxied.client.line(), format!("bound {TARGET}"));
        }
        proxied
    }

    /// Expects the line that `driver` prints when the tunnel is established, if it prints one.
    fn expect_tunnel(&mut self, driver: &str) {
        if driver == "bind_client" {
            assert_eq!(self.client.line(), format!("peer {TARGET}"));
        }
    }
}

fn reply_byte_by_byte_is_accepted(driver: &str) {
    let mut proxied = Proxied::shake_hands(driver);
    for byte in success(TARGET).iter().chain(b"data") {
        proxied.control.send(&[*byte]);
    }
    proxied.expect_tunnel(driver);
    proxied.client.expect(b"data");
}

///
fn banner_behind_the_reply_is_not_lost(driver: &str) {
    let mut proxied = Proxied::shake_hands(driver);
    proxied.control.send(&[&success(TARGET)[..], b"banner"].concat());
    proxied.expect_tunnel(driver);
    proxied.client.expect(b"banner");
    proxied.client.send(b"answer");
    proxied.control.expect(b"answer");
}

fn end_of_stdin_is_passed_on(driver: &str) {
    let mut proxied = Proxied::shake_hands(driver);
    proxied.control.send(&success(TARGET));
    proxied.expect_tunnel(driver);
    proxied.client.send(b"question");
    proxied.client.end();
    proxied.control.expect(b"question");
    proxied.control.expect_end();
    proxied.control.send(b"answer");
    proxied.control.end();
    let end = proxied.client.finish();
    assert!(end.status.success(), "{}", end.stderr);
    assert_eq!(end.stdout, b"answer");
}

fn refusal_is_reported(driver: &str) {
    let mut proxied = Proxied::shake_hands(driver);
    proxied.control.send(&failure(0x05));
    proxied.client.expect_failure("refused: connection refused");
}

fn proxy_that_closes_is_reported(driver: &str) {
    let mut proxied = Proxied::shake_hands(driver);
    proxied.control.send(b"\x05\x00\x00\x01");
    proxied.control.end();
    proxied.client.expect_failure("connection ended in phase");
}

/// Q-008..Q-010: the error names the protocol, for a user who has typed the wrong port.
fn other_protocol_is_named(driver: &str) {
    for (answer, name) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        (b"\x00\x5b\x00\x00\x00\x00\x00\x00", "SOCKS4"),
    ] {
        let mut proxied = Proxied::start(driver, &[]);
        proxied.control.expect(OFFER_NONE);
        proxied.control.send(answer);
        proxied.client.expect_failure(&format!("looks like {name}"));
    }
}

const LOGIN: &[&str] = &["alice", "secret"];

/// Otherwise an attacker who impersonates the proxy could skip authentication.
fn password_is_the_only_method_offered(driver: &str) {
    let mut proxied = Proxied::start(driver, LOGIN);
    proxied.control.expect(b"\x05\x01\x02");
    proxied.control.send(b"\x05\x02");
    proxied.control.expect(b"\x01\x05alice\x06secret");
    proxied.control.send(SELECT_NONE);
    proxied.control.expect(&[0x05]);
}

///
fn wrong_password_is_reported(driver: &str) {
    let mut proxied = Proxied::start(driver, LOGIN);
    proxied.control.send(b"\x05\x02\x01\x01");
    proxied.client.expect_failure("authentication rejected");
}
