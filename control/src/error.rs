//! Why a request was refused, and the HTTP status that says so.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secuxflow::{rules::RuleError, service::ServiceError};

use crate::api::{ErrorBody, ErrorCode, Failure, Fault};

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    /// Kind, for programs.
    pub(crate) code: ErrorCode,
    /// Field it is about.
    pub(crate) field: Option<String>,
    /// What is wrong and how to mend it.
    pub(crate) message: String,
    /// Each mistake of a whole ruleset.
    pub(crate) faults: Vec<Fault>,
}

impl ApiError {
    /// An error that is about no field.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into(), faults: Vec::new() }
    }

    /// An error about one field.
    pub(crate) fn field(code: ErrorCode, field: &str, message: impl Into<String>) -> Self {
        Self { code, field: Some(field.to_owned()), message: message.into(), faults: Vec::new() }
    }

    /// A value that breaks a rule.
    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::field(ErrorCode::Invalid, field, message)
    }

    /// A body that is not what the API documents; the field is the one that serde names.
    pub(crate) fn body(error: &serde_json::Error) -> Self {
        Self::request(error.to_string(), None)
    }

    /// As [`Self::body`], of a body or query; the field is the one that serde stood at, where it names none.
    pub(crate) fn at<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Self {
        let place = match error.path().iter().next() {
            Some(serde_path_to_error::Segment::Map { key }) => Some(key.as_str()),
            _ => None,
        };
        Self::request(error.inner().to_string(), place)
    }

    fn request(message: String, place: Option<&str>) -> Self {
        let named = message.contains("field `").then(|| message.split('`').nth(1)).flatten().map(str::to_owned);
        let (field, message) = match (named, place) {
            (None, Some(place)) => (Some(place.to_owned()), format!("{place}: {message}")),
            (named, _) => (named, message),
        };
        Self { code: ErrorCode::BadRequest, field, message, faults: Vec::new() }
    }

    /// A ruleset with mistakes, all of them.
    pub(crate) fn ruleset(faults: Vec<Fault>) -> Self {
        let message = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let field = faults.iter().find_map(Fault::place);
        Self { code: ErrorCode::Invalid, field, message, faults }
    }

    /// HTTP status of the error's kind.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
            ErrorCode::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::Dataplane | ErrorCode::State | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<RuleError> for ApiError {
    fn from(error: RuleError) -> Self {
        let message = error.to_string();
        match error {
            RuleError::Field { field, .. } => Self::invalid(field, message),
            RuleError::Conflict { fields, .. } => Self::invalid(fields, message),
            RuleError::TooMany { .. } | RuleError::TooManySets { .. } => Self::new(ErrorCode::Invalid, message),
        }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        Self::invalid(error.field, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let error = ErrorBody { code: self.code, field: self.field, message: self.message, faults: self.faults };
        (status, Json(Failure { error })).into_response()
    }
}
