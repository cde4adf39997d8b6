use proptest::prelude::*;

use super::*;
use crate::config::key::{KEYS, Shape};

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| toml::Value::Float(number).to_string()),
        any::<bool>().prop_map(|switch| switch.to_string()),
        ".{0,40}".prop_map(|text| toml::Value::String(text).to_string()),
        "[0-9]{1,20}[smhdw]".prop_map(|time| format!("{time:?}")),
        proptest::collection::vec(-1..70_000i64, 0..20).prop_map(|numbers| format!("{numbers:?}")),
        proptest::collection::vec("[0-9a-f.:/]{0,12}", 0..5).prop_map(|texts| format!("{texts:?}")),
        Just("{ a = 1, b = [] }".to_owned()),
        Just("1979-05-27".to_owned()),
    ]
}

/// Lines with values for some keys, right and wrong, but for those of the inputs.
fn lines() -> impl Strategy<Value = String> {
    let known = KEYS
        .map(|key| key.path)
        .into_iter()
        .filter(|path| !path.starts_with("input.") && !path.starts_with("pattern."))
        .collect::<Vec<_>>();
    let path = prop_oneof![
        8 => proptest::sample::select(known).prop_map(str::to_owned),
        1 => "[a-z-]{1,12}",
    ];
    let line = (path, value()).prop_map(|(path, value)| format!("{path} = {value}\n"));
    proptest::collection::vec(line, 0..4).prop_map(|lines| lines.concat())
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![value(), "/[a-z]{1,8}".prop_map(|path| format!("{path:?}"))]
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        std::fs::write(&path, bytes).unwrap();
        drop(Config::load(Some(&path)).map_err(|error| Fault::from(error).report()));
    }

    #[test]
    fn no_text_panics(text in "([\\[\\]a-z=\".#{}',0-9\n_-]|.){0,200}") {
        drop(Config::parse("c.toml", &text).map_err(|error| Fault::from(error).report()));
    }

    #[test]
    fn random_values_are_understood_or_refused_on_a_line_of_the_file(text in lines(), path in path()) {
        let text = format!("{text}\n[[input]]\nkind = \"file\"\npath = {path}\n");
        match Config::parse("c.toml", &text) {
            Ok((config, settings)) => {
                let again = Config::parse("again.toml", &toml::to_string(&config).unwrap()).unwrap();
                prop_assert_eq!(again, (config, settings));
            }
            Err(error) => for problem in error.problems() {
                // A value may name a list that is not there: then that file is named.
                if problem.message.starts_with("cannot read '/") {
                    continue;
                }
                let rest = problem.message.strip_prefix("c.toml:").expect("it names the file");
                let line: usize = rest.split(':').next().unwrap().parse().expect("it names the line");
                prop_assert!((1..=text.lines().count()).contains(&line), "{}", problem.message);
            }
        }
    }

    #[test]
    fn a_value_of_every_wrong_type_is_refused(index in 0..KEYS.len(), value in value()) {
        let key = KEYS[index];
        let fits = match key.shape {
            Shape::Switch => value == "true" || value == "false",
            Shape::Whole => value.parse::<i64>().is_ok(),
            Shape::Number => value.parse::<f64>().is_ok(),
            Shape::Text => value.starts_with(['"', '\'']),
            Shape::Wholes | Shape::Texts => value.starts_with('['),
        };
        prop_assume!(!fits && !key.path.starts_with("input.") && !key.path.starts_with("pattern."));
        let said = refused(&format!("{} = {value}\n", key.path));
        let (is, must) = (format!("ssh-guard: c.toml:1: '{}' is ", key.path), format!(" and must be {}\n", key.allowed));
        prop_assert!(said.starts_with(&is) && said.ends_with(&must), "{}", said);
    }
}
