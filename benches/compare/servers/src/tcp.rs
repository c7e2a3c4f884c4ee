//! The load over TCP: short connections, connections held in the middle of the handshake, and one large download.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::client::{Session, handshake, shake_hands};
use crate::{Errors, note};

/// The time to wait for an event that should be immediate.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many held connections are opened at a time.
const OPENING: usize = 64;

/// Sessions on one thread.
struct Loop {
    poll: Poll,
    events: Events,
    sessions: Slab<Session>,
    buffer: Vec<u8>,
}

impl Loop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            sessions: Slab::new(),
            buffer: vec![0; 64 * 1024],
        })
    }

    fn start(&mut self, proxy: SocketAddr, target: SocketAddr) -> io::Result<()> {
        let mut session = Session::start(proxy, target)?;
        let entry = self.sessions.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut session.stream, Token(entry.key()), both)?;
        entry.insert(session);
        Ok(())
    }

    /// Waits for events until `until`, and advances each session that has one until `WouldBlock`. `done` gets any other
    /// result, and returns whether the session ends. Returns whether there were events.
    fn turn<T>(
        &mut self,
        until: Instant,
        mut advance: impl FnMut(&mut Session, &mut [u8]) -> io::Result<T>,
        mut done: impl FnMut(&Session, &io::Result<T>) -> bool,
    ) -> io::Result<bool> {
        let wait = until.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            let key = event.token().0;
            // The session of an event may have ended already.
            let Some(session) = self.sessions.get_mut(key) else {
                continue;
            };
            match advance(session, &mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    if done(session, &result) {
                        self.sessions.remove(key);
                    }
                }
            }
        }
        Ok(!self.events.is_empty())
    }
}

/// How many connections, and for how long.
pub(crate) struct Plan {
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) time: Duration,
}

/// Short connections.
#[derive(Default)]
pub(crate) struct Run {
    /// The times from connecting to the reply, in order.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) time: Duration,
    pub(crate) errors: Errors,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// In seconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(rank).map_or(f64::NAN, Duration::as_secs_f64)
    }
}

/// Opens connections, several at a time: handshake, 1 KiB there and back, close.
pub(crate) fn run(proxy: SocketAddr, echo: SocketAddr, plan: &Plan) -> io::Result<Run> {
    let mut sessions = Loop::new()?;
    let mut run = Run::default();
    let mut left = plan.connections;
    let start = Instant::now();
    let end = start + plan.time;
    loop {
        let now = Instant::now();
        while left > 0 && now < end && sessions.sessions.len() < plan.in_flight {
            left -= 1;
            if let Err(error) = sessions.start(proxy, echo) {
                note(&mut run.errors, &error);
                // The next connection would probably fail as well.
                left = 0;
            }
        }
        if sessions.sessions.is_empty() {
            break;
        }
        if end + PATIENCE <= now {
            run.errors
                .insert("not done in time".into(), sessions.sessions.len());
            break;
        }
        sessions.turn(end + PATIENCE, Session::advance, |session, result| {
            match (result, session.established) {
                (Ok(()), Some(latency)) => run.latencies.push(latency),
                (Ok(()), None) => {}
                (Err(error), _) => note(&mut run.errors, error),
            }
            true
        })?;
    }
    run.time = start.elapsed();
    run.latencies.sort_unstable();
    Ok(run)
}

/// Connections that are held in the middle of the handshake.
pub(crate) struct Held {
    sessions: Loop,
    /// How many reached the middle of the handshake.
    pub(crate) opened: usize,
    /// The ages of those that the server has ended.
    pub(crate) ended: Vec<Duration>,
    /// The errors, for instance why no more could be opened.
    pub(crate) errors: Errors,
}

/// An event of a held connection.
enum News {
    HalfWay,
    Ended,
}

impl Held {
    /// Opens `count` connections, a few at a time, as long as the server accepts them.
    pub(crate) fn open(proxy: SocketAddr, count: usize) -> io::Result<Self> {
        let mut held = Self {
            sessions: Loop::new()?,
            opened: 0,
            ended: Vec::new(),
            errors: Errors::new(),
        };
        let deadline = Instant::now() + 2 * PATIENCE;
        let mut started = 0;
        while held.opened < count && held.errors.is_empty() {
            while started < count && started < held.opened + OPENING {
                // The request is never sent.
                if let Err(error) = held.sessions.start(proxy, proxy) {
                    note(&mut held.errors, &error);
                    return Ok(held);
                }
                started += 1;
            }
            if deadline <= Instant::now() {
                held.errors
                    .insert("no answer in time".into(), started - held.opened);
            }
            held.watch(deadline)?;
        }
        Ok(held)
    }

    /// Waits until the server has ended all of them, up to a limit.
    pub(crate) fn wait_for_the_end(&mut self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        while self.ended.len() < self.opened && Instant::now() < deadline {
            self.watch(deadline)?;
        }
        Ok(())
    }

    /// Records an error if the server has already ended some: then fewer were held during the measurement.
    pub(crate) fn must_all_be_there(&mut self) -> io::Result<()> {
        while self.watch(Instant::now())? {}
        if !self.ended.is_empty() {
            self.errors.insert(
                "ended while others were opened and closed".into(),
                self.ended.len(),
            );
        }
        Ok(())
    }

    /// Closes the remaining ones.
    pub(crate) fn close(&mut self) {
        self.sessions.sessions.clear();
    }

    /// Records events, and returns whether there were any.
    fn watch(&mut self, until: Instant) -> io::Result<bool> {
        let advance = |session: &mut Session, buffer: &mut [u8]| {
            if session.is_half_way() {
                return session.end().map(|()| News::Ended);
            }
            session.advance_half_way(buffer).map(|()| News::HalfWay)
        };
        self.sessions.turn(until, advance, |session, news| {
            match news {
                Ok(News::HalfWay) => self.opened += 1,
                Ok(News::Ended) => self.ended.push(session.age()),
                Err(error) => note(&mut self.errors, error),
            }
            !matches!(news, Ok(News::HalfWay))
        })
    }
}

/// Reads `bytes` through a tunnel. Returns the bytes per second.
pub(crate) fn bulk(proxy: SocketAddr, source: SocketAddr, bytes: u64) -> io::Result<f64> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; 256 * 1024];
    let mut received = shake_hands(&mut handshake(source), &mut stream, &mut buffer)? as u64;
    let start = Instant::now();
    loop {
        match stream.read(&mut buffer)? as u64 {
            0 if received == bytes => return Ok(bytes as f64 / start.elapsed().as_secs_f64()),
            0 => return Err(io::Error::other(format!("{received} bytes of {bytes}"))),
            n => received += n,
        }
    }
}
