//! The public types: their values, sizes and generated inputs.

#[cfg(feature = "arbitrary")]
mod arbitrary;
mod sizes;
mod values;
