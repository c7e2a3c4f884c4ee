//! An attacker on the path between client and proxy, who sees every frame and can replace it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sans_socks::gssapi::Frame;
use sans_socks::message::Decoded;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

impl Direction {
    /// The bytes before the first frame: the greeting with one method, and the selection.
    const fn preface(self) -> usize {
        match self {
            Self::ToServer => 3,
            Self::ToClient => 2,
        }
    }
}

/// Returns what is sent instead of the frame with this number.
pub(crate) type Tamper = dyn Fn(Direction, usize, Vec<u8>) -> Vec<u8> + Send + Sync;

/// The attacker on one connection.
pub(crate) struct Middle {
    pub(crate) address: SocketAddr,
    seen: Arc<[Mutex<Vec<Vec<u8>>>; 2]>,
}

impl Middle {
    /// Only records the frames.
    pub(crate) fn watching(server: SocketAddr) -> Self {
        Self::tampering(server, |_, _, frame| frame)
    }

    pub(crate) fn tampering(
        server: SocketAddr,
        tamper: impl Fn(Direction, usize, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let tamper: Arc<Tamper> = Arc::new(tamper);
        let seen = Arc::<[Mutex<_>; 2]>::default();
        thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                let (client, _) = listener.accept()?;
                let server = TcpStream::connect(server)?;
                for direction in [Direction::ToServer, Direction::ToClient] {
                    let (client, server) = (client.try_clone()?, server.try_clone()?);
                    let (tamper, seen) = (Arc::clone(&tamper), Arc::clone(&seen));
                    thread::spawn(move || {
                        let (from, to) = match direction {
                            Direction::ToServer => (client, server),
                            Direction::ToClient => (server, client),
                        };
                        pass(direction, &from, &to, &*tamper, &seen[direction as usize])
                    });
                }
                io::Result::Ok(())
            }
        });
        Self { address, seen }
    }

    /// Returns the original frames of this direction.
    pub(crate) fn frames(&self, direction: Direction) -> Vec<Vec<u8>> {
        self.seen[direction as usize].lock().expect("no panic").clone()
    }
}

fn pass(
    direction: Direction,
    mut from: &TcpStream,
    mut to: &TcpStream,
    tamper: &Tamper,
    seen: &Mutex<Vec<Vec<u8>>>,
) -> io::Result<()> {
    let ended = (|| {
        let mut preface = vec![0; direction.preface()];
        from.read_exact(&mut preface)?;
        to.write_all(&preface)?;
        for number in 0.. {
            let frame = read_frame(&mut from)?;
            seen.lock().expect("no panic").push(frame.clone());
            to.write_all(&tamper(direction, number, frame))?;
        }
        Ok(())
    })();
    // The end of one side ends the other, also when a write fails.
    let _ = to.shutdown(Shutdown::Write);
    ended
}

fn read_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    loop {
        match Frame::decode(&frame) {
            Ok(Decoded::Complete { .. }) => return Ok(frame),
            Ok(Decoded::Incomplete { needed }) => {
                let start = frame.len();
                frame.resize(start + needed.get(), 0);
                from.read_exact(&mut frame[start..])?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}
