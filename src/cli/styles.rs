//! The pictures of a command line: files and folders of styles, with their weights and masks, and the others.

use std::fs;
use std::path::{Path, PathBuf};

use impasto::OptionName;

use super::numbers::number;
use super::words::argument;
use super::{Failure, Result, files, names};

/// The endings of the files of a folder that are styles.
pub(super) const ENDINGS: [&str; 11] =
    ["png", "jpg", "jpeg", "webp", "tif", "tiff", "gif", "bmp", "qoi", "hdr", "exr"];

/// One style.
#[derive(Debug, PartialEq)]
pub(super) struct StyleFile {
    pub(super) path: PathBuf,
    pub(super) weight: f32,
    pub(super) mask: Option<PathBuf>,
}

impl From<PathBuf> for StyleFile {
    /// The only style, everywhere.
    fn from(path: PathBuf) -> Self {
        Self { path, weight: 1.0, mask: None }
    }
}

/// Where anything is painted.
#[derive(Debug)]
pub(super) enum ContentMask {
    /// Where this picture is bright.
    File(PathBuf),
    /// Where the content is opaque.
    Alpha,
}

impl ContentMask {
    /// `alpha`, or a path.
    pub(super) fn of(argument: &Path) -> Self {
        if argument.as_os_str() == "alpha" { Self::Alpha } else { Self::File(argument.to_owned()) }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Alpha => None,
        }
    }
}

/// The files of a run's pictures.
#[derive(Debug, Default)]
pub(super) struct SourceFiles {
    pub(super) content: Option<PathBuf>,
    pub(super) styles: Vec<StyleFile>,
    pub(super) content_mask: Option<ContentMask>,
    pub(super) strength_map: Option<PathBuf>,
    pub(super) initial: Option<PathBuf>,
    /// Whether what is made without a content is as large as the style.
    pub(super) has_size_of_style: bool,
}

impl SourceFiles {
    /// Styles alone.
    pub(super) fn of_styles(styles: Vec<StyleFile>) -> Self {
        Self { styles, ..Self::default() }
    }
}

/// The styles in these files, with their weights and masks as the arguments have them. A folder stands for the pictures
/// in it, by name.
pub(super) fn style_files(
    files: &[PathBuf],
    weights: Option<&str>,
    masks: &[String],
) -> Result<Vec<StyleFile>> {
    let mut styles = Vec::new();
    for path in files {
        let paths = if path.is_dir() { pictures_in(path)? } else { names::files_of(path)? };
        styles.extend(paths.into_iter().map(StyleFile::from));
    }
    if let Some(weights) = weights {
        let weights = style_weights(weights, styles.len())?;
        styles.iter_mut().zip(weights).for_each(|(style, weight)| style.weight = weight);
    }
    // Shares: several styles weigh together as much as one.
    let sum: f32 = styles.iter().map(|style| style.weight).sum();
    styles.iter_mut().for_each(|style| style.weight /= sum);
    for text in masks {
        let (number, path) = style_mask(text);
        let count = styles.len();
        let Some(style) = styles.get_mut(number.wrapping_sub(1)) else {
            let reason = format!("there is no style {number} among {count}");
            return Err(usage(OptionName::StyleMask, &reason, "write 1=FILE for the first style"));
        };
        if style.mask.replace(path).is_some() {
            let reason = format!("style {number} has two masks");
            return Err(usage(OptionName::StyleMask, &reason, "write 2=FILE for the second style"));
        }
    }
    Ok(styles)
}

/// The pictures of a folder, by name.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |reason: &str| {
        Failure::of_file(folder, reason, "name a folder with pictures, such as PNG or JPEG files, or files")
    };
    let entries = fs::read_dir(folder).map_err(|error| failed(&files::reason(&error)))?;
    let is_picture = |path: &PathBuf| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        ending.is_some_and(|ending| ENDINGS.contains(&&*ending)) && path.is_file()
    };
    let mut pictures: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_picture).collect();
    pictures.sort();
    if pictures.is_empty() { Err(failed("there is no picture in this folder")) } else { Ok(pictures) }
}

/// `2,1,0.5`: one for each style.
pub(super) fn style_weights(text: &str, styles: usize) -> Result<Vec<f32>> {
    let weights: Vec<Option<f32>> = text.split(',').map(|weight| number(weight).ok()).collect();
    let weights: Vec<f32> =
        weights.into_iter().flatten().filter(|weight| weight.is_finite() && *weight >= 0.0).collect();
    if weights.len() == styles
        && text.split(',').count() == styles
        && weights.iter().any(|weight| *weight > 0.0)
    {
        return Ok(weights);
    }
    let reason = format!("{text:?} is not a weight for each of {styles} styles");
    Err(usage(OptionName::StyleWeights, &reason, "write numbers, 0 or more, like 2,1"))
}

/// `2=FILE`, or `FILE` for the first style. What is in front of the sign and no number belongs to the file's name.
fn style_mask(text: &str) -> (usize, PathBuf) {
    let numbered = text.split_once('=').and_then(|(number, path)| Some((number.parse().ok()?, path)));
    numbered.map_or((1, text.into()), |(number, path)| (number, path.into()))
}

fn usage(option: OptionName, reason: &str, remedy: &str) -> Failure {
    Failure::Usage(format!("{}: {reason}; {remedy}", argument(option)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn weights_are_one_for_each_style() {
        assert_eq!(style_weights(" 2, 1,0.5", 3).unwrap(), [2.0, 1.0, 0.5]);
        for (text, styles) in [
            ("2,1", 3),
            ("", 1),
            ("1,much", 2),
            ("1,-1", 2),
            ("0,0", 2),
            ("inf", 1),
            ("1,,2", 2),
            ("1e40,1", 2),
        ] {
            style_weights(text, styles).unwrap_err();
        }
    }

    #[test]
    fn masks_may_have_a_number() {
        assert_eq!(style_mask("2=sky.png"), (2, "sky.png".into()));
        assert_eq!(style_mask("sky.png"), (1, "sky.png".into()));
        assert_eq!(style_mask("a=b.png"), (1, "a=b.png".into()));
    }
}
