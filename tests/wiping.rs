//! Credentials do not stay in a machine's memory: they are overwritten once they are answered or sent, when the
//! handshake fails, and when the machine is dropped.
//!
//! That can only be seen by looking at the memory itself.

#![expect(
    unsafe_code,
    reason = "there is no safe way to see what a machine no longer shows"
)]

mod session;

use core::mem::MaybeUninit;
use core::num::NonZeroU8;

use sans_socks::client::{self, Auth};
use sans_socks::message::Encode;
use sans_socks::server;
use sans_socks::{Address, Credentials, Method, Request};
use session::{PASSWORD, USERNAME};

/// A machine in a place of its own, where it is not moved and which outlives it.
struct Slot<M> {
    place: Box<MaybeUninit<M>>,
    occupied: bool,
}

impl<M> Slot<M> {
    /// The place is zeroed, so that padding too has a value until the machine is written.
    fn new(machine: M) -> Self {
        let mut place = Box::new(MaybeUninit::zeroed());
        place.write(machine);
        Self {
            place,
            occupied: true,
        }
    }

    fn machine(&mut self) -> &mut M {
        assert!(self.occupied);
        // SAFETY: `new` wrote a machine, and only `drop_machine` takes it away.
        unsafe { self.place.assume_init_mut() }
    }

    fn drop_machine(&mut self) {
        assert!(core::mem::take(&mut self.occupied));
        // SAFETY: there was a machine, and there will be none for `machine` and `drop` to find.
        unsafe { self.place.assume_init_drop() }
    }

    /// Whether two octets of a user name or password stand in the place in a row.
    fn holds_credentials(&self) -> bool {
        let start = self.place.as_ptr().cast::<u8>();
        let octets: Vec<u8> = (0..size_of::<M>())
            // SAFETY: the octet is inside of the place. It is one of a field, or of padding, which the
            // machine's move may by the letter have left without a value: hence a volatile read, of which the
            // compiler can assume nothing. Whatever it gives, it is only compared.
            .map(|i| unsafe { start.add(i).read_volatile() })
            .collect();
        let secrets = [USERNAME.as_bytes(), PASSWORD.as_bytes()];
        let mut parts = secrets.iter().flat_map(|secret| secret.windows(2));
        parts.any(|part| octets.windows(2).any(|window| window == part))
    }

    #[track_caller]
    fn assert_holds(&self) {
        assert!(self.holds_credentials(), "the search finds nothing");
    }

    #[track_caller]
    fn assert_wiped(&self) {
        assert!(!self.holds_credentials(), "credentials were left behind");
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
    let mut octets = vec![0; credentials().encoded_len()];
    credentials().encode_into(&mut octets).unwrap();
    octets
}

/// A server that waits for credentials.
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

/// Gives the server `octets`, `chunk` at a time.
fn feed(slot: &mut Slot<server::Handshake>, octets: &[u8], chunk: usize) {
    for piece in octets.chunks(chunk) {
        assert_eq!(slot.machine().handle_input(piece), piece.len());
    }
}

///
#[test]
fn a_server_that_has_answered() {
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
    for len in 4..=message().len() {
        for chunk in 1..=len {
            let mut slot = server();
            feed(&mut slot, &message()[..len], chunk);
            slot.assert_holds();
            with(slot);
        }
    }
}

#[test]
fn a_server_that_is_dropped() {
    partial_messages(|mut slot| {
        slot.drop_machine();
        slot.assert_wiped();
    });
}

#[test]
fn a_server_whose_client_ends() {
    partial_messages(|mut slot| {
        slot.machine().handle_eof();
        match slot.machine().poll_output() {
            server::Output::Closed(_) => slot.assert_wiped(),
            // A whole message is still judged.
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

/// A user name, and an empty password.
#[test]
fn a_server_that_refuses_the_message() {
    let octets = [&[1, USERNAME.len() as u8], USERNAME.as_bytes(), &[0]].concat();
    for chunk in 1..=octets.len() {
        let mut slot = server();
        let (last, before) = octets.split_last().unwrap();
        feed(&mut slot, before, chunk);
        slot.assert_holds();
        feed(&mut slot, &[*last], 1);
        slot.assert_wiped();

        let mut slot = server();
        feed(&mut slot, &octets, chunk);
        slot.assert_wiped();
    }
}

const EVERY: [Method; 3] = [
    Method::NO_AUTHENTICATION,
    Method::GSSAPI,
    Method::USERNAME_PASSWORD,
];

/// A client that offers all methods, or username/password alone and optimistically.
fn client(optimistic: bool) -> Slot<client::Handshake> {
    let auth = if optimistic {
        Auth::password(credentials())
    } else {
        Auth::new(&EVERY, Some(credentials())).unwrap()
    };
    let request = Request::connect(Address::try_from("example.com:80").unwrap());
    let config = client::Config::new().with_optimistic(optimistic);
    let slot = Slot::new(client::Handshake::with_config(&request, auth, config));
    slot.assert_holds();
    slot
}

fn transmit(slot: &mut Slot<client::Handshake>) -> sans_socks::Transmit<'_> {
    match slot.machine().poll_output() {
        client::Output::Transmit(transmit) => transmit,
        other => panic!("{other:?}"),
    }
}

/// A client that has sent its greeting, and got `octets` for an answer.
fn answered(octets: &[u8]) -> Slot<client::Handshake> {
    let mut slot = client(false);
    assert_eq!(transmit(&mut slot).bytes(), [5, 3, 0, 1, 2]);
    transmit(&mut slot).sent(5);
    slot.assert_holds();
    let _ = slot.machine().handle_input(octets);
    slot
}

///
#[test]
fn a_client_that_has_sent_them() {
    for optimistic in [false, true] {
        let mut slot = if optimistic {
            client(true)
        } else {
            answered(&[5, 2])
        };
        let len = transmit(&mut slot).bytes().len();
        for left in (1..len).rev() {
            transmit(&mut slot).sent(1);
            assert_eq!(transmit(&mut slot).bytes().len(), left);
            slot.assert_holds();
        }
        transmit(&mut slot).sent(1);
        slot.assert_wiped();
    }
}

#[cfg(feature = "bytes")]
#[test]
fn a_client_that_has_sent_them_as_a_buf() {
    use bytes::Buf;

    for optimistic in [false, true] {
        let mut slot = if optimistic {
            client(true)
        } else {
            answered(&[5, 2])
        };
        let mut octets = transmit(&mut slot);
        octets.advance(octets.remaining() - 1);
        slot.assert_holds();
        // More than there is, as `sent` has it: all of it, and then nothing.
        let mut last = transmit(&mut slot);
        last.advance(2);
        last.advance(1);
        assert_eq!(last.remaining(), 0);
        slot.assert_wiped();
    }
}

#[test]
fn a_client_that_need_not_send_them() {
    for method in [Method::NO_AUTHENTICATION, Method::GSSAPI] {
        let mut slot = answered(&[5, method.get()]);
        assert_eq!(slot.machine().method(), Some(method));
        slot.assert_wiped();
    }
}

#[test]
fn a_client_that_is_not_let_in() {
    // No acceptable method, one that was not offered, another protocol.
    for refusal in [&[5, 0xff][..], &[5, 0x80], &[4]] {
        let mut slot = answered(refusal);
        assert!(matches!(slot.machine().poll_output(), client::Output::Closed(_)));
        slot.assert_wiped();
    }
}

#[test]
fn a_client_whose_server_ends() {
    for octets in [&[][..], &[5]] {
        let mut slot = answered(octets);
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
fn a_client_that_is_dropped() {
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
