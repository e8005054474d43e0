//! A picture in a room, painted while one walks around it: a Bevy scene whose canvas is painted by impasto on Bevy's own
//! device, in Bevy's own frames.
//!
//! ```sh
//! cargo run --release [-- --size 256] [--steps 300] [--budget 4] [--seconds 60] [--still]
//! ```
//!
//! What an engine has to do is in `painting.rs`: a plugin of Bevy's that knows nothing of the scene. `scene.rs` is the
//! scene, which knows nothing of impasto: its canvas is an `Image` as any other. This file asks for the device.

mod painting;
mod scene;

use std::time::{Duration, Instant};

use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::settings::{RenderCreation, WgpuSettings};
use bevy::window::WindowResolution;
use impasto::picture::{Picture, Size};
use impasto::transfer::{Budget, Engine, Init, Options, Preset, WeightedLayer};
use impasto::wgpu;
use painting::{PaintingPlugin, Progress};

const CONTENT: &[u8] = include_bytes!("../../../assets/chelsea.png");
const STYLE: &[u8] = include_bytes!("../../../assets/brush-strokes.png");

/// What the command line says.
struct Arguments {
    /// Longer side of the painting.
    size: u32,
    steps: u32,
    /// Milliseconds of each frame for painting.
    budget: f64,
    /// Whether the camera stands still.
    still: bool,
    /// When to close the window; `None`: when somebody else does.
    seconds: Option<f64>,
}

impl Arguments {
    fn read() -> Result<Self, String> {
        let mut arguments = Self { size: 256, steps: 300, budget: 4.0, still: false, seconds: None };
        let mut given = std::env::args().skip(1);
        while let Some(option) = given.next() {
            let mut number = || {
                let value = given.next().and_then(|value| value.parse::<f64>().ok());
                value.filter(|value| *value > 0.0).ok_or(format!("{option} needs a number above 0"))
            };
            match option.as_str() {
                "--size" => arguments.size = number()? as u32,
                "--steps" => arguments.steps = number()? as u32,
                "--budget" => arguments.budget = number()?,
                "--seconds" => arguments.seconds = Some(number()?),
                "--still" => arguments.still = true,
                _ => {
                    return Err(format!("{option}: there are --size, --steps, --budget, --seconds, --still"));
                }
            }
        }
        Ok(arguments)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::read()?;
    let (content, style) = (Picture::decode(CONTENT, "content")?, Picture::decode(STYLE, "style")?);
    let size = Size::LongerSide(arguments.size);
    let side = size.fit(content.width(), content.height());
    let layers = [("conv1_1", 0.5), ("conv2_1", 0.5), ("conv3_1", 1.0), ("conv4_1", 0.01)];
    let options = Options::preset(Preset::Course).with(|options| {
        options.size = size;
        options.steps = arguments.steps;
        options.init = Init::Content;
        options.learning_rate = 4.0;
        options.content_layers[0].name = "conv3_2".into();
        options.style_layers = layers.map(|(name, weight)| WeightedLayer { name: name.into(), weight }).to_vec();
    });
    let progress = Progress::default();

    let mut app = App::new();
    let window =
        Window { title: "impasto in Bevy".into(), resolution: WindowResolution::new(800, 600), ..default() };
    let render = RenderPlugin { render_creation: device_for(side), ..default() };
    let windows = WindowPlugin { primary_window: Some(window), ..default() };
    app.add_plugins(DefaultPlugins.set(windows).set(render));
    let canvas = scene::build(&mut app, side, arguments.still);
    let budget = Budget::Time(Duration::from_secs_f64(1e-3 * arguments.budget));
    app.add_plugins(PaintingPlugin { canvas, content, style, options, budget, progress: progress.clone() });
    app.insert_resource(progress);
    app.insert_resource(FrameTimes::new(arguments.seconds.map(Duration::from_secs_f64)));
    app.add_systems(Update, (show, measure));
    app.run();
    Ok(())
}

/// Has Bevy open its device with what impasto can use and needs for a painting of this size.
///
/// Bevy opens adapter and device in one go, and what the adapter can do must be known before. So an adapter is asked that
/// is opened for nothing else, and Bevy is told to take the same.
fn device_for(size: (u32, u32)) -> RenderCreation {
    let mut settings = WgpuSettings::default();
    // Counts with `WgpuSettingsPriority::WebGPU`; with the default, `Functionality`, Bevy asks for all limits and
    // features that the adapter has. `constrained_limits` would cut either.
    settings.limits = settings.limits.or_better_values_from(&Engine::required_limits(size));
    let mut instance = wgpu::InstanceDescriptor::new_without_display_handle();
    instance.backends = settings.backends.unwrap_or_default();
    let wanted = wgpu::RequestAdapterOptions { power_preference: settings.power_preference, ..default() };
    // Where there is none, Bevy says so better.
    if let Ok(adapter) = pollster::block_on(wgpu::Instance::new(instance).request_adapter(&wanted)) {
        let info = adapter.get_info();
        settings.features |= Engine::wanted_features(adapter.features());
        settings.backends = Some(info.backend.into());
        settings.adapter_name = Some(info.name);
    }
    settings.into()
}

/// Tells in the window's title how far the painting is.
fn show(progress: Res<Progress>, mut window: Single<&mut Window>) {
    let title = format!("impasto in Bevy: {}", *progress);
    if window.title != title {
        window.title = title;
    }
}

/// How long frames took: of the painting, and of the same scene when it is done. Those before it began compare with
/// neither, because the first have no lamp yet.
#[derive(Resource)]
struct FrameTimes {
    started: Instant,
    runs_for: Option<Duration>,
    painting: Vec<f64>,
    done: Vec<f64>,
}

impl FrameTimes {
    fn new(runs_for: Option<Duration>) -> Self {
        Self { started: Instant::now(), runs_for, painting: Vec::new(), done: Vec::new() }
    }
}

/// Keeps the times of all frames, and prints them when the time is over.
fn measure(
    time: Res<Time<Real>>,
    progress: Res<Progress>,
    mut times: ResMut<FrameTimes>,
    mut exit: MessageWriter<AppExit>,
) {
    let milliseconds = time.delta_secs_f64() * 1e3;
    if progress.is_painting() {
        times.painting.push(milliseconds);
    } else if progress.is_done() {
        times.done.push(milliseconds);
    }
    if times.runs_for.is_some_and(|limit| times.started.elapsed() >= limit) {
        println!("{}", *progress);
        println!("frames while painting: {}", summary(&mut times.painting));
        println!("frames when it was done: {}", summary(&mut times.done));
        exit.write(AppExit::Success);
    }
}

fn summary(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    match times.len() {
        0 => "none".into(),
        frames => format!("{frames}, median {:.1} ms, 95 of 100 within {:.1} ms", at(0.5), at(0.95)),
    }
}
