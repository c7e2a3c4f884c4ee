//! socks5-proto: messages, read from an `AsyncRead`, written to an `AsyncWrite` or a `BufMut`.

use std::hint::black_box;
use std::net::SocketAddr;

use socks5_proto::handshake::{self, Method, password};
use socks5_proto::{Address, Command, Reply, Request, Response, UdpHeader};

use crate::job::{BOUND, IP, Login, NAME, PORT, Told};
use crate::peer::{Context, Peer, Witness};
use crate::stream::{Stream, connect_over_stream, drive, serve_over_stream};

pub struct Socks5Proto;

fn told(code: u8, address: &Address) -> Told {
    match address {
        Address::SocketAddress(address) => Told::message(code, address.ip(), address.port()),
        Address::DomainAddress(name, port) => Told::message(code, name.escape_ascii(), *port),
    }
}

fn request_told(request: &Request) -> Told {
    let code = match request.command {
        Command::Connect => 1,
        Command::Bind => 2,
        Command::Associate => 3,
    };
    told(code, &request.address)
}

#[inline(always)]
fn address(ip: [u8; 4]) -> Address {
    Address::SocketAddress(SocketAddr::from((black_box(ip), black_box(PORT))))
}

#[inline(always)]
fn success() -> Response {
    Response::new(Reply::Succeeded, address(BOUND))
}

async fn server(stream: &mut Stream, login: Option<&Login>) -> Option<Request> {
    let method = if login.is_some() {
        Method::PASSWORD
    } else {
        Method::NONE
    };
    let greeting = handshake::Request::read_from(stream).await.ok()?;
    greeting.methods.contains(&method).then_some(())?;
    handshake::Response::new(method).write_to(stream).await.ok()?;
    if let Some(&Login { username, password }) = login {
        let attempt = password::Request::read_from(stream).await.ok()?;
        if *attempt.username != *username.as_bytes() || *attempt.password != *password.as_bytes() {
            return None;
        }
        password::Response::new(true).write_to(stream).await.ok()?;
    }
    let request = Request::read_from(stream).await.ok()?;
    success().write_to(stream).await.ok()?;
    Some(request)
}

async fn client(stream: &mut Stream, login: Option<&Login>) -> Option<Response> {
    let methods = match login {
        None => vec![Method::NONE],
        Some(_) => vec![Method::NONE, Method::PASSWORD],
    };
    handshake::Request::new(methods).write_to(stream).await.ok()?;
    match (handshake::Response::read_from(stream).await.ok()?.method, login) {
        (Method::NONE, _) => {}
        (Method::PASSWORD, Some(&Login { username, password })) => {
            password::Request::new(username.into(), password.into())
                .write_to(stream)
                .await
                .ok()?;
            password::Response::read_from(stream)
                .await
                .ok()?
                .status
                .then_some(())?;
        }
        _ => return None,
    }
    let target = Address::DomainAddress(black_box(NAME).into(), black_box(PORT));
    Request::new(Command::Connect, target)
        .write_to(stream)
        .await
        .ok()?;
    let reply = Response::read_from(stream).await.ok()?;
    matches!(reply.reply, Reply::Succeeded).then_some(reply)
}

impl Peer for Socks5Proto {
    const NAME: &str = "socks5-proto";
    const VERSION: &str = "0.4.1";
    const HOW: &str = "messages over an async stream";

    #[inline(always)]
    fn decode_request(mut bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        let request = drive(Request::read_from(&mut bytes));
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
        let header = drive(UdpHeader::read_from(&mut bytes));
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
        let start = black_box(Context::PAYLOAD_START) - header.serialized_len();
        header.write_to_buf(&mut context.slice.get_mut(start..)?);
        witness.wrote(&context.slice[start..Context::PAYLOAD_END]);
        Some(())
    }

    serve_over_stream!(server, request_told);
    connect_over_stream!(client, |reply| told(0, &reply.address));
}
