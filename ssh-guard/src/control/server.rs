//! The daemon's end of the control socket.

use std::fs::{self, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post as posting};
use axum::{Extension, Json, Router};
use http_body_util::BodyExt as _;
use ipnet::IpNet;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Group, chown};
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::api::{
    AllowRequest, Allowlist, BanRequest, Bans, ConfirmRequest, DetachRequest, DisallowRequest, Done,
    ListRequest, Refusal, ResyncRequest, Sessions, Sources, Status, UnbanRequest, Why,
};
use super::events::{Declined, EventsTaken, Form};
use super::peer::Peer;
use super::post;
use crate::fault::{Exit, Fault};
use crate::lists::parse::{Listed, NoList, Parser};
use crate::network::Network;
use crate::serve::{Bounds, serve};
use crate::socket_file::{self, SocketFile, Taken};

/// What the socket's requests are put to.
pub trait Desk: Send + Sync + 'static {
    /// How the daemon is.
    fn status(&self) -> Status;
    /// The bans of at most `limit` sources and networks after `after`.
    fn bans(&self, after: Option<Network>, limit: usize) -> impl Future<Output = Result<Bans, Fault>> + Send;
    /// At most `limit` networks of the allowlist after `after`.
    fn allowlist(
        &self,
        after: Option<Network>,
        limit: usize,
    ) -> impl Future<Output = Result<Allowlist, Fault>> + Send;
    /// At most `limit` sources.
    fn sources(&self, limit: usize) -> impl Future<Output = Result<Sources, Fault>> + Send;
    /// Why a source, that of an address, or a network is blocked, or is not.
    fn why(&self, asked: Network) -> impl Future<Output = Result<Why, Fault>> + Send;
    /// At most `limit` sessions, of the sources that lie in `of` or hold it.
    fn sessions(
        &self,
        of: Option<Network>,
        limit: usize,
    ) -> impl Future<Output = Result<Sessions, Fault>> + Send;
    /// Makes the kernel's maps what they should be, and says what differed.
    fn resync(&self, request: ResyncRequest) -> impl Future<Output = Result<Done, Fault>> + Send;
    /// Bans sources.
    fn ban(&self, request: BanRequest, peer: Peer) -> impl Future<Output = Result<Done, Fault>> + Send;
    /// Bans what is listed.
    fn list(
        &self,
        request: ListRequest,
        listed: Listed,
        peer: Peer,
    ) -> impl Future<Output = Result<Done, Fault>> + Send;
    /// Lifts bans.
    fn unban(&self, request: UnbanRequest) -> impl Future<Output = Result<Done, Fault>> + Send;
    /// Allows networks.
    fn allow(&self, request: AllowRequest) -> impl Future<Output = Result<Done, Fault>> + Send;
    /// Takes networks out of the allowlist.
    fn disallow(
        &self,
        request: DisallowRequest,
        peer: Peer,
    ) -> impl Future<Output = Result<Done, Fault>> + Send;
    /// Makes a change final that is on trial.
    fn confirm(
        &self,
        request: ConfirmRequest,
        peer: Peer,
    ) -> impl Future<Output = Result<Done, Fault>> + Send;
    /// Takes the programs off every interface.
    fn detach(&self, request: DetachRequest) -> impl Future<Output = Result<Done, Fault>> + Send;
    /// Has auth events judged that an application posted.
    fn events(&self, form: Form, body: Bytes) -> impl Future<Output = Result<EventsTaken, Declined>> + Send;
}

/// A socket that is listened on.
pub struct Listening {
    listener: UnixListener,
    file: SocketFile,
    group: Option<Gid>,
}

/// Makes the socket, for root and `group` only.
///
/// # Errors
/// If another daemon answers there, something else lies there, or the folder may not be written.
pub fn listen(path: &Path, group: &str) -> Result<Listening, Fault> {
    let group = if let Ok(Some(group)) = Group::from_name(group) {
        Some(group.gid)
    } else {
        warn!(group, socket = ?path, "no such group: only root and this user may use the socket");
        None
    };
    make_room(path)?;
    let unwritable = |error: io::Error| {
        let exit =
            if error.kind() == io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Failure };
        Fault::new(exit, format!("cannot listen on '{}'", path.display()))
            .because(error)
            .hint("'control.socket' must lie in a folder that this user may write")
    };
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(unwritable)?;
    }
    // The socket must never be there with a wider mode, not even for a moment.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener.map_err(unwritable)?;
    let file = SocketFile::at(path);
    if group.is_some() {
        chown(path, None, group).map_err(|error| unwritable(error.into()))?;
        fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(unwritable)?;
    }
    Ok(Listening { listener, file, group })
}

