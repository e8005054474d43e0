//! The pictures that a painting is made of: read on a thread, shown as thumbnails, and the masks over them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{self, ColorImage, TextureHandle, TextureOptions};
use impasto::OptionName;
use impasto::picture::{Picture, Size};

use crate::background::{Background, Progress};
use crate::labels::label;
use crate::mask::Mask;
use crate::notice::Notice;
use crate::painting::{Ingredients, StyleIngredient};

/// Longer side of the picture that is shown; whatever it is painted at, a window needs no more.
const SHOWN_SIDE: u32 = 1600;
const THUMBNAIL_SIDE: u32 = 360;

/// What a picture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Content,
    /// The style of this number, from 0.
    Style(usize),
    /// What the pixels start from.
    Start,
    Mask(MaskRole),
}

/// What a mask is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaskRole {
    /// Where anything is painted.
    Content,
    /// How strongly each place is painted.
    Strength,
    /// Where the style of this number is painted.
    Style(usize),
}

impl Role {
    /// What the window calls it.
    pub fn name(self, pictures: &Pictures) -> String {
        let numbered = |text: String, index: usize| {
            if pictures.styles.len() > 1 { format!("{text} {}", index + 1) } else { text }
        };
        match self {
            Self::Content => label(OptionName::Content),
            Self::Style(index) => numbered(label(OptionName::Style), index),
            Self::Start => label(OptionName::Initial),
            Self::Mask(MaskRole::Content) => label(OptionName::ContentMask),
            Self::Mask(MaskRole::Strength) => label(OptionName::StrengthMap),
            Self::Mask(MaskRole::Style(index)) => numbered(label(OptionName::StyleMask), index),
        }
    }
}

/// A picture that was read.
pub struct Loaded {
    pub path: PathBuf,
    pub picture: Arc<Picture>,
    pub shown: TextureHandle,
    pub thumbnail: TextureHandle,
}

impl Loaded {
    /// The file's name.
    pub fn name(&self) -> String {
        name_of(&self.path)
    }

    pub fn sides(&self) -> (u32, u32) {
        (self.picture.width(), self.picture.height())
    }
}

/// The name of a file without its folders.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A file in memory, in the sizes that are needed.
struct Read {
    picture: Picture,
    shown: Picture,
    thumbnail: Picture,
}

/// A file that is being read.
struct Loading {
    role: Role,
    path: PathBuf,
    work: Background<Result<Read, Notice>>,
}

/// A style: its picture, its share and its mask.
pub struct Style {
    loaded: Option<Loaded>,
    pub weight: f32,
    mask: Option<Mask>,
}

impl Default for Style {
    fn default() -> Self {
        Self { loaded: None, weight: 1.0, mask: None }
    }
}

/// The pictures that are there, and those on their way.
pub struct Pictures {
    content: Option<Loaded>,
    /// One at least, which may have no picture yet.
    styles: Vec<Style>,
    start: Option<Loaded>,
    content_mask: Option<Mask>,
    strength_map: Option<Mask>,
    loading: Vec<Loading>,
}

impl Default for Pictures {
    fn default() -> Self {
        Self {
            content: None,
            styles: vec![Style::default()],
            start: None,
            content_mask: None,
            strength_map: None,
            loading: Vec::new(),
        }
    }
}

impl Pictures {
    /// The picture of a role; masks are none.
    pub fn get(&self, role: Role) -> Option<&Loaded> {
        match role {
            Role::Content => self.content.as_ref(),
            Role::Style(index) => self.styles.get(index)?.loaded.as_ref(),
            Role::Start => self.start.as_ref(),
            Role::Mask(_) => None,
        }
    }

    pub fn is_loading(&self, role: Role) -> bool {
        self.loading.iter().any(|loading| loading.role == role)
    }

    pub fn styles(&self) -> usize {
        self.styles.len()
    }

