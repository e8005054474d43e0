//! Writing results: under a temporary name first, so that an old result is never lost to a failure.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use impasto::picture::{EncodeOptions, Metadata, Picture, PictureFormat};

use super::files::{FileIdentity, Named, folder_of, overlap, reason};
use super::{Failure, Result};

/// The painting's file, and those of the pictures on the way.
#[derive(Clone, Debug)]
pub(super) struct Output {
    path: PathBuf,
    format: PictureFormat,
    options: EncodeOptions,
}

impl Output {
    /// The output at `path`, in the format of its ending, in this quality where one is asked for.
    pub(super) fn new(path: &Path, quality: Option<u8>) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
        let format = ending.as_deref().and_then(PictureFormat::from_extension);
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
        let options =
            EncodeOptions::default().with(|options| options.quality = quality.unwrap_or(options.quality));
        Ok(Self { path: path.to_owned(), format, options })
    }

    /// Whether pixels may be transparent in it.
    pub(super) fn has_alpha(&self) -> bool {
        self.format.has_alpha()
    }

    /// Has this said beside the pixels.
    pub(super) fn set_metadata(&mut self, metadata: Metadata) {
        self.options.metadata = metadata;
    }

    /// Has the pixels as opaque as this picture is bright.
    pub(super) fn set_opacity(&mut self, opacity: Picture) {
        self.options.opacity = Some(opacity);
    }

    /// The painting's path, as it was given.
    pub(super) fn path(&self) -> &Path {
        &self.path
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
    match fs::metadata(path) {
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
        Err(error) => Err(cannot_write(path, &error)),
    }
}

/// Writes a file whole or not at all. A pipe, or whatever else is not a regular file, is written to directly.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
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
    let name = path.file_name().unwrap_or_default().to_string_lossy();
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
    let mut file = temporary(folder_of(path))?;
    file.write_all(bytes)?;
    // The new file is on the disk before the old one goes, in case the power fails in between.
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
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
    let folder = folder_of(path).display();
    let (reason, remedy) = match error.kind() {
        io::ErrorKind::NotFound => (format!("there is no folder {folder}"), "make it or name another"),
        io::ErrorKind::NotADirectory => (format!("{folder} is not a folder"), "name a folder that exists"),
        io::ErrorKind::PermissionDenied => {
            (format!("the folder {folder} is not writable"), "name a folder that you may write to")
        }
        _ => (format!("cannot be written: {}", reason(error)), "name another place"),
    };
    Failure::of_file(path, &reason, remedy)
}
