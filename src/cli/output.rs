//! Writing results: under a temporary name first, so that an old result is never lost to a failure.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use impasto::picture::{ColourProfile, Depth, EncodeOptions, Metadata, Picture, PictureFormat};

use super::console::write_out;
use super::files::{FileIdentity, Named, folder_of, is_standard, overlap, reason, unexpanded};
use super::{Failure, Result};

/// What messages call standard output.
const STANDARD_OUTPUT: &str = "standard output";

/// The painting's file, and those of the pictures on the way.
#[derive(Clone, Debug)]
pub(super) struct Output {
    path: PathBuf,
    format: PictureFormat,
    options: EncodeOptions,
}

impl Output {
    /// The output at `path`, in the format of this ending, or else in that of its own, in this quality where one is asked for,
    /// with samples of this depth.
    pub(super) fn new(path: &Path, asked: Option<&str>, quality: Option<u8>, depth: Depth) -> Result<Self> {
        let standard = is_standard(path);
        if path.is_dir() || is_folder_name(path) {
            let inside = path.join("painting.png");
            let remedy = format!("name a file in it, such as {}", inside.display());
            return Err(Failure::of_file(path, "this is a folder", &remedy));
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
        let of_name = ending.as_deref().and_then(PictureFormat::from_extension);
        let asked_format = asked.and_then(PictureFormat::from_extension);
        if let (Some(asked), Some(ending), true) =
            (asked, &ending, asked_format.is_some() && of_name.is_some() && asked_format != of_name)
        {
            let shown = path.display();
            return Err(Failure::Usage(format!(
                "--format: {asked} is another format than that of {shown}, which ends in .{ending}; leave out the one or \
                 rename the other"
            )));
        }
        let format = asked_format.or(of_name).or(standard.then_some(PictureFormat::Png));
        let Some(format) = format else {
            let shown = path.display();
            let endings =
                PictureFormat::EXTENSIONS.iter().map(|ending| format!(".{ending}")).collect::<Vec<_>>();
            let reason = match &ending {
                Some(ending) => format!("pictures cannot be written in a format with the ending .{ending}"),
                None => "the name has no ending, which says in what format to write".to_owned(),
            };
            let wanted = ending.unwrap_or_default().to_lowercase();
            let nearest = PictureFormat::EXTENSIONS
                .iter()
                .min_by_key(|known| strsim::damerau_levenshtein(&wanted, known))
                .map_or_else(String::new, |ending| path.with_extension(ending).display().to_string());
            let endings = endings.join(", ");
            let message = format!("--output: {shown}: {reason}; use one of {endings}, such as {nearest}");
            return Err(Failure::Usage(message));
        };
        if quality.is_some() && format != PictureFormat::Jpeg {
            return Err(Failure::Usage(format!(
                "--quality: {} keeps every pixel, as every format here but JPEG; leave it out, or name it {}",
                path.display(),
                path.with_extension("jpg").display()
            )));
        }
        if depth == Depth::Sixteen && !format.has_sixteen_bits() {
            return Err(Failure::Usage(format!(
                "--out-depth 16: {} holds samples of 8 bits, PNG and TIFF those of 16; name {} .png or .tif, or leave it out",
                format.name(),
                path.display()
            )));
        }
        let options = EncodeOptions::default().with(|options| {
            options.quality = quality.unwrap_or(options.quality);
            options.depth = depth;
        });
        Ok(Self { path: path.to_owned(), format, options })
    }

    /// Whether pixels may be transparent in it.
    pub(super) fn has_alpha(&self) -> bool {
        self.format.has_alpha()
    }

    /// Whether it has samples of 16 bits.
    pub(super) fn is_wide(&self) -> bool {
        self.options.depth == Depth::Sixteen
    }

    /// Has it in this colour space.
    ///
    /// # Errors
    /// Where its format cannot hold it, or no picture can be brought to it.
    pub(super) fn set_colours(&mut self, colours: ColourProfile) -> impasto::Result<()> {
        self.options.colours = Some(colours);
        self.options.check(self.format)
    }

    /// Has this said beside the pixels.
    pub(super) fn set_metadata(&mut self, metadata: Metadata) {
        self.options.metadata = metadata;
    }

    /// Has the pixels as opaque as this picture is bright.
    pub(super) fn set_opacity(&mut self, opacity: Picture) {
        self.options.opacity = Some(opacity);
    }

    /// How opaque the pixels will be, where that was set.
    pub(super) fn opacity(&self) -> Option<&Picture> {
        self.options.opacity.as_ref()
    }

    /// The painting's path, as it was given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is standard output.
    pub(super) fn is_standard(&self) -> bool {
        is_standard(&self.path)
    }

    /// Refuses to show a picture on a terminal.
    pub(super) fn refuse_terminal(&self) -> Result<()> {
        if self.is_standard() && io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "--output: standard output is a terminal, which shows no pictures; pipe it into a program, or name a file"
                    .into(),
            ));
        }
        Ok(())
    }

    /// What messages call it.
    pub(super) fn shown(&self) -> String {
        if self.is_standard() { STANDARD_OUTPUT.to_owned() } else { self.path.display().to_string() }
    }

    /// Where the picture after `step` goes: `out-00020.png` for `out.png`.
    pub(super) fn snapshot_path(&self, step: u32) -> PathBuf {
        let mut name = OsString::from(self.path.file_stem().unwrap_or_default());
        name.push(format!("-{step:05}."));
        name.push(self.path.extension().unwrap_or_default());
        self.path.with_file_name(name)
    }

    /// Refuses pictures on the way, after every `every` of `steps` steps, that would be written over one of
    /// `files`.
    pub(super) fn refuse_snapshot_overlap(&self, every: u32, steps: u32, files: &[Named<'_>]) -> Result<()> {
        for (option, path) in files {
            let Some(identity) = FileIdentity::of(path) else { continue };
            let step =
                identity.path().file_stem().and_then(|stem| stem.to_str()?.rsplit('-').next()?.parse().ok());
            let Some(step) =
                step.filter(|step: &u32| *step > 0 && *step < steps && step.is_multiple_of(every))
            else {
                continue;
            };
            let snapshot = self.snapshot_path(step);
            if FileIdentity::of(&snapshot).is_some_and(|snapshot| snapshot.is(&identity)) {
                return Err(overlap(&snapshot, "--save-every", option));
            }
        }
        Ok(())
    }

    /// Writes the painting; where that fails, to the system's folder for temporary files.
    pub(super) fn write(&self, picture: &Picture) -> Result<()> {
        write_or_rescue(&self.path, &picture.encode_with(self.format, &self.options)?, "the picture")
    }

    /// Writes the picture after `step`.
    pub(super) fn write_snapshot(&self, step: u32, picture: &Picture) -> Result<()> {
        let path = self.snapshot_path(step);
        // A link of this name is replaced, and the file that it leads to stays as it is.
        let written = replace(&path, &picture.encode_with(self.format, &self.options)?);
        written.map_err(|error| cannot_write(&path, &error))
    }
}