/// Removes a socket that a daemon left behind which ended without a word.
fn make_room(path: &Path) -> Result<(), Fault> {
    socket_file::make_room(path, |path| StdUnixStream::connect(path).is_ok()).map_err(|taken| match taken {
        Taken::NoSocket => {
            Fault::new(Exit::Failure, format!("cannot listen on '{}': it is no socket", path.display()))
                .hint("remove it, or set 'control.socket' to another path")
        }
        Taken::Answered => {
            Fault::new(Exit::Failure, format!("another daemon answers on '{}'", path.display()))
                .hint("stop it first, or set 'control.socket' and 'guard.pin-path' to other paths")
        }
        Taken::Kept(error) => {
            Fault::new(Exit::Failure, format!("cannot remove '{}'", path.display())).because(error)
        }
    })
}

impl Listening {
    /// Answers until `stop` is cancelled, then removes the socket.
    pub async fn answer<D: Desk>(self, desk: Arc<D>, stop: CancellationToken) {
        let Self { listener, file: _file, group } = self;
        let router = Router::new()
            .route("/v1/status", get(status::<D>))
            .route("/v1/bans", get(bans::<D>))
            .route("/v1/allowlist", get(allowlist::<D>))
            .route("/v1/sources", get(sources::<D>))
            .route("/v1/sessions", get(sessions::<D>))
            .route("/v1/why", get(why::<D>))
            .route("/v1/ban", posting(ban::<D>))
            .route("/v1/list", posting(list::<D>))
            .route("/v1/resync", posting(resync::<D>))
            .route("/v1/unban", posting(unban::<D>))
            .route("/v1/allow", posting(allow::<D>))
            .route("/v1/disallow", posting(disallow::<D>))
            .route("/v1/confirm", posting(confirm::<D>))
            .route("/v1/detach", posting(detach::<D>))
            .route("/v1/events", posting(post::events::<D>))
            .with_state(desk);
        let prepare = |stream: &tokio::net::UnixStream, _| {
            let may_change = Peer::of(stream).filter(|peer| peer.may_change(group));
            router.clone().layer(Extension(MayChange(may_change)))
        };
        serve(listener, prepare, BOUNDS, stop).await;
    }

    /// Answers those who may post auth events and do nothing else, until `stop` is cancelled; then removes the socket.
    pub async fn answer_events<D: Desk>(self, desk: Arc<D>, stop: CancellationToken) {
        let Self { listener, file: _file, group } = self;
        let router = Router::new().route("/v1/events", posting(post::events::<D>)).with_state(desk);
        let prepare = |stream: &tokio::net::UnixStream, _| {
            let may_post = Peer::of(stream).filter(|peer| peer.may_change(group));
            router.clone().layer(Extension(MayChange(may_post)))
        };
        serve(listener, prepare, BOUNDS, stop).await;
    }
}

const BOUNDS: Bounds = Bounds { connections: 32, connection: Duration::from_mins(1), body: BODY };

/// The longest body of a request, but for lists, which are read as they come.
pub(super) const BODY: usize = 1 << 20;

/// Who asks, if they may have something changed, or on the socket for that, post events.
#[derive(Clone, Copy)]
pub(super) struct MayChange(Option<Peer>);

impl MayChange {
    pub(super) fn check(self) -> Result<Peer, Fault> {
        self.0.ok_or_else(|| {
            Fault::new(Exit::NotPermitted, "this takes root, or the group that the configuration names")
        })
    }
}

/// An answer, or a refusal with the status that fits.
pub(super) struct Answer<T>(pub(super) Result<T, Fault>);

impl<T: serde::Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(answer) => Json(answer).into_response(),
            Err(fault) => {
                let status = match fault.exit() {
                    Exit::Usage => StatusCode::BAD_REQUEST,
                    Exit::NotPermitted => StatusCode::FORBIDDEN,
                    Exit::NoDaemon => StatusCode::SERVICE_UNAVAILABLE,
                    Exit::Failure | Exit::Configuration => StatusCode::INTERNAL_SERVER_ERROR,
                };
                let refusal = Refusal { error: fault.told(), hint: fault.way_out().map(str::to_owned) };
                (status, Json(refusal)).into_response()
            }
        }
    }
}

