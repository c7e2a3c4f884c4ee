//! Programs that a test starts. They end with the test, even if it fails.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long to wait for anything that should happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often to check for an event that cannot wake the test.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until a condition is true. Panics with `what` if it never is.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "still waiting: {what}");
        thread::sleep(PAUSE);
    }
}

/// Returns the directory of the profile that runs this test, for instance `target/debug`.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("deps/ in the profile's directory");
    profile.to_owned()
}

/// Returns an example that `cargo test` or `cargo build --examples` has built.
pub fn example(name: &str) -> Command {
    built(&format!("examples/{name}"), "cargo build --examples")
}

/// Returns a program that `how` builds, by its path in the profile's directory.
pub fn built(name: &str, how: &str) -> Command {
    let path = profile()
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.is_file(), "{} is missing: run `{how}` first", path.display());
    Command::new(path)
}

/// Returns the target directory.
fn target_directory() -> PathBuf {
    let profile = profile();
    profile.parent().expect("the target directory").to_owned()
}

/// Returns a directory for files that tests write.
pub fn scratch() -> PathBuf {
    let path = target_directory().join("tmp");
    fs::create_dir_all(&path).expect("a directory for files");
    path
}

/// Returns the path of something that `.ci/run` installs only for these tests.
pub fn installed(name: &str) -> PathBuf {
    let path = target_directory().join("interop").join(name);
    assert!(
        path.exists(),
        "{} is missing: .ci/run installs it",
        path.display()
    );
    path
}

/// A running program. It is killed when this is dropped, and after [`PATIENCE`], so that no test waits for ever.
pub struct Process {
    name: String,
    child: Arc<Mutex<Child>>,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Arc<Mutex<String>>,
    collector: Option<JoinHandle<()>>,
    _still_wanted: mpsc::Sender<()>,
}

impl Process {
    /// Starts a program with its input and outputs connected to the test.
    pub fn start(mut command: Command) -> Self {
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

    /// Asks the program to end, so that it can end its own children, and waits for up to 5 s.
    pub fn terminate(&self) {
        let kill = format!("kill {}", self.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let asked = Instant::now();
        while !self.has_ended() && asked.elapsed() < Duration::from_secs(5) {
            thread::sleep(PAUSE);
        }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.lock().expect("no panic").id()
    }

    /// Reads the next line of stdout, and returns it without its end.
    pub fn line(&mut self) -> String {
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

    /// Returns the text that it has written to stderr so far.
    pub fn log(&self) -> String {
        self.stderr.lock().expect("no panic").clone()
    }

    /// Returns whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.status().is_some()
    }

    fn status(&self) -> Option<ExitStatus> {
        self.child
            .lock()
            .expect("no panic")
            .try_wait()
            .expect("a child of ours")
    }

    /// Ends its stdin, waits for its end, and returns the rest of its output.
    pub fn finish(mut self) -> Finished {
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

    /// Expects that it fails, with `reason` on stderr and nothing on stdout.
    #[track_caller]
    pub fn expect_failure(self, reason: &str) {
        let end = self.finish();
        assert!(!end.status.success());
        assert!(end.stderr.contains(reason), "{}", end.stderr);
        assert_eq!(end.stdout, b"");
    }

    /// Writes to its stdin, which stays open.
    pub fn send(&mut self, data: &[u8]) {
        let stdin = self.stdin.as_mut().expect("open until the end");
        let written = stdin.write_all(data).and_then(|()| stdin.flush());
        assert!(written.is_ok(), "{written:?} {}: {}", self.name, self.log());
    }

    /// Ends its stdin.
    pub fn end(&mut self) {
        drop(self.stdin.take());
    }

    /// Reads exactly `data` from its stdout.
    pub fn expect(&mut self, data: &[u8]) {
        let mut got = vec![0; data.len()];
        let read = self.stdout.read_exact(&mut got);
        assert!(read.is_ok(), "{read:?} {}: {}", self.name, self.log());
        assert!(got == data, "the output of {} differs", self.name);
    }

    /// Sends `data` into the tunnel between its stdin and stdout, and expects it back from a target that echoes.
    ///
    /// Then ends stdin, and expects no more output and a successful exit.
    pub fn expect_echo(mut self, data: &[u8]) {
        let mut stdin = self.stdin.take().expect("open until the end");
        let stdin = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                stdin.write_all(data).and_then(|()| stdin.flush())?;
                io::Result::Ok(stdin)
            });
            self.expect(data);
            writer.join().expect("no panic").expect("all of it is written")
        });
        drop(stdin);
        let end = self.finish();
        assert!(end.status.success(), "{:?}: {}", end.status, end.stderr);
        assert_eq!(end.stdout, b"", "unexpected bytes");
    }

    /// Sends lines, which become datagrams to a target that echoes.
    ///
    /// Expects each back, preceded by the address that it was received from: `host`, or an address of that name.
    pub fn expect_answers(mut self, host: &str, port: u16) {
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
        assert_eq!(end.stdout, b"", "unexpected answers");
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

/// How a program has ended.
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// The rest of stdout.
    pub stdout: Vec<u8>,
    /// All of stderr.
    pub stderr: String,
}

/// Starts a server that cannot choose its port. Uses a free port, and another one if that was taken in the meantime.
pub fn start_on_free_port(mut start: impl FnMut(u16) -> Process) -> (Process, SocketAddr) {
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
