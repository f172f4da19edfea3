//! A secret opens the broker, and nothing that we print contains it, on any log level.

use std::{fs, path::Path};

use crate::{
    ended::Ended,
    process::Residual,
    servers::{nats::NatsServer, rabbitmq::RabbitServer},
};

/// It has every character that a URL, a shell or a settings file could misread.
const SECRET: &str = "p@ss:w/rd#1 %41\"'$x";

/// What it could look like in a log: as it is, in a URL, in a debug string.
fn shapes() -> [String; 3] {
    let escaped = "p%40ss%3Aw%2Frd%231%20%2541%22%27%24x".to_owned();
    [
        SECRET.to_owned(),
        escaped,
        format!("{SECRET:?}").replace('"', "").replace('\\', ""),
    ]
}

#[track_caller]
fn prints_no_secret(ended: &Ended) {
    let printed = ended.stdout() + &ended.stderr();
    let bytes = SECRET.as_bytes()[..8]
        .iter()
        .map(u8::to_string)
        .collect::<Vec<_>>();
    for shape in shapes().iter().chain([&bytes.join(", ")]) {
        assert!(
            !printed.replace('\\', "").contains(shape),
            "`{shape}` is in:\n{printed}"
        );
    }
}

/// `residual ARGS…` on that bus, on the level on which the libraries log everything, too.
fn on(url: &str, folder: &Path, args: &[&str]) -> Ended {
    let args = [args, &["--bus", url]].concat();
    Residual::new(folder, &args)
        .env("RESIDUAL__BUS__PASSWORD_FILE", "password")
        .env("RESIDUAL__TELEMETRY__LEVEL", "trace")
        // The private NATS server has little room.
        .env("RESIDUAL__BUS__TOPIC_BYTES_MAX", "1048576")
        .output()
}

#[track_caller]
fn works_and_prints_no_secret(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), format!("{SECRET}\n")).unwrap();
    let checked = on(url, folder.path(), &["check"]);
    assert!(
        checked.stdout().contains("ok      bus"),
        "{}",
        checked.stdout()
    );
    prints_no_secret(&checked);
    let few = ["run", "--listen", "off", "--interval", "0s", "--count", "3"];
    prints_no_secret(&on(url, folder.path(), &few).success());
    fs::write(folder.path().join("password"), "wr0ng-one").unwrap();
    let refused = on(url, folder.path(), &few).fails_with(2, &["password"]);
    assert!(
        !refused.stderr().contains("wr0ng-one"),
        "{}",
        refused.stderr()
    );
}

#[test]
fn a_password_file_opens_rabbitmq_and_is_never_printed() {
    let server = RabbitServer::started();
    server.control(&["add_user", "me", SECRET]);
    server.control(&["set_permissions", "me", ".*", ".*", ".*"]);
    works_and_prints_no_secret(&format!("amqp://me@127.0.0.1:{}", server.port));
}

#[test]
fn a_password_file_opens_nats_and_is_never_printed() {
    let server = NatsServer::absent("");
    let secret = SECRET.replace('"', "\\\"");
    let login = format!("authorization {{ user: me, password: \"{secret}\" }}");
    server.configure(&format!("{}\n{login}", server.jetstream()));
    server.start();
    works_and_prints_no_secret(&format!("nats://me@127.0.0.1:{}", server.port));
}

#[test]
fn a_password_file_without_a_user_is_a_nats_token() {
    let server = NatsServer::absent("");
    let secret = SECRET.replace('"', "\\\"");
    let login = format!("authorization {{ token: \"{secret}\" }}");
    server.configure(&format!("{}\n{login}", server.jetstream()));
    server.start();
    works_and_prints_no_secret(&format!("nats://127.0.0.1:{}", server.port));
}
