//! A client that says exactly what it is told, over a bare socket.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Client(pub(super) SocketAddr);

impl Client {
    pub(super) async fn get(self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.0), b"")
            .await
    }

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

    pub(super) async fn send(self, head: &str, body: &[u8]) -> Answer {
        timeout(PATIENCE, self.exchange(head, body))
            .await
            .expect("no answer in time")
    }

    async fn exchange(self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        stream
            .write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        // A server that refuses early may close before it has read everything.
        drop(stream.write_all(body).await);
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes).await);
        let split = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head,
            body: bytes[split + 4..].to_vec(),
        }
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
