//! The system's file dialogs, on threads: the window goes on behind them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eframe::egui;
use impasto::picture::PictureFormat;

use crate::background::{Background, Progress};
use crate::notice::Notice;
use crate::pictures::Role;

/// A person who closes a dialog again needs longer than this. A dialog that is gone sooner never opened.
const SHORTEST_DIALOG: Duration = Duration::from_millis(400);

/// What a dialog asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Open(Role),
    Save,
}

/// A file dialog on the screen.
pub struct Dialog {
    purpose: Purpose,
    opened: Instant,
    answer: Background<Option<PathBuf>>,
}

/// What became of a dialog.
pub enum Answer {
    Open,
    Chosen(Purpose, PathBuf),
    Cancelled,
    /// The system has no file dialog.
    Missing(Notice),
}

impl Dialog {
    /// Asks for a picture.
    pub fn open(context: &egui::Context, frame: &eframe::Frame, role: Role) -> Self {
        let title = match role {
            Role::Content => "Open a photograph",
            Role::Style(_) => "Open a picture for the style",
            Role::Start => "Open a picture to start from",
            Role::Mask(_) => "Open a picture as a mask",
        };
        let dialog = rfd::AsyncFileDialog::new()
            .set_parent(frame)
            .set_title(title)
            .add_filter("Pictures", &endings());
        let asked = dialog.pick_file();
        Self::start(context, Purpose::Open(role), asked)
    }

    /// Asks where to save; `proposal` is what the file would be called otherwise.
    pub fn save(context: &egui::Context, frame: &eframe::Frame, proposal: &Path) -> Self {
        let mut dialog = rfd::AsyncFileDialog::new()
            .set_parent(frame)
            .set_title("Save the painting")
            .add_filter("PNG", &["png"])
            .add_filter("JPEG", &["jpg", "jpeg"]);
        if let Some(name) = proposal.file_name() {
            dialog = dialog.set_file_name(name.to_string_lossy());
        }
        if let Some(folder) = proposal.parent().filter(|folder| folder.is_dir()) {
            dialog = dialog.set_directory(folder);
        }
        let asked = dialog.save_file();
        Self::start(context, Purpose::Save, asked)
    }

    fn start(
        context: &egui::Context,
        purpose: Purpose,
        asked: impl Future<Output = Option<rfd::FileHandle>> + Send + 'static,
    ) -> Self {
        let wait = move || pollster::block_on(asked).map(|file| file.path().to_owned());
        Self { purpose, opened: Instant::now(), answer: Background::start(context, "dialog", wait) }
    }

    /// What became of it.
    pub fn poll(&mut self) -> Answer {
        match self.answer.poll() {
            Progress::UnderWay => Answer::Open,
            Progress::Done(Some(path)) => Answer::Chosen(self.purpose, path),
            Progress::Done(None) if self.opened.elapsed() >= SHORTEST_DIALOG => Answer::Cancelled,
            Progress::Done(None) | Progress::Lost => Answer::Missing(missing(self.purpose)),
        }
    }
}

fn missing(purpose: Purpose) -> Notice {
    let remedy = match purpose {
        Purpose::Open(_) => "drag the picture's file onto this window instead",
        Purpose::Save => "write the file's name into the field instead",
    };
    let reason = if cfg!(target_os = "linux") {
        "no desktop portal (xdg-desktop-portal) answered"
    } else {
        "the system did not show one"
    };
    Notice::failed("No file dialog opened", reason, remedy)
}

fn endings() -> Vec<String> {
    // Some systems tell upper and lower case apart.
    let lower = PictureFormat::EXTENSIONS.iter().map(|ending| (*ending).to_owned());
    lower.clone().chain(lower.map(|ending| ending.to_uppercase())).collect()
}

/// Where the painting of this photograph is saved unless somebody says otherwise: a new name beside the photograph, or
/// in the home folder where there is no photograph.
pub fn proposal(content: Option<&Path>, style: Option<&Path>) -> PathBuf {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let content_stem = content.and_then(stem).unwrap_or_else(|| "painting".into());
    let name = match style.and_then(stem) {
        Some(style) => format!("{content_stem} in {style}"),
        None => content_stem,
    };
    let folder = content
        .and_then(Path::parent)
        .and_then(|folder| std::path::absolute(folder).ok())
        .or_else(std::env::home_dir)
        .unwrap_or_default();
    unused(&folder, &name)
}

/// The first name of these that no file has.
fn unused(folder: &Path, name: &str) -> PathBuf {
    let numbered = (2..1000).map(|number| format!("{name} {number}.png"));
    let mut names = [format!("{name}.png")].into_iter().chain(numbered).map(|name| folder.join(name));
    let first = folder.join(format!("{name}.png"));
    names.find(|path| !path.exists()).unwrap_or(first)
}

/// The format that a file's name asks for.
pub fn format_of(path: &Path) -> Result<PictureFormat, Notice> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
    PictureFormat::from_extension(&ending).ok_or_else(|| {
        Notice::failed(
            "The painting is not saved",
            format!("“{}” does not say which format", path.display()),
            "end the name with .png or .jpg",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_names_both_pictures_and_takes_no_name_twice() {
        let folder = std::env::temp_dir().join(format!("studio-files-{}", std::process::id()));
        assert!(std::fs::create_dir_all(&folder).is_ok());
        let content = folder.join("cat.jpg");
        let style = Path::new("sky.png");
        let first = proposal(Some(&content), Some(style));
        assert_eq!(first, folder.join("cat in sky.png"));
        assert!(std::fs::write(&first, b"").is_ok());
        assert_eq!(proposal(Some(&content), Some(style)), folder.join("cat in sky 2.png"));
        assert!(std::fs::remove_dir_all(&folder).is_ok());
    }

    #[test]
    fn the_name_says_the_format() {
        assert_eq!(format_of(Path::new("a.PNG")), Ok(PictureFormat::Png));
        assert_eq!(format_of(Path::new("a.jpeg")), Ok(PictureFormat::Jpeg));
        assert!(format_of(Path::new("a")).is_err());
    }
}
