//! The architecture is the tree of files: these tests fail when a file imports or names what it must not.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Module -> what it may import from the crate. A new import between modules is an edit here and a sentence in
/// ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("bundled", &[]),
    ("message", &["clock", "task"]),
    ("shutdown", &[]),
    ("stats", &["task"]),
    ("task", &[]),
    ("telemetry", &[]),
    ("bus", &["clock", "telemetry"]),
    ("chart", &["stats"]),
    ("dataset", &["bundled", "task"]),
    ("metric_log", &["message", "task"]),
    (
        "services::features",
        &["bus", "clock", "dataset", "message"],
    ),
    (
        "services::predictor",
        &["bus", "clock", "message", "telemetry"],
    ),
    (
        "services::metric",
        &[
            "bus",
            "clock",
            "message",
            "metric_log",
            "stats",
            "task",
            "telemetry",
        ],
    ),
    (
        "services::plot",
        &["chart", "clock", "metric_log", "stats", "task", "telemetry"],
    ),
    (
        "dashboard",
        &[
            "bus",
            "chart",
            "clock",
            "message",
            "stats",
            "task",
            "telemetry",
        ],
    ),
    (
        "config",
        &[
            "bus",
            "chart",
            "dashboard",
            "dataset",
            "services",
            "task",
            "telemetry",
        ],
    ),
    ("cli", &["clock", "config"]),
    (
        "pipeline",
        &[
            "bundled",
            "bus",
            "clock",
            "config",
            "dashboard",
            "dataset",
            "message",
            "metric_log",
            "services",
            "stats",
            "task",
            "telemetry",
        ],
    ),
    (
        "commands",
        &[
            "bus",
            "cli",
            "clock",
            "config",
            "dataset",
            "metric_log",
            "pipeline",
            "services",
            "shutdown",
            "telemetry",
        ],
    ),
];

/// External crate -> the only places that may name it.
const ONLY_HERE: &[(&str, &[&str])] = &[
    ("lapin", &["bus::rabbitmq"]),
    ("async_nats", &["bus::nats"]),
    ("async_rs", &["bus::rabbitmq"]),
    ("tokio_rustls", &["bus::rabbitmq", "bus::tls"]),
    (
        "residual_model",
        &[
            "bundled",
            "commands",
            "dashboard",
            "pipeline",
            "services::predictor",
            "task",
        ],
    ),
    ("axum", &["dashboard"]),
    ("base64", &["dashboard"]),
    ("hyper", &["dashboard"]),
    ("hyper_util", &["dashboard"]),
    ("subtle", &["dashboard"]),
    ("figment", &["config"]),
    ("clap", &["cli", "main"]),
    ("plotters", &["chart"]),
    ("dejavu", &["chart"]),
    ("redb", &["bus::embedded", "services::metric"]),
    ("csv", &["dataset"]),
    (
        "postcard",
        &["message", "bus::embedded", "services::metric"],
    ),
    ("tracing_subscriber", &["telemetry"]),
    ("indicatif", &["telemetry"]),
    ("anyhow", &["commands", "pipeline"]),
];

/// The source folders of the two packages.
const FOLDERS: [&str; 2] = ["src", "crates/residual-model/src"];

/// A source file and the module that it is, such as `bus::embedded::store`.
struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

/// Of the root package.
fn sources() -> Vec<Source> {
    sources_in("src")
}

/// Of both packages.
fn all_sources() -> Vec<Source> {
    FOLDERS.into_iter().flat_map(sources_in).collect()
}

fn sources_in(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.iter().map(|path| source(&root, path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn source(root: &Path, path: &Path) -> Source {
    let inside = path.strip_prefix(root).unwrap().with_extension("");
    let names: Vec<_> = inside
        .iter()
        .map(|name| name.to_str().unwrap())
        .filter(|name| *name != "mod")
        .collect();
    Source {
        path: path.to_owned(),
        module: names.join("::"),
        text: fs::read_to_string(path).unwrap(),
    }
}

fn is_within(module: &str, parent: &str) -> bool {
    module == parent
        || module
            .strip_prefix(parent)
            .is_some_and(|rest| rest.starts_with("::"))
}

/// Lines that are code: no comments, and nothing from the first test module on.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// The first segments after `crate::`, with those of `use crate::{a::…, b}` taken apart.
fn crate_imports(text: &str) -> BTreeSet<String> {
    let code = code(text).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at]
            .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
        {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level_names(group)),
            None => found.extend(qualified(rest)),
        }
    }
    found
}

