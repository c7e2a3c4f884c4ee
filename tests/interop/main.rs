//! The drivers of `examples/` against programs that share no code with this crate.
//!
//! `curl`, `danted`, `microsocks`, `node_socks` and `pysocks` need programs that a machine may not have, so they are
//! ignored by default. The rest runs with every `cargo test`. `.ci/run` installs the programs and runs all tests. By hand:
//!
//! ```sh
//! cargo build --examples && cargo test --test interop -- --include-ignored
//! ```
//!
//! Everything is on loopback, on ports that the system chooses.

/// Makes tests of scenarios: functions that take the name of the driver under test.
macro_rules! tests {
    ($driver:ident, $($scenario:ident),+ $(,)?) => {
        mod $driver {
            $(#[test] fn $scenario() { super::$scenario(stringify!($driver)); })+
        }
    };
    ($driver:ident, ignore = $needs:literal, $($scenario:ident),+ $(,)?) => {
        mod $driver {
            $(#[test] #[ignore = $needs] fn $scenario() { super::$scenario(stringify!($driver)); })+
        }
    };
}

mod client;
mod process;
mod raw;
mod server;
mod target;

mod bind;
mod chain;
mod delivery;
mod fake_proxy;
mod no_alloc;
mod refusal;
#[cfg(target_os = "linux")] // where 127.0.0.2 is an address, and prlimit a program
mod udp;
#[cfg(target_os = "linux")]
mod vanish;
mod verbatim;

mod curl;
mod danted;
mod microsocks;
mod node_socks;
mod pysocks;
