//! impasto studio: paints a photograph in the style of a picture, in a window.
//!
//! Usage: `studio [PHOTOGRAPH [STYLE…]]`

#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

mod app;
mod background;
mod canvas;
mod cards;
mod cost_plot;
mod device;
mod files;
mod labels;
mod mask;
mod mask_editor;
mod messages;
mod notice;
mod option_row;
mod options_panel;
mod painting;
mod pictures;
mod settings;
mod sources_panel;
mod theme;
mod transport;

use std::path::PathBuf;
use std::process::ExitCode;

use eframe::egui;

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("impasto studio")
            .with_app_id("impasto-studio")
            .with_inner_size([1280.0, 840.0])
            .with_min_inner_size([960.0, 600.0])
            .with_drag_and_drop(true),
        renderer: eframe::Renderer::Wgpu,
        wgpu_options: device::configuration(),
        event_loop_builder: device::event_loop(),
        centered: true,
        ..Default::default()
    };
    let run = eframe::run_native(
        "impasto studio",
        options,
        Box::new(|creation| match app::Studio::new(creation, &files) {
            Some(studio) => Ok(Box::new(studio)),
            None => Err("the window has no graphics device".into()),
        }),
    );
    match run {
        Ok(()) => ExitCode::SUCCESS,
        // There is no window to say it in.
        Err(error) => {
            eprintln!("error: the window cannot open: {error}; install or update the graphics driver");
            ExitCode::FAILURE
        }
    }
}
