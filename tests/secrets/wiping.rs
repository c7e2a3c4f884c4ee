//! Credentials, and the user id of version 4, do not stay in memory. They are overwritten once they are answered or sent, when
//! the handshake fails, and when the machine is dropped. `advance` overwrites the consumed bytes of its carry, and
//! `CredentialsBuf` overwrites its fields when it is dropped.
//!
//! The tests read the memory, because nothing else shows this.

#![expect(
    unsafe_code,
    reason = "no safe code can read what a machine no longer returns"
)]

use core::mem::MaybeUninit;
use core::num::NonZeroU8;
use std::collections::BTreeSet;

use sans_socks::client::{self, Auth};
use sans_socks::message::Encode;
use sans_socks::server;
use sans_socks::socks4::{self, UserId};
use sans_socks::{Address, Credentials, CredentialsBuf, Method, ReplyCode, Request, Transmit};

/// Bytes that no other field of a machine has, so that a single remaining one is found.
const USERNAME: &[u8] = &[0xfd; 12];
const PASSWORD: &[u8] = &[0xfe; 12];

fn is_secret(byte: u8) -> bool {
    byte == USERNAME[0] || byte == PASSWORD[0]
}

/// A machine in a place that it does not leave and that outlives it.
struct Slot<M> {
    place: Box<MaybeUninit<M>>,
    occupied: bool,
    /// The positions at which the machine has held credentials.
    held: BTreeSet<usize>,
}

impl<M> Slot<M> {
    fn new(machine: M) -> Self {
        let mut place = Box::new(MaybeUninit::zeroed());
        place.write(machine);
        Self {
            place,
            occupied: true,
            held: BTreeSet::new(),
        }
    }

    fn machine(&mut self) -> &mut M {
        assert!(self.occupied);
        // SAFETY: `new` wrote a machine, which only `drop_machine` drops.
        unsafe { self.place.assume_init_mut() }
    }

    fn drop_machine(&mut self) {
        assert!(core::mem::take(&mut self.occupied));
        // SAFETY: there was a machine, and `occupied` keeps `machine` and `drop` from using it again.
        unsafe { self.place.assume_init_drop() }
    }

    /// Returns the positions of bytes that a user name or password has.
    fn positions(&self) -> Vec<usize> {
        let start = self.place.as_ptr().cast::<u8>();
        (0..size_of::<M>())
            // SAFETY: the byte is inside of the place. It belongs to a field, or to padding that the move into the
            // place may have left uninitialized; the compiler can assume nothing about a volatile read, and the
            // value is only compared.
            .filter(|i| is_secret(unsafe { start.add(*i).read_volatile() }))
            .collect()
    }

    /// Returns the positions of credentials: three bytes in a row, or a single one where they have been before.
    /// Padding may hold any byte.
    fn credentials(&self) -> BTreeSet<usize> {
        let positions = self.positions();
        let rows = positions.windows(3).filter(|row| row[0] + 2 == row[2]);
        let left_over = positions.iter().filter(|at| self.held.contains(at));
        rows.flatten().chain(left_over).copied().collect()
    }

    #[track_caller]
    fn assert_holds(&mut self) {
        let credentials = self.credentials();
        assert!(!credentials.is_empty(), "the search finds no credentials");
        self.held.extend(credentials);
    }

    #[track_caller]
    fn assert_wiped(&self) {
        let credentials = self.credentials();
        assert!(
            credentials.is_empty(),
            "credentials were left behind at {credentials:?}"
        );
    }
}

impl<M> Drop for Slot<M> {
    fn drop(&mut self) {
        if self.occupied {
            self.drop_machine();
        }
    }
}

fn credentials() -> Credentials<'static> {
    Credentials::new(USERNAME, PASSWORD).unwrap()
}

fn message() -> Vec<u8> {
    let mut bytes = vec![0; credentials().encoded_len()];
    credentials().encode_into(&mut bytes).unwrap();
    bytes
}

/// A server that needs credentials.
fn server() -> Slot<server::Handshake> {
    let mut slot = Slot::new(server::Handshake::new());
    assert_eq!(slot.machine().handle_input(&[5, 1, 2]), 3);
    let server::Output::SelectMethod(select) = slot.machine().poll_output() else {
        panic!("{slot:?}", slot = slot.machine());
    };
    select.select(Method::USERNAME_PASSWORD).unwrap();
    let server::Output::Transmit(transmit) = slot.machine().poll_output() else {
        panic!("{slot:?}", slot = slot.machine());
    };
    transmit.sent(2);
    slot
}

