//! `impasto explain`: the program of a step and its memory, for people.

use clap::Args;
use impasto::gpu::Slice;
use impasto::graph::{Bytes, PlannedDispatch, Program};

use super::args::{Explain, ExplainOther, Explained, Order};
use super::job::Job;
use super::request::{PaintRequest, Purpose};
use super::table::table;
use super::{Result, plan_file, print};

const MIB: f64 = (1_u64 << 20) as f64;

/// Prints the program of a step, and writes it where `--plan` says. Nothing runs.
pub(super) fn explain(arguments: &Explain) -> Result<()> {
    match &arguments.other {
        Some(ExplainOther::Texture(texture)) => explain_run(texture),
        Some(ExplainOther::Reconstruct(reconstruct)) => explain_run(reconstruct),
        None => explain_run(&arguments.paint),
    }
}

fn explain_run<T: Order + Args>(Explained { arguments, output }: &Explained<T>) -> Result<()> {
    let request = PaintRequest::new(arguments, output.as_deref())?;
    request.check_files(Purpose::Explain)?;
    let job = pollster::block_on(request.open(Purpose::Explain))?;
    let run = arguments.run();
    if let Some(path) = &run.plan {
        plan_file::write(path, &job, run)?;
    }
    print(&text(&job))
}

/// The columns of the table of dispatches, and those that hold numbers.
const COLUMNS: [&str; 11] = [
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
const NUMBERS: [&str; 4] = ["#", "MFLOP", "MiB", "workgroups"];

fn text(job: &Job) -> String {
    let step = &job.plan.step;
    let program = &step.program;
    let (width, height) = step.size;
    let dispatches = program.dispatches.iter().enumerate();
    let rows: Vec<_> = dispatches.map(|(index, dispatch)| row(program, index, dispatch)).collect();
    [
        format!(
            "A step for a picture of {width}x{height} on {}: forward {} dispatches, backward {}, optimiser {}.\n\n",
            job.engine.gpu().summary().name,
            program.forward,
            program.update - program.forward,
            program.dispatches.len() - program.update,
        ),
        table(&COLUMNS, &NUMBERS, &rows),
        "\nMiB counts everything that a dispatch binds. \"written to\" is an arena with the offset in MiB, or a buffer \
         of its own.\nlive is the first and the last dispatch that touch it.\n\n"
            .to_owned(),
        sizes(job),
        format!("Methods    {}\n", job.method_source.text()),
        format!(
            "Work       {:.2} GFLOP per step, in {} slices\n",
            program.flops() as f64 / 1e9,
            program.slices.len()
        ),
        memory(&job.plan.bytes),
        format!("Arenas     {} MiB\n", {
            let arenas: Vec<String> = program.arenas.iter().map(|bytes| mebibytes(*bytes, 2)).collect();
            arenas.join(", ")
        }),
    ]
    .concat()
}

/// The sizes at which the picture is painted, where there are several.
fn sizes(job: &Job) -> String {
    if job.plan.scales.len() == 1 {
        return String::new();
    }
    let sizes: Vec<String> = job.plan.scales.iter().map(|(_, (w, h))| format!("{w}x{h}")).collect();
    let steps = match job.options.first_steps {
        Some(first) => format!("{first} steps at the first, {} at each other", job.options.steps),
        None => format!("{} steps each", job.options.steps),
    };
    format!("Sizes      {}, {steps}\n", sizes.join(", "))
}

/// A dispatch in the columns of the table.
fn row(program: &Program, index: usize, dispatch: &PlannedDispatch) -> [String; 11] {
    let written = plan_file::written(program, dispatch);
    let (buffer, offset) = plan_file::place(program, written);
    let inputs: Vec<String> = dispatch.inputs.iter().map(ToString::to_string).collect();
    let [first, last] = written.live;
    let [x, y, _] = Slice::fold(dispatch.workgroups);
    [
        index.to_string(),
        dispatch.kernel.name.to_owned(),
        dispatch.choice.map_or("", |(_, method)| method.name).to_owned(),
        dispatch.op.to_owned(),
        dispatch.layer.clone(),
        format!("{} → {}", inputs.join(", "), dispatch.output),
        format!("{:.1}", dispatch.flops as f64 / 1e6),
        mebibytes(dispatch.bytes, 1),
        if offset == 0 { buffer } else { format!("{buffer}+{}", mebibytes(offset, 1)) },
        format!("{first}–{last}"),
        if y == 1 { x.to_string() } else { format!("{x}×{y}") },
    ]
}

/// What the memory on the device is used for, a line each.
fn memory(bytes: &Bytes) -> String {
    let Bytes { activations, gradients, optimiser, workspace, weights, total } = *bytes;
    let parts = [
        ("activations", activations, "live at the arenas' peak"),
        ("gradients", gradients, "live at the arenas' peak"),
        ("optimiser", optimiser, "pixels, m and v"),
        ("workspace", workspace, "the rest of the arenas, targets, parameters, readback"),
        ("weights", weights, "in every arrangement that a kernel reads"),
        ("total", total, ""),
    ];
    let mut text = String::new();
    for (index, (name, bytes, what)) in parts.into_iter().enumerate() {
        let title = if index == 0 { "Memory" } else { "" };
        let line = format!("{title:<10} {name:<12} {:>9} MiB  {what}", mebibytes(bytes, 2));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn mebibytes(bytes: u64, decimals: usize) -> String {
    format!("{:.decimals$}", bytes as f64 / MIB)
}
