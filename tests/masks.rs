//! Masks: where a style is painted. Its costs are those of the twins, the content stays where it is black, and it comes
//! from files and buffers, changes while a transfer runs, and is known again by a checkpoint.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;

use common::engine::engine;
use impasto::error::OptionName;
use impasto::ops::Wrap;
use impasto::ops::conv::ConvGeometry;
use impasto::ops::resize::Filter;
use impasto::picture::Picture;
use impasto::transfer::{
    Borders, Checkpoint, Costs, Engine, Init, Options, Preset, Source, SourceId, Sources, StyleStatistic,
    Transfer, WeightedLayer,
};
use impasto::{Error, reference};
use pollster::block_on;
use safetensors::SafeTensors;

const SIZE: (u32, u32) = (41, 30);

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
        options.content_layers[0].name = "conv1_2".into();
        options.style_layers =
            style_layers.iter().map(|name| WeightedLayer { name: (*name).into(), weight: 1.0 }).collect();
        options.init = Init::Content;
    })
}

/// Two sizes, 29×21 and that of the painting, three steps at each.
fn fine(style_layers: &[&str]) -> Options {
    Options::preset(Preset::Fine).with(|options| {
        options.style_layers = self::options(style_layers).style_layers;
        options.coarsest = Some(25);
        options.steps = 3;
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

/// What the network has to conv4_2, with the means of its pools.
const LAYERS: [&str; 13] = [
    "conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "pool3", "conv4_1", "conv4_2",
];

/// A layer by the twins.
struct Layer {
    /// Activations (C, H, W).
    x: Vec<f64>,
    size: (usize, usize, usize),
    /// The guidance (1, H, W) of a mask.
    guidance: Vec<f64>,
}

impl Layer {
    fn guided(&self) -> Vec<f64> {
        reference::guide_forward(&self.x, &self.guidance, self.size)
    }
}

fn brightness(mask: &Picture) -> Vec<f64> {
    reference::guide_brightness(&mask.to_rgba(), (mask.height() as usize, mask.width() as usize))
}

/// The activations of a picture by the twins, to the layer `deepest`, and the guidance of a mask of this brightness
/// (1, H, W), without one of a white mask.
fn layers(
    engine: &Engine,
    picture: &Picture,
    brightness: Option<&[f64]>,
    deepest: &str,
) -> HashMap<&'static str, Layer> {
    let (mut height, mut width) = (picture.height() as usize, picture.width() as usize);
    let mut brightness = brightness.map_or_else(|| vec![1.0; height * width], <[f64]>::to_vec);
    let weights = engine.weights();
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
    let mut x = reference::preprocess(&picture.to_rgba(), (height, width), weights.mean().map(f64::from));
    let mut layers = HashMap::new();
    for name in LAYERS {
        if name.starts_with("pool") {
            x = reference::pool_forward(&x, (x.len() / (height * width), height, width));
            brightness = reference::pool_forward(&brightness, (1, height, width));
            (height, width) = (height.div_ceil(2), width.div_ceil(2));
            continue;
        }
        let layer = weights.convolution(name).unwrap();
        let inputs = (layer.input_channels as usize, 1, height, width);
        let size = (layer.output_channels as usize, height, width);
        let (kernel, bias) = (wide(&layer.kernel), wide(&layer.bias));
        let sums = reference::conv_forward(&x, &kernel, &bias, &ConvGeometry::SAME_3X3, inputs, size.0);
        x = reference::relu_forward(&sums);
        let mean_square = reference::gram_forward(&brightness, (1, height, width));
        let guidance = reference::guide_scale(&brightness, &mean_square);
        layers.insert(name, Layer { x: x.clone(), size, guidance });
        if name == deepest {
            break;
        }
    }
    layers
}

/// A mask of grey and white, with an edge.
fn shaded() -> Picture {
    grey(|x, y| if x + y < 25 { 255 } else { (x * 5) as u8 })
}

/// Grey and white, on the grids of two layers, of odd sizes.
#[test]
fn the_costs_under_a_mask_are_those_of_the_twins() {
    let engine = engine();
    let mask = shaded();
    let found = cost(&engine, sources().with_style_mask(&mask), &options(&["conv1_1", "conv2_1"]));
    let painted = layers(&engine, &picture(SIZE.0, SIZE.1, 1), Some(&brightness(&mask)), "conv2_1");
    let style = layers(&engine, &picture(23, 19, 3), None, "conv2_1");
    for (name, layer) in [("style.conv1_1", "conv1_1"), ("style.conv2_1", "conv2_1")] {
        let [painted, style] = [&painted[layer], &style[layer]];
        let gram = |layer: &Layer| reference::gram_forward(&layer.guided(), layer.size);
        let expected = reference::squared_error_forward(&gram(painted), &gram(style))[0];
        let ratio = f64::from(found.term(name).unwrap()) / expected;
        assert!((ratio - 1.0).abs() < 1e-5, "{name}: {ratio}");
    }
    let everywhere = cost(&engine, sources(), &options(&["conv1_1", "conv2_1"]));
    assert_ne!(found.term("style.conv2_1"), everywhere.term("style.conv2_1"));
    // Grey lays the content over itself, which rounds.
    assert!(everywhere.content == 0.0 && found.content < 1e-6, "{}", found.content);
}

/// What else may be compared, under the mask of one style and beside another style without a mask.
#[test]
fn other_statistics_under_a_mask_are_those_of_the_twins() {
    let engine = engine();
    let mask = shaded();
    let other = picture(31, 17, 5);
    for statistic in [StyleStatistic::Covariance, StyleStatistic::MeanVariance] {
        let options = options(&["conv1_1", "conv2_1"]).with(|options| {
            options.style_statistic = statistic;
            // The course's weights are not for ratios: the content would outweigh them.
            options.alpha = 0.0;
        });
        let both = sources().with_style_mask(&mask).with_style(&other, 0.5);
        let mut transfer = prepare(&engine, both, &options);
        assert_eq!(transfer.allocated_bytes(), transfer.bytes().total);
        let found = block_on(transfer.cost()).unwrap();
        // Where grey lets the content through it is the content at the start, so the pixels are those of it.
        let painted = layers(&engine, &picture(SIZE.0, SIZE.1, 1), Some(&brightness(&mask)), "conv2_1");
        for (prefix, style, is_masked) in
            [("style", picture(23, 19, 3), true), ("style2", other.clone(), false)]
        {
            let style = layers(&engine, &style, None, "conv2_1");
            for layer in ["conv1_1", "conv2_1"] {
                let [painted, style] = [&painted[layer], &style[layer]];
                let channels = painted.size.0;
                let moments = if is_masked {
                    reference::moments_guided(&painted.guided(), &painted.guidance, painted.size)
                } else {
                    reference::moments(&painted.x, painted.size)
                };
                let expected = if statistic == StyleStatistic::Covariance {
                    let mean = reference::channel_mean(&style.x, style.size);
                    let target = reference::gram_forward(
                        &reference::centre(&style.x, &mean, style.size.1 * style.size.2),
                        style.size,
                    );
                    let norm = reference::matrix_norm(&target);
                    reference::covariance_cost_forward(&moments, &target, &norm, channels)
                } else {
                    let target = reference::moments(&style.x, style.size);
                    reference::mean_variance_cost_forward(&moments, &target, channels)
                };
                let name = format!("{prefix}.{layer}");
                let ratio = f64::from(found.term(&name).unwrap()) / expected[0];
                assert!((ratio - 1.0).abs() < 1e-4, "{statistic:?}, {name}: {ratio}, {}", expected[0]);
            }
        }
        let mut costs = Vec::new();
        for _ in 0..6 {
            costs.push(block_on(transfer.step()).unwrap());
        }
        assert!(costs.iter().all(Costs::are_finite) && costs[5].style < costs[0].style, "{costs:?}");
    }
}

/// A tensor of a checkpoint.
fn kept(checkpoint: &Checkpoint, name: &str) -> Vec<f64> {
    let bytes = checkpoint.to_bytes().unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats =
        tensors.tensor(name).unwrap().data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    floats.map(f64::from).collect()
}

/// Means and covariances of what is under the mask, and directions that count by the content's energy times the mask.
#[test]
fn the_costs_of_fine_under_a_mask_are_those_of_the_twins() {
    let engine = engine();
    let options = fine(&["conv1_1", "conv2_1"]).with(|options| {
        options.coarsest = None;
        options.stroke = None;
        options.pools = None;
        options.borders = Borders::Zero;
    });
    let mask = shaded();
    let mut transfer = prepare(&engine, sources().with_style_mask(&mask), &options);
    let costs = block_on(transfer.step()).unwrap();
    // The map and what goes with it are those of this step, and the cells that were looked up.
    let checkpoint = block_on(transfer.checkpoint()).unwrap();
    let painted = layers(&engine, &picture(SIZE.0, SIZE.1, 1), Some(&brightness(&mask)), "conv4_2");
    let style = layers(&engine, &picture(23, 19, 3), None, "conv4_2");
    let check = |name: &str, expected: f64| {
        let found = f64::from(costs.term(name).unwrap());
        assert!((found / expected - 1.0).abs() < 2e-4, "{name}: {found} for {expected}");
    };
    for layer in ["conv1_1", "conv2_1"] {
        let [painted, style] = [&painted[layer], &style[layer]];
        let moments = reference::moments_guided(&painted.guided(), &painted.guidance, painted.size);
        let target = reference::moments(&style.x, style.size);
        let [map, rest] = ["map", "rest"].map(|what| kept(&checkpoint, &format!("{what}.style.{layer}")));
        let expected = reference::wasserstein_forward(&moments, &target, &map, &rest, painted.size.0);
        check(&format!("style.{layer}"), expected[0]);
    }
    let content = &painted["conv4_2"];
    let energy = reference::energy(&content.x, content.size);
    let weighed: Vec<f64> = energy.iter().zip(&content.guidance).map(|(e, g)| e * g * g).collect();
    let (grid, cells) = (style["conv3_1"].size, painted["conv3_1"].size);
    let index = kept(&checkpoint, "index.style");
    for layer in ["conv3_1", "conv4_1"] {
        let [painted, style] = [&painted[layer], &style[layer]];
        let (channels, height, width) = painted.size;
        let centre = reference::channel_mean(&style.x, style.size);
        let on_grid = reference::resize(&style.x, style.size, (grid.1, grid.2), Filter::Bilinear, Wrap::NONE);
        let mut found = reference::gather(&on_grid, &index, (channels, grid.1, grid.2));
        if (height, width) != (cells.1, cells.2) {
            found = reference::pool_forward(&found, (channels, cells.1, cells.2));
        }
        let target = reference::unit(&found, &centre, painted.size);
        let share = reference::share(&weighed, (content.size.1, content.size.2), (height, width), false);
        let expected = reference::match_cost_forward(&painted.x, &centre, &target, &share, painted.size);
        check(&format!("match.{layer}"), expected[0]);
    }
    // The mask says where it is painted, and nothing about what is to be kept of the content.
    assert!(costs.content < 1e-6, "{}", costs.content);
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

/// How much redder than blue columns from..to of a picture are, on average.
fn redness(picture: &Picture, columns: std::ops::Range<u32>) -> f64 {
    let pixels = picture.rgb().as_chunks::<3>().0.iter().enumerate();
    let within = pixels.filter(|(place, _)| columns.contains(&(*place as u32 % SIZE.0)));
    let differences: Vec<f64> =
        within.map(|(_, [red, _, blue])| f64::from(*red) - f64::from(*blue)).collect();
    differences.iter().sum::<f64>() / differences.len() as f64
}

/// A picture with all levels in one colour, and dark ones in the others.
fn coloured(width: u32, height: u32, channel: usize) -> Picture {
    let mut rgb = picture(width, height, 3).rgb().to_vec();
    for (place, value) in rgb.iter_mut().enumerate() {
        *value = if place % 3 == channel { *value } else { *value / 6 };
    }
    Picture::from_rgb(width, height, rgb).unwrap()
}

/// Takes all steps at all sizes.
fn finished(mut transfer: Transfer) -> Picture {
    while transfer.remaining_steps() > 0 {
        assert!(block_on(transfer.step()).unwrap().are_finite());
    }
    block_on(transfer.picture()).unwrap()
}

/// At two sizes, with cells that are matched: a red style on the left, a blue one on the right, the content between.
#[test]
fn fine_paints_each_style_in_its_place() {
    let engine = engine();
    let content = picture(SIZE.0, SIZE.1, 1);
    let sources = Sources::new(&content, coloured(23, 19, 0)).with_style_mask(left_of(16));
    let sources = sources.with_style(coloured(31, 17, 2), 1.0);
    let right = grey(|x, _| if x < 25 { 0 } else { 255 });
    let painted = finished(prepare(&engine, sources.with_style_mask(right), &fine(&["conv1_1", "conv3_1"])));
    assert_eq!(changed(&painted, &content, 16..25), 0);
    let [left, right] =
        [0..16, 25..SIZE.0].map(|columns| redness(&painted, columns.clone()) - redness(&content, columns));
    println!("redder by {left} on the left, {right} on the right");
    assert!(left > 5.0 && right < -5.0, "{left} {right}");
}

/// Of a buffer it is not known that it is black: it has no say then, also of what is matched.
#[test]
fn a_black_buffer_paints_nothing() {
    let engine = engine();
    let buffer = engine.gpu().device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4 * 12 * 9,
        usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    // Transparent black would be white.
    engine.gpu().queue().write_buffer(&buffer, 0, &[0, 0, 0, 255].repeat(12 * 9));
    let options = fine(&["conv1_1"]).with(|options| options.coarsest = None);
    let black = Source::Buffer { buffer, size: (12, 9) };
    let both = Sources::new(picture(SIZE.0, SIZE.1, 1), coloured(23, 19, 0)).with_style_mask(left_of(16));
    let one = both.clone().with_style(coloured(31, 17, 2), 1.0).with_style_mask(left_of(16));
    let mut transfers = [both.with_style(coloured(31, 17, 2), 1.0).with_style_mask(black), one]
        .map(|sources| prepare(&engine, sources, &options));
    let [without, with] = transfers.each_mut().map(|transfer| block_on(transfer.step()).unwrap());
    assert_eq!(without.term("match2.conv3_1"), Some(1.0), "no cell points anywhere: {without:?}");
    assert!(without.are_finite() && with.term("match2.conv3_1") != Some(1.0), "{with:?}");
    let [without, with] = transfers.map(|transfer| redness(&finished(transfer), 0..16));
    assert!(without > with + 1.0, "{without} {with}");
}

/// The energy of the content and its shares follow, and so does the next size.
#[test]
fn masks_of_fine_change_while_the_transfer_runs() {
    let engine = engine();
    let options = fine(&["conv1_1"]);
    let begun = finished(prepare(&engine, sources().with_style_mask(left_of(11)), &options));
    let mut transfer = prepare(&engine, sources().with_style_mask(left_of(20)), &options);
    let bytes = transfer.allocated_bytes();
    assert_eq!(bytes, transfer.bytes().total);
    block_on(transfer.set_source(SourceId::StyleMask(0), left_of(11))).unwrap();
    assert_eq!(transfer.allocated_bytes(), bytes);
    assert_eq!(finished(transfer), begun);
    // In either order with the content, whose energy is another.
    let other = picture(SIZE.0, SIZE.1, 7);
    let mut transfer = prepare(&engine, sources().with_style_mask(left_of(11)), &options);
    block_on(transfer.set_content(&other)).unwrap();
    let expected = finished(transfer);
    assert_eq!(changed(&expected, &other, 11..SIZE.0), 0);
    for content_first in [false, true] {
        let mut transfer = prepare(&engine, sources().with_style_mask(left_of(20)), &options);
        for is_content in [content_first, !content_first] {
            if is_content {
                block_on(transfer.set_content(&other)).unwrap();
            } else {
                block_on(transfer.set_source(SourceId::StyleMask(0), left_of(11))).unwrap();
            }
        }
        assert_eq!(finished(transfer), expected, "{content_first}");
    }
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

/// At either size, with the bits of a run that was not interrupted.
#[test]
fn a_checkpoint_of_fine_goes_on_under_its_mask() {
    let engine = engine();
    let options = fine(&["conv1_1"]);
    let masked = || sources().with_style_mask(shaded());
    let mut whole = prepare(&engine, masked(), &options);
    let mut checkpoints = Vec::new();
    for step in 0..6 {
        block_on(whole.step()).unwrap();
        if [0, 2, 4].contains(&step) {
            checkpoints.push(block_on(whole.checkpoint()).unwrap());
        }
    }
    let end = finished(whole);
    for checkpoint in checkpoints {
        let resumed = block_on(Transfer::resume(&engine, masked(), &options, &checkpoint)).unwrap();
        assert_eq!(finished(resumed), end, "after {}", checkpoint.step());
    }
}

/// It is the mask of a style that has none, and multiplied into that of one that has.
#[test]
fn a_mask_of_the_content_is_one_for_all_styles() {
    let engine = engine();
    let options = options(&["conv1_1"]);
    let mask = shaded();
    let of_content = cost(&engine, sources().with_content_mask(&mask).unwrap(), &options);
    assert_eq!(of_content, cost(&engine, sources().with_style_mask(&mask), &options));

    let two = || sources().with_style(picture(31, 17, 5), 0.5);
    let half = Picture::from_rgb(2, 1, vec![255, 255, 255, 0, 128, 0]).unwrap();
    let all = two().with_style_mask(&half).with_content_mask(&mask).unwrap();
    let [first, second] = [0, 1].map(|style| match &all.styles[style].mask {
        Some(Source::Picture(mask)) => mask.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(first, mask);
    let stretched = brightness(&half.resized(SIZE.0, SIZE.1));
    for ((found, a), b) in brightness(&second).iter().zip(&stretched).zip(brightness(&mask)) {
        assert!((found - a * b).abs() <= 0.5 / 255.0 + 1e-9, "{found} {a} {b}");
    }
    // Either way round.
    let other = two().with_style_mask(&mask).with_content_mask(&half).unwrap();
    assert!(matches!(&other.styles[1].mask, Some(Source::Picture(other)) if *other == second));

    let buffer = engine.gpu().device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4 * 6 * 5,
        usage: wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let on_device = Source::Buffer { buffer, size: (6, 5) };
    assert!(two().with_content_mask(on_device.clone()).is_ok(), "no style has a mask");
    for (sources, mask, expected) in [
        (two(), left_of(0).into(), "black everywhere"),
        (two().with_style_mask(&mask), on_device.clone(), "there is style_mask2, too"),
        (two().with_style_mask(on_device), (&mask).into(), "there is style_mask2, too"),
        (sources().with_style_mask(left_of(9)), grey(|x, _| (x > 9) as u8).into(), "nothing of style_mask:"),
    ] {
        match sources.with_content_mask(mask) {
            Err(Error::Option { option: OptionName::ContentMask, reason, .. }) => {
                assert!(reason.contains(expected), "{reason}");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}

/// By how many levels a picture differs from another, on average, in these columns.
fn distance(a: &Picture, b: &Picture, columns: std::ops::Range<u32>) -> f64 {
    let row = 3 * SIZE.0 as usize;
    let of_row = 3 * columns.start as usize..3 * columns.end as usize;
    let rows = a.rgb().chunks(row).zip(b.rgb().chunks(row));
    let levels = rows.flat_map(|(a, b)| a[of_row.clone()].iter().zip(&b[of_row.clone()]));
    let differences: Vec<f64> = levels.map(|(a, b)| f64::from(a.abs_diff(*b))).collect();
    differences.iter().sum::<f64>() / differences.len() as f64
}

/// The odds of the strength are multiplied by the map: with a quarter of the brightness a difference costs 16 times as much,
/// white changes nothing, and black counts as a tenth.
#[test]
fn a_map_of_the_strength_weighs_the_content_cost() {
    let engine = engine();
    let start = picture(SIZE.0, SIZE.1, 9);
    for options in [options(&["conv1_1"]), fine(&["conv1_1"]).with(|options| options.coarsest = None)] {
        let options = options.with(|options| options.init = Init::Picture);
        let content_cost = |map: Option<u8>| {
            let sources = sources().with_initial(&start);
            let sources = match map {
                Some(level) => sources.with_strength_map(grey(|_, _| level)),
                None => sources,
            };
            f64::from(cost(&engine, sources, &options).content)
        };
        let without = content_cost(None);
        assert!(without > 0.0);
        for (level, factor) in [(255, 1.0), (51, 25.0), (102, 6.25), (0, 100.0)] {
            let with = content_cost(Some(level));
            let name = format!("{:?} {level}: {with} for {factor}·{without}", options.content_cost);
            assert!((with / without / factor - 1.0).abs() < 1e-5, "{name}");
        }
    }
}

/// What is dark in the map stays nearer to the photograph, at all sizes; a map that comes later is as if it had been there, in
/// either order with the content; and a checkpoint knows it.
#[test]
fn a_map_of_the_strength_says_where_the_content_is_held() {
    let engine = engine();
    // The deep layer of the preset does not see single pixels.
    let options =
        fine(&["conv1_1", "conv2_1"]).with(|options| options.content_layers[0].name = "conv1_2".into());
    let content = picture(SIZE.0, SIZE.1, 1);
    let even = finished(prepare(&engine, sources(), &options));
    let white = sources().with_strength_map(grey(|_, _| 255));
    assert_eq!(finished(prepare(&engine, white.clone(), &options)), even);
    let left = sources().with_strength_map(left_of(20));
    let painted = finished(prepare(&engine, left.clone(), &options));
    // A size that begins with a smaller one has lost what there is of this picture.
    let one_size = options.clone().with(|options| options.coarsest = None);
    let [dark, bright] = [left.clone(), sources()]
        .map(|sources| distance(&finished(prepare(&engine, sources, &one_size)), &content, 22..SIZE.0));
    assert!(dark < 0.8 * bright, "{dark} {bright}");

    let other = picture(SIZE.0, SIZE.1, 7);
    // The start stays what it was.
    let mut transfer = prepare(&engine, left.clone(), &options);
    block_on(transfer.set_content(&other)).unwrap();
    let expected = finished(transfer);
    for content_first in [false, true] {
        let mut transfer = prepare(&engine, white.clone(), &options);
        let bytes = transfer.allocated_bytes();
        for is_content in [content_first, !content_first] {
            if is_content {
                block_on(transfer.set_content(&other)).unwrap();
            } else {
                block_on(transfer.set_source(SourceId::StrengthMap, left_of(20))).unwrap();
            }
        }
        assert_eq!(transfer.allocated_bytes(), bytes);
        assert_eq!(finished(transfer), expected, "{content_first}");
    }

    let mut transfer = prepare(&engine, left.clone(), &options);
    for _ in 0..4 {
        block_on(transfer.step()).unwrap();
    }
    let bytes = block_on(transfer.checkpoint()).unwrap().to_bytes().unwrap();
    let checkpoint = Checkpoint::from_bytes(&bytes, "a checkpoint").unwrap();
    let resumed = block_on(Transfer::resume(&engine, left, &options, &checkpoint)).unwrap();
    assert_eq!(finished(resumed), painted);
    for sources in [white, sources()] {
        match block_on(Transfer::resume(&engine, sources, &options, &checkpoint)) {
            Err(Error::Option { option: OptionName::StrengthMap, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_map_of_the_strength_needs_a_content() {
    let texture = Sources::texture(picture(23, 19, 3)).with_strength_map(left_of(20));
    match block_on(Transfer::prepare(&engine(), texture, &Options::preset(Preset::Texture))) {
        Err(Error::Option { option: OptionName::StrengthMap, .. }) => {}
        other => panic!("{other:?}"),
    }
}
