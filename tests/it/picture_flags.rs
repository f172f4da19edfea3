//! Flags of `residual plot`. The oracle is mostly another picture: equal rows and settings give equal bytes.

use std::{
    fmt::Write,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use residual::clock::Clock;

use crate::{ended::Ended, process::Residual};

const HEADER: &str = "id,y_true,y_pred,absolute_error\n";

/// A log of rows `first..end`; later rows err more.
fn log(rows: std::ops::Range<u32>) -> String {
    rows.fold(HEADER.to_owned(), |mut text, row| {
        let error = f64::from(row * row % 97) + f64::from(row) / 8.0;
        writeln!(text, "r{row},{error:?},0.0,{error:?}").unwrap();
        text
    })
}

fn plot(folder: &Path, flags: &str) -> Ended {
    let args: Vec<_> = ["plot", "--once"]
        .into_iter()
        .chain(flags.split_whitespace())
        .collect();
    Residual::new(folder, &args).output()
}

/// The bytes of the picture that `flags` give of this log.
#[track_caller]
fn drawn(log: &str, flags: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("any.csv"), log).unwrap();
    plot(
        folder.path(),
        &format!("--input any.csv --output picture.svg {flags}"),
    )
    .success();
    fs::read(folder.path().join("picture.svg")).unwrap()
}

#[track_caller]
fn text(log: &str, flags: &str) -> String {
    String::from_utf8(drawn(log, flags)).unwrap()
}

#[test]
fn last_rows_draws_the_picture_of_a_log_that_has_only_those_rows() {
    let window = drawn(&log(0..500), "--last-rows 120 --title");
    assert!(window == drawn(&log(380..500), "--title"));
    assert!(window != drawn(&log(0..500), "--title"));
    assert!(drawn(&log(0..50), "--last-rows 0") == drawn(&log(0..50), "--last-rows 50"));
}

#[test]
fn last_draws_the_picture_of_a_log_that_has_only_rows_of_that_time() {
    let now = Clock::system().now_ms() / 1_000;
    // A row a minute over the last hours, the newest a minute and a half ago, under ids as the original writes them.
    let rows: Vec<_> = (0..150_u64)
        .rev()
        .map(|minute| {
            let age = 90 + 60 * minute;
            let at = now - age;
            let error = f64::from(u32::try_from(age * 7919 % 1000).unwrap());
            format!("{at}.25,{error:?},0.0,{error:?}\n")
        })
        .collect();
    let whole = HEADER.to_owned() + &rows.concat();
    // The border is half a minute away from the nearest rows, so it does not matter how long this takes.
    let tail = HEADER.to_owned() + &rows[rows.len() - 1..].concat();
    assert!(drawn(&whole, "--last 2m --title") == drawn(&tail, "--title"));
    assert!(drawn(&whole, "--last 1day --title") == drawn(&whole, "--title"));
    assert!(text(&whole, "--last 10s").contains("no rows yet"));
    assert!(text(&log(0..9), "--last 1day").contains("no rows yet"));
    assert!(
        drawn(&whole, "--last 1day --last-rows 40")
            == drawn(&(HEADER.to_owned() + &rows[rows.len() - 40..].concat()), "")
    );
}

#[test]
fn a_picture_says_how_many_of_the_rows_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("any.csv"), log(0..500)).unwrap();
    let said = |flags: &str| {
        let flags = format!("--input any.csv --output a.png {flags}");
        plot(folder.path(), &flags).success().stdout()
    };
    assert_eq!(said(""), "500 rows -> a.png\n");
    assert_eq!(said("--last-rows 120"), "120 of 500 rows -> a.png\n");
}

#[test]
fn every_flag_of_the_look_is_its_setting() {
    let rows = log(0..300);
    for (flags, settings) in [
        ("--view signed", "view = 'signed'"),
        ("--view both", "view = 'both'"),
        ("--counts log", "counts = 'log'"),
        (
            "--marks mean,median,p95",
            "marks = ['mean', 'median', 'p95']",
        ),
        ("--marks p95 --marks mean", "marks = ['p95', 'mean']"),
        ("--title", "title = true"),
        ("--no-curve", "curve = false"),
        ("--size 640x480", "width = 640\nheight = 480"),
        ("--dpi 200", "dpi = 200"),
        ("--color steelblue", "color = 'steelblue'"),
        ("--color #4682B4", "color = 'steelblue'"),
    ] {
        let by_flag = drawn(&rows, flags);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("any.csv"), &rows).unwrap();
        fs::write(
            folder.path().join("residual.toml"),
            format!("[plot]\noutput = 'a.svg'\n[chart]\n{settings}\n"),
        )
        .unwrap();
        plot(folder.path(), "--input any.csv").success();
        let by_setting = fs::read(folder.path().join("a.svg")).unwrap();
        assert!(by_flag == by_setting, "{flags}");
        assert!(by_flag != drawn(&rows, ""), "{flags} changes nothing");
    }
}

#[test]
fn marks_and_title_give_the_numbers_of_the_rows_that_are_shown() {
    let rows = format!("{HEADER}a,0.0,4.0,4.0\nb,1.0,2.0,1.0\nc,2.0,9.0,7.0\nd,0.0,8.0,8.0\n");
    let shown = text(&rows, "--last-rows 3 --marks mean,median --title");
    for expected in ["mean 5.33", "median 7.00", "n = 3, MAE = 5.33"] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
}

#[test]
fn the_extension_chooses_the_format_and_a_log_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("theirs.csv"), log(0..20)).unwrap();
    let flags = |output: &str| format!("--input theirs.csv --output {output}");
    plot(folder.path(), &flags("a.png")).success();
    plot(folder.path(), &flags("a.SVG")).success();
    let start = |name: &str| fs::read(folder.path().join(name)).unwrap()[..4].to_vec();
    assert_eq!(
        (start("a.png"), start("a.SVG")),
        (b"\x89PNG".to_vec(), b"<svg".to_vec())
    );
    plot(folder.path(), &flags("a.jpg")).fails_with(2, &["`plot.output`", "a.jpg", ".svg"]);
    plot(folder.path(), "--input gone.csv").fails_with(1, &["gone.csv", "--input"]);
    plot(folder.path(), "--input theirs.txt").fails_with(1, &["theirs.txt", ".csv"]);
}

#[test]
fn a_flag_that_asks_for_the_impossible_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, said) in [
        ("--size 20x20", "each side from 100"),
        ("--size large", "1000x500"),
        ("--dpi 3", "30 to 1200"),
        ("--color reddish", "flag `--color`"),
        ("--view left", "absolute, signed, both"),
        ("--last soon", "250ms"),
        ("--last-rows some", "--last-rows"),
    ] {
        plot(folder.path(), flags).fails_with(2, &[said]);
    }
}

#[test]
fn a_service_that_follows_draws_what_its_flags_say() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("logs/metric_log.csv"), log(0..500)).unwrap();
    let args = "plot --last-rows 120 --title --marks p95 --output window.svg";
    let args: Vec<_> = args.split_whitespace().collect();
    let service = Residual::new(folder.path(), &args).start();
    let picture = folder.path().join("window.svg");
    let begun = Instant::now();
    while !picture.exists() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    service.terminate();
    assert_eq!(service.exit_code(), Some(0));
    let expected = drawn(&log(380..500), "--title --marks p95");
    assert!(fs::read(picture).unwrap() == expected);
}
