//! Reads what Mesa's RADV prints with `RADV_DEBUG=asm,shaderstats` while this program compiles kernels.

use crate::figures::Compiled;

/// Printed before each kernel, so that what follows can be attributed.
pub(crate) const MARKER: &str = "gpu-stats kernel: ";
/// Printed before all kernels.
pub(crate) const DRIVER: &str = "gpu-stats driver: ";
/// Printed behind the last kernel.
pub(crate) const END: &str = "gpu-stats end";

/// How often a loop is taken to run: RADV's own estimates do the same, and 8 is the depth of our tiles.
const LOOP: f64 = 8.0;

/// Everything that one chip's compiler said.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The driver with its version.
    pub(crate) driver: String,
    /// Kernels with their figures, in order.
    pub(crate) kernels: Vec<(String, Compiled)>,
}

/// Reads a capture. `workgroup` gives the threads of a kernel's workgroup.
pub(crate) fn read(text: &str, workgroup: impl Fn(&str) -> Option<u32>) -> Result<Capture, String> {
    let (before, rest) =
        text.split_once(DRIVER).ok_or("the driver is not named: the device was not opened")?;
    if before.contains(MARKER) {
        return Err("a kernel comes before the driver".into());
    }
    let (rest, _) =
        rest.split_once(END).ok_or("the capture ends too early: compiling failed, see its last lines")?;
    let mut parts = rest.split(MARKER);
    let driver = parts.next().and_then(|part| part.lines().next()).unwrap_or_default().to_owned();
    let mut kernels = Vec::new();
    for part in parts {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        let threads = workgroup(name).ok_or_else(|| format!("{name} is no kernel"))?;
        let compiled = kernel(text, threads).map_err(|reason| format!("{name}: {reason}"))?;
        kernels.push((name.to_owned(), compiled));
    }
    Ok(Capture { driver, kernels })
}

fn kernel(text: &str, threads: u32) -> Result<Compiled, String> {
    let (listing, statistics) = text.split_once("*** SHADER STATS ***").ok_or("no statistics")?;
    if statistics.contains("*** SHADER STATS ***") {
        return Err("statistics of more than one shader".into());
    }
    let listing = listing.split_once("disasm:\n").ok_or("no listing of instructions")?.1;
    let figure = |name: &str| -> Result<u32, String> {
        let line = statistics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|value| value.trim().parse().ok()).ok_or_else(|| format!("no figure {name:?}"))
    };
    // RDNA gives every subgroup all 128 scalar registers, older chips fewer. RDNA also counts a subgroup of 64 lanes
    // as two of 32.
    let rdna = figure("SGPRs")? == 128;
    let narrow = ["exec_lo", "saveexec_b32"].iter().any(|name| listing.contains(name))
        || !listing.contains("exec") && threads <= 32;
    let wave = if rdna && narrow { 32 } else { 64 };
    let mix = mix(listing);
    Ok(Compiled {
        wave,
        vgprs: figure("VGPRs")?,
        sgprs: figure("SGPRs")?,
        spilled_vgprs: figure("Spilled VGPRs")?,
        spilled_sgprs: figure("Spilled SGPRs")?,
        scratch_bytes: figure("Scratch size")? / wave,
        lds_bytes: figure("LDS size")?,
        waves: figure("Subgroups per SIMD")? / if rdna { wave / 32 } else { 1 },
        instructions: figure("Instructions")?,
        valu: figure("VALU")?,
        vmem: figure("VMEM")?,
        code_bytes: figure("Code size")?,
        fma_share: ratio(mix.fma, mix.issued),
        fma_share_of_valu: ratio(mix.fma, mix.valu),
        flop_share: ratio(mix.flops / 2.0, mix.issued),
        lds_bytes_per_flop: ratio(mix.lds_bytes, mix.flops),
        memory_bytes_per_flop: ratio(mix.memory_bytes, mix.flops),
    })
}

/// To three digits behind the point; 0 where there is nothing to divide by.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { (1000.0 * part / whole).round() / 1000.0 }
}

/// Counts that are weighted by the depth of loops.
#[derive(Debug, Default, PartialEq)]
struct Mix {
    issued: f64,
    valu: f64,
    fma: f64,
    flops: f64,
    lds_bytes: f64,
    memory_bytes: f64,
}

fn mix(listing: &str) -> Mix {
    let lines: Vec<&str> = listing.lines().map(|line| line.split(';').next().unwrap_or("").trim()).collect();
    // A jump back closes a loop; jumps to one label close the same loop.
    let label = |name: &str| lines.iter().position(|line| line.strip_suffix(':') == Some(name));
    let mut loops: Vec<(usize, usize)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let jump = line.starts_with("s_cbranch") || line.starts_with("s_branch");
        let Some(head) = line.split_whitespace().nth(1).filter(|_| jump).and_then(label) else { continue };
        if head > at {
            continue;
        }
        match loops.iter_mut().find(|(found, _)| *found == head) {
            Some((_, end)) => *end = at,
            None => loops.push((head, at)),
        }
    }
    let mut mix = Mix::default();
    for (at, line) in lines.iter().enumerate() {
        let depth = loops.iter().filter(|(head, end)| (*head..=*end).contains(&at)).count();
        let weight = LOOP.powi(depth as i32);
        let Some(name) = line.split_whitespace().next().filter(|name| !name.ends_with(':')) else { continue };
        // These tell the issue logic what to wait for; they take no place in a pipeline.
        let hint =
            ["s_waitcnt", "s_nop", "s_clause", "s_delay_alu", "s_inst_prefetch", "s_set_inst_prefetch"];
        if hint.iter().any(|hint| name.starts_with(hint)) {
            continue;
        }
        mix.issued += weight;
        if name.starts_with("v_") {
            mix.valu += weight;
            for half in line.split("::") {
                let (fma, other) = arithmetic(half.trim());
                mix.fma += weight * fma;
                mix.flops += weight * (2.0 * fma + other);
            }
        } else if name.starts_with("ds_") {
            mix.lds_bytes += weight * bytes(name);
        } else if ["buffer_", "global_", "scratch_", "flat_"].iter().any(|kind| name.starts_with(kind)) {
            mix.memory_bytes += weight * bytes(name);
        }
    }
    mix
}

