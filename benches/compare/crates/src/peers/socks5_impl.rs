//! socks5-impl: messages, read from a `std::io::Read` or an `AsyncRead`, and written to a `BufMut` or an `AsyncWrite`; also a
//! client over an async stream.

use std::hint::black_box;
use std::io::ErrorKind;
use std::net::Ipv4Addr;

use socks5_impl::protocol::handshake::{self, password_method};
use socks5_impl::protocol::{AuthMethod, Command, Reply, Request, Response, UdpHeader};
use socks5_impl::{Address, AsyncStreamOperation, StreamOperation, UserKey};

use crate::job::{BOUND, IP, Job, Login, NAME, PORT, Script, Told};
use crate::peer::{Context, Peer, State, Witness, arrival};
use crate::stream::{Stream, connect_over_stream, drive, serve_over_stream};

pub struct Socks5Impl;
pub struct Socks5ImplAsync;

fn told(code: u8, address: &Address) -> Told {
    match address {
        Address::SocketAddress(address) => Told::message(code, address.ip(), address.port()),
        Address::DomainAddress(name, port) => Told::message(code, name, *port),
    }
}

fn request_told(request: &Request) -> Told {
    told(request.command as u8, &request.address)
}

#[inline(always)]
fn address(ip: [u8; 4]) -> Address {
    Address::from((Ipv4Addr::from(black_box(ip)), black_box(PORT)))
}

#[inline(always)]
fn target() -> Address {
    Address::DomainAddress(black_box(NAME).into(), black_box(PORT))
}

#[inline(always)]
fn success() -> Response {
    Response::new(Reply::Succeeded, address(BOUND))
}

#[inline(always)]
fn accepted() -> password_method::Response {
    password_method::Response::new(password_method::Status::Succeeded)
}

#[inline(always)]
fn is_login(attempt: &UserKey, login: &Login) -> bool {
    attempt.username == login.username && attempt.password == login.password
}

#[inline(always)]
fn read<T: StreamOperation>(mut bytes: &[u8]) -> Option<T> {
    T::retrieve_from_stream(&mut bytes).ok()
}

/// Decodes a message at the front of `received`, and removes it. An incomplete one is an error of kind `UnexpectedEof`.
#[inline(always)]
fn take<T: StreamOperation>(received: &mut Vec<u8>) -> Option<Option<T>> {
    let mut rest = &received[..];
    match T::retrieve_from_stream(&mut rest) {
        Ok(message) => {
            let used = received.len() - rest.len();
            received.drain(..used);
            Some(Some(message))
        }
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Some(None),
        Err(_) => None,
    }
}

impl Peer for Socks5Impl {
    const NAME: &str = "socks5-impl";
    const VERSION: &str = "0.10.3";
    const HOW: &str = "messages; decoded again for each byte";

    #[inline(always)]
    fn decode_request(mut bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        let request = Request::retrieve_from_stream(&mut bytes);
        witness.read(&request, |request| request_told(request.as_ref().unwrap()));
    }

    #[inline(always)]
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        success().write_to_buf(&mut context.out);
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn decode_datagram(mut bytes: &'static [u8], witness: &mut impl Witness) {
        let header = UdpHeader::retrieve_from_stream(&mut bytes);
        let payload = black_box(bytes);
        witness.read(&header, |header| {
            let header = header.as_ref().unwrap();
            told(header.frag, &header.address).with_payload(payload)
        });
    }

