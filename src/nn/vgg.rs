//! VGG-19 as one table: its sixteen convolutions, in the order in which they run.
//!
//! Source: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
//! (arXiv 1409.1556), configuration E without the fully connected layers. Every convolution is 3×3, stride 1,
//! zero padding 1, then bias and ReLU.

/// One 3×3 convolution of the network, from (input_channels, H, W) to (output_channels, H, W).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// The layer's name, `conv<block>_<number>`; as a tap it means the tensor after ReLU.
    pub name: &'static str,
    /// Channels that it reads.
    pub input_channels: u32,
    /// Channels that it writes.
    pub output_channels: u32,
    /// The block, 1 to 5. A pool stands between a block and the next.
    pub block: u32,
}

const fn convolution(
    name: &'static str,
    input_channels: u32,
    output_channels: u32,
    block: u32,
) -> Convolution {
    Convolution { name, input_channels, output_channels, block }
}

/// The convolutions in the order in which they run.
pub const VGG19: [Convolution; 16] = [
    convolution("conv1_1", 3, 64, 1),
    convolution("conv1_2", 64, 64, 1),
    convolution("conv2_1", 64, 128, 2),
    convolution("conv2_2", 128, 128, 2),
    convolution("conv3_1", 128, 256, 3),
    convolution("conv3_2", 256, 256, 3),
    convolution("conv3_3", 256, 256, 3),
    convolution("conv3_4", 256, 256, 3),
    convolution("conv4_1", 256, 512, 4),
    convolution("conv4_2", 512, 512, 4),
    convolution("conv4_3", 512, 512, 4),
    convolution("conv4_4", 512, 512, 4),
    convolution("conv5_1", 512, 512, 5),
    convolution("conv5_2", 512, 512, 5),
    convolution("conv5_3", 512, 512, 5),
    convolution("conv5_4", 512, 512, 5),
];

/// How many names [`nearest_names`] offers.
const SUGGESTIONS: usize = 4;

/// The place in [`VGG19`] of the layer called exactly `name`.
pub fn index_of(name: &str) -> Option<usize> {
    VGG19.iter().position(|layer| layer.name == name)
}

/// The layers that somebody who wrote `name` may have meant, the likeliest first; never empty.
///
/// Other programs call the same layers `relu4_2`, `block4_conv2` or `conv4-2`: two digits that are a layer's
/// own come before any likeness of spelling.
pub fn nearest_names(name: &str) -> Vec<&'static str> {
    let asked = name.trim().to_lowercase();
    let asked_digits = digits(&asked);
    let mut ranked: Vec<(bool, usize, &'static str)> = VGG19
        .iter()
        .map(|layer| {
            let same_digits = digits(layer.name) == asked_digits;
            (!same_digits, strsim::damerau_levenshtein(&asked, layer.name), layer.name)
        })
        .collect();
    // A stable sort on purpose: equally near names stay in the network's order.
    ranked.sort_by_key(|&(other_digits, distance, _)| (other_digits, distance));
    ranked.into_iter().take(SUGGESTIONS).map(|(_, _, name)| name).collect()
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_table_is_the_network_of_the_paper() {
        for pair in VGG19.windows(2) {
            assert_eq!(pair[0].output_channels, pair[1].input_channels, "{}", pair[1].name);
        }
        let per_block: Vec<usize> =
            (1..=5).map(|block| VGG19.iter().filter(|layer| layer.block == block).count()).collect();
        assert_eq!(per_block, [2, 2, 4, 4, 4]);
        for (block, channels) in [(1, 64), (2, 128), (3, 256), (4, 512), (5, 512)] {
            for (place, layer) in VGG19.iter().filter(|layer| layer.block == block).enumerate() {
                assert_eq!(layer.output_channels, channels);
                assert_eq!(layer.name, format!("conv{block}_{}", place + 1));
            }
        }
        let weights: u64 =
            VGG19.iter().map(|layer| 9 * u64::from(layer.input_channels * layer.output_channels)).sum();
        // Configuration E has 143.67 million parameters; these are its convolutions without their biases.
        assert_eq!(weights, 20_018_880);
    }

    #[test]
    fn names_are_found_exactly() {
        assert_eq!(index_of("conv1_1"), Some(0));
        assert_eq!(index_of("conv5_4"), Some(15));
        assert_eq!(index_of("CONV1_1"), None);
        assert_eq!(index_of(""), None);
        for (place, layer) in VGG19.iter().enumerate() {
            assert_eq!(index_of(layer.name), Some(place));
        }
    }

    #[test]
    fn other_spellings_find_the_layer() {
        for asked in ["conv42", "relu4_2", "block4_conv2", "Conv4-2", " conv4_2 ", "cnov4_2"] {
            assert_eq!(nearest_names(asked)[0], "conv4_2", "{asked}");
        }
        assert_eq!(nearest_names("conv5_5").len(), 4);
        assert!(nearest_names("conv5_5").contains(&"conv5_4"), "{:?}", nearest_names("conv5_5"));
        assert_eq!(nearest_names("").len(), 4);
        assert_eq!(nearest_names("pictures of cats").len(), 4);
    }
}
