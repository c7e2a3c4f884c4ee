//! The machines are small and can move between threads, so that thousands fit in a slab.

use core::panic::{RefUnwindSafe, UnwindSafe};

use sans_socks::message::{AuthStatus, BufferTooSmall, Decoded, Greeting, Methods, Selection};
use sans_socks::udp::Association;
use sans_socks::{
    Address, AddressBuf, ApiMisuse, Command, Credentials, CredentialsBuf, Domain, Error, ErrorKind, Host,
    InvalidValue, Io, Malformed, Method, OtherProtocol, ParseCodePointError, PeerMisbehaved, Phase, Reply,
    ReplyCode, Request, Target, Transmit, client, server,
};

/// a machine holds its longest message inline.
#[test]
fn machines_are_small() {
    let (server, client) = (size_of::<server::Handshake>(), size_of::<client::Handshake>());
    println!("server machine {server} bytes, client machine {client} bytes");
    assert!(server <= 560, "{server}");
    assert!(client <= 1100, "{client}");
}

/// Owned values hold their longest form inline, as their documentation promises.
#[test]
fn owned_values_are_inline() {
    assert_eq!(size_of::<CredentialsBuf>(), 512);
    assert!((260..=264).contains(&size_of::<AddressBuf>()));
    assert!(size_of::<Association>() <= 80);
    #[cfg(feature = "std")]
    assert!(size_of::<sans_socks::udp::Reassembler>() <= 360);
}

const fn is_shared<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
const fn is_owned<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>() {}
const fn is_held_over_await<T: Send + Sync + Unpin>() {}

/// A type that does not implement these traits fails to compile here.
#[test]
fn types_move_between_threads() {
    is_owned::<server::Handshake>();
    is_owned::<client::Handshake>();
    is_owned::<server::Config>();
    is_owned::<client::Config>();
    is_owned::<server::Established>();
    is_owned::<AddressBuf>();
    is_owned::<CredentialsBuf>();
    is_owned::<Method>();
    is_owned::<Command>();
    is_owned::<ReplyCode>();
    is_owned::<AuthStatus>();
    is_owned::<Selection>();
    is_owned::<Error>();
    is_owned::<ErrorKind>();
    is_owned::<Malformed>();
    is_owned::<PeerMisbehaved>();
    is_owned::<InvalidValue>();
    is_owned::<ApiMisuse>();
    is_owned::<BufferTooSmall>();
    is_owned::<Phase>();
    is_owned::<OtherProtocol>();
    is_owned::<ParseCodePointError>();

    is_shared::<Address<'_>>();
    is_shared::<Host<'_>>();
    is_shared::<Domain<'_>>();
    is_shared::<Target<'_>>();
    is_shared::<Credentials<'_>>();
    is_shared::<client::Auth<'_>>();
    is_shared::<Greeting<'_>>();
    is_shared::<Methods<'_>>();
    is_shared::<Request<'_>>();
    is_shared::<Reply<'_>>();
    is_shared::<Decoded<Request<'_>>>();

    is_held_over_await::<Io<'_>>();
    is_held_over_await::<Transmit<'_>>();
    is_held_over_await::<server::Output<'_>>();
    is_held_over_await::<server::Decision<'_>>();
    is_held_over_await::<server::SelectMethod<'_>>();
    is_held_over_await::<server::Authenticate<'_>>();
    is_held_over_await::<server::Negotiate<'_>>();
    is_held_over_await::<server::PendingRequest<'_>>();
    is_held_over_await::<server::PendingPeer<'_>>();
    is_held_over_await::<client::Output<'_>>();
    is_held_over_await::<client::Decision<'_>>();
    is_held_over_await::<client::Negotiate<'_>>();
    is_held_over_await::<client::Bound<'_>>();
}
