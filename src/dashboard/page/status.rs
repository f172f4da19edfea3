//! The state of stream, broker and services, and the time.

use super::html::empty;
use crate::dashboard::{
    format::{count, duration, escape, short},
    snapshot::{Alert, BusState, Level, LinkState, Queue, Service, StatusSnapshot},
};

/// The status at the top, with a banner when something is wrong.
pub(super) fn status(snapshot: &StatusSnapshot) -> String {
    let status = &snapshot.status;
    let (level, title) = (status.level.name(), escape(&status.title));
    let since = match (status.level, snapshot.silent_ms) {
        (Level::Live, Some(silent_ms)) => {
            format!(r#"<span class="since">{}</span>"#, ago(silent_ms))
        }
        _ => String::new(),
    };
    let pill = format!(r#"<p class="pill {level}" role="status">{title}</p>{since}"#);
    let alert = snapshot.alert.as_ref().map(alert).unwrap_or_default();
    if status.detail.is_empty() {
        return pill + &alert;
    }
    let role = if status.level == Level::Waiting {
        "status"
    } else {
        "alert"
    };
    format!(
        r#"{pill}<div class="banner {level}" role="{role}"><b>{title}.</b> {}</div>{alert}"#,
        escape(&status.detail)
    )
}

fn alert(alert: &Alert) -> String {
    format!(
        r#"<div class="banner too_wrong" role="alert"><b>Too wrong.</b> The mean absolute error of the last {} rows is {}; the limit is {}.</div>"#,
        count(alert.rows),
        short(alert.mae),
        short(alert.mae_max),
    )
}

/// In whole seconds, so that the text of a fast stream does not flicker.
fn ago(ms: u64) -> String {
    match ms / 1_000 {
        0 => "last row just now".to_owned(),
        seconds => format!("last row {} ago", duration(seconds * 1_000)),
    }
}

/// The link to the broker, and what waits for each group.
pub(super) fn bus(bus: Option<&BusState>) -> String {
    let Some(bus) = bus else {
        return empty("This process has no bus.");
    };
    let link = match &bus.link {
        LinkState::Up => r#"<span class="pill live">up</span>"#.to_owned(),
        LinkState::Down { tries, .. } => {
            format!(
                r#"<span class="pill broker_away">unreachable, {} tries</span>"#,
                count(u64::from(*tries))
            )
        }
    };
    let body: String = bus.queues.iter().map(queue_row).collect();
    format!(
        r#"<p class="link"><code>{}</code> {link}</p><table><thead><tr><td></td><th scope="col" title="ready to be delivered">ready</th><th scope="col" title="delivered but not acknowledged, as far as the broker reports it">in flight</th><th scope="col" title="dead letters">dead</th></tr></thead><tbody>{body}</tbody></table>"#,
        escape(&bus.url)
    )
}

fn queue_row(queue: &Queue) -> String {
    let class = if queue.dead > 0 {
        r#" class="notable""#
    } else {
        ""
    };
    format!(
        r#"<tr{class}><th scope="row">{} → {}</th><td>{}</td><td>{}</td><td>{}</td></tr>"#,
        escape(&queue.topic),
        escape(&queue.group),
        count(queue.ready),
        count(queue.in_flight),
        count(queue.dead),
    )
}

/// What runs in this process.
pub(super) fn services(services: &[Service]) -> String {
    if services.is_empty() {
        return empty("No service runs in this process.");
    }
    let item = |service: &Service| {
        let class = if service.state == "running" {
            "live"
        } else {
            "silent"
        };
        format!(
            r#"<tr><th scope="row">{}</th><td class="text">{}</td><td><span class="pill {class}">{}</span></td></tr>"#,
            escape(&service.name),
            escape(&service.detail),
            escape(&service.state)
        )
    };
    format!(
        "<table><tbody>{}</tbody></table>",
        services.iter().map(item).collect::<String>()
    )
}

/// The server's clock. It changes every second, so updates never stop and a page notices a lost connection.
pub(super) fn now(snapshot: &StatusSnapshot) -> String {
    let seconds = snapshot.now_ms / 1_000 % 86_400;
    format!(
        "residual {} · {:02}:{:02}:{:02} UTC",
        snapshot.version,
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}
