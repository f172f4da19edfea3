//! Rows as a stream: drawn from memory, or read ahead on a separate thread.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::PathBuf,
    thread,
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tokio::sync::{mpsc, oneshot};

use super::{BUNDLED, Config, DatasetError, Order, Sample, Table, table::ColumnKind};
use crate::task::TaskSpec;

/// How many rows the reading thread may be ahead of the stream.
const READ_AHEAD: usize = 1_024;

/// An opened source: its header is read, its columns can still be chosen.
pub struct Dataset {
    table: Table<Box<dyn Read + Send>>,
    origin: Origin,
    target: usize,
    features: Vec<usize>,
    /// What the true answer may be.
    target_kind: ColumnKind,
    /// For each feature whether it must be there; empty if no model says so, then the predictor decides.
    required: Vec<bool>,
    config: Config,
}

#[derive(Clone, Debug)]
enum Origin {
    Bundled,
    Stdin,
    File(PathBuf),
}

impl Origin {
    fn of(source: &str) -> Self {
        match source {
            BUNDLED => Self::Bundled,
            "-" => Self::Stdin,
            path => Self::File(path.into()),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Bundled => BUNDLED.to_owned(),
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    fn open(&self) -> Result<Table<Box<dyn Read + Send>>, DatasetError> {
        let input: Box<dyn Read + Send> = match self {
            Self::Bundled => Box::new(Cursor::new(crate::bundled::ROWS)),
            Self::Stdin => Box::new(io::stdin()),
            Self::File(path) => {
                let file = File::open(path).and_then(refuse_folder);
                Box::new(file.map_err(|source| DatasetError::Open {
                    path: path.clone(),
                    source,
                })?)
            }
        };
        Table::open(&self.name(), input)
    }
}

fn refuse_folder(file: File) -> io::Result<File> {
    if file.metadata()?.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        Ok(file)
    }
}

impl Dataset {
    /// Opens the source and reads its header, on a separate thread, because standard input may have to be waited for.
    ///
    /// # Errors
    /// When it cannot be read, has no header, or lacks a named column.
    pub async fn open(config: &Config) -> Result<Self, DatasetError> {
        let origin = Origin::of(&config.source);
        let (opened, header) = oneshot::channel();
        let on_thread = origin.clone();
        // Not `spawn_blocking`: the runtime would wait at its end for a read of standard input that never returns.
        thread::spawn(move || drop(opened.send(on_thread.open())));
        let table = header.await.map_err(|_| DatasetError::Empty {
            name: origin.name(),
        })??;
        Self::with_columns(table, origin, config)
    }

    fn with_columns(
        table: Table<Box<dyn Read + Send>>,
        origin: Origin,
        config: &Config,
    ) -> Result<Self, DatasetError> {
        let target = table.column(&config.target, "name the true answer by `--target COLUMN`")?;
        let features = if config.columns.is_empty() {
            (0..table.header().len())
                .filter(|&column| column != target)
                .collect()
        } else {
            let place = |name: &String| table.column(name, "correct `dataset.columns`");
            config.columns.iter().map(place).collect::<Result<_, _>>()?
        };
        Ok(Self {
            table,
            origin,
            target,
            features,
            target_kind: ColumnKind::Target,
            required: Vec::new(),
            config: config.clone(),
        })
    }

    /// The names of all columns, the target among them.
    #[must_use]
    pub fn header(&self) -> &[String] {
        self.table.header()
    }

    /// The names of the chosen feature columns, in order.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        self.features
            .iter()
            .map(|&column| self.table.header()[column].clone())
            .collect()
    }

    /// Whether the columns were chosen by the configuration rather than by default.
    #[must_use]
    pub fn has_chosen_columns(&self) -> bool {
        !self.config.columns.is_empty()
    }

    /// Takes these columns, by their index in [`Dataset::header`], as the features.
    pub fn choose_features(&mut self, columns: Vec<usize>) {
        self.features = columns;
    }

    /// Sets what the true answers are: numbers, or these labels.
    pub fn with_task(&mut self, spec: &TaskSpec) {
        self.target_kind = match &spec.labels {
            Some(labels) => ColumnKind::Label(labels.clone()),
            None => ColumnKind::Target,
        };
    }

