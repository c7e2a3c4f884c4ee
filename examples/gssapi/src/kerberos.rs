//! [`Context`] over the GSS-API library of the system, with Kerberos 5 as the mechanism.

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error as LibraryError;
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_HOSTBASED_SERVICE, OidSet};
use libgssapi::util::{Buf, GssIov, GssIovFake, GssIovType};
use sans_socks::gssapi::{Context, Progress, Protection, Services, Token};

/// The reason why a context was not established, or a message was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An error of the library. The library stores the details per thread, so they are formatted immediately.
    #[error("{0}")]
    Library(String),
    /// Mutual authentication was requested, and the server was not authenticated.
    #[error("server not authenticated")]
    NotMutual,
}

impl From<LibraryError> for Error {
    fn from(error: LibraryError) -> Self {
        Self::Library(error.to_string())
    }
}

/// The credentials of a server: the key of a service, from the default keytab.
#[derive(Clone)]
pub struct Credentials(Cred);

impl Credentials {
    /// Acquires the key of `service`, such as `rcmd@localhost`.
    ///
    /// # Errors
    ///
    /// There is no such key, or no keytab.
    pub fn of(service: &str) -> Result<Self, Error> {
        let kerberos = OidSet::singleton(GSS_MECH_KRB5)?;
        let name = service_name(service)?;
        let credentials = Cred::acquire(Some(&name), None, CredUsage::Accept, Some(&kerberos))?;
        Ok(Self(credentials))
    }
}

fn service_name(service: &str) -> Result<Name, Error> {
    Ok(Name::new(service.as_bytes(), Some(GSS_NT_HOSTBASED_SERVICE))?)
}

/// A security context of either side.
pub struct Kerberos<S> {
    side: S,
    /// How many bytes a token adds to the plaintext, without confidentiality and with it.
    overhead: [usize; 2],
}

/// The context of a client.
pub type Initiator = Kerberos<ClientCtx>;

/// The context of a server.
pub type Acceptor = Kerberos<ServerCtx>;

impl Initiator {
    /// Creates a context for a client of `service`, with the tickets of the default cache.
    ///
    /// With `datagrams`, messages may arrive in any order. A replay is detected in both cases. Credentials are
    /// not delegated, because the proxy could act as the user with them.
    ///
    /// # Errors
    ///
    /// `service` is not a name.
    pub fn new(service: &str, datagrams: bool) -> Result<Self, Error> {
        let mut flags = CtxFlags::GSS_C_MUTUAL_FLAG
            | CtxFlags::GSS_C_REPLAY_FLAG
            | CtxFlags::GSS_C_INTEG_FLAG
            | CtxFlags::GSS_C_CONF_FLAG;
        flags.set(CtxFlags::GSS_C_SEQUENCE_FLAG, !datagrams);
        let name = service_name(service)?;
        Ok(Self::over(ClientCtx::new(None, name, flags, Some(GSS_MECH_KRB5))))
    }
}

impl Acceptor {
    /// Creates a context for a server with these credentials.
    #[must_use]
    pub fn new(credentials: &Credentials) -> Self {
        Self::over(ServerCtx::new(Some(credentials.0.clone())))
    }

    /// Returns the name of the client, once the context is established.
    ///
    /// It is safe to log. Bytes that are not ASCII graphic characters, and backslashes, are escaped as in `\x1b`, so different
    /// names remain different.
    ///
    /// # Errors
    ///
    /// The library does not know it.
    pub fn client(&self) -> Result<String, Error> {
        Ok(escaped(&self.side.source_name()?.display_name()?))
    }
}

