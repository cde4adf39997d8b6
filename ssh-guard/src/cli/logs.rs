//! Which old logs a verb reads, and how.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock;
use crate::config::settings::Settings;
use crate::fault::{Exit, Fault};
use crate::parse::Parser;
use crate::replay::Logs;

/// How the lines of old logs are read.
#[derive(Args, Debug)]
pub(super) struct How {
    /// Whose lines they are, as in 'input.parser'
    #[arg(
        long,
        value_name = "NAME",
        default_value = "auto",
        long_help = "Whose lines they are, as 'input.parser': auto (each known server's, by the name of its process), openssh, \
                     dropbear, proftpd, sftpgo, vsftpd, pure-ftpd, or the name of a pattern in the configuration. The logs that \
                     SFTPGo and vsftpd write themselves need theirs"
    )]
    parser: String,
    /// The lines have no header of syslog's, as sshd -E and -e write them
    #[arg(long)]
    bare: bool,
}

impl How {
    /// Says how `files` are read; `verb` is what the person typed.
    pub(super) fn logs(
        &self,
        files: Vec<PathBuf>,
        settings: &Settings,
        verb: &'static str,
    ) -> Result<Logs, Fault> {
        Ok(Logs {
            files,
            parser: self.parser(settings)?,
            bare: self.bare,
            zone: TimeZone::system(),
            now: today,
            line_bytes: settings.limits.line_bytes.get(),
            verb,
        })
    }

    fn parser(&self, settings: &Settings) -> Result<Parser, Fault> {
        let name = self.parser.as_str();
        let wrong = |what: String, hint: String| Err(Fault::new(Exit::Usage, what).hint(hint));
        let Some(parser) = Parser::named(name, &settings.patterns) else {
            let known = Parser::KNOWN.map(|parser| parser.as_str().to_owned());
            let patterns = settings.patterns.iter().map(|pattern| pattern.name().to_owned());
            let there_are: Vec<String> = known.into_iter().chain(patterns).collect();
            return wrong(
                format!("there is no parser '{}'", name.escape_debug()),
                format!(
                    "use {}; a pattern needs a table [[pattern]] in the configuration",
                    there_are.join(", ")
                ),
            );
        };
        if self.bare && !parser.may_be_bare() {
            return wrong(format!("what '{name}' writes is read without --bare"), "take it out".to_owned());
        }
        if let Parser::Pattern(pattern) = &parser
            && !self.bare
            && !pattern.is_json()
            && pattern.process().is_empty()
            && pattern.unit().is_empty()
        {
            return wrong(
                format!("the pattern '{name}' does not say whose lines it reads, so that any would do"),
                "give it a 'process' or a 'unit', or use --bare if no line has a header".to_owned(),
            );
        }
        Ok(parser)
    }
}

fn today() -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(clock::since_epoch()).unwrap_or(Timestamp::MAX)
}
