//! Networks as data, the reading of their weights, and their recording on a tape.

mod network;
mod vgg;
pub mod weights;

pub use crate::ops::pool::PoolKind;
pub use network::{Convolution, LayerSpec, Network, bias_name, weight_name};
pub use vgg::{vgg16, vgg19};
pub use weights::Weights;
