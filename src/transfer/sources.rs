//! The pictures that a transfer works from: the content, any number of styles with their masks, and the picture to start
//! from. A texture has no content, and a reconstruction of a content no styles.

use std::fmt;

use super::options::{ColorMode, Init, Options};
use super::scales::{Scales, scaled};
use super::source::{Source, SourceLayout};
use crate::error::{Error, OptionName, Result};
use crate::ops::guide::BRIGHTNESS;
use crate::picture::Picture;

/// Which of a transfer's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SourceId {
    /// What is painted.
    Content,
    /// How it is painted: the style of this number, from 0.
    Style(usize),
    /// Where it is painted so: the mask of the style of this number.
    StyleMask(usize),
    /// How strongly it is painted at each place.
    StrengthMap,
    /// What the pixels start from.
    Initial,
}

impl SourceId {
    /// The input that a message about it names.
    pub(super) fn option(self) -> OptionName {
        match self {
            Self::Content => OptionName::Content,
            Self::Style(_) => OptionName::Style,
            Self::StyleMask(_) => OptionName::StyleMask,
            Self::StrengthMap => OptionName::StrengthMap,
            Self::Initial => OptionName::Initial,
        }
    }

    /// All sources of this many styles: each style, then its mask, which it need not have.
    pub(super) fn of_styles(count: usize) -> impl Iterator<Item = Self> {
        (0..count).flat_map(|index| [Self::Style(index), Self::StyleMask(index)])
    }

    /// All that a transfer of this many styles can have, the styles first: they need the most memory while they are
    /// prepared.
    pub(super) fn all(styles: usize) -> impl Iterator<Item = Self> {
        Self::of_styles(styles).chain([Self::StrengthMap, Self::Content, Self::Initial])
    }
}

impl fmt::Display for SourceId {
    /// `content`, `style`, `style2` and so on, `style_mask`, `style_mask2` and so on, `strength_map`, `initial`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content => formatter.write_str("content"),
            Self::Style(0) => formatter.write_str("style"),
            Self::Style(index) => write!(formatter, "style{}", index + 1),
            Self::StyleMask(0) => formatter.write_str("style_mask"),
            Self::StyleMask(index) => write!(formatter, "style_mask{}", index + 1),
            Self::StrengthMap => formatter.write_str("strength_map"),
            Self::Initial => formatter.write_str("initial"),
        }
    }
}

/// A style with its share.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StyleSource {
    /// The picture.
    pub source: Source,
    /// What its costs are multiplied by, beside the weights of the layers and of the style cost.
    pub weight: f32,
    /// Where it is painted so: everywhere for `None`, else where this picture is bright. It is stretched to the size of the
    /// painting; white counts in full, black not at all, and what is transparent is white. Where every style has a mask,
    /// the painting lies over the content as these say together: black leaves the content as it is, and grey lets it show
    /// through. A picture that is black everywhere is refused; of a texture or buffer that is not known.
    pub mask: Option<Source>,
}

/// All pictures of a transfer. A pair of a content and a style is one, too: `(content, style).into()`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sources {
    /// What is painted. The painting has its size, as [`super::Options::size`] fits it. Without one, a texture is made of
    /// the styles alone, and [`super::Options::size`] is its size.
    pub content: Option<Source>,
    /// How it is painted: one at least where there is no content.
    pub styles: Vec<StyleSource>,
    /// How strongly it is painted at each place: [`super::Options::strength`] s counts in full where this picture is white, and
    /// elsewhere its odds s/(1 − s) are multiplied by the brightness, black counting as a tenth. It is stretched to the size of
    /// the painting.
    pub strength_map: Option<Source>,
    /// What the pixels start from with [`super::Init::Picture`], stretched to the size of the painting.
    pub initial: Option<Source>,
}

impl Sources {
    /// A content and a style.
    pub fn new(content: impl Into<Source>, style: impl Into<Source>) -> Self {
        Self { content: Some(content.into()), ..Self::texture(style) }
    }

    /// A style alone, of which a texture is made.
    pub fn texture(style: impl Into<Source>) -> Self {
        let styles = vec![StyleSource { source: style.into(), weight: 1.0, mask: None }];
        Self { content: None, styles, strength_map: None, initial: None }
    }

    /// A content, or none, to which styles are added by [`Sources::with_style`].
    pub fn from_content(content: Option<impl Into<Source>>) -> Self {
        Self { content: content.map(Into::into), styles: Vec::new(), strength_map: None, initial: None }
    }

