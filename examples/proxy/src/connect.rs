//! CONNECT: from a requested address to a connection.
//!
//! The addresses of a name are tried in parallel, as in RFC 8305 ("Happy Eyeballs"). The two IP versions take turns. A new
//! attempt starts every 250 ms, or as soon as one has failed. If [`MAX_ATTEMPTS`] are pending, it replaces the oldest. The
//! first that succeeds wins.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use sans_socks::{Address, Error, ReplyCode, Target};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::limits::Client;
use crate::own_sockets::{Dialed, is_local};
use crate::server::Shared;
use crate::socket;

/// How long a request may take, including the look-up and all addresses.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Connection Attempt Delay of RFC 8305 section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The most attempts at a time. A name may have many silent addresses, and each attempt holds a descriptor.
const MAX_ATTEMPTS: usize = 6;

/// A connection to a target.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) stream: TcpStream,
    /// Makes the connection known as the proxy's own.
    pub(crate) dialed: Dialed,
}

/// Connects to the first address that answers and that the rules permit.
///
/// The error is the most informative one of all attempts.
pub(crate) async fn connect(shared: &Shared, client: Client, address: Address<'_>) -> io::Result<Outgoing> {
    let deadline = Instant::now() + DIAL_TIMEOUT;
    let resolved = timeout_at(deadline, resolve(shared, client, address)).await??;
    let mut failure = Failure(unresolved());
    let mut permitted = Vec::with_capacity(resolved.len());
    for address in resolved {
        if !shared.config.rules.permits(address.ip()) || is_own_listener(shared, address) {
            failure.add(not_allowed());
        } else if !permitted.contains(&address) {
            permitted.push(address);
        }
    }
    if let [only] = permitted[..] {
        // The usual case needs no race.
        match timeout_at(deadline, attempt(shared, only)).await {
            Ok(Ok(outgoing)) => return Ok(outgoing),
            Ok(Err(error)) => failure.add(error),
            Err(late) => failure.add(late.into()),
        }
        return Err(failure.0);
    }
    race(shared, deadline, alternate(permitted), failure).await
}

/// Returns the addresses of a host, in canonical form.
pub(crate) async fn resolve(
    shared: &Shared,
    client: Client,
    address: Address<'_>,
) -> io::Result<Vec<SocketAddr>> {
    match address.to_target() {
        Ok(Target::Socket(address)) => Ok(vec![address]),
        Ok(Target::Name(name, port)) => {
            let addresses = shared.resolver.resolve(client, name, port).await;
            let addresses = addresses.map_err(|_| unresolved())?;
            Ok(addresses.into_iter().map(canonical).collect())
        }
        Err(_) => Err(unresolved()),
    }
}

/// An IPv4-mapped address becomes the IPv4 address. A scope stays.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The error of a name without addresses. The system's own error is not portable.
fn unresolved() -> io::Error {
    Error::Refused(ReplyCode::HOST_UNREACHABLE).into()
}

pub(crate) fn not_allowed() -> io::Error {
    Error::Refused(ReplyCode::NOT_ALLOWED).into()
}

/// Returns whether this is the proxy itself, by any of the host's addresses.
fn is_own_listener(shared: &Shared, address: SocketAddr) -> bool {
    let mut listeners = shared.listening.iter();
    listeners.any(|listening| listening.port() == address.port()) && is_local(address)
}

/// RFC 8305 section 4: the IP versions take turns, beginning with the first address's.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == is_ipv6);
    let mut sorted = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None; 2] {
            return sorted;
        }
        sorted.extend(pair.into_iter().flatten());
    }
}

