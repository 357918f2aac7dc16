//! What requests carry: bodies of a bounded size, JSON or plain text, and queries; refusals name the field.

use std::{error::Error, iter::successors};

use axum::{
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::QueryRejection},
    http::request::Parts,
};
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, value};

use crate::{
    api::{ErrorCode, MAX_BODY},
    error::ApiError,
};

/// Bytes read beyond the limit, and thrown away, of a body that is too large: a client that only reads after it wrote everything gets
/// the answer instead of a broken pipe.
const MAX_DISCARD: usize = 16 << 20;

/// A request's body of at most `MAX` bytes, as `T`. The content type does not matter.
#[derive(Debug)]
pub(super) struct Body<T, const MAX: usize = MAX_BODY>(pub(super) T);

impl<S: Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for Body<T, MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read(request, MAX).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|e| ApiError::at(&e))?;
        json.end().map_err(|e| ApiError::body(&e))?;
        Ok(Self(value))
    }
}

/// A request's query as `T`.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let refused = |e: QueryRejection| {
            let mut causes = successors(e.source(), |&e| e.source());
            match causes.find_map(|e| e.downcast_ref::<serde_path_to_error::Error<value::Error>>()) {
                Some(e) => ApiError::at(e),
                None => ApiError::new(ErrorCode::BadRequest, e.body_text()),
            }
        };
        Query::try_from_uri(&parts.uri).map(|Query(query)| Self(query)).map_err(refused)
    }
}

/// A request's body of at most `MAX` bytes, as text. What is no UTF-8 is replaced: feeds have names of all kinds in their
/// comments, and prefixes are ASCII.
#[derive(Debug)]
pub(super) struct Text<const MAX: usize>(pub(super) String);

impl<S: Sync, const MAX: usize> FromRequest<S> for Text<MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let text = String::from_utf8(read(request, MAX).await?);
        Ok(Self(text.unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
    }
}

async fn read(request: Request, max: usize) -> Result<Vec<u8>, ApiError> {
    let mut body = request.into_body();
    let (mut bytes, mut discarded) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| ApiError::new(ErrorCode::BadRequest, format!("the body broke off: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if discarded > 0 || bytes.len() + data.len() > max {
            discarded += bytes.len() + data.len();
            bytes = Vec::new();
            if discarded > max + MAX_DISCARD {
                break;
            }
        } else {
            bytes.extend_from_slice(&data);
        }
    }
    if discarded > 0 {
        let message = format!("the request body is larger than {max} bytes ({} MiB); send less at a time", max >> 20);
        return Err(ApiError::new(ErrorCode::BodyTooLarge, message));
    }
    Ok(bytes)
}
