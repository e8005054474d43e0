//! What a network expects of a pixel: as a file says it, or as it follows from its numbers.

use std::collections::HashMap;
use std::fmt;

use super::fault::Fault;
use crate::tensors::shortened;

type Result<T> = std::result::Result<T, Fault>;

/// The order of conv1_1's input channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as Caffe has them.
    Bgr,
}

impl ChannelOrder {
    /// Every order with its name.
    pub const ALL: [(&'static str, Self); 2] = [("RGB", Self::Rgb), ("BGR", Self::Bgr)];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rgb => "RGB",
            Self::Bgr => "BGR",
        }
    }
}

/// What becomes of a pixel before the network sees it: (scale·pixel/255 − mean)/std.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// The value of white: 255 or 1.
    pub scale: f64,
    /// Subtracted from a pixel, in the units of `scale` and in the order of `channel_order`.
    pub mean: [f64; 3],
    /// What the difference is divided by, likewise.
    pub std: [f64; 3],
    /// The order of the channels.
    pub channel_order: ChannelOrder,
}

impl Preprocessing {
    /// torchvision's: pixels in 0..1, RGB, with its means and deviations.
    pub const TORCHVISION: Self = Self {
        scale: 1.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        channel_order: ChannelOrder::Rgb,
    };

    /// Caffe's, which the paper's networks were published with: pixels in 0..255, BGR, minus a mean.
    pub const CAFFE: Self = Self {
        scale: 255.0,
        mean: [103.939, 116.779, 123.68],
        std: [1.0; 3],
        channel_order: ChannelOrder::Bgr,
    };

    /// Those that have a name.
    pub const ALL: [(&'static str, Self); 2] = [("torchvision", Self::TORCHVISION), ("caffe", Self::CAFFE)];

    /// Caffe's for a first kernel whose channels are in RGB order.
    pub(super) const CAFFE_RGB: Self =
        Self { mean: [123.68, 116.779, 103.939], channel_order: ChannelOrder::Rgb, ..Self::CAFFE };

    /// Values in the file's order of channels in RGB order, and back.
    pub(super) fn rgb(&self, values: [f64; 3]) -> [f64; 3] {
        match self.channel_order {
            ChannelOrder::Rgb => values,
            ChannelOrder::Bgr => [values[2], values[1], values[0]],
        }
    }
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Self::ALL.iter().find(|(_, known)| known == self) {
            write!(formatter, "{name}: ")?;
        }
        write!(formatter, "pixels in 0..{}, {}", self.scale, self.channel_order.name())?;
        write!(formatter, ", minus {}", listed(self.mean))?;
        if self.std != [1.0; 3] {
            write!(formatter, ", divided by {}", listed(self.std))?;
        }
        Ok(())
    }
}

/// Three numbers with commas, as the metadata has them.
pub(super) fn listed(values: [f64; 3]) -> String {
    values.map(|value| value.to_string()).join(",")
}

/// The metadata of a file.
pub(super) struct MetadataKeys<'header>(pub(super) &'header HashMap<String, String>);

impl MetadataKeys<'_> {
    /// What the file says of pixels. Without any of these keys `None` where the names of the tensors are another
    /// program's (`foreign`); other files have to say it.
    pub(super) fn preprocessing(&self, foreign: bool) -> Result<Option<Preprocessing>> {
        let known = self.optional("preprocessing", &Preprocessing::ALL)?;
        let keys = ["scale", "mean", "std", "channel_order"];
        let is_silent = !keys.iter().any(|key| self.0.contains_key(*key));
        let layout = self.optional("layout", &[("out,in,ky,kx", ())])?;
        if is_silent && (foreign || known.is_some()) {
            return Ok(known);
        }
        if !foreign && layout.is_none() {
            return Err(missing("layout", "out,in,ky,kx"));
        }
        let scale = self.one_of("scale", &[("0..255", 255.0), ("0..1", 1.0)])?;
        let channel_order = self.one_of("channel_order", &ChannelOrder::ALL)?;
        let mean = self
            .three_numbers("mean", &format!("three numbers from 0 to {scale}"), |value| {
                (0.0..=scale).contains(&value)
            })?
            .ok_or_else(|| missing("mean", "three numbers in the units of `scale`"))?;
        let std = self
            .three_numbers("std", "three numbers above 0", |value| value > 0.0 && value.is_finite())?
            .unwrap_or([1.0; 3]);
        Ok(Some(Preprocessing { scale, mean, std, channel_order }))
    }

    fn one_of<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T> {
        self.optional(key, choices)?.ok_or_else(|| missing(key, &spellings(choices)))
    }

    /// `None` without the key.
    pub(super) fn optional<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        // Spaces after commas and the letters' case carry no meaning here.
        let bare: String = value.chars().filter(|character| !character.is_whitespace()).collect();
        match choices.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(&bare)) {
            Some(&(_, choice)) => Ok(Some(choice)),
            None => Err(wrong(key, spellings(choices), value)),
        }
    }

    /// Three numbers written `a,b,c`, `a b c` or `[a, b, c]`; `None` without the key.
    fn three_numbers(
        &self,
        key: &str,
        expected: &str,
        allowed: impl Fn(f64) -> bool,
    ) -> Result<Option<[f64; 3]>> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let bare = value.trim();
        let bare = bare.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(bare);
        // A comma with an empty neighbour is a missing number, not a longer gap.
        let words: Vec<&str> = if bare.contains(',') {
            bare.split(',').map(str::trim).collect()
        } else {
            bare.split_whitespace().collect()
        };
        let numbers: Option<Vec<f64>> =
            words.iter().map(|word| word.parse().ok().filter(|&number| allowed(number))).collect();
        match numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok()) {
            Some(numbers) => Ok(Some(numbers)),
            None => Err(wrong(key, expected, value)),
        }
    }
}

