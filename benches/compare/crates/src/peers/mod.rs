//! A module for each row.

use crate::job::Job;
use crate::peer::Row;

mod async_socks5;
mod fast_socks5;
mod floor;
mod hyper_util;
mod rama_socks5;
mod sans_socks;
mod shadowsocks;
mod socker;
mod socks5_impl;
mod socks5_proto;
mod socks5rs;
mod tokio_socks;
mod tor_socksproto;

/// The rows of the table, except the one in protosocks/.
pub const ROWS: &[Row] = &[
    Row::of::<floor::Floor>(),
    Row::of::<sans_socks::SansSocks>(),
    Row::of::<socker::Socker>(),
    Row::of::<tor_socksproto::Step>(),
    Row::of::<tor_socksproto::Deprecated>(),
    Row::of::<socks5rs::Socks5Rs>(),
    Row::of::<socks5_impl::Socks5Impl>(),
    Row::of::<socks5_impl::Socks5ImplAsync>(),
    Row::of::<socks5_proto::Socks5Proto>(),
    Row::of::<shadowsocks::Shadowsocks>(),
    Row::of::<rama_socks5::RamaSocks5>(),
    Row::of::<fast_socks5::FastSocks5>(),
    Row::of::<tokio_socks::TokioSocks>(),
    Row::of::<async_socks5::AsyncSocks5>(),
    Row::of::<hyper_util::HyperUtil>(),
];

const DATAGRAMS: &[Job] = &[Job::J4, Job::J5, Job::J6, Job::J6p];
const NO_DATAGRAMS: (&[Job], &str) = (DATAGRAMS, "it has no UDP");
const CLIENT_ONLY: (&[Job], &str) = (
    &[Job::J1, Job::J2, Job::J3, Job::J7, Job::J8, Job::J10, Job::J11],
    "it is a client whose messages are private",
);
