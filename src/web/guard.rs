//! Who is answered. A page elsewhere that makes a browser send requests here
//! must learn and change nothing: names that lead here by a trick of DNS are
//! refused (the `Host` check), nothing may be embedded or read across origins,
//! no script runs that is not ours, and writing takes a token that no browser
//! sends on its own.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::failure::Failure;

/// Scripts and styles from here alone, none inline; no frame may hold the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const SAFETY: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Fewer characters could be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What must be shown to write. Only its hash is kept.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// Why a text cannot be a token.
#[derive(Debug, thiserror::Error, miette::Diagnostic, PartialEq, Eq)]
#[error(
    "the token has {0} characters; it needs at least {least}, letters, digits and signs only",
    least = SHORTEST_TOKEN
)]
#[diagnostic(
    code(bespoke::web::token),
    help("make one with `openssl rand -hex 16`")
)]
pub struct TokenError(usize);

impl Token {
    /// # Errors
    /// When the text is too short to be secret, or no header can hold it.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let fits = text.chars().all(|c| c.is_ascii_graphic());
        match text.len() {
            n if n < SHORTEST_TOKEN || !fits => Err(TokenError(n)),
            _ => Ok(Token(Sha256::digest(text).into())),
        }
    }

    /// Whether the request shows the token, as `Authorization: Bearer TOKEN`.
    /// Hashes are compared, in constant time, so that neither length nor
    /// content shows in how long it takes.
    pub fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION);
        let shown = shown.and_then(|value| value.to_str().ok());
        let Some(shown) = shown.and_then(|text| text.strip_prefix("Bearer ")) else {
            return false;
        };
        let hash: [u8; 32] = Sha256::digest(shown.trim()).into();
        self.0.ct_eq(&hash).into()
    }
}

/// The names by which this server may be called.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// Beside `localhost` and addresses.
    pub others: Vec<String>,
}

impl Names {
    /// Whether a `Host` header (or the host of an `Origin`) is one of ours. An
    /// address is: only names can be made to lead elsewhere than they did.
    fn know(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.others.iter().any(|o| o.eq_ignore_ascii_case(name))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Refuses what was not sent to us by name or from our own page, and marks
/// every answer as safe.
pub(super) async fn guard(
    State(names): State<Arc<Names>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let host = text(headers, &header::HOST);
    let origin = text(headers, &header::ORIGIN);
    let is_ours = host.is_some_and(|host| names.know(host));
    // A browser names the page's origin with every request that writes.
    let from_ours = origin.is_none_or(|origin| {
        let at = origin.split_once("://").map(|(_, at)| at);
        at.is_some() && at == host
    });
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if !is_ours {
        Failure::new(StatusCode::MISDIRECTED_REQUEST, "not a name of this server")
            .help("open it as localhost or by its address, or start `bespoke web` with --host NAME")
            .into_response()
    } else if !is_read && !from_ours {
        Failure::new(StatusCode::FORBIDDEN, "sent from the page of another site").into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in SAFETY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_be_rebound_are_ours() {
        let names = Names {
            others: vec!["nas.lan".into()],
        };
        for ours in [
            "localhost",
            "LocalHost:7312",
            "127.0.0.1:80",
            "[::1]:7312",
            "[::1]",
            "192.168.1.4:7312",
            "nas.lan:1",
        ] {
            assert!(names.know(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:7312",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "localhost:7312:evil",
            "nas.lan.evil.example",
        ] {
            assert!(!names.know(other), "{other}");
        }
    }

    #[test]
    fn a_token_is_long_and_must_be_shown_whole() {
        assert_eq!(Token::new("short").err(), Some(TokenError(5)));
        assert!(Token::new("with a space in between").is_err());
        let token = Token::new("0123456789abcdef").unwrap();
        let shows = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            token.is_shown(&headers)
        };
        assert!(shows("Bearer 0123456789abcdef"));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer ",
        ] {
            assert!(!shows(wrong), "{wrong}");
        }
        assert!(!token.is_shown(&HeaderMap::new()));
    }
}
