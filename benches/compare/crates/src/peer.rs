//! The jobs that a crate must do to have a row in the table.

use std::hint::black_box;
use std::sync::atomic::{Ordering, compiler_fence};

use crate::job::{
    DATAGRAM_IP, DATAGRAM_NAME, Job, LOGIN, LONGEST_LOGIN, Login, PAYLOAD, REQUEST_IP, REQUEST_NAME,
    REQUEST_SOCKS4, Script, Told,
};

/// Panics for a peer that neither does the job nor lists it as missing.
fn missing<P: Peer + ?Sized>() -> ! {
    panic!("{} lacks a job that is not in its `MISSING`", P::NAME)
}

/// A crate, or one of two ways to use it. Each method does one job once, and returns `None` if that fails.
///
/// Methods build the objects of a connection, because they are part of a handshake. Objects that a program would reuse, such as
/// its buffers, are in [`Context`]. If a method is not overridden, its job is in `MISSING`.
#[expect(unused_variables, reason = "the default methods only panic")]
pub trait Peer {
    const NAME: &str;
    const VERSION: &str;
    /// How the crate is used, in a few words.
    const HOW: &str;
    /// The jobs that it cannot do, with the reasons.
    const MISSING: &[(&[Job], &str)] = &[];
    /// Whether it does the jobs of SOCKS4a.
    const SOCKS4: bool = false;

    /// J1, J2. The witness gets the crate's own value, even if that is a `Result`.
    fn decode_request(bytes: &'static [u8], context: &mut Context, witness: &mut impl Witness) {
        missing::<Self>()
    }

    /// J3: success, bound to [`BOUND`](crate::job::BOUND).
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        missing::<Self>()
    }

    /// J4, J5, in the same way.
    fn decode_datagram(bytes: &'static [u8], witness: &mut impl Witness) {
        missing::<Self>()
    }

    /// J6: `payload` from [`IP`](crate::job::IP), in a separate buffer.
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        missing::<Self>()
    }

    /// J6p: as J6, but the payload is already at [`Context::PAYLOAD_START`] of the buffer, and stays there.
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        missing::<Self>()
    }

    /// J7, J8: a server's handshake, a message at a time. With a login, a client with other credentials is refused.
    fn serve(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        missing::<Self>()
    }

    /// J10, J11: the same, a byte at a time.
    fn serve_bytewise(
        script: Script,
        login: &Login,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        missing::<Self>()
    }

    /// J9a, J9b: a client's handshake with [`NAME`](crate::job::NAME) as its target.
    fn connect(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        missing::<Self>()
    }

    /// S1, as J2.
    fn decode_socks4_request(bytes: &'static [u8], context: &mut Context, witness: &mut impl Witness) {
        missing::<Self>()
    }

    /// S2: CONNECT to [`NAME`](crate::job::NAME), with a user id.
    fn encode_socks4_request(
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        missing::<Self>()
    }

    /// S3, as J3.
    fn encode_socks4_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        missing::<Self>()
    }

    /// S4: a server's handshake, the request in one piece.
    fn serve_socks4(script: Script, context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        missing::<Self>()
    }

    /// S5: a client's handshake, with the request of S2.
    fn connect_socks4(
        script: Script,
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        missing::<Self>()
    }

    /// S6: S4, a byte at a time.
    fn serve_socks4_bytewise(
        script: Script,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        missing::<Self>()
    }

    /// The memory that a server must keep for a connection whose handshake waits for bytes.
    fn server_state() -> Option<State> {
        None
    }

    /// The same for a client.
    fn client_state() -> Option<State> {
        None
    }
}

/// The memory of a connection, in bytes, except the heap, which is measured.
pub struct State {
    /// The machine, the future, or the variables of a loop that has neither.
    pub inline: usize,
    /// The caller's own buffer for an incomplete message.
    pub buffer: usize,
}

