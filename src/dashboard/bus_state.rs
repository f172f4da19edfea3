//! Watches the bus: a change of the link is seen at once, the depths of the queues are asked for once a second.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    ports::BusPort,
    snapshot::{BusState, LinkState, Queue},
};
use crate::bus::Link;

/// How often depths are asked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long the broker may take to answer; when it is slower, the old depths stay.
const DEPTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps the state of the bus fresh until `stop`.
pub(super) fn watch(
    port: Option<BusPort>,
    stop: CancellationToken,
) -> watch::Receiver<Option<BusState>> {
    let Some(port) = port else {
        return watch::channel(None).1;
    };
    let mut link = port.bus.link();
    let state = BusState {
        url: port.url.clone(),
        link: link_state(&link.borrow_and_update()),
        queues: Vec::new(),
    };
    let (sender, receiver) = watch::channel(Some(state));
    tokio::spawn(async move {
        stop.run_until_cancelled(keep_fresh(&port, link, &sender))
            .await;
    });
    receiver
}

async fn keep_fresh(
    port: &BusPort,
    mut link: watch::Receiver<Link>,
    sender: &watch::Sender<Option<BusState>>,
) {
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The link of the embedded bus never changes: its sender is gone, and `changed` would return at once for ever.
    let mut can_change = true;
    loop {
        tokio::select! {
            changed = link.changed(), if can_change => can_change = changed.is_ok(),
            _ = ticks.tick() => {}
        }
        let state = link_state(&link.borrow_and_update());
        let queues = match state {
            LinkState::Up => timeout(DEPTH_TIMEOUT, queues(port)).await.ok(),
            LinkState::Down { .. } => None,
        };
        sender.send_modify(|bus| {
            if let Some(bus) = bus {
                bus.link = state;
                bus.queues = queues.unwrap_or_else(|| std::mem::take(&mut bus.queues));
            }
        });
    }
}

fn link_state(link: &Link) -> LinkState {
    match link {
        Link::Up => LinkState::Up,
        Link::Down { reason, tries } => LinkState::Down {
            reason: reason.clone(),
            tries: *tries,
        },
    }
}

async fn queues(port: &BusPort) -> Vec<Queue> {
    let mut queues = Vec::new();
    for (topic, group) in port.topology.working_groups() {
        let Ok(depth) = port.bus.depth(topic, group).await else {
            continue;
        };
        queues.push(Queue {
            topic: topic.to_owned(),
            group: group.to_owned(),
            ready: depth.waiting(),
            in_flight: depth.in_work(),
            dead: depth.dead,
        });
    }
    queues
}
