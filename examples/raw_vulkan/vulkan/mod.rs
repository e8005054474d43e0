//! A picture of the engine's is painted, on the engine's device, into another picture of the engine's.

mod engine;
mod import;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use impasto::picture::{Picture, PictureFormat};
use impasto::transfer::{Budget, Costs, Engine, Options, Preset, StepCosts, Transfer};
use impasto::wgpu;

use import::{Exposed, Imported};

const CONTENT: &[u8] = include_bytes!("../../../tests/fixtures/content-97x75.png");
const STYLE: &[u8] = include_bytes!("../../../tests/fixtures/style-90x64.png");
const STEPS: u32 = 5;
/// Of a frame, for painting.
const BUDGET: Budget = Budget::Time(Duration::from_millis(8));
/// A GPU that takes longer for a frame hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Paints, and writes the painting where `out` says.
pub(crate) fn run(out: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let content = Picture::decode(CONTENT, "content")?;
    let style = Picture::decode(STYLE, "style")?;
    let size = (content.width(), content.height());

    // The engine starts, asking wgpu what it wants on the way.
    let instance = engine::Instance::create(import::instance_extensions)?;
    let physical = instance.physical_device()?;
    let exposed = Exposed::new(&instance, physical, size)?;
    let device =
        engine::Device::create(&instance, physical, &exposed.extensions, &mut exposed.device_features())?;
    let instance_released = exposed.instance_released.clone();
    let imported = exposed.import(&device)?;
    let device_released = imported.device_released.clone();
    println!("{}", imported.device.adapter_info().name);

    // Two images of the engine's: a photograph on the device already, and the canvas.
    let photograph = device.picture(size, &content.to_rgba())?;
    let canvas = device.image(size)?;
    let (source, source_released) = imported.wrap("photograph", &photograph, wgpu::TextureUses::COPY_SRC)?;
    let (target, target_released) = imported.wrap("canvas", &canvas, wgpu::TextureUses::UNINITIALIZED)?;

    let painted = paint(&imported, &source, &style, &target);

    // wgpu's objects go. What the GPU may still be using goes when the device is polled.
    drop((source, target));
    imported.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) })?;
    source_released.check("the photograph")?;
    target_released.check("the canvas")?;
    drop(imported);
    device_released.check("the device")?;
    instance_released.check("the instance")?;

    // The engine's own commands again, on the image as `paint` left it.
    let painting = painted.and_then(|()| device.read(&canvas));
    // SAFETY: wgpu has released every handle, and the engine waits for its own commands.
    unsafe {
        photograph.destroy(&device);
        canvas.destroy(&device);
        device.destroy();
        instance.destroy();
    }
    let painting = Picture::from_rgba(size.0, size.1, &painting?)?;
    if let Some(path) = out {
        std::fs::write(path, painting.encode(PictureFormat::Png)?)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn paint(
    imported: &Imported,
    source: &wgpu::Texture,
    style: &Picture,
    target: &wgpu::Texture,
) -> Result<(), Box<dyn Error>> {
    let Imported { device, queue, .. } = imported;
    let engine = Engine::from_device(device, queue)?;
    let options = Options::preset(Preset::Course).with(|options| options.steps = STEPS);
    // Takes a second or two: an engine does this on a thread of its own.
    let mut transfer = pollster::block_on(Transfer::create(&engine, (source, style), &options))?;
    pollster::block_on(transfer.prepare_output(target.format()))?;

    // The frames of the engine, one of them ahead of the GPU.
    let (mut frames, mut in_flight) = (0, None);
    loop {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let recorded = transfer.record(&mut encoder, BUDGET)?;
        // Here the engine would draw.
        frames += 1;
        let submitted = queue.submit([encoder.finish()]);
        if let Some(earlier) = in_flight.replace(submitted) {
            device.poll(wgpu::PollType::Wait { submission_index: Some(earlier), timeout: Some(PATIENCE) })?;
        }
        while let Some(StepCosts { steps, costs, .. }) = transfer.try_cost() {
            report(steps, &costs);
        }
        if !recorded.work_remains {
            break;
        }
    }

    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    transfer.record_picture(&mut encoder, target)?;
    // The layout in which the engine wants its image back: `TRANSFER_SRC_OPTIMAL`.
    let back =
        wgpu::TextureTransition { texture: target, selector: None, state: wgpu::TextureUses::COPY_SRC };
    encoder.transition_resources(std::iter::empty(), std::iter::once(back));
    queue.submit([encoder.finish()]);
    device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) })?;
    while let Some(StepCosts { steps, costs, .. }) = transfer.try_cost() {
        report(steps, &costs);
    }
    println!("{STEPS} steps in {frames} frames");
    Ok(())
}

fn report(steps: u32, costs: &Costs) {
    println!(
        "before step {}: cost {:.4e}, of content {:.4e}, of style {:.4e}",
        steps + 1,
        costs.total,
        costs.content,
        costs.style
    );
}
