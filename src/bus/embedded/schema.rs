//! How the broker lies on the disk: four tables of one redb file.
//!
//! | table | key | value |
//! |---|---|---|
//! | `topics` | name | id, bound and groups as JSON |
//! | `messages` | topic id, number | header (postcard) and body |
//! | `done` | topic id, group, number | a group that is done while others wait |
//! | `attempts` | topic id, group, number | tries so far; none means none |
//!
//! Promise: a message leaves with its last group, in the same commit; what cannot be decoded is an error that names
//! the record, never a panic. Deliberately absent: delays of retries. After a restart a delayed message is ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    super::Message,
    group::Group,
    op::{Op, TopicRecord},
    topic::{AppendedMessage, Topic},
};

const VERSION: u64 = 1;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const TOPICS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("topics");
const MESSAGES: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("messages");
const DONE: TableDefinition<'_, (u32, u32, u64), ()> = TableDefinition::new("done");
const ATTEMPTS: TableDefinition<'_, (u32, u32, u64), u32> = TableDefinition::new("attempts");
/// The file is small and its hot part is what was written last; the messages themselves are in memory.
const CACHE_BYTES: usize = 16 << 20;

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("the file is open in another process")]
    InUse,
    #[error("format {found} is not the {VERSION} that this version reads")]
    Version { found: u64 },
    #[error("record {record} is damaged")]
    Damaged {
        record: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(transparent)]
    Redb(#[from] redb::Error),
}

/// Turns each of redb's error types into its common one.
fn redb_error(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Redb(error.into())
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    id: [u8; 16],
    #[serde(borrow)]
    content_type: &'a str,
    #[serde(borrow)]
    headers: BTreeMap<&'a str, &'a str>,
}

/// Opens or creates the file.
pub(super) fn open(file: &Path) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    let database = builder.set_cache_size(CACHE_BYTES).create(file);
    let database = database.map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse,
        other => redb_error(other),
    })?;
    check_version(&database)?;
    Ok(database)
}

fn check_version(database: &Database) -> Result<(), StoreError> {
    let read = database.begin_read().map_err(redb_error)?;
    match read.open_table(META) {
        Ok(table) => {
            let found = table.get("version").map_err(redb_error)?;
            let found = found.map_or(0, |version| version.value());
            (found == VERSION)
                .then_some(())
                .ok_or(StoreError::Version { found })
        }
        Err(TableError::TableDoesNotExist(_)) => initialize(database),
        Err(error) => Err(redb_error(error)),
    }
}

fn initialize(database: &Database) -> Result<(), StoreError> {
    let write = database.begin_write().map_err(redb_error)?;
    write
        .open_table(META)
        .map_err(redb_error)?
        .insert("version", VERSION)
        .map_err(redb_error)?;
    write.open_table(TOPICS).map_err(redb_error)?;
    write.open_table(MESSAGES).map_err(redb_error)?;
    write.open_table(DONE).map_err(redb_error)?;
    write.open_table(ATTEMPTS).map_err(redb_error)?;
    write.commit().map_err(redb_error)
}

/// The tables that almost every operation needs, opened once a commit.
struct Tables<'a> {
    messages: Table<'a, (u32, u64), &'static [u8]>,
    done: Table<'a, (u32, u32, u64), ()>,
    attempts: Table<'a, (u32, u32, u64), u32>,
}

/// Stores operations in one commit.
pub(super) fn commit<'a>(
    database: &Database,
    ops: impl Iterator<Item = &'a Op>,
) -> Result<(), StoreError> {
    let write = database.begin_write().map_err(redb_error)?;
    let mut tables = Tables {
        messages: write.open_table(MESSAGES).map_err(redb_error)?,
        done: write.open_table(DONE).map_err(redb_error)?,
        attempts: write.open_table(ATTEMPTS).map_err(redb_error)?,
    };
    for op in ops {
        tables.apply(&write, op)?;
    }
    drop(tables);
    write.commit().map_err(redb_error)
}

