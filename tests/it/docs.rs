//! Files that the documentation names exist.
//!
//! A name is a word in backticks or the target of a link. A word is taken for a path when it begins with a folder of the
//! repository or ends like one of its files; `*` stands for any part of a name, `{a,b}` for either, and a part in
//! capitals such as NAME for whatever the reader puts there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::repository::repository;

/// Written by whoever knows the project, in these files and every Markdown file of these folders.
const FILES: [&str; 6] = [
    "README.md",
    "README.ru.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "model/README.md",
];
const FOLDERS: [&str; 2] = ["docs", "crates/residual-model"];

/// How a word ends that is a file of ours.
const ENDINGS: [&str; 6] = [".rs", ".md", ".py", ".sh", ".toml", ".yml"];

/// What a run or a build makes, so that no checkout has it.
const MADE: [&str; 2] = ["logs", "target"];

/// Folders without anything of ours.
const FOREIGN: [&str; 5] = [".git", "artifacts", "corpus", "logs", "target"];

/// A Markdown file.
struct Page {
    /// From the root of the repository.
    path: String,
    text: String,
}

impl Page {
    fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The text outside of code blocks.
    fn prose(&self) -> String {
        let blocks = self.text.split("```").step_by(2);
        blocks.collect::<Vec<_>>().join("\n")
    }
}

fn pages() -> Vec<Page> {
    let mut paths: Vec<String> = FILES.map(str::to_owned).into();
    for folder in FOLDERS {
        for entry in fs::read_dir(repository(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let name = path.file_name().unwrap().to_str().unwrap();
                paths.push(format!("{folder}/{name}"));
            }
        }
    }
    let page = |path: String| {
        let text = fs::read_to_string(repository(&path)).ok()?;
        Some(Page { path, text })
    };
    paths.into_iter().filter_map(page).collect()
}

/// Every file and folder of the repository, from its root.
struct Tree(Vec<String>);

impl Tree {
    fn read() -> Self {
        let (mut paths, mut folders) = (Vec::new(), vec![PathBuf::new()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(repository(".").join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                if FOREIGN.contains(&name.as_str()) {
                    continue;
                }
                let path = folder.join(name);
                paths.push(path.to_str().unwrap().to_owned());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                }
            }
        }
        Self(paths)
    }

    /// Whether it has a path like this one, which may have `*` in it.
    fn has(&self, pattern: &str) -> bool {
        self.0.iter().any(|path| matches(pattern, path))
    }

    /// Whether some path ends like this one.
    fn has_somewhere(&self, pattern: &str) -> bool {
        self.has(pattern)
            || self
                .0
                .iter()
                .any(|path| matches(&format!("*/{pattern}"), path))
    }

    fn has_folder(&self, name: &str) -> bool {
        self.0.iter().any(|path| path == name) && repository(name).is_dir()
    }
}

/// Whether the text is the pattern, in which `*` is any number of characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    text.strip_prefix(head).is_some_and(|rest| {
        rest.char_indices()
            .map(|(at, _)| &rest[at..])
            .chain([""])
            .any(|rest| matches(tail, rest))
    })
}

/// `a/{b,c}` is `a/b` and `a/c`.
fn alternatives(word: &str) -> Vec<String> {
    let parts = word
        .split_once('{')
        .and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    let Some((head, (choices, tail))) = parts else {
        return vec![word.to_owned()];
    };
    let choices = choices.split(',').map(str::trim);
    choices
        .flat_map(|choice| alternatives(&format!("{head}{choice}{tail}")))
        .collect()
}

/// The words in backticks.
fn words(prose: &str) -> Vec<String> {
    let spans = prose.split('`').skip(1).step_by(2);
    let is_around = |c: char| matches!(c, ',' | ';' | ':' | '(' | ')' | '\'' | '"');
    spans
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_matches(is_around).to_owned())
        .collect()
}

/// What links point to in this repository.
fn links(prose: &str) -> Vec<String> {
    let targets = prose.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .collect()
}

/// A part in capitals, such as NAME, stands for something else.
fn has_placeholder(path: &str) -> bool {
    let is_placeholder =
        |part: &str| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    path.split('/').any(is_placeholder)
}

/// Joins and resolves `..`.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Whether it can only be a path of the repository.
fn is_path(word: &str, page: &Page, tree: &Tree) -> bool {
    if word.contains("::") || word.starts_with(['/', '-', '$', '<']) || word.contains("://") {
        return false;
    }
    let first = word.split('/').next().unwrap_or_default();
    let begins = word.contains('/')
        && (tree.has_folder(first) || tree.has_folder(&join(page.folder(), first)));
    let is_made = MADE.contains(&first) && word.contains('/');
    (begins || ENDINGS.iter().any(|ending| word.ends_with(ending))) && !is_made
}

fn exists(word: &str, page: &Page, tree: &Tree) -> bool {
    let path = word.trim_end_matches('/');
    let begins = tree.has_folder(path.split('/').next().unwrap_or_default());
    tree.has(&join("", path))
        || tree.has(&join(page.folder(), path))
        // A name alone, or with the folder that it is in.
        || ((!begins || !path.contains('/')) && tree.has_somewhere(path))
}

#[test]
fn every_file_that_the_documentation_names_exists() {
    let tree = Tree::read();
    let (mut missing, mut found) = (Vec::new(), 0);
    for page in pages() {
        let prose = page.prose();
        for word in words(&prose).iter().flat_map(|word| alternatives(word)) {
            if !is_path(&word, &page, &tree) || has_placeholder(&word) {
                continue;
            }
            found += 1;
            if !exists(&word, &page, &tree) {
                missing.push(format!("{}: `{word}`", page.path));
            }
        }
        for link in links(&prose) {
            found += 1;
            let target = join(page.folder(), &link);
            if !Path::new(&repository(&target)).exists() {
                missing.push(format!("{}: a link to {link}", page.path));
            }
        }
    }
    assert!(found > 50, "only {found} names found");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn a_name_is_understood_as_a_reader_would() {
    let tree = Tree(
        ["src", "src/bus/mod.rs", "docs/a.md"]
            .map(str::to_owned)
            .into(),
    );
    let page = Page {
        path: "docs/a.md".to_owned(),
        text: String::new(),
    };
    for there in [
        "src/bus/mod.rs",
        "bus/mod.rs",
        "mod.rs",
        "src/*/mod.rs",
        "a.md",
    ] {
        assert!(exists(there, &page, &tree), "{there}");
    }
    for gone in ["src/mod.rs", "src/bus", "us/mod.rs", "src/bus/*.py"] {
        assert!(!exists(gone, &page, &tree), "{gone}");
    }
    assert_eq!(alternatives("src/{a,b}.rs"), ["src/a.rs", "src/b.rs"]);
    assert_eq!(
        words("see `cargo run x.rs`, and (`b.rs`)"),
        ["cargo", "run", "x.rs", "b.rs"]
    );
    assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g)"), ["b.md"]);
    assert!(has_placeholder("src/bus/NAME/") && !has_placeholder("README.md"));
}
