//! What came of a scenario, in words and a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use ssh_guard::config::duration;

use crate::run::{Played, Tally};

/// The part of the document about a scenario.
#[must_use]
pub fn section(played: &Played) -> String {
    let Played { scenario, results, .. } = played;
    let mut text = format!("### {}\n\n{}\n\n", scenario.title, scenario.story.trim());
    text += "| policy | attempts | reached the server | stopped | sources banned | networks banned | first ban after | \
             logins refused | innocents banned |\n";
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for tally in results {
        writeln!(text, "{}", row(played, tally)).expect("a string takes all");
    }
    write!(text, "\n![{}](policy/{}.svg)\n", scenario.title, scenario.name).expect("a string takes all");
    text
}

fn row(played: &Played, tally: &Tally) -> String {
    let Tally { policy, attempts, reached, sources, networks, logins, refused, suffered, .. } = tally;
    let stopped = tally.stopped().map_or_else(|| "–".to_owned(), percent);
    let first = tally.first_ban.map_or_else(|| "–".to_owned(), time);
    let all: u64 = refused.values().sum();
    let mut lost = format!("{} of {}", grouped(all), grouped(*logins));
    if all > 0 {
        let names = names(played, refused);
        write!(lost, " ({names})").expect("a string takes all");
    }
    let innocent = if suffered.is_empty() { "nobody".to_owned() } else { names(played, suffered) };
    let [attempts, reached] = [*attempts, *reached].map(grouped);
    let [sources, networks] = [sources, networks].map(|banned| grouped(banned.len() as u64));
    format!(
        "| {policy} | {attempts} | {reached} | {stopped} | {sources} | {networks} | {first} | {lost} | {innocent} |"
    )
}

/// A few names, and how many there are more.
fn names<T>(played: &Played, who: &BTreeMap<u32, T>) -> String {
    let shown: Vec<&str> = who.keys().take(SHOWN).map(|who| played.names[*who as usize].as_str()).collect();
    let shown = shown.join(", ");
    match who.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

const SHOWN: usize = 3;

/// A part in percent, rounded so that nothing looks like all of it, or like nothing, that is not.
fn percent(part: f64) -> String {
    let percent = part * 100.0;
    let floor = (percent * 10.0).floor() / 10.0;
    format!("{floor:.1} %")
}

/// A length of time, exact to the second.
fn time(time: Duration) -> String {
    duration::to_text(time)
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 3_000_000].map(grouped), ["0", "999", "1,000", "3,000,000"]);
    }

    #[test]
    fn a_part_is_rounded_down() {
        assert_eq!([0.0, 0.9999, 1.0].map(percent), ["0.0 %", "99.9 %", "100.0 %"]);
    }
}
