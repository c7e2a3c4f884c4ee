//! A message, with a name and a meaning for every byte.

use std::fmt;
use std::net::IpAddr;

use anstyle::{AnsiColor, Style};
use sans_socks::gssapi::{Frame, MessageType};
use sans_socks::message::{AuthStatus, Decoded, Greeting, Selection};
use sans_socks::udp::{Datagram, Frag};
use sans_socks::{Credentials, Host, Malformed, Method, Reply, Request, socks4};

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Direction {
    const fn style(self) -> Style {
        let color = match self {
            Self::ToServer => AnsiColor::Cyan,
            Self::ToClient => AnsiColor::Magenta,
        };
        color.on_default().bold()
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ToServer => "C -> S",
            Self::ToClient => "S -> C",
        })
    }
}

/// Bytes on the wire, divided into fields.
#[derive(Debug)]
pub struct Message {
    /// Its direction.
    pub direction: Direction,
    /// Its name.
    pub title: &'static str,
    /// The section that defines it.
    pub section: String,
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Its fields, in the order of the wire. Together they have all its bytes.
    pub fields: Vec<Field>,
}

/// Some bytes of a message.
#[derive(Debug)]
pub struct Field {
    /// Its name in the specification.
    pub name: &'static str,
    /// How many bytes it has.
    pub len: usize,
    meaning: Meaning,
}

#[derive(Debug)]
enum Meaning {
    Words(String),
    /// The bytes are text.
    Text,
    /// The bytes are not printed.
    Omitted,
}

/// How many bytes of data are printed.
const MAX_DATA: usize = 240;

/// The messages of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Greeting,
    Selection,
    Credentials,
    Status,
    Request,
    Reply,
    SecondReply,
    Socks4Request,
    Socks4Reply,
    Socks4SecondReply,
    Frame,
}

impl Kind {
    /// Annotates the message at the front of `bytes`, if it is complete.
    pub(crate) fn annotate(self, direction: Direction, bytes: &[u8]) -> Result<Option<Message>, Malformed> {
        let (title, section) = match self {
            Self::Greeting => ("greeting", "RFC 1928 section 3"),
            Self::Selection => ("method selection", "RFC 1928 section 3"),
            Self::Credentials => ("username and password", "RFC 1929 section 2"),
            Self::Status => ("status", "RFC 1929 section 2"),
            Self::Request => ("request", "RFC 1928 section 4"),
            Self::Reply => ("reply", "RFC 1928 section 6"),
            Self::SecondReply => ("second reply", "RFC 1928 section 6"),
            Self::Socks4Request => ("request", "SOCKS4, SOCKS4a"),
            Self::Socks4Reply => ("reply", "SOCKS4"),
            Self::Socks4SecondReply => ("second reply", "SOCKS4"),
            Self::Frame => ("GSSAPI frame", "RFC 1961"),
        };
        let decoded = match self {
            Self::Greeting => fields(Greeting::decode(bytes), |_| greeting(bytes)),
            Self::Selection => fields(Selection::decode(bytes), |it| selection(&it)),
            Self::Credentials => fields(Credentials::decode_allowing_empty(bytes), |it| credentials(&it)),
            Self::Status => fields(AuthStatus::decode(bytes), status),
            Self::Request => fields(Request::decode(bytes), |it| {
                six_fields("CMD", &it.command, DST, bytes)
            }),
            Self::Reply | Self::SecondReply => {
                fields(Reply::decode(bytes), |it| six_fields("REP", &it.code, BND, bytes))
            }
            Self::Socks4Request => fields(socks4::Request::decode(bytes), |it| socks4_request(&it)),
            Self::Socks4Reply | Self::Socks4SecondReply => {
                fields(socks4::Reply::decode(bytes), |it| socks4_reply(&it))
            }
            Self::Frame => fields(Frame::decode(bytes), |it| frame(&it)),
        };
        let message = |(len, fields)| Message::with(direction, title, section, &bytes[..len], fields);
        Ok(decoded?.map(message))
    }
}

/// Returns the length and the fields of a message, if it is complete.
fn fields<T>(
    decoded: Result<Decoded<T>, Malformed>,
    annotate: impl FnOnce(T) -> Vec<Field>,
) -> Result<Option<(usize, Vec<Field>)>, Malformed> {
    Ok(decoded?.complete().map(|(value, len)| (len, annotate(value))))
}

impl Message {
    pub(crate) fn with(
        direction: Direction,
        title: &'static str,
        section: &str,
        bytes: &[u8],
        fields: Vec<Field>,
    ) -> Self {
        Self {
            direction,
            title,
            section: section.to_owned(),
            bytes: bytes.to_vec(),
            fields,
        }
    }

    /// Annotates bytes of the tunnel.
    pub(crate) fn data(direction: Direction, bytes: &[u8]) -> Self {
        let printed = bytes.len().min(MAX_DATA);
        let mut fields = vec![Field::text("DATA", printed)];
        if printed < bytes.len() {
            fields.push(Field {
                name: "DATA",
                len: bytes.len() - printed,
                meaning: Meaning::Omitted,
            });
        }
        Self::with(direction, "data", "not SOCKS", bytes, fields)
    }

