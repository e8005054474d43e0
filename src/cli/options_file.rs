//! `--options`: a file of TOML with the values of a run. Its keys are the names of the library's table of options, with a few
//! beside them that are no option of a transfer.

use std::path::{Path, PathBuf};

use impasto::error::OptionName;
use impasto::nn::Network;
use impasto::ops::{Algorithm, Precision};
use impasto::transfer::{OPTIONS, OptionEntry, Options, Preset};
use impasto::{Error, Result as LibraryResult};
use serde_json::{Number, Value};
use toml::de::{DeTable, DeValue};

use super::words::{AUTO, argument};
use super::{Failure, Result, files};

/// Bytes; far more than all options take.
const LIMIT: u64 = 1 << 20;
/// The key of the set of options that the others change.
pub(super) const PRESET: &str = "preset";
/// What stands for an option that has no value of its own.
pub(super) const NONE: &str = "none";
/// How alike two words are at least, where one is taken for a slip of the other: 1 are equal words.
const LEAST_LIKENESS: f64 = 0.8;
/// What is shown for a value in the remedy of a key that is no option.
const HINT: &str = "impasto --show-options prints all of them";

/// What a file of options says.
#[derive(Debug, Default)]
pub(super) struct OptionsFile {
    path: PathBuf,
    pub(super) preset: Option<String>,
    /// By their lines.
    values: Vec<FileValue>,
    pub(super) methods: Option<String>,
    pub(super) precision: Option<String>,
    pub(super) low_memory: bool,
    /// As the command line has them: `2,1`.
    pub(super) style_weights: Option<String>,
}

/// The value of an option of a transfer.
#[derive(Debug)]
struct FileValue {
    line: usize,
    entry: &'static OptionEntry,
    value: Value,
}

/// The keys beside those of the table. They are named by the options of the engine and of the pictures, and by nothing else.
pub(super) const METHODS: &str = OptionName::Methods.name();
pub(super) const PRECISION: &str = OptionName::Precision.name();
pub(super) const LOW_MEMORY: &str = OptionName::LowMemory.name();
pub(super) const STYLE_WEIGHTS: &str = OptionName::StyleWeights.name();

