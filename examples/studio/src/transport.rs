//! Start, pause and save, and how far the painting is.

use std::time::Duration;

use eframe::egui::{Align, Button, Label, Layout, ProgressBar, RichText, Ui};
use impasto::OptionName;
use impasto::error::Words;

use crate::app::Action;
use crate::labels::Window;
use crate::messages::main_button;
use crate::notice::mebibytes;
use crate::painting::{Painting, Status};
use crate::theme;

/// Every button is as wide, so that none moves when its text changes.
const BUTTON: [f32; 2] = [132.0, 34.0];

/// The row of buttons with the progress beside them.
pub fn show(ui: &mut Ui, painting: &Painting, waiting: &[String], ready: bool, actions: &mut Vec<Action>) {
    let status = painting.status();
    ui.horizontal(|ui| {
        start(ui, painting, &status, ready, actions);
        pause(ui, &status, actions);
        let save = Button::new("Save…").min_size(BUTTON.into());
        let what = "Writes the painting as it is now to a file; the painting goes on. (Ctrl+S)";
        if ui.add_enabled(painting.has_picture(), save).on_hover_text(what).clicked() {
            actions.push(Action::Save);
        }
        ui.add_space(8.0);
        ui.with_layout(Layout::top_down(Align::LEFT), |ui| progress(ui, painting, waiting, &status));
    });
}

fn start(ui: &mut Ui, painting: &Painting, status: &Status, ready: bool, actions: &mut Vec<Action>) {
    let refused = matches!(painting.estimate.answer(), Some(Err(_)));
    let again = painting.options().is_some();
    let text = if again { "Start again" } else { "Start painting" };
    let button = if again && *status != Status::Done { Button::new(text) } else { main_button(text) };
    let what = if again {
        "Begins a new painting with the options as they are now. (Ctrl+Enter)"
    } else {
        "Begins the painting. (Ctrl+Enter)"
    };
    let button = ui.add_enabled(ready && !refused, button.min_size(BUTTON.into()));
    let button = button.on_hover_text(what).on_disabled_hover_text("Choose a photograph and a style first.");
    if button.clicked() {
        actions.push(Action::Start);
    }
}

fn pause(ui: &mut Ui, status: &Status, actions: &mut Vec<Action>) {
    let paused = *status == Status::Paused;
    let text = if paused { "Continue" } else { "Pause" };
    let button = if paused { main_button(text) } else { Button::new(text) };
    let possible = matches!(status, Status::Painting | Status::Measuring | Status::Paused);
    let what = "Rests the painting, and goes on with it. (Space)";
    if ui.add_enabled(possible, button.min_size(BUTTON.into())).on_hover_text(what).clicked() {
        actions.push(Action::Pause(!paused));
    }
}

fn progress(ui: &mut Ui, painting: &Painting, waiting: &[String], status: &Status) {
    let (steps, all) = painting.steps();
    let share = if all == 0 { 0.0 } else { steps.min(all) as f32 / all as f32 };
    let busy = matches!(status, Status::Preparing | Status::Measuring | Status::Changing | Status::Saving);
    ui.spacing_mut().item_spacing.y = 3.0;
    ui.add(ProgressBar::new(share).desired_height(8.0).fill(theme::ACCENT).animate(busy));
    let step = || format!("step {steps} of {all}");
    let text = match status {
        Status::Nothing => needs(painting),
        Status::Preparing => "Getting ready: kernels are compiled and memory is set aside…".into(),
        Status::Measuring => "Looking at both pictures…".into(),
        Status::Painting => {
            let left = painting.time_left().map(|left| format!(", {} left", duration(left)));
            format!("Painting: {}{}", step(), left.unwrap_or_default())
        }
        Status::Paused => format!("Paused at {}", step()),
        Status::Done => format!("Done: {steps} steps. Raise {} to go on.", Window.option(OptionName::Steps)),
        Status::Changing => "Taking the new picture in…".into(),
        Status::Saving => "Saving…".into(),
    };
    let cost = painting.curve.newest().map(|cost| format!("   ·   cost {cost:.3e}")).unwrap_or_default();
    let text = format!("{text}{cost}");
    if waiting.is_empty() {
        ui.label(text);
    } else {
        let list = waiting.join(", ");
        ui.horizontal(|ui| {
            ui.label(text);
            let text = RichText::new(format!("*  with “Start again”: {list}")).color(theme::ACCENT);
            // Where there is no room, the whole text shows under the mouse.
            ui.add(Label::new(text).truncate());
        });
    }
}

/// What a painting would take.
fn needs(painting: &Painting) -> String {
    match painting.estimate.answer() {
        Some(Ok(((width, height), bytes))) => {
            format!("The painting: {width} × {height} pixels, {} of GPU memory", mebibytes(*bytes))
        }
        Some(Err(_)) => "It cannot start with these options".into(),
        None => "Choose a photograph and a style".into(),
    }
}

/// Seconds or minutes, as a person would say it.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs() + 1;
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5399 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}
