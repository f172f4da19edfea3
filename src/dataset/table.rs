//! A CSV table, read row by row: numbers, and labels in one column, in a chosen order of columns.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::DatasetError;
use crate::task::Labels;

/// Rows of numbers below a header. Only one buffer is read ahead.
pub struct Table<R> {
    name: String,
    header: Vec<String>,
    columns: Vec<usize>,
    kinds: Vec<ColumnKind>,
    reader: csv::Reader<R>,
    record: StringRecord,
}

/// What the cells of a column may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ColumnKind {
    /// Finite numbers.
    #[default]
    Number,
    /// Finite numbers of which some may be missing.
    Optional,
    /// Finite numbers; the model accepts no missing ones.
    Required,
    /// One of these labels.
    Label(Labels),
    /// Finite numbers, the true answers; text here means labels that the settings do not name.
    Target,
}

impl<R: Read> Table<R> {
    /// Reads the header of `input`. All columns are chosen until [`Table::choose`].
    ///
    /// # Errors
    /// When there is no header row.
    pub fn open(name: &str, input: R) -> Result<Self, DatasetError> {
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(input);
        let header = reader.headers().map_err(|source| DatasetError::Csv {
            name: name.to_owned(),
            source,
        })?;
        let header: Vec<_> = header
            .iter()
            .map(|cell| cell.trim_start_matches('\u{feff}').to_owned())
            .collect();
        if header.is_empty() || header.iter().all(String::is_empty) {
            return Err(DatasetError::Empty {
                name: name.to_owned(),
            });
        }
        if header.iter().all(|cell| cell.parse::<f64>().is_ok()) {
            return Err(DatasetError::NoHeader {
                name: name.to_owned(),
            });
        }
        let columns = (0..header.len()).collect();
        let kinds = vec![ColumnKind::Number; header.len()];
        Ok(Self {
            name: name.to_owned(),
            header,
            columns,
            kinds,
            reader,
            record: StringRecord::new(),
        })
    }

    /// The names of all columns, in the file's order.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Chooses columns by their index in the header, in the order in which [`Table::read_row`] returns them.
    pub fn choose(&mut self, columns: Vec<usize>) {
        debug_assert!(
            columns.iter().all(|&column| column < self.header.len()),
            "columns come from the header"
        );
        self.columns = columns;
    }

    /// Sets what the cells of a column may be; without it, they are numbers.
    pub fn expect(&mut self, column: usize, kind: ColumnKind) {
        if let Some(place) = self.kinds.get_mut(column) {
            *place = kind;
        }
    }

    /// The index of a named column.
    ///
    /// # Errors
    /// When there is none; `remedy` says what to do then.
    pub fn column(&self, column: &str, remedy: &'static str) -> Result<usize, DatasetError> {
        self.header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| DatasetError::MissingColumn {
                name: self.name.clone(),
                column: column.to_owned(),
                header: self.header.clone(),
                remedy,
            })
    }

    /// Appends the chosen values of the next row to `values`; false at the end.
    ///
    /// # Errors
    /// At a row of another length or a cell that its column does not allow; then nothing is appended.
    pub fn read_row(&mut self, values: &mut Vec<f64>) -> Result<bool, DatasetError> {
        let read = self.reader.read_record(&mut self.record);
        if !read.map_err(|source| DatasetError::Csv {
            name: self.name.clone(),
            source,
        })? {
            return Ok(false);
        }
        let before = values.len();
        for &column in &self.columns {
            let cell = self.record.get(column).unwrap_or_default();
            let Some(value) = value(cell, &self.kinds[column]) else {
                let error = self.cell_error(column, cell);
                values.truncate(before);
                return Err(error);
            };
            values.push(value);
        }
        Ok(true)
    }

    fn cell_error(&self, column: usize, cell: &str) -> DatasetError {
        let name = self.name.clone();
        let line = self.record.position().map_or(0, csv::Position::line);
        let value: String = cell.chars().take(60).collect();
        let kind = &self.kinds[column];
        let column = self.header[column].clone();
        match kind {
            ColumnKind::Label(labels) => DatasetError::UnknownLabel {
                name,
                line,
                column,
                value,
                known: labels.to_string(),
            },
            ColumnKind::Required if is_missing(cell) => {
                DatasetError::Missing { name, line, column }
            }
            ColumnKind::Target if !cell.is_empty() && cell.parse::<f64>().is_err() => {
                DatasetError::Text {
                    name,
                    line,
                    column,
                    value,
                }
            }
            _ => DatasetError::Cell {
                name,
                line,
                column,
                value,
            },
        }
    }
}

