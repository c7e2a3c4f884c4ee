//! The tunnel: bytes both ways until both directions have ended.
//!
//! - **Nothing is lost.** The end of one direction is forwarded as a half-close, and the other direction continues. A failed
//!   write ends only its own direction, so that an answer of the peer is still delivered. Further data for the failed
//!   direction is discarded, so that its sender can read the answer.
//! - **Resets stay resets.** A failed read ends both directions, and the other side is reset after all data for it has
//!   arrived. When the proxy itself cuts a tunnel, it resets each side to which data may be missing. If that side were closed
//!   normally, a download that was cut would look complete.
//! - **Idle tunnels hold no buffer.** All tunnels of a thread read into one buffer. Only bytes that cannot be written at once
//!   are kept, at most [`CHUNK`] for each direction. Nothing more is read until they are written.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use crate::socket::reset_on_drop;

/// The most bytes that one read returns.
const CHUNK: usize = 64 * 1024;

/// How often to check whether the data before a reset has arrived. The pauses double, because the reader may be slow.
const FLUSH_PAUSE: Duration = Duration::from_millis(5);
const MAX_FLUSH_PAUSE: Duration = Duration::from_millis(160);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// How a tunnel ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides ended their direction.
    Closed,
    /// One side was reset or is unreachable. The other was then reset too, once all data for it had arrived or the idle limit
    /// had passed.
    Reset(io::Error),
    /// No data for the idle limit.
    Idle,
}

/// Copies both ways until the tunnel ends, and closes both connections. `early` has the bytes that the client has sent so
/// far.
///
/// Most tunnels are idle. So this is not an `async fn`, which would hold its arguments twice.
pub(crate) fn relay(
    client: TcpStream,
    target: TcpStream,
    early: Vec<u8>,
    idle: Duration,
) -> impl Future<Output = End> {
    let mut tunnel = Tunnel::new(client, target, early);
    async move {
        let ended = {
            let mut timer = pin!(sleep_until(tunnel.active + idle));
            poll_fn(|cx| tunnel.poll(cx, timer.as_mut(), idle)).await
        };
        tunnel.failed = matches!(ended, Ended::ClientFailed(_) | Ended::TargetFailed(_));
        let (survivor, error) = match ended {
            Ended::Closed => return End::Closed,
            Ended::Idle => return End::Idle,
            Ended::ClientFailed(error) => (&tunnel.target, error),
            Ended::TargetFailed(error) => (&tunnel.client, error),
        };
        // An error means that the data can no longer be sent.
        let _ = Box::pin(timeout(idle, flush(survivor))).await;
        End::Reset(error)
    }
}

struct Tunnel {
    client: TcpStream,
    target: TcpStream,
    up: Direction,
    down: Direction,
    /// Which direction is polled first. Tokio limits the work of one poll, and the first may use it up, so they take turns.
    up_first: bool,
    /// When data was last moved.
    active: Instant,
    /// Whether one of the sides has failed.
    failed: bool,
}

enum Ended {
    Closed,
    Idle,
    ClientFailed(io::Error),
    TargetFailed(io::Error),
}

