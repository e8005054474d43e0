//! What files use of each other: between rooms as `docs/architecture.md` draws it, and nowhere in a circle.
//! Needs no GPU.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, UseTree, Visibility};

/// One who uses, and what is used.
type Arrows = BTreeSet<(String, String)>;
/// A path from the root: `["ops", "conv"]`. The command's begins with `cli`, though it is a crate of its own.
type ModulePath = Vec<String>;

/// A file of the library or of the command.
struct File {
    /// From `src`: `ops/conv/mod.rs`.
    name: String,
    /// What it is called elsewhere, and what that is: everything that it imports.
    imports: BTreeMap<String, ModulePath>,
    /// Modules whose every name it imports.
    globs: Vec<ModulePath>,
    /// The imports that only pass names on.
    passed_on: HashSet<String>,
    /// Every path with a `::` outside the imports, and every other name.
    paths: Vec<Vec<String>>,
}

fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    let text = |attribute: &syn::Attribute| attribute.meta.to_token_stream().to_string();
    attributes.iter().any(|attribute| text(attribute) == "cfg (test)")
}

/// A path as a module at `at` writes it, from the root; `None` for one that is of another crate.
fn from_root(path: &[String], at: &[String]) -> Option<ModulePath> {
    let (first, rest) = path.split_first()?;
    let mut base = match &**first {
        "crate" | "impasto" => Vec::new(),
        "self" => at.to_vec(),
        "super" => at[..at.len() - 1].to_vec(),
        _ => return None,
    };
    let ups = rest.iter().take_while(|part| *part == "super").count();
    base.truncate(base.len() - ups);
    base.extend_from_slice(&rest[ups..]);
    Some(base)
}

/// The paths of an import with the names that they get; `*` for all.
fn leaves(tree: &UseTree, before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.last().unwrap().clone(), before.to_vec()))
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), with(&name.ident))),
        UseTree::Rename(rename) => found.push((rename.rename.to_string(), with(&rename.ident))),
        UseTree::Glob(_) => found.push(("*".into(), before.to_vec())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
    }
}

/// The paths in tokens, those in the arguments of macros too.
fn paths(tokens: TokenStream, found: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                if colons != 2 {
                    found.push(std::mem::take(&mut path));
                }
                path.push(name.to_string());
                colons = 0;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                paths(group.stream(), found);
                colons = 0;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => colons = 0,
        }
    }
    found.push(path);
}

/// Reads items of the module at `at`, those of modules within the file too.
fn read(items: &[Item], at: &[String], file: &mut File, modules: &HashSet<ModulePath>) {
    for item in items {
        match item {
            Item::Use(import) if !is_for_tests(&import.attrs) => {
                let mut found = Vec::new();
                leaves(&import.tree, &[], &mut found);
                for (name, path) in found {
                    let child = [at, &path[..1]].concat();
                    let of_child = modules.contains(&child).then(|| [at, &path].concat());
                    let Some(path) = from_root(&path, at).or(of_child) else { continue };
                    if name == "*" {
                        file.globs.push(path);
                        continue;
                    }
                    if !matches!(import.vis, Visibility::Inherited) {
                        file.passed_on.insert(name.clone());
                    }
                    file.imports.insert(name, path);
                }
            }
            Item::Mod(module) if is_for_tests(&module.attrs) => {}
            Item::Mod(module) => {
                if let Some((_, items)) = &module.content {
                    let inner = [at, &[module.ident.to_string()]].concat();
                    read(items, &inner, file, modules);
                }
            }
            Item::Use(_) => {}
            other => paths(other.to_token_stream(), &mut file.paths),
        }
    }
}

/// The files below `folder`, each with the path of its module.
fn listed(folder: &Path, at: &[String], found: &mut BTreeMap<ModulePath, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            listed(&path, &[at, &[stem]].concat(), found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let name = path.strip_prefix(source()).unwrap().to_str().unwrap().replace('\\', "/");
            let is_root = ["mod", "lib", "main"].contains(&&*stem);
            let module = if is_root { at.to_vec() } else { [at, &[stem]].concat() };
            found.insert(module, name);
        }
    }
}

