//! The types that a program meets: their values, sizes and derived inputs.

#[cfg(feature = "arbitrary")]
mod arbitrary;
mod sizes;
mod values;
