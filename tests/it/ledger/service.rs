//! The service between a bus and a folder.

use std::{path::Path, sync::Arc, time::Duration};

use residual::{
    bus::{self, Bus, Message, Topic, Topology},
    clock::Clock,
    message::{Body, Encoding, IdSource, Prediction, Record, RecordId, RunTag, Truth, encode},
    services::metric::{
        self, BlockingWork, Config, LabelPolicy, MetricError, Ports, Progress, RunContext, Storage,
    },
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::disk::SimDisk;

const START_MS: u64 = 1_700_000_000_000;

pub(super) struct Bench {
    bus: Arc<dyn Bus>,
    clock: Clock,
    config: Config,
    storage: Storage,
    run: Option<RunTag>,
    next_message: u128,
}

struct Running {
    stop: CancellationToken,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<Result<(), MetricError>>,
}

impl Bench {
    async fn new(storage: Storage) -> Self {
        let clock = Clock::anchored(START_MS);
        let config = bus::Config::default();
        let bus = bus::connect(&config, clock, 0).await.unwrap();
        let groups = [metric::groups(1), metric::groups(2)].concat();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let topics = ["y_true", "y_pred"].map(|name| Topic::new(name, &groups));
        let topology = Topology::with_dead_letters(topics.into());
        bus.declare(&topology).await.unwrap();
        Self {
            bus,
            clock,
            config: Config::default(),
            storage,
            run: None,
            next_message: 1,
        }
    }

    async fn on(disk: &SimDisk) -> Self {
        Self::new(Storage {
            logs: "logs".into(),
            disk: Arc::new(disk.clone()),
            blocking_work: BlockingWork::Inline,
        })
        .await
    }

    async fn start(&self) -> Running {
        let (sender, progress) = watch::channel(Progress::default());
        let group = metric::group(self.config.partition, self.config.partitions);
        let ports = Ports {
            truths: self.bus.consumer("y_true", &group, 256).await.unwrap(),
            predictions: self.bus.consumer("y_pred", &group, 256).await.unwrap(),
            progress: sender,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(metric::run(
            ports,
            self.config.clone(),
            self.storage.clone(),
            RunContext {
                run: self.run,
                ..RunContext::default()
            },
            self.clock,
            stop.clone(),
        ));
        Running {
            stop,
            progress,
            task,
        }
    }

    async fn send_raw(&mut self, topic: &str, content_type: &str, body: &[u8]) {
        let mut publisher = self.bus.publisher(topic).await.unwrap();
        let id = Uuid::from_u128(self.next_message);
        self.next_message += 1;
        let message = Message::new(id, content_type, body.to_vec().into());
        publisher
            .publish(vec![message])
            .await
            .unwrap()
            .await
            .unwrap();
        publisher.close().await.unwrap();
    }

    async fn send<B: Body>(&mut self, records: &[Record<B>]) {
        let frame = encode(records, Encoding::Postcard);
        self.send_raw(B::TOPIC, frame.content_type, &frame.body)
            .await;
    }

    async fn send_truth(&mut self, id: &str, value: f64) {
        let id = RecordId::from_text(id).unwrap();
        self.send(&[Record {
            id,
            body: Truth(value),
        }])
        .await;
    }

    async fn send_prediction(&mut self, id: &str, value: f64) {
        let id = RecordId::from_text(id).unwrap();
        self.send(&[Record {
            id,
            body: Prediction::new(value),
        }])
        .await;
    }

    /// Ready, in flight and dead messages of both topics.
    async fn left(&self) -> [u64; 3] {
        let mut sum = [0; 3];
        for topic in ["y_true", "y_pred"] {
            let depth = self.bus.depth(topic, "metric").await.unwrap();
            for (sum, part) in sum
                .iter_mut()
                .zip([depth.ready, depth.in_flight, depth.dead])
            {
                *sum += part;
            }
        }
        sum
    }
}

impl Running {
    async fn until(&self, what: &str, is_so: impl FnMut(&Progress) -> bool) -> Progress {
        let mut progress = self.progress.clone();
        let waited = timeout(Duration::from_secs(3_600), progress.wait_for(is_so)).await;
        match waited {
            Ok(Ok(progress)) => progress.clone(),
            Ok(Err(_)) => panic!("the service ended, never {what}"),
            Err(error) => panic!("never {what} ({error}): {:?}", self.progress.borrow()),
        }
    }

    async fn stop(self) -> Result<(), MetricError> {
        self.stop.cancel();
        timeout(Duration::from_secs(60), self.task)
            .await
            .unwrap()
            .unwrap()
    }
}

fn log_of(disk: &SimDisk) -> String {
    disk.read(Path::new("logs/metric_log.csv"))
}

const HEADER: &str = "id,y_true,y_pred,absolute_error\n";

#[tokio::test(start_paused = true)]
async fn pairs_are_recorded_settled_and_counted() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    bench.send_prediction("b", 1.0).await;
    let running = bench.start().await;
    bench.send_truth("a", 3.0).await;
    bench.send_prediction("a", 1.5).await;
    bench.send_truth("b", 1.0).await;
    let progress = running
        .until("two rows", |progress| progress.rows == 2)
        .await;
    assert!(progress.counters.is_balanced(progress.pending));
    running.stop().await.unwrap();
    assert_eq!(
        log_of(&disk),
        format!("{HEADER}b,1.0,1.0,0.0\na,3.0,1.5,1.5\n")
    );
    assert_eq!(bench.left().await, [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_row_of_a_paced_stream_is_recorded_within_ten_milliseconds() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    let running = bench.start().await;
    for n in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let sent_ms = bench.clock.now_ms();
        bench.send_truth(&n.to_string(), 1.0).await;
        bench.send_prediction(&n.to_string(), 2.0).await;
        running
            .until("recorded", |progress| progress.rows == n + 1)
            .await;
        assert!(bench.clock.now_ms() - sent_ms <= 10);
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lone_half_is_settled_soon_and_found_again_after_a_restart() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    let running = bench.start().await;
    bench.send_truth("a", 3.0).await;
    running
        .until("pending", |progress| progress.pending == 1)
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.left().await, [0, 0, 0]);
    running.stop().await.unwrap();
    bench.send_prediction("a", 1.0).await;
    let running = bench.start().await;
    running.until("a row", |progress| progress.rows == 1).await;
    running.stop().await.unwrap();
    assert_eq!(log_of(&disk), format!("{HEADER}a,3.0,1.0,2.0\n"));
}

/// On a real folder, so that the ledger's thread leaves time to look between two commits.
#[tokio::test]
async fn a_topic_that_is_ahead_waits_in_the_broker_until_the_other_has_caught_up() {
    let logs = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(Storage::real(logs.path())).await;
    (bench.config.group_max, bench.config.hold_max) = (4, 16);
    bench.config.hold_ms = 500;
    let lead = 100;
    for n in 0..lead {
        bench.send_truth(&n.to_string(), 1.0).await;
    }
    let running = bench.start().await;
    running
        .until("the lead", |progress| progress.pending == lead)
        .await;
    running.stop().await.unwrap();
    // Both topics have more than fits in many groups.
    for n in 0..600 {
        bench.send_prediction(&n.to_string(), 2.0).await;
        if n >= lead {
            bench.send_truth(&n.to_string(), 1.0).await;
        }
    }
    let running = bench.start().await;
    let mut progress = running.progress.clone();
    let mut pending = Vec::new();
    while running.progress.borrow().rows < 600 {
        let now = progress.borrow_and_update().clone();
        if (300..550).contains(&now.rows) {
            pending.push(now.pending);
        }
        timeout(Duration::from_secs(3_600), progress.changed())
            .await
            .expect("it goes on")
            .unwrap();
    }
    let most = pending.iter().max().expect("seen on its way");
    assert!(*most < lead / 3, "{most} of a lead of {lead} are left");
    running.stop().await.unwrap();
    assert_eq!(bench.left().await, [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_whose_partners_do_not_come_is_read_all_the_same() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    (bench.config.group_max, bench.config.hold_max) = (4, 16);
    for n in 0..300 {
        bench.send_truth(&format!("true {n}"), 1.0).await;
        bench.send_prediction(&format!("false {n}"), 2.0).await;
    }
    bench.send_prediction("true 299", 2.0).await;
    let running = bench.start().await;
    running
        .until("all pending", |progress| {
            (progress.rows, progress.pending) == (1, 599)
        })
        .await;
    running.stop().await.unwrap();
    assert_eq!(bench.left().await, [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn halves_expire_while_the_stream_is_idle() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    bench.config.age_max_ms = 60_000;
    let running = bench.start().await;
    bench.send_prediction("a", 3.0).await;
    running
        .until("expired", |progress| {
            progress.counters.expired_prediction == 1
        })
        .await;
    assert!((60_000..60_100).contains(&(bench.clock.now_ms() - START_MS)));
    running.stop().await.unwrap();
    let unmatched = disk.read(Path::new("logs/unmatched.csv"));
    assert!(
        unmatched.ends_with(&format!("a,prediction,3.0,{START_MS},expired\n")),
        "{unmatched}"
    );
}

#[tokio::test(start_paused = true)]
async fn bad_records_and_frames_go_to_the_dead_letters_and_good_ones_are_used() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    let running = bench.start().await;
    let mixed = br#"[{"id": 1.50, "body": 2}, {"id": "x"}, {"id": "y", "body": "no"}]"#;
    bench.send_raw("y_true", "application/json", mixed).await;
    bench
        .send_raw(
            "y_pred",
            "application/json",
            br#"{"id": 1.50, "body": [5]}"#,
        )
        .await;
    bench
        .send_raw("y_pred", "application/x-pickle", b"cos\nsystem\n")
        .await;
    let progress = running
        .until("four halves and a frame", |progress| {
            progress.counters.received == 5
        })
        .await;
    assert_eq!(
        (progress.counters.malformed, progress.counters.matched),
        (3, 1)
    );
    running.stop().await.unwrap();
    assert_eq!(log_of(&disk), format!("{HEADER}1.50,2.0,5.0,3.0\n"));
    assert_eq!(bench.left().await, [0, 0, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_label_goes_to_the_dead_letters() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    bench.config.label_policy = LabelPolicy::Reject;
    let running = bench.start().await;
    for value in [1.0, 2.0] {
        bench.send_truth("a", value).await;
    }
    running
        .until("a conflict", |progress| progress.counters.conflicting == 1)
        .await;
    running.stop().await.unwrap();
    assert_eq!(bench.left().await, [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_acks_and_says_so_until_space_returns() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    let running = bench.start().await;
    bench.send_truth("a", 1.0).await;
    bench.send_prediction("a", 1.0).await;
    running
        .until("the first row", |progress| progress.rows == 1)
        .await;
    disk.set_room(Some(20));
    for n in 0..10 {
        bench.send_truth(&format!("b{n}"), 1.0).await;
        bench.send_prediction(&format!("b{n}"), 1.0).await;
    }
    let progress = running
        .until("failing", |progress| progress.failing.is_some())
        .await;
    let reason = progress.failing.unwrap();
    assert!(
        reason.contains("the disk is full, free some space"),
        "{reason}"
    );
    tokio::time::sleep(Duration::from_secs(30)).await;
    let [ready, in_flight, _] = bench.left().await;
    assert!(
        ready + in_flight >= 18,
        "deliveries were acknowledged without being recorded"
    );
    disk.set_room(None);
    let progress = running
        .until("healed", |progress| {
            progress.rows == 11 && progress.failing.is_none()
        })
        .await;
    assert!(progress.counters.is_balanced(progress.pending));
    running.stop().await.unwrap();
    assert_eq!(bench.left().await, [0, 0, 0]);
    let log = log_of(&disk);
    let mut ids: Vec<&str> = log
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), log.lines().count()), (11, 12));
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_is_not_believed() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    let running = bench.start().await;
    bench.send_truth("a", 1.0).await;
    running
        .until("pending", |progress| progress.pending == 1)
        .await;
    disk.fail_syncs(3);
    bench.send_prediction("a", 1.0).await;
    running
        .until("failing", |progress| progress.failing.is_some())
        .await;
    running
        .until("healed", |progress| {
            progress.rows == 1 && progress.failing.is_none()
        })
        .await;
    running.stop().await.unwrap();
    // The row whose sync failed must not be lost when the power goes.
    disk.reboot(super::disk::Crash::Power, 1);
    assert_eq!(log_of(&disk), format!("{HEADER}a,1.0,1.0,0.0\n"));
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_run_are_counted_by_the_tag_of_their_ids_across_a_failure() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    let tag = RunTag(7);
    bench.run = Some(tag);
    let mut ids = IdSource::new(tag, bench.clock);
    let running = bench.start().await;
    bench.send_truth("foreign", 1.0).await;
    bench.send_prediction("foreign", 1.0).await;
    for n in 0..20 {
        if n == 10 {
            running
                .until("half", |progress| progress.rows_of_run == 10)
                .await;
            disk.fail_syncs(2);
        }
        let id = ids.mint();
        bench
            .send(&[Record {
                id: id.clone(),
                body: Truth(1.0),
            }])
            .await;
        bench
            .send(&[Record {
                id,
                body: Prediction::new(1.0),
            }])
            .await;
    }
    let progress = running
        .until("all", |progress| progress.rows_of_run == 20)
        .await;
    assert_eq!(progress.rows, 21);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_partitions_share_the_ids_and_keep_none_twice() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    bench.config.partitions = 2;
    let first = bench.start().await;
    bench.config.partition = 1;
    let second = bench.start().await;
    for n in 0..40 {
        bench.send_truth(&n.to_string(), 1.0).await;
        bench.send_prediction(&n.to_string(), 2.0).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let rows = [&first, &second].map(|running| running.progress.borrow().rows);
    assert_eq!(rows[0] + rows[1], 40);
    assert!(rows.iter().all(|rows| *rows > 5), "{rows:?}");
    for running in [first, second] {
        let progress = running.progress.borrow().clone();
        assert!(progress.counters.is_balanced(0), "{progress:?}");
        running.stop().await.unwrap();
    }
    let logs =
        ["0of2", "1of2"].map(|name| disk.read(Path::new(&format!("logs/metric_log-{name}.csv"))));
    let mut ids: Vec<&str> = logs
        .iter()
        .flat_map(|log| log.lines().skip(1))
        .map(|line| line.split(',').next().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}

#[tokio::test]
async fn two_services_in_one_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(Storage::real(folder.path())).await;
    let first = bench.start().await;
    let mut progress = first.progress.clone();
    timeout(Duration::from_secs(60), progress.changed())
        .await
        .unwrap()
        .unwrap();
    let error = bench.start().await.task.await.unwrap().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another metric process writes to"),
        "{error}"
    );
    first.stop().await.unwrap();
    bench.start().await.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_number_of_partitions_is_refused_while_the_old_process_runs() {
    let disk = SimDisk::default();
    let mut bench = Bench::on(&disk).await;
    let first = bench.start().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.config.partitions = 2;
    let error = bench.start().await.task.await.unwrap().unwrap_err();
    assert!(matches!(error, MetricError::Locked { .. }), "{error}");
    first.stop().await.unwrap();
    bench.start().await.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logs");
    std::fs::write(&file, "a file").unwrap();
    let bench = Bench::new(Storage::real(&file)).await;
    let error = bench.start().await.task.await.unwrap().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("logs") && text.contains("a file stands where a folder should"),
        "{text}"
    );
}

/// `RESIDUAL_TEST_TINY=/mnt/tiny` names the mount point, for instance of `mount -t tmpfs -o size=8m tmpfs /mnt/tiny`.
#[tokio::test]
#[ignore = "needs a small file system of its own"]
async fn a_real_full_disk_is_waited_out() {
    let mount = std::path::PathBuf::from(std::env::var("RESIDUAL_TEST_TINY").unwrap());
    let mut bench = Bench::new(Storage::real(mount.join("logs"))).await;
    let running = bench.start().await;
    bench.send_truth("first", 1.0).await;
    bench.send_prediction("first", 1.0).await;
    running
        .until("the first row", |progress| progress.rows == 1)
        .await;
    let filler = mount.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok() {}
    for n in 0..2_000 {
        let id = RecordId::from_text(&format!("id-{n}")).unwrap();
        let truth = Record {
            id: id.clone(),
            body: Truth(f64::from(n)),
        };
        bench.send(&[truth]).await;
        bench
            .send(&[Record {
                id,
                body: Prediction::new(0.5),
            }])
            .await;
    }
    let progress = running
        .until("failing", |progress| progress.failing.is_some())
        .await;
    println!("at {} rows: {}", progress.rows, progress.failing.unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    running
        .until("healed", |progress| {
            progress.rows == 2_001 && progress.failing.is_none()
        })
        .await;
    running.stop().await.unwrap();
    assert_eq!(bench.left().await, [0, 0, 0]);
    let report = metric::verify(&mount.join("logs")).unwrap();
    assert!(report.is_clean() && report.rows == 2_001, "{report}");
}
