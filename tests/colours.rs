//! Whose colours a painting has: from files and textures, at several sizes, under masks, changed while it runs, and from a
//! checkpoint.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

use impasto::gpu::Gpu;
use impasto::picture::Picture;
use impasto::transfer::{
    ColorMode, Engine, Options, Preset, Source, SourceId, Sources, Transfer, WeightedLayer,
};
use pollster::block_on;

const SIZE: (u32, u32) = (41, 30);

fn engine() -> Engine {
    Engine::builder(block_on(Gpu::open(None)).unwrap()).build().unwrap()
}

fn picture((width, height): (u32, u32), seed: u32) -> Picture {
    let rgb =
        (0..width * height * 3).map(|i| ((i * 37 * seed + i / 7 * 11) % 200 + i % 3 * 20) as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

/// Two sizes, 29×21 and that of the painting, two steps at each. Cells are matched in one mode, which changes the styles:
/// what is looked up has to follow. The deep layers that this needs take most of the time.
fn options(color: ColorMode) -> Options {
    Options::preset(Preset::Fine).with(|options| {
        if color != ColorMode::Match {
            options.gamma = 0.0;
            options.content_layers[0].name = "conv2_1".into();
        }
        options.style_layers =
            ["conv1_1", "conv2_1"].map(|name| WeightedLayer { name: name.into(), weight: 1.0 }).into();
        options.coarsest = Some(25);
        options.stroke = Some(10.0);
        options.steps = 2;
        options.color = color;
    })
}

/// Two styles, of which one has a mask, so that the masks do not cover the content.
fn sources() -> Sources {
    let styles = Sources::new(picture(SIZE, 1), picture((23, 19), 3)).with_style(picture((31, 17), 5), 0.5);
    styles.with_style_mask(picture((9, 7), 2))
}

fn prepare(engine: &Engine, sources: Sources, options: &Options) -> Transfer {
    block_on(Transfer::prepare(engine, sources, options)).unwrap()
}

/// The picture and the pixels after all steps.
fn finished(mut transfer: Transfer) -> (Picture, Vec<f32>) {
    while transfer.remaining_steps() > 0 {
        assert!(block_on(transfer.step()).unwrap().are_finite());
        block_on(transfer.picture()).unwrap();
    }
    (block_on(transfer.picture()).unwrap(), block_on(transfer.pixels()).unwrap())
}

fn luminance([red, green, blue]: [u8; 3]) -> f64 {
    0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)
}

/// Cb and Cr.
fn chroma(rgb: [u8; 3]) -> [f64; 2] {
    [0.564 * (f64::from(rgb[2]) - luminance(rgb)), 0.713 * (f64::from(rgb[0]) - luminance(rgb))]
}

fn pixels(picture: &Picture) -> &[[u8; 3]] {
    picture.rgb().as_chunks().0
}

#[test]
fn kept_colours_are_the_contents_over_the_light_and_dark_of_the_style() {
    let engine = engine();
    let [(style, style_pixels), (keep, keep_pixels)] = [ColorMode::Style, ColorMode::Keep]
        .map(|color| finished(prepare(&engine, sources(), &options(color))));
    assert_eq!(style_pixels, keep_pixels, "it is painted alike");
    assert_ne!(style, keep);
    let content = picture(SIZE, 1);
    let mut whole = 0;
    for ((style, keep), content) in pixels(&style).iter().zip(pixels(&keep)).zip(pixels(&content)) {
        assert!((luminance(*style) - luminance(*keep)).abs() < 1.1, "{style:?} {keep:?}");
        let ([b, r], [wanted_b, wanted_r]) = (chroma(*keep), chroma(*content));
        if keep.iter().any(|byte| [0, 255].contains(byte)) {
            // Paler, and of the same hue.
            assert!((b * wanted_r - r * wanted_b).abs() < 1.5 * (wanted_b.abs() + wanted_r.abs()));
        } else {
            whole += 1;
            assert!((b - wanted_b).abs() < 1.0 && (r - wanted_r).abs() < 1.0, "{keep:?} {content:?}");
        }
    }
    assert!(whole > pixels(&keep).len() / 2, "{whole}");
}

#[test]
fn every_mode_paints_otherwise_and_allocates_what_was_planned() {
    let engine = engine();
    let mut painted: Vec<Picture> = Vec::new();
    for (name, color) in ColorMode::ALL {
        let transfer = prepare(&engine, sources(), &options(color));
        assert_eq!(transfer.allocated_bytes(), transfer.bytes().total, "{name}");
        let (picture, _) = finished(transfer);
        assert!(!painted.contains(&picture), "{name}");
        painted.push(picture);
    }
}

/// What depends on the content is made anew, here and at the size to come: but for the start, as from the beginning.
#[test]
fn another_content_changes_the_styles_too() {
    let engine = engine();
    for (name, color) in ColorMode::ALL {
        let options = options(color);
        let mut changed = prepare(&engine, sources(), &options);
        block_on(changed.step()).unwrap();
        block_on(changed.set_content(picture(SIZE, 7))).unwrap();
        // The pixels as they are then, with everything made from the other content.
        let checkpoint = block_on(changed.checkpoint()).unwrap();
        let mut others = sources();
        others.content = Some(picture(SIZE, 7).into());
        let begun = block_on(Transfer::resume(&engine, others, &options, &checkpoint)).unwrap();
        assert_eq!(finished(changed), finished(begun), "{name}");
        // And a style after the content.
        let mut changed = prepare(&engine, sources(), &options);
        block_on(changed.set_source(SourceId::Style(0), picture((23, 19), 9))).unwrap();
        let mut others = sources();
        others.styles[0].source = picture((23, 19), 9).into();
        assert_eq!(finished(changed), finished(prepare(&engine, others, &options)), "{name}");
    }
}

#[test]
fn a_checkpoint_goes_on_to_the_same_bits() {
    let engine = engine();
    for (name, color) in ColorMode::ALL {
        let options = options(color);
        let mut whole = prepare(&engine, sources(), &options);
        let mut checkpoints = Vec::new();
        for _ in 0..3 {
            block_on(whole.step()).unwrap();
            checkpoints.push(block_on(whole.checkpoint()).unwrap());
        }
        let end = finished(whole);
        for checkpoint in checkpoints {
            let resumed = block_on(Transfer::resume(&engine, sources(), &options, &checkpoint)).unwrap();
            assert_eq!(finished(resumed), end, "{name} after {}", checkpoint.step());
        }
    }
}

/// At one size, where nothing is made smaller.
#[test]
fn buffers_have_the_colours_of_files() {
    let engine = engine();
    let on_device = |picture: &Picture| {
        let (width, height) = (picture.width(), picture.height());
        let buffer = engine.gpu().device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(4 * width * height),
            usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        engine.gpu().queue().write_buffer(&buffer, 0, &picture.to_rgba());
        Source::Buffer { buffer, size: (width, height) }
    };
    let [content, style] = [picture(SIZE, 1), picture((23, 19), 3)];
    for (name, color) in ColorMode::ALL {
        let options = options(color).with(|options| options.coarsest = None);
        let files = finished(prepare(&engine, Sources::new(&content, &style), &options));
        let sources = Sources::new(on_device(&content), on_device(&style));
        assert_eq!(finished(prepare(&engine, sources, &options)), files, "{name}");
    }
}
