//! What a file says of its colours, and the way from there to sRGB.
//!
//! A profile that cannot be read, or that belongs to pixels of another kind, is passed over, as libpng, libjpeg's users and
//! browsers do, and a note says so: the pixels are then taken as sRGB.

use std::fmt;
use std::sync::Arc;

use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, ToneReprCurve, TransferCharacteristics, Transform8BitExecutor,
    Transform16BitExecutor, TransformOptions, curve_from_gamma,
};

/// The exponent of sRGB's gAMA chunk, 1/2.2, and how far from it a file may be that means the same.
const SRGB_EXPONENT: f32 = 0.454_55;
const EXPONENT_TOLERANCE: f32 = 0.005;
/// How far the chromaticities of sRGB may be off: what programs round them by.
const CHROMATICITY_TOLERANCE: f32 = 0.003;
/// x and y of white, red, green and blue in sRGB: IEC 61966-2-1, Rec. ITU-R BT.709.
const SRGB_CHROMATICITIES: Chromaticities =
    [(0.3127, 0.3290), (0.6400, 0.3300), (0.3000, 0.6000), (0.1500, 0.0600)];

/// Bytes of the longest profile that is read: those of printers have one or two millions.
const PROFILE_LIMIT: usize = 4 << 20;
/// Bytes of a profile's header.
pub(super) const PROFILE_HEADER: usize = 128;

/// x and y of white, red, green and blue (CIE 1931).
pub(super) type Chromaticities = [(f32, f32); 4];

/// Said of a file whose profile is passed over.
const UNUSABLE_PROFILE: &str = "its colour profile cannot be used: its colours are taken as sRGB";

/// A colour space that is not sRGB.
pub(super) struct ColourSpace {
    profile: ColorProfile,
    /// The profile as the file has it.
    icc: Option<Vec<u8>>,
}

/// The colour space that the file of a picture names, to be that of another picture's file, too.
#[derive(Clone)]
pub struct ColourProfile(Arc<ColourSpace>);

impl fmt::Debug for ColourProfile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ColourProfile({:?})", self.0.profile.color_space)
    }
}

impl ColourProfile {
    pub(super) fn new(space: ColourSpace) -> Self {
        Self(Arc::new(space))
    }

    /// Whether it is of grey, so that a picture which has it is grey.
    pub fn is_grey(&self) -> bool {
        self.0.profile.color_space == DataColorSpace::Gray
    }

    /// What pixels are in it; `None` for inks.
    pub(super) fn kind(&self, alpha: bool) -> Option<PixelKind> {
        match self.0.profile.color_space {
            DataColorSpace::Gray => Some(PixelKind::Grey { alpha }),
            DataColorSpace::Rgb => Some(PixelKind::Rgb { alpha }),
            _ => None,
        }
    }

    /// As the bytes of an ICC profile: those of the file, or ones that say the same.
    pub(super) fn icc(&self) -> Option<Vec<u8>> {
        self.0.icc.clone().or_else(|| self.0.profile.encode().ok())
    }

    /// Whether its pixels are those of sRGB.
    pub(super) fn is_srgb(&self) -> bool {
        !self.is_grey() && self.0.to_srgb_8(PixelKind::Rgb { alpha: false }).is_none()
    }

    /// The way from 8-bit sRGB, with alpha or not; `None` where there is none.
    pub(super) fn out_of_srgb_8(&self, alpha: bool) -> Option<Arc<Transform8BitExecutor>> {
        let (from, to) = self.layouts(alpha)?;
        ColorProfile::new_srgb().create_transform_8bit(from, &self.0.profile, to, exact()).ok()
    }

    /// The same of 16 bits.
    pub(super) fn out_of_srgb_16(&self, alpha: bool) -> Option<Arc<Transform16BitExecutor>> {
        let (from, to) = self.layouts(alpha)?;
        ColorProfile::new_srgb().create_transform_16bit(from, &self.0.profile, to, exact()).ok()
    }

    fn layouts(&self, alpha: bool) -> Option<(Layout, Layout)> {
        let (to, from) = self.0.layouts(self.kind(alpha)?)?;
        Some((from, to))
    }
}

impl ColourSpace {
    /// That of an ICC profile; `None` for one that cannot be read.
    pub(super) fn of_icc(profile: &[u8]) -> Option<Self> {
        let length = profile_length(profile)?;
        let icc = profile.get(..length).unwrap_or(profile).to_vec();
        Some(Self { icc: Some(icc), ..Self::from(ColorProfile::new_from_slice(profile).ok()?) })
    }

