//! Decoders for the messages of RFC 1928, RFC 1929, RFC 1961, `SOCKS4.protocol` and `SOCKS4a.protocol`, byte by byte in the
//! order of the wire. They are slow, and so simple that code and text can be compared side by side.
//!
//! They use nothing of the crate's own decoders except the names of faults. A comment marks each place where the crate
//! accepts more than the RFCs on purpose.

use sans_socks::Malformed;

use sans_socks_testing::faults::wrong_version;

/// The verdict about an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict<'a> {
    /// A whole message, and its length.
    Whole(Message<'a>, usize),
    /// The beginning of one, and how many further bytes lead to the next decision.
    Short(usize),
    /// Not the beginning of a message.
    Fault(Malformed),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Message<'a> {
    /// METHODS.
    Greeting(&'a [u8]),
    /// METHOD.
    Selection(u8),
    /// UNAME and PASSWD.
    Credentials(&'a [u8], &'a [u8]),
    /// STATUS.
    Status(u8),
    /// CMD, DST.ADDR, DST.PORT.
    Request(u8, Addr<'a>, u16),
    /// REP, BND.ADDR, BND.PORT.
    Reply(u8, Addr<'a>, u16),
    /// FRAG, DST.ADDR, DST.PORT, DATA.
    Datagram(u8, Addr<'a>, u16, &'a [u8]),
    /// mtyp, token.
    Frame(u8, &'a [u8]),
    /// The message that has no token.
    Abort,
    /// CD, DSTIP or the name, DSTPORT, USERID.
    Socks4Request(u8, Addr<'a>, u16, &'a [u8]),
    /// CD, DSTIP, DSTPORT.
    Socks4Reply(u8, [u8; 4], u16),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Addr<'a> {
    V4([u8; 4]),
    Name(&'a [u8]),
    V6([u8; 16]),
}

/// RFC 1928 section 3, the client's first message (R-004, R-005, R-006).
///
/// ```text
/// +----+----------+----------+
/// |VER | NMETHODS | METHODS  |
/// +----+----------+----------+
/// | 1  |    1     | 1 to 255 |
/// +----+----------+----------+
/// ```
pub(crate) fn greeting(bytes: &[u8]) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        reader.next_decision_in(2);
        reader.version(5)?;
        let nmethods = reader.byte()?;
        if nmethods == 0 {
            return Err(Stop::Fault(Malformed::NoMethods));
        }
        reader.next_decision_in(usize::from(nmethods));
        let methods = reader.bytes(usize::from(nmethods))?;
        Ok(Message::Greeting(methods))
    })
}

/// RFC 1928 section 3, the server's answer (R-008).
///
/// ```text
/// +----+--------+
/// |VER | METHOD |
/// +----+--------+
/// | 1  |   1    |
/// +----+--------+
/// ```
pub(crate) fn selection(bytes: &[u8]) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        reader.next_decision_in(2);
        reader.version(5)?;
        let method = reader.byte()?;
        Ok(Message::Selection(method))
    })
}

/// RFC 1929 section 2, the client's message (R-061, R-062, R-063).
///
/// ```text
/// +----+------+----------+------+----------+
/// |VER | ULEN |  UNAME   | PLEN |  PASSWD  |
/// +----+------+----------+------+----------+
/// | 1  |  1   | 1 to 255 |  1   | 1 to 255 |
/// +----+------+----------+------+----------+
/// ```
pub(crate) fn credentials(bytes: &[u8]) -> Verdict<'_> {
    username_password(bytes, false)
}

/// The same with fields that may be empty, which goes beyond the RFC (Q-062).
pub(crate) fn credentials_allowing_empty(bytes: &[u8]) -> Verdict<'_> {
    username_password(bytes, true)
}

