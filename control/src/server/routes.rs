//! Paths and what answers them.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::{Body as HttpBody, Bytes},
    extract::{ConnectInfo, Path, State},
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use secuxflow::{
    plane::ProbeReport,
    rules::RuleId,
    service::{Service, ServiceSpec},
};
use serde::Deserialize;
use tokio_stream::{StreamExt, wrappers::BroadcastStream, wrappers::errors::BroadcastStreamRecvError};

use super::{
    Peer,
    body::{Body, Params},
    flows, modules, sets,
};
use crate::{
    admin::Admin,
    api::{
        AddRule, Alerts, ApplyOptions, ErrorCode, Explain, Explanation, Inspect, MAX_RULESET_BODY, Missed, Removed,
        RuleAdded, Rules, Ruleset, RulesetChange, Services, Status,
    },
    error::ApiError,
};

pub(super) type Shared = State<Arc<Admin>>;
pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// The API's paths over `admin`.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/rules", get(rules).post(add_rule).put(replace_rules).delete(clear_rules))
        .route("/v1/rules/explain", post(explain))
        .route("/v1/rules/{id}", delete(delete_rule))
        .merge(sets::routes())
        .merge(flows::routes())
        .route("/v1/services", get(services).post(add_service))
        .route("/v1/services/{name}", delete(delete_service))
        .merge(modules::routes())
        .route("/v1/inspect", post(inspect))
        .route("/v1/alerts", get(alerts))
        .route("/v1/alerts/stream", get(alert_stream))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(admin)
}

/// Run `work`, which may block, outside the async executor.
pub(super) async fn blocking<T: Send + 'static>(
    admin: Arc<Admin>,
    work: impl FnOnce(&Admin) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&admin)).await;
    done.unwrap_or_else(|e| {
        tracing::error!("a request broke: {e}");
        Err(ApiError::new(ErrorCode::Internal, "the daemon failed on this request; its log tells more"))
    })
}

/// As [`blocking`], for changes: who asked for what and whether it was done goes to the log.
pub(super) async fn change<T: Send + 'static>(
    admin: Arc<Admin>,
    peer: Peer,
    what: String,
    work: impl FnOnce(&Admin) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = blocking(admin, work).await;
    let Peer { uid, gid, pid } = peer;
    match &done {
        Ok(_) => tracing::info!(?uid, ?gid, ?pid, "{what}: done"),
        Err(e) => tracing::warn!(?uid, ?gid, ?pid, "{what}: refused: {e}"),
    }
    done
}

async fn status(State(admin): Shared) -> Answer<Status> {
    blocking(admin, Admin::status).await.map(Json)
}

async fn rules(State(admin): Shared) -> Answer<Rules> {
    blocking(admin, Admin::rules).await.map(Json)
}

async fn add_rule(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<AddRule>,
) -> Result<(StatusCode, Json<RuleAdded>), ApiError> {
    let what = format!("rule add {}", serde_json::to_string(&request).unwrap_or_default());
    let added = change(admin, peer, what, move |admin| admin.add_rule(&request)).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

async fn replace_rules(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Params(options): Params<ApplyOptions>,
    Body(ruleset): Body<Ruleset, MAX_RULESET_BODY>,
) -> Answer<RulesetChange> {
    let work = move |admin: &Admin| admin.replace_rules(&ruleset, options);
    if options.dry_run {
        return blocking(admin, work).await.map(Json);
    }
    change(admin, peer, "rule apply".to_owned(), work).await.map(Json)
}

async fn explain(State(admin): Shared, Body(request): Body<Explain>) -> Answer<Explanation> {
    blocking(admin, move |admin| admin.explain(&request)).await.map(Json)
}

async fn clear_rules(State(admin): Shared, ConnectInfo(peer): ConnectInfo<Peer>) -> Answer<Removed> {
    let removed = change(admin, peer, "rule clear".to_owned(), Admin::clear_rules).await?;
    Ok(Json(Removed { removed }))
}

async fn delete_rule(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
) -> Answer<Removed> {
    let id: RuleId = id.parse()?;
    let removed = change(admin, peer, format!("rule delete {id}"), move |admin| admin.delete_rule(id)).await?;
    Ok(Json(Removed { removed }))
}

async fn services(State(admin): Shared) -> Answer<Services> {
    blocking(admin, Admin::services).await.map(Json)
}

async fn add_service(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(service): Body<ServiceSpec>,
) -> Result<(StatusCode, Json<Service>), ApiError> {
    let what = format!("service add {}", serde_json::to_string(&service).unwrap_or_default());
    let added = change(admin, peer, what, move |admin| admin.add_service(&service)).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

async fn delete_service(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<Removed> {
    let what = format!("service delete {}", name.escape_debug());
    let removed = change(admin, peer, what, move |admin| admin.delete_service(&name)).await?;
    Ok(Json(Removed { removed }))
}

async fn inspect(State(admin): Shared, Body(request): Body<Inspect>) -> Answer<ProbeReport> {
    blocking(admin, move |admin| admin.inspect(&request)).await.map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertQuery {
    limit: Option<usize>,
}

async fn alerts(State(admin): Shared, Params(query): Params<AlertQuery>) -> Answer<Alerts> {
    let limit = query.limit.unwrap_or(usize::MAX);
    blocking(admin, move |admin| Ok(admin.alert_list(limit))).await.map(Json)
}

async fn alert_stream(State(admin): Shared) -> Response {
    let Some(alerts) = admin.alerts().follow() else {
        return ApiError::new(ErrorCode::Internal, "the daemon is stopping").into_response();
    };
    let lines = BroadcastStream::new(alerts).map(|alert| {
        let line = match alert {
            Ok(line) => format!("{line}\n"),
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                format!("{}\n", serde_json::to_string(&Missed { missed }).map_err(std::io::Error::from)?)
            }
        };
        Ok::<_, std::io::Error>(Bytes::from(line))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], HttpBody::from_stream(lines)).into_response()
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("there is no {}; the API's paths begin with /v1/", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, format!("{} does not know {method}", uri.path()))
}
