//! Prometheus metrics: a snapshot of the dataplane's own counters, taken when it is asked for.
//!
//! Each scrape fills a recorder of its own, so that series of deleted rules, sets and services are gone with them.

mod collect;
mod table;
mod text;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use crate::{admin::Admin, error::ApiError};

/// Prometheus' text format, version 0.0.4.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The endpoint's paths.
fn router(admin: Arc<Admin>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(admin)
}

/// Serve `/metrics` on `listener` until `stop` resolves.
///
/// # Errors
/// The listener broke.
pub(crate) async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(admin)).with_graceful_shutdown(stop).await
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let told = match tokio::task::spawn_blocking(move || render(&admin)).await {
        Ok(Ok(text)) => return ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Ok(Err(e)) => e.to_string(),
        Err(e) => e.to_string(),
    };
    tracing::error!("a scrape failed: {told}");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{told}\n")).into_response()
}

/// All metrics of this moment as text.
fn render(admin: &Admin) -> Result<String, ApiError> {
    let status = admin.status()?;
    let rules = admin.count_rules(&status.plane.rules).rules;
    Ok(collect::collect(&status, &rules, &admin.sets().sets, admin.started()))
}

#[cfg(test)]
mod tests;
