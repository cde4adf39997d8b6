//! What was measured: a table for people, JSON for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::machine::Machine;
use crate::statistics::Spread;

/// All results of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version that was measured.
    version: &'static str,
    /// When, in RFC 3339.
    at: String,
    /// Whether this was a quick run, whose figures nobody should quote.
    quick: bool,
    machine: Machine,
    results: Vec<Measured>,
}

/// One number, as often as it was measured.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    benchmark: &'static str,
    row: &'static str,
    entries: u32,
    unit: &'static str,
    #[serde(flatten)]
    spread: Spread,
    rounds: Vec<f64>,
    /// Whether the table leaves it out.
    #[serde(skip)]
    aside: bool,
}

impl Report {
    /// Begins a report.
    #[must_use]
    pub fn new(machine: Machine, quick: bool) -> Self {
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let Machine { kernel, cpu, cpus, hz, load, .. } = &machine;
        say(&format!("{cpu}, {cpus} CPUs; Linux {kernel}; {hz} Hz; load {load}"));
        if machine.bpf_stats == Some(true) {
            say("warning: 'kernel.bpf_stats_enabled' is on: it makes every program slower");
        }
        Self { version: env!("CARGO_PKG_VERSION"), at, quick, machine, results: Vec::new() }
    }

    /// Says what is measured next.
    #[expect(clippy::unused_self, reason = "what is said belongs to this report")]
    pub fn progress(&self, what: &str) {
        say(what);
    }

    /// Adds a result: one number a round.
    pub fn add(
        &mut self,
        benchmark: &'static str,
        row: &'static str,
        entries: u32,
        unit: &'static str,
        rounds: &[f64],
    ) {
        let Some(spread) = Spread::of(rounds) else { return };
        let rounds = rounds.to_vec();
        self.results.push(Measured { benchmark, row, entries, unit, spread, rounds, aside: false });
    }

    /// Leaves the result that was added last out of the table: it only explains others.
    pub fn set_aside(&mut self) {
        if let Some(last) = self.results.last_mut() {
            last.aside = true;
        }
    }

    /// Prints the table, and writes the JSON to `path`, or into `target/bench`.
    ///
    /// # Errors
    /// If the file cannot be written.
    #[expect(clippy::print_stdout, reason = "this is what was asked for")]
    pub fn write(&self, path: Option<&Path>) -> Result<()> {
        print!("{}", self.table());
        let path = match path {
            Some(path) => path.to_owned(),
            None => PathBuf::from("target/bench").join(format!("{}.json", self.at.replace([':', '-'], ""))),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make '{}'", folder.display()))?;
        }
        let json = serde_json::to_string_pretty(self).context("the results are no JSON")?;
        fs::write(&path, json + "\n").with_context(|| format!("cannot write '{}'", path.display()))?;
        say(&format!("JSON: {}", path.display()));
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = String::new();
        let mut last = None;
        for Measured { benchmark, row, entries, unit, spread, .. } in
            self.results.iter().filter(|result| !result.aside)
        {
            let group = (benchmark, entries);
            if last.is_some_and(|last| last != group) {
                table.push('\n');
            }
            last = Some(group);
            let Spread { median, min, max } = spread;
            let [median, min, max] = [*median, *min, *max].map(shown);
            let range = format!("({min}..{max})");
            // Writing to a string cannot fail.
            let _written =
                writeln!(table, "{benchmark:8} {entries:>9} {row:22} {median:>10}  {range:21} {unit}");
        }
        table
    }
}

/// Writes a number with as many digits as are worth reading.
fn shown(number: f64) -> String {
    let digits = match number.abs() {
        large if large >= 1000.0 => 0,
        middling if middling >= 10.0 => 1,
        _ => 2,
    };
    format!("{number:.digits$}")
}

/// Tells the person who waits.
#[expect(clippy::print_stderr, reason = "a person reads it; standard output is the table's")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(Machine::look().unwrap(), true);
        report.add("program", "blocked", 1000, "ns", &[31.25, 30.0, 1234.5]);
        report.add("drops", "guard", 1000, "ns", &[86.0]);
        report
    }

    #[test]
    fn the_table_has_a_line_for_each_result_with_median_and_spread() {
        let table = report().table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert_eq!(
            lines[0],
            "program       1000 blocked                      31.2  (30.0..1234)          ns"
        );
        assert_eq!(lines[1], "", "an empty line between benchmarks");
    }

    #[test]
    fn the_json_says_what_the_table_says_and_where_it_was_measured() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["results"][0]["median"], 31.25);
        assert_eq!(json["results"][0]["rounds"][2], 1234.5);
        assert!(json["machine"]["hz"].as_u64().unwrap() >= 100);
        assert_eq!(json["quick"], true);
    }

    #[test]
    fn what_was_never_measured_is_no_result() {
        let mut report = report();
        report.add("drops", "nobody", 1000, "ns", &[]);
        assert_eq!(report.results.len(), 2);
    }

    #[test]
    fn what_is_set_aside_is_in_the_json_alone() {
        let mut report = report();
        report.set_aside();
        assert_eq!(report.table().lines().count(), 1);
        assert_eq!(serde_json::to_value(&report).unwrap()["results"].as_array().unwrap().len(), 2);
    }
}
