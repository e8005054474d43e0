//! The figures as text: `docs/gpu-stats.md`, and a few lines for the terminal.

use std::fmt::Write;

use crate::chips::{self, CHIPS, Family, OTHERS};
use crate::figures::{Compiled, Demand, Figures, KNOWN, KernelFigures, Step};
use crate::predict::BUSY;

/// Predicted times, for the terminal.
pub(crate) fn summary(figures: &Figures) -> String {
    let mut text = format!("gpu-stats: {}\n", figures.driver);
    for driver in &figures.others {
        let _ = writeln!(text, "gpu-stats: {driver}");
    }
    for step in &figures.steps {
        let _ = writeln!(
            text,
            "gpu-stats: {:<10} {}x{}: a step takes {:.1} ms (predicted)",
            step.chip, step.width, step.height, step.milliseconds
        );
    }
    text
}

/// The page.
pub(crate) fn page(figures: &Figures) -> String {
    let mut text = format!(
        "# What compilers make of the kernels\n\n\
         Written by `scripts/gpu-stats.sh`; do not edit. No GPU took part: Mesa's drivers compiled every kernel for chips \
         that were not there ({}; {}). On AMD's chips registers, memory and instructions are what they would run. **Times \
         are predictions**, and nothing has confirmed them yet. Other chips run their makers' compilers more often than \
         Mesa's: there the figures show what a kernel demands. [kernels.md](kernels.md) says what each kernel does.\n\n",
        figures.driver,
        figures.others.join(", ")
    );
    chips_table(&mut text);
    predictions(&mut text, figures);
    overview(&mut text, figures);
    for family in Family::ALL {
        family_table(&mut text, figures, family);
    }
    kernel_tables(&mut text, figures);
    text
}

fn chips_table(text: &mut String) {
    text.push_str(
        "## AMD: chips\n\nFrom AMD's product pages. TFLOP/s without the double issue of RDNA 3 and 4.\n\n\
         | chip | product | compute units | MHz | TFLOP/s | GB/s |\n|---|---|--:|--:|--:|--:|\n",
    );
    for chip in CHIPS {
        let tflops = chip.flops() / 1e12;
        let chips::Chip { name, product, units, clock, bandwidth, .. } = chip;
        let _ = writeln!(text, "| {name} | {product} | {units} | {clock} | {tflops:.1} | {bandwidth} |");
    }
}

fn predictions(text: &mut String, figures: &Figures) {
    let _ = write!(
        text,
        "\n## AMD: predicted time of a step\n\n\
         A dispatch takes the longest of four times: its FLOP at the chip's peak times the kernel's *FLOP share*; its \
         traffic with workgroup memory at 128 bytes a clock and unit; with the innermost cache at 64; everything bound, \
         once, at the bandwidth of the memory. The first three are divided by n/{BUSY} where a SIMD holds only n < {BUSY} \
         subgroups. Dispatches add up. Not counted: what lies between dispatches, larger caches, scratch memory that \
         overflows the innermost one, conflicts of banks, clocks that fall. Read them as a comparison of kernels and chips; a real step takes longer.\n\n\
         | picture | chip | predicted | TFLOP/s | most of it |\n|---|---|--:|--:|---|\n"
    );
    for step in &figures.steps {
        let Step { chip, width, height, milliseconds, gflop, kernels } = step;
        let most: Vec<String> = kernels
            .iter()
            .take(3)
            .map(|share| {
                let percent = 100.0 * share.milliseconds / milliseconds;
                format!("`{}` {percent:.0} % ({})", share.name, share.bound)
            })
            .collect();
        let _ = writeln!(
            text,
            "| {width}×{height} | {chip} | {milliseconds:.1} ms | {:.1} | {} |",
            gflop / milliseconds,
            most.join(", ")
        );
    }
}

/// A kernel's chips in the order of their table; others, which were asked for by name, behind them.
fn in_order(kernel: &KernelFigures) -> Vec<(&str, &Compiled)> {
    let mut chips: Vec<(&str, &Compiled)> =
        kernel.chips.iter().map(|(chip, compiled)| (chip.as_str(), compiled)).collect();
    let place = |name| CHIPS.iter().position(|chip| chip.name == name).unwrap_or(CHIPS.len());
    chips.sort_by_key(|(name, _)| place(*name));
    chips
}

fn overview(text: &mut String, figures: &Figures) {
    let Some(first) = figures.kernels.iter().max_by_key(|kernel| kernel.chips.len()) else { return };
    let chips: Vec<&str> = in_order(first).into_iter().map(|(chip, _)| chip).collect();
    let _ = write!(
        text,
        "\n## AMD: all kernels\n\nVector registers a lane · subgroups a SIMD · FMA share.\n\n| kernel | {} |\n|---|{}\n",
        chips.join(" | "),
        "---|".repeat(chips.len())
    );
    for kernel in &figures.kernels {
        let cell = |chip: &&str| match kernel.chips.get(*chip) {
            Some(compiled) => format!("{} · {} · {:.2}", compiled.vgprs, compiled.waves, compiled.fma_share),
            None => "not chosen".into(),
        };
        let cells: Vec<String> = chips.iter().map(cell).collect();
        let _ = writeln!(text, "| [`{0}`](#{0}) | {1} |", kernel.name, cells.join(" | "));
    }
}

