//! The smallest host: a device of its own, frames without a window, and a painting that grows by some milliseconds a
//! frame. `cargo run --release --example offscreen -- CONTENT STYLE OUT.png [MILLISECONDS]`

use std::time::{Duration, Instant};

use impasto::picture::{Picture, PictureFormat};
use impasto::transfer::{Budget, Engine, Options, Preset, StepCosts, Transfer};
use impasto::wgpu;
use pollster::block_on;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [content, style, out, rest @ ..] = &arguments[..] else {
        return Err("usage: offscreen CONTENT STYLE OUT.png [MILLISECONDS]".into());
    };
    let budget = rest.first().map_or(Ok(4), |milliseconds| milliseconds.parse())?;
    let read = |path: &String| -> Result<Picture, Box<dyn std::error::Error>> {
        Ok(Picture::decode(&std::fs::read(path)?, path)?)
    };
    let (content, style) = (read(content)?, read(style)?);
    let options = Options::preset(Preset::Course).with(|options| options.steps = 20);

    // A host opens its device as it always does, with what impasto wants besides.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let size = options.fit_content((content.width(), content.height()));
    let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: Engine::wanted_features(adapter.features()),
        required_limits: wgpu::Limits::default().or_better_values_from(&Engine::required_limits(size)),
        ..wgpu::DeviceDescriptor::default()
    }))?;
    let engine = Engine::from_device(&device, &queue)?;
    let mut transfer = block_on(Transfer::create(&engine, (&content, &style), &options))?;
    let mut frames: Vec<f64> = Vec::new();
    loop {
        let begin = Instant::now();
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let recorded = transfer.record(&mut encoder, Budget::Time(Duration::from_millis(budget)))?;
        // Here a renderer records its scene.
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely())?;
        frames.push(1e3 * begin.elapsed().as_secs_f64());
        if let Some(StepCosts { steps, costs, .. }) = transfer.try_cost() {
            println!("{steps:3} steps, frame {:5}: cost {:.4e}", frames.len(), costs.total);
        }
        if !recorded.work_remains {
            break;
        }
    }
    frames.sort_by(f64::total_cmp);
    let share = |part: f64| frames[((frames.len() - 1) as f64 * part) as usize];
    println!(
        "{} frames of {budget} ms: median {:.2} ms, 95 % {:.2} ms",
        frames.len(),
        share(0.5),
        share(0.95)
    );
    std::fs::write(out, block_on(transfer.picture())?.encode(PictureFormat::Png)?)?;
    Ok(())
}
