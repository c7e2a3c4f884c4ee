//! The jobs: inputs and expected results.

use std::sync::LazyLock;

/// The jobs, each of which is done once and counted. README.md describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    J1,
    J2,
    J3,
    J4,
    J5,
    J6,
    J6p,
    J7,
    J8,
    J9a,
    J9b,
    J10,
    J11,
    S1,
    S2,
    S3,
    S4,
    S5,
    S6,
}

impl Job {
    /// The jobs of SOCKS5, which every row has unless its crate cannot do them.
    pub const SOCKS5: &[Self] = {
        use Job::*;
        &[J1, J2, J3, J4, J5, J6, J6p, J7, J8, J9a, J9b, J10, J11]
    };

    /// The jobs of SOCKS4a, for the rows that have it.
    pub const SOCKS4: &[Self] = {
        use Job::*;
        &[S1, S2, S3, S4, S5, S6]
    };

    /// Returns the bytes that the peer sends.
    ///
    /// # Panics
    ///
    /// Panics if the job has no handshake.
    #[must_use]
    pub fn script(self) -> Script {
        match self {
            Self::J7 => *SERVER_NONE,
            Self::J8 | Self::J10 => *SERVER_LOGIN,
            Self::J9a => *CLIENT_NONE,
            Self::J9b => *CLIENT_LOGIN,
            Self::J11 => *SERVER_LONGEST,
            Self::S4 | Self::S6 => *SERVER_SOCKS4,
            Self::S5 => *CLIENT_SOCKS4,
            _ => panic!("{self:?} has no handshake"),
        }
    }

    /// Checks the content `told` of the message that was read, if there was one, and the bytes `written`.
    ///
    /// # Panics
    ///
    /// Panics if one of them is wrong.
    pub fn check(self, told: Option<&Told>, written: &[u8]) {
        let expect = |expected: Told| assert_eq!(told, Some(&expected));
        match self {
            Self::J1 => expect(Told::message(1, IP_TEXT, PORT)),
            Self::J2 => expect(Told::message(1, NAME, PORT)),
            Self::J3 => assert_eq!(written, REPLY),
            Self::J4 => expect(Told::message(0, IP_TEXT, PORT).with_payload(&PAYLOAD)),
            Self::J5 => expect(Told::message(0, NAME, PORT).with_payload(&PAYLOAD)),
            Self::J6 | Self::J6p => assert_eq!(written, *DATAGRAM_IP),
            Self::J7 => {
                expect(Told::message(1, NAME, PORT));
                assert_eq!(written, [SELECTION_NONE, REPLY].concat());
            }
            Self::J8 | Self::J10 => {
                expect(Told::message(1, NAME, PORT));
                assert_eq!(written, [SELECTION_LOGIN, LOGIN_ACCEPTED, REPLY].concat());
            }
            Self::J11 => {
                expect(Told::message(1, &*LONGEST_NAME, PORT));
                assert_eq!(written, [SELECTION_LOGIN, LOGIN_ACCEPTED, REPLY].concat());
            }
            Self::J9a => {
                expect_bound(told);
                assert_eq!(written, [GREETING_NONE, REQUEST_NAME].concat());
            }
            Self::J9b => {
                expect_bound(told);
                let greetings = [GREETING_BOTH, b"\x05\x02\x02\x00", b"\x05\x01\x02"];
                let possible = greetings.map(|greeting| [greeting, LOGIN_BYTES, REQUEST_NAME].concat());
                assert!(possible.iter().any(|bytes| bytes == written), "{written:02x?}");
            }
            Self::S1 => expect(request_socks4()),
            Self::S2 => assert_eq!(written, REQUEST_SOCKS4),
            Self::S3 => assert_eq!(written, REPLY_SOCKS4),
            Self::S4 | Self::S6 => {
                expect(request_socks4());
                assert_eq!(written, REPLY_SOCKS4);
            }
            Self::S5 => {
                expect_bound(told);
                assert_eq!(written, REQUEST_SOCKS4);
            }
        }
    }
}

fn request_socks4() -> Told {
    Told::message(1, NAME, PORT).with_payload(LOGIN.username.as_bytes())
}

fn expect_bound(told: Option<&Told>) {
    if told != Some(&Told::NotTheAddress) {
        assert_eq!(told, Some(&Told::message(0, BOUND_TEXT, PORT)));
    }
}

/// The content of a message, as a crate reports it.
#[derive(Debug, PartialEq)]
pub enum Told {
    Message {
        /// CMD, REP or FRAG.
        code: u8,
        host: String,
        port: u16,
        /// Of a datagram, or USERID of a SOCKS4 request.
        payload: Vec<u8>,
    },
    /// The handshake has succeeded. Where the proxy is bound is unknown.
    NotTheAddress,
}

impl Told {
    #[must_use]
    pub fn message(code: u8, host: impl ToString, port: u16) -> Self {
        Self::Message {
            code,
            host: host.to_string(),
            port,
            payload: Vec::new(),
        }
    }

    #[must_use]
    pub fn with_payload(mut self, bytes: &[u8]) -> Self {
        if let Self::Message { payload, .. } = &mut self {
            payload.extend_from_slice(bytes);
        }
        self
    }
}

