//! What a run and `explain` have in common: they check the arguments, read the files, open the device and plan the work.

use std::path::Path;
use std::sync::Arc;

use impasto::gpu::{DeviceRequest, Gpu};
use impasto::nn::Weights;
use impasto::ops::MethodRequest;
use impasto::picture::{ColourProfile, Metadata, Picture, Size};
use impasto::transfer::{
    Checkpoint, Engine, EngineOptions, Objective, Options, Plan, Preset, Seamless, SourceLayouts, Sources,
    Timed, Transfer,
};
use impasto::{Error, OptionName};

use super::args::{Kept, Order, RunArguments, Transparency};
use super::checkpoints::interrupted_path;
use super::files::{self, Named};
use super::inputs::{engine_with, read_checkpoint, read_file, read_picture, read_weights};
use super::job::{Job, MethodSource, warn_of_shortage};
use super::output::{self, Output};
use super::remembered::Remembered;
use super::styles::{ContentMask, SourceFiles, StyleFile};
use super::words::{CommandLine, argument};
use super::{Failure, Result, say};

/// Why a request is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To paint: files are written, and methods that were not measured yet are measured.
    Paint,
    /// To print the plan: nothing runs.
    Explain,
}

/// The arguments, before any file is opened.
pub(super) struct PaintRequest<'a> {
    arguments: &'a RunArguments,
    preset: Preset,
    files: SourceFiles,
    options: Options,
    output: Option<Output>,
    kept: Kept,
}

impl<'a> PaintRequest<'a> {
    /// Checks the arguments themselves.
    pub(super) fn new(order: &'a impl Order, output: Option<&Path>) -> Result<Self> {
        let (files, options) = (order.sources()?, order.options()?);
        let (arguments, kept) = (order.run(), order.kept());
        let output = output
            .map(|path| {
                let (format, depth) = (arguments.format.as_deref(), arguments.out_depth());
                Output::new(path, format, arguments.quality, depth)
            })
            .transpose()?;
        if let Some(output) = output.as_ref().filter(|output| !output.has_alpha())
            && kept.transparency == Some(Transparency::Keep)
        {
            return Err(Failure::Usage(format!(
                "--transparency keep: no JPEG is transparent; name {} .png, .webp or .tif",
                output.path().display()
            )));
        }
        Ok(Self { arguments, preset: order.preset()?.1, files, options, output, kept })
    }

    /// Refuses what would overwrite an input, and places that cannot be written to. To explain, only the plan is written.
    pub(super) fn check_files(&self, purpose: Purpose) -> Result<()> {
        let RunArguments { trace, plan, weights, save_every, checkpoint, resume, options_path, .. } =
            self.arguments;
        fn named<'a>(name: &'static str, path: Option<&'a Path>) -> Option<Named<'a>> {
            path.map(|path| (name, path))
        }
        let SourceFiles { content, styles, content_mask, strength_map, initial, .. } = &self.files;
        let styles = styles.iter().flat_map(|style| {
            [(OptionName::Style, Some(&*style.path)), (OptionName::StyleMask, style.mask.as_deref())]
        });
        let others = [
            (OptionName::Content, content.as_deref()),
            (OptionName::ContentMask, content_mask.as_ref().and_then(ContentMask::path)),
            (OptionName::StrengthMap, strength_map.as_deref()),
            (OptionName::Init, initial.as_deref()),
            (OptionName::Weights, weights.as_deref()),
        ];
        let inputs: Vec<Named<'_>> = others
            .into_iter()
            .chain(styles)
            .filter_map(|(option, path)| named(argument(option), path))
            .chain(named("--options", options_path.as_deref()))
            .collect();
        let plan = named("--plan", plan.as_deref());
        let output = named("--output", self.output.as_ref().map(Output::path));
        let trace = named("--trace", trace.as_deref());
        let mut outputs: Vec<Named<'_>> = output.into_iter().chain(trace).chain(plan).collect();
        // Only a new checkpoint may replace the one that is resumed.
        let resumed = named(argument(OptionName::Checkpoint), resume.as_deref());
        files::refuse_overlap(resumed.as_slice(), &outputs)?;
        outputs.extend(named("--checkpoint", checkpoint.as_deref()));
        files::refuse_overlap(&inputs, &outputs)?;
        let given = inputs.iter().chain(resumed.as_slice());
        refuse_second_input(&given.copied().collect::<Vec<_>>())?;
        refuse_second_output(&outputs, purpose)?;
        if let Some(interrupted) = self.output.as_ref().and_then(interrupted_path) {
            files::refuse_overlap(&inputs, &[("the checkpoint of Ctrl-C", &interrupted)])?;
        }
        if let (Some(output), Some(every)) = (&self.output, save_every) {
            if output.is_standard() {
                return Err(Failure::Usage(
                    "--save-every: pictures on the way are files beside OUT, which is standard output; give OUT a name"
                        .into(),
                ));
            }
            let others: Vec<Named<'_>> = inputs.iter().copied().chain(trace).chain(plan).collect();
            output.refuse_snapshot_overlap(*every, self.options.most_steps(), &others)?;
        }
        let written = if purpose == Purpose::Paint { outputs } else { plan.into_iter().collect() };
        if let Some(output) = self.output.as_ref().filter(|_| purpose == Purpose::Paint) {
            output.refuse_terminal()?;
        }
        let files = written.iter().filter(|(_, path)| !files::is_standard(path));
        files.map(|(_, path)| *path).try_for_each(output::check)
    }

