//! The least code that does each job. It is written for these jobs and inlined into their loops. It checks every read and
//! write, allocates nothing, and copies only the output. It does not compare in constant time, wipe, or check names, and it
//! does not distinguish missing from wrong bytes.

use std::hint::black_box;

use crate::job::{BOUND, IP, Login, NAME, PORT, Script, Told};
use crate::peer::{Context, Output, Peer, State, Witness, arrival};

pub struct Floor;

enum Host<'a> {
    V4([u8; 4]),
    V6(&'a [u8; 16]),
    Name(&'a [u8]),
}

/// A request, a reply, or a datagram.
struct Message<'a> {
    /// CMD, REP or FRAG.
    code: u8,
    host: Host<'a>,
    port: u16,
    rest: &'a [u8],
}

impl Message<'_> {
    fn told(&self) -> Told {
        let host = match self.host {
            Host::V4(ip) => ip.map(|byte| byte.to_string()).join("."),
            Host::V6(ip) => format!("{ip:02x?}"),
            Host::Name(name) => name.escape_ascii().to_string(),
        };
        Told::message(self.code, host, self.port).with_payload(self.rest)
    }
}

/// Decodes a message whose code is the byte at `CODE`, and ignores RSV. Each arm builds the result itself. If it were
/// built after the match, the compiler would split it and join it again.
#[inline(always)]
fn message<const CODE: usize>(bytes: &[u8]) -> Option<Message<'_>> {
    let message = |host, port, rest| {
        Some(Message {
            code: *bytes.get(CODE)?,
            host,
            port: u16::from_be_bytes(port),
            rest,
        })
    };
    match *bytes {
        [_, _, _, 1, a, b, c, d, p, q, ref rest @ ..] => message(Host::V4([a, b, c, d]), [p, q], rest),
        [_, _, _, 3, len, ref rest @ ..] => match rest.split_at_checked(usize::from(len) + 2)? {
            (&[ref name @ .., p, q], rest) => message(Host::Name(name), [p, q], rest),
            _ => None,
        },
        [_, _, _, 4, ref rest @ ..] => match rest.split_first_chunk()? {
            (ip, &[p, q, ref rest @ ..]) => message(Host::V6(ip), [p, q], rest),
            _ => None,
        },
        _ => None,
    }
}

#[inline(always)]
fn request(bytes: &[u8]) -> Option<Message<'_>> {
    match bytes {
        [5, ..] => message::<1>(bytes),
        _ => None,
    }
}

#[inline(always)]
fn greeting(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [5, len, methods @ ..] => methods.get(..usize::from(*len)),
        _ => None,
    }
}

#[inline(always)]
fn is_login(bytes: &[u8], login: &Login) -> Option<bool> {
    let [1, len, rest @ ..] = bytes else { return None };
    let (username, rest) = rest.split_at_checked(usize::from(*len))?;
    let (len, rest) = rest.split_first()?;
    let password = rest.get(..usize::from(*len))?;
    Some(username == login.username.as_bytes() && password == login.password.as_bytes())
}

/// Decodes a request of SOCKS4 to the fields that version 5 also has, and USERID as `rest`.
#[inline(always)]
fn socks4_request(bytes: &[u8]) -> Option<Message<'_>> {
    let [4, code, p, q, a, b, c, d, ref rest @ ..] = *bytes else {
        return None;
    };
    let (user_id, rest) = until_nul(rest)?;
    let host = match [a, b, c, d] {
        [0, 0, 0, 1..=255] => Host::Name(until_nul(rest)?.0),
        ip => Host::V4(ip),
    };
    let port = u16::from_be_bytes([p, q]);
    Some(Message {
        code,
        host,
        port,
        rest: user_id,
    })
}

#[inline(always)]
fn until_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

#[inline(always)]
fn put_socks4_request(user_id: &str, out: &mut Output<'_>) -> Option<()> {
    let [p, q] = black_box(PORT).to_be_bytes();
    out.put(&[4, 1, p, q, 0, 0, 0, 1])?;
    out.put(user_id.as_bytes())?;
    out.put(&[0])?;
    out.put(black_box(NAME).as_bytes())?;
    out.put(&[0])
}

#[inline(always)]
fn put_socks4_reply(out: &mut Output<'_>) -> Option<()> {
    let [p, q] = black_box(PORT).to_be_bytes();
    let [a, b, c, d] = black_box(BOUND);
    out.put(&[0, 0x5a, p, q, a, b, c, d])
}