/// One direction of a handshake: its messages, each of which arrives as a chunk.
#[derive(Clone, Copy)]
pub struct Script {
    pub bytes: &'static [u8],
    /// The end of each chunk.
    pub ends: &'static [usize],
}

impl Script {
    /// The messages live as long as the program.
    fn new(messages: &[&[u8]]) -> Self {
        let ends = messages.iter().scan(0, |end, message| {
            *end += message.len();
            Some(*end)
        });
        Self {
            bytes: messages.concat().leak(),
            ends: ends.collect::<Vec<_>>().leak(),
        }
    }

    /// # Panics
    ///
    /// Panics if there is no chunk `index`.
    #[inline]
    #[must_use]
    pub fn chunk(&self, index: usize) -> &'static [u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    #[inline]
    pub fn chunks(self) -> impl Iterator<Item = &'static [u8]> {
        (0..self.ends.len()).map(move |index| self.chunk(index))
    }
}

#[derive(Clone, Copy)]
pub struct Login {
    pub username: &'static str,
    pub password: &'static str,
}

/// The target of the request.
pub const NAME: &str = "www.example.com";
pub const IP: [u8; 4] = [203, 0, 113, 7];
pub const PORT: u16 = 443;
/// BND.ADDR in the reply. BND.PORT is the port of the request, because tor-socksproto can write no other.
pub const BOUND: [u8; 4] = [198, 51, 100, 7];
pub const LOGIN: Login = Login {
    username: "benchuser",
    password: "correct-horse-battery",
};
pub static PAYLOAD: [u8; 1200] = [0x5a; 1200];

const IP_TEXT: &str = "203.0.113.7";
const BOUND_TEXT: &str = "198.51.100.7";

pub const GREETING_NONE: &[u8] = b"\x05\x01\x00";
const GREETING_BOTH: &[u8] = b"\x05\x02\x00\x02";
const SELECTION_NONE: &[u8] = b"\x05\x00";
const SELECTION_LOGIN: &[u8] = b"\x05\x02";
const LOGIN_BYTES: &[u8] = b"\x01\x09benchuser\x15correct-horse-battery";
const LOGIN_ACCEPTED: &[u8] = b"\x01\x00";
pub const REQUEST_IP: &[u8] = b"\x05\x01\x00\x01\xcb\x00\x71\x07\x01\xbb";
pub const REQUEST_NAME: &[u8] = b"\x05\x01\x00\x03\x0fwww.example.com\x01\xbb";
const REPLY: &[u8] = b"\x05\x00\x00\x01\xc6\x33\x64\x07\x01\xbb";
pub const REQUEST_SOCKS4: &[u8] = b"\x04\x01\x01\xbb\0\0\0\x01benchuser\0www.example.com\0";
const REPLY_SOCKS4: &[u8] = b"\0\x5a\x01\xbb\xc6\x33\x64\x07";

pub static DATAGRAM_IP: LazyLock<Vec<u8>> =
    LazyLock::new(|| [&b"\x00\x00\x00\x01\xcb\x00\x71\x07\x01\xbb"[..], &PAYLOAD].concat());
pub static DATAGRAM_NAME: LazyLock<Vec<u8>> =
    LazyLock::new(|| [&b"\x00\x00\x00\x03\x0fwww.example.com\x01\xbb"[..], &PAYLOAD].concat());

static SERVER_NONE: LazyLock<Script> = LazyLock::new(|| Script::new(&[GREETING_NONE, REQUEST_NAME]));
static SERVER_LOGIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[GREETING_BOTH, LOGIN_BYTES, REQUEST_NAME]));
static CLIENT_NONE: LazyLock<Script> = LazyLock::new(|| Script::new(&[SELECTION_NONE, REPLY]));
static CLIENT_LOGIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[SELECTION_LOGIN, LOGIN_ACCEPTED, REPLY]));
static SERVER_SOCKS4: LazyLock<Script> = LazyLock::new(|| Script::new(&[REQUEST_SOCKS4]));
static CLIENT_SOCKS4: LazyLock<Script> = LazyLock::new(|| Script::new(&[REPLY_SOCKS4]));

/// The longest field of RFC 1929.
pub static LONGEST_LOGIN: LazyLock<Login> = LazyLock::new(|| Login {
    username: "u".repeat(255).leak(),
    password: "p".repeat(255).leak(),
});
/// 253 bytes: the longest valid DNS name, because some crates check that.
static LONGEST_NAME: LazyLock<String> =
    LazyLock::new(|| [63, 63, 63, 61].map(|len| "a".repeat(len)).join("."));
static SERVER_LONGEST: LazyLock<Script> = LazyLock::new(|| {
    let Login { username, password } = *LONGEST_LOGIN;
    let login = [&[1, 255], username.as_bytes(), &[255], password.as_bytes()].concat();
    let request = [&[5, 1, 0, 3, 253], LONGEST_NAME.as_bytes(), &PORT.to_be_bytes()].concat();
    Script::new(&[GREETING_BOTH, &login, &request])
});