    /// Reads the pictures and the weights, opens the device and plans. To paint, it also measures which methods are the
    /// fastest, unless they are remembered.
    pub(super) async fn open(mut self, purpose: Purpose) -> Result<Job> {
        let weights = read_weights(self.arguments.weights.as_deref())?;
        self.arguments.file().check(self.preset, weights.network())?;
        self.options.validate(weights.network())?;
        let sources = self.read_sources()?;
        let resume = self.arguments.resume.as_deref().filter(|_| purpose == Purpose::Paint);
        let checkpoint = resume.map(read_checkpoint).transpose()?;
        // Checked before the device is opened, which takes longer.
        let layouts = sources.layouts()?;
        if let Some(style) = layouts.styles.first().filter(|_| self.files.has_size_of_style) {
            let (width, height) = style.source.size;
            let (width, height) = self.options.size.fit(width, height);
            self.options.size = Size::Within { width, height };
        }
        Objective::checked(&weights, &self.options, &layouts)?;
        if let Some(checkpoint) = &checkpoint {
            checkpoint.check(&sources, &self.options, &weights)?;
        }
        let (mut engine, remembered) = self.open_engine(weights).await?;
        // The checkpoint's methods give the same bits as before, whatever was measured since.
        let with_its_methods = checkpoint.as_ref().filter(|checkpoint| checkpoint.fits(&engine));
        if let Some(checkpoint) = with_its_methods {
            let methods = Arc::new(checkpoint.methods().clone());
            engine = engine.reconfigured(|options| options.method_table = methods);
        }
        let are_resumed = with_its_methods.is_some();
        let plan = self.plan(&mut engine, &layouts)?;
        let (plan, method_source, timed) =
            self.choose_methods(purpose, &mut engine, plan, &layouts, &remembered, are_resumed).await?;
        if let Some(checkpoint) = &checkpoint {
            self.warn_of_differences(checkpoint, &engine);
        }
        let Self { options, output, .. } = self;
        Ok(Job { options, output, sources, engine, plan, method_source, timed, checkpoint })
    }

