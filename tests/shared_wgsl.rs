//! WGSL has no imports, so what several kernels have in common stands whole in each of them, between the lines
//! `// shared: NAME` and `// end`, and is owned by `wgsl/shared/NAME.wgsl`. These tests hold the blocks against their
//! owners, and find what stands in two kernels without an owner. Needs no GPU.
//!
//! `IMPASTO_BLESS=1 cargo test --test shared_wgsl` writes all blocks anew from their owners.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The most lines of code that two kernels may have in common, one behind the other, outside of shared blocks.
const MOST_ALIKE: usize = 7;
const FENCE: &str = "// shared: ";
const END: &str = "// end";

/// Texts by name.
type Texts = BTreeMap<String, String>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("wgsl")
}

/// The texts of a folder's files in WGSL, by their path in it.
fn texts(folder: &Path) -> Texts {
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut texts = Texts::new();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            texts.extend(
                self::texts(&path).into_iter().map(|(inner, text)| (format!("{name}/{inner}"), text)),
            );
        } else {
            assert!(name.ends_with(".wgsl"), "{}: only WGSL lies here", path.display());
            texts.insert(name, std::fs::read_to_string(path).unwrap().replace("\r\n", "\n"));
        }
    }
    texts
}

/// The kernels by their path in `wgsl/`, and the owners by their name.
fn kernels_and_owners() -> (Texts, Texts) {
    let (mut kernels, mut owners) = (Texts::new(), Texts::new());
    for (path, text) in texts(&folder()) {
        match path.strip_prefix("shared/") {
            Some(file) => owners.insert(file.trim_end_matches(".wgsl").to_owned(), text),
            None => kernels.insert(path, text),
        };
    }
    (kernels, owners)
}

/// A kernel's text with every block as its owner has it, indented as its fence is, and the names of these blocks.
fn rewritten(path: &str, text: &str, owners: &Texts) -> Result<(String, Vec<String>), String> {
    let (mut written, mut names) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        written.extend([line, "\n"]);
        let Some(name) = line.trim_start().strip_prefix(FENCE) else {
            if line.trim() == END {
                return Err(format!("{path}: `{END}` without a beginning"));
            }
            continue;
        };
        let Some(owner) = owners.get(name) else {
            return Err(format!("{path}: there is no wgsl/shared/{name}.wgsl"));
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        for line in owner.lines() {
            let indent = if line.is_empty() { "" } else { indent };
            written.extend([indent, line, "\n"]);
        }
        // What stands in the block gives way.
        loop {
            let line = lines.next().ok_or_else(|| format!("{path}: the block {name} has no `{END}`"))?;
            if line.trim_start().starts_with(FENCE) {
                return Err(format!("{path}: the block {name} has no `{END}` before another one begins"));
            }
            if line.trim() == END {
                written.extend([line, "\n"]);
                break;
            }
        }
        names.push(name.to_owned());
    }
    Ok((written, names))
}

/// The first line in which two texts differ, as both have it.
fn first_difference<'a>(left: &'a str, right: &'a str) -> (usize, &'a str, &'a str) {
    let at = left.lines().zip(right.lines()).take_while(|(left, right)| left == right).count();
    let line = |text: &'a str| text.lines().nth(at).unwrap_or_default();
    (at + 1, line(left), line(right))
}

#[test]
fn shared_blocks_are_as_their_owners_have_them() {
    let (kernels, owners) = kernels_and_owners();
    let bless = std::env::var_os("IMPASTO_BLESS").is_some_and(|value| value == "1");
    let mut users: BTreeMap<&str, usize> = owners.keys().map(|name| (name.as_str(), 0)).collect();
    for (path, text) in &kernels {
        let (want, names) = rewritten(path, text, &owners).unwrap();
        for name in &names {
            *users.get_mut(name.as_str()).unwrap() += 1;
        }
        if bless && want != *text {
            std::fs::write(folder().join(path), want).unwrap();
            println!("wgsl/{path} is written anew");
        } else if want != *text {
            let (line, found, want) = first_difference(text, &want);
            panic!(
                "wgsl/{path}:{line}: `{found}`, but the owner in wgsl/shared/ has `{want}`; change the owner and set \
                 IMPASTO_BLESS=1, which writes the blocks anew"
            );
        }
    }
    for (name, count) in users {
        assert!(count >= 2, "wgsl/shared/{name}.wgsl: {count} kernels have this block, so nothing is shared");
    }
}

