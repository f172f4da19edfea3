//! A rabbitmq-server: of the test's own, or shared with others.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use tempfile::TempDir;

use super::{Group, Watch, accepts, await_answer, installed};
use crate::port::free_port;

/// A rabbitmq-server, alone on its own node name, ports and epmd.
pub(crate) struct RabbitServer {
    directory: TempDir,
    node: String,
    pub(crate) port: u16,
    dist_port: u16,
    epmd_port: u16,
    watch: Watch,
    pub(crate) running: Mutex<Option<Group>>,
}

impl RabbitServer {
    pub(crate) fn watched(watch: Watch) -> Self {
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

    pub(crate) fn start(&self) {
        // epmd as a member of the group ends with it; the node would start one that outlives it.
        let script = "epmd -port $ERL_EPMD_PORT & exec \"$0\"";
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command.arg(installed("rabbitmq-server", "rabbitmq-server"));
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

    pub(crate) fn environment(&self, command: &mut Command) {
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

    pub(crate) fn file(&self, name: &str) -> PathBuf {
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
