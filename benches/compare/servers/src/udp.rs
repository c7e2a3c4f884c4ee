//! The load over UDP: associations that each keep datagrams in flight, through the server to a target and back.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use sans_socks::client::{Auth, Handshake, Output};
use sans_socks::udp::{Datagram, Header};
use sans_socks::{Address, Request, Target};

/// If no answer arrives for this long, all datagrams in flight count as lost, and others replace them.
const STALL: Duration = Duration::from_millis(100);

/// How long to wait for the last datagrams.
const GRACE: Duration = Duration::from_millis(300);

/// Foreign datagrams a second.
pub(crate) const FLOOD: u32 = 20_000;

/// How many datagrams a flood sends at a time.
const FLOOD_BURST: u32 = 20;

/// The shape of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    associations: NonZeroUsize,
    in_flight: NonZeroUsize,
    /// Bytes of payload. The first 8 are a number.
    payload: usize,
    /// Where another host sends to at the same time.
    flood: Option<Flood>,
}

/// The target of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    /// The relays.
    Relays,
    /// A socket that is never read. It shows the cost of the sending alone, because all programs share the processors.
    Elsewhere,
}

impl Flood {
    const ALL: [(&str, Self); 2] = [("flood", Self::Relays), ("elsewhere", Self::Elsewhere)];
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (numbers, flood) = match text.split_once('+') {
            Some((numbers, name)) => {
                let flood = Flood::ALL.into_iter().find(|(known, _)| *known == name);
                let (_, flood) = flood.ok_or("expected +flood or +elsewhere")?;
                (numbers, Some(flood))
            }
            None => (text, None),
        };
        let parts: Vec<&str> = numbers.split('x').collect();
        let [associations, in_flight, payload] = parts[..] else {
            return Err("expected ASSOCIATIONSxIN_FLIGHTxBYTES, as in 8x16x1200".into());
        };
        let number = |text: &str| {
            text.parse::<NonZeroUsize>()
                .map_err(|error| format!("{text:?}: {error}"))
        };
        let payload = number(payload)?.get();
        if !(8..=65_000).contains(&payload) {
            return Err("a payload has 8 to 65000 bytes".into());
        }
        Ok(Self {
            associations: number(associations)?,
            in_flight: number(in_flight)?,
            payload,
            flood,
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flood = match self.flood {
            Some(Flood::Relays) => " + flood",
            Some(Flood::Elsewhere) => " + flood elsewhere",
            None => "",
        };
        let Self {
            associations,
            in_flight,
            payload,
            ..
        } = self;
        write!(f, "{associations} × {in_flight} × {payload}{flood}")
    }
}

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    sent: u64,
    pub(crate) received: u64,
    time: Duration,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        self.received as f64 / self.time.as_secs_f64()
    }

    /// In percent.
    pub(crate) fn loss(&self) -> f64 {
        100.0 * self.sent.saturating_sub(self.received) as f64 / self.sent as f64
    }
}

/// Associations that are open. They end when this is dropped.
pub(crate) struct Associations {
    shape: Shape,
    poll: Poll,
    associations: Vec<Association>,
}

impl Associations {
    pub(crate) fn open(proxy: SocketAddr, target: SocketAddr, shape: Shape) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut associations = Vec::new();
        for key in 0..shape.associations.get() {
            let mut association = Association::open(proxy, target, shape.payload)?;
            poll.registry()
                .register(&mut association.socket, Token(key), Interest::READABLE)?;
            associations.push(association);
        }
        Ok(Self {
            shape,
            poll,
            associations,
        })
    }

    /// Keeps datagrams in flight for a while, then waits for the last of them.
    pub(crate) fn run(&mut self, time: Duration) -> io::Result<Run> {
        let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let targets: Vec<_> = match self.shape.flood {
            Some(Flood::Elsewhere) => vec![sink.local_addr()?],
            _ => self.associations.iter().map(|it| it.relay).collect(),
        };
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let flood = self.shape.flood.map(|_| scope.spawn(|| flood(&targets, &done)));
            let run = self.run_alone(time);
            done.store(true, Ordering::Relaxed);
            if let Some(flood) = flood {
                flood.join().expect("it does not panic")?;
            }
            run
        })
    }

    fn run_alone(&mut self, time: Duration) -> io::Result<Run> {
        let in_flight = self.shape.in_flight.get();
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 1 << 16];
        let mut run = Run::default();
        let start = Instant::now();
        let end = start + time;
        loop {
            let now = Instant::now();
            let running = now < end;
            let mut waiting = 0;
            for association in &mut self.associations {
                if association.last + STALL < now {
                    association.in_flight = 0;
                }
                while running && association.in_flight < in_flight {
                    association.send()?;
                    run.sent += 1;
                }
                waiting += association.in_flight;
            }
            if !running && (waiting == 0 || end + GRACE <= now) {
                return Ok(run);
            }
            self.poll.poll(&mut events, Some(STALL))?;
            for event in &events {
                let association = &mut self.associations[event.token().0];
                while association.receive(&mut buffer)? {
                    run.received += 1;
                    run.time = start.elapsed();
                    // Datagrams are sent one at a time, as a client sends them.
                    if Instant::now() < end && association.in_flight < in_flight {
                        association.send()?;
                        run.sent += 1;
                    }
                }
            }
        }
    }
}

