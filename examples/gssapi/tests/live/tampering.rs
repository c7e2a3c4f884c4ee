//! With an attacker on the path, the session ends with an error. Only what was sent is delivered, in order.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::middle::{Direction, Middle};
use crate::programs::{CLIENT, Server};
use crate::realm::Realm;
use sans_socks_testing::programs::process::wait_until;
use sans_socks_testing::programs::target;

/// Returns the data, at least four frames in each direction.
fn sent() -> &'static [u8] {
    &target::body()[..64 * 1024]
}

/// Marks the end of the session at the echo.
const LAST: &[u8] = b"last";

/// Starts an echo for one connection after the other, which reports what each has sent.
fn echo() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    let (sender, got) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream?;
            let (mut bytes, mut chunk) = (Vec::new(), [0; 16 * 1024]);
            while let Ok(n @ 1..) = stream.read(&mut chunk) {
                bytes.extend_from_slice(&chunk[..n]);
                // The peer may have closed.
                let _ = stream.write_all(&chunk[..n]);
            }
            let _ = stream.shutdown(Shutdown::Both);
            sender.send(bytes).map_err(io::Error::other)?;
        }
        io::Result::Ok(())
    });
    (address, got)
}

/// The outcome of a session.
struct Outcome {
    /// The bytes that the target received. Empty if no client connected.
    at_target: Vec<u8>,
    at_client: Vec<u8>,
    errors: String,
    middle: Middle,
}

/// The client sends [`sent`] to an echo, with an attacker on the path.
fn session(
    realm: &Realm,
    level: &str,
    tamper: impl Fn(Direction, usize, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
) -> Outcome {
    // A server for this session alone, so that its log is about this one.
    let patience = ["--handshake-timeout", "2"];
    let server = Server::start(realm, &patience);
    let middle = Middle::tampering(server.address, tamper);
    let (address, got) = echo();
    let input = realm.path(&format!("sent-{}", middle.address.port()));
    fs::write(&input, sent()).expect("a file");
    let mut client = realm.command("timeout");
    client.args(["20", CLIENT, "--levels", level]).args(patience);
    client.args(["--proxy", &middle.address.to_string()]);
    client.args(["127.0.0.1", &address.port().to_string()]);
    client.stdin(File::open(&input).expect("a file"));
    let end = client.output().expect("timeout, of coreutils");
    assert_ne!(
        end.status.code(),
        Some(124),
        "the client waits for ever: {}",
        server.process.log()
    );

    let told = || -> String {
        let log = server.process.log();
        log.lines().filter(|line| !line.contains("alice@")).collect()
    };
    if end.status.success() && end.stdout != sent() {
        // To the client it looks like the end of the far side. The server has the error.
        wait_until("the server's error", || !told().is_empty());
    }
    let errors = told() + &String::from_utf8_lossy(&end.stderr);
    drop(server);
    // Earlier connections are served before this one.
    let mut last = TcpStream::connect(address).expect("the echo");
    last.write_all(LAST)
        .and_then(|()| last.shutdown(Shutdown::Write))
        .expect("the echo");
    let at_target = got.iter().take_while(|bytes| bytes != LAST).flatten().collect();
    Outcome {
        at_target,
        at_client: end.stdout,
        errors,
        middle,
    }
}

/// Expects an error, and no byte that was not sent there.
#[track_caller]
fn expect_end(outcome: &Outcome, what: &str) {
    assert!(!outcome.errors.is_empty(), "unnoticed: {what}");
    assert!(
        sent().starts_with(&outcome.at_target),
        "the target received bytes that were not sent: {what}"
    );
    assert!(
        sent().starts_with(&outcome.at_client),
        "the client received bytes that were not sent: {what}"
    );
}

/// Returns the frames of an undisturbed session: direction, number, length.
fn frames(realm: &Realm, level: &str) -> Vec<(Direction, usize, usize)> {
    let outcome = session(realm, level, |_, _, frame| frame);
    assert_eq!(outcome.errors, "");
    assert!(outcome.at_target == sent() && outcome.at_client == sent());
    let mut all = Vec::new();
    for direction in [Direction::ToServer, Direction::ToClient] {
        let frames = outcome.middle.frames(direction);
        assert!(frames.len() >= 3 + 4, "{} frames {direction:?}", frames.len());
        // Two of the negotiation, the request or the reply, and two with data. The rest is not always split in the same way.
        all.extend(
            frames[..3 + 2]
                .iter()
                .enumerate()
                .map(|(number, frame)| (direction, number, frame.len())),
        );
    }
    all
}

/// Runs all `cases`, a few at a time.
fn each<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    test(case);
                }
            });
        }
    });
}