/// A chip's product, where it is known.
fn product(chip: &str) -> &str {
    OTHERS.iter().find(|(name, _)| *name == chip).map_or(chip, |(_, product)| product)
}

/// What a kernel takes on one chip.
fn demand_cell(demand: &Demand) -> String {
    let Demand { registers, occupancy, instructions, spills, fills, scratch_bytes, fma_share, .. } = demand;
    let mut cell = format!("{registers} · {occupancy} · {instructions}");
    if let Some(share) = fma_share {
        let _ = write!(cell, " · {share:.2}");
    }
    if spills + fills > 0 {
        let _ = write!(cell, " **{spills}/{fills}**");
    }
    if *scratch_bytes > 0 {
        let _ = write!(cell, " **{scratch_bytes} B**");
    }
    if !demand.usual {
        cell.push_str(" (not chosen)");
    }
    cell
}

/// The chips of a family other than AMD, in the order of their table; others behind them.
fn family_table(text: &mut String, figures: &Figures, family: Family) {
    let chips = figures.kernels.iter().flat_map(|kernel| kernel.others.keys().map(String::as_str));
    let mut chips: Vec<&str> = chips.filter(|chip| Family::of(chip) == Some(family)).collect();
    let place = |chip: &str| OTHERS.iter().position(|(name, _)| *name == chip).unwrap_or(OTHERS.len());
    chips.sort_by_key(|chip| (place(chip), *chip));
    chips.dedup();
    if chips.is_empty() {
        return;
    }
    let heads: Vec<String> = chips.iter().map(|chip| format!("{} (`{chip}`)", product(chip))).collect();
    let _ = write!(
        text,
        "\n## {}\n\n{} Then instructions and the share of multiply-adds among them, with loops counted eight times; in bold \
         spills/fills and bytes of scratch memory a thread. *Not chosen*: nothing takes it there unless it is asked for \
         or measured to be the fastest.\n\n| kernel | {} |\n|---|{}\n",
        family.title(),
        family.words(),
        heads.join(" | "),
        "---|".repeat(chips.len())
    );
    for kernel in &figures.kernels {
        let cell = |chip: &&str| kernel.others.get(*chip).map_or("not allowed".into(), demand_cell);
        let cells: Vec<String> = chips.iter().map(cell).collect();
        let _ = writeln!(text, "| [`{0}`](#{0}) | {1} |", kernel.name, cells.join(" | "));
    }
}

