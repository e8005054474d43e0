//! `--svg`: every kernel under the roofs of arithmetic and memory (Williams, Waterman and Patterson, "Roofline",
//! 2009).

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::report::{Report, Row, short};
use crate::cli::{Failure, Result};

/// Width of the picture, and of the chart in it; the rest is the legend.
const WIDTH: u32 = 1200;
const CHART_WIDTH: u32 = 850;
/// Height of the picture, unless the legend needs more.
const HEIGHT: u32 = 720;
/// Top of the legend, and height of its lines.
const LEGEND_TOP: i32 = 60;
const LINE: i32 = 22;
/// Lines of the legend besides the kernels', and a margin.
const OTHER_LINES: usize = 5;
/// Where the chart ends below the peak, as a share of it. A kernel that hardly computes is drawn on the edge.
const LOWEST_SHARE_OF_PEAK: f64 = 1e-5;
/// Colours that also differ for those who see few (Okabe and Ito), each with one of the marks.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The plot as SVG.
pub(super) fn svg(report: &Report) -> Result<String> {
    let rows: Vec<&Row> = report.kernels.iter().filter(|row| row.gflops > 0.0 && row.gbps > 0.0).collect();
    let mut kernels: Vec<&str> = Vec::new();
    for row in &rows {
        if !kernels.contains(&row.kernel.as_str()) {
            kernels.push(&row.kernel);
        }
    }
    let legend = LEGEND_TOP as u32 + (kernels.len() + OTHER_LINES) as u32 * LINE as u32;
    let mut text = String::new();
    {
        let size = (WIDTH, legend.max(HEIGHT));
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (chart, legend) = root.split_horizontally(CHART_WIDTH);
        draw_chart(&chart, report, &rows, &kernels)?;
        draw_legend(&legend, &kernels)?;
        root.present().map_err(failed)?;
    }
    text.push('\n');
    Ok(text)
}

fn failed(error: impl Display) -> Failure {
    Failure::Failed(format!("--svg: {error}"))
}

/// Ends of both axes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    /// Around the points (FLOP per byte, GFLOP/s) and the ridge, where the roofs meet.
    fn around(points: &[(f64, f64)], peak: f64, ridge: f64) -> Self {
        let min = |values: &mut dyn Iterator<Item = f64>, from: f64| values.fold(from, f64::min);
        let max = |values: &mut dyn Iterator<Item = f64>, from: f64| values.fold(from, f64::max);
        let floor = peak * LOWEST_SHARE_OF_PEAK;
        let mut xs = points.iter().map(|point| point.0);
        let mut ys = points.iter().map(|point| point.1);
        let x = (min(&mut xs.clone(), ridge / 10.0) / 2.0, max(&mut xs, ridge * 10.0) * 2.0);
        let y = (min(&mut ys.clone(), peak / 100.0).max(floor) / 2.0, max(&mut ys, peak) * 3.0);
        Self { x, y }
    }
}

fn point(row: &Row) -> (f64, f64) {
    (row.gflops / row.gbps, row.gflops)
}

