//! Secrets that are refused before anybody is asked, and are not printed then.

use crate::process::Residual;

#[test]
fn a_password_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["features", "--bus", "amqp://me@127.0.0.1:1"];
    let run = Residual::new(folder.path(), &args).env("RESIDUAL__BUS__PASSWORD_FILE", "password");
    run.output()
        .fails_with(2, &["bus.password_file", "`password`", "No such file"]);
}

#[test]
fn a_token_that_looks_like_a_number_is_refused_and_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let run = Residual::new(folder.path(), &["run", "--count", "3"])
        .env("RESIDUAL__DASHBOARD__TOKEN", "4711081500")
        .output();
    let run = run.fails_with(
        2,
        &["`dashboard.token`", "quotes", "RESIDUAL__DASHBOARD__TOKEN"],
    );
    assert!(!run.stderr().contains("4711081500"), "{}", run.stderr());
}
