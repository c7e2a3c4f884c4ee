//! Linux: many datagrams with one system call.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage, recvmmsg,
    sendmmsg, sendmsg, setsockopt,
};
use sans_socks::udp::MAX_HEADER_LEN;
use socket2::SockRef;
use tokio::io::Interest;

use super::{BATCH, Send, Slot, Socket};

/// Datagrams larger than this are not sent as segments: they may not fit into one packet, and segments are not
/// fragmented.
const MAX_SEGMENT: usize = 1452;

/// The kernel's limits for one send with segments.
const MAX_SEGMENTS: usize = 64;
const MAX_SEGMENTS_LEN: usize = 65_000;

thread_local! {
    static HEADERS: RefCell<Headers> = RefCell::new(Headers {
        // The kernel reduces the address length of a header that was used for IPv4, so each IP version has its own headers.
        receive_v4: MultiHeaders::preallocate(BATCH, None),
        receive_v6: MultiHeaders::preallocate(BATCH, None),
        send: MultiHeaders::preallocate(BATCH, None),
    });
}

struct Headers {
    receive_v4: MultiHeaders<SockaddrIn>,
    receive_v6: MultiHeaders<SockaddrIn6>,
    send: MultiHeaders<SockaddrStorage>,
}

/// A privileged program may exceed the system's limit. Otherwise the buffer may stay smaller than `size`.
pub(super) fn set_receive_buffer(socket: &SockRef<'_>, size: usize) {
    if setsockopt(&**socket, RcvBufForce, &size).is_err() {
        let _ = socket.set_recv_buffer_size(size);
    }
}

/// Returns how many datagrams are in the first slots.
pub(super) fn receive(socket: &Socket, slots: &mut [Slot<'_>]) -> usize {
    let mut count = 0;
    // The error "would block" clears the readiness. If some slots stay empty, no more datagrams are waiting, and the next
    // call would return this error. Returning it here saves that call.
    let _ = socket.io.try_io(Interest::READABLE, || {
        count = HEADERS.with_borrow_mut(|headers| {
            let fd = socket.io.as_raw_fd();
            if socket.is_ipv6 {
                receive_from(fd, &mut headers.receive_v6, slots)
            } else {
                receive_from(fd, &mut headers.receive_v4, slots)
            }
        })?;
        if count < slots.len() {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
    count
}

fn receive_from<S>(fd: i32, headers: &mut MultiHeaders<S>, slots: &mut [Slot<'_>]) -> io::Result<usize>
where
    S: Copy + SockaddrLike + Into<SocketAddr>,
{
    let mut received = [(0, None); BATCH];
    let mut count = 0;
    {
        let mut buffers: Vec<_> = slots
            .iter_mut()
            .map(|slot| {
                [IoSliceMut::new(
                    slot.bytes.get_mut(MAX_HEADER_LEN..).unwrap_or_default(),
                )]
            })
            .collect();
        let messages = recvmmsg(fd, headers, buffers.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        for (message, received) in messages.zip(&mut received) {
            *received = (message.bytes, message.address.map(Into::into));
            count += 1;
        }
    }
    for (slot, (len, source)) in slots.iter_mut().zip(received).take(count) {
        slot.len = len;
        // A datagram without a source cannot be assigned to a client.
        slot.source = source.unwrap_or(SocketAddr::from(([0; 4], 0)));
    }
    Ok(count)
}

/// Returns how many were sent or dropped before the system could take no more.
pub(super) fn send(socket: &Socket, slots: &[Slot<'_>], sends: &[Send]) -> usize {
    let mut done = 0;
    while let Some(rest @ [first, ..]) = sends.get(done..) {
        let run = if socket.may_offload() { run_length(rest) } else { 1 };
        let result = if run > 1 {
            let run = rest.get(..run).unwrap_or_default();
            send_segments(socket, slots, run, first.range.len())
        } else {
            send_batch(socket, slots, rest)
        };
        match result {
            Ok(sent) => done += sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // The whole run is sent again, one by one.
            Err(error) if run > 1 && is_without_offload(&error) => socket.disable_offload(),
            Err(_) => done += 1,
        }
    }
    done
}

/// Returns whether segments cannot be sent: the kernel is old, the device computes no checksums, or the network carries
/// only smaller datagrams. Other errors are an ICMP message, or concern one target.
fn is_without_offload(error: &io::Error) -> bool {
    use Errno::{EINVAL, EIO, EMSGSIZE, ENOPROTOOPT, EOPNOTSUPP};

    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(EINVAL | EIO | EMSGSIZE | ENOPROTOOPT | EOPNOTSUPP))
}

/// Returns how many datagrams at the beginning form a run: to one address, and of one size, except for a shorter last one.
fn run_length(sends: &[Send]) -> usize {
    let Some(first) = sends.first() else { return 0 };
    let size = first.range.len();
    if !(1..=MAX_SEGMENT).contains(&size) {
        return 1;
    }
    let limit = MAX_SEGMENTS.min(MAX_SEGMENTS_LEN / size);
    let same = |next: &&Send| next.target == first.target && next.range.len() == size;
    let run = sends.iter().take(limit).take_while(same).count();
    match sends.get(run) {
        Some(last) if run < limit && last.target == first.target && (1..size).contains(&last.range.len()) => {
            run + 1
        }
        _ => run,
    }
}

/// Sends a run as one datagram, which the kernel cuts.
fn send_segments(socket: &Socket, slots: &[Slot<'_>], run: &[Send], size: usize) -> io::Result<usize> {
    let Some(first) = run.first() else { return Ok(0) };
    let buffers: Vec<_> = run.iter().map(|send| IoSlice::new(send.bytes(slots))).collect();
    let size = u16::try_from(size).map_err(io::Error::other)?;
    let address = SockaddrStorage::from(first.target);
    socket.io.try_io(Interest::WRITABLE, || {
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let fd = socket.io.as_raw_fd();
        sendmsg(fd, &buffers, &control, MsgFlags::MSG_DONTWAIT, Some(&address))?;
        Ok(())
    })?;
    Ok(run.len())
}

/// Sends different datagrams with one call, up to the next run.
fn send_batch(socket: &Socket, slots: &[Slot<'_>], sends: &[Send]) -> io::Result<usize> {
    let mut count = 1;
    while count < BATCH.min(sends.len()) {
        let rest = sends.get(count..).unwrap_or_default();
        if socket.may_offload() && run_length(rest) > 1 {
            break;
        }
        count += 1;
    }
    let sends = sends.get(..count).unwrap_or_default();
    let buffers: Vec<_> = sends
        .iter()
        .map(|send| [IoSlice::new(send.bytes(slots))])
        .collect();
    let addresses: Vec<_> = sends
        .iter()
        .map(|send| Some(SockaddrStorage::from(send.target)))
        .collect();
    HEADERS.with_borrow_mut(|headers| {
        socket.io.try_io(Interest::WRITABLE, || {
            let fd = socket.io.as_raw_fd();
            let sent = sendmmsg(
                fd,
                &mut headers.send,
                &buffers,
                &addresses,
                [],
                MsgFlags::MSG_DONTWAIT,
            )?;
            Ok(sent.count())
        })
    })
}
