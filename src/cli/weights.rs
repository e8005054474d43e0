//! `impasto weights`: what a file of weights is, and the same as a file of ours.

use std::fmt::Write;
use std::path::Path;

use impasto::nn::weights::StoredKernel;
use impasto::nn::{PoolKind, Weights};
use impasto::ops::Precision;

use super::args::{WeightsArguments, WeightsCommand};
use super::{Result, files, inputs, output, print};

/// Does what is asked for with a file of weights.
pub(super) fn weights(arguments: &WeightsArguments) -> Result<()> {
    match &arguments.command {
        WeightsCommand::Inspect { file } => print(&inspected(&read(file)?)?),
        WeightsCommand::Convert(convert) => {
            let (file, out) = (&convert.file, &convert.out);
            files::refuse_overlap(&[("FILE", file)], &[("OUT", out)])?;
            output::check(out)?;
            let weights = read(file)?;
            let weights = match convert.preprocessing() {
                Some(preprocessing) => weights.with_preprocessing(preprocessing),
                None => weights,
            };
            let precision = convert.precision();
            output::write(out, &weights.to_safetensors(precision)?)?;
            print(&converted(&weights, out, precision)?)
        }
    }
}

fn read(file: &Path) -> Result<Weights> {
    inputs::read_weights_file(file, "check the path given as FILE")
}

/// The layers that are in the file, and how it holds them.
fn stored(weights: &Weights) -> Result<Vec<(&str, StoredKernel)>> {
    let names = weights.network().convolutions().map(|layer| &*layer.name);
    let stored =
        names.filter_map(|name| Some(weights.stored(name).transpose()?.map(|kernel| (name, kernel))));
    Ok(stored.collect::<impasto::Result<Vec<_>>>()?)
}

/// What the file is, line by line. All numbers are read, so that what is said to be there can be used.
fn inspected(weights: &Weights) -> Result<String> {
    let kernels = stored(weights)?;
    if kernels.is_empty() {
        // Says what is missing.
        weights.check(0)?;
    }
    for (name, _) in &kernels {
        weights.convolution(name)?;
    }
    let network = weights.network();
    let pools = PoolKind::ALL.iter().find(|(_, kind)| *kind == weights.pools()).map_or("", |(name, _)| name);
    let all = network.convolutions().count();
    let lines = [
        ("format", weights.format().name().to_owned()),
        ("network", network.name().to_owned()),
        ("pools", pools.to_owned()),
        ("preprocessing", weights.preprocessing().to_string()),
        ("", format!("({})", weights.preprocessing_source())),
        ("layers", format!("{} of {all}", kernels.len())),
        ("SHA-256", weights.digest().to_owned()),
    ];
    let mut text = format!("{}\n", weights.name());
    for (label, value) in lines {
        // Writing to a String does not fail.
        let _ = writeln!(text, "   {label:<14} {value}");
    }
    text.push('\n');
    for (layer, StoredKernel { name, dtype, shape }) in kernels {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        let _ = writeln!(text, "   {layer:<14} {dtype:<5} ({:<16} {name}", shape.join(", ") + ")");
    }
    Ok(text)
}

/// What was written where.
fn converted(weights: &Weights, out: &Path, precision: Precision) -> Result<String> {
    Ok(format!(
        "{}: {} layers of {} as {}\n{} ({})\n",
        out.display(),
        stored(weights)?.len(),
        weights.network().name(),
        precision.name(),
        weights.preprocessing(),
        weights.preprocessing_source(),
    ))
}
