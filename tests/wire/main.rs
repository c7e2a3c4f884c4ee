//! Messages and their bytes: vectors, round trips, and exhaustive inputs.

// The decoders do not depend on features, so one run is enough.
#[cfg(feature = "std")]
mod exhaustive;
mod roundtrip;
mod vectors;
