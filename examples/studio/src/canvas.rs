//! The large picture in the middle: the painting, or what is to be painted.

use eframe::egui::{Align2, FontId, Image, Rect, Sense, TextureId, Ui, Vec2, load::SizedTexture, vec2};

use crate::app::Action;
use crate::messages::main_button;
use crate::pictures::{Pictures, Role};

/// Shows the painting where there is one. While the mouse is held on it, the photograph.
pub fn show(
    ui: &mut Ui,
    painting: Option<(TextureId, Vec2)>,
    pictures: &Pictures,
    actions: &mut Vec<Action>,
) {
    let (area, response) = ui.allocate_exact_size(ui.available_size(), Sense::click_and_drag());
    ui.painter().rect_filled(area, 0, ui.visuals().extreme_bg_color);
    let photograph =
        pictures.get(Role::Content).map(|content| (content.shown.id(), content.shown.size_vec2()));
    let compare = response.is_pointer_button_down_on();
    let picture = if compare { photograph.or(painting) } else { painting.or(photograph) };
    let Some((id, own)) = picture else {
        invite(ui, area, actions);
        return;
    };
    // The photograph is compared at the painting's size.
    let size = painting.map_or(own, |(_, size)| size);
    let room = area.shrink(20.0).size();
    let scale = (room / size).min_elem().max(0.0);
    let place = Rect::from_center_size(area.center(), size * scale);
    Image::from_texture(SizedTexture::new(id, own)).paint_at(ui, place);
    if painting.is_some() && photograph.is_some() {
        response.on_hover_text_at_pointer("Hold the mouse button to see the photograph");
    }
}

/// There is no picture yet.
fn invite(ui: &mut Ui, area: Rect, actions: &mut Vec<Action>) {
    let visuals = ui.visuals();
    let (strong, weak) = (visuals.strong_text_color(), visuals.weak_text_color());
    let middle = area.center();
    let painter = ui.painter();
    painter.text(
        middle - vec2(0.0, 52.0),
        Align2::CENTER_CENTER,
        "Drop a photograph and a painting here",
        FontId::proportional(24.0),
        strong,
    );
    painter.text(
        middle - vec2(0.0, 18.0),
        Align2::CENTER_CENTER,
        "The photograph is painted anew, in the manner of the painting.",
        FontId::proportional(15.0),
        weak,
    );
    let size = vec2(190.0, 34.0);
    let left = Rect::from_center_size(middle + vec2(-105.0, 34.0), size);
    let right = Rect::from_center_size(middle + vec2(105.0, 34.0), size);
    if ui.put(left, main_button("Open a photograph…").min_size(size)).clicked() {
        actions.push(Action::Open(Role::Content));
    }
    if ui.put(right, main_button("Open a style…").min_size(size)).clicked() {
        actions.push(Action::Open(Role::Style(0)));
    }
}
