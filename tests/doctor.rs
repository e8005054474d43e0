//! `impasto doctor`: that its report is whole and true, and that it notices what is wrong.
#![cfg(all(feature = "cli", feature = "embedded-weights"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
#[cfg(target_os = "linux")]
use common::fault::{Fault, FaultLayer, Report};
use impasto::cases::examine::{KernelReport, examine};
use impasto::cases::golden::{self, Allowed};
use impasto::cases::{self, Case, Fill, Input, Step, Tolerance};
use impasto::gpu::{Binding, DeviceRequest, Gpu, Kernel, Params, Pipelines};
use impasto::graph::Role;
use impasto::nn::Weights;
use impasto::ops::add::Accumulate;
use impasto::ops::{Capabilities, Dispatch, Io, KERNELS, Lowered, Op, Operand, Shape};
use impasto::transfer::Engine;
use impasto::wgpu;
use pollster::block_on;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use serde_json::Value;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_impasto"));
    command.current_dir(folder).arg("doctor").args(arguments);
    command
}

fn doctor(folder: &Path, arguments: &[&str]) -> Assert {
    command(folder, arguments).assert()
}

fn read(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<const N: usize>(mut keys: [&str; N]) -> Vec<&str> {
    keys.sort_unstable();
    keys.to_vec()
}

/// A kernel that passes uses some share of the allowed error in some time.
#[track_caller]
fn passes(row: &Value) {
    assert_eq!(row["pass"], true, "{row}");
    assert!((0.0..=1.0).contains(&row["share"].as_f64().unwrap()), "{row}");
    assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
}

// ---- The command ----

#[test]
fn a_report_of_a_few_kernels_passes() {
    let folder = tempfile::tempdir().unwrap();
    let assert = doctor(folder.path(), &["--filter", "pool_", "--json", "report.json"]).success();
    // A pipe: a line for each stage.
    let assert = assert.stderr(contains("compiling the kernels\n").and(contains("cases of pool_forward\n")));
    let gpu = block_on(Gpu::open(None)).unwrap();
    let summary = gpu.summary();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    for fact in [&summary.name, &summary.driver, &summary.backend] {
        assert!(text.contains(fact.as_str()), "{fact}: {text}");
    }
    assert!(text.contains("All 4 checks pass"), "{text}");

    let report = read(folder.path(), "report.json");
    assert_eq!(
        keys(&report),
        sorted(["adapter", "driver", "backend", "limits", "variants", "kernels", "golden", "pass"])
    );
    assert_eq!(report["adapter"], summary.name.as_str());
    assert_eq!(report["limits"]["max_buffer_size"], gpu.limits().max_buffer_size);
    let rows = report["kernels"].as_array().unwrap();
    let names = ["pool_forward", "pool_backward", "max_pool_forward", "max_pool_backward"];
    for (row, name) in rows.iter().zip(names) {
        assert_eq!(keys(row), sorted(["kernel", "variant", "share", "pass", "seconds"]));
        assert_eq!((&row["kernel"], &row["variant"]), (&name.into(), &name.into()));
        passes(row);
    }
    assert_eq!((rows.len(), &report["golden"], &report["pass"]), (4, &serde_json::json!({}), &true.into()));

    // What is chosen is what the plan says.
    let variants = &report["variants"];
    assert_eq!(
        keys(variants),
        sorted(["class", "subgroups", "features", "convolutions", "kernels", "not_usable"])
    );
    let convolutions = variants["convolutions"].as_object().unwrap();
    // conv1_1 to conv5_1, both ways.
    assert_eq!(convolutions.len(), 2 * 13, "{variants}");
    assert!(convolutions["conv1_1 forward"].as_str().unwrap().starts_with("direct"), "{variants}");
    let capabilities = Capabilities::of(summary);
    let usable = |name: &str| KERNELS.iter().any(|kernel| kernel.name == name && capabilities.allows(kernel));
    assert!(variants["kernels"].as_array().unwrap().iter().all(|name| usable(name.as_str().unwrap())));
    assert!(keys(&variants["not_usable"]).iter().all(|name| !usable(name)), "{variants}");
}

#[test]
fn a_portable_device_has_no_features_and_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--portable", "--filter", "gram_", "--json", "report.json", "--quiet"];
    let assert = doctor(folder.path(), &arguments).success().stderr(is_empty());
    assert.stdout(contains("subgroups  none").and(contains("Not usable: gram_forward_subgroup")));
    let report = read(folder.path(), "report.json");
    let variants = &report["variants"];
    assert_eq!((&variants["subgroups"], &variants["features"]), (&Value::Null, &serde_json::json!([])));
    assert!(report["limits"]["max_storage_buffer_binding_size"].as_u64().unwrap() <= 128 << 20, "{report}");
    let reason = variants["not_usable"]["gram_backward_subgroup"].as_str().unwrap();
    assert!(reason.contains("for subgroups of 8 lanes"), "{reason}");
    let rows = report["kernels"].as_array().unwrap();
    let names = rows.iter().map(|row| row["variant"].as_str().unwrap());
    // The filter finds histograms, too.
    let names: Vec<&str> = names.filter(|name| !name.starts_with("histogram_")).collect();
    // What only prepares for a subgroup kernel is not run without it.
    assert!(variants["not_usable"]["gram_backward_weights"].as_str().unwrap().contains("not usable"));
    assert_eq!(
        names,
        [
            "gram_forward_naive",
            "gram_forward_tile",
            "gram_reduce",
            "gram_backward_naive",
            "gram_backward_tile",
        ]
    );
    rows.iter().for_each(passes);
}

