//! socker: messages, decoded from a slice to owned values, encoded to a `Vec`. It has no machine.

use std::hint::black_box;

use socker::socks4;
use socker::socks5::auth::username_password;
use socker::socks5::{
    Address, AuthenticationMethod, ClientGreeting, CommandType, Reply, Request, Response, ServerChoice,
    UdpDatagram,
};
use socker::{DecodeError, DecodeStatus, Message};

use crate::job::{BOUND, IP, Login, NAME, PORT, Script, Told};
use crate::peer::{Context, Peer, State, Witness, arrival};

pub struct Socker;

#[inline(always)]
fn whole<T>(decoded: Result<DecodeStatus<(T, usize)>, DecodeError>) -> Option<T> {
    match decoded {
        Ok(DecodeStatus::Complete((message, _))) => Some(message),
        _ => None,
    }
}

fn told(code: u8, address: &Address, port: u16) -> Told {
    match address {
        Address::Ipv4(ip) => Told::message(code, ip, port),
        Address::Ipv6(ip) => Told::message(code, ip, port),
        Address::Domain(name) => Told::message(code, name.escape_ascii(), port),
    }
}

#[inline(always)]
fn success() -> Response {
    Response {
        reply: Reply::SUCCESS,
        address: Address::Ipv4(black_box(BOUND).into()),
        port: black_box(PORT),
    }
}

#[inline(always)]
fn socks4_request(user_id: &'static str) -> socks4::Request {
    socks4::Request {
        command: socks4::CommandType::CONNECT,
        port: black_box(PORT),
        address: socks4::Address::from(black_box(NAME)),
        user_id: user_id.as_bytes().into(),
    }
}

fn socks4_told(request: &socks4::Request) -> Told {
    let told = |host| Told::message(request.command.into(), host, request.port);
    match &request.address {
        socks4::Address::Ipv4(ip) => told(ip.to_string()),
        socks4::Address::Domain(name) => told(name.escape_ascii().to_string()),
    }
    .with_payload(&request.user_id)
}

#[inline(always)]
fn socks4_success() -> socks4::Response {
    socks4::Response {
        reply: socks4::Reply::REQUEST_GRANTED,
        port: black_box(PORT),
        address: black_box(BOUND).into(),
    }
}

/// Answers a SOCKS4 request that the server has read.
#[inline(always)]
fn answer_socks4(request: &socks4::Request, out: &mut Vec<u8>, witness: &mut impl Witness) -> Option<()> {
    witness.read(request, socks4_told);
    socks4_success().encode(out).ok()?;
    witness.wrote(out);
    Some(())
}

#[inline(always)]
fn datagram(payload: &[u8]) -> UdpDatagram<'_> {
    UdpDatagram {
        fragment: 0,
        address: Address::Ipv4(black_box(IP).into()),
        port: black_box(PORT),
        payload,
    }
}

#[inline(always)]
fn is_login(message: &username_password::Request, login: &Login) -> bool {
    *message.username == *login.username.as_bytes() && *message.password == *login.password.as_bytes()
}

#[inline(always)]
fn choose(greeting: &ClientGreeting, method: AuthenticationMethod, out: &mut Vec<u8>) -> Option<()> {
    greeting.methods.contains(&method).then_some(())?;
    ServerChoice { method }.encode(out).ok()
}

impl Peer for Socker {
    const NAME: &str = "socker";
    const VERSION: &str = "1.0.0";
    const HOW: &str = "messages; decoded again for each byte";
    const SOCKS4: bool = true;

