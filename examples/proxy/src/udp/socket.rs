//! UDP sockets, and many datagrams with one system call.
//!
//! On Linux, `recvmmsg` receives up to [`BATCH`] datagrams at once, and `sendmmsg` sends as many. A run of datagrams of one
//! size to one address is sent as a single large one, which the kernel cuts (segmentation offload). On other systems, each
//! datagram takes a system call.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use sans_socks::udp::MAX_HEADER_LEN;
use socket2::SockRef;
use tokio::net::UdpSocket;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod batch;
#[cfg(any(target_os = "linux", target_os = "android"))]
use batch as system;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod single;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use single as system;

/// Datagrams that are received at once.
pub(super) const BATCH: usize = 32;

/// A header and the largest value of UDP's length field.
const SLOT_LEN: usize = MAX_HEADER_LEN + 65_535;

/// The receive buffer of each socket. Only waiting datagrams use memory.
///
/// The usual default of 208 KiB holds about 90 datagrams of 1200 bytes, with the system's overhead for each.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A UDP socket.
#[derive(Debug)]
pub(super) struct Socket {
    io: UdpSocket,
    is_ipv6: bool,
    /// Whether segmentation offload has not failed yet.
    offload: AtomicBool,
}

/// A received datagram, after room for a header.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    /// [`MAX_HEADER_LEN`] bytes, then the datagram.
    pub(super) bytes: &'a mut [u8],
    pub(super) len: usize,
    pub(super) source: SocketAddr,
}

impl Slot<'_> {
    pub(super) fn datagram(&self) -> &[u8] {
        self.bytes
            .get(MAX_HEADER_LEN..MAX_HEADER_LEN + self.len)
            .unwrap_or_default()
    }
}

/// A part of a slot, and where to send it.
#[derive(Clone, Debug)]
pub(super) struct Send {
    pub(super) slot: usize,
    pub(super) range: Range<usize>,
    pub(super) target: SocketAddr,
}

impl Send {
    pub(super) fn bytes<'a>(&self, slots: &'a [Slot<'_>]) -> &'a [u8] {
        slots
            .get(self.slot)
            .and_then(|slot| slot.bytes.get(self.range.clone()))
            .unwrap_or_default()
    }
}

thread_local! {
    /// The bytes of all slots. All associations of a thread share them, so an idle association holds none. They are one
    /// allocation, whose pages use memory only after they are first written to.
    static BYTES: RefCell<Vec<u8>> = RefCell::new(vec![0; BATCH * SLOT_LEN]);
}

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        system::set_receive_buffer(&SockRef::from(&socket), RECEIVE_BUFFER);
        Ok(Self {
            io: UdpSocket::from_std(socket)?,
            is_ipv6: address.is_ipv6(),
            offload: AtomicBool::new(true),
        })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// Returns whether there may be a datagram, or wakes the task when there is.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_recv_ready(cx).map(drop)
    }

    /// Passes up to [`BATCH`] waiting datagrams to `handle`.
    ///
    /// Errors are ignored. They are ICMP messages about earlier datagrams, which do not end an association.
    pub(super) fn receive(&self, handle: impl FnOnce(&mut [Slot<'_>])) {
        BYTES.with_borrow_mut(|bytes| {
            let slot = |bytes| Slot {
                bytes,
                len: 0,
                source: (Ipv4Addr::UNSPECIFIED, 0).into(),
            };
            let mut slots: Vec<_> = bytes.chunks_exact_mut(SLOT_LEN).map(slot).collect();
            let count = system::receive(self, &mut slots);
            if let Some(received @ [_, ..]) = slots.get_mut(..count) {
                handle(received);
            }
        });
    }

    /// Sends as many datagrams as the system accepts at once. Returns how many. The rest must wait.
    ///
    /// A datagram that cannot be sent is dropped. Clients can cause that with a broadcast address, or a size that the network
    /// does not carry.
    pub(super) fn send(&self, slots: &[Slot<'_>], sends: &[Send]) -> usize {
        system::send(self, slots, sends)
    }

    /// Sends one datagram, and waits for it.
    pub(super) async fn send_later(&self, datagram: &[u8], target: SocketAddr) {
        let _ = self.io.send_to(datagram, target).await;
    }

    /// Sends one datagram, if the system accepts it at once.
    pub(super) fn send_now(&self, datagram: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.io.try_send_to(datagram, target)
    }

    fn may_offload(&self) -> bool {
        self.offload.load(Ordering::Relaxed)
    }

    fn disable_offload(&self) {
        self.offload.store(false, Ordering::Relaxed);
    }
}
