//! Where a request leads to, on blocking sockets.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Instant;

use sans_socks::Address;

use crate::common::{DIAL_TIMEOUT, lookup_name, share, unresolved};

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

/// Who may connect to a BIND; where the request leaves it open, anybody.
pub(crate) fn expected(peer: Address<'_>) -> io::Result<Option<Vec<IpAddr>>> {
    if peer.canonical().host.is_unspecified() {
        return Ok(None);
    }
    let addresses = resolve(peer)?;
    let ips = addresses.iter().map(|address| address.ip().to_canonical());
    Ok(Some(ips.collect()))
}

pub(crate) fn resolve(address: Address<'_>) -> io::Result<Vec<SocketAddr>> {
    match lookup_name(address)?.to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) => Err(unresolved()),
    }
}
