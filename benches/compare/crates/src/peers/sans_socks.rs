//! This crate.

use std::hint::black_box;
use std::net::{SocketAddr, SocketAddrV4};
use std::slice;

use sans_socks::message::Encode;
use sans_socks::udp::{Datagram, Header};
use sans_socks::{
    Address, Command, Credentials, Domain, Host, Method, Reply, ReplyCode, Request, client, server, socks4,
};

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
fn target() -> Option<Address<'static>> {
    Some(Address::from((
        Domain::new(black_box(NAME)).ok()?,
        black_box(PORT),
    )))
}

#[inline(always)]
fn address(ip: [u8; 4]) -> Address<'static> {
    SocketAddr::from((black_box(ip), black_box(PORT))).into()
}

/// Does everything that can be done until bytes are needed. Returns whether the handshake has ended.
#[inline(always)]
fn advance<W: Witness>(
    handshake: &mut server::Handshake,
    login: Option<&Login>,
    out: &mut Output<'_>,
    witness: &mut W,
    read: impl Fn(&server::PendingRequest<'_>, &mut W),
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
                read(&pending, witness);
                pending.accept(address(BOUND));
            }
            Established(_) => return Some(true),
            _ => return None,
        }
    }
}

#[inline(always)]
fn read_request(pending: &server::PendingRequest<'_>, witness: &mut impl Witness) {
    witness.read(&pending.request(), |request| {
        told(request.command.get(), &request.address)
    });
}

#[inline(always)]
fn read_socks4_request(pending: &server::PendingRequest<'_>, witness: &mut impl Witness) {
    let read = (pending.request(), pending.user_id().unwrap_or_default());
    witness.read(&read, |(request, user_id)| {
        told(request.command.get(), &request.address).with_payload(user_id.as_bytes())
    });
}

/// A server of SOCKS4 that gets `pieces`.
#[inline(always)]
fn serve_socks4(
    pieces: impl Iterator<Item = &'static [u8]>,
    context: &mut Context,
    witness: &mut impl Witness,
) -> Option<()> {
    let mut handshake = server::Handshake::with_config(server::Config::new().with_socks4(true));
    let mut out = context.output();
    for piece in pieces {
        arrival();
        if handshake.handle_input(piece) != piece.len() {
            return None;
        }
        if advance(&mut handshake, None, &mut out, witness, read_socks4_request)? {
            return Some(());
        }
    }
    None
}

#[inline(always)]
fn socks4_request(user_id: &'static str) -> Option<socks4::Request<'static>> {
    let user_id = socks4::UserId::new(user_id).ok()?;
    socks4::Request::new(Command::CONNECT, target()?, user_id).ok()
}

/// A client's handshake, up to its end.
#[inline(always)]
fn drive(
    handshake: &mut client::Handshake,
    script: Script,
    context: &mut Context,
    witness: &mut impl Witness,
) -> Option<()> {
    use client::Output::*;

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

impl Peer for SansSocks {
    const NAME: &str = "sans-socks";
    const VERSION: &str = "this one";
    const HOW: &str = "messages; machines";
    const SOCKS4: bool = true;

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
            if advance(&mut handshake, login, &mut out, witness, read_request)? {
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
            if advance(&mut handshake, Some(login), &mut out, witness, read_request)? {
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
        let auth = match login {
            Some(&Login { username, password }) => {
                client::Auth::password_or_none(Credentials::new(username, password).ok()?)
            }
            None => client::Auth::none(),
        };
        let mut handshake = client::Handshake::new(&Request::connect(target()?), auth);
        drive(&mut handshake, script, context, witness)
    }

    #[inline(always)]
    fn decode_socks4_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        witness.read(&socks4::Request::decode(bytes), |decoded| {
            let (request, _) = decoded.unwrap().complete().unwrap();
            told(request.command().get(), &request.address()).with_payload(request.user_id().as_bytes())
        });
    }

    #[inline(always)]
    fn encode_socks4_request(
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let len = socks4_request(user_id)?
            .encode_into(&mut context.slice[..])
            .ok()?;
        witness.wrote(&context.slice[..len]);
        Some(())
    }

    #[inline(always)]
    fn encode_socks4_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let bound = SocketAddrV4::new(black_box(BOUND).into(), black_box(PORT));
        let reply = socks4::Reply::new(socks4::ReplyCode::GRANTED, bound);
        let len = reply.encode_into(&mut context.slice[..]).ok()?;
        witness.wrote(&context.slice[..len]);
        Some(())
    }

    #[inline(always)]
    fn serve_socks4(script: Script, context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        serve_socks4(script.chunks(), context, witness)
    }

    #[inline(always)]
    fn connect_socks4(
        script: Script,
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let user_id = socks4::UserId::new(user_id).ok()?;
        let mut handshake = client::Handshake::socks4(&Request::connect(target()?), user_id).ok()?;
        drive(&mut handshake, script, context, witness)
    }

    #[inline(always)]
    fn serve_socks4_bytewise(
        script: Script,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        serve_socks4(script.bytes.chunks(1), context, witness)
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
