//! Sessions that are refused, and the errors of both sides.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::middle::{Direction, Middle};
use crate::programs::{SERVER, Server, client, client_with, expect_failure, expect_log};
use crate::realm::Realm;
use sans_socks_testing::programs::process::Process;
use sans_socks_testing::programs::target;

const NOBODY_SPOKE: &str = "connection ended before a message of type authentication";

/// a server answers a level that is not allowed with `01 FF`, and never with a level that protects less.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn level_not_allowed_is_refused_with_an_abort() {
    let realm = Realm::get();
    for (allowed, proposed) in [
        ("1", "2"),
        ("2", "1"),
        ("1,2", "3"),
        ("1,2,3", "0"),
        ("0", "2"),
        ("2", "0"),
    ] {
        let server = Server::start(&realm, &["--levels", allowed]);
        let middle = Middle::watching(server.address);
        let end = client(&realm, middle.address, &["--levels", proposed], 9).finish();
        expect_failure(&end, "rejected by the peer");
        expect_log(&server, &format!("protection level 0x0{proposed} is not allowed"));
        let answers = middle.frames(Direction::ToClient);
        assert_eq!(
            answers.last().map(Vec::as_slice),
            Some(&b"\x01\xff"[..]),
            "{allowed} {proposed}"
        );
    }
}

/// after the method selection, the client sends no token, and closes.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn client_without_a_ticket_sends_no_token() {
    let realm = Realm::get();
    let server = Server::start(&realm, &[]);
    let none = format!("FILE:{}", realm.path("no-such-cache").display());
    let end = client_with(&realm, server.address, &[], 9, &[("KRB5CCNAME", &none)]).finish();
    expect_failure(&end, "No Kerberos credentials available");
    expect_log(&server, NOBODY_SPOKE);
}

#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn client_of_an_unknown_service_sends_no_token() {
    let realm = Realm::get();
    let server = Server::start(&realm, &[]);
    let end = client(&realm, server.address, &["--service", "nosuch@localhost"], 9).finish();
    expect_failure(
        &end,
        "Server nosuch/localhost@EXAMPLE.TEST not found in Kerberos database",
    );
    expect_log(&server, NOBODY_SPOKE);
}

/// The realm has the service, but this server does not.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn ticket_for_another_service_is_refused() {
    let realm = Realm::get();
    let server = Server::start(&realm, &[]);
    let end = client(&realm, server.address, &["--service", "other@localhost"], 9).finish();
    expect_failure(&end, "rejected by the peer");
    expect_log(&server, "GSSAPI context failed: ");
    expect_log(&server, "other/localhost");
}

#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn server_without_a_key_refuses() {
    let realm = Realm::get();
    let mut command = realm.command(SERVER);
    command.args(["--listen", "127.0.0.1:0", "--service", "other@localhost"]);
    expect_failure(&Process::start(command).finish(), "no key for other@localhost: ");
}

#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn client_with_an_expired_ticket_sends_no_token() {
    let realm = Realm::get();
    let server = Server::start(&realm, &[]);
    let cache = format!("FILE:{}", realm.path("expired").display());
    realm.get_ticket("expired", "1s");
    sleep(Duration::from_secs(2));
    let end = client_with(&realm, server.address, &[], 9, &[("KRB5CCNAME", &cache)]).finish();
    expect_failure(&end, "Ticket expired");
    expect_log(&server, NOBODY_SPOKE);
}

/// The ticket expires on the way, which the server detects.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn ticket_that_expires_on_its_way_is_refused() {
    let realm = Realm::get();
    let strict = realm.path("strict.conf");
    let conf = fs::read_to_string(realm.path("krb5.conf")).expect("its configuration");
    fs::write(
        &strict,
        conf.replacen("[libdefaults]", "[libdefaults]\n  clockskew = 1", 1),
    )
    .expect("a file");
    let strict = strict.to_string_lossy();
    let server = Server::with(&realm, &[], &[("KRB5_CONFIG", &strict)]);
    let middle = Middle::tampering(server.address, |_, number, frame| {
        if number == 0 {
            sleep(Duration::from_secs(6));
        }
        frame
    });
    let cache = format!("FILE:{}", realm.path("expiring").display());
    realm.get_ticket("expiring", "3s");
    let end = client_with(&realm, middle.address, &[], 9, &[("KRB5CCNAME", &cache)]).finish();
    expect_failure(&end, "rejected by the peer");
    expect_log(&server, "Ticket expired");
}

/// the form of the level must be configured on both sides.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn nec_on_one_side_alone_is_refused() {
    let realm = Realm::get();
    let server = Server::start(&realm, &[]);
    let end = client(&realm, server.address, &["--nec"], 9).finish();
    expect_failure(&end, "rejected by the peer");
    expect_log(&server, "GSSAPI context failed: ");

    let server = Server::start(&realm, &["--nec"]);
    let end = client(&realm, server.address, &[], 9).finish();
    expect_failure(&end, "rejected by the peer");
    expect_log(&server, "protection level of 29 bytes");
}

/// The target refuses. The client receives REP 05 through the layer.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn target_that_refuses_is_reported_with_05() {
    let realm = Realm::get();
    let server = Server::start(&realm, &[]);
    let end = client(&realm, server.address, &[], target::refusing().port()).finish();
    expect_failure(&end, "REP 05");
}