impl State {
    /// The most bytes of a message that a server reads (RFC 1929: two lengths, two fields, a version).
    pub const LONGEST_FROM_CLIENT: usize = 513;
    /// The most bytes of a message that a client reads: a reply with a name.
    pub const LONGEST_FROM_SERVER: usize = 262;
}

/// Observes the results of a job.
pub trait Witness {
    /// A message was decoded, with this content.
    fn read<T>(&mut self, message: &T, told: impl FnOnce(&T) -> Told);

    /// Everything written so far, at the point where a real program would send it.
    fn wrote(&mut self, bytes: &[u8]);
}

/// Ignores the results, but hides that from the compiler.
struct Nobody;

impl Witness for Nobody {
    #[inline(always)]
    fn read<T>(&mut self, message: &T, _: impl FnOnce(&T) -> Told) {
        black_box(message);
    }

    #[inline(always)]
    fn wrote(&mut self, bytes: &[u8]) {
        black_box(bytes.as_ptr());
    }
}

#[derive(Default)]
struct Checker {
    told: Option<Told>,
    written: Vec<u8>,
}

impl Witness for Checker {
    fn read<T>(&mut self, message: &T, told: impl FnOnce(&T) -> Told) {
        self.told = Some(told(message));
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.written = bytes.to_vec();
    }
}

/// The objects that a program reuses for the next handshake or datagram.
pub struct Context {
    /// The output of crates that append to a `Vec`.
    pub out: Vec<u8>,
    /// The output of crates that write to a slice.
    pub slice: Box<[u8; 2048]>,
    /// Input that is not a complete message yet.
    pub received: Vec<u8>,
    #[cfg(feature = "peers")]
    pub stream: crate::stream::Stream,
}

impl Context {
    /// The position of the payload in `slice` for J6p: after room for the longest header.
    pub const PAYLOAD_START: usize = 262;
    pub const PAYLOAD_END: usize = Self::PAYLOAD_START + PAYLOAD.len();

    #[must_use]
    pub fn new() -> Self {
        let mut slice = Box::new([0; 2048]);
        slice[Self::PAYLOAD_START..Self::PAYLOAD_END].copy_from_slice(&PAYLOAD);
        Self {
            out: Vec::with_capacity(4096),
            slice,
            received: Vec::with_capacity(1024),
            #[cfg(feature = "peers")]
            stream: crate::stream::Stream::with_capacity(4096),
        }
    }

    #[inline(always)]
    pub fn output(&mut self) -> Output<'_> {
        Output::new(&mut self.slice[..])
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

/// A slice that is filled from the front.
pub struct Output<'a> {
    slice: &'a mut [u8],
    len: usize,
}

impl<'a> Output<'a> {
    #[inline(always)]
    pub const fn new(slice: &'a mut [u8]) -> Self {
        Self { slice, len: 0 }
    }

    #[inline(always)]
    pub fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.slice
            .get_mut(self.len..)?
            .get_mut(..bytes.len())?
            .copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    #[inline(always)]
    pub fn written(&self) -> &[u8] {
        &self.slice[..self.len]
    }
}

