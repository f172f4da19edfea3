//! Which files make up a log: the live one, its older parts, and its partitions.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Disk;

const EXTENSION: &str = ".csv";
/// `metric_log.000001.csv`; more digits are read too.
const NUMBER_DIGITS: usize = 6;

/// The files of one writer: a live file and the older parts that rotation has renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    folder: PathBuf,
    stem: String,
}

impl Series {
    /// The series whose live file is `folder/stem.csv`.
    #[must_use]
    pub fn new(folder: &Path, stem: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            stem: stem.to_owned(),
        }
    }

    /// The series of a live file such as `logs/metric_log.csv`.
    #[must_use]
    pub fn of_live(live: &Path) -> Self {
        let name = live.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.strip_suffix(EXTENSION).unwrap_or(&name);
        let folder = live.parent().filter(|path| !path.as_os_str().is_empty());
        Self::new(folder.unwrap_or(Path::new(".")), stem)
    }

    /// The folder that holds the files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Name of the live file without its extension.
    #[must_use]
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// The file that is being written.
    #[must_use]
    pub fn live(&self) -> PathBuf {
        self.folder.join(format!("{}{EXTENSION}", self.stem))
    }

    /// An older part, from 1.
    #[must_use]
    pub fn part(&self, number: u32) -> PathBuf {
        self.folder
            .join(format!("{}.{number:0NUMBER_DIGITS$}{EXTENSION}", self.stem))
    }

    /// Numbers of the older parts that exist, in order.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn parts(&self, disk: &dyn Disk) -> io::Result<Vec<u32>> {
        let files = disk.list(&self.folder)?;
        let mut numbers: Vec<u32> = files
            .iter()
            .filter_map(|path| self.number_of(path))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn number_of(&self, path: &Path) -> Option<u32> {
        let name = path.file_name()?.to_str()?;
        let digits = name
            .strip_prefix(&self.stem)?
            .strip_prefix('.')?
            .strip_suffix(EXTENSION)?;
        let is_number = digits.len() >= NUMBER_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    }
}

/// All series of a log: the one of `live` itself, and its partitions `live-0of4`, `live-1of4` and so on.
///
/// # Errors
/// When the folder cannot be listed.
pub fn series_in(live: &Path, disk: &dyn Disk) -> io::Result<Vec<Series>> {
    let whole = Series::of_live(live);
    let mut found: Vec<Series> = disk
        .list(&whole.folder)?
        .iter()
        .filter_map(|path| path.file_name()?.to_str()?.strip_suffix(EXTENSION))
        .map(|name| name.split_once('.').map_or(name, |(stem, _)| stem))
        .filter(|stem| *stem == whole.stem || is_partition(stem, &whole.stem))
        .map(|stem| Series::new(&whole.folder, stem))
        .collect();
    found.push(whole);
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn is_partition(stem: &str, whole: &str) -> bool {
    let numbers = stem
        .strip_prefix(whole)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.split_once("of"));
    numbers
        .is_some_and(|(index, count)| index.parse::<u32>().is_ok() && count.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric_log::RealDisk;

    #[test]
    fn parts_and_partitions_are_found_and_strangers_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "metric_log.csv",
            "metric_log.000001.csv",
            "metric_log.000012.csv",
            "metric_log.old.csv",
            "metric_log-0of2.csv",
            "metric_log-1of2.000001.csv",
            "metric_log-backup.csv",
            "unmatched.csv",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let live = folder.path().join("metric_log.csv");
        let series = series_in(&live, &RealDisk).unwrap();
        let stems: Vec<_> = series.iter().map(Series::stem).collect();
        assert_eq!(stems, ["metric_log", "metric_log-0of2", "metric_log-1of2"]);
        assert_eq!(series[0].parts(&RealDisk).unwrap(), [1, 12]);
        assert_eq!(series[0].live(), live);
        assert!(
            series[0]
                .part(12)
                .to_string_lossy()
                .ends_with("metric_log.000012.csv")
        );
    }
}
