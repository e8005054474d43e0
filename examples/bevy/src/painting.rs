//! Paints into an image of Bevy's, in the render world: with Bevy's device, in Bevy's encoder, a few milliseconds a frame.

use std::fmt;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bevy::core_pipeline::schedule::camera_driver;
use bevy::log::error;
use bevy::prelude::*;
use bevy::render::render_asset::RenderAssets;
use bevy::render::renderer::{RenderContext, RenderDevice, RenderGraph, RenderQueue};
use bevy::render::texture::GpuImage;
use bevy::render::{RenderApp, RenderStartup};
use impasto::picture::Picture;
use impasto::transfer::{Budget, Engine, Options, Sources, StepCosts, Transfer};
use impasto::wgpu;

/// The format of a canvas: sampled, it gives the linear light that a lit material wants.
const CANVAS_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;

/// Paints `content` in the style of `style` into `canvas`.
pub(crate) struct PaintingPlugin {
    /// An image of the size that the options give the content, `Rgba8UnormSrgb`, with the usage `COPY_DST`, that lives
    /// in the render world only.
    pub(crate) canvas: Handle<Image>,
    pub(crate) content: Picture,
    pub(crate) style: Picture,
    pub(crate) options: Options,
    /// Of the GPU's time in each frame.
    pub(crate) budget: Budget,
    pub(crate) progress: Progress,
}

impl Plugin for PaintingPlugin {
    fn build(&self, app: &mut App) {
        let Some(render) = app.get_sub_app_mut(RenderApp) else { return };
        render.insert_resource(Job {
            canvas: self.canvas.clone(),
            content: self.content.clone(),
            style: self.style.clone(),
            options: self.options.clone(),
            budget: self.budget,
            progress: self.progress.clone(),
        });
        // Runs when there is a device, and again should Bevy have to open another.
        render.add_systems(RenderStartup, prepare);
        // Before the cameras, so that a frame shows what was painted in it.
        render.add_systems(RenderGraph, paint.before(camera_driver));
    }
}

#[derive(Resource)]
struct Job {
    canvas: Handle<Image>,
    content: Picture,
    style: Picture,
    options: Options,
    budget: Budget,
    progress: Progress,
}

/// A transfer under way. Bevy wants resources that threads can share; only one system uses this one.
#[derive(Resource)]
enum Painter {
    /// On a thread: kernels are compiled, weights are put on the device.
    Preparing(Mutex<Receiver<impasto::Result<Transfer>>>),
    Painting(Box<Transfer>),
    /// The steps are done, or something failed.
    Resting,
}

fn prepare(mut commands: Commands, device: Res<RenderDevice>, queue: Res<RenderQueue>, job: Res<Job>) {
    let (device, queue) = (device.wgpu_device().clone(), (**queue).clone());
    let (sources, options) = (Sources::new(&job.content, &job.style), job.options.clone());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let transfer: impasto::Result<Transfer> = pollster::block_on(async {
            let engine = Engine::from_device(&device, &queue)?;
            let mut transfer = Transfer::create(&engine, sources, &options).await?;
            // Otherwise the first frame that shows the picture would compile a kernel.
            transfer.prepare_output(CANVAS_FORMAT).await?;
            Ok(transfer)
        });
        // Nobody listens when the window was closed in the meantime.
        let _ = sender.send(transfer);
    });
    commands.insert_resource(Painter::Preparing(Mutex::new(receiver)));
}

fn paint(
    mut context: RenderContext,
    mut painter: ResMut<Painter>,
    job: Res<Job>,
    images: Res<RenderAssets<GpuImage>>,
) {
    if let Painter::Preparing(receiver) = &mut *painter {
        let received = receiver.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv();
        *painter = match received {
            Ok(Ok(transfer)) => Painter::Painting(Box::new(transfer)),
            Err(TryRecvError::Empty) => return,
            Ok(Err(error)) => stop(&job, &error.to_string()),
            Err(TryRecvError::Disconnected) => stop(&job, "the preparation panicked"),
        };
    }
    let Painter::Painting(transfer) = &mut *painter else { return };
    // Until Bevy has made the texture, there is nothing to paint on.
    let Some(canvas) = images.get(&job.canvas) else { return };
    let encoder = context.command_encoder();
    let recorded = transfer.record(encoder, job.budget).and_then(|recorded| {
        // A frame that completes no step shows the picture of the last one.
        if recorded.completed > 0 {
            transfer.record_picture(encoder, &canvas.texture)?;
        }
        Ok(recorded)
    });
    match recorded {
        Ok(recorded) => {
            let mut progress = job.progress.lock();
            progress.state = if recorded.work_remains { State::Painting } else { State::Done };
            progress.steps = recorded.steps;
            while let Some(StepCosts { steps, costs, .. }) = transfer.try_cost() {
                println!("before step {}: cost {:.4e}", steps + 1, costs.total);
                progress.cost = Some(costs.total);
            }
            // Goes on until the costs of the last step are back.
        }
        Err(error) => *painter = stop(&job, &error.to_string()),
    }
}

fn stop(job: &Job, reason: &str) -> Painter {
    error!("painting: {reason}");
    job.progress.lock().state = State::Failed(reason.to_owned());
    Painter::Resting
}

/// How far the painting is: shared by the main world, which shows it, and the render world.
#[derive(Clone, Default, Resource)]
pub(crate) struct Progress(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    state: State,
    steps: u32,
    cost: Option<f32>,
}

#[derive(Default)]
enum State {
    #[default]
    Preparing,
    Painting,
    Done,
    Failed(String),
}

impl Progress {
    pub(crate) fn is_painting(&self) -> bool {
        matches!(self.lock().state, State::Painting)
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.lock().state, State::Done | State::Failed(_))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.lock();
        match &seen.state {
            State::Preparing => write!(f, "preparing"),
            State::Painting | State::Done => write!(f, "{} steps", seen.steps),
            State::Failed(reason) => write!(f, "{reason}"),
        }?;
        seen.cost.map_or(Ok(()), |cost| write!(f, ", cost {cost:.3e}"))
    }
}
