//! The proxy under test, in this process or as a program, and its resolvers and peers.

mod association;
mod raw;
#[cfg(target_os = "linux")]
mod system;

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Parser;
use sans_socks_proxy::{Config, Options, Resolve, Server, SystemResolver};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::sync::oneshot;

pub(crate) use association::{Association, expect, is_silent};
pub(crate) use raw::{Raw, Target, address, request};
#[cfg(target_os = "linux")]
pub(crate) use system::{Connection, in_namespace, tcp_connections};

/// The time limit for expected events.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CONNECT: u8 = 1;
pub(crate) const BIND: u8 = 2;
pub(crate) const UDP_ASSOCIATE: u8 = 3;

/// A public proxy that accepts both IP versions, and has targets of both on loopback.
pub(crate) const DUAL_STACK: [&str; 7] = [
    "--listen",
    "[::]:0",
    "--open",
    "--allow",
    "127.0.0.0/8",
    "--allow",
    "::1",
];

/// A proxy in this process, on its own runtime. It ends when this is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::with_resolver(args, SystemResolver)
    }

    pub(crate) fn with_resolver(args: &[&str], resolver: impl Resolve) -> Self {
        let listen: &[&str] = if args.contains(&"--listen") {
            &[]
        } else {
            &["--listen", "127.0.0.1:0"]
        };
        let config = config(&[&["--drain-timeout", "0"], listen, args].concat());
        let (stop, stopped) = oneshot::channel();
        let (started, start) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(async {
                let server = Server::bind(config, resolver).expect("it listens");
                started.send(server.local_addrs()[0]).expect("the test waits");
                let stop = async {
                    let _ = stopped.await;
                };
                server.run(stop).await;
            });
            runtime.shutdown_background();
        });
        Self {
            address: start.recv().expect("it starts"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn client(&self) -> Raw {
        Raw::greeted(self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok(), "the proxy has panicked");
        }
    }
}

pub(crate) fn options(args: &[&str]) -> Options {
    Options::try_parse_from(["sans-socks-proxy"].iter().chain(args)).expect("a command line")
}

pub(crate) fn config(args: &[&str]) -> Config {
    Config::try_from(options(args)).expect("settings")
}

/// The program itself.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// What follows the first line.
    pub(crate) stdout: BufReader<ChildStdout>,
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sans-socks-proxy"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env_remove("SANS_SOCKS_PASSWORD");
    command
}

impl Program {
    pub(crate) fn start(args: &[&str]) -> Self {
        let listen: &[&str] = if args.contains(&"--listen") {
            &[]
        } else {
            &["--listen", "127.0.0.1:0"]
        };
        Self::spawn(command(&[listen, args].concat()))
    }

    /// As `start`, with one worker thread. With more, memory and threads depend on which of them were busy. Unused memory
    /// is returned to the system at once.
    pub(crate) fn with_one_worker(args: &[&str]) -> Self {
        let mut command = command(&[&["--listen", "127.0.0.1:0"], args].concat());
        command.env("TOKIO_WORKER_THREADS", "1");
        command.env("MIMALLOC_PURGE_DELAY", "0");
        Self::spawn(command)
    }

    /// As `start`, with a limit of descriptors.
    pub(crate) fn with_descriptors(limit: u32, args: &[&str]) -> Self {
        let mut limited = Command::new("sh");
        limited
            .arg("-c")
            .arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\""));
        limited
            .arg(env!("CARGO_BIN_EXE_sans-socks-proxy"))
            .args(["--listen", "127.0.0.1:0"])
            .args(args);
        limited
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self::spawn(limited)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program was built");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("text");
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("first line of stdout: {line:?}"));
        Self {
            address: address.parse().expect("an address"),
            child,
            stdout,
        }
    }

    pub(crate) fn client(&self) -> Raw {
        Raw::greeted(self.address)
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill is there").success());
    }

    /// Waits until it ends. Returns stderr as well.
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        let mut stderr = String::new();
        let pipe = self
            .child
            .stderr
            .take()
            .map(|mut pipe| pipe.read_to_string(&mut stderr));
        pipe.transpose().expect("text");
        (status, stderr)
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .expect("it runs")
            .count()
    }

    pub(crate) fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .expect("it runs")
            .count()
    }

    /// Processor time of all threads, in user mode and in the kernel.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        let ticks = fields.split(' ').skip(11).take(2); // utime and stime, in 1/100 s
        let ticks: u64 = ticks.map(|it| it.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(10 * ticks)
    }

    /// Resident memory that is not backed by files, in KiB.
    pub(crate) fn memory(&self) -> i64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .expect("Linux");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a program to end.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    eventually("the program ends", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.expect("it has ended")
}

