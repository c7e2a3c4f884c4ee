//! The text form of addresses. Printed text parses as the same address, or not at all.

use core::fmt::{self, Write};
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::{Address, AddressBuf, Domain, Host};
use crate::error::InvalidValue;

/// Returns whether a name is printed as it is: ASCII graphic, without delimiters, and not an IPv4 address.
fn is_plain(name: Domain<'_>) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !is_delimiter(char::from(*byte));
    name.as_bytes().iter().all(is_plain) && name.to_str().is_ok_and(|text| text.parse::<Ipv4Addr>().is_err())
}

/// The general delimiters of RFC 3986, and those of an escaped name.
const fn is_delimiter(c: char) -> bool {
    matches!(c, ':' | '/' | '?' | '#' | '[' | ']' | '@' | '"' | '\\')
}

/// Prints a name as it is if that is unambiguous. Otherwise quotes it, and escapes every byte that is not an ASCII graphic
/// character. So a log line stays one line, and no name looks like an IP address, a port or another name:
///
/// | name | printed |
/// |---|---|
/// | `example.com` | `example.com` |
/// | `127.0.0.1` as a name | `"127.0.0.1"` |
/// | `a:80` | `"a:80"` |
/// | `a`, NUL, `b` | `"a\x00b"` |
///
/// Use this text for logs. For a resolver, use [`Address::to_target`].
impl fmt::Display for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_str() {
            Ok(text) if is_plain(*self) => f.pad(text),
            _ => write_quoted(*self, f),
        }
    }
}

/// Prints the name in quotes, with the same escapes as `Display`.
impl fmt::Debug for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Domain(")?;
        write_quoted(*self, f)?;
        f.write_str(")")
    }
}

/// Writes the name in quotes, with `\xNN` for all but ASCII graphic characters.
fn write_quoted(name: Domain<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for byte in name.as_bytes() {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
            byte if byte.is_ascii_graphic() => f.write_char(char::from(*byte))?,
            byte => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_char('"')
}

/// Prints a name as [`Domain`] does.
impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(ip) => ip.fmt(f),
            Self::Domain(name) => name.fmt(f),
            Self::Ipv6(ip) => ip.fmt(f),
        }
    }
}

/// Prints `host:port`, with brackets around an IPv6 host, and a name as [`Domain`] does.
///
/// Parsing the result gives the same address, or an error for a name that is printed in quotes.
impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Ipv6(ip) => write!(f, "[{ip}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl fmt::Display for AddressBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_address(), f)
    }
}

/// Parses an IPv4 address, an IPv6 address with or without brackets, or else a name.
///
/// # Errors
///
/// [`InvalidValue::AddressSyntax`] for a name that is empty or contains white space, a control character, `"`, `\`, or
/// one of `:/?#[]@`. [`InvalidValue::DomainLength`] for a name of more than 255 bytes.
impl<'a> TryFrom<&'a str> for Host<'a> {
    type Error = InvalidValue;

    fn try_from(text: &'a str) -> Result<Self, InvalidValue> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ipv4(ip));
        }
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(ip) = inner.unwrap_or(text).parse() {
            return Ok(Self::Ipv6(ip));
        }
        let refused = |c: char| c.is_whitespace() || c.is_control() || is_delimiter(c);
        if text.is_empty() || text.contains(refused) {
            return Err(InvalidValue::AddressSyntax);
        }
        Ok(Self::Domain(Domain::new(text)?))
    }
}

/// Parses a host as [`Host`] does, and adds the port.
///
/// # Errors
///
/// Those of [`Host`].
impl<'a> TryFrom<(&'a str, u16)> for Address<'a> {
    type Error = InvalidValue;

    fn try_from((host, port): (&'a str, u16)) -> Result<Self, InvalidValue> {
        let host = host.try_into()?;
        Ok(Self { host, port })
    }
}

/// Parses `host:port`. An IPv6 host must be in brackets, as in `[::1]:80`.
///
/// # Errors
///
/// Those of [`Host`], and [`InvalidValue::AddressSyntax`] unless the port is a number of 1 to 5 digits, at most 65535.
impl<'a> TryFrom<&'a str> for Address<'a> {
    type Error = InvalidValue;

    fn try_from(text: &'a str) -> Result<Self, InvalidValue> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidValue::AddressSyntax)?;
        if port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidValue::AddressSyntax);
        }
        let port = port.parse().map_err(|_| InvalidValue::AddressSyntax)?;
        // Without brackets, the port could be the end of an IPv6 address.
        if host.parse::<Ipv6Addr>().is_ok() {
            return Err(InvalidValue::AddressSyntax);
        }
        Self::try_from((host, port))
    }
}

/// Parses as [`Address`] does.
///
/// # Errors
///
/// Those of [`Address`].
impl FromStr for AddressBuf {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Address::try_from(text).map(Self::from)
    }
}

/// Parses as [`Address`] does.
///
/// # Errors
///
/// Those of [`Address`].
impl TryFrom<&str> for AddressBuf {
    type Error = InvalidValue;

    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

/// Converts as [`Address`] does.
///
/// # Errors
///
/// Those of [`Address`].
impl TryFrom<(&str, u16)> for AddressBuf {
    type Error = InvalidValue;

    fn try_from(address: (&str, u16)) -> Result<Self, InvalidValue> {
        Address::try_from(address).map(Self::from)
    }
}