/// Tries the addresses, the next one each time the delay is over or an attempt has failed. Waiting for a silent address
/// would take longer than the deadline, so the next address replaces the oldest if too many are pending.
async fn race(
    shared: &Shared,
    deadline: Instant,
    addresses: Vec<SocketAddr>,
    mut failure: Failure,
) -> io::Result<Outgoing> {
    let mut waiting = addresses.into_iter().peekable();
    let mut attempts = VecDeque::with_capacity(MAX_ATTEMPTS); // dropping it cancels the attempts that have lost
    let mut next = Instant::now();
    loop {
        if next <= Instant::now() {
            if let Some(address) = waiting.next() {
                if attempts.len() == MAX_ATTEMPTS {
                    attempts.pop_front();
                }
                attempts.push_back(Box::pin(attempt(shared, address)));
                next = Instant::now() + ATTEMPT_DELAY;
            }
        }
        if attempts.is_empty() {
            return Err(failure.0);
        }
        let ended = poll_fn(|cx| {
            let ended = attempts.iter_mut().map(|attempt| attempt.as_mut().poll(cx));
            match ended.enumerate().find(|(_, ended)| ended.is_ready()) {
                Some((index, ended)) => {
                    attempts.remove(index);
                    ended
                }
                None => Poll::Pending,
            }
        });
        tokio::select! {
            biased;
            ended = ended => match ended {
                Ok(outgoing) => return Ok(outgoing),
                Err(error) => {
                    failure.add(error);
                    next = Instant::now();
                }
            },
            () = sleep_until(next), if waiting.peek().is_some() => {}
            () = sleep_until(deadline) => {
                failure.add(io::ErrorKind::TimedOut.into());
                return Err(failure.0);
            }
        }
    }
}

/// Connects to one address.
async fn attempt(shared: &Shared, address: SocketAddr) -> io::Result<Outgoing> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket::set_options(&socket)?;
    if let Some(ip) = shared.config.bind_address(address.ip()) {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    let stream = socket.connect(address).await?;
    let dialed = shared.own.dialed(&stream, address)?;
    Ok(Outgoing { stream, dialed })
}

/// The most informative error so far.
struct Failure(io::Error);

impl Failure {
    /// Keeps the more informative error. A refusal by the host itself is more informative than an unreachable network,
    /// whichever was first.
    fn add(&mut self, error: io::Error) {
        if rank(&error) > rank(&self.0) {
            self.0 = error;
        }
    }
}

fn rank(error: &io::Error) -> u8 {
    match ReplyCode::from(error) {
        ReplyCode::CONNECTION_REFUSED => 6,
        ReplyCode::TTL_EXPIRED => 5,
        ReplyCode::HOST_UNREACHABLE if error.raw_os_error().is_some() => 4,
        ReplyCode::NETWORK_UNREACHABLE => 3,
        ReplyCode::NOT_ALLOWED => 2,
        ReplyCode::HOST_UNREACHABLE => 0, // the name has no address; any other error shows that it has one
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_alternate_between_ip_versions() {
        let parse = |text: &[&str]| {
            text.iter()
                .map(|it| it.parse().unwrap())
                .collect::<Vec<SocketAddr>>()
        };
        assert_eq!(
            alternate(parse(&[
                "[::1]:1",
                "[::2]:1",
                "[::3]:1",
                "1.0.0.1:1",
                "1.0.0.2:1"
            ])),
            parse(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"])
        );
        assert_eq!(
            alternate(parse(&["1.0.0.1:1", "[::1]:1"])),
            parse(&["1.0.0.1:1", "[::1]:1"])
        );
        assert_eq!(alternate(Vec::new()), []);
    }

    #[test]
    fn refusal_is_the_most_telling_error_in_any_order() {
        let errors = || {
            [
                io::ErrorKind::ConnectionRefused,
                io::ErrorKind::TimedOut,
                io::ErrorKind::NetworkUnreachable,
                io::ErrorKind::Other,
            ]
            .map(io::Error::from)
        };
        for rotation in 0..4 {
            let mut order = errors();
            order.rotate_left(rotation);
            let mut failure = Failure(unresolved());
            order.into_iter().for_each(|error| failure.add(error));
            assert_eq!(ReplyCode::from(failure.0), ReplyCode::CONNECTION_REFUSED);
        }
        let mut failure = Failure(unresolved());
        failure.add(not_allowed());
        assert_eq!(ReplyCode::from(failure.0), ReplyCode::NOT_ALLOWED);
    }
}
