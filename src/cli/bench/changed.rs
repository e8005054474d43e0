//! `--kernel`: a changed version of one built-in kernel against it.

use std::fmt::Write;
use std::path::Path;

use impasto::gpu::{Kernel, Pipelines};
use impasto::ops::KERNELS;
use impasto::transfer::Engine;

use super::report::short;
use super::run::{self, Checker};
use super::subjects::Trial;
use super::{MEASURING, per_kernel, row_key};
use crate::cli::busy::Busy;
use crate::cli::{Failure, Result, files, print, table::table};

/// Far more than a kernel's text takes.
const TEXT_LIMIT: u64 = 1 << 20;
/// How often each of the two is timed, in turns, so that a machine that is busy now and then slows both. The
/// shorter median counts.
const TURNS: usize = 3;
/// How many names are offered in the place of one that is unknown.
const SUGGESTIONS: usize = 4;

/// A text in the place of a built-in kernel's.
#[derive(Debug)]
pub(super) struct Changed {
    kernel: &'static Kernel,
    text: String,
}

impl Changed {
    /// Reads the file; its name says which kernel it is a version of.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let Some(kernel) = KERNELS.iter().find(|kernel| kernel.name == stem) else {
            let mut near: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
            near.sort_by_key(|name| strsim::damerau_levenshtein(name, &stem));
            near.truncate(SUGGESTIONS);
            return Err(Failure::Usage(format!(
                "--kernel: {}: there is no built-in kernel {stem:?}; name the file after the one that it changes, \
                 such as {}",
                path.display(),
                near.join(", ")
            )));
        };
        let hint = "name a WGSL file with a changed version of a built-in kernel";
        let bytes = files::read(path, TEXT_LIMIT, hint)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Failure::of_file(path, &format!("this is no text: {}", error.utf8_error()), hint)
        })?;
        Ok(Self { kernel, text })
    }

    /// Whether the kernel is one of plain loops.
    pub(super) fn is_naive(&self) -> bool {
        self.kernel.name.contains("naive")
    }

    /// Checks the changed kernel wherever a step runs it, then times both.
    pub(super) async fn run(
        &self,
        engine: &Engine,
        trials: Vec<Trial>,
        filter: Option<&str>,
        busy: &Busy,
    ) -> Result<()> {
        let (gpu, name) = (engine.gpu(), self.kernel.name);
        let mut trials: Vec<Trial> = trials
            .into_iter()
            .filter(|trial| trial.kernels().iter().any(|kernel| kernel.name == name))
            .filter(|trial| super::wanted(filter, name, trial.subject.place.layer.as_deref()))
            .collect();
        // Several ways to run an op may have a kernel in common.
        let mut known = Vec::new();
        trials.retain(|trial| {
            let key = row_key(name, &trial.subject.place);
            !known.contains(&key) && {
                known.push(key);
                true
            }
        });
        if trials.is_empty() {
            return Err(Failure::Failed(format!(
                "{name}: no layer of a step runs this kernel on {}, or none that --filter names; try another \
                 adapter with --device, or leave --filter out",
                gpu.summary().name
            )));
        }
        // Both with run-time checks, so that only the text makes a difference.
        let (built_in, changed) = (Pipelines::default(), Pipelines::default());
        changed.replace(gpu, self.kernel, &self.text).await?;
        built_in.replace(gpu, self.kernel, &self.kernel.text()).await?;
        busy.stage(MEASURING);
        let mut checker = Checker::default();
        for trial in &trials {
            busy.tell(&format!("checking {}", trial.subject.checked.name));
            checker.check(gpu, &changed, trial).await?;
        }
        let mut rows = Vec::new();
        for trial in trials {
            let place = &trial.subject.place;
            busy.tell(&format!("timing {}", trial.subject.case.name));
            let case = &trial.subject.case;
            let mut executables = Vec::new();
            for pipelines in [&built_in, &changed] {
                executables.push(run::timed(gpu, pipelines, case, trial.program.clone()).await?);
            }
            let mut medians = [f64::INFINITY; 2];
            for _ in 0..TURNS {
                for (median, executable) in medians.iter_mut().zip(&executables) {
                    let measured = run::time(gpu, executable).await?;
                    let kernels = per_kernel(executable.program(), &measured);
                    let own = kernels.iter().find(|kernel| kernel.name == name);
                    *median = own.map_or(*median, |kernel| median.min(kernel.seconds.median));
                }
            }
            let [before, after] = medians;
            let [layer, op, shape] = place.columns();
            rows.push([
                layer,
                op,
                shape,
                short(before * 1e3),
                short(after * 1e3),
                format!("{:.3}", after / before),
            ]);
        }
        busy.end();
        let header = ["layer", "op", "shape", "built-in ms", "changed ms", "ratio"];
        let mut text = format!("{name} on {}\n\n", gpu.summary().name);
        text.push_str(&table(&header, &header[3..], &rows));
        let share = 100.0 * checker.largest_share();
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "\nms is the best median of three turns; ratio is changed / built-in, below 1 where the changed kernel is \
             faster. Both were\ncompiled with run-time checks, which a built-in kernel does without. The changed \
             kernel's values are right: at most {share:.1} %\nof the allowed error."
        );
        print(&text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_name_of_the_file_says_which_kernel_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relu_forward.wgsl");
        std::fs::write(&path, "text").unwrap();
        let changed = Changed::read(&path).unwrap();
        assert_eq!((changed.kernel.name, changed.text.as_str()), ("relu_forward", "text"));
        let Err(Failure::Usage(message)) = Changed::read(Path::new("relu_forwrad.wgsl")) else {
            panic!("unknown")
        };
        assert!(message.contains("such as relu_forward, "), "{message}");
    }
}
