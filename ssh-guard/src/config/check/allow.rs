//! What the table `[allow]` means.

use super::Check;
use crate::config::place::Place;
use crate::config::settings::AllowSettings;
use crate::config::{Allow, list, network};

impl Check<'_, '_> {
    pub(super) fn allow(&mut self, allow: &Allow) -> Option<AllowSettings> {
        let before = self.problems.len();
        let (mut sources, mut files) = (Vec::new(), Vec::new());
        let at = Place::of("allow.sources");
        for (index, text) in allow.sources.iter().enumerate() {
            match network::parse(text) {
                Ok(network) => sources.push(network),
                Err(error) => self.note(&at.element(index), &error, Some(error.hint())),
            }
        }
        let at = Place::of("allow.files");
        for (index, path) in allow.files.iter().enumerate() {
            if let Some(path) = self.path(&at.element(index), path, |_| true) {
                match list::read(&path) {
                    Ok(listed) => files.push((path, listed)),
                    Err(problems) => self.problems.extend(problems),
                }
            }
        }
        let allow = AllowSettings { sources, files };
        if let Err(many) = list::check_room(allow.networks().len()) {
            self.note(&Place::of("allow"), &many.message, many.hint);
        }
        (self.problems.len() == before).then_some(allow)
    }
}
