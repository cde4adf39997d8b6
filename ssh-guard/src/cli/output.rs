//! Writes what a verb has to say.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::fault::{Exit, Fault};
use crate::replay::logs::Unread;

/// Writes text to standard output. Whoever reads no further has seen enough.
pub(super) fn to_stdout(text: &str) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::new(Exit::Failure, "cannot write the output").because(error))
        }
        _ => Ok(()),
    }
}

/// Says why old logs were not read to their end. Whoever reads no further has seen enough.
pub(super) fn all_read(read: Result<(), Unread>) -> Result<(), Fault> {
    match read {
        Err(Unread::In(fault)) => Err(fault),
        Err(Unread::Out(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::new(Exit::Failure, "cannot write the output").because(error))
        }
        Ok(()) | Err(Unread::Out(_)) => Ok(()),
    }
}

/// Says what is waited for, where the standard input is read and somebody could type it.
pub(super) fn tell_that_a_terminal_is_read(files: &[PathBuf]) {
    if files.iter().any(|file| file == Path::new("-")) && io::stdin().is_terminal() {
        to_stderr("ssh-guard: reading log lines from this terminal, up to Ctrl-D\n");
    }
}

/// Writes text to standard error, the last place to complain; if that is closed too, nobody listens.
pub(super) fn to_stderr(text: &str) {
    let _nobody_listens = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes an answer as JSON, or else as `text` makes it.
pub(super) fn answer<A: Serialize>(
    answer: &A,
    json: bool,
    text: impl FnOnce(&A) -> String,
) -> Result<(), Fault> {
    if !json {
        return to_stdout(&text(answer));
    }
    let text = serde_json::to_string_pretty(answer)
        .map_err(|error| Fault::new(Exit::Failure, "cannot write the output").because(error))?;
    to_stdout(&(harmless_json(&text) + "\n"))
}

/// The text with what would command a terminal, or end the line, written as an escape.
pub(super) fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if commands(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// The same of JSON that is laid out in lines: what serde leaves as it is (DEL, the controls of ISO 6429 with eight bits)
/// stands in strings only.
fn harmless_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if commands(c) && c != '\n' {
            write!(safe, "\\u{:04x}", u32::from(c)).expect("a string takes all");
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Whether a letter is a control, or turns the direction in which what follows is shown (Unicode UAX #9).
fn commands(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Lays rows out in columns as wide as they must be; the first row is the head. Columns of numbers are told by their
/// heads, which start with a space, and stand to the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let shown = |row: &Vec<String>| row.iter().map(|cell| harmless(cell)).collect::<Vec<_>>();
    let rows: Vec<_> = rows.iter().map(shown).collect();
    let Some(head) = rows.first() else { return String::new() };
    let width = |column: usize| rows.iter().map(|row| row[column].trim().chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).zip(head).map(|((cell, width), head)| {
            let (cell, width) = (cell.trim(), *width);
            if head.starts_with(' ') { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["SOURCE", " HITS", "REASON"]), row(["192.0.2.1", "7", "threshold"])];
        assert_eq!(table(&rows), "SOURCE     HITS  REASON\n192.0.2.1     7  threshold\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn a_cell_commands_no_terminal_and_ends_no_line() {
        let rows = [vec!["RULE".to_owned()], vec!["too\nnosy\u{1b}[31m ü".to_owned()]];
        assert_eq!(table(&rows), "RULE\ntoo\\nnosy\\u{1b}[31m ü\n");
    }

    #[test]
    fn json_commands_no_terminal_and_says_the_same() {
        let said = ["\u{1b}[2J \u{9b}31m \u{7f} \u{202e}ü\n".to_owned()];
        let shown = harmless_json(&serde_json::to_string_pretty(&said).unwrap());
        assert!(!shown.chars().any(|c| commands(c) && c != '\n') && shown.contains('ü'), "{shown:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), said);
    }
}