/// Escapes bytes that are not ASCII graphic characters, and backslashes, as in `\x1b`.
fn escaped(name: &[u8]) -> String {
    name.iter()
        .map(|byte| match byte {
            b'\\' => String::from("\\x5c"),
            b'!'..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect()
}

impl<S> Kerberos<S> {
    const fn over(side: S) -> Self {
        Self {
            side,
            overhead: [0, 0],
        }
    }
}

/// The difference between the two sides.
trait Establish: SecurityContext {
    fn advance(&mut self, token: Option<&[u8]>) -> Result<Option<Buf>, Error>;
}

impl Establish for ClientCtx {
    fn advance(&mut self, token: Option<&[u8]>) -> Result<Option<Buf>, Error> {
        let answer = self.step(token, None)?;
        if self.is_complete() && !self.flags()?.contains(CtxFlags::GSS_C_MUTUAL_FLAG) {
            return Err(Error::NotMutual);
        }
        Ok(answer)
    }
}

impl Establish for ServerCtx {
    fn advance(&mut self, token: Option<&[u8]>) -> Result<Option<Buf>, Error> {
        Ok(self.step(token.unwrap_or_default(), None)?)
    }
}

impl<S: Establish> Context for Kerberos<S> {
    type Error = Error;

    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Error> {
        if let Some(answer) = self.side.advance(token)? {
            out.extend_from_slice(&answer);
        }
        if !self.side.is_complete() {
            return Ok(Progress::ContinueNeeded);
        }
        let open = overhead(&mut self.side, false)?;
        let sealed = if self.services().confidentiality {
            overhead(&mut self.side, true)?
        } else {
            0
        };
        self.overhead = [open, sealed];
        Ok(Progress::Complete)
    }

    fn services(&self) -> Services {
        let flags = self.side.flags().unwrap_or(CtxFlags::empty());
        Services::new()
            .with_integrity(flags.contains(CtxFlags::GSS_C_INTEG_FLAG))
            .with_confidentiality(flags.contains(CtxFlags::GSS_C_CONF_FLAG))
    }

    fn wrap(&mut self, protection: Protection, plain: &[u8], out: &mut Vec<u8>) -> Result<Protection, Error> {
        let token = self.side.wrap(protection == Protection::Confidentiality, plain)?;
        out.extend_from_slice(&token);
        Ok(of_token(&token))
    }

    /// A replayed token, or one out of sequence, is an error: the crate libgssapi accepts only `GSS_S_COMPLETE`.
    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Error> {
        out.extend_from_slice(&self.side.unwrap(token)?);
        Ok(of_token(token))
    }

    fn max_plain(&self, protection: Protection, max_token: usize) -> usize {
        let [open, sealed] = self.overhead;
        max_token.saturating_sub(match protection {
            Protection::Integrity => open,
            Protection::Confidentiality => sealed,
        })
    }
}

/// Returns "conf_state" of a token that was made or verified. The crate libgssapi does not return it.
///
/// In a token of [RFC 4121 §4.2.6.2](https://www.rfc-editor.org/rfc/rfc4121#section-4.2.6.2) it is the flag "Sealed", whose
/// integrity is protected. A token of the older, broken ciphers counts as not confidential.
const fn of_token(token: &[u8]) -> Protection {
    match token {
        [0x05, 0x04, flags, ..] if *flags & 0x02 != 0 => Protection::Confidentiality,
        _ => Protection::Integrity,
    }
}

/// Returns how many bytes a token adds to the plaintext. libgssapi has no `gss_wrap_size_limit`, but reports the parts.
fn overhead(context: &mut impl SecurityContext, confidential: bool) -> Result<usize, Error> {
    let mut plain = vec![0; Token::MAX_LEN];
    let mut parts = [
        GssIovFake::new(GssIovType::Header),
        GssIov::new(GssIovType::Data, &mut plain).as_fake(),
        GssIovFake::new(GssIovType::Padding),
        GssIovFake::new(GssIovType::Trailer),
    ];
    context.wrap_iov_length(confidential, &mut parts)?;
    let [header, _, padding, trailer] = &parts;
    Ok(header.len() + padding.len() + trailer.len())
}

#[cfg(test)]
mod tests {
    use super::escaped;

    /// Names of a realm may contain control sequences and line separators.
    #[test]
    fn name_with_control_bytes_is_escaped() {
        assert_eq!(escaped(b"alice@EXAMPLE.TEST"), "alice@EXAMPLE.TEST");
        assert_eq!(
            escaped("ali\x1b[31mce\u{2028}root \\x1b@EXAMPLE.TEST\r\n".as_bytes()),
            "ali\\x1b[31mce\\xe2\\x80\\xa8root\\x20\\x5cx1b@EXAMPLE.TEST\\x0d\\x0a"
        );
    }
}
