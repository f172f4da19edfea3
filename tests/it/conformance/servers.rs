//! Private brokers from the system's packages: own directory, own ports, gone when the test is.
//!
//! A server that its test could not stop (the test was killed) is stopped by a reaper that watches the test's process.

use std::{
    fs,
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Seconds without a test after which a shared server ends.
const IDLE_MAX_S: u32 = 20;

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(90);

/// A port that nobody listens on now.
///
/// Each process has eight of its own, below the range from which the system takes ports for outgoing connections: a
/// port that the system hands out may be such a connection's by the time the server binds it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let at = std::process::id()
            .wrapping_mul(8)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + at % 22_000).expect("below 32,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// When a reaper stops a server that nobody stopped.
enum Watch {
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
struct Group {
    child: Child,
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
            .expect("the broker's package is installed");
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

    fn signal(&self, signal: &str) {
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

    fn kill9(mut self) {
        self.dismiss_reaper();
        self.signal("-CONT");
        self.signal("-KILL");
        self.child.wait().expect("waited");
    }

    /// Before the server is gone: its reaper would take the directory away, and the next life of the server with it.
    fn dismiss_reaper(&mut self) {
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

    /// Asks it to stop, and makes it stop if it does not.
    fn terminate(mut self, signal: &str) {
        self.dismiss_reaper();
        self.signal(signal);
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.child.try_wait().expect("waited").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill9();
    }
}

/// The state of each thread of a process group, as the kernel tells it.
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

/// A nats-server.
pub(crate) struct NatsServer {
    directory: TempDir,
    pub(crate) port: u16,
    running: Mutex<Option<Group>>,
}

impl NatsServer {
    /// Not started yet. `settings` are lines of its configuration.
    pub(crate) fn absent(settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Self {
            directory,
            port: free_port(),
            running: Mutex::default(),
        };
        server.configure(settings);
        server
    }

    pub(crate) fn with_jetstream() -> Self {
        let server = Self::absent("");
        server.configure(&server.jetstream());
        server.start();
        server
    }

    /// Settings for JetStream in this server's own directory.
    pub(crate) fn jetstream(&self) -> String {
        let store = self.store();
        // Room for what the laws declare, and little more: one of them fills it.
        format!(
            "jetstream {{ store_dir: \"{}\", max_file_store: 340MB }}",
            store.display()
        )
    }

    /// Where it stores.
    pub(super) fn store(&self) -> PathBuf {
        self.file("store")
    }

    /// Where it stores the messages of a stream.
    pub(super) fn stored(&self, stream: &str) -> PathBuf {
        let streams = self.store().join("jetstream/$G/streams");
        streams.join(stream).join("msgs")
    }

    pub(crate) fn configure(&self, settings: &str) {
        let text = format!("listen: \"127.0.0.1:{}\"\n{settings}\n", self.port);
        fs::write(self.file("nats.conf"), text).expect("written");
    }

    pub(crate) fn start(&self) {
        let mut command = Command::new("/usr/sbin/nats-server");
        command.arg("-c").arg(self.file("nats.conf"));
        let log = self.file("log");
        let group = Group::start(command, &log, &Watch::Test, self.directory.path());
        *self.running.lock().unwrap() = Some(group);
        await_answer("nats-server", &log, || greets(self.port));
    }

    pub(crate) fn kill9(&self) {
        if let Some(group) = self.running.lock().unwrap().take() {
            group.kill9();
        }
    }

    pub(super) fn stop(&self) {
        if let Some(group) = self.running.lock().unwrap().take() {
            group.terminate("-TERM");
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        if let Some(group) = self.running.lock().unwrap().as_ref() {
            group.signal(signal);
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// A rabbitmq-server, alone on its own node name, ports and epmd.
pub(crate) struct RabbitServer {
    directory: TempDir,
    node: String,
    pub(crate) port: u16,
    dist_port: u16,
    epmd_port: u16,
    watch: Watch,
    running: Mutex<Option<Group>>,
}

/// A server that many tests use at once, each with its own prefix. It ends a while after the last of them.
pub(crate) struct SharedRabbit {
    pub(crate) port: u16,
    _user: fs::File,
}

impl SharedRabbit {
    /// Joins the server that runs, or starts one.
    pub(crate) fn join() -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rabbitmq");
        fs::create_dir_all(&directory).expect("a directory");
        let open = |name: &str| {
            let mut options = fs::OpenOptions::new();
            let opened = options.create(true).append(true).open(directory.join(name));
            opened.expect("a lock file")
        };
        let user = open("users");
        user.lock_shared().expect("a shared lock");
        let gate = open("gate");
        gate.lock().expect("a lock");
        let known = fs::read_to_string(directory.join("port"));
        let known = known.ok().and_then(|port| port.parse::<u16>().ok());
        let port = known.filter(|port| accepts(*port)).unwrap_or_else(|| {
            let server = RabbitServer::watched(Watch::Users(directory.join("users")));
            server.start();
            let port = server.port;
            fs::write(directory.join("port"), port.to_string()).expect("written");
            // It outlives this process; its reaper ends it.
            std::mem::forget(server);
            port
        });
        Self { port, _user: user }
    }
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

impl RabbitServer {
    /// Not started yet.
    pub(crate) fn absent() -> Self {
        Self::watched(Watch::Test)
    }

    fn watched(watch: Watch) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("plugins"), "[].").expect("written");
        fs::write(directory.path().join("rabbitmq.conf"), "").expect("written");
        let port = free_port();
        Self {
            node: format!("residual{port}@localhost"),
            port,
            dist_port: free_port(),
            epmd_port: free_port(),
            directory,
            watch,
            running: Mutex::default(),
        }
    }

    pub(crate) fn started() -> Self {
        let server = Self::absent();
        server.start();
        server
    }

    pub(crate) fn start(&self) {
        // epmd as a member of the group ends with it; the node would start one that outlives it.
        let script = "epmd -port $ERL_EPMD_PORT & exec /usr/lib/rabbitmq/bin/rabbitmq-server";
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        self.environment(&mut command);
        let log = self.file("out");
        let before = count(&log, "completed with");
        let group = Group::start(command, &log, &self.watch, self.directory.path());
        *self.running.lock().unwrap() = Some(group);
        await_answer("rabbitmq-server", &log, || {
            count(&log, "completed with") > before
        });
    }

    pub(crate) fn kill9(&self) {
        if let Some(group) = self.running.lock().unwrap().take() {
            group.kill9();
        }
    }

    pub(super) fn stop(&self) {
        if let Some(group) = self.running.lock().unwrap().take() {
            group.terminate("-TERM");
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        if let Some(group) = self.running.lock().unwrap().as_ref() {
            group.signal(signal);
        }
    }

    /// Replaces its configuration file; read at the next start.
    pub(super) fn configure(&self, settings: &str) {
        fs::write(self.file("rabbitmq.conf"), settings).expect("written");
    }

    /// Runs `rabbitmqctl`.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        self.environment(&mut command);
        let output = command.args(arguments).output().expect("rabbitmqctl");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn environment(&self, command: &mut Command) {
        command
            // A node that dies while it starts leaves a dump of its memory: with its other files, not in our tree.
            .env("ERL_CRASH_DUMP", self.file("erl_crash.dump"))
            .env("HOME", self.directory.path())
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_MNESIA_BASE", self.file("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.file("log"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("RABBITMQ_CONFIG_FILE", self.file("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.file("plugins"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 1:1 +A 4 +sbwt none",
            )
            .env("RABBITMQ_CTL_ERL_ARGS", "+S 1:1 +A 1 +sbwt none")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.epmd_port.to_string());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for RabbitServer {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn count(log: &Path, words: &str) -> usize {
    fs::read_to_string(log)
        .unwrap_or_default()
        .matches(words)
        .count()
}

/// A NATS server says INFO as soon as it is ready.
fn greets(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && &greeting == b"INFO"
}