    /// A content alone, which is made again from what a layer of the network says of it.
    pub fn reconstruction(content: impl Into<Source>) -> Self {
        Self::from_content(Some(content))
    }

    /// With one more style, whose costs are multiplied by `weight`.
    #[must_use]
    pub fn with_style(mut self, style: impl Into<Source>, weight: f32) -> Self {
        self.styles.push(StyleSource { source: style.into(), weight, mask: None });
        self
    }

    /// With a mask for the style that was given last: see [`StyleSource::mask`].
    #[must_use]
    pub fn with_style_mask(mut self, mask: impl Into<Source>) -> Self {
        if let Some(style) = self.styles.last_mut() {
            style.mask = Some(mask.into());
        }
        self
    }

    /// With a mask for all styles that are there: only where it is bright is anything painted. It becomes the mask of each
    /// style that has none, and is multiplied into those of the others, brightness by brightness, at the size of the larger
    /// of both. See [`StyleSource::mask`].
    ///
    /// # Errors
    /// [`Error::Option`] for a mask that is black everywhere, or leaves nothing of a style's; where there is no content;
    /// and where a style has a mask already and one of the two is not in the processor's memory.
    pub fn with_content_mask(mut self, mask: impl Into<Source>) -> Result<Self> {
        let mask = mask.into();
        let refused = |reason: String, remedy: &'static str| {
            Err(Error::Option { option: OptionName::ContentMask, reason, remedy: remedy.into() })
        };
        if self.content.is_none() {
            return refused(
                "there is no content that could be left as it is".into(),
                "give masks to the styles",
            );
        }
        if matches!(&mask, Source::Picture(mask) if is_black(mask)) {
            return refused(
                "it is black everywhere, so that nothing would be painted".into(),
                "make it white where the painting is wanted",
            );
        }
        for (index, style) in self.styles.iter_mut().enumerate() {
            let id = SourceId::StyleMask(index);
            let together = match (style.mask.take(), &mask) {
                (None, mask) => mask.clone(),
                (Some(Source::Picture(own)), Source::Picture(mask)) => Source::Picture(product(&own, mask)?),
                (Some(_), _) => {
                    return refused(
                        format!("there is {id}, too, and they are not both in the processor's memory"),
                        "give pictures, or multiply both on the device, and give the product as the style's mask",
                    );
                }
            };
            if matches!(&together, Source::Picture(together) if is_black(together)) {
                return refused(
                    format!("it leaves nothing of {id}: where one is bright the other is black"),
                    "make it white where the styles are wanted",
                );
            }
            style.mask = Some(together);
        }
        Ok(self)
    }

    /// With a map of the strength: see [`Sources::strength_map`].
    #[must_use]
    pub fn with_strength_map(mut self, map: impl Into<Source>) -> Self {
        self.strength_map = Some(map.into());
        self
    }

    /// With a picture to start from, for [`super::Init::Picture`].
    #[must_use]
    pub fn with_initial(mut self, initial: impl Into<Source>) -> Self {
        self.initial = Some(initial.into());
        self
    }

    /// What a plan must know of them.
    ///
    /// # Errors
    /// [`Error::Picture`] and [`Error::Memory`] for textures and buffers that cannot be read, [`Error::Option`] for a mask
    /// that is black everywhere.
    pub fn layouts(&self) -> Result<SourceLayouts> {
        self.list().try_for_each(|(id, source)| check_source(id, source))?;
        Ok(SourceLayouts {
            content: self.content.as_ref().map(SourceLayout::try_from).transpose()?,
            styles: self.styles.iter().map(StyleLayout::try_from).collect::<Result<_>>()?,
            strength_map: self.strength_map.as_ref().map(SourceLayout::try_from).transpose()?,
            initial: self.initial.as_ref().map(SourceLayout::try_from).transpose()?,
        })
    }

    fn get(&self, id: SourceId) -> Option<&Source> {
        match id {
            SourceId::Content => self.content.as_ref(),
            SourceId::Style(index) => self.styles.get(index).map(|style| &style.source),
            SourceId::StyleMask(index) => self.styles.get(index)?.mask.as_ref(),
            SourceId::StrengthMap => self.strength_map.as_ref(),
            SourceId::Initial => self.initial.as_ref(),
        }
    }

    /// Each with its name, in the order of [`SourceId::all`].
    pub(super) fn list(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        SourceId::all(self.styles.len()).filter_map(|id| Some((id, self.get(id)?)))
    }

    /// The same, each to be dropped when it is done with.
    pub(super) fn into_list(self) -> Vec<(SourceId, Source)> {
        self.list().map(|(id, source)| (id, source.clone())).collect()
    }
}

