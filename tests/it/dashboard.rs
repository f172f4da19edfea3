//! The page over real sockets: what it shows, whom it lets in, what it accepts.

mod hostile;
mod requests;
mod server;

use std::{sync::Arc, time::Duration};

use residual::{
    bus::Link,
    clock::Period,
    dashboard::Config,
    message::{self, Features, POSTCARD, Record},
    stats::{LedgerCounters, LedgerSnapshot},
};
use serde_json::json;
use tokio::sync::watch;

use crate::shown::{HEADER, assert_shows_summary, rows};
use server::{Full, Held, LET_GO, OnlyLink, Plan, TestServer};

fn with_rows(count: u32) -> Plan {
    Plan::with_log(format!("{HEADER}{}", rows(0..count)))
}

#[tokio::test]
async fn the_page_and_the_summary_show_the_same_numbers() {
    let ledger = LedgerSnapshot {
        counters: LedgerCounters {
            received: 200,
            matched: 100,
            ..LedgerCounters::default()
        },
        coverage: Some(0.98),
        ..LedgerSnapshot::default()
    };
    let mut server = Plan {
        ledger: Some(ledger),
        ..with_rows(100)
    }
    .build()
    .await;
    server.rows(100).await;
    let summary = server.client.get("/api/summary").await.json();
    assert_eq!(summary["rows"], json!(100));
    for (figure, expected) in [("mae", 4.5), ("bias", -0.5), ("max_absolute_error", 9.0)] {
        let value = summary["all_time"][figure].as_f64().unwrap();
        assert!((value - expected).abs() < 1e-9, "{figure} {value}");
    }
    assert_eq!(summary["ledger"]["coverage"], json!(0.98));
    let page = server.client.get("/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("Content-Security-Policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    assert_shows_summary(page.text(), &summary);
    server.end().await;
}

#[tokio::test]
async fn what_comes_from_outside_is_no_markup() {
    let log = format!("{HEADER}<script>alert(1)</script>,9.0,0.0,9.0\n");
    let mut server = Plan::with_log(log).build().await;
    server.rows(1).await;
    let page = server.client.get("/").await;
    assert!(
        page.text()
            .contains("&lt;script&gt;alert(1)&lt;/script&gt;")
    );
    assert!(!page.text().contains("<script>alert"));
    assert!(!page.text().contains("<b>not markup"));
    server.end().await;
}

#[tokio::test]
async fn a_stream_begins_whole_and_goes_on_with_what_changed() {
    let mut server = with_rows(10).build().await;
    server.rows(10).await;
    let mut events = server.client.events().await;
    let whole = events.next().await.unwrap();
    for part in [
        "status",
        "tiles",
        "figures",
        "histogram",
        "recent",
        "history",
        "scatter",
        "worst",
        "now",
    ] {
        assert!(whole[part].is_string(), "{part}");
    }
    server.append(&rows(10..25));
    events
        .until("figures", r#"<data id="all_time.n" value="25">"#)
        .await;
    let mut again = server.client.events().await;
    let whole = again.next().await.unwrap();
    assert!(
        whole["figures"].as_str().unwrap().contains(r#"value="25""#),
        "whole again"
    );
    assert!(whole["labels"].is_string());
    server.end().await;
    while events.next().await.is_some() {}
}

#[tokio::test]
async fn the_picture_is_served_in_both_formats() {
    let mut server = with_rows(0).build().await;
    assert_eq!(server.status("/error_distribution.png").await, 404);
    server.append(&rows(0..50));
    server.rows(50).await;
    while server.status("/error_distribution.png").await == 404 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let png = server.client.get("/error_distribution.png").await;
    assert_eq!(
        (png.status, png.header("Content-Type")),
        (200, Some("image/png"))
    );
    assert!(png.body.starts_with(b"\x89PNG"));
    let svg = server.client.get("/error_distribution.svg").await;
    assert_eq!(
        (svg.status, svg.header("Content-Type")),
        (200, Some("image/svg+xml"))
    );
    assert!(svg.text().contains("<svg"));
    server.end().await;
}

#[tokio::test]
async fn silence_is_shown_prominently() {
    let config = Config {
        // Long enough for a busy machine to show that the stream is live before it falls silent.
        silent_after: Period::from_millis(3_000),
        update_ms: 50,
        ..Config::default()
    };
    let mut server = Plan {
        config,
        ..with_rows(0)
    }
    .build()
    .await;
    let mut events = server.client.events().await;
    events.until("status", "Waiting").await;
    server.looked().await;
    server.append(&rows(0..5));
    server.rows(5).await;
    events.until("status", ">Live<").await;
    events
        .until("status", r#"<div class="banner silent" role="alert">"#)
        .await;
    server.end().await;
}

#[tokio::test]
async fn an_absent_broker_is_shown_prominently_and_nothing_is_accepted() {
    let (link, watched) = watch::channel(Link::Up);
    let bus = Arc::new(OnlyLink(watched.clone()));
    let mut server = Plan {
        bus: Some(bus),
        link: watched,
        ..with_rows(5)
    }
    .build()
    .await;
    server.rows(5).await;
    assert_eq!(server.status("/readyz").await, 200);
    let mut events = server.client.events().await;
    events.until("bus", "<td>5</td><td>5</td><td>1</td>").await;
    link.send_replace(Link::Down {
        reason: "connection refused".to_owned(),
        tries: 3,
    });
    events.until("status", "connection refused").await;
    let ready = server.client.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.json()["ready"].clone()),
        (503, json!(false))
    );
    assert_eq!(server.status("/healthz").await, 200);
    let posted = server
        .client
        .post("/y_true", r#"{"id": "a", "body": 1}"#)
        .await;
    assert_eq!(
        (posted.status, posted.header("Retry-After")),
        (503, Some("5"))
    );
    link.send_replace(Link::Up);
    events.until("bus", r#"class="pill live">up"#).await;
    assert_eq!(
        server.post("/y_true", r#"{"id": "a", "body": 1}"#).await,
        202
    );
    server.end().await;
}

#[tokio::test]
async fn a_record_without_a_feature_that_the_model_needs_is_buried_alone() {
    let mut server = TestServer::whole().await;
    let features: Vec<_> = (0..3)
        .map(|row| {
            let mut body = vec![json!(0.01); 10];
            if row == 1 {
                body[4] = json!(null);
            }
            json!({"id": row, "body": body})
        })
        .collect();
    let posted = server
        .client
        .post("/features", &json!(features).to_string())
        .await;
    assert_eq!(posted.status, 202);
    let truths = r#"[{"id": 0, "body": 150}, {"id": 1, "body": 160.5}, {"id": 2, "body": 170}]"#;
    assert_eq!(server.client.post("/y_true", truths).await.status, 202);
    server.rows(2).await;
    let mut events = server.client.events().await;
    events.until("bus", "<td>0</td><td>0</td><td>1</td>").await;
    let refused = server
        .client
        .post("/predict", &json!(features[1]).to_string())
        .await;
    assert!((400..500).contains(&refused.status), "{refused:?}");
    assert!(refused.text().contains("feature 4"), "{refused:?}");
    server.end().await;
}

#[tokio::test]
async fn records_that_are_posted_end_up_on_the_page() {
    let mut server = TestServer::whole().await;
    let features: Vec<_> = (0..3)
        .map(|row| json!({"id": row, "body": vec![0.01; 10]}))
        .collect();
    let accepted = server
        .client
        .post("/features", &json!(features).to_string())
        .await;
    assert_eq!(
        (accepted.status, accepted.json()["accepted"].clone()),
        (202, json!(3))
    );
    let truths =
        r#"[{"id": 0, "body": 150}, {"id": "1", "body": 160.5}, {"id": 2, "body": [170]}]"#;
    assert_eq!(server.post("/y_true", truths).await, 202);
    server.rows(3).await;
    let predicted = server
        .client
        .post("/predict", &json!(features[0]).to_string())
        .await;
    assert_eq!(
        (predicted.status, predicted.header("Content-Type")),
        (200, Some("application/json"))
    );
    let y_pred = predicted.json()["body"].as_f64().unwrap();
    let log = std::fs::read_to_string(server.log()).unwrap();
    assert!(
        log.contains(&format!(
            "0,150.0,{y_pred:?},{:?}\n",
            (150.0 - y_pred).abs()
        )),
        "{log}"
    );
    let summary = server.client.get("/api/summary").await.json();
    assert_eq!(summary["ledger"]["matched"], json!(3));
    assert_eq!(summary["bus"]["link"]["state"], json!("up"));
    let queues: Vec<_> = summary["bus"]["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| &queue["topic"])
        .collect();
    assert_eq!(queues, ["features", "y_true", "y_pred"]);
    server.end().await;
}

#[tokio::test]
async fn judging_only_takes_predictions_from_outside() {
    let mut server = TestServer::whole().await;
    assert_eq!(
        server.post("/y_pred", r#"{"id": "x", "body": 3}"#).await,
        202
    );
    assert_eq!(
        server.post("/y_true", r#"{"id": "x", "body": 1}"#).await,
        202
    );
    server.rows(1).await;
    assert!(
        std::fs::read_to_string(server.log())
            .unwrap()
            .ends_with("x,1.0,3.0,2.0\n")
    );
    server.end().await;
}

#[tokio::test]
async fn postcard_is_accepted_as_well_as_json() {
    let server = Plan::with_model().build().await;
    let record = Record {
        id: "a".parse().unwrap(),
        body: Features(vec![0.0; 10]),
    };
    let frame = message::encode(std::slice::from_ref(&record), message::Encoding::Postcard);
    let kind = format!("Content-Type: {POSTCARD}");
    assert_eq!(
        server
            .client
            .post_with("/features", &kind, &frame.body)
            .await
            .status,
        202
    );
    let predicted = server
        .client
        .post_with("/predict", &kind, &frame.body)
        .await;
    assert_eq!(
        (predicted.status, predicted.header("Content-Type")),
        (200, Some(POSTCARD))
    );
    let decoded = message::decode::<message::Prediction>(POSTCARD, &predicted.body).unwrap();
    assert!(
        (decoded.records[0].body.y_pred - 152.13).abs() < 0.1,
        "the intercept of the diabetes model"
    );
    server.end().await;
}

#[tokio::test]
async fn a_prediction_has_the_shape_of_its_request() {
    let server = Plan::with_model().build().await;
    let record = json!({"id": 1.50, "body": vec![0.0; 10]});
    let one = server
        .client
        .post("/predict", &record.to_string())
        .await
        .json();
    let list = server
        .client
        .post("/predict", &json!([record]).to_string())
        .await
        .json();
    assert_eq!(list, json!([one]));
    server.end().await;
}

#[tokio::test]
async fn bad_records_are_named_by_index_and_reason_and_none_is_accepted() {
    let server = Plan::with_model().build().await;
    let body = r#"[{"id": "a", "body": 1}, {"id": "b", "body": "x"}, {"body": 2}]"#;
    let refused = server.client.post("/y_true", body).await;
    assert_eq!(refused.status, 422);
    let answer = refused.json();
    assert_eq!(answer["records"][0]["index"], json!(1));
    assert_eq!(answer["records"][0]["id"], json!("b"));
    assert_eq!(answer["records"][1]["reason"], json!("record has no `id`"));
    let narrow = server
        .client
        .post("/features", r#"[{"id": "a", "body": [1, 2]}]"#)
        .await;
    assert_eq!(narrow.status, 422);
    assert_eq!(
        narrow.json()["records"][0]["reason"],
        json!("record has 2 features, the model takes 10")
    );
    for nan in [
        r#"{"id": "a", "body": NaN}"#,
        r#"{"id": "a", "body": 1e999}"#,
        "[]",
        "nonsense",
        "",
    ] {
        let refused = server.client.post("/y_pred", nan).await;
        assert!(
            matches!(refused.status, 400 | 422),
            "{nan}: {}",
            refused.status
        );
        assert!(refused.json()["error"].is_string());
    }
    server.end().await;
}

#[tokio::test]
async fn the_body_is_bounded_and_needs_a_content_type() {
    let config = Config {
        body_bytes_max: 1_000,
        ..Config::default()
    };
    let server = Plan::with(config).build().await;
    let long = format!(r#"{{"id": "{}", "body": 1}}"#, "x".repeat(2_000));
    assert_eq!(server.post("/y_true", &long).await, 413);
    let form = "Content-Type: application/x-www-form-urlencoded";
    let refused = server.client.post_with("/y_true", form, b"{}").await;
    assert_eq!(refused.status, 415);
    assert!(
        refused.json()["error"]
            .as_str()
            .unwrap()
            .contains("application/json")
    );
    assert_eq!(server.status("/features").await, 405);
    assert_eq!(server.status("/nothing").await, 404);
    server.end().await;
}

#[tokio::test]
async fn a_full_bus_is_reported_to_the_client() {
    let config = Config {
        posts_in_flight_max: 1,
        confirm_ms: 300,
        ..Config::default()
    };
    let server = Plan {
        config,
        publisher: || Box::new(Full),
        ..Plan::default()
    }
    .build()
    .await;
    let first = tokio::spawn(async move {
        server
            .client
            .post("/y_true", r#"{"id": "a", "body": 1}"#)
            .await
    });
    let first = first.await.unwrap();
    assert_eq!(
        (first.status, first.header("Retry-After")),
        (503, Some("5"))
    );
    // The first request still waits for room, and there is a place for one.
    let second = server
        .client
        .post("/y_true", r#"{"id": "b", "body": 1}"#)
        .await;
    assert_eq!(
        (second.status, second.header("Retry-After")),
        (429, Some("1"))
    );
}

#[tokio::test]
async fn a_draining_server_accepts_nothing_but_still_shows_the_page() {
    let server = Plan::default().build().await;
    server.draining.cancel();
    assert_eq!(
        server.post("/y_true", r#"{"id": "a", "body": 1}"#).await,
        503
    );
    assert_eq!(server.status("/readyz").await, 503);
    assert_eq!(server.status("/").await, 200);
    server.end().await;
}

#[tokio::test]
async fn a_draining_server_says_when_all_that_it_accepted_is_confirmed() {
    let server = Plan {
        publisher: || Box::new(Held),
        ..Plan::default()
    }
    .build()
    .await;
    server.draining.cancel();
    let soon = tokio::time::timeout(Duration::from_millis(200), server.taken.cancelled());
    assert!(soon.await.is_err(), "three publishers wait for a word");
    LET_GO.add_permits(3);
    server.taken.cancelled().await;
    server.end().await;
}

#[tokio::test]
async fn a_full_bus_does_not_delay_draining() {
    let config = Config {
        confirm_ms: 300,
        ..Config::default()
    };
    let server = Plan {
        config,
        publisher: || Box::new(Held),
        ..Plan::default()
    }
    .build()
    .await;
    server.draining.cancel();
    server.taken.cancelled().await;
    server.end().await;
}

#[tokio::test]
async fn without_a_token_only_this_machine_by_its_own_name_is_let_in() {
    let server = Plan::default().build().await;
    let as_host = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n");
    for host in ["127.0.0.1:8080", "localhost", "[::1]:80"] {
        assert_eq!(
            server.client.send(&as_host(host), b"").await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "192.0.2.7",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
    ] {
        assert_eq!(
            server.client.send(&as_host(host), b"").await.status,
            403,
            "{host}"
        );
    }
    server.end().await;
}

#[tokio::test]
async fn a_token_is_required_from_everybody() {
    let config = Config {
        token: Some("s3cret".into()),
        ..Config::default()
    };
    let server = Plan::with(config).build().await;
    for (headers, status) in [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: Basic s3cret\r\n", 401),
        ("Cookie: residual_page=s3cret\r\n", 401),
        ("Authorization: Bearer s3cret\r\n", 200),
    ] {
        let headers = headers.trim_end();
        let answer = match headers {
            "" => server.client.get("/api/summary").await,
            _ => server.client.get_with("/api/summary", headers).await,
        };
        assert_eq!(answer.status, status, "{headers}");
    }
    assert_eq!(server.status("/healthz").await, 200);
    let body = br#"{"id": "a", "body": 1}"#;
    let kind = "Content-Type: application/json";
    assert_eq!(
        server.client.post_with("/y_true", kind, body).await.status,
        401
    );
    let with_token = format!("{kind}\r\nAuthorization: Bearer s3cret");
    assert_eq!(
        server
            .client
            .post_with("/y_true", &with_token, body)
            .await
            .status,
        202
    );
    server.end().await;
}

#[tokio::test]
async fn a_browser_gets_a_cookie_for_the_token_that_may_read_but_not_post() {
    let config = Config {
        token: Some("s3cret &=%".into()),
        ..Config::default()
    };
    let server = Plan::with(config).build().await;
    let asked = server.client.get_with("/", "Accept: text/html").await;
    assert_eq!(asked.status, 401);
    assert!(
        asked
            .text()
            .contains("<form method=\"post\" action=\"/login\">")
    );
    let form = "Content-Type: application/x-www-form-urlencoded";
    assert_eq!(
        server
            .client
            .post_with("/login", form, b"token=wrong")
            .await
            .status,
        401
    );
    let welcome = server
        .client
        .post_with("/login", form, b"token=s3cret+%26%3D%25")
        .await;
    assert_eq!(
        (welcome.status, welcome.header("Location")),
        (303, Some("/"))
    );
    let cookie = welcome.header("Set-Cookie").unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains("s3cret"));
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(server.client.get_with("/", &cookie).await.status, 200);
    let post = format!("Content-Type: application/json\r\n{cookie}");
    let posted = server
        .client
        .post_with("/y_true", &post, br#"{"id": "a", "body": 1}"#)
        .await;
    assert_eq!(posted.status, 401);
    server.end().await;
}

#[tokio::test]
async fn outside_this_machine_nothing_is_served_without_a_token() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = Plan::default()
        .serve_on(listener)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("dashboard.token"), "{refused}");
}

#[tokio::test]
async fn a_public_page_can_be_seen_by_everybody_and_accepts_nothing() {
    let config = Config {
        public: true,
        ..Config::default()
    };
    let server = Plan::with(config).build().await;
    let by_another_name = "GET /metrics HTTP/1.1\r\nHost: plot:8080\r\n";
    assert_eq!(server.client.send(by_another_name, b"").await.status, 200);
    assert_eq!(server.status("/").await, 200);
    for path in ["/y_true", "/predict"] {
        let refused = server.client.post(path, r#"{"id": "a", "body": 1}"#).await;
        assert_eq!(refused.status, 403);
        assert!(refused.text().contains("dashboard.token"));
    }
    server.end().await;
}

#[tokio::test]
async fn more_open_pages_than_allowed_are_refused() {
    let config = Config {
        streams_max: 1,
        ..Config::default()
    };
    let server = Plan::with(config).build().await;
    let mut first = server.client.events().await;
    first.next().await.unwrap();
    let second = server.client.get("/events").await;
    assert_eq!(
        (second.status, second.header("Retry-After")),
        (503, Some("5"))
    );
    drop(first);
    server.end().await;
}