/// Checks that [`write`] could write `path`, without changing anything.
pub(super) fn check(path: &Path) -> Result<()> {
    if is_standard(path) {
        return Err(Failure::Usage(format!(
            "-: {STANDARD_OUTPUT} has the report; name a file, or ./- for this name"
        )));
    }
    match fs::metadata(path) {
        _ if is_folder_name(path) => {
            return Err(Failure::of_file(path, "this is a folder", "name a file in it"));
        }
        Ok(metadata) if metadata.is_dir() => {
            return Err(Failure::of_file(path, "this is a folder", "name a file in it"));
        }
        Ok(metadata) if !metadata.is_file() => return Ok(()),
        Ok(metadata) if metadata.permissions().readonly() => {
            return Err(Failure::of_file(
                path,
                "the file there is write-protected",
                "name another file or allow writing",
            ));
        }
        _ => {}
    }
    let destination = destination(path);
    match temporary(folder_of(&destination)) {
        Ok(_) => Ok(()),
        Err(error) if is_shut(&error) && OpenOptions::new().write(true).open(&destination).is_ok() => Ok(()),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

/// Whether a path ends as those of folders do.
fn is_folder_name(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// Writes a file whole or not at all. Standard output, a pipe, or whatever else is not a regular file, is written to directly.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = if is_standard(path) {
        write_out(bytes)
    } else if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        fs::write(path, bytes)
    } else {
        replace(&destination(path), bytes)
    };
    written.map_err(|error| cannot_write(path, &error))
}

