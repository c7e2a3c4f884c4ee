//! The client drivers against a proxy that the test plays, byte by byte.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Login, SECOND_PROXY, start};
use crate::process::Process;
use crate::raw::{BIND, CONNECT, OFFER_NONE, Raw, SELECT_NONE, UDP_ASSOCIATE, failure, request, success};

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
    pub(crate) fn start(driver: &str, login: Login<'_>) -> Self {
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

    /// Plays the handshake of `driver`. Only the last reply is still to be sent.
    fn shake_hands(driver: &str) -> Self {
        let mut proxied = Self::start(driver, None);
        match driver {
            "bind_client" => {
                proxied.expect_request(BIND, TARGET);
                proxied.control.send(&success(TARGET));
                assert_eq!(proxied.client.line(), format!("bound {TARGET}"));
            }
            "chain" => {
                // The test plays both proxies, since a tunnel through the first leads to the second.
                proxied.expect_request(CONNECT, SECOND_PROXY);
                proxied.control.send(&success(TARGET));
                proxied.expect_request(CONNECT, TARGET);
            }
            "udp_client" => proxied.expect_request(UDP_ASSOCIATE, (Ipv4Addr::UNSPECIFIED, 0).into()),
            _ => proxied.expect_request(CONNECT, TARGET),
        }
        proxied
    }

    /// The line that `driver` prints when the tunnel is there, if it prints one.
    fn expect_tunnel(&mut self, driver: &str) {
        if driver == "bind_client" {
            assert_eq!(self.client.line(), format!("peer {TARGET}"));
        }
    }

    #[track_caller]
    fn expect_failure(self, reason: &str) {
        let end = self.client.finish();
        assert_eq!(end.status.code(), Some(1));
        assert!(end.stderr.contains(reason), "{}", end.stderr);
        assert_eq!(end.stdout, b"");
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
    proxied.expect_failure("refused: connection refused");
}

fn proxy_that_closes_is_reported(driver: &str) {
    let mut proxied = Proxied::shake_hands(driver);
    proxied.control.send(b"\x05\x00\x00\x01");
    proxied.control.end();
    proxied.expect_failure("connection ended in phase");
}

/// No answer at all, or a byte now and then: the client gives up after 10 s.
fn expect_one_deadline(driver: &str) {
    let start = Instant::now();
    let (silent, mut trickling) = (Proxied::start(driver, None), Proxied::start(driver, None));
    trickling.control.send(b"\x05\x00\x05\x00\x00\x03\xff");
    while !trickling.client.has_ended() {
        // The client may have closed in between.
        let _ = trickling.control.0.write(b"x");
        thread::sleep(Duration::from_millis(500));
    }
    trickling.expect_failure("10 s");
    silent.expect_failure("10 s");
    let elapsed = start.elapsed();
    assert!((10..20).contains(&elapsed.as_secs()), "{elapsed:?}");
}

/// All at once, since each takes 10 s.
#[test]
fn slow_proxy_meets_one_deadline() {
    thread::scope(|scope| {
        for driver in ["std_client", "tokio_client", "bind_client", "chain", "udp_client"] {
            scope.spawn(move || expect_one_deadline(driver));
        }
    });
}

const LOGIN: Login<'static> = Some(("alice", "secret"));

/// Otherwise an attacker who answers in the proxy's place could skip authentication.
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
    proxied.expect_failure("authentication rejected");
}
