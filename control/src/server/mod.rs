//! The control API over a Unix socket.

mod body;
mod flows;
mod modules;
mod routes;
mod sets;
mod socket;

use std::sync::Arc;

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::net::UnixListener;

pub(crate) use routes::router;
pub(crate) use socket::{ControlSocket, Lock, SocketError};

use crate::admin::Admin;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peer {
    uid: Option<u32>,
    gid: Option<u32>,
    pid: Option<i32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        match stream.io().peer_cred() {
            Ok(cred) => Self { uid: Some(cred.uid()), gid: Some(cred.gid()), pid: cred.pid() },
            Err(e) => {
                tracing::warn!("the peer's credentials are not known: {e}");
                Self::default()
            }
        }
    }
}

/// Serve the API on `listener` until `stop` resolves and open requests are answered.
///
/// # Errors
/// The listener broke.
pub(crate) async fn serve(
    listener: UnixListener,
    admin: Arc<Admin>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router(admin).into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}

#[cfg(test)]
mod tests;
