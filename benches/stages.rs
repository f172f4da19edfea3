//! What each stage does with one frame of 256 rows, alone: `cargo bench --bench stages`.
//!
//! The codec, the model, the join with its log (on the disk that holds `target`, one sync a frame), and the picture of a
//! million rows. Together they show where the time of `residual bench` goes.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should stop there"
)]

use std::{fs, hint::black_box, path::Path, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput};
use residual::{
    chart,
    clock::Clock,
    message::{Encoding, Features, IdSource, Record, RunTag, Truth, decode, encode},
    metric_log::{RealDisk, Row},
    services::metric::{
        Config, Kind, RunContext,
        ledger::{Flush, Ledger},
    },
    stats::{Distribution, ErrorView},
};
use residual_model::Rows;

const ROWS: usize = 256;
const WIDTH: usize = 10;
const NOW_MS: u64 = 1_700_000_000_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    // The clock follows tokio's.
    let _inside = runtime.enter();
    let mut ids = IdSource::new(RunTag(7), Clock::anchored(NOW_MS));
    codec(&mut criterion, &mut ids);
    predict(&mut criterion);
    join(&mut criterion, &mut ids);
    log_lines(&mut criterion, &mut ids);
    picture(&mut criterion);
    criterion.final_summary();
}

fn features(ids: &mut IdSource) -> Vec<Record<Features>> {
    let row = || Record {
        id: ids.mint(),
        body: Features(vec![0.038_075_906_433_423_026; WIDTH]),
    };
    std::iter::repeat_with(row).take(ROWS).collect()
}

fn codec(criterion: &mut Criterion, ids: &mut IdSource) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(ROWS as u64));
    let records = features(ids);
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let frame = encode(&records, encoding);
        group.bench_function(format!("encode features, {encoding:?}"), |bencher| {
            bencher.iter(|| encode(black_box(&records), encoding));
        });
        group.bench_function(format!("decode features, {encoding:?}"), |bencher| {
            bencher
                .iter(|| decode::<Features>(frame.content_type, black_box(&frame.body)).unwrap());
        });
    }
    let truths: Vec<_> = records
        .iter()
        .map(|record| Record {
            id: record.id.clone(),
            body: Truth(151.0),
        })
        .collect();
    let frame = encode(&truths, Encoding::Postcard);
    group.bench_function("decode y_true, Postcard", |bencher| {
        bencher.iter(|| decode::<Truth>(frame.content_type, black_box(&frame.body)).unwrap());
    });
}

fn predict(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("predict");
    let model = residual::bundled::model().unwrap();
    for rows in [1, ROWS, 4_096] {
        group.throughput(Throughput::Elements(rows as u64));
        let rows = Rows::new(WIDTH, vec![0.038_075_906_433_423_026; rows * WIDTH]).unwrap();
        group.bench_function(
            format!("bundled model, {} rows", rows.n_rows()),
            |bencher| {
                bencher.iter(|| model.predict(black_box(&rows)).unwrap());
            },
        );
    }
}

fn join(criterion: &mut Criterion, ids: &mut IdSource) {
    let mut group = criterion.benchmark_group("join");
    group.throughput(Throughput::Elements(ROWS as u64));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-join");
    drop(fs::remove_dir_all(&folder));
    let config = Config::default();
    let mut ledger = Ledger::open(
        Arc::new(RealDisk),
        &folder,
        config,
        RunContext::default(),
        NOW_MS,
    )
    .unwrap();
    let mut delivery = 0;
    group.bench_function("both halves and a durable row", |bencher| {
        let new_ids = || {
            std::iter::repeat_with(|| ids.mint())
                .take(ROWS)
                .collect::<Vec<_>>()
        };
        bencher.iter_batched(
            new_ids,
            |ids| {
                for kind in [Kind::Truth, Kind::Prediction] {
                    delivery += 1;
                    ledger.begin(delivery);
                    for id in &ids {
                        ledger.accept(delivery, kind, id.clone(), 151.0, NOW_MS);
                    }
                }
                ledger.commit(NOW_MS, Flush::Due).unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    drop(ledger);
    fs::remove_dir_all(&folder).unwrap();
}

fn log_lines(criterion: &mut Criterion, ids: &mut IdSource) {
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(ROWS as u64));
    let rows: Vec<_> = (0..ROWS)
        .map(|_| Row::new(ids.mint(), 151.0, 206.116_677_247_067_6))
        .collect();
    let mut lines = Vec::new();
    group.bench_function("lines", |bencher| {
        bencher.iter(|| {
            lines.clear();
            for row in black_box(&rows) {
                row.push_line(&mut lines);
            }
        });
    });
}

fn picture(criterion: &mut Criterion) {
    let mut distribution = Distribution::new();
    for row in 0..1_000_000_u32 {
        // Any spread of errors will do; this one has no period that a histogram could see.
        let error = (f64::from(row) * 0.618_033_988_749).fract() * 200.0 - 100.0;
        distribution.push(150.0, 150.0 + error * error.abs() / 100.0);
    }
    let snapshot = distribution.snapshot(ErrorView::Absolute);
    let config = chart::Config::default();
    criterion.bench_function("picture of 1,000,000 rows as PNG", |bencher| {
        bencher.iter(|| chart::render(black_box(&snapshot), &config, chart::Format::Png).unwrap());
    });
}
