//! Checks that the cost of a peer's input grows in proportion to its length.

use std::hint::black_box;

use sans_socks_operations::Bench;

/// Each size is twice the previous one.
pub(crate) const SIZES: [u8; 3] = [30, 60, 120];

/// The job that [`in_proportion`] must refuse.
pub(crate) const CONTROL: &str = "control";

/// Returns whether the second doubling of the size has added at most twice the cost of the first, and 5 %. Constant cost
/// does not matter. Cost that grows with the square would add four times as much.
pub(crate) fn in_proportion([small, middle, large]: [u64; 3]) -> bool {
    let (first, second) = (middle.saturating_sub(small), large.saturating_sub(middle));
    second * 20 <= first * 2 * 21
}

/// A control with quadratic cost: for every byte, all bytes before it are read again.
pub(crate) fn control(bench: &mut impl Bench, size: u8) {
    let bytes = vec![0x5a; usize::from(size)];
    bench.job(
        CONTROL,
        Vec::with_capacity(bytes.len()),
        |buffer| {
            buffer.clear();
            for byte in black_box(&bytes) {
                buffer.push(*byte);
                for byte in &*buffer {
                    black_box(byte);
                }
            }
        },
        |(), buffer| assert_eq!(*buffer, bytes),
    );
}

#[cfg(test)]
mod tests {
    use super::in_proportion;

    #[test]
    fn growth_in_proportion_is_accepted_and_more_is_not() {
        assert!(in_proportion([130, 160, 220]));
        assert!(in_proportion([130, 160, 223]));
        assert!(!in_proportion([130, 160, 224]));
        assert!(in_proportion([100, 100, 100]));
        assert!(!in_proportion([100, 100, 101]));
        let squares = [30, 60, 120].map(|size| 1000 + 100 * size + size * size);
        assert!(!in_proportion(squares), "{squares:?}");
    }
}