impl Tunnel {
    fn new(client: TcpStream, target: TcpStream, early: Vec<u8>) -> Self {
        Self {
            client,
            target,
            up: Direction::new(early),
            down: Direction::new(Vec::new()),
            up_first: false,
            active: Instant::now(),
            failed: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>, idle: Duration) -> Poll<Ended> {
        let Self {
            client,
            target,
            up,
            down,
            up_first,
            active,
            ..
        } = self;
        let mut moved = false;
        let mut over = true;
        *up_first = !*up_first;
        for is_up in [*up_first, !*up_first] {
            if is_up {
                match up.poll(cx, client, target, down.has_failed(), &mut moved) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Ended::ClientFailed(error)),
                    up => over &= up.is_ready(),
                }
            } else {
                match down.poll(cx, target, client, up.has_failed(), &mut moved) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Ended::TargetFailed(error)),
                    down => over &= down.is_ready(),
                }
            }
        }
        if over {
            return Poll::Ready(match (up.failure.take(), down.failure.take()) {
                (None, None) => Ended::Closed,
                (Some(error), _) => Ended::TargetFailed(error),
                (None, Some(error)) => Ended::ClientFailed(error),
            });
        }
        if moved {
            *active = Instant::now();
        }
        // The timer does not move with every byte. When it fires, the time of the last byte is checked.
        while timer.as_mut().poll(cx).is_ready() {
            let deadline = *active + idle;
            if deadline <= Instant::now() {
                return Poll::Ready(Ended::Idle);
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Drop for Tunnel {
    /// Resets both sides after a failure, and otherwise each side that has not got all data up to the end.
    fn drop(&mut self) {
        let failed = self.failed || self.up.has_failed() || self.down.has_failed();
        if failed || !self.down.ended {
            reset_on_drop(&self.client);
        }
        if failed || !self.up.ended {
            reset_on_drop(&self.target);
        }
    }
}

/// One direction of a tunnel.
struct Direction {
    /// Bytes that were read and could not be written yet.
    held: Vec<u8>,
    /// How many of them have been written since.
    written: usize,
    /// The end of the source was forwarded.
    ended: bool,
    /// Why writing failed, which ends this direction.
    failure: Option<io::Error>,
}

impl Direction {
    const fn new(held: Vec<u8>) -> Self {
        Self {
            held,
            written: 0,
            ended: false,
            failure: None,
        }
    }

    const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Moves data until there is none, or the sink is full. Ready when the direction has ended.
    ///
    /// `source_failed` means that writing to the source has failed. Its end of input is then the consequence of a reset,
    /// which the system reports only once.
    ///
    /// # Errors
    ///
    /// The error of reading. All bytes read before it have been written.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
        sink: &mut TcpStream,
        source_failed: bool,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        while !self.ended && self.failure.is_none() {
            if let Err(error) = ready!(self.poll_write_held(cx, sink, moved)) {
                self.fail(error);
                break;
            }
            let read = poll_read(cx, source, |cx, bytes| self.write(cx, sink, bytes));
            match ready!(read)? {
                0 if source_failed => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                0 => {
                    self.ended = true;
                    // The other direction, which reads from the sink, reports its errors.
                    let _ = Pin::new(&mut *sink).poll_shutdown(cx);
                }
                _ => *moved = true,
            }
        }
        if self.failure.is_some() {
            while let Poll::Ready(Ok(1..)) = poll_discard(cx, source) {
                *moved = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the bytes of one read, and keeps those that could not be written.
    fn write(&mut self, cx: &mut Context<'_>, sink: &mut TcpStream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let rest = match Pin::new(sink).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => bytes.get(written..).unwrap_or_default(),
            Poll::Ready(Err(error)) => return self.fail(error),
            Poll::Pending => bytes,
        };
        self.held = rest.to_vec();
        self.written = 0;
    }

    fn poll_write_held(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut TcpStream,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.held.get(self.written..) {
            match ready!(Pin::new(&mut *sink).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
            *moved = true;
        }
        self.held = Vec::new();
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, error: io::Error) {
        self.failure = Some(error);
        self.held = Vec::new();
    }
}

/// Passes the bytes of one read to `handle`. Returns how many.
///
/// After a read that does not fill the buffer, `TcpStream::poll_read` waits for new data. But a read also stops before urgent
/// data, and data after that would never be read.
fn poll_read(
    cx: &mut Context<'_>,
    stream: &TcpStream,
    mut handle: impl FnMut(&mut Context<'_>, &[u8]),
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let read = BUFFER.with_borrow_mut(|buffer| {
            let len = stream.try_read(buffer)?;
            handle(cx, buffer.get(..len).unwrap_or_default());
            io::Result::Ok(len)
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read),
        }
    }
}

/// Reads and discards bytes. Returns how many.
pub(crate) fn poll_discard(cx: &mut Context<'_>, stream: &TcpStream) -> Poll<io::Result<usize>> {
    poll_read(cx, stream, |_, _| {})
}

/// Reads and discards until the end of input.
pub(crate) async fn discard(stream: &TcpStream) -> io::Result<()> {
    while poll_fn(|cx| poll_discard(cx, stream)).await? > 0 {}
    Ok(())
}

/// Waits until all data has arrived. Meanwhile discards what the peer sends, because a peer may read only after it has sent.
async fn flush(stream: &TcpStream) -> io::Result<()> {
    let start = Instant::now();
    let mut pause = FLUSH_PAUSE;
    while !is_delivered(stream, start)? {
        let _ = timeout(pause, discard(stream)).await;
        sleep(pause).await; // `discard` returns at once if the peer has ended its side
        pause = MAX_FLUSH_PAUSE.min(2 * pause);
    }
    Ok(())
}

/// Returns whether the peer's system has acknowledged all data, or the connection has ended.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_delivered(stream: &TcpStream, _: Instant) -> io::Result<bool> {
    use nix::libc;
    use nix::sys::socket::{getsockopt, sockopt::GetStruct};

    /// The start of the system's `tcp_info`. Linux 4.6 and later have all of it.
    #[repr(C)]
    struct Info {
        state: u8,
        _before: [u8; 23],
        /// Packets without an acknowledgement.
        unacked: u32,
        _between: [u32; 29],
        /// Bytes that were never sent.
        notsent: u32,
    }

    const CLOSE: u8 = 7; // TCP_CLOSE

    #[derive(Clone, Copy)]
    struct TcpInfo;

    // nix has no type for this option. The `unsafe` call is in its macro.
    nix::getsockopt_impl!(TcpInfo, libc::IPPROTO_TCP, libc::TCP_INFO, Info, GetStruct<Info>);

    let info = getsockopt(stream, TcpInfo)?;
    // A connection that has ended sends nothing more, and its unsent bytes are still counted.
    Ok(info.state == CLOSE || (info.unacked == 0 && info.notsent == 0))
}

/// Other systems do not report it, so the data has 10 s to arrive.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_delivered(_: &TcpStream, start: Instant) -> io::Result<bool> {
    Ok(start.elapsed() >= Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::yield_now;

    use super::*;

    /// Returns both ends of a connection.
    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    /// Tokio limits the work of one poll. Here it is enough for only one read and one write.
    #[tokio::test]
    async fn busy_direction_leaves_work_for_the_other() {
        let (mut near, client) = connection().await;
        let (mut far, target) = connection().await;
        near.writable().await.unwrap();
        while near.try_write(&[7; CHUNK]).is_ok() {}
        far.write_all(b"x").await.unwrap();
        let (mut other, work) = connection().await;
        other.write_all(b"x").await.unwrap();
        for stream in [&client, &target, &work] {
            stream.readable().await.unwrap();
        }
        let mut tunnel = Tunnel::new(client, target, Vec::new());
        let idle = Duration::from_secs(60);
        let mut timer = pin!(sleep(idle));
        let mut limit = None;
        for _ in 0..4 {
            yield_now().await; // the next poll has its full share
            poll_fn(|cx| {
                let mut used = 0;
                while limit.is_none_or(|limit| used + 2 < limit) && work.poll_read_ready(cx).is_ready() {
                    used += 1;
                }
                limit.get_or_insert(used);
                let _ = tunnel.poll(cx, timer.as_mut(), idle);
                Poll::Ready(())
            })
            .await;
        }
        let answer = timeout(Duration::from_secs(5), near.read_u8()).await;
        assert_eq!(answer.expect("it was relayed").unwrap(), b'x');
    }
}
