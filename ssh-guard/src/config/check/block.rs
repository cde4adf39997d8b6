//! What the table `[block]` means.

use super::Check;
use crate::config::place::Place;
use crate::config::settings::BlockSettings;
use crate::config::{Block, network};
use crate::lists::parse::Parser;
use crate::network::Network;
use crate::policy::bannable::{Protected, is_wide};

impl Check<'_, '_> {
    pub(super) fn block(&mut self, block: &Block) -> Option<BlockSettings> {
        let before = self.problems.len();
        let at = Place::of("block.networks");
        for (index, text) in block.networks.iter().enumerate() {
            match network::parse(text) {
                Ok(network) => self.check_bannable(&at.element(index), text, network.into()),
                Err(error) => self.note(&at.element(index), &error, Some(error.hint())),
            }
        }
        let at = Place::of("block.files");
        let path = |(index, path): (usize, &String)| self.path(&at.element(index), path, |_| true);
        let files: Vec<_> = block.files.iter().enumerate().filter_map(path).collect();
        if files.len() > BlockSettings::MOST_FILES {
            let many = format!("{} files, and at most {} are read", files.len(), BlockSettings::MOST_FILES);
            self.note(&at, &many, Some("put several lists into one file".to_owned()));
        }
        if self.problems.len() > before {
            return None;
        }
        let mut parser = Parser::default();
        let fed = block.networks.iter().try_for_each(|text| parser.feed(format!("{text}\n").as_bytes()));
        let listed = fed.and_then(|()| parser.finish()).map_err(|error| self.note(&at, &error, None)).ok()?;
        Some(BlockSettings { listed, files })
    }

    fn check_bannable(&mut self, place: &Place, text: &str, network: Network) {
        if let Some(why) = Protected::default().why_not(&network) {
            let hint = "name narrower networks, or take it out".to_owned();
            self.note(place, &format!("'{text}' is never banned: it is, or holds, {why}"), Some(hint));
        } else if is_wide(network) {
            let hint = "name the networks in it that are meant".to_owned();
            self.note(place, &format!("'{text}' is wider than a /8, or a /16 of IPv6"), Some(hint));
        }
    }
}
