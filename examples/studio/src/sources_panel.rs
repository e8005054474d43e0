//! More than one style, and masks: a row for each.

use eframe::egui::{Align, Button, DragValue, Grid, Layout, Ui};
use impasto::OptionName;

use crate::app::Action;
use crate::labels::label;
use crate::mask::Mask;
use crate::option_row::name;
use crate::pictures::{MaskRole, Pictures, Role};

/// The rows of all styles and masks. `waiting` are the labels of what waits for a new start.
pub fn show(ui: &mut Ui, pictures: &mut Pictures, waiting: &[String], actions: &mut Vec<Action>) {
    Grid::new("sources").num_columns(2).min_col_width(112.0).spacing([10.0, 7.0]).show(ui, |ui| {
        for index in 0..pictures.styles() {
            style(ui, pictures, index, waiting, actions);
        }
        ui.label("");
        let what = "Another picture whose manner is blended in.";
        if ui.button("Add a style…").on_hover_text(what).clicked() {
            actions.push(Action::Open(Role::Style(pictures.styles())));
        }
        ui.end_row();
        for (role, what) in [
            (MaskRole::Content, "Where anything is painted: elsewhere the photograph stays as it is."),
            (MaskRole::Strength, "How strongly each place is painted: in full where the map is bright, a tenth as strongly where it is dark."),
        ] {
            mask(ui, pictures, role, what, waiting, actions);
        }
        for index in 0..pictures.styles() {
            let what = "Where the painting is like this style. Where no style is, the photograph stays as it is.";
            mask(ui, pictures, MaskRole::Style(index), what, waiting, actions);
        }
    });
}

fn style(ui: &mut Ui, pictures: &mut Pictures, index: usize, waiting: &[String], actions: &mut Vec<Action>) {
    let (role, several) = (Role::Style(index), pictures.styles() > 1);
    let text = role.name(pictures);
    // What waits is known for all styles together.
    let waits = [OptionName::Style, OptionName::StyleWeights].map(label);
    let marked: Vec<String> =
        waiting.iter().filter(|waiting| waits.contains(waiting)).map(|_| text.clone()).collect();
    name(ui, &text, "A picture in whose manner it is painted.", &marked);
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if several {
            if ui.button("×").on_hover_text("Takes this style away.").clicked() {
                actions.push(Action::RemoveStyle(index));
            }
            if let Some(weight) = pictures.weight_mut(index) {
                let what = "Its share: what its costs are multiplied by.";
                ui.add(DragValue::new(weight).speed(0.02).range(0.0..=1000.0).max_decimals(3))
                    .on_hover_text(what);
            }
        }
        let what = pictures.get(role).map_or_else(String::new, |style| format!("{}\n\n", style.name()));
        let file = pictures.get(role).map_or_else(|| "Open…".into(), |style| style.name());
        let button = Button::new(file).truncate().min_size([ui.available_width(), 0.0].into());
        if ui.add(button).on_hover_text(format!("{what}Click for another picture.")).clicked() {
            actions.push(Action::Open(role));
        }
    });
    ui.end_row();
}

fn mask(
    ui: &mut Ui,
    pictures: &Pictures,
    role: MaskRole,
    what: &str,
    waiting: &[String],
    actions: &mut Vec<Action>,
) {
    let text = Role::Mask(role).name(pictures);
    let option = match role {
        MaskRole::Content => OptionName::ContentMask,
        MaskRole::Strength => OptionName::StrengthMap,
        MaskRole::Style(_) => OptionName::StyleMask,
    };
    let marked: Vec<String> =
        waiting.iter().filter(|waiting| **waiting == label(option)).map(|_| text.clone()).collect();
    let what = format!("{what} Where nothing is painted into it, it counts as none.");
    name(ui, &text, &what, &marked);
    ui.horizontal(|ui| {
        let there = pictures.mask(role).and_then(Mask::picture).is_some();
        let has_photograph = pictures.get(Role::Content).is_some();
        let paint = Button::new("Paint");
        let paint = ui
            .add_enabled(has_photograph, paint)
            .on_hover_text("Paints it with the mouse, over the photograph.");
        if paint.on_disabled_hover_text("Choose a photograph first.").clicked() {
            actions.push(Action::PaintMask(role));
        }
        if ui
            .button("Open…")
            .on_hover_text("Takes it from a picture: bright counts, dark does not.")
            .clicked()
        {
            actions.push(Action::Open(Role::Mask(role)));
        }
        if there && ui.button("Remove").clicked() {
            actions.push(Action::RemoveMask(role));
        }
    });
    ui.end_row();
}
