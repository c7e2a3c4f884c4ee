//! Logging that never blocks.
//!
//! A line is added to a bounded queue, and a separate thread writes it to stderr. If stderr is not read, the queue fills up,
//! and further lines are dropped and counted. A blocking logger would stop the whole proxy, including its tunnels.
//!
//! `tracing-appender` has such a queue, but a report of dropped lines cannot bypass it and is itself dropped. At the end, if
//! the queue is still full, its guard prints to stdout, which panics if stdout is closed.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The lines that may wait for a slow reader.
const QUEUE: usize = 4096;

/// How often dropped lines are reported, and repeated lines of one kind are written.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long the end of the program waits for lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A log to stderr. Dropping it waits until the queued lines are written, but not long.
#[derive(Debug)]
pub struct Logging(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Lines in the queue, and the one that is being written.
    queued: AtomicUsize,
    /// Lines that were dropped and not reported yet.
    dropped: AtomicU64,
}

impl Counts {
    /// Writes how many lines were dropped since the last report, if any. Returns whether it has written.
    fn report_dropped(&self, stderr: &mut impl Write) -> bool {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ = writeln!(
                stderr,
                "{dropped} log lines were dropped: stderr is read too slowly"
            );
        }
        dropped > 0
    }
}

impl Logging {
    /// Starts to write lines of `level` and above to stderr.
    ///
    /// # Errors
    ///
    /// The system cannot create a thread.
    pub fn start(level: tracing::Level) -> io::Result<Self> {
        let (sender, lines) = sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let queue = Queue {
            sender,
            counts: counts.clone(),
        };
        let writer = counts.clone();
        thread::Builder::new()
            .name("log".into())
            .spawn(move || write_lines(&lines, &writer, io::stderr()))?;
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(move || queue.clone())
            .finish();
        // An error means that the caller has installed another subscriber, which is then used.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(Self(counts))
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let deadline = Instant::now() + LAST_LINES;
        while self.0.queued.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        // If lines are still queued, stderr is not read, and a write could block for ever.
        if self.0.queued.load(Ordering::Acquire) == 0 {
            self.0.report_dropped(&mut io::stderr());
        }
    }
}

/// The queue. Each write is a line.
#[derive(Clone)]
struct Queue {
    sender: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(line.to_vec()).is_err() {
            self.counts.queued.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines, and from time to time how many were dropped. Errors are ignored: there is no other place for them.
fn write_lines(lines: &Receiver<Vec<u8>>, counts: &Counts, mut stderr: impl Write) {
    let mut reported = Instant::now();
    loop {
        match lines.recv_timeout(INTERVAL) {
            Ok(line) => {
                let _ = stderr.write_all(&line);
                counts.queued.fetch_sub(1, Ordering::Release);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if reported.elapsed() >= INTERVAL && counts.report_dropped(&mut stderr) {
            reported = Instant::now();
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