/// Marks where a byte arrives. The compiler cannot move work across it, or join copies of single bytes. It costs nothing.
#[inline(always)]
pub fn arrival() {
    compiler_fence(Ordering::SeqCst);
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Row {
    pub name: &'static str,
    pub version: &'static str,
    pub how: &'static str,
    pub missing: &'static [(&'static [Job], &'static str)],
    pub socks4: bool,
    pub server_state: fn() -> Option<State>,
    pub client_state: fn() -> Option<State>,
    /// Repeats a job.
    pub repeat: fn(Job, u64, &mut Context),
    /// Does a job once, and panics if it fails.
    pub check: fn(Job, &mut Context),
}

impl Row {
    #[must_use]
    pub const fn of<P: Peer>() -> Self {
        Self {
            name: P::NAME,
            version: P::VERSION,
            how: P::HOW,
            missing: P::MISSING,
            socks4: P::SOCKS4,
            server_state: P::server_state,
            client_state: P::client_state,
            repeat: |job, times, context| run::<P, _>(job, times, context, &mut Nobody),
            check: |job, context| {
                let mut checker = Checker::default();
                run::<P, _>(job, 1, context, &mut checker);
                job.check(checker.told.as_ref(), &checker.written);
            },
        }
    }

    /// Returns the jobs that it can do.
    pub fn jobs(&self) -> impl Iterator<Item = Job> {
        let socks4 = if self.socks4 { Job::SOCKS4 } else { &[] };
        let jobs = Job::SOCKS5.iter().chain(socks4).copied();
        jobs.filter(|job| !self.missing.iter().any(|(jobs, _)| jobs.contains(job)))
    }
}

fn run<P: Peer, W: Witness>(job: Job, times: u64, context: &mut Context, witness: &mut W) {
    match job {
        Job::J1 => repeat(times, REQUEST_IP, move |bytes| {
            P::decode_request(bytes, context, witness);
            Some(())
        }),
        Job::J2 => repeat(times, REQUEST_NAME, move |bytes| {
            P::decode_request(bytes, context, witness);
            Some(())
        }),
        Job::J3 => repeat(times, (), move |()| P::encode_reply(context, witness)),
        Job::J4 => repeat(times, &DATAGRAM_IP[..], move |bytes| {
            P::decode_datagram(bytes, witness);
            Some(())
        }),
        Job::J5 => repeat(times, &DATAGRAM_NAME[..], move |bytes| {
            P::decode_datagram(bytes, witness);
            Some(())
        }),
        Job::J6 => repeat(times, &PAYLOAD[..], move |payload| {
            P::encode_datagram(payload, context, witness)
        }),
        Job::J6p => repeat(times, (), move |()| P::prepend_header(context, witness)),
        Job::J7 => repeat(times, job.script(), move |script| {
            P::serve(script, None, context, witness)
        }),
        Job::J8 => repeat(times, (job.script(), LOGIN), move |(script, login)| {
            P::serve(script, Some(&login), context, witness)
        }),
        Job::J9a => repeat(times, job.script(), move |script| {
            P::connect(script, None, context, witness)
        }),
        Job::J9b => repeat(times, (job.script(), LOGIN), move |(script, login)| {
            P::connect(script, Some(&login), context, witness)
        }),
        Job::J10 => repeat(times, (job.script(), LOGIN), move |(script, login)| {
            P::serve_bytewise(script, &login, context, witness)
        }),
        Job::J11 => repeat(times, (job.script(), *LONGEST_LOGIN), move |(script, login)| {
            P::serve_bytewise(script, &login, context, witness)
        }),
        Job::S1 => repeat(times, REQUEST_SOCKS4, move |bytes| {
            P::decode_socks4_request(bytes, context, witness);
            Some(())
        }),
        Job::S2 => repeat(times, LOGIN.username, move |user_id| {
            P::encode_socks4_request(user_id, context, witness)
        }),
        Job::S3 => repeat(times, (), move |()| P::encode_socks4_reply(context, witness)),
        Job::S4 => repeat(times, job.script(), move |script| {
            P::serve_socks4(script, context, witness)
        }),
        Job::S5 => repeat(times, (job.script(), LOGIN.username), move |(script, user_id)| {
            P::connect_socks4(script, user_id, context, witness)
        }),
        Job::S6 => repeat(times, job.script(), move |script| {
            P::serve_socks4_bytewise(script, context, witness)
        }),
    }
}

/// A separate function for each job of each row, whose input is hidden from the compiler.
#[inline(never)]
fn repeat<I: Copy>(times: u64, input: I, mut work: impl FnMut(I) -> Option<()>) {
    for _ in 0..times {
        assert!(work(black_box(input)).is_some(), "the job was not done");
    }
}
