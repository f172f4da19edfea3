//! The one file format: `metric_log.csv`, a row for every matched id.
//!
//! Duty: write rows so that they survive, repair what a crash tore, and read what is new since last time.
//! Promises: the header stands once in each file; numbers are the shortest decimals that read back as the same
//! `f64`; a reader never sees half a line; every error names the file, the line where there is one, and the mend.
//!
//! The live file is always `metric_log.csv` (`metric_log-0of4.csv` for one of four partitions). Rotation renames it
//! to `metric_log.000001.csv`, then `metric_log.000002.csv` and so on, and begins a new live file.
//! Whether the numbers are labels, and which, says `task.json` beside it ([`read_task`]).
//! Deliberately absent: what a row means, and who decided that it was recorded only once (that is the ledger).

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
