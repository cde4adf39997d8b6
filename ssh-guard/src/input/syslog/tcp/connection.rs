//! One connection of a sender.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::doors::Place;
use crate::clock;
use crate::input::Stats;
use crate::input::stats::Refused;
use crate::input::syslog::framing::{BadLength, Frames};
use crate::moment::Moment;

/// How long a message that has begun may take to end.
const FRAME_TIME: Duration = Duration::from_secs(30);
/// How long nothing may come. A sender on a quiet machine has nothing to say for long, and one that is told in between that it
/// is over connects again.
const IDLE_TIME: Duration = Duration::from_hours(12);

/// What one read brought.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) texts: Vec<u8>,
    /// Where in `texts` each message ends.
    pub(super) ends: Vec<usize>,
    pub(super) too_long: u64,
    /// A message that had begun when the connection ended.
    pub(super) lost: u64,
    pub(super) read_at: Moment,
    /// Held until the guard has it: until then the sender's other connections wait.
    pub(super) turn: OwnedSemaphorePermit,
}

/// A connection that was let in.
pub(super) struct Connection {
    stream: TcpStream,
    place: Place,
    batches: mpsc::Sender<Batch>,
    frames: Frames,
    stats: Arc<Stats>,
}

/// Why a connection is over.
enum Over {
    /// The sender has closed it, or it broke.
    Ended,
    /// The daemon ends, or the sender has opened another one for it.
    Told,
    Slow,
    Framing(BadLength),
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        place: Place,
        batches: mpsc::Sender<Batch>,
        limit: usize,
        stats: Arc<Stats>,
    ) -> Self {
        Self { stream, place, batches, frames: Frames::new(limit), stats }
    }

    /// Reads until the connection is over.
    pub(super) async fn run(mut self, name: &str, stop: CancellationToken) {
        let over = tokio::select! {
            biased;
            () = stop.cancelled() => Over::Told,
            over = self.read() => over,
        };
        let sender =
            self.stream.peer_addr().map_or_else(|_| "?".to_owned(), |at| at.ip().to_canonical().to_string());
        match over {
            Over::Ended | Over::Told => tracing::debug!(input = name, sender, "a connection is over"),
            Over::Slow => {
                self.stats.refuse(Refused::Slow);
                tracing::debug!(input = name, sender, "a connection was silent for too long, and is closed");
            }
            Over::Framing(error) => {
                self.stats.refuse(Refused::Framing);
                tracing::warn!(
                    input = name,
                    sender,
                    %error,
                    hint = "send with octet counting (RFC 6587), or end each message with a newline",
                    "a connection is closed, as its messages cannot be told apart"
                );
            }
        }
    }

    async fn read(&mut self) -> Over {
        let mut begun = None;
        loop {
            let waited = match begun {
                Some(since) => FRAME_TIME.saturating_sub(clock::now().since(since)),
                None => IDLE_TIME,
            };
            let (place, stream, space) = (&self.place, &mut self.stream, self.frames.space());
            let read = tokio::select! {
                biased;
                () = place.given_up() => return Over::Told,
                read = tokio::time::timeout(waited, stream.read(space)) => read,
            };
            let over = match read {
                Err(_) => Some(Over::Slow),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => None,
                Ok(Ok(0) | Err(_)) => Some(Over::Ended),
                Ok(Ok(count)) => {
                    self.frames.filled(count);
                    None
                }
            };
            let read_at = clock::now();
            self.place.hear(read_at);
            let framing = self.hand_on(read_at, over.is_some()).await;
            if let Some(over) = over.or(framing) {
                return over;
            }
            begun = self.frames.is_in_one().then(|| begun.unwrap_or(read_at));
        }
    }

    /// Hands on what has come, once it is the sender's turn.
    async fn hand_on(&mut self, read_at: Moment, last: bool) -> Option<Over> {
        let (mut texts, mut ends) = (Vec::new(), Vec::new());
        let broken = loop {
            match self.frames.next() {
                Ok(Some(message)) => {
                    texts.extend_from_slice(message);
                    ends.push(texts.len());
                }
                Ok(None) => break None,
                Err(error) => break Some(Over::Framing(error)),
            }
        };
        let too_long = self.frames.take_too_long();
        let lost = u64::from(last && broken.is_none() && self.frames.is_in_one());
        if ends.is_empty() && too_long == 0 && lost == 0 && broken.is_none() {
            return None;
        }
        let Ok(turn) = Arc::clone(&self.place.turn).acquire_owned().await else { return Some(Over::Told) };
        let batch = Batch { texts, ends, too_long, lost, read_at, turn };
        if self.batches.send(batch).await.is_err() {
            return Some(Over::Told);
        }
        broken
    }
}
