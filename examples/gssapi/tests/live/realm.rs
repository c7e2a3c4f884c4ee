//! A throw-away realm. Tests that run at the same time share one, which ends with the last of them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sans_socks_testing::programs::process::wait_until;

/// Where libkrb5 finds its configuration.
const CONFIGURATION: &str = "KRB5_CONFIG";

/// A key distribution centre, a ticket for alice, and their files.
pub(crate) struct Realm {
    kdc: Child,
    directory: PathBuf,
}

impl Realm {
    /// Returns the current realm, or a new one.
    pub(crate) fn get() -> Arc<Self> {
        static CURRENT: Mutex<Weak<Realm>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        current.upgrade().unwrap_or_else(|| {
            let realm = Arc::new(Self::start());
            *current = Arc::downgrade(&realm);
            realm
        })
    }

    fn start() -> Self {
        for _ in 0..5 {
            let released =
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            let address = released.expect("a free port");
            let mut realm = Self::start_on(address.port());
            wait_until("a key distribution centre that listens", || {
                realm.has_ended() || TcpStream::connect(address).is_ok()
            });
            if !realm.has_ended() {
                realm.get_ticket("ccache", "1h");
                return realm;
            }
            eprintln!("{}", realm.log());
        }
        panic!(
            "the key distribution centre ends at once, on every port: it needs krb5-kdc and krb5-admin-server"
        );
    }

    fn start_on(port: u16) -> Self {
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("realm-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory of its own");
        let log = fs::File::create(directory.join("kdc.out")).expect("a file");
        // The last command of the script is `exec krb5kdc`, so this is the process of the key distribution centre.
        let kdc = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kdc"))
            .arg(&directory)
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("bash");
        Self { kdc, directory }
    }

    fn has_ended(&mut self) -> bool {
        self.kdc.try_wait().expect("a child of ours").is_some()
    }

    fn log(&self) -> String {
        ["kdc.out", "setup.log", "kdc.log"]
            .iter()
            .filter_map(|name| fs::read_to_string(self.path(name)).ok())
            .collect()
    }

    /// Returns the path of a file of the realm.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns a command that runs in the realm.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in [
            "KRB5CCNAME",
            "KRB5_KTNAME",
            "KRB5_CLIENT_KTNAME",
            "KRB5RCACHENAME",
        ] {
            command.env_remove(name);
        }
        command.env(CONFIGURATION, self.path("krb5.conf"));
        command
    }

    /// Gets a ticket for alice into the cache of this name.
    pub(crate) fn get_ticket(&self, cache: &str, lifetime: &str) {
        let mut kinit = self.command("kinit");
        kinit
            .args(["-l", lifetime, "-k", "-t"])
            .arg(self.path("alice.keytab"));
        kinit.arg("-c").arg(self.path(cache)).arg("alice");
        let output = kinit.output().expect("kinit, of krb5-user");
        assert!(output.status.success(), "{output:?}\n{}", self.log());
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        let _ = self.kdc.kill();
        let _ = self.kdc.wait();
        if std::thread::panicking() {
            eprintln!("--- the realm\n{}---", self.log());
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Runs `body` in a process of the realm, since `libkrb5` reads its configuration from the environment. The
/// process runs the test `name`, which must be the caller.
pub(crate) fn inside(name: &str, body: impl FnOnce()) {
    const INSIDE: &str = "SANS_SOCKS_INSIDE_REALM";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let realm = Realm::get();
    let mut test = realm.command(std::env::current_exe().expect("the path of this test"));
    test.env(INSIDE, "yes")
        .args([name, "--exact", "--include-ignored", "--nocapture"]);
    let output = test.output().expect("this test");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(
        stdout.contains("1 passed"),
        "{name} is not the name of the calling test: {stdout}{stderr}"
    );
}
