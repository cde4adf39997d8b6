//! `ssh-guard config`: the configuration as it is by default, as it is in effect, and whether it is right.

use std::io::{self, Write};
use std::path::Path;

use clap::Subcommand;

use crate::config::{Config, DEFAULT_PATH, SAMPLE};
use crate::fault::{Exit, Fault};
use crate::list_file;

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
    for file in &settings.block.files {
        list_file::read(file, Exit::Configuration)?;
    }
    let said = match path {
        Some(path) => format!("'{}' is right", path.display()),
        None if Path::new(DEFAULT_PATH).exists() => format!("'{DEFAULT_PATH}' is right"),
        None => format!("there is no '{DEFAULT_PATH}': the defaults are in effect"),
    };
    let allowed = settings.allow.networks().len();
    written(writeln!(out, "{said} (inputs: {}, networks allowed: {allowed})", settings.inputs.len()))
}

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
