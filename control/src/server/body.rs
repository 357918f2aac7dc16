//! Request bodies: JSON or plain text of a bounded size, with refusals that name the field.

use axum::extract::{FromRequest, Request};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

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
        serde_json::from_slice(&bytes).map(Self).map_err(|e| ApiError::body(&e))
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
