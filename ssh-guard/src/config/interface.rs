//! Which interfaces are guarded.

use std::collections::BTreeSet;

use thiserror::Error;

use super::quote::shown;

/// The interfaces that the programs are attached to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Interfaces {
    /// Those that the daemon finds by itself.
    Auto,
    /// These, at least one and none twice.
    Named(Vec<String>),
}

/// Why a list of names names no interfaces.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum InterfacesError {
    /// There is none.
    #[error("no interface is named")]
    None,
    /// `auto` has company.
    #[error("'auto' stands beside other interfaces")]
    AutoAmongOthers,
    /// No interface can have such a name.
    #[error("'{}' is no name of an interface", shown(.0))]
    Name(String),
    /// One stands there twice.
    #[error("'{0}' is named twice")]
    Twice(String),
}

impl Interfaces {
    /// Takes `auto` alone, or names of interfaces.
    ///
    /// # Errors
    /// Fails if there is no name, if one is named twice or cannot be one, and if `auto` is not alone.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, InterfacesError> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        match names.as_slice() {
            [] => return Err(InterfacesError::None),
            ["auto"] => return Ok(Self::Auto),
            _ if names.contains(&"auto") => return Err(InterfacesError::AutoAmongOthers),
            _ => {}
        }
        let mut seen = BTreeSet::new();
        for name in &names {
            if !is_name(name) {
                return Err(InterfacesError::Name((*name).to_owned()));
            }
            if !seen.insert(*name) {
                return Err(InterfacesError::Twice((*name).to_owned()));
            }
        }
        Ok(Self::Named(names.into_iter().map(str::to_owned).collect()))
    }
}

impl InterfacesError {
    /// Says what the operator can write instead.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::None => "write 'auto', or leave the interfaces out",
            Self::AutoAmongOthers => "write 'auto' alone, or only names",
            Self::Name(_) => "see the names with 'ip -brief link'",
            Self::Twice(_) => "name it once",
        }
    }
}

/// What the kernel takes for a name (`dev_valid_name` in net/core/dev.c): up to 15 bytes (`IFNAMSIZ` with its NUL),
/// without slashes, colons and white space.
fn is_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_named_or_found() {
        assert_eq!(Interfaces::parse(&["auto"]), Ok(Interfaces::Auto));
        let named = Interfaces::Named(vec!["eth0".to_owned(), "bond0.12".to_owned()]);
        assert_eq!(Interfaces::parse(&["eth0", "bond0.12"]), Ok(named));
    }

    #[test]
    fn names_that_the_kernel_refuses_are_refused() {
        let refused = |names: &[&str]| Interfaces::parse(names).unwrap_err().to_string();
        assert_eq!(refused(&[]), "no interface is named");
        assert_eq!(refused(&["eth0", "auto"]), "'auto' stands beside other interfaces");
        assert_eq!(refused(&["eth0", "eth1", "eth0"]), "'eth0' is named twice");
        for name in ["", ".", "..", "a/b", "eth0:1", "a b", "a\n", "sixteen-bytes-xy"] {
            assert_eq!(
                refused(&["lo", name]),
                format!("'{}' is no name of an interface", name.escape_debug())
            );
        }
    }
}
