//! `--compare`: what has become faster and slower since an older benchmark.

use std::fmt::Write;

use super::report::{Report, Row, short};
use crate::cli::table::table;

/// An older benchmark beside a new one.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    both: Vec<(&'a Row, &'a Row)>,
    only_old: Vec<&'a Row>,
    only_new: Vec<&'a Row>,
    note: Option<String>,
}

impl<'a> Comparison<'a> {
    /// Compares the rows of `old` that `wanted` names with those of `new`.
    pub(super) fn new(old: &'a Report, new: &'a Report, wanted: impl Fn(&Row) -> bool) -> Self {
        let same = |rows: &'a [Row], row: &Row| rows.iter().find(|other| other.measures_the_same(row));
        let mut both = Vec::new();
        let mut only_new = Vec::new();
        for row in &new.kernels {
            match same(&old.kernels, row) {
                Some(before) => both.push((before, row)),
                None => only_new.push(row),
            }
        }
        let only_old =
            old.kernels.iter().filter(|row| wanted(row) && same(&new.kernels, row).is_none()).collect();
        let (before, now) = (&old.adapter, &new.adapter);
        let note = (before != now)
            .then(|| format!("The older benchmark was measured on another adapter: {before}, not {now}."));
        Self { both, only_old, only_new, note }
    }

    /// Rows of both that take more than `threshold` percent longer now.
    pub(super) fn slower(&self, threshold: f64) -> Vec<&'a Row> {
        let slower = |(old, new): &&(&Row, &Row)| new.ms > old.ms * (1.0 + threshold / 100.0);
        self.both.iter().filter(slower).map(|(_, new)| *new).collect()
    }

    /// The comparison for people.
    pub(super) fn text(&self, threshold: f64) -> String {
        let slower = self.slower(threshold);
        let rows: Vec<[String; 8]> = self
            .both
            .iter()
            .map(|(old, new)| {
                let [kernel, layer, op, shape] = new.columns();
                let mark = if slower.iter().any(|row| std::ptr::eq(*row, *new)) { "slower" } else { "" };
                let ratio = format!("{:.3}", new.ms / old.ms);
                [kernel, layer, op, shape, short(old.ms), short(new.ms), ratio, mark.to_owned()]
            })
            .collect();
        let header = ["kernel", "layer", "op", "shape", "old ms", "new ms", "ratio", ""];
        let mut text = table(&header, &["old ms", "new ms", "ratio"], &rows);
        // Writing to a String does not fail.
        for (what, rows) in
            [("only in the older benchmark", &self.only_old), ("only in this one", &self.only_new)]
        {
            for row in rows {
                let _ = writeln!(text, "{what}: {}", row.columns().join(" "));
            }
        }
        if let Some(note) = &self.note {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use impasto::picture::Extent;

    use super::super::report::{Peak, Step};
    use super::*;

    fn row(kernel: &str, layer: Option<&str>, op: Option<&str>, ms: f64) -> Row {
        Row {
            kernel: kernel.into(),
            layer: layer.map(Into::into),
            op: op.map(Into::into),
            shape: [64, 64, 30, 40],
            ms,
            min_ms: ms,
            max_ms: ms,
            gflops: 1.0,
            gbps: 1.0,
            roof_share: 0.5,
            error_share: 0.0,
        }
    }

    fn report(kernels: Vec<Row>) -> Report {
        Report {
            adapter: "a".into(),
            driver: "d".into(),
            peak: Peak { fma_gflops: 1.0, copy_gbps: 1.0 },
            kernels,
            step: Step::new(Extent::new(4, 3), 1.0),
        }
    }

    #[test]
    fn a_row_is_slower_beyond_the_threshold_only() {
        let old = report(vec![row("a", None, None, 10.0), row("b", Some("conv1_1"), None, 10.0)]);
        let new = report(vec![row("a", None, None, 11.0), row("b", Some("conv1_1"), None, 11.1)]);
        let comparison = Comparison::new(&old, &new, |_| true);
        let slower: Vec<&str> = comparison.slower(10.0).iter().map(|row| row.kernel.as_str()).collect();
        assert_eq!(slower, ["b"]);
        assert!(comparison.slower(12.0).is_empty());
        assert_eq!(comparison.slower(0.0).len(), 2);
        let text = comparison.text(10.0);
        assert!(
            text.contains("1.100") && text.contains("1.110") && text.matches("slower").count() == 1,
            "{text}"
        );
    }

    #[test]
    fn faster_rows_are_never_slower() {
        let old = report(vec![row("a", None, None, 10.0)]);
        let new = report(vec![row("a", None, None, 5.0)]);
        assert!(Comparison::new(&old, &new, |_| true).slower(0.0).is_empty());
    }

    #[test]
    fn directions_of_a_layer_are_kept_apart() {
        let rows = |forward, backward| {
            vec![
                row("a", Some("l"), Some("conv_relu"), forward),
                row("a", Some("l"), Some("conv_backward"), backward),
            ]
        };
        let (old, new) = (report(rows(1.0, 10.0)), report(rows(1.0, 10.0)));
        assert!(Comparison::new(&old, &new, |_| true).slower(10.0).is_empty());
    }

    #[test]
    fn missing_rows_are_told_where_they_are_wanted() {
        let old = report(vec![row("a", None, None, 1.0), row("gone", None, None, 1.0)]);
        let new = report(vec![row("a", None, None, 1.0), row("fresh", None, None, 1.0)]);
        let text = Comparison::new(&old, &new, |_| true).text(10.0);
        assert!(
            text.contains("only in the older benchmark: gone") && text.contains("only in this one: fresh"),
            "{text}"
        );
        let text = Comparison::new(&old, &new, |row| row.kernel == "a").text(10.0);
        assert!(!text.contains("gone"), "{text}");
    }

    #[test]
    fn another_adapter_is_told() {
        let old = Report { adapter: "b".into(), ..report(Vec::new()) };
        assert!(
            Comparison::new(&old, &report(Vec::new()), |_| true)
                .text(10.0)
                .contains("another adapter: b, not a")
        );
    }
}
