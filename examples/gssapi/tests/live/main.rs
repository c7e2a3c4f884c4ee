//! RFC 1961 with real Kerberos: these programs with each other, with Dante's, and with an attacker on the path.
//!
//! The tests need programs that a machine may not have, so they are ignored by default. `README.md` lists what to install.
//! If one is missing, the test fails:
//!
//! ```sh
//! cargo test --features kerberos -- --include-ignored
//! ```
//!
//! The realm is a throw-away one. Everything is on loopback, on ports that the system chooses.

mod middle;
mod programs;
mod realm;

mod contexts;
mod dante_client;
mod danted;
mod pair;
mod refusals;
mod tampering;
