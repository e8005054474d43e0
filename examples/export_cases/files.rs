//! The files: JSON that names everything, and the numbers it refers to in one binary file a case.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Write};
use std::path::Path;

use impasto::cases::run::{GUARD, Given, POISON, POISON_BEHIND, given, set_apart};
use impasto::cases::{Case, CaseData, Elements, elements_of};
use impasto::gpu::{Access, FOLD, Kernel};
use impasto::graph::{Place, Program};
use impasto::ops::KERNELS;
use serde::Serialize;

use crate::programs::{ALIGNMENT, Prepared};
use crate::values::Values;

/// Every blob begins where an array of 64-bit numbers may.
const BLOB_ALIGNMENT: usize = 8;

/// `manifest.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest {
    /// Workgroups along x before a dispatch folds into y.
    pub(crate) fold: u32,
    /// Distance in bytes of two entries of the slice table, and alignment of uniform blocks.
    pub(crate) alignment: u64,
    pub(crate) poison: u32,
    pub(crate) poison_behind: u32,
    /// Smallest and largest subgroup that the programs are for.
    pub(crate) subgroups: Option<(u32, u32)>,
    pub(crate) kernels: Vec<KernelFile>,
    /// Names of the cases' files, without their endings.
    pub(crate) cases: Vec<String>,
}

/// A kernel as the other side compiles it.
#[derive(Debug, Serialize)]
pub(crate) struct KernelFile {
    name: &'static str,
    wgsl: String,
    /// Whether it uses subgroups.
    subgroups: bool,
    /// Whether it is right on the other side's subgroups.
    allowed: bool,
    constants: Vec<(&'static str, f64)>,
    first_storage_binding: u32,
    /// For each storage binding whether it is written.
    written: Vec<bool>,
    params_bytes: u64,
}

impl Manifest {
    pub(crate) fn new(subgroups: Option<(u32, u32)>) -> Self {
        let right =
            |(smallest, largest)| subgroups.is_some_and(|(min, max)| min >= smallest && max <= largest);
        let kernels = KERNELS.iter().map(|kernel| KernelFile {
            name: kernel.name,
            wgsl: kernel.text().into_owned(),
            subgroups: kernel.subgroup.is_some(),
            allowed: kernel.subgroup.is_none_or(right),
            constants: kernel.constants().to_vec(),
            first_storage_binding: Kernel::FIRST_STORAGE_BINDING,
            written: kernel.bindings.iter().map(|binding| binding.access == Access::ReadWrite).collect(),
            params_bytes: kernel.params_bytes(),
        });
        Self {
            fold: FOLD,
            alignment: ALIGNMENT,
            poison: POISON,
            poison_behind: POISON_BEHIND,
            subgroups,
            kernels: kernels.collect(),
            cases: Vec::new(),
        }
    }
}

/// `NNN.json`: a case.
#[derive(Debug, Serialize)]
struct CaseFile<'a> {
    name: &'a str,
    family: &'a str,
    /// How often each program runs.
    repeats: u32,
    programs: Vec<ProgramFile>,
}

/// A program, with buffers called `arena.N`, `external.N`, `unread` and `unwritten`.
#[derive(Debug, Serialize)]
struct ProgramFile {
    name: String,
    atol: f64,
    rtol: f64,
    arenas: Vec<ArenaFile>,
    externals: Vec<ExternalFile>,
    dispatches: Vec<DispatchFile>,
    /// Dispatch, first workgroup, one past the last.
    slices: Vec<[u32; 3]>,
    /// Whether each slice is a pass of its own.
    passes: bool,
    results: Vec<ResultFile>,
    same_as: Option<usize>,
}

#[derive(Debug, Serialize)]
struct ArenaFile {
    bytes: u64,
    /// Offset and bytes of what lies there; everything else must stay poison.
    owned: Vec<[u64; 2]>,
}

#[derive(Debug, Serialize)]
struct ExternalFile {
    /// Words.
    given: Blob,
    /// Bytes of poison behind them.
    guard: u64,
    /// Whether the program may write it.
    updated: bool,
}

#[derive(Debug, Serialize)]
struct DispatchFile {
    kernel: &'static str,
    params: Vec<u8>,
    bindings: Vec<Range3>,
}

/// Buffer, offset, bytes.
type Range3 = (String, u64, u64);

/// Something to compare.
#[derive(Debug, Serialize)]
struct ResultFile {
    what: String,
    /// Where it lies, piece for piece.
    at: Vec<Range3>,
    /// Which numbers its words hold: the name of one of [`Elements`].
    elements: &'static str,
    /// Whether no error is allowed.
    exact: bool,
    /// Numbers of 64 bits.
    expected: Blob,
    /// Words that this library made of it with wgpu.
    wgpu: Option<Blob>,
}

