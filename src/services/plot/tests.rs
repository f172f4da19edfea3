//! The service in virtual time, on real files.

use std::{fs, io::Write, os::unix::fs::MetadataExt};

use tempfile::TempDir;
use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::clock::UnixMs;

const HEADER: &str = "id,y_true,y_pred,absolute_error\n";
const START_MS: UnixMs = 1_700_000_000_000;

struct Running {
    folder: TempDir,
    view: watch::Receiver<Arc<View>>,
    stop: CancellationToken,
    service: JoinHandle<Result<u64, PlotError>>,
}

impl Running {
    fn start(before: &str) -> Self {
        Self::start_with(Config::default(), before)
    }

    fn start_with(settings: Config, before: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("metric_log.csv");
        if !before.is_empty() {
            fs::write(&log, before).unwrap();
        }
        let (sender, view) = watch::channel(Arc::default());
        let picture = folder.path().join("picture.svg");
        let ports = Ports {
            log,
            picture,
            spec: None,
            view: sender,
            clock: Clock::anchored(START_MS),
        };
        let stop = CancellationToken::new();
        let service = run(ports, settings, chart::Config::default(), stop.clone());
        Self {
            folder,
            view,
            stop,
            service: tokio::spawn(service),
        }
    }

    fn append(&self, text: &str) {
        let log = self.folder.path().join("metric_log.csv");
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Tells pictures apart: each is a file of its own.
    fn picture(&self) -> Option<u64> {
        fs::metadata(self.folder.path().join("picture.svg"))
            .ok()
            .map(|file| file.ino())
    }

    fn picture_text(&self) -> String {
        fs::read_to_string(self.folder.path().join("picture.svg")).unwrap()
    }

    async fn end(self) -> Result<u64, PlotError> {
        self.stop.cancel();
        self.service.await.unwrap()
    }
}

fn rows(range: std::ops::Range<u32>) -> String {
    range.fold(String::new(), |text, row| {
        text + &format!("r{row},{row}.0,0.0,{row}.0\n")
    })
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_picture_comes_with_the_second_row_and_the_next_after_the_refresh() {
    let running = Running::start("");
    seconds(3).await;
    running.append(&format!("{HEADER}{}", rows(0..1)));
    seconds(1).await;
    assert_eq!(running.picture(), None);
    running.append(&rows(1..2));
    seconds(1).await;
    let first = running.picture().unwrap();
    running.append(&rows(2..3));
    seconds(5).await;
    assert_eq!(running.picture(), Some(first));
    seconds(6).await;
    let second = running.picture().unwrap();
    assert_ne!(second, first);
    seconds(60).await;
    assert_eq!(
        running.picture(),
        Some(second),
        "nothing new, nothing drawn"
    );
    assert_eq!(running.end().await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_stop_reads_to_the_end_and_draws_the_last_picture() {
    let running = Running::start(&format!("{HEADER}{}", rows(0..5)));
    seconds(1).await;
    let first = running.picture().unwrap();
    running.append(&rows(5..9));
    let (folder, view) = (running.folder.path().to_owned(), running.view.clone());
    let Running {
        folder: kept,
        stop,
        service,
        ..
    } = running;
    stop.cancel();
    assert_eq!(service.await.unwrap().unwrap(), 9);
    assert_ne!(
        fs::metadata(folder.join("picture.svg")).unwrap().ino(),
        first
    );
    assert_eq!(view.borrow().rows, 9);
    assert_eq!(
        fs::read_dir(kept.path()).unwrap().count(),
        2,
        "no temporary file is left"
    );
}

#[tokio::test(start_paused = true)]
async fn history_has_no_time_unless_its_ids_tell_it() {
    let old = "1700000000.0,1.0,0.0,1.0\n1699999990.5,1.0,0.0,1.0\nabc,1.0,0.0,1.0\n";
    let running = Running::start(&format!("{HEADER}{old}"));
    seconds(1).await;
    let view = Arc::clone(&running.view.borrow());
    assert_eq!(
        (view.rows, view.recent.report.n, view.last_row_ms),
        (3, 2, Some(START_MS))
    );
    running.append("def,1.0,0.0,1.0\n");
    seconds(1).await;
    let view = Arc::clone(&running.view.borrow());
    assert_eq!(view.recent.report.n, 3);
    assert!(view.last_row_ms.unwrap() > START_MS);
}

#[tokio::test(start_paused = true)]
async fn the_view_ages_while_the_stream_is_silent() {
    let running = Running::start(&format!("{HEADER}{}", rows(0..5)));
    seconds(30).await;
    assert!(running.view.borrow().now_ms >= START_MS + 28_000);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_replaced_is_begun_anew() {
    let running = Running::start(&format!("{HEADER}{}", rows(0..50)));
    seconds(1).await;
    fs::write(
        running.folder.path().join("metric_log.csv"),
        format!("{HEADER}{}", rows(0..3)),
    )
    .unwrap();
    seconds(1).await;
    assert_eq!(running.view.borrow().rows, 3);
    assert_eq!(running.end().await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_cannot_be_written_stops_nothing_and_comes_later() {
    let running = Running::start("");
    let picture = running.folder.path().join("picture.svg");
    fs::create_dir(&picture).unwrap();
    fs::write(picture.join("in_the_way"), "").unwrap();
    running.append(&format!("{HEADER}{}", rows(0..5)));
    seconds(3).await;
    assert_eq!(running.view.borrow().rows, 5);
    fs::remove_dir_all(&picture).unwrap();
    seconds(12).await;
    assert!(fs::metadata(&picture).unwrap().is_file());
    assert_eq!(running.end().await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_log_is_refused_at_once_with_its_name() {
    let running = Running::start("a,b,c\n1,2,3\n");
    let error = running.service.await.unwrap().unwrap_err();
    assert!(
        crate::telemetry::with_causes(&error).contains("metric_log.csv"),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_damaged_while_we_watch_stops_nothing() {
    let running = Running::start(&format!("{HEADER}{}", rows(0..5)));
    seconds(1).await;
    running.append("broken\n");
    running.append(&rows(5..7));
    seconds(1).await;
    assert_eq!(running.view.borrow().rows, 5);
    assert_eq!(running.end().await.unwrap(), 5);
}

fn once(log: &Path, output: &Path) -> Result<u64, PlotError> {
    let (settings, style) = (Config::default(), chart::Config::default());
    draw_once(log, output, None, &settings, &style, START_MS).map(|drawn| drawn.rows)
}

#[test]
fn a_missing_log_gives_a_picture_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("picture.svg");
    assert_eq!(once(&folder.path().join("none.csv"), &output).unwrap(), 0);
    assert!(
        fs::read_to_string(output)
            .unwrap()
            .to_lowercase()
            .contains("no rows")
    );
}

#[test]
fn the_name_of_the_picture_chooses_its_format() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("metric_log.csv");
    fs::write(&log, format!("{HEADER}{}", rows(0..5))).unwrap();
    let drawn = |name: &str| once(&log, &folder.path().join(name));
    assert_eq!(drawn("a.PNG").unwrap(), 5);
    assert!(
        fs::read(folder.path().join("a.PNG"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    let error = drawn("a.jpg").unwrap_err().to_string();
    assert!(error.contains("a.jpg") && error.contains(".svg"), "{error}");
    let error = drawn("missing/a.png").unwrap_err().to_string();
    assert!(error.contains("create it"), "{error}");
}

fn rows_in_picture(settings: &Config, log: &str) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metric_log.csv");
    fs::write(&path, log).unwrap();
    let mut accumulator = LogAccumulator::new(&path, settings, None);
    accumulator.read(START_MS).unwrap();
    accumulator
        .snapshot(chart::Config::default().view, START_MS)
        .report
        .n
}

#[test]
fn the_picture_can_be_of_the_last_rows_or_the_last_time_only() {
    let log = format!(
        "{HEADER}{}1699999940.0,1.0,0.0,1.0\n1699999999.0,1.0,0.0,1.0\n",
        rows(0..50)
    );
    let all = Config::default();
    assert_eq!(rows_in_picture(&all, &log), 52);
    assert_eq!(
        rows_in_picture(
            &Config {
                last_rows: 10,
                ..all.clone()
            },
            &log
        ),
        10
    );
    let minute = Config {
        last: Period::from_millis(60_000),
        ..all.clone()
    };
    assert_eq!(rows_in_picture(&minute, &log), 2);
    let seconds = Config {
        last: Period::from_millis(30_000),
        ..all
    };
    assert_eq!(rows_in_picture(&seconds, &log), 1);
}

#[tokio::test(start_paused = true)]
async fn the_page_sees_the_shape_of_the_errors_soon_after_they_came() {
    let running = Running::start(&format!("{HEADER}{}", rows(0..5)));
    seconds(2).await;
    running.append(&rows(5..9));
    seconds(2).await;
    let view = Arc::clone(&running.view.borrow());
    let shapes = &view.distribution.as_ref().unwrap().shapes;
    assert_eq!(shapes[0].histogram.counts.iter().sum::<u64>(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_picture_of_the_last_time_is_drawn_anew_when_rows_leave_it() {
    let settings = Config {
        last: Period::from_millis(30_000),
        ..Config::default()
    };
    let running = Running::start_with(settings, &format!("{HEADER}{}", rows(0..5)));
    seconds(1).await;
    assert!(
        running.picture_text().contains("no rows"),
        "nobody knows when these were judged"
    );
    running.append(&rows(5..9));
    seconds(12).await;
    assert!(!running.picture_text().contains("no rows"));
    seconds(45).await;
    assert!(running.picture_text().contains("no rows"));
    assert_eq!(running.end().await.unwrap(), 9);
}
