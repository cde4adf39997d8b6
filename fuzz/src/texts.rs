//! Texts that operators write: the configuration, and lists.

use crate::config::Config;
use crate::fault::Fault;
use crate::lists::parse::{NoList, Parser};

/// Reads a configuration; what is right is the same when it is written and read again, what is wrong is told.
pub fn config(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    match Config::parse("c.toml", text) {
        Ok((config, settings)) => {
            let again = toml::to_string(&config).expect("a configuration can be written");
            let again = Config::parse("again.toml", &again).expect("what was written can be read");
            assert_eq!(again, (config, settings));
        }
        Err(error) => {
            assert!(error.problems().next().is_some());
            let report = Fault::from(error).report();
            assert!(report.starts_with("ssh-guard: c.toml"), "{report}");
            assert!(!report.chars().any(|c| c.is_control() && c != '\n'), "{report:?}");
        }
    }
}

/// Reads a list at once and in pieces: it is the same, and so is what it is when it is written again.
pub fn list(data: &[u8]) {
    let Some((&step, list)) = data.split_first() else { return };
    let step = usize::from(step) + 1;
    let whole = read(list, usize::MAX);
    assert_eq!(read(list, step), whole, "in pieces of {step}");
    let Ok(whole) = whole else { return };
    let again = read(&whole.to_text(), usize::MAX).expect("what was written can be read");
    assert_eq!((again.v4, again.v6, again.networks), (whole.v4, whole.v6, whole.networks));
}

fn read(list: &[u8], step: usize) -> Result<crate::lists::parse::Listed, NoList> {
    let mut parser = Parser::default();
    for piece in list.chunks(step) {
        parser.feed(piece)?;
    }
    parser.finish()
}
