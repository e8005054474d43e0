//! What a compiled kernel is made of, from the listings of Mesa's compilers: multiply-adds, other arithmetic, and bytes
//! moved, with what lies in loops counted more often.

use std::collections::{BTreeMap, BTreeSet};

/// How often a loop is taken to run: RADV's own estimates do the same, and 8 is the depth of our tiles.
const LOOP: f64 = 8.0;

/// Counts of instructions, a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Mix {
    /// Places in a pipeline that are taken.
    pub(crate) issued: f64,
    /// Of these, vector arithmetic.
    pub(crate) valu: f64,
    /// Fused multiply-adds.
    pub(crate) fma: f64,
    /// Floating-point operations.
    pub(crate) flops: f64,
    /// Bytes to and from workgroup memory.
    pub(crate) lds_bytes: f64,
    /// Bytes to and from memory.
    pub(crate) memory_bytes: f64,
}

impl Mix {
    fn add(&mut self, weight: f64, other: Self) {
        self.issued += weight * other.issued;
        self.valu += weight * other.valu;
        self.fma += weight * other.fma;
        self.flops += weight * other.flops;
        self.lds_bytes += weight * other.lds_bytes;
        self.memory_bytes += weight * other.memory_bytes;
    }
}

/// Adds up `lines`, each weighted by the loops that it lies in. `back` gives those that jump back: (to, from).
fn weighted(lines: &[Mix], back: impl IntoIterator<Item = (usize, usize)>) -> Mix {
    // Jumps to one place close the same loop.
    let mut loops: BTreeMap<usize, usize> = BTreeMap::new();
    for (head, end) in back {
        let last = loops.entry(head).or_insert(end);
        *last = end.max(*last);
    }
    let mut all = Mix::default();
    for (at, line) in lines.iter().enumerate() {
        let depth = loops.iter().filter(|(head, end)| (**head..=**end).contains(&at)).count();
        all.add(LOOP.powi(depth as i32), *line);
    }
    all
}

/// Of ACO, the compiler for AMD: the listing `Assembly`.
pub(crate) fn aco(listing: &str) -> Mix {
    let lines: Vec<&str> = listing.lines().map(|line| line.split(';').next().unwrap_or("").trim()).collect();
    let label = |name: &str| lines.iter().position(|line| line.strip_suffix(':') == Some(name));
    let jumps = lines.iter().enumerate().filter_map(|(at, line)| {
        let jump = line.starts_with("s_cbranch") || line.starts_with("s_branch");
        let head = line.split_whitespace().nth(1).filter(|_| jump).and_then(label)?;
        (head <= at).then_some((head, at))
    });
    let counts: Vec<Mix> = lines.iter().map(|line| of_aco(line)).collect();
    weighted(&counts, jumps)
}

fn of_aco(line: &str) -> Mix {
    let mut mix = Mix::default();
    let Some(name) = line.split_whitespace().next().filter(|name| !name.ends_with(':')) else { return mix };
    // These tell the issue logic what to wait for; they take no place in a pipeline.
    let hint = ["s_wait", "s_nop", "s_clause", "s_delay_alu", "s_inst_prefetch", "s_set_inst_prefetch"];
    if hint.iter().any(|hint| name.starts_with(hint)) {
        return mix;
    }
    mix.issued = 1.0;
    if name.starts_with("v_") {
        mix.valu = 1.0;
        for half in line.split("::") {
            let (fma, other) = arithmetic(half.trim());
            mix.fma += fma;
            mix.flops += 2.0 * fma + other;
        }
    } else if name.starts_with("ds_") {
        mix.lds_bytes = bytes(name);
    } else if ["buffer_", "global_", "scratch_", "flat_"].iter().any(|kind| name.starts_with(kind)) {
        mix.memory_bytes = bytes(name);
    }
    mix
}

/// Multiply-adds and other floating-point operations of one of AMD's instructions.
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

/// Bytes that one of AMD's loads or stores moves.
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

/// Of IR3, the compiler for Adreno: the listing `IR3 Assembly`. Issued instructions and multiply-adds alone.
pub(crate) fn ir3(listing: &str) -> Mix {
    let (mut counts, mut labels, mut jumps) = (Vec::new(), BTreeMap::new(), Vec::new());
    for line in listing.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(':').filter(|name| name.starts_with('l')) {
            labels.insert(name, counts.len());
            continue;
        }
        if line.is_empty() || line.starts_with([';', '@']) || line.starts_with("Native") {
            continue;
        }
        // Such a mark has the instruction take more places: repetitions of it, or nothing.
        let more = |mark: &str| -> f64 {
            line.split(mark).skip(1).filter_map(|rest| rest.split(')').next()?.parse::<f64>().ok()).sum()
        };
        let repeated = more("(rpt");
        let fma = if line.contains("mad.f32") { 1.0 + repeated } else { 0.0 };
        let place = line.split_once('#').map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or(rest));
        jumps.extend(place.map(|label| (label, counts.len())));
        counts.push(Mix { issued: 1.0 + repeated + more("(nop"), fma, ..Mix::default() });
        if line == "end" || line.ends_with(")end") {
            break;
        }
    }
    let back = jumps.into_iter().filter_map(|(label, at)| {
        let head = *labels.get(label)?;
        (head <= at).then_some((head, at))
    });
    weighted(&counts, back)
}