#[test]
fn the_golden_run_is_a_part_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--filter", "golden auto", "--json", "report.json"];
    doctor(folder.path(), &arguments).success().stdout(contains("The golden run at 97x75"));
    let report = read(folder.path(), "report.json");
    assert_eq!((&report["kernels"], &report["pass"]), (&serde_json::json!([]), &true.into()));
    let checks = &report["golden"]["auto"];
    let wanted = [
        "activations",
        "grams",
        "gradient",
        "start",
        "costs after 1",
        "pixels after 1",
        "costs after 5",
        "pixels after 5",
        "costs after 20",
        "pixels after 20",
    ];
    assert_eq!((keys(&report["golden"]), keys(checks)), (vec!["auto"], sorted(wanted)));
    for check in checks.as_object().unwrap().values() {
        assert_eq!(keys(check), sorted(["share", "pass", "seconds"]));
        passes(check);
    }
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |code: i32, arguments: &[&str], message: &str| {
        let assert = doctor(folder.path(), arguments).code(code).stdout(is_empty());
        assert.stderr(starts_with("error: ").and(contains(message)));
    };
    refused(
        2,
        &["--filter", "conv9"],
        "no kernel's name contains \"conv9\"; give golden or, for one algorithm, \"golden auto\" to check",
    );
    refused(2, &["--filter", "golden fft"], "to check the golden run");
    refused(2, &["--filter", "conv9"], "conv_gemm_tile8, ");
    refused(1, &["--portable", "--filter", "conv_gemm_subgroup"], "this device has none; choose other");
    refused(1, &["--json", "gone/report.json"], "there is no folder gone");
    refused(1, &["--device", "no such adapter"], "no adapter is called");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

// ---- What it notices ----

fn kernel(name: &str) -> &'static Kernel {
    KERNELS.iter().find(|kernel| kernel.name == name).unwrap()
}

/// The kernel's text with one change.
fn changed(kernel: &Kernel, from: &str, to: &str) -> String {
    let text = kernel.text();
    assert!(text.contains(from), "{}", kernel.name);
    text.replace(from, to)
}

fn of<'a>(reports: &'a [KernelReport], name: &str) -> &'a KernelReport {
    reports.iter().find(|report| report.kernel.name == name).unwrap()
}

#[test]
fn a_kernel_that_computes_something_else_is_named() {
    block_on(async {
        let (gpu, pipelines) = (Gpu::open(None).await.unwrap(), Pipelines::default());
        let kernels = ["pool_forward", "pool_backward", "relu_forward"].map(kernel);
        // Right but where a window hangs over the edge.
        let text = changed(kernels[0], "sum / cells", "sum * 0.25");
        pipelines.replace(&gpu, kernels[0], &text).await.unwrap();
        let reports = examine(&gpu, &pipelines, &cases::all(), &kernels, |_| {}).await;
        assert_eq!(reports.len(), 3);
        let wrong = of(&reports, "pool_forward");
        let worst = wrong.worst.as_ref().unwrap();
        assert!(!wrong.passes() && wrong.error.is_none() && worst.worst_share > 1.0, "{wrong:?}");
        assert!(worst.name.starts_with("pool_forward "), "{worst}");
        let reason =
            cases::all().into_iter().find(|case| case.family == "pool_forward").unwrap().tolerance.reason;
        assert!(
            worst.to_string().ends_with(reason),
            "a wrong kernel is reported with what was allowed: {worst}"
        );
        for right in ["pool_backward", "relu_forward"] {
            assert!(of(&reports, right).passes(), "{reports:?}");
        }
    });
}

