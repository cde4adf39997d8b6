//! What the table `[allow]` means.

use ipnet::IpNet;

use super::Check;
use crate::config::place::Place;
use crate::config::{Allow, list, network};

impl Check<'_, '_> {
    pub(super) fn allow(&mut self, allow: &Allow) -> Option<Vec<IpNet>> {
        let before = self.problems.len();
        let mut networks = Vec::new();
        let at = Place::of("allow.sources");
        for (index, text) in allow.sources.iter().enumerate() {
            match network::parse(text) {
                Ok(network) => networks.push(network),
                Err(error) => self.note(&at.element(index), &error, Some(error.hint())),
            }
        }
        let at = Place::of("allow.files");
        for (index, path) in allow.files.iter().enumerate() {
            if let Some(path) = self.path(&at.element(index), path, |_| true) {
                match list::read(&path) {
                    Ok(listed) => networks.extend(listed),
                    Err(problems) => self.problems.extend(problems),
                }
            }
        }
        let networks = list::collapse(networks);
        if networks.len() > list::MAX_NETWORKS {
            let many = format!(
                "{} networks, and the allowlist holds at most {}",
                networks.len(),
                list::MAX_NETWORKS
            );
            self.note(
                &Place::of("allow"),
                &many,
                Some("replace addresses by the networks they lie in".to_owned()),
            );
        }
        (self.problems.len() == before).then_some(networks)
    }
}
