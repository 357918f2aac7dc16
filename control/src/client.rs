//! The API's client: HTTP over the daemon's Unix socket.

use std::{io, path::PathBuf};

use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use crate::api::{ErrorBody, Failure};

/// Why a request got no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers on {}: {source}; start it with `secuxflow run`, or name its socket with --socket", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket may not be used.
    #[error("{}: {source}; be root, or a member of the group in socket.group", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon refused the request.
    #[error("{}", .0.message)]
    Refused(ErrorBody),
    /// The daemon went away in the middle.
    #[error("the daemon broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// The answer is not what this version understands.
    #[error("the daemon's answer is not understood ({0}); are daemon and client of one version?")]
    Answer(String),
}

/// A client of one daemon.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon behind `socket`.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        answer(self.send(Method::GET, path, Bytes::new()).await?).await
    }

    /// `POST path` with `body` as JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::Answer(e.to_string()))?;
        answer(self.send(Method::POST, path, body.into()).await?).await
    }

    /// `POST path` with `text`, which need not be UTF-8.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn post_text<T: DeserializeOwned>(&self, path: &str, text: Vec<u8>) -> Result<T, ClientError> {
        answer(self.send_as("text/plain", Method::POST, path, text.into()).await?).await
    }

    /// `PUT path` with `body` as JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::Answer(e.to_string()))?;
        answer(self.send(Method::PUT, path, body.into()).await?).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        answer(self.send(Method::DELETE, path, Bytes::new()).await?).await
    }

    /// `GET path`, whose answer is lines that keep coming.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn stream(&self, path: &str) -> Result<Lines, ClientError> {
        let (status, body) = self.send(Method::GET, path, Bytes::new()).await?;
        if status.is_success() {
            return Ok(Lines { body, rest: Vec::new() });
        }
        Err(refusal(status, &body.collect().await?.to_bytes()))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Incoming), ClientError> {
        self.send_as("application/json", method, path, body).await
    }

    /// One request over a connection of its own; the status and the body to come.
    async fn send_as(
        &self,
        content_type: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Incoming), ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| {
            let path = self.socket.clone();
            match source.kind() {
                io::ErrorKind::PermissionDenied => ClientError::Denied { path, source },
                _ => ClientError::Unreachable { path, source },
            }
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // An error of the connection reaches the request or its body as well.
        tokio::spawn(async move { connection.await.ok() });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(body))
            .map_err(|e| ClientError::Answer(e.to_string()))?;
        let response = sender.send_request(request).await?;
        Ok((response.status(), response.into_body()))
    }
}

/// Lines of a streamed answer.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line without its end; none when the daemon ended the stream.
    ///
    /// # Errors
    /// [`ClientError::Broken`].
    pub(crate) async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            match self.body.frame().await.transpose()? {
                None => return Ok(None),
                Some(frame) => self.rest.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            }
        }
    }
}

async fn answer<T: DeserializeOwned>((status, body): (StatusCode, Incoming)) -> Result<T, ClientError> {
    let bytes = body.collect().await?.to_bytes();
    if !status.is_success() {
        return Err(refusal(status, &bytes));
    }
    serde_json::from_slice(&bytes).map_err(|e| ClientError::Answer(e.to_string()))
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Failure>(body) {
        Ok(failure) => ClientError::Refused(failure.error),
        Err(_) => ClientError::Answer(format!("status {status}")),
    }
}