/// A kernel that no compiler takes.
static BROKEN: Kernel = Kernel {
    name: "broken_forward",
    file: "broken/broken_forward.wgsl",
    source: "@compute @workgroup_size(64) fn main() { this is no WGSL }",
    edits: &[],
    params: &[],
    bindings: &[Binding::read("x"), Binding::write("y")],
    workgroup: 64,
    tile: &[],
    subgroup: None,
};

#[derive(Debug)]
struct Broken;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Nothing;

impl Params for Nothing {
    const FIELDS: &'static [&'static str] = &[];
}

impl Op for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn output_shape(&self, inputs: &[Shape]) -> impasto::Result<Shape> {
        Ok(inputs[0])
    }

    fn lower(&self, _io: &Io<'_>, _capabilities: &Capabilities) -> impasto::Result<Lowered> {
        let operands = vec![Operand::input(0, 0), Operand::output(0)];
        let dispatch = Dispatch::new(&BROKEN, Nothing, operands, 1, 0);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}

#[test]
fn a_kernel_that_does_not_compile_fails_alone() {
    let input = |shape| Input { shape, role: Role::Workspace, fill: Fill::Between(-1.0, 1.0) };
    let shape = Shape::new(3, 5, 7);
    let broken = Case {
        name: "broken_forward 3×5×7".into(),
        family: "broken_forward",
        inputs: vec![input(shape)],
        steps: vec![Step { op: Arc::new(Broken), inputs: vec![0] }],
        repeats: 1,
        pieces: 1,
        tolerance: Tolerance { atol: 0.0, rtol: 0.0, reason: "it never runs" },
    };
    let op: Arc<dyn Op> = Arc::new(Accumulate);
    let cases = [broken, cases::case_of(&op, &[shape, shape])];
    block_on(async {
        let gpu = Gpu::open(None).await.unwrap();
        let kernels = [&BROKEN, kernel("accumulate"), kernel("copy")];
        let reports = examine(&gpu, &Pipelines::default(), &cases, &kernels, |_| {}).await;
        let error = |name: &str| of(&reports, name).error.clone();
        let said = error("broken_forward").unwrap();
        assert!(said.contains("compiling the kernel broken_forward"), "{said}");
        assert!(of(&reports, "accumulate").passes(), "{reports:?}");
        // Not a word about what was never run would be a pass that proves nothing.
        let said = error("copy").unwrap();
        assert!(said.contains("none of the cases runs it"), "{said}");
        assert!(!of(&reports, "copy").passes());
    });
}

#[test]
fn kernels_that_are_compiled_together_are_blamed_one_by_one() {
    let [add, pool] = ["add", "pool_forward"].map(kernel);
    block_on(async {
        let (gpu, pipelines) = (Gpu::open(None).await.unwrap(), Pipelines::default());
        let error = pipelines.get_all(&gpu, &[add, &BROKEN, pool]).await.unwrap_err().to_string();
        assert!(error.contains("compiling the kernel broken_forward"), "{error}");
        let alone = pipelines.get(&gpu, &BROKEN).await.unwrap_err().to_string();
        assert_eq!(error, alone);
        let built = pipelines.get_all(&gpu, &[pool, add, pool]).await.unwrap();
        assert!(built.len() == 3 && Arc::ptr_eq(&built[0], &built[2]) && !Arc::ptr_eq(&built[0], &built[1]));
        assert!(Arc::ptr_eq(&built[1], &pipelines.get(&gpu, add).await.unwrap()));
    });
}