    /// Decodes every picture. Where there is one size, it is fitted at once, so that of a large photograph only the small
    /// copy is kept; else each size has a copy of its own.
    fn read_sources(&mut self) -> Result<Sources> {
        let Options { size, coarsest, stroke, seamless, .. } = self.options;
        // Where it wraps, it is rounded to other sides.
        let has_copies = coarsest.is_some() || stroke.is_some() || seamless != Seamless::None;
        let fitted = |picture: Picture, (width, height): (u32, u32)| {
            if has_copies { picture } else { picture.into_size(width, height) }
        };
        let own = |picture: &Picture| (picture.width(), picture.height());
        let SourceFiles { content, styles, content_mask, strength_map, initial, .. } = &self.files;
        let quiet = self.arguments.quiet;
        let reading = self.arguments.reading();
        let read = |path: &Path, hint: &str| read_picture(path, hint, &reading, quiet);
        let file = |path: &Path| read_file(path, "check the path of CONTENT", &reading, quiet);
        let (file, content) = content.as_deref().map(file).transpose()?.unzip();
        let (has_alpha, colours) =
            content.as_ref().map_or((false, None), |reading| (reading.has_alpha, reading.colours.clone()));
        let content = content.map(|reading| reading.picture);
        let painting =
            content.as_ref().map_or(size.sides(), |content| self.options.fit_content(own(content)));
        let content = content.map(|content| fitted(content, painting));
        let (width, height) = painting;
        let opacity = match (content_mask, &file) {
            (Some(ContentMask::Alpha), Some(file)) => Some(self.opacity(file)?.into_size(width, height)),
            _ => None,
        };
        if let (Some(output), Some(file)) = (&mut self.output, file) {
            let name = files::shown(self.files.content.as_deref().unwrap_or(Path::new("")));
            if self.kept.profile {
                keep_profile(output, colours, &name, quiet)?;
            }
            let is_kept = has_alpha && self.kept.transparency != Some(Transparency::White);
            let kept = match (is_kept, &opacity) {
                (false, _) => None,
                (true, Some(opacity)) => Some(opacity.clone()),
                (true, None) => {
                    Some(Picture::decode_opacity_with(&file, &name, &reading)?.into_size(width, height))
                }
            };
            keep(output, &file, kept, self.kept, &name, quiet);
        }
        let mask = |path: &Path, hint| Ok::<_, Failure>(read(path, hint)?.into_size(width, height));
        let masked = |sources: Sources, style: &StyleFile| match &style.mask {
            Some(path) => Ok(sources.with_style_mask(mask(path, "check the path given with --style-mask")?)),
            None => Ok::<_, Failure>(sources),
        };
        let mut sources = Sources::from_content(content);
        for style in styles {
            let picture = read(&style.path, "check the path of STYLE")?;
            let (width, height) = own(&picture);
            let picture = fitted(picture, size.fit(width, height));
            sources = masked(sources.with_style(picture, style.weight), style)?;
        }
        if let Some(mask_of) = content_mask {
            let mask = match mask_of {
                ContentMask::File(path) => Some(mask(path, "check the path given with --content-mask")?),
                ContentMask::Alpha => opacity,
            };
            if let Some(mask) = mask {
                sources = sources.with_content_mask(mask)?;
            }
        }
        if let Some(path) = strength_map {
            sources = sources.with_strength_map(mask(path, "check the path given with --strength-map")?);
        }
        match initial {
            Some(path) => {
                let initial = read(path, "--init takes noise, content or a picture's path")?;
                Ok(sources.with_initial(initial.into_size(width, height)))
            }
            None => Ok(sources),
        }
    }

    /// Where the content is opaque, of which this is the file: standard input can be read only once.
    fn opacity(&self, file: &[u8]) -> Result<Picture> {
        let name = files::shown(self.files.content.as_deref().unwrap_or(Path::new("")));
        let opacity = Picture::decode_opacity_with(file, &name, &self.arguments.reading())?;
        if opacity.rgb().iter().all(|level| *level == 255) {
            let option = argument(OptionName::ContentMask);
            let option = if self.kept.transparency == Some(Transparency::Mask) {
                "--transparency mask"
            } else {
                option
            };
            return Err(Failure::Usage(format!(
                "{option}: {name} is opaque everywhere; give a picture with an alpha channel, or a mask's file"
            )));
        }
        Ok(opacity)
    }

    /// Opens the device, with the methods that are remembered of it.
    async fn open_engine(&self, weights: Weights) -> Result<(Engine, Remembered)> {
        let arguments = self.arguments;
        let request = if arguments.portable { DeviceRequest::Portable } else { DeviceRequest::Full };
        let gpu = Gpu::open_with(arguments.device.as_deref(), request).await?;
        // The methods that are the fastest with all features need not be the fastest without them.
        let remembered = if arguments.portable {
            Remembered::nothing(gpu.summary())
        } else {
            Remembered::of(gpu.summary())
        };
        let options = EngineOptions::default().with(|options| {
            options.methods = arguments.kernels();
            options.method_table = Arc::new(remembered.methods());
            options.low_memory = arguments.low_memory();
            options.precision = arguments.precision();
        });
        Ok((engine_with(gpu, weights, options)?, remembered))
    }

    /// Plans; where memory is short, replaces the engine by one that takes less.
    fn plan(&self, engine: &mut Engine, layouts: &SourceLayouts) -> Result<Plan> {
        let planned = |engine: &Engine| Transfer::plan(engine, layouts.clone(), &self.options);
        match planned(engine) {
            Err(shortage @ Error::Memory { .. }) if !engine.options().low_memory => {
                let smaller = engine.reconfigured(|options| options.low_memory = true);
                // Where that does not fit either, the first error says what would.
                let Ok(plan) = planned(&smaller) else { return Err(shortage.into()) };
                warn_of_shortage(&shortage, &plan, self.arguments);
                *engine = smaller;
                Ok(plan)
            }
            planned => Ok(planned?),
        }
    }

