//! Requests with headers and bodies, and the stream of updates.

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::http::{Answer, Client, PATIENCE};

impl Client {
    pub(super) async fn get_with(self, path: &str, headers: &str) -> Answer {
        self.send(
            &format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.0),
            b"",
        )
        .await
    }

    pub(super) async fn post(self, path: &str, body: &str) -> Answer {
        self.post_with(path, "Content-Type: application/json", body.as_bytes())
            .await
    }

    pub(super) async fn post_with(self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\nContent-Length: {}\r\n",
            self.0,
            body.len()
        );
        self.send(&head, body).await
    }

    /// Opens the stream of updates.
    pub(super) async fn events(self) -> Events {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        let head = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", self.0);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut events = Events(BufReader::new(stream));
        let status = events.line().await.expect("an answer");
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        events
    }
}

pub(super) struct Events(BufReader<TcpStream>);

impl Events {
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.0.read_line(&mut line))
            .await
            .expect("no line in time");
        (read.unwrap() > 0).then_some(line)
    }

    /// The parts of the next update; `None` once the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            let line = self.line().await?;
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }

    /// Reads on until an update has something to say about a part.
    pub(super) async fn until(&mut self, part: &str, says: &str) {
        let seen = timeout(PATIENCE, async {
            while let Some(update) = self.next().await {
                if update[part]
                    .as_str()
                    .is_some_and(|html| html.contains(says))
                {
                    return true;
                }
            }
            false
        });
        assert!(seen.await.unwrap_or(false), "`{part}` never says `{says}`");
    }
}