/// Writes ten bytes: three, then ATYP, address and port.
#[inline(always)]
fn with_ipv4([a, b, c]: [u8; 3], ip: [u8; 4]) -> [u8; 10] {
    let [p, q] = black_box(PORT).to_be_bytes();
    let [i, j, k, l] = black_box(ip);
    [a, b, c, 1, i, j, k, l, p, q]
}

fn field(bytes: &str) -> Option<u8> {
    bytes.len().try_into().ok()
}

impl Peer for Floor {
    const NAME: &str = "floor";
    const VERSION: &str = "";
    const HOW: &str = "by hand, for these jobs only";
    const SOCKS4: bool = true;

    #[inline(always)]
    fn decode_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        witness.read(&request(bytes), |request| request.as_ref().unwrap().told());
    }

    #[inline(always)]
    fn encode_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let mut out = context.output();
        out.put(&with_ipv4([5, 0, 0], BOUND))?;
        witness.wrote(out.written());
        Some(())
    }

    #[inline(always)]
    fn decode_datagram(bytes: &'static [u8], witness: &mut impl Witness) {
        witness.read(&message::<2>(bytes), |datagram| datagram.as_ref().unwrap().told());
    }

    #[inline(always)]
    fn encode_datagram(payload: &[u8], context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let mut out = context.output();
        out.put(&with_ipv4([0, 0, 0], IP))?;
        out.put(payload)?;
        witness.wrote(out.written());
        Some(())
    }

    #[inline(always)]
    fn prepend_header(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let start = black_box(Context::PAYLOAD_START);
        let (_, header) = context.slice.get_mut(..start)?.split_last_chunk_mut()?;
        *header = with_ipv4([0, 0, 0], IP);
        witness.wrote(&context.slice[start - 10..Context::PAYLOAD_END]);
        Some(())
    }

    #[inline(always)]
    fn serve(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let mut out = context.output();
        let method = if login.is_some() { 2 } else { 0 };
        let mut next = 1;
        if !greeting(script.chunk(0))?.contains(&method) {
            return None;
        }
        out.put(&[5, method])?;
        witness.wrote(out.written());
        if let Some(login) = login {
            if !is_login(script.chunk(1), login)? {
                return None;
            }
            out.put(&[1, 0])?;
            witness.wrote(out.written());
            next = 2;
        }
        let request = request(script.chunk(next))?;
        witness.read(&request, Message::told);
        out.put(&with_ipv4([5, 0, 0], BOUND))?;
        witness.wrote(out.written());
        Some(())
    }

    #[inline(always)]
    fn serve_bytewise(
        script: Script,
        login: &Login,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let (received, out) = context.slice.split_at_mut(1024);
        let mut out = Output::new(out);
        let mut machine = Machine {
            phase: Phase::Greeting,
            needed: 2,
            len: 0,
        };
        for &byte in script.bytes {
            arrival();
            *received.get_mut(usize::from(machine.len))? = byte;
            machine.len += 1;
            if machine.len >= machine.needed {
                machine.advance(received, login, &mut out, witness)?;
            }
        }
        matches!(machine.phase, Phase::Established).then_some(())
    }

    #[inline(always)]
    fn connect(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let mut out = context.output();
        let mut next = 1;
        out.put(if login.is_some() {
            &[5, 2, 0, 2]
        } else {
            &[5, 1, 0]
        })?;
        witness.wrote(out.written());
        match (script.chunk(0), login) {
            ([5, 0], _) => {}
            ([5, 2], Some(&Login { username, password })) => {
                out.put(&[1, field(username)?])?;
                out.put(username.as_bytes())?;
                out.put(&[field(password)?])?;
                out.put(password.as_bytes())?;
                witness.wrote(out.written());
                if script.chunk(1) != [1, 0] {
                    return None;
                }
                next = 2;
            }
            _ => return None,
        }
        let name = black_box(NAME);
        out.put(&[5, 1, 0, 3, field(name)?])?;
        out.put(name.as_bytes())?;
        out.put(&black_box(PORT).to_be_bytes())?;
        witness.wrote(out.written());
        let reply = request(script.chunk(next)).filter(|reply| reply.code == 0)?;
        witness.read(&reply, Message::told);
        Some(())
    }

    #[inline(always)]
    fn decode_socks4_request(bytes: &'static [u8], _: &mut Context, witness: &mut impl Witness) {
        witness.read(&socks4_request(bytes), |request| request.as_ref().unwrap().told());
    }

    #[inline(always)]
    fn encode_socks4_request(
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let mut out = context.output();
        put_socks4_request(user_id, &mut out)?;
        witness.wrote(out.written());
        Some(())
    }

    #[inline(always)]
    fn encode_socks4_reply(context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let mut out = context.output();
        put_socks4_reply(&mut out)?;
        witness.wrote(out.written());
        Some(())
    }

    #[inline(always)]
    fn serve_socks4(script: Script, context: &mut Context, witness: &mut impl Witness) -> Option<()> {
        let mut out = context.output();
        let request = socks4_request(script.chunk(0))?;
        witness.read(&request, Message::told);
        put_socks4_reply(&mut out)?;
        witness.wrote(out.written());
        Some(())
    }

    #[inline(always)]
    fn connect_socks4(
        script: Script,
        user_id: &'static str,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let mut out = context.output();
        put_socks4_request(user_id, &mut out)?;
        witness.wrote(out.written());
        let [0, 0x5a, p, q, a, b, c, d] = *script.chunk(0) else {
            return None;
        };
        let reply = Message {
            code: 0,
            host: Host::V4([a, b, c, d]),
            port: u16::from_be_bytes([p, q]),
            rest: &[],
        };
        witness.read(&reply, Message::told);
        Some(())
    }

    /// Each byte after the head is compared with NUL once.
    #[inline(always)]
    fn serve_socks4_bytewise(
        script: Script,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let (received, out) = context.slice.split_at_mut(1024);
        let mut out = Output::new(out);
        let mut len = 0;
        let mut fields = 0;
        for &byte in script.bytes {
            arrival();
            *received.get_mut(len)? = byte;
            len += 1;
            if len <= 8 || byte != 0 {
                continue;
            }
            fields += 1;
            let needed = match received.get(4..8)? {
                [0, 0, 0, 1..=255] => 2,
                _ => 1,
            };
            if fields == needed {
                witness.read(&socks4_request(received.get(..len)?)?, Message::told);
                put_socks4_reply(&mut out)?;
                witness.wrote(out.written());
                return Some(());
            }
        }
        None
    }

    fn server_state() -> Option<State> {
        Some(State {
            inline: size_of::<Machine>(),
            buffer: State::LONGEST_FROM_CLIENT,
        })
    }
}