impl OptionsFile {
    /// Reads a file. Values are of the right kind then, but not checked.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path, LIMIT, "check the path given with --options")?;
        let text = str::from_utf8(&bytes).map_err(|error| {
            let line = line_of(&bytes, error.valid_up_to());
            fault(path, line, "this is no UTF-8 text", "give a file of TOML, as --show-options prints it")
        })?;
        Self::parse(path, text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = line_of(text.as_bytes(), error.span().map_or(0, |span| span.start));
            fault(path, line, error.message(), "write lines of TOML such as strength = 0.4")
        })?;
        let mut items: Vec<_> = table.get_ref().iter().collect();
        items.sort_by_key(|(key, _)| key.span().start);
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for (key, value) in items {
            let line = line_of(text.as_bytes(), key.span().start);
            file.take(key.get_ref(), value.get_ref(), line)?;
        }
        Ok(file)
    }

    fn take(&mut self, key: &str, value: &DeValue<'_>, line: usize) -> Result<()> {
        let wrong =
            |reason: String, remedy: String| fault(&self.path, line, &format!("{key}: {reason}"), &remedy);
        let value =
            json(value).map_err(|reason| wrong(reason, format!("give a value like {}", example(key))))?;
        let word = |known: Vec<&str>| match value.as_str() {
            Some(word) if known.contains(&word) => Ok(Some(word.to_owned())),
            _ => Err(wrong(format!("{} is not one of its words", toml(&value)), {
                format!(
                    "give {}",
                    known.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or ")
                )
            })),
        };
        match key {
            PRESET => self.preset = word(Preset::ALL.iter().map(|(name, _)| *name).collect())?,
            METHODS => {
                let algorithms = Algorithm::ALL.iter().map(|(name, _)| *name);
                self.methods = word(std::iter::once(AUTO).chain(algorithms).collect())?;
            }
            PRECISION => self.precision = word(Precision::ALL.iter().map(|(name, _)| *name).collect())?,
            LOW_MEMORY => {
                let wrong = || wrong(format!("{} is neither", toml(&value)), "give true or false".into());
                self.low_memory = value.as_bool().ok_or_else(wrong)?;
            }
            STYLE_WEIGHTS => {
                let numbers =
                    value.as_array().map(|items| items.iter().map(Value::as_f64).collect::<Vec<_>>());
                let numbers = numbers.and_then(|numbers| numbers.into_iter().collect::<Option<Vec<f64>>>());
                let wrong =
                    || wrong("it is no list of numbers".into(), "give one a style, like [2, 1]".into());
                let texts = numbers.ok_or_else(wrong)?.into_iter().map(|number| number.to_string());
                self.style_weights = Some(texts.collect::<Vec<_>>().join(","));
            }
            _ => {
                let Some(entry) = OPTIONS.iter().find(|entry| entry.name.name() == key) else {
                    return Err(fault(
                        &self.path,
                        line,
                        &format!("there is no option {key:?}"),
                        &nearest(key),
                    ));
                };
                let value = settable(entry, value)
                    .map_err(|reason| wrong(reason, format!("give a value like {}", example(key))))?;
                self.values.push(FileValue { line, entry, value });
            }
        }
        Ok(())
    }

    /// What is wrong with a preset that a command does not have; it has these.
    pub(super) fn other_preset(&self, presets: &[(&'static str, Preset)]) -> Failure {
        let own = presets.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(" or ");
        let preset = self.preset.as_deref().unwrap_or_default();
        let path = self.path.display();
        Failure::Failed(format!(
            "{path}: {PRESET}: {preset:?} belongs to another command; give {own}, or leave it out"
        ))
    }

    /// Sets what the file says.
    ///
    /// # Errors
    /// None for a file that was read.
    pub(super) fn apply(&self, options: &mut Options) -> LibraryResult<()> {
        self.values.iter().try_for_each(|FileValue { entry, value, .. }| entry.set(options, value.clone()))
    }

    /// Checks every value of the file over a preset, for a transfer by `network`, whatever the command line has instead.
    pub(super) fn check(&self, preset: Preset, network: &Network) -> Result<()> {
        let mut options = Options::preset(preset);
        self.apply(&mut options)?;
        for FileValue { line, entry, .. } in &self.values {
            match entry.check(&options, network) {
                Err(Error::Option { option, reason, remedy }) => {
                    let reason = format!("{option}: {reason}");
                    return Err(fault(&self.path, *line, &reason, &remedy.to_string()));
                }
                checked => checked?,
            }
        }
        Ok(())
    }
}

/// The number of the line that holds this byte, from 1.
fn line_of(text: &[u8], byte: usize) -> usize {
    1 + text.iter().take(byte).filter(|byte| **byte == b'\n').count()
}

fn fault(path: &Path, line: usize, reason: &str, remedy: &str) -> Failure {
    Failure::Failed(format!("{}: line {line}: {reason}; {remedy}", path.display()))
}

/// What to do about a key that is none.
fn nearest(key: &str) -> String {
    let asked = key.trim().to_lowercase().replace('-', "_");
    // A flag of another name is as good as the option's own.
    let flag = |name: OptionName| argument(name).trim_start_matches('-').replace('-', "_");
    let of_engine =
        [OptionName::Methods, OptionName::Precision, OptionName::LowMemory, OptionName::StyleWeights];
    let named = OPTIONS.iter().map(|entry| entry.name).chain(of_engine);
    let words = named.flat_map(|name| [(name.name().to_owned(), name.name()), (flag(name), name.name())]);
    let words = words.chain([(PRESET.to_owned(), PRESET)]);
    let ranked = words.map(|(word, key)| (strsim::jaro_winkler(&asked, &word), key));
    let best = ranked.max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best.filter(|(likeness, _)| *likeness >= LEAST_LIKENESS) {
        Some((_, key)) => format!("did you mean {key}? {HINT}"),
        None => HINT.to_owned(),
    }
}

/// The value as the entry takes it: [`NONE`] may stand for no value.
fn settable(entry: &OptionEntry, value: Value) -> Result<Value, String> {
    let mut trial = Options::default();
    match entry.set(&mut trial, value.clone()) {
        Ok(()) if !value.is_null() => Ok(value),
        Err(_) if value.as_str() == Some(NONE) && entry.set(&mut trial, Value::Null).is_ok() => {
            Ok(Value::Null)
        }
        Err(Error::Option { reason, .. }) => Err(reason),
        other => Err(format!("{other:?}")),
    }
}

/// What a value of this key looks like.
fn example(key: &str) -> String {
    match key {
        PRESET => format!("{:?}", Preset::ALL[0].0),
        METHODS => format!("{AUTO:?}"),
        PRECISION => format!("{:?}", Precision::ALL[0].0),
        LOW_MEMORY => "false".into(),
        STYLE_WEIGHTS => "[2, 1]".into(),
        _ => {
            let values = serde_json::to_value(Options::default()).unwrap_or_default();
            toml(&values[key])
        }
    }
}

/// A value of TOML as the table takes it.
fn json(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => {
            let (digits, radix) = (integer.as_str(), integer.radix());
            let number = u64::from_str_radix(digits, radix).map(Number::from);
            let number = number.or_else(|_| i64::from_str_radix(digits, radix).map(Number::from));
            Value::Number(number.map_err(|_| format!("{digits} is too large"))?)
        }
        DeValue::Float(float) => {
            let text = float.as_str();
            let number = text.parse().unwrap_or(f64::NAN);
            // Options are of single precision.
            if (number as f32).is_infinite() && text.contains(|sign: char| sign.is_ascii_digit()) {
                return Err(format!("{text} is too large"));
            }
            Value::Number(Number::from_f64(number).ok_or_else(|| format!("{text} is not a finite number"))?)
        }
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(_) => return Err("a date is no value of an option".into()),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let items =
                table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?)));
            Value::Object(items.collect::<Result<_, String>>()?)
        }
    })
}

