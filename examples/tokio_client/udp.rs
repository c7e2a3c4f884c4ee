//! UDP ASSOCIATE: lines out as datagrams, answers in as lines.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use sans_socks::Address;
use sans_socks::udp::{Datagram, Outcome, Reassembler, fragments};
use tokio::io::{AsyncBufReadExt, BufReader, copy, sink, stdin};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::sleep_until;

/// How long to wait for a further answer once stdin has ended.
const QUIET: Duration = Duration::from_secs(1);

/// Sends each line to `target` through the relay at `bound`, and prints what comes back.
pub(crate) async fn converse(
    mut control: TcpStream,
    bound: Address<'_>,
    target: Address<'_>,
    fragment: Option<NonZeroUsize>,
) -> Result<(), Box<dyn Error>> {
    // The relay knows its client by the address that the control connection comes from.
    let socket = UdpSocket::bind((control.local_addr()?.ip(), 0)).await?;
    let relay = locate(bound.or_host(control.peer_addr()?.ip()), socket.local_addr()?).await?;
    let max_payload = fragment.unwrap_or(NonZeroUsize::MAX);
    // It forgets a sequence that is late when the next datagram comes, so it needs no timer here.
    let mut reassembler = Reassembler::<Instant, Vec<u8>>::new();
    let mut lines = BufReader::new(stdin());
    let mut line = Vec::new();
    let mut answer = vec![0; 65_535];
    let mut nothing = sink();
    let ended = copy(&mut control, &mut nothing);
    tokio::pin!(ended);
    let mut quiet = None;
    loop {
        tokio::select! {
            // What has come counts first, however late this gets to look.
            biased;
            received = socket.recv_from(&mut answer) => {
                let (len, source) = received?;
                if source != relay {
                    continue;
                }
                let Ok(datagram) = Datagram::decode(&answer[..len]) else {
                    continue;
                };
                if let Outcome::Deliver(whole) = reassembler.handle_datagram(Instant::now(), datagram) {
                    print(whole.payload)?;
                    quiet = quiet.map(|_| Instant::now() + QUIET);
                }
            }
            _ = &mut ended => return Err("the proxy has ended the association".into()),
            read = lines.read_until(b'\n', &mut line), if quiet.is_none() => {
                read?;
                // Without a line end it is the last, and if there is nothing else, none at all.
                let is_last = !line.ends_with(b"\n");
                if !line.is_empty() {
                    let payload = line.strip_suffix(b"\n").unwrap_or(&line);
                    for piece in fragments(target, payload, max_payload)? {
                        let mut octets = vec![0; piece.encoded_len()];
                        piece.encode_into(&mut octets)?;
                        socket.send_to(&octets, relay).await?;
                    }
                }
                line.clear();
                quiet = is_last.then(|| Instant::now() + QUIET);
            }
            () = sleep_until(quiet.unwrap_or_else(Instant::now).into()), if quiet.is_some() => return Ok(()),
        }
    }
}

/// The relay's address, of the family that `local` is of.
async fn locate(bound: Address<'_>, local: SocketAddr) -> Result<SocketAddr, Box<dyn Error>> {
    if bound.port == 0 {
        return Err("the proxy does not say which port it relays on".into());
    }
    let found = lookup_host(bound.to_string())
        .await?
        .find(|relay| relay.is_ipv4() == local.is_ipv4());
    found.ok_or_else(|| format!("there is no way from {local} to the relay at {bound}").into())
}

/// A line on stdout, at once.
fn print(answer: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(answer)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
