//! Painting a mask with the mouse, over the photograph.

use std::ops::RangeInclusive;

use eframe::egui::{
    Button, Color32, ColorImage, Context, Frame, Image, Key, Margin, Modifiers, Panel, Pos2, Rect, Response,
    RichText, Sense, Slider, Stroke, TextureHandle, TextureOptions, Ui, load::SizedTexture, pos2,
};

use crate::mask::{Brush, Mask};
use crate::messages::main_button;
use crate::pictures::{Loaded, MaskRole, Pictures, Role};
use crate::theme;

/// How much of the photograph the colour of the mask hides at most.
const OPACITY: f32 = 0.6;

/// Sizes of the brush in percent of the photograph's longer side.
const SIZES: RangeInclusive<f32> = 0.5..=60.0;
/// The radius of the brush changes by this factor with a key.
const KEY_FACTOR: f32 = 1.25;

/// A mask that is being painted.
pub struct MaskEditor {
    pub role: MaskRole,
    /// The diameter of the brush in percent of the photograph's longer side.
    size: f32,
    softness: f32,
    erases: bool,
    /// Where the stroke under way was last, in pixels of the mask.
    last: Option<Pos2>,
    overlay: Option<(u64, TextureHandle)>,
}

impl MaskEditor {
    pub fn new(role: MaskRole) -> Self {
        Self { role, size: 8.0, softness: 0.5, erases: false, last: None, overlay: None }
    }

    /// The tools and the photograph with the mask over it. `true`: somebody is done.
    pub fn show(&mut self, ui: &mut Ui, pictures: &mut Pictures) -> bool {
        let title = Role::Mask(self.role).name(pictures);
        let photograph = pictures.get(Role::Content).map(|content| {
            let Loaded { shown, .. } = content;
            SizedTexture::new(shown.id(), shown.size_vec2())
        });
        let (Some(photograph), Some(mask)) = (photograph, pictures.mask_to_paint(self.role)) else {
            return true;
        };
        let frame = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(14, 8));
        let done = Panel::top("mask tools").frame(frame).show(ui, |ui| self.tools(ui, &title, mask)).inner;
        self.canvas(ui, photograph, mask);
        done | self.keys(ui.ctx(), mask)
    }

    fn tools(&mut self, ui: &mut Ui, title: &str, mask: &mut Mask) -> bool {
        ui.spacing_mut().slider_width = 60.0;
        // Where the tools need two rows, these are as high as the highest of them.
        ui.spacing_mut().interact_size.y = 28.0;
        ui.horizontal_wrapped(|ui| {
            ui.label(theme::section(title));
            ui.selectable_value(&mut self.erases, false, "Paint").on_hover_text("Here it counts. (X)");
            ui.selectable_value(&mut self.erases, true, "Erase").on_hover_text("Here it does not. (X)");
            let sizes = Slider::new(&mut self.size, SIZES).logarithmic(true).max_decimals(1).suffix(" %");
            ui.label("Size").on_hover_text("Of the brush, over the photograph's longer side. ([ and ])");
            ui.add(sizes);
            ui.label("Soft edge").on_hover_text("How much of the brush fades out.");
            ui.add(Slider::new(&mut self.softness, 0.0..=1.0).max_decimals(2));
            let undo = Button::new("Undo");
            if ui
                .add_enabled(mask.can_undo(), undo)
                .on_hover_text("Takes the last change back. (Ctrl+Z)")
                .clicked()
            {
                mask.undo();
            }
            if ui.button("Clear").on_hover_text("Takes everything away: then it counts as no mask.").clicked()
            {
                mask.clear();
            }
            if ui.button("Invert").on_hover_text("What counts and what does not change places.").clicked() {
                mask.invert();
            }
            ui.add(main_button("Done")).on_hover_text("(Esc)").clicked()
        })
        .inner
    }

    fn keys(&mut self, context: &Context, mask: &mut Mask) -> bool {
        if context.egui_wants_keyboard_input() {
            return false;
        }
        let pressed = |modifiers, key| context.input_mut(|input| input.consume_key(modifiers, key));
        if pressed(Modifiers::COMMAND, Key::Z) {
            mask.undo();
        }
        if pressed(Modifiers::NONE, Key::X) {
            self.erases = !self.erases;
        }
        if pressed(Modifiers::NONE, Key::OpenBracket) {
            self.size = (self.size / KEY_FACTOR).max(*SIZES.start());
        }
        if pressed(Modifiers::NONE, Key::CloseBracket) {
            self.size = (self.size * KEY_FACTOR).min(*SIZES.end());
        }
        pressed(Modifiers::NONE, Key::Escape)
    }

    fn canvas(&mut self, ui: &mut Ui, photograph: SizedTexture, mask: &mut Mask) {
        let (area, response) = ui.allocate_exact_size(ui.available_size(), Sense::drag());
        ui.painter().rect_filled(area, 0, ui.visuals().extreme_bg_color);
        let scale = (area.shrink(20.0).size() / photograph.size).min_elem().max(0.0);
        let place = Rect::from_center_size(area.center(), photograph.size * scale);
        Image::from_texture(photograph).paint_at(ui, place);
        self.paint(&response, place, mask);
        let overlay = self.overlay(ui.ctx(), mask);
        Image::from_texture(overlay).paint_at(ui, place);
        self.cursor(ui, &response, place);
        if mask.is_empty() && self.last.is_none() {
            let text = "Paint over what should count";
            let hint =
                RichText::new(text).color(Color32::WHITE).background_color(Color32::from_black_alpha(160));
            ui.put(
                Rect::from_center_size(place.center(), [320.0, 24.0].into()),
                eframe::egui::Label::new(hint).selectable(false),
            );
        }
    }

    /// The stroke that the mouse makes.
    fn paint(&mut self, response: &Response, place: Rect, mask: &mut Mask) {
        let pointer = response.interact_pointer_pos().filter(|_| response.is_pointer_button_down_on());
        let Some(pointer) = pointer else {
            if self.last.take().is_some() {
                mask.settle();
            }
            return;
        };
        let sides = mask.sides();
        let at = to_mask(pointer, place, sides);
        let longer = sides.0.max(sides.1) as f32;
        let brush =
            Brush { radius: 0.005 * self.size * longer, softness: self.softness, erases: self.erases };
        let from = self.last.unwrap_or_else(|| {
            mask.begin();
            at
        });
        if self.last != Some(at) {
            mask.stroke(&brush, from, at);
            self.last = Some(at);
        }
    }

    fn overlay(&mut self, context: &Context, mask: &Mask) -> SizedTexture {
        let is_old = self.overlay.as_ref().is_none_or(|(version, _)| *version != mask.version());
        if is_old {
            let (width, height) = mask.sides();
            let colours: Vec<Color32> = (0..=255).map(tint).collect();
            let pixels = mask.levels().iter().map(|level| colours[usize::from(*level)]).collect();
            let image = ColorImage::new([width as usize, height as usize], pixels);
            match &mut self.overlay {
                Some((version, texture)) => {
                    *version = mask.version();
                    texture.set(image, TextureOptions::LINEAR);
                }
                None => {
                    let texture = context.load_texture("mask", image, TextureOptions::LINEAR);
                    self.overlay = Some((mask.version(), texture));
                }
            }
        }
        let id = self.overlay.as_ref().map(|(_, texture)| texture.id()).unwrap_or_default();
        SizedTexture::new(id, [mask.sides().0 as f32, mask.sides().1 as f32])
    }

    /// A ring as large as the brush, in two colours that show on any picture.
    fn cursor(&self, ui: &Ui, response: &Response, place: Rect) {
        let Some(pointer) = response.hover_pos() else { return };
        let radius = 0.005 * self.size * place.size().max_elem();
        ui.painter().circle_stroke(pointer, radius, Stroke::new(3.0, Color32::from_black_alpha(140)));
        ui.painter().circle_stroke(pointer, radius, Stroke::new(1.0, Color32::WHITE));
    }
}