#[test]
fn wrong_fences_are_named() {
    let owners = Texts::from([("sum".to_owned(), "a;\n\nb;\n".to_owned())]);
    let right = "x;\n    // shared: sum\n    a;\n\n    b;\n    // end\ny;\n";
    assert_eq!(rewritten("k", right, &owners), Ok((right.to_owned(), vec!["sum".to_owned()])));
    let stale = "x;\n    // shared: sum\n    c;\n    // end\ny;\n";
    assert_eq!(rewritten("k", stale, &owners).unwrap().0, right);
    for (wrong, told) in [
        ("// shared: product\n// end\n", "wgsl/shared/product.wgsl"),
        ("// shared: sum\na;\n", "has no `// end`"),
        ("// shared: sum\n// shared: sum\n// end\n", "before another"),
        ("a;\n// end\n", "without a beginning"),
    ] {
        let error = rewritten("k", wrong, &owners).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

/// The code of a kernel outside of its blocks: number and text of each line that says something of its own. Left out are
/// comments, and what every kernel must have in its own words although `tests/shaders.rs` holds it against Rust: the
/// bindings and the head of `main`.
fn own_code(text: &str) -> Vec<(usize, &str)> {
    let mut code = Vec::new();
    let mut in_block = false;
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        let begins = line.starts_with(FENCE);
        in_block = (in_block || begins) && line != END;
        if begins || line == END {
            // A run of equal lines ends here: the line is like no other, not even the same in another kernel.
            code.push((number, ""));
        }
        let declared =
            line.starts_with("@group(") || line.starts_with("@compute") || line.starts_with("fn main(");
        let bare = line.chars().all(|c| "{}();, ".contains(c)) || line == "return;";
        if !in_block && !declared && !bare && !line.starts_with("//") {
            code.push((number, line));
        }
    }
    code
}

/// The longest run of equal lines in two kernels: how many, and where it begins in each.
fn longest_alike(left: &[(usize, &str)], right: &[(usize, &str)]) -> (usize, usize, usize) {
    let mut longest = (0, 0, 0);
    let mut above = vec![0; right.len() + 1];
    for (i, (_, line)) in left.iter().enumerate() {
        let mut row = vec![0; right.len() + 1];
        for (j, (_, other)) in right.iter().enumerate() {
            if line == other && !line.is_empty() {
                row[j + 1] = above[j] + 1;
                if row[j + 1] > longest.0 {
                    let begin = |code: &[(usize, &str)], end: usize| code[end + 1 - row[j + 1]].0;
                    longest = (row[j + 1], begin(left, i), begin(right, j));
                }
            }
        }
        above = row;
    }
    longest
}

#[test]
fn nothing_long_stands_in_two_kernels_without_an_owner() {
    let (kernels, _) = kernels_and_owners();
    let code: Vec<(&String, Vec<(usize, &str)>)> =
        kernels.iter().map(|(path, text)| (path, own_code(text))).collect();
    let mut found = Vec::new();
    for (i, (left, left_code)) in code.iter().enumerate() {
        for (right, right_code) in &code[i + 1..] {
            let (lines, at, other) = longest_alike(left_code, right_code);
            if lines > MOST_ALIKE {
                found.push(format!("{lines} lines of wgsl/{left}:{at} stand in wgsl/{right}:{other} too"));
            }
        }
    }
    assert!(found.is_empty(), "{}; give them an owner in wgsl/shared/", found.join("\n"));
}

#[test]
fn what_stands_twice_is_found() {
    let left = "// shared: a\nx;\ny;\n// end\nlet a = 1;\n// comment\n}\nlet b = 2;\nlet c = 3;\n";
    let right = "let z = 0;\nlet a = 1;\n\nlet b = 2;\n// other\nlet c = 4;\n// shared: a\nx;\ny;\n// end\n";
    assert_eq!(longest_alike(&own_code(left), &own_code(right)), (2, 5, 2));
    // A block between them ends a run.
    let cut = "let a = 1;\n// shared: a\n// end\nlet b = 2;\n";
    assert_eq!(longest_alike(&own_code(cut), &own_code(cut)).0, 1);
}