#[inline]
fn value(cell: &str, kind: &ColumnKind) -> Option<f64> {
    match kind {
        ColumnKind::Label(labels) => labels.parse(cell),
        ColumnKind::Optional if is_missing(cell) => Some(f64::NAN),
        _ => finite(cell),
    }
}

/// Empty as spreadsheets write it, or `NaN` as pandas does.
fn is_missing(cell: &str) -> bool {
    cell.is_empty() || cell.eq_ignore_ascii_case("nan")
}

fn finite(cell: &str) -> Option<f64> {
    cell.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<f64>, String> {
        let mut table = Table::open("t.csv", text.as_bytes()).map_err(|error| error.to_string())?;
        let mut values = Vec::new();
        while table
            .read_row(&mut values)
            .map_err(|error| error.to_string())?
        {}
        Ok(values)
    }

    #[test]
    fn numbers_are_read_in_the_chosen_order() {
        let mut table = Table::open("t.csv", "a,b,c\n1, 2 ,3e1\r\n".as_bytes()).unwrap();
        table.choose(vec![2, 0]);
        let mut values = Vec::new();
        assert!(table.read_row(&mut values).unwrap());
        assert_eq!(values, [30.0, 1.0]);
        assert!(!table.read_row(&mut values).unwrap());
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(rows(text).unwrap_err(), expected);
    }

    #[test]
    fn a_bad_cell_is_named_by_line_and_column() {
        refused(
            "a,b\n1,2\n3,x\n",
            "`t.csv` line 3, column `b`: \"x\" is not a finite number; correct or remove that row",
        );
        refused(
            "a,b\n1,NaN\n",
            "`t.csv` line 2, column `b`: \"NaN\" is not a finite number; correct or remove that row",
        );
        refused(
            "a,b\n,1\n",
            "`t.csv` line 2, column `a`: \"\" is not a finite number; correct or remove that row",
        );
    }

    fn read(text: &str, kinds: [ColumnKind; 2]) -> Result<Vec<f64>, String> {
        let mut table = Table::open("t.csv", text.as_bytes()).unwrap();
        for (column, kind) in kinds.into_iter().enumerate() {
            table.expect(column, kind);
        }
        let mut values = Vec::new();
        while table
            .read_row(&mut values)
            .map_err(|error| error.to_string())?
        {}
        Ok(values)
    }

    #[test]
    fn a_label_is_its_index_and_an_unknown_one_is_refused_with_the_known_ones() {
        let labels = Labels::Text(vec!["no".to_owned(), "yes".to_owned()]);
        let kinds = || [ColumnKind::Required, ColumnKind::Label(labels.clone())];
        assert_eq!(
            read("a,b\n1,yes\n2,no\n", kinds()).unwrap(),
            [1.0, 1.0, 2.0, 0.0]
        );
        let error = read("a,b\n1,yes\n2,maybe\n", kinds()).unwrap_err();
        assert!(
            error.starts_with(
                "`t.csv` line 3, column `b`: \"maybe\" is no known label; known are `no`, `yes`"
            ),
            "{error}"
        );
        let error = read("a,b\n1,yes\n", [ColumnKind::Number, ColumnKind::Target]).unwrap_err();
        assert!(error.contains("by the setting `labels`"), "{error}");
    }

    #[test]
    fn a_missing_value_is_nan_where_the_model_takes_it_and_refused_where_not() {
        let values = read(
            "a,b\n,1\nNaN,2\n",
            [ColumnKind::Optional, ColumnKind::Number],
        )
        .unwrap();
        assert!(values[0].is_nan() && values[2].is_nan() && values[3] == 2.0);
        let error = read("a,b\n1,1\n,2\n", [ColumnKind::Required, ColumnKind::Number]).unwrap_err();
        assert!(
            error.starts_with("`t.csv` line 3, column `a`: the value is missing"),
            "{error}"
        );
        let error = read("a,b\ninf,1\n", [ColumnKind::Optional, ColumnKind::Number]).unwrap_err();
        assert!(error.contains("\"inf\" is not a finite number"), "{error}");
    }

    #[test]
    fn a_missing_header_or_an_empty_file_is_said() {
        refused(
            "1,2\n3,4\n",
            "`t.csv` starts with numbers, expected a header row with the names of the columns",
        );
        refused("", "`t.csv` has no rows below its header");
        refused(
            "a,b\n1\n",
            "`t.csv` is not CSV with a header row and equally long rows",
        );
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_name() {
        let table = Table::open("t.csv", "\u{feff}a,b\n".as_bytes()).unwrap();
        assert_eq!(table.header(), ["a", "b"]);
    }
}
