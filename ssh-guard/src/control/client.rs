//! The command line's end of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::api::{Done, ListRequest, Refusal};
use crate::fault::{Exit, Fault};

/// A way to the daemon.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Will connect to this socket.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// If no daemon answers, or it refuses.
    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, Fault> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Has something changed.
    ///
    /// # Errors
    /// If no daemon answers, or it refuses.
    pub async fn post<A: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<A, Fault> {
        let body = serde_json::to_vec(request)
            .map_err(|error| Fault::new(Exit::Failure, "cannot write the request").because(error))?;
        self.ask(Method::POST, path, body.into()).await
    }

    /// Sends a list.
    ///
    /// # Errors
    /// If no daemon answers, or it refuses.
    pub async fn list(&self, request: &ListRequest, list: Vec<u8>) -> Result<Done, Fault> {
        let query = serde_urlencoded::to_string(request)
            .map_err(|error| Fault::new(Exit::Failure, "cannot write the request").because(error))?;
        self.ask(Method::POST, &format!("/v1/list?{query}"), list.into()).await
    }

    /// Has something changed that can be done without a daemon too, should none answer before long.
    ///
    /// # Errors
    /// If no daemon answers, or it refuses.
    pub async fn post_soon<A: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<A, Fault> {
        let answer = tokio::time::timeout(SOON, self.post(path, request)).await;
        answer.unwrap_or_else(|_| Err(self.silent("it does not answer within ten seconds")))
    }

    async fn ask<A: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<A, Fault> {
        let exchange = tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await;
        let (status, answer) = exchange.map_err(|_| self.silent("it does not answer within a minute"))??;
        let garbled = |error: serde_json::Error| self.silent("it answers something else").because(error);
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(garbled);
        }
        // What axum refuses by itself is plain text.
        let refusal = serde_json::from_slice(&answer)
            .unwrap_or_else(|_| Refusal { error: String::from_utf8_lossy(&answer).into_owned(), hint: None });
        let exit = match status {
            StatusCode::FORBIDDEN => Exit::NotPermitted,
            status if status.is_client_error() => Exit::Usage,
            _ => Exit::Failure,
        };
        let fault = Fault::new(exit, refusal.error);
        Err(match refusal.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        })
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), Fault> {
        let broken = |error: hyper::Error| self.silent("it breaks off").because(error);
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "ssh-guard")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| Fault::new(Exit::Failure, "cannot write the request").because(error))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            Ok((status, answer.into_body().collect().await.map_err(broken)?.to_bytes()))
        };
        tokio::pin!(connection);
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut connection => {
                ended.map_err(broken)?;
                answer.await
            }
        }
    }

    fn unreachable(&self, error: io::Error) -> Fault {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Fault::new(Exit::NotPermitted, format!("cannot use '{socket}'"))
                    .because(error)
                    .hint("run as root, or join the group that 'control.group' names")
            }
            _ => self.silent("nothing listens there").because(error),
        }
    }

    fn silent(&self, why: &str) -> Fault {
        Fault::new(Exit::NoDaemon, format!("no daemon answers on '{}': {why}", self.socket.display()))
            .hint("start it: ssh-guard run; or name its socket: --socket PATH")
    }
}

const PATIENCE: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(10);
