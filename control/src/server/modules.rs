//! Paths of modules and chains, and what answers them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    routing::{get, post},
};

use super::{
    Peer,
    body::Body,
    routes::{Answer, Shared, blocking, change},
};
use crate::{
    admin::Admin,
    api::{ChainInfo, Chains, LoadModule, MAX_MODULE_BODY, ModuleInfo, Modules, Removed, SetChain},
    error::ApiError,
};

/// The paths below `/v1/modules` and `/v1/chains`.
pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/modules", get(modules))
        .route("/v1/modules/{name}", get(module).post(load).put(reload).delete(unload))
        .route("/v1/chains", get(chains))
        .route("/v1/chains/{name}", post(create).put(set).delete(delete))
}

async fn modules(State(admin): Shared) -> Answer<Modules> {
    blocking(admin, Admin::modules).await.map(Json)
}

async fn module(State(admin): Shared, Path(name): Path<String>) -> Answer<ModuleInfo> {
    blocking(admin, move |admin| admin.module(&name)).await.map(Json)
}

async fn load(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<LoadModule, MAX_MODULE_BODY>,
) -> Result<(StatusCode, Json<ModuleInfo>), ApiError> {
    let what = format!("module load {}", name.escape_debug());
    let loaded = change(admin, peer, what, move |admin| admin.load_module(&name, &request)).await?;
    Ok((StatusCode::CREATED, Json(loaded)))
}

async fn reload(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<LoadModule, MAX_MODULE_BODY>,
) -> Answer<ModuleInfo> {
    let what = format!("module reload {}", name.escape_debug());
    change(admin, peer, what, move |admin| admin.reload_module(&name, &request)).await.map(Json)
}

async fn unload(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<Removed> {
    let what = format!("module unload {}", name.escape_debug());
    let removed = change(admin, peer, what, move |admin| admin.unload_module(&name)).await?;
    Ok(Json(Removed { removed }))
}

async fn chains(State(admin): Shared) -> Answer<Chains> {
    blocking(admin, |admin| Ok(admin.chains())).await.map(Json)
}

async fn create(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<SetChain>,
) -> Result<(StatusCode, Json<ChainInfo>), ApiError> {
    let what = format!("chain create {} {}", name.escape_debug(), words(&request));
    let created = change(admin, peer, what, move |admin| admin.create_chain(&name, &request)).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

async fn set(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<SetChain>,
) -> Answer<ChainInfo> {
    let what = format!("chain set {} {}", name.escape_debug(), words(&request));
    change(admin, peer, what, move |admin| admin.set_chain(&name, &request)).await.map(Json)
}

async fn delete(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<Removed> {
    let what = format!("chain delete {}", name.escape_debug());
    let removed = change(admin, peer, what, move |admin| admin.delete_chain(&name)).await?;
    Ok(Json(Removed { removed }))
}

fn words(request: &SetChain) -> String {
    serde_json::to_string(request).unwrap_or_default()
}
