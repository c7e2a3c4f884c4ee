//! Both machines, every message and the UDP side, in a program without std. Cargo.toml describes how it is checked.

#![expect(unsafe_code, reason = "a program without std is its own runtime")]
#![no_std]
#![no_main]

#[cfg(feature = "alloc")]
mod allocator;

use core::num::NonZeroUsize;
use core::panic::PanicInfo;
use core::time::Duration;

use sans_socks::message::{AuthStatus, Encode, Greeting, Selection};
use sans_socks::udp::{Association, Datagram, Header, MAX_HEADER_LEN, Outcome, Reassembler, fragments};
use sans_socks::{
    Address, AddressBuf, Command, Credentials, Method, Reply, ReplyCode, Request, client, server,
};

// For the call of `main`, and for `memcpy`, which `core` itself needs.
#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// No code unwinds here, but the prebuilt `core` refers to this.
#[unsafe(no_mangle)]
const extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let address = Address::try_from("example.com:80").unwrap_or(Address::UNSPECIFIED);
    let owned = AddressBuf::from(address);
    let handshakes = [Command::CONNECT, Command::BIND, Command::UDP_ASSOCIATE]
        .iter()
        .all(|command| handshake(&Request::new(*command, owned.as_address())).is_some());
    #[cfg(feature = "clock")]
    clock();
    i32::from(!(handshakes && messages(address).is_some() && datagrams(address).is_some()))
}

#[cfg(feature = "clock")]
fn clock() {
    unsafe extern "C" {
        safe fn clock() -> core::ffi::c_long;
    }
    core::hint::black_box(clock());
}

/// Writes every message, and reads it back.
fn messages(address: Address<'_>) -> Option<()> {
    let mut bytes = [0; 513];

    let greeting = Greeting::new(&[Method::GSSAPI, Method::USERNAME_PASSWORD]).ok()?;
    let n = greeting.encode_into(&mut bytes).ok()?;
    (Greeting::decode(&bytes[..n]).ok()?.complete()? == (greeting, n)).then_some(())?;

    let selection = Selection::new(Method::GSSAPI);
    let n = selection.encode_into(&mut bytes).ok()?;
    (Selection::decode(&bytes[..n]).ok()?.complete()? == (selection, n)).then_some(())?;

    let credentials = Credentials::new("alice", "secret").ok()?;
    let n = credentials.encode_into(&mut bytes).ok()?;
    let (given, _) = Credentials::decode(&bytes[..n]).ok()?.complete()?;
    given.verify("alice", "secret").then_some(())?;

    let n = AuthStatus::FAILURE.encode_into(&mut bytes).ok()?;
    (AuthStatus::decode(&bytes[..n]).ok()?.complete()? == (AuthStatus::FAILURE, n)).then_some(())?;

    let request = Request::connect(address);
    let n = request.encode_into(&mut bytes).ok()?;
    (Request::decode(&bytes[..n]).ok()?.complete()? == (request, n)).then_some(())?;

    let reply = Reply::new(ReplyCode::HOST_UNREACHABLE, address);
    let n = reply.encode_into(&mut bytes).ok()?;
    (Reply::decode(&bytes[..n]).ok()?.complete()? == (reply, n)).then_some(())?;

    #[cfg(feature = "alloc")]
    {
        extern crate alloc;

        let mut bytes = alloc::vec::Vec::new();
        request.encode(&mut bytes).ok()?;
        (Request::decode(&bytes).ok()?.complete()? == (request, bytes.len())).then_some(())?;
    }
    Some(())
}

/// Runs one machine against the other, with a password, up to the tunnel.
fn handshake(request: &Request<'_>) -> Option<()> {
    let auth = client::Auth::password(Credentials::new("alice", "secret").ok()?);
    let mut client = client::Handshake::new(request, auth);
    let mut server = server::Handshake::new();
    let (mut connected, mut served) = (false, false);
    for _ in 0..64 {
        if connected && served {
            return Some(());
        }
        match client.poll_output() {
            client::Output::Transmit(transmit) => {
                let taken = server.handle_input(transmit.as_bytes());
                transmit.sent(taken);
            }
            client::Output::NeedInput { .. } => {}
            client::Output::Negotiate(negotiate) => negotiate.reject(),
            client::Output::Bound(bound) => bound.wait_for_peer(),
            client::Output::Established(reply) => connected = reply.code.is_success(),
            client::Output::Closed(_) => return None,
        }
        match server.poll_output() {
            server::Output::Transmit(transmit) => {
                let taken = client.handle_input(transmit.as_bytes());
                transmit.sent(taken);
            }
            server::Output::NeedInput { .. } => {}
            server::Output::SelectMethod(select) => select.select(Method::USERNAME_PASSWORD).ok()?,
            server::Output::Authenticate(authenticate) => {
                if authenticate.credentials().verify("alice", "secret") {
                    authenticate.accept();
                } else {
                    authenticate.reject();
                }
            }
            server::Output::Negotiate(negotiate) => negotiate.reject(),
            server::Output::PendingRequest(pending) => pending.accept(Address::UNSPECIFIED),
            server::Output::PendingPeer(pending) => pending.accept(Address::UNSPECIFIED),
            server::Output::Established(_) => served = true,
            server::Output::Closed(_) => return None,
        }
    }
    None
}

/// Sends a payload in fragments to the relay, and back as one datagram.
fn datagrams(address: Address<'_>) -> Option<()> {
    let payload = [7; 1000];
    let source = "192.0.2.7:4000".parse().ok()?;
    let mut association =
        Association::new(([192, 0, 2, 7], 51000).into(), &Address::UNSPECIFIED).with_fragments(true);
    let mut reassembler = Reassembler::with_storage([0; 1000]);
    let mut bytes = [0; MAX_HEADER_LEN + 300];
    let mut delivered = false;
    for piece in fragments(address, &payload, NonZeroUsize::new(300)?).ok()? {
        let n = piece.encode_into(&mut bytes).ok()?;
        let piece = association.accept(source, &bytes[..n]).ok()?;
        match reassembler.handle_datagram(Duration::ZERO, piece) {
            Outcome::Deliver(whole) => {
                delivered = whole.header.address == address && whole.payload == payload;
            }
            Outcome::Pending => {}
            Outcome::Dropped(_) => return None,
        }
    }
    delivered.then_some(())?;

    let header = Header::standalone(address);
    let start = header.prepend(&mut bytes, MAX_HEADER_LEN).ok()?;
    let answer = Datagram::decode(&bytes[start..]).ok()?;
    (answer.header == header && answer.payload.len() == 300).then_some(())
}
