//! The inputs of the one target that the crate's own tests cannot run, which depend on no other SOCKS crate.

#[path = "../src/differential.rs"]
mod differential;

#[test]
fn differential_target() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/differential");
    sans_socks_fuzz::replay(seeds.as_ref(), differential::differential);
}