    /// This space, where there is one that pixels of this kind can have. Where a file `has_profile` and that is not so, a note
    /// says it.
    pub(super) fn usable(
        space: Option<Self>,
        has_profile: bool,
        kind: PixelKind,
        notes: &mut Vec<String>,
    ) -> Option<Self> {
        let space = space.filter(|space| space.transform_8(kind).is_some());
        if has_profile && space.is_none() {
            notes.push(UNUSABLE_PROFILE.to_owned());
        }
        space
    }

    /// That of code points of ITU-T H.273, for RGB of full range; `None` for those without a meaning here.
    pub(super) fn of_code_points(primaries: u8, transfer: u8) -> Option<Self> {
        let color_primaries = CicpColorPrimaries::try_from(primaries).ok()?;
        let transfer_characteristics = TransferCharacteristics::try_from(transfer).ok()?;
        // Those without a meaning would leave an empty profile.
        ColorPrimaries::try_from(color_primaries).ok()?;
        ToneReprCurve::try_from(transfer_characteristics).ok()?;
        Some(Self::from(ColorProfile::new_from_cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        })))
    }

    /// That of samples that are light to the power of `exponent`, about 0.45, with these colours of its lights, or sRGB's;
    /// `None` where that is what sRGB is usually described by.
    pub(super) fn of_exponent(exponent: f32, lights: Option<Chromaticities>) -> Option<Self> {
        let is_srgb = lights.is_none_or(are_of_srgb);
        let is_usual = is_srgb && (exponent - SRGB_EXPONENT).abs() <= EXPONENT_TOLERANCE;
        // Beyond these a curve means nothing, and the profile's numbers cannot hold it.
        if is_usual || !(0.1..=10.0).contains(&exponent) {
            return None;
        }
        let mut profile = ColorProfile::new_srgb();
        if let Some([white, red, green, blue]) = lights {
            if !span_a_triangle([red, green, blue]) || white.1 <= 0.0 {
                return None;
            }
            let at = |(x, y)| Chromaticity::new(x, y);
            let primaries = ColorPrimaries { red: at(red), green: at(green), blue: at(blue) };
            profile.update_rgb_colorimetry(at(white).to_xyyb(), primaries);
        }
        let curve = curve_from_gamma(1.0 / exponent);
        profile.red_trc = Some(curve.clone());
        profile.green_trc = Some(curve.clone());
        profile.blue_trc = Some(curve);
        profile.cicp = None;
        Some(Self::from(profile))
    }

    /// Adobe RGB (1998), which cameras name in EXIF instead of giving a profile.
    pub(super) fn adobe_rgb() -> Self {
        Self::from(ColorProfile::new_adobe_rgb())
    }

    /// The way to sRGB of 8-bit pixels of this kind; `None` for pixels that the space is not of, and where it would change
    /// nothing.
    pub(super) fn to_srgb_8(&self, kind: PixelKind) -> Option<Arc<Transform8BitExecutor>> {
        self.transform_8(kind).filter(|transform| !changes_nothing(&**transform, kind))
    }

    /// The same, whether it changes something or not.
    fn transform_8(&self, kind: PixelKind) -> Option<Arc<Transform8BitExecutor>> {
        let (from, to) = self.layouts(kind)?;
        self.profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, exact()).ok()
    }

    /// The same of 16 bits.
    pub(super) fn to_srgb_16(&self, kind: PixelKind) -> Option<Arc<Transform16BitExecutor>> {
        self.to_srgb_8(kind)?;
        let (from, to) = self.layouts(kind)?;
        self.profile.create_transform_16bit(from, &ColorProfile::new_srgb(), to, exact()).ok()
    }

    fn layouts(&self, kind: PixelKind) -> Option<(Layout, Layout)> {
        let (space, from, to) = match kind {
            PixelKind::Grey { alpha: false } => (DataColorSpace::Gray, Layout::Gray, Layout::Rgb),
            PixelKind::Grey { alpha: true } => (DataColorSpace::Gray, Layout::GrayAlpha, Layout::Rgba),
            PixelKind::Rgb { alpha: false } => (DataColorSpace::Rgb, Layout::Rgb, Layout::Rgb),
            PixelKind::Rgb { alpha: true } => (DataColorSpace::Rgb, Layout::Rgba, Layout::Rgba),
            // Four samples, whatever they are called.
            PixelKind::Cmyk => (DataColorSpace::Cmyk, Layout::Rgba, Layout::Rgb),
        };
        (self.profile.color_space == space).then_some((from, to))
    }
}