fn qualified(path: &str) -> Option<String> {
    let end = path
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(path.len());
    let mut names = path[..end].split("::").filter(|name| !name.is_empty());
    let first = names.next()?;
    match (first, names.next()) {
        ("services", Some(service)) => Some(format!("services::{service}")),
        _ => Some(first.to_owned()),
    }
}

/// Names at depth one of `a, b::{c, d}, e::f}`.
fn top_level_names(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = vec![String::new()];
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            other => {
                if let Some(name) = names.last_mut() {
                    name.push(other);
                }
            }
        }
    }
    names
        .iter()
        .filter_map(|name| qualified(name.trim()))
        .collect()
}

fn owner(module: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    ALLOWED
        .iter()
        .filter(|(owner, _)| is_within(module, owner))
        .max_by_key(|(owner, _)| owner.len())
}

#[test]
fn every_import_goes_upward_as_the_table_says() {
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !["lib", "main", "services"].contains(&source.module.as_str()))
    {
        let Some((owner, allowed)) = owner(&source.module) else {
            wrong.push(format!("{} is not in the table", source.module));
            continue;
        };
        for import in crate_imports(&source.text) {
            let fine =
                is_within(&import, owner) || allowed.iter().any(|name| is_within(&import, name));
            if !fine {
                wrong.push(format!("{} imports crate::{import}", source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_import_that_the_table_allows_is_used() {
    let sources = sources();
    let mut unused = Vec::new();
    for (module, allowed) in ALLOWED {
        let imports: BTreeSet<String> = sources
            .iter()
            .filter(|source| owner(&source.module).is_some_and(|(owner, _)| owner == module))
            .flat_map(|source| crate_imports(&source.text))
            .collect();
        let is_used = |name: &str| imports.iter().any(|import| is_within(import, name));
        for name in allowed.iter().filter(|name| !is_used(name)) {
            unused.push(format!("no file of {module} imports crate::{name}"));
        }
    }
    for (name, places) in ONLY_HERE {
        for place in *places {
            let mut inside = sources
                .iter()
                .filter(|source| is_within(&source.module, place));
            if !inside.any(|source| names(source, name)) {
                unused.push(format!("no file of {place} names {name}"));
            }
        }
    }
    assert!(unused.is_empty(), "{unused:#?}");
}

/// Whether the source names an external crate.
fn names(source: &Source, name: &str) -> bool {
    code(&source.text)
        .any(|line| line.contains(&format!("{name}::")) || line.contains(&format!("use {name}")))
}

#[test]
fn each_external_crate_lives_in_its_place() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in ONLY_HERE {
            if names(&source, name) && !places.iter().any(|place| is_within(&source.module, place))
            {
                wrong.push(format!("{} names {name}", source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_begins_with_its_duty() {
    let silent: Vec<_> = all_sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// Most files have a third of it; a longer one has more than one idea.
const LINES_MAX: usize = 600;

#[test]
fn no_file_grows_past_what_one_reads_in_a_sitting() {
    let long: Vec<_> = all_sources()
        .into_iter()
        .map(|source| (code(&source.text).count(), source.module))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn nothing_is_called_utils_helper_or_manager() {
    let named = |source: &Source| {
        ["util", "helper", "manager"]
            .iter()
            .any(|word| source.module.contains(word))
    };
    let wrong: Vec<_> = all_sources()
        .into_iter()
        .filter(named)
        .map(|source| source.module)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TO\u{44}O", "FIX\u{4d}E", "unimplemented!", "todo!"];
    let marked = |source: &Source| marks.iter().any(|mark| source.text.contains(mark));
    let wrong: Vec<_> = all_sources()
        .into_iter()
        .filter(marked)
        .map(|source| source.module)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn dependencies_stand_in_alphabetical_order() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let section = manifest
        .split("[dependencies]")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    let names: Vec<_> = section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    assert!(names.is_sorted(), "{names:?}");
}

/// `just` refuses a file in which a name comes twice, and with it every recipe, `just up` too.
#[test]
fn each_recipe_of_the_justfile_has_a_name_of_its_own() {
    let justfile =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("justfile")).unwrap();
    let mut names: Vec<_> = justfile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()) && !line.contains(":="))
        .filter_map(|line| line.split([' ', ':']).next())
        .collect();
    assert!(
        names.contains(&"up") && names.contains(&"test"),
        "{names:?}"
    );
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}
