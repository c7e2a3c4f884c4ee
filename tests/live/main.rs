//! The drivers of `examples/` and the whole proxy against programs that share no code with this crate.
//!
//! Every test is ignored by default, and names the programs that it needs. `.ci/run` installs them and runs all
//! tests. CONTRIBUTING.md has the commands to do so by hand.

mod curl;
mod danted;
mod microsocks;
mod ncat;
mod node_socks;
mod pysocks;
mod ssh;
mod tor;

use sans_socks_testing::programs::{client, process, raw, server, target};
use sans_socks_testing::tests;