    #[inline(always)]
    fn decode_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        witness.read(&Request::decode(bytes), |decoded| {
            let Ok(DecodeStatus::Complete((request, _))) = decoded else {
                panic!("{decoded:?}")
            };
            told(request.command.into(), &request.address, request.port)
        });
    }

    #[inline(always)]
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        success().encode(&mut context.out).ok()?;
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn decode_datagram(bytes: &'static [u8], witness: &mut impl Witness) {
        witness.read(&UdpDatagram::decode(bytes), |decoded| {
            let Ok(DecodeStatus::Complete((datagram, _))) = decoded else {
                panic!("{decoded:?}")
            };
            told(datagram.fragment, &datagram.address, datagram.port).with_payload(datagram.payload)
        });
    }

    #[inline(always)]
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        datagram(payload).encode_into(&mut context.out).ok()?;
        witness.wrote(&context.out);
        Some(())
    }

    /// It writes headers only to a `Vec`.
    #[inline(always)]
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        datagram(&[]).encode_into(&mut context.out).ok()?;
        let start = black_box(Context::PAYLOAD_START) - context.out.len();
        context
            .slice
            .get_mut(start..Context::PAYLOAD_START)?
            .copy_from_slice(&context.out);
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
        let greeting = whole(ClientGreeting::decode(script.chunk(0)))?;
        let mut next = 1;
        match login {
            None => {
                choose(&greeting, AuthenticationMethod::NO_AUTHENTICATION, out)?;
                witness.wrote(out);
            }
            Some(login) => {
                choose(&greeting, AuthenticationMethod::USERNAME_PASSWORD, out)?;
                witness.wrote(out);
                let attempt = whole(username_password::Request::decode(script.chunk(1)))?;
                is_login(&attempt, login).then_some(())?;
                username_password::Response::SUCCESS.encode(out).ok()?;
                witness.wrote(out);
                next = 2;
            }
        }
        let request = whole(Request::decode(script.chunk(next)))?;
        witness.read(&request, |request| {
            told(request.command.into(), &request.address, request.port)
        });
        success().encode(out).ok()?;
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
            let used = match phase {
                Phase::Greeting => match ClientGreeting::decode(received).ok()? {
                    DecodeStatus::Partial => continue,
                    DecodeStatus::Complete((greeting, used)) => {
                        choose(&greeting, AuthenticationMethod::USERNAME_PASSWORD, out)?;
                        phase = Phase::Login;
                        used
                    }
                },
                Phase::Login => match username_password::Request::decode(received).ok()? {
                    DecodeStatus::Partial => continue,
                    DecodeStatus::Complete((attempt, used)) => {
                        is_login(&attempt, login).then_some(())?;
                        username_password::Response::SUCCESS.encode(out).ok()?;
                        phase = Phase::Request;
                        used
                    }
                },
                Phase::Request => match Request::decode(received).ok()? {
                    DecodeStatus::Partial => continue,
                    DecodeStatus::Complete((request, _)) => {
                        witness.read(&request, |request| {
                            told(request.command.into(), &request.address, request.port)
                        });
                        success().encode(out).ok()?;
                        witness.wrote(out);
                        return Some(());
                    }
                },
            };
            witness.wrote(out);
            received.drain(..used);
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
        let methods: Box<[_]> = match login {
            None => Box::new([AuthenticationMethod::NO_AUTHENTICATION]),
            Some(_) => Box::new([
                AuthenticationMethod::NO_AUTHENTICATION,
                AuthenticationMethod::USERNAME_PASSWORD,
            ]),
        };
        ClientGreeting { methods }.encode(out).ok()?;
        witness.wrote(out);
        let mut next = 1;
        match (whole(ServerChoice::decode(script.chunk(0)))?.method, login) {
            (AuthenticationMethod::NO_AUTHENTICATION, _) => {}
            (AuthenticationMethod::USERNAME_PASSWORD, Some(&Login { username, password })) => {
                let login = username_password::Request {
                    username: username.as_bytes().into(),
                    password: password.as_bytes().into(),
                };
                login.encode(out).ok()?;
                witness.wrote(out);
                whole(username_password::Response::decode(script.chunk(1)))?
                    .is_success()
                    .then_some(())?;
                next = 2;
            }
            _ => return None,
        }
        let (command, address) = (CommandType::CONNECT, Address::from(black_box(NAME)));
        Request {
            command,
            address,
            port: black_box(PORT),
        }
        .encode(out)
        .ok()?;
        witness.wrote(out);
        let reply = whole(Response::decode(script.chunk(next))).filter(|reply| reply.reply.is_success())?;
        witness.read(&reply, |reply| told(0, &reply.address, reply.port));
        Some(())
    }

    #[inline(always)]
    fn decode_socks4_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        witness.read(&socks4::Request::decode(bytes), |decoded| {
            let Ok(DecodeStatus::Complete((request, _))) = decoded else {
                panic!("{decoded:?}")
            };
            socks4_told(request)
        });
    }

    #[inline(always)]
    fn encode_socks4_request(
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        context.out.clear();
        socks4_request(user_id).encode(&mut context.out).ok()?;
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn encode_socks4_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        socks4_success().encode(&mut context.out).ok()?;
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn serve_socks4(script: Script, context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        let request = whole(socks4::Request::decode(script.chunk(0)))?;
        answer_socks4(&request, &mut context.out, witness)
    }

    #[inline(always)]
    fn connect_socks4(
        script: Script,
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        context.out.clear();
        socks4_request(user_id).encode(&mut context.out).ok()?;
        witness.wrote(&context.out);
        let reply = whole(socks4::Response::decode(script.chunk(0)))?;
        reply.reply.is_granted().then_some(())?;
        witness.read(&reply, |reply| Told::message(0, reply.address, reply.port));
        Some(())
    }

    #[inline(always)]
    fn serve_socks4_bytewise(
        script: Script,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let Context { out, received, .. } = context;
        out.clear();
        received.clear();
        for &byte in script.bytes {
            arrival();
            received.push(byte);
            if let DecodeStatus::Complete((request, _)) = socks4::Request::decode(received).ok()? {
                return answer_socks4(&request, out, witness);
            }
        }
        None
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
