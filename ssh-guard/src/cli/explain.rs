//! `ssh-guard explain`: what log lines are understood as.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::config::Config;
use crate::config::settings::Settings;
use crate::event::{AuthEvent, Kind, Outcome};
use crate::fault::{Exit, Fault};
use crate::moment::Moment;
use crate::parse::{Interpreter, Parser, header};
use crate::policy::{Policy, Rules, Standing};

#[derive(Args, Debug)]
pub(super) struct Explain {
    /// The log; - for standard input
    #[arg(value_name = "FILE|-", default_value = "-")]
    file: PathBuf,
    /// The lines have no header of syslog's, as sshd -E and -e write them
    #[arg(long)]
    bare: bool,
    /// Print a JSON object for each line
    #[arg(long)]
    json: bool,
}

/// What a line was understood as.
#[derive(Serialize)]
struct Understood<'a> {
    line: u64,
    event: Option<Outcome>,
    kind: Option<Kind>,
    source: Option<String>,
    port: Option<u16>,
    user: Option<&'a str>,
    service: Option<&'a str>,
    count: u32,
    weight: f64,
}

impl Explain {
    pub(super) fn act(self, config: Option<&Path>) -> Result<(), Fault> {
        let (_, settings) = Config::load(config)?;
        let unreadable = |error: io::Error| {
            let (exit, hint) = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    (Exit::NotPermitted, "run as root, or join the group of the log")
                }
                io::ErrorKind::IsADirectory => (Exit::Failure, "name a file in it"),
                _ => (Exit::Failure, "check the path; '-' is standard input"),
            };
            Fault::new(exit, format!("cannot read '{}'", self.file.display())).because(error).hint(hint)
        };
        let reader: Box<dyn BufRead> = if self.file == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(&self.file).map_err(unreadable)?))
        };
        let mut out = BufWriter::new(io::stdout().lock());
        match self.explain(reader, &settings, &mut out).and_then(|()| out.flush().map_err(Broken::Out)) {
            Ok(()) => Ok(()),
            Err(Broken::In(error)) => Err(unreadable(error)),
            // Whoever reads no further has seen enough.
            Err(Broken::Out(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(Broken::Out(error)) => {
                Err(Fault::new(Exit::Failure, "cannot write the output").because(error))
            }
        }
    }

    fn explain(
        &self,
        mut reader: impl BufRead,
        settings: &Settings,
        out: &mut impl Write,
    ) -> Result<(), Broken> {
        let limit = settings.limits.line_bytes.get();
        // What a line adds is told by itself: no threshold is near, so that none of it is cut off.
        let mut policy = Policy::new(Rules { threshold: f64::from(u16::MAX), ..settings.rules() });
        let mut interpreter = Interpreter::new(if self.bare { Parser::Openssh } else { Parser::Auto });
        let mut number = 0;
        let mut line = Vec::new();
        while let Some(whole) = next_line(&mut reader, &mut line, limit).map_err(Broken::In)? {
            number += 1;
            let event = if whole { self.understand(&mut interpreter, &line) } else { None };
            // All lines count as if they came at once: what each adds does not depend on when it was written.
            let weight = event.as_ref().map_or(0.0, |event| weigh(&mut policy, event, settings));
            let understood = Understood {
                line: number,
                event: event.as_ref().map(|event| event.outcome),
                kind: event.as_ref().map(|event| event.kind),
                source: event.as_ref().and_then(|event| event.address).map(|address| address.to_string()),
                port: event.as_ref().and_then(|event| event.port),
                user: event.as_ref().and_then(|event| event.user.as_deref()),
                service: event.as_ref().map(|event| event.service.as_str()),
                count: event.as_ref().map_or(1, |event| event.count.get()),
                weight,
            };
            let written = if self.json {
                serde_json::to_writer(&mut *out, &understood)
                    .map_err(io::Error::from)
                    .and_then(|()| writeln!(out))
            } else {
                let shown = if whole {
                    String::from_utf8_lossy(&line)
                } else {
                    "(longer than 'limits.line-bytes')".into()
                };
                writeln!(out, "{}\n    {}", shown.escape_debug(), understood.text())
            };
            written.map_err(Broken::Out)?;
        }
        Ok(())
    }

    fn understand(&self, interpreter: &mut Interpreter, line: &[u8]) -> Option<AuthEvent> {
        let record = if self.bare { header::bare(line) } else { header::split(line) };
        interpreter.event(&record?)
    }
}