fn username_password(bytes: &[u8], empty_allowed: bool) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        reader.next_decision_in(2);
        reader.version(1)?;
        let ulen = reader.byte()?;
        if ulen == 0 && !empty_allowed {
            return Err(Stop::Fault(Malformed::EmptyCredentials));
        }
        reader.next_decision_in(usize::from(ulen) + 1);
        let uname = reader.bytes(usize::from(ulen))?;
        let plen = reader.byte()?;
        if plen == 0 && !empty_allowed {
            return Err(Stop::Fault(Malformed::EmptyCredentials));
        }
        reader.next_decision_in(usize::from(plen));
        let passwd = reader.bytes(usize::from(plen))?;
        Ok(Message::Credentials(uname, passwd))
    })
}

/// RFC 1929 section 2, the server's answer (R-061, R-065).
///
/// ```text
/// +----+--------+
/// |VER | STATUS |
/// +----+--------+
/// | 1  |   1    |
/// +----+--------+
/// ```
pub(crate) fn status(bytes: &[u8]) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        reader.next_decision_in(2);
        reader.version(1)?;
        let status = reader.byte()?;
        Ok(Message::Status(status))
    })
}

/// RFC 1928 section 4 (R-022, R-023, R-025).
///
/// ```text
/// +----+-----+-------+------+----------+----------+
/// |VER | CMD |  RSV  | ATYP | DST.ADDR | DST.PORT |
/// +----+-----+-------+------+----------+----------+
/// | 1  |  1  | X'00' |  1   | Variable |    2     |
/// +----+-----+-------+------+----------+----------+
/// ```
pub(crate) fn request(bytes: &[u8]) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        reader.next_decision_in(4);
        reader.version(5)?;
        let cmd = reader.byte()?;
        reader.reserved()?;
        let (addr, port) = reader.address(EmptyName::Fault)?;
        Ok(Message::Request(cmd, addr, port))
    })
}

/// RFC 1928 section 6 (R-033, R-034, R-035). A refusal may end after REP (Q-045), so REP is a decision.
///
/// ```text
/// +----+-----+-------+------+----------+----------+
/// |VER | REP |  RSV  | ATYP | BND.ADDR | BND.PORT |
/// +----+-----+-------+------+----------+----------+
/// | 1  |  1  | X'00' |  1   | Variable |    2     |
/// +----+-----+-------+------+----------+----------+
/// ```
pub(crate) fn reply(bytes: &[u8]) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        reader.next_decision_in(2);
        reader.version(5)?;
        let rep = reader.byte()?;
        reader.next_decision_in(2);
        reader.reserved()?;
        let (addr, port) = reader.address(EmptyName::NoAddress)?;
        Ok(Message::Reply(rep, addr, port))
    })
}

/// RFC 1928 section 7. A datagram that ends inside its header is a fault, because no more bytes can follow.
///
/// ```text
/// +----+------+------+----------+----------+----------+
/// |RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA   |
/// +----+------+------+----------+----------+----------+
/// | 2  |  1   |  1   | Variable |    2     | Variable |
/// +----+------+------+----------+----------+----------+
/// ```
pub(crate) fn datagram(bytes: &[u8]) -> Verdict<'_> {
    let verdict = Reader::read(bytes, |reader| {
        reader.next_decision_in(4);
        reader.reserved()?;
        reader.reserved()?;
        let frag = reader.byte()?;
        let (addr, port) = reader.address(EmptyName::Fault)?;
        let data = reader.all_that_is_left();
        Ok(Message::Datagram(frag, addr, port, data))
    });
    match verdict {
        Verdict::Short(_) => Verdict::Fault(Malformed::Truncated),
        verdict => verdict,
    }
}

/// RFC 1961 sections 3.4, 4.3 and 5, and the short one of 3.8 (R-108, R-114, R-123, R-131).
///
/// ```text
/// +------+------+------+.......................+     +------+------+
/// + ver  | mtyp | len  |       token           |     + ver  | mtyp |
/// +------+------+------+.......................+     +------+------+
/// + 0x01 |  1   |  2   | up to 2^16 - 1 octets |     + 0x01 | 0xff |
/// +------+------+------+.......................+     +------+------+
/// ```
pub(crate) fn frame(bytes: &[u8]) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        reader.next_decision_in(2);
        reader.version(1)?;
        let mtyp = reader.byte()?;
        match mtyp {
            1..=3 => {}
            0xff => return Ok(Message::Abort),
            unknown => return Err(Stop::Fault(Malformed::MessageType(unknown))),
        }
        reader.next_decision_in(2);
        let high = reader.byte()?;
        let low = reader.byte()?;
        let len = usize::from(high) * 256 + usize::from(low);
        reader.next_decision_in(len);
        let token = reader.bytes(len)?;
        Ok(Message::Frame(mtyp, token))
    })
}

