//! `--kernel`: a changed version of one built-in kernel against it.

use std::path::Path;

use impasto::gpu::{Gpu, Kernel, Pipelines};
use impasto::ops::KERNELS;
use impasto::transfer::Engine;

use super::kernel_time::per_kernel;
use super::report::short;
use super::run::{self, Checker, MEASURING};
use super::subjects::{Trial, is_wanted};
use crate::cli::busy::Busy;
use crate::cli::{Failure, Result, files, print, table::table};

/// Bytes; far more than a kernel's text takes.
const TEXT_LIMIT: u64 = 1 << 20;
/// How often each of the two is timed. They take turns, so that other work on the machine slows both; the shortest
/// median counts.
const TURNS: usize = 3;
/// How many names are suggested for an unknown one.
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
            Failure::of_file(path, &format!("the file is not text: {}", error.utf8_error()), hint)
        })?;
        Ok(Self { kernel, text })
    }

    /// Whether the kernel is one of plain loops.
    pub(super) fn is_naive(&self) -> bool {
        self.kernel.name.contains("naive")
    }

    /// Checks the changed kernel wherever a step runs it, then times both and prints the table.
    pub(super) async fn run(
        &self,
        engine: &Engine,
        trials: Vec<Trial>,
        filter: Option<&str>,
        busy: &Busy,
    ) -> Result<()> {
        let gpu = engine.gpu();
        let trials = self.own_trials(trials, filter);
        if trials.is_empty() {
            return Err(Failure::Failed(format!(
                "{}: no layer of a step runs this kernel on {}, or none that --filter names; try another adapter \
                 with --device, or leave --filter out",
                self.kernel.name,
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
            busy.detail(&format!("checking {}", trial.subject.checked.name));
            checker.check(gpu, &changed, trial).await?;
        }
        let mut rows = Vec::new();
        for trial in trials {
            busy.detail(&format!("timing {}", trial.subject.case.name));
            let [layer, op, shape] = trial.subject.label.columns();
            let [before, after] = self.medians(gpu, [&built_in, &changed], &trial).await?;
            let ratio = format!("{:.3}", after / before);
            rows.push([layer, op, shape, short(before * 1e3), short(after * 1e3), ratio]);
        }
        busy.end();
        print(&self.text(&gpu.summary().name, &rows, checker.largest_share()))
    }

    /// The trials that run this kernel, each op and shape once: several ways to run an op may have a kernel in common.
    fn own_trials(&self, mut trials: Vec<Trial>, filter: Option<&str>) -> Vec<Trial> {
        let name = self.kernel.name;
        let mut known = Vec::new();
        trials.retain(|trial| {
            let label = &trial.subject.label;
            let key = label.row(name);
            let is_own = trial.kernels().iter().any(|kernel| kernel.name == name)
                && is_wanted(filter, name, label.layer.as_deref())
                && !known.contains(&key);
            if is_own {
                known.push(key);
            }
            is_own
        });
        trials
    }

    /// The shortest median of this kernel with each of the pipelines, in seconds.
    async fn medians(&self, gpu: &Gpu, pipelines: [&Pipelines; 2], trial: &Trial) -> Result<[f64; 2]> {
        let mut executables = Vec::new();
        for pipelines in pipelines {
            let program = trial.program.clone();
            executables.push(run::timed(gpu, pipelines, &trial.subject.case, program).await?);
        }
        let mut medians = [f64::INFINITY; 2];
        for _ in 0..TURNS {
            for (median, executable) in medians.iter_mut().zip(&executables) {
                let measured = run::time(gpu, executable).await?;
                let kernels = per_kernel(executable.program(), &measured);
                let own = kernels.iter().find(|kernel| kernel.name == self.kernel.name);
                *median = own.map_or(*median, |kernel| median.min(kernel.seconds.median));
            }
        }
        Ok(medians)
    }

    /// The results for people.
    fn text(&self, adapter: &str, rows: &[[String; 6]], error_share: f64) -> String {
        let header = ["layer", "op", "shape", "built-in ms", "changed ms", "ratio"];
        format!(
            "{} on {adapter}\n\n{}\nms is the shortest median of {TURNS} turns; ratio is changed / built-in, below 1 \
             where the changed kernel is faster. Both were\ncompiled with run-time checks, which built-in \
             kernels otherwise run without. The changed kernel's values are right: at most {:.1} %\nof the allowed error.\n",
            self.kernel.name,
            table(&header, &header[3..], rows),
            100.0 * error_share
        )
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
