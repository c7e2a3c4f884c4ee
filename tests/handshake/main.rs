//! Both machines over a whole handshake: what they send and report, however their input is split.

#[cfg(feature = "std")]
mod advance;
mod bad_input;
mod no_alloc;
mod pair;
mod recorded;
mod sessions;
mod split;
