//! A row for any option of the library's table: its widget follows from the kind of its values.

use std::ops::RangeInclusive;

use eframe::egui::{
    Checkbox, ComboBox, DragValue, Id, Label, RichText, Slider, SliderClamping, Ui, Widget, emath::Numeric,
};
use impasto::picture::Size;
use impasto::transfer::{OptionEntry, OptionKind, Options};
use impasto::{Error, OptionName};
use serde_json::Value;

use crate::labels::{Window, capitalised, label, word};
use crate::settings::{layers, layers_mut, network, refusal, set_layer, usual, weight_of};
use crate::theme;

/// The weight that a layer has when it is switched on for the first time.
const USUAL_WEIGHT: f32 = 0.2;

/// Decimals of numbers that are no whole ones.
const DECIMALS: usize = 4;

/// The label of an option, its widget, what `beside` adds to that, and below it what the library has against its value.
pub fn show(
    ui: &mut Ui,
    entry: &OptionEntry,
    options: &mut Options,
    waiting: &[String],
    beside: impl FnOnce(&mut Ui, &mut Options),
) {
    name(ui, &label(entry.name), entry.what, waiting);
    ui.vertical(|ui| {
        ui.horizontal(|ui| {
            widget(ui, entry, options);
            beside(ui, options);
        });
        if let Some(error) = refusal(entry, options) {
            objection(ui, &error);
        }
    });
    ui.end_row();
}

/// The label of an option. It is marked where its value waits for a new start, as those of `waiting` do.
pub fn name(ui: &mut Ui, text: &str, what: &str, waiting: &[String]) {
    if waiting.iter().any(|label| label == text) {
        let marked = RichText::new(format!("{text} *")).color(theme::ACCENT);
        ui.label(marked).on_hover_text(format!("{what}\n\nThe change takes effect with “Start again”."));
    } else {
        ui.label(text).on_hover_text(what);
    }
}

/// What the library says, without the option's name: that stands beside it.
fn objection(ui: &mut Ui, error: &Error) {
    let Error::Option { reason, remedy, .. } = error else { return };
    ui.set_max_width(ui.available_width());
    let text = format!("{}. {}.", capitalised(reason), capitalised(&remedy.spelled(&Window)));
    ui.add(Label::new(RichText::new(text).small().color(ui.visuals().error_fg_color)).wrap());
}

fn widget(ui: &mut Ui, entry: &OptionEntry, options: &mut Options) {
    match &entry.kind {
        OptionKind::Size => size(ui, &mut options.size),
        OptionKind::Optional(kind) => optional(ui, entry, kind, options),
        kind => {
            let mut value = entry.get(options);
            if edit(ui, entry.name, kind, &mut value) {
                // An editor makes values of the option's own kind.
                let _ = entry.set(options, value);
            }
        }
    }
}

/// A value that may be left out.
fn optional(ui: &mut Ui, entry: &OptionEntry, kind: &OptionKind, options: &mut Options) {
    let mut value = entry.get(options);
    let mut is_there = !value.is_null();
    let mut changed = ui.checkbox(&mut is_there, "").changed();
    if changed {
        value = if is_there { usual(entry, kind) } else { Value::Null };
    }
    if is_there {
        changed |= edit(ui, entry.name, kind, &mut value);
    } else {
        ui.label(RichText::new(entry.text(options)).weak());
    }
    if changed {
        let _ = entry.set(options, value);
    }
}

/// Edits a value of this kind. `true`: it was changed.
fn edit(ui: &mut Ui, name: OptionName, kind: &OptionKind, value: &mut Value) -> bool {
    match kind {
        OptionKind::Switch => {
            let mut on = value.as_bool().unwrap_or_default();
            let changed = ui.checkbox(&mut on, "").changed();
            *value = on.into();
            changed
        }
        OptionKind::Word(words) => one_of(ui, name, words, value),
        OptionKind::Whole => {
            let mut whole = value.as_u64().and_then(|whole| u32::try_from(whole).ok()).unwrap_or_default();
            let changed = number(ui, name, &mut whole);
            *value = whole.into();
            changed
        }
        OptionKind::Number => {
            // A number that is not finite is null as JSON, and is written so that it can be changed.
            let mut number_now = value.as_f64().unwrap_or(f64::from(f32::MAX)) as f32;
            let changed = number(ui, name, &mut number_now);
            *value = number_now.into();
            changed
        }
        _ => {
            ui.label(RichText::new(value.to_string()).weak());
            false
        }
    }
}

