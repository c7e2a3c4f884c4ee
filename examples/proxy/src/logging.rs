//! Logging that never blocks.
//!
//! A line is added to a bounded queue, and a separate thread writes it to stderr. If stderr is not read, the queue fills up,
//! and further lines are dropped and counted. A blocking logger would stop the whole proxy, including its tunnels.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};

/// The lines that may wait for a slow reader.
const QUEUE: usize = 4096;

/// How often dropped lines are reported, and repeated lines of one kind are written.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the writer running. Dropping it writes the queued lines, for at most about a second.
#[derive(Debug)]
pub struct Logging {
    _guard: WorkerGuard,
    dropped: ErrorCounter,
}

impl Logging {
    /// Starts to write lines of `level` and above to stderr.
    #[must_use]
    pub fn start(level: tracing::Level) -> Self {
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE)
            .thread_name("log")
            .finish(io::stderr());
        let dropped = writer.error_counter();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(writer)
            .finish();
        // An error means that the caller has installed another subscriber, which is then used.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Self {
            _guard: guard,
            dropped,
        }
    }

    /// Reports from time to time how many lines were dropped. Never returns.
    pub async fn report_dropped_lines(&self) {
        let mut reported = 0;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let dropped = self.dropped.dropped_lines();
            if dropped > reported {
                tracing::warn!(
                    "{} log lines were dropped: stderr is read too slowly",
                    dropped - reported
                );
                reported = dropped;
            }
        }
    }
}

/// Limits a kind of log line to one in [`INTERVAL`], and counts the others.
///
/// Use it for lines that a client can cause without limit, or that repeat until an administrator acts.
#[derive(Debug, Default)]
pub(crate) struct Repeated(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl Repeated {
    /// Calls `log` with the number of suppressed lines, or suppresses this one.
    pub(crate) fn log(&self, log: impl FnOnce(u64)) {
        let suppressed = {
            let mut state = crate::lock(&self.0);
            if state.last.is_some_and(|last| last.elapsed() < INTERVAL) {
                state.suppressed += 1;
                return;
            }
            state.last = Some(Instant::now());
            std::mem::take(&mut state.suppressed)
        };
        log(suppressed);
    }
}
