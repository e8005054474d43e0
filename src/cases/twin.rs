//! What an op makes of its inputs, by its CPU twin in f64, and what twins are written with.

use crate::ops::{Epilogue, Shape};
use crate::reference;

/// What an op makes of its inputs.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The main output.
    pub output: Vec<f64>,
    /// Where its words hold several numbers each, these before they were rounded.
    pub exact: Option<Vec<f64>>,
    /// The side outputs.
    pub sides: Vec<Vec<f64>>,
    /// New values of the inputs that it overwrites.
    pub updated: Vec<(usize, Vec<f64>)>,
}

impl Twin {
    /// Of an op that makes `output` and nothing else.
    pub(super) fn new(output: Vec<f64>) -> Self {
        Self { output, exact: None, sides: Vec::new(), updated: Vec::new() }
    }

    /// The same, and where `mask` is set the ReLU's mask of the output, which has this shape.
    pub(super) fn with_mask(mut self, mask: bool, shape: Shape) -> Self {
        if mask {
            let words = reference::relu_mask(&self.output, size(shape));
            self.sides.push(words.into_iter().map(f64::from).collect());
        }
        self
    }

    /// Of an op that makes bytes, from the numbers before they are rounded.
    pub(super) fn bytes(exact: Vec<f64>) -> Self {
        Self { exact: Some(exact.clone()), ..Self::new(as_words(&rounded(&exact))) }
    }
}

/// A shape as the twins in [`reference`] take it.
pub(super) fn size(shape: Shape) -> (usize, usize, usize) {
    (shape.c as usize, shape.rows() as usize, shape.w as usize)
}

/// Height and width of a shape.
pub(super) fn plane(shape: Shape) -> (usize, usize) {
    (shape.h as usize, shape.w as usize)
}

/// Numbers as the words that they are.
pub(super) fn words(numbers: &[f64]) -> Vec<u32> {
    numbers.iter().map(|word| *word as u32).collect()
}

/// The bytes of words, each as a number, the lowest first.
pub(super) fn bytes(numbers: &[f64]) -> Vec<u8> {
    words(numbers).into_iter().flat_map(u32::to_le_bytes).collect()
}

/// The other way.
pub(super) fn as_words(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|word| f64::from(u32::from_le_bytes(*word))).collect()
}

/// Numbers in 0..255 to the nearest bytes.
pub(super) fn rounded(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().map(|number| number.round() as u8).collect()
}

/// The merged end of a backward op that makes dx of `shape`; `others` are the inputs after its own.
pub(super) fn finish(mut dx: Vec<f64>, epilogue: Epilogue, others: &[&[f64]], shape: Shape) -> Twin {
    let mut others = others.iter();
    if epilogue.accumulate {
        dx = reference::accumulate(&dx, others.next().expect("the gradient to add to"));
    }
    if epilogue.gate {
        let mask = words(others.next().expect("the mask of the ReLU"));
        dx = reference::relu_backward(&dx, &mask, size(shape));
    }
    Twin::new(dx)
}