/// A value in one line. A number that was of single precision has no more digits than that.
fn toml(value: &Value) -> String {
    match value {
        Value::Null => format!("{NONE:?}"),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(wide) if f64::from(wide as f32) == wide => format!("{:?}", wide as f32),
            Some(wide) => format!("{wide:?}"),
            None => number.to_string(),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(items) => {
            let items = items.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
            format!("{{ {} }}", items.collect::<Vec<_>>().join(", "))
        }
        // Escapes of JSON are some of TOML's.
        Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

/// The same, with a line for each table of a list.
pub(super) fn toml_in_lines(value: &Value) -> String {
    match value.as_array() {
        Some(items) if items.iter().any(Value::is_object) => {
            let lines: String = items.iter().map(|item| format!("  {},\n", toml(item))).collect();
            format!("[\n{lines}]")
        }
        _ => toml(value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use impasto::nn::{PoolKind, vgg19};

    fn parsed(text: &str) -> Result<OptionsFile> {
        OptionsFile::parse(Path::new("my.toml"), text)
    }

    /// The message about a file, whose values are looked at, too.
    fn message(text: &str) -> String {
        let checked = parsed(text).and_then(|file| file.check(Preset::Fine, &vgg19(PoolKind::Mean)));
        match checked {
            Err(Failure::Failed(message)) => message,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_fault_is_named_by_its_line_and_key() {
        for (text, expected) in [
            (
                "alpha = 1\n\nstyle-layer = 3",
                "my.toml: line 3: there is no option \"style-layer\"; did you mean style_layers?",
            ),
            ("algorithm = \"gemm\"", "line 1: there is no option \"algorithm\"; did you mean methods?"),
            ("Presett = 1", "did you mean preset?"),
            ("qqq = 1", "there is no option \"qqq\"; impasto --show-options prints all of them"),
            ("[options]\nalpha = 1", "line 1: there is no option \"options\""),
            (
                "steps = 3\nalpha = \"much\"",
                "line 2: alpha: invalid type: string \"much\", expected f32; give a value like 0.05",
            ),
            ("steps = 3.5", "line 1: steps: invalid type"),
            ("steps = -1", "line 1: steps: invalid value"),
            (
                "seed = 99999999999999999999999",
                "seed: 99999999999999999999999 is too large; give a value like 3",
            ),
            ("alpha = nan", "alpha: nan is not a finite number"),
            ("alpha = -inf", "alpha: -inf is not a finite number"),
            ("alpha = 1e40", "alpha: 1e40 is too large; give a value like 0.05"),
            ("style_weights = [1, 1e400]", "style_weights: 1e400 is too large"),
            ("style_layers = [{ name = \"conv1_1\", weight = 1e39 }]", "style_layers: 1e39 is too large"),
            ("alpha = \"none\"", "line 1: alpha: invalid type"),
            ("alpha = 1979-05-27", "alpha: a date is no value"),
            ("# one\nalpha = -2", "line 2: alpha: -2 is not a weight; give a finite number, 0 or more"),
            ("strength = 0", "line 1: strength: 0 is out of range; give a number above 0"),
            (
                "style_layers = [\n  { name = \"conv9_1\", weight = 1 },\n]",
                "line 1: style_layers: VGG-19 has no layer \"conv9_1\"",
            ),
            ("style_layers = [{ name = \"conv1_1\" }]", "style_layers: missing field `weight`"),
            ("style_statistic = \"grams\"", "unknown variant `grams`, expected"),
            ("preset = \"fin\"", "preset: \"fin\" is not one of its words; give \"fine\" or \"course\""),
            ("low_memory = 1", "low_memory: 1 is neither; give true or false"),
            ("style_weights = 2", "style_weights: it is no list of numbers"),
            ("alpha = 1\nalpha = 2", "line 2: "),
            ("alpha 1", "line 1: "),
        ] {
            let message = message(text);
            assert!(message.starts_with("my.toml: line ") && message.contains(expected), "{text}: {message}");
        }
    }
}
