//! Which ports are guarded.

use std::num::NonZeroU16;

use thiserror::Error;

/// The most ports that can be guarded at once.
pub const MAX_PORTS: usize = 16;

/// The guarded ports: 1 to `MAX_PORTS`, none twice, in the order in which they were given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ports(Vec<NonZeroU16>);

/// Why some ports cannot be guarded.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PortsError {
    /// There is none.
    #[error("no port is named")]
    None,
    /// There are too many.
    #[error("{0} ports are named, and at most {MAX_PORTS} can be guarded")]
    TooMany(usize),
    /// One is named twice.
    #[error("{0} is named twice")]
    Twice(NonZeroU16),
}

impl Ports {
    /// Takes ports.
    ///
    /// # Errors
    /// Fails if there is none, if there are more than `MAX_PORTS`, and if one is named twice.
    pub fn new(ports: Vec<NonZeroU16>) -> Result<Self, PortsError> {
        match ports.len() {
            0 => return Err(PortsError::None),
            1..=MAX_PORTS => {}
            many => return Err(PortsError::TooMany(many)),
        }
        let twice = (1..ports.len()).find(|index| ports[..*index].contains(&ports[*index]));
        match twice {
            Some(index) => Err(PortsError::Twice(ports[index])),
            None => Ok(Self(ports)),
        }
    }

    /// The ports.
    #[must_use]
    pub fn as_slice(&self) -> &[NonZeroU16] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(numbers: impl IntoIterator<Item = u16>) -> Result<Ports, PortsError> {
        Ports::new(numbers.into_iter().map(|number| number.try_into().unwrap()).collect())
    }

    #[test]
    fn up_to_sixteen_different_ports_are_guarded() {
        assert_eq!(ports(1..=16).unwrap().as_slice().len(), 16);
        assert_eq!(
            ports(1..=17).unwrap_err().to_string(),
            "17 ports are named, and at most 16 can be guarded"
        );
        assert_eq!(ports([]).unwrap_err().to_string(), "no port is named");
        assert_eq!(ports([22, 2222, 22]).unwrap_err().to_string(), "22 is named twice");
    }
}
