//! The one file format: `metric_log.csv`, a row for every matched id.
//!
//! Duty: write rows so that they survive a crash, repair what a crash left torn, and read what is new since the last time.
//! Promises: each file has the header once; numbers are the shortest decimals that read back as the same `f64`; a reader
//! never sees half a line; every error names the file, the line where there is one, and the remedy.
//!
//! The live file is always `metric_log.csv` (`metric_log-0of4.csv` for one of four partitions). Rotation renames it
//! to `metric_log.000001.csv`, then `metric_log.000002.csv` and so on, and begins a new live file.
//! `task.json` in the same folder says whether the numbers are labels, and which ([`read_task`]).
//! Deliberately absent: what a row means, and that it is recorded only once (the ledger sees to that).

mod disk;
mod error;
mod line;
mod parts;
mod reader;
mod task_file;
mod writer;

pub use disk::{Disk, DiskFile, Lock, RealDisk, rewrite_in_place};
pub use error::{LineError, LogError, TaskFileError};
pub use line::{HEADER, Row, RowRef, push_field, push_number, unquote};
pub use parts::{Series, series_in};
pub use reader::{Batch, Reader};
pub use task_file::{read_task, read_task_on, task_file, write_task};
pub use writer::{Scan, Writer, each_line};