fn save(write: &WriteTransaction, record: &TopicRecord) -> Result<(), StoreError> {
    let json = serde_json::to_vec(record).map_err(|source| damaged(&record.name, source))?;
    let mut table = write.open_table(TOPICS).map_err(redb_error)?;
    table
        .insert(record.name.as_str(), json.as_slice())
        .map_err(redb_error)?;
    Ok(())
}

impl Tables<'_> {
    fn apply(&mut self, write: &WriteTransaction, op: &Op) -> Result<(), StoreError> {
        match op {
            Op::Topics(records) => records.iter().try_for_each(|record| save(write, record)),
            Op::Append { topic, messages } => self.append(topic.id, messages),
            Op::Attempts {
                topic,
                group,
                tries,
            } => self.record((*topic, *group), tries),
            Op::Done {
                topic,
                group,
                groups,
                done,
                tries,
            } => {
                self.record((*topic, *group), tries)?;
                self.finish((*topic, *group), *groups, done)
            }
            Op::Flush => Ok(()),
        }
    }

    fn append(&mut self, topic: u32, messages: &[AppendedMessage]) -> Result<(), StoreError> {
        for admission in messages {
            let value = encode(&admission.message)?;
            self.messages
                .insert((topic, admission.seq), value.as_slice())
                .map_err(redb_error)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        (topic, group): (u32, u32),
        tries: &[(u64, u32)],
    ) -> Result<(), StoreError> {
        for (seq, attempts) in tries {
            let key = (topic, group, *seq);
            if *attempts == 0 {
                self.attempts.remove(key).map_err(redb_error)?;
            } else {
                self.attempts.insert(key, *attempts).map_err(redb_error)?;
            }
        }
        Ok(())
    }

    fn finish(
        &mut self,
        (topic, group): (u32, u32),
        groups: u32,
        finished: &[(u64, bool)],
    ) -> Result<(), StoreError> {
        for (seq, last) in finished {
            let key = (topic, group, *seq);
            self.attempts.remove(key).map_err(redb_error)?;
            if !last {
                self.done.insert(key, ()).map_err(redb_error)?;
                continue;
            }
            self.messages.remove((topic, *seq)).map_err(redb_error)?;
            for other in (0..groups).filter(|other| *other != group) {
                self.done.remove((topic, other, *seq)).map_err(redb_error)?;
            }
        }
        Ok(())
    }
}

fn damaged(
    record: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Damaged {
        record: record.to_owned(),
        source: source.into(),
    }
}

/// Four bytes of header length, the header, the body: the body is copied once and never walked.
fn encode(message: &Message) -> Result<Vec<u8>, StoreError> {
    let header = Header {
        id: message.id.into_bytes(),
        content_type: &message.content_type,
        headers: message
            .headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect(),
    };
    let name = || format!("of message {}", message.id);
    let header = postcard::to_stdvec(&header).map_err(|source| damaged(&name(), source))?;
    let length = u32::try_from(header.len()).map_err(|source| damaged(&name(), source))?;
    let mut value = Vec::with_capacity(4 + header.len() + message.body.len());
    value.extend_from_slice(&length.to_le_bytes());
    value.extend_from_slice(&header);
    value.extend_from_slice(&message.body);
    Ok(value)
}

fn decode(value: &[u8]) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
    let (length, rest) = value.split_first_chunk::<4>().ok_or("it is too short")?;
    let length = u32::from_le_bytes(*length) as usize;
    let (header, body) = rest.split_at_checked(length).ok_or("its header is cut")?;
    let header: Header<'_> = postcard::from_bytes(header)?;
    Ok(Message {
        id: Uuid::from_bytes(header.id),
        content_type: header.content_type.to_owned(),
        headers: header
            .headers
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
        body: Bytes::copy_from_slice(body),
    })
}

