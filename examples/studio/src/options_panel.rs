//! Every option that there is, with what it does in plain words.

use std::ops::RangeInclusive;

use eframe::egui::{
    Button, CollapsingHeader, ComboBox, DragValue, Grid, Label, RichText, ScrollArea, Slider,
    ThemePreference, Ui, Widget,
};
use impasto::OptionName;
use impasto::ops::conv::methods::METHODS;
use impasto::ops::{Algorithm, MethodRequest, Precision};
use impasto::transfer::{Init, OptionEntry, Options};

use crate::app::Action;
use crate::labels::{ADVANCED, BALANCE, LAYERS, MORE, PAINTING, label, more};
use crate::option_row::{self, layer_rows, layers_objection, name};
use crate::pictures::{Pictures, Role};
use crate::settings::{SMALLEST_PIECE, Settings, recipes};
use crate::{sources_panel, theme};

/// Facts that are shown beside the options.
pub struct Facts<'a> {
    /// What the running painting has.
    pub running: Option<&'a Options>,
    /// The labels of what waits for a new start.
    pub waiting: Vec<String>,
    pub adapter: String,
    /// Median and longest time of a frame, in milliseconds.
    pub frame_times: Option<(f64, f64)>,
}

/// All options, in a column that scrolls.
pub fn show(
    ui: &mut Ui,
    settings: &mut Settings,
    pictures: &mut Pictures,
    facts: &Facts<'_>,
    actions: &mut Vec<Action>,
) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        recipe(ui, settings);
        section(ui, "Styles and masks", false, |ui| {
            sources_panel::show(ui, pictures, &facts.waiting, actions);
        });
        section(ui, "Painting", true, |ui| painting(ui, settings, pictures, &facts.waiting, actions));
        section(ui, "Balance", true, |ui| {
            let entries = BALANCE.iter().filter_map(|name| OptionEntry::of(*name));
            option_rows(ui, "balance", entries, settings, &facts.waiting);
        });
        for name in LAYERS {
            // The styles' are changed more often.
            let is_open = *name == OptionName::StyleLayers;
            section(ui, &label(*name), is_open, |ui| layer_section(ui, *name, settings, facts.running));
        }
        section(ui, MORE, false, |ui| option_rows(ui, "more", more(), settings, &facts.waiting));
        section(ui, ADVANCED, false, |ui| advanced(ui, settings, facts));
        ui.add_space(12.0);
    });
}

fn section(ui: &mut Ui, title: &str, is_open: bool, contents: impl FnOnce(&mut Ui)) {
    CollapsingHeader::new(theme::section(title)).default_open(is_open).show_unindented(ui, |ui| {
        contents(ui);
        ui.add_space(6.0);
    });
}

fn rows(ui: &mut Ui, name: &str, contents: impl FnOnce(&mut Ui)) {
    Grid::new(name).num_columns(2).min_col_width(112.0).spacing([10.0, 7.0]).show(ui, contents);
}

fn option_rows(
    ui: &mut Ui,
    name: &str,
    entries: impl Iterator<Item = &'static OptionEntry>,
    settings: &mut Settings,
    waiting: &[String],
) {
    rows(ui, name, |ui| {
        for entry in entries {
            option_row::show(ui, entry, &mut settings.options, waiting, |_, _| ());
        }
    });
}

fn recipe(ui: &mut Ui, settings: &mut Settings) {
    rows(ui, "recipe", |ui| {
        name(ui, "Recipe", "A set of options to begin with. All of them can be changed afterwards.", &[]);
        let current = settings.recipe().map_or("Your own", |recipe| &recipe.name);
        ComboBox::from_id_salt("recipe").selected_text(current).width(190.0).show_ui(ui, |ui| {
            for recipe in recipes() {
                let choice = ui.selectable_label(recipe.name == current, &recipe.name);
                if choice.on_hover_text(recipe.what).clicked() {
                    settings.take(recipe);
                }
            }
        });
        ui.end_row();
    });
}

fn painting(
    ui: &mut Ui,
    settings: &mut Settings,
    pictures: &Pictures,
    waiting: &[String],
    actions: &mut Vec<Action>,
) {
    rows(ui, "painting", |ui| {
        for entry in PAINTING.iter().filter_map(|name| OptionEntry::of(*name)) {
            option_row::show(ui, entry, &mut settings.options, waiting, |ui, options| match entry.name {
                OptionName::Init => start(ui, options, pictures, actions),
                OptionName::Seed => another_seed(ui, options),
                _ => {}
            });
        }
    });
}

/// The picture to start from, where the painting starts from one.
fn start(ui: &mut Ui, options: &Options, pictures: &Pictures, actions: &mut Vec<Action>) {
    if options.init != Init::Picture {
        return;
    }
    let text = pictures.get(Role::Start).map_or_else(|| "Choose…".into(), |start| start.name());
    let what = "It is stretched to the painting's size. An earlier painting goes on from there.";
    if ui.add(Button::new(text).truncate()).on_hover_text(what).clicked() {
        actions.push(Action::Open(Role::Start));
    }
}