    pub fn weight_mut(&mut self, style: usize) -> Option<&mut f32> {
        self.styles.get_mut(style).map(|style| &mut style.weight)
    }

    pub fn mask(&self, role: MaskRole) -> Option<&Mask> {
        match role {
            MaskRole::Content => self.content_mask.as_ref(),
            MaskRole::Strength => self.strength_map.as_ref(),
            MaskRole::Style(index) => self.styles.get(index)?.mask.as_ref(),
        }
    }

    fn mask_place(&mut self, role: MaskRole) -> Option<&mut Option<Mask>> {
        match role {
            MaskRole::Content => Some(&mut self.content_mask),
            MaskRole::Strength => Some(&mut self.strength_map),
            MaskRole::Style(index) => self.styles.get_mut(index).map(|style| &mut style.mask),
        }
    }

    /// The mask of a role, for the photograph as it is now; an empty one where there was none.
    pub fn mask_to_paint(&mut self, role: MaskRole) -> Option<&mut Mask> {
        let sides = self.content.as_ref()?.sides();
        let mask = self.mask_place(role)?.get_or_insert_with(|| Mask::new(sides));
        mask.fit(sides);
        Some(mask)
    }

    pub fn remove_mask(&mut self, role: MaskRole) {
        if let Some(place) = self.mask_place(role) {
            *place = None;
        }
    }

    /// Takes a style away; of the only one, its picture.
    pub fn remove_style(&mut self, style: usize) {
        if style < self.styles.len() {
            self.styles.remove(style);
        }
        if self.styles.is_empty() {
            self.styles.push(Style::default());
        }
        // A file on its way to a later style goes to the place that this one has now.
        let number = |role: Role| match role {
            Role::Style(index) | Role::Mask(MaskRole::Style(index)) => Some(index),
            _ => None,
        };
        self.loading.retain(|loading| number(loading.role) != Some(style));
        for loading in &mut self.loading {
            if let Role::Style(index) | Role::Mask(MaskRole::Style(index)) = &mut loading.role
                && *index > style
            {
                *index -= 1;
            }
        }
    }

    /// Reads a file in the background; a style beyond those that there are is one more. A file that was on its way to the same place is forgotten.
    pub fn load(&mut self, context: &egui::Context, role: Role, path: PathBuf) {
        let file = path.clone();
        let work = Background::start(context, "reader", move || read(&file));
        if let Role::Style(index) = role
            && index >= self.styles.len()
        {
            self.styles.resize_with(index + 1, Style::default);
        }
        self.loading.retain(|loading| loading.role != role);
        self.loading.push(Loading { role, path, work });
    }

    /// Photograph and first style change places.
    pub fn swap(&mut self) {
        std::mem::swap(&mut self.content, &mut self.styles[0].loaded);
    }

    /// Takes what has been read. Returns the roles with new pictures, and tells the last failure.
    pub fn update(&mut self, context: &egui::Context) -> (Vec<Role>, Option<Notice>) {
        let (mut new, mut failed, mut notice) = (Vec::new(), Vec::new(), None);
        for mut loading in std::mem::take(&mut self.loading) {
            let progress = loading.work.poll();
            let Loading { role, path, .. } = &loading;
            match progress {
                Progress::UnderWay => self.loading.push(loading),
                Progress::Done(Ok(read)) => {
                    self.place(context, *role, path.clone(), read);
                    new.push(*role);
                }
                Progress::Done(Err(failure)) => {
                    failed.push(*role);
                    notice = Some(failure);
                }
                Progress::Lost => {
                    failed.push(*role);
                    notice = Some(Notice::lost(cannot_open(path)));
                }
            }
        }
        self.forget_places(failed);
        (new, notice)
    }

    /// Takes the places of styles away whose pictures did not come.
    fn forget_places(&mut self, failed: Vec<Role>) {
        let mut places: Vec<usize> = failed
            .into_iter()
            .filter_map(|role| if let Role::Style(index) = role { Some(index) } else { None })
            .filter(|index| *index > 0 && self.get(Role::Style(*index)).is_none())
            .collect();
        places.sort_unstable();
        places.into_iter().rev().for_each(|index| self.remove_style(index));
    }

