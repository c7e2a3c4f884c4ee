//! tor-socksproto: machines. `step` reads into their own buffer, and `handshake`, which is deprecated and cheaper, takes a
//! slice. Any login is accepted: the caller checks it after the request.

use std::hint::black_box;
use std::sync::LazyLock;

use tor_socksproto::{
    Buffer, Handshake, NextStep, SocksAddr, SocksAuth, SocksClientHandshake, SocksCmd, SocksProxyHandshake,
    SocksReply, SocksRequest, SocksStatus, SocksVersion,
};

use super::NO_DATAGRAMS;
use crate::job::{BOUND, GREETING_NONE, Job, Login, NAME, PORT, REQUEST_IP, REQUEST_SOCKS4, Script, Told};
use crate::peer::{Context, Peer, State, Witness, arrival};

pub struct Step;
pub struct Deprecated;

fn told(code: u8, address: &SocksAddr, port: u16) -> Told {
    Told::message(code, address, port)
}

fn request_told(request: &SocksRequest) -> Told {
    let told = told(request.command().into(), request.addr(), request.port());
    match request.auth() {
        SocksAuth::Socks4(user_id) => told.with_payload(user_id),
        _ => told,
    }
}

fn reply_told(reply: &SocksReply) -> Told {
    told(reply.status().into(), reply.addr(), reply.port())
}

/// BND.PORT is always the port of the request.
#[inline(always)]
fn success(request: &SocksRequest) -> Option<Vec<u8>> {
    request
        .reply(
            SocksStatus::SUCCEEDED,
            Some(&SocksAddr::Ip(black_box(BOUND).into())),
        )
        .ok()
}

#[inline(always)]
fn is_login(request: &SocksRequest, login: &Login) -> bool {
    match request.auth() {
        SocksAuth::Username(username, password) => {
            *username == *login.username.as_bytes() && *password == *login.password.as_bytes()
        }
        _ => false,
    }
}

/// A server that has read the whole handshake checks the login and answers.
#[inline(always)]
fn answer(
    request: &SocksRequest,
    login: Option<&Login>,
    out: &mut Vec<u8>,
    witness: &mut impl Witness,
) -> Option<()> {
    if login.is_some_and(|login| !is_login(request, login)) {
        return None;
    }
    witness.read(request, request_told);
    out.extend_from_slice(&success(request)?);
    witness.wrote(out);
    Some(())
}

#[inline(always)]
fn client(login: Option<&Login>) -> Option<SocksClientHandshake> {
    let auth = match login {
        None => SocksAuth::NoAuth,
        Some(&Login { username, password }) => SocksAuth::Username(username.into(), password.into()),
    };
    client_of(SocksVersion::V5, auth)
}

#[inline(always)]
fn socks4_client(user_id: &'static str) -> Option<SocksClientHandshake> {
    client_of(SocksVersion::V4, SocksAuth::Socks4(user_id.into()))
}

#[inline(always)]
fn client_of(version: SocksVersion, auth: SocksAuth) -> Option<SocksClientHandshake> {
    let address = SocksAddr::Hostname(black_box(NAME).to_string().try_into().ok()?);
    let request = SocksRequest::new(version, SocksCmd::CONNECT, address, black_box(PORT), auth).ok()?;
    Some(SocksClientHandshake::new(request))
}

/// Passes `pieces` to a machine when it needs input.
#[inline(always)]
fn step<H: Handshake>(
    mut handshake: H,
    mut pieces: impl Iterator<Item = &'static [u8]>,
    out: &mut Vec<u8>,
    witness: &mut impl Witness,
) -> Option<H::Output> {
    let mut buffer = Buffer::new();
    loop {
        match handshake.step(&mut buffer).ok()? {
            NextStep::Send(bytes) => {
                out.extend_from_slice(&bytes);
                witness.wrote(out);
            }
            NextStep::Recv(mut receive) => {
                let piece = pieces.next()?;
                arrival();
                receive.buf().get_mut(..piece.len())?.copy_from_slice(piece);
                receive.note_received(piece.len()).ok()?;
            }
            NextStep::Finished(finished) => return finished.into_output_forbid_pipelining().ok(),
        }
    }
}

