//! Every option that there is, with what it does in plain words.

use std::ops::RangeInclusive;

use eframe::egui::{
    Checkbox, CollapsingHeader, ComboBox, DragValue, Grid, Label, Response, RichText, ScrollArea, Slider,
    SliderClamping, ThemePreference, Ui, Widget, emath::Numeric,
};
use impasto::OptionName;
use impasto::ops::conv::methods::METHODS;
use impasto::ops::{Algorithm, MethodRequest, Precision};

use crate::app::Action;
use crate::labels::label;
use crate::pictures::{Pictures, Role};
use crate::settings::{RECIPE, RECIPES, SMALLEST_PIECE, Settings, SizeKind, Start, layers};
use crate::theme;

/// Facts that are shown beside the options.
pub struct Facts<'a> {
    /// What the running painting was started with.
    pub started: Option<&'a Settings>,
    pub adapter: String,
    /// Median and longest time of a frame, in milliseconds.
    pub frame_times: Option<(f64, f64)>,
}

/// All options, in a column that scrolls.
pub fn show(
    ui: &mut Ui,
    settings: &mut Settings,
    pictures: &Pictures,
    facts: &Facts<'_>,
    actions: &mut Vec<Action>,
) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        // Asked for before the widgets borrow the settings.
        let waiting = facts.started.map(|started| settings.waiting(started)).unwrap_or_default();
        recipe(ui, settings, &waiting);
        open(ui, "Painting", |ui| painting(ui, settings, pictures, &waiting, actions));
        open(ui, "Balance", |ui| balance(ui, settings, &waiting));
        open(ui, label(OptionName::StyleLayers), |ui| style_layers(ui, settings, facts.started));
        CollapsingHeader::new(theme::section("Advanced"))
            .show_unindented(ui, |ui| advanced(ui, settings, facts, &waiting));
        ui.add_space(12.0);
    });
}

fn open(ui: &mut Ui, title: &str, contents: impl FnOnce(&mut Ui)) {
    CollapsingHeader::new(theme::section(title)).default_open(true).show_unindented(ui, |ui| {
        contents(ui);
        ui.add_space(6.0);
    });
}

fn rows(ui: &mut Ui, name: &str, contents: impl FnOnce(&mut Ui)) {
    Grid::new(name).num_columns(2).min_col_width(104.0).spacing([10.0, 7.0]).show(ui, contents);
}

/// The label of an option. It is marked where its value waits for a new start, as those of `waiting` do.
fn name(ui: &mut Ui, text: &str, what: &str, waiting: &[&str]) {
    if waiting.contains(&text) {
        let marked = RichText::new(format!("{text} *")).color(theme::ACCENT);
        ui.label(marked).on_hover_text(format!("{what}\n\nThe change takes effect with “Start again”."));
    } else {
        ui.label(text).on_hover_text(what);
    }
}

/// A slider whose box also takes numbers beyond its ends.
fn slider<Num: Numeric>(
    ui: &mut Ui,
    value: &mut Num,
    ends: RangeInclusive<Num>,
    logarithmic: bool,
) -> Response {
    let decimals = if Num::INTEGRAL { 0 } else { 4 };
    Slider::new(value, ends)
        .logarithmic(logarithmic)
        // Below that, a weight is as good as 0.
        .smallest_positive(0.001)
        .clamping(SliderClamping::Never)
        .max_decimals(decimals)
        .ui(ui)
}

/// Numbers from a box may be anything; these are what the library takes.
fn at_least(value: &mut f32, least: f32) {
    // What is not a number becomes the least, too.
    *value = value.max(least);
}

