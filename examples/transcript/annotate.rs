//! A message with a name for every octet, made from the decoded message and its layout on the wire.

use core::error::Error;
use core::fmt;

use sans_socks::message::{AuthStatus, Decoded, Greeting, Selection};
use sans_socks::udp::{Datagram, Frag};
use sans_socks::{Address, Credentials, Host, Method, Phase, Reply, Request};

/// Which way octets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ToServer => "C -> S",
            Self::ToClient => "S -> C",
        })
    }
}

/// Octets that went over the wire, cut into fields.
pub(crate) struct Message {
    pub(crate) direction: Direction,
    pub(crate) title: &'static str,
    /// Where it is defined.
    pub(crate) section: String,
    pub(crate) octets: Vec<u8>,
    /// In the order of the wire; together they are all the octets.
    pub(crate) fields: Vec<Field>,
}

/// Some octets of a message, and what they say.
pub(crate) struct Field {
    /// As the RFC calls it.
    pub(crate) name: &'static str,
    pub(crate) len: usize,
    meaning: Meaning,
}

enum Meaning {
    Words(String),
    /// The octets are text themselves.
    Text,
}

impl Message {
    /// Annotates the message that the receiver waits for in `phase`.
    pub(crate) fn new(direction: Direction, phase: Phase, octets: &[u8]) -> Result<Self, Box<dyn Error>> {
        let (title, section, fields) = match (direction, phase) {
            (Direction::ToServer, Phase::Greeting) => ("greeting", "RFC 1928 section 3", greeting(octets)?),
            (Direction::ToClient, Phase::MethodSelection) => {
                ("method selection", "RFC 1928 section 3", selection(octets)?)
            }
            (Direction::ToServer, Phase::Authentication) => (
                "username and password",
                "RFC 1929 section 2",
                credentials(octets)?,
            ),
            (Direction::ToClient, Phase::Authentication) => ("status", "RFC 1929 section 2", status(octets)?),
            (Direction::ToServer, Phase::Request) => ("request", "RFC 1928 section 4", request(octets)?),
            (Direction::ToClient, Phase::Reply) => ("reply", "RFC 1928 section 6", reply(octets)?),
            (Direction::ToClient, Phase::SecondReply) => {
                ("second reply", "RFC 1928 section 6", reply(octets)?)
            }
            _ => return Err(format!("{direction}: no message is due in phase {phase}").into()),
        };
        Ok(Self::with(direction, title, section, octets, fields))
    }

    pub(crate) fn with(
        direction: Direction,
        title: &'static str,
        section: &str,
        octets: &[u8],
        fields: Vec<Field>,
    ) -> Self {
        Self {
            direction,
            title,
            section: section.to_owned(),
            octets: octets.to_vec(),
            fields,
        }
    }

    /// Octets of the tunnel, which are nobody's but the two ends'.
    pub(crate) fn data(direction: Direction, octets: &[u8]) -> Self {
        let fields = vec![Field::text("DATA", octets.len())];
        Self::with(direction, "data", "not SOCKS any more", octets, fields)
    }

    /// A datagram between client and relay.
    pub(crate) fn datagram(direction: Direction, octets: &[u8]) -> Result<Self, Box<dyn Error>> {
        let Datagram { header, payload } = Datagram::decode(octets)?;
        let frag = header.frag;
        let meaning = match (frag.position(), frag.is_last()) {
            _ if frag == Frag::STANDALONE => "a whole datagram".to_owned(),
            (position, false) => format!("piece {position}, more follow"),
            (position, true) => format!("piece {position}, the last"),
        };
        let mut fields = vec![Field::new("RSV", 2, "reserved"), Field::new("FRAG", 1, meaning)];
        fields.extend(addressed(["DST.ADDR", "DST.PORT"], &header.address));
        fields.push(Field::text("DATA", payload.len()));
        Ok(Self::with(
            direction,
            "datagram",
            "RFC 1928 section 7, UDP",
            octets,
            fields,
        ))
    }

    /// The octets alone, 28 a line.
    pub(crate) fn hex(&self) -> String {
        let lines = self.octets.chunks(28);
        lines
            .map(|line| format!("{}  {}\n", self.direction, hex(line)))
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

/// A heading, then a line a field: offset, octets, name, meaning. At most 100 columns.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = format!("{}  {}, {} octets", self.direction, self.title, self.octets.len());
        writeln!(f, "{heading:<53}{}", self.section)?;
        let mut offset = 0;
        let mut rest = self.octets.as_slice();
        for field in &self.fields {
            let (octets, behind) = rest.split_at(field.len);
            rest = behind;
            for (i, line) in octets.chunks(12).enumerate() {
                let meaning = match &field.meaning {
                    Meaning::Text => format!("\"{}\"", printable(line)),
                    Meaning::Words(words) if i == 0 => words.clone(),
                    Meaning::Words(_) => String::new(),
                };
                let name = if i == 0 { field.name } else { "" };
                let row = format!("{offset:>6}  {:<35}  {name:<8}  {meaning}", hex(line));
                writeln!(f, "{}", row.trim_end())?;
                offset += line.len();
            }
        }
        Ok(())
    }
}

