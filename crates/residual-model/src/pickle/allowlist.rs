//! Which globals (classes and functions) a model may name.
//!
//! Nothing is ever called, so this list is not what makes loading safe: it is there to tell the user that a file is hostile. A name
//! on it is still only a name, until an extractor knows what it means.

use super::graph::Global;

/// Packages of which a fitted model may hold anything: estimators, arrays, loss functions.
const PACKAGES: &[&str] = &[
    "sklearn",
    "_loss",
    "scipy.sparse",
    "scipy.interpolate",
    "scipy.stats",
    "pandas.core",
    "pandas._libs",
    "pandas.indexes",
];

/// Modules of numpy that hold data and random states.
const NUMPY: &[&str] = &[
    "numpy.core.multiarray",
    "numpy.core.numeric",
    "numpy.core._multiarray_umath",
    "numpy.core._internal",
    "numpy.ma",
    "numpy.ma.core",
    "numpy.dtypes",
    "numpy.random._pickle",
    "numpy.random._mt19937",
    "numpy.random._pcg64",
    "numpy.random._philox",
    "numpy.random._sfc64",
    "numpy.random._generator",
    "numpy.random.mtrand",
    "numpy.random.bit_generator",
];

/// Single names in other modules.
const NAMES: &[(&str, &[&str])] = &[
    (
        "builtins",
        &[
            "bool",
            "bytearray",
            "bytes",
            "complex",
            "dict",
            "float",
            "frozenset",
            "int",
            "list",
            "object",
            "range",
            "set",
            "slice",
            "str",
            "tuple",
            "type",
        ],
    ),
    ("collections", &["OrderedDict", "defaultdict", "deque"]),
    ("copyreg", &["_reconstructor", "__newobj__"]),
    ("_codecs", &["encode"]),
    ("functools", &["partial"]),
    ("joblib.numpy_pickle", &["NumpyArrayWrapper"]),
    ("numpy.core", &["_ufunc_reconstruct"]),
];

/// Names in `numpy` itself that no model needs because they read files or call functions; all others are allowed.
const NUMPY_TOOLS: &[&str] = &[
    "load",
    "save",
    "savez",
    "loadtxt",
    "fromfile",
    "genfromtxt",
    "memmap",
    "fromregex",
    "savetxt",
    "frombuffer",
    "apply_along_axis",
    "vectorize",
    "fromfunction",
    "frompyfunc",
    "piecewise",
];

/// Whether a model may name it.
pub(crate) fn is_allowed(global: &Global) -> bool {
    let (module, name) = (global.module.as_str(), global.name.as_str());
    // A dotted name is a path of attributes: the name `os.system` in the module `sklearn.base` would reach anything.
    if name.contains('.') {
        return false;
    }
    let inside = |package: &str| {
        module
            .strip_prefix(package)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    PACKAGES.iter().any(|package| inside(package))
        || NUMPY.contains(&module)
        || (module == "numpy" && !NUMPY_TOOLS.contains(&name))
        || NAMES
            .iter()
            .any(|(known, names)| *known == module && names.contains(&name))
}

/// Whether it is the class whose array follows in the stream.
pub(super) fn is_joblib_wrapper(global: &Global) -> bool {
    global.is("joblib.numpy_pickle", "NumpyArrayWrapper")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_run_code_are_refused_and_names_that_models_hold_are_allowed() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("nt", "system"),
            ("subprocess", "Popen"),
            ("builtins", "eval"),
            ("__builtin__", "exec"),
            ("builtins", "getattr"),
            ("builtins", "__import__"),
            ("__main__", "f"),
            ("sklearn.base", "os.system"),
            ("sklearnx", "y"),
            ("numpy", "load"),
            ("numpy.testing._private.utils", "runstring"),
            ("joblib", "load"),
            ("cloudpickle.cloudpickle", "_make_function"),
            ("xgboost.sklearn", "XGBRegressor"),
            ("functools", "reduce"),
            ("pandas", "read_pickle"),
        ] {
            assert!(!is_allowed(&Global::new(module, name)), "{module}.{name}");
        }
        for (module, name) in [
            ("sklearn.linear_model._base", "LinearRegression"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "float64"),
            ("__builtin__", "set"),
            ("_loss", "CyHalfSquaredError"),
            ("copy_reg", "_reconstructor"),
            ("joblib.numpy_pickle", "NumpyArrayWrapper"),
        ] {
            assert!(is_allowed(&Global::new(module, name)), "{module}.{name}");
        }
    }
}
