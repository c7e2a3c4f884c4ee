//! The fuzz targets over their committed inputs, without a fuzzer.
//!
//! Targets of typed values need feature `arbitrary`. `differential` is replayed in `fuzz/`, which depends on another
//! SOCKS crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sans_socks_fuzz_bodies as targets;
use sans_socks_testing::vectors::vectors;

fn fuzz(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(directory)
}

/// `typed` targets take a value that is generated from the input.
macro_rules! replay {
    (@run typed $target:ident) => { |input| targets::of_bytes(targets::$target, input) };
    (@run bytes $target:ident) => { targets::$target };
    ($($(#[$needs:meta])* $kind:ident $target:ident)*) => {
        mod seeds_pass {
            use super::{fuzz, targets};

            $(
                $(#[$needs])*
                #[test]
                fn $target() {
                    targets::replay(&fuzz("seeds").join(stringify!($target)), replay!(@run $kind $target));
                }
            )*
        }

        const REPLAYED: &[&str] = &[$(stringify!($target)),*];
    };
}

replay! {
    bytes decode
    #[cfg(feature = "arbitrary")]
    typed roundtrip
    #[cfg(feature = "arbitrary")]
    typed server_split
    #[cfg(feature = "arbitrary")]
    typed client_split
    #[cfg(feature = "arbitrary")]
    typed pair_ops
    #[cfg(feature = "arbitrary")]
    typed udp_ops
    #[cfg(feature = "arbitrary")]
    typed gssapi_ops
}

/// The seeds of the decoders include all vectors.
#[test]
fn vectors_are_all_inputs_of_decode() {
    for row in vectors() {
        let seed = fs::read(fuzz("seeds/decode").join(row.id)).unwrap_or_default();
        assert_eq!(hex::encode(seed), hex::encode(row.input), "{}", row.id);
    }
}

/// Every target is replayed, even a new one.
#[test]
fn targets_are_all_replayed() {
    let targets = fs::read_dir(fuzz("fuzz_targets")).unwrap();
    let targets: BTreeSet<_> = targets
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_string()
        })
        .collect();
    let replayed = REPLAYED.iter().chain(&["differential"]).map(ToString::to_string);
    assert_eq!(targets, replayed.collect());
}

#[test]
#[should_panic(expected = "seeds/none: ")]
fn replay_without_inputs_fails() {
    targets::replay(&fuzz("seeds/none"), |_| {});
}

#[test]
#[should_panic(expected = "empty")]
fn replay_of_an_empty_directory_fails() {
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no seeds");
    fs::create_dir_all(&empty).unwrap();
    targets::replay(&empty, |_| {});
}

/// A failure names the input.
#[test]
#[should_panic(expected = "V-001")]
fn replay_of_a_failing_target_names_the_input() {
    targets::replay(&fuzz("seeds/decode"), |input| assert_ne!(input, [5, 1, 0]));
}