/// Everything that waits, as it was when the last commit ended.
pub(super) fn load(database: &Database) -> Result<Vec<Arc<Topic>>, StoreError> {
    let read = database.begin_read().map_err(redb_error)?;
    let table = read.open_table(TOPICS).map_err(redb_error)?;
    let mut topics = Vec::new();
    for row in table.iter().map_err(redb_error)? {
        let (name, json) = row.map_err(redb_error)?;
        let record: TopicRecord = serde_json::from_slice(json.value())
            .map_err(|source| damaged(&format!("of topic {}", name.value()), source))?;
        topics.push(Arc::new(load_topic(&read, &record)?));
    }
    Ok(topics)
}

fn load_topic(read: &ReadTransaction, record: &TopicRecord) -> Result<Topic, StoreError> {
    let messages = load_messages(read, record)?;
    let newest = messages.keys().next_back().map_or(0, |seq| seq + 1);
    let floor = record.groups.iter().map(|(_, from)| *from).max();
    let next = newest.max(floor.unwrap_or(0));
    let mut still: BTreeMap<u64, usize> = BTreeMap::new();
    let mut groups = Vec::new();
    for (index, (name, from)) in (0_u32..).zip(&record.groups) {
        let done = load_done(read, (record.id, index))?;
        let tries = load_attempts(read, (record.id, index))?;
        let waiting: BTreeSet<u64> = messages
            .range(from..)
            .map(|(seq, _)| *seq)
            .filter(|seq| !done.contains(seq))
            .collect();
        for seq in &waiting {
            *still.entry(*seq).or_default() += 1;
        }
        groups.push(Group::recovered(name, *from, next, waiting, tries));
    }
    let topic = Topic::new(record.id, &record.name, record.bytes_max, groups, next);
    for (seq, message) in messages {
        if let Some(waiting) = still.get(&seq) {
            topic.restore(seq, message, *waiting);
        }
    }
    Ok(topic)
}

fn load_messages(
    read: &ReadTransaction,
    record: &TopicRecord,
) -> Result<BTreeMap<u64, Message>, StoreError> {
    let table = read.open_table(MESSAGES).map_err(redb_error)?;
    let mut messages = BTreeMap::new();
    for row in table
        .range((record.id, 0)..=(record.id, u64::MAX))
        .map_err(redb_error)?
    {
        let (key, value) = row.map_err(redb_error)?;
        let seq = key.value().1;
        let name = || format!("{seq} of topic {}", record.name);
        let message = decode(value.value()).map_err(|source| damaged(&name(), source))?;
        messages.insert(seq, message);
    }
    Ok(messages)
}

fn load_done(
    read: &ReadTransaction,
    (topic, group): (u32, u32),
) -> Result<BTreeSet<u64>, StoreError> {
    let table = read.open_table(DONE).map_err(redb_error)?;
    let rows = table.range((topic, group, 0)..=(topic, group, u64::MAX));
    let rows = rows.map_err(redb_error)?;
    rows.map(|row| row.map(|(key, _)| key.value().2).map_err(redb_error))
        .collect()
}

fn load_attempts(
    read: &ReadTransaction,
    (topic, group): (u32, u32),
) -> Result<BTreeMap<u64, u32>, StoreError> {
    let table = read.open_table(ATTEMPTS).map_err(redb_error)?;
    let rows = table.range((topic, group, 0)..=(topic, group, u64::MAX));
    let rows = rows.map_err(redb_error)?;
    rows.map(|row| {
        row.map(|(key, tries)| (key.value().2, tries.value()))
            .map_err(redb_error)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was() {
        let mut message = Message::new(
            Uuid::from_u128(7),
            "text/plain",
            Bytes::from_static(b"\xff\0"),
        );
        message.headers.insert("a".to_owned(), "b".to_owned());
        let value = encode(&message).unwrap();
        assert_eq!(decode(&value).unwrap(), message);
    }

    proptest::proptest! {
        #[test]
        fn damaged_bytes_are_an_error_and_never_a_panic(bytes: Vec<u8>) {
            drop(decode(&bytes));
        }
    }
}
