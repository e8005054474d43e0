//! Notices in the window, and questions that must be answered.

use std::path::{Path, PathBuf};

use eframe::egui::{
    self, Align, Button, Color32, CornerRadius, Frame, Id, Layout, Margin, Modal, RichText, Stroke, TextEdit,
    Ui, vec2,
};

use crate::notice::{Notice, Weight};
use crate::pictures::{Role, name_of};
use crate::theme;

/// A notice, above everything else in its column. `true`: somebody closed it.
pub fn notice(ui: &mut Ui, notice: &Notice) -> bool {
    let colour = match notice.weight {
        Weight::Done => theme::DONE,
        Weight::Failed => theme::FAILED,
    };
    let frame = Frame::new()
        .fill(colour.gamma_multiply(0.18))
        .stroke(Stroke::new(1.0, colour))
        .corner_radius(CornerRadius::same(6))
        .inner_margin(Margin::symmetric(12, 8))
        .outer_margin(Margin::same(8));
    frame
        .show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
                let closed = ui.button("Close").clicked();
                ui.with_layout(Layout::top_down(Align::LEFT), |ui| {
                    ui.label(RichText::new(&notice.headline).strong());
                    if !notice.reason.is_empty() {
                        ui.label(&notice.reason);
                    }
                    if !notice.remedy.is_empty() {
                        ui.label(RichText::new(&notice.remedy).italics());
                    }
                });
                closed
            })
            .inner
        })
        .inner
}

/// Asks what a dropped picture is for.
pub fn ask_role(context: &egui::Context, path: &Path, styles: usize) -> Option<Answer<Role>> {
    let modal = modal(context, "role").show(context, |ui| {
        ui.set_width(480.0);
        ui.label(theme::section(&format!("What is “{}” for?", name_of(path))));
        ui.add_space(6.0);
        let mut chosen = None;
        ui.horizontal(|ui| {
            let choices = [
                (Role::Content, "The photograph"),
                (Role::Style(0), "The style"),
                (Role::Style(styles), "One more style"),
                (Role::Start, "To start from"),
            ];
            for (role, text) in choices {
                if ui.button(text).clicked() {
                    chosen = Some(role);
                }
            }
        });
        chosen
    });
    let cancelled = modal.should_close().then_some(Answer::Cancelled);
    modal.inner.map(Answer::Chosen).or(cancelled)
}

fn modal(context: &egui::Context, name: &'static str) -> Modal {
    let frame = Frame::popup(&context.global_style()).inner_margin(Margin::same(16));
    Modal::new(Id::unique(name)).frame(frame)
}

/// What a person answered.
pub enum Answer<T> {
    Chosen(T),
    Cancelled,
}

/// What is to happen with the name in the field.
pub enum Save {
    Browse,
    Write(PathBuf),
}

/// Asks where to save. The field works on systems without a file dialog, too.
pub fn ask_path(context: &egui::Context, path: &mut String) -> Option<Answer<Save>> {
    let modal = modal(context, "save").show(context, |ui| {
        ui.set_width(560.0);
        ui.label(theme::section("Save the painting"));
        ui.label(
            RichText::new("PNG keeps every pixel; JPEG files are smaller. The name's ending decides.").weak(),
        );
        let field = ui.add(TextEdit::singleline(path).desired_width(f32::INFINITY));
        let mut entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        // Somebody may write at once. Enter has taken the focus away by now, and must not give it back.
        if !entered && ui.memory(|memory| memory.focused().is_none()) {
            field.request_focus();
        }
        let (mut browse, mut cancelled) = (false, false);
        ui.horizontal(|ui| {
            entered |= ui.add(main_button("Save").min_size(vec2(96.0, 28.0))).clicked();
            browse = ui.button("Browse…").clicked();
            cancelled = ui.button("Cancel").clicked();
        });
        match (entered, browse, cancelled) {
            (true, ..) => Some(Answer::Chosen(Save::Write(PathBuf::from(path.trim())))),
            (_, true, _) => Some(Answer::Chosen(Save::Browse)),
            (.., true) => Some(Answer::Cancelled),
            _ => None,
        }
    });
    let cancelled = modal.should_close().then_some(Answer::Cancelled);
    modal.inner.or(cancelled)
}

/// A button on the accent.
pub fn main_button(text: &str) -> Button<'static> {
    Button::new(theme::on_accent(text)).fill(theme::ACCENT).stroke(Stroke::NONE)
}

/// Asks before an unsaved painting is lost.
pub fn ask_close(context: &egui::Context) -> Option<Answer<bool>> {
    let modal = modal(context, "close").show(context, |ui| {
        ui.set_width(420.0);
        ui.label(theme::section("The painting is not saved"));
        ui.label("Close the window all the same?");
        ui.add_space(6.0);
        let mut answer = None;
        ui.horizontal(|ui| {
            if ui.add(main_button("Save…")).clicked() {
                answer = Some(Answer::Chosen(true));
            }
            if ui.button("Close without saving").clicked() {
                answer = Some(Answer::Chosen(false));
            }
            if ui.button("Keep painting").clicked() {
                answer = Some(Answer::Cancelled);
            }
        });
        answer
    });
    let cancelled = modal.should_close().then_some(Answer::Cancelled);
    modal.inner.or(cancelled)
}

/// Shown over everything while files are held over the window.
pub fn drop_here(context: &egui::Context) {
    let painter = context.layer_painter(egui::LayerId::new(egui::Order::Foreground, Id::unique("drop")));
    let window = context.content_rect();
    painter.rect_filled(window, 0, Color32::from_black_alpha(150));
    painter.text(
        window.center(),
        egui::Align2::CENTER_CENTER,
        "Drop it here",
        egui::FontId::proportional(34.0),
        Color32::WHITE,
    );
}