    #[inline(always)]
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        UdpHeader::new(0, address(IP)).write_to_buf(&mut context.out);
        context.out.extend_from_slice(payload);
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let header = UdpHeader::new(0, address(IP));
        let start = black_box(Context::PAYLOAD_START) - header.len();
        header.write_to_buf(&mut context.slice.get_mut(start..)?);
        witness.wrote(&context.slice[start..Context::PAYLOAD_END]);
        Some(())
    }

    #[inline(always)]
    fn serve(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let out = &mut context.out;
        out.clear();
        let method = if login.is_some() {
            AuthMethod::UserPass
        } else {
            AuthMethod::NoAuth
        };
        let mut next = 1;
        read::<handshake::Request>(script.chunk(0))?
            .evaluate_method(method)
            .then_some(())?;
        handshake::Response::new(method).write_to_buf(out);
        witness.wrote(out);
        if let Some(login) = login {
            let attempt: password_method::Request = read(script.chunk(1))?;
            is_login(&attempt.user_key, login).then_some(())?;
            accepted().write_to_buf(out);
            witness.wrote(out);
            next = 2;
        }
        let request = read(script.chunk(next))?;
        witness.read(&request, request_told);
        success().write_to_buf(out);
        witness.wrote(out);
        Some(())
    }

    /// The least machine that its user must write.
    #[inline(always)]
    fn serve_bytewise(
        script: Script,
        login: &Login,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let Context { out, received, .. } = context;
        out.clear();
        received.clear();
        let mut phase = Phase::Greeting;
        for &byte in script.bytes {
            arrival();
            received.push(byte);
            match phase {
                Phase::Greeting => {
                    let Some(greeting) = take::<handshake::Request>(received)? else {
                        continue;
                    };
                    greeting.evaluate_method(AuthMethod::UserPass).then_some(())?;
                    handshake::Response::new(AuthMethod::UserPass).write_to_buf(out);
                    phase = Phase::Login;
                }
                Phase::Login => {
                    let Some(attempt) = take::<password_method::Request>(received)? else {
                        continue;
                    };
                    is_login(&attempt.user_key, login).then_some(())?;
                    accepted().write_to_buf(out);
                    phase = Phase::Request;
                }
                Phase::Request => {
                    let Some(request) = take(received)? else { continue };
                    witness.read(&request, request_told);
                    success().write_to_buf(out);
                    witness.wrote(out);
                    return Some(());
                }
            }
            witness.wrote(out);
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
        let out = &mut context.out;
        out.clear();
        let methods = match login {
            None => vec![AuthMethod::NoAuth],
            Some(_) => vec![AuthMethod::NoAuth, AuthMethod::UserPass],
        };
        handshake::Request::new(methods).write_to_buf(out);
        witness.wrote(out);
        let mut next = 1;
        match (read::<handshake::Response>(script.chunk(0))?.method, login) {
            (AuthMethod::NoAuth, _) => {}
            (AuthMethod::UserPass, Some(&Login { username, password })) => {
                password_method::Request::new(username, password).write_to_buf(out);
                witness.wrote(out);
                let answer: password_method::Response = read(script.chunk(1))?;
                (answer.status == password_method::Status::Succeeded).then_some(())?;
                next = 2;
            }
            _ => return None,
        }
        Request::new(Command::Connect, target()).write_to_buf(out);
        witness.wrote(out);
        let reply: Response = read(script.chunk(next))?;
        matches!(reply.reply, Reply::Succeeded).then_some(())?;
        witness.read(&reply, |reply| told(0, &reply.address));
        Some(())
    }

    fn server_state() -> Option<State> {
        Some(State {
            inline: size_of::<Phase>(),
            buffer: State::LONGEST_FROM_CLIENT,
        })
    }

    fn client_state() -> Option<State> {
        Some(State {
            inline: size_of::<Phase>(),
            buffer: State::LONGEST_FROM_SERVER,
        })
    }
}

enum Phase {
    Greeting,
    Login,
    Request,
}

async fn server(stream: &mut Stream, login: Option<&Login>) -> Option<Request> {
    let method = if login.is_some() {
        AuthMethod::UserPass
    } else {
        AuthMethod::NoAuth
    };
    let greeting = handshake::Request::retrieve_from_async_stream(stream)
        .await
        .ok()?;
    greeting.evaluate_method(method).then_some(())?;
    handshake::Response::new(method)
        .write_to_async_stream(stream)
        .await
        .ok()?;
    if let Some(login) = login {
        let attempt = password_method::Request::retrieve_from_async_stream(stream)
            .await
            .ok()?;
        is_login(&attempt.user_key, login).then_some(())?;
        accepted().write_to_async_stream(stream).await.ok()?;
    }
    let request = Request::retrieve_from_async_stream(stream).await.ok()?;
    success().write_to_async_stream(stream).await.ok()?;
    Some(request)
}

async fn client(stream: &mut Stream, login: Option<&Login>) -> Option<Address> {
    let key = login.map(|&Login { username, password }| UserKey::new(username, password));
    socks5_impl::client::connect(stream, target(), key).await.ok()
}

impl Peer for Socks5ImplAsync {
    const NAME: &str = "socks5-impl (async)";
    const VERSION: &str = "0.10.3";
    const HOW: &str = "messages over an async stream, boxed; an async client";
    const MISSING: &[(&[Job], &str)] = &[(
        &[Job::J3, Job::J4, Job::J5, Job::J6, Job::J6p],
        "as in the row above",
    )];

    #[inline(always)]
    fn decode_request(mut bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        let request = drive(Request::retrieve_from_async_stream(&mut bytes));
        witness.read(&request, |request| request_told(request.as_ref().unwrap()));
    }

    serve_over_stream!(server, request_told);
    connect_over_stream!(client, |bound| told(0, bound));
}