/// Whether a source can be what `id` says, as far as its pixels are known.
///
/// # Errors
/// [`Error::Option`] for a mask that is black everywhere.
pub(super) fn check_source(id: SourceId, source: &Source) -> Result<()> {
    let (SourceId::StyleMask(_), Source::Picture(mask)) = (id, source) else { return Ok(()) };
    if !is_black(mask) {
        return Ok(());
    }
    Err(Error::Option {
        option: id.option(),
        reason: "it is black everywhere, so that nothing would be painted in the style".into(),
        remedy: "make it white where the style is wanted".into(),
    })
}

fn is_black(picture: &Picture) -> bool {
    picture.rgb().iter().all(|byte| *byte == 0)
}

/// The product of the brightness of two pictures, as a grey picture of the size of the larger one.
fn product(a: &Picture, b: &Picture) -> Result<Picture> {
    let area = |picture: &Picture| u64::from(picture.width()) * u64::from(picture.height());
    let (large, small) = if area(a) < area(b) { (b, a) } else { (a, b) };
    let (width, height) = (large.width(), large.height());
    let small = small.resized(width, height);
    let brightness = |pixel: &[u8; 3]| {
        let parts = BRIGHTNESS.iter().zip(pixel).map(|(weight, byte)| weight * u32::from(*byte)).sum::<u32>();
        f64::from(parts) / 65280.0
    };
    let pixels = large.rgb().as_chunks::<3>().0.iter().zip(small.rgb().as_chunks::<3>().0);
    let grey = pixels.map(|(a, b)| (255.0 * brightness(a) * brightness(b)).round() as u8);
    Picture::from_rgb(width, height, grey.flat_map(|grey| [grey; 3]).collect())
}

impl<C: Into<Source>, S: Into<Source>> From<(C, S)> for Sources {
    fn from((content, style): (C, S)) -> Self {
        Self::new(content, style)
    }
}

/// What a plan must know of a style.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StyleLayout {
    /// Of its picture.
    pub source: SourceLayout,
    /// What its costs are multiplied by: [`StyleSource::weight`].
    pub weight: f32,
    /// Of its mask.
    pub mask: Option<SourceLayout>,
}

impl From<SourceLayout> for StyleLayout {
    /// Of weight 1, without a mask.
    fn from(source: SourceLayout) -> Self {
        Self { source, weight: 1.0, mask: None }
    }
}

impl TryFrom<&StyleSource> for StyleLayout {
    type Error = Error;

    /// # Errors
    /// [`Error::Picture`] and [`Error::Memory`] for a texture or buffer that cannot be read.
    fn try_from(style: &StyleSource) -> Result<Self> {
        let mask = style.mask.as_ref().map(SourceLayout::try_from).transpose()?;
        Ok(Self { source: SourceLayout::try_from(&style.source)?, weight: style.weight, mask })
    }
}

/// What a plan must know of all pictures. A pair of the layouts of a content and a style is one, too.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SourceLayouts {
    /// Of the content, where there is one.
    pub content: Option<SourceLayout>,
    /// Of the styles.
    pub styles: Vec<StyleLayout>,
    /// Of the map of the strength.
    pub strength_map: Option<SourceLayout>,
    /// Of the picture to start from.
    pub initial: Option<SourceLayout>,
}

impl SourceLayouts {
    /// A style alone: see [`Sources::texture`].
    pub fn texture(style: impl Into<SourceLayout>) -> Self {
        Self { content: None, styles: vec![style.into().into()], strength_map: None, initial: None }
    }

    /// A content alone: see [`Sources::reconstruction`].
    pub fn reconstruction(content: impl Into<SourceLayout>) -> Self {
        Self { content: Some(content.into()), styles: Vec::new(), strength_map: None, initial: None }
    }

    /// Width and height of the painting, and of each size on the way to it. The painting has the content's size, fitted;
    /// without a content it is as large as [`Options::size`] says.
    pub fn scales(&self, options: &Options) -> Scales {
        let size = match self.content {
            Some(SourceLayout { size, .. }) => options.fit_content(size),
            None => options.size.sides(),
        };
        options.scales(size)
    }

