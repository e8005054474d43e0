//! A piece of a tensor from outside, as the programs of one size bind it.

use std::sync::Arc;

/// A piece of a tensor from outside: where it is, and its bytes at one of the sizes. The buffer is as large as the largest
/// size wants it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) buffer: Arc<wgpu::Buffer>,
    pub(super) bytes: u64,
}
