//! Looks for the sockets of sessions that may be over without the server having said so: the client has hung up, or has been
//! silent for long, and the server is this machine.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ssh_guard_common::records::{SessionKey, SessionRecord};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::fault::Fault;
use crate::kernel::Sockets;
use crate::policy::bannable::Protected;
use crate::session::{Rules, is_doubtful};

/// Lists both ends of every socket of the guarded ports.
type List = Box<dyn FnMut() -> Result<HashSet<SessionKey>, Fault> + Send>;

/// What is known of sessions without a socket.
pub(in crate::daemon) struct SocketWatch {
    list: List,
    /// The machine's own addresses.
    own: Box<dyn Fn() -> HashSet<Source> + Send>,
    /// What had no socket the last time, as it stood then.
    suspects: HashMap<SessionKey, SessionRecord>,
    rounds: u64,
    complained: bool,
}

/// What a look showed.
#[derive(Default)]
pub(super) struct Looked {
    /// Sessions that have no socket.
    pub(super) without_socket: HashSet<SessionKey>,
    /// Those that had none the last time either, and in which no server has spoken since.
    pub(super) gone: HashSet<SessionKey>,
}

impl SocketWatch {
    /// Watches the sockets of these ports.
    pub(in crate::daemon) fn new(ports: Arc<[u16]>, protected: watch::Receiver<Protected>) -> Self {
        let own = move || protected.borrow().own.iter().map(|address| Source::from(*address)).collect();
        Self::with(Box::new(move || list(&ports)), Box::new(own))
    }

    fn with(list: List, own: Box<dyn Fn() -> HashSet<Source> + Send>) -> Self {
        Self { list, own, suspects: HashMap::new(), rounds: 0, complained: false }
    }

    /// Looks, if that is worth it. The records must have been read before: a session that had begun by then, and whose
    /// socket is not there now, is over.
    pub(super) fn look(
        &mut self,
        records: &[(SessionKey, SessionRecord)],
        now: Ticks,
        rules: &Rules,
    ) -> Looked {
        let everybody = self.rounds.is_multiple_of(SILENT_ROUNDS);
        self.rounds += 1;
        let is_asked = |(key, record): &&(SessionKey, SessionRecord)| {
            is_doubtful(record, now, rules)
                && (everybody || record.closing != 0 || self.suspects.contains_key(key))
        };
        let mut doubtful: Vec<&(SessionKey, SessionRecord)> = records.iter().filter(is_asked).collect();
        if !doubtful.is_empty() {
            let own = (self.own)();
            doubtful.retain(|(key, _)| own.contains(&key.server));
        }
        if doubtful.is_empty() {
            self.suspects.clear();
            return Looked::default();
        }
        let sockets = match (self.list)() {
            Ok(sockets) => sockets,
            Err(fault) => {
                self.complain(&fault);
                return Looked::default();
            }
        };
        let before = std::mem::take(&mut self.suspects);
        let mut looked = Looked::default();
        for (key, record) in doubtful {
            if sockets.contains(key) {
                continue;
            }
            let is_same = |before: &SessionRecord| {
                (before.first_seen, before.answered) == (record.first_seen, record.answered)
            };
            if before.get(key).is_some_and(is_same) {
                looked.gone.insert(*key);
            }
            looked.without_socket.insert(*key);
            self.suspects.insert(*key, *record);
        }
        looked
    }

    fn complain(&mut self, fault: &Fault) {
        let what = "sessions whose client has vanished are shown until they are quiet for long";
        if std::mem::replace(&mut self.complained, true) {
            debug!(error = fault.told(), "{what}");
        } else {
            warn!(error = fault.told(), hint = fault.way_out(), "{what}");
        }
    }
}

fn list(ports: &[u16]) -> Result<HashSet<SessionKey>, Fault> {
    let sockets = Sockets::open()?.list(ports)?;
    let key = |socket: &crate::kernel::Socket| {
        let (remote, local) = (socket.remote(), socket.local());
        SessionKey {
            client: remote.ip().into(),
            server: local.ip().into(),
            client_port: remote.port(),
            port: local.port(),
        }
    };
    Ok(sockets.iter().map(key).collect())
}

/// Silent sessions are looked at once in so many rounds: on an idle server that may be all of them.
const SILENT_ROUNDS: u64 = 10;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ssh_guard_common::source::SourceMask;

    use super::*;

    const RULES: Rules =
        Rules { mask: SourceMask::new(32, 64), most_open: 0, closing: 60, kept: 130, silent: 60 };

    fn source(text: &str) -> Source {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    fn key(server: &str, client_port: u16) -> SessionKey {
        SessionKey { client: source("203.0.113.7"), server: source(server), client_port, port: 22 }
    }

    type Found = Arc<Mutex<(HashSet<SessionKey>, u32)>>;

    /// A watch of 10.77.0.1, and the sockets that it finds, with how often it looked.
    fn watching() -> (SocketWatch, Found) {
        let sockets = Arc::new(Mutex::new((HashSet::new(), 0)));
        let seen = Arc::clone(&sockets);
        let list = move || {
            let mut seen = seen.lock().unwrap();
            seen.1 += 1;
            Ok(seen.0.clone())
        };
        let own = || HashSet::from([source("10.77.0.1")]);
        (SocketWatch::with(Box::new(list), Box::new(own)), sockets)
    }

    fn record(closing: Ticks, answered: Ticks) -> SessionRecord {
        SessionRecord { first_seen: 100, last_seen: answered, closing, answered, ..SessionRecord::default() }
    }

    #[test]
    fn nobody_looks_while_all_sessions_are_busy_or_elsewhere() {
        let (mut watch, sockets) = watching();
        let busy = (key("10.77.0.1", 1), record(0, 190));
        let elsewhere = (key("10.99.0.1", 2), record(150, 150));
        for _ in 0..20 {
            assert!(watch.look(&[busy, elsewhere], 200, &RULES).without_socket.is_empty());
        }
        assert_eq!(sockets.lock().unwrap().1, 0);
    }

    #[test]
    fn a_session_that_is_closing_is_gone_when_it_has_no_socket_twice() {
        let (mut watch, sockets) = watching();
        let (ours, other) =
            ((key("10.77.0.1", 1), record(150, 150)), (key("10.77.0.1", 2), record(150, 150)));
        sockets.lock().unwrap().0.insert(other.0);
        let looked = watch.look(&[ours, other], 200, &RULES);
        assert_eq!((looked.without_socket, looked.gone.len()), (HashSet::from([ours.0]), 0));
        let again = (ours.0, record(150, 201));
        assert!(watch.look(&[again, other], 201, &RULES).gone.is_empty(), "the server has spoken since");
        assert_eq!(watch.look(&[again, other], 202, &RULES).gone, HashSet::from([ours.0]));
    }

    #[test]
    fn silent_sessions_are_looked_at_now_and_then_and_suspects_each_time() {
        let (mut watch, sockets) = watching();
        let silent = (key("10.77.0.1", 1), record(0, 100));
        sockets.lock().unwrap().0.insert(silent.0);
        for _ in 0..20 {
            assert!(watch.look(&[silent], 200, &RULES).without_socket.is_empty());
        }
        assert_eq!(sockets.lock().unwrap().1, 2);
        sockets.lock().unwrap().0.clear();
        assert_eq!(watch.look(&[silent], 201, &RULES).without_socket.len(), 1);
        assert_eq!(watch.look(&[silent], 202, &RULES).gone.len(), 1, "it is not waited for");
    }
}
