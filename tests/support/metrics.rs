//! What a scraper of the page reads.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// What the page at that address serves to Prometheus; empty while nobody answers.
pub(crate) fn metrics(address: &str) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut text).unwrap();
    }
    text
}
