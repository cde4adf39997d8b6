use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn pattern(failure: &[&str], success: &[&str]) -> Result<Pattern, Vec<(Outcome, usize, ExpressionError)>> {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Pattern::new(Description {
        name: "acme".to_owned(),
        process: "acmed".to_owned(),
        unit: String::new(),
        kind: Kind::Password,
        shape: Shape::Text { failure: texts(failure), success: texts(success) },
    })
}

fn one(failure: &str) -> Pattern {
    pattern(&[failure], &[]).unwrap()
}

fn read(pattern: &Pattern, message: &[u8]) -> Option<AuthEvent> {
    pattern.event(&Record { process: b"acmed", message, ..Record::default() })
}

const SAFE: &str = r"^login failed for (?<user>.*) from (?<source>[0-9a-fA-F:.]+) port (?<port>[0-9]+)$";
const LINE: &[u8] = b"login failed for bob from 203.0.113.7 port 41022";

#[test]
fn a_message_is_read_by_its_groups() {
    let found = read(&one(SAFE), LINE).unwrap();
    assert_eq!(
        (found.outcome, found.kind, found.address, found.port, found.user.as_deref(), found.service.as_str()),
        (
            Outcome::Failure,
            Kind::Password,
            Some("203.0.113.7".parse().unwrap()),
            Some(41022),
            Some("bob"),
            "acme"
        )
    );
    let repeated = [b"message repeated 3 times: [ ", LINE, b"]"].concat();
    assert_eq!(read(&one(SAFE), &repeated).unwrap().count.get(), 3);
}

#[test]
fn only_the_named_process_is_heard_where_a_header_names_one() {
    let heard = |process: &'static [u8]| {
        one(SAFE).event(&Record { process, message: LINE, ..Record::default() }).is_some()
    };
    assert!(heard(b"acmed") && heard(b""));
    assert!(!heard(b"sshd") && !heard(b"acmed2"));
}

#[test]
fn an_expression_must_match_the_whole_message_and_name_the_source() {
    let refused = |text: &str| pattern(&[text], &[]).unwrap_err().remove(0).2;
    for text in [
        r"failed (?<source>\S+)$",
        r"^failed (?<source>\S+)",
        r"^a (?<source>\S+)|failed$",
        r"^?a (?<source>\S+)$",
        r"(?m)^a (?<source>\S+)$",
        r"a(?<source>\S+)",
    ] {
        assert_eq!(refused(text), ExpressionError::NotAnchored, "{text}");
    }
    assert_eq!(refused("^failed$"), ExpressionError::NoSource);
    assert_eq!(refused("^(?<source>a)(?<host>b)$"), ExpressionError::Group("host".to_owned()));
    assert!(matches!(refused("^(?<source>a$"), ExpressionError::Syntax(_)));
    assert!(matches!(refused(r"^(?<source>a{1000}{1000})$"), ExpressionError::Syntax(_)));
    assert!(pattern(&[r"^(?:a|b) (?<source>\S+)$", r"\A(?<source>\S+)\z"], &[]).is_ok());
}

#[test]
fn every_expression_that_cannot_be_used_is_told_with_its_place() {
    let wrong = pattern(&["^(?<source>a)$", "x"], &["^(?<source>a)$", "("]).unwrap_err();
    let places: Vec<_> = wrong.iter().map(|(outcome, index, _)| (*outcome, *index)).collect();
    assert_eq!(places, [(Outcome::Failure, 1), (Outcome::Success, 1)]);
}

#[test]
fn a_name_hides_a_failure_neither_by_its_bytes_nor_by_its_lines() {
    for user in [&b"\xff\xfe"[..], b"a\nb", b"", b"\0", "é".as_bytes()] {
        let message = [b"login failed for ", user, b" from 203.0.113.7 port 1"].concat();
        assert!(read(&one(SAFE), &message).is_some(), "{}", user.escape_ascii());
    }
}

#[test]
fn a_failure_that_could_be_a_success_too_is_a_failure() {
    let both = pattern(&[r"^(?<source>\S+) .*failed$"], &[r"^(?<source>\S+) .*$"]).unwrap();
    assert_eq!(read(&both, b"203.0.113.7 login failed").unwrap().outcome, Outcome::Failure);
    assert_eq!(read(&both, b"203.0.113.7 login ok").unwrap().outcome, Outcome::Success);
}

#[test]
fn an_address_may_stand_with_its_port() {
    let found = |text: &[u8]| {
        let Origin { address, port } = origin(text);
        (address.map(|address| address.to_string()), port)
    };
    let is = |address: &str, port| (Some(address.to_owned()), port);
    assert_eq!(found(b"203.0.113.7"), is("203.0.113.7", None));
    assert_eq!(found(b"203.0.113.7:41022"), is("203.0.113.7", Some(41022)));
    assert_eq!(found(b"[2001:db8::7]:41022"), is("2001:db8::7", Some(41022)));
    assert_eq!(found(b"[2001:db8::7]"), is("2001:db8::7", None));
    assert_eq!(found(b"2001:db8::7"), is("2001:db8::7", None));
    assert_eq!(found(b"::ffff:203.0.113.7"), is("203.0.113.7", None));
    for none in [&b"host.example"[..], b"host.example:22", b"203.0.113.7:x", b"[203.0.113.7", b"[x]:22", b""]
    {
        assert_eq!(found(none), (None, None), "{}", none.escape_ascii());
    }
}

