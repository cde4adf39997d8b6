//! One connection of a sender.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::doors::Place;
use crate::clock;
use crate::input::Stats;
use crate::input::stats::Refused;
use crate::input::syslog::framing::{BadLength, Frames};
use crate::moment::Moment;

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Over a message that has begun.
    frame: Duration,
    /// Between two messages.
    idle: Duration,
}

impl Default for Times {
    fn default() -> Self {
        // A sender on a quiet machine has nothing to say for long. One whose connection is closed in between connects again.
        Self { frame: Duration::from_secs(30), idle: Duration::from_hours(12) }
    }
}

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
    times: Times,
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
        Self { stream, place, batches, frames: Frames::new(limit), stats, times: Times::default() }
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
        let mut begun: Option<Moment> = None;
        loop {
            let waited = match begun {
                Some(since) => self.times.frame.saturating_sub(clock::now().since(since)),
                None => self.times.idle,
            };
            let ready = tokio::select! {
                biased;
                () = self.place.given_up() => return Over::Told,
                ready = tokio::time::timeout(waited, self.stream.readable()) => ready,
            };
            let over = match ready {
                Err(_) => Some(Over::Slow),
                Ok(Err(_)) => Some(Over::Ended),
                Ok(Ok(())) => match self.stream.try_read(self.frames.space()) {
                    Ok(0) => Some(Over::Ended),
                    Ok(count) => {
                        self.frames.filled(count);
                        None
                    }
                    Err(error) if is_passing(&error) => continue,
                    Err(_) => Some(Over::Ended),
                },
            };
            let read_at = clock::now();
            self.place.hear(read_at);
            let handed = match self.hand_on(read_at, over.is_some()).await {
                Ok(handed) => handed,
                Err(over) => return over,
            };
            if let Some(over) = over {
                return over;
            }
            // What it waited for the guard is not the sender's delay.
            let since = if handed { clock::now() } else { begun.unwrap_or(read_at) };
            begun = self.frames.is_in_one().then_some(since);
        }
    }

    /// Hands on what has come, once it is the sender's turn; says whether there was anything.
    async fn hand_on(&mut self, read_at: Moment, over: bool) -> Result<bool, Over> {
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
        // Half of a message may name another source than the whole.
        let lost = u64::from(over && broken.is_none() && self.frames.is_in_one());
        let any = !ends.is_empty() || too_long + lost > 0;
        if any {
            let turn = Arc::clone(&self.place.turn).acquire_owned().await.map_err(|_| Over::Told)?;
            let batch = Batch { texts, ends, too_long, lost, read_at, turn };
            self.batches.send(batch).await.map_err(|_| Over::Told)?;
        }
        broken.map_or(Ok(any), Err)
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::input::syslog::tcp::doors::{Doors, Entry};

    /// A connection with these times, its other end, and what comes of it.
    async fn connected(times: Times) -> (Connection, TcpStream, mpsc::Receiver<Batch>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = listener.accept().await.unwrap().0;
        let Entry::Open { place, .. } = Doors::default().enter([127, 0, 0, 1].into(), clock::now()) else {
            panic!("there is room");
        };
        let (batches, arrived) = mpsc::channel(1);
        let connection = Connection::new(stream, place, batches, 1024, Arc::default());
        (Connection { times, ..connection }, other, arrived)
    }

    const LONG: Duration = Duration::from_mins(1);
    const SHORT: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn a_message_that_does_not_end_ends_its_connection_and_is_lost() {
        let (connection, mut other, mut arrived) = connected(Times { frame: SHORT, idle: LONG }).await;
        let stats = Arc::clone(&connection.stats);
        let ended = tokio::spawn(connection.run("test", CancellationToken::new()));
        other.write_all(b"<38>a\n<38>never").await.unwrap();
        assert_eq!(arrived.recv().await.unwrap().texts, b"<38>a");
        assert_eq!(arrived.recv().await.unwrap().lost, 1);
        ended.await.unwrap();
        assert_eq!(stats.refused(Refused::Slow), 1);
    }

    #[tokio::test]
    async fn a_message_that_dribbles_in_is_given_no_more_time_for_it() {
        let (connection, mut other, mut arrived) = connected(Times { frame: 3 * SHORT, idle: LONG }).await;
        let stats = Arc::clone(&connection.stats);
        let ended = tokio::spawn(connection.run("test", CancellationToken::new()));
        while !ended.is_finished() {
            // It fails once the other end is gone.
            let _gone = other.write_all(b"x").await;
            tokio::time::sleep(SHORT / 10).await;
        }
        assert_eq!(arrived.recv().await.unwrap().lost, 1);
        assert_eq!(stats.refused(Refused::Slow), 1);
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_comes_is_closed_and_nothing_is_lost() {
        let (connection, _other, mut arrived) = connected(Times { frame: LONG, idle: SHORT }).await;
        let stats = Arc::clone(&connection.stats);
        connection.run("test", CancellationToken::new()).await;
        assert!(arrived.recv().await.is_none());
        assert_eq!(stats.refused(Refused::Slow), 1);
    }

    #[tokio::test]
    async fn the_time_that_the_guard_takes_is_not_the_senders() {
        let (connection, mut other, mut arrived) = connected(Times { frame: 10 * SHORT, idle: LONG }).await;
        let stats = Arc::clone(&connection.stats);
        let stop = CancellationToken::new();
        let ended = tokio::spawn(connection.run("test", stop.clone()));
        other.write_all(b"<38>a\n<38>b\n<38>half").await.unwrap();
        let batch = arrived.recv().await.unwrap();
        other.write_all(b"\n<38>c\n<38>half").await.unwrap();
        // Held for longer than a message may take.
        tokio::time::sleep(15 * SHORT).await;
        drop(batch);
        assert_eq!(arrived.recv().await.unwrap().texts, b"<38>half<38>c");
        assert_eq!(stats.refused(Refused::Slow), 0);
        stop.cancel();
        ended.await.unwrap();
    }
}