/// Multiply-adds and other floating-point operations of an instruction, a lane.
fn arithmetic(instruction: &str) -> (f64, f64) {
    let name = instruction.split_whitespace().next().unwrap_or("").replace("v_dual_", "v_");
    let is = |kinds: &[&str]| name.contains("_f32") && kinds.iter().any(|kind| name.starts_with(kind));
    match () {
        () if is(&["v_pk_fma_"]) => (2.0, 0.0),
        () if is(&["v_pk_add_", "v_pk_mul_"]) => (0.0, 2.0),
        // Old chips multiply and add without fusing; the letters behind the name say what is a constant.
        () if is(&["v_fma", "v_mac", "v_mad"]) => (1.0, 0.0),
        () if is(&["v_add_", "v_sub_", "v_subrev_", "v_mul_"]) => (0.0, 1.0),
        () => (0.0, 0.0),
    }
}

/// Bytes that a load or store moves, a lane.
fn bytes(name: &str) -> f64 {
    let width = match name {
        _ if name.ends_with("x4") || name.contains("b128") => 16.0,
        _ if name.ends_with("x3") || name.contains("b96") => 12.0,
        _ if name.ends_with("x2") || name.contains("b64") => 8.0,
        _ => 4.0,
    };
    let two = ["ds_read2", "ds_write2", "ds_load_2addr", "ds_store_2addr"];
    if two.iter().any(|kind| name.starts_with(kind)) { 2.0 * width } else { width }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LISTING: &str = "Compute Shader\ndisasm:
BB0:
\tv_mov_b32_e32 v0, 0 ; 7e000280
BB1:
\tbuffer_load_dwordx4 v[0:3], v4, s[0:3], 0 offen ; e0
\ts_waitcnt vmcnt(0) ; bf
\tds_read2_b32 v[5:6], v7 offset1:1 ; d8
\tv_fmac_f32_e32 v0, v1, v2 ; 56
\tv_dual_fmac_f32 v0, v1, v2 :: v_dual_fmac_f32 v3, v1, v5 ; c8
\ts_cbranch_scc1 BB1 ; bf
\ts_cbranch_execz BB2 ; bf
BB2:
\ts_endpgm ; bf
";
    const STATISTICS: &str = "*** SHADER STATS ***\nSGPRs: 128\nVGPRs: 48\nSpilled SGPRs: 1\nSpilled VGPRs: 2\n\
        Code size: 100\nLDS size: 512\nScratch size: 640\nSubgroups per SIMD: 20\nInstructions: 9\nVALU: 3\nVMEM: 1\n";

    fn capture(kernels: &str) -> String {
        format!("noise\n{DRIVER}radv\nmeta shader\n{kernels}{END}\n")
    }

    #[test]
    fn figures_are_read_and_loops_weigh_eight() {
        let text = capture(&format!("{MARKER}k\n{LISTING}{STATISTICS}"));
        let capture = read(&text, |name| (name == "k").then_some(64)).unwrap();
        assert_eq!(capture.driver, "radv");
        let (name, found) = &capture.kernels[0];
        assert_eq!(name, "k");
        assert_eq!((found.wave, found.waves, found.scratch_bytes), (64, 10, 10));
        assert_eq!((found.spilled_vgprs, found.spilled_sgprs, found.vgprs), (2, 1, 48));
        // In the loop 5 issued instructions with 3 multiply-adds, outside 3.
        assert_eq!(found.fma_share, (1000.0_f64 * 24.0 / 43.0).round() / 1000.0);
        assert_eq!(found.fma_share_of_valu, (1000.0_f64 * 24.0 / 17.0).round() / 1000.0);
        assert_eq!(found.flop_share, found.fma_share);
        assert_eq!(found.lds_bytes_per_flop, 1.333);
        assert_eq!(found.memory_bytes_per_flop, 2.667);
    }

    #[test]
    fn broken_captures_are_named() {
        let threads = |_: &str| Some(64);
        assert!(read("nothing", threads).unwrap_err().contains("not opened"));
        assert!(read(&format!("{DRIVER}radv\n{MARKER}k\n"), threads).unwrap_err().contains("too early"));
        let none = capture(&format!("{MARKER}k\n{LISTING}"));
        assert_eq!(read(&none, threads).unwrap_err(), "k: no statistics");
        let two = capture(&format!("{MARKER}k\n{LISTING}{STATISTICS}{LISTING}{STATISTICS}"));
        assert_eq!(read(&two, threads).unwrap_err(), "k: statistics of more than one shader");
    }
}