    /// Annotates bytes that are not the expected message.
    pub(crate) fn unknown(direction: Direction, bytes: &[u8]) -> Self {
        let fields = vec![Field::text("BYTES", bytes.len())];
        Self::with(direction, "unknown bytes", "", bytes, fields)
    }

    /// Annotates a datagram between client and relay.
    pub(crate) fn datagram(direction: Direction, bytes: &[u8]) -> Result<Self, Malformed> {
        let Datagram { header, payload } = Datagram::decode(bytes)?;
        let frag = header.frag;
        let meaning = match (frag.position(), frag.is_last()) {
            _ if frag == Frag::STANDALONE => "a whole datagram".to_owned(),
            (position, false) => format!("piece {position}, more follow"),
            (position, true) => format!("piece {position}, the last"),
        };
        let mut fields = vec![Field::new("RSV", 2, "reserved"), Field::new("FRAG", 1, meaning)];
        fields.extend(addressed(DST, &bytes[3..]));
        fields.push(Field::text("DATA", payload.len()));
        let section = "RFC 1928 section 7, UDP";
        Ok(Self::with(direction, "datagram", section, bytes, fields))
    }

    /// Returns the bytes alone, 28 a line.
    pub fn hex(&self) -> String {
        let (style, direction) = (self.direction.style(), self.direction);
        let omitted = |field: &&Field| matches!(field.meaning, Meaning::Omitted);
        let omitted: usize = self.fields.iter().filter(omitted).map(|field| field.len).sum();
        let printed = &self.bytes[..self.bytes.len() - omitted];
        let lines = printed.chunks(28).map(hex);
        let rest = (omitted > 0).then(|| format!("# and {} more", bytes(omitted)));
        lines
            .chain(rest)
            .map(|line| format!("{style}{direction}{style:#}  {line}\n"))
            .collect()
    }
}

impl Field {
    pub(crate) fn new(name: &'static str, len: usize, meaning: impl fmt::Display) -> Self {
        Self {
            name,
            len,
            meaning: Meaning::Words(meaning.to_string()),
        }
    }

    pub(crate) const fn text(name: &'static str, len: usize) -> Self {
        Self {
            name,
            len,
            meaning: Meaning::Text,
        }
    }
}

