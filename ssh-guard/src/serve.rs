//! Answers HTTP/1.1 on a listener, within bounds: so many connections at once, so much time for each, so large a
//! request. The control socket and the metrics stand on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// What one client may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once. For another one, that is closed which has been open longest without having asked for
    /// anything; if all have asked, it waits until one of them is answered.
    pub connections: usize,
    /// Time for a connection, from the first byte to the last.
    pub connection: Duration,
    /// Bytes of a request's body.
    pub body: usize,
}

/// Serves until `stop` is cancelled, then lets the answers that are under way finish. `prepare` makes the router of a
/// connection from who is at its other end.
pub async fn serve<L: Listener>(
    mut listener: L,
    prepare: impl Fn(&L::Io, L::Addr) -> Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let mut open: VecDeque<Open> = VecDeque::new();
    'serving: loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        open.retain(|connection| !connection.task.is_finished());
        while open.len() >= bounds.connections {
            if let Some(silent) = open.iter().position(|connection| !connection.asked.load(Relaxed)) {
                open.remove(silent).inspect(|connection| connection.task.abort());
                continue;
            }
            tokio::select! {
                _ = connections.join_next() => {}
                () = stop.cancelled() => break 'serving,
            }
            open.retain(|connection| !connection.task.is_finished());
        }
        let asked = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&asked);
        let router = prepare(&stream, peer).layer(DefaultBodyLimit::max(bounds.body)).layer(
            middleware::from_fn(move |request: Request, next: Next| {
                note.store(true, Relaxed);
                next.run(request)
            }),
        );
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADER_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let task = connections.spawn(async move {
            match tokio::time::timeout(bounds.connection, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "a client broke off"),
                Err(_) => debug!("a client was too slow"),
            }
        });
        open.push_back(Open { asked, task });
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

/// A connection.
struct Open {
    /// Whether the head of its request has come.
    asked: Arc<AtomicBool>,
    task: AbortHandle,
}

/// How long a client may take to send the head of its request.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// How long the head of a request may be; no client of ours sends a tenth of it.
const HEADER_BYTES: usize = 16 * 1024;
