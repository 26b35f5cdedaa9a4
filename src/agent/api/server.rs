//! Accepts connections on the agent's socket and serves them, within limits in time, in size and by
//! user.

use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::ApiState;
use super::client_stream::ClientStream;
use super::connection_limits::{ConnectionLimits, ConnectionSlot};
use super::error::ApiError;
use super::peer::Peer;
use crate::adapters::process::raise_descriptor_limit;
use crate::agent::counters::REFUSED_REQUESTS;

/// How long a client may take to send the head of a request. It is also how long a connection may
/// stay idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of the head of a request, in bytes.
const HEAD_LIMIT: usize = 16 * 1024;
/// The maximum number of header fields.
const FIELDS_LIMIT: usize = 64;
/// The limit of open files that every system grants.
const FEW_DESCRIPTORS: usize = 1024;
/// The pause after a failed `accept`, such as when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves clients until `stop`, and then until the responses in progress are finished.
pub async fn serve(listener: UnixListener, state: ApiState, stop: CancellationToken) {
    let router = super::router(state.clone());
    let mut limits =
        ConnectionLimits::for_descriptors(raise_descriptor_limit().unwrap_or_else(|error| {
            tracing::warn!("the limit of open files cannot be raised: {error}");
            FEW_DESCRIPTORS
        }));
    let mut connections = JoinSet::new();
    while let Some((stream, peer)) = accept(&listener, &mut connections, &stop).await {
        let slot = if state.rights.may_use_secrets(peer) {
            tokio::select! {
                () = stop.cancelled() => break,
                slot = limits.trusted() => slot,
            }
        } else {
            limits.other(peer)
        };
        let Some(slot) = slot else {
            state.counters.count(&REFUSED_REQUESTS, "connections");
            // A client that does not read the response only sees that the connection is closed.
            let _ = stream.try_write(&ApiError::too_many_connections(peer).to_http());
            continue;
        };
        connections.spawn(serve_connection(stream, peer, slot, router.clone(), stop.clone()));
    }
    while connections.join_next().await.is_some() {}
}

/// The next connection; `None` after `stop`.
async fn accept(
    listener: &UnixListener,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Option<(UnixStream, Peer)> {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let peer = Peer::of(&stream);
                return Some((stream, peer));
            }
            Err(error) => {
                tracing::warn!("a client's connection cannot be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: UnixStream,
    peer: Peer,
    _slot: ConnectionSlot,
    router: Router,
    stop: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().call(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .max_headers(FIELDS_LIMIT)
        .serve_connection(TokioIo::new(ClientStream::new(stream)), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let problem = match ended {
        Err(error) if error.is_timeout() => ApiError::slow_request(),
        Err(error) if error.is_parse() => ApiError::not_parsed(StatusCode::BAD_REQUEST),
        _ => return,
    };
    connection.into_parts().io.into_inner().refuse(&problem);
}
