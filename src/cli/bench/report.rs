//! The results: as a table, and as a file that a later run can be compared with.

use std::fmt::Write;
use std::path::Path;

use impasto::picture::Extent;
use serde::{Deserialize, Serialize};

use super::run::Seconds;
use super::subjects::Label;
use crate::cli::{Failure, Result, files, table::table};

/// Bytes; far more than a benchmark's results take.
const REPORT_LIMIT: u64 = 64 << 20;

/// FLOP that the convolutions of a default step take for each pixel, forward and backward, in millions, computed plainly:
/// compares steps whose kernels save different amounts of arithmetic.
const CONVOLUTION_MFLOP_PER_PIXEL: f64 = 1.51;

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) adapter: String,
    pub(super) driver: String,
    pub(super) peak: Peak,
    pub(super) kernels: Vec<Row>,
    pub(super) step: Step,
}

/// The peak of the adapter.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Peak {
    /// Multiplications and additions, in 10⁹ per second.
    pub(super) fma_gflops: f64,
    /// Bytes read and written by a copy, in 10⁹ per second.
    pub(super) copy_gbps: f64,
}

impl Peak {
    /// The GFLOP/s that are possible with this many FLOP per byte.
    pub(super) fn roof(&self, flops_per_byte: f64) -> f64 {
        self.fma_gflops.min(flops_per_byte * self.copy_gbps)
    }
}

/// One kernel on one layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) kernel: String,
    pub(super) layer: Option<String>,
    /// The op that the kernel was run for: the same kernel may do both directions of a layer.
    #[serde(default)]
    pub(super) op: Option<String>,
    /// Channels read and written, height, width.
    pub(super) shape: [u32; 4],
    /// The median, in milliseconds.
    pub(super) ms: f64,
    #[serde(default)]
    pub(super) min_ms: f64,
    #[serde(default)]
    pub(super) max_ms: f64,
    pub(super) gflops: f64,
    pub(super) gbps: f64,
    /// The share of the roof over this kernel that was reached.
    pub(super) roof_share: f64,
    /// Largest share of the allowed error.
    #[serde(default)]
    pub(super) error_share: f64,
}

impl Row {
    /// A row from what was counted and measured.
    pub(super) fn new(
        kernel: &str,
        label: &Label,
        seconds: Seconds,
        (flops, bytes): (u64, u64),
        peak: &Peak,
        error_share: f64,
    ) -> Self {
        let gflops = flops as f64 / seconds.median / 1e9;
        let gbps = bytes as f64 / seconds.median / 1e9;
        let roof = peak.roof(flops as f64 / bytes as f64);
        Self {
            kernel: kernel.to_owned(),
            layer: label.layer.clone(),
            op: Some(label.op.to_owned()),
            shape: label.shape,
            ms: seconds.median * 1e3,
            min_ms: seconds.min * 1e3,
            max_ms: seconds.max * 1e3,
            gflops,
            gbps,
            roof_share: if roof > 0.0 { gflops / roof } else { 0.0 },
            error_share,
        }
    }

    /// Whether both are the same kernel on the same work.
    pub(super) fn measures_the_same(&self, other: &Self) -> bool {
        let same_op = self.op.is_none() || other.op.is_none() || self.op == other.op;
        self.kernel == other.kernel && self.layer == other.layer && self.shape == other.shape && same_op
    }

    /// Kernel, layer, op and shape for people.
    pub(super) fn columns(&self) -> [String; 4] {
        let dash = || "–".to_owned();
        [
            self.kernel.clone(),
            self.layer.clone().unwrap_or_else(dash),
            self.op.clone().unwrap_or_else(dash),
            self.shape.map(|side| side.to_string()).join("×"),
        ]
    }
}

/// A whole step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) width: u32,
    pub(super) height: u32,
    /// The median.
    pub(super) seconds: f64,
    /// GFLOP/s that the convolutions alone would need, computed plainly.
    pub(super) conv_equivalent_gflops: f64,
    /// How the convolutions were done, for people.
    #[serde(skip)]
    pub(super) methods: String,
}

impl Step {
    pub(super) fn new(Extent { width, height }: Extent, seconds: f64) -> Self {
        let pixels = f64::from(width) * f64::from(height);
        let conv_equivalent_gflops = CONVOLUTION_MFLOP_PER_PIXEL * pixels / seconds / 1e3;
        Self { width, height, seconds, conv_equivalent_gflops, methods: String::new() }
    }
}

