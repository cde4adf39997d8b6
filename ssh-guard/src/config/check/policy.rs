//! The table `[policy]`: the rules.

use std::ops::RangeInclusive;
use std::time::Duration;

use smol_str::SmolStr;

use super::Check;
use crate::config::place::Place;
use crate::config::{self, Policy, Weights};
use crate::policy::{Rules, rules};

impl Check<'_, '_> {
    pub(super) fn policy(&mut self, policy: &Policy) -> Option<Rules> {
        let threshold = Some(policy.threshold).filter(|score| *score > 0.0 && *score <= 1_000_000.0);
        let threshold = self.allowed(&Place::of("policy.threshold"), threshold);
        let window = self.time(&Place::of("policy.window"), &policy.window);
        let ladder = self.ladder(&policy.ladder);
        let forget = self.time(&Place::of("policy.forget"), &policy.forget);
        let known_good = self.time(&Place::of("policy.known-good"), &policy.known_good);
        let part = Some(policy.known_good_weight).filter(|part| (0.0..=1.0).contains(part));
        let known_good_weight = self.allowed(&Place::of("policy.known-good-weight"), part);
        let weights = self.weights(&policy.weights);
        let bait = self.bait(&policy.bait);
        let spray = self.spray(&policy.spray);
        let networks = self.networks(&policy.networks);
        let shared = self.shared(&policy.shared);
        let flood = self.flood(&policy.flood);
        let blast = self.blast(&policy.blast);
        Some(Rules {
            threshold: threshold?,
            window: window?,
            ladder: ladder?,
            forget: forget?,
            known_good: known_good?,
            known_good_weight: known_good_weight?,
            extend: policy.extend,
            bait: bait?,
            weights: weights?,
            spray: spray?,
            networks: networks?,
            shared: shared?,
            flood: flood?,
            blast: blast?,
            ..Rules::default()
        })
    }

    fn bait(&mut self, names: &[String]) -> Option<Vec<SmolStr>> {
        let fits = names.len() <= 1024 && names.iter().all(|name| !name.is_empty());
        self.allowed(&Place::of("policy.bait"), fits.then(|| names.iter().map(SmolStr::new).collect()))
    }

    fn spray(&mut self, spray: &config::Spray) -> Option<rules::Spray> {
        let sources = self.whole("policy.spray.sources", spray.sources, 2..=256);
        let threshold =
            self.number("policy.spray.threshold", spray.threshold, f64::MIN_POSITIVE..=1_000_000.0);
        let [window, missing_ban, existing_window, existing_ban] = [
            ("window", &spray.window),
            ("missing-ban", &spray.missing_ban),
            ("existing-window", &spray.existing_window),
            ("existing-ban", &spray.existing_ban),
        ]
        .map(|(key, time)| self.time(&Place::of("policy.spray").key(key), time));
        Some(rules::Spray {
            enabled: spray.enabled,
            sources: sources?,
            window: window?,
            missing_ban: missing_ban?,
            threshold: threshold?,
            existing_window: existing_window?,
            existing_ban: existing_ban?,
        })
    }

    fn networks(&mut self, networks: &config::Networks) -> Option<rules::Networks> {
        // They are guessed from 64 bits.
        let sources = self.whole("policy.networks.sources", networks.sources, 2..=32);
        let window = self.time(&Place::of("policy.networks.window"), &networks.window);
        let failures = Some(networks.failures).filter(|most| *most == 0.0 || (1.0..=1_000.0).contains(most));
        let failures = self.allowed(&Place::of("policy.networks.failures"), failures);
        let quiet = self.time(&Place::of("policy.networks.quiet"), &networks.quiet);
        Some(rules::Networks {
            enabled: networks.enabled,
            sources: sources?,
            window: window?,
            failures: failures?,
            quiet: quiet?,
        })
    }

    fn shared(&mut self, shared: &config::Shared) -> Option<rules::Shared> {
        let accounts = self.whole("policy.shared.accounts", shared.accounts, 2..=256);
        let days = self.whole("policy.shared.days", shared.days, 1..=30);
        Some(rules::Shared {
            enabled: shared.enabled,
            accounts: accounts?,
            days: days?,
            hidden: shared.hidden,
        })
    }

    fn flood(&mut self, flood: &config::Flood) -> Option<rules::Flood> {
        let factor = self.number("policy.flood.factor", flood.factor, 2.0..=1_000.0);
        let least = self.number("policy.flood.floor", flood.floor, 1.0..=1_000_000.0);
        let sessions = self.whole("policy.flood.sessions", flood.sessions, 1..=1_000_000);
        Some(rules::Flood { enabled: flood.enabled, factor: factor?, floor: least?, sessions: sessions? })
    }

    fn blast(&mut self, blast: &config::Blast) -> Option<rules::Blast> {
        let ipv4_share = self.number("policy.blast.ipv4-share", blast.ipv4_share, 0.0..=1.0);
        let ipv6_networks = self.whole("policy.blast.ipv6-networks", blast.ipv6_networks, 0..=1_048_576);
        let bans_per_minute =
            self.whole("policy.blast.bans-per-minute", blast.bans_per_minute, 1..=1_000_000);
        Some(rules::Blast {
            enabled: blast.enabled,
            ipv4_share: ipv4_share?,
            ipv6_networks: ipv6_networks?,
            bans_per_minute: bans_per_minute?,
        })
    }

    fn number(&mut self, key: &str, number: f64, range: RangeInclusive<f64>) -> Option<f64> {
        self.allowed(&Place::of(key), Some(number).filter(|number| range.contains(number)))
    }

    fn ladder(&mut self, ladder: &[String]) -> Option<Vec<Duration>> {
        let at = Place::of("policy.ladder");
        self.allowed(&at, (1..=16).contains(&ladder.len()).then_some(()))?;
        let rungs: Vec<_> =
            (0..).zip(ladder).map(|(index, rung)| self.time(&at.element(index), rung)).collect();
        let rungs = rungs.into_iter().collect::<Option<Vec<_>>>()?;
        if let Some(index) = (1..rungs.len()).find(|index| rungs[*index] <= rungs[index - 1]) {
            let what = format!("'{}' is not longer than '{}' before it", ladder[index], ladder[index - 1]);
            self.note(
                &at.element(index),
                &what,
                Some("let each ban be longer than the one before".to_owned()),
            );
            return None;
        }
        Some(rungs)
    }

    fn weights(&mut self, weights: &Weights) -> Option<Weights> {
        let Weights {
            password,
            keyboard_interactive,
            invalid_user,
            publickey,
            hostbased,
            gssapi,
            pam,
            not_allowed,
            too_many_attempts,
            other,
            unfinished,
            pre_auth,
        } = weights;
        let fits = [
            ("password", password),
            ("keyboard-interactive", keyboard_interactive),
            ("invalid-user", invalid_user),
            ("publickey", publickey),
            ("hostbased", hostbased),
            ("gssapi", gssapi),
            ("pam", pam),
            ("not-allowed", not_allowed),
            ("too-many-attempts", too_many_attempts),
            ("other", other),
            ("unfinished", unfinished),
            ("pre-auth", pre_auth),
        ]
        .map(|(key, weight)| {
            let fits = (0.0..=1_000.0).contains(weight).then_some(());
            self.allowed(&Place::of("policy.weights").key(key), fits)
        });
        fits.iter().all(Option::is_some).then_some(*weights)
    }
}
