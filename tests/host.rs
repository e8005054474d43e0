//! What a host relies on that renders frames of its own: nothing is submitted, polled or waited for, pieces make the same
//! bits as whole steps, and pictures go in and out as textures.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use impasto::gpu::Gpu;
use impasto::picture::{Picture, Size};
use impasto::transfer::{
    Budget, Checkpoint, Costs, Engine, EngineOptions, Init, Options, Preset, Source, SourceId, SourceLayout,
    Sources, StepCosts, Transfer, TransferPhase, WeightedLayer,
};
use impasto::{Error, OptionName, Remedy, wgpu};
use pollster::block_on;

const STEPS: u32 = 4;

/// A device that is not ours, with a count of the errors that reach its host.
struct Host {
    device: wgpu::Device,
    queue: wgpu::Queue,
    errors: Arc<AtomicU32>,
}

impl Host {
    fn new() -> Self {
        Self::with(|adapter| (Engine::wanted_features(adapter.features()), adapter.limits()))
    }

    fn with(wanted: impl FnOnce(&wgpu::Adapter) -> (wgpu::Features, wgpu::Limits)) -> Self {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        let instance = wgpu::Instance::new(descriptor);
        let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
        let (required_features, required_limits) = wanted(&adapter);
        let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("host"),
            required_features,
            required_limits,
            ..wgpu::DeviceDescriptor::default()
        }))
        .unwrap();
        let errors = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&errors);
        device.on_uncaptured_error(Arc::new(move |error| {
            eprintln!("the host heard of: {error}");
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        Self { device, queue, errors }
    }

    fn engine(&self) -> Engine {
        Engine::from_device(&self.device, &self.queue).unwrap()
    }

    /// An engine with many slices, so that there are many places to cut at.
    fn sliced(&self) -> Engine {
        let gpu = Gpu::from_parts(self.device.clone(), self.queue.clone());
        let options = EngineOptions::default().with(|options| options.slice_work = Some(2_000_000));
        Engine::builder(gpu).options(options).build().unwrap()
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("host") })
    }

    fn submit(&self, encoder: wgpu::CommandEncoder) {
        self.queue.submit([encoder.finish()]);
    }

    fn wait(&self) {
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    }

    /// Frame after frame, until nothing remains; returns the costs that came back.
    fn paint(&self, transfer: &mut Transfer, budget: Budget) -> Vec<StepCosts> {
        let mut costs = Vec::new();
        for _ in 0..100_000 {
            let mut encoder = self.encoder();
            let recorded = transfer.record(&mut encoder, budget).unwrap();
            self.submit(encoder);
            self.wait();
            costs.extend(transfer.try_cost());
            if !recorded.work_remains {
                return costs;
            }
        }
        panic!("it never ends");
    }

    fn texture(&self, format: wgpu::TextureFormat, (width, height): (u32, u32)) -> wgpu::Texture {
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("host"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::COPY_SRC | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        })
    }

    fn filled(&self, format: wgpu::TextureFormat, size: (u32, u32), bytes: &[u8]) -> wgpu::Texture {
        let texture = self.texture(format, size);
        self.queue.write_texture(
            texture.as_image_copy(),
            bytes,
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some((bytes.len() / size.1 as usize) as u32),
                rows_per_image: None,
            },
            texture.size(),
        );
        texture
    }

    /// The texels without the padding of their rows.
    fn read(&self, texture: &wgpu::Texture, texel_bytes: u32) -> Vec<u8> {
        let (row, height) = (texture.width() * texel_bytes, texture.height());
        let pitch = row.next_multiple_of(256);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(pitch * height),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.encoder();
        encoder.copy_texture_to_buffer(
            texture.as_image_copy(),
            wgpu::TexelCopyBufferInfo {
                buffer: &buffer,
                layout: wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(pitch),
                    rows_per_image: None,
                },
            },
            texture.size(),
        );
        encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        self.submit(encoder);
        self.wait();
        let view = buffer.get_mapped_range(..).unwrap();
        view.chunks_exact(pitch as usize).flat_map(|line| line[..row as usize].to_vec()).collect()
    }
}

