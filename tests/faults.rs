//! What becomes of a run whose driver fails: the device is lost, or its memory is exhausted, at any moment.
//!
//! No software driver does either by itself, so a Vulkan layer makes its answers bad (`common/fault.rs`). Linux only:
//! the other systems' drivers are Metal and DirectX 12, which have no such layers; what is tested is the library's and
//! the command's way with wgpu's answers, which is the same everywhere.
#![cfg(all(target_os = "linux", feature = "cli", feature = "embedded-weights"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::ops::Deref;
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use common::fault::{Fault, FaultLayer, Report};
use common::test_folder::{SHALLOW, TestFolder};
use impasto::picture::Picture;
use impasto::transfer::{Checkpoint, Engine, Options, Preset, Transfer, WeightedLayer};
use impasto::{Error, Result, wgpu};
use pollster::block_on;
use predicates::prelude::*;
use predicates::str::{contains, is_match};

/// Layers whose weights are most of the memory.
const DEEP: [&str; 6] =
    ["--preset", "course", "--content-layer", "conv4_1", "--style-layers", "conv1_1,conv4_2=0.5"];
/// Nothing is measured first.
const WINOGRAD: [&str; 2] = ["--algorithm", "winograd"];
const STEPS: [&str; 2] = ["--steps", "3"];
/// Far longer than a run, which takes a second or two.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Bytes by which the peaks of two runs may differ: when staging memory is given back depends on timing.
const PEAK_MARGIN: u64 = 12 << 20;
/// What a run says that takes the smaller plan.
const SMALLER: &str = "going on as with --low-memory";

/// Pictures of which a step takes several submissions, and a layer before the driver.
struct FaultyFolder(TestFolder);

impl Deref for FaultyFolder {
    type Target = TestFolder;

    fn deref(&self) -> &TestFolder {
        &self.0
    }
}

impl FaultyFolder {
    fn new() -> Self {
        let folder = TestFolder::new();
        folder.picture("content.png", 64, 48, 1);
        Self(folder)
    }

    /// Runs with a fault, and returns what the layer saw.
    #[track_caller]
    fn faulty(&self, fault: Fault, arguments: &[&str]) -> (Assert, Report) {
        let report = self.path("report");
        let mut command = self.command(arguments);
        // A driver that hangs must not hang the test.
        FaultLayer::get().cause(&mut command, fault, &report).timeout(TIME_LIMIT);
        let assert = command.assert();
        let seen = Report::read(&report);
        fs::remove_file(report).unwrap();
        (assert, seen)
    }

    /// Paints out.png.
    #[track_caller]
    fn paint(&self, fault: Fault, arguments: &[&[&str]]) -> (Assert, Report) {
        let all = ["content.png", "style.jpg", "-o", "out.png", "--size", "64"];
        self.faulty(fault, &[&all, &arguments.concat()[..]].concat())
    }

