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
//! sockets towards the targets, one for each address family. A datagram is received, judged and sent on in the same
//! buffer: towards the client, the header is written into the headroom before the payload.
//!
//! Nothing that is received over UDP may end the relay, so errors of `send_to` are ignored. Anyone can cause one: a
//! stranger by an answer that has no room for the header, the client by port 0, by a broadcast address, or by a target
//! of a family that the host does not have.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use core::time::Duration;
//! use sans_socks::udp::{Association, Header, MAX_HEADER_LEN, Outcome, Reassembler};
//! use sans_socks::Address;
//! use std::io;
//! use std::net::{SocketAddr, UdpSocket};
//!
//! struct Relay {
//!     inner: UdpSocket,
//!     outer_v4: UdpSocket,
//!     outer_v6: UdpSocket,
//!     association: Association,
//!     reassembler: Reassembler<Duration, [u8; 4096]>,
//!     buf: [u8; MAX_HEADER_LEN + 65507],
//! }
//!
//! impl Relay {
//!     /// The inner socket is readable.
//!     fn relay_out(&mut self, now: Duration) {
//!         let Ok((len, source)) = self.inner.recv_from(&mut self.buf) else {
//!             return; // for instance an ICMP error: not the end
//!         };
//!         let Ok(datagram) = self.association.accept(source, &self.buf[..len]) else {
//!             return; // count it; send nothing
//!         };
//!         if let Outcome::Deliver(datagram) = self.reassembler.handle_datagram(now, datagram) {
//!             let _ = match target(datagram.header.address) {
//!                 Some(target @ SocketAddr::V4(_)) => self.outer_v4.send_to(datagram.payload, target),
//!                 Some(target @ SocketAddr::V6(_)) => self.outer_v6.send_to(datagram.payload, target),
//!                 None => return,
//!             };
//!         }
//!     }
//!
//!     /// An outer socket is readable. Answers from any source are relayed, also from hosts that were never asked.
//!     fn relay_in(inner: &UdpSocket, outer: &UdpSocket, association: &Association, buf: &mut [u8]) {
//!         let Ok((len, source)) = outer.recv_from(&mut buf[MAX_HEADER_LEN..]) else {
//!             return;
//!         };
//!         let Some(client) = association.client() else {
//!             return;
//!         };
//!         // A dual-stack socket reports IPv4 sources as ::ffff:a.b.c.d, which the client did not ask for.
//!         let header = Header::standalone(Address::from(source).canonical());
//!         if let Ok(start) = header.prepend(buf, MAX_HEADER_LEN) {
//!             let _ = inner.send_to(&buf[start..MAX_HEADER_LEN + len], client); // may be too large with the header
//!         }
//!     }
//! }
//!
//! /// Resolves names, and applies the access list to the canonical address. It must refuse the inner sockets of this
//! /// server: a datagram that the relay sends to its own host seems to come from there.
//! fn target(address: Address<'_>) -> Option<SocketAddr> {
//!     address.canonical().to_socket_addr()
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
//! #     buf: [0; MAX_HEADER_LEN + 65507],
//! # };
//! # let to = Address::from(server.local_addr()?);
//! # let mut buf = [0; 2000];
//! # for piece in sans_socks::udp::fragments(to, &[7; 1000], 300.try_into().unwrap()).unwrap() {
//! #     let len = piece.encode_into(&mut buf).unwrap();
//! #     client.send_to(&buf[..len], relay.inner.local_addr()?)?;
//! #     relay.relay_out(Duration::ZERO);
//! # }
//! # let (len, source) = server.recv_from(&mut buf)?;
//! # assert_eq!((&buf[..len], source), (&[7; 1000][..], relay.outer_v4.local_addr()?));
//! # server.send_to(b"answer", source)?;
//! # Relay::relay_in(&relay.inner, &relay.outer_v4, &relay.association, &mut relay.buf);
//! # let len = client.recv(&mut buf)?;
//! # let answer = sans_socks::udp::Datagram::decode(&buf[..len]).unwrap();
//! # assert_eq!((answer.header, answer.payload), (Header::standalone(to), &b"answer"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! The association ends with the control connection. Discard what that receives.
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