fn picture(width: u32, height: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|i| ((i * 37 + i / 7 * 11) % 256) as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

fn shallow() -> Options {
    Options::preset(Preset::Course).with(|options| {
        options.content_layers[0].name = "conv1_2".into();
        options.style_layers = vec![
            WeightedLayer { name: "conv1_1".into(), weight: 1.0 },
            WeightedLayer { name: "conv2_1".into(), weight: 0.5 },
        ];
        options.init = Init::Content;
        options.steps = STEPS;
    })
}

fn create(engine: &Engine, options: &Options) -> Transfer {
    block_on(Transfer::create(engine, (&picture(40, 30), &picture(16, 18)), options)).unwrap()
}

/// The pixels, and the costs of every step, of a transfer that submits by itself.
fn by_itself(engine: &Engine, options: &Options) -> (Vec<f32>, Vec<Costs>) {
    let mut transfer =
        block_on(Transfer::prepare(engine, (&picture(40, 30), &picture(16, 18)), options)).unwrap();
    let costs = (0..options.steps).map(|_| block_on(transfer.step()).unwrap()).collect();
    (block_on(transfer.pixels()).unwrap(), costs)
}

#[test]
fn pieces_of_any_size_are_whole_steps_bit_for_bit() {
    let host = Host::new();
    let engine = host.sliced();
    let (pixels, costs) = by_itself(&engine, &shallow());
    for budget in
        [Budget::Dispatches(1), Budget::Dispatches(7), Budget::Time(Duration::from_micros(500)), Budget::Step]
    {
        // Weights and all are uploaded anew.
        block_on(engine.release_weights()).unwrap();
        let mut transfer = create(&engine, &shallow());
        assert_eq!(transfer.phase(), TransferPhase::Weights);
        let told = host.paint(&mut transfer, budget);
        assert_eq!(block_on(transfer.pixels()).unwrap(), pixels, "{budget:?}");
        assert_eq!(transfer.steps(), STEPS);
        assert_eq!(transfer.phase(), TransferPhase::Done);
        assert!(!told.is_empty());
        for StepCosts { steps, costs: cost, .. } in told {
            assert_eq!(cost, costs[steps as usize], "{budget:?}, step {steps}");
        }
    }
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

#[test]
fn two_steps_in_one_encoder_are_two_submissions() {
    let host = Host::new();
    let (pixels, _) = by_itself(&host.engine(), &shallow());
    let mut transfer = create(&host.engine(), &shallow());
    // The staging memory is four MiB, so the weights may need more than one submission.
    while transfer.steps() < STEPS {
        let mut encoder = host.encoder();
        for _ in 0..2 {
            let before = transfer.steps();
            let recorded = transfer.record(&mut encoder, Budget::Step).unwrap();
            assert_eq!(recorded.steps, before + recorded.completed);
        }
        host.submit(encoder);
        host.wait();
    }
    assert_eq!(block_on(transfer.pixels()).unwrap(), pixels);
}

/// wgpu numbers submissions, and calls back only while somebody polls or submits: both show what we do.
#[test]
fn nothing_is_submitted_polled_or_waited_for() {
    let host = Host::new();
    let count = || {
        let number = format!("{:?}", host.queue.submit([]));
        number.chars().filter(char::is_ascii_digit).collect::<String>().parse::<u64>().unwrap()
    };
    let target = host.texture(wgpu::TextureFormat::Rgba8UnormSrgb, (40, 30));
    let mut transfer = {
        let before = count();
        // Whatever has run by now is told of at the next poll. To be told takes a number of its own.
        let told = Arc::new(AtomicBool::new(false));
        let teller = Arc::clone(&told);
        host.queue.on_submitted_work_done(move || teller.store(true, Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(50));
        let transfer = create(&host.engine(), &shallow());
        assert!(!told.load(Ordering::Relaxed), "creating polled");
        assert_eq!(count(), before + 2, "creating submitted");
        transfer
    };
    let mut longest = Duration::ZERO;
    for _ in 0..400 {
        let before = count();
        let told = Arc::new(AtomicBool::new(false));
        let teller = Arc::clone(&told);
        host.queue.on_submitted_work_done(move || teller.store(true, Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(2));
        let mut encoder = host.encoder();
        let begin = Instant::now();
        let recorded = transfer.record(&mut encoder, Budget::Time(Duration::from_millis(2))).unwrap();
        transfer.record_picture(&mut encoder, &target).unwrap();
        let _ = transfer.try_cost();
        longest = longest.max(begin.elapsed());
        assert!(!told.load(Ordering::Relaxed), "recording polled");
        assert_eq!(count(), before + 2, "recording submitted");
        host.submit(encoder);
        if !recorded.work_remains {
            break;
        }
    }
    println!("the longest call took {longest:?}");
    // Changes, and giving up, are quiet, too.
    let before = count();
    transfer.set_options(&shallow().with(|options| options.alpha = 3.0)).unwrap();
    block_on(transfer.set_style(&picture(16, 18))).unwrap();
    drop(transfer);
    assert_eq!(count(), before + 1);
    host.wait();
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

/// While the GPU is busy with a second of work, recording goes on.
#[test]
fn a_busy_gpu_does_not_hold_up_the_host() {
    let host = Host::new();
    let options = shallow().with(|options| options.size = Size::LongerSide(200));
    let big = picture(200, 150);
    let mut transfer = block_on(Transfer::create(&host.engine(), (&big, &big), &options)).unwrap();
    while transfer.phase() != TransferPhase::Steps {
        let mut encoder = host.encoder();
        transfer.record(&mut encoder, Budget::Dispatches(10)).unwrap();
        host.submit(encoder);
        host.wait();
    }
    let mut encoder = host.encoder();
    transfer.record(&mut encoder, Budget::Step).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let teller = Arc::clone(&done);
    encoder.on_submitted_work_done(move || teller.store(true, Ordering::Relaxed));
    host.submit(encoder);
    let mut encoder = host.encoder();
    let begin = Instant::now();
    transfer.record(&mut encoder, Budget::Step).unwrap();
    let took = begin.elapsed();
    assert!(!done.load(Ordering::Relaxed), "recording waited for the step before");
    host.submit(encoder);
    host.wait();
    println!("recording a step took {took:?}, both steps {:?}", begin.elapsed());
    assert!(took < begin.elapsed() / 2);
}

#[test]
fn two_devices_and_two_transfers_at_once() {
    let hosts = [Host::new(), Host::new()];
    let engines = [hosts[0].engine(), hosts[1].engine()];
    let other = shallow().with(|options| options.alpha = 1.0);
    let alone = [by_itself(&engines[0], &shallow()).0, by_itself(&engines[0], &other).0];
    // Both share the first engine's weights, which go to the device once.
    let mut transfers =
        [create(&engines[0], &shallow()), create(&engines[0], &other), create(&engines[1], &shallow())];
    while transfers.iter().any(|transfer| transfer.phase() != TransferPhase::Done) {
        for (transfer, host) in transfers.iter_mut().zip([0, 0, 1]) {
            let mut encoder = hosts[host].encoder();
            transfer.record(&mut encoder, Budget::Dispatches(5)).unwrap();
            hosts[host].submit(encoder);
            hosts[host].wait();
        }
    }
    let painted = transfers.each_ref().map(|transfer| block_on(transfer.pixels()).unwrap());
    assert_eq!(painted[0], alone[0]);
    assert_eq!(painted[1], alone[1]);
    assert_eq!(painted[2], alone[0]);
}

/// Options changed after some steps, against a transfer that begins with them there, from a checkpoint.
#[test]
fn changed_options_are_those_of_a_start_there() {
    let host = Host::new();
    let engine = host.sliced();
    let (content, style) = (picture(40, 30), picture(16, 18));
    let mut transfer = create(&engine, &shallow().with(|options| options.steps = 2));
    host.paint(&mut transfer, Budget::Dispatches(50));
    let mut changed = shallow().with(|options| {
        options.alpha = 1.5;
        options.beta = 90.0;
        options.learning_rate = 5.0;
        options.steps = 5;
    });
    changed.style_layers[1].weight = 2.0;
    transfer.set_options(&changed).unwrap();
    let checkpoint = block_on(transfer.checkpoint()).unwrap();
    host.paint(&mut transfer, Budget::Dispatches(3));
    let mut begun = block_on(Transfer::resume(&engine, (&content, &style), &changed, &checkpoint)).unwrap();
    assert_eq!(begun.steps(), 2);
    for _ in 2..5 {
        block_on(begun.step()).unwrap();
    }
    assert_eq!(block_on(transfer.pixels()).unwrap(), block_on(begun.pixels()).unwrap());
    // In the middle of a step they wait for the next one.
    let mut transfer = create(&engine, &shallow().with(|options| options.steps = 2));
    while transfer.steps() < 1 {
        let mut encoder = host.encoder();
        transfer.record(&mut encoder, Budget::Dispatches(2)).unwrap();
        host.submit(encoder);
        host.wait();
    }
    let mut encoder = host.encoder();
    transfer.record(&mut encoder, Budget::Dispatches(2)).unwrap();
    host.submit(encoder);
    transfer.set_options(&changed.clone().with(|options| options.steps = 2)).unwrap();
    host.paint(&mut transfer, Budget::Dispatches(2));
    let (unchanged, _) = by_itself(&engine, &shallow().with(|options| options.steps = 2));
    assert_eq!(block_on(transfer.pixels()).unwrap(), unchanged);
    // What cannot change is named.
    for (options, name) in [
        (
            shallow().with(|options| options.content_layers[0].name = "conv1_1".into()),
            OptionName::ContentLayers,
        ),
        (
            shallow().with(|options| options.style_layers = shallow().style_layers[..1].to_vec()),
            OptionName::StyleLayers,
        ),
        (shallow().with(|options| options.seed = 4), OptionName::Seed),
        (shallow().with(|options| options.size = Size::LongerSide(20)), OptionName::Size),
        (shallow().with(|options| options.alpha = f32::NAN), OptionName::Alpha),
    ] {
        match transfer.set_options(&options) {
            Err(Error::Option { option, .. }) => assert_eq!(option, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn changed_pictures_are_those_of_a_start_there() {
    let host = Host::new();
    let engine = host.sliced();
    let (content, style) = (picture(40, 30), picture(16, 18));
    let turned = |picture: &Picture| {
        let rgb = picture.rgb().iter().rev().copied().collect();
        Picture::from_rgb(picture.width(), picture.height(), rgb).unwrap()
    };
    let larger = picture(50, 44);
    for (new_content, new_style) in [(turned(&content), turned(&style)), (content.clone(), larger)] {
        let mut transfer = create(&engine, &shallow().with(|options| options.steps = 1));
        host.paint(&mut transfer, Budget::Dispatches(50));
        let bytes = transfer.allocated_bytes();
        let same_size = (new_style.width(), new_style.height()) == (16, 18);
        // Twice: the second one replaces what is left of the first.
        for _ in 0..2 {
            block_on(transfer.set_content(&new_content)).unwrap();
            block_on(transfer.set_style(&new_style)).unwrap();
            let mut encoder = host.encoder();
            transfer.set_options(&shallow()).unwrap();
            let recorded = transfer.record(&mut encoder, Budget::Dispatches(3)).unwrap();
            assert_eq!(recorded.phase, TransferPhase::Targets);
            host.submit(encoder);
        }
        assert_eq!(transfer.allocated_bytes() == bytes, same_size);
        let checkpoint = block_on(transfer.checkpoint()).unwrap();
        host.paint(&mut transfer, Budget::Dispatches(3));
        let options = shallow();
        let begun = Transfer::resume(&engine, (&new_content, &new_style), &options, &checkpoint);
        let mut begun = block_on(begun).unwrap();
        while begun.steps() < STEPS {
            block_on(begun.step()).unwrap();
        }
        assert_eq!(block_on(transfer.pixels()).unwrap(), block_on(begun.pixels()).unwrap());
        match block_on(transfer.set_content(&picture(30, 40))) {
            Err(Error::Option { option: OptionName::Content, remedy, .. }) => {
                assert!(remedy.to_string().contains("same size"), "{remedy}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

/// A mask that changes in every frame, as under a brush, while the targets of the style are half made in the memory that all
/// programs share; then the picture goes into a texture, as from `Transfer::picture`.
#[test]
fn a_mask_that_changes_in_every_frame_spoils_no_target() {
    let host = Host::new();
    let engine = host.sliced();
    let mask = |column: usize| {
        let rgb = (0..40 * 30).flat_map(|i| [if i % 40 < column { 255 } else { 0 }; 3]).collect();
        Picture::from_rgb(40, 30, rgb).unwrap()
    };
    let (content, style, options) = (picture(40, 30), picture(16, 18), shallow());
    let sources = |column| Sources::new(&content, &style).with_style_mask(mask(column));
    let mut transfer = block_on(Transfer::create(&engine, sources(30), &options)).unwrap();
    while transfer.phase() == TransferPhase::Weights {
        let mut encoder = host.encoder();
        transfer.record(&mut encoder, Budget::Dispatches(1)).unwrap();
        host.submit(encoder);
        host.wait();
    }
    for column in [25, 20, 15] {
        let mut encoder = host.encoder();
        transfer.record(&mut encoder, Budget::Dispatches(4)).unwrap();
        host.submit(encoder);
        assert_eq!(transfer.phase(), TransferPhase::Targets);
        block_on(transfer.set_source(SourceId::StyleMask(0), mask(column))).unwrap();
    }
    host.paint(&mut transfer, Budget::Dispatches(3));
    let mut begun = block_on(Transfer::prepare(&engine, sources(15), &options)).unwrap();
    for _ in 0..STEPS {
        block_on(begun.step()).unwrap();
    }
    assert_eq!(block_on(transfer.pixels()).unwrap(), block_on(begun.pixels()).unwrap());
    let target = host.texture(wgpu::TextureFormat::Rgba8Unorm, transfer.size());
    let mut encoder = host.encoder();
    transfer.record_picture(&mut encoder, &target).unwrap();
    host.submit(encoder);
    assert_eq!(host.read(&target, 4), block_on(begun.picture()).unwrap().to_rgba());
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

/// The usual preset at two sizes: 45x34, then 64x48 for pictures of that shape.
fn fine() -> Options {
    Options::preset(Preset::Fine).with(|options| {
        options.size = Size::LongerSide(64);
        options.coarsest = Some(40);
        options.steps = 3;
        options.style_layers =
            ["conv1_1", "conv3_1"].map(|name| WeightedLayer { name: name.into(), weight: 0.5 }).to_vec();
    })
}

/// A picture without edges, which looks the same at every size.
fn smooth(width: u32, height: u32) -> Picture {
    let level = |place: u32, side: u32| (30 + 190 * place / side) as u8;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rgb = places.flat_map(|(x, y)| [level(x, width), level(y, height), level(x + y, width + height)]);
    Picture::from_rgb(width, height, rgb.collect()).unwrap()
}

/// Takes all steps of a transfer that submits by itself, and returns their costs.
fn finish(transfer: &mut Transfer) -> Vec<Costs> {
    let mut costs = Vec::new();
    while transfer.remaining_steps() > 0 {
        costs.push(block_on(transfer.step()).unwrap());
    }
    costs
}

/// One frame: a few dispatches, and the picture as the host would show it.
fn frame(host: &Host, transfer: &mut Transfer, canvas: &wgpu::Texture, dispatches: u32) -> bool {
    let mut encoder = host.encoder();
    let recorded = transfer.record(&mut encoder, Budget::Dispatches(dispatches)).unwrap();
    transfer.record_picture(&mut encoder, canvas).unwrap();
    host.submit(encoder);
    host.wait();
    recorded.work_remains
}

/// Whether a transfer is between two sizes, or has just begun one.
fn changes_size(transfer: &Transfer) -> bool {
    transfer.steps() == 3 && transfer.phase() == TransferPhase::Targets
}

/// Sizes in slices: the bits, the costs, the memory, and what is shown meanwhile.
#[test]
fn sizes_in_pieces_are_whole_steps_bit_for_bit() {
    let host = Host::new();
    let engine = host.engine();
    let (content, style) = (picture(90, 67), picture(70, 41));
    let mut whole = block_on(Transfer::prepare(&engine, (&content, &style), &fine())).unwrap();
    assert_eq!((whole.size(), whole.scale_size(), whole.remaining_steps()), ((64, 48), (45, 34), 6));
    let mut costs: Vec<Costs> = (0..3).map(|_| block_on(whole.step()).unwrap()).collect();
    let end_of_first = block_on(whole.picture()).unwrap();
    costs.extend(finish(&mut whole));
    let pixels = block_on(whole.pixels()).unwrap();
    assert_eq!((whole.steps(), costs.len(), pixels.len()), (6, 6, 3 * 64 * 48));

    let mut transfer = block_on(Transfer::create(&engine, (&content, &style), &fine())).unwrap();
    block_on(transfer.prepare_output(wgpu::TextureFormat::Rgba8Unorm)).unwrap();
    let canvas = host.texture(wgpu::TextureFormat::Rgba8Unorm, transfer.size());
    let allocated = || host.device.generate_allocator_report().map(|report| report.total_allocated_bytes);
    let (bytes, mut told, mut between, mut sizes) = (transfer.allocated_bytes(), Vec::new(), 0, Vec::new());
    loop {
        let mut encoder = host.encoder();
        let before = allocated();
        let recorded = transfer.record(&mut encoder, Budget::Dispatches(37)).unwrap();
        transfer.record_picture(&mut encoder, &canvas).unwrap();
        assert_eq!((transfer.allocated_bytes(), allocated()), (bytes, before), "{recorded:?}");
        host.submit(encoder);
        host.wait();
        told.extend(transfer.try_cost());
        sizes.push(transfer.scale_size());
        if recorded.phase != TransferPhase::Weights && transfer.steps() == 3 {
            // The texture has the painting's size, and what is in it is never half of one size and half of the next.
            let shown = host.read(&canvas, 4);
            assert_eq!(shown, block_on(transfer.picture()).unwrap().to_rgba());
            if changes_size(&transfer) {
                let shown = Picture::from_rgba(64, 48, &shown).unwrap();
                assert!(furthest(&shown, &end_of_first) <= 1, "{}", furthest(&shown, &end_of_first));
                between += 1;
            }
        }
        if !recorded.work_remains {
            break;
        }
    }
    sizes.dedup();
    assert_eq!(sizes, [(45, 34), (64, 48)]);
    assert!(between > 2, "{between} frames between the sizes");
    assert_eq!(block_on(transfer.pixels()).unwrap(), pixels);
    assert_eq!((transfer.steps(), transfer.remaining_steps(), transfer.phase()), (6, 0, TransferPhase::Done));
    assert!(told.len() > 3, "{told:?}");
    for StepCosts { steps, costs: cost, .. } in told {
        assert_eq!(cost, costs[steps as usize], "step {steps}");
    }
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

/// Between two sizes the photograph shows beside the mask as always, and what is kept there is gone on from.
#[test]
fn nothing_is_lost_or_seen_between_two_sizes() {
    let host = Host::new();
    let engine = host.engine();
    let (content, style) = (smooth(90, 67), picture(70, 41));
    // White left of the middle.
    let mask = (0..90 * 67).flat_map(|place| [if place % 90 < 45 { 255 } else { 0 }; 3]).collect();
    let mask = Picture::from_rgb(90, 67, mask).unwrap();
    let sources = Sources::new(&content, &style).with_style_mask(&mask);
    let mut whole = block_on(Transfer::prepare(&engine, sources.clone(), &fine())).unwrap();
    finish(&mut whole);
    let pixels = block_on(whole.pixels()).unwrap();

    let mut transfer = block_on(Transfer::create(&engine, sources.clone(), &fine())).unwrap();
    let canvas = host.texture(wgpu::TextureFormat::Rgba8Unorm, transfer.size());
    let photograph = content.resized(64, 48);
    let (mut checkpoints, mut frames) = (Vec::new(), 0);
    while frame(&host, &mut transfer, &canvas, 11) {
        if !changes_size(&transfer) {
            continue;
        }
        frames += 1;
        let shown = Picture::from_rgba(64, 48, &host.read(&canvas, 4)).unwrap();
        let rows = shown.rgb().chunks(3 * 64).zip(photograph.rgb().chunks(3 * 64));
        // Beside the seam, and what is seen of the mask's edge at the smaller size.
        let beside = rows.flat_map(|(shown, photograph)| shown[3 * 36..].iter().zip(&photograph[3 * 36..]));
        let furthest = beside.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(furthest <= 6, "{furthest} levels at {:?}", transfer.scale_size());
        // One of each size.
        if checkpoints.len() < 2 && [(45, 34), (64, 48)][checkpoints.len()] == transfer.scale_size() {
            checkpoints.push(block_on(transfer.checkpoint()).unwrap());
        }
    }
    assert!(frames > 4, "{frames}");
    assert_eq!(checkpoints.len(), 2);
    assert_eq!(block_on(transfer.pixels()).unwrap(), pixels);
    for checkpoint in checkpoints {
        let read = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap(), "it").unwrap();
        let mut resumed = block_on(Transfer::resume(&engine, sources.clone(), &fine(), &read)).unwrap();
        assert_eq!((resumed.steps(), resumed.remaining_steps()), (3, 3));
        finish(&mut resumed);
        assert_eq!(block_on(resumed.pixels()).unwrap(), pixels);
    }
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

/// A style that is changed at a size is looked up anew there, and at the sizes after it; also by whoever goes on from what
/// was kept before that was done.
#[test]
fn a_style_changed_at_a_size_is_that_of_a_start_there() {
    let host = Host::new();
    let engine = host.engine();
    let content = picture(90, 67);
    // One has the size of the one before.
    for style in [smooth(70, 41), smooth(90, 67)] {
        let mut transfer =
            block_on(Transfer::create(&engine, (&content, &picture(70, 41)), &fine())).unwrap();
        let bytes = transfer.allocated_bytes();
        while transfer.steps() < 1 {
            let mut encoder = host.encoder();
            transfer.record(&mut encoder, Budget::Step).unwrap();
            host.submit(encoder);
        }
        host.wait();
        block_on(transfer.set_style(&style)).unwrap();
        assert_eq!(transfer.allocated_bytes() == bytes, style.width() == 70);
        let mut encoder = host.encoder();
        assert_eq!(
            transfer.record(&mut encoder, Budget::Dispatches(3)).unwrap().phase,
            TransferPhase::Targets
        );
        host.submit(encoder);
        let checkpoint = block_on(transfer.checkpoint()).unwrap();
        host.paint(&mut transfer, Budget::Dispatches(100));
        let mut begun =
            block_on(Transfer::resume(&engine, (&content, &style), &fine(), &checkpoint)).unwrap();
        finish(&mut begun);
        assert_eq!((begun.steps(), transfer.steps()), (6, 6));
        assert_eq!(block_on(transfer.pixels()).unwrap(), block_on(begun.pixels()).unwrap());
    }
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

/// A host's texture, and a buffer, are made smaller anew for every size.
#[test]
fn textures_are_sources_at_every_size() {
    let host = Host::new();
    let engine = host.engine();
    let (content, style) = (picture(90, 67), smooth(70, 41));
    let mut file = block_on(Transfer::prepare(&engine, (&content, &style), &fine())).unwrap();
    finish(&mut file);
    let file = block_on(file.picture()).unwrap();
    let format = wgpu::TextureFormat::Rgba8UnormSrgb;
    let texture = host.filled(format, (90, 67), &texels(format, &content));
    let bytes = style.to_rgba();
    let buffer = host.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes.len() as u64,
        usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    host.queue.write_buffer(&buffer, 0, &bytes);
    let sources = (Source::from(&texture), Source::Buffer { buffer, size: (70, 41) });
    let layouts = (SourceLayout::try_from(&sources.0).unwrap(), SourceLayout::try_from(&sources.1).unwrap());
    let planned = Transfer::plan(&engine, layouts, &fine()).unwrap().bytes;
    let mut transfer = block_on(Transfer::create(&engine, sources, &fine())).unwrap();
    assert_eq!((transfer.bytes(), transfer.allocated_bytes()), (planned, planned.total));
    host.paint(&mut transfer, Budget::Dispatches(100));
    assert_eq!(transfer.allocated_bytes(), planned.total);
    let painted = block_on(transfer.picture()).unwrap();
    let sum: u32 = painted.rgb().iter().zip(file.rgb()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    let mean = f64::from(sum) / file.rgb().len() as f64;
    println!("{} levels at most, {mean:.3} on average from the files' path", furthest(&painted, &file));
    // Rounding moves the smaller pictures by a level here and there, and Adam grows it where a gradient is nearly 0.
    assert!(mean < 1.0, "{mean}");
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

/// sRGB to linear light, IEC 61966-2-1, in f16.
fn linear(level: u8) -> u16 {
    let encoded = f64::from(level) / 255.0;
    let linear = if encoded <= 0.04045 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) };
    half::f16::from_f64(linear).to_bits()
}

fn texels(format: wgpu::TextureFormat, picture: &Picture) -> Vec<u8> {
    match format {
        wgpu::TextureFormat::Rgba16Float => {
            let levels = picture.rgb().as_chunks::<3>().0.iter();
            let halves = levels.flat_map(|&[r, g, b]| [linear(r), linear(g), linear(b), 0x3C00]);
            halves.flat_map(u16::to_le_bytes).collect()
        }
        wgpu::TextureFormat::Bgra8Unorm => {
            let rgba = picture.to_rgba();
            rgba.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, a]| [b, g, r, a]).collect()
        }
        _ => picture.to_rgba(),
    }
}

fn furthest(a: &Picture, b: &Picture) -> u8 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    a.rgb().iter().zip(b.rgb()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn textures_paint_what_files_paint() {
    use wgpu::TextureFormat::{Bgra8Unorm, Rgba8Unorm, Rgba8UnormSrgb, Rgba16Float};
    let host = Host::new();
    let engine = host.engine();
    // The content has its size already, or is made smaller on the device; the style always is.
    for (sides, init) in [((40, 30), Init::Content), ((90, 67), Init::Noise), ((90, 67), Init::Content)] {
        let options = shallow().with(|options| {
            options.size = Size::LongerSide(40);
            options.init = init;
            options.steps = 2;
        });
        let (content, style) = (picture(sides.0, sides.1), picture(70, 41));
        let mut file = block_on(Transfer::prepare(&engine, (&content, &style), &options)).unwrap();
        for _ in 0..2 {
            block_on(file.step()).unwrap();
        }
        let file = block_on(file.picture()).unwrap();
        for format in [Rgba8Unorm, Rgba8UnormSrgb, Bgra8Unorm, Rgba16Float] {
            let [content, style] = [&content, &style].map(|picture| {
                host.filled(format, (picture.width(), picture.height()), &texels(format, picture))
            });
            let layouts =
                [&content, &style].map(|texture| SourceLayout::try_from(&Source::from(texture)).unwrap());
            let planned = Transfer::plan(&engine, (layouts[0], layouts[1]), &options).unwrap().bytes;
            let mut transfer = block_on(Transfer::create(&engine, (&content, &style), &options)).unwrap();
            assert_eq!(transfer.bytes(), planned);
            assert_eq!(transfer.allocated_bytes(), planned.total, "textures are planned for");
            host.paint(&mut transfer, Budget::Step);
            let painted = block_on(transfer.picture()).unwrap();
            let difference = furthest(&painted, &file);
            println!("{format:?} {sides:?} {:?}: {difference} levels from the file's path", options.init);
            assert!(difference <= 1, "{format:?} {sides:?}: {difference} levels");
            assert!(matches!(block_on(transfer.checkpoint()), Err(Error::Checkpoint { .. })));

            let target = host.texture(format, transfer.size());
            block_on(transfer.prepare_output(format)).unwrap();
            let allocated = transfer.allocated_bytes();
            let mut encoder = host.encoder();
            transfer.record_picture(&mut encoder, &target).unwrap();
            assert_eq!(transfer.allocated_bytes(), allocated, "it was made ready");
            host.submit(encoder);
            if format == Rgba16Float {
                let halves = bytemuck::pod_collect_to_vec::<u8, u16>(&host.read(&target, 8));
                let want = bytemuck::pod_collect_to_vec::<u8, u16>(&texels(format, &painted));
                // Neighbours in f16: powers are not exact on a GPU.
                assert!(halves.iter().zip(&want).all(|(got, want)| got.abs_diff(*want) <= 2));
            } else {
                assert_eq!(host.read(&target, 4), texels(format, &painted));
            }
        }
        let buffer = |bytes: &[u8]| {
            let buffer = host.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes.len() as u64,
                usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            host.queue.write_buffer(&buffer, 0, bytes);
            buffer
        };
        let source = |picture: &Picture| Source::Buffer {
            buffer: buffer(&picture.to_rgba()),
            size: (picture.width(), picture.height()),
        };
        let mut transfer =
            block_on(Transfer::create(&engine, (source(&content), source(&style)), &options)).unwrap();
        host.paint(&mut transfer, Budget::Step);
        assert!(furthest(&block_on(transfer.picture()).unwrap(), &file) <= 1);
    }
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

#[test]
fn wrong_textures_are_named() {
    let host = Host::new();
    let engine = host.engine();
    let right = host.texture(wgpu::TextureFormat::Rgba8Unorm, (40, 30));
    let wrong = host.texture(wgpu::TextureFormat::Rgba8Uint, (40, 30));
    let told = |result: Result<(), Error>, message: &str| match result {
        Err(error @ Error::Picture { .. }) => assert!(error.to_string().contains(message), "{error}"),
        other => panic!("{message}: {other:?}"),
    };
    told(
        block_on(Transfer::create(&engine, (&wrong, &right), &shallow())).map(|_| ()),
        "its format is Rgba8Uint; give Rgba8Unorm",
    );
    let unreadable = host.device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: right.size(),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    });
    told(
        block_on(Transfer::create(&engine, (&right, &unreadable), &shallow())).map(|_| ()),
        "create it with COPY_SRC",
    );
    let mut transfer = create(&engine, &shallow());
    let mut encoder = host.encoder();
    told(transfer.record_picture(&mut encoder, &unreadable), "create it with COPY_DST");
    let small = host.texture(wgpu::TextureFormat::Rgba8Unorm, (20, 30));
    told(transfer.record_picture(&mut encoder, &small), "the painting 40x30");
    host.submit(encoder);
    host.wait();
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

#[test]
fn limits_that_are_too_small_are_errors_before_anything_is_allocated() {
    // With no more than what is asked for, it paints.
    let host = Host::with(|_| (wgpu::Features::empty(), Engine::required_limits((40, 30))));
    let mut transfer = create(&host.engine(), &shallow());
    host.paint(&mut transfer, Budget::Step);
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
    let larger = Engine::required_limits((4000, 3000));
    assert!(larger.max_storage_buffer_binding_size >= 4 * 4000 * 3000, "{larger:?}");

    let poor = Host::with(|_| {
        let mut limits = Engine::required_limits((40, 30));
        limits.max_storage_buffers_per_shader_stage = 2;
        (wgpu::Features::empty(), limits)
    });
    match Engine::from_device(&poor.device, &poor.queue) {
        Err(Error::Limit { limit, needed, available, remedy }) => {
            assert_eq!(limit, "max_storage_buffers_per_shader_stage");
            assert!(needed > available && available == 2);
            assert!(remedy.to_string().contains("Engine::required_limits"));
        }
        other => panic!("{other:?}"),
    }
    let report = poor.device.generate_allocator_report();
    assert!(report.is_none_or(|report| report.total_allocated_bytes < 1 << 20));
}

#[test]
fn a_lost_device_ends_the_transfer_and_not_the_host() {
    let host = Host::new();
    let mut transfer = create(&host.engine(), &shallow());
    let mut encoder = host.encoder();
    transfer.record(&mut encoder, Budget::Dispatches(3)).unwrap();
    host.submit(encoder);
    host.wait();
    let mut encoder = host.encoder();
    host.device.destroy();
    let scope = host.device.push_error_scope(wgpu::ErrorFilter::Validation);
    match transfer.record(&mut encoder, Budget::Step) {
        Err(Error::Gpu { reason, remedy, .. }) => {
            assert!(reason.contains("lost"), "{reason}");
            assert!(matches!(remedy, Remedy::StartAgain { .. }), "{remedy:?}");
        }
        result => panic!("{result:?}"),
    }
    assert!(block_on(scope.pop()).is_none());
    drop((transfer, encoder));
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

#[test]
fn error_scopes_of_the_host_stay_balanced() {
    let host = Host::new();
    let outer = host.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let mut transfer = create(&host.engine(), &shallow());
    let mut encoder = host.encoder();
    transfer.record(&mut encoder, Budget::Step).unwrap();
    host.submit(encoder);
    host.wait();
    let _ = transfer.try_cost();
    // A mistake of the host's own lands in its own scope.
    let _ = host.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE,
        mapped_at_creation: false,
    });
    assert!(block_on(outer.pop()).is_some());
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

#[test]
fn a_dropped_encoder_is_an_error() {
    let host = Host::new();
    let engine = host.engine();
    let mut transfer = create(&engine, &shallow());
    let mut encoder = host.encoder();
    transfer.record(&mut encoder, Budget::Dispatches(2)).unwrap();
    drop(encoder);
    let mut encoder = host.encoder();
    match transfer.record(&mut encoder, Budget::Dispatches(2)) {
        Err(error @ Error::Gpu { .. }) => assert!(error.to_string().contains("never submitted"), "{error}"),
        other => panic!("{other:?}"),
    }
    // The engine serves the next one, weights and all.
    let mut next = create(&engine, &shallow());
    host.paint(&mut next, Budget::Step);
    assert_eq!(block_on(next.pixels()).unwrap(), by_itself(&Host::new().engine(), &shallow()).0);
}

/// The weights of two transfers are in an encoder of one of them, which is dropped: neither paints with what is missing,
/// and a third one gets them anew.
#[test]
fn weights_in_a_dropped_encoder_end_all_that_use_them() {
    let host = Host::new();
    let engine = host.engine();
    let mut transfers = [create(&engine, &shallow()), create(&engine, &shallow())];
    let mut encoder = host.encoder();
    while transfers[0].phase() == TransferPhase::Weights {
        let recorded = transfers[0].record(&mut encoder, Budget::Dispatches(1)).unwrap();
        if recorded.dispatches == 0 {
            break;
        }
    }
    drop(encoder);
    let third = create(&engine, &shallow());
    for transfer in &mut transfers {
        for _ in 0..2 {
            let mut encoder = host.encoder();
            match transfer.record(&mut encoder, Budget::Step) {
                Err(error @ Error::Gpu { .. }) => {
                    assert!(error.to_string().contains("never submitted"), "{error}");
                }
                other => panic!("{other:?}"),
            }
            assert!(block_on(transfer.step()).is_err());
        }
    }
    let mut third = third;
    host.paint(&mut third, Budget::Step);
    assert_eq!(block_on(third.pixels()).unwrap(), by_itself(&Host::new().engine(), &shallow()).0);
}

/// A picture in a buffer is that of the texture's path and of the library's own.
#[test]
fn a_buffer_takes_the_picture_or_is_refused_before_anything_is_recorded() {
    let host = Host::new();
    let mut transfer = create(&host.engine(), &shallow());
    host.paint(&mut transfer, Budget::Step);
    let buffer = |size, usage| {
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        host.device.create_buffer(&descriptor)
    };
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
    let right = buffer(40 * 30 * 4, usage);
    let mut encoder = host.encoder();
    let small = transfer.record_picture_words(&mut encoder, &buffer(40 * 30 * 4 - 4, usage));
    assert!(matches!(small, Err(Error::Memory { needed: 4800, available: 4796, .. })), "{small:?}");
    let unusable =
        transfer.record_picture_words(&mut encoder, &buffer(40 * 30 * 4, wgpu::BufferUsages::COPY_SRC));
    assert!(matches!(unusable, Err(Error::Picture { .. })), "{unusable:?}");
    transfer.record_picture_words(&mut encoder, &right).unwrap();
    encoder.map_buffer_on_submit(&right, wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    host.submit(encoder);
    host.wait();
    let words = right.get_mapped_range(..).unwrap().to_vec();
    assert_eq!(words, block_on(transfer.picture()).unwrap().to_rgba());
    assert_eq!(host.errors.load(Ordering::Relaxed), 0);
}

/// Dropped wherever it may be, a transfer leaves nothing on the device once its last submission has run.
#[test]
fn a_transfer_dropped_in_the_middle_leaves_nothing() {
    let host = Host::new();
    let allocated = || host.device.generate_allocator_report().map(|report| report.allocations.len());
    let rounds: Vec<_> = [0, 1, 3, 8, 20, 60]
        .map(|calls| {
            let mut transfer = create(&host.engine(), &shallow());
            for _ in 0..calls {
                let mut encoder = host.encoder();
                transfer.record(&mut encoder, Budget::Dispatches(4)).unwrap();
                host.submit(encoder);
            }
            drop(transfer);
            host.queue.submit([]);
            host.wait();
            allocated()
        })
        .into();
    assert!(rounds.iter().all(|round| *round == rounds[0]), "{rounds:?}");
}

/// With a budget of 4 ms: what was recorded, by what is known of its cost, and how long the device really took. Only the
/// first is held to the budget, because other programs share the machine.
#[test]
fn frames_keep_to_their_budget() {
    const BUDGET: f64 = 4.0;
    let host = Host::new();
    let engine = host.engine();
    if !engine.gpu().has_timestamps() {
        println!("this adapter has no timestamps: nothing is learnt while a host records");
        return;
    }
    let options = Options::preset(Preset::Course).with(|options| options.size = Size::LongerSide(128));
    let picture = picture(128, 96);
    let mut transfer = block_on(Transfer::create(&engine, (&picture, &picture), &options)).unwrap();
    let (mut recorded, mut took, mut single) = (Vec::new(), Vec::new(), 0);
    // The first two steps teach what a slice costs.
    while transfer.steps() < 5 {
        let mut encoder = host.encoder();
        let frame =
            transfer.record(&mut encoder, Budget::Time(Duration::from_secs_f64(1e-3 * BUDGET))).unwrap();
        let begin = Instant::now();
        host.submit(encoder);
        host.wait();
        if transfer.steps() >= 2 {
            single += u32::from(frame.dispatches == 1);
            recorded.push(1e3 * frame.time.as_secs_f64());
            took.push(1e3 * begin.elapsed().as_secs_f64());
            // The optimiser's dispatches stay together, and a single one may be longer than the budget.
            assert!(
                1e3 * frame.time.as_secs_f64() <= BUDGET || frame.dispatches == 1 || frame.completed > 0,
                "{frame:?}"
            );
        }
    }
    let tell = |name: &str, values: &mut [f64]| {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
        let shares = [0.05, 0.25, 0.5, 0.75, 0.95, 1.0].map(|share| format!("{:.2}", at(share)));
        println!("{name}: 5, 25, 50, 75, 95, 100 % of the frames: {} ms", shares.join(", "));
        at(0.5)
    };
    println!("{} frames, {single} of a single dispatch", recorded.len());
    let typical = tell("recorded", &mut recorded);
    tell("took", &mut took);
    assert!((BUDGET / 4.0..=BUDGET).contains(&typical), "frames are filled: {typical} ms");
}

/// Costs come back to a host that never waits, and a transfer moves between its threads.
#[test]
fn engines_and_transfers_are_sent_and_shared() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Sync>(_: &T) {}
    let host = Host::new();
    let engine = host.engine();
    sent(&engine);
    shared(&engine);
    let created: Mutex<Option<Transfer>> = Mutex::new(None);
    std::thread::scope(|scope| {
        scope.spawn(|| *created.lock().unwrap() = Some(create(&engine, &shallow())));
    });
    let mut transfer = created.into_inner().unwrap().unwrap();
    sent(&transfer);
    host.paint(&mut transfer, Budget::Time(Duration::from_millis(50)));
}
