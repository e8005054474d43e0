//! The report, for people and for machines.

use std::collections::BTreeSet;
use std::fmt::Write;

use impasto::cases::examine::KernelReport;
use impasto::cases::golden::Check;
use impasto::gpu::{DeviceRequest, Gpu};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::variants::Variants;
use crate::cli::progress::duration;
use crate::cli::table::table;
use crate::cli::{Failure, Result, devices};

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    adapter: String,
    driver: String,
    backend: String,
    #[serde(serialize_with = "as_map")]
    limits: Vec<(&'static str, u64)>,
    variants: Variants,
    kernels: Vec<KernelRow>,
    #[serde(serialize_with = "golden_as_map")]
    golden: Vec<GoldenRun>,
    pass: bool,
    #[serde(skip)]
    kind: &'static str,
    #[serde(skip)]
    request: DeviceRequest,
    /// Seconds that everything took together.
    #[serde(skip)]
    seconds: f64,
}

/// `share` is null where an element is not finite, something was written that should not be, or nothing was compared;
/// `error` says what failed.
#[derive(Debug, Serialize)]
struct KernelRow {
    kernel: String,
    variant: &'static str,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
struct Outcome {
    share: Option<f64>,
    pass: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The golden run by one algorithm.
#[derive(Debug)]
pub(super) struct GoldenRun {
    pub(super) name: &'static str,
    /// The algorithm that runs the same kernels on this device, where one was run before; there are no checks then.
    pub(super) same_as: Option<&'static str>,
    pub(super) checks: Vec<GoldenCheck>,
}

#[derive(Debug)]
pub(super) struct GoldenCheck {
    name: String,
    outcome: Outcome,
}

impl GoldenCheck {
    pub(super) fn new(check: &Check) -> Self {
        let worst = check.worst();
        let outcome = Outcome {
            share: Some(worst.worst_share).filter(|share| share.is_finite()),
            pass: worst.passes(),
            seconds: check.seconds,
            error: (!worst.passes()).then(|| worst.to_string()),
        };
        Self { name: check.name.clone(), outcome }
    }

    pub(super) fn not_done(name: &str, reason: &str) -> Self {
        let outcome = Outcome { share: None, pass: false, seconds: 0.0, error: Some(reason.to_owned()) };
        Self { name: name.to_owned(), outcome }
    }
}

impl From<&KernelReport> for KernelRow {
    fn from(report: &KernelReport) -> Self {
        let worst = report.worst.as_ref();
        let wrong = worst.filter(|worst| !worst.passes()).map(ToString::to_string);
        Self {
            kernel: report.family.clone(),
            variant: report.kernel.name,
            outcome: Outcome {
                share: worst.map(|worst| worst.worst_share).filter(|share| share.is_finite()),
                pass: report.passes(),
                seconds: report.seconds,
                error: report.error.clone().or(wrong),
            },
        }
    }
}

impl Report {
    /// The report before anything has run; `runnable` are the kernels that any case runs on this device.
    pub(super) fn new(gpu: &Gpu, request: DeviceRequest, runnable: &BTreeSet<&str>) -> Self {
        let summary = gpu.summary();
        let limits = gpu.limits();
        Self {
            adapter: summary.name.clone(),
            driver: summary.driver.clone(),
            backend: summary.backend.clone(),
            limits: vec![
                ("max_buffer_size", limits.max_buffer_size),
                ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
                ("max_uniform_buffer_binding_size", limits.max_uniform_buffer_binding_size),
                ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
                ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
                (
                    "max_compute_invocations_per_workgroup",
                    limits.max_compute_invocations_per_workgroup.into(),
                ),
                ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x.into()),
                ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
                ("min_storage_buffer_offset_alignment", limits.min_storage_buffer_offset_alignment.into()),
                ("min_uniform_buffer_offset_alignment", limits.min_uniform_buffer_offset_alignment.into()),
            ],
            variants: Variants::of(gpu, runnable),
            kernels: Vec::new(),
            golden: Vec::new(),
            pass: false,
            kind: devices::kind(summary.device_type),
            request,
            seconds: 0.0,
        }
    }

    /// The whole report, of an examination that took `seconds`.
    pub(super) fn finish(mut self, reports: &[KernelReport], golden: Vec<GoldenRun>, seconds: f64) -> Self {
        self.kernels = reports.iter().map(KernelRow::from).collect();
        self.golden = golden;
        self.seconds = seconds;
        self.pass = self.failures() == 0;
        self
    }