    /// Sets which features, in their order, must not be missing.
    pub fn needs(&mut self, required: Vec<bool>) {
        self.required = required;
    }

    /// What the cells of each chosen column may be, the target last.
    fn columns(&self) -> Vec<(usize, ColumnKind)> {
        let is_required = |place: usize| self.required.get(place).copied().unwrap_or(false);
        let feature = |(place, column): (usize, &usize)| {
            let kind = if is_required(place) {
                ColumnKind::Required
            } else {
                ColumnKind::Optional
            };
            (*column, kind)
        };
        let mut columns: Vec<_> = self.features.iter().enumerate().map(feature).collect();
        columns.push((self.target, self.target_kind.clone()));
        columns
    }

    /// Begins to read. `entropy` seeds the random order if the configuration has no seed.
    ///
    /// # Errors
    /// For a random order everything is read at once: at a bad cell, without rows, or with more than `values_max` values.
    pub fn into_source(mut self, entropy: u64) -> Result<Source, DatasetError> {
        let columns = self.columns();
        choose(&mut self.table, &columns);
        let in_order =
            matches!(self.origin, Origin::Stdin) || self.config.order == Order::Sequential;
        let width = columns.len();
        if in_order && !matches!(self.origin, Origin::Bundled) {
            return Ok(Inner::Thread(read_ahead(self.table, self.origin, columns)).into());
        }
        let values = self.read_all(width)?;
        let rng =
            (!in_order).then(|| ChaCha8Rng::seed_from_u64(self.config.seed.unwrap_or(entropy)));
        Ok(Inner::Memory(Box::new(Memory {
            values,
            width,
            next: 0,
            rng,
        }))
        .into())
    }

    fn read_all(&mut self, width: usize) -> Result<Vec<f64>, DatasetError> {
        let mut values = Vec::new();
        while self.table.read_row(&mut values)? {
            if values.len() > self.config.values_max {
                let values_max = self.config.values_max;
                return Err(DatasetError::TooLarge {
                    name: self.origin.name(),
                    values_max,
                });
            }
        }
        if values.len() < width {
            return Err(DatasetError::Empty {
                name: self.origin.name(),
            });
        }
        Ok(values)
    }
}

/// A stream of rows.
pub struct Source {
    inner: Inner,
    /// An error found while filling a batch; the rows before it are returned first.
    failed: Option<DatasetError>,
}

enum Inner {
    Memory(Box<Memory>),
    Thread(mpsc::Receiver<Result<Sample, DatasetError>>),
}

struct Memory {
    /// Row-major, the target last.
    values: Vec<f64>,
    width: usize,
    next: usize,
    rng: Option<ChaCha8Rng>,
}

impl Source {
    /// Waits for at least one row, then takes what is there up to `max`. Empty at the end of the stream. Cancel safe.
    ///
    /// # Errors
    /// At a bad row; the rows before it were returned, the rows after it are not read.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Sample>, DatasetError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match &mut self.inner {
            Inner::Memory(memory) => Ok((0..max).map(|_| memory.draw()).collect()),
            Inner::Thread(rows) => {
                let Some(first) = rows.recv().await else {
                    return Ok(Vec::new());
                };
                let mut batch = vec![first?];
                while batch.len() < max {
                    match rows.try_recv() {
                        Ok(Ok(next)) => batch.push(next),
                        Ok(Err(error)) => {
                            self.failed = Some(error);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                Ok(batch)
            }
        }
    }
}

impl From<Inner> for Source {
    fn from(inner: Inner) -> Self {
        Self {
            inner,
            failed: None,
        }
    }
}

impl Memory {
    fn draw(&mut self) -> Sample {
        let rows = self.values.len() / self.width;
        let row = match &mut self.rng {
            Some(rng) => rng.random_range(0..rows),
            None => self.next % rows,
        };
        self.next = (row + 1) % rows;
        sample(&self.values[row * self.width..(row + 1) * self.width])
    }
}

fn choose(table: &mut Table<Box<dyn Read + Send>>, columns: &[(usize, ColumnKind)]) {
    table.choose(columns.iter().map(|(column, _)| *column).collect());
    for (column, kind) in columns {
        table.expect(*column, kind.clone());
    }
}

fn sample(values: &[f64]) -> Sample {
    let (target, features) = values.split_last().unwrap_or((&0.0, &[]));
    Sample {
        features: features.to_vec(),
        target: *target,
    }
}

fn read_ahead(
    table: Table<Box<dyn Read + Send>>,
    origin: Origin,
    columns: Vec<(usize, ColumnKind)>,
) -> mpsc::Receiver<Result<Sample, DatasetError>> {
    let (rows, receiver) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || {
        if let Err(error) = read_repeatedly(table, &origin, &columns, &rows) {
            drop(rows.blocking_send(Err(error)));
        }
    });
    receiver
}

