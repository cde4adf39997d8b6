//! Who is an operator: accounts by their names, and members of groups, whom the machine's directories are asked for when
//! they log in, and now and then as long as they are.
//!
//! A directory behind a network may take its time, so it is asked by a task of its own, and nobody waits for it: until it
//! has answered, nobody is a member.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::settings;
use crate::membership;
use crate::moment::Moment;

/// Knows who is an operator.
pub(super) struct Operators {
    accounts: HashSet<String>,
    has_groups: bool,
    known: HashMap<SmolStr, Known>,
    questions: mpsc::Sender<SmolStr>,
    answers: mpsc::Receiver<(SmolStr, bool)>,
}

/// What is known of an account's groups.
struct Known {
    is_member: bool,
    /// When the directories were asked last.
    asked: Moment,
    /// When it was last spoken of.
    spoken_of: Moment,
}

/// Asks the directories.
pub(super) struct Asker {
    groups: Vec<String>,
    questions: mpsc::Receiver<SmolStr>,
    answers: mpsc::Sender<(SmolStr, bool)>,
}

/// Makes both.
pub(super) fn operators(settings: &settings::Operators) -> (Operators, Asker) {
    let (questions, asked) = mpsc::channel(WAITING);
    let (answers, answered) = mpsc::channel(WAITING);
    let settings::Operators { accounts, groups } = settings.clone();
    let operators = Operators {
        accounts: accounts.into_iter().collect(),
        has_groups: !groups.is_empty(),
        known: HashMap::new(),
        questions,
        answers: answered,
    };
    (operators, Asker { groups, questions: asked, answers })
}

impl Operators {
    /// Takes in what the directories have said, and forgets those whom nobody has spoken of for a while.
    pub(super) fn learn(&mut self, now: Moment) {
        while let Ok((name, is_member)) = self.answers.try_recv() {
            if let Some(known) = self.known.get_mut(&name) {
                known.is_member = is_member;
            }
        }
        self.known.retain(|_, known| now.since(known.spoken_of) < AGAIN);
    }

    /// Whether an account is an operator's, as far as that is known by now.
    pub(super) fn include(&mut self, account: &str, now: Moment) -> bool {
        if self.accounts.contains(account) {
            return true;
        }
        if !self.has_groups {
            return false;
        }
        let unasked = Known { is_member: false, asked: Moment::EARLIEST, spoken_of: now };
        let known = self.known.entry(account.into()).or_insert(unasked);
        known.spoken_of = now;
        // Where there is no room for the question, it is put the next time.
        if now.since(known.asked) >= AGAIN && self.questions.try_send(account.into()).is_ok() {
            known.asked = now;
        }
        known.is_member
    }
}

impl Asker {
    /// Works until `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut complained = false;
        loop {
            let name = tokio::select! {
                Some(name) = self.questions.recv() => name,
                () = stop.cancelled() => return,
            };
            let (account, groups) = (name.clone(), std::mem::take(&mut self.groups));
            let ask = move || (membership::belongs_to_any(&account, &groups), groups);
            let Ok((answer, groups)) = tokio::task::spawn_blocking(ask).await else { return };
            self.groups = groups;
            match answer {
                Ok(is_member) => {
                    complained = false;
                    // The registrar reads every second, and asks no more than there is room for.
                    if self.answers.send((name, is_member)).await.is_err() {
                        return;
                    }
                }
                Err(errno) if !std::mem::replace(&mut complained, true) => warn!(
                    error = %errno,
                    "cannot ask who belongs to the groups of 'guard.operators': what was known before holds"
                ),
                Err(_) => {}
            }
        }
    }
}

/// How long what a directory said holds.
const AGAIN: Duration = Duration::from_mins(1);
/// Questions that may wait for a directory.
const WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(accounts: &[&str], groups: &[&str]) -> settings::Operators {
        let [accounts, groups] =
            [accounts, groups].map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        settings::Operators { accounts, groups }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn an_account_that_is_named_is_an_operators_and_no_directory_is_asked() {
        let (mut operators, mut asker) = operators(&settings(&["alice"], &[]));
        assert!(operators.include("alice", at(1)) && !operators.include("bob", at(1)));
        assert!(asker.questions.try_recv().is_err());
    }

    #[test]
    fn a_member_is_asked_for_once_a_minute_and_believed_until_the_answer_changes() {
        let (mut operators, mut asker) = operators(&settings(&[], &["wheel"]));
        assert!(!operators.include("bob", at(1)), "nobody has answered yet");
        assert!(!operators.include("bob", at(2)));
        assert_eq!(asker.questions.try_recv().unwrap(), "bob");
        assert!(asker.questions.try_recv().is_err(), "it was asked a second ago");
        asker.answers.try_send(("bob".into(), true)).unwrap();
        operators.learn(at(3));
        assert!(operators.include("bob", at(3)) && operators.include("bob", at(62)));
        assert_eq!(asker.questions.try_recv().unwrap(), "bob");
        asker.answers.try_send(("bob".into(), false)).unwrap();
        operators.learn(at(63));
        assert!(!operators.include("bob", at(63)));
    }

    #[test]
    fn whom_nobody_speaks_of_is_forgotten() {
        let (mut operators, _asker) = operators(&settings(&[], &["wheel"]));
        operators.include("bob", at(1));
        operators.learn(at(30));
        assert_eq!(operators.known.len(), 1);
        operators.learn(at(61));
        assert!(operators.known.is_empty());
    }

    #[tokio::test]
    async fn the_directories_of_this_machine_are_asked() {
        let root = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(0)).unwrap().unwrap();
        let group = nix::unistd::Group::from_gid(root.gid).unwrap().unwrap().name;
        let (mut operators, asker) = operators(&settings(&[], &[&group]));
        let stop = CancellationToken::new();
        let asking = tokio::spawn(asker.run(stop.clone()));
        assert!(!operators.include(&root.name, at(1)));
        let answer = operators.answers.recv().await.unwrap();
        assert_eq!(answer, (root.name.as_str().into(), true));
        stop.cancel();
        asking.await.unwrap();
    }
}