struct Association {
    socket: mio::net::UdpSocket,
    relay: SocketAddr,
    /// Header and payload, and where the payload begins.
    datagram: Vec<u8>,
    start: usize,
    next: u64,
    in_flight: usize,
    /// When a datagram was last sent or received.
    last: Instant,
    _control: TcpStream,
}

impl Association {
    fn open(proxy: SocketAddr, target: SocketAddr, payload: usize) -> io::Result<Self> {
        let mut control = TcpStream::connect(proxy)?;
        control.set_read_timeout(Some(Duration::from_secs(5)))?;
        let relay = associate(&mut control)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(relay)?;
        socket.set_nonblocking(true)?;
        crate::target::enlarge_receive_buffer(&socket)?;
        let payload = vec![b'.'; payload];
        let datagram = Datagram::new(Header::standalone(target.into()), &payload);
        let mut bytes = vec![0; datagram.encoded_len()];
        datagram.encode_into(&mut bytes).map_err(io::Error::other)?;
        Ok(Self {
            socket: mio::net::UdpSocket::from_std(socket),
            relay,
            start: bytes.len() - payload.len(),
            datagram: bytes,
            next: 0,
            in_flight: 0,
            last: Instant::now(),
            _control: control,
        })
    }

    fn send(&mut self) -> io::Result<()> {
        self.datagram[self.start..][..8].copy_from_slice(&self.next.to_be_bytes());
        self.socket.send(&self.datagram)?;
        self.next += 1;
        self.in_flight += 1;
        self.last = Instant::now();
        Ok(())
    }

    /// Returns whether an answer had arrived.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let len = match self.socket.recv(buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let differs = || io::Error::other("the answer differs");
        let answer = Datagram::decode(&buffer[..len]).map_err(|_| differs())?;
        let (number, rest) = answer.payload.split_first_chunk().ok_or_else(differs)?;
        if self.next <= u64::from_be_bytes(*number) || rest != &self.datagram[self.start + 8..] {
            return Err(differs());
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.last = Instant::now();
        Ok(true)
    }
}

/// Requests an association. Returns the address of the relay.
fn associate(control: &mut (impl Read + Write)) -> io::Result<SocketAddr> {
    let request = Request::udp_associate(Address::UNSPECIFIED);
    let mut handshake = Handshake::new(&request, Auth::none());
    crate::client::shake_hands(&mut handshake, control, &mut [0; 300])?;
    let Output::Established(established) = handshake.poll_output() else {
        return Err(io::Error::other("the handshake has not ended"));
    };
    match established.address.to_target().map_err(io::Error::other)? {
        Target::Socket(relay) => Ok(relay),
        Target::Name(..) => Err(io::Error::other("the address of the relay is a name")),
    }
}

/// Sends datagrams from another host until the run has ended.
fn flood(targets: &[SocketAddr], done: &AtomicBool) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0))?;
    let mut targets = targets.iter().cycle();
    let mut next = Instant::now();
    while !done.load(Ordering::Relaxed) {
        for target in targets.by_ref().take(FLOOD_BURST as usize) {
            socket.send_to(&[0; 100], target)?;
        }
        next += Duration::from_secs(1) * FLOOD_BURST / FLOOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
