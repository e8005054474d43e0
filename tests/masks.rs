//! Masks: where a style is painted. Its costs are those of the twins, the content stays where it is black, and it comes
//! from files and buffers, changes while a transfer runs, and is known again by a checkpoint.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

use impasto::error::OptionName;
use impasto::gpu::Gpu;
use impasto::ops::conv::ConvGeometry;
use impasto::picture::Picture;
use impasto::transfer::{
    Checkpoint, Costs, Engine, Init, Options, Preset, Source, SourceId, Sources, StyleLayer, Transfer,
};
use impasto::{Error, reference};
use pollster::block_on;

const SIZE: (u32, u32) = (41, 30);

fn engine() -> Engine {
    Engine::builder(block_on(Gpu::open(None)).unwrap()).build().unwrap()
}

fn picture(width: u32, height: u32, seed: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|i| ((i * 37 * seed + i / 7 * 11) % 256) as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

/// A grey picture of the painting's size.
fn grey(level: impl Fn(u32, u32) -> u8) -> Picture {
    let places = (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x, y)));
    let rgb = places.flat_map(|(x, y)| [level(x, y); 3]).collect();
    Picture::from_rgb(SIZE.0, SIZE.1, rgb).unwrap()
}

/// White left of this column, black from there on.
fn left_of(column: u32) -> Picture {
    grey(|x, _| if x < column { 255 } else { 0 })
}

fn options(style_layers: &[&str]) -> Options {
    Options::preset(Preset::Course).with(|options| {
        options.content_layer = "conv1_2".into();
        options.style_layers =
            style_layers.iter().map(|name| StyleLayer { name: (*name).into(), weight: 1.0 }).collect();
        options.init = Init::Content;
    })
}

fn sources() -> Sources {
    Sources::new(picture(SIZE.0, SIZE.1, 1), picture(23, 19, 3))
}

fn prepare(engine: &Engine, sources: Sources, options: &Options) -> Transfer {
    block_on(Transfer::prepare(engine, sources, options)).unwrap()
}

fn cost(engine: &Engine, sources: Sources, options: &Options) -> Costs {
    block_on(prepare(engine, sources, options).cost()).unwrap()
}

/// The Gram matrices of conv1_1 and conv2_1 of a picture, by the twins, under this brightness (1, H, W) of a mask.
fn grams(engine: &Engine, picture: &Picture, brightness: Option<&[f64]>) -> [Vec<f64>; 2] {
    let (mut height, mut width) = (picture.height() as usize, picture.width() as usize);
    let weights = engine.weights();
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
    let mean = weights.mean().map(f64::from);
    let mut x = reference::preprocess(&picture.to_rgba(), (height, width), mean);
    let mut brightness = brightness.map(<[f64]>::to_vec);
    let mut grams = Vec::new();
    for name in ["conv1_1", "conv1_2", "pool1", "conv2_1"] {
        if name == "pool1" {
            x = reference::pool_forward(&x, (64, height, width));
            brightness =
                brightness.map(|brightness| reference::pool_forward(&brightness, (1, height, width)));
            (height, width) = (height.div_ceil(2), width.div_ceil(2));
            continue;
        }
        let layer = weights.convolution(name).unwrap();
        let size = (layer.input_channels as usize, 1, height, width);
        let outputs = layer.output_channels as usize;
        let (kernel, bias) = (wide(&layer.kernel), wide(&layer.bias));
        let sums = reference::conv_forward(&x, &kernel, &bias, &ConvGeometry::SAME_3X3, size, outputs);
        x = reference::relu_forward(&sums);
        let guided = brightness.as_ref().map(|brightness| {
            let mean_square = reference::gram_forward(brightness, (1, height, width));
            let guidance = reference::guide_scale(brightness, &mean_square);
            reference::guide_forward(&x, &guidance, (outputs, height, width))
        });
        grams.push(reference::gram_forward(guided.as_ref().unwrap_or(&x), (outputs, height, width)));
    }
    let deepest = grams.pop().unwrap();
    [grams.swap_remove(0), deepest]
}

/// Grey and white, on the grids of two layers, of odd sizes.
#[test]
fn the_costs_under_a_mask_are_those_of_the_twins() {
    let engine = engine();
    let mask = grey(|x, y| if x + y < 25 { 255 } else { (x * 5) as u8 });
    let brightness: Vec<f64> =
        reference::guide_brightness(&mask.to_rgba(), (SIZE.1 as usize, SIZE.0 as usize));
    let found = cost(&engine, sources().with_style_mask(&mask), &options(&["conv1_1", "conv2_1"]));
    let painted = grams(&engine, &picture(SIZE.0, SIZE.1, 1), Some(&brightness));
    let style = grams(&engine, &picture(23, 19, 3), None);
    for ((name, painted), style) in ["style.conv1_1", "style.conv2_1"].into_iter().zip(painted).zip(style) {
        let expected = reference::squared_error_forward(&painted, &style)[0];
        let ratio = f64::from(found.term(name).unwrap()) / expected;
        assert!((ratio - 1.0).abs() < 1e-5, "{name}: {ratio}");
    }
    let everywhere = cost(&engine, sources(), &options(&["conv1_1", "conv2_1"]));
    assert_ne!(found.term("style.conv2_1"), everywhere.term("style.conv2_1"));
    // Grey lays the content over itself, which rounds.
    assert!(everywhere.content == 0.0 && found.content < 1e-6, "{}", found.content);
}