    /// Says where the methods for the step's convolutions come from. To paint, the missing ones are measured, and the plan
    /// is made again with them; then there is also the time of their trials.
    async fn choose_methods(
        &self,
        purpose: Purpose,
        engine: &mut Engine,
        plan: Plan,
        layouts: &SourceLayouts,
        remembered: &Remembered,
        are_resumed: bool,
    ) -> Result<(Plan, MethodSource, Option<Timed>)> {
        let missing = engine.unmeasured(&plan).len();
        let source = match self.arguments.kernels() {
            _ if engine.options().low_memory => MethodSource::LowMemory,
            MethodRequest::Algorithm(_) | MethodRequest::Method(_) => MethodSource::Asked,
            MethodRequest::Auto if are_resumed && missing == 0 => MethodSource::Resumed,
            MethodRequest::Auto if missing == 0 => MethodSource::Remembered,
            MethodRequest::Auto if !remembered.can_be_kept() => MethodSource::FixedTable,
            MethodRequest::Auto if purpose == Purpose::Explain => MethodSource::NotYet { missing },
            MethodRequest::Auto => MethodSource::Measured,
        };
        if source != MethodSource::Measured {
            return Ok((plan, source, None));
        }
        if !self.arguments.quiet {
            say("measuring which kernels are the fastest on this adapter, once");
        }
        let (measured, timed) = engine.measure_and_time(&plan).await?;
        remembered.keep(&measured);
        *engine = engine.reconfigured(|options| options.method_table = Arc::new(measured));
        Ok((Transfer::plan(engine, layouts.clone(), &self.options)?, source, Some(timed)))
    }

    /// Warns of what differs from when the checkpoint was made.
    fn warn_of_differences(&self, checkpoint: &Checkpoint, engine: &Engine) {
        if self.arguments.quiet {
            return;
        }
        for difference in checkpoint.differences(engine) {
            let difference = difference.spelled(&CommandLine);
            say(format_args!(
                "warning: since the checkpoint {difference}: the last bits of the picture may differ"
            ));
        }
    }
}

/// Refuses to read standard input more than once.
fn refuse_second_input(inputs: &[Named<'_>]) -> Result<()> {
    let mut standard = inputs.iter().filter(|(_, path)| files::is_standard(path));
    match (standard.next(), standard.next()) {
        (Some((first, _)), Some((second, _))) => Err(Failure::Usage(format!(
            "{second}: standard input can be read once, and {first} reads it; name a file for one of them"
        ))),
        _ => Ok(()),
    }
}

/// Refuses to write two files to standard output, or one that is read again.
fn refuse_second_output(outputs: &[Named<'_>], purpose: Purpose) -> Result<()> {
    let mut holder = (purpose == Purpose::Explain).then_some("the program that is printed");
    for (option, path) in outputs {
        // Nothing is written there to explain.
        let is_written = purpose == Purpose::Paint || *option == "--plan";
        if !files::is_standard(path) || !is_written {
            continue;
        }
        if *option == "--checkpoint" {
            return Err(Failure::Usage(format!(
                "{option}: the state of a run is a file that is replaced again and again; name one, or ./- for this name"
            )));
        }
        if let Some(holder) = holder.replace(option) {
            return Err(Failure::Usage(format!(
                "{option}: standard output has {holder} already; name a file for one of them"
            )));
        }
    }
    Ok(())
}

/// Gives the output the colour space of the content, which has this name.
fn keep_profile(output: &mut Output, colours: Option<ColourProfile>, name: &str, quiet: bool) -> Result<()> {
    let Some(colours) = colours else {
        if !quiet {
            let out = output.shown();
            say(format_args!(
                "note: {name}: it names no colour space but sRGB, or none that can be used: {out} is sRGB"
            ));
        }
        return Ok(());
    };
    let is_grey = colours.is_grey();
    output
        .set_colours(colours)
        .map_err(|error| Failure::Usage(format!("--keep-profile: {name}: {error}")))?;
    if is_grey && !quiet {
        say(format_args!("note: {name}: its profile is one of grey: {} is grey", output.shown()));
    }
    Ok(())
}

/// Gives the output what is kept of the content's file, and of its opacity where that is wanted.
fn keep(output: &mut Output, file: &[u8], opacity: Option<Picture>, kept: Kept, name: &str, quiet: bool) {
    if kept.metadata {
        output.set_metadata(Metadata::of(file));
    }
    let Some(opacity) = opacity.filter(|opacity| opacity.rgb().iter().any(|level| *level != 255)) else {
        return;
    };
    if output.has_alpha() {
        output.set_opacity(opacity);
    } else if !quiet {
        say(format_args!(
            "note: {name}: what is transparent becomes white: no JPEG can hold it, .png, .webp and .tif can"
        ));
    }
}