    /// What a run does without a fault.
    #[track_caller]
    fn count(&self, arguments: &[&[&str]]) -> Report {
        let (assert, report) = self.paint(Fault::None, arguments);
        assert.success();
        assert!(!report.caused);
        fs::remove_file(self.path("out.png")).unwrap();
        report
    }
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// The command ended by itself, with the code for a failure, one message, and a next move.
#[track_caller]
fn fails(assert: Assert, message: &str) {
    let has_remedy = contains(message).and(contains("panicked").not()).and(contains("; "));
    assert.code(1).stderr(has_remedy.and(is_match("(?m)^error: ").unwrap().count(1)));
}

#[track_caller]
fn lost(assert: Assert) {
    fails(assert, "the device was lost; start again; ");
}

/// The message says how many bytes `what` needed and how many there are, which are fewer than `limit`.
#[track_caller]
fn exhausted(assert: Assert, what: &str, limit: u64) {
    let said = stderr(&assert);
    fails(assert, &format!("error: {what}: needs "));
    let number = |before: &str| {
        let (_, after) = said.rsplit_once(before).unwrap();
        after.split_once(|c: char| !c.is_ascii_digit()).unwrap().0.parse::<u64>().unwrap()
    };
    let (needed, available) = (number(": needs "), number(" bytes, the device has "));
    assert!(available <= limit && available < needed, "{limit}: {said}");
}

#[test]
fn a_device_may_be_lost_at_any_submission() {
    let folder = FaultyFolder::new();
    let arguments: [&[&str]; 3] = [&SHALLOW, &WINOGRAD, &STEPS];
    let submissions = folder.count(&arguments).submissions;
    assert!(submissions > 12, "{submissions}");
    let mut caused = 0;
    for sample in 0..12 {
        // The first and the last one among them.
        let at = 1 + (submissions - 1) * sample / 11;
        for fault in [Fault::LoseAt(at), Fault::HangAt(at)] {
            let (assert, report) = folder.paint(fault, &arguments);
            if report.caused {
                caused += 1;
                lost(assert);
                assert!(!folder.path("out.png").exists(), "{fault:?}");
            } else {
                // How much is submitted at a time depends on how long it takes.
                assert.success();
                fs::remove_file(folder.path("out.png")).unwrap();
            }
        }
    }
    assert!(caused >= 18, "{caused} of 24 faults were caused");
}

#[test]
fn a_device_may_be_lost_while_kernels_are_measured() {
    let folder = FaultyFolder::new();
    let bench = ["bench", "--size", "64x48", "--filter", "pool", "--json", "bench.json"];
    for at in [1, 25] {
        for fault in [Fault::LoseAt(at), Fault::HangAt(at)] {
            for (assert, report) in [folder.paint(fault, &[&SHALLOW, &STEPS]), folder.faulty(fault, &bench)] {
                assert!(report.caused && report.submissions == at, "{report:?}");
                lost(assert);
            }
        }
    }
    assert_eq!(folder.files(), ["content.png", "style.jpg"]);
}

#[test]
fn a_run_that_lost_its_device_goes_on_from_its_checkpoint() {
    let folder = FaultyFolder::new();
    let run: [&[&str]; 3] = [&SHALLOW, &WINOGRAD, &["--steps", "7"]];
    let (assert, _) = folder.paint(Fault::None, &run);
    assert.success();
    let whole = folder.read("out.png");
    let kept: [&[&str]; 4] = [run[0], run[1], run[2], &["--checkpoint", "state", "--checkpoint-every", "2"]];
    let preparing = folder.count(&[run[0], run[1], &["--steps", "0"]]).submissions;
    let painting = folder.count(&kept).submissions - preparing;
    fs::remove_file(folder.path("state")).unwrap();
    let mut resumed = [0, 0];
    // The first checkpoint is there after two of seven steps. How much is submitted at a time depends on how long it
    // takes, so a loss may come too early for one or too late for the run.
    for share in [65, 50, 80] {
        if !resumed.contains(&0) {
            break;
        }
        let at = preparing + painting * share / 100;
        for (kind, fault) in [Fault::LoseAt(at), Fault::HangAt(at)].into_iter().enumerate() {
            let (assert, report) = folder.paint(fault, &kept);
            if report.caused && folder.path("state").exists() {
                assert!(!folder.path("out.png").exists());
                fails(assert, "--resume state goes on from there");
                let (assert, _) = folder.paint(Fault::None, &[&kept.concat(), &["--resume", "state"]]);
                assert.success();
                assert_eq!(folder.read("out.png"), whole, "{fault:?}");
                resumed[kind] += 1;
            }
            for name in ["out.png", "state"] {
                let _ = fs::remove_file(folder.path(name));
            }
        }
    }
    assert!(!resumed.contains(&0), "{resumed:?} of 3 and 3 runs were resumed");
}

#[test]
fn exhausted_memory_is_an_error_in_bytes_unless_the_smaller_plan_fits() {
    let folder = FaultyFolder::new();
    let usual: [&[&str]; 3] = [&DEEP, &WINOGRAD, &STEPS];
    let low = [&usual.concat()[..], &["--low-memory"]];
    let (assert, usual_report) = folder.paint(Fault::None, &usual);
    assert.success();
    let (assert, low_report) = folder.paint(Fault::None, &low);
    assert.success();
    let painted_with_less = folder.read("out.png");
    fs::remove_file(folder.path("out.png")).unwrap();
    let (most, least) = (usual_report.peak_bytes, low_report.peak_bytes);
    assert!(least + 2 * PEAK_MARGIN < most, "{least} of {most} bytes");

    // From what not even a device fits into to a little less than what is needed.
    for sample in 0..5 {
        let limit = 100_000 + (least - PEAK_MARGIN - 100_000) * sample / 4;
        let (assert, report) = folder.paint(Fault::Memory(limit), &usual);
        assert!(report.caused && report.peak_bytes <= limit, "{limit}: {report:?}");
        assert!(!folder.path("out.png").exists());
        if report.peak_bytes == 0 {
            fails(assert, "Not enough memory left.; close other programs that use it");
        } else {
            let assert = assert.stderr(contains("painting 64x48 needs ").and(contains(SMALLER)));
            exhausted(assert, "painting 64x48", limit);
        }
    }
    for limit in [least + PEAK_MARGIN, most - PEAK_MARGIN] {
        let (assert, report) = folder.paint(Fault::Memory(limit), &usual);
        assert!(report.caused && report.peak_bytes <= limit, "{limit}: {report:?}");
        assert.success().stderr(contains(SMALLER).and(contains("panicked").not()));
        assert_eq!(folder.read("out.png"), painted_with_less, "{limit}");
        fs::remove_file(folder.path("out.png")).unwrap();
    }
    // Enough is enough.
    let (assert, report) = folder.paint(Fault::Memory(most + PEAK_MARGIN), &usual);
    assert.success().stderr(contains(SMALLER).not());
    assert!(!report.caused);
}

/// Where not even one layer's operands have room, nothing is painted that would have.
#[test]
fn exhausted_memory_is_an_error_while_kernels_are_measured() {
    let folder = FaultyFolder::new();
    let limit = 40_000_000;
    let (assert, report) = folder.paint(Fault::Memory(limit), &[&DEEP, &STEPS]);
    assert!(report.caused && report.peak_bytes <= limit, "{report:?}");
    let measuring = assert.stderr(contains("measuring which kernels are the fastest"));
    exhausted(measuring, "the buffer impasto.trial together with those that there are", limit);
    assert_eq!(folder.files(), ["content.png", "style.jpg"]);
    assert_eq!(fs::read_dir(folder.cache.path()).unwrap().count(), 0, "nothing is remembered");
}

/// What goes to the device passes through little memory besides.
#[test]
fn preparing_takes_hardly_more_memory_than_was_planned() {
    let folder = FaultyFolder::new();
    let peak = folder.count(&[&DEEP, &WINOGRAD, &STEPS, &["--plan", "plan.json"]]).peak_bytes;
    let plan = &folder.json_lines("plan.json")[0];
    let planned = plan["bytes"]["total"].as_u64().unwrap();
    // Eight MiB under way; memory comes in blocks, of which the last one may be half empty.
    assert!(planned < peak && peak < planned + planned / 4 + (32 << 20), "planned {planned}, took {peak}");
}

fn picture(width: u32, height: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|i| ((i * 37 + i / 7 * 11) % 256) as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

/// A host's device keeps the host's handlers, so wgpu does not report its loss to the library, which has to notice it.
///
/// The host is this very test in a process of its own, because a layer is for whole processes.
#[test]
fn a_host_learns_of_its_lost_device() {
    const HOST: &str = "IMPASTO_TEST_IS_HOST";
    if std::env::var_os(HOST).is_some() {
        return be_a_host();
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, fault) in [("refused", Fault::LoseAt(60)), ("hangs", Fault::HangAt(60))] {
        let report = folder.path().join(name);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["a_host_learns_of_its_lost_device", "--exact", "--nocapture"]).env(HOST, "1");
        let assert = FaultLayer::get().cause(&mut command, fault, &report).timeout(TIME_LIMIT).assert();
        assert.success().stdout(contains("1 passed")).stderr(contains("panicked").not());
        let report = Report::read(&report);
        assert!(report.caused && report.submissions == 60, "{report:?}");
    }
}

fn be_a_host() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !impasto::gpu::is_caught_panic(panic.payload()) {
            report(panic);
        }
    }));
    let engine = block_on(engine_of_a_host()).0;
    let mut transfer = block_on(prepare(&engine)).unwrap();
    let error = (0..60).find_map(|_| block_on(transfer.step()).err()).expect("the device is lost by then");
    assert!(engine.gpu().is_lost());
    for error in [error].into_iter().chain(all_errors(&engine, &mut transfer)) {
        assert!(
            matches!(&error, Error::Gpu { reason, .. } if reason.starts_with("the device was lost")),
            "{error}"
        );
    }
}

