//! What the tests of this binary do to their servers besides starting them: stop, pause, configure and command them.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::servers::{Group, Watch, installed, nats::NatsServer, rabbitmq::RabbitServer};

impl Group {
    /// Asks it to stop, and kills it if it does not.
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

impl NatsServer {
    pub(crate) fn stop(&self) {
        if let Some(group) = self.running.lock().unwrap().take() {
            group.terminate("-TERM");
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        if let Some(group) = self.running.lock().unwrap().as_ref() {
            group.signal(signal);
        }
    }

    /// Where it stores the messages of a stream.
    pub(crate) fn stored(&self, stream: &str) -> PathBuf {
        let streams = self.store().join("jetstream/$G/streams");
        streams.join(stream).join("msgs")
    }
}

impl RabbitServer {
    /// Not started yet.
    pub(crate) fn absent() -> Self {
        Self::watched(Watch::Test)
    }

    pub(crate) fn started() -> Self {
        let server = Self::absent();
        server.start();
        server
    }

    pub(crate) fn stop(&self) {
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
    pub(crate) fn configure(&self, settings: &str) {
        fs::write(self.file("rabbitmq.conf"), settings).expect("written");
    }

    /// Runs `rabbitmqctl`.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let mut command = Command::new(installed("rabbitmqctl", "rabbitmq-server"));
        self.environment(&mut command);
        let output = command.args(arguments).output().expect("rabbitmqctl");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
