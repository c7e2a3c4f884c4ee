//! Programs under test, and the peers that a test plays: clients, proxies and targets that speak byte by byte.
//!
//! Everything is on loopback, on ports that the system chooses.

pub mod client;
pub mod process;
pub mod raw;
pub mod server;
pub mod target;

/// Makes tests of scenarios: functions that take the name of the driver under test.
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