#[track_caller]
fn forged(failure: &str, line: &str) -> Option<String> {
    let pattern = one(failure);
    assert!(read(&pattern, line.as_bytes()).is_some(), "the sample is not read");
    let forgery = forgery::find(&pattern, &[line.as_bytes()])?;
    let credited = read(&pattern, &forgery.message).unwrap().address;
    assert_eq!(credited, forgery.credits);
    Some(String::from_utf8(forgery.message).unwrap())
}

#[test]
fn an_expression_that_a_client_can_fool_is_found_out() {
    for (failure, line) in [
        // The name is taken as short as can be, and the rest may be anything.
        (
            r"^login failed for (?<user>.*?) from (?<source>\S+).*$",
            "login failed for bob from 203.0.113.7 port 1",
        ),
        (
            r"^login failed for (?<user>\S+) from (?<source>\S+).*$",
            "login failed for bob from 203.0.113.7 port 1",
        ),
        // The rest is taken as short as can be.
        (
            r"^login failed for (?<user>.*) from (?<source>\S+) .*$",
            "login failed for bob from 203.0.113.7 by ssh",
        ),
        // Nobody said which word is the user's name.
        (r"^.*failed.* from (?<source>\S+).*$", "login failed for bob from 203.0.113.7"),
        (r#"^user "(?<user>.*)" at (?<source>[0-9.]+): .*$"#, r#"user "bob" at 203.0.113.7: bad password"#),
        (r"^.*?ip=(?<source>\S+) .*$", "user=bob ip=203.0.113.7 result=failed"),
        // What the expression takes for a name does not bind a client.
        (
            r"^login failed for (?<user>[a-z]+) from (?<source>[0-9.]+) \(.*\)$",
            "login failed for bob from 203.0.113.7 (client x)",
        ),
        // What may be there, and is not in the sample.
        (r"^login failed for .*? from (?<source>\S+)(?: via .*)?$", "login failed for bob from 203.0.113.7"),
        (r"^(?<user>.*) \((?<source>[^)]*)\) failed .*$", "bob (2001:db8::7) failed to log in"),
    ] {
        let message = forged(failure, line);
        assert!(message.is_some_and(|message| message.contains("66")), "{failure}");
    }
}

#[test]
fn an_expression_whose_address_has_a_fixed_place_passes() {
    for (failure, line) in [
        (SAFE, "login failed for bob from 203.0.113.7 port 41022"),
        (r"^login failed for .* from (?<source>\S+)$", "login failed for bob from 203.0.113.7"),
        (r"^(?<source>\S+) failed: .*$", "203.0.113.7 failed: bob"),
        (r"^\[(?<source>[0-9a-f:.]+)\] user '(?<user>.*)' refused$", "[2001:db8::7] user 'bob' refused"),
        (r"^[0-9]+ ip=(?<source>\S+) user=(?<user>.*)$", "4711 ip=203.0.113.7 user=bob"),
    ] {
        assert_eq!(forged(failure, line), None, "{failure}");
    }
}

#[test]
fn a_failure_that_a_client_can_turn_into_a_success_is_found_out() {
    let samples: [&[u8]; 2] = [b"bob failed from 203.0.113.7", b"bob logged in from 203.0.113.7"];
    let failure = r"^(?<user>[a-z]+) failed from (?<source>\S+)$";
    let loose = pattern(&[failure], &[r"^.*logged in.* from (?<source>\S+)$"]).unwrap();
    let forgery = forgery::find(&loose, &samples).unwrap();
    assert_eq!(read(&loose, &forgery.message).unwrap().outcome, Outcome::Success);
    let strict = pattern(
        &[r"^(?<user>.*) failed from (?<source>\S+)$"],
        &[r"^(?<user>.*) logged in from (?<source>\S+)$"],
    );
    assert_eq!(forgery::find(&strict.unwrap(), &samples), None);
}

#[test]
fn a_message_of_any_length_is_read_in_linear_time() {
    let hard = one(r"^(?:a*)*(?:a|aa)+ (?<source>\S+)$");
    let message = [&b"a".repeat(65_536)[..], b"!"].concat();
    assert_eq!(read(&hard, &message), None);
}

const PIECES: &[&str] =
    &[" from ", "192.0.2.66", " port 22", " port ", "for ", "login failed for ", "\n", "\u{ff}", "x", " "];

proptest! {
    #[test]
    fn an_expression_that_passes_cannot_be_fooled(
        words in proptest::collection::vec(select(PIECES), 0..10).prop_map(|pieces| pieces.concat()),
    ) {
        let message = format!("login failed for {words} from 203.0.113.7 port 41022");
        let found = read(&one(SAFE), message.as_bytes()).unwrap();
        prop_assert_eq!((found.address, found.port), (Some("203.0.113.7".parse().unwrap()), Some(41022)));
    }
}