/// The colour that a level has over the photograph.
fn tint(level: u8) -> Color32 {
    let alpha = (OPACITY * f32::from(level)).round() as u8;
    let colour = theme::MASK;
    Color32::from_rgba_unmultiplied(colour.r(), colour.g(), colour.b(), alpha)
}

/// A place of the window in pixels of a mask that is shown at `place`.
fn to_mask(pointer: Pos2, place: Rect, (width, height): (u32, u32)) -> Pos2 {
    let share = (pointer - place.min) / place.size().max([1e-3, 1e-3].into());
    pos2(share.x * width as f32, share.y * height as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mouse_paints_where_it_points() {
        let place = Rect::from_min_size(pos2(100.0, 50.0), [400.0, 200.0].into());
        assert_eq!(to_mask(pos2(100.0, 50.0), place, (40, 20)), pos2(0.0, 0.0));
        assert_eq!(to_mask(pos2(300.0, 150.0), place, (40, 20)), pos2(20.0, 10.0));
        assert_eq!(to_mask(pos2(80.0, 250.0), place, (40, 20)), pos2(-2.0, 20.0));
        assert!(
            to_mask(pos2(80.0, 250.0), Rect::from_min_size(place.min, [0.0, 0.0].into()), (40, 20))
                .is_finite()
        );
    }

    #[test]
    fn what_counts_is_tinted() {
        assert_eq!(tint(0), Color32::TRANSPARENT);
        assert_eq!(tint(255).a(), 153);
    }
}