impl From<ColorProfile> for ColourSpace {
    fn from(profile: ColorProfile) -> Self {
        Self { profile, icc: None }
    }
}

/// An ICC profile of sRGB, of some 500 bytes.
pub(super) fn srgb_profile() -> Option<Vec<u8>> {
    ColorProfile::new_srgb().encode().ok()
}

/// Arithmetic in floats: in whole numbers the dark is off by a level more.
fn exact() -> TransformOptions {
    TransformOptions { prefer_fixed_point: false, ..TransformOptions::default() }
}

/// How long a profile is by its header; `None` for what is no profile, and for one that is too long.
pub(super) fn profile_length(profile: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*profile.first_chunk()?) as usize;
    let is_profile = profile.get(36..40) == Some(b"acsp");
    (is_profile && (PROFILE_HEADER..=PROFILE_LIMIT).contains(&length)).then_some(length)
}

/// Whether white and the colours of the lights are those of sRGB.
pub(super) fn are_of_srgb(lights: Chromaticities) -> bool {
    let near = |a: f32, b: f32| (a - b).abs() <= CHROMATICITY_TOLERANCE;
    lights.iter().zip(SRGB_CHROMATICITIES).all(|(&(x, y), (own_x, own_y))| near(x, own_x) && near(y, own_y))
}

/// Whether three colours are light, and others can be mixed of them.
fn span_a_triangle(lights: [(f32, f32); 3]) -> bool {
    let is_light = |(x, y): (f32, f32)| x >= 0.0 && y > 0.0 && x + y <= 1.0;
    let [red, green, blue] = lights;
    let area = (green.0 - red.0) * (blue.1 - red.1) - (blue.0 - red.0) * (green.1 - red.1);
    lights.into_iter().all(is_light) && area.abs() > 1e-3
}

/// What the samples of a pixel are. Those of sRGB are red, green and blue, with alpha where these have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PixelKind {
    Grey {
        alpha: bool,
    },
    Rgb {
        alpha: bool,
    },
    /// Cyan, magenta, yellow and black ink, 0 for none.
    Cmyk,
}

impl PixelKind {
    /// Samples of a pixel.
    pub(super) fn samples(self) -> usize {
        match self {
            Self::Grey { alpha: false } => 1,
            Self::Grey { alpha: true } => 2,
            Self::Rgb { alpha: false } => 3,
            Self::Rgb { alpha: true } | Self::Cmyk => 4,
        }
    }

    /// Whether the last sample is how opaque the pixel is.
    pub(super) fn has_alpha(self) -> bool {
        matches!(self, Self::Grey { alpha: true } | Self::Rgb { alpha: true })
    }
}

