//! For crates that require a stream: a stream in memory, and the least code that can drive their futures.

use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::job::Script;

/// A stream that reads from a script and keeps what is written.
#[derive(Default)]
pub struct Stream {
    bytes: &'static [u8],
    ends: &'static [usize],
    pos: usize,
    delivery: Delivery,
    pub written: Vec<u8>,
    /// How often it was read and written. On a socket, each would be a system call.
    pub reads: u32,
    pub writes: u32,
}

#[derive(Default)]
enum Delivery {
    /// A read returns at most the rest of a chunk.
    #[default]
    Chunks,
    /// A read returns one byte.
    Byte,
    /// A read has returned one byte, and the next read is pending.
    Nothing,
}

impl Stream {
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            written: Vec::with_capacity(capacity),
            ..Self::default()
        }
    }

    /// Starts again, with a chunk for each read.
    #[inline]
    pub fn chunks(&mut self, script: Script) -> &mut Self {
        self.begin(script, Delivery::Chunks)
    }

    /// Starts again, with a byte for each read, and a pending read after each.
    #[inline]
    pub fn bytes(&mut self, script: Script) -> &mut Self {
        self.begin(script, Delivery::Byte)
    }

    #[inline]
    fn begin(&mut self, script: Script, delivery: Delivery) -> &mut Self {
        let script = black_box(script);
        self.bytes = script.bytes;
        self.ends = script.ends;
        self.pos = 0;
        self.delivery = delivery;
        self.written.clear();
        self.reads = 0;
        self.writes = 0;
        self
    }

    /// Returns the next bytes, at most `room`.
    #[inline]
    fn next(&mut self, room: usize) -> Poll<&'static [u8]> {
        let left = match self.delivery {
            Delivery::Chunks => self.ends.first().map_or(0, |end| end - self.pos),
            Delivery::Byte => {
                self.delivery = Delivery::Nothing;
                1
            }
            Delivery::Nothing => {
                self.delivery = Delivery::Byte;
                return Poll::Pending;
            }
        };
        if room >= left
            && let [_, ends @ ..] = self.ends
        {
            self.ends = ends;
        }
        self.reads += 1;
        let start = self.pos;
        self.pos = (start + left.min(room)).min(self.bytes.len());
        Poll::Ready(&self.bytes[start..self.pos])
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.next(buf.remaining()).map(|bytes| {
            buf.put_slice(bytes);
            Ok(())
        })
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes += 1;
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Read for Stream {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.next(buf.remaining()).map(|bytes| {
            buf.put_slice(bytes);
            Ok(())
        })
    }
}

impl hyper::rt::Write for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, cx, bytes)
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls `future` in place until it is ready: no runtime, no box, no waker. With [`Stream::chunks`] it polls once, with
/// [`Stream::bytes`] once for each byte.
#[inline]
pub fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

/// The methods of a [`Peer`](crate::peer::Peer) whose server is a future over a [`Stream`]. The second function converts
/// its result.
macro_rules! serve_over_stream {
    ($server:path, $told:expr) => {
        #[inline(always)]
        fn serve(
            script: $crate::job::Script,
            login: Option<&$crate::job::Login>,
            context: &mut $crate::peer::Context,
            witness: &mut impl $crate::peer::Witness,
        ) -> Option<()> {
            let request = $crate::stream::drive($server(context.stream.chunks(script), login))?;
            witness.read(&request, $told);
            witness.wrote(&context.stream.written);
            Some(())
        }

        #[inline(always)]
        fn serve_bytewise(
            script: $crate::job::Script,
            login: &$crate::job::Login,
            context: &mut $crate::peer::Context,
            witness: &mut impl $crate::peer::Witness,
        ) -> Option<()> {
            let request = $crate::stream::drive($server(context.stream.bytes(script), Some(login)))?;
            witness.read(&request, $told);
            witness.wrote(&context.stream.written);
            Some(())
        }

        fn server_state() -> Option<$crate::peer::State> {
            let mut stream = $crate::stream::Stream::default();
            let inline = size_of_val(&$server(&mut stream, Some(&$crate::job::LOGIN)));
            Some($crate::peer::State { inline, buffer: 0 })
        }
    };
}
pub(crate) use serve_over_stream;

/// Does the same for a client.
macro_rules! connect_over_stream {
    ($client:path, $told:expr) => {
        #[inline(always)]
        fn connect(
            script: $crate::job::Script,
            login: Option<&$crate::job::Login>,
            context: &mut $crate::peer::Context,
            witness: &mut impl $crate::peer::Witness,
        ) -> Option<()> {
            let reply = $crate::stream::drive($client(context.stream.chunks(script), login))?;
            witness.read(&reply, $told);
            witness.wrote(&context.stream.written);
            Some(())
        }

        fn client_state() -> Option<$crate::peer::State> {
            let mut stream = $crate::stream::Stream::default();
            let inline = size_of_val(&$client(&mut stream, Some(&$crate::job::LOGIN)));
            Some($crate::peer::State { inline, buffer: 0 })
        }
    };
}
pub(crate) use connect_over_stream;
