//! `impasto bench --painting`: where the time of a whole painting goes.

use std::collections::BTreeMap;
use std::fmt::Write;

use impasto::picture::Extent;
use impasto::transfer::{DispatchProfile, ProgramProfile};

use super::report::short;
use crate::cli::table::table;

/// Work and time of a whole painting.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    runs: u32,
    flops: f64,
    seconds: f64,
}

impl Sum {
    fn add(&mut self, runs: u32, dispatch: &DispatchProfile) {
        self.flops += f64::from(runs) * dispatch.flops as f64;
        self.seconds += f64::from(runs) * dispatch.seconds;
    }
}

/// The sums by what `name` says of a program and a dispatch, those that take the longest first.
fn sums<'a>(
    profiles: &'a [ProgramProfile],
    name: impl Fn(&'a ProgramProfile, &'a DispatchProfile) -> &'a str,
) -> Vec<(&'a str, Sum)> {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for program in profiles {
        for (index, dispatch) in program.dispatches.iter().enumerate() {
            let sum = sums.entry(name(program, dispatch)).or_default();
            sum.add(program.runs, dispatch);
            sum.runs += if index == 0 { program.runs } else { 0 };
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
    sums
}

/// What was measured, for people.
pub(super) fn text(profiles: &[ProgramProfile], size: Extent, peak_gflops: f64) -> String {
    let programs = sums(profiles, |program, _| program.name);
    let total = programs.iter().fold(Sum::default(), |total, (_, sum)| Sum {
        runs: 0,
        flops: total.flops + sum.flops,
        seconds: total.seconds + sum.seconds,
    });
    let columns = |sum: &Sum| {
        [
            short(sum.flops / 1e9),
            short(sum.seconds),
            format!("{:.1}", 100.0 * sum.seconds / total.seconds),
            short(sum.flops / sum.seconds / 1e9),
        ]
    };
    let numbers = ["runs", "GFLOP", "s", "time %", "GFLOP/s"];
    let rows: Vec<[String; 6]> = programs
        .iter()
        .map(|(name, sum)| {
            let [gflop, seconds, share, rate] = columns(sum);
            [(*name).to_owned(), sum.runs.to_string(), gflop, seconds, share, rate]
        })
        .collect();
    let mut text = table(&["program", "runs", "GFLOP", "s", "time %", "GFLOP/s"], &numbers, &rows);
    let rows: Vec<[String; 5]> = sums(profiles, |_, dispatch| dispatch.op)
        .iter()
        .map(|(name, sum)| {
            let [gflop, seconds, share, rate] = columns(sum);
            [(*name).to_owned(), gflop, seconds, share, rate]
        })
        .collect();
    text.push('\n');
    text.push_str(&table(&["op", "GFLOP", "s", "time %", "GFLOP/s"], &numbers, &rows));
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "\nA whole painting of {}x{}: {} GFLOP in {} s on the device, {} GFLOP/s, {:.0} % of the multiply-add peak of {}.\n\
         Each dispatch was measured alone; reading, writing and waiting between steps are not in it.",
        size.width,
        size.height,
        short(total.flops / 1e9),
        short(total.seconds),
        short(total.flops / total.seconds / 1e9),
        100.0 * total.flops / total.seconds / 1e9 / peak_gflops,
        short(peak_gflops),
    );
    text
}
