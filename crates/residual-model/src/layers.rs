//! The imports inside this crate, held to a table: a module imports only what its row grants, every grant is used, and what
//! imports each other in a circle is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module, and the modules that it imports; a module may only import rows above its own.
const GRANTED: &[(&str, &[&str])] = &[
    ("numeric", &[]),
    ("error", &[]),
    ("labels", &[]),
    ("info", &["labels"]),
    ("rows", &["error"]),
    ("tensors", &["error", "rows"]),
    ("pickle", &["error"]),
    ("form", &["labels", "tensors"]),
    ("store", &["error", "form", "info", "labels", "tensors"]),
    (
        "sklearn",
        &[
            "error", "form", "labels", "numeric", "pickle", "store", "tensors",
        ],
    ),
    ("parallel", &["error", "rows"]),
    ("dense", &["error", "parallel", "rows", "tensors"]),
    (
        "transformers",
        &["dense", "error", "form", "rows", "tensors"],
    ),
    (
        "estimators",
        &[
            "dense",
            "error",
            "form",
            "info",
            "labels",
            "numeric",
            "parallel",
            "rows",
            "tensors",
            "transformers",
        ],
    ),
    (
        "model",
        &["error", "estimators", "info", "labels", "rows", "store"],
    ),
    ("per_row", &["error", "model", "rows"]),
    ("open", &["error", "model", "pickle", "sklearn", "store"]),
    ("inspect", &["error", "info", "model", "open", "pickle"]),
];

/// Files of one folder that import each other in a circle, because what they read contains itself: a pipeline is an estimator
/// that contains estimators and transformers. Every circle goes through the first of them.
const CIRCLE: &[&str] = &[
    "sklearn::dispatch",
    "sklearn::boosting",
    "sklearn::compose",
    "sklearn::ensemble",
    "sklearn::preprocess",
];

/// A file of this crate: its module path, and its code without comments and tests.
struct Source {
    module: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    collect(&root, &mut files);
    files
        .iter()
        .map(|path| source(&root, path))
        .filter(|source| !["lib", "layers", "pickle::tests"].contains(&source.module.as_str()))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn source(root: &Path, path: &Path) -> Source {
    let names: Vec<String> = path
        .strip_prefix(root)
        .unwrap()
        .with_extension("")
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .filter(|name| name != "mod")
        .collect();
    let text = fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"));
    Source {
        module: names.join("::"),
        code: lines.collect::<Vec<_>>().join("\n"),
    }
}

/// The names that directly follow `prefix` in the code, also those in braces after it.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let end = group.find('}').unwrap_or(group.len());
                found.extend(group[..end].split(',').map(name));
            }
            None => {
                found.insert(name(rest));
            }
        }
    }
    found
}

#[test]
fn modules_import_what_the_table_grants_and_no_grant_is_unused() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let own = source.module.split("::").next().unwrap().to_owned();
        let imports = names_after(&source.code, "crate::");
        found
            .entry(own.clone())
            .or_default()
            .extend(imports.into_iter().filter(|name| *name != own));
    }
    let granted: BTreeMap<String, BTreeSet<String>> = GRANTED
        .iter()
        .map(|(module, imports)| {
            let imports = imports.iter().map(|name| (*name).to_owned());
            ((*module).to_owned(), imports.collect())
        })
        .collect();
    assert_eq!(found, granted);
    for (row, (module, imports)) in GRANTED.iter().enumerate() {
        for import in *imports {
            let above = GRANTED[..row].iter().any(|(other, _)| other == import);
            assert!(above, "{module} imports {import}, which is not above it");
        }
    }
}

#[test]
fn files_of_a_folder_import_each_other_in_no_circle_but_the_one_that_is_named() {
    let sources = sources();
    let modules: BTreeSet<&str> = sources
        .iter()
        .map(|source| source.module.as_str())
        .collect();
    let mut left: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let Some((folder, _)) = source.module.split_once("::") else {
            continue;
        };
        let siblings = names_after(&source.code, "super::")
            .into_iter()
            .map(|name| format!("{folder}::{name}"))
            .filter(|name| modules.contains(name.as_str()));
        left.insert(&source.module, siblings.collect());
    }
    // Files that import nothing of what is left are taken away until only circles, and what imports them, remain.
    loop {
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, imports)| {
                !imports
                    .iter()
                    .any(|import| left.contains_key(import.as_str()))
            })
            .map(|(module, _)| *module)
            .collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            left.remove(module);
        }
    }
    let circle: BTreeSet<&str> = left.keys().copied().collect();
    assert_eq!(circle, CIRCLE.iter().copied().collect());
}
