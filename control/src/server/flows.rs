//! Paths of flows and blocked sources, and what answers them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, Query, State, rejection::QueryRejection},
    routing::{delete, get},
};
use secuxflow::plane::FlowRecord;

use super::{
    Peer,
    routes::{Answer, Shared, blocking, change},
};
use crate::{
    admin::Admin,
    api::{ErrorCode, FlowQuery, Flows, Removed, Sources},
    error::ApiError,
};

/// The paths below `/v1/flows` and `/v1/sources`.
pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/flows", get(flows).delete(clear))
        .route("/v1/flows/{id}", get(show).delete(forget))
        .route("/v1/sources", get(sources).delete(unblock_all))
        .route("/v1/sources/{address}", delete(unblock))
}

async fn flows(State(admin): Shared, query: Result<Query<FlowQuery>, QueryRejection>) -> Answer<Flows> {
    let Query(query) = query.map_err(|e| ApiError::new(ErrorCode::BadRequest, e.body_text()))?;
    blocking(admin, move |admin| admin.flows(&query)).await.map(Json)
}

async fn show(State(admin): Shared, Path(id): Path<String>) -> Answer<FlowRecord> {
    blocking(admin, move |admin| admin.flow(&id)).await.map(Json)
}

async fn forget(State(admin): Shared, ConnectInfo(peer): ConnectInfo<Peer>, Path(id): Path<String>) -> Answer<Removed> {
    let what = format!("flow delete {}", id.escape_debug());
    let removed = change(admin, peer, what, move |admin| admin.delete_flow(&id)).await?;
    Ok(Json(Removed { removed }))
}

async fn clear(State(admin): Shared, ConnectInfo(peer): ConnectInfo<Peer>) -> Answer<Removed> {
    let removed = change(admin, peer, "flow delete --all".to_owned(), Admin::delete_flows).await?;
    Ok(Json(Removed { removed }))
}

async fn sources(State(admin): Shared) -> Answer<Sources> {
    blocking(admin, Admin::sources).await.map(Json)
}

async fn unblock(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(address): Path<String>,
) -> Answer<Removed> {
    let what = format!("flow unblock {}", address.escape_debug());
    let removed = change(admin, peer, what, move |admin| admin.unblock(Some(&address))).await?;
    Ok(Json(Removed { removed }))
}

async fn unblock_all(State(admin): Shared, ConnectInfo(peer): ConnectInfo<Peer>) -> Answer<Removed> {
    let removed = change(admin, peer, "flow unblock --all".to_owned(), |admin| admin.unblock(None)).await?;
    Ok(Json(Removed { removed }))
}
