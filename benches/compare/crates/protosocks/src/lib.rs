//! protosocks: views of packets in slices, and owned values. (Cargo.toml has the reason for this separate package.)

use std::hint::black_box;

use protosocks::{
    AuthReplyPacket, AuthReplyRepr, Cmd, CmdPacket, CmdRepr, Method, MethodPacket, MethodRepr, MethodsPacket,
    MethodsRepr, Rep, RepPacket, RepRepr, SocksAddr, Status, UdpPacket, UdpRepr, UserPassPacket,
    UserPassRepr, Ver,
};
use sans_socks_peers::job::{BOUND, IP, Job, Login, NAME, PORT, Script, Told};
use sans_socks_peers::peer::{Context, Peer, Row, State, Witness};
use smolsocket::SocketAddr;

pub const ROWS: &[Row] = &[Row::of::<Protosocks>()];

pub struct Protosocks;

fn told(code: u8, address: &SocksAddr) -> Told {
    match address {
        SocksAddr::SocketAddr(address) => Told::message(code, address.ip(), address.port()),
        SocksAddr::DomainPort(name, port) => Told::message(code, name, *port),
    }
}

fn request_told(request: &CmdRepr) -> Told {
    told(request.cmd as u8, &request.addr)
}

#[inline(always)]
fn address([a, b, c, d]: [u8; 4]) -> SocksAddr {
    SocksAddr::SocketAddr(SocketAddr::new_ip4_port(a, b, c, d, black_box(PORT)))
}

#[inline(always)]
fn request(bytes: &[u8]) -> Option<CmdRepr> {
    CmdRepr::parse(&CmdPacket::new_checked(bytes).ok()?).ok()
}

/// Appends `len` bytes to `out`, and returns them.
#[inline(always)]
fn append(out: &mut Vec<u8>, len: usize) -> &mut [u8] {
    let start = out.len();
    out.resize(start + len, 0);
    &mut out[start..]
}

#[inline(always)]
fn success(out: &mut Vec<u8>) {
    let reply = RepRepr {
        ver: Ver::SOCKS5,
        rep: Rep::Success,
        addr: address(black_box(BOUND)),
    };
    let bytes = append(out, reply.buffer_len());
    reply.emit(&mut RepPacket::new_unchecked(bytes));
}

impl Peer for Protosocks {
    const NAME: &str = "protosocks";
    const VERSION: &str = "0.7.0";
    const HOW: &str = "messages";
    const MISSING: &[(&[Job], &str)] = &[(&[Job::J10, Job::J11], "it panics on an incomplete request")];

    #[inline(always)]
    fn decode_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        witness.read(&request(bytes), |request| request_told(request.as_ref().unwrap()));
    }

    #[inline(always)]
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        context.out.clear();
        success(&mut context.out);
        witness.wrote(&context.out);
        Some(())
    }

    #[inline(always)]
    fn decode_datagram(bytes: &'static [u8], witness: &mut impl Witness) {
        let datagram = UdpPacket::new_checked(bytes)
            .and_then(|packet| Ok((UdpRepr::parse(&packet)?, black_box(packet.data()))));
        witness.read(&datagram, |datagram| {
            let (header, payload) = datagram.as_ref().unwrap();
            told(header.frag, &header.addr).with_payload(payload)
        });
    }

    /// It does not write RSV, so the buffer must have zeros there.
    #[inline(always)]
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let header = UdpRepr {
            frag: 0,
            addr: address(black_box(IP)),
            payload_len: payload.len(),
        };
        let bytes = context.slice.get_mut(..header.buffer_len())?;
        let mut packet = UdpPacket::new_unchecked(&mut *bytes);
        header.emit(&mut packet);
        packet.data_mut().copy_from_slice(payload);
        witness.wrote(bytes);
        Some(())
    }

    #[inline(always)]
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let start = black_box(Context::PAYLOAD_START);
        let payload_len = Context::PAYLOAD_END - start;
        let header = UdpRepr {
            frag: 0,
            addr: address(black_box(IP)),
            payload_len,
        };
        let start = start + payload_len - header.buffer_len();
        let bytes = context.slice.get_mut(start..Context::PAYLOAD_END)?;
        header.emit(&mut UdpPacket::new_unchecked(&mut *bytes));
        witness.wrote(bytes);
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
            Method::UserPass
        } else {
            Method::NoAuth
        };
        let mut next = 1;
        let greeting = MethodsRepr::parse(&MethodsPacket::new_checked(script.chunk(0)).ok()?).ok()?;
        greeting.methods.contains(&method).then_some(())?;
        MethodRepr {
            ver: Ver::SOCKS5,
            method,
        }
        .emit(&mut MethodPacket::new_unchecked(append(out, 2)));
        witness.wrote(out);
        if let Some(&Login { username, password }) = login {
            let attempt = UserPassRepr::parse(&UserPassPacket::new_checked(script.chunk(1)).ok()?).ok()?;
            if attempt.uname != username || attempt.passwd != password {
                return None;
            }
            let accepted = AuthReplyRepr {
                status: Status::Success,
            };
            accepted.emit(&mut AuthReplyPacket::new_unchecked(append(out, 2)));
            witness.wrote(out);
            next = 2;
        }
        let request = request(script.chunk(next))?;
        witness.read(&request, request_told);
        success(out);
        witness.wrote(out);
        Some(())
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
            None => vec![Method::NoAuth],
            Some(_) => vec![Method::NoAuth, Method::UserPass],
        };
        let greeting = MethodsRepr {
            ver: Ver::SOCKS5,
            methods,
        };
        greeting.emit(&mut MethodsPacket::new_unchecked(append(
            out,
            greeting.buffer_len(),
        )));
        witness.wrote(out);
        let mut next = 1;
        let selection = MethodRepr::parse(&MethodPacket::new_checked(script.chunk(0)).ok()?).ok()?;
        match (selection.method, login) {
            (Method::NoAuth, _) => {}
            (Method::UserPass, Some(&Login { username, password })) => {
                let attempt = UserPassRepr::new(username, password);
                attempt.emit(&mut UserPassPacket::new_unchecked(append(
                    out,
                    attempt.buffer_len(),
                )));
                witness.wrote(out);
                let answer =
                    AuthReplyRepr::parse(&AuthReplyPacket::new_checked(script.chunk(1)).ok()?).ok()?;
                (answer.status == Status::Success).then_some(())?;
                next = 2;
            }
            _ => return None,
        }
        let addr = SocksAddr::DomainPort(black_box(NAME).to_string(), black_box(PORT));
        let request = CmdRepr {
            ver: Ver::SOCKS5,
            cmd: Cmd::Connect,
            addr,
        };
        request.emit(&mut CmdPacket::new_unchecked(append(out, request.buffer_len())));
        witness.wrote(out);
        let reply = RepRepr::parse(&RepPacket::new_checked(script.chunk(next)).ok()?).ok()?;
        (reply.rep == Rep::Success).then_some(())?;
        witness.read(&reply, |reply| told(0, &reply.addr));
        Some(())
    }

    fn server_state() -> Option<State> {
        Some(State {
            inline: size_of::<u8>(),
            buffer: State::LONGEST_FROM_CLIENT,
        })
    }

    fn client_state() -> Option<State> {
        Some(State {
            inline: size_of::<u8>(),
            buffer: State::LONGEST_FROM_SERVER,
        })
    }
}

#[cfg(test)]
mod tests {
    /// The reason why J10 and J11 are missing.
    #[test]
    #[should_panic]
    fn panics_on_a_request_that_has_not_come_whole() {
        let _ = super::CmdPacket::new_checked(b"\x05\x01\x00\x03");
    }
}