/// Prints a heading, then a line for each field: offset, bytes, name, meaning. Lines have at most 100 columns.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIM: Style = Style::new().dimmed();
        const NAME: Style = Style::new().bold();
        const MEANING: Style = AnsiColor::Green.on_default();
        let (style, direction) = (self.direction.style(), self.direction);
        let title = format!("{}, {}", self.title, bytes(self.bytes.len()));
        let heading = format!("{style}{direction}{style:#}  {NAME}{title}{NAME:#}");
        let padding = 45_usize.saturating_sub(title.len());
        writeln!(f, "{heading}{:padding$}{DIM}{}{DIM:#}", "", self.section)?;
        let mut offset = 0;
        for field in &self.fields {
            if matches!(field.meaning, Meaning::Omitted) {
                writeln!(f, "{DIM}{offset:>6}{DIM:#}  and {} more", bytes(field.len))?;
                offset += field.len;
                continue;
            }
            let content = &self.bytes[offset..offset + field.len];
            for (i, line) in content.chunks(12).enumerate() {
                let (name, meaning) = match &field.meaning {
                    Meaning::Text if i == 0 => (field.name, format!("\"{}\"", printable(line))),
                    Meaning::Text => ("", format!("\"{}\"", printable(line))),
                    Meaning::Words(words) if i == 0 => (field.name, words.clone()),
                    Meaning::Words(_) | Meaning::Omitted => ("", String::new()),
                };
                write!(f, "{DIM}{offset:>6}{DIM:#}  ")?;
                offset += line.len();
                let line = hex(line);
                if name.is_empty() && meaning.is_empty() {
                    writeln!(f, "{line}")?;
                } else {
                    writeln!(
                        f,
                        "{line:<35}  {NAME}{name:<8}{NAME:#}  {MEANING}{meaning}{MEANING:#}"
                    )?;
                }
            }
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// Returns text as in a hex dump: a dot for each byte that is not plain text.
fn printable(bytes: &[u8]) -> String {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~');
    let chars = bytes
        .iter()
        .map(|byte| if plain(byte) { char::from(*byte) } else { '.' });
    chars.collect()
}

/// Returns the fields of a greeting. It takes the bytes, because `Greeting` skips `FF`, which is not a method.
fn greeting(bytes: &[u8]) -> Vec<Field> {
    let methods = bytes.iter().skip(2).take(bytes[1].into());
    let mut fields = vec![
        Field::new("VER", 1, "SOCKS version 5"),
        Field::new("NMETHODS", 1, counted(bytes[1].into(), "method")),
    ];
    fields.extend(methods.map(|method| match Method::new(*method) {
        Method::NO_ACCEPTABLE => Field::new("METHODS", 1, "not a method"),
        method => Field::new("METHODS", 1, method),
    }));
    fields
}

fn selection(selection: &Selection) -> Vec<Field> {
    vec![
        Field::new("VER", 1, "SOCKS version 5"),
        Field::new("METHOD", 1, selection.method),
    ]
}

fn credentials(credentials: &Credentials<'_>) -> Vec<Field> {
    let (username, password) = (credentials.username().len(), credentials.password().len());
    vec![
        Field::new("VER", 1, "version 1 of this sub-negotiation"),
        Field::new("ULEN", 1, counted(username, "byte")),
        Field::text("UNAME", username),
        Field::new("PLEN", 1, counted(password, "byte")),
        Field::text("PASSWD", password),
    ]
}

fn status(status: AuthStatus) -> Vec<Field> {
    vec![
        Field::new("VER", 1, "version 1 of this sub-negotiation"),
        Field::new("STATUS", 1, status),
    ]
}

const DST: [&str; 2] = ["DST.ADDR", "DST.PORT"];
const BND: [&str; 2] = ["BND.ADDR", "BND.PORT"];

/// Returns the fields that a request and a reply share.
fn six_fields(
    code: &'static str,
    meaning: &dyn fmt::Display,
    names: [&'static str; 2],
    bytes: &[u8],
) -> Vec<Field> {
    let mut fields = vec![
        Field::new("VER", 1, "SOCKS version 5"),
        Field::new(code, 1, meaning),
        Field::new("RSV", 1, "reserved"),
    ];
    fields.extend(addressed(names, &bytes[3..]));
    fields
}

/// Returns ATYP, address and port, at the front of `bytes`.
///
/// It takes the bytes, because a decoder accepts some addresses that it cannot return.
fn addressed([addr, port]: [&'static str; 2], bytes: &[u8]) -> Vec<Field> {
    let ip = |len: usize| {
        let ip = match *bytes.get(1..=len).unwrap_or_default() {
            [a, b, c, d] => IpAddr::from([a, b, c, d]),
            ref bytes => IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap_or_default()),
        };
        Field::new(addr, len, ip)
    };
    let mut fields = match bytes {
        [0x01, ..] => vec![Field::new("ATYP", 1, "IPv4 address"), ip(4)],
        [0x04, ..] => vec![Field::new("ATYP", 1, "IPv6 address"), ip(16)],
        [0x03, len, ..] => vec![
            Field::new("ATYP", 1, "domain name"),
            Field::new(addr, 1, counted((*len).into(), "byte")),
            Field::text(addr, (*len).into()),
        ],
        _ => vec![Field::new("ATYP", 1, "not an address type"), ip(4)],
    };
    let start: usize = fields.iter().map(|field| field.len).sum();
    let value = match bytes.get(start..start + 2) {
        Some([high, low]) => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    fields.push(Field::new(port, 2, value));
    fields
}

fn socks4_request(request: &socks4::Request<'_>) -> Vec<Field> {
    let address = request.address();
    let mut fields = vec![
        Field::new("VN", 1, "SOCKS version 4"),
        Field::new("CD", 1, request.command()),
        Field::new("DSTPORT", 2, address.port),
    ];
    fields.push(match address.host {
        Host::Ipv4(ip) => Field::new("DSTIP", 4, ip),
        _ => Field::new("DSTIP", 4, "0.0.0.x: a name follows, SOCKS4a"),
    });
    fields.extend(terminated("USERID", request.user_id().as_bytes()));
    if let Host::Domain(name) = address.host {
        fields.extend(terminated("DOMAIN", name.as_bytes()));
    }
    fields
}

/// Returns a text and the NUL that ends it.
fn terminated(name: &'static str, text: &[u8]) -> [Field; 2] {
    [
        Field::text(name, text.len()),
        Field::new("NULL", 1, "ends the text"),
    ]
}

fn socks4_reply(reply: &socks4::Reply) -> Vec<Field> {
    vec![
        Field::new("VN", 1, "version of the reply"),
        Field::new("CD", 1, reply.code),
        Field::new("DSTPORT", 2, reply.address.port()),
        Field::new("DSTIP", 4, reply.address.ip()),
    ]
}

fn frame(frame: &Frame<'_>) -> Vec<Field> {
    match frame {
        Frame::Token { message_type, token } => {
            let mut fields = frame_header(*message_type, token.as_bytes());
            fields.push(Field::text("TOKEN", token.as_bytes().len()));
            fields
        }
        Frame::Abort => vec![
            frame_version(),
            Field::new("MTYP", 1, "abort: the server rejects the client"),
        ],
    }
}

/// Returns the fields before the token of a frame.
pub(crate) fn frame_header(message_type: MessageType, token: &[u8]) -> Vec<Field> {
    vec![
        frame_version(),
        Field::new("MTYP", 1, message_type),
        Field::new("LEN", 2, counted(token.len(), "byte")),
    ]
}

fn frame_version() -> Field {
    Field::new("VER", 1, "version 1 of RFC 1961")
}

fn bytes(n: usize) -> String {
    match n {
        1 => "1 byte".to_owned(),
        n => format!("{n} bytes"),
    }
}

fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what} follows"),
        n => format!("{n} {what}s follow"),
    }
}
