//! Commands that read one file and write another, or standard output.

use std::{
    borrow::Cow,
    fmt::Display,
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    clock::Clock,
    config::Config,
    dataset::{Kind, Table},
    pipeline::{self, inputs},
    services::{metric, plot},
};
use residual_model::{Model, Rows};

/// Rows scored in one go: enough to hide candle's fixed cost, and a bound on memory.
const SCORE_ROWS: usize = 4_096;

/// Prints a result.
pub(super) fn print(result: &impl Display) -> Result<()> {
    quiet_pipe(writeln!(io::stdout().lock(), "{result}"))
}

/// Whoever reads our output may have seen enough (`| head`): that is no failure.
fn quiet_pipe(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}

pub(super) fn convert(input: &Path, output: Option<PathBuf>) -> Result<()> {
    let output = output.unwrap_or_else(|| input.with_extension("safetensors"));
    if output == input {
        bail!(
            "`{}` would be overwritten; name another file by `--output`",
            input.display()
        );
    }
    let bytes =
        std::fs::read(input).with_context(|| format!("cannot read `{}`", input.display()))?;
    let converted = residual_model::convert(&input.display().to_string(), &bytes)?;
    replace(&output, &converted).with_context(|| format!("cannot write `{}`", output.display()))?;
    print(&format_args!(
        "{} -> {}\n{}",
        input.display(),
        output.display(),
        residual_model::inspect(&output)?
    ))
}

/// Writes beside the old file and renames, so that a running predictor never reads half a model.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
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

/// A log that somebody names must be there, while that of the settings may come later.
fn named_log(log: PathBuf) -> Result<PathBuf> {
    let name = log.display();
    if log.extension().is_none_or(|extension| extension != "csv") {
        bail!("`{name}` is no log: the name of a log ends in `.csv`");
    }
    File::open(&log).with_context(|| format!("cannot read `{name}`, named by `--input`"))?;
    Ok(log)
}

pub(super) fn plot_once(config: &Config, input: Option<PathBuf>) -> Result<()> {
    let output = pipeline::picture(config);
    let log = match input {
        Some(log) => named_log(log)?,
        None => inputs::log_file(&config.logs),
    };
    let settings = pipeline::judged(config)?.plot;
    let drawn = plot::draw_once(
        &log,
        &output,
        &settings,
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
            Kind::Dense
        } else {
            Kind::Sparse
        };
        table.expect(*column, kind);
    }
    table.choose(columns);
    let mut out = BufWriter::new(io::stdout().lock());
    score(&model, &mut table, &mut out)
}

fn score(model: &Model, table: &mut Table<Box<dyn Read>>, out: &mut impl Write) -> Result<()> {
    // A number is its own label; of text the number is only the place.
    let labels = model.classes().filter(|labels| labels.is_text());
    quiet_pipe(writeln!(out, "y_pred"))?;
    loop {
        let mut values = Vec::new();
        let mut rows = 0;
        while rows < SCORE_ROWS && table.read_row(&mut values)? {
            rows += 1;
        }
        if rows == 0 {
            return quiet_pipe(out.flush());
        }
        for y_pred in model.predict(&Rows::new(model.info().n_features, values)?)? {
            let label = labels.and_then(|labels| Some(labels.name(labels.index(y_pred)?)));
            quiet_pipe(match label {
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