/// The mask has another size, and is stretched.
#[test]
fn a_white_mask_is_none() {
    let engine = engine();
    let white = Picture::from_rgb(7, 13, vec![255; 3 * 7 * 13]).unwrap();
    let options = options(&["conv1_1", "conv3_1"]);
    let [without, with] = [sources(), sources().with_style_mask(white)].map(|sources| {
        let mut transfer = prepare(&engine, sources, &options);
        assert_eq!(transfer.allocated_bytes(), transfer.bytes().total);
        let mut costs = Vec::new();
        for _ in 0..4 {
            costs.push(block_on(transfer.step()).unwrap());
        }
        costs
    });
    for (without, with) in without.iter().zip(with) {
        assert!((with.total / without.total - 1.0).abs() < 1e-4, "{with:?} {without:?}");
    }
}

/// Whatever deep layers see, and whatever is noise at the start: the photograph is left as it is.
#[test]
fn the_content_stays_where_the_mask_is_black() {
    let engine = engine();
    let edge = 20;
    for init in [Init::Content, Init::Noise] {
        let options = options(&["conv1_1", "conv2_1", "conv3_1"]).with(|options| options.init = init);
        let mut transfer = prepare(&engine, sources().with_style_mask(left_of(edge)), &options);
        let first = block_on(transfer.step()).unwrap();
        for _ in 0..5 {
            block_on(transfer.step()).unwrap();
        }
        let last = block_on(transfer.cost()).unwrap();
        assert!(last.style < 0.9 * first.style, "{} {}", last.style, first.style);
        let (before, after) = (picture(SIZE.0, SIZE.1, 1), block_on(transfer.picture()).unwrap());
        assert_eq!(changed(&after, &before, edge..SIZE.0), 0, "{init:?}");
        let painted = changed(&after, &before, 0..edge);
        assert!(painted > (2 * edge * SIZE.1) as usize, "{init:?}: {painted}");
    }
}

fn painted(mut transfer: Transfer) -> Picture {
    for _ in 0..3 {
        block_on(transfer.step()).unwrap();
    }
    block_on(transfer.picture()).unwrap()
}

/// How many values of columns from..to are others than those of the content, by more than truncation to 8 bits makes.
fn changed(picture: &Picture, content: &Picture, columns: std::ops::Range<u32>) -> usize {
    let pairs = picture.rgb().iter().zip(content.rgb()).enumerate();
    let within = pairs.filter(|(place, _)| columns.contains(&(*place as u32 / 3 % SIZE.0)));
    within.filter(|(_, (picture, content))| picture.abs_diff(**content) > 1).count()
}

/// Each style has its own place, the layer is looked at once for each mask, and the gap between both is the content.
#[test]
fn two_styles_have_their_own_places() {
    let engine = engine();
    let options = options(&["conv1_1"]).with(|options| options.init = Init::Noise);
    let (content, other) = (picture(SIZE.0, SIZE.1, 1), picture(31, 17, 5));
    let right = grey(|x, _| if x < 27 { 0 } else { 255 });
    let both = sources().with_style_mask(left_of(14)).with_style(&other, 0.5).with_style_mask(&right);
    let costs = cost(&engine, both.clone(), &options);
    assert!(costs.term("style.conv1_1") != costs.term("style2.conv1_1"), "{costs:?}");
    let picture = painted(prepare(&engine, both, &options));
    assert_eq!(changed(&picture, &content, 14..27), 0);
    let all = 3 * SIZE.1 as usize;
    assert!(changed(&picture, &content, 0..14) > 14 * all * 9 / 10);
    assert!(changed(&picture, &content, 27..SIZE.0) > 14 * all * 9 / 10);
    // A style without a mask is painted everywhere.
    let one = sources().with_style_mask(left_of(14)).with_style(&other, 0.5);
    let picture = painted(prepare(&engine, one, &options));
    assert!(changed(&picture, &content, 14..SIZE.0) > 27 * all * 9 / 10);
}

