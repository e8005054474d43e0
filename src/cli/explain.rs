//! `impasto explain`: the program of a step and its memory, for people.

use std::fmt::Write;

use impasto::graph::Bytes;

use super::args::Explain;
use super::job::Job;
use super::request::{PaintRequest, Purpose};
use super::table::table;
use super::{Result, plan_file, print};

const MIB: f64 = (1_u64 << 20) as f64;

/// Prints the program, and writes it where `--plan` says. Nothing runs.
pub(super) fn explain(arguments: &Explain) -> Result<()> {
    let paint = &arguments.arguments;
    let request = PaintRequest::new(paint, arguments.output.as_deref())?;
    request.check_files(Purpose::Explain)?;
    let job = pollster::block_on(request.open(Purpose::Explain))?;
    if let Some(path) = &paint.plan {
        plan_file::write(path, &job, paint)?;
    }
    print(&text(&job))
}

fn text(job: &Job) -> String {
    let step = &job.plan.step;
    let program = &step.program;
    let (width, height) = step.size;
    let header = [
        "#",
        "kernel",
        "method",
        "op",
        "layer",
        "inputs → output",
        "MFLOP",
        "MiB",
        "written to",
        "live",
        "workgroups",
    ];
    let rows: Vec<[String; 11]> = program
        .dispatches
        .iter()
        .enumerate()
        .map(|(index, dispatch)| {
            let written = plan_file::written(program, dispatch);
            let (buffer, offset) = plan_file::place(program, written);
            // The first input is what the op is about; the others follow from it.
            let inputs = dispatch.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let [first, last] = written.live;
            let [x, y, _] = impasto::gpu::Slice::fold(dispatch.workgroups);
            [
                index.to_string(),
                dispatch.kernel.name.to_owned(),
                dispatch.choice.map_or("", |(_, method)| method.name).to_owned(),
                dispatch.op.to_owned(),
                dispatch.layer.clone(),
                format!("{inputs} → {}", dispatch.output),
                format!("{:.1}", dispatch.flops as f64 / 1e6),
                format!("{:.1}", dispatch.bytes as f64 / MIB),
                if offset == 0 { buffer } else { format!("{buffer}+{:.1}", offset as f64 / MIB) },
                format!("{first}–{last}"),
                if y == 1 { x.to_string() } else { format!("{x}×{y}") },
            ]
        })
        .collect();
    let mut text = format!(
        "A step for a picture of {width}x{height} on {}: forward {} dispatches, backward {}, optimiser {}.\n\n",
        job.engine.gpu().summary().name,
        program.forward,
        program.update - program.forward,
        program.dispatches.len() - program.update,
    );
    text.push_str(&table(&header, &["#", "MFLOP", "MiB", "workgroups"], &rows));
    let slices = program.slices.len();
    let gflop = program.flops() as f64 / 1e9;
    let legend = "MiB counts everything that a dispatch binds; its place is an arena with the offset in MiB, or \
                  a buffer of its own;\nlive names the first and the last dispatch that touch it.";
    // Writing to a String does not fail.
    let _ = writeln!(text, "\n{legend}\n");
    let _ = writeln!(text, "Methods    {}", job.method_source.text());
    let _ = writeln!(text, "Work       {gflop:.2} GFLOP a step, in {slices} slices");
    let Bytes { activations, gradients, optimiser, workspace, weights, total } = job.plan.bytes;
    let parts = [
        ("activations", activations, "live at the arenas' peak"),
        ("gradients", gradients, "live at the arenas' peak"),
        ("optimiser", optimiser, "pixels, m and v"),
        ("workspace", workspace, "the rest of the arenas, targets, parameters, readback"),
        ("weights", weights, "in every arrangement that a kernel reads"),
        ("total", total, ""),
    ];
    for (index, (name, bytes, what)) in parts.into_iter().enumerate() {
        let title = if index == 0 { "Memory" } else { "" };
        let mib = bytes as f64 / MIB;
        let line = format!("{title:<10} {name:<12} {mib:>9.2} MiB  {what}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let arenas: Vec<String> =
        program.arenas.iter().map(|bytes| format!("{:.2}", *bytes as f64 / MIB)).collect();
    let _ = writeln!(text, "Arenas     {} MiB", arenas.join(", "));
    text
}
