//! Mesa's software driver beside the system's, in the user's cache: `scripts/ensure-vulkan.sh` unpacks it there where the
//! system's is slow, and the command takes it where there is no GPU.

/// Starts the program again, in the same process, where the driver's loader needs other environment variables: it reads them
/// only when a process begins. Goes on as it is where that is not needed, or not possible.
#[cfg(target_os = "linux")]
pub(super) fn use_driver_beside() {
    use std::os::unix::process::CommandExt;

    let changes = linux::changes(&|name| std::env::var_os(name), linux::has_gpu());
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    if changes.is_empty() {
        return;
    }
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Returns only where it fails.
    let _ = command.args(arguments).envs(changes).exec();
}

/// Other systems bring their own graphics interface.
#[cfg(not(target_os = "linux"))]
pub(super) fn use_driver_beside() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Folders of drivers under the cache, as in `scripts/driver-beside.sh`.
    const FOLDER: &str = "impasto/mesa";
    /// What names drivers to Vulkan's loader. Loaders older than 1.3.207 know only the second.
    const DRIVERS: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
    const LIBRARIES: &str = "LD_LIBRARY_PATH";

    /// Whether there may be a GPU, whose driver is the system's.
    pub(super) fn has_gpu() -> bool {
        let mut nodes = fs::read_dir("/dev/dri").into_iter().flatten().flatten();
        let is_renderer =
            |node: fs::DirEntry| node.file_name().to_str().is_some_and(|name| name.starts_with("renderD"));
        nodes.any(is_renderer) || ["/dev/nvidia0", "/dev/dxg"].iter().any(|node| Path::new(node).exists())
    }

    /// The environment variables that have to change, with their new values.
    pub(super) fn changes(
        variable: &dyn Fn(&str) -> Option<OsString>,
        has_gpu: bool,
    ) -> Vec<(&'static str, OsString)> {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut changes = Vec::new();
        // Mesa's layer that sorts devices asks a display that is not there, and calls that an error.
        let sorts = ["NODEVICE_SELECT", "MESA_VK_DEVICE_SELECT", "XDG_RUNTIME_DIR"];
        if sorts.iter().all(|name| value(name).is_none()) {
            changes.push((sorts[0], "1".into()));
        }
        let is_named = DRIVERS.iter().any(|name| value(name).is_some());
        let cache = value("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&value("HOME")?).join(".cache")));
        let folder = cache.map(|cache| cache.join(FOLDER)).filter(|folder| folder.join("icd.json").is_file());
        if let Some(folder) = folder.filter(|_| !has_gpu && !is_named) {
            changes.extend(DRIVERS.map(|name| (name, folder.join("icd.json").into_os_string())));
            let mut libraries = folder.join("lib").into_os_string();
            if let Some(others) = value(LIBRARIES) {
                libraries.push(":");
                libraries.push(others);
            }
            changes.push((LIBRARIES, libraries));
        }
        changes
    }

    #[cfg(test)]
    mod tests {
        #![allow(clippy::unwrap_used)]
        use super::*;

        fn changed(variables: &[(&str, &str)], has_gpu: bool) -> Vec<(&'static str, String)> {
            let variable = |name: &str| {
                variables.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
            };
            let changes = changes(&variable, has_gpu).into_iter();
            changes.map(|(name, value)| (name, value.into_string().unwrap())).collect()
        }

        #[test]
        fn a_driver_beside_is_taken_where_none_is_named_and_no_gpu_is_here() {
            let home = tempfile::tempdir().unwrap();
            let home_path = home.path().to_str().unwrap();
            let cache = home.path().join(".cache");
            let runtime = ("XDG_RUNTIME_DIR", "/run/user/1");
            let here = [runtime, ("HOME", home_path)];
            assert_eq!(changed(&here, false), []);
            fs::create_dir_all(cache.join(FOLDER)).unwrap();
            assert_eq!(changed(&here, false), []);
            fs::write(cache.join(FOLDER).join("icd.json"), "{}").unwrap();

            let manifest = format!("{home_path}/.cache/impasto/mesa/icd.json");
            let libraries = format!("{home_path}/.cache/impasto/mesa/lib");
            let drivers = || DRIVERS.map(|name| (name, manifest.clone()));
            let expected = [&drivers()[..], &[(LIBRARIES, libraries.clone())]].concat();
            assert_eq!(changed(&here, false), expected);
            let cache = cache.to_str().unwrap();
            let with =
                |more: (&'static str, &str)| changed(&[runtime, ("XDG_CACHE_HOME", cache), more], false);
            assert_eq!(with(("HOME", "/nowhere")), expected);
            let both = [&drivers()[..], &[(LIBRARIES, format!("{libraries}:/opt/lib"))]].concat();
            assert_eq!(with((LIBRARIES, "/opt/lib")), both);
            // An empty value names nothing.
            assert_eq!(with((DRIVERS[0], "")), expected);
            for name in DRIVERS {
                assert_eq!(with((name, "/other.json")), []);
            }
            assert_eq!(changed(&here, true), []);
        }

        #[test]
        fn mesas_layer_is_switched_off_where_there_is_no_session() {
            let off = [("NODEVICE_SELECT", "1".to_owned())];
            assert_eq!(changed(&[], true), off);
            assert_eq!(changed(&[("XDG_RUNTIME_DIR", "")], true), off);
            assert_eq!(changed(&[("MESA_VK_DEVICE_SELECT", "1002:73bf")], true), []);
            // So the program does not start itself for ever.
            assert_eq!(changed(&[("NODEVICE_SELECT", "1")], true), []);
        }
    }
}
