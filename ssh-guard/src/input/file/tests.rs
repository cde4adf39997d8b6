use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::input::{Origin, Spec, Stats, follow};

/// A sink with room for a few lines, as a slow guard is.
struct Channel {
    sender: mpsc::Sender<String>,
    batch: Vec<String>,
}

impl Sink for Channel {
    fn line(&mut self, line: &Line<'_>) {
        assert_eq!((line.process, line.pid), (None, None));
        self.batch.push(String::from_utf8_lossy(line.text).into_owned());
    }

    async fn flush(&mut self) {
        for line in self.batch.drain(..) {
            self.sender.send(line).await.unwrap();
        }
    }
}

struct Followed {
    lines: mpsc::Receiver<String>,
    stats: Arc<Stats>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Followed {
    fn new(path: &Path) -> Self {
        let (sender, lines) = mpsc::channel(4);
        let stats = Arc::new(Stats::default());
        let stop = CancellationToken::new();
        let spec =
            Spec { name: "log".into(), origin: Origin::File(path.into()), line_bytes: 8192, resume: None };
        let sink = Channel { sender, batch: Vec::new() };
        let task = tokio::spawn(follow(spec, sink, stats.clone(), stop.clone()));
        Self { lines, stats, stop, task }
    }

    async fn next(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(20), self.lines.recv()).await.expect("a line").unwrap()
    }

    /// Writes lines until one arrives, so that the input is known to have started.
    async fn begun(path: &Path, followed_path: &Path) -> Self {
        let mut followed = Self::new(followed_path);
        loop {
            append(path, "begin\n");
            if let Ok(line) = tokio::time::timeout(Duration::from_millis(50), followed.lines.recv()).await {
                assert_eq!(line.unwrap(), "begin");
                break;
            }
        }
        append(path, "begun\n");
        while followed.next().await != "begun" {}
        followed
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn multi() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_line_arrives_at_once_and_not_at_the_next_poll() {
    multi().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.log");
        let mut followed = Followed::begun(&path, &path).await;
        let mut fastest = Duration::MAX;
        for number in 0..20 {
            let start = clock::now();
            append(&path, &format!("{number}\n"));
            assert_eq!(followed.next().await, number.to_string());
            fastest = fastest.min(clock::now().since(start));
        }
        assert!(fastest < POLL / 100, "{fastest:?}");
        followed.end().await;
    });
}

#[test]
fn rotation_in_every_way_loses_nothing() {
    multi().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log").join("auth.log");
        let mut followed = Followed::new(&path);
        while followed.stats.fault().is_none() {
            tokio::task::yield_now().await;
        }
        fs::create_dir(path.parent().unwrap()).unwrap();
        append(&path, "made in a directory that was not there\n");
        assert_eq!(followed.next().await, "made in a directory that was not there");

        // As logrotate's `create` does: the daemon writes to the old file until it is told.
        let old = path.with_extension("log.1");
        fs::rename(&path, &old).unwrap();
        append(&path, "");
        append(&old, "late\n");
        assert_eq!(followed.next().await, "late");
        append(&path, "new\n");
        assert_eq!(followed.next().await, "new");
        append(&old, "later\n");
        assert_eq!(followed.next().await, "later");

        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        append(&path, "after copytruncate, longer than what was there\n");
        assert_eq!(followed.next().await, "after copytruncate, longer than what was there");

        fs::remove_file(&path).unwrap();
        append(&path, "made again\n");
        assert_eq!(followed.next().await, "made again");
        assert_eq!(followed.stats.too_long(), 0);
        followed.end().await;
    });
}

