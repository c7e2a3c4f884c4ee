//! Programs that a test starts: looked up, watched, and ended with the test, however the test ends.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// When to give up on anything that should have happened.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look again where there is nothing to wait on.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks again and again; panics with `what` when it has not come true in time.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "still waiting: {what}");
        thread::sleep(PAUSE);
    }
}

/// One of this package's examples, as `cargo test` or `cargo build --examples` has built it.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("deps/ in the profile's directory");
    let path = profile
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --examples` first",
        path.display()
    );
    Command::new(path)
}

/// Where `.ci/run` puts what it installs for these tests alone.
pub(crate) fn installed(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("interop")
        .join(name);
    assert!(
        path.exists(),
        "{} is missing: .ci/run installs it",
        path.display()
    );
    path
}

/// A file beside these sources.
pub(crate) fn source(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop")).join(name)
}

/// Lets this process, and those that it starts from now on, have `limit` files open.
#[cfg(target_os = "linux")]
pub(crate) fn allow_descriptors(limit: u32) {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &std::process::id().to_string()]);
    let status = prlimit.arg(format!("--nofile={limit}:")).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "prlimit cannot raise the limit"
    );
}

/// A running program. It is killed when this is dropped, and when it has run for [`PATIENCE`], so that a test which
/// reads from it comes to an end.
pub(crate) struct Process {
    name: String,
    child: Arc<Mutex<Child>>,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Arc<Mutex<String>>,
    collector: Option<JoinHandle<()>>,
    _still_wanted: mpsc::Sender<()>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}; .ci/run installs the programs"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let stderr = Arc::new(Mutex::new(String::new()));
        let collector = thread::spawn({
            let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
            let stderr = Arc::clone(&stderr);
            move || {
                for line in lines.map_while(Result::ok) {
                    let _ = writeln!(stderr.lock().expect("no panic"), "{line}");
                }
            }
        });
        let child = Arc::new(Mutex::new(child));
        let (_still_wanted, wanted) = mpsc::channel();
        thread::spawn({
            let child = Arc::clone(&child);
            move || {
                if wanted.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    let _ = child.lock().expect("no panic").kill();
                }
            }
        });
        Self {
            name,
            child,
            stdin,
            stdout,
            stderr,
            collector: Some(collector),
            _still_wanted,
        }
    }

    /// Asks it to end, so that it can end children of its own, and gives it a moment.
    pub(crate) fn terminate(&self) {
        let kill = format!("kill {}", self.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let asked = Instant::now();
        while !self.has_ended() && asked.elapsed() < Duration::from_secs(5) {
            thread::sleep(PAUSE);
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.lock().expect("no panic").id()
    }

    /// The next line on stdout, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line of text");
        assert!(
            line.ends_with('\n'),
            "{} ended after {line:?}: {}",
            self.name,
            self.log()
        );
        line.trim_end().to_owned()
    }

    /// What it has written to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.lock().expect("no panic").clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.status().is_some()
    }

    fn status(&self) -> Option<ExitStatus> {
        self.child
            .lock()
            .expect("no panic")
            .try_wait()
            .expect("a child of ours")
    }

    /// The rest of stdout, and whether it ended well; it gets no more input.
    pub(crate) fn finish(mut self) -> Finished {
        drop(self.stdin.take());
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).expect("stdout");
        let mut status = None;
        wait_until(&format!("end of {}", self.name), || {
            status = self.status();
            status.is_some()
        });
        if let Some(collector) = self.collector.take() {
            collector.join().expect("no panic");
        }
        Finished {
            status: status.expect("waited for"),
            stdout,
            stderr: self.log(),
        }
    }

    /// Into its stdin, which stays open.
    pub(crate) fn send(&mut self, data: &[u8]) {
        let stdin = self.stdin.as_mut().expect("open until the end");
        let written = stdin.write_all(data).and_then(|()| stdin.flush());
        assert!(written.is_ok(), "{written:?} {}: {}", self.name, self.log());
    }

    /// Ends its stdin.
    pub(crate) fn end(&mut self) {
        drop(self.stdin.take());
    }

    /// From its stdout.
    pub(crate) fn expect(&mut self, data: &[u8]) {
        let mut got = vec![0; data.len()];
        let read = self.stdout.read_exact(&mut got);
        assert!(read.is_ok(), "{read:?} {}: {}", self.name, self.log());
        assert!(got == data, "what came out of {} differs", self.name);
    }

    /// Sends `data` into the tunnel that this program has made of its stdin and stdout, and wants the same octets back
    /// from a far end that echoes; then half-closes, and wants nothing more and a good end.
    pub(crate) fn expect_echo(mut self, data: &[u8]) {
        let mut stdin = self.stdin.take().expect("open until the end");
        let stdin = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                stdin.write_all(data).and_then(|()| stdin.flush())?;
                io::Result::Ok(stdin)
            });
            self.expect(data);
            writer.join().expect("no panic").expect("all of it taken")
        });
        drop(stdin);
        let end = self.finish();
        assert!(end.status.success(), "{:?}: {}", end.status, end.stderr);
        assert_eq!(end.stdout, b"", "octets that nobody sent");
    }

    /// Gives it lines for a target that echoes datagrams, and wants each back, behind the address that it came from:
    /// that of `host`, or where that is a name, one of those it stands for.
    pub(crate) fn expect_answers(mut self, host: &str, port: u16) {
        for text in ["one", "two words", &"long ".repeat(1_000)] {
            self.send(format!("{text}\n").as_bytes());
            let answer = self.line();
            let mut parts = answer.splitn(3, ' ');
            let (source, source_port) = (parts.next().expect("an address"), parts.next());
            let source: IpAddr = source.parse().expect("an address");
            let asked = host.parse().unwrap_or(source);
            assert!(source == asked && source.is_loopback(), "from {source}");
            assert_eq!(source_port, Some(&*port.to_string()));
            assert_eq!(parts.next().map(str::trim_end), Some(text.trim_end()));
        }
        let end = self.finish();
        assert!(end.status.success(), "{}", end.stderr);
        assert_eq!(end.stdout, b"", "answers that nobody sent");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("--- stderr of {}\n{}---", self.name, self.log());
        }
    }
}

/// How a program ended.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Starts a server that cannot choose its port by itself: on one that is free just now, and on another one when
/// somebody else was faster.
pub(crate) fn start_on_free_port(mut start: impl FnMut(u16) -> Process) -> (Process, SocketAddr) {
    for _ in 0..5 {
        let released = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = released.expect("a free port");
        let process = start(address.port());
        wait_until("a server that listens", || {
            process.has_ended() || TcpStream::connect(address).is_ok()
        });
        if !process.has_ended() {
            return (process, address);
        }
        eprintln!("{} on {address}: {}", process.name, process.log());
    }
    panic!("the server ends at once, on every port");
}
