//! `ssh-guard config`: the configuration as it is by default, as it is in effect, and whether it is right.

use std::io::{self, Write};
use std::path::Path;

use clap::Subcommand;

use crate::config::{Config, DEFAULT_PATH, SAMPLE};
use crate::fault::{Exit, Fault};
use crate::list_file;
use crate::lists::Entries;
use crate::network::Network;

/// What is asked of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print a commented configuration with every key at its default
    Default,
    /// Print the configuration that is in effect: the file, and the defaults of what it leaves out
    Show {
        /// Print JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
    /// Say whether the configuration and the lists that it names are right
    Check,
}

/// Does what `verb` asks of the configuration at `path`, or at the default path if none is given.
///
/// # Errors
/// Fails if the configuration cannot be read or is wrong, and if `out` cannot be written.
pub fn run(verb: ConfigVerb, path: Option<&Path>, out: &mut impl Write) -> Result<(), Fault> {
    match verb {
        ConfigVerb::Default => default(out),
        ConfigVerb::Show { json } => show(path, json, out),
        ConfigVerb::Check => check(path, out),
    }
}

/// Prints the commented configuration.
///
/// # Errors
/// Fails if `out` cannot be written.
pub fn default(out: &mut impl Write) -> Result<(), Fault> {
    written(out.write_all(SAMPLE.as_bytes()))
}

/// Prints the configuration in effect, as TOML or as JSON with the same keys and values.
///
/// # Errors
/// Fails if the configuration cannot be read or is wrong, and if `out` cannot be written.
pub fn show(path: Option<&Path>, json: bool, out: &mut impl Write) -> Result<(), Fault> {
    let (config, _) = Config::load(path)?;
    let text = if json {
        serde_json::to_string_pretty(&config).map(|text| text + "\n").map_err(io::Error::other)
    } else {
        toml::to_string(&config).map_err(io::Error::other)
    };
    written(text.and_then(|text| out.write_all(text.as_bytes())))
}

/// Says that the configuration is right.
///
/// # Errors
/// Fails if the configuration cannot be read or is wrong, and if `out` cannot be written.
pub fn check(path: Option<&Path>, out: &mut impl Write) -> Result<(), Fault> {
    let (_, settings) = Config::load(path)?;
    let allowed: Vec<Network> = settings.allow.networks().into_iter().map(Network::from).collect();
    let mask = settings.guard.mask();
    let mut remarks: Vec<String> = Vec::new();
    remarks.extend(overlap("block.networks", &Entries::new(settings.block.listed, mask), &allowed));
    for file in &settings.block.files {
        let listed = list_file::read(file, Exit::Configuration)?;
        remarks.extend(overlap(&file.display().to_string(), &Entries::new(listed, mask), &allowed));
    }
    let said = match path {
        Some(path) => format!("'{}' is right", path.display()),
        None if Path::new(DEFAULT_PATH).exists() => format!("'{DEFAULT_PATH}' is right"),
        None => format!("there is no '{DEFAULT_PATH}': the defaults are in effect"),
    };
    let (inputs, allowed) = (settings.inputs.len(), allowed.len());
    written(writeln!(out, "{said} (inputs: {inputs}, networks allowed: {allowed})"))?;
    remarks.iter().try_for_each(|remark| written(writeln!(out, "remark: {remark}")))
}

/// What there is to say where a list blocks what is allowed, or a part of it.
pub(super) fn overlap(name: &str, listed: &Entries, allowed: &[Network]) -> Option<String> {
    let both: Vec<String> =
        allowed.iter().filter(|network| listed.touch(**network)).map(Network::to_string).collect();
    let shown = both.get(..TOLD).map_or_else(|| both.join(", "), |first| first.join(", ") + ", …");
    let many = both.len();
    (many > 0).then(|| {
        format!("'{name}' lists what is allowed, too ({many}): the allowlist wins, and it passes: {shown}")
    })
}

/// So many networks are named at most.
const TOLD: usize = 5;

