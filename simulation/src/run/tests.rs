use super::*;
use crate::document::Project;
use crate::scenario::Expect;

/// Lets everything through, or drops everything.
struct Always(bool);

impl Contender for Always {
    fn name(&self) -> &'static str {
        "always the same"
    }

    fn drops(&mut self, _: std::net::IpAddr, _: Moment) -> bool {
        self.0
    }

    fn hear(&mut self, event: &ssh_guard::event::AuthEvent, _: Moment, begun: &mut Vec<Begun>) -> bool {
        let banned = event.address.map(Network::from).into_iter();
        begun.extend(banned.map(|banned| Begun { banned, is_network: false, rung: 1 }));
        true
    }

    fn leave(&mut self, _: std::net::IpAddr, _: crate::session::End, _: Moment, _: &mut Vec<Begun>) {}
}

fn scenario(name: &str) -> (Scenario, Cast) {
    let project = Project::here();
    let scenario = project.scenarios().unwrap().into_iter().find(|scenario| scenario.name == name).unwrap();
    // A day is enough to see who suffers.
    let ordinary = Ordinary { history: Duration::from_hours(24), ..project.ordinary().unwrap() };
    let cast = Cast::of(&scenario, &ordinary);
    (scenario, cast)
}

fn under(drops: bool, name: &str, expect: Expect) -> Vec<String> {
    let (scenario, cast) = scenario(name);
    let tally = Run::of(&cast, Box::new(Always(drops))).finish();
    let names = cast.people.iter().map(|person| person.name.clone()).collect();
    Played { scenario: Scenario { expect, ..scenario }, results: vec![tally], names }.missed()
}

#[test]
fn a_policy_that_drops_everybody_is_told_whose_logins_it_refuses() {
    let missed = under(true, "e-mistyped", Expect::default());
    assert!(missed.iter().any(|missed| missed == "1 logins of admin were refused"), "{missed:?}");
    assert!(missed.iter().any(|missed| missed == "somebody was banned on the ordinary days"), "{missed:?}");
}

#[test]
fn a_policy_that_bans_whom_it_hears_is_told_who_suffers() {
    let missed = under(false, "e-mistyped", Expect { nobody_banned: true, ..Expect::default() });
    assert!(missed.iter().any(|missed| missed == "admin was banned on rung 1"), "{missed:?}");
    assert!(missed.iter().any(|missed| missed.starts_with("banned: {")), "{missed:?}");
}

#[test]
fn a_policy_that_lets_everybody_through_is_told_what_it_does_not_stop() {
    let missed = under(false, "c-one-farm", Expect { stopped: Some(0.5), ..Expect::default() });
    assert!(
        missed.iter().any(|missed| missed.contains("of the attempts were stopped, not 0.5")),
        "{missed:?}"
    );
}

#[test]
fn the_story_is_as_large_as_it_says() {
    let (scenario, cast) = scenario("a-the-story");
    assert_eq!(scenario.actors.len(), 2);
    let guesses = || cast.sessions.iter().filter(|session| cast.people[session.who as usize].name == "crowd");
    let sources: BTreeSet<_> = guesses().map(|guess| guess.from).collect();
    let networks: BTreeSet<_> = sources.iter().map(|from| Network::from(*from).widened(24)).collect();
    let accounts: BTreeSet<_> = guesses().map(|guess| guess.account).collect();
    let existing = accounts.iter().filter(|account| cast.accounts[**account as usize].exists).count();
    assert_eq!((guesses().count(), sources.len(), networks.len()), (3_000_000, 20_000, 9_000));
    assert_eq!((accounts.len(), existing), (200, 12));
}
