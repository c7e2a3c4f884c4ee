//! UDP ASSOCIATE's datagrams, [RFC 1928 §7]: for the relay and for the client.
//!
//! | | |
//! |---|---|
//! | [`Datagram`], [`Header`], [`Frag`] | the datagrams between client and relay |
//! | [`Association`] | the relay's side: accepts the datagrams of the host that holds the control connection |
//! | [`AssociationTable`] | many associations on one socket |
//! | [`ClientAssociation`] | the client's side: where to send, what to accept |
//! | [`Reassembler`] | fragments in, complete datagrams out |
//! | [`fragments`] | a payload in, fragments out; for a peer that is known to reassemble |
//!
//! The RFC makes fragments optional, and most relays drop them. So does [`Association`] by default.
//!
//! # A relay
//!
//! Each association has an inner socket for the client's datagrams, whose address is BND.ADDR and BND.PORT, and outer
//! sockets towards the targets, one for each address family. A datagram is received, checked and sent on in the same
//! buffer: towards the client, the header is written into the headroom before the payload.
//!
//! - **Errors.** Nothing that is received over UDP may end the relay, so errors of `send_to` and `recv_from` are ignored.
//!   Anyone can cause them: a stranger by an answer that is too large with a header, the client by port 0, by a broadcast
//!   address, or by a target of a family that the host does not have.
//! - **Own sockets.** A datagram that the relay sends to its own host has that host's address. To an inner socket it would
//!   be a first datagram of a local client, and a stranger would own the association. Bind inner sockets to one
//!   address, and refuse them and unspecified addresses as targets.
//! - **Answers.** The relay below forwards datagrams from every source, as the RFC does not restrict it. To forward
//!   answers alone, keep a bounded set of the targets of each association.
//! - **Memory.** One buffer serves all relays of a thread. A reassembler holds at most the smaller of its storage and its
//!   limit for each association. Names that are being resolved should own no copies of payloads without a limit.
//! - **Control connection.** Discard what it receives. The association ends with it.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use core::time::Duration;
//! use sans_socks::udp::{Association, Header, MAX_HEADER_LEN, Outcome, Reassembler};
//! use sans_socks::Address;
//! use std::collections::HashSet;
//! use std::net::{SocketAddr, UdpSocket};
//!
//! struct Relay {
//!     inner: UdpSocket,
//!     outer_v4: UdpSocket,
//!     outer_v6: UdpSocket,
//!     association: Association,
//!     reassembler: Reassembler<Duration, [u8; 4096]>,
//! }
//!
//! /// What the relays of a thread share.
//! struct Shared {
//!     buf: [u8; MAX_HEADER_LEN + 65507],
//!     inner_sockets: HashSet<SocketAddr>,
//! }
//!
//! impl Relay {
//!     /// The inner socket is readable.
//!     fn relay_out(&mut self, now: Duration, shared: &mut Shared) {
//!         let Ok((len, source)) = self.inner.recv_from(&mut shared.buf) else {
//!             return; // for instance an ICMP error: not the end
//!         };
//!         let Ok(datagram) = self.association.accept(source, &shared.buf[..len]) else {
//!             return; // count it; send nothing
//!         };
//!         if let Outcome::Deliver(datagram) = self.reassembler.handle_datagram(now, datagram) {
//!             let _ = match target(datagram.header.address, &shared.inner_sockets) {
//!                 Some(target @ SocketAddr::V4(_)) => self.outer_v4.send_to(datagram.payload, target),
//!                 Some(target @ SocketAddr::V6(_)) => self.outer_v6.send_to(datagram.payload, target),
//!                 None => return,
//!             };
//!         }
//!     }
//!
//!     /// One of the outer sockets is readable.
//!     fn relay_in(&self, outer: &UdpSocket, shared: &mut Shared) {
//!         let Ok((len, source)) = outer.recv_from(&mut shared.buf[MAX_HEADER_LEN..]) else {
//!             return;
//!         };
//!         let Some(client) = self.association.client() else {
//!             return;
//!         };
//!         // A dual-stack socket reports IPv4 sources as ::ffff:a.b.c.d, which the client did not ask for.
//!         let header = Header::standalone(Address::from(source).canonical());
//!         if let Ok(start) = header.prepend(&mut shared.buf, MAX_HEADER_LEN) {
//!             let datagram = &shared.buf[start..MAX_HEADER_LEN + len];
//!             let _ = self.inner.send_to(datagram, client); // fails if it is larger than UDP allows
//!         }
//!     }
//! }
//!
//! /// Resolve names and apply an access list here, to the canonical address of what is sent to.
//! fn target(address: Address<'_>, inner_sockets: &HashSet<SocketAddr>) -> Option<SocketAddr> {
//!     let target = address.canonical().to_socket_addr()?;
//!     let own = target.ip().is_unspecified() || inner_sockets.contains(&target);
//!     (!own).then_some(target)
//! }
//! #
//! # let socket = |ip: &str| UdpSocket::bind((ip, 0));
//! # let (client, server) = (socket("127.0.0.1")?, socket("127.0.0.1")?);
//! # let mut relay = Relay {
//! #     inner: socket("127.0.0.1")?,
//! #     outer_v4: socket("127.0.0.1")?,
//! #     outer_v6: socket("127.0.0.1")?, // not used here
//! #     association: Association::new(client.local_addr()?, &Address::UNSPECIFIED).with_fragments(true),
//! #     reassembler: Reassembler::with_storage([0; 4096]),
//! # };
//! # let inner = relay.inner.local_addr()?;
//! # let mut shared = Shared { buf: [0; MAX_HEADER_LEN + 65507], inner_sockets: HashSet::from([inner]) };
//! # let to = Address::from(server.local_addr()?);
//! # let mut buf = [0; 2000];
//! # for piece in sans_socks::udp::fragments(to, &[7; 1000], 300.try_into().unwrap()).unwrap() {
//! #     let len = piece.encode_into(&mut buf).unwrap();
//! #     client.send_to(&buf[..len], inner)?;
//! #     relay.relay_out(Duration::ZERO, &mut shared);
//! # }
//! # let (len, source) = server.recv_from(&mut buf)?;
//! # assert_eq!((&buf[..len], source), (&[7; 1000][..], relay.outer_v4.local_addr()?));
//! # server.send_to(b"answer", source)?;
//! # relay.relay_in(&relay.outer_v4, &mut shared);
//! # let len = client.recv(&mut buf)?;
//! # let answer = sans_socks::udp::Datagram::decode(&buf[..len]).unwrap();
//! # assert_eq!((answer.header, answer.payload), (Header::standalone(to), &b"answer"[..]));
//! #
//! # // What would end a relay that returns errors, and what would reach an inner socket.
//! # relay.inner.set_nonblocking(true)?;
//! # relay.relay_out(Duration::ZERO, &mut shared);
//! # for to in ["127.0.0.1:0", "255.255.255.255:9", "[::1]:9"] {
//! #     let to = Header::standalone(Address::try_from(to).unwrap());
//! #     let len = sans_socks::udp::Datagram::new(to, b"x").encode_into(&mut buf).unwrap();
//! #     client.send_to(&buf[..len], inner)?;
//! #     relay.relay_out(Duration::ZERO, &mut shared);
//! # }
//! # server.send_to(&[0; 65507], source)?;
//! # relay.relay_in(&relay.outer_v4, &mut shared);
//! # for own in ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::"] {
//! #     let own = Address::try_from((own, inner.port())).unwrap();
//! #     assert_eq!(target(own, &shared.inner_sockets), None);
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7

mod association;
mod client;
mod discard;
mod fragment;
mod header;
mod reassembly;
#[cfg(feature = "alloc")]
mod table;

pub use association::Association;
pub use client::ClientAssociation;
pub use discard::Discard;
pub use fragment::{TooManyFragments, fragments};
pub use header::{Datagram, Frag, Header, MAX_HEADER_LEN, max_payload};
pub use reassembly::{MIN_REASSEMBLY_TIMEOUT, Outcome, Reassembler, Storage};
#[cfg(feature = "alloc")]
pub use table::{AssociationTable, TableError};
