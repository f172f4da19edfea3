//! Slow clients, many clients, and rows made to break a page.

use std::{fmt::Write, time::Duration};

use residual::{clock::Period, dashboard::Config};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{server::Plan, with_rows};
use crate::shown::{HEADER, rows};

const LONG: Duration = Duration::from_secs(20);

fn impatient(connections_max: usize) -> Plan {
    let config = Config {
        connections_max,
        client_timeout: Period::from_millis(400),
        update_ms: 50,
        ..Config::default()
    };
    Plan::with(config)
}

/// Whether the server hangs up without having answered.
async fn is_cut_off(stream: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    let ended = timeout(LONG, stream.read_to_end(&mut answer)).await;
    // A reset counts as well as an end.
    ended.is_ok() && answer.is_empty()
}

#[tokio::test]
async fn clients_that_send_request_heads_slowly_delay_the_page_only_for_a_moment() {
    let server = impatient(8).build().await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(server.client.0).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nX-a: b\r\n")
            .await
            .unwrap();
        slow.push(stream);
    }
    // Every place is taken; this one has to wait for the others to be cut off.
    assert_eq!(server.status("/healthz").await, 200);
    for stream in &mut slow {
        assert!(is_cut_off(stream).await);
    }
    server.end().await;
}

#[tokio::test]
async fn a_request_head_that_comes_letter_by_letter_is_cut_off_at_its_deadline() {
    let server = impatient(8).build().await;
    let (mut reader, mut writer) = TcpStream::connect(server.client.0)
        .await
        .unwrap()
        .into_split();
    let trickle = tokio::spawn(async move {
        writer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        while writer.write_all(b"X-a: b\r\n").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    drop(
        timeout(LONG, reader.read_to_end(&mut answer))
            .await
            .unwrap(),
    );
    assert!(answer.is_empty());
    timeout(LONG, trickle).await.unwrap().unwrap();
    server.end().await;
}

#[tokio::test]
async fn an_idle_kept_alive_connection_gives_its_place_back() {
    let server = impatient(1).build().await;
    let mut idle = TcpStream::connect(server.client.0).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.client.0);
    idle.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(server.status("/healthz").await, 200);
    server.end().await;
}

#[tokio::test]
async fn an_endless_request_head_is_refused() {
    let server = impatient(8).build().await;
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nX-a: {}\r\n",
        server.client.0,
        "b".repeat(100_000)
    );
    assert_eq!(server.client.send(&head, b"").await.status, 431);
    server.end().await;
}

#[tokio::test]
async fn a_hundred_open_pages_all_see_a_new_row() {
    let config = Config {
        streams_max: 100,
        update_ms: 200,
        ..Config::default()
    };
    let mut server = Plan {
        config,
        ..with_rows(50)
    }
    .build()
    .await;
    server.rows(50).await;
    let mut pages = Vec::new();
    for _ in 0..100 {
        let mut events = server.client.events().await;
        events.next().await.unwrap();
        pages.push(events);
    }
    assert_eq!(server.status("/events").await, 503);
    server.append("the-newest,900.0,0.0,900.0\n");
    for events in &mut pages {
        events.until("worst", "the-newest").await;
    }
    drop(pages);
    server.end().await;
}

fn hostile_rows() -> String {
    let mut log = HEADER.to_owned();
    for (place, id) in [
        "<script>alert(1)</script>".to_owned(),
        "\"><img src=x onerror=alert(1)>".to_owned(),
        "&lt;b&gt;".to_owned(),
        "x".repeat(10_000),
        "é".repeat(5_000),
        "\u{202e}dlrow\u{202c} \u{5e9}\u{5dc}\u{5d5}\u{5dd}".to_owned(),
        "</code></td></table>".to_owned(),
        "'--".to_owned(),
    ]
    .iter()
    .cycle()
    .take(32)
    .enumerate()
    {
        let quoted = id.replace('"', "\"\"");
        let error = [1e300, 1e12, f64::from(u32::try_from(place).unwrap())][place % 3];
        writeln!(log, "\"{quoted}\",{error:?},0.0,{error:?}").unwrap();
    }
    log
}

#[tokio::test]
async fn ids_made_to_break_the_page_are_text_and_short_and_huge_errors_are_numbers() {
    let mut server = Plan::with_log(hostile_rows()).build().await;
    server.rows(32).await;
    let page = server.client.get("/").await;
    let html = page.text();
    for bad in [
        "<script>alert",
        "<img",
        "</code></td></table>\"",
        "NaN",
        "Infinity",
        ">inf<",
    ] {
        assert!(!html.contains(bad), "{bad}");
    }
    assert_eq!(html.matches("</script>").count(), 1);
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    // An id that is written from right to left does not reverse the text around it.
    assert!(html.contains("<bdi>\u{202e}dlrow"));
    assert!(!html.contains(&"x".repeat(200)) && !html.contains(&"é".repeat(100)));
    assert!(html.len() < 200_000, "{}", html.len());
    let summary = server.client.get("/api/summary").await;
    assert!(summary.body.len() < 100_000, "{}", summary.body.len());
    let summary = summary.json();
    assert_eq!(summary["all_time"]["n"], json!(32));
    for worst in summary["worst"].as_array().unwrap() {
        assert!(worst["id"].as_str().unwrap().len() <= 170);
    }
    server.end().await;
}

#[tokio::test]
async fn a_page_of_many_rows_is_no_larger_than_one_of_few() {
    let mut server = with_rows(20_000).build().await;
    server.rows(20_000).await;
    let page = server.client.get("/").await;
    assert!(page.body.len() < 250_000, "{}", page.body.len());
    let svg = server.client.get("/error_distribution.svg").await;
    assert!(svg.body.len() < 200_000, "{}", svg.body.len());
    server.end().await;
}

#[tokio::test]
async fn an_error_above_the_limit_is_an_alert_and_leaves_the_process_healthy() {
    let config = Config {
        mae_max: Some(4.0),
        update_ms: 50,
        ..Config::default()
    };
    let mut server = Plan {
        config,
        ..with_rows(10)
    }
    .build()
    .await;
    server.rows(10).await;
    let summary = server.client.get("/api/summary").await.json();
    assert_eq!(summary["alert"], json!(null), "ten rows are too few");
    let mut events = server.client.events().await;
    server.looked().await;
    // The mean error of these rows is 4.5.
    server.append(&rows(10..100));
    events.until("status", "Too wrong").await;
    let alert = server.client.get("/api/summary").await.json()["alert"].clone();
    assert_eq!(
        (&alert["mae"], &alert["mae_max"]),
        (&json!(4.5), &json!(4.0))
    );
    assert_eq!(server.status("/readyz").await, 200);
    drop(events);
    server.end().await;
}

#[tokio::test]
async fn a_change_of_the_error_is_marked_and_announced() {
    let mut log = format!("{HEADER}{}", rows(0..2_000));
    for row in 2_000..2_500 {
        writeln!(log, "late-{row},30.0,0.0,30.0").unwrap();
    }
    let mut server = Plan::with_log(log).build().await;
    server.rows(2_500).await;
    let changes = server.client.get("/api/summary").await.json()["changes"].clone();
    let change = &changes.as_array().unwrap()[0];
    assert!(
        change["row"].as_u64().unwrap().abs_diff(2_001) <= 64,
        "{change}"
    );
    let page = server.client.get("/").await;
    assert!(page.text().contains("The error rose around row"));
    assert!(page.text().contains(r#"class="change""#));
    server.end().await;
}
