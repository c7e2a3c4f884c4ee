//! `bind_client` and its peer. The test acts as the proxy.

use std::thread;

use crate::clients::{Proxied, TARGET};
use crate::raw::success;

/// R-041..R-043: two replies, then a tunnel in which the peer speaks first.
#[test]
fn peer_and_client_exchange_data_after_two_replies() {
    let mut proxied = Proxied::shake_hands("bind_client");
    proxied.control.send(&success(TARGET));
    assert_eq!(proxied.client.line(), format!("peer {TARGET}"));
    proxied.control.send(b"from the peer\n");
    assert_eq!(proxied.client.line(), "from the peer");
    let Proxied { client, control } = proxied;
    let peer = thread::spawn(move || control.echo());
    client.expect_echo(b"from the client");
    peer.join().expect("no panic");
}

/// both replies and the peer's first bytes in one segment.
#[test]
fn second_reply_and_data_with_the_first_reply_are_kept() {
    let mut proxied = Proxied::until_first_reply("bind_client");
    let replies = [success(TARGET), success(TARGET)].concat();
    proxied.control.send(&[&replies[..], b"from the peer\n"].concat());
    assert_eq!(proxied.client.line(), format!("bound {TARGET}"));
    assert_eq!(proxied.client.line(), format!("peer {TARGET}"));
    assert_eq!(proxied.client.line(), "from the peer");
}

/// BND.ADDR of zeros is the proxy itself.
#[test]
fn bound_address_of_zeros_is_the_proxy() {
    let mut proxied = Proxied::until_first_reply("bind_client");
    proxied.control.send(&success(([0, 0, 0, 0], 40_000).into()));
    assert_eq!(proxied.client.line(), "bound 127.0.0.1:40000");
}