/// Reads to the end, a file over and over, until the receiver is dropped.
fn read_repeatedly(
    mut table: Table<Box<dyn Read + Send>>,
    origin: &Origin,
    columns: &[(usize, ColumnKind)],
    rows: &mpsc::Sender<Result<Sample, DatasetError>>,
) -> Result<(), DatasetError> {
    let mut values = Vec::with_capacity(columns.len());
    loop {
        let mut rows_read = 0_u64;
        while table.read_row(&mut values)? {
            rows_read += 1;
            if rows.blocking_send(Ok(sample(&values))).is_err() {
                return Ok(());
            }
            values.clear();
        }
        if rows_read == 0 {
            return Err(DatasetError::Empty {
                name: origin.name(),
            });
        }
        if matches!(origin, Origin::Stdin) {
            return Ok(());
        }
        table = origin.open()?;
        choose(&mut table, columns);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn config(source: &str, order: Order) -> Config {
        Config {
            source: source.to_owned(),
            order,
            seed: Some(7),
            ..Config::default()
        }
    }

    async fn targets(config: &Config, count: usize) -> Result<Vec<f64>, DatasetError> {
        let mut source = Dataset::open(config).await?.into_source(0)?;
        let mut targets = Vec::new();
        while targets.len() < count {
            let batch = source.next_batch(count - targets.len()).await?;
            targets.extend(batch.into_iter().map(|sample| sample.target));
        }
        Ok(targets)
    }

    #[tokio::test]
    async fn the_bundled_rows_are_442_and_start_over() {
        let targets = targets(&config(BUNDLED, Order::Sequential), 443)
            .await
            .unwrap();
        assert_eq!(
            (targets[0], targets[441], targets[442]),
            (151.0, 57.0, 151.0)
        );
    }

    #[tokio::test]
    async fn a_file_in_order_starts_over_at_its_end() {
        let file = file("x,target\n1,10\n2,20\n");
        let config = config(file.path().to_str().unwrap(), Order::Sequential);
        assert_eq!(
            targets(&config, 5).await.unwrap(),
            [10.0, 20.0, 10.0, 20.0, 10.0]
        );
    }

    #[tokio::test]
    async fn the_same_seed_draws_the_same_rows() {
        let config = config(BUNDLED, Order::Random);
        let first = targets(&config, 100).await.unwrap();
        assert_eq!(first, targets(&config, 100).await.unwrap());
        let other = Config {
            seed: Some(8),
            ..config
        };
        assert_ne!(first, targets(&other, 100).await.unwrap());
    }

    #[tokio::test]
    async fn a_missing_target_lists_what_is_there() {
        let file = file("x,y\n1,2\n");
        let config = config(file.path().to_str().unwrap(), Order::Random);
        let error = Dataset::open(&config).await.err().unwrap().to_string();
        assert!(
            error.contains("no column `target`; its columns are `x`, `y`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_random_order_is_bounded() {
        let file = file("x,target\n1,2\n3,4\n");
        let config = Config {
            values_max: 3,
            ..config(file.path().to_str().unwrap(), Order::Random)
        };
        assert!(matches!(
            targets(&config, 1).await,
            Err(DatasetError::TooLarge { values_max: 3, .. })
        ));
    }

    #[tokio::test]
    async fn rows_before_a_bad_one_are_given_out() {
        let file = file("x,target\n1,10\n2,oops\n");
        let mut source = Dataset::open(&config(file.path().to_str().unwrap(), Order::Sequential))
            .await
            .unwrap()
            .into_source(0)
            .unwrap();
        assert_eq!(source.next_batch(1).await.unwrap()[0].target, 10.0);
        assert!(matches!(
            source.next_batch(1).await,
            Err(DatasetError::Text { line: 3, .. })
        ));
    }
}
