//! The one thread that writes to the disk.
//!
//! Promise: everything that arrives while a commit is under way goes into the next one (group commit), and nothing is
//! answered before the fsync. A disk that is full or failing is an outage, not an error: the writer reports it on the
//! link, keeps what it could not store, reopens the file and tries again until it is stored. Nothing is lost, and no
//! receipt resolves meanwhile.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use redb::Database;
use tokio::sync::watch;

use super::{
    super::Link,
    op::Op,
    schema::{self, StoreError},
    store::Job,
};

/// A commit takes at most so many jobs and so many bytes of bodies, so that a receipt never waits for long.
const JOBS_MAX: usize = 4_096;
const BYTES_MAX: usize = 8 << 20;
const BACKOFF_MIN: Duration = Duration::from_millis(20);

/// Everything that the writer's thread owns.
pub(super) struct Writer {
    pub(super) file: PathBuf,
    pub(super) database: Option<Database>,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) link: watch::Sender<Link>,
    pub(super) abandoned: Arc<AtomicBool>,
    pub(super) finished: watch::Sender<bool>,
    pub(super) backoff_max: Duration,
}

impl Writer {
    /// Stores until every sender of jobs is gone.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.jobs.recv() {
            let batch = self.collect_batch(first);
            if !self.store(&batch) {
                break;
            }
            batch.into_iter().for_each(complete);
        }
        drop(self.database.take());
        self.finished.send_replace(true);
    }

    fn collect_batch(&self, first: Job) -> Vec<Job> {
        let mut bytes = size(&first.op);
        let mut batch = vec![first];
        while batch.len() < JOBS_MAX
            && bytes < BYTES_MAX
            && let Ok(job) = self.jobs.try_recv()
        {
            bytes += size(&job.op);
            batch.push(job);
        }
        batch
    }

    /// Tries until the batch is stored (`true`), or until nobody waits for it any more.
    fn store(&mut self, batch: &[Job]) -> bool {
        let (mut tries, mut wait) = (0_u32, BACKOFF_MIN);
        while let Err(error) = self.try_store(batch) {
            tries = tries.saturating_add(1);
            self.report_down(&error, tries);
            // The file is reopened: after a failed write the old handle refuses everything.
            self.database = None;
            if self.abandoned.load(Ordering::Acquire) {
                return false;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(self.backoff_max);
        }
        if tries > 0 {
            tracing::info!(file = %self.file.display(), tries, "bus store writes again");
            self.link.send_replace(Link::Up);
        }
        true
    }

    fn try_store(&mut self, batch: &[Job]) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => schema::open(&self.file)?,
        };
        let database = self.database.insert(database);
        schema::commit(database, batch.iter().map(|job| &job.op))
    }

    fn report_down(&self, error: &StoreError, tries: u32) {
        if tries == 1 {
            tracing::warn!(file = %self.file.display(), %error, "bus store cannot write; it keeps trying and publishers wait");
        }
        self.link.send_replace(Link::Down {
            reason: format!("writing {}: {error}", self.file.display()),
            tries,
        });
    }
}

fn size(op: &Op) -> usize {
    match op {
        Op::Append { messages, .. } => messages.iter().map(|a| a.message.body.len()).sum(),
        _ => 0,
    }
}

/// Makes stored messages deliverable, frees the places in the publishers' windows, and answers.
fn complete(job: Job) {
    if let Op::Append { topic, messages } = job.op {
        topic.make_visible(messages);
    }
    drop(job.slots);
    // The receiver may have been dropped.
    job.stored.send(()).ok();
}