fn one_of(ui: &mut Ui, name: OptionName, words: &[&str], value: &mut Value) -> bool {
    let mut chosen = value.as_str().unwrap_or_default().to_owned();
    let mut changed = false;
    ComboBox::from_id_salt(name).selected_text(word(&chosen)).width(150.0).show_ui(ui, |ui| {
        for one in words {
            changed |= ui.selectable_value(&mut chosen, (*one).to_owned(), word(one)).changed();
        }
    });
    *value = chosen.into();
    changed
}

/// Where a slider for an option begins and ends, and whether it grows by proportion. Its box takes other numbers, too; an
/// option without ends has the box alone.
fn ends(name: OptionName) -> Option<(f64, f64, bool)> {
    match name {
        OptionName::Alpha | OptionName::Beta => Some((0.0, 1000.0, true)),
        OptionName::Gamma => Some((0.0, 100.0, true)),
        OptionName::LearningRate => Some((0.1, 20.0, true)),
        OptionName::Strength => Some((0.05, 1.0, false)),
        OptionName::Stroke => Some((0.1, 4.0, true)),
        OptionName::Steps => Some((1.0, 1000.0, true)),
        OptionName::NoiseRatio | OptionName::Fade => Some((0.0, 1.0, false)),
        OptionName::Averaging => Some((0.0, 0.99, false)),
        _ => None,
    }
}

fn decimals<Num: Numeric>() -> usize {
    if Num::INTEGRAL { 0 } else { DECIMALS }
}

fn number<Num: Numeric>(ui: &mut Ui, name: OptionName, value: &mut Num) -> bool {
    match ends(name) {
        Some((first, last, logarithmic)) => {
            let ends = Num::from_f64(first)..=Num::from_f64(last);
            slider(ui, value, ends, logarithmic)
        }
        None => {
            // A hundredth of the value for each point of the mouse's way, whatever the value is.
            let speed = if Num::INTEGRAL { 0.2 } else { (value.to_f64().abs() * 0.01).max(1e-4) };
            DragValue::new(value)
                .speed(speed)
                .max_decimals(decimals::<Num>())
                .custom_parser(finite)
                .ui(ui)
                .changed()
        }
    }
}

/// A slider whose box also takes numbers beyond its ends: the library says which are none.
fn slider<Num: Numeric>(ui: &mut Ui, value: &mut Num, ends: RangeInclusive<Num>, logarithmic: bool) -> bool {
    Slider::new(value, ends)
        .logarithmic(logarithmic)
        // Below that, a weight is as good as 0.
        .smallest_positive(0.001)
        .clamping(SliderClamping::Never)
        .max_decimals(decimals::<Num>())
        .custom_parser(finite)
        .ui(ui)
        .changed()
}

/// What was typed, where it is a number that a field can hold.
fn finite(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.abs() <= f64::from(f32::MAX)).then_some(number)
}

fn size(ui: &mut Ui, size: &mut Size) {
    const SIDES: RangeInclusive<u32> = 16..=8192;
    let (width, height) = size.sides();
    ui.vertical(|ui| {
        ui.horizontal(|ui| {
            let is_side = matches!(size, Size::LongerSide(_));
            let side = ui.selectable_label(is_side, "Longer side");
            if side.on_hover_text("The longer side gets this many pixels.").clicked() && !is_side {
                *size = Size::LongerSide(width.max(height));
            }
            let fit = ui.selectable_label(!is_side, "Box");
            let what = "The painting fits into a box of this width and height.";
            if fit.on_hover_text(what).clicked() && is_side {
                *size = Size::Within { width, height };
            }
        });
        match size {
            Size::LongerSide(side) => {
                slider(ui, side, 64..=2048, true);
                *side = (*side).clamp(1, *SIDES.end());
            }
            Size::Within { width, height } => {
                ui.horizontal(|ui| {
                    ui.add(DragValue::new(width).range(SIDES));
                    ui.label("×");
                    ui.add(DragValue::new(height).range(SIDES));
                });
            }
        }
    });
}

