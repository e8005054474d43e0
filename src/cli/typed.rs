//! The arguments as they were typed, before they are parsed: what is nearly an option is taken for it or answered.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, Command};

use super::peers::{self, Typed};
use super::preview::place::is_place;
use super::{Failure, Result, styles};

/// How alike two names are at least, where one is taken for a slip of the other: 1 are equal names.
const LEAST_LIKENESS: f64 = 0.8;
/// Hyphens and dashes that word processors and web pages put in place of two hyphens or one.
const DASHES: [char; 9] = [
    '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}', '\u{fe63}',
    '\u{ff0d}',
];

/// The arguments, the first of which is the program, with what is understood in the way of `command`.
///
/// # Errors
/// [`Failure::Usage`] for what looks like an option and is none.
pub(super) fn understood(arguments: Vec<OsString>, command: &Command) -> Result<Vec<OsString>> {
    let arguments = help(arguments, command);
    let names = Names::of(&arguments, command);
    let mut understood = Vec::with_capacity(arguments.len());
    let mut rest = arguments.iter();
    understood.extend(rest.next().cloned());
    let mut takes_value = false;
    while let Some(argument) = rest.next() {
        let text = argument.to_str();
        if text == Some("--") {
            understood.push(argument.clone());
            break;
        }
        let is_value = std::mem::take(&mut takes_value);
        let Some(text) = text else {
            understood.push(argument.clone());
            continue;
        };
        if text.starts_with(DASHES) {
            return Err(not_a_hyphen(text, &names));
        }
        let Some(typed) = Typed::of(text) else {
            understood.push(argument.clone());
            continue;
        };
        if typed.name == "--preview" && typed.value.is_none() && names.has(typed.name) {
            // Its place may be left out, and what follows may be a picture.
            let place = rest.as_slice().first().and_then(|next| next.to_str()).filter(|next| is_place(next));
            let joined = place.map_or(text.to_owned(), |place| format!("{text}={place}"));
            if place.is_some() {
                rest.next();
            }
            understood.push(joined.into());
            continue;
        }
        if names.has(typed.name) {
            takes_value = typed.value.is_none() && names.takes_value(typed.name);
            understood.push(argument.clone());
            continue;
        }
        let next = rest.as_slice().first().and_then(|next| next.to_str());
        // Another spelling of an option of ours comes before another spelling of theirs.
        let known = peers::known(&typed, !matches!(names.slip(&typed), Slip::Of(_)));
        if let Some(peer) = known.filter(|_| names.is_painting) {
            let (instead, taken) = peer.here(&typed, next)?;
            let name = instead.last().map(String::as_str).unwrap_or_default();
            takes_value = taken == 0 && !name.contains('=') && names.takes_value(name);
            understood.extend(instead.into_iter().map(OsString::from));
            rest.by_ref().take(taken).for_each(drop);
            continue;
        }
        if is_file(text) && !names.is_short(text) || is_value && has_ending(text) || Path::new(text).exists()
        {
            return Err(Failure::Usage(format!(
                "{text}: a name that begins with a hyphen looks like an option; write ./{text}"
            )));
        }
        match names.slip(&typed) {
            Slip::Of(own) => {
                takes_value = typed.value.is_none() && names.takes_value(&own);
                understood.push(typed.value.map_or(own.clone(), |value| format!("{own}={value}")).into());
            }
            Slip::Hyphen(own) => {
                let name = typed.name;
                return Err(Failure::Usage(format!(
                    "{name}: options of more than one letter begin with two hyphens; write {own}"
                )));
            }
            // The value of an option that takes any text, or letters of one hyphen: what is wrong with it is found later.
            Slip::None if is_value || names.is_short(text) => understood.push(argument.clone()),
            Slip::None => return Err(names.unknown(&typed)),
        }
    }
    understood.extend(rest.cloned());
    Ok(understood)
}

