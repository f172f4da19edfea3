//! `task.json` beside the log: says that its numbers are labels, and which.
//!
//! A log has four columns of which three are numbers, so this file says whether 2.0 is a measurement or a class, and the
//! text of each class. Other processes and later readers rely on it. A log of a regression has no such file.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{Disk, LogError, TaskFileError};
use crate::task::{self, TaskSpec};

/// The file's name.
const NAME: &str = "task.json";

/// A larger file is not one that we wrote.
const BYTES_MAX: u64 = 4 << 20;

/// The path of the file in a logs folder.
#[must_use]
pub fn task_file(logs: &Path) -> PathBuf {
    logs.join(NAME)
}

/// What the predictions in this folder's log are; none where there is no such file.
///
/// # Errors
/// From the file system, or a file that is not ours.
pub fn read_task(logs: &Path) -> Result<Option<TaskSpec>, LogError> {
    let path = task_file(logs);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io("open", &path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(LogError::io("read", &path))?;
    parse(&path, &bytes).map(Some)
}

/// The same through [`Disk`], which simulations replace. A separate function, because [`Disk::open`] creates files and
/// needs write access, and a reader of somebody else's log may have none.
///
/// # Errors
/// As [`read_task`].
pub fn read_task_on(disk: &dyn Disk, logs: &Path) -> Result<Option<TaskSpec>, LogError> {
    let path = task_file(logs);
    if !disk
        .exists(&path)
        .map_err(LogError::io("look for", &path))?
    {
        return Ok(None);
    }
    let file = disk.open(&path).map_err(LogError::io("open", &path))?;
    let size = file.size().map_err(LogError::io("size", &path))?;
    let mut bytes = vec![0; usize::try_from(size.min(BYTES_MAX)).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        let read = file
            .read_at(filled as u64, &mut bytes[filled..])
            .map_err(LogError::io("read", &path))?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    bytes.truncate(filled);
    parse(&path, &bytes).map(Some)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<TaskSpec, LogError> {
    checked(bytes).map_err(|source| LogError::Task {
        path: path.to_owned(),
        source,
    })
}

fn checked(bytes: &[u8]) -> Result<TaskSpec, TaskFileError> {
    let spec: TaskSpec = serde_json::from_slice(bytes)?;
    if let Some(labels) = &spec.labels {
        task::check_labels(labels)?;
    }
    Ok(spec)
}

/// Writes, durably, what the predictions in this folder's log are. Call it before the first row is written.
///
/// # Errors
/// From the file system.
pub fn write_task(disk: &dyn Disk, logs: &Path, spec: &TaskSpec) -> Result<(), LogError> {
    let path = task_file(logs);
    let temporary = path.with_extension("new");
    let bytes = serde_json::to_vec(spec).unwrap_or_default();
    let written = disk.open(&temporary).and_then(|file| {
        file.set_size(0)?;
        file.write_at(0, &bytes)?;
        file.sync()
    });
    written
        .and_then(|()| disk.rename(&temporary, &path))
        .and_then(|()| disk.sync_dir(logs))
        .map_err(LogError::io("write", &path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{metric_log::RealDisk, task::Labels};

    #[test]
    fn what_is_written_is_read_by_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_task(folder.path()).unwrap(), None);
        let labels = Labels::Text(vec!["setosa".to_owned(), "virginica".to_owned()]);
        let spec = TaskSpec::of_labels(Some(labels));
        write_task(&RealDisk, folder.path(), &spec).unwrap();
        assert_eq!(read_task(folder.path()).unwrap(), Some(spec.clone()));
        assert_eq!(read_task_on(&RealDisk, folder.path()).unwrap(), Some(spec));
        assert_eq!(
            fs::read_to_string(task_file(folder.path())).unwrap(),
            r#"{"task":"classification","labels":["setosa","virginica"]}"#
        );
    }

    #[test]
    fn a_foreign_file_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "",
            "[]",
            r#"{"task":"sorting"}"#,
            r#"{"task":"classification","labels":["a","a"]}"#,
        ] {
            fs::write(task_file(folder.path()), text).unwrap();
            let error = read_task(folder.path()).unwrap_err().to_string();
            assert!(error.contains("task.json"), "{error}");
        }
    }
}
