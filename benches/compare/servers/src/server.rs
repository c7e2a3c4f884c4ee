//! The servers under load: how each is started, measured and stopped.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use procfs::process::{Process, Stat, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to listen, and to end after a signal.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to check for an event that cannot wake this program.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Args)]
pub(crate) struct Places {
    /// Find the servers from the registry here
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target/tools/bin"))]
    tools: PathBuf,
    /// Find `sans-socks-proxy` and the directory `examples` here
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target/release"))]
    programs: PathBuf,
    /// Set the handshake timeout of `sans-socks-proxy`
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    handshake_timeout: u32,
}

impl Places {
    /// Returns the version of a package among the tools.
    fn installed_version(&self, package: &str) -> Option<String> {
        let mut command = Command::new("cargo");
        command.args(["install", "--list", "--root"]);
        let installed = output(command.arg(self.tools.parent()?))?;
        let version = installed.lines().find_map(|line| {
            let (name, version) = line.split_once(" v")?;
            (name == package).then_some(version)
        })?;
        Some(version.trim_end_matches(':').to_owned())
    }
}

/// The handshake timeout of the servers in `examples/*.rs`.
const THIN_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Program {
    #[value(name = "sans-socks-proxy")]
    Proxy,
    MioServer,
    StdServer,
    #[value(name = "fast-socks5")]
    FastSocks5,
    Microsocks,
    Danted,
    Sslocal,
}

impl Program {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "sans-socks-proxy",
            Self::MioServer => "mio_server",
            Self::StdServer => "std_server",
            Self::FastSocks5 => "fast-socks5",
            Self::Microsocks => "microsocks",
            Self::Danted => "danted",
            Self::Sslocal => "sslocal",
        }
    }

    /// Returns after which time a server closes an unfinished handshake, or `None` if it has no such deadline.
    pub(crate) fn deadline(self, places: &Places) -> Option<Duration> {
        match self {
            Self::Proxy => Some(Duration::from_secs(places.handshake_timeout.into())),
            Self::MioServer | Self::StdServer => Some(THIN_DEADLINE),
            Self::FastSocks5 | Self::Microsocks | Self::Danted | Self::Sslocal => None,
        }
    }

    pub(crate) const fn is_ours(self) -> bool {
        matches!(self, Self::Proxy | Self::MioServer | Self::StdServer)
    }

    /// Returns how many connections it can hold. The system limits a server with a thread for each connection.
    pub(crate) const fn max_held(self) -> usize {
        match self {
            Self::StdServer => 4096,
            _ => usize::MAX,
        }
    }

    pub(crate) const fn relays_udp(self) -> bool {
        !matches!(self, Self::MioServer | Self::StdServer | Self::Microsocks)
    }

    /// Returns the version of a server that is not this crate's, if it is known.
    pub(crate) fn version(self, places: &Places) -> Option<String> {
        let package = match self {
            Self::Proxy | Self::MioServer | Self::StdServer => return None,
            Self::FastSocks5 => return places.installed_version("fast-socks5"),
            Self::Sslocal => return places.installed_version("shadowsocks-rust"),
            Self::Microsocks => "microsocks",
            Self::Danted => "dante-server",
        };
        output(Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]))
    }

    fn command(self, places: &Places, address: SocketAddr, directory: &Path) -> io::Result<Command> {
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        Ok(match self {
            Self::Proxy => {
                let mut command = Command::new(places.programs.join(self.name()));
                command.args(["--listen", &address.to_string(), "--log-level", "error"]);
                command.args(["--handshake-timeout", &places.handshake_timeout.to_string()]);
                command.args(["--max-connections", "1000000", "--max-per-client", "1000000"]);
                command
            }
            Self::MioServer | Self::StdServer => {
                let mut command = Command::new(places.programs.join("examples").join(self.name()));
                command.arg(address.to_string());
                command
            }
            Self::FastSocks5 => {
                let mut command = Command::new(places.tools.join("server"));
                command.args(["--listen-addr", &address.to_string()]);
                command.args(["--allow-udp", "--public-addr", &ip, "no-auth"]);
                command
            }
            Self::Microsocks => {
                let mut command = Command::new("microsocks");
                command.args(["-i", &ip, "-p", &port]);
                command
            }
            Self::Danted => {
                let configuration = directory.join("danted.conf");
                let text = include_str!("../danted.conf.in")
                    .replace("@DIR@", &directory.to_string_lossy())
                    .replace("@PORT@", &port);
                fs::write(&configuration, text)?;
                let mut command = Command::new("danted");
                command.arg("-f").arg(configuration);
                command
            }
            Self::Sslocal => {
                // It reaches targets through a server with its own protocol, here without encryption. The server is its
                // child, so that both count.
                let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
                let mut command = Command::new("sh");
                command.args([
                    "-c",
                    "setpriv --pdeathsig TERM -- \"$0\" $2 -s $4 & exec \"$1\" $2 -s $4 -b $3",
                ]);
                command.args(["ssserver", "sslocal"].map(|name| places.tools.join(name)));
                command.args(["-U -m none -k none", &address.to_string(), &server.to_string()]);
                command
            }
        })
    }
}