/// `SOCKS4.protocol`, and `SOCKS4a.protocol` for the name (R-200, R-201, R-203, R-230 to R-234).
///
/// ```text
/// +----+----+----+----+----+----+----+----+----+----+....+----+
/// | VN | CD | DSTPORT |      DSTIP        | USERID       |NULL|
/// +----+----+----+----+----+----+----+----+----+----+....+----+
///    1    1      2              4           variable       1
/// ```
///
/// The specifications do not limit USERID and the name. The crate's limit is 255 bytes for each (R-221, R-237).
pub(crate) fn socks4_request(bytes: &[u8]) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        // The shortest request has an empty USERID: 8 bytes and NULL.
        reader.next_decision_in(9);
        reader.version(4)?;
        let cd = reader.byte()?;
        let high = reader.byte()?;
        let low = reader.byte()?;
        let port = u16::from(high) * 256 + u16::from(low);
        let mut ip = [0; 4];
        for byte in &mut ip {
            *byte = reader.byte()?;
        }
        // "If it represent address 0.0.0.x with nonzero x, the server must read in the domain name"
        let named = ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] != 0;
        let after = if named { 1 } else { 0 };
        let userid = reader.up_to_null(after, Malformed::UserIdTooLong)?;
        if !named {
            return Ok(Message::Socks4Request(cd, Addr::V4(ip), port, userid));
        }
        // "Following the NULL byte terminating USERID, the client must sends the destination domain name and
        // termiantes it with another NULL byte."
        let name = reader.up_to_null(0, Malformed::DomainTooLong)?;
        if name.is_empty() {
            return Err(Stop::Fault(Malformed::EmptyDomain));
        }
        Ok(Message::Socks4Request(cd, Addr::Name(name), port, userid))
    })
}

/// `SOCKS4.protocol`, the reply (R-206, R-207). CD alone may be all that is received of a refusal, so it is a decision.
///
/// ```text
/// +----+----+----+----+----+----+----+----+
/// | VN | CD | DSTPORT |      DSTIP        |
/// +----+----+----+----+----+----+----+----+
///    1    1      2              4
/// ```
///
/// "VN is the version of the reply code and should be 0": 4 is accepted, too (Q-134).
pub(crate) fn socks4_reply(bytes: &[u8]) -> Verdict<'_> {
    Reader::read(bytes, |reader| {
        reader.next_decision_in(2);
        let vn = reader.byte()?;
        if vn != 0 && vn != 4 {
            return Err(Stop::Fault(wrong_version(0, vn)));
        }
        let cd = reader.byte()?;
        reader.next_decision_in(6);
        let high = reader.byte()?;
        let low = reader.byte()?;
        let mut ip = [0; 4];
        for byte in &mut ip {
            *byte = reader.byte()?;
        }
        Ok(Message::Socks4Reply(
            cd,
            ip,
            u16::from(high) * 256 + u16::from(low),
        ))
    })
}

/// The meaning of an ATYP 03 of length 0.
#[derive(Clone, Copy, PartialEq)]
enum EmptyName {
    /// A missing name (R-030).
    Fault,
    /// No address, as in the replies of some servers, which goes beyond the RFC (Q-046).
    NoAddress,
}

/// The reason why reading stops before the end of the message.
enum Stop {
    Short(usize),
    Fault(Malformed),
}

/// Takes bytes from the front, one at a time.
struct Reader<'a> {
    bytes: &'a [u8],
    taken: usize,
    /// The position of the next decision, counted from the first byte.
    decision: usize,
}

