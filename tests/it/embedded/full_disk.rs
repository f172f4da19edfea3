//! The embedded broker on a disk without room. Only Linux can lift the limit of another process.
#![cfg(target_os = "linux")]

use std::{process::Command, time::Duration};

use super::disk::{ctx, drain};
use crate::conformance::{
    ctx::SOLO,
    worker::{Role, Worker},
};

/// Waits until the link is down and nothing has been confirmed for a while; returns how many were. Opening the file
/// again may find a little room once more.
async fn until_stuck(worker: &Worker) -> usize {
    loop {
        worker.until(|log| log.downs > log.ups).await;
        let before = worker.log().clone();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = worker.log().clone();
        if after.confirmed.len() == before.confirmed.len() && after.ups == before.ups {
            return after.confirmed.len();
        }
    }
}

/// A disk without room is an outage: publishers wait, the link says so, and all goes on once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_publishers_wait_until_there_is_room() {
    let ctx = ctx().await;
    let roles = vec![Role::publish(SOLO, 0).wide(8 << 10)];
    let limit = "trap '' XFSZ; ulimit -S -f 16384;";
    let mut worker = Worker::start_in(&ctx, ctx.fixture.config(), roles, limit).await;
    let stuck = until_stuck(&worker).await;
    let pid = worker.pid().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(raised.expect("prlimit is there").success());
    worker
        .until(|log| log.ups == log.downs && log.confirmed.len() > stuck + 50)
        .await;
    worker.kill9();
    let confirmed = worker.log().confirmed.clone();
    let seen = drain(&ctx).await;
    let lost: Vec<_> = confirmed.difference(&seen).collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
}
