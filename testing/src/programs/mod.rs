//! Programs under test, and their peers, which a test controls byte by byte: clients, proxies and targets.
//!
//! Everything is on loopback, on ports that the system chooses.

pub mod client;
pub mod process;
pub mod raw;
pub mod server;
pub mod target;

/// Defines tests from scenarios, which are functions of the name of the driver under test.
#[macro_export]
macro_rules! tests {
    ($driver:ident, ignore = $needs:literal, $($scenario:ident),+ $(,)?) => {
        mod $driver {
            $(#[test] #[ignore = $needs] fn $scenario() { super::$scenario(stringify!($driver)); })+
        }
    };
    ($driver:ident, $($scenario:ident),+ $(,)?) => {
        mod $driver {
            $(#[test] fn $scenario() { super::$scenario(stringify!($driver)); })+
        }
    };
}
