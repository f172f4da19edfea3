//! Columns are found by name where the model knows names.

use residual_model::{ModelError, Rows};

use super::{cases, linear};

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn named() -> residual_model::Model {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "LinearRegression_named" && !case.version.starts_with("0."))
        .unwrap();
    residual_model::open(&case.files[0]).unwrap()
}

#[test]
fn a_model_with_names_takes_its_columns_by_name_in_its_own_order() {
    let model = named();
    assert_eq!(
        model.info().feature_names.as_deref(),
        Some(&header(&["a", "b", "c", "d", "e"])[..])
    );
    assert_eq!(
        model
            .order_columns(&header(&["target", "e", "d", "c", "b", "a"]))
            .unwrap(),
        [5, 4, 3, 2, 1]
    );
}

#[test]
fn a_missing_column_is_an_error_that_lists_both_sides() {
    let error = named()
        .order_columns(&header(&["a", "b", "C", "d", "e"]))
        .unwrap_err();
    assert!(matches!(error, ModelError::Columns { .. }));
    assert_eq!(
        error.to_string(),
        "the columns do not fit the model: it wants [a, b, c, d, e] but the input has [a, b, C, d, e]; missing: [c]"
    );
}

#[test]
fn a_model_without_names_takes_the_first_columns() {
    let model = residual_model::open(linear()).unwrap();
    let six: Vec<String> = (0..6).map(|index| format!("c{index}")).collect();
    assert_eq!(
        model.order_columns(&six).unwrap(),
        (0..5).collect::<Vec<_>>()
    );
    assert_eq!(
        model.order_columns(&six[..4]).unwrap_err().to_string(),
        "the model wants 5 features a row, these rows have 4"
    );
}

#[test]
fn rows_of_another_width_and_values_that_are_not_finite_are_refused_by_place() {
    let model = residual_model::open(linear()).unwrap();
    let narrow = Rows::new(4, vec![0.0; 8]).unwrap();
    assert_eq!(
        model.predict(&narrow).unwrap_err().to_string(),
        "the model wants 5 features a row, these rows have 4"
    );
    let mut values = vec![0.0; 10];
    values[8] = f64::INFINITY;
    let rows = Rows::new(5, values).unwrap();
    assert_eq!(
        model.predict(&rows).unwrap_err().to_string(),
        "row 1, feature 3: inf is not a finite number"
    );
    assert!(model.predict(&Rows::default()).unwrap().is_empty());
}