fn hex(octets: &[u8]) -> String {
    let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    octets.join(" ")
}

/// As in a hex dump: a dot for whatever is not plain text.
fn printable(octets: &[u8]) -> String {
    let plain = |octet: &u8| matches!(octet, b' '..=b'~');
    let chars = octets
        .iter()
        .map(|octet| if plain(octet) { char::from(*octet) } else { '.' });
    chars.collect()
}

fn greeting(octets: &[u8]) -> Result<Vec<Field>, Box<dyn Error>> {
    let greeting = whole(Greeting::decode(octets)?)?;
    let methods: Vec<Method> = greeting.methods().iter().collect();
    let mut fields = vec![
        Field::new("VER", 1, "SOCKS version 5"),
        Field::new("NMETHODS", 1, counted(methods.len(), "method")),
    ];
    fields.extend(methods.iter().map(|method| Field::new("METHODS", 1, method)));
    Ok(fields)
}

fn selection(octets: &[u8]) -> Result<Vec<Field>, Box<dyn Error>> {
    let selection = whole(Selection::decode(octets)?)?;
    Ok(vec![
        Field::new("VER", 1, "SOCKS version 5"),
        Field::new("METHOD", 1, selection.method),
    ])
}

fn credentials(octets: &[u8]) -> Result<Vec<Field>, Box<dyn Error>> {
    let credentials = whole(Credentials::decode(octets)?)?;
    let (username, password) = (credentials.username().len(), credentials.password().len());
    Ok(vec![
        Field::new("VER", 1, "version 1 of this sub-negotiation"),
        Field::new("ULEN", 1, counted(username, "octet")),
        Field::text("UNAME", username),
        Field::new("PLEN", 1, counted(password, "octet")),
        Field::text("PASSWD", password),
    ])
}

fn status(octets: &[u8]) -> Result<Vec<Field>, Box<dyn Error>> {
    let status = whole(AuthStatus::decode(octets)?)?;
    Ok(vec![
        Field::new("VER", 1, "version 1 of this sub-negotiation"),
        Field::new("STATUS", 1, status),
    ])
}

fn request(octets: &[u8]) -> Result<Vec<Field>, Box<dyn Error>> {
    let Request { command, address } = whole(Request::decode(octets)?)?;
    Ok(six_fields(("CMD", &command), ["DST.ADDR", "DST.PORT"], &address))
}

fn reply(octets: &[u8]) -> Result<Vec<Field>, Box<dyn Error>> {
    let Reply { code, address } = whole(Reply::decode(octets)?)?;
    Ok(six_fields(("REP", &code), ["BND.ADDR", "BND.PORT"], &address))
}

/// What a request and a reply share.
fn six_fields(
    (code, meaning): (&'static str, &dyn fmt::Display),
    names: [&'static str; 2],
    address: &Address<'_>,
) -> Vec<Field> {
    let mut fields = vec![
        Field::new("VER", 1, "SOCKS version 5"),
        Field::new(code, 1, meaning),
        Field::new("RSV", 1, "reserved"),
    ];
    fields.extend(addressed(names, address));
    fields
}

/// ATYP, address and port.
fn addressed([addr, port]: [&'static str; 2], address: &Address<'_>) -> Vec<Field> {
    let mut fields = match address.host {
        Host::Ipv4(ip) => vec![Field::new("ATYP", 1, "IPv4 address"), Field::new(addr, 4, ip)],
        Host::Domain(name) => vec![
            Field::new("ATYP", 1, "domain name"),
            Field::new(addr, 1, counted(name.as_bytes().len(), "octet")),
            Field::text(addr, name.as_bytes().len()),
        ],
        Host::Ipv6(ip) => vec![Field::new("ATYP", 1, "IPv6 address"), Field::new(addr, 16, ip)],
    };
    fields.push(Field::new(port, 2, address.port));
    fields
}

pub(crate) fn whole<T>(decoded: Decoded<T>) -> Result<T, &'static str> {
    match decoded.complete() {
        Some((message, _)) => Ok(message),
        None => Err("a message was sent in part"),
    }
}

pub(crate) fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what} follows"),
        n => format!("{n} {what}s follow"),
    }
}
