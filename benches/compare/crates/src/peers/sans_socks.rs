//! This crate.

use std::hint::black_box;
use std::net::SocketAddr;
use std::slice;

use sans_socks::message::Encode;
use sans_socks::udp::{Datagram, Header};
use sans_socks::{Address, Credentials, Domain, Host, Method, Reply, ReplyCode, Request, client, server};

use crate::job::{BOUND, IP, Login, NAME, PORT, Script, Told};
use crate::peer::{Context, Output, Peer, State, Witness, arrival};

pub struct SansSocks;

fn told(code: u8, address: &Address<'_>) -> Told {
    match address.host {
        Host::Ipv4(ip) => Told::message(code, ip, address.port),
        Host::Ipv6(ip) => Told::message(code, ip, address.port),
        Host::Domain(name) => Told::message(code, name.as_bytes().escape_ascii(), address.port),
    }
}

#[inline(always)]
fn address(ip: [u8; 4]) -> Address<'static> {
    SocketAddr::from((black_box(ip), black_box(PORT))).into()
}

/// Does everything that can be done until bytes are needed. Returns whether the handshake has ended.
#[inline(always)]
fn advance(
    handshake: &mut server::Handshake,
    login: Option<&Login>,
    out: &mut Output<'_>,
    witness: &mut impl Witness,
) -> Option<bool> {
    use server::Output::*;

    loop {
        match handshake.poll_output() {
            Transmit(transmit) => {
                out.put(transmit.as_bytes())?;
                witness.wrote(out.written());
                transmit.sent_all();
            }
            NeedInput { .. } => return Some(false),
            SelectMethod(offer) => {
                let method = match login {
                    Some(_) => Method::USERNAME_PASSWORD,
                    None => Method::NO_AUTHENTICATION,
                };
                offer.select_preferred(&[method]);
            }
            Authenticate(attempt) => {
                let &Login { username, password } = login?;
                if attempt.credentials().verify(username, password) {
                    attempt.accept();
                } else {
                    attempt.reject();
                }
            }
            PendingRequest(pending) => {
                witness.read(&pending.request(), |request| {
                    told(request.command.get(), &request.address)
                });
                pending.accept(address(BOUND));
            }
            Established(_) => return Some(true),
            _ => return None,
        }
    }
}

impl Peer for SansSocks {
    const NAME: &str = "sans-socks";
    const VERSION: &str = "this one";
    const HOW: &str = "messages; machines";

    #[inline(always)]
    fn decode_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        witness.read(&Request::decode(bytes), |decoded| {
            let (request, _) = decoded.unwrap().complete().unwrap();
            told(request.command.get(), &request.address)
        });
    }

    #[inline(always)]
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let reply = Reply::new(ReplyCode::SUCCEEDED, address(BOUND));
        let len = reply.encode_into(&mut context.slice[..]).ok()?;
        witness.wrote(&context.slice[..len]);
        Some(())
    }

    #[inline(always)]
    fn decode_datagram(bytes: &'static [u8], witness: &mut impl Witness) {
        witness.read(&Datagram::decode(bytes), |decoded| {
            let Datagram { header, payload } = decoded.unwrap();
            told(header.frag.get(), &header.address).with_payload(payload)
        });
    }

    #[inline(always)]
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let datagram = Datagram::new(Header::standalone(address(IP)), payload);
        let len = datagram.encode_into(&mut context.slice[..]).ok()?;
        witness.wrote(&context.slice[..len]);
        Some(())
    }

    #[inline(always)]
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let header = Header::standalone(address(IP));
        let start = header
            .prepend(&mut context.slice[..], black_box(Context::PAYLOAD_START))
            .ok()?;
        witness.wrote(context.slice.get(start..Context::PAYLOAD_END)?);
        Some(())
    }

    #[inline(always)]
    fn serve(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let mut handshake = server::Handshake::new();
        let mut out = context.output();
        for chunk in script.chunks() {
            if handshake.handle_input(chunk) != chunk.len() {
                return None;
            }
            if advance(&mut handshake, login, &mut out, witness)? {
                return Some(());
            }
        }
        None
    }

    #[inline(always)]
    fn serve_bytewise(
        script: Script,
        login: &Login,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let mut handshake = server::Handshake::new();
        let mut out = context.output();
        for byte in script.bytes {
            arrival();
            if handshake.handle_input(slice::from_ref(byte)) != 1 {
                return None;
            }
            if advance(&mut handshake, Some(login), &mut out, witness)? {
                return Some(());
            }
        }
        None
    }

    #[inline(always)]
    fn connect(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        use client::Output::*;

        let target = Address::from((Domain::new(black_box(NAME)).ok()?, black_box(PORT)));
        let auth = match login {
            Some(&Login { username, password }) => {
                client::Auth::password_or_none(Credentials::new(username, password).ok()?)
            }
            None => client::Auth::none(),
        };
        let mut handshake = client::Handshake::new(&sans_socks::Request::connect(target), auth);
        let mut out = context.output();
        let mut chunks = script.chunks();
        loop {
            match handshake.poll_output() {
                Transmit(transmit) => {
                    out.put(transmit.as_bytes())?;
                    witness.wrote(out.written());
                    transmit.sent_all();
                }
                NeedInput { .. } => {
                    let chunk = chunks.next()?;
                    if handshake.handle_input(chunk) != chunk.len() {
                        return None;
                    }
                }
                Established(reply) => {
                    witness.read(&reply, |reply| told(reply.code.get(), &reply.address));
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn server_state() -> Option<State> {
        Some(State {
            inline: size_of::<server::Handshake>(),
            buffer: 0,
        })
    }

    fn client_state() -> Option<State> {
        Some(State {
            inline: size_of::<client::Handshake>(),
            buffer: 0,
        })
    }
}