/// Serves either version. The machine detects it.
#[inline(always)]
fn serve_by_step(
    pieces: impl Iterator<Item = &'static [u8]>,
    login: Option<&Login>,
    context: &mut Context,
    witness: &mut impl Witness,
) -> Option<()> {
    context.out.clear();
    let request = step(SocksProxyHandshake::new(), pieces, &mut context.out, witness)?;
    answer(&request, login, &mut context.out, witness)
}

#[inline(always)]
fn connect_by_step(
    client: SocksClientHandshake,
    script: Script,
    context: &mut Context,
    witness: &mut impl Witness,
) -> Option<()> {
    context.out.clear();
    let reply = step(client, script.chunks(), &mut context.out, witness)?;
    (reply.status() == SocksStatus::SUCCEEDED).then_some(())?;
    witness.read(&reply, reply_told);
    Some(())
}

impl Peer for Step {
    const NAME: &str = "tor-socksproto";
    const VERSION: &str = "0.47.0";
    const HOW: &str = "machines, by `step`";
    const MISSING: &[(&[Job], &str)] = &[
        (
            &[Job::J1, Job::J2, Job::J3, Job::S1, Job::S2, Job::S3],
            "messages are private, but see the row below",
        ),
        NO_DATAGRAMS,
    ];
    const SOCKS4: bool = true;

    #[inline(always)]
    fn serve(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        serve_by_step(script.chunks(), login, context, witness)
    }

    #[inline(always)]
    fn serve_bytewise(
        script: Script,
        login: &Login,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        serve_by_step(script.bytes.chunks(1), Some(login), context, witness)
    }

    #[inline(always)]
    fn serve_socks4(script: Script, context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        serve_by_step(script.chunks(), None, context, witness)
    }

    #[inline(always)]
    fn serve_socks4_bytewise(
        script: Script,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        serve_by_step(script.bytes.chunks(1), None, context, witness)
    }

    #[inline(always)]
    fn connect_socks4(
        script: Script,
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        connect_by_step(socks4_client(user_id)?, script, context, witness)
    }

    #[inline(always)]
    fn connect(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        connect_by_step(client(login)?, script, context, witness)
    }

    fn server_state() -> Option<State> {
        Some(State {
            inline: size_of::<(SocksProxyHandshake, Buffer)>(),
            buffer: 0,
        })
    }

    fn client_state() -> Option<State> {
        Some(State {
            inline: size_of::<(SocksClientHandshake, Buffer)>(),
            buffer: 0,
        })
    }
}

/// A server that waits for the request. There is no other way to read or answer one.
static AWAITS_REQUEST: LazyLock<SocksProxyHandshake> = LazyLock::new(|| {
    let mut handshake = SocksProxyHandshake::new();
    #[expect(deprecated)]
    handshake
        .handshake(GREETING_NONE)
        .expect("is whole")
        .expect("is right");
    handshake
});

static REQUEST: LazyLock<SocksRequest> = LazyLock::new(|| {
    let mut handshake = AWAITS_REQUEST.clone();
    act(&mut handshake, REQUEST_IP, &mut Vec::new());
    handshake.into_request().expect("is whole")
});

static SOCKS4_REQUEST: LazyLock<SocksRequest> = LazyLock::new(|| {
    let mut handshake = SocksProxyHandshake::new();
    act(&mut handshake, REQUEST_SOCKS4, &mut Vec::new());
    handshake.into_request().expect("is whole")
});

/// Passes a whole message to the machine. Returns whether it was the last.
#[inline(always)]
fn act<H: Handshake>(handshake: &mut H, message: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    #[expect(deprecated)]
    let action = handshake.handshake(message).ok()?.ok()?;
    out.extend_from_slice(&action.reply);
    Some(action.finished)
}

