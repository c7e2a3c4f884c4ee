//! `--levels`: the protection levels that a client proposes and accepts, and that a server allows.

use std::str::FromStr;

use sans_socks::gssapi::{ClientConfig, ProtectionLevel, ServerConfig};

/// A protection level of the command line: `1`, `2` or `3`, or `0` for none, which is not in RFC 1961.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Option<ProtectionLevel>);

impl FromStr for Level {
    type Err = InvalidLevels;

    fn from_str(text: &str) -> Result<Self, InvalidLevels> {
        match text.parse().ok().map(|byte| (byte, ProtectionLevel::new(byte))) {
            Some((0, _)) => Ok(Self(None)),
            Some((_, Some(level))) => Ok(Self(Some(level))),
            _ => Err(InvalidLevels::Unknown),
        }
    }
}

/// The error in `--levels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLevels {
    /// Neither 0, 1, 2 nor 3.
    #[error("levels are 1 integrity, 2 confidentiality, 3 selective, and 0 no protection")]
    Unknown,
    /// A client that proposes protection does not accept none.
    #[error("level 0 must be the first: a client accepts it only if it has proposed it")]
    ClearNotProposed,
}

/// Proposes the first of `levels`, and accepts any of them as an answer.
///
/// # Errors
///
/// [`InvalidLevels::ClearNotProposed`], and [`InvalidLevels::Unknown`] if there is no level.
pub fn client_config(levels: &[Level], nec: bool) -> Result<ClientConfig, InvalidLevels> {
    let (Level(first), others) = levels.split_first().ok_or(InvalidLevels::Unknown)?;
    if first.is_some() && others.contains(&Level(None)) {
        return Err(InvalidLevels::ClearNotProposed);
    }
    let proposed = first.map_or_else(ClientConfig::clear, ClientConfig::new);
    Ok(proposed.with_accepted(&protected(others)).with_nec(nec))
}

/// Allows `levels`.
#[must_use]
pub fn server_config(levels: &[Level], nec: bool) -> ServerConfig {
    ServerConfig::new()
        .with_allowed(&protected(levels))
        .with_clear(levels.contains(&Level(None)))
        .with_nec(nec)
}

fn protected(levels: &[Level]) -> Vec<ProtectionLevel> {
    levels.iter().filter_map(|level| level.0).collect()
}
