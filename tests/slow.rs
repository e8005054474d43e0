//! `scripts/test.sh --slow`: the whole run of the course at 400x300, by the command itself, against the golden
//! series of an independent PyTorch program, and the whole of `impasto doctor`. It takes twenty minutes on a software adapter
//! with two cores.
#![allow(clippy::unwrap_used)]

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
