//! The page's files, part of the program. A new module is a file under
//! `assets/` and a line here.

use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

pub(super) const PAGE: &str = include_str!("assets/index.html");

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        /// Names and texts.
        pub(super) const ASSETS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("assets/", $name)))),*];
    };
}

assets![
    "uplot.min.js",
    "uplot.min.css",
    "style.css",
    "charts.css",
    "theme.js",
    "format.js",
    "dom.js",
    "table.js",
    "api.js",
    "pareto.js",
    "columns.js",
    "plot.js",
    "scatter.js",
    "front.js",
    "pairs.js",
    "curves.js",
    "network.js",
    "candidate.js",
    "log.js",
    "about.js",
    "run.js",
    "runs.js",
    "compare.js",
    "devices.js",
    "app.js",
];

/// By which a browser knows whether its copy is still right.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, text) in ASSETS {
        hash.update(name);
        hash.update(text);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let short: String = hash[..8].iter().map(|b| format!("{b:02x}")).collect();
    format!("\"{short}\"")
});

/// The text of an asset.
pub(super) fn text(name: &str) -> Option<&'static str> {
    ASSETS.iter().find(|(n, _)| *n == name).map(|(_, t)| *t)
}

pub(super) fn page() -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (head, PAGE).into_response()
}

/// The answer to a request for an asset, given the tag of the browser's copy.
pub(super) fn asset(name: &str, seen: Option<&str>) -> Option<Response> {
    let text = text(name)?;
    let kind = match name.rsplit_once('.')?.1 {
        "js" => "text/javascript; charset=utf-8",
        _ => "text/css; charset=utf-8",
    };
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, TAG.as_str()),
    ];
    Some(match seen == Some(TAG.as_str()) {
        true => (StatusCode::NOT_MODIFIED, head).into_response(),
        false => (head, text).into_response(),
    })
}
