//! The library speaks no command line: an embedder's options are fields, and `src/cli` alone knows of flags. And its texts
//! are in plain words.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Examples whose texts name flags of their own or of cargo, with the reason.
const WITH_FLAGS: [(&str, &str); 5] = [
    ("examples/bevy/src/main.rs", "reads its own arguments"),
    ("examples/export_cases/main.rs", "reads its own arguments"),
    ("examples/gpu_stats/main.rs", "reads its own arguments"),
    ("examples/soak.rs", "says how cargo has to build it"),
    ("examples/translate/main.rs", "says how cargo runs it"),
];

/// Words that are always wrong in code, comments, messages and documents, in lower case, with the plain ones.
const PLAIN_WORDS: [(&str, &str); 11] = [
    ("anybody", "any caller, any encoder"),
    ("clock on the wall", "wall-clock time"),
    ("everybody", "all decoders, all other code"),
    ("has not the", "lacks the"),
    ("no finite number", "not finite"),
    ("nobody", "no thread, no node; or name what happens"),
    ("one behind the other", "one after the other"),
    ("so many ", "this many"),
    ("somebody", "a caller, a user, a thread"),
    ("to be had", "available"),
    ("whoever", "a program that, a caller that"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files under `folder` but those under `without`, by their paths from the repository's root.
fn rust_files(folder: &str, without: &[&str]) -> Vec<String> {
    files(folder, without, ".rs")
}

/// The same for files whose names end in `extension`.
fn files(folder: &str, without: &[&str], extension: &str) -> Vec<String> {
    let (mut folders, mut files) = (vec![PathBuf::from(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = path.to_str().unwrap().replace('\\', "/");
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !without.contains(&name.as_str()) && !name.ends_with("/target") {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(extension) {
                files.push(name);
            }
        }
    }
    files
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// The first line of `text` in which something looks like a flag of two hyphens.
fn flag(text: &str) -> Option<&str> {
    let begins = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_lowercase());
    text.lines().find(|line| line.split("--").skip(1).any(begins))
}

/// Every one of [`PLAIN_WORDS`] in `text`: the number of the line in which it begins, the word and the plain one. The end
/// of a line, also of a comment, counts as a space.
fn dialect(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.trim().trim_start_matches(['/', '!']).trim_start().to_lowercase())
        .collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let next = lines.get(index + 1).map_or("", |next| next);
        let both = format!("{line} {next}");
        for (word, plain) in PLAIN_WORDS {
            if both.find(word).is_some_and(|at| at < line.len()) {
                found.push((index + 1, word, plain));
            }
        }
    }
    found
}

/// What stands in the string literals of a Rust text, a line each; escapes stay as they are written.
fn literals(text: &str) -> String {
    let mut found = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\'', '/', 'r']) {
        let word = rest[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        let here = &rest[at..];
        let hashes = here[1..].len() - here[1..].trim_start_matches('#').len();
        rest = if here.starts_with("//") {
            here.split_once('\n').map_or("", |(_, after)| after)
        } else if here.starts_with("/*") {
            here.split_once("*/").map_or("", |(_, after)| after)
        } else if here.starts_with('r') && !word && here[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let (literal, after) = here[2 + hashes..].split_once(&end).unwrap();
            found.extend([literal, "\n"]);
            after
        } else if let Some(after) = here.strip_prefix('"') {
            let mut escaped = false;
            let end = after.find(|letter| {
                let ends = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                ends
            });
            let (literal, after) = after.split_at(end.unwrap());
            found.extend([literal, "\n"]);
            &after[1..]
        } else if let Some(after) = here.strip_prefix("'\\") {
            // An escaped character: its second one may be a quote.
            &after[after.char_indices().nth(1).unwrap().0..]
        } else if let Some(after) = here.strip_prefix("'\"'") {
            after
        } else {
            &here[1..]
        };
    }
    found
}

#[test]
fn the_library_names_no_flags() {
    let files = rust_files("src", &["src/cli"]);
    assert!(files.iter().any(|file| file == "src/error/mod.rs"), "{files:?}");
    for file in files {
        // Comments, too: they are the library's documentation.
        assert_eq!(flag(&text(&file)), None, "{file} names a flag");
    }
}

#[test]
fn examples_name_no_flags_of_the_command() {
    let files = rust_files("examples", &[]);
    assert!(files.iter().any(|file| file == "examples/studio/src/notice.rs"), "{files:?}");
    for file in &files {
        let literals = literals(&text(file));
        let found = flag(&literals);
        let allowed = WITH_FLAGS.iter().any(|(known, _)| known == file);
        assert_eq!(found.is_some(), allowed, "{file}: {found:?}");
    }
    for (known, reason) in WITH_FLAGS {
        assert!(files.iter().any(|file| file == known), "{known}, which {reason}, is gone");
    }
}

#[test]
fn code_and_documents_are_in_plain_words() {
    let mut texts = rust_files("src", &[]);
    texts.extend(files("docs", &[], ".md"));
    texts.push("README.md".to_owned());
    for known in ["src/gpu/wait.rs", "src/cli/paint.rs", "docs/embedding.md", "docs/architecture.md"] {
        assert!(texts.iter().any(|file| file == known), "{known} is not looked at: {texts:?}");
    }
    let mut found = Vec::new();
    for file in &texts {
        for (line, word, plain) in dialect(&text(file)) {
            found.push(format!("{file}:{line}: “{word}”; write: {plain}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_word_is_found_at_its_line_and_across_the_end_of_one() {
    let text = "/// Timed by the clock on\n/// the wall.\n/// Nobody waits.\nplain text\n";
    let lines: Vec<(usize, &str)> = dialect(text).into_iter().map(|(line, word, _)| (line, word)).collect();
    assert_eq!(lines, [(1, "clock on the wall"), (3, "nobody")]);
}

#[test]
fn flags_are_found_in_strings_and_nowhere_else() {
    let text = r##"
        // "--comment" and 'a'
        let quote = ('"', '\'', '\\', "an escaped \" and --flag");
        /* "--block" */
        fn name<'a>() {}
        let raw = r#"a " and --raw"#;
    "##;
    assert_eq!(literals(text), "an escaped \\\" and --flag\na \" and --raw\n");
    assert_eq!(flag("a -- b\n---|\n--:|\nx --low-memory"), Some("x --low-memory"));
    assert_eq!(flag("a -- b --1"), None);
}
