//! `gssapi_client` with `gssapi_server`.

use std::net::Ipv4Addr;

use crate::middle::{Direction, Middle};
use crate::programs::{self, Server, client, expect_log};
use crate::realm::Realm;
use sans_socks_testing::programs::process::Process;
use sans_socks_testing::programs::target;

/// Generates tests of every command, at levels that both sides are given.
macro_rules! tests {
    ($($name:ident: $levels:literal $($option:literal)*),+ $(,)?) => {
        $(mod $name {
            use super::{Realm, Server, programs};

            const OPTIONS: &[&str] = &["--levels", $levels $(, $option)*];

            #[test]
            #[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
            fn connect_is_relayed() {
                let realm = Realm::get();
                programs::connect(&realm, Server::start(&realm, OPTIONS).address, OPTIONS);
            }

            #[test]
            #[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
            fn bind_has_two_replies() {
                let realm = Realm::get();
                programs::bind(&realm, Server::start(&realm, OPTIONS).address, OPTIONS);
            }

            #[test]
            #[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
            fn datagrams_are_relayed() {
                let realm = Realm::get();
                programs::udp(&realm, Server::start(&realm, OPTIONS).address, OPTIONS);
            }
        })+
    };
}

tests!(
    integrity: "1",
    confidentiality: "2",
    selective: "3",
    clear: "0",
    nec: "2" "--nec",
);

/// messages are protected as agreed on, and everything after the negotiation is in frames.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn messages_on_the_wire_are_protected_as_agreed() {
    const WORDS: &[u8] = b"words that nobody else uses";
    let realm = Realm::get();
    let server = Server::start(&realm, &[]);
    for (levels, readable) in [("1", true), ("2", false), ("3", false)] {
        let echo = target::echo(Ipv4Addr::LOCALHOST);
        let middle = Middle::watching(server.address);
        client(&realm, middle.address, &["--levels", levels], echo.port()).expect_echo(WORDS);
        for direction in [Direction::ToServer, Direction::ToClient] {
            let frames = middle.frames(direction);
            let types: Vec<u8> = frames.iter().map(|frame| frame[1]).collect();
            assert_eq!(types, [1, 2, 3, 3], "level {levels}");
            for frame in &frames[2..] {
                // RFC 4121 section 4.2.6.2: "Sealed".
                assert_eq!(frame[6] & 2 == 0, readable, "level {levels}");
            }
            let found = frames[3].windows(WORDS.len()).any(|bytes| bytes == WORDS);
            assert_eq!(found, readable, "level {levels}");
        }
    }
    expect_log(&server, "alice@EXAMPLE.TEST, integrity");
    expect_log(&server, "alice@EXAMPLE.TEST, confidentiality");
    expect_log(&server, "alice@EXAMPLE.TEST, selective");
}

/// Method 02 besides GSSAPI: of both, the server selects GSSAPI. A client with a password alone is admitted, and nothing
/// is wrapped.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn password_is_selected_where_gssapi_is_not_offered() {
    let realm = Realm::get();
    let login = ["--user", "bob", "--password", "secret"];
    let server = Server::start(&realm, &login);
    let echo = target::echo(Ipv4Addr::LOCALHOST);
    client(&realm, server.address, &login, echo.port()).expect_echo(b"by Kerberos");
    expect_log(&server, "alice@EXAMPLE.TEST");
    let http = programs::http(b"hello");
    let mut curl = realm.command("curl");
    curl.args(["--silent", "--show-error", "--socks5-basic", "--max-time", "20"]);
    curl.args(["--proxy", &format!("socks5h://bob:secret@{}", server.address)]);
    curl.arg(format!("http://127.0.0.1:{}/", http.port()));
    let end = Process::start(curl).finish();
    assert!(end.status.success(), "{}", end.stderr);
    assert_eq!(end.stdout, b"hello");
}