/// `impasto help explain` is `impasto explain --help`.
fn help(mut arguments: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let is_command =
        |name: &OsString| name.to_str().is_some_and(|name| command.find_subcommand(name).is_some());
    if arguments.get(1).is_some_and(|first| first == "help") && arguments[2..].iter().all(is_command) {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    arguments
}

/// What [`Names::slip`] finds.
enum Slip {
    /// Another spelling of this option, which can only be meant.
    Of(String),
    /// One hyphen too few in front of this option.
    Hyphen(String),
    None,
}

/// The options of the command that is asked for.
struct Names {
    /// What it is called: `impasto texture`.
    command: String,
    /// Whether it paints, or explains what is painted.
    is_painting: bool,
    /// With their hyphens, and whether a value follows them.
    own: Vec<(String, bool)>,
    /// Those of all other commands, with the name of one.
    others: Vec<(String, String)>,
}

impl Names {
    fn of(arguments: &[OsString], command: &Command) -> Self {
        let mut own = command;
        let mut name = command.get_name().to_owned();
        for argument in &arguments[1.min(arguments.len())..] {
            let Some(inner) = argument.to_str().and_then(|argument| own.find_subcommand(argument)) else {
                break;
            };
            own = inner;
            name = format!("{name} {}", inner.get_name());
        }
        let is_painting = own.get_arguments().any(|argument| argument.get_long() == Some("steps"));
        let of_own = own.get_arguments().flat_map(names_of).chain(
            [("--help", false), ("-h", false), ("--version", false), ("-V", false)]
                .map(|(name, value)| (name.to_owned(), value)),
        );
        let mut others = Vec::new();
        let mut add = |command: &Command, name: &str| {
            others.extend(
                command.get_arguments().flat_map(names_of).map(|(option, _)| (option, name.to_owned())),
            );
        };
        add(command, "impasto CONTENT STYLE");
        for inner in command.get_subcommands() {
            add(inner, &format!("impasto {}", inner.get_name()));
        }
        Self { command: name, is_painting, own: of_own.collect(), others }
    }

    fn has(&self, name: &str) -> bool {
        self.own.iter().any(|(own, _)| own == name)
    }

    fn takes_value(&self, name: &str) -> bool {
        self.own.iter().any(|(own, takes_value)| own == name && *takes_value)
    }

    /// Whether this is `-q`, or `-oout.png`: the short name of an option, and more.
    fn is_short(&self, text: &str) -> bool {
        let short: String = text.chars().take(2).collect();
        !text.starts_with("--") && self.has(&short)
    }

    /// The option that is meant by another spelling of its own name.
    fn slip(&self, typed: &Typed<'_>) -> Slip {
        let plain = format!("--{}", typed.name.trim_start_matches('-').replace('_', "-").to_lowercase());
        match (self.has(&plain), typed.name.starts_with("--")) {
            (true, true) => Slip::Of(plain),
            (true, false) => Slip::Hyphen(plain),
            (false, _) => Slip::None,
        }
    }

    /// The error about an option that there is not.
    fn unknown(&self, typed: &Typed<'_>) -> Failure {
        let name = typed.name;
        let command = &self.command;
        if let Some((_, other)) = self.others.iter().find(|(other, _)| other == name) {
            return Failure::Usage(format!(
                "{name} is an option of `{other}`; `{command} --help` lists those that it has"
            ));
        }
        let asked = name.trim_start_matches('-').replace('_', "-").to_lowercase();
        let likeness = |own: &str| strsim::jaro_winkler(&asked, own.trim_start_matches('-'));
        let ranked = self.own.iter().map(|(own, _)| (likeness(own), own));
        let best = ranked.max_by(|(a, _), (b, _)| a.total_cmp(b));
        let meant = match best.filter(|(likeness, _)| *likeness >= LEAST_LIKENESS) {
            Some((_, own)) => format!("did you mean {own}? "),
            None => String::new(),
        };
        Failure::Usage(format!("there is no option {name}; {meant}`{command} --help` lists all"))
    }
}

/// The names of an option, with their hyphens, and whether a value always follows them.
fn names_of(argument: &Arg) -> Vec<(String, bool)> {
    let takes_value = argument.get_action().takes_values()
        && argument.get_num_args().is_none_or(|values| values.min_values() > 0);
    let longs = argument.get_long().into_iter().chain(argument.get_all_aliases().unwrap_or_default());
    let shorts = argument.get_short().map(|short| format!("-{short}"));
    longs.map(|long| format!("--{long}")).chain(shorts).map(|name| (name, takes_value)).collect()
}

/// Whether a text that begins with a hyphen is the name of a file: one that is there, or that looks like a picture's.
fn is_file(text: &str) -> bool {
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
    let is_picture = |ending: &str| styles::ENDINGS.contains(&&*ending.to_lowercase());
    !text.contains('=') && (ending.is_some_and(is_picture) || Path::new(text).exists())
}

/// Whether a text has an ending as the names of files have.
fn has_ending(text: &str) -> bool {
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ending.starts_with(|first: char| first.is_ascii_alphabetic()))
}

