//! Runs a target over its committed inputs, without a fuzzer.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// Runs `target` over every file in `seeds`. Panics with the names of the files that fail, or if there is no file.
pub fn replay(seeds: &Path, target: fn(&[u8])) {
    let files = fs::read_dir(seeds).unwrap_or_else(|error| panic!("{}: {error}", seeds.display()));
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}: empty", seeds.display());
    let failed: Vec<_> = files
        .iter()
        .filter(|file| {
            let input = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            catch_unwind(|| target(&input)).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Returns the committed inputs of a target, decoded.
#[cfg(all(test, feature = "arbitrary"))]
pub(crate) fn seeds<T: arbitrary::Arbitrary<'static>>(target: &str) -> Vec<T> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../seeds")
        .join(target);
    let files = fs::read_dir(directory).expect("the seeds");
    let inputs = files.map(|file| fs::read(file.expect("a file").path()).expect("a file"));
    inputs.map(|input| crate::decoded(input.leak())).collect()
}