/// A host may end its device while transfers are there, and goes on with another one from what it kept.
#[test]
fn a_destroyed_device_is_an_error() {
    let (engine, device) = block_on(engine_of_a_host());
    let mut transfer = block_on(prepare(&engine)).unwrap();
    let whole: Vec<f32> = (0..5).map(|_| block_on(transfer.step()).unwrap().total).collect();
    let pixels = block_on(transfer.pixels()).unwrap();
    let mut transfer = block_on(prepare(&engine)).unwrap();
    (0..2).for_each(|_| drop(block_on(transfer.step()).unwrap()));
    let kept = block_on(transfer.checkpoint()).unwrap().to_bytes().unwrap();
    block_on(transfer.step()).unwrap();
    device.destroy();
    for error in all_errors(&engine, &mut transfer) {
        assert!(matches!(error, Error::Gpu { .. }), "{error}");
        println!("{error}");
    }
    assert!(matches!(block_on(transfer.checkpoint()), Err(Error::Gpu { .. })));

    let (engine, _device) = block_on(engine_of_a_host());
    let kept = Checkpoint::from_bytes(&kept, "kept").unwrap();
    let (content, style, options) = (picture(40, 30), picture(16, 16), options());
    let mut resumed = block_on(Transfer::resume(&engine, (&content, &style), &options, &kept)).unwrap();
    let rest: Vec<f32> = (2..5).map(|_| block_on(resumed.step()).unwrap().total).collect();
    assert_eq!(rest, whole[2..]);
    assert_eq!(block_on(resumed.pixels()).unwrap(), pixels);
}

async fn engine_of_a_host() -> (Engine, wgpu::Device) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.unwrap();
    let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await.unwrap();
    (Engine::from_device(&device, &queue).unwrap(), device)
}

fn options() -> Options {
    Options::preset(Preset::Course).with(|options| {
        options.content_layers[0].name = "conv1_2".into();
        options.style_layers = vec![WeightedLayer { name: "conv1_1".into(), weight: 1.0 }];
    })
}

async fn prepare(engine: &Engine) -> Result<Transfer> {
    Transfer::prepare(engine, (&picture(40, 30), &picture(16, 16)), &options()).await
}

/// What comes of all that can be asked.
fn all_errors(engine: &Engine, transfer: &mut Transfer) -> [Error; 5] {
    [
        block_on(transfer.step()).unwrap_err(),
        block_on(transfer.cost()).unwrap_err(),
        block_on(transfer.picture()).unwrap_err(),
        block_on(transfer.pixels()).unwrap_err(),
        block_on(prepare(engine)).unwrap_err(),
    ]
}
