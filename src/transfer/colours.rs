//! The colours of what is compared and of what is shown, as [`ColorMode`] has them: nodes on the tapes of the programs that
//! read pictures and of those that write one.

use super::options::ColorMode;
use crate::error::Result;
use crate::graph::{Role, Tape, TensorId};
use crate::ops::Shape;
use crate::ops::centre::Centre;
use crate::ops::colour::{Grey, Replace, Transform, Transport};
use crate::ops::gram::{ChannelMean, Gram};
use crate::ops::histogram::{ApplyLevels, MatchLevels};
use crate::ops::preprocess::{ClampPixels, Preprocess};

/// What is recorded for the pixels belongs to this layer.
pub(super) const PICTURE_LAYER: &str = "picture";
/// What a map of colours adds to every variance, in levels squared: the variance of what rounding to whole levels does. Where a
/// picture has less, along an axis of its colours, there is nothing but rounding.
const RIDGE: f32 = 1.0 / 12.0;

/// Name of the content's picture (1, H, W) as it came, in colour, among the externals of programs that show a painting in its
/// colours, for pixels of the shape (3, H, W). Each size has its own: one is shown until the pixels of the next are there.
pub(super) fn colours_name(Shape { h, w, .. }: Shape) -> String {
    format!("colours.{w}x{h}")
}

impl ColorMode {
    /// Whether a painting is shown in the colours of the content, whatever those of its pixels are.
    pub(super) fn recolours(self) -> bool {
        matches!(self, Self::Keep | Self::Luminance)
    }

    /// Whether the colours of the styles are made those of the content, so that another content is another style.
    pub(super) fn adapts_styles(self) -> bool {
        matches!(self, Self::Match | Self::Luminance | Self::Histogram)
    }

    /// Records the 8-bit picture (1, H, W) that the network is shown in place of this one.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_seen(self, tape: &mut Tape, picture: TensorId) -> Result<TensorId> {
        if self == Self::Luminance { tape.record(Grey, &[picture], PICTURE_LAYER) } else { Ok(picture) }
    }

    /// Records an 8-bit picture (1, H, W) as pixels (3, H, W) minus the network's `mean`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_pixels(
        self,
        tape: &mut Tape,
        picture: TensorId,
        mean: TensorId,
    ) -> Result<TensorId> {
        let seen = self.record_seen(tape, picture)?;
        tape.record(Preprocess, &[seen, mean], PICTURE_LAYER)
    }

    /// The same for the picture of a style, with the colours that it has beside the `content`, which is a picture, too.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_style(
        self,
        tape: &mut Tape,
        style: TensorId,
        content: TensorId,
        mean: TensorId,
    ) -> Result<TensorId> {
        match self {
            Self::Style | Self::Keep => self.record_pixels(tape, style, mean),
            // Where both are grey, the map is one of their luminance alone: the mean and the deviation of one become the other's.
            Self::Match | Self::Luminance => {
                let [style, content] = [style, content].map(|picture| {
                    let pixels = self.record_pixels(tape, picture, mean)?;
                    record_statistics(tape, pixels)
                });
                let (style, content) = (style?, content?);
                let covariances = [style.covariance, content.covariance];
                let map = tape.record(Transport { ridge: RIDGE }, &covariances, PICTURE_LAYER)?;
                let moved = tape.record(Transform, &[style.centred, map, content.mean], PICTURE_LAYER)?;
                tape.record(ClampPixels, &[moved, mean], PICTURE_LAYER)
            }
            Self::Histogram => {
                let levels = tape.record(MatchLevels, &[style, content], PICTURE_LAYER)?;
                tape.record(ApplyLevels, &[style, levels, mean], PICTURE_LAYER)
            }
        }
    }

    /// Records what is shown of pixels (3, H, W) minus the `mean`: where it is to have the content's colours, the luminance of
    /// the pixels with the chroma of the picture of [`colours_name`].
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_shown(self, tape: &mut Tape, pixels: TensorId, mean: TensorId) -> Result<TensorId> {
        if !self.recolours() {
            return Ok(pixels);
        }
        let shape = tape.shape(pixels);
        let colours = tape.external(colours_name(shape), Shape { c: 1, ..shape }, Role::Workspace);
        tape.record(Replace, &[pixels, colours, mean], PICTURE_LAYER)
    }
}

