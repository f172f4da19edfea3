//! Files that are broken, foreign or hostile are refused with the reason, and nothing in them is run.

use std::fs;
use std::path::PathBuf;

use residual_model::ModelError;

use super::handmade::{call, text};
use super::{cases, linear, linear_converted};

fn refusal(bytes: &[u8]) -> String {
    residual_model::open_bytes("some.pkl", bytes)
        .map(|model| format!("{model:?}"))
        .unwrap_err()
        .with_causes()
}

/// A fitted estimator of a class that is not read.
fn unsupported() -> Vec<u8> {
    [
        &b"\x80\x04"[..],
        &text("sklearn.cluster._dbscan"),
        &text("DBSCAN"),
        b"\x93)\x81}",
        &text("_sklearn_version"),
        &text("1.5.2"),
        b"sb.",
    ]
    .concat()
}

#[test]
fn a_pickle_that_would_run_something_is_refused_by_the_name_of_what_it_would_run() {
    let marker: PathBuf =
        std::env::temp_dir().join(format!("residual-executed-{}", std::process::id()));
    let command = format!("touch {}", marker.display());
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("subprocess", "check_call"),
    ] {
        let message = refusal(&call(module, name, &command));
        assert!(
            message.contains(&format!("`{module}.{name}`"))
                && message.contains("nothing was executed"),
            "{message}"
        );
    }
    let protocol_0 = format!("cos\nsystem\n(S'{command}'\ntR.");
    assert!(refusal(protocol_0.as_bytes()).contains("`os.system`"));
    assert!(!marker.exists());
}

#[test]
fn models_of_other_libraries_are_named_and_not_called_hostile() {
    let message = refusal(&call("xgboost.sklearn", "XGBRegressor", "x"));
    assert!(
        message.contains("`xgboost.sklearn.XGBRegressor`: XGBoost keeps its own format"),
        "{message}"
    );
    assert!(
        refusal(&call("__main__", "MyModel", "x"))
            .contains("defined in the script that saved the model")
    );
}

#[test]
fn every_class_that_loads_is_in_the_list_of_supported_classes() {
    let message = refusal(&unsupported());
    let supported: Vec<&str> = message
        .split("Supported: ")
        .nth(1)
        .unwrap()
        .split(", ")
        .collect();
    for case in cases() {
        let class = residual_model::open(&case.files[0])
            .unwrap()
            .info()
            .class
            .clone();
        let class = class.rsplit('.').next().unwrap();
        assert!(
            supported.contains(&class),
            "{class} is not in {supported:?}"
        );
    }
}

#[test]
fn a_hostile_call_hidden_inside_an_honest_model_is_refused_too() {
    // The model's last attribute value is replaced by a call.
    let pickle = fs::read(linear()).unwrap();
    let key = b"\x8c\x10_sklearn_version\x94";
    let at = pickle
        .windows(key.len())
        .position(|window| window == key)
        .unwrap()
        + key.len();
    let system = [
        &text("os")[..],
        &text("system"),
        b"\x93",
        &text("true"),
        b"\x85R0",
    ]
    .concat();
    let mut bytes = pickle.clone();
    bytes.splice(at..at, system);
    assert!(
        refusal(&bytes).contains("`os.system`"),
        "{}",
        refusal(&bytes)
    );
}

/// A small model of each file format.
fn one_of_each_format() -> Vec<PathBuf> {
    let mut formats = std::collections::BTreeMap::new();
    for file in cases().into_iter().flat_map(|case| case.files) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let format = name.split_once('.').unwrap().1.to_owned();
        let size = fs::metadata(&file).unwrap().len();
        if size < 2_000 {
            formats.entry(format).or_insert(file);
        }
    }
    formats.into_values().collect()
}

#[test]
fn a_file_of_any_format_cut_at_any_byte_is_refused() {
    let files = one_of_each_format();
    assert!(files.len() >= 11, "{files:?}");
    let pickled = files
        .iter()
        .map(|file| (file.display().to_string(), fs::read(file).unwrap()));
    let converted = ("a converted file".to_owned(), linear_converted());
    for (name, bytes) in pickled.chain([converted]) {
        for len in 0..bytes.len() {
            assert!(
                residual_model::open_bytes("cut", &bytes[..len]).is_err(),
                "{name} cut at {len} of {}",
                bytes.len()
            );
        }
    }
}

