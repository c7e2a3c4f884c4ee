//! The program: command line, log, signals.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::time::Duration;

use clap::Parser;
use mimalloc::MiMalloc;
use sans_socks_proxy::{Config, Logging, Options, Server, SystemResolver};

/// When 11,000 simultaneous connections on one thread have ended, mimalloc keeps 2 MiB of its 19 MiB. glibc's allocator
/// keeps 20 MiB. A waiting connection needs 1.2 KiB with mimalloc and 1.4 KiB with glibc, which pads the aligned
/// allocations of tokio.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long the end of the program may take after the drain timeout. Connections are cut at once, so their tunnels are
/// reset. Only look-ups that still block a thread take longer.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// The exit code for a wrong setting. It is that of clap for a wrong command line.
const WRONG_SETTING: u8 = 2;

fn main() -> ExitCode {
    let options = Options::parse();
    let (level, connections) = (options.log_level, options.max_connections);
    let config = match Config::try_from(options) {
        Ok(config) => config,
        Err(error) => {
            print_error(&error);
            return WRONG_SETTING.into();
        }
    };
    let _logging = match Logging::start(level) {
        Ok(logging) => logging,
        Err(error) => {
            print_error(&error);
            return ExitCode::FAILURE;
        }
    };
    raise_descriptor_limit(connections);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints an error before logging has started. If stderr is closed, the exit code still shows the error.
fn print_error(error: &dyn std::error::Error) {
    let _ = writeln!(io::stderr(), "error: {error}");
}

fn serve(config: Config) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let server = Server::bind(config, SystemResolver)?;
        let stop = stop_signal()?; // a signal that follows the first line is already handled
        announce(&server)?;
        server.run(stop).await;
        Ok(())
    });
    runtime.shutdown_timeout(CUT_TIMEOUT);
    result
}

/// Prints where the proxy listens, and flushes. With port 0, the port is known only now.
fn announce(server: &Server) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for address in server.local_addrs() {
        writeln!(stdout, "listening on {address}")?;
    }
    stdout.flush()
}

/// Returns a future that completes at SIGTERM or SIGINT. A second signal ends the program at once.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            process::exit(1);
        });
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Raises the soft limit of descriptors, so that `--max-connections` is usually reached before it. Many dials with several
/// attempts at a time can still reach it.
#[cfg(unix)]
fn raise_descriptor_limit(connections: u32) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    /// An association has four sockets. A tunnel has two.
    const PER_CONNECTION: u64 = 4;
    /// For listeners, the runtime and the standard streams.
    const OTHERS: u64 = 64;

    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let wanted = u64::from(connections) * PER_CONNECTION + OTHERS;
    if soft < wanted {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
    if hard < wanted {
        tracing::warn!(
            "--max-connections {connections} needs {wanted} file descriptors, and {hard} are permitted: \
             raise `ulimit -n`, or lower --max-connections"
        );
    }
}

#[cfg(not(unix))]
fn raise_descriptor_limit(_: u32) {}