#[test]
fn masks_and_content_change_while_the_transfer_runs() {
    let engine = engine();
    let options = options(&["conv1_1"]).with(|options| options.init = Init::Noise);
    let mut transfer = prepare(&engine, sources().with_style_mask(left_of(20)), &options);
    let bytes = transfer.allocated_bytes();
    block_on(transfer.set_source(SourceId::StyleMask(0), left_of(11))).unwrap();
    let begun = prepare(&engine, sources().with_style_mask(left_of(11)), &options);
    assert_eq!(painted(transfer), painted(begun));
    let mut transfer = prepare(&engine, sources().with_style_mask(left_of(11)), &options);
    assert_eq!(transfer.allocated_bytes(), bytes, "the size is the same");
    let other = picture(SIZE.0, SIZE.1, 7);
    block_on(transfer.set_content(&other)).unwrap();
    assert_eq!(changed(&painted(transfer), &other, 11..SIZE.0), 0);

    let refused = |transfer: &mut Transfer, id, mask: Picture| match block_on(transfer.set_source(id, mask)) {
        Err(Error::Option { option: OptionName::StyleMask, reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let mut transfer = prepare(&engine, sources().with_style_mask(left_of(11)), &options);
    assert!(refused(&mut transfer, SourceId::StyleMask(0), left_of(0)).contains("black everywhere"));
    assert!(refused(&mut transfer, SourceId::StyleMask(1), left_of(3)).contains("reads no style_mask2"));
    let mut without = prepare(&engine, sources(), &options);
    assert!(refused(&mut without, SourceId::StyleMask(0), left_of(3)).contains("reads no style_mask"));
}

/// Total variation looks at what is seen: it smooths what is painted, and leaves the content.
#[test]
fn total_variation_under_a_mask_leaves_the_content() {
    let engine = engine().reconfigured(|options| options.low_memory = true);
    let options = options(&["conv1_1"]).with(|options| options.total_variation = 1e7);
    let content = picture(SIZE.0, SIZE.1, 1);
    let picture = painted(prepare(&engine, sources().with_style_mask(left_of(20)), &options));
    assert_eq!(changed(&picture, &content, 20..SIZE.0), 0);
    assert!(changed(&picture, &content, 0..20) > 0);
}

#[test]
fn a_black_mask_is_refused() {
    let engine = engine();
    let black = sources().with_style_mask(left_of(0));
    match block_on(Transfer::prepare(&engine, black, &options(&["conv1_1"]))) {
        Err(Error::Option { option: OptionName::StyleMask, reason, remedy }) => {
            assert!(reason.contains("black everywhere"), "{reason}");
            assert!(remedy.to_string().contains("white where"), "{remedy}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mask_from_a_buffer_is_that_of_a_file() {
    let engine = engine();
    let gpu = engine.gpu();
    let mask = picture(63, 44, 9);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4 * 63 * 44,
        usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue().write_buffer(&buffer, 0, &mask.to_rgba());
    let options = options(&["conv1_1", "conv2_1"]);
    let file = cost(&engine, sources().with_style_mask(&mask), &options);
    let on_device = sources().with_style_mask(Source::Buffer { buffer, size: (63, 44) });
    let on_device = cost(&engine, on_device, &options);
    // The device's Lanczos is within one level of the processor's.
    assert!((on_device.style / file.style - 1.0).abs() < 2e-3, "{on_device:?} {file:?}");
}

#[test]
fn a_checkpoint_knows_its_mask() {
    let engine = engine();
    let options = options(&["conv1_1"]).with(|options| options.steps = 4);
    let masked = |column| sources().with_style_mask(left_of(column));
    let mut whole = prepare(&engine, masked(20), &options);
    block_on(whole.step()).unwrap();
    let bytes = block_on(whole.checkpoint()).unwrap().to_bytes().unwrap();
    let checkpoint = Checkpoint::from_bytes(&bytes, "the file").unwrap();
    // A later version may know kinds of pictures that this one does not.
    let name = bytes.windows(10).position(|part| part == b"style_mask").unwrap();
    let later = [&bytes[..name], b"style_veil", &bytes[name + 10..]].concat();
    let refused = Checkpoint::from_bytes(&later, "the file").unwrap_err().to_string();
    assert!(refused.contains("the picture style_veil, which this version does not have"), "{refused}");
    let mut resumed = block_on(Transfer::resume(&engine, masked(20), &options, &checkpoint)).unwrap();
    for transfer in [&mut whole, &mut resumed] {
        block_on(transfer.step()).unwrap();
    }
    assert_eq!(block_on(whole.pixels()).unwrap(), block_on(resumed.pixels()).unwrap());
    for other in [masked(21), sources()] {
        let refused = checkpoint.check(&other, &options, engine.weights());
        assert!(
            matches!(refused, Err(Error::Option { option: OptionName::StyleMask, .. })),
            "another mask: {refused:?}"
        );
    }
}