/// A server that listens. Dropping this ends it and the processes that it has started.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    _directory: TempDir,
}

impl Server {
    /// Starts it on a free port, and on another one if that was taken in the meantime.
    pub(crate) fn start(program: Program, places: &Places) -> io::Result<Self> {
        let mut last = None;
        for _ in 0..3 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let directory = TempDir::new()?;
            let wanted = program.command(places, free, directory.path())?;
            let mut command = end_with_us(&wanted);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut server = Self {
                child: command.spawn().map_err(|error| {
                    let program = command.get_program().to_string_lossy();
                    io::Error::new(error.kind(), format!("{program}: {error}"))
                })?,
                address: free,
                _directory: directory,
            };
            match server.wait_until_it_listens() {
                Ok(()) => return Ok(server),
                Err(error) => {
                    let program = wanted.get_program().to_string_lossy();
                    last = Some(io::Error::other(format!("{program}: {error}")));
                }
            }
        }
        Err(last.expect("it was tried"))
    }

    fn wait_until_it_listens(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(match status.code() {
                    // From `setpriv`.
                    Some(127) => "not found".into(),
                    _ => format!("ended at once: {status}"),
                }));
            }
            if deadline <= Instant::now() {
                return Err(io::Error::other("does not listen"));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Its process, and those that it has started.
    fn processes(&self) -> io::Result<Vec<(Process, Stat)>> {
        let mut children: HashMap<_, Vec<_>> = HashMap::new();
        let mut found = Vec::new();
        for process in all_processes().map_err(io::Error::other)?.flatten() {
            // Processes that have ended in the meantime are left out.
            let Ok(stat) = process.stat() else { continue };
            if u32::try_from(stat.pid) == Ok(self.child.id()) {
                found.push((process, stat));
            } else {
                children.entry(stat.ppid).or_default().push((process, stat));
            }
        }
        let mut next = 0;
        while let Some((process, _)) = found.get(next) {
            found.extend(children.remove(&process.pid()).unwrap_or_default());
            next += 1;
        }
        Ok(found)
    }

    /// Returns its resident memory, in bytes. Pages that several processes share count once.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        let mut sum = 0;
        for (process, _) in self.processes()? {
            let rollup = process.smaps_rollup().map_err(io::Error::other)?;
            let maps = rollup.memory_map_rollup.into_iter();
            sum += maps
                .filter_map(|map| map.extension.map.get("Pss").copied())
                .sum::<u64>();
        }
        Ok(sum)
    }

    /// Returns the processor time that it has used.
    pub(crate) fn processor_time(&self) -> io::Result<Duration> {
        Ok(self
            .processes()?
            .iter()
            .map(|(_, stat)| processor_time(stat))
            .sum())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Wraps a program so that it gets a SIGTERM when this one ends for any reason. danted loses this setting when it
/// changes its user.
fn end_with_us(command: &Command) -> Command {
    let mut ending = Command::new("setpriv");
    ending.args(["--pdeathsig", "TERM", "--"]);
    ending.arg(command.get_program()).args(command.get_args());
    ending
}

/// Returns the output of a program that must succeed.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Returns the processor time of this program itself.
pub(crate) fn own_processor_time() -> io::Result<Duration> {
    let stat = Process::myself().and_then(|process| process.stat());
    Ok(processor_time(&stat.map_err(io::Error::other)?))
}

/// Returns the processor time of a process, and of its children that have ended.
fn processor_time(stat: &Stat) -> Duration {
    let buried = stat.cutime.unsigned_abs() + stat.cstime.unsigned_abs();
    let ticks = stat.utime + stat.stime + buried;
    Duration::from_secs(ticks) / u32::try_from(procfs::ticks_per_second()).unwrap_or(u32::MAX)
}

impl Drop for Server {
    /// After a signal, danted ends its children itself. Remaining processes are killed.
    fn drop(&mut self) {
        let processes = self.processes().unwrap_or_default();
        if !self.has_ended() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        for (process, stat) in processes.iter().skip(1) {
            // Another process may have the number now.
            let is_same = process.stat().is_ok_and(|now| now.starttime == stat.starttime);
            if let (true, Some(pid)) = (is_same, Pid::from_raw(process.pid())) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
