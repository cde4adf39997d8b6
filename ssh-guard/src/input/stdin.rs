//! Reads standard input until it ends.

use std::io::{self, Read};

use tokio::sync::mpsc;

use super::lines::Lines;
use super::{Feed, InputError, Line, Sink, Stopped, Written};
use crate::clock;

/// How much is read at once, in bytes.
const BLOCK: usize = 64 * 1024;

/// Reads until the end, or until the input is stopped.
pub(super) async fn follow<S: Sink>(feed: &mut Feed<S>) {
    let ended = match run(io::stdin(), feed).await {
        Err(Stopped) => return,
        Ok(error) => error,
    };
    feed.over(&ended);
    feed.stop.cancelled().await;
}

async fn run<S: Sink>(input: impl Read + Send + 'static, feed: &mut Feed<S>) -> Result<InputError, Stopped> {
    let (blocks, mut read) = mpsc::channel(1);
    // A thread of its own: a terminal, a pipe, a file and a socket can all be read so, and none of them can be told to stop
    // waiting. It ends with the input, or with the process.
    let reader =
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read_blocks(input, &blocks));
    if let Err(source) = reader {
        return Ok(InputError::Stdin { source });
    }
    let mut lines = Lines::new(feed.line_bytes);
    let mut partial = false;
    loop {
        let block: io::Result<Vec<u8>> = tokio::select! {
            biased;
            () = feed.stop.cancelled() => return Err(Stopped),
            block = read.recv() => block.unwrap_or_else(|| Ok(Vec::new())),
        };
        let read_at = clock::now();
        let block = match block {
            Ok(block) if block.is_empty() => {
                // A line that has no end was cut, and may name another source than its whole would.
                feed.counts.lost += u64::from(partial);
                feed.flush(read_at).await?;
                return Ok(InputError::StdinEnded);
            }
            Ok(block) => block,
            Err(source) => return Ok(InputError::Stdin { source }),
        };
        feed.works();
        partial = block.last() != Some(&b'\n');
        lines.space()[..block.len()].copy_from_slice(&block);
        lines.filled(block.len());
        while let Some(text) = lines.next() {
            feed.line(&Line { process: None, pid: None, text, read_at, written: Written::Now });
        }
        feed.counts.too_long += lines.take_too_long();
        feed.flush(read_at).await?;
    }
}

/// Sends what is read, and at last an empty block or an error.
fn read_blocks(mut input: impl Read, blocks: &mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = vec![0; BLOCK];
        let read = match input.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map(|count| {
                block.truncate(count);
                block
            }),
        };
        let last = !matches!(&read, Ok(block) if !block.is_empty());
        if blocks.blocking_send(read).is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::input::{Counts, Stats};

    #[derive(Default)]
    struct Basket(Vec<String>);

    impl Sink for Basket {
        fn line(&mut self, line: &Line<'_>) {
            self.0.push(String::from_utf8_lossy(line.text).into_owned());
        }

        async fn flush(&mut self) {}
    }

    fn feed() -> Feed<Basket> {
        let (stats, stop) = (Arc::new(Stats::default()), CancellationToken::new());
        let (name, counts) = ("stdin".to_owned(), Counts::default());
        Feed { name, line_bytes: 16, sink: Basket::default(), stats, stop, counts, interrupted: false }
    }

    async fn read(text: &'static [u8]) -> Feed<Basket> {
        let mut feed = feed();
        assert!(matches!(run(text, &mut feed).await, Ok(InputError::StdinEnded)));
        feed
    }

    #[tokio::test]
    async fn all_lines_are_read_and_one_that_is_cut_by_the_end_is_lost() {
        let feed = read(b"one\r\ntwo\nlonger than sixteen bytes\nfrom 203.0.113.7").await;
        assert_eq!(feed.sink.0, ["one", "two"]);
        assert_eq!((feed.stats.lines(), feed.stats.too_long(), feed.stats.lost()), (2, 1, 1));
        let feed = read(b"one\n").await;
        assert_eq!((feed.sink.0.len(), feed.stats.lost()), (1, 0));
        assert_eq!(read(b"").await.stats.lost(), 0);
    }

    #[tokio::test]
    async fn a_line_that_comes_in_pieces_is_one_and_waiting_for_more_can_be_stopped() {
        let mut feed = feed();
        let (reader, mut writer) = io::pipe().unwrap();
        let (stop, stats) = (feed.stop.clone(), Arc::clone(&feed.stats));
        let other = std::thread::spawn(move || {
            for piece in ["on", "e\ntw", "o\n"] {
                writer.write_all(piece.as_bytes()).unwrap();
            }
            writer
        });
        let _writer = other.join().unwrap();
        let reading = async {
            assert!(matches!(run(reader, &mut feed).await, Err(Stopped)));
            feed
        };
        let stopping = async {
            while stats.lines() < 2 {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let (feed, ()) = tokio::join!(reading, stopping);
        assert_eq!(feed.sink.0, ["one", "two"]);
    }
}
