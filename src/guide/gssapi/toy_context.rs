use sans_socks::gssapi::{Context, Progress, Protection, Services};

/// A context that proves nothing and protects nothing. It shows what a context over a GSS-API library returns.
pub struct Toy;

impl Context for Toy {
    type Error = std::io::Error;

    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Self::Error> {
        match token {
            None => {
                out.extend_from_slice(b"hello");
                Ok(Progress::ContinueNeeded)
            }
            Some(b"hello") => {
                out.extend_from_slice(b"welcome");
                Ok(Progress::Complete)
            }
            Some(_) => Ok(Progress::Complete),
        }
    }

    fn services(&self) -> Services {
        Services::new().with_integrity(true).with_confidentiality(true)
    }

    fn wrap(
        &mut self,
        protection: Protection,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Protection, Self::Error> {
        out.push((protection == Protection::Confidentiality).into());
        out.extend_from_slice(plain);
        Ok(protection)
    }

    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Self::Error> {
        let (confidential, plain) = token.split_first().ok_or(std::io::ErrorKind::InvalidData)?;
        out.extend_from_slice(plain);
        Ok(match confidential {
            0 => Protection::Integrity,
            _ => Protection::Confidentiality,
        })
    }

    fn max_plain(&self, _: Protection, max_token: usize) -> usize {
        max_token.saturating_sub(1)
    }
}
