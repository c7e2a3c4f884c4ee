//! The caller's time.

use core::time::Duration;

/// A point in time, on any clock that does not run backwards.
///
/// The crate reads no clock. [`core::time::Duration`] implements this trait, as the time since a moment that you choose. With
/// feature `std`, `std::time::Instant` does too. Implement the trait for your own clock.
///
/// ```
/// use core::time::Duration;
/// use sans_socks::Timestamp;
///
/// fn deadline<T: Timestamp>(now: T) -> T {
///     now.saturating_add(Duration::from_secs(5))
/// }
///
/// assert_eq!(deadline(Duration::from_millis(1)), Duration::from_millis(5001));
/// # #[cfg(feature = "std")]
/// assert!(deadline(std::time::Instant::now()) > std::time::Instant::now());
/// ```
pub trait Timestamp: Copy + Ord {
    /// Returns the point in time that is `duration` later, or a very late one if that is beyond the range of the clock.
    #[must_use]
    fn saturating_add(self, duration: Duration) -> Self;
}

impl Timestamp for Duration {
    #[inline]
    fn saturating_add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

/// `std` has no constant for the latest value, so a sum beyond the range becomes a time centuries from now.
#[cfg(feature = "std")]
impl Timestamp for std::time::Instant {
    #[inline]
    fn saturating_add(self, mut duration: Duration) -> Self {
        loop {
            match self.checked_add(duration) {
                Some(sum) => return sum,
                None => duration /= 2,
            }
        }
    }
}