fn another_seed(ui: &mut Ui, options: &mut Options) {
    if ui.button("Another").on_hover_text("The next seed").clicked() {
        options.seed = options.seed.wrapping_add(1);
    }
}

fn layer_section(ui: &mut Ui, name: OptionName, settings: &mut Settings, running: Option<&Options>) {
    let Some(entry) = OptionEntry::of(name) else { return };
    let what = format!("{} All weights, and off, take effect at once.", entry.what);
    ui.label(RichText::new("Hover over a layer to see what it brings.").weak()).on_hover_text(what);
    rows(ui, entry.name.name(), |ui| layer_rows(ui, entry, &mut settings.options, running));
    layers_objection(ui, entry, &settings.options);
}

fn advanced(ui: &mut Ui, settings: &mut Settings, facts: &Facts<'_>) {
    let waiting = &facts.waiting[..];
    rows(ui, "advanced", |ui| {
        let what = "How the network's convolutions are computed. Automatic is the usual one for this GPU. Another may \
                    be faster, and change the painting by a trace.";
        name(ui, &label(OptionName::Methods), what, waiting);
        methods(ui, &mut settings.engine.methods);
        ui.end_row();

        let what =
            "f16 halves the memory of the weights and what is read; costs differ by less than a thousandth.";
        name(ui, &label(OptionName::Precision), what, waiting);
        ui.horizontal(|ui| {
            for (text, precision) in Precision::ALL {
                ui.selectable_value(&mut settings.engine.precision, precision, text);
            }
        });
        ui.end_row();

        let what = "Takes time rather than memory: for large paintings on small GPUs.";
        name(ui, &label(OptionName::LowMemory), what, waiting);
        ui.checkbox(&mut settings.engine.low_memory, "");
        ui.end_row();

        let what = "Paintings that need more are refused, so that other programs keep their share of the GPU's memory.";
        name(ui, &label(OptionName::MemoryBytes), what, waiting);
        optional(ui, &mut settings.engine.memory_limit, 2048, 1..=1 << 20, " MiB");
        ui.end_row();

        let what = "The least that is painted in a frame, in millions of floating-point operations. Less keeps the \
                    window smooth on a slow GPU, more wastes less time in between.";
        name(ui, SMALLEST_PIECE, what, waiting);
        optional(ui, &mut settings.engine.slice_work, 1000, 10..=100_000, " MFLOP");
        ui.end_row();

        let what = "How long the GPU may paint for each picture of this window. More paints faster, less keeps the \
                    window smooth. Takes effect at once.";
        name(ui, "Frame budget", what, &[]);
        Slider::new(&mut settings.frame_budget, 1.0..=200.0)
            .logarithmic(true)
            .max_decimals(0)
            .suffix(" ms")
            .ui(ui);
        ui.end_row();

        name(
            ui,
            "Frame times",
            "Of this window while it paints: the median and the longest of the last 240.",
            &[],
        );
        match facts.frame_times {
            Some((median, longest)) => ui.label(format!("{median:.0} ms, at most {longest:.0} ms")),
            None => ui.label(RichText::new("while it paints").weak()),
        };
        ui.end_row();

        name(ui, "Window", "Whether this window is dark or light.", &[]);
        ui.horizontal(|ui| {
            let mut theme = ui.options(|options| options.theme_preference);
            let choices = [
                (ThemePreference::System, "As the system"),
                (ThemePreference::Dark, "Dark"),
                (ThemePreference::Light, "Light"),
            ];
            for (preference, text) in choices {
                if ui.selectable_value(&mut theme, preference, text).changed() {
                    ui.set_theme(theme);
                }
            }
        });
        ui.end_row();

        name(ui, "GPU", "What the window and the painting run on.", &[]);
        ui.add(Label::new(&facts.adapter).truncate());
        ui.end_row();
    });
}

fn methods(ui: &mut Ui, choice: &mut MethodRequest) {
    let text = match *choice {
        MethodRequest::Auto => "automatic",
        MethodRequest::Algorithm(algorithm) => algorithm.name(),
        MethodRequest::Method(method) => method.name,
    };
    ComboBox::from_id_salt("methods").selected_text(text).show_ui(ui, |ui| {
        ui.selectable_value(choice, MethodRequest::Auto, "automatic");
        ui.label(RichText::new("algorithms").weak());
        for (name, algorithm) in Algorithm::ALL {
            ui.selectable_value(choice, MethodRequest::Algorithm(algorithm), name);
        }
        ui.label(RichText::new("single methods").weak());
        for method in METHODS {
            ui.selectable_value(choice, MethodRequest::Method(method), method.name);
        }
    });
}

/// A number that may be left to the library.
fn optional(ui: &mut Ui, value: &mut Option<u32>, first: u32, range: RangeInclusive<u32>, unit: &str) {
    ui.horizontal(|ui| {
        let mut own = value.is_some();
        if ui.checkbox(&mut own, "").changed() {
            *value = own.then_some(first);
        }
        match value {
            Some(value) => ui.add(DragValue::new(value).range(range).suffix(unit)),
            None => ui.label(RichText::new("automatic").weak()),
        };
    });
}