/// Of NAK, the compiler for NVIDIA: the listing `NAK assembly`. Issued instructions and multiply-adds alone. Its blocks
/// name their successors, and what follows a loop may be laid inside it: so a loop's blocks are those from which its end
/// can be reached without passing its head.
pub(crate) fn nak(listing: &str) -> Mix {
    let mut blocks: BTreeMap<usize, Mix> = BTreeMap::new();
    let mut successors: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut current = None;
    for line in listing.lines() {
        if line.starts_with("block") {
            current = line.split_whitespace().nth(1).and_then(|number| number.parse().ok());
            blocks.extend(current.map(|block| (block, Mix::default())));
        } else if let Some(targets) = line.strip_prefix("} -> [").and_then(|rest| rest.strip_suffix(']')) {
            let targets = targets.split(',').filter_map(|target| target.trim().parse().ok()).collect();
            successors.extend(current.take().map(|block| (block, targets)));
        } else if let Some(mix) = current.and_then(|block| blocks.get_mut(&block)) {
            let code = line.split("//").next().unwrap_or_default().trim();
            // A predicate before, results before an equals sign.
            let code = match code.strip_prefix('@') {
                Some(rest) => rest.split_once(char::is_whitespace).map_or("", |(_, code)| code),
                None => code,
            };
            let code = code.split_once('=').map_or(code, |(_, code)| code).trim();
            if !code.is_empty() && !code.starts_with("nop") {
                let fma = f64::from(u8::from(code.starts_with("ffma")));
                mix.add(1.0, Mix { issued: 1.0, fma, ..Mix::default() });
            }
        }
    }
    let mut predecessors: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (block, targets) in &successors {
        targets.iter().for_each(|target| predecessors.entry(*target).or_default().push(*block));
    }
    let mut loops: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (tail, targets) in &successors {
        for head in targets.iter().filter(|target| *target <= tail) {
            let body = loops.entry(*head).or_default();
            body.insert(*head);
            let mut open = vec![*tail];
            while let Some(block) = open.pop() {
                if body.insert(block) {
                    open.extend(predecessors.get(&block).into_iter().flatten());
                }
            }
        }
    }
    let mut all = Mix::default();
    for (block, mix) in &blocks {
        let depth = loops.values().filter(|body| body.contains(block)).count();
        all.add(LOOP.powi(depth as i32), *mix);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issued instructions and multiply-adds.
    fn counts(mix: Mix) -> (f64, f64) {
        (mix.issued, mix.fma)
    }

    #[test]
    fn loops_of_amd_weigh_eight() {
        let mix = aco("BB0:
\tv_mov_b32_e32 v0, 0 ; 7e000280
BB1:
\tbuffer_load_dwordx4 v[0:3], v4, s[0:3], 0 offen ; e0
\ts_waitcnt vmcnt(0) ; bf
\ts_wait_loadcnt 0x0 ; bf
\tds_read2_b32 v[5:6], v7 offset1:1 ; d8
\tv_fmac_f32_e32 v0, v1, v2 ; 56
\tv_dual_fmac_f32 v0, v1, v2 :: v_dual_fmac_f32 v3, v1, v5 ; c8
\ts_cbranch_scc1 BB1 ; bf
\ts_cbranch_execz BB2 ; bf
BB2:
\ts_endpgm ; bf
");
        // In the loop 5 issued instructions with 3 multiply-adds, outside 3.
        assert_eq!(counts(mix), (43.0, 24.0));
        assert_eq!((mix.valu, mix.flops), (17.0, 48.0));
        assert_eq!((mix.lds_bytes, mix.memory_bytes), (64.0, 128.0));
    }

    #[test]
    fn loops_of_adreno_weigh_eight_and_marks_repeat() {
        let mix = ir3("Native code for unnamed CL shader
; num_ubos: 0
@in(r0.x)	in1 (wrmask=0x7)
mov.u32u32 r0.w, r0.x
l22:
(nop3) cmps.u.ge p0.x, r0.w, c8.x
br p0.x, #l30
(sy)(rpt1)mad.f32 r1.x, (last)r1.y, r1.y, (last)r1.x
jump #l22
l30:
(jp)(eogm)nop
end
nop
");
        assert_eq!(counts(mix), (1.0 + 8.0 * 8.0 + 2.0, 16.0));
    }

    #[test]
    fn loops_of_nvidia_are_found_though_what_follows_lies_inside() {
        let mix = nak("block 0 L1 [] -> {
      r0       = mov 0x2                                 // delay=3
} -> [1]
block 1 L2 [0, 3] -> {
@p0              bra pT L9                               // delay=1
                 nop                                     // delay=1
} -> [2, 3]
block 2 L9 [1] -> {
                 exit                                    // delay=1
} -> []
block 3 L3 [1] -> {
      r1       = ffma r2 r3 r1                           // delay=4
                 bra pT L2                               // delay=1
} -> [1]
");
        assert_eq!(counts(mix), (1.0 + 8.0 + 1.0 + 16.0, 8.0));
    }
}