/// Passes `bytes` to the server, `chunk` at a time.
fn feed(slot: &mut Slot<server::Handshake>, bytes: &[u8], chunk: usize) {
    for piece in bytes.chunks(chunk) {
        assert_eq!(slot.machine().handle_input(piece), piece.len());
    }
}

///
#[test]
fn server_wipes_credentials_when_answered() {
    let answers: [fn(server::Authenticate<'_>); 3] = [
        |authenticate| authenticate.accept(),
        |authenticate| authenticate.reject(),
        |authenticate| authenticate.reject_with(NonZeroU8::MAX),
    ];
    for answer in answers {
        for chunk in 1..=message().len() {
            let mut slot = server();
            slot.assert_wiped();
            feed(&mut slot, &message(), chunk);
            slot.assert_holds();
            let server::Output::Authenticate(authenticate) = slot.machine().poll_output() else {
                panic!("{slot:?}", slot = slot.machine());
            };
            assert!(authenticate.credentials().verify(USERNAME, PASSWORD));
            answer(authenticate);
            slot.assert_wiped();
        }
    }
}

/// Every prefix of the message, in pieces of every size.
fn partial_messages(mut with: impl FnMut(Slot<server::Handshake>)) {
    for len in 5..=message().len() {
        for chunk in 1..=len {
            let mut slot = server();
            feed(&mut slot, &message()[..len], chunk);
            slot.assert_holds();
            with(slot);
        }
    }
}

#[test]
fn server_wipes_credentials_when_dropped() {
    partial_messages(|mut slot| {
        slot.drop_machine();
        slot.assert_wiped();
    });
}

#[test]
fn server_wipes_credentials_at_the_end_of_input() {
    partial_messages(|mut slot| {
        slot.machine().handle_eof();
        match slot.machine().poll_output() {
            server::Output::Closed(_) => slot.assert_wiped(),
            // A complete message still awaits the verdict.
            server::Output::Authenticate(authenticate) => {
                authenticate.reject();
                slot.assert_wiped();
            }
            other => panic!("{other:?}"),
        }
    });
    partial_messages(|mut slot| {
        slot.machine().handle_eof();
        slot.drop_machine();
        slot.assert_wiped();
    });
}

/// A user name with an empty password is malformed.
#[test]
fn server_wipes_malformed_credentials() {
    let bytes = [&[1, USERNAME.len() as u8], USERNAME, &[0]].concat();
    for chunk in 1..=bytes.len() {
        let mut slot = server();
        let (last, before) = bytes.split_last().unwrap();
        feed(&mut slot, before, chunk);
        slot.assert_holds();
        feed(&mut slot, &[*last], 1);
        slot.assert_wiped();

        let mut slot = server();
        feed(&mut slot, &bytes, chunk);
        slot.assert_wiped();
    }
}

const EVERY: [Method; 3] = [
    Method::NO_AUTHENTICATION,
    Method::GSSAPI,
    Method::USERNAME_PASSWORD,
];

/// A client that offers all methods, or only username/password and optimistically.
fn client(optimistic: bool) -> Slot<client::Handshake> {
    let auth = if optimistic {
        Auth::password(credentials())
    } else {
        Auth::new(&EVERY, Some(credentials())).unwrap()
    };
    let request = Request::connect(Address::try_from("example.com:80").unwrap());
    let config = client::Config::new().with_optimistic(optimistic);
    let mut slot = Slot::new(client::Handshake::with_config(&request, auth, config));
    slot.assert_holds();
    slot
}

fn transmit(slot: &mut Slot<client::Handshake>) -> Transmit<'_> {
    match slot.machine().poll_output() {
        client::Output::Transmit(transmit) => transmit,
        other => panic!("{other:?}"),
    }
}

/// A client that has sent its greeting and received `bytes`.
fn answered(bytes: &[u8]) -> Slot<client::Handshake> {
    let mut slot = client(false);
    assert_eq!(transmit(&mut slot).as_bytes(), [5, 3, 0, 1, 2]);
    transmit(&mut slot).sent(5);
    slot.assert_holds();
    let _ = slot.machine().handle_input(bytes);
    slot
}

///
#[test]
fn client_wipes_credentials_when_sent() {
    for optimistic in [false, true] {
        let mut slot = if optimistic {
            client(true)
        } else {
            answered(&[5, 2])
        };
        let len = transmit(&mut slot).as_bytes().len();
        for left in (1..len).rev() {
            transmit(&mut slot).sent(1);
            assert_eq!(transmit(&mut slot).as_bytes().len(), left);
            slot.assert_holds();
        }
        transmit(&mut slot).sent(1);
        slot.assert_wiped();
    }
}

