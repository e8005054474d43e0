//! The cost curve.

use eframe::egui::{Color32, RichText, Ui};
use egui_plot::{Corner, HoverPosition, Legend, Line, Plot, PlotPoints, VLine};

use crate::painting::Curve;
use crate::theme;

/// The costs of all steps, in powers of ten.
pub fn show(ui: &mut Ui, curve: &Curve) {
    if curve.total.is_empty() {
        ui.centered_and_justified(|ui| {
            ui.label(RichText::new("The costs appear here, step by step.").weak())
        });
        return;
    }
    Plot::new("costs")
        .legend(Legend::default().position(Corner::RightTop).follow_insertion_order(true))
        .allow_scroll(false)
        .include_x(0.0)
        .include_x(1.0)
        .grid_color(ui.visuals().weak_text_color().gamma_multiply(0.5))
        .x_axis_formatter(|mark, _| whole(mark.value, ""))
        .y_axis_formatter(|mark, _| whole(mark.value, "1e"))
        .label_formatter(|place| match place {
            HoverPosition::NearDataPoint { plot_name, position, .. } if !plot_name.is_empty() => {
                Some(format!("{plot_name} {:.4e}\nstep {:.0}", 10f64.powf(position.y), position.x))
            }
            _ => None,
        })
        .show(ui, |plot| {
            for step in &curve.marks {
                plot.vline(VLine::new("", *step).color(Color32::GRAY).width(1.0));
            }
            let lines = [("total", &curve.total), ("content", &curve.content), ("style", &curve.style)];
            for ((name, points), colour) in lines.into_iter().zip(theme::CURVES) {
                let points: PlotPoints<'_> = points.iter().copied().collect();
                plot.line(Line::new(name, points).color(colour).width(2.0));
            }
        });
}

/// There is nothing between two steps, and nothing to read between two powers of ten.
fn whole(value: f64, before: &str) -> String {
    let nearest = value.round();
    if (value - nearest).abs() < 1e-6 { format!("{before}{nearest:.0}") } else { String::new() }
}
