//! The binary as a user runs it: arguments in, exit code and files out.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// A command line of `residual` in a folder of its own.
pub(crate) struct Residual {
    command: Command,
}

impl Residual {
    /// `residual ARGS…`, run in `folder`.
    pub(crate) fn new(folder: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_residual"));
        command
            .current_dir(folder)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        self.command.stdin(file);
        self
    }

    /// Runs to the end.
    pub(crate) fn output(mut self) -> Ended {
        Ended(self.command.output().unwrap())
    }

    /// Runs in the background; killed when dropped.
    pub(crate) fn start(mut self) -> Running {
        Running(self.command.spawn().unwrap())
    }
}

/// A finished run.
pub(crate) struct Ended(Output);

impl Ended {
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(
            self.0.status.success(),
            "{:?}\n{}",
            self.0.status,
            self.stderr()
        );
        self
    }

    #[track_caller]
    pub(crate) fn fails_with(self, code: i32, said: &[&str]) -> Self {
        let stderr = self.stderr();
        assert_eq!(self.0.status.code(), Some(code), "{stderr}");
        for words in said {
            assert!(stderr.contains(words), "`{words}` is not in:\n{stderr}");
        }
        self
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }
}

/// A run in the background.
pub(crate) struct Running(Child);

impl Running {
    /// The lines of its standard error, as they come.
    pub(crate) fn log_lines(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok)
    }

    pub(crate) fn kill_9(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end, at most a minute.
    #[track_caller]
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("still running after a minute");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the page at that address tells Prometheus; empty while nobody answers.
pub(crate) fn metrics(address: &str) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut text).unwrap();
    }
    text
}

/// One row of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogRow {
    pub(crate) y_true: f64,
    pub(crate) y_pred: f64,
    pub(crate) absolute_error: f64,
}

/// The log by id; fails when an id stands in it twice, or a row's arithmetic is wrong.
#[track_caller]
pub(crate) fn read_log(path: &Path) -> BTreeMap<String, LogRow> {
    let mut rows = BTreeMap::new();
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(
        reader.headers().unwrap(),
        vec!["id", "y_true", "y_pred", "absolute_error"]
    );
    for record in reader.deserialize() {
        let (id, y_true, y_pred, absolute_error): (String, f64, f64, f64) = record.unwrap();
        assert_eq!(absolute_error, (y_true - y_pred).abs(), "{id}");
        let before = rows.insert(
            id.clone(),
            LogRow {
                y_true,
                y_pred,
                absolute_error,
            },
        );
        assert!(before.is_none(), "{id} stands twice in the log");
    }
    rows
}

/// scikit-learn's predictions for the bundled rows, made by `model/make.py`: one column, `y_pred`.
pub(crate) const REFERENCE: &str = "tests/fixtures/diabetes_linear.csv";

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
