//! The options that can change while a painting is made, as the page shows them: all from the one table.

use impasto::nn::Network;
use impasto::transfer::{OPTIONS, OptionEntry, OptionKind, Options, SourceLayouts, Transfer};
use serde_json::{Value, json};

use crate::cli::words::argument;
use crate::cli::{Failure, Result};

/// How the page asks for each option that can change in a run with these options and sources.
pub(super) fn fields(options: &Options, network: &Network, layouts: &SourceLayouts) -> Vec<Value> {
    let live = OPTIONS.iter().filter(|entry| entry.live);
    let fields = live.filter_map(|entry| {
        let kind = kind(entry, options, network)?;
        can_change(entry, options, network, layouts).then(|| {
            json!({
                "name": entry.name.name(),
                "flag": argument(entry.name),
                "what": entry.what,
                "kind": kind,
            })
        })
    });
    fields.collect()
}

/// The kind of field; `None` for what has none.
fn kind(entry: &OptionEntry, options: &Options, network: &Network) -> Option<Value> {
    Some(match entry.kind {
        OptionKind::Switch => "switch".into(),
        OptionKind::Whole | OptionKind::Optional(OptionKind::Whole) => "whole".into(),
        OptionKind::Number => {
            let takes = |value: f64| {
                let mut other = options.clone();
                entry.set(&mut other, value.into()).is_ok() && entry.check(&other, network).is_ok()
            };
            // What takes nothing above 1 is a share.
            if takes(1.5) {
                "number".into()
            } else {
                json!([if takes(0.0) { 0.0 } else { 0.01 }, if takes(1.0) { 1.0 } else { 0.99 }])
            }
        }
        OptionKind::Word(words) => json!({ "words": words }),
        OptionKind::Layers => "layers".into(),
        _ => return None,
    })
}

/// Whether the option may have another value in this run: a cost that was left out cannot come in.
fn can_change(entry: &OptionEntry, options: &Options, network: &Network, layouts: &SourceLayouts) -> bool {
    let Some(value) = entry.get(options).as_f64() else { return true };
    if entry.kind != OptionKind::Number {
        return true;
    }
    let mut other = options.clone();
    let set = entry.set(&mut other, if value == 0.0 { 0.5 } else { 0.5 * value }.into());
    let needed = set.and_then(|()| entry.needs_new_transfer(options, &other, network, layouts));
    matches!(needed, Ok(false))
}

/// The values of the live options, by name.
pub(super) fn values(options: &Options) -> Value {
    let live = OPTIONS.iter().filter(|entry| entry.live);
    live.map(|entry| (entry.name.name().to_owned(), entry.get(options)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Gives a live option another value, and returns what it is now, in words.
pub(super) fn set(transfer: &mut Transfer, name: &str, value: Value) -> Result<String> {
    let entry = OPTIONS.iter().find(|entry| entry.live && entry.name.name() == name);
    let Some(entry) = entry else {
        return Err(Failure::Usage(format!(
            "{name:?} is no option that can change while a painting is made"
        )));
    };
    let mut options = transfer.options().clone();
    entry.set(&mut options, value)?;
    transfer.set_options(&options)?;
    Ok(format!("{} {}", argument(entry.name), entry.text(transfer.options())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use impasto::nn::{PoolKind, vgg19};
    use impasto::picture::Picture;
    use impasto::transfer::{Preset, Sources};

    fn of(options: &Options) -> Vec<(String, Value)> {
        let picture = || Picture::from_rgb(64, 64, vec![0; 64 * 64 * 3]).unwrap();
        let sources = Sources::from_content(Some(picture())).with_style(picture(), 1.0);
        let fields = fields(options, &vgg19(PoolKind::Mean), &sources.layouts().unwrap());
        let text = |field: &Value, key: &str| field[key].as_str().unwrap().to_owned();
        fields.iter().map(|field| (text(field, "name"), field["kind"].clone())).collect()
    }

    /// Every live option has a field, unless it weighs a cost that the run does without.
    #[test]
    fn the_page_has_a_field_for_every_option_that_can_change() {
        let fields = of(&Options::preset(Preset::Course));
        let live = OPTIONS.iter().filter(|entry| entry.live).map(|entry| entry.name.name());
        let missing: Vec<&str> = live.filter(|live| !fields.iter().any(|(name, _)| name == live)).collect();
        assert_eq!(missing, ["gamma", "total_variation"]);
        let fine = of(&Options::default().with(|options| options.total_variation = 1.0));
        assert!(fine.iter().any(|(name, _)| name == "total_variation"), "{fine:?}");
    }

    /// The bounds of a share are those that the table checks.
    #[test]
    fn a_share_has_its_bounds() {
        let shares: Vec<(String, Value)> =
            of(&Options::default()).into_iter().filter(|(_, kind)| kind.is_array()).collect();
        let share = |name: &str, low: f64, high: f64| (name.to_owned(), json!([low, high]));
        let expected = [
            share("strength", 0.01, 1.0),
            share("fade", 0.0, 1.0),
            share("averaging", 0.0, 0.99),
            share("tolerance", 0.0, 0.99),
        ];
        assert_eq!(shares, expected);
    }
}
