//! A run as it goes on, by server-sent events: the page says up to which event
//! it knows the run, and is sent what comes after, in one message every half a
//! second at most. A browser that lost the connection asks again from the last
//! message it got.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::failure::Failure;
use super::routes::blocking;
use super::server::Shared;
use crate::store::RunId;

/// Between two looks at the database.
const PERIOD: Duration = Duration::from_millis(500);
/// A message without content, so that a dead connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The page's knowledge.
#[derive(Deserialize)]
pub(super) struct Since {
    /// Place of the last event known.
    #[serde(default)]
    after: u64,
}

struct Follower {
    shared: Arc<Shared>,
    run: RunId,
    after: u64,
    /// The status word last told.
    status: &'static str,
    /// Frees the follower's place when the connection ends.
    _permit: OwnedSemaphorePermit,
}

pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    Path(run): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let run = blocking(&shared, move |data| data.find(&run)).await?;
    let permit = shared.followers.clone().try_acquire_owned().map_err(|_| {
        Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many pages follow runs already",
        )
        .help("close some of them")
    })?;
    let seen = headers.get("last-event-id");
    let seen = seen.and_then(|id| id.to_str().ok()?.parse().ok());
    let follower = Follower {
        shared,
        run,
        after: seen.unwrap_or(since.after),
        status: "",
        _permit: permit,
    };
    let stream = futures_util::stream::unfold(Some(follower), |follower| async move {
        let (event, follower) = next(follower?).await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(stream).keep_alive(keep_alive).into_response())
}

/// Waits for the next message; the stream ends after an error was told.
async fn next(mut follower: Follower) -> Option<(Event, Option<Follower>)> {
    loop {
        let (run, after, status) = (follower.run.clone(), follower.after, follower.status);
        let news = blocking(&follower.shared, move |data| data.news(&run, after, status)).await;
        let event = match news {
            Ok(None) => {
                tokio::time::sleep(PERIOD).await;
                continue;
            }
            Ok(Some(news)) => {
                follower.after = news.seq;
                follower.status = news.status;
                let id = news.seq.to_string();
                Event::default().id(id).event("news").json_data(news)
            }
            // The run was deleted, or the database is gone.
            Err(_) => {
                return Some((Event::default().event("gone").data("gone"), None));
            }
        };
        let event = event.ok()?;
        // Events that come in a burst are told together.
        tokio::time::sleep(PERIOD / 5).await;
        return Some((event, Some(follower)));
    }
}