/// A column: its head, and the cell of a kernel on a chip.
type Column = (&'static str, fn(&Compiled) -> String);

const COLUMNS: &[Column] = &[
    ("lanes", |c| c.wave.to_string()),
    ("VGPR", |c| c.vgprs.to_string()),
    ("SGPR", |c| c.sgprs.to_string()),
    ("spilled", |c| format!("{}/{}", c.spilled_vgprs, c.spilled_sgprs)),
    ("scratch", |c| c.scratch_bytes.to_string()),
    ("LDS", |c| c.lds_bytes.to_string()),
    ("waves", |c| c.waves.to_string()),
    ("instructions", |c| c.instructions.to_string()),
    ("VALU", |c| c.valu.to_string()),
    ("VMEM", |c| c.vmem.to_string()),
    ("code", |c| c.code_bytes.to_string()),
    ("FMA share", |c| format!("{:.2}", c.fma_share)),
    ("of VALU", |c| format!("{:.2}", c.fma_share_of_valu)),
    ("FLOP share", |c| format!("{:.2}", c.flop_share)),
    ("LDS B/FLOP", |c| format!("{:.2}", c.lds_bytes_per_flop)),
    ("memory B/FLOP", |c| format!("{:.2}", c.memory_bytes_per_flop)),
];

fn kernel_tables(text: &mut String, figures: &Figures) {
    text.push_str(
        "\n## AMD: each kernel\n\n\
         - **lanes**: of a subgroup, as the driver chose. **VGPR**, **SGPR**: vector registers a lane, scalar registers a \
         subgroup. **spilled**: vector/scalar registers that did not fit. **scratch**: bytes of memory a lane for arrays \
         that are not in registers. **LDS**: bytes of workgroup memory. **waves**: subgroups that one SIMD holds.\n\
         - **instructions**, **VALU** (vector arithmetic), **VMEM** (loads and stores), **code** (bytes): of the whole \
         kernel, each counted once.\n\
         - **FMA share**: fused multiply-adds an issued instruction, **of VALU**: an instruction of vector arithmetic. \
         **FLOP share**: the same with additions and multiplications counted as halves. **B/FLOP**: bytes that a lane \
         moves. For these a loop counts eight times, a loop in a loop 64 times. Instructions that only tell the issue \
         logic to wait are left out.\n",
    );
    for (name, chip, reason) in KNOWN {
        let _ = writeln!(text, "\nKnown fault: `{name}` on {chip}: {reason}.");
    }
    let heads: Vec<&str> = COLUMNS.iter().map(|(head, _)| *head).collect();
    for kernel in &figures.kernels {
        if kernel.chips.is_empty() {
            let _ = write!(text, "\n### {}\n\nNot chosen on these chips, and not compiled.\n", kernel.name);
            continue;
        }
        let rule = "--:|".repeat(heads.len());
        let _ = write!(text, "\n### {}\n\n| chip | {} |\n|---|{rule}\n", kernel.name, heads.join(" | "));
        for (chip, compiled) in in_order(kernel) {
            let cells: Vec<String> = COLUMNS.iter().map(|(_, cell)| cell(compiled)).collect();
            let _ = writeln!(text, "| {chip} | {} |", cells.join(" | "));
        }
    }
}

/// The file of figures: JSON with one line a kernel and chip, so that a change shows what it changed.
pub(crate) fn json(figures: &Figures) -> serde_json::Result<String> {
    let mut text = format!(
        "{{\n\"driver\": {},\n\"others\": {},\n\"kernels\": [",
        serde_json::to_string(&figures.driver)?,
        serde_json::to_string(&figures.others)?
    );
    for (index, kernel) in figures.kernels.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        let name = serde_json::to_string(&kernel.name)?;
        let sha256 = serde_json::to_string(&kernel.sha256)?;
        let _ = write!(text, "{{\"name\": {name}, \"sha256\": {sha256}, \"chips\": {{");
        for (index, (chip, compiled)) in kernel.chips.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (chip, compiled) = (serde_json::to_string(chip)?, serde_json::to_string(compiled)?);
            let _ = write!(text, "{comma}\n  {chip}: {compiled}");
        }
        text.push_str("}, \"others\": {");
        for (index, (chip, demand)) in kernel.others.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (chip, demand) = (serde_json::to_string(chip)?, serde_json::to_string(demand)?);
            let _ = write!(text, "{comma}\n  {chip}: {demand}");
        }
        text.push_str("}}");
    }
    text.push_str("\n],\n\"steps\": [");
    for (index, step) in figures.steps.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n{}", serde_json::to_string(step)?);
    }
    text.push_str("\n]\n}\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::figures::Share;

    #[test]
    fn the_file_holds_what_was_found() {
        let compiled = Compiled { vgprs: 48, fma_share: 0.527, ..Compiled::default() };
        let chips = BTreeMap::from([("b".to_owned(), compiled.clone()), ("navi21".to_owned(), compiled)]);
        let demand = Demand {
            usual: true,
            registers: 96,
            spills: 1,
            fills: 2,
            fma_share: Some(0.5),
            ..Demand::default()
        };
        let other = Demand { usual: false, fma_share: None, scratch_bytes: 12, ..demand.clone() };
        let others =
            BTreeMap::from([("nouveau:0x172".to_owned(), demand), ("freedreno:1".to_owned(), other)]);
        let kernel = |name: &str, chips| KernelFigures {
            name: name.into(),
            sha256: "0a".into(),
            chips,
            others: others.clone(),
        };
        let share =
            Share { name: "k".into(), dispatches: 2, milliseconds: 1.5, bound: "memory \"quoted\"".into() };
        let step = Step {
            chip: "navi21".into(),
            width: 4,
            height: 3,
            milliseconds: 1.5,
            gflop: 2.0,
            kernels: vec![share],
        };
        let figures = Figures {
            driver: "radv".into(),
            others: vec!["NVK".into()],
            kernels: vec![kernel("k", chips), kernel("never", BTreeMap::new())],
            steps: vec![step],
        };
        let read: Figures = serde_json::from_str(&json(&figures).unwrap()).unwrap();
        assert_eq!(read, figures);
        let page = page(&figures);
        assert!(page.contains("| [`k`](#k) | 48 · 0 · 0.53 | 48 · 0 · 0.53 |"), "{page}");
        assert!(page.contains("| [`never`](#never) | not chosen | not chosen |"), "{page}");
        assert!(page.contains("| [`k`](#k) | 96 · 0 · 0 · 0.50 **1/2** |"), "{page}");
        assert!(page.contains("| [`k`](#k) | 96 · 0 · 0 **1/2** **12 B** (not chosen) |"), "{page}");
        assert!(page.contains("GeForce RTX 3080 (Ampere) (`nouveau:0x172`)"), "{page}");
        // Known chips come first.
        assert!(page.find("| navi21 | 0").unwrap() < page.find("| b | 0").unwrap(), "{page}");
    }
}
