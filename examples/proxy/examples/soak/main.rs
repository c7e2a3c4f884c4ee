//! Soak test: mixed load with faults, after which the proxy must have released everything.
//!
//! `cargo run --release -p sans-socks-proxy --example soak -- MINUTES` runs the proxy in a second process, with a resolver
//! that has slow names. After a minute of load it waits until the proxy is idle, and records descriptors, threads and
//! memory. After MINUTES more of the same load it compares. The exit code is 1 if the proxy has not released everything,
//! if a session failed, or if the proxy has logged an error.

mod sessions;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use mimalloc::MiMalloc;
use sans_socks_proxy::{Config, Logging, Options, Resolve, Server};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::sessions::{Client, Kind, SESSIONS};

/// How long one session may take. The longest takes half of that: a tunnel without data, until its idle limit.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// Loops that run each kind of session, and the pause between two sessions.
const LOOPS: u8 = 4;
const PAUSE: Duration = Duration::from_millis(20);

/// How much allocators and tables may grow after the first minute, in KiB.
const ALLOWED_GROWTH: i64 = 2048;

/// The allocator of the proxy, as in `src/main.rs`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> io::Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("serve") => serve(args).map(|()| ExitCode::SUCCESS),
        minutes => {
            let minutes: f64 = minutes.unwrap_or("20").parse().map_err(io::Error::other)?;
            tokio::runtime::Runtime::new()?.block_on(soak(Duration::from_secs_f64(minutes * 60.0)))
        }
    }
}

/// The proxy's process.
fn serve(args: impl Iterator<Item = String>) -> io::Result<()> {
    let options = Options::parse_from(["serve".to_owned()].into_iter().chain(args));
    let _logging = Logging::start(options.log_level);
    let config = Config::try_from(options).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let server = Server::bind(config, SlowNames)?;
        println!("{}", server.local_addrs()[0]);
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        server.run(async move { _ = terminate.recv().await }).await;
        Ok(())
    })
}

/// `slow…` takes two seconds and has no address. `quick…` is this host.
struct SlowNames;

impl Resolve for SlowNames {
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if name.starts_with("slow") {
            thread::sleep(Duration::from_secs(2));
            return Err(io::ErrorKind::NotFound.into());
        }
        let host = if name.starts_with("quick") {
            "127.0.0.1"
        } else {
            name
        };
        Ok((host, port).to_socket_addrs()?.collect())
    }
}

/// The resources that a process holds.
#[derive(Clone, Copy, Debug)]
struct Usage {
    descriptors: usize,
    threads: usize,
    /// Resident memory that is not backed by files, in KiB.
    memory: i64,
}

impl Usage {
    fn of(process: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let memory = memory.and_then(|kib| kib.trim().trim_end_matches(" kB").parse().ok());
        Ok(Self {
            descriptors: fs::read_dir(format!("/proc/{process}/fd"))?.count(),
            threads: fs::read_dir(format!("/proc/{process}/task"))?.count(),
            memory: memory.unwrap_or_default(),
        })
    }
}

