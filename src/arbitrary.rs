//! `Arbitrary` where deriving it would not do: lengths, and what one field demands of another.

use alloc::vec::Vec;

use arbitrary::{Arbitrary, Error, Result, Unstructured};

use crate::address::{Address, AddressBuf, Domain};
use crate::client::Auth;
use crate::code_point::Method;
use crate::credentials::Credentials;
use crate::gssapi::{ClientConfig, ProtectionLevel, ServerConfig, Token};
use crate::message::greeting::Methods;

/// 1 to 255 octets: as many as the first octet says, or as there are.
fn counted<'a>(u: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let len = u.int_in_range(1..=255)?.min(u.len());
    u.bytes(len)
}

impl<'a> Arbitrary<'a> for Domain<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Self::new(counted(u)?).map_err(|_| Error::NotEnoughData)
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (2, Some(1 + Self::MAX_LEN))
    }
}

impl<'a> Arbitrary<'a> for AddressBuf {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Address::arbitrary(u).map(Self::from)
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        Address::size_hint(depth)
    }
}

/// Neither field is empty.
impl<'a> Arbitrary<'a> for Credentials<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Self::new(counted(u)?, counted(u)?).map_err(|_| Error::NotEnoughData)
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (4, Some(2 * (1 + Self::MAX_FIELD_LEN)))
    }
}

/// Without `FF`, which cannot be offered.
impl<'a> Arbitrary<'a> for Methods<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let octets = counted(u)?;
        let refusal = octets
            .iter()
            .position(|octet| *octet == Method::NO_ACCEPTABLE.get());
        match octets.get(..refusal.unwrap_or(octets.len())) {
            None | Some([]) => Err(Error::IncorrectFormat),
            Some(methods) => Ok(Self::from_wire(methods)),
        }
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (2, Some(256))
    }
}

/// With credentials where username/password is offered.
impl<'a> Arbitrary<'a> for Auth<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let greeting = u.arbitrary()?;
        match Self::offering(greeting, None) {
            Ok(auth) => Ok(auth),
            Err(_) => Self::offering(greeting, Some(u.arbitrary()?)).map_err(|_| Error::IncorrectFormat),
        }
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        let (least, greatest) = Methods::size_hint(depth);
        let credentials = Credentials::size_hint(depth).1;
        (least, greatest.zip(credentials).map(|(a, b)| a + b))
    }
}

impl<'a> Arbitrary<'a> for Token<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let octets: &[u8] = u.arbitrary()?;
        Self::new(octets.get(..Self::MAX_LEN).unwrap_or(octets)).map_err(|_| Error::IncorrectFormat)
    }

    fn arbitrary_take_rest(u: Unstructured<'a>) -> Result<Self> {
        let octets = u.take_rest();
        Self::new(octets.get(..Self::MAX_LEN).unwrap_or(octets)).map_err(|_| Error::IncorrectFormat)
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        <&[u8]>::size_hint(depth)
    }
}

impl<'a> Arbitrary<'a> for ClientConfig {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let proposed: Option<ProtectionLevel> = u.arbitrary()?;
        let accepted: Option<ProtectionLevel> = u.arbitrary()?;
        let config = proposed.map_or(Self::clear(), Self::new);
        Ok(accepted
            .map_or(config, |level| config.with_accepted(&[level]))
            .with_nec(u.arbitrary()?)
            .with_max_token(u.arbitrary()?)
            .with_max_level_token(u.arbitrary()?))
    }
}

impl<'a> Arbitrary<'a> for ServerConfig {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let allowed: Vec<ProtectionLevel> = u.arbitrary()?;
        let counter_offer: Option<ProtectionLevel> = u.arbitrary()?;
        let config = Self::new().with_allowed(&allowed).with_clear(u.arbitrary()?);
        Ok(config
            .with_counter_offer(counter_offer)
            .with_nec(u.arbitrary()?)
            .with_max_token(u.arbitrary()?)
            .with_max_level_token(u.arbitrary()?))
    }
}
