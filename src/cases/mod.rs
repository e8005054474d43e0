//! The one list of cases that tests, benches and `impasto doctor` all run: an op with the shapes and values of its
//! inputs, what its CPU twin makes of them in f64, and how far a kernel may be from that, with the reason. One file for
//! each op, and [`FAMILIES`] lists them. Beside it the one runner ([`run`]), the one comparison ([`compare`]), the
//! golden run ([`golden`]), and the examination of every kernel ([`examine`]).

mod case;
mod centre;
mod common;
mod elements;
mod expected;
mod families;
mod family;
mod input;
mod random;
mod tolerance;
mod twin;

pub mod compare;
pub mod examine;
pub mod golden;
pub mod run;

// One for each op.
mod adam;
mod add;
mod colour;
mod conv;
mod covariance_cost;
mod energy;
mod gram;
mod guide;
mod histogram;
mod l_bfgs;
mod match_cost;
mod matrix;
mod mean_variance_cost;
mod nearest;
mod normalise_gradient;
mod pool;
mod preprocess;
mod probe;
mod pyramid;
mod relu;
mod resample;
mod resize;
mod smooth;
mod squared_error;
mod start;
mod store;
mod texels;
mod total_variation;
mod unit;
mod wasserstein;
mod weighted_error;
mod weighted_sum;

pub use case::{Case, Recorded, Step};
pub use elements::Elements;
pub use expected::{CaseData, Expected};
pub use families::{FAMILIES, all, case_of, dimensions_of, elements_of, twin};
pub use family::{Dimensions, Family};
pub use input::{Fill, Input};
pub use random::Random;
pub use tolerance::Tolerance;
pub use twin::Twin;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::ops::Shape;

    fn repository(path: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    /// What lies in a folder.
    fn entries(folder: PathBuf) -> impl Iterator<Item = PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
    }

    /// The modules of a folder of `src`, each with the text of all its files; without the folder's own.
    fn modules(folder: &str) -> Vec<(String, String)> {
        let module = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let files = if path.is_dir() { entries(path).collect() } else { vec![path] };
            (name, files.iter().map(|file| fs::read_to_string(file).unwrap()).collect())
        };
        entries(repository(folder)).map(module).filter(|(name, _)| name != "mod").collect()
    }

    /// An op's kernels, its rules, its twin and its cases bear one name. Names each of these places that was forgotten.
    #[test]
    fn every_op_has_its_four_places() {
        let names = |folder: &str, mark: &str| -> BTreeSet<String> {
            let marked = modules(folder).into_iter().filter(|(_, text)| text.contains(mark));
            marked.map(|(name, _)| name).collect()
        };
        let places = [
            ("src/ops", "the op", names("src/ops", "impl Op for ")),
            ("src/reference", "the twin", names("src/reference", "pub fn ")),
            ("src/cases", "the cases", names("src/cases", ": Family = Family {")),
        ];
        let all: BTreeSet<&String> = places.iter().flat_map(|(_, _, found)| found).collect();
        let mut forgotten = Vec::new();
        for (folder, what, found) in &places {
            let declarations = fs::read_to_string(repository(folder).join("mod.rs")).unwrap();
            for op in &all {
                if !found.contains(*op) {
                    forgotten.push(format!("{what} in {folder}/{op}.rs"));
                } else if !declarations.contains(&format!("mod {op};\n")) {
                    forgotten.push(format!("the line `mod {op};` in {folder}/mod.rs"));
                }
            }
        }
        let folders = all.iter().map(|op| format!("wgsl/{op}")).filter(|folder| !repository(folder).is_dir());
        forgotten.extend(folders.map(|folder| format!("the kernels in {folder}")));
        let list = fs::read_to_string(repository("src/cases/families.rs")).unwrap();
        for (op, text) in modules("src/cases") {
            for (before, _) in text.match_indices(": Family = Family {") {
                let name = text[..before].rsplit(' ').next().unwrap();
                if !list.contains(&format!("    &{op}::{name},\n")) {
                    forgotten.push(format!("the line `&{op}::{name},` in FAMILIES of src/cases/families.rs"));
                }
            }
        }
        assert!(forgotten.is_empty(), "forgotten: {}", forgotten.join("; "));
    }

    #[test]
    fn every_op_is_of_one_family_and_every_case_of_its_own() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            for case in family.cases() {
                let Case { name, steps, .. } = &case;
                assert_eq!(case.family, family.name, "{name}");
                assert!(names.insert(name.clone()), "{name} is there twice");
                let op = &*steps.last().unwrap().op;
                let Recorded { tape, .. } = case.record().unwrap();
                let inputs = &tape.nodes().last().unwrap().inputs;
                let shapes: Vec<Shape> = inputs.iter().map(|input| tape.shape(*input)).collect();
                let claimed = FAMILIES.iter().filter(|family| (family.of)(op, &shapes).is_some());
                let claimed: Vec<&str> = claimed.map(|family| family.name).collect();
                assert_eq!(claimed, [family.name], "{name}");
            }
        }
    }

    #[test]
    fn no_reason_of_a_tolerance_holds_a_gap() {
        for case in all() {
            for Tolerance { reason, .. } in [case.tolerance, case.tolerance_in_half()] {
                assert!(reason.len() > 20, "{}: {reason:?}", case.name);
                assert!(!reason.contains("  ") && !reason.contains('\n'), "{}: {reason:?}", case.name);
            }
        }
    }
}
