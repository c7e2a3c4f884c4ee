//! The target of CONNECT, and the peer of BIND.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use sans_socks::{Address, Error, ReplyCode};

/// The time limit for dialing all addresses of a name.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a BIND waits for its peer.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(120);

/// Connects to the first address of a host that answers.
pub(crate) fn dial(address: Address<'_>) -> io::Result<TcpStream> {
    let deadline = Instant::now() + DIAL_TIMEOUT;
    let addresses = resolve(address)?;
    let mut error = unresolved();
    for (tried, address) in addresses.iter().enumerate() {
        match TcpStream::connect_timeout(address, share(deadline, addresses.len() - tried)) {
            Ok(target) => return Ok(target),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

/// Returns which hosts may connect to a BIND, or `None` if the request allows any.
pub(crate) fn expected(peer: Address<'_>) -> io::Result<Option<Vec<IpAddr>>> {
    if peer.canonical().host.is_unspecified() {
        return Ok(None);
    }
    let addresses = resolve(peer)?;
    let ips = addresses.iter().map(|address| address.ip().to_canonical());
    Ok(Some(ips.collect()))
}

pub(crate) fn is_expected(peer: SocketAddr, expected: Option<&[IpAddr]>) -> bool {
    expected.is_none_or(|ips| ips.contains(&peer.ip().to_canonical()))
}

pub(crate) fn resolve(address: Address<'_>) -> io::Result<Vec<SocketAddr>> {
    match address.to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) => Err(unresolved()),
    }
}

/// Returns the time for one address, when `left` addresses are still to be dialed before `deadline`.
fn share(deadline: Instant, left: usize) -> Duration {
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    let share = deadline.saturating_duration_since(Instant::now()) / left;
    share.max(Duration::from_millis(1))
}

/// The error of a name without an address. The system's own error has no portable kind.
fn unresolved() -> io::Error {
    Error::Refused(ReplyCode::HOST_UNREACHABLE).into()
}
