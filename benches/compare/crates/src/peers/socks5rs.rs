//! socks5rs: the messages of a server without passwords, decoded from a slice to owned values.

use std::hint::black_box;
use std::net::SocketAddr;

use socks5rs::common::command::Command;
use socks5rs::common::{DestAddr, Request, SOCKS5, method};
use socks5rs::server::{Reply, parse_client_methods, parse_client_request};

use super::NO_DATAGRAMS;
use crate::job::{BOUND, Job, Login, PORT, Script, Told};
use crate::peer::{Context, Peer, State, Witness};

pub struct Socks5Rs;

/// It returns the version unchecked.
#[inline(always)]
fn request(bytes: &[u8]) -> Option<Request> {
    match parse_client_request(bytes) {
        Ok((SOCKS5, Command::Connect(request))) => Some(request),
        _ => None,
    }
}

fn told(request: &Request) -> Told {
    match &request.dest_addr {
        DestAddr::IP(ip) => Told::message(1, ip, request.dest_port),
        DestAddr::FQDN(name) => Told::message(1, name.escape_ascii(), request.dest_port),
    }
}

#[inline(always)]
fn success() -> Vec<u8> {
    Reply::new(None, SocketAddr::from((black_box(BOUND), black_box(PORT))))
}

impl Peer for Socks5Rs {
    const NAME: &str = "socks5rs";
    const VERSION: &str = "0.3.1";
    const HOW: &str = "messages of a server";
    const MISSING: &[(&[Job], &str)] = &[
        NO_DATAGRAMS,
        (&[Job::J8], "it has no passwords"),
        (&[Job::J9a, Job::J9b], "it has no client"),
        (
            &[Job::J10, Job::J11],
            "it has no passwords, and panics on an incomplete greeting",
        ),
    ];

    #[inline(always)]
    fn decode_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        witness.read(&request(bytes), |request| told(request.as_ref().unwrap()));
    }

    #[inline(always)]
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        context.out.extend_from_slice(&success());
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn serve(
        script: Script,
        _: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        context.out.clear();
        match parse_client_methods(script.chunk(0)) {
            Ok((SOCKS5, methods)) if methods.contains(&method::NO_AUTH) => {}
            _ => return None,
        }
        context.out.extend_from_slice(&[SOCKS5, method::NO_AUTH]);
        witness.wrote(&context.out);
        let request = request(script.chunk(1))?;
        witness.read(&request, told);
        context.out.extend_from_slice(&success());
        witness.wrote(&context.out);
        Some(())
    }

    /// Whether the greeting has been received.
    fn server_state() -> Option<State> {
        Some(State {
            inline: size_of::<bool>(),
            buffer: State::LONGEST_FROM_CLIENT,
        })
    }
}

#[cfg(test)]
mod tests {
    /// The reason why J10 and J11 are missing.
    #[test]
    #[should_panic = "range end index"]
    fn panics_on_a_greeting_that_has_not_come_whole() {
        let _ = super::parse_client_methods(b"\x05\x02\x00");
    }
}
