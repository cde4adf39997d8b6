//! Reads standard input until it ends.

use std::io::{self, Read as _};

use tokio::sync::mpsc;

use super::lines::Lines;
use super::{Feed, InputError, Line, Sink, Stopped};
use crate::clock;

/// How much is read at once, in bytes.
const BLOCK: usize = 64 * 1024;

/// Reads until the end, or until the input is stopped.
pub(super) async fn follow<S: Sink>(feed: &mut Feed<S>) {
    // A line that has no end was cut, and may name another source than its whole would.
    let ended = match run(feed).await {
        Err(Stopped) => return,
        Ok(error) => error,
    };
    feed.over(&ended);
    feed.stop.cancelled().await;
}

async fn run<S: Sink>(feed: &mut Feed<S>) -> Result<InputError, Stopped> {
    let (blocks, mut read) = mpsc::channel(1);
    // A thread of its own: a terminal, a pipe, a file and a socket can all be read so, and none of them can be told to stop
    // waiting. It ends with the input, or with the process.
    let reader = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read_blocks(&blocks));
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
            feed.line(&Line { process: None, pid: None, text, read_at });
        }
        feed.counts.too_long += lines.take_too_long();
        feed.flush(read_at).await?;
    }
}

/// Sends what is read, and at last an empty block or an error.
fn read_blocks(blocks: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let mut stdin = io::stdin();
    loop {
        let mut block = vec![0; BLOCK];
        let read = match stdin.read(&mut block) {
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
