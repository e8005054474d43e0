//! How the window looks: neutral greys, so that no colour beside a picture changes how it is seen, and one accent.

use eframe::egui::style::WidgetVisuals;
use eframe::egui::{
    Color32, Context, CornerRadius, FontFamily, FontId, Margin, RichText, Stroke, Style, TextStyle, Theme,
    vec2,
};

/// Burnt sienna.
pub const ACCENT: Color32 = Color32::from_rgb(0xC8, 0x5A, 0x32);
/// Colours of the curves: total, content, style.
pub const CURVES: [Color32; 3] =
    [ACCENT, Color32::from_rgb(0x4A, 0x90, 0xB8), Color32::from_rgb(0x7B, 0xA0, 0x5B)];

/// What a mask counts, over a photograph: a colour that few photographs are full of.
pub const MASK: Color32 = Color32::from_rgb(0x1E, 0xB4, 0xE6);

pub const DONE: Color32 = Color32::from_rgb(0x5B, 0x8F, 0x4E);
pub const FAILED: Color32 = Color32::from_rgb(0xC0, 0x3A, 0x3A);

/// The greys of a theme.
struct Greys {
    panel: u8,
    canvas: u8,
    card: u8,
    line: u8,
    hovered: u8,
    text: u8,
    strong: u8,
}

const DARK: Greys = Greys { panel: 38, canvas: 26, card: 54, line: 66, hovered: 78, text: 205, strong: 245 };
const LIGHT: Greys =
    Greys { panel: 240, canvas: 214, card: 255, line: 200, hovered: 226, text: 50, strong: 10 };

pub fn set(context: &Context) {
    for (theme, greys) in [(Theme::Dark, &DARK), (Theme::Light, &LIGHT)] {
        context.style_mut_of(theme, |style| paint(style, greys));
    }
}

fn paint(style: &mut Style, greys: &Greys) {
    let grey = Color32::from_gray;
    let sizes = [
        (TextStyle::Heading, 19.0),
        (TextStyle::Body, 14.0),
        (TextStyle::Button, 14.0),
        (TextStyle::Small, 12.0),
    ];
    for (text, size) in sizes {
        style.text_styles.insert(text, FontId::new(size, FontFamily::Proportional));
    }
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(8.0, 7.0);
    spacing.button_padding = vec2(10.0, 5.0);
    spacing.interact_size.y = 24.0;
    spacing.slider_width = 132.0;
    spacing.slider_rail_height = 6.0;
    spacing.window_margin = Margin::same(14);
    spacing.tooltip_width = 340.0;
    let visuals = &mut style.visuals;
    visuals.panel_fill = grey(greys.panel);
    visuals.window_fill = grey(greys.panel);
    visuals.extreme_bg_color = grey(greys.canvas);
    visuals.faint_bg_color = grey(greys.card);
    visuals.window_stroke = Stroke::new(1.0, grey(greys.line));
    visuals.selection.bg_fill = ACCENT;
    visuals.selection.stroke = Stroke::new(1.0, Color32::WHITE);
    visuals.hyperlink_color = ACCENT;
    visuals.slider_trailing_fill = true;
    visuals.warn_fg_color = ACCENT;
    visuals.error_fg_color = FAILED;
    let widgets = &mut visuals.widgets;
    let set = |widget: &mut WidgetVisuals, fill: u8, text: u8| {
        widget.bg_fill = grey(fill);
        widget.weak_bg_fill = grey(fill);
        widget.fg_stroke.color = grey(text);
        widget.corner_radius = CornerRadius::same(5);
        widget.expansion = 0.0;
    };
    set(&mut widgets.noninteractive, greys.panel, greys.text);
    set(&mut widgets.inactive, greys.card, greys.text);
    set(&mut widgets.hovered, greys.hovered, greys.strong);
    set(&mut widgets.active, greys.line, greys.strong);
    set(&mut widgets.open, greys.card, greys.strong);
    widgets.noninteractive.bg_stroke = Stroke::new(1.0, grey(greys.line));
    widgets.inactive.bg_stroke = Stroke::new(1.0, grey(greys.line));
    widgets.hovered.bg_stroke = Stroke::new(1.0, ACCENT);
}

/// A heading within the options.
pub fn section(text: &str) -> RichText {
    RichText::new(text).strong().size(15.0)
}

/// Text on the accent.
pub fn on_accent(text: &str) -> RichText {
    RichText::new(text).color(Color32::WHITE).strong()
}