/// Which end of the work broke.
enum Broken {
    In(io::Error),
    Out(io::Error),
}

impl Understood<'_> {
    fn text(&self) -> String {
        let (Some(event), Some(kind)) = (self.event, self.kind) else { return "nothing".to_owned() };
        let told = [
            Some(format!("{} {}", event.as_str(), kind.as_str())),
            (self.count > 1).then(|| format!("{} times", self.count)),
            Some(self.source.as_ref().map_or("no source".to_owned(), |source| format!("source {source}"))),
            self.port.map(|port| format!("port {port}")),
            self.user.map(|user| format!("user {user:?}")),
            Some(format!("weight {}", self.weight)),
        ];
        told.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// What an event adds to the score of its source; nothing if it names none.
fn weigh(policy: &mut Policy, event: &AuthEvent, settings: &Settings) -> f64 {
    let Some(address) = event.address else { return 0.0 };
    let source = settings.guard.mask().apply(address.into());
    policy.observe(event, source, Moment::default(), || Standing::Exempt).weight
}

/// Reads the next line, without its end; `false` if it is longer than `limit`, and was skipped.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>, limit: usize) -> io::Result<Option<bool>> {
    line.clear();
    let most = limit as u64 + 2;
    if reader.by_ref().take(most).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    let ended = line.ends_with(b"\n");
    if ended {
        line.pop();
        line.pop_if(|last| *last == b'\r');
    } else if line.len() as u64 == most {
        reader.skip_until(b'\n')?;
    }
    Ok(Some(line.len() <= limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
Nov 23 03:12:01 host sshd[123]: Invalid user admin from 203.0.113.7 port 41022
Nov 23 03:12:02 host sshd[123]: Failed password for invalid user admin from 203.0.113.7 port 41022 ssh2
Nov 23 03:12:03 host cron[9]: nothing to see
";

    fn explained(log: &[u8], json: bool) -> String {
        let explain = Explain { file: "-".into(), bare: false, json };
        let (_, settings) = Config::parse("test", "limits.line-bytes = 1024").unwrap();
        let mut out = Vec::new();
        assert!(explain.explain(log, &settings, &mut out).is_ok());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_line_is_told_with_what_it_adds() {
        let told = explained(LOG.as_bytes(), true);
        let objects: Vec<serde_json::Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects.len(), 3);
        assert_eq!(objects[0]["kind"], "invalid-user");
        assert_eq!(objects[0]["source"], "203.0.113.7");
        let weights: f64 = objects.iter().map(|object| object["weight"].as_f64().unwrap()).sum();
        assert!((weights - 1.0).abs() < 1e-9, "one attempt weighs one: {told}");
        assert_eq!(objects[2]["event"], serde_json::Value::Null);
        assert_eq!(objects[2]["line"], 3);
    }

    #[test]
    fn a_line_that_is_too_long_is_a_line_that_says_nothing() {
        let log = [&[b'x'; 5000][..], b"\n", LOG.as_bytes(), b"no newline at the end"].concat();
        let told = explained(&log, true);
        assert_eq!(told.lines().count(), 5, "{told}");
        assert!(told.lines().next().unwrap().contains("\"event\":null"), "{told}");
        assert!(told.lines().nth(1).unwrap().contains("\"invalid-user\""), "{told}");
    }

    #[test]
    fn the_text_says_it_beneath_the_line() {
        let told = explained(LOG.as_bytes(), false);
        assert!(
            told.contains("port 41022\n    failure invalid-user, source 203.0.113.7, port 41022"),
            "{told}"
        );
    }
}
