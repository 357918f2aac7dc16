//! Paths of flows and blocked sources, and what answers them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, State},
    routing::{delete, get},
};
use secuxflow::plane::FlowRecord;

use super::{
    Peer,
    body::Params,
    routes::{Answer, Shared, blocking, change},
};
use crate::{
    admin::Admin,
    api::{FlowQuery, Flows, Removed, Sources},
};

/// The paths below `/v1/flows` and `/v1/sources`.
pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/flows", get(flows).delete(clear))
        .route("/v1/flows/{id}", get(show).delete(forget))
        .route("/v1/sources", get(sources).delete(unblock_all))
        .route("/v1/sources/{address}", delete(unblock))
}

async fn flows(State(admin): Shared, Params(query): Params<FlowQuery>) -> Answer<Flows> {
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