/// A range of `NNN.bin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Blob {
    offset: u64,
    bytes: u64,
}

/// `NNN.bin`: what is there already is not written again.
#[derive(Debug, Default)]
struct Blobs {
    bytes: Vec<u8>,
    known: HashMap<u64, Blob>,
}

impl Blobs {
    fn put(&mut self, bytes: &[u8]) -> Blob {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        if let Some(known) = self.known.get(&hasher.finish())
            && self.bytes[known.offset as usize..(known.offset + known.bytes) as usize] == *bytes
        {
            return *known;
        }
        let blob = Blob { offset: self.bytes.len() as u64, bytes: bytes.len() as u64 };
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOB_ALIGNMENT), 0);
        self.known.insert(hasher.finish(), blob);
        blob
    }
}

/// Writes a case's two files.
pub(crate) fn write_case(
    folder: &Path,
    name: &str,
    case: &Case,
    prepared: &[Prepared],
    values: Option<&Values>,
) -> Result<(), String> {
    let data = CaseData::of(case);
    let mut blobs = Blobs::default();
    let programs = prepared.iter().map(|prepared| program(case, prepared, &data, &mut blobs, values));
    let programs = programs.collect::<Result<Vec<_>, String>>()?;
    let file = CaseFile { name: &case.name, family: case.family, repeats: case.repeats, programs };
    write_json(&folder.join(format!("{name}.json")), &file)?;
    let path = folder.join(format!("{name}.bin"));
    std::fs::write(&path, &blobs.bytes).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = BufWriter::new(File::create(path).map_err(fault)?);
    serde_json::to_writer(&mut file, value).map_err(|error| fault(error.into()))?;
    file.flush().map_err(fault)
}

fn program(
    case: &Case,
    prepared: &Prepared,
    data: &CaseData,
    blobs: &mut Blobs,
    values: Option<&Values>,
) -> Result<ProgramFile, String> {
    let planned = &prepared.planned;
    let given =
        planned.program.externals.iter().map(|external| given(external, &data.values, &planned.limits));
    let given: Vec<Given> =
        given.collect::<impasto::Result<_>>().map_err(|error| format!("{}: {error}", case.name))?;
    // The bytes that belong to each resource, before guards are put behind them.
    let owned: Vec<u64> = planned.program.resources.iter().map(|resource| resource.bytes).collect();
    let mut program = planned.program.clone();
    if planned.guards {
        set_apart(&mut program, ALIGNMENT);
    }
    let guard = if planned.guards { GUARD } else { 0 };
    let run = match values {
        // Slices change no bit.
        Some(values) if prepared.same_as.is_none() => values.of(case, &data.values, planned)?,
        _ => None,
    };

    let kept = |kept: usize| {
        let resources = program.kept[kept].iter();
        resources.map(|resource| place(&program, *resource, owned[*resource], false)).collect()
    };
    let mut results = Vec::new();
    let mut add = |what: String,
                   at: Vec<Range3>,
                   elements: Elements,
                   exact: bool,
                   expected: &[f64],
                   wgpu: Option<&Vec<u32>>| {
        let expected = blobs.put(bytemuck::cast_slice(expected));
        let wgpu = wgpu.map(|wgpu| blobs.put(bytemuck::cast_slice(wgpu)));
        results.push(ResultFile { what, at, elements: elements.name(), exact, expected, wgpu });
    };
    let run = run.as_ref();
    let expected = &data.expected;
    add("output".into(), kept(0), elements_of(case), false, &expected.output, run.map(|run| &run.output));
    for (index, side) in expected.sides.iter().enumerate() {
        let what = format!("side output {}", index + 1);
        add(what, kept(index + 1), Elements::Words, true, side, run.map(|run| &run.sides[index]));
    }
    for (index, expected) in expected.inputs.iter().enumerate() {
        let Some(expected) = expected else { continue };
        let pieces = given.iter().enumerate().filter(|(_, given)| given.input == index);
        let at = pieces
            .map(|(external, given)| (format!("external.{external}"), 0, 4 * given.words.len() as u64))
            .collect();
        add(
            format!("input {index}"),
            at,
            Elements::Floats,
            false,
            expected,
            run.map(|run| &run.inputs[index]),
        );
    }

    let arenas = program.arenas.iter().enumerate().map(|(index, bytes)| {
        let lying =
            program.resources.iter().zip(&owned).filter_map(|(resource, bytes)| match resource.place {
                Place::Arena { arena, offset } if arena == index => Some([offset, *bytes]),
                _ => None,
            });
        ArenaFile { bytes: (*bytes).max(4), owned: lying.collect() }
    });
    let externals = given.iter().map(|given| ExternalFile {
        given: blobs.put(bytemuck::cast_slice(&given.words)),
        guard,
        updated: expected.inputs[given.input].is_some(),
    });
    let dispatches = program.dispatches.iter().map(|dispatch| {
        let written = |binding: usize| dispatch.kernel.bindings[binding].access == Access::ReadWrite;
        let bound = dispatch.bindings.iter().enumerate().map(|(binding, resource)| {
            place(&program, *resource, program.resources[*resource].bytes, written(binding))
        });
        DispatchFile {
            kernel: dispatch.kernel.name,
            params: dispatch.params.clone(),
            bindings: bound.collect(),
        }
    });
    let tolerance = prepared.kernels.tolerance(case);
    Ok(ProgramFile {
        name: prepared.name.clone(),
        atol: tolerance.atol,
        rtol: tolerance.rtol,
        arenas: arenas.collect(),
        externals: externals.collect(),
        dispatches: dispatches.collect(),
        slices: program.slices.iter().map(|slice| [slice.dispatch, slice.first, slice.end]).collect(),
        passes: planned.passes,
        results,
        same_as: prepared.same_as,
    })
}

