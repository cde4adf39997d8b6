use std::path::Path;

use super::settings::{InputKind, Interfaces, Mode};
use super::*;
use crate::fault::{Exit, Fault};

mod pattern;
mod random;
mod sample;
mod values;

fn refused(text: &str) -> String {
    Fault::from(Config::parse("c.toml", text).unwrap_err()).report()
}

fn understood(text: &str) -> Settings {
    Config::parse("c.toml", text).unwrap().1
}

#[test]
fn an_empty_file_is_a_working_configuration() {
    let (config, settings) = Config::parse("c.toml", "").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(settings.guard.interfaces, Interfaces::Auto);
    assert_eq!(settings.guard.mode, Mode::Auto);
    assert_eq!(settings.inputs.len(), 1);
    assert_eq!((settings.inputs[0].name.as_str(), &settings.inputs[0].kind), ("auto", &InputKind::Auto));
    assert_eq!(settings.policy.ladder.iter().map(std::time::Duration::as_secs).max(), Some(604_800));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:9822");
}

#[test]
fn a_file_that_is_missing_is_empty_only_at_its_default_path() {
    let missing = Path::new("/nonexistent/config.toml");
    assert_eq!(Config::load_from(missing, false).unwrap().0, Config::default());
    let fault = Fault::from(Config::load(Some(missing)).unwrap_err());
    assert_eq!(
        fault.report(),
        "ssh-guard: cannot read '/nonexistent/config.toml': there is no such file\n\
         hint: check the path, or leave it out to run with the defaults\n"
    );
    assert_eq!(fault.exit(), Exit::Configuration);
}

#[test]
fn every_unknown_key_is_named_with_its_line_and_the_one_that_was_meant() {
    let text = "[policy]\n\nwindows = \"5m\"\ntreshold = 3\n[guard]\ndry_run = true\n[[input]]\n[[input]]\npth = \"/x\"\n";
    assert_eq!(
        refused(text),
        "ssh-guard: c.toml:3: unknown key 'policy.windows'\nhint: did you mean 'policy.window'?\n\
         ssh-guard: c.toml:4: unknown key 'policy.treshold'\nhint: did you mean 'policy.threshold'?\n\
         ssh-guard: c.toml:6: unknown key 'guard.dry_run'\nhint: did you mean 'guard.dry-run'?\n\
         ssh-guard: c.toml:9: unknown key 'input.pth'\nhint: did you mean 'input.path'?\n"
    );
    assert_eq!(
        refused("[polcy]\n"),
        "ssh-guard: c.toml:1: unknown key 'polcy'\nhint: did you mean 'policy'?\n"
    );
    assert_eq!(
        refused("\"policy.window\" = \"1m\"\n"),
        "ssh-guard: c.toml:1: unknown key 'policy.window'\nhint: write the names between the dots without quotes\n"
    );
    assert_eq!(
        refused("guard.\"a\\nb\" = 1\n"),
        "ssh-guard: c.toml:1: unknown key 'guard.a\\nb'\n\
         hint: the keys of 'guard' are interfaces, ports, mode, dry-run, ipv4-prefix, ipv6-prefix, operators, pin-path\n"
    );
}

#[test]
fn a_value_of_a_wrong_type_is_refused_with_what_is_allowed() {
    let ports = "must be 1 to 16 different ports from 1 to 65535";
    for (text, said) in [
        (
            "threshold = \"five\"",
            "'policy.threshold' is \"five\" and must be a number above 0, up to 1000000",
        ),
        ("ports = [22, \"ssh\"]", &format!("'guard.ports' holds \"ssh\" and {ports}")),
        ("ports = 22", &format!("'guard.ports' is 22 and {ports}")),
        ("dry-run = 1", "'guard.dry-run' is 1 and must be true or false"),
        ("mode = {a = 1}", "'guard.mode' is a table and must be \"auto\", \"native\", \"generic\" or \"tc\""),
        (
            "blocklist = 99999999999999999999",
            "'limits.blocklist' is 99999999999999999999 and must be a whole number from 1024 to 4194304",
        ),
    ] {
        let table = said.split(['\'', '.']).nth(1).unwrap();
        assert_eq!(refused(&format!("[{table}]\n{text}\n")), format!("ssh-guard: c.toml:2: {said}\n"));
    }
    assert_eq!(
        refused("[[input]]\n[[input]]\nbare = []\n"),
        "ssh-guard: c.toml:3: 'input.bare' is an array and must be true or false\n"
    );
    assert_eq!(
        refused("guard = 5\n[input]\n"),
        "ssh-guard: c.toml:1: 'guard' must be a table\nhint: write [guard], and its keys on the lines below\n\
         ssh-guard: c.toml:2: 'input' must be an array of tables\n\
         hint: write [[input]], and its keys on the lines below\n"
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    for (text, said) in [
        ("[guard\n", "1: this is not TOML: unclosed table, expected `]`"),
        ("[guard]\n\nports = [22\n", "3: this is not TOML: unclosed array, expected `]`"),
        (
            "[guard]\nmode = native\n",
            "2: this is not TOML: invalid float, expected `nan`\nhint: write the text after '=' in double quotes",
        ),
        ("[guard]\n[guard]\n", "2: this is not TOML: duplicate key"),
        ("[guard]\nports = [22]\nports = [23]\n", "3: this is not TOML: duplicate key"),
    ] {
        assert_eq!(refused(text), format!("ssh-guard: c.toml:{said}\n"));
    }
}

#[test]
fn the_serde_types_know_no_other_keys_either() {
    let tables = ["guard", "policy", "policy.weights", "allow", "block", "limits", "observe", "control"]
        .map(|t| format!("[{t}]"));
    let repeated =
        ["[[input]]", "[[pattern]]", "[pattern.json]", "[[pattern.samples]]", ""].map(str::to_owned);
    for table in tables.into_iter().chain(repeated) {
        let table = match table.as_str() {
            "[pattern.json]" | "[[pattern.samples]]" => format!("[[pattern]]\n{table}"),
            _ => table,
        };
        let error = toml::from_str::<Config>(&format!("{table}\nzzz = 1\n")).unwrap_err();
        assert!(error.message().starts_with("unknown field `zzz`"), "{table}: {error}");
    }
}
