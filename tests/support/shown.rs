//! Rows of a log, and what a page over them must show.

pub(crate) const HEADER: &str = "id,y_true,y_pred,absolute_error\n";

/// Rows as a model with a known error leaves them: `y_pred` is off by `place % 10`, to both sides.
pub(crate) fn rows(places: std::ops::Range<u32>) -> String {
    places.fold(String::new(), |text, place| {
        let error = f64::from(place % 10) * if place % 2 == 0 { 1.0 } else { -1.0 };
        let y_true = f64::from(place * 37 % 200);
        text + &format!(
            "row-{place},{y_true:?},{:?},{:?}\n",
            y_true + error,
            error.abs()
        )
    })
}

/// Every number that the page shows under a name, with its text as `value`.
fn shown(html: &str) -> Vec<(String, String)> {
    html.split("<data id=\"")
        .skip(1)
        .map(|rest| {
            let (id, rest) = rest.split_once("\" value=\"").unwrap();
            (id.to_owned(), rest.split_once('"').unwrap().0.to_owned())
        })
        .collect()
}

#[track_caller]
pub(crate) fn assert_shows_summary(html: &str, summary: &serde_json::Value) {
    let numbers = shown(html);
    assert!(numbers.len() > 35, "{}", numbers.len());
    for (id, value) in numbers.iter().filter(|(id, _)| id != "rows_per_second") {
        let expected = id.split('.').fold(summary, |at, key| &at[key]);
        let actual: serde_json::Value = serde_json::from_str(value).unwrap_or_default();
        assert_eq!(actual.as_f64(), expected.as_f64(), "{id}");
    }
}
