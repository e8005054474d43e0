//! `scripts/test.sh --slow`: the whole run of the course at 400x300, by the command itself, against the golden
//! series of an independent PyTorch program, the whole of `impasto doctor`, and whole-size files of weights. It takes twenty
//! minutes on a software adapter with two cores.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

#[test]
fn the_command_meets_the_golden_run_at_400x300() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    Command::cargo_bin("impasto")
        .unwrap()
        .env("IMPASTO_CACHE", folder.path().join("cache"))
        .arg(format!("{fixtures}/content-400x300.png"))
        .arg(format!("{fixtures}/style-400x300.png"))
        .arg("-o")
        .arg(folder.path().join("out.png"))
        .args(["--preset", "course"])
        .arg("--trace")
        .arg(&trace)
        .assert()
        .success();
    let golden: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{fixtures}/golden-400x300.json")).unwrap())
            .unwrap();
    let golden = golden["series"].as_array().unwrap();
    let trace: Vec<Value> = std::fs::read_to_string(&trace)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((trace.len(), golden.len()), (201, 201));
    let mut worst = [0.0_f64; 3];
    for (got, want) in trace.iter().zip(golden) {
        let step = want["step"].as_u64().unwrap();
        assert_eq!(got["step"].as_u64(), Some(step));
        // Rounding errors grow from step to step, in the content cost three times as fast.
        let allowed = match step {
            0 => 2e-4,
            1..=20 => 1e-3,
            _ => 1e-2,
        };
        for (index, (name, factor)) in
            [("total", 1.0), ("style", 1.0), ("content", 3.0)].into_iter().enumerate()
        {
            let relative = (got[name].as_f64().unwrap() / want[name].as_f64().unwrap() - 1.0).abs();
            worst[index] = worst[index].max(relative / (factor * allowed));
            assert!(relative <= factor * allowed, "{name} cost at step {step} is {relative:.1e} off");
        }
    }
    println!(
        "share of the allowed error: total {:.3}, style {:.3}, content {:.3}",
        worst[0], worst[1], worst[2]
    );
}

#[test]
fn the_doctor_finds_nothing_wrong() {
    for arguments in [&[][..], &["--portable"]] {
        Command::cargo_bin("impasto").unwrap().arg("doctor").args(arguments).assert().success();
    }
}

/// The first line of the trace of a picture that is not painted: its costs, by the weights in this file or in the program.
fn costs(weights: Option<&Path>) -> Value {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    let mut command = Command::cargo_bin("impasto").unwrap();
    command.env("IMPASTO_CACHE", "").arg(format!("{fixtures}/content-97x75.png"));
    command.arg(format!("{fixtures}/style-90x64.png")).arg("-o").arg(folder.path().join("out.png"));
    command.args(["--preset", "course", "--steps", "0", "--algorithm", "direct", "--trace"]).arg(&trace);
    if let Some(weights) = weights {
        command.arg("--weights").arg(weights);
    }
    command.assert().success();
    serde_json::from_str(std::fs::read_to_string(trace).unwrap().lines().next().unwrap()).unwrap()
}

/// Files of 80 to 575 MB in every format that is read, made by the programs that they come from: all are the network in the
/// program, and so is what is converted from them. `IMPASTO_PYTHON` names a Python with these programs; the files of those
/// that it does not have are not checked, which is said.
#[test]
fn whole_size_weights_of_other_programs_are_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let python = std::env::var("IMPASTO_PYTHON").unwrap_or("python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/make_weights.py");
    let made = std::process::Command::new(&python).arg(script).arg(folder.path()).output();
    let Ok(made) = made else {
        return println!("{python} cannot be run: whole-size weights are NOT checked");
    };
    let said = String::from_utf8(made.stderr).unwrap();
    println!("{said}");
    assert!(made.status.success());
    let names = String::from_utf8(made.stdout).unwrap();
    assert!(!names.is_empty() || said.contains("NOT checked"));
    let wanted = costs(None);
    for name in names.lines() {
        let file = folder.path().join(name);
        let converted = folder.path().join("converted.safetensors");
        let mut convert = Command::cargo_bin("impasto").unwrap();
        convert.args(["weights", "convert"]).args([&file, &converted]).assert().success();
        for weights in [&file, &converted] {
            let found = costs(Some(weights));
            for key in ["total", "content", "style"] {
                let relative = (found[key].as_f64().unwrap() / wanted[key].as_f64().unwrap() - 1.0).abs();
                println!("{name}: {key} is {relative:.1e} off");
                // torchvision's mean is another one: 123.675, 116.28, 103.53.
                let allowed = if name.starts_with("torchvision") { 2e-2 } else { 1e-6 };
                assert!(relative <= allowed, "{name}: {key} is {relative:.1e} off");
            }
        }
        std::fs::remove_file(file).unwrap();
    }
}
