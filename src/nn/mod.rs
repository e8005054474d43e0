//! The network: the table of VGG-19's convolutions, the reading of its weights, and its recording on a tape.

mod features;
pub mod vgg;
pub mod weights;

pub use features::{bias_name, record_vgg19, weight_name};
pub use vgg::{VGG19, index_of, nearest_names};
pub use weights::Weights;