fn missing(key: &str, expected: &str) -> Fault {
    let remedy = "save the file again with this key in its metadata";
    Fault::new(&format!("metadata `{key}`"), expected, "no such key", remedy)
}

fn wrong(key: &str, expected: impl Into<String>, found: &str) -> Fault {
    let remedy = "save the file again with a value that is read here";
    Fault::new(&format!("metadata `{key}`"), expected, format!("`{}`", shortened(found)), remedy)
}

fn spellings<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(spelling, _)| *spelling).collect::<Vec<_>>().join(" or ")
}

/// The first biases of conv1_1 in the networks of the paper, VGG-19 and VGG-16, as they were published. No other training
/// comes upon them, and no order of channels or scale of pixels changes them.
const PAPERS_BIASES: [[f32; 8]; 2] = [
    [
        0.730_177_6,
        0.064_936_29,
        0.034_288_47,
        0.826_038_6,
        0.257_802_9,
        0.548_676_55,
        -0.012_438_543,
        0.347_899_44,
    ],
    [
        0.734_298_35,
        0.093_403_675,
        0.067_756_74,
        0.886_296_6,
        0.259_945_42,
        0.664_266_94,
        -0.015_828_926,
        0.324_906_5,
    ],
];
/// What f16 leaves of a bias.
const BIAS_TOLERANCE: f32 = 2e-3;
/// The mean magnitude of a first kernel's numbers from which on it is made for pixels in 0..1 that are divided by their
/// deviation: in units of levels it would answer a picture with thousands. The paper's own has 0.16, and torchvision's
/// are alike.
const LARGE: f32 = 2.0;
/// The same below which it is made for 0..255: it would hardly answer a picture whose pixels are divided by their
/// deviation.
const SMALL: f32 = 0.02;

/// What the numbers of conv1_1 say of pixels, where its file does not: `kernel` is (64, 3, 3, 3), row-major. With the words
/// for how it is known. `is_caffes_list`: the names of later layers are those of a network that was taken over from Caffe.
pub(super) fn assumed(kernel: &[f32], bias: &[f32], is_caffes_list: bool) -> (Preprocessing, &'static str) {
    let sum: f32 = kernel.iter().map(|weight| weight.abs()).sum();
    let magnitude = sum / kernel.len().max(1) as f32;
    if magnitude >= LARGE {
        return (Preprocessing::TORCHVISION, "assumed from the large numbers of conv1_1");
    }
    let is_paper = PAPERS_BIASES.iter().any(|papers| {
        bias.len() >= papers.len()
            && bias.iter().zip(papers).all(|(found, known)| (found - known).abs() <= BIAS_TOLERANCE)
    });
    if is_paper {
        return (papers_order(kernel), "assumed, as conv1_1 is that of the paper's network");
    }
    if magnitude < SMALL {
        return (Preprocessing::CAFFE, "assumed from the small numbers of conv1_1");
    }
    if is_caffes_list {
        return (Preprocessing::CAFFE, "assumed, as the names are those of a network from Caffe");
    }
    (Preprocessing::TORCHVISION, "assumed, as conv1_1 is not that of the paper's network")
}

/// Caffe's, in the order that the paper's kernel has here: its second filter subtracts red from blue.
fn papers_order(kernel: &[f32]) -> Preprocessing {
    let sum = |channel: usize| -> f32 { kernel.iter().skip(27 + 9 * channel).take(9).sum() };
    if sum(0) < sum(2) { Preprocessing::CAFFE_RGB } else { Preprocessing::CAFFE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel whose numbers have this magnitude, and whose second filter subtracts its first channel from its last.
    fn kernel(magnitude: f32) -> Vec<f32> {
        let sign = |place: usize| if (27..36).contains(&place) { -1.0 } else { 1.0 };
        (0..64 * 27).map(|place| magnitude * sign(place)).collect()
    }

    #[test]
    fn the_papers_networks_are_known_by_their_biases() {
        for papers in PAPERS_BIASES {
            let bias: Vec<f32> = (0..64).map(|place| papers.get(place).copied().unwrap_or(0.4)).collect();
            assert_eq!(assumed(&kernel(0.16), &bias, false).0, Preprocessing::CAFFE_RGB);
            let mut turned = kernel(0.16);
            turned[27..54].reverse();
            assert_eq!(assumed(&turned, &bias, false).0, Preprocessing::CAFFE);
            // As f16 keeps them, and for another scale of pixels.
            let halves: Vec<f32> = bias.iter().map(|value| half::f16::from_f32(*value).to_f32()).collect();
            assert_eq!(assumed(&turned, &halves, false).0, Preprocessing::CAFFE);
            assert_eq!(assumed(&kernel(9.0), &bias, false).0, Preprocessing::TORCHVISION);
            let mut other = bias;
            other[5] += 0.01;
            assert_eq!(assumed(&turned, &other, false).0, Preprocessing::TORCHVISION);
        }
    }

    #[test]
    fn other_networks_are_known_by_their_size_and_names() {
        let bias = [0.0; 64];
        for (magnitude, names, expected) in [
            (0.05, false, Preprocessing::TORCHVISION),
            (0.3, false, Preprocessing::TORCHVISION),
            (0.3, true, Preprocessing::CAFFE),
            (0.001, false, Preprocessing::CAFFE),
            (10.0, true, Preprocessing::TORCHVISION),
        ] {
            assert_eq!(assumed(&kernel(magnitude), &bias, names).0, expected, "{magnitude} {names}");
        }
        assert_eq!(assumed(&[], &[], false).0, Preprocessing::CAFFE);
    }
}
