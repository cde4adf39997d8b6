//! Where in a configuration something stands.

use std::fmt;

use super::quote::shown;

/// The way to a value: `policy.window`, or the second port of `guard.ports`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    steps: Vec<Step>,
}

/// One step of the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To the n-th element of an array, from 0.
    Element(usize),
}

impl Place {
    /// Takes the keys from the root, with dots between them.
    #[must_use]
    pub fn of(keys: &str) -> Self {
        Self { steps: keys.split('.').map(|key| Step::Key(key.to_owned())).collect() }
    }

    /// The place of the key `key` of the root, whatever characters it is made of.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        Self { steps: vec![Step::Key(key.to_owned())] }
    }

    /// The place of the key `key` in the table that stands here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// The place of the `index`-th element of the array that stands here, from 0.
    #[must_use]
    pub fn element(&self, index: usize) -> Self {
        self.then(Step::Element(index))
    }

    /// The steps from the root.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether this is an element of an array.
    #[must_use]
    pub fn is_element(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Element(_)))
    }

    fn then(&self, step: Step) -> Self {
        Self { steps: self.steps.iter().cloned().chain([step]).collect() }
    }
}

impl fmt::Display for Place {
    /// Writes the keys with dots between them, as `KEYS` has them; elements of arrays are called by the array's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.steps.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key),
            Step::Element(_) => None,
        });
        for (index, key) in keys.enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(&shown(key))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_called_by_its_keys() {
        assert_eq!(Place::of("input").element(1).key("path").to_string(), "input.path");
        assert_eq!(Place::of("guard.ports").element(3).to_string(), "guard.ports");
        assert_eq!(Place::of("guard").key("a\nb").to_string(), "guard.a\\nb");
    }
}
