//! Who may use the page: whoever shows the token; without a token, only requests from this machine; and where the page
//! is public, anybody may read but nobody may post.
//!
//! A web site that is open in a browser on this machine also sends its requests "from this machine". Without a token,
//! requests must therefore name a loopback host, which stops DNS rebinding, and posts must carry a content type that
//! browsers do not send to other sites without a preflight request.

use std::sync::Arc;

use axum::{
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{body::BODY_TIMEOUT, refusal::Refusal, token::Token};

const COOKIE: &str = "residual_page";

/// Open to everybody, for the health checks of orchestrators.
const ALWAYS_OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Largest login form in bytes.
const FORM_BYTES_MAX: usize = 4_096;

/// Which requests are answered.
pub(super) enum Access {
    /// Those that show it.
    Token(Token),
    /// Everybody may read, nobody may post.
    Public,
    /// Those that name this machine as a loopback host.
    Loopback,
}

impl Access {
    /// `is_loopback` says that only this machine can reach the address.
    pub(super) fn new(token: Option<Token>, is_loopback: bool) -> Self {
        match token {
            Some(token) => Self::Token(token),
            None if is_loopback => Self::Loopback,
            None => Self::Public,
        }
    }

    fn allows(&self, request: &Request) -> bool {
        let headers = request.headers();
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match self {
            Self::Loopback => names_loopback(headers),
            Self::Public => is_read,
            Self::Token(token) => {
                bearer(headers).is_some_and(|shown| token.is(shown))
                    || (is_read && cookie(headers).is_some_and(|shown| token.is_cookie(shown)))
            }
        }
    }
}

/// Answers a request that is allowed, and refuses any other with the reason.
pub(super) async fn check(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    if ALWAYS_OPEN.contains(&request.uri().path()) || access.allows(&request) {
        return next.run(request).await;
    }
    match &*access {
        Access::Loopback => forbidden(
            "this page is for this machine only; open it as 127.0.0.1 or localhost, or set `dashboard.token`",
        ),
        Access::Public => forbidden("records are taken only with a token; set `dashboard.token`"),
        Access::Token(token) => {
            if request.uri().path() == "/login" && request.method() == Method::POST {
                return log_in(token, request).await;
            }
            unauthorized(request.headers(), request.uri().path())
        }
    }
}

fn forbidden(error: &str) -> Response {
    Refusal::new(StatusCode::FORBIDDEN, error).into_response()
}

fn unauthorized(headers: &HeaderMap, path: &str) -> Response {
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let is_browser = path == "/" && accepts.is_some_and(|accept| accept.contains("text/html"));
    let mut response = if is_browser {
        (StatusCode::UNAUTHORIZED, Html(include_str!("login.html"))).into_response()
    } else {
        let error = "send the token of `dashboard.token` as `Authorization: Bearer TOKEN`";
        Refusal::new(StatusCode::UNAUTHORIZED, error).into_response()
    };
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

/// Exchanges the token, typed into the form, for a cookie that allows reading but not posting.
async fn log_in(token: &Token, request: Request) -> Response {
    let body = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX);
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(body) => body.unwrap_or_default(),
        Err(_) => {
            return Refusal::new(StatusCode::REQUEST_TIMEOUT, "the form took too long")
                .into_response();
        }
    };
    let shown = std::str::from_utf8(&body)
        .ok()
        .and_then(|form| format!("/?{form}").parse().ok())
        .and_then(|uri| Query::<Login>::try_from_uri(&uri).ok());
    if !shown.is_some_and(|shown| token.is(&shown.token)) {
        return (StatusCode::UNAUTHORIZED, Html(include_str!("login.html"))).into_response();
    }
    let cookie = format!(
        "{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/",
        token.cookie()
    );
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// For a browser that is logged in already.
pub(super) async fn login() -> Redirect {
    Redirect::to("/")
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, shown) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| shown.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Security headers of every answer.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
