//! The pages for people: links lead to a file and a heading. Needs no GPU.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no page of ours.
const WITHOUT: [&str; 2] = ["target", ".git"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files under `folder` whose names end in `extension`.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() && !WITHOUT.iter().any(|name| path.ends_with(name)) {
            found.extend(files(&path, extension));
        } else if kind.is_file() && path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found
}

/// The lines of a page that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The targets of the links of a page.
fn links(text: &str) -> Vec<&str> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1));
    targets.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// What a link to a heading calls it: lower case, without punctuation, with hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Whether a page has a heading that links call `name`.
fn has_heading(text: &str, name: &str) -> bool {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim()).any(|heading| anchor(heading) == name)
}

/// What is wrong with a link of `page`, whose text is `text`.
fn fault(page: &Path, text: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    if !path.is_empty() && !target.exists() {
        return Some(format!("{}: {link} leads nowhere", page.display()));
    }
    let is_missing = || {
        let other = (!path.is_empty()).then(|| fs::read_to_string(&target).unwrap());
        !has_heading(other.as_deref().unwrap_or(text), heading)
    };
    (!heading.is_empty() && is_missing()).then(|| format!("{}: {link} has no heading", page.display()))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (mut count, mut faults) = (0, Vec::new());
    for page in files(root(), "md") {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            count += 1;
            faults.extend(fault(&page, &text, link));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 100, "{count} links");
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let text =
        "# One, two\n[a](tests/links.rs) [b](gone.md)\n```\n[c](code)\n# no heading\n```\n[d](#one-two)";
    assert_eq!(links(text), ["tests/links.rs", "gone.md", "#one-two"]);
    let page = root().join("page.md");
    let is_wrong = |link| fault(&page, text, link).is_some();
    assert!(!is_wrong("tests/links.rs") && !is_wrong("#one-two") && !is_wrong("https://example.org"));
    assert!(is_wrong("gone.md") && is_wrong("#no-heading") && is_wrong("README.md#gone"));
}
