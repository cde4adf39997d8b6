use super::*;
use crate::parse::{Parser, Record};

/// A pattern that is right, with other text in the place of some of its own.
fn pattern(changes: &[(&str, &str)]) -> String {
    let text = r#"[[pattern]]
name = "acme"
process = "acmed"
failure = ['^login of (?<user>.*) failed from (?<source>\S+) port (?<port>[0-9]+)$']
success = ['^login of (?<user>.*) accepted from (?<source>\S+) port (?<port>[0-9]+)$']
samples = [
  { line = "login of bob failed from 203.0.113.7 port 4", event = "failure", source = "203.0.113.7", user = "bob", port = 4 },
  { line = "Nov 23 03:12:01 host acmed[7]: login of a b accepted from 2001:db8::7 port 5", event = "success", source = "2001:db8::7" },
  { line = "login of bob failed", event = "nothing" },
]
"#;
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

fn json(changes: &[(&str, &str)]) -> String {
    let text = r#"[[pattern]]
name = "acme"
unit = "acme.service"
kind = "keyboard-interactive"
json = { event = "msg", failure = ["bad"], source = "client.addr", user = "user" }
[[pattern.samples]]
line = '{"msg":"bad","user":"bob","client":{"addr":"[2001:db8::7]:4"}}'
event = "failure"
source = "2001:db8::7"
port = 4
"#;
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// The first thing that is wrong, and its hint.
#[track_caller]
fn first(text: &str) -> (String, String) {
    let report = refused(text);
    let mut lines = report.lines();
    let told = lines.next().unwrap().strip_prefix("ssh-guard: c.toml:").unwrap().to_owned();
    let hint = lines.next().and_then(|line| line.strip_prefix("hint: ")).unwrap_or_default();
    (told, hint.to_owned())
}

#[test]
fn a_pattern_that_reads_its_samples_is_a_parser() {
    let input = "[[input]]\nkind = 'file'\npath = '/x'\nparser = 'acme'\n";
    let settings = understood(&(input.to_owned() + &pattern(&[])));
    let Parser::Pattern(found) = &settings.inputs[0].parser else { panic!("{:?}", settings.inputs) };
    assert_eq!((found.name(), settings.patterns.len()), ("acme", 1));
    let message = b"login of x failed from 203.0.113.8 port 9";
    let event = found.event(&Record { process: b"acmed", message, ..Record::default() }).unwrap();
    assert_eq!((event.service.as_str(), event.port), ("acme", Some(9)));

    let settings = understood(&(input.replace("'file'", "'journal'") + &json(&[])));
    assert_eq!(settings.patterns[0].unit(), "acme.service");
}

#[test]
fn a_sample_that_is_read_otherwise_is_told_with_both_readings() {
    assert_eq!(
        first(&pattern(&[("source = \"203.0.113.7\"", "source = \"203.0.113.8\"")])).0,
        "7: 'pattern.samples': the line 'login of bob failed from 203.0.113.7 port 4' is read as failure with source \
         203.0.113.7, port 4, user 'bob', and should be failure with source 203.0.113.8, port 4, user 'bob'"
    );
    assert_eq!(
        first(&pattern(&[("event = \"nothing\"", "event = \"failure\", source = \"203.0.113.7\"")])).0,
        "9: 'pattern.samples': the line 'login of bob failed' is read as nothing, and should be failure with source 203.0.113.7"
    );
    let said = first(&pattern(&[("acmed[7]", "other[7]")])).0;
    assert!(said.contains("is read as nothing, and should be success with source 2001:db8::7"), "{said}");
    let said = first(&json(&[("port = 4", "port = 5")])).0;
    assert!(
        said.ends_with(
            "source 2001:db8::7, port 4, user 'bob', and should be failure with source 2001:db8::7, port 5"
        ),
        "{said}"
    );
}

#[test]
fn every_part_of_a_pattern_needs_a_sample() {
    let (said, hint) =
        first(&pattern(&[("event = \"success\"", "event = \"nothing\""), ("acmed[7]", "x[7]")]));
    assert_eq!(said, "5: 'pattern.success': no sample shows what this reads, with its source");
    assert!(hint.starts_with("add { line = "), "{hint}");
    let (said, _) = first(&json(&[(r#"["bad"]"#, r#"["worse", "bad"]"#)]));
    assert_eq!(said, "5: 'pattern.json.failure': no sample shows what this reads, with its source");
    let none = "[[pattern]]\nname = 'x'\nfailure = ['^(?<source>.*)$']\n";
    assert_eq!(first(none).0, "3: 'pattern.failure': no sample shows what this reads, with its source");
}

#[test]
fn a_pattern_that_a_client_can_fool_is_refused_with_a_line_that_shows_it() {
    let loose = r"^login of (?<user>\S+) failed from (?<source>\S+) port (?<port>[0-9]+).*$";
    let strict = r"^login of (?<user>.*) failed from (?<source>\S+) port (?<port>[0-9]+)$";
    let (said, hint) = first(&pattern(&[(strict, loose)]));
    assert!(
        said.starts_with("1: 'pattern': a client could have 192.0.2.66 banned by what it writes: 'login of "),
        "{said}"
    );
    assert!(said.contains("failed from 192.0.2.66 port "), "{said}");
    assert!(hint.contains("the last"), "{hint}");
    let open = r"^.*accepted.* from (?<source>\S+) port (?<port>[0-9]+)$";
    let strict = r"^login of (?<user>.*) accepted from (?<source>\S+) port (?<port>[0-9]+)$";
    let narrow = (r"^login of (?<user>.*) failed from", r"^login of (?<user>[a-z]*) failed from");
    let (said, _) = first(&pattern(&[(strict, open), narrow]));
    assert!(said.contains("a client could make a failure look like a success"), "{said}");
}

#[test]
fn an_expression_that_cannot_be_used_is_told_with_its_line() {
    let failure = r"^login of (?<user>.*) failed from (?<source>\S+) port (?<port>[0-9]+)$";
    for (expression, said) in [
        (
            r"login of bob failed from (?<source>\S+)$",
            "it would match a part of a message, so that a client could write the rest",
        ),
        (r"^login failed$", "it has no group 'source'"),
        (
            r"^(?<source>\S+) (?<host>\S+)$",
            "it has a group 'host', and the groups are 'source', 'user' and 'port'",
        ),
        (r"^(?<source>\S+$", "unclosed group"),
    ] {
        let told = first(&pattern(&[(failure, expression)])).0;
        assert_eq!(told, format!("4: 'pattern.failure': {said}"));
    }
}

#[test]
fn a_pattern_whose_values_are_not_allowed_is_refused() {
    let named = "'pattern.name' is \"openssh\" and must be 1 to 32 letters";
    for (from, to, line, said) in [
        ("name = \"acme\"", "name = \"openssh\"", 2, named),
        ("name = \"acme\"", "name = \"\"", 2, "'pattern.name' is \"\""),
        ("process = \"acmed\"", "process = \"a b\"", 3, "'pattern.process' is \"a b\" and must be"),
        ("process = \"acmed\"", "unit = \"acme\"", 3, "'pattern.unit' is \"acme\" and must be"),
        (
            "process = \"acmed\"",
            "kind = \"accepted\"",
            3,
            "'pattern.kind' is \"accepted\" and must be \"password\"",
        ),
        (
            "event = \"nothing\"",
            "event = \"none\"",
            9,
            "'pattern.samples.event' is \"none\" and must be \"failure\"",
        ),
        (
            "source = \"203.0.113.7\"",
            "source = \"x\"",
            7,
            "'pattern.samples.source' is \"x\" and must be an address",
        ),
        (
            "port = 4 }",
            "port = 65536 }",
            7,
            "'pattern.samples.port' is 65536 and must be a whole number from 1",
        ),
    ] {
        let told = first(&pattern(&[(from, to)])).0;
        assert!(told.starts_with(&format!("{line}: {said}")), "{told}");
    }
    let path = first(&json(&[("client.addr\"", "client..addr\"")])).0;
    assert!(path.starts_with("5: 'pattern.json.source' is \"client..addr\" and must be"), "{path}");
    let missing = first(&json(&[("event = \"msg\", ", "")])).0;
    assert_eq!(missing, "5: 'pattern.json': it does not say which 'event' is meant");
    let both = first(&json(&[("kind =", "failure = ['^(?<source>.*)$']\nkind =")])).0;
    assert_eq!(both, "1: 'pattern': a pattern reads text or JSON, and this one does both");
    assert_eq!(
        first("[[pattern]]\nname = 'x'\n").0,
        "1: 'pattern': a pattern needs to say what a 'failure' looks like"
    );
    let twice = first(&(pattern(&[]) + &pattern(&[]))).0;
    assert_eq!(twice, "12: 'pattern.name': two patterns are called 'acme'");
    let unknown = first("[[pattern]]\nfailures = []\n[[pattern.samples]]\nlines = ''\n");
    assert_eq!(
        unknown,
        ("2: unknown key 'pattern.failures'".to_owned(), "did you mean 'pattern.failure'?".to_owned())
    );
}

#[test]
fn an_input_must_know_whose_lines_a_pattern_reads() {
    let with =
        |input: &str, pattern: String| first(&format!("[[input]]\nparser = 'acme'\n{input}\n{pattern}"));
    let nobodys = pattern(&[("process = \"acmed\"\n", "")]);
    let (said, hint) = with("kind = 'file'\npath = '/x'", nobodys.clone());
    assert_eq!(
        said,
        "2: 'input.parser': the pattern 'acme' does not say whose lines it reads, so that any would do"
    );
    assert_eq!(hint, "give it a 'process', or write bare = true if no line has a header");
    understood(&format!("[[input]]\nparser = 'acme'\nkind = 'file'\npath = '/x'\nbare = true\n{nobodys}"));
    let (said, _) = with("kind = 'journal'", nobodys);
    assert_eq!(
        said,
        "2: 'input.parser': the pattern 'acme' does not say whose entries of the journal it reads"
    );
    let (said, _) = with("kind = 'auto'", pattern(&[]));
    assert!(said.ends_with("finds servers known here only, and 'acme' is a pattern"), "{said}");
    let (said, _) = with("kind = 'file'\npath = '/x'\nbare = true", json(&[]));
    assert_eq!(said, "5: 'input.bare': what 'acme' writes is read without it");
    let (said, _) = first("[[input]]\nkind = 'file'\npath = '/x'\nparser = 'acme'\n");
    assert!(
        said.starts_with("4: 'input.parser' is 'acme' and must be \"auto\", \"openssh\", \"dropbear\""),
        "{said}"
    );
    // A pattern that is wrong is told once, where it stands.
    let report = refused(&format!(
        "[[input]]\nkind = 'file'\npath = '/x'\nparser = 'acme'\n{}",
        pattern(&[("^login of (?<user>.*) failed", "login")])
    ));
    assert_eq!(report.lines().filter(|line| line.starts_with("ssh-guard:")).count(), 1, "{report}");
}

#[test]
fn two_inputs_may_read_one_journal_if_they_read_different_servers() {
    let both = |one: &str, other: &str, pattern: String| {
        format!(
            "[[input]]\nkind = 'journal'\nname = 'a'\nparser = '{one}'\n[[input]]\nkind = 'journal'\nname = 'b'\nparser = '{other}'\n{pattern}"
        )
    };
    for (one, other) in [("auto", "acme"), ("acme", "openssh"), ("openssh", "dropbear")] {
        assert_eq!(understood(&both(one, other, pattern(&[]))).inputs.len(), 2, "{one} {other}");
    }
    let known = || pattern(&[("acmed", "vsftpd")]);
    for (one, other, pattern) in [
        ("auto", "openssh", pattern(&[])),
        ("acme", "acme", pattern(&[])),
        ("auto", "acme", known()),
        ("vsftpd", "acme", known()),
        ("auto", "acme", pattern(&[("acmed", "sshd")])),
        ("openssh", "acme", pattern(&[("acmed", "sshd-session")])),
    ] {
        let (said, _) = first(&both(one, other, pattern));
        assert_eq!(
            said, "5: 'input': this may read what the input 'a' reads, and count it twice",
            "{one} {other}"
        );
    }
}

#[test]
fn what_the_guide_to_patterns_shows_is_right() {
    let guide = include_str!("../../../../docs/patterns.md");
    let blocks: Vec<String> = guide
        .split("\n\n    [[pattern]]\n")
        .skip(1)
        .map(|rest| {
            let lines = rest.lines().take_while(|line| line.starts_with("    "));
            lines.fold("[[pattern]]".to_owned(), |block, line| block + "\n" + line)
        })
        .collect();
    assert_eq!(blocks.len(), 2);
    for block in &blocks {
        assert_eq!(understood(block).patterns.len(), 1);
    }
    let inputs = guide.split("## 3. Read them").nth(1).unwrap().split("\n\n").nth(1).unwrap();
    assert_eq!(understood(&format!("{inputs}\n{}", blocks[0])).inputs[0].name, "acme.log");
    let beside = guide.split("## Beside other servers").nth(1).unwrap().split_once("\n\n    ").unwrap().1;
    assert_eq!(understood(&format!("{beside}\n{}", blocks[0])).inputs.len(), 2);
    // The expression that the guide warns of is refused for the reason that it gives.
    let warned = r"^login of (?<user>.*?) from (?<source>\S+) failed.*$";
    assert!(guide.contains(warned));
    let sample = "{ line = 'login of bob from 203.0.113.7 failed: wrong password', event = 'failure', source = '203.0.113.7' }";
    let text =
        format!("[[pattern]]\nname = 'x'\nprocess = 'x'\nfailure = ['{warned}']\nsamples = [{sample}]\n");
    assert!(first(&text).0.starts_with("1: 'pattern': a client could have 192.0.2.66 banned"));
}
