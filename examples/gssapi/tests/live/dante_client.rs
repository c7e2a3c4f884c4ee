//! `gssapi_server` with Dante's client: curl with its library preloaded.

use std::fs;

use crate::danted::built;
use crate::programs::{Server, expect_log, http, mebibyte};
use crate::realm::Realm;
use sans_socks_testing::programs::process::{Finished, Process};

/// Fetches 1 MiB.
fn fetch(realm: &Realm, server: &Server, encryption: &str) -> Finished {
    let http = http(mebibyte());
    let directory = realm.path(&format!("dante-client-{}", server.address.port()));
    fs::create_dir_all(&directory).expect("a directory of its own");
    let text = include_str!("dante-client.conf.in")
        .replace("@DIR@", &directory.to_string_lossy())
        .replace("@TARGET@", &http.port().to_string())
        .replace("@PORT@", &server.address.port().to_string())
        .replace("@ENCTYPE@", encryption);
    let configuration = directory.join("socks.conf");
    fs::write(&configuration, text).expect("its configuration");
    let mut curl = realm.command("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30"]);
    curl.arg(format!("http://127.0.0.1:{}/", http.port()));
    curl.env("SOCKS_AUTOADD_LANROUTES", "no");
    curl.env("SOCKS_CONF", configuration)
        .env("LD_PRELOAD", built("libdsocksd.so.0"));
    Process::start(curl).finish()
}

fn expect_fetched(levels: &str, encryption: &str, logged: &str) {
    let realm = Realm::get();
    let server = Server::start(&realm, &["--levels", levels]);
    let end = fetch(&realm, &server, encryption);
    assert!(end.status.success(), "{}", end.stderr);
    assert!(end.stdout == mebibyte(), "other bytes were received");
    expect_log(&server, &format!("alice@EXAMPLE.TEST, {logged}"));
}

#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server, krb5-user, curl and Dante's client with GSSAPI"]
fn dante_client_at_integrity_is_served() {
    expect_fetched("1,2,3", "integrity", "integrity");
}

#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server, krb5-user, curl and Dante's client with GSSAPI"]
fn dante_client_at_confidentiality_is_served() {
    expect_fetched("1,2,3", "confidentiality", "confidentiality");
}

#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server, krb5-user, curl and Dante's client with GSSAPI"]
fn dante_client_at_level_00_is_served_by_option() {
    expect_fetched("0", "clear", "in the clear");
}

/// Level 00 is opt-in.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server, krb5-user, curl and Dante's client with GSSAPI"]
fn dante_client_at_level_00_is_refused_by_default() {
    let realm = Realm::get();
    let server = Server::start(&realm, &[]);
    let end = fetch(&realm, &server, "clear");
    assert!(!end.status.success());
    assert_eq!(end.stdout, b"");
    expect_log(&server, "protection level 0x00 is not allowed");
}
