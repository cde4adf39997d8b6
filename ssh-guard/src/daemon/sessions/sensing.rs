//! What the inputs have brought, and what may be wrong with them when that is nothing.

use std::sync::Arc;

use tracing::{info, warn};

use crate::daemon::board::InputNote;
use crate::session::blindness::Change;

/// The inputs, and what each had brought when something was understood last.
pub(in crate::daemon) struct Sensing {
    inputs: Arc<[InputNote]>,
    understood: u64,
    before: Vec<Brought>,
}

/// Lines that were read, those of servers that are known, and those that were understood.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Brought {
    lines: u64,
    of_servers: u64,
    understood: u64,
}

impl Sensing {
    pub(in crate::daemon) fn new(inputs: Arc<[InputNote]>) -> Self {
        let before = vec![Brought::default(); inputs.len()];
        Self { inputs, understood: 0, before }
    }

    /// How many auth events were understood that name an address, ever: others lead to nothing.
    pub(super) fn understood(&mut self) -> u64 {
        let understood = self.inputs.iter().map(|input| input.stats.named()).sum();
        if understood != self.understood {
            self.understood = understood;
            self.before = self.brought();
        }
        understood
    }

    /// Says that nothing was understood while so many sessions were served, and why that may be; or that it is over.
    pub(super) fn tell(&self, change: Change, sessions: usize) {
        match change {
            Change::Begins => {
                for ((input, brought), before) in self.inputs.iter().zip(self.brought()).zip(&self.before) {
                    let fault = input.stats.fault();
                    let (why, hint) = likely(fault.as_deref(), input.kind, brought, *before);
                    warn!(
                        sessions,
                        input = input.name,
                        why,
                        hint,
                        "blind: sessions are served, and no log line tells from where: nobody is banned for failing"
                    );
                }
            }
            Change::Ends => info!("log lines tell of sessions again"),
        }
    }

    fn brought(&self) -> Vec<Brought> {
        let of = |input: &InputNote| Brought {
            lines: input.stats.lines(),
            of_servers: input.stats.of_servers(),
            understood: input.understood.get(),
        };
        self.inputs.iter().map(of).collect()
    }
}

/// The likely reason why an input brings nothing, and what to do.
fn likely(fault: Option<&str>, kind: &str, brought: Brought, before: Brought) -> (String, &'static str) {
    if let Some(fault) = fault {
        return (fault.to_owned(), "mend that, and it goes on by itself");
    }
    let lines = brought.lines.saturating_sub(before.lines);
    if lines == 0 {
        let hint = match kind {
            "journal" => {
                "does journald run? 'systemctl status systemd-journald'; does sshd log to it? 'journalctl _COMM=sshd'"
            }
            "file" => {
                "does the syslog daemon run, and does sshd log to this file? See its SyslogFacility; else another input"
            }
            _ => "does anybody send to it?",
        };
        return ("not a line was read since".to_owned(), hint);
    }
    if brought.of_servers == before.of_servers {
        let why = format!("{lines} lines were read since, none by a server that is known");
        return (
            why,
            "see by which name the server logs, 'ssh-guard explain' shows it, and the input's 'parser'",
        );
    }
    if brought.understood > before.understood {
        let why = "logins are told of, and none of their lines names an address".to_owned();
        let hint = "have the server write addresses and not names: sshd's UseDNS no, Pure-FTPd's DontResolve";
        return (why, hint);
    }
    let why = format!("{lines} lines were read since, and none tells of a login");
    (why, "sshd's LogLevel must be INFO or VERBOSE: 'sshd -T | grep -i loglevel'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_hint() {
        let none = Brought::default();
        let lines = Brought { lines: 7, ..none };
        let of_servers = Brought { of_servers: 2, ..lines };
        let understood = Brought { understood: 1, ..of_servers };
        for (fault, kind, brought, why, hint) in [
            (Some("cannot open log '/x'"), "file", lines, "cannot open log '/x'", "mend"),
            (None, "journal", none, "not a line", "journald"),
            (None, "file", none, "not a line", "syslog daemon"),
            (None, "file", lines, "7 lines were read since, none by a server", "parser"),
            (None, "journal", of_servers, "none tells of a login", "LogLevel"),
            (None, "file", understood, "none of their lines names an address", "UseDNS"),
        ] {
            let told = likely(fault, kind, brought, none);
            assert!(told.0.contains(why) && told.1.contains(hint), "{told:?}");
        }
        assert!(likely(None, "file", lines, lines).0.contains("not a line"));
    }
}
