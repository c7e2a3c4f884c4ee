//! BIND: who may connect, and how long that may take.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a BIND waits for its peer.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(120);

/// Whether `peer` is one of those `expected`; `None` is anybody.
pub(crate) fn is_expected(peer: SocketAddr, expected: Option<&[IpAddr]>) -> bool {
    expected.is_none_or(|ips| ips.contains(&peer.ip().to_canonical()))
}