#[cfg(feature = "bytes")]
#[test]
fn client_wipes_credentials_when_drained_as_a_buf() {
    use bytes::Buf;

    for optimistic in [false, true] {
        let mut slot = if optimistic {
            client(true)
        } else {
            answered(&[5, 2])
        };
        let mut bytes = transmit(&mut slot);
        bytes.advance(bytes.remaining() - 1);
        slot.assert_holds();
        // As with `sent`, a larger number means all.
        let mut last = transmit(&mut slot);
        last.advance(2);
        last.advance(1);
        assert_eq!(last.remaining(), 0);
        slot.assert_wiped();
    }
}

#[test]
fn client_wipes_credentials_that_are_not_requested() {
    for method in [Method::NO_AUTHENTICATION, Method::GSSAPI] {
        let mut slot = answered(&[5, method.get()]);
        assert_eq!(slot.machine().method(), Some(method));
        slot.assert_wiped();
    }
}

#[test]
fn client_wipes_credentials_when_it_closes() {
    // No acceptable method, a method that was not offered, another protocol.
    for refusal in [&[5, 0xff][..], &[5, 0x80], &[4]] {
        let mut slot = answered(refusal);
        assert!(matches!(slot.machine().poll_output(), client::Output::Closed(_)));
        slot.assert_wiped();
    }
}

#[test]
fn client_wipes_credentials_at_the_end_of_input() {
    for bytes in [&[][..], &[5]] {
        let mut slot = answered(bytes);
        slot.machine().handle_eof();
        assert!(matches!(slot.machine().poll_output(), client::Output::Closed(_)));
        slot.assert_wiped();
    }

    let mut slot = answered(&[5, 2]);
    slot.machine().handle_eof();
    transmit(&mut slot).sent_all();
    slot.assert_wiped();
    assert!(matches!(slot.machine().poll_output(), client::Output::Closed(_)));
}

#[test]
fn client_wipes_credentials_when_dropped() {
    for mut slot in [client(false), client(true), answered(&[]), answered(&[5, 2])] {
        slot.assert_holds();
        slot.drop_machine();
        slot.assert_wiped();
    }
    for sent in 1..20 {
        for mut slot in [client(true), answered(&[5, 2])] {
            transmit(&mut slot).sent(sent);
            slot.drop_machine();
            slot.assert_wiped();
        }
    }
}

/// A request of version 4 for a name.
fn socks4_message() -> Vec<u8> {
    [b"\x04\x01\x00\x50\x00\x00\x00\x01", USERNAME, b"\0example.com\0"].concat()
}

/// A server that has consumed `bytes`, at most `chunk` at a time.
fn socks4_server(bytes: &[u8], chunk: usize) -> Slot<server::Handshake> {
    let config = server::Config::new().with_socks4(true);
    let mut slot = Slot::new(server::Handshake::with_config(config));
    feed(&mut slot, bytes, chunk);
    slot
}