#[test]
fn lengths_and_indices_that_the_file_does_not_hold_allocate_nothing() {
    let cases: &[(&[u8], &str)] = &[
        (b"\x80\x02X\xff\xff\xff\xffabc", "announced"),
        (
            b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc",
            "announced",
        ),
        (
            b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc",
            "announced",
        ),
        (b"\x80\x05\x96\0\0\0\0\0\x01\0\0abc", "announced"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f1", "announced"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "not a fitted model"),
        (
            b"\x80\x02Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.",
            "not a fitted model",
        ),
        (b"Np18446744073709551615\n.", "not a fitted model"),
        (b"\x80\x02h\x05.", "memo entry 5 was never written"),
        (b"\x80\x02j\xff\xff\xff\xff.", "never written"),
    ];
    for (bytes, words) in cases {
        assert!(
            refusal(bytes).contains(words),
            "{bytes:?}: {}",
            refusal(bytes)
        );
    }
}

#[test]
fn bombs_of_marks_nesting_and_doubling_stop_in_bounded_memory() {
    assert!(
        refusal(&[&b"\x80\x04"[..], &vec![b'('; 1_000_000], b"."].concat()).contains("open marks")
    );
    // A million tuples inside each other: more objects than a model of this size has.
    let nested = [&b"\x80\x04)"[..], &vec![0x85; 1_000_000], b"."].concat();
    assert!(refusal(&nested).contains("objects"), "{}", refusal(&nested));
    // Padded with a long string, so that the number of objects is honest: still no recursion, no clone.
    let nested = [
        &b"\x80\x04X\x80\x96\x98\x00"[..],
        &vec![b'a'; 10_000_000],
        b"0)",
        &vec![0x85; 1_000_000],
        b".",
    ]
    .concat();
    assert!(
        refusal(&nested).contains("not a fitted model"),
        "{}",
        refusal(&nested)
    );
    // Every tuple holds the last one twice: 2^40 leaves, 40 objects.
    let mut doubling = b"\x80\x04)".to_vec();
    for _ in 0..40 {
        doubling.extend_from_slice(b"2\x86");
    }
    doubling.push(b'.');
    assert!(refusal(&doubling).contains("not a fitted model"));
    // A list that holds itself.
    assert!(refusal(b"\x80\x04]\x94h\0a.").contains("not a fitted model"));
}

#[test]
fn stack_misuse_is_an_error_and_not_a_panic() {
    for bytes in [
        &b"\x80\x04."[..],
        b"\x80\x040.",
        b"\x80\x04R.",
        b"\x80\x04NNR.",
        b"\x80\x04NNb.",
        b"\x80\x04(.",
        b"\x80\x04t.",
        b"\x80\x04(Nu.",
        b"\x80\x04}(Nu.",
        b"\x80\x04NNa.",
        b"\x80\x04NN\x93.",
        b"\x80\x04(N0R.",
        b"\x80\x06N.",
        b"\x80\x04\x97.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02U\x03abcQ.",
        b"\xff",
        b"\x80",
        b"I1x\n.",
        b"Fx\n.",
        b"Sabc\n.",
        b"V\\u12\n.",
        b"gx\n.",
        b"\x80\x04\x8c\x02\xff\xfe.",
        b"\x80\x04N.trailing",
    ] {
        let message = refusal(bytes);
        assert!(
            message.contains("broken pickle") || message.contains("not a fitted model"),
            "{bytes:?}: {message}"
        );
    }
}

#[test]
fn files_that_are_not_models_are_named_for_what_they_are() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\xef\xbb\xbf<html>", "web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "git lfs pull",
        ),
        (b"PK\x03\x04abc", "zip archive"),
        (b"\x93NUMPY\x01\0", "numpy array"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"{\"a\": 1}", "JSON"),
        (b"age,sex\n1,2\n", "broken pickle"),
        (b"\x80\x04N.", "the pickle holds None"),
        (b"\x80\x04K\x07.", "the pickle holds 7"),
    ];
    for (bytes, words) in cases {
        assert!(refusal(bytes).contains(words), "{}", refusal(bytes));
    }
}

#[test]
fn an_unsupported_class_is_named_with_its_place_and_what_is_supported() {
    let message = refusal(&unsupported());
    assert!(
        message.contains("sklearn.cluster._dbscan.DBSCAN at the top is not supported"),
        "{message}"
    );
    assert!(
        message.contains("Supported: LinearRegression, "),
        "{message}"
    );
}

#[test]
fn a_converted_file_of_a_later_version_or_another_program_is_refused_with_the_reason() {
    let bytes = linear_converted();
    let words = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = bytes
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        let mut changed = bytes.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        refusal(&changed)
    };
    let newer = words("\"residual.format\":\"1\"", "\"residual.format\":\"7\"");
    assert!(
        newer.contains("it has format 7, this program knows up to 1"),
        "{newer}"
    );
    assert!(words("residual.format", "residual.forget").contains("not written by residual"));
    assert!(
        words("\\\"n_features\\\":5", "\\\"n_features\\\":7")
            .contains("wants 5 features where there are 7")
    );
    assert!(
        words("\\\"coef\\\":\\\"coef_\\\"", "\\\"coef\\\":\\\"soft_\\\"")
            .contains("tensor soft_ is missing")
    );
    assert!(words("[1,5]", "[2,5]").contains("do not have the shapes that the metadata says"));
}

#[test]
fn inspecting_names_what_is_unsafe_without_building_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.pkl");
    fs::write(&path, call("os", "system", "true")).unwrap();
    let shown = residual_model::inspect(&path).unwrap().to_string();
    assert!(
        shown.contains("refused: it names `os.system`")
            && shown.contains("names os.system  <- not allowed"),
        "{shown}"
    );

    let shown = residual_model::inspect(linear()).unwrap().to_string();
    for words in [
        "pickle protocol 4",
        "class: sklearn.linear_model._base.LinearRegression",
        "library: scikit-learn ",
        "tensor coef_: [1, 5]",
        "features: 5",
    ] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    let error = residual_model::inspect(dir.path().join("absent.pkl")).unwrap_err();
    assert!(
        matches!(&error, ModelError::File { .. }) && error.with_causes().contains("absent.pkl"),
        "{}",
        error.with_causes()
    );
}
