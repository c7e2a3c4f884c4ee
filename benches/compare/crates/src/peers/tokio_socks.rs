//! tokio-socks: a client over an async stream.

use std::hint::black_box;

use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;

use super::{CLIENT_ONLY, NO_DATAGRAMS};
use crate::job::{Job, Login, NAME, PORT, Told};
use crate::peer::Peer;
use crate::stream::{Stream, connect_over_stream};

pub struct TokioSocks;

async fn client(stream: &mut Stream, login: Option<&Login>) -> Option<TargetAddr<'static>> {
    let target = (black_box(NAME), black_box(PORT));
    let connected = match login {
        None => Socks5Stream::connect_with_socket(stream, target).await,
        Some(&Login { username, password }) => {
            Socks5Stream::connect_with_password_and_socket(stream, target, username, password).await
        }
    };
    Some(connected.ok()?.target_addr().to_owned())
}

fn told(bound: &TargetAddr<'_>) -> Told {
    match bound {
        TargetAddr::Ip(address) => Told::message(0, address.ip(), address.port()),
        TargetAddr::Domain(name, port) => Told::message(0, name, *port),
    }
}

impl Peer for TokioSocks {
    const NAME: &str = "tokio-socks";
    const VERSION: &str = "0.5.3";
    const HOW: &str = "an async client";
    const MISSING: &[(&[Job], &str)] = &[CLIENT_ONLY, NO_DATAGRAMS];

    connect_over_stream!(client, told);
}
