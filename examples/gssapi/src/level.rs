//! `--levels`: which protection levels a client proposes and takes, and a server allows.

use std::str::FromStr;

use sans_socks::gssapi::{ClientConfig, ProtectionLevel, ServerConfig};

/// A protection level of the command line: `1`, `2` or `3`, or `0` for none, which RFC 1961 does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Option<ProtectionLevel>);

impl FromStr for Level {
    type Err = InvalidLevels;

    fn from_str(text: &str) -> Result<Self, InvalidLevels> {
        match text
            .parse()
            .ok()
            .map(|octet| (octet, ProtectionLevel::new(octet)))
        {
            Some((0, _)) => Ok(Self(None)),
            Some((_, Some(level))) => Ok(Self(Some(level))),
            _ => Err(InvalidLevels::Unknown),
        }
    }
}

/// What is wrong with `--levels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLevels {
    /// Neither 0, 1, 2 nor 3.
    #[error("a level is 1 integrity, 2 confidentiality, 3 selective, or 0 nothing")]
    Unknown,
    /// A client takes no protection for an answer where it has proposed some.
    #[error("level 0 is what a client proposes, or nothing that it takes: it comes first")]
    ClearNotProposed,
}

/// Proposes the first of `levels`, and takes any of them for an answer.
///
/// # Errors
///
/// [`InvalidLevels::ClearNotProposed`]; and there is one level at least.
pub fn client_config(levels: &[Level], nec: bool) -> Result<ClientConfig, InvalidLevels> {
    let (Level(first), others) = levels.split_first().ok_or(InvalidLevels::Unknown)?;
    let proposed = first.map_or_else(ClientConfig::clear, ClientConfig::new);
    others
        .iter()
        .try_fold(proposed, |config, other| match (other.0, first) {
            (Some(level), _) => Ok(config.with_accepted(&[level])),
            (None, None) => Ok(config),
            (None, Some(_)) => Err(InvalidLevels::ClearNotProposed),
        })
        .map(|config| config.with_nec(nec))
}

/// Allows `levels`, as the client proposes.
#[must_use]
pub fn server_config(levels: &[Level], nec: bool) -> ServerConfig {
    let protected: Vec<ProtectionLevel> = levels.iter().filter_map(|level| level.0).collect();
    ServerConfig::new()
        .with_allowed(&protected)
        .with_clear(levels.contains(&Level(None)))
        .with_nec(nec)
}