    /// How many checks failed.
    pub(super) fn failures(&self) -> usize {
        let failed = |outcome: &&Outcome| !outcome.pass;
        self.outcomes().filter(failed).count() + usize::from(self.variants.error.is_some())
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        let golden = self.golden.iter().flat_map(|run| &run.checks).map(|check| &check.outcome);
        self.kernels.iter().map(|row| &row.outcome).chain(golden)
    }

    /// For machines.
    pub(super) fn json(&self) -> Result<Vec<u8>> {
        let mut json =
            serde_json::to_vec_pretty(self).map_err(|error| Failure::Failed(format!("--json: {error}")))?;
        json.push(b'\n');
        Ok(json)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("impasto {} doctor\n\n", env!("CARGO_PKG_VERSION"));
        let opened = match self.request {
            DeviceRequest::Full => "with everything that the adapter has",
            DeviceRequest::Portable => {
                "with the limits that WebGPU guarantees everywhere, and no optional feature"
            }
        };
        let unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        let facts = [
            ("adapter", self.adapter.clone()),
            ("kind", self.kind.to_owned()),
            ("backend", self.backend.clone()),
            ("driver", unknown(&self.driver)),
            ("opened", opened.to_owned()),
        ];
        // Writing to a String does not fail.
        for (name, value) in facts.into_iter().chain(self.variants.lines()) {
            let _ = writeln!(text, "{name:<10} {value}");
        }
        for (index, (name, value)) in self.limits.iter().enumerate() {
            let title = if index == 0 { "limits" } else { "" };
            let _ = writeln!(text, "{title:<10} {name} {value}");
        }
        let _ = writeln!(text, "\n{}", self.variants.text());
        if !self.kernels.is_empty() {
            let rows: Vec<[String; 5]> = self.kernels.iter().map(kernel_row).collect();
            let header = ["kernel", "variant", "% of allowed", "s", "result"];
            text.push_str("Every kernel against plain loops on the CPU:\n\n");
            text.push_str(&table(&header, &header[2..4], &rows));
            text.push('\n');
        }
        if !self.golden.is_empty() {
            let rows: Vec<[String; 5]> = self.golden.iter().flat_map(golden_rows).collect();
            let header = ["algorithm", "check", "% of allowed", "s", "result"];
            text.push_str("The golden run at 97x75 against an independent program:\n\n");
            text.push_str(&table(&header, &header[2..4], &rows));
            text.push('\n');
        }
        text.push_str(&self.conclusion());
        text
    }

