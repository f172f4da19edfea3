//! Commands that read files and write a file or standard output.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::output::{ignore_closed_pipe, print};
use crate::{
    clock::Clock,
    config::Config,
    dataset::{ColumnKind, Table},
    pipeline,
    services::{metric, plot},
};
use residual_model::{Model, Rows};

/// Rows scored at a time: enough to make candle's fixed cost small, and a bound on memory.
const BATCH_ROWS: usize = 4_096;

pub(super) fn convert(input: &Path, output: Option<PathBuf>) -> Result<()> {
    let output = output.unwrap_or_else(|| input.with_extension("safetensors"));
    if output == input {
        bail!(
            "`{}` would be overwritten; name another file with `--output`",
            input.display()
        );
    }
    let bytes =
        std::fs::read(input).with_context(|| format!("cannot read `{}`", input.display()))?;
    let converted = residual_model::convert(&input.display().to_string(), &bytes)?;
    write_atomically(&output, &converted)
        .with_context(|| format!("cannot write `{}`", output.display()))?;
    print(&format_args!(
        "{} -> {}\n{}",
        input.display(),
        output.display(),
        residual_model::inspect(&output)?
    ))
}

/// Writes a new file beside the old one and renames it, so that a running predictor never reads half a model.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}

pub(super) fn inspect(file: &Path) -> Result<()> {
    print(&residual_model::inspect(file)?)
}

pub(super) fn verify(config: &Config) -> Result<()> {
    let report = metric::verify_as(&config.logs, config.task)?;
    print(&report)?;
    if report.is_clean() {
        Ok(())
    } else {
        bail!("the log has faults")
    }
}

/// A log named by `--input` must exist, while that of the settings may be created later.
fn existing_log(log: PathBuf) -> Result<PathBuf> {
    let name = log.display();
    if log.extension().is_none_or(|extension| extension != "csv") {
        bail!("`{name}` is not a log: the name of a log ends in `.csv`");
    }
    File::open(&log).with_context(|| format!("cannot read `{name}`, named by `--input`"))?;
    Ok(log)
}

pub(super) fn plot_once(config: &Config, input: Option<PathBuf>) -> Result<()> {
    let output = pipeline::picture(config);
    let log = match input {
        Some(log) => existing_log(log)?,
        None => pipeline::log_file(&config.logs),
    };
    let spec = pipeline::task_of_settings(config);
    let drawn = plot::draw_once(
        &log,
        &output,
        spec.as_ref(),
        &config.plot,
        &config.chart,
        Clock::system().now_ms(),
    )?;
    let output = output.display();
    if drawn.shown == drawn.rows {
        return print(&format_args!("{} rows -> {output}", drawn.rows));
    }
    print(&format_args!(
        "{} of {} rows -> {output}",
        drawn.shown, drawn.rows
    ))
}

pub(super) fn predict(model: &Path, input: &Path) -> Result<()> {
    let model = residual_model::open(model)?;
    let name = input.display().to_string();
    let rows: Box<dyn Read> = match name.as_str() {
        "-" => Box::new(io::stdin()),
        _ => Box::new(File::open(input).with_context(|| format!("cannot read `{name}`"))?),
    };
    let mut table = Table::open(&name, rows)?;
    let columns = model.order_columns(table.header())?;
    for (column, is_refused) in columns.iter().zip(model.refuses_missing()) {
        let kind = if is_refused {
            ColumnKind::Required
        } else {
            ColumnKind::Optional
        };
        table.expect(*column, kind);
    }
    table.choose(columns);
    let mut out = BufWriter::new(io::stdout().lock());
    score(&model, &mut table, &mut out)
}

fn score(model: &Model, table: &mut Table<Box<dyn Read>>, out: &mut impl Write) -> Result<()> {
    // A label that is a number is predicted as itself; one that is text, as its index among the labels.
    let labels = model.classes().filter(|labels| labels.is_text());
    ignore_closed_pipe(writeln!(out, "y_pred"))?;
    loop {
        let mut values = Vec::new();
        let mut rows = 0;
        while rows < BATCH_ROWS && table.read_row(&mut values)? {
            rows += 1;
        }
        if rows == 0 {
            return ignore_closed_pipe(out.flush());
        }
        for y_pred in model.predict(&Rows::new(model.info().n_features, values)?)? {
            let label = labels.and_then(|labels| Some(labels.name(labels.index(y_pred)?)));
            ignore_closed_pipe(match label {
                Some(label) => writeln!(out, "{}", csv_field(&label)),
                None => writeln!(out, "{y_pred:?}"),
            })?;
        }
    }
}

/// Quoted where CSV needs it.
fn csv_field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}
