//! Reading files, and refusing outputs that would overwrite an input.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::{Failure, Result};

/// Whether a path stands for standard input, where it is read, or for standard output. A file of this name is `./-`.
pub(super) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What messages call a file that is read.
pub(super) fn shown(path: &Path) -> String {
    if is_standard(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// The bytes of the file at `path`, at most `limit`; `hint` is the remedy in the error.
pub(super) fn read(path: &Path, limit: u64, hint: &str) -> Result<Vec<u8>> {
    let failed = |reason: &str, remedy: &str| Failure::Failed(format!("{}: {reason}; {remedy}", shown(path)));
    let (mut bytes, most) = (Vec::new(), limit.saturating_add(1));
    let read = if is_standard(path) {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Err(failed(
                "it is a terminal",
                "name a file in place of -, or pipe one into the command",
            ));
        }
        stdin.lock().take(most).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    if let Err(error) = read {
        let not_replaced = unexpanded(path).filter(|_| error.kind() == io::ErrorKind::NotFound);
        return Err(match (error.kind(), not_replaced) {
            (_, Some((reason, remedy))) => failed(&reason, remedy),
            (io::ErrorKind::PermissionDenied, _) => {
                failed(&reason(&error), "change its permissions or name another file")
            }
            _ => failed(&reason(&error), hint),
        });
    }
    if bytes.len() as u64 > limit {
        return Err(failed(&format!("the file is larger than {} MiB", limit >> 20), hint));
    }
    Ok(bytes)
}

/// What is wrong with a path that a shell was to complete, and what to do; `None` where nothing in it looks so. Shells do not
/// replace what is quoted, nor a tilde behind a sign of equality.
pub(super) fn unexpanded(path: &Path) -> Option<(String, &'static str)> {
    let text = path.to_str()?;
    let first = path.components().next()?.as_os_str().to_str()?;
    let variable = text.split_once('$').map(|(_, rest)| rest.trim_start_matches('{'));
    if first.starts_with('~') {
        let remedy = "write it without quotes and not behind a sign of equality, or $HOME in its place";
        return Some((format!("the shell did not replace {first}, and no folder is called so"), remedy));
    }
    variable.filter(|name| name.starts_with(|sign: char| sign.is_alphabetic() || sign == '_'))?;
    Some((
        "the shell did not replace what begins with $".to_owned(),
        "write it without quotes, or in double ones",
    ))
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
        io::ErrorKind::BrokenPipe => "the program that reads it has ended".to_owned(),
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
        if is_standard(path) {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_left_is_seen() {
        let reason = |path: &str| unexpanded(Path::new(path)).map(|(reason, _)| reason);
        for (path, said) in
            [("~/x.png", "replace ~,"), ("~anna/x.png", "replace ~anna,"), ("$HOME/x.png", "with $")]
        {
            assert!(reason(path).is_some_and(|reason| reason.contains(said)), "{path}");
        }
        assert!(reason("${HOME}/x.png").is_some() && reason("a/$USER.png").is_some());
        for path in ["x~.png", "a/~/x.png", "5$.png", "$", "", "./~x.png"] {
            assert_eq!(reason(path), None, "{path}");
        }
    }
}