fn recipe(ui: &mut Ui, settings: &mut Settings, waiting: &[&str]) {
    rows(ui, "recipe", |ui| {
        let what = "A set of options to begin with, with how they are measured. What has a widget can be changed afterwards.";
        name(ui, RECIPE, what, waiting);
        let current = settings.recipe().map_or("Your own", |recipe| recipe.name);
        ComboBox::from_id_salt("recipe").selected_text(current).width(190.0).show_ui(ui, |ui| {
            for recipe in &RECIPES {
                if ui
                    .selectable_label(recipe.name == current, recipe.name)
                    .on_hover_text(recipe.what)
                    .clicked()
                {
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
    waiting: &[&str],
    actions: &mut Vec<Action>,
) {
    rows(ui, "painting", |ui| {
        let what = "How many pixels the painting has. Pictures are never enlarged. Larger takes longer, in proportion \
                    to the area, and makes the strokes finer.";
        name(ui, label(OptionName::Size), what, waiting);
        size(ui, settings);
        ui.end_row();

        let what = "How often the painting is improved, at each size on the way. More steps bring more style; it may be raised while it paints, \
                    and after.";
        name(ui, label(OptionName::Steps), what, waiting);
        slider(ui, &mut settings.steps, 1..=1000, true);
        ui.end_row();

        let what = "What the canvas shows before the first step. The photograph gives a quick painting that stays \
                    close to it; noise one that is freer.";
        name(ui, label(OptionName::Init), what, waiting);
        start(ui, settings, pictures, actions);
        ui.end_row();

        let what = "How much noise is mixed into the start, from 0 to 1. A little loosens a start from the photograph.";
        name(ui, label(OptionName::NoiseRatio), what, waiting);
        let mut ratio = settings.options().noise_ratio();
        if Slider::new(&mut ratio, 0.0..=1.0).max_decimals(2).ui(ui).changed() {
            settings.noise_ratio = Some(ratio);
        }
        ui.end_row();

        name(
            ui,
            label(OptionName::Seed),
            "Chooses the noise. The same seed gives the same painting again.",
            waiting,
        );
        ui.horizontal(|ui| {
            ui.add(DragValue::new(&mut settings.seed));
            if ui.button("Another").on_hover_text("The next seed").clicked() {
                settings.seed = settings.seed.wrapping_add(1);
            }
        });
        ui.end_row();
    });
}

fn size(ui: &mut Ui, settings: &mut Settings) {
    const SIDES: RangeInclusive<u32> = 16..=8192;
    ui.vertical(|ui| {
        ui.horizontal(|ui| {
            let kind = &mut settings.size_kind;
            ui.selectable_value(kind, SizeKind::LongerSide, "Longer side")
                .on_hover_text("The longer side gets this many pixels.");
            ui.selectable_value(kind, SizeKind::Within, "Box")
                .on_hover_text("The painting fits into a box of this width and height.");
        });
        match settings.size_kind {
            SizeKind::LongerSide => {
                slider(ui, &mut settings.longer_side, 64..=2048, true);
                settings.longer_side = settings.longer_side.clamp(1, *SIDES.end());
            }
            SizeKind::Within => {
                ui.horizontal(|ui| {
                    ui.add(DragValue::new(&mut settings.within.0).range(SIDES));
                    ui.label("×");
                    ui.add(DragValue::new(&mut settings.within.1).range(SIDES));
                });
            }
        }
    });
}

fn start(ui: &mut Ui, settings: &mut Settings, pictures: &Pictures, actions: &mut Vec<Action>) {
    ui.vertical(|ui| {
        ui.horizontal(|ui| {
            let choices =
                [(Start::Content, "Photograph"), (Start::Noise, "Noise"), (Start::Picture, "Picture")];
            for (start, text) in choices {
                ui.selectable_value(&mut settings.start, start, text);
            }
        });
        if settings.start == Start::Picture {
            let text =
                pictures.get(Role::Start).map_or_else(|| "Choose a picture…".into(), |start| start.name());
            let what = "It is stretched to the painting's size. An earlier painting goes on from there.";
            if ui.button(text).on_hover_text(what).clicked() {
                actions.push(Action::Open(Role::Start));
            }
        }
    });
}

fn balance(ui: &mut Ui, settings: &mut Settings, waiting: &[&str]) {
    rows(ui, "balance", |ui| {
        let what = "α: how strongly the painting is held to the photograph.";
        name(ui, label(OptionName::Alpha), what, waiting);
        slider(ui, &mut settings.alpha, 0.0..=1000.0, true);
        at_least(&mut settings.alpha, 0.0);
        ui.end_row();

        let what = "β: how strongly it is drawn to the style. Only the proportion of the two weights counts.";
        name(ui, label(OptionName::Beta), what, waiting);
        slider(ui, &mut settings.beta, 0.0..=1000.0, true);
        at_least(&mut settings.beta, 0.0);
        ui.end_row();

        let what = "How far a step may change a pixel, in 255ths. Larger is quicker and rougher; too large is spoilt.";
        name(ui, label(OptionName::LearningRate), what, waiting);
        slider(ui, &mut settings.learning_rate, 0.1..=20.0, true);
        at_least(&mut settings.learning_rate, 0.001);
        ui.end_row();

        let what = "The layer in which the painting stays like the photograph. Early ones keep every detail, late ones \
                    only the arrangement.";
        name(ui, label(OptionName::ContentLayers), what, waiting);
        ComboBox::from_id_salt("content layer")
            .selected_text(&layers()[settings.content_layer].name)
            .show_ui(ui, |ui| {
                for (index, layer) in layers().iter().enumerate() {
                    ui.selectable_value(&mut settings.content_layer, index, &layer.name);
                }
            });
        ui.end_row();

        let what = "How far the painting goes from the photograph, up to 1: it changes the content weight.";
        name(ui, label(OptionName::Strength), what, waiting);
        slider(ui, &mut settings.strength, 0.05..=1.0, false);
        at_least(&mut settings.strength, 0.01);
        settings.strength = settings.strength.min(1.0);
        ui.end_row();

        let what = "The size of the strokes: 1 is that of the two pictures side by side. The style is never enlarged.";
        name(ui, label(OptionName::Stroke), what, waiting);
        let mut stroke = settings.stroke.unwrap_or(1.0);
        if Slider::new(&mut stroke, 0.1..=4.0).logarithmic(true).max_decimals(2).ui(ui).changed() {
            settings.stroke = Some(stroke);
        }
        ui.end_row();
    });
}

fn style_layers(ui: &mut Ui, settings: &mut Settings, started: Option<&Settings>) {
    let what = "The style is compared in these layers of the network, each with its weight. Early ones see small \
                things, late ones large things. All weights, and off, take effect at once.";
    ui.label(RichText::new("Hover over a layer to see what it brings.").weak()).on_hover_text(what);
    rows(ui, "style layers", |ui| {
        for (index, layer) in layers().iter().enumerate() {
            let choice = &mut settings.style_layers[index];
            let new = started.is_some_and(|started| choice.on && !started.style_layers[index].on);
            let text =
                RichText::new(if new { format!("{} *", layer.name) } else { layer.name.clone() }).monospace();
            let text = if new { text.color(theme::ACCENT) } else { text };
            let mut what = format!("{}: {}", layer.name, brings(&layer.name));
            if new {
                what += "\n\nIt was off when the painting started, and takes effect with “Start again”.";
            }
            ui.add(Checkbox::new(&mut choice.on, text)).on_hover_text(what);
            ui.add_enabled_ui(choice.on, |ui| slider(ui, &mut choice.weight, 0.0..=10.0, true));
            at_least(&mut choice.weight, 0.0);
            ui.end_row();
        }
    });
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

fn advanced(ui: &mut Ui, settings: &mut Settings, facts: &Facts<'_>, waiting: &[&str]) {
    rows(ui, "advanced", |ui| {
        let what = "How the network's convolutions are computed. Automatic is the usual one for this GPU. Another may \
                    be faster, and change the painting by a trace.";
        name(ui, label(OptionName::Methods), what, waiting);
        methods(ui, &mut settings.engine.methods);
        ui.end_row();

        let what =
            "f16 halves the memory of the weights and what is read; costs differ by less than a thousandth.";
        name(ui, label(OptionName::Precision), what, waiting);
        ui.horizontal(|ui| {
            for (text, precision) in Precision::ALL {
                ui.selectable_value(&mut settings.engine.precision, precision, text);
            }
        });
        ui.end_row();

        let what = "Takes time rather than memory: for large paintings on small GPUs.";
        name(ui, label(OptionName::LowMemory), what, waiting);
        ui.checkbox(&mut settings.engine.low_memory, "");
        ui.end_row();

        let what = "Paintings that need more are refused, so that other programs keep their share of the GPU's memory.";
        name(ui, label(OptionName::MemoryBytes), what, waiting);
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
