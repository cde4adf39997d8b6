use std::num::NonZeroU32;

use super::*;
use crate::ban::{Ban, By, Reason, Scope};
use crate::event::{AuthEvent, Kind, Outcome, Service};
use crate::policy::{Rules, Standing};

const MALLORY: &str = "203.0.113.7";

/// A policy that is told lines, and times that are told as seconds.
struct Story {
    policy: Policy,
    now: Moment,
}

impl Story {
    fn new(rules: Rules) -> Self {
        Self { policy: Policy::new(rules), now: Moment::from_start(Duration::from_secs(100_000)) }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// Tells an event with a line; a ban that it calls for comes into force if `enforced`.
    fn tell(&mut self, address: &str, kind: Kind, user: Option<&str>, port: u16, enforced: bool) {
        let outcome = match (kind, user) {
            (Kind::Accepted, _) => Outcome::Success,
            (_, Some(_)) => Outcome::Failure,
            (_, None) => Outcome::PreAuth,
        };
        let address = address.parse().unwrap();
        let event = AuthEvent {
            outcome,
            kind,
            address: Some(address),
            port: Some(port),
            user: user.map(Into::into),
            service: Service::Openssh,
            count: NonZeroU32::MIN,
            process: None,
        };
        let source = address.into();
        let line = format!("{} for {} port {port}", kind.as_str(), user.unwrap_or_default());
        let judgement = self.policy.observe(&event, source, self.now, || Standing::Judged);
        self.policy.keep(&event, source, &judgement, Some(line.as_bytes()), self.now);
        if let Some(login) = judgement.login {
            self.policy.admit(login, self.now);
        }
        if let Some(decision) = judgement.ban.filter(|_| enforced) {
            self.policy.punish(&decision.into_ban(self.now));
        }
    }

    fn fail(&mut self, user: &str, ports: impl IntoIterator<Item = u16>) {
        ports.into_iter().for_each(|port| self.tell(MALLORY, Kind::Password, Some(user), port, true));
    }

    fn explain(&self) -> Explanation {
        self.policy.explain(mallory(), self.now)
    }

    fn steps(&self, ban: Option<&Ban>) -> Vec<String> {
        self.explain().steps(ban, self.now, |at| format!("{} s", at.since_start().as_secs_f64().round()))
    }

    /// The ban that came into force at this moment.
    fn ban(&self, rung: usize, length: Duration) -> Ban {
        let (since, until) = self.explain().banned.unwrap();
        assert_eq!((since, until), (self.now, self.now.plus(length)));
        Ban {
            source: mallory().first(),
            prefix: 32,
            since,
            until,
            reason: Reason::Threshold,
            rule: "score above 5 within 10m".into(),
            rung: Some(rung),
            offences: u32::try_from(rung).unwrap() + 1,
            note: None,
            by: By::Automatic,
            scope: Scope::Source,
            extended: false,
            forced: false,
        }
    }
}

fn mallory() -> Network {
    Network::new(MALLORY.parse::<std::net::IpAddr>().unwrap().into(), 32)
}

const TEN: Duration = Duration::from_mins(10);

#[test]
fn a_ban_is_explained_by_its_events_although_it_cleared_the_score() {
    let mut story = Story::new(Rules::default());
    story.fail("root", 1..=4);
    story.wait(30);
    story.fail("admin", 5..=6);
    let explanation = story.explain();
    assert!(explanation.score.total().is_zero());
    let lines: Vec<_> = explanation.events.iter().map(|trace| trace.line.as_deref().unwrap()).collect();
    assert_eq!((lines.len(), lines[5]), (6, b"password for admin port 6".as_slice()));
    assert!(explanation.events.iter().all(|trace| trace.part == Part::Ban));
    let ban = story.ban(0, TEN);
    story.wait(5);
    assert_eq!(
        story.steps(Some(&ban)),
        [
            "banned at 100030 s until 100630 s by the rule: score above 5 within 10m",
            "6 failures on 2 accounts since 100000 s: 6 × 1 = 6",
            "offence 1: step 1 of 4 of the ladder, 10m; forgotten at 2692630 s",
            "not known-good: nobody has logged in from there lately",
            "1 source was banned in 203.0.113.0/24 lately; 8 ban it",
        ]
    );
}

#[test]
fn after_a_ban_the_same_is_told_as_of_the_past_and_the_next_step_is_named() {
    let mut story = Story::new(Rules::default());
    story.fail("root", 1..=6);
    story.wait(601);
    story.fail("root", [7]);
    assert_eq!(
        story.steps(None)[..4],
        [
            "1 failure on 1 account within 10m: 1 × 1 = 1; above 5 bans, 4 is left",
            "banned last from 100000 s until 100600 s",
            "6 failures on 1 account since 100000 s: 6 × 1 = 6",
            "banned once before: a next ban is step 2 of 4 of the ladder, 1h; forgotten at 2692600 s",
        ]
    );
    story.fail("root", 8..=12);
    let ban = story.ban(1, Duration::from_hours(1));
    let steps = story.steps(Some(&ban));
    assert_eq!(steps[1], "6 failures on 1 account since 100601 s: 6 × 1 = 6");
    let parts: Vec<_> = story.explain().events.iter().map(|trace| trace.part).collect();
    assert_eq!(parts, [[Part::Earlier; 6], [Part::Ban; 6]].concat());
}

#[test]
fn who_is_not_banned_is_told_what_counts_what_does_not_and_what_is_left() {
    let mut story = Story::new(Rules::default());
    assert_eq!(
        story.steps(None),
        [
            "the score is 0: nothing counts within 10m; above 5 bans",
            "no earlier ban is remembered: a next one is step 1 of 4 of the ladder, 10m",
            "not known-good: nobody has logged in from there lately",
        ]
    );
    story.fail("root", 1..=2);
    story.wait(600);
    story.fail("root", 3..=4);
    story.tell(MALLORY, Kind::BadBanner, None, 5, true);
    assert_eq!(
        story.steps(None)[..2],
        [
            "2 failures on 1 account and 1 pre-auth event within 10m: 2 × 1 + 1 × 0.1 = 2.1; \
             above 5 bans, 2.9 is left",
            "2 events are older than 10m: no longer counted",
        ]
    );
}

#[test]
fn a_known_good_source_is_told_as_such_with_the_part_that_its_failures_count() {
    let mut story = Story::new(Rules::default());
    story.fail("alice", [1]);
    story.tell(MALLORY, Kind::Accepted, Some("alice"), 2, true);
    story.fail("alice", 3..=4);
    story.fail("root", [5]);
    assert_eq!(
        story.steps(None),
        [
            "3 failures on 2 accounts within 10m: 1 × 1 + 2 × 0.25 = 1.5; above 5 bans, 3.5 is left",
            "1 event is cleared by a login to the account, or by an operator: not counted",
            "no earlier ban is remembered: a next one is step 1 of 4 of the ladder, 10m",
            "known-good for 1 account until 2692000 s: a failure on it counts 0.25 of its weight; \
             not shared: 1 of 3 accounts, on 0 of 3 days that are over",
        ]
    );
    let own: Vec<_> = story.explain().events.iter().map(|trace| (trace.part, trace.own)).collect();
    let (cleared, login) = ((Part::Cleared, false), (Part::Login, false));
    assert_eq!(own, [cleared, login, (Part::Score, true), (Part::Score, true), (Part::Score, false)]);
}

#[test]
fn a_shared_source_is_told_as_such() {
    let mut story = Story::new(Rules::default());
    for name in ["alice", "bob", "carol"] {
        story.tell(MALLORY, Kind::Accepted, Some(name), 1, true);
        story.wait(24 * 60 * 60);
    }
    let known = story.explain().known_good.unwrap();
    assert_eq!((known.accounts, known.days, known.shared), (3, 3, Shared::Yes));
    assert!(story.steps(None).last().unwrap().contains("shared: never banned as a whole"));
}

#[test]
fn an_account_that_many_networks_try_is_named() {
    let mut story = Story::new(Rules::default());
    for network in 1..20 {
        story.tell(&format!("198.18.{network}.1"), Kind::Password, Some("backup"), 1, true);
    }
    story.fail("backup", [1]);
    story.fail("root", [2]);
    let told: Vec<_> = story.steps(None).into_iter().filter(|step| step.contains("many networks")).collect();
    let exists = "exists: a score above 4 on such accounts bans, and it is 1";
    assert_eq!(told, [format!("many networks try the account 'backup', which {exists}")]);
}

#[test]
fn a_ban_that_waits_is_told() {
    let mut story = Story::new(Rules::default());
    (1..=6).for_each(|port| story.tell(MALLORY, Kind::Password, Some("root"), port, false));
    let steps = story.steps(None);
    assert!(steps[0].ends_with("6 × 1 = 6, above 5: the next failure bans"), "{steps:?}");
    assert_eq!(steps[1], "the rules called for a ban that is not in force: the log says why");
}

#[test]
fn more_than_is_kept_is_told_by_its_sum() {
    let mut story = Story::new(Rules { threshold: 50.0, ..Rules::default() });
    story.fail("root", 1..=20);
    let told = "20 failures on 1 account within 10m: a score of 20, of which the events that are kept make 16 × 1 = 16; \
                above 50 bans, 30 is left";
    assert_eq!(story.explain().sum(story.now), told);
}

#[test]
fn a_pardon_is_told_and_leaves_nothing_of_the_ban() {
    let mut story = Story::new(Rules::default());
    story.fail("root", 1..=6);
    let ban = story.ban(0, TEN);
    story.policy.pardon(mallory(), Some(&ban), story.now);
    let steps = story.steps(None);
    assert_eq!(steps[1], "6 events are cleared by a login to the account, or by an operator: not counted");
    assert!(steps[2].starts_with("no earlier ban"), "{steps:?}");
}

#[test]
fn a_network_is_explained_by_the_bans_in_it_and_not_by_its_first_address() {
    let mut story = Story::new(Rules::default());
    for port in 1..=6 {
        story.tell("203.0.113.0", Kind::Password, Some("root"), port, true);
    }
    let network = mallory().widened(24);
    let explanation = story.policy.explain(network, story.now);
    assert!(!explanation.is_source && explanation.events.is_empty() && explanation.grounds.is_none());
    assert_eq!(explanation.networks, [Around { network, banned: 1, needed: 8 }]);
}
