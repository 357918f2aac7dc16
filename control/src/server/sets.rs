//! Paths of sets and what answers them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    routing::{get, post},
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Peer,
    body::{Body, Params, Text},
    routes::{Answer, Shared, blocking, change},
};
use crate::{
    admin::Admin,
    api::{
        AddEntries, CreateSet, ImportOptions, MAX_FEED_BODY, RemoveEntries, Removed, SetChange, SetEntries,
        SetImported, SetInfo, Sets,
    },
    error::ApiError,
    sets::feed,
};

/// The paths below `/v1/sets`.
pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/sets", get(sets).post(create))
        .route("/v1/sets/{name}", get(show).delete(delete))
        .route("/v1/sets/{name}/entries", post(add).delete(clear))
        .route("/v1/sets/{name}/entries/remove", post(remove))
        .route("/v1/sets/{name}/feed", post(import))
}

async fn sets(State(admin): Shared) -> Answer<Sets> {
    blocking(admin, |admin| Ok(admin.sets())).await.map(Json)
}

async fn create(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<CreateSet>,
) -> Result<(StatusCode, Json<SetInfo>), ApiError> {
    let what = format!("set create {}", serde_json::to_string(&request).unwrap_or_default());
    let created = change(admin, peer, what, move |admin| admin.create_set(&request)).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    limit: Option<usize>,
}

async fn show(State(admin): Shared, Path(name): Path<String>, Params(query): Params<ShowQuery>) -> Answer<SetEntries> {
    let limit = query.limit.unwrap_or(usize::MAX);
    blocking(admin, move |admin| admin.set(&name, limit, Timestamp::now())).await.map(Json)
}

async fn delete(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<Removed> {
    let what = format!("set delete {}", name.escape_debug());
    let removed = change(admin, peer, what, move |admin| admin.delete_set(&name)).await?;
    Ok(Json(Removed { removed }))
}

async fn add(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<AddEntries>,
) -> Answer<SetChange> {
    let what = format!("set add {}: {}", name.escape_debug(), some(&request.prefixes));
    change(admin, peer, what, move |admin| admin.add_entries(&name, &request, Timestamp::now())).await.map(Json)
}

async fn remove(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<RemoveEntries>,
) -> Answer<SetChange> {
    let what = format!("set remove {}: {}", name.escape_debug(), some(&request.prefixes));
    change(admin, peer, what, move |admin| admin.remove_entries(&name, &request)).await.map(Json)
}

async fn clear(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<Removed> {
    let what = format!("set clear {}", name.escape_debug());
    let removed = change(admin, peer, what, move |admin| admin.clear_set(&name)).await?;
    Ok(Json(Removed { removed }))
}

async fn import(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Params(options): Params<ImportOptions>,
    Text(text): Text<MAX_FEED_BODY>,
) -> Answer<SetImported> {
    let what = format!("set import {} ({} bytes)", name.escape_debug(), text.len());
    let work = move |admin: &Admin| {
        let feed = feed::parse(&text);
        drop(text);
        admin.import_feed(&name, feed, &options, Timestamp::now())
    };
    change(admin, peer, what, work).await.map(Json)
}

/// The first of many words, for the log.
fn some(words: &[String]) -> String {
    const MOST: usize = 5;
    let more = words.len().saturating_sub(MOST);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{:?}{more}", &words[..words.len().min(MOST)])
}
