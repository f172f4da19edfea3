//! Reads the fixtures that `model/fixtures.py` wrote. The root package includes this file in its tests, too.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use residual_model::Rows;
use serde_json::Value;

/// One model, in one or more formats, and what it must predict.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) version: String,
    pub(crate) name: String,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) rows: Rows,
    pub(crate) y_pred: Vec<f64>,
    pub(crate) proba: Option<Vec<f64>>,
    pub(crate) classes: Option<Vec<String>>,
}

impl Case {
    /// Single trees and forests add the same numbers in the same order, so not one bit may differ.
    pub(crate) fn is_exact(&self) -> bool {
        ["DecisionTree", "ExtraTree", "RandomForest"]
            .iter()
            .any(|prefix| self.name.starts_with(prefix))
    }
}

/// Every case of every version in a folder, oldest version first.
pub(crate) fn cases_in(folder: &Path) -> Vec<Case> {
    let mut documents: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    documents.sort();
    documents
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            read(folder, &serde_json::from_str(&text).unwrap())
        })
        .collect()
}

fn read(folder: &Path, document: &Value) -> Vec<Case> {
    let only = env::var("RESIDUAL_FIXTURES_ONLY").ok();
    let version = document["scikit_learn"].as_str().unwrap();
    let models = document["models"].as_array().unwrap();
    models
        .iter()
        .map(|model| {
            let rows: Vec<Vec<f64>> = document["rows"][model["rows"].as_str().unwrap()]
                .as_array()
                .unwrap()
                .iter()
                .map(numbers)
                .collect();
            let texts = |value: &Value| {
                value.as_array().map(|list| {
                    list.iter()
                        .map(|text| text.as_str().unwrap().to_owned())
                        .collect()
                })
            };
            let files: Vec<String> = texts(&model["files"]).unwrap();
            Case {
                version: version.to_owned(),
                name: model["name"].as_str().unwrap().to_owned(),
                files: files
                    .iter()
                    .map(|file| folder.join(version).join(file))
                    .collect(),
                rows: Rows::from_rows(&rows).unwrap(),
                y_pred: numbers(&model["y_pred"]),
                proba: model["proba"]
                    .as_array()
                    .map(|rows| rows.iter().flat_map(numbers).collect()),
                classes: texts(&model["classes"]),
            }
        })
        .filter(|case: &Case| only.as_ref().is_none_or(|only| case.name.contains(only)))
        .collect()
}

/// `null` stands for NaN.
fn numbers(list: &Value) -> Vec<f64> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap_or(f64::NAN))
        .collect()
}