fn written(result: io::Result<()>) -> Result<(), Fault> {
    match result {
        // Whoever read the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Fault::new(Exit::Failure, "cannot write the output").because(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(verb: ConfigVerb, path: Option<&Path>) -> String {
        let mut out = Vec::new();
        run(verb, path, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn in_a_file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn the_default_is_a_configuration_that_is_right() {
        let text = printed(ConfigVerb::Default, None);
        assert!(text.starts_with("# The configuration of ssh-guard"));
        let (_directory, path) = in_a_file(&text);
        assert_eq!(
            printed(ConfigVerb::Check, Some(&path)),
            format!("'{}' is right (inputs: 1, networks allowed: 0)\n", path.display())
        );
    }

    #[test]
    fn what_is_allowed_and_blocked_is_no_mistake_and_told() {
        let (directory, path) = in_a_file("");
        let [allowed, blocked] = ["allowed", "blocked"].map(|name| directory.path().join(name));
        std::fs::write(&allowed, "198.51.100.7\n203.0.113.0/24\n").unwrap();
        std::fs::write(&blocked, "203.0.113.9\n192.0.2.0/24\n2001:db8::/32\n").unwrap();
        let text = format!(
            "allow = {{ sources = ['10.0.0.1', '2001:db8:7::7'], files = [{allowed:?}] }}\n\
             block = {{ networks = ['10.0.0.0/8', '192.0.2.1'], files = [{blocked:?}] }}\n"
        );
        std::fs::write(&path, text).unwrap();
        let printed = printed(ConfigVerb::Check, Some(&path));
        let told: Vec<&str> = printed.lines().skip(1).collect();
        assert_eq!(
            told,
            [
                "remark: 'block.networks' lists what is allowed, too (1): the allowlist wins, and it passes: 10.0.0.1/32",
                &format!(
                    "remark: '{}' lists what is allowed, too (2): the allowlist wins, and it passes: \
                     203.0.113.0/24, 2001:db8:7::7/128",
                    blocked.display()
                ),
            ]
        );
    }

    #[test]
    fn what_is_shown_is_in_effect_and_can_be_read_again() {
        let (_directory, path) = in_a_file("policy.window = \"60m\"\n");
        let toml = printed(ConfigVerb::Show { json: false }, Some(&path));
        assert!(toml.contains("\nwindow = \"60m\"\n") && toml.contains("\nthreshold = 5.0\n"), "{toml}");
        assert_eq!(Config::parse("shown", &toml).unwrap(), Config::load(Some(&path)).unwrap());
        let json = printed(ConfigVerb::Show { json: true }, Some(&path));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["policy"]["window"], "60m");
        assert_eq!(json["policy"]["weights"]["pre-auth"], 0.1);
        assert_eq!(json["input"][0]["kind"], "auto");
    }

    #[test]
    fn a_wrong_configuration_is_neither_right_nor_shown() {
        let (_directory, path) = in_a_file("[policy]\n\n\n\n\n\ntreshold = 5\n");
        for verb in [ConfigVerb::Check, ConfigVerb::Show { json: true }] {
            let mut out = Vec::new();
            let fault = run(verb, Some(&path), &mut out).unwrap_err();
            assert_eq!(
                fault.report(),
                format!(
                    "ssh-guard: {}:7: unknown key 'policy.treshold'\nhint: did you mean 'policy.threshold'?\n",
                    path.display()
                )
            );
            assert_eq!((fault.exit(), out.as_slice()), (Exit::Configuration, [].as_slice()));
        }
    }

    #[test]
    fn output_that_nobody_reads_on_is_no_failure_and_a_full_disk_is() {
        struct Refuses(io::ErrorKind);
        impl Write for Refuses {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        default(&mut Refuses(io::ErrorKind::BrokenPipe)).unwrap();
        let fault = default(&mut Refuses(io::ErrorKind::StorageFull)).unwrap_err();
        assert_eq!(fault.report(), "ssh-guard: cannot write the output: no storage space\n");
    }
}
