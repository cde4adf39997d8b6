use proptest::prelude::*;

use super::*;

fn one(body: &str) -> Result<Posted, String> {
    of(Form::Json, body)
}

fn of(form: Form, body: &str) -> Result<Posted, String> {
    let mut batch = Batch::parse(form, body.as_bytes(), 8192);
    match batch.events.pop() {
        Some(posted) => Ok(posted),
        None => Err(batch.errors.remove(0).error),
    }
}

#[test]
fn what_is_left_out_is_what_a_file_transfer_server_means() {
    let posted = one(r#"{"source":"203.0.113.7","event":"failure"}"#).unwrap();
    let event = AuthEvent {
        outcome: Outcome::Failure,
        kind: Kind::Password,
        address: Some("203.0.113.7".parse().unwrap()),
        port: None,
        user: None,
        service: Service::Named("socket".into()),
        count: NonZeroU32::MIN,
        process: None,
    };
    assert_eq!(posted, Posted { event, at: None, session: None });
    for (event, kind) in [("success", Kind::Accepted), ("pre-auth", Kind::Closed)] {
        let body = format!(r#"{{"source":"203.0.113.7","event":"{event}"}}"#);
        assert_eq!(one(&body).unwrap().event.kind, kind);
    }
}

#[test]
fn what_is_said_arrives() {
    let posted = one(
        r#"{"source":"2001:db8::7","port":41022,"user":"j\"\\\né","event":"failure","kind":"invalid-user",
            "service":"vsftpd","count":3,"at":"2026-11-23T03:12:01+01:00","session":"4711"}"#,
    )
    .unwrap();
    assert_eq!(posted.event.address, Some("2001:db8::7".parse().unwrap()));
    assert_eq!((posted.event.port, posted.event.count.get()), (Some(41022), 3));
    assert_eq!(posted.event.user.as_deref(), Some("j\"\\\né"));
    assert_eq!((posted.event.kind, posted.event.service.as_str()), (Kind::InvalidUser, "vsftpd"));
    assert_eq!(posted.at, Some("2026-11-23T02:12:01Z".parse().unwrap()));
    assert_eq!(posted.session.as_deref(), Some("4711"));
}

#[test]
fn a_complaint_about_a_key_is_short_and_in_one_line() {
    for (form, key) in [(Form::Json, r"a\n\u001b"), (Form::Urlencoded, "a%0A%1B")] {
        let long = key.to_owned() + &"x".repeat(4000);
        for key in [key, &long] {
            let body = match form {
                Form::Urlencoded => format!("{key}=1"),
                Form::Json | Form::Lines => format!(r#"{{"{key}":1}}"#),
            };
            let error = of(form, &body).unwrap_err();
            assert!(error.contains(r"unknown field `a\n\u{1b}"), "{error}");
            assert!(error.chars().count() < 250 && !error.contains(char::is_control), "{error:?}");
        }
    }
}

#[test]
fn a_form_says_the_same_and_takes_any_bytes() {
    let body = "source=203.0.113.7&user=a%22b%5C%0A%26event%3Dsuccess%ff&event=failure&port=22&service=";
    let posted = of(Form::Urlencoded, body).unwrap();
    assert_eq!(posted.event.user.as_deref(), Some("a\"b\\\n&event=success\u{fffd}"));
    assert_eq!((posted.event.outcome, posted.event.port), (Outcome::Failure, Some(22)));
    assert!(of(Form::Urlencoded, "source=203.0.113.7").unwrap_err().contains("event"));
}

#[test]
fn an_event_without_an_address_is_told_and_no_name_is_resolved() {
    for (source, told) in [
        ("", "an event needs 'source', the client's address"),
        (r#""source":"","#, "an event needs 'source', the client's address"),
        (r#""source":null,"#, "an event needs 'source', the client's address"),
        (
            r#""source":"host.example","#,
            "'source' is 'host.example', which is no address; names are never resolved",
        ),
        (
            r#""source":"203.0.113.7.evil.example","#,
            "'source' is '203.0.113.7.evil.example', which is no address; names are never resolved",
        ),
        (
            r#""source":"203.0.113.7%x","#,
            "'source' is '203.0.113.7%x', which is no address; names are never resolved",
        ),
        (r#""source":"a\nb","#, "'source' is 'a\\nb', which is no address; names are never resolved"),
    ] {
        assert_eq!(one(&format!(r#"{{{source}"event":"failure"}}"#)).unwrap_err(), told);
    }
}

#[test]
fn addresses_that_are_never_banned_are_taken() {
    for source in ["127.0.0.1", "::1", "fe80::1%eth0", "::ffff:203.0.113.7"] {
        assert!(one(&format!(r#"{{"source":"{source}","event":"failure"}}"#)).is_ok(), "{source}");
    }
}

#[test]
fn what_is_no_event_is_told_in_words() {
    for (body, told) in [
        ("", "no event: EOF while parsing a value"),
        ("[1]", "no event: invalid type: integer `1`"),
        (r#"{"source":"203.0.113.7"}"#, "no event: missing field `event`"),
        (
            r#"{"source":"203.0.113.7","event":"failed"}"#,
            "no event: unknown variant `failed`, expected one of `failure`",
        ),
        (r#"{"source":"203.0.113.7","event":"failure","sauce":1}"#, "no event: unknown field `sauce`"),
        (
            r#"{"source":"203.0.113.7","event":"failure","port":65536}"#,
            "no event: invalid value: integer `65536`",
        ),
        (r#"{"source":"203.0.113.7","event":"failure","count":0}"#, "no event: invalid value: integer `0`"),
        (r#"{"source":"203.0.113.7","event":"failure","at":"yesterday"}"#, "no event: "),
        (
            r#"{"source":"203.0.113.7","event":"failure","kind":"accepted"}"#,
            "'accepted' is no kind of 'failure'",
        ),
        (
            r#"{"source":"203.0.113.7","event":"success","kind":"invalid-user"}"#,
            "'invalid-user' is no kind of 'success'",
        ),
        (
            r#"{"source":"203.0.113.7","event":"pre-auth","kind":"password"}"#,
            "'password' is no kind of 'pre-auth'",
        ),
        (r#"{"source":"203.0.113.7","event":"failure","service":"a b"}"#, "'service' is 'a b' and must be"),
        (r#"{"source":"203.0.113.7","event":"failure"} x"#, "no event: trailing characters"),
    ] {
        let error = one(body).unwrap_err();
        assert!(error.starts_with(told), "{error}");
        assert!(!error.contains(" at line "), "{error}");
    }
    let long = "x".repeat(129);
    let error =
        one(&format!(r#"{{"source":"203.0.113.7","event":"failure","session":"{long}"}}"#)).unwrap_err();
    assert_eq!(error, "'session' is longer than 128 bytes");
}

#[test]
fn a_bad_line_spoils_no_other_and_is_told_by_its_number() {
    let good = r#"{"source":"203.0.113.7","event":"failure"}"#;
    let body =
        format!("{good}\r\n\n{{\"event\":\"failure\"}}\n{good}\nrubbish\n{}\n{good}", "x".repeat(9000));
    let batch = Batch::parse(Form::Lines, body.as_bytes(), 8192);
    assert_eq!((batch.events.len(), batch.refused, batch.too_long), (3, 3, 1));
    let lines: Vec<u64> = batch.errors.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [3, 5, 6]);
    assert!(batch.errors[2].error.contains("'limits.line-bytes'"));
    assert!(Batch::parse(Form::Lines, b"\n\n", 8192).events.is_empty());
}

#[test]
fn not_all_of_many_bad_lines_are_told() {
    let batch = Batch::parse(Form::Lines, &b"x\n".repeat(1000), 8192);
    assert_eq!((batch.refused, batch.errors.len()), (1000, MOST_TOLD));
}

#[test]
fn the_form_is_known_by_its_media_type() {
    assert_eq!(Form::of("application/json; charset=utf-8"), Some(Form::Json));
    assert_eq!(Form::of("Application/X-NDJSON"), Some(Form::Lines));
    assert_eq!(Form::of("application/x-www-form-urlencoded"), Some(Form::Urlencoded));
    assert_eq!(Form::of("text/plain"), None);
}

proptest! {
    #[test]
    fn no_body_panics_and_every_line_is_taken_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..300),
        form in prop_oneof![Just(Form::Json), Just(Form::Lines), Just(Form::Urlencoded)],
    ) {
        let batch = Batch::parse(form, &body, 64);
        let lines = match form {
            Form::Lines => body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count(),
            _ => 1,
        };
        prop_assert_eq!(batch.events.len() as u64 + batch.refused, lines as u64);
    }
}
