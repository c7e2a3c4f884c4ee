//! Systems without calls for many datagrams.

use std::io;

use sans_socks::udp::MAX_HEADER_LEN;
use socket2::SockRef;

use super::{Send, Slot, Socket};

/// Sets the size of the receive buffer. If that fails, the buffer stays smaller.
pub(super) fn set_receive_buffer(socket: &SockRef<'_>, size: usize) {
    let _ = socket.set_recv_buffer_size(size);
}

/// Returns how many datagrams are in the first slots.
pub(super) fn receive(socket: &Socket, slots: &mut [Slot<'_>]) -> usize {
    let mut count = 0;
    while let Some(slot) = slots.get_mut(count) {
        let buffer = slot.bytes.get_mut(MAX_HEADER_LEN..).unwrap_or_default();
        match socket.io.try_recv_from(buffer) {
            Ok((len, source)) => (slot.len, slot.source) = (len, source),
            Err(_) => break,
        }
        count += 1;
    }
    count
}

/// Returns how many were sent or dropped before the system could take no more.
pub(super) fn send(socket: &Socket, slots: &[Slot<'_>], sends: &[Send]) -> usize {
    let blocked = |send: &Send| {
        let result = socket.send_now(send.bytes(slots), send.target);
        result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    sends.iter().position(blocked).unwrap_or(sends.len())
}