/// The rest of the report says why it is not there, and the report is written all the same.
#[cfg(target_os = "linux")]
#[test]
fn a_lost_device_is_a_part_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let run = |fault: Fault| {
        let mut command = command(folder.path(), &["--filter", "squared", "--json", "report.json"]);
        FaultLayer::get().cause(&mut command, fault, &seen).timeout(Duration::from_secs(120));
        let assert = command.assert();
        let report = Report::read(&seen);
        std::fs::remove_file(&seen).unwrap();
        (assert, report)
    };
    let (assert, whole) = run(Fault::None);
    assert.success();
    let middle = whole.submissions / 2;
    for fault in [Fault::LoseAt(1), Fault::LoseAt(middle), Fault::HangAt(middle)] {
        let (assert, seen) = run(fault);
        assert!(seen.caused, "{fault:?}");
        let assert = assert.code(1).stdout(contains("checks FAILED"));
        assert.stderr(contains("failed; paste the report").and(contains("panicked").not()));
        let report = read(folder.path(), "report.json");
        assert_eq!(report["pass"], false, "{fault:?}");
        let rows = report["kernels"].as_array().unwrap();
        assert_eq!(rows.len(), 3);
        let failed: Vec<&Value> = rows.iter().filter(|row| row["pass"] == false).collect();
        // The forward kernels' cases come first.
        assert_eq!(failed.len(), if fault == Fault::LoseAt(1) { 3 } else { 1 }, "{fault:?}: {rows:?}");
        for row in failed {
            let error = row["error"].as_str().unwrap();
            assert!(error.contains("the device was lost"), "{fault:?}: {error}");
        }
    }
    let (assert, seen) = {
        let mut command = command(folder.path(), &["--filter", "golden auto", "--json", "report.json"]);
        FaultLayer::get().cause(&mut command, Fault::LoseAt(30), &seen).timeout(Duration::from_secs(120));
        let assert = command.assert();
        (assert, Report::read(&seen))
    };
    assert!(seen.caused);
    assert.code(1);
    let checks = &read(folder.path(), "report.json")["golden"]["auto"];
    assert_eq!(checks.as_object().unwrap().len(), 10);
    assert!(checks["pixels after 20"]["error"].as_str().unwrap().contains("the device was lost"), "{checks}");
}

/// The host destroys the device during an examination: errors, no panic.
#[test]
fn a_destroyed_device_fails_what_is_left() {
    block_on(async {
        let gpu = Gpu::open(None).await.unwrap();
        let kernels = ["add", "pool_forward", "pool_backward"].map(kernel);
        let reports = examine(&gpu, &Pipelines::default(), &cases::all(), &kernels, |progress| {
            // In the middle of the second family.
            if progress.what.starts_with("pool_forward 5") {
                gpu.device().destroy();
            }
        })
        .await;
        assert!(of(&reports, "add").passes(), "{reports:?}");
        for name in ["pool_forward", "pool_backward"] {
            let report = of(&reports, name);
            assert!(!report.passes() && report.error.is_some(), "{report:?}");
        }
    });
}

#[test]
fn the_golden_run_notices_a_wrong_kernel() {
    block_on(async {
        let engine = Engine::open(None, Weights::embedded().unwrap()).await.unwrap();
        let reduce = kernel("gram_reduce");
        let text = changed(reduce, "params.scale * sum", "1.01 * params.scale * sum");
        engine.pipelines().replace(engine.gpu(), reduce, &text).await.unwrap();
        let mut passed = Vec::new();
        let mut failed = Vec::new();
        let path = golden::Path { steps: 1, ..golden::Path::named("auto") };
        path.follow(&engine, &Allowed::SINGLE, |check| {
            if check.worst().passes() { passed.push(check.name) } else { failed.push(check.name) }
        })
        .await
        .unwrap();
        // The first step goes by the sign of the gradient, which is right.
        assert_eq!(passed, ["activations", "start", "pixels after 1"]);
        assert_eq!(failed, ["grams", "gradient", "costs after 1"]);
    });
}

#[test]
fn a_portable_device_is_what_every_adapter_can_be() {
    let gpu = block_on(Gpu::open_with(None, DeviceRequest::Portable)).unwrap();
    assert_eq!(gpu.device().features(), wgpu::Features::empty());
    let (limits, promised) = (gpu.limits(), wgpu::Limits::default());
    assert!(limits.check_limits(&promised), "{limits:?}");
    assert_eq!(gpu.summary().subgroups, None);
    assert!(!gpu.has_timestamps());
}