/// Runs a program that is expected to end by itself. Returns its exit code, stdout and stderr.
#[track_caller]
pub(crate) fn run(mut command: Command) -> (Option<i32>, String, String) {
    let mut child = command.spawn().expect("the program was built");
    eventually("the program ends", || {
        child.try_wait().expect("a child").is_some()
    });
    let output = child.wait_with_output().expect("pipes");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Waits for a condition.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) const ANYONE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("it listens");
    (listener, address)
}

#[track_caller]
pub(crate) fn accept(listener: &TcpListener) -> Raw {
    let limit = SockRef::from(listener).set_read_timeout(Some(PATIENCE));
    limit.expect("a duration");
    Raw::over(listener.accept().expect("a connection").0)
}

/// Returns whether no connection has arrived.
pub(crate) fn is_unused(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).expect("a listener");
    let unused = listener.accept().is_err();
    listener.set_nonblocking(false).expect("a listener");
    unused
}

/// Returns an address that refuses connections. The socket keeps the port.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .expect("loopback");
    let address = socket.local_addr().expect("bound").as_socket().expect("IP");
    (socket, address)
}

/// A listener whose queue is full, so that it answers no more connections.
pub(crate) struct Silent {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

pub(crate) fn silent() -> Silent {
    silent_at((Ipv4Addr::LOCALHOST, 0).into())
}

pub(crate) fn silent_at(address: SocketAddr) -> Silent {
    let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    listener.bind(&address.into()).expect("loopback");
    listener.listen(0).expect("bound");
    let address = listener.local_addr().expect("bound").as_socket().expect("IP");
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queue.push(stream);
    }
    Silent {
        address,
        _listener: listener,
        _queue: queue,
    }
}

/// Lets a socket hold a burst of datagrams. As root, a test may exceed the system's limit, as the proxy does.
pub(crate) fn hold_burst(socket: &UdpSocket) {
    const SIZE: usize = 4 << 20;
    #[cfg(target_os = "linux")]
    if nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::RcvBufForce, &SIZE).is_ok() {
        return;
    }
    let _ = SockRef::from(socket).set_recv_buffer_size(SIZE);
}

pub(crate) fn udp(ip: impl Into<IpAddr>) -> (UdpSocket, SocketAddr) {
    let socket = udp_at((ip.into(), 0).into()).expect("a local address");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

fn udp_at(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Returns a socket at each address, all with one port. At some of them, another test may have the first port that is free.
pub(crate) fn udp_with_one_port<const N: usize>(ips: [IpAddr; N]) -> ([UdpSocket; N], u16) {
    let attempt = |_| {
        let port = udp(ips[0]).1.port();
        let sockets = ips.map(|ip| udp_at((ip, port).into()).ok());
        let sockets: Option<Vec<_>> = sockets.into_iter().collect();
        Some((sockets?.try_into().ok()?, port))
    };
    (0..100)
        .find_map(attempt)
        .expect("a port that is free at each address")
}

/// Returns a datagram of a client.
pub(crate) fn datagram(target: impl Into<Target>, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, 0][..], &address(target), payload].concat()
}

pub(crate) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const LOCALHOST_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A resolver that calls a function.
pub(crate) struct Names<F>(pub(crate) F);

impl<F> Resolve for Names<F>
where
    F: Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
{
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((self.0)(name)?
            .into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .collect())
    }
}

/// A resolver that returns this host for every name. Names that begin with `slow` wait until the test opens the gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<GateState>);

#[derive(Default)]
struct GateState {
    open: Mutex<bool>,
    opened: Condvar,
    begun: AtomicUsize,
}

impl Gate {
    /// Returns how many look-ups of slow names have started.
    pub(crate) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) {
        *self.0.open.lock().expect("no panic") = true;
        self.0.opened.notify_all();
    }
}

impl Resolve for Gate {
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if name.starts_with("slow") {
            self.0.begun.fetch_add(1, Ordering::SeqCst);
            let open = self.0.open.lock().expect("no panic");
            drop(self.0.opened.wait_while(open, |open| !*open).expect("no panic"));
        }
        Ok(vec![SocketAddr::new(LOCALHOST, port)])
    }
}

pub(crate) fn write_file(path: &Path, text: &str) {
    fs::write(path, text).expect("a temporary directory");
}