#[derive(Deserialize)]
struct Which {
    source: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Asked {
    source: String,
}

#[derive(Deserialize)]
struct Page {
    after: Option<IpNet>,
    limit: Option<usize>,
}

/// How many entries a page has, unless the request says less.
const PAGE: usize = 1000;

/// How many sources are told at most: those that sent most.
const MOST_SOURCES: usize = 10_000;

/// How many sessions are told at most.
const MOST_SESSIONS: usize = 10_000;

async fn status<D: Desk>(State(desk): State<Arc<D>>) -> Json<Status> {
    Json(desk.status())
}

async fn bans<D: Desk>(State(desk): State<Arc<D>>, Query(page): Query<Page>) -> Answer<Bans> {
    Answer(desk.bans(page.after.map(Network::from), page.limit.unwrap_or(PAGE).min(PAGE)).await)
}

async fn allowlist<D: Desk>(State(desk): State<Arc<D>>, Query(page): Query<Page>) -> Answer<Allowlist> {
    Answer(desk.allowlist(page.after.map(Network::from), page.limit.unwrap_or(PAGE).min(PAGE)).await)
}

async fn sources<D: Desk>(State(desk): State<Arc<D>>, Query(page): Query<Page>) -> Answer<Sources> {
    Answer(desk.sources(page.limit.unwrap_or(PAGE).min(MOST_SOURCES)).await)
}

async fn sessions<D: Desk>(State(desk): State<Arc<D>>, Query(which): Query<Which>) -> Answer<Sessions> {
    let of = match which.source.as_deref().map(network_of).transpose() {
        Ok(of) => of,
        Err(fault) => return Answer(Err(fault)),
    };
    Answer(desk.sessions(of, which.limit.unwrap_or(PAGE).min(MOST_SESSIONS)).await)
}

async fn why<D: Desk>(State(desk): State<Arc<D>>, Query(asked): Query<Asked>) -> Answer<Why> {
    match network_of(&asked.source) {
        Ok(asked) => Answer(desk.why(asked).await),
        Err(fault) => Answer(Err(fault)),
    }
}

/// An address, or a network.
fn network_of(text: &str) -> Result<Network, Fault> {
    let address = || text.parse::<IpAddr>().ok().map(Network::from);
    let network = || text.parse::<IpNet>().ok().map(Network::from);
    address()
        .or_else(network)
        .ok_or_else(|| Fault::new(Exit::Usage, format!("'{text}' is neither an address nor a network")))
}

/// Takes a list while it comes in, so that no client's list is kept as text.
async fn list<D: Desk>(
    State(desk): State<Arc<D>>,
    Extension(may): Extension<MayChange>,
    Query(request): Query<ListRequest>,
    body: Body,
) -> Answer<Done> {
    let listed = async {
        let peer = may.check()?;
        let refused = |error: NoList| {
            Fault::new(Exit::Usage, format!("this is no list: {error}")).hint("nothing is changed")
        };
        let (mut parser, mut body) = (Parser::default(), body);
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| Fault::new(Exit::Usage, "the list does not arrive whole").because(error))?;
            if let Ok(piece) = frame.into_data() {
                parser.feed(&piece).map_err(refused)?;
            }
        }
        Ok((parser.finish().map_err(refused)?, peer))
    };
    match listed.await {
        Ok((listed, peer)) => Answer(desk.list(request, listed, peer).await),
        Err(fault) => Answer(Err(fault)),
    }
}

/// A request that changes something, from somebody who may; some ask who that is.
macro_rules! change {
    ($name:ident, $request:ty) => {
        change!($name, $request, |_peer|);
    };
    ($name:ident, $request:ty, |$peer:ident| $($who:ident)?) => {
        async fn $name<D: Desk>(
            State(desk): State<Arc<D>>,
            Extension(may): Extension<MayChange>,
            Json(request): Json<$request>,
        ) -> Answer<Done> {
            match may.check() {
                Ok($peer) => Answer(desk.$name(request $(, $who)?).await),
                Err(fault) => Answer(Err(fault)),
            }
        }
    };
}

change!(ban, BanRequest, |peer| peer);
change!(resync, ResyncRequest);
change!(unban, UnbanRequest);
change!(allow, AllowRequest);
change!(disallow, DisallowRequest, |peer| peer);
change!(confirm, ConfirmRequest, |peer| peer);
change!(detach, DetachRequest);
