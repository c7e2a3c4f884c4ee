//! UDP ASSOCIATE's datagrams, [RFC 1928 §7]: for the relay, and for the client.
//!
//! | | |
//! |---|---|
//! | [`Datagram`], [`Header`], [`Frag`] | what each datagram between client and relay looks like |
//! | [`Association`] | which datagrams a relay takes: those of the host that holds the control connection |
//! | [`Reassembler`] | fragments in, whole datagrams out |
//! | [`fragments`] | a payload in, fragments out; for a peer that is known to reassemble |
//!
//! Fragments are optional in the RFC, and most relays drop them. So does [`Association`], unless told not to.
//!
//! # A relay
//!
//! Two sockets for each association: one that the client's datagrams come to, whose address is BND.ADDR and
//! BND.PORT, and one towards the world. A datagram is received, judged and sent on from the same place in the
//! same buffer: towards the client, the header goes into the headroom before it.
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
//!     outer: UdpSocket,
//!     association: Association,
//!     reassembler: Reassembler<Duration, [u8; 4096]>,
//!     buf: [u8; MAX_HEADER_LEN + 65507],
//! }
//!
//! impl Relay {
//!     /// A datagram has come to the inner socket.
//!     fn relay_out(&mut self, now: Duration) -> io::Result<()> {
//!         let (len, source) = self.inner.recv_from(&mut self.buf)?;
//!         let Ok(datagram) = self.association.from_client(source, &self.buf[..len]) else {
//!             return Ok(()); // count it; no answer
//!         };
//!         if let Outcome::Deliver(datagram) = self.reassembler.handle_datagram(now, datagram) {
//!             if let Some(target) = resolve(datagram.header.address) {
//!                 self.outer.send_to(datagram.payload, target)?;
//!             }
//!         }
//!         Ok(())
//!     }
//!
//!     /// A datagram has come to the outer socket.
//!     fn relay_in(&mut self) -> io::Result<()> {
//!         let (len, source) = self.outer.recv_from(&mut self.buf[MAX_HEADER_LEN..])?;
//!         if let Some(client) = self.association.client() {
//!             // A dual-stack socket gives IPv4 sources as ::ffff:a.b.c.d, which the client did not ask for.
//!             let header = Header::standalone(Address::from(source).canonical());
//!             let start = header.prepend(&mut self.buf, MAX_HEADER_LEN).map_err(io::Error::other)?;
//!             self.inner.send_to(&self.buf[start..MAX_HEADER_LEN + len], client)?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! /// Looks names up, and asks the access list.
//! fn resolve(address: Address<'_>) -> Option<SocketAddr> {
//!     address.to_socket_addr()
//! }
//! #
//! # let socket = || UdpSocket::bind("127.0.0.1:0");
//! # let (client, target) = (socket()?, socket()?);
//! # let mut relay = Relay {
//! #     inner: socket()?,
//! #     outer: socket()?,
//! #     association: Association::new([127, 0, 0, 1].into(), &Address::UNSPECIFIED).accept_fragments(),
//! #     reassembler: Reassembler::with_storage([0; 4096]),
//! #     buf: [0; MAX_HEADER_LEN + 65507],
//! # };
//! # let to = Address::from(target.local_addr()?);
//! # let mut buf = [0; 2000];
//! # for piece in sans_socks::udp::fragments(to, &[7; 1000], 300.try_into().unwrap()).unwrap() {
//! #     let len = piece.encode_into(&mut buf).unwrap();
//! #     client.send_to(&buf[..len], relay.inner.local_addr()?)?;
//! #     relay.relay_out(Duration::ZERO)?;
//! # }
//! # let (len, source) = target.recv_from(&mut buf)?;
//! # assert_eq!((&buf[..len], source), (&[7; 1000][..], relay.outer.local_addr()?));
//! # target.send_to(b"answer", source)?;
//! # relay.relay_in()?;
//! # let len = client.recv(&mut buf)?;
//! # let answer = sans_socks::udp::Datagram::decode(&buf[..len]).unwrap();
//! # assert_eq!((answer.header, answer.payload), (Header::standalone(to), &b"answer"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! It ends with the control connection, whose octets are read and thrown away.
//!
//! # A client
//!
//! Sends [`Header::prepend`] or [`Datagram::encode_into`] to BND.ADDR and BND.PORT of the reply
//! ([`Address::or_host`](crate::Address::or_host) where BND.ADDR is `0.0.0.0`), takes datagrams from there
//! alone, and reads them with [`Datagram::decode`]. The address in an answer need not be the one that was
//! asked: a name comes back as the IP address that it stood for.
//!
//! [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7

mod association;
mod fragment;
mod header;
mod reassembly;

pub use crate::error::Discard;
pub use association::Association;
pub use fragment::{TooManyFragments, fragments};
pub use header::{Datagram, Frag, Header, MAX_HEADER_LEN, max_payload};
pub use reassembly::{MIN_REASSEMBLY_TIMEOUT, Outcome, Reassembler, Storage};
