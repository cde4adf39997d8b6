//! Which interface is meant: by its number while it is there, and by its name when it comes again.

use tracing::warn;

use super::{Guarded, Keeper};
use crate::interface::Interface;

impl Keeper {
    /// The interface as it is now: the one with its number, whatever it is called now, or else one that has come under its name.
    pub(super) fn find<'a>(&self, at: usize, there: &'a [Interface]) -> Option<&'a Interface> {
        let guarded = &self.guarded[at];
        let others =
            |index: u32| self.guarded.iter().enumerate().any(|(other, it)| other != at && it.index == index);
        let named = |name: &str| there.iter().find(|it| it.name == name && !others(it.index));
        there
            .iter()
            .find(|interface| interface.index == guarded.index)
            .or_else(|| named(&guarded.name))
            .or_else(|| named(&guarded.shown))
    }

    /// Guards an interface that has taken the name of one that is called otherwise now, beside that one.
    pub(super) fn follow_names(&mut self, there: &[Interface]) {
        for at in 0..self.guarded.len() {
            let guarded = &self.guarded[at];
            let renamed = there.iter().find(|it| it.index == guarded.index && it.name != guarded.name);
            let Some(renamed) = renamed else { continue };
            let is_guarded = |index: u32| self.guarded.iter().any(|other| other.index == index);
            let taken = there.iter().find(|it| it.name == guarded.name && !is_guarded(it.index));
            let Some(new) = taken else { continue };
            warn!(
                interface = new.name,
                renamed = renamed.name,
                "another interface has its name now: both are guarded"
            );
            let added = Guarded {
                name: guarded.name.clone(),
                shown: new.name.clone(),
                index: new.index,
                mode: self.mode,
                degraded: Some("it is new".to_owned()),
                witness: false,
                failure: None,
                witness_again: None,
            };
            self.guarded[at].name.clone_from(&renamed.name);
            self.guarded.push(added);
        }
    }
}