/// The error about an argument that begins with a dash which is no hyphen.
fn not_a_hyphen(text: &str, names: &Names) -> Failure {
    let letters = text.trim_start_matches(|sign| sign == '-' || DASHES.contains(&sign));
    let name = letters.split_once('=').map_or(letters, |(name, _)| name);
    let meant = [format!("--{name}"), format!("-{name}")].into_iter().find(|name| names.has(name));
    let meant = meant.unwrap_or_else(|| format!("--{name}"));
    let sign = text.chars().next().map(u32::from).unwrap_or_default();
    Failure::Usage(format!(
        "{text} begins with a dash as word processors write it (U+{sign:04X}), and options begin with hyphens; write {meant}"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::args;

    fn typed(arguments: &str) -> Result<String> {
        let arguments =
            ["impasto"].into_iter().chain(arguments.split_whitespace()).map(OsString::from).collect();
        let understood = understood(arguments, &args::command())?;
        let texts: Vec<&str> = understood[1..].iter().map(|argument| argument.to_str().unwrap()).collect();
        Ok(texts.join(" "))
    }

    #[test]
    fn what_is_an_option_stays_as_it_is() {
        for given in [
            "a.png b.png -o c.png --alpha -1 --style-weights -1,2 -q --steps=3",
            "a.png -ob.png -qh --seamless x",
            "a.png - -o - -- --content-weight -x.png",
            "reconstruct a.png -o b.png --content conv4_2 --style-layers conv1_1",
            "texture --show-options --optimizer lbfgs",
            "bench --filter -1 --compare old.json",
            "help a.png -o b.png",
            "--noise-ratio -.5",
            "",
        ] {
            assert_eq!(typed(given).unwrap(), given);
        }
    }

    #[test]
    fn other_spellings_are_taken() {
        for (given, expected) in [
            ("a b --learning_rate 3 --style_layers=conv1_1", "a b --learning-rate 3 --style-layers=conv1_1"),
            ("a b --Steps 3", "a b --steps 3"),
            ("help", "--help"),
            ("help explain texture", "explain texture --help"),
            ("a b -output_image c.png -optimizer adam", "a b --output c.png --optimiser=adam"),
            ("texture a --max_size 64", "texture a --size 64"),
        ] {
            assert_eq!(typed(given).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_none_is_answered() {
        for (given, expected) in [
            (
                "a b -o c.png -steps 3",
                "-steps: options of more than one letter begin with two hyphens; write --steps",
            ),
            ("a b -output c.png", "write --output"),
            (
                "a b –steps 5",
                "–steps begins with a dash as word processors write it (U+2013), and options begin with",
            ),
            ("a b —steps=5", "(U+2014), and options begin with hyphens; write --steps"),
            ("a b −o c.png", "(U+2212), and options begin with hyphens; write -o"),
            (
                "a b -o -x.png",
                "-x.png: a name that begins with a hyphen looks like an option; write ./-x.png",
            ),
            ("-photo.JPG b -o c.png", "write ./-photo.JPG"),
            ("a b -o c.png --trace -x.jsonl", "write ./-x.jsonl"),
            ("a b --stpes 3", "there is no option --stpes; did you mean --steps? `impasto --help` lists all"),
            ("a b --quack", "there is no option --quack; `impasto --help` lists all"),
            ("a b -zebra", "there is no option -zebra; "),
            (
                "texture a --alpha 1",
                "--alpha is an option of `impasto CONTENT STYLE`; `impasto texture --help` lists",
            ),
            ("a b --threshold 3", "--threshold is an option of `impasto bench`"),
            ("a b --content-weight 5", "--content-weight belongs to another program; here: --alpha, "),
            ("a b -original_colors 1", "-original_colors belongs to another program; here: --color keep"),
            ("a b -num_iterations 5", "here: --steps N"),
            ("explain a b --iterations 5", "here: --steps N"),
            ("bench --iterations 5", "there is no option --iterations; `impasto bench --help` lists all"),
        ] {
            match typed(given) {
                Err(Failure::Usage(message)) => assert!(message.contains(expected), "{given}: {message}"),
                other => panic!("{given}: {other:?}"),
            }
        }
    }
}
