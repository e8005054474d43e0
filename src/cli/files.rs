//! Reading files, and refusing outputs that would overwrite an input.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Failure, Result};

/// The bytes of the file at `path`, at most `limit`; `hint` is the remedy in the error.
pub(super) fn read(path: &Path, limit: u64, hint: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    if let Err(error) = read {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => "change its permissions or name another file",
            _ => hint,
        };
        return Err(Failure::of_file(path, &reason(&error), remedy));
    }
    if bytes.len() as u64 > limit {
        let reason = format!("the file is larger than {} MiB", limit >> 20);
        return Err(Failure::of_file(path, &reason, hint));
    }
    Ok(bytes)
}

/// A system error in words for people.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "the permissions do not allow it".to_owned(),
        io::ErrorKind::IsADirectory => "this is a folder".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}

/// Which file a path leads to, so that links and other spellings of one file are recognised. Only regular files and
/// names that are still free have an identity; a pipe or a terminal may be named twice.
#[derive(Clone, Debug)]
pub(super) struct FileIdentity {
    /// Without links, as far as it exists.
    path: PathBuf,
    /// Device and number, where the system has them.
    inode: Option<(u64, u64)>,
}

impl FileIdentity {
    /// The identity of `path`; `None` for what has none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        if let Ok(metadata) = fs::metadata(path) {
            let inode = inode(&metadata);
            return metadata.is_file().then(|| Some(Self { path: fs::canonicalize(path).ok()?, inode }))?;
        }
        let folder = fs::canonicalize(folder_of(path)).ok()?;
        Some(Self { path: folder.join(path.file_name()?), inode: None })
    }

    /// Whether both are the same file.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.inode.is_some() && self.inode == other.inode || spelling(&self.path) == spelling(&other.path)
    }

    /// The path without links, as far as it exists.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// File systems there take two spellings that differ in letter case for one name.
fn spelling(path: &Path) -> PathBuf {
    let one_case = cfg!(any(windows, target_os = "macos"));
    if one_case { path.to_string_lossy().to_lowercase().into() } else { path.to_owned() }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn inode(_metadata: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// The folder that a file lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file of the command line with the name of its argument.
pub(super) type Named<'a> = (&'static str, &'a Path);

/// Refuses an output that is an input or another output.
pub(super) fn refuse_overlap(inputs: &[Named<'_>], outputs: &[Named<'_>]) -> Result<()> {
    for (index, (option, path)) in outputs.iter().enumerate() {
        let Some(identity) = FileIdentity::of(path) else { continue };
        for (other_option, other) in inputs.iter().chain(&outputs[..index]) {
            if FileIdentity::of(other).is_some_and(|other| other.is(&identity)) {
                return Err(overlap(path, option, other_option));
            }
        }
    }
    Ok(())
}

/// The error for an output that is also something else.
pub(super) fn overlap(path: &Path, option: &str, other: &str) -> Failure {
    let reason = format!("{option} names the same file as {other}, which would be lost");
    Failure::of_file(path, &reason, &format!("give {option} another name"))
}
