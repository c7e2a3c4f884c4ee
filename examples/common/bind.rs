//! BIND: who may connect, and how long that may take.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a BIND waits for its peer.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(120);

/// Whether `peer` is one of those that the request names; if it names nobody, anybody is.
pub(crate) fn is_expected(peer: SocketAddr, expected: &[IpAddr]) -> bool {
    expected.is_empty() || expected.contains(&peer.ip().to_canonical())
}