///
#[test]
fn server_wipes_the_user_id_when_answered() {
    let answers: [fn(server::PendingRequest<'_>); 3] = [
        |pending| pending.accept(Address::UNSPECIFIED),
        |pending| pending.reject(ReplyCode::HOST_UNREACHABLE),
        |pending| pending.reject_socks4(socks4::ReplyCode::IDENTD_MISMATCH),
    ];
    let message = socks4_message();
    for answer in answers {
        for chunk in 1..=message.len() {
            let mut slot = socks4_server(&message, chunk);
            slot.assert_holds();
            let server::Output::PendingRequest(pending) = slot.machine().poll_output() else {
                panic!("{slot:?}", slot = slot.machine());
            };
            assert_eq!(pending.user_id().map(UserId::as_bytes), Some(USERNAME));
            answer(pending);
            slot.assert_wiped();
        }
    }
}

/// the machine itself refuses an empty name, a name with a control byte, a user id or name that is too long, and UDP
/// ASSOCIATE.
#[test]
fn server_wipes_the_user_id_of_a_request_that_it_refuses() {
    let head = |command| [4, command, 0, 80, 0, 0, 0, 1];
    for message in [
        [&head(1), USERNAME, b"\0\0"].concat(),
        [&head(1), USERNAME, b"\0a\x01b\0"].concat(),
        [&head(1)[..], &[USERNAME[0]; 256]].concat(),
        [&head(1), USERNAME, b"\0", &[b'n'; 256]].concat(),
        [&head(3), USERNAME, b"\0a\0"].concat(),
    ] {
        let (last, before) = message.split_last().unwrap();
        for chunk in 1..=message.len() {
            let mut slot = socks4_server(before, chunk);
            slot.assert_holds();
            feed(&mut slot, &[*last], 1);
            slot.assert_wiped();
        }
        socks4_server(&message, message.len()).assert_wiped();
        // Later bytes in the same input are not kept either.
        let mut slot = socks4_server(&[], 1);
        let surplus = [&message[..], USERNAME].concat();
        assert_eq!(slot.machine().handle_input(&surplus), message.len());
        slot.assert_wiped();
    }
}

///
#[test]
fn server_wipes_the_user_id_at_the_end() {
    let message = socks4_message();
    for len in 11..message.len() {
        for chunk in 1..=len {
            let mut slot = socks4_server(&message[..len], chunk);
            slot.assert_holds();
            slot.machine().handle_eof();
            assert!(matches!(slot.machine().poll_output(), server::Output::Closed(_)));
            slot.assert_wiped();

            let mut slot = socks4_server(&message[..len], chunk);
            slot.assert_holds();
            slot.drop_machine();
            slot.assert_wiped();
        }
    }
}

///
#[test]
fn client_wipes_the_user_id_when_sent_or_dropped() {
    let request = Request::connect(Address::try_from("example.com:80").unwrap());
    let user_id = UserId::new(USERNAME).unwrap();
    for sent in 0..=socks4_message().len() {
        let mut slot = Slot::new(client::Handshake::socks4(&request, user_id).unwrap());
        slot.assert_holds();
        let len = transmit(&mut slot).as_bytes().len();
        transmit(&mut slot).sent(sent);
        if sent < len {
            slot.assert_holds();
            slot.drop_machine();
        }
        slot.assert_wiped();
    }
}

/// values of every length, also when another value replaces one.
#[test]
fn credentials_buf_wipes_both_fields_when_dropped() {
    // The lengths are not overwritten, so those that equal a byte of the credentials are left out.
    for len in (3..=u8::MAX).filter(|len| !is_secret(*len)).map(usize::from) {
        let buf = || CredentialsBuf::new(vec![USERNAME[0]; len], vec![PASSWORD[0]; len]).unwrap();
        for mut slot in [Slot::new(buf()), Slot::new(buf().clone())] {
            slot.assert_holds();
            assert_eq!(slot.credentials().len(), 2 * len);
            slot.drop_machine();
            slot.assert_wiped();
        }
        let mut slot = Slot::new(buf());
        slot.assert_holds();
        *slot.machine() = CredentialsBuf::new("u", "p").unwrap();
        slot.assert_wiped();
    }
}

#[cfg(feature = "std")]
mod carry {
    use std::io::{Cursor, Read, Write};

    use sans_socks::{Machine, Method, server};

    use super::{is_secret, message};

    /// Input that is returned in one read, and output that is ignored.
    struct Stream(Cursor<Vec<u8>>);

    impl Read for Stream {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// An empty carry whose memory is initialized, and large enough.
    fn carry() -> Vec<u8> {
        let mut carry = vec![0; 256];
        carry.clear();
        carry
    }

    /// Whether the memory of `carry` holds credentials, its spare capacity included.
    fn holds_credentials(carry: &Vec<u8>) -> bool {
        assert_eq!(carry.capacity(), 256, "it was not moved");
        let start = carry.as_ptr();
        // SAFETY: `carry` initialized the whole capacity.
        (0..carry.capacity()).any(|i| is_secret(unsafe { start.add(i).read_volatile() }))
    }

    /// the bytes of its carry that `advance` has consumed are overwritten, whatever follows them.
    #[test]
    fn advance_wipes_what_it_consumes() {
        let greeting = [5, 1, 2];
        for rest in [
            &[][..],
            &[5],
            &[5, 1, 0, 1, 127, 0, 0, 1, 0, 80, 1, 2, 3],
            &[7; 100],
        ] {
            for prefilled in [false, true] {
                let input = [&greeting, &*message(), rest].concat();
                let mut carry = carry();
                let mut stream = Stream(Cursor::new(Vec::new()));
                if prefilled {
                    carry.extend_from_slice(&input);
                } else {
                    stream.0 = Cursor::new(input);
                }
                let mut handshake = server::Handshake::new();
                let Ok(server::Decision::SelectMethod(select)) = handshake.advance(&mut stream, &mut carry)
                else {
                    panic!("no selection");
                };
                select.select(Method::USERNAME_PASSWORD).unwrap();
                assert!(holds_credentials(&carry), "the search finds no credentials");
                let Ok(server::Decision::Authenticate(authenticate)) =
                    handshake.advance(&mut stream, &mut carry)
                else {
                    panic!("no credentials");
                };
                assert!(!holds_credentials(&carry), "credentials were left behind");
                assert_eq!(carry, rest);
                authenticate.reject();
            }
        }
    }
}