/// The colours of pixels (3, H, W) as a normal distribution.
struct Statistics {
    /// (1, 1, 3).
    mean: TensorId,
    /// The pixels minus the mean (3, H, W).
    centred: TensorId,
    /// (1, 3, 3).
    covariance: TensorId,
}

/// Records the statistics of the colours of pixels (3, H, W).
fn record_statistics(tape: &mut Tape, pixels: TensorId) -> Result<Statistics> {
    let mean = tape.record(ChannelMean, &[pixels], PICTURE_LAYER)?;
    // A difference of products would lose what little a flat picture has.
    let centred = tape.record(Centre, &[pixels, mean], PICTURE_LAYER)?;
    let covariance = tape.record(Gram, &[centred], PICTURE_LAYER)?;
    Ok(Statistics { mean, centred, covariance })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use pollster::block_on;

    use super::*;
    use crate::cases::golden::kept;
    use crate::gpu::Gpu;
    use crate::ops::preprocess::MEAN_SHAPE;
    use crate::picture::Picture;
    use crate::transfer::Engine;

    const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

    fn fixture(bytes: &[u8]) -> Picture {
        Picture::decode(bytes, "a fixture").unwrap()
    }

    fn content() -> Picture {
        fixture(include_bytes!("../../tests/fixtures/content-97x75.png"))
    }

    fn style() -> Picture {
        fixture(include_bytes!("../../tests/fixtures/style-90x64.png"))
    }

    /// The three channels of a style beside a content, in 0..255, by the kernels.
    fn seen(mode: ColorMode, style: &Picture, content: &Picture) -> [Vec<f64>; 3] {
        let engine = Engine::builder(block_on(Gpu::open(None)).unwrap()).build().unwrap();
        let mut tape = Tape::new();
        let [style_id, content_id] = [("style", style), ("content", content)].map(|(name, picture)| {
            tape.external(name, Shape::new(1, picture.height(), picture.width()), Role::Workspace)
        });
        let mean = tape.external("mean", MEAN_SHAPE, Role::Workspace);
        let pixels = mode.record_style(&mut tape, style_id, content_id, mean).unwrap();
        tape.keep(pixels);
        let words = |picture: &Picture| -> Vec<f32> { bytemuck::pod_collect_to_vec(&picture.to_rgba()) };
        let inputs = [("style", &*words(style)), ("content", &*words(content)), ("mean", &MEAN)];
        let pixels = block_on(kept(&engine, &tape, &inputs)).unwrap().remove(0);
        let plane = pixels.len() / 3;
        [0, 1, 2]
            .map(|k| pixels[k * plane..][..plane].iter().map(|value| f64::from(value + MEAN[k])).collect())
    }

    fn channels(picture: &Picture) -> [Vec<f64>; 3] {
        [0, 1, 2].map(|k| picture.rgb().iter().skip(k).step_by(3).map(|byte| f64::from(*byte)).collect())
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn covariance(a: &[f64], b: &[f64]) -> f64 {
        let products: Vec<f64> = a.iter().zip(b).map(|(a, b)| a * b).collect();
        mean(&products) - mean(a) * mean(b)
    }

    fn luminance([red, green, blue]: &[Vec<f64>; 3]) -> Vec<f64> {
        (0..red.len()).map(|i| 0.299 * red[i] + 0.587 * green[i] + 0.114 * blue[i]).collect()
    }

    /// The same colours with less contrast, so that nothing leaves the range when it is made like another.
    fn pale(picture: &Picture) -> Picture {
        let rgb = picture.rgb().iter().map(|byte| 64 + byte / 4).collect();
        Picture::from_rgb(picture.width(), picture.height(), rgb).unwrap()
    }

    #[test]
    fn a_matched_style_has_the_mean_and_the_covariance_of_the_content() {
        let (content, style) = (pale(&content()), style());
        let (wanted, before, found) =
            (channels(&content), channels(&style), seen(ColorMode::Match, &style, &content));
        for i in 0..3 {
            assert!(
                (mean(&found[i]) - mean(&wanted[i])).abs() < 0.05,
                "{} {}",
                mean(&found[i]),
                mean(&wanted[i])
            );
            assert!((mean(&before[i]) - mean(&wanted[i])).abs() > 1.0, "nothing to do");
            for j in 0..3 {
                let [found, wanted] = [&found, &wanted].map(|of| covariance(&of[i], &of[j]));
                println!("{i} {j}: {found} for {wanted}, before {}", covariance(&before[i], &before[j]));
                // The ridge is a twelfth, and a few pixels are cut off.
                assert!((found - wanted).abs() < 0.1 + 1e-3 * wanted.abs(), "{i} {j}: {found} {wanted}");
            }
        }
    }

    /// Whatever is cut off is within the range, a style like the content stays, and one that is flat is one colour.
    #[test]
    fn matched_styles_of_all_kinds_are_pictures() {
        let (content, style) = (content(), style());
        let found = seen(ColorMode::Match, &style, &content);
        assert!(found.iter().flatten().all(|level| (-1e-4..=255.0001).contains(level)));
        let same = seen(ColorMode::Match, &style, &style);
        for (found, wanted) in same.iter().zip(channels(&style)) {
            assert!(found.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 0.01));
        }
        let flat = Picture::from_rgb(5, 4, [90, 30, 200].repeat(20)).unwrap();
        for mode in [ColorMode::Match, ColorMode::Luminance] {
            let found = seen(mode, &flat, &content);
            let levels = channels(&content);
            let wanted =
                if mode == ColorMode::Match { levels } else { [0, 1, 2].map(|_| luminance(&levels)) };
            for (found, wanted) in found.iter().zip(&wanted) {
                assert!(found.iter().all(|found| (found - mean(wanted)).abs() < 0.5), "{mode:?}: {found:?}");
            }
        }
    }

    #[test]
    fn a_grey_style_has_the_mean_and_the_deviation_of_the_contents_luminance() {
        let (content, style) = (pale(&content()), style());
        let found = seen(ColorMode::Luminance, &style, &content);
        let wanted = luminance(&channels(&content));
        let deviation = |of: &[f64]| covariance(of, of).sqrt();
        for channel in &found {
            assert!(channel.iter().zip(&found[0]).all(|(own, red)| (own - red).abs() < 0.05), "it is grey");
            assert!((mean(channel) - mean(&wanted)).abs() < 0.1, "{} {}", mean(channel), mean(&wanted));
            assert!((deviation(channel) - deviation(&wanted)).abs() < 0.1);
        }
        assert!((deviation(&luminance(&channels(&style))) - deviation(&wanted)).abs() > 5.0, "nothing to do");
    }

    /// As far as a level that many pixels have can be told apart no further.
    #[test]
    fn the_histograms_of_a_style_become_those_of_the_content() {
        let (content, style) = (content(), style());
        let found = seen(ColorMode::Histogram, &style, &content);
        let [before, wanted] = [channels(&style), channels(&content)];
        let share = |of: &[f64], level: f64| {
            of.iter().filter(|value| value.round() <= level).count() as f64 / of.len() as f64
        };
        for ((found, before), wanted) in found.iter().zip(&before).zip(&wanted) {
            assert!(found.iter().all(|level| (level - level.round()).abs() < 1e-3), "whole levels");
            let level_share = |level: u32| {
                before.iter().filter(|value| **value == f64::from(level)).count() as f64 / before.len() as f64
            };
            let most = (0..256).map(level_share).fold(0.0, f64::max);
            let furthest = |of: &[f64]| {
                (0..256)
                    .map(f64::from)
                    .map(|level| (share(of, level) - share(wanted, level)).abs())
                    .fold(0.0, f64::max)
            };
            println!("off by {} of {}, before by {}", furthest(found), most / 2.0, furthest(before));
            assert!(furthest(found) <= most / 2.0 + 1e-9);
            assert!(furthest(before) > 2.0 * most, "nothing to do");
            // It rises.
            let pairs = || before.iter().zip(found).take(700);
            assert!(pairs().all(|(a, x)| pairs().all(|(b, y)| a > b || x <= y)));
        }
    }
}