/// Flips a bit of each byte of the header, and of the first, the middle and the last bytes of the token. `contexts` flips
/// every one.
fn flipped(level: &str) {
    let realm = Realm::get();
    let mut cases = Vec::new();
    for (direction, number, len) in frames(&realm, level) {
        // After its first byte, an authentication token has many bytes without protection or effect.
        let token: &[usize] = if number == 0 {
            &[0]
        } else {
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16]
        };
        let offsets = (0..4)
            .chain(token.iter().map(|offset| 4 + offset))
            .chain([len / 2, len - 1]);
        cases.extend(offsets.map(|offset| (direction, number, offset)));
    }
    each(&cases, |&(direction, number, offset)| {
        let done = Arc::new(AtomicBool::new(false));
        let outcome = session(&realm, level, {
            let done = Arc::clone(&done);
            move |to, n, mut frame| {
                if (to, n) == (direction, number) {
                    // The length of an AP-REQ varies, since its numbers are as short as possible.
                    let last = frame.len() - 1;
                    frame[offset.min(last)] ^= 1;
                    done.store(true, Ordering::Relaxed);
                }
                frame
            }
        });
        let what = format!("byte {offset} of frame {number} {direction:?}");
        assert!(done.load(Ordering::Relaxed), "{what}");
        expect_end(&outcome, &what);
        if number < 3 {
            assert_eq!(
                (outcome.at_target.len(), outcome.at_client.len()),
                (0, 0),
                "{what}"
            );
        }
    });
}

/// a frame that was changed ends the session, and nothing of it is delivered.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn frame_flipped_at_integrity_ends_the_session() {
    flipped("1");
}

/// a frame that was changed ends the session, and nothing of it is delivered.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn frame_flipped_at_confidentiality_ends_the_session() {
    flipped("2");
}

/// a replayed frame ends the session.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn frame_replayed_ends_the_session() {
    let realm = Realm::get();
    each(&frames(&realm, "2"), |&(direction, number, _)| {
        let outcome = session(&realm, "2", move |to, n, frame| {
            if (to, n) == (direction, number) {
                frame.repeat(2)
            } else {
                frame
            }
        });
        expect_end(&outcome, &format!("frame {number} {direction:?} twice"));
    });
}

/// swapped frames end the session.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn frames_swapped_end_the_session() {
    let realm = Realm::get();
    for direction in [Direction::ToServer, Direction::ToClient] {
        let held = Mutex::new(Vec::new());
        let outcome = session(&realm, "2", move |to, n, mut frame| match (to == direction, n) {
            (true, 3) => std::mem::replace(&mut *held.lock().expect("no panic"), frame),
            (true, 4) => {
                frame.append(&mut held.lock().expect("no panic"));
                frame
            }
            _ => frame,
        });
        expect_end(&outcome, &format!("frames {direction:?} swapped"));
        let got = if direction == Direction::ToServer {
            outcome.at_target
        } else {
            outcome.at_client
        };
        assert_eq!(got, b"", "the second frame was first");
    }
}

/// A missing frame ends the session.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn frame_missing_ends_the_session() {
    let realm = Realm::get();
    for direction in [Direction::ToServer, Direction::ToClient] {
        let outcome = session(&realm, "2", move |to, n, frame| {
            if (to, n) == (direction, 4) {
                Vec::new()
            } else {
                frame
            }
        });
        expect_end(&outcome, &format!("a frame {direction:?} is missing"));
    }
}

/// A frame that is sent back to its sender ends the session. The flag "SentByAcceptor" of RFC 4121 detects it.
#[test]
#[ignore = "needs krb5-kdc, krb5-admin-server and krb5-user"]
fn frame_reflected_ends_the_session() {
    let realm = Realm::get();
    let recorded = Mutex::new(Vec::new());
    let outcome = session(&realm, "2", move |to, n, frame| match (to, n) {
        (Direction::ToServer, 2) => {
            recorded.lock().expect("no panic").clone_from(&frame);
            frame
        }
        (Direction::ToClient, 2) => recorded.lock().expect("no panic").clone(),
        _ => frame,
    });
    expect_end(&outcome, "the request instead of the reply");
    assert_eq!(outcome.at_client, b"");
}
