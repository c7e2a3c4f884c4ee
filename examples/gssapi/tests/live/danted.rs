//! `gssapi_client` with Dante's danted, built with GSSAPI.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fs, thread};

use crate::programs::{client, expect_failure};
use crate::realm::Realm;
use sans_socks_testing::programs::process::{Process, start_on_free_port};

/// Returns the path of a program that `tests/build-dante` has built.
pub(crate) fn built(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/interop/dante-gssapi")
        .join(name);
    assert!(
        path.exists(),
        "{} is missing: run tests/build-dante",
        path.display()
    );
    path
}

/// A running danted. It ends its children when it is terminated.
struct Danted {
    process: Process,
    address: SocketAddr,
    log: PathBuf,
}

impl Danted {
    fn start(realm: &Realm, nec: bool) -> Self {
        let mut log = PathBuf::new();
        let (process, address) = start_on_free_port(|port| {
            let directory = realm.path(&format!("danted-{port}"));
            fs::create_dir_all(&directory).expect("a directory of its own");
            let text = include_str!("danted.conf.in")
                .replace("@DIR@", &directory.to_string_lossy())
                .replace("@KEYTAB@", &realm.path("service.keytab").to_string_lossy())
                .replace("@NEC@", if nec { "clientcompatibility: necgssapi" } else { "" })
                .replace("@PORT@", &port.to_string());
            log = directory.join("danted.log");
            let configuration = directory.join("danted.conf");
            fs::write(&configuration, text).expect("its configuration");
            let mut command = realm.command(built("sockd"));
            command
                .arg("-f")
                .arg(configuration)
                .arg("-p")
                .arg(directory.join("pid"));
            Process::start(command)
        });
        Self {
            process,
            address,
            log,
        }
    }
}

impl Drop for Danted {
    fn drop(&mut self) {
        self.process.terminate();
        if thread::panicking() {
            eprintln!(
                "--- danted.log\n{}---",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
    }
}

macro_rules! tests {
    ($($name:ident: $nec:literal, $($option:literal),+;)+) => {
        $(mod $name {
            use super::Danted;
            use crate::programs;
            use crate::realm::Realm;

            #[test]
            #[ignore = "needs krb5-kdc, krb5-admin-server, krb5-user and danted with GSSAPI, run as root"]
            fn connect_is_relayed() {
                let realm = Realm::get();
                programs::connect(&realm, Danted::start(&realm, $nec).address, &[$($option),+]);
            }

            #[test]
            #[ignore = "needs krb5-kdc, krb5-admin-server, krb5-user and danted with GSSAPI, run as root"]
            fn bind_has_two_replies() {
                let realm = Realm::get();
                programs::bind(&realm, Danted::start(&realm, $nec).address, &[$($option),+]);
            }

            #[test]
            #[ignore = "needs krb5-kdc, krb5-admin-server, krb5-user and danted with GSSAPI, run as root"]
            fn datagrams_are_relayed() {
                let realm = Realm::get();
                programs::udp(&realm, Danted::start(&realm, $nec).address, &[$($option),+]);
            }
        })+
    };
}

tests!(
    integrity: false, "--levels", "1";
    confidentiality: false, "--levels", "2";
    clear: false, "--levels", "0";
    nec_integrity: true, "--levels", "1", "--nec";
    nec_confidentiality: true, "--levels", "2", "--nec";
);

/// danted refuses a level by closing, without `01 FF`.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server, krb5-user and danted with GSSAPI, run as root"]
fn selective_level_is_refused_without_an_abort() {
    let realm = Realm::get();
    let danted = Danted::start(&realm, false);
    let end = client(&realm, danted.address, &["--levels", "3"], 9).finish();
    expect_failure(&end, "connection ended before a message of type protection level");
}
