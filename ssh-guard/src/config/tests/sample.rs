use super::*;
use crate::config::key::KEYS;

/// The sample with the marks of its keys and tables taken away, and those of its prose left.
fn switched_on() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    SAMPLE.lines().map(line).collect()
}

#[test]
fn the_sample_holds_every_key_at_its_default() {
    assert_eq!(Config::parse("sample", SAMPLE).unwrap().0, Config::default());
    let text = switched_on();
    let (mut config, settings) = Config::parse("sample", &text).unwrap();
    // There is no pattern by default, and an example tells more than an empty one.
    let names: Vec<_> = settings.patterns.iter().map(|pattern| pattern.name()).collect();
    assert_eq!(names, ["acme", "acme-json"]);
    assert_eq!(config.pattern[0].kind, Pattern::default().kind);
    config.pattern.clear();
    assert_eq!(config, Config::default());
    let mut told: toml::Table = text.parse().unwrap();
    told.remove("pattern");
    assert_eq!(told, toml::Table::try_from(Config::default()).unwrap(), "a key is missing, or is not one");
}

#[test]
fn the_sample_explains_every_key() {
    let text = switched_on();
    let lines: Vec<&str> = text.lines().collect();
    for key in KEYS {
        let (_, name) = key.path.rsplit_once('.').unwrap();
        let at = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" = "));
        let count = lines.iter().filter(|line| at(line)).count();
        assert!(count >= 1, "'{}' is missing", key.path);
        let explained = lines.windows(2).any(|pair| at(&pair[1]) && pair[0].starts_with("# "));
        let one_after_another = |pair: &[&str]| pair[0].contains(" = ") && key.path.starts_with("pattern.");
        assert!(explained || key.path.starts_with("pattern.json."), "'{}' has no explanation", key.path);
        for pair in lines.windows(2).filter(|pair| at(&pair[1])) {
            let explained = pair[0].starts_with("# ") || one_after_another(pair);
            assert!(explained, "'{}' has no explanation", key.path);
        }
    }
}

#[test]
fn the_sample_is_prose_of_readable_width() {
    for line in SAMPLE.lines() {
        assert!(line.chars().count() <= 120, "{line}");
        assert_eq!(line.trim_end(), line);
    }
}