impl<'a> Reader<'a> {
    fn read(bytes: &'a [u8], message: impl FnOnce(&mut Self) -> Result<Message<'a>, Stop>) -> Verdict<'a> {
        let mut reader = Self {
            bytes,
            taken: 0,
            decision: 0,
        };
        match message(&mut reader) {
            Ok(message) => Verdict::Whole(message, reader.taken),
            Err(Stop::Short(needed)) => Verdict::Short(needed),
            Err(Stop::Fault(fault)) => Verdict::Fault(fault),
        }
    }

    fn next_decision_in(&mut self, bytes: usize) {
        self.decision = self.taken + bytes;
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        if self.taken == self.bytes.len() {
            return Err(Stop::Short(self.decision - self.taken));
        }
        self.taken += 1;
        Ok(self.bytes[self.taken - 1])
    }

    fn bytes(&mut self, n: usize) -> Result<&'a [u8], Stop> {
        let start = self.taken;
        for _ in 0..n {
            self.byte()?;
        }
        Ok(&self.bytes[start..self.taken])
    }

    /// Reads a field that ends with a NULL, and returns it without the NULL. `too_long` is the fault if it has more
    /// than 255 bytes.
    ///
    /// Each byte can be the NULL. `after` is how many bytes must follow the NULL before the next decision.
    fn up_to_null(&mut self, after: usize, too_long: Malformed) -> Result<&'a [u8], Stop> {
        let start = self.taken;
        loop {
            let len = self.taken - start;
            // Where the next byte must be the NULL, any other is a fault.
            let full = len == 255;
            self.next_decision_in(if full { 1 } else { 1 + after });
            match self.byte()? {
                0 => return Ok(&self.bytes[start..start + len]),
                _ if full => return Err(Stop::Fault(too_long)),
                _ => {}
            }
        }
    }

    fn all_that_is_left(&mut self) -> &'a [u8] {
        let start = self.taken;
        self.taken = self.bytes.len();
        &self.bytes[start..]
    }

    fn version(&mut self, expected: u8) -> Result<(), Stop> {
        let got = self.byte()?;
        if got != expected {
            return Err(Stop::Fault(wrong_version(expected, got)));
        }
        Ok(())
    }

    /// RSV: X'00' in the RFC, and ignored here (R-025, Q-048).
    fn reserved(&mut self) -> Result<(), Stop> {
        self.byte()?;
        Ok(())
    }

    /// RFC 1928 section 5: ATYP, the address, and the port (R-026 to R-030).
    fn address(&mut self, empty: EmptyName) -> Result<(Addr<'a>, u16), Stop> {
        let addr = match self.byte()? {
            // "a version-4 IP address, with a length of 4 octets"
            1 => {
                self.next_decision_in(4 + 2);
                let mut ip = [0; 4];
                for byte in &mut ip {
                    *byte = self.byte()?;
                }
                Addr::V4(ip)
            }
            // "The first octet of the address field contains the number of octets of name that follow, there is no
            // terminating NUL octet."
            3 => {
                self.next_decision_in(1);
                let n = usize::from(self.byte()?);
                if n == 0 && empty == EmptyName::Fault {
                    return Err(Stop::Fault(Malformed::EmptyDomain));
                }
                self.next_decision_in(n + 2);
                match self.bytes(n)? {
                    [] => Addr::V4([0, 0, 0, 0]),
                    name => Addr::Name(name),
                }
            }
            // "a version-6 IP address, with a length of 16 octets"
            4 => {
                self.next_decision_in(16 + 2);
                let mut ip = [0; 16];
                for byte in &mut ip {
                    *byte = self.byte()?;
                }
                Addr::V6(ip)
            }
            unknown => return Err(Stop::Fault(Malformed::AddressType(unknown))),
        };
        // "in network octet order"
        let high = self.byte()?;
        let low = self.byte()?;
        Ok((addr, u16::from(high) * 256 + u16::from(low)))
    }
}
