//! The pictures that a painting is made of: read on a thread, shown as thumbnails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{self, ColorImage, TextureHandle, TextureOptions};
use impasto::OptionName;
use impasto::picture::{Picture, Size};

use crate::background::{Background, Progress};
use crate::labels::label;
use crate::notice::Notice;

/// Longer side of the picture that is shown; whatever it is painted at, a window needs no more.
const SHOWN_SIDE: u32 = 1600;
const THUMBNAIL_SIDE: u32 = 360;

/// What a picture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Content,
    Style,
    /// What the pixels start from.
    Start,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Content, Self::Style, Self::Start];

    /// What the window calls it.
    pub fn name(self) -> String {
        match self {
            Self::Content => label(OptionName::Content),
            Self::Style => label(OptionName::Style),
            Self::Start => label(OptionName::Initial),
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

/// The pictures, each in its place or on its way there.
#[derive(Default)]
pub struct Pictures {
    places: [Place; Role::ALL.len()],
}

#[derive(Default)]
struct Place {
    loaded: Option<Loaded>,
    loading: Option<(PathBuf, Background<Result<Read, Notice>>)>,
}

impl Pictures {
    pub fn get(&self, role: Role) -> Option<&Loaded> {
        self.places[role as usize].loaded.as_ref()
    }

    pub fn is_loading(&self, role: Role) -> bool {
        self.places[role as usize].loading.is_some()
    }

    /// Reads a file in the background. A file that was on its way to the same place is forgotten.
    pub fn load(&mut self, context: &egui::Context, role: Role, path: PathBuf) {
        let file = path.clone();
        let work = Background::start(context, "reader", move || read(&file));
        self.places[role as usize].loading = Some((path, work));
    }

    /// Photograph and style change places.
    pub fn swap(&mut self) {
        self.places.swap(Role::Content as usize, Role::Style as usize);
    }

    /// Takes what has been read. Returns the places with new pictures, and tells the last failure.
    pub fn update(&mut self, context: &egui::Context) -> (Vec<Role>, Option<Notice>) {
        let (mut new, mut notice) = (Vec::new(), None);
        for role in Role::ALL {
            let place = &mut self.places[role as usize];
            let Some((path, mut work)) = place.loading.take() else { continue };
            match work.poll() {
                Progress::UnderWay => place.loading = Some((path, work)),
                Progress::Done(Ok(read)) => {
                    place.loaded = Some(show(context, path, read));
                    new.push(role);
                }
                Progress::Done(Err(failure)) => notice = Some(failure),
                Progress::Lost => notice = Some(Notice::lost(cannot_open(&path))),
            }
        }
        (new, notice)
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