/// Whether no colour changes by more than a level: a profile of sRGB, whose rounding must not reach the pixels.
fn changes_nothing(transform: &Transform8BitExecutor, kind: PixelKind) -> bool {
    let steps = || (0..=255).step_by(15).map(|level: u16| level as u8);
    let (samples, same): (Vec<u8>, Vec<u8>) = match kind {
        // Inks are never what light is.
        PixelKind::Cmyk => return false,
        PixelKind::Grey { alpha: false } => (steps().collect(), steps().flat_map(|grey| [grey; 3]).collect()),
        PixelKind::Grey { alpha: true } => (
            steps().flat_map(|grey| [grey, 255]).collect(),
            steps().flat_map(|grey| [grey, grey, grey, 255]).collect(),
        ),
        PixelKind::Rgb { alpha } => {
            let colours = steps().flat_map(|red| {
                steps().flat_map(move |green| steps().map(move |blue| [red, green, blue, 255]))
            });
            let samples: Vec<u8> =
                colours.flat_map(|colour| colour.into_iter().take(if alpha { 4 } else { 3 })).collect();
            (samples.clone(), samples)
        }
    };
    let mut seen = vec![0; same.len()];
    transform.transform(&samples, &mut seen).is_ok()
        && seen.iter().zip(&same).all(|(a, b)| a.abs_diff(*b) <= 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::*;
    use super::super::{Picture, PictureFormat, Reading};
    use super::*;

    /// Levels that a picture may be off: JPEG's decoders differ by one, which a steep curve makes two of in the dark.
    const LEVELS: u8 = 3;

    #[test]
    fn colours_become_srgb() {
        let names = [
            "colour-display-p3.png",
            "colour-adobe-rgb.png",
            "colour-prophoto-16.png",
            "colour-grey-profile.png",
            "colour-grey-profile-alpha.png",
            "colour-palette.png",
            "colour-gamma.png",
            "colour-gamma-linear.png",
            "colour-code-points.png",
            "colour-display-p3-jpeg.jpg",
            "colour-grey-jpeg.jpg",
            "colour-exif-adobe-rgb.jpg",
            "colour-inks.jpg",
            "colour-inks-ycck.jpg",
            "colour-inks-tiff.tif",
        ];
        for name in names {
            let (worst, mean) = apart(name);
            println!("{name}: {worst} levels at most, {mean:.2} on the average");
            assert!(worst <= LEVELS && mean < 0.6, "{name}: {worst} levels at most, {mean} on the average");
        }
    }

    /// What is sRGB, or says nothing that counts, is not rounded once more.
    #[test]
    fn srgb_stays_as_it_is() {
        let names = [
            "colour-srgb-profile.png",
            "colour-profile-of-grey.png",
            "colour-gamma-usual.png",
            "colour-srgb-chunk.png",
        ];
        for name in names {
            assert_eq!(apart(name), (0, 0.0), "{name}");
        }
    }

    /// What is wrong in a profile is said, and the rest is read as if there were none.
    #[test]
    fn a_damaged_profile_is_passed_over_with_a_note() {
        for name in
            ["colour-display-p3-jpeg.jpg", "colour-inks.jpg", "colour-inks-tiff.tif", "format-profile.webp"]
        {
            let file = fixture(name);
            assert!(Picture::read(&file, name).unwrap().notes.is_empty(), "{name}");
            let intact = Picture::decode(&file, name).unwrap();
            // The signature of its header, of its table or of its curves.
            for (word, other) in
                [(b"acsp", b"xxxx"), (b"mft2", b"xxxx"), (b"curv", b"xxxx"), (b"RGB ", b"7CLR")]
            {
                let mut damaged = file.clone();
                let places: Vec<usize> =
                    (0..damaged.len() - 4).filter(|at| damaged[*at..].starts_with(word)).collect();
                places.iter().for_each(|at| damaged[*at..at + 4].copy_from_slice(other));
                if places.is_empty() {
                    continue;
                }
                let Reading { picture, notes, colours, .. } = Picture::read(&damaged, name).unwrap();
                assert_eq!(notes, [UNUSABLE_PROFILE], "{name} without {word:?}");
                assert!(picture != intact && colours.is_none(), "{name} without {word:?}");
            }
        }
        let plain = Picture::read(&fixture("colour-profile-of-grey.png"), "").unwrap();
        assert_eq!(plain.notes, [UNUSABLE_PROFILE]);
    }

    /// What is written says so, always in the same bytes, and comes back as it was.
    #[test]
    fn files_carry_srgb() {
        let picture = sample(16, 16);
        let png = picture.encode(PictureFormat::Png).unwrap();
        let reader = ::png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        assert_eq!(reader.info().srgb, Some(::png::SrgbRenderingIntent::Perceptual));
        let jpeg = picture.encode(PictureFormat::Jpeg).unwrap();
        let profile = srgb_profile().unwrap();
        assert!(profile.len() < 1000, "{} bytes", profile.len());
        assert!(jpeg.windows(profile.len()).any(|window| window == profile));
        assert_eq!(profile, srgb_profile().unwrap());
        let space = ColourSpace::of_icc(&profile).unwrap();
        assert!(space.to_srgb_8(PixelKind::Rgb { alpha: false }).is_none());
    }

    #[test]
    fn what_cannot_be_a_colour_space_is_passed_over() {
        assert!(ColourSpace::of_icc(b"no profile").is_none());
        assert!(ColourSpace::of_code_points(200, 13).is_none());
        // Both have no meaning of their own.
        assert!(ColourSpace::of_code_points(2, 2).is_none());
        assert!(ColourSpace::of_exponent(0.0, None).is_none());
        let impossible = [(0.3127, 0.329), (0.9, 0.9), (0.3, 0.6), (0.15, 0.06)];
        assert!(ColourSpace::of_exponent(1.0, Some(impossible)).is_none());
        let flat = [(0.3127, 0.329); 4];
        assert!(ColourSpace::of_exponent(1.0, Some(flat)).is_none());
    }
}
