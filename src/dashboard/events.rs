//! Updates of open pages as server-sent events: the parts that changed, at most a few times a second.
//!
//! Every stream begins with all parts, so a page that lost its connection is complete again once it is back.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{page, refusal::Refusal, state::AppState};

/// How soon a browser tries again after it lost the stream.
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn stream(
    State(state): State<Arc<AppState>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let Ok(permit) = Arc::clone(&state.streams).try_acquire_owned() else {
        let error = "too many pages are open; close one or raise `dashboard.streams_max`";
        return Err(Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, error, 5));
    };
    let mut ticks = interval(Duration::from_millis(state.config.update_ms.max(50)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let updates = PageUpdates {
        state,
        ticks,
        sent: BTreeMap::new(),
        _permit: permit,
    };
    let updates = stream::unfold(updates, |mut updates| async move {
        let event = updates.next().await?;
        Some((Ok(event), updates))
    });
    Ok(Sse::new(updates).keep_alive(KeepAlive::default()))
}

/// The updates of one open page.
struct PageUpdates {
    state: Arc<AppState>,
    ticks: Interval,
    /// Every part as it was sent last.
    sent: BTreeMap<&'static str, String>,
    _permit: OwnedSemaphorePermit,
}

impl PageUpdates {
    /// The next update; `None` once the process stops.
    async fn next(&mut self) -> Option<Event> {
        let stop = self.state.stop.clone();
        loop {
            stop.run_until_cancelled(self.ticks.tick()).await?;
            let changed = self.changed();
            if !changed.is_empty() {
                return Event::default().retry(RETRY).json_data(changed).ok();
            }
        }
    }

    /// The parts that differ from what was sent last.
    fn changed(&mut self) -> BTreeMap<&'static str, String> {
        let parts = page::parts(&self.state.snapshot());
        let changed: BTreeMap<_, _> = parts
            .into_iter()
            .filter(|(name, html)| self.sent.get(name) != Some(html))
            .collect();
        self.sent
            .extend(changed.iter().map(|(name, html)| (*name, html.clone())));
        changed
    }
}
