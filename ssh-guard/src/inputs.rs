//! From the configured inputs to what is read.

use nix::unistd::User;
use tracing::{info, warn};

use crate::config::Settings;
use crate::config::settings::InputKind;
use crate::fault::{Exit, Fault};
use crate::input::{Candidates, Choice, InputError, Journal, Listen, Origin, Senders, Syslog, Writer, auto};
use crate::parse::Parser;

/// Decides for each input that is read what it reads.
///
/// # Errors
/// If an `auto` input finds nothing to read, or a user is not known.
pub async fn choose(settings: &Settings) -> Result<Vec<Choice>, Fault> {
    let mut chosen = Vec::new();
    for input in settings.read_inputs() {
        chosen.push(match &input.kind {
            // It is not read: the control socket takes what is posted.
            InputKind::Socket => continue,
            InputKind::Syslog { listen, senders, users } => {
                let why = format!("what is sent to '{listen}' is read");
                let users = users.iter().map(|user| number_of(user)).collect::<Result<_, _>>()?;
                let syslog = Syslog { listen: listen.clone(), senders: Senders::new(senders), users };
                Choice { origin: Origin::Syslog(syslog), why }
            }
            InputKind::Stdin { .. } => {
                Choice { origin: Origin::Stdin, why: "standard input is read".to_owned() }
            }
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
    warn_of_doubles(settings, chosen);
    for (input, choice) in settings.read_inputs().zip(chosen) {
        info!(input = input.name, why = choice.why, "input");
        if input.kind.is_bare() {
            warn!(input = input.name, "any client can forge lines of a bare stream, and have others banned");
        }
        if let InputKind::Syslog { listen: listen @ Listen::Udp(_), .. } = &input.kind
            && !listen.is_local()
        {
            warn!(
                input = input.name,
                hint = "listen on loopback, or where nobody else can send; over TCP a sender's address is its own",
                "whoever can send a datagram here can do so in the name of a sender, and have others banned"
            );
        }
        // What `auto` chose it has just read.
        if input.kind != InputKind::Auto
            && let Err(error) = choice.origin.check().await
        {
            warn!(input = input.name, error = error.chain(), hint = error.hint(), "cannot be read yet");
        }
    }
}

/// Says which inputs seem to bring the same lines: a failure that is in two of them counts twice.
fn warn_of_doubles(settings: &Settings, chosen: &[Choice]) {
    let read: Vec<_> = settings.read_inputs().zip(chosen).collect();
    for (index, (input, choice)) in read.iter().enumerate() {
        for (other, earlier) in &read[..index] {
            if are_doubles((&input.parser, &choice.origin), (&other.parser, &earlier.origin)) {
                warn!(
                    inputs = format!("{}, {}", other.name, input.name),
                    hint = "take one out, or give each a 'parser' that the other has not",
                    "two inputs seem to bring the same lines: a failure that is in both counts twice"
                );
            }
        }
    }
}

/// Whether two inputs seem to bring lines that both parsers read. Whether a syslog daemon copies the journal to a file shows
/// nowhere; most often it does what sshd says.
fn are_doubles((parser, origin): (&Parser, &Origin), (other, earlier): (&Parser, &Origin)) -> bool {
    let reads_sshd = |parser: &Parser| parser.shares_lines(&Parser::Openssh);
    match (origin, earlier) {
        (Origin::File(one), Origin::File(two)) => {
            let same = || one.canonicalize().is_ok_and(|one| two.canonicalize().is_ok_and(|two| one == two));
            parser.shares_lines(other) && same()
        }
        (Origin::File(_), Origin::Journal(journal)) | (Origin::Journal(journal), Origin::File(_)) => {
            journal.directory.is_none() && reads_sshd(parser) && reads_sshd(other)
        }
        _ => false,
    }
}

/// Whose entries of a journal a parser wants, if that is no server known here.
pub(crate) fn writer(parser: &Parser) -> Option<Writer> {
    let Parser::Pattern(pattern) = parser else { return None };
    Some(Writer { program: pattern.process().to_owned(), unit: pattern.unit().to_owned() })
}

/// The number of a user, by name or by itself.
fn number_of(user: &str) -> Result<u32, Fault> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    match User::from_name(user) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        _ => Err(Fault::new(Exit::Configuration, format!("'input.users': there is no user '{user}'"))
            .hint("correct the name, or write the user's number")),
    }
}

fn fault(error: &InputError) -> Fault {
    let hint = error.hint();
    let fault = Fault::new(Exit::Configuration, error.chain());
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_inputs_on_one_file_bring_the_same_lines_where_both_parsers_read_them() {
        let file = |path: &str| Origin::File(path.into());
        let (here, there) = (file("/dev/null"), file("/dev/../dev/null"));
        assert!(are_doubles((&Parser::Openssh, &here), (&Parser::Openssh, &there)));
        assert!(are_doubles((&Parser::Auto, &here), (&Parser::Vsftpd, &there)));
        assert!(!are_doubles((&Parser::Openssh, &here), (&Parser::Vsftpd, &there)));
        assert!(!are_doubles((&Parser::Auto, &here), (&Parser::Auto, &file("/dev/zero"))));
    }

    #[test]
    fn a_file_beside_the_journal_brings_the_same_lines_where_both_are_read_for_sshd() {
        let file = Origin::File("/var/log/auth.log".into());
        let journal = |directory: Option<&str>| {
            Origin::Journal(Journal { directory: directory.map(Into::into), ..Journal::default() })
        };
        assert!(are_doubles((&Parser::Auto, &file), (&Parser::Openssh, &journal(None))));
        assert!(are_doubles((&Parser::Openssh, &journal(None)), (&Parser::Auto, &file)));
        assert!(!are_doubles((&Parser::Vsftpd, &file), (&Parser::Auto, &journal(None))));
        assert!(!are_doubles((&Parser::Auto, &file), (&Parser::Auto, &journal(Some("/mnt/journal")))));
    }
}
