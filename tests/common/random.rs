//! Reproducible random numbers for test inputs: the same as the cases use.

pub(crate) use impasto::cases::Random;
