//! A nats-server of the test's own.

use std::{
    fs,
    io::Read,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    sync::Mutex,
    time::Duration,
};

use tempfile::TempDir;

use super::{Group, Watch, await_answer, installed};
use crate::port::free_port;

/// A nats-server.
pub(crate) struct NatsServer {
    directory: TempDir,
    pub(crate) port: u16,
    pub(crate) running: Mutex<Option<Group>>,
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
    pub(crate) fn store(&self) -> PathBuf {
        self.file("store")
    }

    pub(crate) fn configure(&self, settings: &str) {
        let text = format!("listen: \"127.0.0.1:{}\"\n{settings}\n", self.port);
        fs::write(self.file("nats.conf"), text).expect("written");
    }

    pub(crate) fn start(&self) {
        let mut command = Command::new(installed("nats-server", "nats-server"));
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

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill9();
    }
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
