//! [`Context`] over the system's GSS-API library, with Kerberos 5 for the mechanism.

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error as LibraryError;
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_HOSTBASED_SERVICE, OidSet};
use libgssapi::util::{Buf, GssIov, GssIovFake, GssIovType};
use sans_socks::gssapi::{Context, Progress, Protection, Services, Token};

/// Why a context could not be established, or a message did not pass.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What the library says. It keeps the details per thread, so they are put into words at once.
    #[error("{0}")]
    Library(String),
    /// The server did not prove who it is, which was asked for.
    #[error("the server has not proved who it is")]
    NotMutual,
    /// The library did not make a message confidential, which was asked for.
    #[error("the library cannot make a message confidential")]
    NotConfidential,
}

impl From<LibraryError> for Error {
    fn from(error: LibraryError) -> Self {
        Self::Library(error.to_string())
    }
}

/// What a server proves with who it is: the key of a service, from the default keytab.
#[derive(Clone)]
pub struct Credentials(Cred);

impl Credentials {
    /// The key of `service`, such as `rcmd@localhost`.
    ///
    /// # Errors
    ///
    /// There is none in the keytab, or no keytab.
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
    /// What a token has beside the plaintext: without confidentiality, and with it.
    overhead: [usize; 2],
}

/// The client's.
pub type Initiator = Kerberos<ClientCtx>;

/// The server's.
pub type Acceptor = Kerberos<ServerCtx>;

impl Initiator {
    /// For a client that wants to reach `service`, with the tickets of the default cache.
    ///
    /// With `datagrams` their order does not matter; a replay is noticed in any case. Credentials are
    /// not delegated: who has them can do whatever the user can.
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
    /// For a server with these credentials.
    #[must_use]
    pub fn new(credentials: &Credentials) -> Self {
        Self::over(ServerCtx::new(Some(credentials.0.clone())))
    }

    /// Who the client is, once the context is established.
    ///
    /// # Errors
    ///
    /// The library cannot tell.
    pub fn client(&self) -> Result<String, Error> {
        let name = self.side.source_name()?.display_name()?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }
}

impl<S> Kerberos<S> {
    const fn over(side: S) -> Self {
        Self {
            side,
            overhead: [0, 0],
        }
    }
}

/// In what the two sides differ.
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

    /// A replayed token, or one out of sequence, is an error of the library's wrapper already: it takes
    /// `GSS_S_COMPLETE` alone for success.
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

/// "conf_state" of a token that has passed: the crate libgssapi does not hand it out.
///
/// In a token of [RFC 4121 §4.2.6.2](https://www.rfc-editor.org/rfc/rfc4121#section-4.2.6.2) it is the flag
/// "Sealed", which the token itself protects. A token of the older, broken ciphers counts as not confidential.
const fn of_token(token: &[u8]) -> Protection {
    match token {
        [0x05, 0x04, flags, ..] if *flags & 0x02 != 0 => Protection::Confidentiality,
        _ => Protection::Integrity,
    }
}

/// What a token has beside the plaintext. libgssapi has no `gss_wrap_size_limit`, but knows the parts.
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
