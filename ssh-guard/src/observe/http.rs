//! What is shown over HTTP, to whoever reaches the address: `/metrics` and `/healthz`, GET only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::metrics::CONTENT_TYPE;
use super::{Heartbeat, Metrics};
use crate::fault::{Exit, Fault};
use crate::serve::{Bounds, serve};

/// Listens.
///
/// # Errors
/// If the address is taken, or not this machine's.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Fault> {
    TcpListener::bind(address).await.map_err(|error| {
        Fault::new(Exit::Failure, format!("cannot listen on {address}"))
            .because(error)
            .hint("set 'observe.listen' to a free address of this machine")
    })
}

/// Answers until `stop` is cancelled.
pub async fn answer(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    let router = Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(move || std::future::ready(health(&heartbeat))))
        .layer(middleware::from_fn(only_by_address))
        .with_state(metrics);
    serve(listener, |_: &TcpStream, _| router.clone(), BOUNDS, stop).await;
}

const BOUNDS: Bounds = Bounds { connections: 16, connection: Duration::from_secs(10), body: 1024 };

/// Says whether the guard works; it goes round every few seconds.
fn health(heartbeat: &Heartbeat) -> (StatusCode, String) {
    let age = heartbeat.age();
    if age < HANGS {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("the guard has not worked for {} s\n", age.as_secs()))
}

const HANGS: Duration = Duration::from_secs(30);

async fn scrape(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Refuses a request that names a host by a name other than this machine's: a page on the internet whose name was
/// made to point here would have the operator's browser read it (DNS rebinding).
async fn only_by_address(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    if host.is_none_or(is_here) {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "ask for it by address, or as 'localhost'\n").into_response()
}

fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        // The colon of an IPv6 address without a port stands within brackets.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_here_by_address_and_as_localhost() {
        for host in ["127.0.0.1:9822", "localhost:9822", "localhost", "[::1]:9822", "[::1]", "192.0.2.1"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["evil.example", "evil.example:9822", "127.0.0.1.evil.example", ""] {
            assert!(!is_here(host), "{host}");
        }
    }
}
