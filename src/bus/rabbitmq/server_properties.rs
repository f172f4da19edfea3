//! Name and version of the broker. AMQP has them among the `server-properties` of its first frame, `connection.start`,
//! which lapin does not hand out; so this reads that frame on a connection of its own.

use std::time::Duration;

use lapin::types::{AMQPValue, FieldTable, parsing::parse_field_table};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::bus::BrokerInfo;

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const FRAME_HEADER: usize = 7;
const CLASS_METHOD_VERSION: usize = 6;
const FRAME_MAX: usize = 64 << 10;
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Asks on a new connection. If anything goes wrong the version stays unknown; apart from what a release counts for,
/// it is only displayed.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    connecting: impl Future<Output = Option<S>>,
) -> BrokerInfo {
    let asked = async { read(connecting.await?).await };
    let properties = timeout(ANSWER_MAX, asked).await.ok().flatten();
    let text = |key: &str| properties.as_ref().and_then(|table| text_of(table, key));
    BrokerInfo {
        name: text("product").unwrap_or_else(|| "RabbitMQ".to_owned()),
        version: text("version").unwrap_or_else(|| "unknown".to_owned()),
    }
}

async fn read<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Option<FieldTable> {
    stream.write_all(HEADER).await.ok()?;
    let mut header = [0; FRAME_HEADER];
    stream.read_exact(&mut header).await.ok()?;
    let size = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= FRAME_MAX)?;
    let mut frame = vec![0; size];
    stream.read_exact(&mut frame).await.ok()?;
    let (_, table) = parse_field_table(frame.get(CLASS_METHOD_VERSION..)?).ok()?;
    Some(table)
}

fn text_of(table: &FieldTable, key: &str) -> Option<String> {
    match table.inner().get(key)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}
