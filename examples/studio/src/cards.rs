//! The two pictures at the head of the options, as cards to look at, click and drop files on.

use eframe::egui::{
    Align2, Color32, CornerRadius, CursorIcon, FontId, Image, Rect, Response, RichText, Sense, Stroke,
    StrokeKind, Ui, pos2, vec2,
};

use crate::app::Action;
use crate::pictures::{Pictures, Role};
use crate::theme;

const HEIGHT: f32 = 118.0;

/// Both cards and the button that exchanges them. Returns where each card lies, for dropped files.
pub fn show(ui: &mut Ui, pictures: &Pictures, actions: &mut Vec<Action>) -> [(Role, Rect); 2] {
    let gap = 30.0;
    let width = (ui.available_width() - gap) / 2.0;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        let content = card(ui, pictures, Role::Content, width);
        let (_, middle) = ui.allocate_space(vec2(gap, HEIGHT));
        if exchange(ui, middle).clicked() {
            actions.push(Action::Swap);
        }
        let style = card(ui, pictures, Role::Style(0), width);
        for (role, card) in [(Role::Content, &content), (Role::Style(0), &style)] {
            if card.clicked() {
                actions.push(Action::Open(role));
            }
        }
        [(Role::Content, content.rect), (Role::Style(0), style.rect)]
    })
    .inner
}

/// Two arrows, drawn: the fonts have none.
fn exchange(ui: &mut Ui, place: Rect) -> Response {
    let what = "Photograph and style change places";
    let response = ui.allocate_rect(place, Sense::click()).on_hover_text(what);
    let stroke = ui.style().interact(&response).fg_stroke;
    let arrow = vec2(12.0, 0.0);
    let middle = place.center();
    ui.painter().arrow(middle + vec2(-6.0, -4.0), arrow, Stroke::new(1.5, stroke.color));
    ui.painter().arrow(middle + vec2(6.0, 4.0), -arrow, Stroke::new(1.5, stroke.color));
    response
}

fn card(ui: &mut Ui, pictures: &Pictures, role: Role, width: f32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(width, HEIGHT), Sense::click());
    let response = response.on_hover_cursor(CursorIcon::PointingHand);
    let painter = ui.painter_at(rect);
    let visuals = ui.visuals();
    let rounding = CornerRadius::same(6);
    painter.rect_filled(rect, rounding, visuals.extreme_bg_color);
    let what = match role {
        Role::Content => "What is painted",
        _ => "How it is painted",
    };
    let hint = match pictures.get(role) {
        Some(loaded) => {
            let image = Image::from_texture(&loaded.thumbnail).corner_radius(rounding);
            // It fills the card; what hangs over is cut off.
            let size = loaded.thumbnail.size_vec2();
            let shown = rect.size() / (rect.size() / size).max_elem();
            let uv = Rect::from_center_size(pos2(0.5, 0.5), shown / size);
            image.uv(uv).paint_at(ui, rect);
            let (width, height) = loaded.sides();
            format!(
                "{}\n{width} × {height} pixels\n\nClick for another picture, or drop one here.",
                loaded.name()
            )
        }
        None => {
            let colours = [visuals.strong_text_color(), visuals.weak_text_color(), visuals.weak_text_color()];
            let lines = [&*role.name(pictures), what, "Click, or drop a picture"];
            for (line, (text, colour)) in lines.into_iter().zip(colours).enumerate() {
                let place = rect.center() + vec2(0.0, 20.0 * (line as f32 - 1.0));
                painter.text(place, Align2::CENTER_CENTER, text, FontId::proportional(12.5), colour);
            }
            format!("{what}. Click to choose a picture, or drop one here.")
        }
    };
    if pictures.get(role).is_some() {
        label(ui, rect, &role.name(pictures));
    }
    if pictures.is_loading(role) {
        ui.put(Rect::from_center_size(rect.center(), vec2(28.0, 28.0)), eframe::egui::Spinner::new());
    }
    let stroke = if response.hovered() {
        Stroke::new(2.0, theme::ACCENT)
    } else {
        ui.visuals().widgets.noninteractive.bg_stroke
    };
    painter.rect_stroke(rect, rounding, stroke, StrokeKind::Inside);
    response.on_hover_text(RichText::new(hint))
}

/// The card's name on its picture.
fn label(ui: &Ui, rect: Rect, text: &str) {
    let painter = ui.painter_at(rect);
    let galley = painter.layout_no_wrap(text.to_owned(), FontId::proportional(12.0), Color32::WHITE);
    let place = Rect::from_min_size(rect.min + vec2(7.0, 7.0), galley.size()).expand2(vec2(6.0, 3.0));
    painter.rect_filled(place, CornerRadius::same(4), Color32::from_black_alpha(150));
    painter.galley(place.min + vec2(6.0, 3.0), galley, Color32::WHITE);
}