    fn place(&mut self, context: &egui::Context, role: Role, path: PathBuf, read: Read) {
        match role {
            Role::Content => self.content = Some(show(context, path, read)),
            Role::Start => self.start = Some(show(context, path, read)),
            Role::Style(index) => {
                if let Some(style) = self.styles.get_mut(index) {
                    style.loaded = Some(show(context, path, read));
                }
            }
            Role::Mask(role) => {
                let sides = self.content.as_ref().map_or((1024, 1024), Loaded::sides);
                if let Some(place) = self.mask_place(role) {
                    *place = Some(Mask::from_picture(read.picture, sides));
                }
            }
        }
    }

    /// What a painting is made of, where everything is there that it needs.
    pub fn ingredients(&self, with_start: bool) -> Option<Ingredients> {
        let mask = |mask: &Option<Mask>| mask.as_ref().and_then(Mask::picture).cloned();
        let picture = |loaded: &Loaded| Arc::clone(&loaded.picture);
        let style = |style: &Style| {
            let picture = style.loaded.as_ref().map(picture)?;
            Some(StyleIngredient { picture, weight: style.weight, mask: mask(&style.mask) })
        };
        let start = if with_start { Some(self.start.as_ref().map(picture)?) } else { None };
        Some(Ingredients {
            content: self.content.as_ref().map(picture)?,
            styles: self.styles.iter().map(style).collect::<Option<_>>()?,
            content_mask: mask(&self.content_mask),
            strength_map: mask(&self.strength_map),
            start,
        })
    }
}

fn cannot_open(path: &Path) -> String {
    format!("{} cannot be opened", name_of(path))
}

fn read(path: &Path) -> Result<Read, Notice> {
    let bytes = std::fs::read(path).map_err(|error| {
        let remedy = "choose a PNG or JPEG file that you may read";
        Notice::of_file(cannot_open(path), path, &error, remedy)
    })?;
    let picture =
        Picture::decode(&bytes, &name_of(path)).map_err(|error| Notice::of(cannot_open(path), &error))?;
    let at_most = |side| {
        let (width, height) = Size::LongerSide(side).fit(picture.width(), picture.height());
        picture.resized(width, height)
    };
    let shown = at_most(SHOWN_SIDE);
    let thumbnail = at_most(THUMBNAIL_SIDE);
    Ok(Read { picture, shown, thumbnail })
}

fn show(context: &egui::Context, path: PathBuf, read: Read) -> Loaded {
    let texture = |picture: &Picture| {
        let size = [picture.width() as usize, picture.height() as usize];
        let image = ColorImage::from_rgb(size, picture.rgb());
        context.load_texture(name_of(&path), image, TextureOptions::LINEAR)
    };
    let (shown, thumbnail) = (texture(&read.shown), texture(&read.thumbnail));
    Loaded { path, picture: Arc::new(read.picture), shown, thumbnail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another place than the first is there only for a picture that comes.
    #[test]
    fn styles_come_and_go_with_their_places() {
        let context = egui::Context::default();
        let mut pictures = Pictures::default();
        pictures.load(&context, Role::Style(2), "no such file".into());
        assert_eq!(pictures.styles(), 3);
        pictures.remove_style(0);
        assert!(pictures.is_loading(Role::Style(1)) && !pictures.is_loading(Role::Style(2)));
        pictures.forget_places(vec![Role::Content, Role::Style(1), Role::Style(0)]);
        assert_eq!(pictures.styles(), 1);
        assert!(!pictures.is_loading(Role::Style(1)));
        pictures.remove_style(0);
        assert_eq!(pictures.styles(), 1);
        assert!(pictures.ingredients(false).is_none());
    }
}
