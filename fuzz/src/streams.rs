//! Streams that are cut into lines and entries, in whatever pieces they arrive.

use std::io::{self, Read, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::input::archive::{Archive, Item};
use crate::input::lines::Lines;
use crate::input::syslog::framing::Frames;

/// Cuts a stream into lines, by the buffer and as simply as can be.
pub fn lines(data: &[u8]) {
    let Some(([limit, step], stream)) = data.split_first_chunk() else { return };
    let (limit, step) = (usize::from(*limit) + 1, usize::from(*step) + 1);
    let mut lines = Lines::new(limit);
    let (mut cut, mut too_long) = (Vec::new(), 0);
    for piece in stream.chunks(step) {
        lines.space()[..piece.len()].copy_from_slice(piece);
        lines.filled(piece.len());
        while let Some(line) = lines.next() {
            assert!(line.len() <= limit);
            cut.push(line.to_vec());
        }
        too_long += lines.take_too_long();
    }
    let rest = lines.rest().map(<[u8]>::to_vec);
    too_long += lines.take_too_long();

    let mut naive: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    let last = naive.pop().unwrap_or_default();
    let naive = naive.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (short, long): (Vec<_>, Vec<_>) = naive.partition(|line| line.len() <= limit);
    assert_eq!(cut, short);
    assert_eq!(rest.as_deref(), (!last.is_empty() && last.len() <= limit).then_some(last));
    assert_eq!(too_long, (long.len() + usize::from(last.len() > limit)) as u64);
}

/// Cuts a connection of syslog into messages, at once and in pieces: they are the same.
pub fn syslog(data: &[u8]) {
    let Some(([limit, step], stream)) = data.split_first_chunk() else { return };
    let (limit, step) = (usize::from(*limit) + 1, usize::from(*step) + 1);
    let whole = messages(stream, usize::MAX, limit);
    assert_eq!(messages(stream, step, limit), whole, "in pieces of {step}");
    assert!(whole.texts.iter().all(|text| !text.is_empty() && text.len() <= limit));
    let given: usize = whole.texts.iter().map(Vec::len).sum();
    assert!(given <= stream.len(), "no byte is given twice");
}

/// What a connection was cut into.
#[derive(Default, PartialEq, Eq, Debug)]
struct Messages {
    texts: Vec<Vec<u8>>,
    too_long: u64,
    is_broken: bool,
    is_in_one: bool,
}

fn messages(stream: &[u8], step: usize, limit: usize) -> Messages {
    let mut frames = Frames::new(limit);
    let mut found = Messages::default();
    let mut rest = stream;
    while !rest.is_empty() && !found.is_broken {
        let space = frames.space();
        assert!((16_384..65_536).contains(&space.len()), "{} bytes of room", space.len());
        let (piece, behind) = rest.split_at(step.min(rest.len()).min(space.len()));
        space[..piece.len()].copy_from_slice(piece);
        frames.filled(piece.len());
        rest = behind;
        loop {
            match frames.next() {
                Ok(Some(text)) => found.texts.push(text.to_vec()),
                Ok(None) => break,
                Err(_) => {
                    found.is_broken = true;
                    break;
                }
            }
        }
        found.too_long += frames.take_too_long();
    }
    found.is_in_one = !found.is_broken && frames.is_in_one();
    found
}

/// Reads an old log at once and in pieces, packed and not: what it holds is the same.
pub fn archive(data: &[u8]) {
    let Some(([limit, step], log)) = data.split_first_chunk() else { return };
    let (limit, step) = (usize::from(*limit) + 1, usize::from(*step) + 1);
    let whole = read(log.to_vec(), usize::MAX, limit);
    let pieces = read(log.to_vec(), step, limit);
    if log.starts_with(GZIP) && whole.1 == Ended::Badly {
        // How much of what is packed is given before its damage depends on how it arrives.
        assert_eq!(pieces.1, whole.1);
        return;
    }
    assert_eq!(pieces, whole, "in pieces of {step}");
    if !log.starts_with(GZIP) && whole.1 != Ended::Refused {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(log).expect("memory takes all");
        let packed = packed.finish().expect("memory takes all");
        assert_eq!(read(packed, step, limit), whole, "packed, in pieces of {step}");
    }
}

/// What gzip packed begins with.
const GZIP: &[u8] = b"\x1f\x8b\x08";

/// How reading a log ended.
#[derive(PartialEq, Eq, Debug)]
enum Ended {
    Well,
    Badly,
    Refused,
}

fn read(log: Vec<u8>, step: usize, limit: usize) -> (Vec<String>, Ended) {
    let mut told = Vec::new();
    let Ok(mut archive) = Archive::new("log".to_owned(), Pieces { log, at: 0, step }, limit) else {
        return (told, Ended::Refused);
    };
    loop {
        let read = archive.read(|item| {
            if let Item::Line(text) | Item::Message { text, .. } = item {
                assert!(text.len() <= limit, "{} bytes", text.len());
            }
            told.push(format!("{item:?}"));
        });
        match read {
            Ok(true) => {}
            Ok(false) => return (told, Ended::Well),
            Err(error) => {
                assert!(!error.hint("explain").is_empty());
                return (told, Ended::Badly);
            }
        }
    }
}

/// Gives a stream in pieces.
struct Pieces {
    log: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.step.min(into.len()).min(self.log.len() - self.at);
        into[..length].copy_from_slice(&self.log[self.at..][..length]);
        self.at += length;
        Ok(length)
    }
}