/// Where a resource lies.
fn place(program: &Program, resource: usize, bytes: u64, written: bool) -> Range3 {
    match &program.resources[resource].place {
        Place::Arena { arena, offset } => (format!("arena.{arena}"), *offset, bytes),
        Place::External(external) => (format!("external.{external}"), 0, bytes),
        Place::Unused if written => ("unwritten".into(), 0, bytes),
        Place::Unused => ("unread".into(), 0, bytes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use impasto::cases;

    use super::*;
    use crate::programs;

    #[test]
    fn blobs_are_aligned_and_shared() {
        let mut blobs = Blobs::default();
        let first = blobs.put(&[1, 2, 3]);
        let second = blobs.put(&[4, 5, 6, 7]);
        assert_eq!(blobs.put(&[1, 2, 3]), first);
        assert_eq!([first, second].map(|blob| (blob.offset, blob.bytes)), [(0, 3), (8, 4)]);
        assert_eq!(blobs.bytes, [1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6, 7, 0, 0, 0, 0]);
    }

    #[test]
    fn results_cover_every_output_and_every_updated_input() {
        for case in cases::all().iter().filter(|case| case.name.contains("3×5×7")) {
            let data = CaseData::of(case);
            let expected = &data.expected;
            for prepared in programs::of(case, Some((8, 8))).unwrap() {
                let mut blobs = Blobs::default();
                let file = program(case, &prepared, &data, &mut blobs, None).unwrap();
                let updated = expected.inputs.iter().filter(|input| input.is_some()).count();
                let name = format!("{}, {}", case.name, prepared.name);
                assert_eq!(file.results.len(), 1 + expected.sides.len() + updated, "{name}");
                for result in &file.results {
                    let words: u64 = result.at.iter().map(|(_, _, bytes)| bytes / 4).sum();
                    let of_a_word =
                        Elements::ALL.iter().find(|(name, _)| *name == result.elements).unwrap().1;
                    let numbers = words * of_a_word.of_a_word() as u64;
                    assert_eq!(numbers, result.expected.bytes / 8, "{name}: {}", result.what);
                }
                let guard = if prepared.same_as.is_none() { GUARD } else { 0 };
                assert!(file.externals.iter().all(|external| external.guard == guard), "{name}");
                for (buffer, offset, bytes) in file.dispatches.iter().flat_map(|dispatch| &dispatch.bindings)
                {
                    let place = buffer.split_once('.').map(|(kind, index)| (kind, index.parse::<usize>()));
                    let size = match place {
                        Some(("arena", Ok(index))) => file.arenas[index].bytes,
                        Some((_, Ok(index))) => {
                            file.externals[index].given.bytes + file.externals[index].guard
                        }
                        _ => 16,
                    };
                    assert!(offset + bytes <= size, "{name}: {buffer}");
                }
            }
        }
    }

    /// Tint 0.6.2 clears a variable without a value when the function begins, and not each time a loop comes to it.
    #[test]
    fn no_sum_in_a_loop_begins_with_what_a_compiler_puts_there() {
        let mut found = 0;
        for kernel in KERNELS {
            let text = kernel.text();
            for line in text.lines() {
                // Deeper than the function's own lines.
                let declared =
                    line.strip_prefix("        ").and_then(|line| line.trim_start().strip_prefix("var "));
                let Some((name, rest)) = declared.and_then(|line| line.split_once(':')) else { continue };
                found += 1;
                let added_to = text.lines().map(str::trim_start).any(|line| {
                    let place = line.split_once(" += ").map(|(place, _)| place);
                    place.is_some_and(|place| place.split(['[', '.']).next() == Some(name))
                });
                assert!(
                    rest.contains('=') || !added_to,
                    "{}: say with which value {name} begins",
                    kernel.name
                );
            }
        }
        assert!(found > 10, "variables in loops are found");
    }
}