/// The message that is awaited, how many of its bytes have arrived, and how many the next decision needs. Until then a byte
/// costs a store and a comparison.
struct Machine {
    phase: Phase,
    needed: u16,
    len: u16,
}

#[derive(Clone, Copy)]
enum Phase {
    Greeting,
    Login,
    Request,
    Established,
}

impl Machine {
    #[inline(always)]
    fn advance(
        &mut self,
        received: &[u8],
        login: &Login,
        out: &mut Output<'_>,
        witness: &mut impl Witness,
    ) -> Option<()> {
        let bytes = received.get(..usize::from(self.len))?;
        self.needed = match (self.phase, bytes) {
            (Phase::Greeting, [5, len, ..]) => 2 + u16::from(*len),
            (Phase::Login, [1, len, rest @ ..]) => match rest.get(usize::from(*len)) {
                Some(second) => 3 + u16::from(*len) + u16::from(*second),
                None => 3 + u16::from(*len),
            },
            (Phase::Request, [5, _, 0, 1, ..]) => 10,
            (Phase::Request, [5, _, 0, 3, len, ..]) => 7 + u16::from(*len),
            (Phase::Request, [5, _, 0, 4, ..]) => 22,
            _ => return None,
        };
        if self.len < self.needed {
            return Some(());
        }
        *self = match self.phase {
            Phase::Greeting => {
                greeting(bytes)?.contains(&2).then_some(())?;
                out.put(&[5, 2])?;
                Self {
                    phase: Phase::Login,
                    needed: 2,
                    len: 0,
                }
            }
            Phase::Login => {
                is_login(bytes, login)?.then_some(())?;
                out.put(&[1, 0])?;
                Self {
                    phase: Phase::Request,
                    needed: 5,
                    len: 0,
                }
            }
            Phase::Request => {
                witness.read(&request(bytes)?, Message::told);
                out.put(&with_ipv4([5, 0, 0], BOUND))?;
                Self {
                    phase: Phase::Established,
                    needed: u16::MAX,
                    len: 0,
                }
            }
            Phase::Established => return None,
        };
        witness.wrote(out.written());
        Some(())
    }
}