    /// The failures with their reasons, and the last line.
    fn conclusion(&self) -> String {
        let kernels = self.kernels.iter().map(|row| (row.variant.to_owned(), &row.outcome));
        let golden = self.golden.iter().flat_map(|run| {
            run.checks
                .iter()
                .map(|check| (format!("golden run, {}, {}", run.name, check.name), &check.outcome))
        });
        let failed: Vec<(String, &str)> = kernels
            .chain(golden)
            .filter_map(|(name, outcome)| Some((name, outcome.error.as_deref()?)))
            .collect();
        let mut text = String::new();
        // A lost device fails many checks for one reason.
        for alike in failed.chunk_by(|a, b| a.1 == b.1) {
            let names: Vec<&str> = alike.iter().map(|(name, _)| name.as_str()).collect();
            let _ = writeln!(text, "{}: {}\n", names.join("; "), alike[0].1);
        }
        let (checks, took) = (self.outcomes().count(), duration(self.seconds));
        let _ = match self.failures() {
            0 => writeln!(text, "All {checks} checks pass, in {took}."),
            failures => writeln!(text, "{failures} of {checks} checks FAILED, in {took}."),
        };
        text
    }
}

fn columns(outcome: &Outcome) -> [String; 3] {
    let share = outcome.share.map_or_else(|| "–".to_owned(), |share| format!("{:.2}", 100.0 * share));
    let result = if outcome.pass { "ok" } else { "FAILED" };
    [share, format!("{:.2}", outcome.seconds), result.to_owned()]
}

fn kernel_row(row: &KernelRow) -> [String; 5] {
    let [share, seconds, result] = columns(&row.outcome);
    [row.kernel.clone(), row.variant.to_owned(), share, seconds, result]
}

fn golden_rows(run: &GoldenRun) -> Vec<[String; 5]> {
    if let Some(same) = run.same_as {
        let what = format!("the same kernels as {same}");
        return vec![[run.name.to_owned(), what, "–".into(), "–".into(), "–".into()]];
    }
    let row = |check: &GoldenCheck| {
        let [share, seconds, result] = columns(&check.outcome);
        [run.name.to_owned(), check.name.clone(), share, seconds, result]
    };
    run.checks.iter().map(row).collect()
}

fn as_map<S: Serializer>(pairs: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

/// {algorithm: {check: outcome}}, without algorithms that were not run.
fn golden_as_map<S: Serializer>(runs: &[GoldenRun], serializer: S) -> Result<S::Ok, S::Error> {
    let run = runs.iter().filter(|run| run.same_as.is_none());
    let mut map = serializer.serialize_map(None)?;
    for run in run {
        map.serialize_entry(run.name, run)?;
    }
    map.end()
}

impl Serialize for GoldenRun {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.checks.iter().map(|check| (&check.name, &check.outcome)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    use impasto::cases::compare::compare;
    use impasto::ops::KERNELS;
    use serde_json::{Value, json};

    fn kernel_report(got: Option<f64>, error: Option<&str>) -> KernelReport {
        KernelReport {
            family: "family".into(),
            kernel: KERNELS[0],
            worst: got.map(|got| compare("y", &[got], &[1.0], 0.5, 0.0)),
            error: error.map(str::to_owned),
            seconds: 0.25,
        }
    }

    fn golden(got: f64) -> GoldenRun {
        let parts = vec![compare("activation", &[got], &[1.0], 0.5, 0.0)];
        let check = Check { name: "activations".into(), parts, seconds: 2.0 };
        GoldenRun { name: "auto", same_as: None, checks: vec![GoldenCheck::new(&check)] }
    }

    fn report(reports: &[KernelReport], golden: Vec<GoldenRun>) -> (Report, Value) {
        let gpu = pollster::block_on(Gpu::open(None)).unwrap();
        let report = Report::new(&gpu, DeviceRequest::Full, &BTreeSet::new());
        let report = report.finish(reports, golden, 3.0);
        let json = serde_json::from_slice(&report.json().unwrap()).unwrap();
        (report, json)
    }

    #[test]
    fn what_passes_says_how_well() {
        let (report, json) = report(&[kernel_report(Some(1.25), None)], vec![golden(1.0)]);
        assert_eq!(report.failures(), 0);
        let row = json!({
            "kernel": "family", "variant": KERNELS[0].name, "share": 0.5, "pass": true, "seconds": 0.25
        });
        assert_eq!((&json["kernels"], &json["pass"]), (&json!([row]), &json!(true)));
        let check = json!({"share": 0.0, "pass": true, "seconds": 2.0});
        assert_eq!(json["golden"], json!({"auto": {"activations": check}}));
        assert!(report.text().ends_with("All 2 checks pass, in 3.0 s.\n"), "{}", report.text());
    }

    #[test]
    fn what_fails_says_why() {
        let same = GoldenRun { name: "winograd", same_as: Some("auto"), checks: Vec::new() };
        let stopped = GoldenRun {
            name: "gemm",
            same_as: None,
            checks: ["gradient", "start"]
                .map(|name| GoldenCheck::not_done(name, "the device was lost: it fell"))
                .into(),
        };
        let reports = [
            kernel_report(Some(1.25), None),
            kernel_report(Some(2.5), None),
            kernel_report(Some(f64::NAN), None),
            kernel_report(Some(1.0), Some("it does not compile")),
            kernel_report(None, Some("nothing runs it")),
        ];
        let (report, json) = report(&reports, vec![golden(9.0), same, stopped]);
        assert_eq!((report.failures(), &json["pass"]), (7, &json!(false)));
        let rows = json["kernels"].as_array().unwrap();
        let shares: Vec<&Value> = rows.iter().map(|row| &row["share"]).collect();
        assert_eq!(shares, [&json!(0.5), &json!(3.0), &Value::Null, &json!(0.0), &Value::Null]);
        let passes: Vec<&Value> = rows.iter().map(|row| &row["pass"]).collect();
        assert_eq!(passes, [&json!(true), &json!(false), &json!(false), &json!(false), &json!(false)]);
        let error = |index: usize| rows[index]["error"].as_str().unwrap();
        assert_eq!(
            (rows[0].get("error"), error(3), error(4)),
            (None, "it does not compile", "nothing runs it")
        );
        assert!(error(1).contains("2.5e0 where 1e0 ± 5.0e-1 was expected"), "{}", error(1));
        assert!(error(2).contains("NaN"), "{}", error(2));
        let golden = json["golden"].as_object().unwrap();
        assert_eq!(golden.keys().collect::<Vec<_>>(), ["auto", "gemm"]);
        assert_eq!(golden["gemm"]["gradient"]["error"], "the device was lost: it fell");
        let text = report.text();
        for part in
            ["it does not compile", "nothing runs it", "it fell", "the same kernels as auto", "FAILED"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches("it fell").count(), 1, "one reason is given once: {text}");
        assert!(text.ends_with("7 of 8 checks FAILED, in 3.0 s.\n"), "{text}");
    }
}