/// Every file by its module, but for `main.rs`, which has no name that another could use.
fn all_files() -> BTreeMap<ModulePath, File> {
    let mut names = BTreeMap::new();
    listed(source(), &[], &mut names);
    names.insert(Vec::new(), "lib.rs".into());
    let modules = names.keys().cloned().collect();
    let read = |(module, name): (ModulePath, String)| {
        let syntax = syn::parse_file(&fs::read_to_string(source().join(&name)).unwrap()).unwrap();
        let mut file = File {
            name,
            imports: BTreeMap::new(),
            globs: Vec::new(),
            passed_on: HashSet::new(),
            paths: Vec::new(),
        };
        read(&syntax.items, &module, &mut file, &modules);
        (module, file)
    };
    names.into_iter().map(read).collect()
}

/// The file that declares what a path from the root names. What a file passes on is declared elsewhere.
fn declared<'a>(all: &'a BTreeMap<ModulePath, File>, path: &[String]) -> &'a str {
    let depth = (0..=path.len()).rev().find(|depth| all.contains_key(&path[..*depth])).unwrap();
    let file = &all[&path[..depth]];
    let passed_on = path.get(depth).and_then(|name| file.imports.get(name));
    match passed_on {
        Some(origin) => declared(all, &[origin, &path[depth + 1..]].concat()),
        None => &file.name,
    }
}

/// The files that each file uses something of. To pass a name on is no use.
fn used_files() -> Arrows {
    let all = all_files();
    let mut arrows = Arrows::new();
    for (module, file) in &all {
        let mut add = |path: &[String]| {
            let to = declared(&all, path);
            if to != file.name {
                arrows.insert((file.name.clone(), to.to_owned()));
            }
        };
        let named: HashSet<&String> = file.paths.iter().filter_map(|path| path.first()).collect();
        let is_used = |name: &String| !file.passed_on.contains(name) || named.contains(name);
        for (_, path) in file.imports.iter().filter(|(name, path)| is_used(name) && !all.contains_key(*path))
        {
            add(path);
        }
        file.globs.iter().for_each(|path| add(path));
        for path in file.paths.iter().filter(|path| path.len() > 1) {
            let imported = file.imports.get(&path[0]).map(|origin| [origin, &path[1..]].concat());
            let child = [module, &path[..1]].concat();
            let of_child = all.contains_key(&child).then(|| [&child, &path[1..]].concat());
            if let Some(path) = imported.or(of_child).or_else(|| from_root(path, module)) {
                add(&path);
            }
        }
    }
    arrows
}

/// The arrows that lie on a circle: whose end leads back to their begin.
fn circles(arrows: &Arrows) -> Arrows {
    let leads = |from: &String, to: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            if at == to {
                return true;
            }
            if seen.insert(at) {
                next.extend(arrows.iter().filter(|(from, _)| from == at).map(|(_, to)| to));
            }
        }
        false
    };
    arrows.iter().filter(|(from, to)| leads(to, from)).cloned().collect()
}

/// The arrows of the graph in `docs/architecture.md`, each a pair of rooms.
fn drawn() -> Arrows {
    let page = fs::read_to_string(source().with_file_name("docs/architecture.md")).unwrap();
    let (_, graph) = page.split_once("```mermaid\ngraph LR\n").unwrap();
    let (graph, _) = graph.split_once("```").unwrap();
    let mut arrows = Arrows::new();
    for line in graph.lines() {
        let (from, to) = line.split_once(" --> ").unwrap();
        arrows.extend(to.split(" & ").map(|to| (from.trim().to_owned(), to.to_owned())));
    }
    arrows
}

/// The rooms that each room uses. What lies beside them in `src` is none.
fn used_rooms() -> Arrows {
    let room = |file: &str| file.split_once('/').map(|(room, _)| room.to_owned());
    let pairs = used_files().into_iter().filter_map(|(from, to)| room(&from).zip(room(&to)));
    pairs.filter(|(from, to)| from != to).collect()
}

#[test]
fn the_graph_of_rooms_is_that_of_the_code() {
    assert_eq!(drawn(), used_rooms());
}

#[test]
fn no_room_uses_one_that_uses_it() {
    assert_eq!(circles(&used_rooms()), Arrows::new());
}

#[test]
fn no_file_uses_one_that_uses_it() {
    let mut arrows = used_files();
    let found: Vec<String> = circles(&arrows).iter().map(|(from, to)| format!("{from} uses {to}")).collect();
    assert!(found.is_empty(), "these lie on circles:\n{}", found.join("\n"));
    let back = ("error/mod.rs".to_owned(), "graph/plan.rs".to_owned());
    arrows.insert(back.clone());
    assert!(circles(&arrows).contains(&back));
}