fn draw_chart(area: &Area<'_>, report: &Report, rows: &[&Row], kernels: &[&str]) -> Result<()> {
    let peak = report.peak;
    let ridge = peak.fma_gflops / peak.copy_gbps;
    let points: Vec<(f64, f64)> = rows.iter().map(|row| point(row)).collect();
    let Axes { x, y } = Axes::around(&points, peak.fma_gflops, ridge);
    let mut chart = ChartBuilder::on(area)
        .caption(&report.adapter, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(76)
        .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())
        .map_err(failed)?;
    let label = |value: &f64| value.to_string();
    chart
        .configure_mesh()
        .x_desc("FLOP per byte of what is bound")
        .y_desc("GFLOP/s")
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .axis_desc_style(("sans-serif", 16))
        .label_style(("sans-serif", 13))
        .light_line_style(RGBColor(242, 242, 242))
        .bold_line_style(RGBColor(220, 220, 220))
        .draw()
        .map_err(failed)?;
    let roof = [x.0, ridge, x.1].map(|at| (at, peak.roof(at)));
    let visible = roof.map(|(at, height)| (at, height.max(y.0)));
    chart.draw_series(LineSeries::new(visible, BLACK.stroke_width(2))).map_err(failed)?;
    let style = |horizontal, vertical| {
        ("sans-serif", 15).into_font().color(&BLACK).pos(Pos::new(horizontal, vertical))
    };
    // Above the roofs there is room: left of the slope's upper half, and over the flat's end.
    let slope = ridge * 0.35;
    let memory = format!("copy: {} GB/s", short(peak.copy_gbps));
    let arithmetic = format!("multiply-add: {} GFLOP/s", short(peak.fma_gflops));
    let texts = [
        Text::new(memory, (slope * 0.8, peak.roof(slope)), style(HPos::Right, VPos::Bottom)),
        Text::new(arithmetic, (x.1 * 0.85, peak.fma_gflops * 1.15), style(HPos::Right, VPos::Bottom)),
    ];
    chart.draw_series(texts).map_err(failed)?;
    for (row, (intensity, gflops)) in rows.iter().zip(points) {
        let kernel = kernels.iter().position(|kernel| *kernel == row.kernel).unwrap_or(0);
        // On the lower edge where it lies below.
        let at = chart.backend_coord(&(intensity, gflops.max(y.0)));
        draw_mark(area, at, kernel)?;
    }
    Ok(())
}

fn draw_legend(area: &Area<'_>, kernels: &[&str]) -> Result<()> {
    let style = ("sans-serif", 14).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
    let (left, _) = area.get_base_pixel();
    for (index, kernel) in kernels.iter().enumerate() {
        let y = LEGEND_TOP + index as i32 * LINE;
        draw_mark(area, (left + 16, y), index)?;
        area.draw(&Text::new(*kernel, (32, y), style.clone())).map_err(failed)?;
    }
    let y = LEGEND_TOP + (kernels.len() as i32 + 1) * LINE;
    let roof = [(4, y), (26, y)];
    area.draw(&PathElement::new(roof, BLACK.stroke_width(2))).map_err(failed)?;
    area.draw(&Text::new("roof: peak and copy bandwidth", (32, y), style.clone())).map_err(failed)?;
    let notes = ["one mark a layer; on the lower edge: below it", "above the slope: kept in a cache"];
    for (line, note) in (1..).zip(notes) {
        area.draw(&Text::new(note, (4, y + line * LINE), style.clone())).map_err(failed)?;
    }
    Ok(())
}

/// The mark of a kernel at a pixel of the picture: colours repeat with another form.
fn draw_mark(area: &Area<'_>, (x, y): (i32, i32), kernel: usize) -> Result<()> {
    let (left, top) = area.get_base_pixel();
    let at = (x - left, y - top);
    let colour = COLOURS[kernel % COLOURS.len()];
    let edge = colour.stroke_width(2);
    match kernel / COLOURS.len() % 4 {
        0 => area.draw(&Circle::new(at, 5, colour.mix(0.8).filled())),
        1 => area.draw(&TriangleMarker::new(at, 6, colour.mix(0.8).filled())),
        2 => area.draw(&Cross::new(at, 5, edge)),
        _ => area.draw(&Circle::new(at, 5, edge)),
    }
    .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_the_ridge_and_every_point_worth_seeing() {
        let axes = Axes::around(&[(0.5, 3.0), (400.0, 90.0), (1.0, 1e-7)], 100.0, 10.0);
        assert_eq!(axes, Axes { x: (0.25, 800.0), y: (100.0 * LOWEST_SHARE_OF_PEAK / 2.0, 300.0) });
        let empty = Axes::around(&[], 100.0, 10.0);
        assert_eq!(empty, Axes { x: (0.5, 200.0), y: (0.5, 300.0) });
    }
}