/// The rows of an option that names layers: each layer of the network, on with its weight or off.
pub fn layer_rows(ui: &mut Ui, entry: &OptionEntry, options: &mut Options, running: Option<&Options>) {
    let there = running.and_then(|running| layers(entry.name, running));
    let Some(chosen) = layers_mut(entry.name, options) else { return };
    for layer in network().convolutions() {
        let weight = weight_of(chosen, &layer.name);
        let is_new = weight.is_some() && there.is_some_and(|there| weight_of(there, &layer.name).is_none());
        // A layer that is off keeps its weight in the window's memory.
        let memory = Id::unique((entry.name, &layer.name));
        let kept = weight.or_else(|| ui.data(|data| data.get_temp(memory)));
        let (mut on, mut weight_now) = (weight.is_some(), kept.unwrap_or(USUAL_WEIGHT));
        let changed = layer_switch(ui, &layer.name, &mut on, is_new);
        let weight_changed = ui.add_enabled_ui(on, |ui| slider(ui, &mut weight_now, 0.0..=10.0, true)).inner;
        if changed || weight_changed {
            ui.data_mut(|data| data.insert_temp(memory, weight_now));
            set_layer(chosen, &layer.name, on.then_some(weight_now));
        }
        ui.end_row();
    }
}

fn layer_switch(ui: &mut Ui, layer: &str, on: &mut bool, is_new: bool) -> bool {
    let text = RichText::new(if is_new { format!("{layer} *") } else { layer.to_owned() }).monospace();
    let text = if is_new { text.color(theme::ACCENT) } else { text };
    let mut what = format!("{layer}: {}", brings(layer));
    if is_new {
        what += "\n\nIt was off when the painting started, and takes effect with “Start again”.";
    }
    ui.add(Checkbox::new(on, text)).on_hover_text(what).changed()
}

/// What a layer of the network sees, by its block: that of `conv3_2` is the third.
fn brings(layer: &str) -> &'static str {
    match layer.chars().find_map(|digit| digit.to_digit(10)).unwrap_or(1) {
        1 => "colours and the finest grain",
        2 => "grain, small dabs and edges",
        3 => "strokes and small shapes",
        4 => "large strokes and shapes",
        _ => "how shapes lie together; slow, and weak in small paintings",
    }
}

/// What the library has against a list of layers, which has no single row.
pub fn layers_objection(ui: &mut Ui, entry: &OptionEntry, options: &Options) {
    if let Some(error) = refusal(entry, options) {
        objection(ui, &error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::{Context, RawInput};
    use impasto::transfer::OPTIONS;

    /// A kind without a widget would be shown as bare text.
    #[test]
    fn every_option_of_the_table_has_a_widget() {
        for entry in &OPTIONS {
            let kind = if let OptionKind::Optional(kind) = &entry.kind { kind } else { &entry.kind };
            let has_one = match kind {
                OptionKind::Switch | OptionKind::Word(_) | OptionKind::Whole | OptionKind::Number => true,
                OptionKind::Size => entry.kind == OptionKind::Size,
                OptionKind::Layers => layers(entry.name, &Options::default()).is_some(),
                _ => false,
            };
            assert!(has_one, "{}: {:?}", entry.name, entry.kind);
        }
    }

    /// To look at an option is not to change it.
    #[test]
    fn a_frame_without_input_changes_nothing() {
        let mut options = Options::default();
        let context = Context::default();
        let mut output = context.run_ui(RawInput::default(), |ui| {
            for entry in &OPTIONS {
                show(ui, entry, &mut options, &[], |_, _| ());
                layer_rows(ui, entry, &mut options, None);
            }
        });
        // Nobody draws it.
        output.textures_delta.clear();
        assert_eq!(options, Options::default());
    }

    #[test]
    fn only_finite_numbers_are_typed() {
        assert_eq!(finite(" 2.5 "), Some(2.5));
        for text in ["nan", "inf", "1e300", "much", ""] {
            assert_eq!(finite(text), None, "{text}");
        }
    }
}
