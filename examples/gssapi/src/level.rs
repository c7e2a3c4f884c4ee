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
    /// A client that proposes protection does not accept level 0.
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
    let proposed = first.map_or_else(ClientConfig::unprotected, ClientConfig::new);
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

#[cfg(test)]
mod tests {
    use sans_socks::gssapi::ProtectionLevel::{Confidentiality, Integrity, Selective};

    use super::{InvalidLevels, Level, client_config, server_config};

    fn levels(text: &str) -> Vec<Level> {
        let levels = text.split(',').map(str::parse);
        levels.collect::<Result<_, _>>().expect("levels")
    }

    #[test]
    fn client_proposes_the_first_level_and_accepts_all() {
        let config = client_config(&levels("2,1,3"), true).expect("levels");
        assert_eq!(config.proposed(), Some(Confidentiality));
        assert!([Integrity, Confidentiality, Selective].map(|level| config.accepts(level)) == [true; 3]);
        assert!(config.nec());

        let config = client_config(&levels("0,3"), false).expect("levels");
        assert_eq!(config.proposed(), None);
        assert!(
            [Integrity, Confidentiality, Selective].map(|level| config.accepts(level))
                == [false, false, true]
        );
        assert_eq!(
            client_config(&levels("1,0"), false),
            Err(InvalidLevels::ClearNotProposed)
        );
    }

    #[test]
    fn server_allows_the_levels_listed() {
        let config = server_config(&levels("3,1"), true);
        assert!(
            [Integrity, Confidentiality, Selective].map(|level| config.allows(level)) == [true, false, true]
        );
        assert_eq!((config.clear(), config.nec()), (false, true));
        assert!(server_config(&levels("0"), false).clear());
    }

    #[test]
    fn level_other_than_0_to_3_is_invalid() {
        for text in ["4", "256", "-1", ""] {
            assert_eq!(text.parse::<Level>(), Err(InvalidLevels::Unknown), "{text:?}");
        }
    }
}
