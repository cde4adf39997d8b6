//! Lines of a log, as OpenSSH's sshd and a syslog daemon write them, whatever the client calls itself.

use std::fmt::Write as _;
use std::num::NonZeroU64;

use jiff::Timestamp;
use ssh_guard::event::AuthEvent;
use ssh_guard::moment::Moment;
use ssh_guard::parse::{Interpreter, Record};

use crate::session::{Account, Session, Step, port};

/// Writes the lines of sessions, and reads them as the daemon reads a log file.
#[derive(Debug, Default)]
pub struct Log {
    interpreter: Interpreter,
}

impl Log {
    /// What the parser understands of the lines about wrong passwords for an account that does not exist.
    pub fn steps(&mut self, session: &Session, account: &Account, number: NonZeroU64, steps: &mut Vec<Step>) {
        steps.clear();
        for (nth, line) in lines(session, account, number).iter().enumerate() {
            let event = self.read(line.as_bytes(), session.at);
            steps.extend(event.map(|event| Step { event, begins_attempt: nth == 0 }));
        }
    }

    fn read(&mut self, line: &[u8], now: Moment) -> Option<AuthEvent> {
        let record = self.interpreter.record(line, false)?;
        if !self.interpreter.knows(record.process) {
            return None;
        }
        self.interpreter.event(&Record { read_at: now, ..record })
    }
}

fn lines(session: &Session, account: &Account, number: NonZeroU64) -> [String; 3] {
    let (from, port, user) = (session.from, port(number), printed(&account.name));
    // The process numbers of Linux.
    let pid = 1 + number.get() % 4_194_303;
    let since = i64::try_from(session.at.since_start().as_secs()).unwrap_or(i64::MAX);
    let stamp = Timestamp::from_second(FIRST_DAY.saturating_add(since)).unwrap_or_default();
    [
        format!("Invalid user {user} from {from} port {port}"),
        format!("Failed password for invalid user {user} from {from} port {port} ssh2"),
        format!("Connection closed by invalid user {user} {from} port {port} [preauth]"),
    ]
    .map(|message| format!("{stamp} gate sshd[{pid}]: {message}"))
}

/// 2026-01-01, as seconds since 1970.
const FIRST_DAY: i64 = 1_767_225_600;

/// A name as sshd prints it to syslog (log.c, `LOG_SYSLOG_VIS`), and no more of it than most messages have.
fn printed(name: &str) -> String {
    let mut printed = String::new();
    for byte in name.bytes().take(100) {
        let written = match byte {
            b'\n' => write!(printed, "\\n"),
            b'\r' => write!(printed, "\\r"),
            b'\t' => write!(printed, "\\t"),
            b'\\' => write!(printed, "\\\\"),
            b' '..=b'~' => write!(printed, "{}", char::from(byte)),
            other => write!(printed, "\\{other:03o}"),
        };
        written.expect("a string takes all");
    }
    printed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::Act;
    use ssh_guard::event::Kind;

    #[test]
    fn lines_are_those_that_sshd_writes() {
        let session = Session {
            at: Moment::from_start(Duration::from_secs(61)),
            from: "203.0.113.7".parse().unwrap(),
            who: 0,
            account: 0,
            act: Act::LogIn { wrong: 1, right: false },
        };
        let account = Account { name: "x from 192.0.2.66\n\u{1b}".into(), exists: false };
        let number = NonZeroU64::new(25_905).unwrap();
        let port = port(number);
        assert_eq!(
            lines(&session, &account, number)[0],
            format!(
                r"2026-01-01T00:01:01Z gate sshd[25906]: Invalid user x from 192.0.2.66\n\033 from 203.0.113.7 port {port}"
            )
        );
        let mut steps = Vec::new();
        Log::default().steps(&session, &account, number, &mut steps);
        let told: Vec<_> = steps.iter().map(|step| (step.event.kind, step.event.address)).collect();
        let from = Some(session.from);
        assert_eq!(told, [(Kind::InvalidUser, from), (Kind::Password, from), (Kind::Closed, from)]);
    }
}