    /// Width and height at which a source is used while the painting has the size of number `scale`. Content, masks and
    /// the picture to start from have that size. A style has the content's area times [`Options::stroke`] squared, where
    /// that is given; without a content its own, which shrinks as the painting does. Where no stroke is given it is fitted
    /// on its own sides, and shrinks as the painting does. It is never enlarged.
    pub fn fitted(&self, id: SourceId, options: &Options, scale: usize) -> (u32, u32) {
        let scales = self.scales(options);
        let painting = scales.get(scale);
        let (SourceId::Style(_), Some(layout)) = (id, self.get(id)) else { return painting };
        let (width, height) = layout.size;
        let area = |(width, height): (u32, u32)| f64::from(width) * f64::from(height);
        let side_over = |other: (u32, u32)| (area(painting) / area(other)).sqrt();
        let last = scales.get(scales.last());
        let ((width, height), factor) = match options.stroke {
            Some(stroke) => {
                let other = if self.content.is_some() { (width, height) } else { last };
                ((width, height), (f64::from(stroke) * side_over(other)).min(1.0))
            }
            None => (options.size.fit(width, height), side_over(last)),
        };
        (scaled(width, factor), scaled(height, factor))
    }

    /// Whether they are all that `options` need.
    ///
    /// # Errors
    /// [`Error::Option`] for what is missing.
    pub(super) fn validate(&self, options: &Options) -> Result<()> {
        let missing = |option, reason: &str, remedy: &str| {
            Err(Error::Option { option, reason: reason.into(), remedy: remedy.into() })
        };
        if self.content.is_none() && self.styles.is_empty() {
            return missing(OptionName::Style, "there is none", "give one style at least");
        }
        if self.content.is_none() && options.init == Init::Content {
            return missing(OptionName::Init, "there is no content to start from", "start from noise");
        }
        if self.content.is_none() && options.init == Init::Noise && options.noise_ratio() < 1.0 {
            let reason = "there is no content to mix the noise with";
            return missing(OptionName::NoiseRatio, reason, "give 1, or a picture to start from");
        }
        if self.content.is_none() && self.strength_map.is_some() {
            let reason = "there is no content whose strength it could say";
            return missing(OptionName::StrengthMap, reason, "give masks to the styles, or a content");
        }
        if self.content.is_none() && options.color != ColorMode::Style {
            return missing(
                OptionName::Color,
                "there is no content that has colours",
                "leave those of the style",
            );
        }
        if options.init == Init::Picture && self.initial.is_none() {
            return missing(OptionName::Initial, "there is none to start from", "give it among the sources");
        }
        Ok(())
    }

    /// The layout of one source, where there is one.
    pub fn get(&self, id: SourceId) -> Option<&SourceLayout> {
        match id {
            SourceId::Content => self.content.as_ref(),
            SourceId::Style(index) => self.styles.get(index).map(|style| &style.source),
            SourceId::StyleMask(index) => self.styles.get(index)?.mask.as_ref(),
            SourceId::StrengthMap => self.strength_map.as_ref(),
            SourceId::Initial => self.initial.as_ref(),
        }
    }

    pub(super) fn get_mut(&mut self, id: SourceId) -> Option<&mut SourceLayout> {
        match id {
            SourceId::Content => self.content.as_mut(),
            SourceId::Style(index) => self.styles.get_mut(index).map(|style| &mut style.source),
            SourceId::StyleMask(index) => self.styles.get_mut(index)?.mask.as_mut(),
            SourceId::StrengthMap => self.strength_map.as_mut(),
            SourceId::Initial => self.initial.as_mut(),
        }
    }

    /// The weight of a source, where it has one.
    pub(super) fn weight(&self, id: SourceId) -> Option<f32> {
        match id {
            SourceId::Style(index) => self.styles.get(index).map(|style| style.weight),
            SourceId::Content | SourceId::StyleMask(_) | SourceId::StrengthMap | SourceId::Initial => None,
        }
    }

    /// Every source that there is, in the order of [`SourceId::all`].
    pub(super) fn ids(&self) -> impl Iterator<Item = SourceId> {
        SourceId::all(self.styles.len()).filter(|id| self.get(*id).is_some())
    }
}

impl<C: Into<SourceLayout>, S: Into<SourceLayout>> From<(C, S)> for SourceLayouts {
    fn from((content, style): (C, S)) -> Self {
        Self { content: Some(content.into()), ..Self::texture(style) }
    }
}
