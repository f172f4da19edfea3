//! Private brokers from the system's packages: own directory, own ports, gone when the test is.
//!
//! A server that its test could not stop (the test was killed) is stopped by a reaper that watches the test's process.

pub(crate) mod nats;
pub(crate) mod rabbitmq;

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Seconds without a test after which a shared server ends.
const IDLE_MAX_S: u32 = 20;

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(90);

/// Where a program of a server is: on the PATH, or where Debian's and Ubuntu's package of that name puts it.
pub(crate) fn installed(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/lib/rabbitmq/bin", "/usr/sbin"].map(PathBuf::from);
    usual
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "no {program} on this machine: install the package `{package}` (Debian, Ubuntu: apt-get install {package})"
            )
        })
}

/// When a reaper stops a server that nobody stopped.
pub(crate) enum Watch {
    /// As soon as this process is gone.
    Test,
    /// After nobody has held a lock on this file for a while.
    Users(PathBuf),
}

impl Watch {
    fn script(&self, pid: u32, directory: &Path) -> String {
        let directory = directory.display();
        let stop = format!("kill -s KILL -- -{pid}; rm -rf '{directory}'");
        match self {
            Self::Test => {
                let test = std::process::id();
                format!("while kill -0 {test} && kill -0 {pid}; do sleep 1; done; {stop}")
            }
            Self::Users(file) => format!(
                "idle=0; while kill -0 {pid}; do sleep 1; \
                 if flock -n -x '{file}' true; then idle=$((idle + 1)); else idle=0; fi; \
                 [ $idle -lt {IDLE_MAX_S} ] || flock -n -x '{file}' sh -c 'kill -s KILL -- -{pid}'; done; {stop}",
                file = file.display(),
            ),
        }
    }
}

/// A process group that is signalled as one.
pub(crate) struct Group {
    pub(crate) child: Child,
    reaper: Child,
}

impl Group {
    fn start(mut command: Command, log: &Path, watch: &Watch, directory: &Path) -> Self {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("started");
        let script = watch.script(child.id(), directory);
        let reaper = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a shell");
        Self { child, reaper }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        let sent = Command::new("kill")
            .args([signal, "--", &group])
            .stderr(Stdio::null())
            .status();
        sent.expect("kill is there");
        if signal == "-STOP" {
            self.await_stop();
        }
    }

    /// A thread that runs goes on a moment after the signal is sent, and a moment is enough to confirm a window.
    fn await_stop(&self) {
        let deadline = Instant::now() + START_MAX;
        while threads_of(self.child.id()).any(|state| !["T", "Z", "X"].contains(&state.as_str())) {
            assert!(Instant::now() < deadline, "a server did not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn kill9(mut self) {
        self.dismiss_reaper();
        self.signal("-CONT");
        self.signal("-KILL");
        self.child.wait().expect("waited");
    }

    /// Before the server is gone: its reaper would take the directory away, and the next life of the server with it.
    pub(crate) fn dismiss_reaper(&mut self) {
        if self.reaper.try_wait().expect("asked").is_some() {
            return;
        }
        let reaper = format!("-{}", self.reaper.id());
        let sent = Command::new("kill")
            .args(["-KILL", "--", &reaper])
            .stderr(Stdio::null())
            .status();
        sent.expect("kill is there");
        self.reaper.wait().expect("waited");
    }
}

/// The state of each thread of a process group, as the kernel reports it.
fn threads_of(group: u32) -> impl Iterator<Item = String> {
    // After the name, which may hold anything: state, parent, group.
    let fields = |stat: &Path| -> Option<Vec<String>> {
        let stat = fs::read_to_string(stat).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        Some(fields.split_whitespace().map(str::to_owned).collect())
    };
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    entries(Path::new("/proc"))
        .filter(move |process| {
            let fields = fields(&process.path().join("stat")).unwrap_or_default();
            fields.get(2) == Some(&group.to_string())
        })
        .flat_map(move |process| entries(&process.path().join("task")))
        .filter_map(move |thread| fields(&thread.path().join("stat"))?.first().cloned())
}

fn await_answer(what: &str, log: &Path, mut answers: impl FnMut() -> bool) {
    let deadline = Instant::now() + START_MAX;
    while !answers() {
        if Instant::now() > deadline {
            let log = fs::read_to_string(log).unwrap_or_default();
            panic!("{what} did not start: {log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}
