//! fast-socks5: a server, with a type for each stage of the handshake, and a client, both over an async stream.

use std::hint::black_box;
use std::net::SocketAddr;

use fast_socks5::client::{Config, Socks5Stream};
use fast_socks5::server::Socks5ServerProtocol;
use fast_socks5::util::target_addr::TargetAddr;
use fast_socks5::{AuthenticationMethod, Socks5Command, new_udp_header, parse_udp_request};

use crate::job::{BOUND, IP, Job, Login, NAME, PORT, Script, Told};
use crate::peer::{Context, Peer, Witness};
use crate::stream::{Stream, connect_over_stream, drive, serve_over_stream};

pub struct FastSocks5;

fn told(code: u8, address: &TargetAddr) -> Told {
    match address {
        TargetAddr::Ip(address) => Told::message(code, address.ip(), address.port()),
        TargetAddr::Domain(name, port) => Told::message(code, name, *port),
    }
}

type Request = (Socks5Command, TargetAddr);

fn request_told((command, target): &Request) -> Told {
    let code = match command {
        Socks5Command::TCPConnect => 1,
        Socks5Command::TCPBind => 2,
        Socks5Command::UDPAssociate => 3,
    };
    told(code, target)
}

#[inline(always)]
fn address(ip: [u8; 4]) -> SocketAddr {
    SocketAddr::from((black_box(ip), black_box(PORT)))
}

async fn server(stream: &mut Stream, login: Option<&Login>) -> Option<Request> {
    let protocol = match login {
        None => Socks5ServerProtocol::accept_no_auth(stream).await.ok()?,
        Some(&Login { username, password }) => {
            let accept = |user: String, pass: String| user == username && pass == password;
            Socks5ServerProtocol::accept_password_auth(stream, accept)
                .await
                .ok()?
                .0
        }
    };
    let (protocol, command, target) = protocol.read_command().await.ok()?;
    protocol.reply_success(address(BOUND)).await.ok()?;
    Some((command, target))
}

async fn client(stream: &mut Stream, login: Option<&Login>) -> Option<TargetAddr> {
    let auth = login.map(|&Login { username, password }| AuthenticationMethod::Password {
        username: username.into(),
        password: password.into(),
    });
    let mut stream = Socks5Stream::use_stream(stream, auth, Config::default())
        .await
        .ok()?;
    let target = TargetAddr::Domain(black_box(NAME).into(), black_box(PORT));
    stream.request(Socks5Command::TCPConnect, target).await.ok()
}

impl Peer for FastSocks5 {
    const NAME: &str = "fast-socks5";
    const VERSION: &str = "1.0.0";
    const HOW: &str = "an async server and client";
    const MISSING: &[(&[Job], &str)] = &[(
        &[Job::J3],
        "replies are private, and need a request that was read",
    )];

    /// It reads a request only from a stream, so the script has one message.
    #[inline(always)]
    fn decode_request(bytes: &'static [u8], context: &mut Context, witness: &mut impl Witness) {
        let script = Script {
            bytes,
            ends: &[usize::MAX],
        };
        let protocol =
            Socks5ServerProtocol::skip_auth_this_is_not_rfc_compliant(context.stream.chunks(script));
        let request = drive(protocol.read_command()).map(|(_, command, target)| (command, target));
        witness.read(&request, |request| request_told(request.as_ref().unwrap()));
    }

    #[inline(always)]
    fn decode_datagram(bytes: &'static [u8], witness: &mut impl Witness) {
        witness.read(&drive(parse_udp_request(bytes)), |datagram| {
            let (frag, address, payload) = datagram.as_ref().unwrap();
            told(*frag, address).with_payload(payload)
        });
    }

    #[inline(always)]
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        context.out.extend_from_slice(&new_udp_header(address(IP)).ok()?);
        context.out.extend_from_slice(payload);
        witness.wrote(&context.out);
        Some(())
    }

    /// It returns headers in a new `Vec`.
    #[inline(always)]
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let header = new_udp_header(address(IP)).ok()?;
        let start = black_box(Context::PAYLOAD_START) - header.len();
        context
            .slice
            .get_mut(start..Context::PAYLOAD_START)?
            .copy_from_slice(&header);
        witness.wrote(&context.slice[start..Context::PAYLOAD_END]);
        Some(())
    }

    serve_over_stream!(server, request_told);
    connect_over_stream!(client, |bound| told(0, bound));
}
