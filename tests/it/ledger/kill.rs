//! A real process on a real disk, killed with SIGKILL again and again.

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use residual::{
    bus::{self, Bus, Message, Topic, Topology},
    clock::Clock,
    message::{Body, Encoding, IdSource, Prediction, Record, RunTag, Truth, encode},
    metric_log::Row,
    services::metric::{self, Config, Ports, Progress, RunContext, Storage, verify},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const FOLDER: &str = "RESIDUAL_TEST_KILL_FOLDER";
const ROWS: u32 = 12_000;
const KILLS: u32 = 30;

async fn open_bus(folder: &Path) -> std::sync::Arc<dyn Bus> {
    let config = bus::Config {
        url: format!("embedded:{}", folder.join("bus").display()),
        // Each kill is a try of what was held, and nothing here is poison.
        attempts_max: 10_000,
        ..bus::Config::default()
    };
    let bus = bus::connect(&config, Clock::system(), 0).await.unwrap();
    let topics = ["y_true", "y_pred"].map(|name| Topic::new(name, &["metric"]));
    let topology = Topology::with_dead_letters(topics.into());
    bus.declare(&topology).await.unwrap();
    bus
}

/// Everything that will ever be sent, stored on the durable bus before the first kill. Gives the lines of the log.
async fn fill(folder: &Path, rng: &mut ChaCha8Rng) -> BTreeSet<String> {
    let bus = open_bus(folder).await;
    let mut ids = IdSource::new(RunTag(1), Clock::system());
    let (mut truths, mut predictions, mut lines) = (Vec::new(), Vec::new(), BTreeSet::new());
    for _ in 0..ROWS {
        let (id, y_true, y_pred) = (ids.mint(), rng.random_range(0.0..300.0), rng.random());
        let mut line = Vec::new();
        Row::new(id.clone(), y_true, y_pred).push_line(&mut line);
        lines.insert(String::from_utf8(line).unwrap().trim_end().to_owned());
        truths.push(Record {
            id: id.clone(),
            body: Truth(y_true),
        });
        predictions.push(Record {
            id,
            body: Prediction::new(y_pred),
        });
    }
    truths.shuffle(rng);
    send(&*bus, &truths, rng).await;
    send(&*bus, &predictions, rng).await;
    bus.close().await.unwrap();
    lines
}

async fn send<B: Body>(bus: &dyn Bus, records: &[Record<B>], rng: &mut ChaCha8Rng) {
    let mut publisher = bus.publisher(B::TOPIC).await.unwrap();
    let mut messages = Vec::new();
    for some in records.chunks(7) {
        let frame = encode(some, Encoding::Postcard);
        messages.push(Message::new(
            Uuid::from_u128(rng.random()),
            frame.content_type,
            frame.body,
        ));
    }
    for some in messages.chunks(100) {
        publisher
            .publish(some.to_vec())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    publisher.close().await.unwrap();
}

/// The process that is killed: not a test, it only looks like one.
#[test]
#[ignore = "run by killed_again_and_again_each_id_is_recorded_once"]
fn victim() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serve(Path::new(&folder)));
}

/// Serves until every row is recorded.
async fn serve(folder: &Path) {
    let bus = open_bus(folder).await;
    let (sender, mut progress) = watch::channel(Progress::default());
    let ports = Ports {
        truths: bus.consumer("y_true", "metric", 16).await.unwrap(),
        predictions: bus.consumer("y_pred", "metric", 16).await.unwrap(),
        progress: sender,
    };
    // Small bounds, so that the store, the checkpoints and the rotation are in the way of every kill.
    let config = Config {
        hold_ms: 5,
        hold_max: 4,
        checkpoint_ms: 10,
        rotate_bytes: 100_000,
        group_max: 8,
        ..Config::default()
    };
    let stop = CancellationToken::new();
    let storage = Storage::real(folder.join("logs"));
    let service = metric::run(
        ports,
        config,
        storage,
        RunContext::default(),
        Clock::system(),
        stop.clone(),
    );
    let service = tokio::spawn(service);
    progress
        .wait_for(|progress| progress.rows == u64::from(ROWS))
        .await
        .unwrap();
    stop.cancel();
    service.await.unwrap().unwrap();
    bus.close().await.unwrap();
}

fn start_victim(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "ledger::kill::victim", "--ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_again_and_again_each_id_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let expected = runtime.block_on(fill(folder.path(), &mut rng));
    drop(runtime);
    let mut kills = 0;
    while kills < KILLS {
        let mut victim = start_victim(folder.path());
        std::thread::sleep(Duration::from_millis(rng.random_range(20..150)));
        if victim.try_wait().unwrap().is_some() {
            break;
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        kills += 1;
    }
    assert!(
        kills > 5,
        "it was done after {kills} kills, which proves little"
    );
    let begun = Instant::now();
    assert!(start_victim(folder.path()).wait().unwrap().success());
    println!("{kills} kills, the last life took {:?}", begun.elapsed());
    let logs = folder.path().join("logs");
    let report = verify(&logs).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.rows, report.pending), (u64::from(ROWS), 0));
    let mut lines = BTreeSet::new();
    for entry in fs::read_dir(&logs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            let text = fs::read_to_string(path).unwrap();
            lines.extend(text.lines().skip(1).map(str::to_owned));
        }
    }
    let missing: Vec<_> = expected.difference(&lines).collect();
    let strange: Vec<_> = lines.difference(&expected).collect();
    assert!(
        missing.is_empty() && strange.is_empty(),
        "{missing:?} became {strange:?}"
    );
}
