//! Points in time, which the caller passes in.

use core::time::Duration;

/// A point in time, on any clock that does not run backwards.
///
/// The crate reads no clock. It is implemented for [`core::time::Duration`], the time since whatever moment
/// the caller counts from, and with `std` for `std::time::Instant`; a program with a clock of its own can
/// implement it for that.
///
/// ```
/// use core::time::Duration;
/// use sans_socks::Instant;
///
/// fn deadline<I: Instant>(now: I) -> I {
///     now.saturating_add(Duration::from_secs(5))
/// }
///
/// assert_eq!(deadline(Duration::from_millis(1)), Duration::from_millis(5001));
/// # #[cfg(feature = "std")]
/// assert!(deadline(std::time::Instant::now()) > std::time::Instant::now());
/// ```
pub trait Instant: Copy + Ord {
    /// The point in time that is `duration` later, or where the clock cannot express that, the latest it can.
    #[must_use]
    fn saturating_add(self, duration: Duration) -> Self;
}

impl Instant for Duration {
    #[inline]
    fn saturating_add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

/// A sum that cannot be expressed becomes one that can, some centuries from now: the type names no latest
/// value.
#[cfg(feature = "std")]
impl Instant for std::time::Instant {
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
