//! What features said it sent, life by life: each id with its row, and whether the bus had confirmed it.
//!
//! A line is written before the id leaves the process, and `confirmed` after the bus said so; a line that is written
//! survives `kill -9`. So what was confirmed must be in the log, what was not even announced must not, and what is in
//! between may have gone either way.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
};

use serde::Deserialize;

/// What became of an id as far as features knew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Which row of the data.
    pub(crate) row: usize,
    pub(crate) is_confirmed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Journal(pub(crate) HashMap<String, Sent>);

#[derive(Deserialize)]
struct Line {
    message: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    rows: usize,
}

impl Journal {
    /// Adds one life, which read `rows` rows in order, over and over.
    pub(crate) fn read(&mut self, path: &Path, rows: usize) {
        let mut ids = Vec::new();
        let mut confirmed = 0;
        let lines = BufReader::new(fs::File::open(path).unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            // The last line may be torn.
            let Ok(line) = serde_json::from_str::<Line>(&line) else {
                continue;
            };
            match line.message.as_str() {
                "sent" => ids.push(line.id),
                "confirmed" => confirmed = line.rows,
                _ => {}
            }
        }
        assert!(confirmed <= ids.len(), "{}", path.display());
        for (at, id) in ids.into_iter().enumerate() {
            let sent = Sent {
                row: at % rows,
                is_confirmed: at < confirmed,
            };
            let before = self.0.insert(id, sent);
            assert!(before.is_none(), "an id was sent twice");
        }
    }

    pub(crate) fn confirmed(&self) -> impl Iterator<Item = &str> {
        let sent = self.0.iter().filter(|(_, sent)| sent.is_confirmed);
        sent.map(|(id, _)| id.as_str())
    }
}
