//! Messages and their bytes: vectors, values that come back, and every input there is.

// The decoders do not depend on features: once is enough.
#[cfg(feature = "std")]
mod exhaustive;
mod roundtrip;
mod vectors;
