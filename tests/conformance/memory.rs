//! The law of memory: while nothing that is published can be delivered, the publisher's process does not grow.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    ctx::{Ctx, SMALL, SOLO},
    worker::{Role, Worker},
};

/// Bytes of each message. A publisher that nothing holds back makes five times [`GROWTH_MAX`] of them in [`WATCHED`].
const BODY: usize = 4 << 10;

/// Time for the window to fill and for the allocator to come to rest.
const SETTLING: Duration = Duration::from_secs(1);

const WATCHED: Duration = Duration::from_secs(2);

/// A window of 64 such messages is 256 KiB; connecting again and again costs some buffers.
const GROWTH_MAX: u64 = 6 << 20;

/// Resident bytes of a process.
fn resident(pid: u32) -> u64 {
    let kib = if let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
    } else {
        // Not Linux: there is no /proc.
        let ps = Command::new("ps")
            .args(["-o", "rss=", "-p", &pid.to_string()])
            .output();
        let text = String::from_utf8(ps.expect("ps is there").stdout).expect("text");
        text.trim().parse().ok()
    };
    kib.expect("it lives, and has a size") << 10
}

async fn assert_flat(worker: &Worker, during: &str) {
    tokio::time::sleep(SETTLING).await;
    let confirmed = worker.log().confirmed.len();
    let (first, began) = (resident(worker.pid()), Instant::now());
    while began.elapsed() < WATCHED {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let grown = resident(worker.pid()).saturating_sub(first);
        assert!(
            grown <= GROWTH_MAX,
            "{grown} bytes more than {first} after {:?} while {during}",
            began.elapsed()
        );
    }
    let taken = worker.log().confirmed.len() - confirmed;
    assert!(taken < 64, "{taken} were taken while {during}");
}

pub(crate) async fn memory_stays_flat_while_nothing_is_taken(ctx: &Ctx) {
    let Some(server) = ctx.fixture.server() else {
        // A broker in the same process cannot be away, but a topic without a consumer is soon full.
        let roles = vec![Role::publish(SMALL, 0).wide(BODY)];
        let mut worker = Worker::start(ctx, ctx.fixture.config(), roles).await;
        assert_flat(&worker, "the topic is full").await;
        return worker.kill9();
    };
    let roles = vec![Role::publish(SOLO, 0).wide(BODY)];
    let mut worker = Worker::start(ctx, ctx.fixture.config(), roles).await;
    worker.until_confirmed(100).await;
    server.pause().await;
    assert_flat(&worker, "the broker hangs").await;
    server.resume().await;
    worker.until_confirmed(100).await;
    server.fill().await;
    assert_flat(&worker, "the broker takes nothing").await;
    server.kill9().await;
    assert_flat(&worker, "the broker is away").await;
    worker.kill9();
}