#[inline(always)]
fn read_request(mut handshake: SocksProxyHandshake, bytes: &[u8], witness: &mut impl Witness) {
    let finished = act(&mut handshake, bytes, &mut Vec::new());
    let request = finished.and_then(|_| handshake.into_request());
    witness.read(&request, |request| request_told(request.as_ref().unwrap()));
}

#[inline(always)]
fn serve_bytes(
    script: Script,
    login: Option<&Login>,
    context: &mut Context,
    witness: &mut impl Witness,
) -> Option<()> {
    let Context { out, received, .. } = context;
    out.clear();
    received.clear();
    let mut handshake = SocksProxyHandshake::new();
    for &byte in script.bytes {
        arrival();
        received.push(byte);
        #[expect(deprecated)]
        let Ok(action) = handshake.handshake(received) else {
            continue;
        };
        let action = action.ok()?;
        out.extend_from_slice(&action.reply);
        received.drain(..action.drain);
        if action.finished {
            break;
        }
        witness.wrote(out);
    }
    answer(&handshake.into_request()?, login, out, witness)
}

#[inline(always)]
fn connect_by_messages(
    mut handshake: SocksClientHandshake,
    script: Script,
    context: &mut Context,
    witness: &mut impl Witness,
) -> Option<()> {
    context.out.clear();
    act(&mut handshake, &[], &mut context.out)?;
    for chunk in script.chunks() {
        witness.wrote(&context.out);
        if act(&mut handshake, chunk, &mut context.out)? {
            break;
        }
    }
    let reply = handshake
        .into_reply()
        .filter(|reply| reply.status() == SocksStatus::SUCCEEDED)?;
    witness.read(&reply, reply_told);
    Some(())
}

impl Peer for Deprecated {
    const NAME: &str = "tor-socksproto (deprecated)";
    const VERSION: &str = "0.47.0";
    const HOW: &str =
        "machines, by `handshake`; decoded again for each byte; J1 and J2 clone one that waits for a request";
    const MISSING: &[(&[Job], &str)] = &[NO_DATAGRAMS];
    const SOCKS4: bool = true;

    #[inline(always)]
    fn decode_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        read_request(black_box(&*AWAITS_REQUEST).clone(), bytes, witness);
    }

    #[inline(always)]
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        context.out.extend_from_slice(&success(black_box(&*REQUEST))?);
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn decode_socks4_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        read_request(SocksProxyHandshake::new(), bytes, witness);
    }

    #[inline(always)]
    fn encode_socks4_request(
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        context.out.clear();
        act(&mut socks4_client(user_id)?, &[], &mut context.out)?;
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn encode_socks4_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        let reply = success(black_box(&*SOCKS4_REQUEST))?;
        context.out.extend_from_slice(&reply);
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn serve_socks4(script: Script, context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        Self::serve(script, None, context, witness)
    }

    #[inline(always)]
    fn serve_socks4_bytewise(
        script: Script,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        serve_bytes(script, None, context, witness)
    }

    #[inline(always)]
    fn connect_socks4(
        script: Script,
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        connect_by_messages(socks4_client(user_id)?, script, context, witness)
    }

    #[inline(always)]
    fn serve(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        context.out.clear();
        let mut handshake = SocksProxyHandshake::new();
        for chunk in script.chunks() {
            if act(&mut handshake, chunk, &mut context.out)? {
                break;
            }
            witness.wrote(&context.out);
        }
        answer(&handshake.into_request()?, login, &mut context.out, witness)
    }

    #[inline(always)]
    fn serve_bytewise(
        script: Script,
        login: &Login,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        serve_bytes(script, Some(login), context, witness)
    }

    #[inline(always)]
    fn connect(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        connect_by_messages(client(login)?, script, context, witness)
    }

    fn server_state() -> Option<State> {
        Some(State {
            inline: size_of::<SocksProxyHandshake>(),
            buffer: State::LONGEST_FROM_CLIENT,
        })
    }

    fn client_state() -> Option<State> {
        Some(State {
            inline: size_of::<SocksClientHandshake>(),
            buffer: State::LONGEST_FROM_SERVER,
        })
    }
}
