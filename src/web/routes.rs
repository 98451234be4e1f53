//! Addresses and their answers. `{run}` is what `bespoke runs show` takes: the
//! first letters of an id, a name, or `latest`.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};

use super::data::Data;
use super::failure::Failure;
use super::guard::{Names, guard};
use super::server::Shared;
use super::{assets, follow};
use crate::store::StoreError;

/// A note with all that JSON makes of it.
const LARGEST_BODY: usize = 64 << 10;
/// Characters of a note.
const LONGEST_NOTE: usize = 4000;

type Answer = Result<Response, Failure>;

pub(super) fn router(shared: Arc<Shared>, names: Arc<Names>) -> Router {
    Router::new()
        .route("/", get(|| async { assets::page() }))
        .route("/assets/{name}", get(asset))
        .route("/api/session", get(session))
        .route("/api/runs", get(runs))
        .route("/api/runs/{run}", get(overview))
        .route("/api/runs/{run}/columns", get(columns))
        .route("/api/runs/{run}/pairs", get(pairs))
        .route("/api/runs/{run}/courses", get(courses))
        .route("/api/runs/{run}/lines", get(lines))
        .route("/api/runs/{run}/events", get(follow::events))
        .route("/api/runs/{run}/notes", post(note))
        .route("/api/runs/{run}/candidates/{id}", get(candidate))
        .route("/api/runs/{run}/candidates/{id}/network.svg", get(drawing))
        .route("/api/devices", get(devices))
        .fallback(|| async { Failure::not_found("there is nothing at this address") })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(names, guard))
        .with_state(shared)
}

/// Reads from the database on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    read: impl FnOnce(&Data) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    let shared = shared.clone();
    let read = tokio::task::spawn_blocking(move || read(&shared.data));
    match read.await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "this part of the run could not be read",
        )
        .help("`bespoke runs verify` checks the database")),
    }
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let seen = headers.get(header::IF_NONE_MATCH);
    assets::asset(&name, seen.and_then(|tag| tag.to_str().ok()))
        .ok_or_else(|| Failure::not_found("there is no such asset"))
}

async fn session(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Json<Value> {
    let token = shared.token.as_ref();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "writable": token.is_some(),
        "unlocked": token.is_some_and(|token| token.is_shown(&headers)),
    }))
}

async fn runs(State(shared): State<Arc<Shared>>) -> Answer {
    let runs = blocking(&shared, Data::runs).await?;
    Ok(Json(runs).into_response())
}

async fn overview(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let view = blocking(&shared, move |data| data.overview(&data.find(&run)?)).await?;
    Ok(Json(view).into_response())
}

async fn columns(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let (seq, columns) = blocking(&shared, move |data| data.columns(&data.find(&run)?)).await?;
    Ok(Json(json!({"seq": seq, "columns": columns})).into_response())
}

async fn pairs(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let pairs = blocking(&shared, move |data| data.pairs(&data.find(&run)?)).await?;
    Ok(Json(pairs).into_response())
}

async fn courses(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let courses = blocking(&shared, move |data| data.courses(&data.find(&run)?)).await?;
    Ok(Json(courses).into_response())
}

async fn lines(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let lines = blocking(&shared, move |data| data.lines(&data.find(&run)?)).await?;
    Ok(Json(lines).into_response())
}

fn number(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "a candidate is named by its number",
        )
    })
}

fn no_candidate(id: u64) -> Failure {
    Failure::not_found(format!("the run has no candidate {id}"))
}

async fn candidate(
    State(shared): State<Arc<Shared>>,
    Path((run, id)): Path<(String, String)>,
) -> Answer {
    let id = number(&id)?;
    let view = blocking(&shared, move |data| data.candidate(&data.find(&run)?, id)).await?;
    let view = view.ok_or_else(|| no_candidate(id))?;
    Ok(Json(view).into_response())
}

async fn drawing(
    State(shared): State<Arc<Shared>>,
    Path((run, id)): Path<(String, String)>,
) -> Answer {
    let id = number(&id)?;
    let drawn = blocking(&shared, move |data| data.drawing(&data.find(&run)?, id)).await?;
    match drawn.ok_or_else(|| no_candidate(id))? {
        Ok(svg) => Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response()),
        Err(error) => Err(Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.to_string(),
        )),
    }
}

/// What the page sends to leave a note.
#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn note(
    State(shared): State<Arc<Shared>>,
    Path(run): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Answer {
    let token = shared.token.as_ref().ok_or_else(|| {
        Failure::new(StatusCode::FORBIDDEN, "this page is for reading only")
            .help("start `bespoke web` with --token to allow notes")
    })?;
    if !token.is_shown(&headers) {
        return Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "the token is missing or wrong",
        ));
    }
    let bad = |why: &str| Failure::new(StatusCode::BAD_REQUEST, why);
    let note: Note = serde_json::from_str(&body).map_err(|_| bad("a note is {\"text\": ...}"))?;
    let text = note.text.trim().to_owned();
    match text.chars().count() {
        0 => return Err(bad("the note is empty")),
        n if n > LONGEST_NOTE => {
            return Err(bad(&format!(
                "the note has {n} characters; {LONGEST_NOTE} are allowed"
            )));
        }
        _ => {}
    }
    let seq = blocking(&shared, move |data| data.note(&data.find(&run)?, &text)).await?;
    Ok((StatusCode::CREATED, Json(json!({"seq": seq}))).into_response())
}

/// Devices elsewhere, where somebody knows them, beside those of the runs.
async fn devices(State(shared): State<Arc<Shared>>) -> Answer {
    let of_runs = blocking(&shared, Data::devices_of_runs).await?;
    let (elsewhere, problem) = match &shared.devices {
        None => (None, None),
        Some(source) => match source.ask().await {
            Ok(devices) => (Some(devices), None),
            Err(problem) => (None, Some(problem)),
        },
    };
    let answer = json!({"elsewhere": elsewhere, "problem": problem, "of_runs": of_runs});
    Ok(Json(answer).into_response())
}