#[test]
fn the_file_behind_a_link_is_followed_through_its_rotation() {
    multi().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("data");
        fs::create_dir(&real).unwrap();
        let path = directory.path().join("auth.log");
        symlink(real.join("log"), &path).unwrap();
        let mut followed = Followed::begun(&real.join("log"), &path).await;
        let mut fastest = Duration::MAX;
        for number in 0..3 {
            // Long enough for it to wait again; were it still looking, it would find the file by chance.
            tokio::time::sleep(POLL / 20).await;
            let start = clock::now();
            fs::rename(real.join("log"), real.join(format!("log.{number}"))).unwrap();
            append(&real.join("log"), &format!("{number}\n"));
            assert_eq!(followed.next().await, number.to_string());
            fastest = fastest.min(clock::now().since(start));
        }
        assert!(fastest < POLL / 2, "{fastest:?}: nobody watches where the link leads");
        followed.end().await;
    });
}

#[test]
fn a_writer_that_does_not_append_leaves_a_hole_that_hides_nothing() {
    multi().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut followed = Followed::begun(&path, &path).await;
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Seek::seek(&mut writer, std::io::SeekFrom::Start(300_000)).unwrap();
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        writer.write_all(b"behind the hole\n").unwrap();
        assert_eq!(followed.next().await, "behind the hole");
        assert_eq!(followed.stats.too_long(), 0);
        followed.end().await;
    });
}

#[test]
fn a_log_that_cannot_be_read_is_reported_once_and_read_when_it_can_be() {
    multi().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        symlink(&path, &path).unwrap();
        assert!(matches!(check(&path), Err(InputError::Open { .. })));
        let mut followed = Followed::new(&path);
        let fault = loop {
            match followed.stats.fault() {
                Some(fault) if followed.stats.errors() > 1 => break fault,
                _ => tokio::task::yield_now().await,
            }
        };
        assert!(fault.contains("Too many levels of symbolic links"), "{fault}");
        fs::remove_file(&path).unwrap();
        append(&path, "at last\n");
        // It was there when the input began, so what it held then may be old.
        append(&path, "begun\n");
        while followed.stats.fault().is_some() {
            tokio::task::yield_now().await;
        }
        append(&path, "new\n");
        while followed.next().await != "new" {}
        followed.end().await;
    });
}

#[test]
fn a_pipe_or_a_directory_is_no_log() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for path in [pipe.as_path(), directory.path(), Path::new("/dev/null")] {
        assert!(matches!(check(path), Err(InputError::NotAFile { .. })), "{}", path.display());
    }
    assert!(matches!(check(&directory.path().join("missing")), Err(InputError::Missing { .. })));
}

#[test]
fn without_inotify_the_log_is_polled() {
    multi().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "old\n").unwrap();
        let (sender, mut lines) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let mut feed = Feed {
            name: "log".into(),
            line_bytes: 8192,
            sink: Channel { sender, batch: Vec::new() },
            stats: Arc::default(),
            stop: stop.clone(),
            counts: crate::input::Counts::default(),
            interrupted: false,
        };
        let mut tail = Tail::new(path.clone(), 8192);
        let task = tokio::spawn(async move { run(&mut tail, Watch::none(), &mut feed).await.is_err() });
        while lines.try_recv().is_err() {
            append(&path, "new\n");
            tokio::time::sleep(POLL / 10).await;
        }
        stop.cancel();
        drop(lines);
        assert!(task.await.unwrap());
    });
}

#[test]
fn a_slow_reader_gets_every_line() {
    multi().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut followed = Followed::begun(&path, &path).await;
        let text = (0..100_000).map(|number| number.to_string()).collect::<Vec<_>>().join("\n") + "\n";
        append(&path, &text);
        while followed.stats.lag(clock::now()) < Duration::from_millis(20) {
            tokio::task::yield_now().await;
        }
        // The channel holds four lines, so no more than a block can have been read.
        assert!(followed.stats.lines() < 100_000);
        for number in 0..100_000 {
            assert_eq!(followed.next().await, number.to_string());
        }
        while followed.stats.lag(clock::now()) > Duration::ZERO {
            tokio::task::yield_now().await;
        }
        followed.end().await;
    });
}