/// Writes a file that took long to make. Where that fails, it goes to the system's folder for temporary files, and the
/// error ends with its path there.
pub(super) fn write_or_rescue(path: &Path, bytes: &[u8], what: &str) -> Result<()> {
    let Err(Failure::Failed(reason)) = write(path, bytes) else { return Ok(()) };
    // What went to standard output has the name of its format.
    let unnamed = || match bytes {
        [0xff, 0xd8, ..] => "painting.jpg".into(),
        [b'R', b'I', b'F', b'F', ..] => "painting.webp".into(),
        [b'I', b'I', ..] | [b'M', b'M', ..] => "painting.tif".into(),
        _ => "painting.png".into(),
    };
    let name =
        path.file_name().filter(|_| !is_standard(path)).map_or_else(unnamed, |name| name.to_string_lossy());
    let rescued = || -> io::Result<PathBuf> {
        let mut file = tempfile::Builder::new().prefix("impasto-").suffix(&format!("-{name}")).tempfile()?;
        file.write_all(bytes)?;
        Ok(file.keep().map_err(|error| error.error)?.1)
    };
    Err(Failure::Failed(match rescued() {
        Ok(path) => format!("{reason}\n{what} was written to another place instead:\n{}", path.display()),
        Err(error) => {
            let folder = std::env::temp_dir();
            format!("{reason}\n{what} cannot be written to {} either: {}", folder.display(), error)
        }
    }))
}

/// Replaces the file at `path` by a new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let persist = |file: tempfile::NamedTempFile, path: &Path| {
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    replace_by(path, bytes, temporary, persist)
}

/// The same with these ways to make a file in a folder and to give it its name. Where they fail because the folder takes no
/// new file, or does not give up the old one, the old one is written over: it may be mounted into a container by itself.
fn replace_by(
    path: &Path,
    bytes: &[u8],
    create: impl FnOnce(&Path) -> io::Result<tempfile::NamedTempFile>,
    persist: impl FnOnce(tempfile::NamedTempFile, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = match create(folder_of(path)) {
        Ok(file) => file,
        Err(error) if is_shut(&error) => return write_over(path, bytes).unwrap_or(Err(error)),
        Err(error) => return Err(error),
    };
    file.write_all(bytes)?;
    // The new file is on the disk before the old one goes, in case the power fails in between.
    file.as_file().sync_all()?;
    persist(file, path).or_else(|error| write_over(path, bytes).unwrap_or(Err(error)))
}

/// Whether a folder takes no new file.
fn is_shut(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Puts `bytes` into the file that is there; `None` where it cannot be opened, and is as it was.
fn write_over(path: &Path, bytes: &[u8]) -> Option<io::Result<()>> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path).ok()?;
    Some(file.write_all(bytes).and_then(|()| file.sync_all()))
}

/// The file itself where `path` is a link to it: the link stays.
fn destination(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A new file that vanishes unless it is kept, with the permissions of any new file.
fn temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".impasto-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The system takes off what the user's mask does not allow.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    if is_standard(path) {
        let reason = reason(error);
        return Failure::Failed(format!(
            "{STANDARD_OUTPUT}: {reason}; name a file, or another program to read it"
        ));
    }
    let parent = folder_of(path);
    let folder = parent.display();
    let (reason, remedy) = match error.kind() {
        io::ErrorKind::NotFound if parent.is_dir() => {
            (format!("no file can be made in the folder {folder}"), "name another folder")
        }
        io::ErrorKind::NotFound => unexpanded(path)
            .unwrap_or_else(|| (format!("there is no folder {folder}"), "make it or name another")),
        io::ErrorKind::NotADirectory => (format!("{folder} is not a folder"), "name a folder that exists"),
        io::ErrorKind::PermissionDenied => {
            (format!("the folder {folder} is not writable"), "name a folder that you may write to")
        }
        _ => (format!("cannot be written: {}", reason(error)), "name another place"),
    };
    Failure::of_file(path, &reason, remedy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Every way in which a folder refuses what a file in it allows.
    #[test]
    fn a_file_that_cannot_be_replaced_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");
        let kinds = [
            io::ErrorKind::ResourceBusy,
            io::ErrorKind::CrossesDevices,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
        ];
        for kind in kinds {
            fs::write(&path, "an older and longer picture").unwrap();
            replace_by(&path, b"new", temporary, |_, _| Err(kind.into())).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new", "{kind}");
        }
        for kind in &kinds[2..] {
            fs::write(&path, "an older and longer picture").unwrap();
            replace_by(&path, b"new", |_| Err((*kind).into()), |_, _| panic!("there is no file")).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new", "{kind}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // A disk that is full leaves the old file.
        let full = |_: &Path| Err(io::ErrorKind::StorageFull.into());
        replace_by(&path, b"newer", full, |_, _| panic!("there is no file")).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        // Where there is no file, there is none to write over, and the first error counts.
        let gone = folder.path().join("gone.png");
        let error =
            replace_by(&gone, b"new", temporary, |_, _| Err(io::ErrorKind::ResourceBusy.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(!gone.exists());
    }
}
