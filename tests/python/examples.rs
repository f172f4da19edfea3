//! The examples in Python, run as a reader would: packages from `PyPI` in an environment of their own, a real broker, and
//! residual's services on the other side.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    log::{LogRow, read_log},
    port::free_port,
    process::{Residual, Running},
    repository::repository,
    servers::{nats::NatsServer, rabbitmq::SharedRabbit},
};

/// A Python with the packages of the examples.
struct Python(TempDir);

impl Python {
    fn with_packages() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let python = Self(folder);
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(python.0.path()));
        let requirements = repository("examples/python/requirements.txt");
        run(Command::new(python.program())
            .args(["-m", "pip", "install", "--quiet", "-r"])
            .arg(requirements));
        python
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("bin/python")
    }
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .expect("no python3 on this machine: install the package `python3-venv` (Debian, Ubuntu: apt-get install python3-venv)");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

fn service(folder: &Path, args: &[&str], prefix: &str) -> Residual {
    Residual::new(folder, args)
        .env("RESIDUAL__BUS__PREFIX", prefix)
        .env("RESIDUAL__BUS__TOPIC_BYTES_MAX", "1000000")
        .env("RESIDUAL__PREDICTOR__ENCODING", "json")
}

/// What the example prints is what the log has.
fn rows_go_there_and_back(script: &str, url: &str, prefix: &str) {
    let folder = tempfile::tempdir().unwrap();
    service(folder.path(), &["check", "--bus", url], prefix)
        .output()
        .success();
    let _predictor = service(folder.path(), &["predictor", "--bus", url], prefix).start();
    let _metric = service(folder.path(), &["metric", "--bus", url], prefix).start();
    let script = repository("examples/python").join(script);
    let python = Python::with_packages();
    let asked = ["--url", url, "--prefix", prefix, "--rows", "7"];
    let printed = run(Command::new(python.program()).arg(script).args(asked));
    assert_eq!(printed.lines().count(), 7, "{printed}");
    let rows = log_of(folder.path(), 7);
    for line in printed.lines() {
        let (id, y_pred) = line.split_once(' ').unwrap();
        assert_eq!(rows[id].y_pred, y_pred.parse::<f64>().unwrap(), "{id}");
    }
    let mut truths: Vec<_> = rows.values().map(|row| row.y_true).collect();
    truths.sort_by(f64::total_cmp);
    assert_eq!(truths, [150.0, 151.0, 152.0, 153.0, 154.0, 155.0, 156.0]);
}

fn log_of(folder: &Path, rows: usize) -> BTreeMap<String, LogRow> {
    let path = folder.join("logs/metric_log.csv");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = if path.exists() {
            read_log(&path)
        } else {
            BTreeMap::new()
        };
        if log.len() >= rows || Instant::now() > deadline {
            assert_eq!(log.len(), rows);
            return log;
        }
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_pika_client_sends_rows_and_reads_their_predictions() {
    let server = SharedRabbit::join();
    let url = format!("amqp://guest:guest@127.0.0.1:{}/%2f", server.port);
    // Others use the same server, also a run before this one.
    let prefix = format!("python-{}-", std::process::id());
    rows_go_there_and_back("with_pika.py", &url, &prefix);
}

#[test]
fn a_nats_client_sends_rows_and_reads_their_predictions() {
    let server = NatsServer::with_jetstream();
    let url = format!("nats://127.0.0.1:{}", server.port);
    rows_go_there_and_back("with_nats.py", &url, "python-");
}

/// The page answers once it is there.
fn await_page(address: &str, _pipeline: &Running) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "no page at {address}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn predictions_that_were_made_elsewhere_are_judged_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let args = ["run", "--interval", "1h", "--listen", &address];
    let pipeline = Residual::new(folder.path(), &args).start();
    await_page(&address, &pipeline);
    let script = repository("examples/python/judge_over_http.py");
    let url = format!("http://{address}");
    run(Command::new("python3")
        .arg(script)
        .args(["--url", &url, "--rows", "50"]));
    // One row of the pipeline's own came before the hour's pause.
    let rows = log_of(folder.path(), 51);
    assert_eq!(
        rows.keys().filter(|id| id.starts_with("judged-")).count(),
        50
    );
}
