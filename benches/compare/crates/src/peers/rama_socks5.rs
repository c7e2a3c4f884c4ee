//! rama-socks5, its module `proto`: messages, read from an `AsyncRead`, written to an `AsyncWrite` or a `BufMut`.

use std::hint::black_box;
use std::net::Ipv4Addr;

use rama_net::address::{Domain, Host, HostWithPort};
use rama_net::user::credentials::Basic;
use rama_socks5::proto::udp::UdpHeader;
use rama_socks5::proto::{Command, ReplyKind, SocksMethod, client, server};

use crate::job::{BOUND, IP, Login, NAME, PORT, Told};
use crate::peer::{Context, Peer, Witness};
use crate::stream::{Stream, connect_over_stream, drive, serve_over_stream};

pub struct RamaSocks5;

fn told(code: u8, address: &HostWithPort) -> Told {
    Told::message(code, &address.host, address.port)
}

fn request_told(request: &client::Request) -> Told {
    told(request.command.into(), &request.destination)
}

#[inline(always)]
fn address(ip: [u8; 4]) -> HostWithPort {
    HostWithPort::from((Ipv4Addr::from(black_box(ip)), black_box(PORT)))
}

#[inline(always)]
fn success() -> server::Reply {
    server::Reply::new(address(BOUND))
}

async fn serve(stream: &mut Stream, login: Option<&Login>) -> Option<client::Request> {
    let method = match login {
        Some(_) => SocksMethod::UsernamePassword,
        None => SocksMethod::NoAuthenticationRequired,
    };
    let greeting = client::Header::read_from(stream).await.ok()?;
    greeting.methods.contains(&method).then_some(())?;
    server::Header::new(method).write_to(stream).await.ok()?;
    if let Some(&Login { username, password }) = login {
        let attempt = client::UsernamePasswordRequest::read_from(stream)
            .await
            .ok()?
            .basic;
        if attempt.username() != username || attempt.password() != Some(password) {
            return None;
        }
        server::UsernamePasswordResponse::new_success()
            .write_to(stream)
            .await
            .ok()?;
    }
    let request = client::Request::read_from(stream).await.ok()?;
    success().write_to(stream).await.ok()?;
    Some(request)
}

async fn connect(stream: &mut Stream, login: Option<&Login>) -> Option<server::Reply> {
    let greeting = match login {
        None => client::Header::new(&[SocksMethod::NoAuthenticationRequired][..]),
        Some(_) => client::Header::new([
            SocksMethod::NoAuthenticationRequired,
            SocksMethod::UsernamePassword,
        ]),
    };
    greeting.write_to(stream).await.ok()?;
    match (server::Header::read_from(stream).await.ok()?.method, login) {
        (SocksMethod::NoAuthenticationRequired, _) => {}
        (SocksMethod::UsernamePassword, Some(&Login { username, password })) => {
            let basic = Basic::new(username.try_into().ok()?, password.try_into().ok()?);
            client::UsernamePasswordRequest::new(basic)
                .write_to(stream)
                .await
                .ok()?;
            server::UsernamePasswordResponse::read_from(stream)
                .await
                .ok()?
                .success()
                .then_some(())?;
        }
        _ => return None,
    }
    let target = HostWithPort::new(
        Host::Name(Domain::try_from(black_box(NAME)).ok()?),
        black_box(PORT),
    );
    client::RequestRef::new(Command::Connect, &target)
        .write_to(stream)
        .await
        .ok()?;
    let reply = server::Reply::read_from(stream).await.ok()?;
    (reply.reply == ReplyKind::Succeeded).then_some(reply)
}

impl Peer for RamaSocks5 {
    const NAME: &str = "rama-socks5";
    const VERSION: &str = "0.4.0";
    const HOW: &str = "`proto`: messages over an async stream";

    #[inline(always)]
    fn decode_request(mut bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        let request = drive(client::Request::read_from(&mut bytes));
        witness.read(&request, |request| request_told(request.as_ref().unwrap()));
    }

    #[inline(always)]
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        success().write_to_buf(&mut context.out).ok()?;
        witness.wrote(&context.out);
        Some(())
    }

    /// It can read datagrams from slices without a future.
    #[inline(always)]
    fn decode_datagram(mut bytes: &'static [u8], witness: &mut impl Witness) {
        let header = UdpHeader::read_from_sync(&mut bytes);
        let payload = black_box(bytes);
        witness.read(&header, |header| {
            let header = header.as_ref().unwrap();
            told(header.fragment_number, &header.destination).with_payload(payload)
        });
    }

    #[inline(always)]
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        let header = UdpHeader {
            fragment_number: 0,
            destination: address(IP),
        };
        header.write_to_buf(&mut context.out).ok()?;
        context.out.extend_from_slice(payload);
        witness.wrote(&context.out);
        Some(())
    }

    /// It does not report the length of a header, so the header is first written elsewhere.
    #[inline(always)]
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        let header = UdpHeader {
            fragment_number: 0,
            destination: address(IP),
        };
        header.write_to_buf(&mut context.out).ok()?;
        let start = black_box(Context::PAYLOAD_START) - context.out.len();
        context
            .slice
            .get_mut(start..Context::PAYLOAD_START)?
            .copy_from_slice(&context.out);
        witness.wrote(&context.slice[start..Context::PAYLOAD_END]);
        Some(())
    }

    serve_over_stream!(serve, request_told);
    connect_over_stream!(connect, |reply| told(reply.reply.into(), &reply.bind_address));
}
