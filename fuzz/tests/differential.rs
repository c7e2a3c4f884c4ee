//! The committed inputs of `differential`, which the crate's own tests cannot run: it depends on another SOCKS crate.

#[path = "../src/differential.rs"]
mod differential;

#[test]
fn differential_target() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/differential");
    sans_socks_fuzz::replay(seeds.as_ref(), |input| {
        sans_socks_fuzz::of_bytes(differential::differential, input);
    });
}