impl Report {
    /// Reads the file that an earlier `--json` wrote.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let hint = "name a file that `impasto bench --json` wrote";
        let bytes = files::read(path, REPORT_LIMIT, hint)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::of_file(path, &format!("this is not the result of a benchmark: {error}"), hint)
        })
    }

    /// The report as a file.
    pub(super) fn json(&self) -> Result<Vec<u8>> {
        let mut json =
            serde_json::to_vec_pretty(self).map_err(|error| Failure::Failed(format!("--json: {error}")))?;
        json.push(b'\n');
        Ok(json)
    }

    /// The report for people.
    pub(super) fn text(&self, timestamps: bool) -> String {
        let Self { adapter, driver, peak, step, .. } = self;
        let clock = if timestamps { "the GPU's clock" } else { "the CPU's clock, waiting included" };
        let mut text = format!("{adapter}, {driver}; timed by {clock}\n\n");
        let header =
            ["kernel", "layer", "op", "shape", "ms", "min–max", "GFLOP/s", "GB/s", "roof %", "error %"];
        let rows: Vec<[String; 10]> = self
            .kernels
            .iter()
            .map(|row| {
                let [kernel, layer, op, shape] = row.columns();
                [
                    kernel,
                    layer,
                    op,
                    shape,
                    short(row.ms),
                    format!("{}–{}", short(row.min_ms), short(row.max_ms)),
                    short(row.gflops),
                    short(row.gbps),
                    format!("{:.1}", 100.0 * row.roof_share),
                    format!("{:.1}", 100.0 * row.error_share),
                ]
            })
            .collect();
        let numbers = ["ms", "min–max", "GFLOP/s", "GB/s", "roof %", "error %"];
        text.push_str(&table(&header, &numbers, &rows));
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "\nshape is channels read × channels written × height × width; ms is the median; GB/s counts what a \
             dispatch binds, once;\nroof is the smaller of the adapter's peak and FLOP per byte × copy bandwidth: \
             a kernel whose data stays in a cache may exceed it;\nerror is the largest share of the allowed error, \
             against plain loops on the CPU on planes of 12×9.\nA kernel that takes long is timed once, on a part of \
             its workgroups.\n"
        );
        let _ = writeln!(text, "Peak       {} GFLOP/s multiply-add", short(peak.fma_gflops));
        let _ = writeln!(text, "Copy       {} GB/s read and written", short(peak.copy_gbps));
        let Step { width, height, seconds, conv_equivalent_gflops, methods } = step;
        let _ = writeln!(
            text,
            "Step       {} s at {width}x{height}: {} GFLOP/s of plain convolution",
            short(*seconds),
            short(*conv_equivalent_gflops)
        );
        let _ = writeln!(text, "           the fastest methods, of different convolutions: {methods}");
        text
    }
}

/// With three significant digits.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.001.. => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PEAK: Peak = Peak { fma_gflops: 1000.0, copy_gbps: 100.0 };

    #[test]
    fn the_roof_bends_where_both_bounds_meet() {
        assert_eq!(PEAK.roof(0.5), 50.0);
        assert_eq!(PEAK.roof(10.0), 1000.0);
        assert_eq!(PEAK.roof(80.0), 1000.0);
    }

    #[test]
    fn a_row_is_what_was_counted_over_what_was_measured() {
        let label = Label { op: "conv", layer: Some("conv1_2".into()), shape: [64, 64, 3, 4] };
        let seconds = Seconds { median: 0.01, min: 0.005, max: 0.02 };
        // 2 GFLOP over 0.5 GB: 4 FLOP per byte, so memory allows 400 GFLOP/s.
        let row = Row::new("k", &label, seconds, (2_000_000_000, 500_000_000), &PEAK, 0.25);
        assert_eq!((row.ms, row.min_ms, row.max_ms), (10.0, 5.0, 20.0));
        assert_eq!((row.gflops, row.gbps, row.roof_share), (200.0, 50.0, 0.5));
        let idle = Row::new("k", &label, seconds, (0, 500_000_000), &PEAK, 0.0);
        assert_eq!((idle.gflops, idle.roof_share), (0.0, 0.0));
    }

    #[test]
    fn a_step_is_measured_in_plain_convolutions() {
        let step = Step::new(Extent::new(400, 300), 2.0);
        assert!((step.conv_equivalent_gflops - 90.6).abs() < 1e-9, "{step:?}");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let texts = [1234.5, 123.4, 12.34, 1.234, 0.1234, 0.00012, 0.0].map(short);
        assert_eq!(texts, ["1234", "123", "12.3", "1.23", "0.123", "1.2e-4", "0"]);
    }
}
