//! shadowsocks, its module `relay::socks5`: messages, read from an `AsyncRead`, written to an `AsyncWrite` or a `BufMut`.

use std::hint::black_box;
use std::net::SocketAddr;

use shadowsocks::relay::socks5::{
    Address, Command, HandshakeRequest, HandshakeResponse, PasswdAuthRequest, PasswdAuthResponse, Reply,
    SOCKS5_AUTH_METHOD_NONE, SOCKS5_AUTH_METHOD_PASSWORD, TcpRequestHeader, TcpResponseHeader,
    UdpAssociateHeader,
};

use crate::job::{BOUND, IP, Login, NAME, PORT, Told};
use crate::peer::{Context, Peer, Witness};
use crate::stream::{Stream, connect_over_stream, drive, serve_over_stream};

pub struct Shadowsocks;

fn told(code: u8, address: &Address) -> Told {
    match address {
        Address::SocketAddress(address) => Told::message(code, address.ip(), address.port()),
        Address::DomainNameAddress(name, port) => Told::message(code, name, *port),
    }
}

fn request_told(request: &TcpRequestHeader) -> Told {
    let code = match request.command {
        Command::TcpConnect => 1,
        Command::TcpBind => 2,
        Command::UdpAssociate => 3,
    };
    told(code, &request.address)
}

#[inline(always)]
fn address(ip: [u8; 4]) -> Address {
    Address::SocketAddress(SocketAddr::from((black_box(ip), black_box(PORT))))
}

#[inline(always)]
fn success() -> TcpResponseHeader {
    TcpResponseHeader::new(Reply::Succeeded, address(BOUND))
}

async fn server(stream: &mut Stream, login: Option<&Login>) -> Option<TcpRequestHeader> {
    let method = if login.is_some() {
        SOCKS5_AUTH_METHOD_PASSWORD
    } else {
        SOCKS5_AUTH_METHOD_NONE
    };
    let greeting = HandshakeRequest::read_from(stream).await.ok()?;
    greeting.methods.contains(&method).then_some(())?;
    HandshakeResponse::new(method).write_to(stream).await.ok()?;
    if let Some(&Login { username, password }) = login {
        let attempt = PasswdAuthRequest::read_from(stream).await.ok()?;
        if *attempt.uname != *username.as_bytes() || *attempt.passwd != *password.as_bytes() {
            return None;
        }
        PasswdAuthResponse::new(0).write_to(stream).await.ok()?;
    }
    let request = TcpRequestHeader::read_from(stream).await.ok()?;
    success().write_to(stream).await.ok()?;
    Some(request)
}

async fn client(stream: &mut Stream, login: Option<&Login>) -> Option<TcpResponseHeader> {
    let methods = match login {
        None => vec![SOCKS5_AUTH_METHOD_NONE],
        Some(_) => vec![SOCKS5_AUTH_METHOD_NONE, SOCKS5_AUTH_METHOD_PASSWORD],
    };
    HandshakeRequest::new(methods).write_to(stream).await.ok()?;
    match (
        HandshakeResponse::read_from(stream).await.ok()?.chosen_method,
        login,
    ) {
        (SOCKS5_AUTH_METHOD_NONE, _) => {}
        (SOCKS5_AUTH_METHOD_PASSWORD, Some(&Login { username, password })) => {
            PasswdAuthRequest::new(username, password)
                .write_to(stream)
                .await
                .ok()?;
            if PasswdAuthResponse::read_from(stream).await.ok()?.status != 0 {
                return None;
            }
        }
        _ => return None,
    }
    let target = Address::DomainNameAddress(black_box(NAME).into(), black_box(PORT));
    TcpRequestHeader::new(Command::TcpConnect, target)
        .write_to(stream)
        .await
        .ok()?;
    let reply = TcpResponseHeader::read_from(stream).await.ok()?;
    matches!(reply.reply, Reply::Succeeded).then_some(reply)
}

impl Peer for Shadowsocks {
    const NAME: &str = "shadowsocks";
    const VERSION: &str = "1.25.0";
    const HOW: &str = "`relay::socks5`: messages over an async stream";

    #[inline(always)]
    fn decode_request(mut bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        let request = drive(TcpRequestHeader::read_from(&mut bytes));
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
        let header = drive(UdpAssociateHeader::read_from(&mut bytes));
        let payload = black_box(bytes);
        witness.read(&header, |header| {
            let header = header.as_ref().unwrap();
            told(header.frag, &header.address).with_payload(payload)
        });
    }

    #[inline(always)]
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        UdpAssociateHeader::new(0, address(IP)).write_to_buf(&mut context.out);
        context.out.extend_from_slice(payload);
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let header = UdpAssociateHeader::new(0, address(IP));
        let start = black_box(Context::PAYLOAD_START) - header.serialized_len();
        header.write_to_buf(&mut context.slice.get_mut(start..)?);
        witness.wrote(&context.slice[start..Context::PAYLOAD_END]);
        Some(())
    }

    serve_over_stream!(server, request_told);
    connect_over_stream!(client, |reply| told(reply.reply.as_u8(), &reply.address));
}
