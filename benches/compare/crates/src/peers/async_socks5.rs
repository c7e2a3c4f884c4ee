//! async-socks5: a client over an async stream. (Its documentation puts a `BufStream` around the stream, which saves system
//! calls, but costs two allocations of 8 KiB. Without it, the jobs here are cheaper.)

use std::hint::black_box;

use async_socks5::{AddrKind, Auth, connect};

use super::{CLIENT_ONLY, DATAGRAMS};
use crate::job::{Job, Login, NAME, PORT, Told};
use crate::peer::Peer;
use crate::stream::{Stream, connect_over_stream};

pub struct AsyncSocks5;

async fn client(stream: &mut Stream, login: Option<&Login>) -> Option<AddrKind> {
    let auth = login.map(|&Login { username, password }| Auth::new(username, password));
    connect(stream, (black_box(NAME), black_box(PORT)), auth)
        .await
        .ok()
}

fn told(bound: &AddrKind) -> Told {
    match bound {
        AddrKind::Ip(address) => Told::message(0, address.ip(), address.port()),
        AddrKind::Domain(name, port) => Told::message(0, name, *port),
    }
}

impl Peer for AsyncSocks5 {
    const NAME: &str = "async-socks5";
    const VERSION: &str = "0.6.0";
    const HOW: &str = "an async client";
    const MISSING: &[(&[Job], &str)] = &[
        CLIENT_ONLY,
        (DATAGRAMS, "it sends datagrams only over its own socket"),
    ];

    connect_over_stream!(client, told);
}