async fn soak(duration: Duration) -> io::Result<ExitCode> {
    let mut proxy = Command::new(std::env::current_exe()?)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--socks4",
            "--log-level",
            "warn",
        ])
        .args([
            "--handshake-timeout",
            "5",
            "--idle-timeout",
            "30",
            "--max-per-client",
            "1000",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(proxy.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
    let stderr = proxy.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let log = thread::spawn(move || {
        BufReader::new(stderr)
            .lines()
            .map_while(Result::ok)
            .collect::<Vec<_>>()
    });
    let world = Arc::new(World::new(line.trim().parse().map_err(io::Error::other)?).await?);

    load(&world, &proxy, Duration::from_secs(60)).await?;
    let start = at_rest(&proxy, None).await?;
    println!("start: {start:?}");
    load(&world, &proxy, duration).await?;
    let end = at_rest(&proxy, Some(start)).await?;
    println!("end:   {end:?}");

    let stopped = Command::new("kill").arg(proxy.id().to_string()).status()?;
    let ended = proxy.wait()?;
    let log = log.join().unwrap_or_default();
    let (mut errors, mut others) = (0, 0);
    for line in &log {
        if line.contains("ERROR") || line.contains("panicked") || line.contains("still open") {
            errors += 1;
            println!("proxy: {line}");
        } else {
            others += 1;
        }
    }
    println!("{errors} errors and {others} other lines in the proxy's log; it ended with {ended}");
    let failures = world.report();
    let nothing_left = end.descriptors <= start.descriptors
        && end.threads <= start.threads
        && end.memory <= start.memory + ALLOWED_GROWTH;
    let fine = nothing_left && failures == 0 && errors == 0 && stopped.success() && ended.success();
    println!("{}", if fine { "nothing is left over" } else { "FAILED" });
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs every kind of session for a while. Prints every minute what the proxy holds under load.
async fn load(world: &Arc<World>, proxy: &Child, duration: Duration) -> io::Result<()> {
    world.stop.store(false, Relaxed);
    let mut loops = tokio::task::JoinSet::new();
    for kind in 0..SESSIONS.len() {
        for copy in 0..LOOPS {
            loops.spawn(repeat(world.clone(), kind, copy));
        }
    }
    let start = Instant::now();
    while start.elapsed() < duration {
        sleep(
            duration
                .saturating_sub(start.elapsed())
                .min(Duration::from_secs(60)),
        )
        .await;
        println!(
            "{:5.0} s: {:?}",
            start.elapsed().as_secs_f64(),
            Usage::of(proxy.id())?
        );
    }
    world.stop.store(true, Relaxed);
    while loops.join_next().await.is_some() {}
    Ok(())
}

/// Waits until the proxy has closed all its connections, and its idle threads have ended.
async fn at_rest(proxy: &Child, before: Option<Usage>) -> io::Result<Usage> {
    sleep(Duration::from_secs(20)).await;
    let mut usage = Usage::of(proxy.id())?;
    for _ in 0..40 {
        if before.is_some_and(|it| usage.descriptors <= it.descriptors && usage.threads <= it.threads) {
            break;
        }
        sleep(Duration::from_secs(1)).await;
        usage = Usage::of(proxy.id())?;
    }
    Ok(usage)
}

async fn repeat(world: Arc<World>, kind: usize, copy: u8) {
    let Kind { name, run } = SESSIONS[kind];
    let mut n = u64::from(copy);
    while !world.stop.load(Relaxed) {
        n += u64::from(LOOPS);
        let client = Client {
            world: &world,
            ip: Ipv4Addr::new(127, 0, 1 + kind as u8, 1 + copy).into(),
            n,
        };
        match timeout(SESSION_TIMEOUT, run(client))
            .await
            .map_err(io::Error::from)
        {
            Ok(Ok(())) => world.sessions[kind].fetch_add(1, Relaxed),
            Ok(Err(error)) | Err(error) => {
                eprintln!("{name} {n}: {error}");
                world.failures[kind].fetch_add(1, Relaxed)
            }
        };
        sleep(PAUSE).await;
    }
}

/// The proxy, its targets, and the results of the sessions.
struct World {
    proxy: SocketAddr,
    /// Sends everything back.
    echo: SocketAddr,
    /// Reads a little, answers, and closes with input unread.
    early: SocketAddr,
    /// Reads a byte, answers, and resets the connection.
    reset: SocketAddr,
    /// Does not answer: its queue is full.
    silent: SocketAddr,
    udp_echo: SocketAddr,
    stop: AtomicBool,
    sessions: Vec<AtomicU64>,
    failures: Vec<AtomicU64>,
}

const ANSWER: usize = 40_000;

impl World {
    async fn new(proxy: SocketAddr) -> io::Result<Self> {
        let silent = TcpSocket::new_v4()?;
        silent.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = silent.listen(0)?;
        let silent = listener.local_addr()?;
        let mut queue = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(silent)).await {
            queue.push(stream?);
        }
        std::mem::forget((listener, queue)); // for as long as this process runs
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let udp_echo = udp.local_addr()?;
        tokio::spawn(async move {
            let mut buffer = vec![0; 65536];
            loop {
                if let Ok((len, from)) = udp.recv_from(&mut buffer).await {
                    let _ = udp.send_to(&buffer[..len], from).await;
                }
            }
        });
        Ok(Self {
            proxy,
            echo: target(async |mut stream| {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            })
            .await?,
            early: target(async |mut stream| {
                let _ = stream.read_exact(&mut [0; 10]).await;
                let _ = stream.write_all(&[b'A'; ANSWER]).await;
                sleep(Duration::from_millis(3)).await;
            })
            .await?,
            reset: target(async |mut stream| {
                let _ = stream.read_exact(&mut [0]).await; // a byte shows that the proxy is connected
                let _ = stream.write_all(&[b'A'; ANSWER]).await;
                sleep(Duration::from_millis(100)).await; // a reset discards what the proxy has not read
                reset(stream);
            })
            .await?,
            silent,
            udp_echo,
            stop: AtomicBool::new(false),
            sessions: SESSIONS.iter().map(|_| AtomicU64::new(0)).collect(),
            failures: SESSIONS.iter().map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Prints the results of the sessions. Returns how many failed.
    fn report(&self) -> u64 {
        let mut all = 0;
        for (kind, Kind { name, .. }) in SESSIONS.iter().enumerate() {
            let failures = self.failures[kind].load(Relaxed);
            all += failures;
            println!(
                "{:8} {name}, {failures} failed",
                self.sessions[kind].load(Relaxed)
            );
        }
        all
    }
}

/// Starts a target on loopback.
async fn target(serve: impl AsyncFn(TcpStream) + Copy + Send + Sync + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // It needs its own thread, because an async closure cannot be required to be `Send`.
    thread::spawn(move || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::task::spawn_local(async move { serve(stream).await });
            }
        })
    });
    Ok(address)
}

/// Closes a connection by a reset.
fn reset(stream: TcpStream) {
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}
