//! From the configured inputs to what is read.

use tracing::{info, warn};

use crate::config::Settings;
use crate::config::settings::InputKind;
use crate::fault::{Exit, Fault};
use crate::input::{Candidates, Choice, InputError, Journal, Origin, Writer, auto};
use crate::parse::Parser;

/// Decides for each input what it reads.
///
/// # Errors
/// If an `auto` input finds nothing to read.
pub async fn choose(settings: &Settings) -> Result<Vec<Choice>, Fault> {
    let mut chosen = Vec::new();
    for input in &settings.inputs {
        chosen.push(match &input.kind {
            InputKind::Auto => auto(Candidates::default()).await.map_err(|error| fault(&error))?,
            InputKind::Journal { directory } => {
                let why = match directory {
                    Some(directory) => format!("the journal in '{}' is read", directory.display()),
                    None => "the journal is read".to_owned(),
                };
                let journal = Journal {
                    directory: directory.clone(),
                    writer: writer(&input.parser),
                    ..Journal::default()
                };
                Choice { origin: Origin::Journal(journal), why }
            }
            InputKind::File { path, .. } => {
                Choice { origin: Origin::File(path.clone()), why: format!("'{}' is read", path.display()) }
            }
        });
    }
    Ok(chosen)
}

/// Says what is read, and what of it cannot be read yet: that is no reason not to start, it is waited for.
pub async fn announce(settings: &Settings, chosen: &[Choice]) {
    for (input, choice) in settings.inputs.iter().zip(chosen) {
        info!(input = input.name, why = choice.why, "input");
        if let InputKind::File { bare: true, .. } = input.kind {
            warn!(input = input.name, "any client can forge lines of a bare stream, and have others banned");
        }
        // What `auto` chose it has just read.
        if input.kind != InputKind::Auto
            && let Err(error) = choice.origin.check().await
        {
            warn!(input = input.name, error = error.chain(), hint = error.hint(), "cannot be read yet");
        }
    }
}

/// Whose entries of a journal a parser wants, if that is no server known here.
fn writer(parser: &Parser) -> Option<Writer> {
    let Parser::Pattern(pattern) = parser else { return None };
    Some(Writer { program: pattern.process().to_owned(), unit: pattern.unit().to_owned() })
}

fn fault(error: &InputError) -> Fault {
    let hint = error.hint();
    let fault = Fault::new(Exit::Configuration, error.chain());
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}
