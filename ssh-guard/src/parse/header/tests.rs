use proptest::prelude::*;

use super::*;

fn parts(line: &str) -> Option<(String, Option<u32>, String)> {
    let record = split(line.as_bytes())?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Some((text(record.process), record.pid, text(record.message)))
}

fn sshd(pid: Option<u32>, message: &str) -> (String, Option<u32>, String) {
    ("sshd".to_owned(), pid, message.to_owned())
}

#[test]
fn every_form_of_time_that_syslog_daemons_write_is_stripped() {
    for time in [
        "Nov 23 03:12:01",
        "Nov  3 03:12:01",
        "Nov 3 03:12:01",
        "Nov 03 03:12:01",
        "<38>Nov 23 03:12:01",
        "2026-11-23T03:12:01.123456+00:00",
        "2026-11-23T03:12:01+05:30",
        "2026-11-23T03:12:01.1Z",
        "2026-11-23T03:12:01+0530",
        "Nov 23 2026 03:12:01",
        "<38>Nov  3 2026 03:12:01",
        "<86>2026-11-23T03:12:01.123456789-08:00",
    ] {
        assert_eq!(parts(&format!("{time} gate sshd[123]: hello")), Some(sshd(Some(123), "hello")), "{time}");
    }
}

#[test]
fn the_host_may_be_any_word() {
    for host in
        ["gate", "gate.example.org", "192.0.2.1", "2001:db8::1", "2001:db8::", "auth.info", "1", "-", "Nov"]
    {
        assert_eq!(
            parts(&format!("Nov 23 03:12:01 {host} sshd[123]: x: y")),
            Some(sshd(Some(123), "x: y")),
            "{host}"
        );
    }
}

#[test]
fn a_tag_needs_no_number_and_a_message_may_be_empty() {
    assert_eq!(parts("Nov 23 03:12:01 gate sshd: hello"), Some(sshd(None, "hello")));
    assert_eq!(parts("Nov 23 03:12:01 gate sshd[7]: "), Some(sshd(Some(7), "")));
    assert_eq!(parts("Nov 23 03:12:01 gate sshd[7]:\r\n"), Some(sshd(Some(7), "")));
}

#[test]
fn lines_without_a_whole_header_are_nothing() {
    for line in [
        "",
        "Nov",
        "Nov 23 03:12:01",
        "Nov 23 03:12:01 ",
        "Nov 23 03:12:01 gate",
        "Nov 23 03:12:01 gate Failed password for root",
        "Nov 23 03:12:01  sshd[1]: hello",
        "Nov 23 03:12:01 sshd[1] hello",
        "Nov 23 03:12:01 sshd[x]: hello",
        "Nov 23 03:12:01 []: hello",
        "Nov 23 03:12:01 : hello",
        "Nov 23 26 03:12:01 gate sshd[1]: hello",
        "Nov 23 03:12:01 gate auth.info hello",
        "Nov 23 03:12:01 gate authx.info sshd[1]: hello",
        "Nov 23 03:12:01 gate sshd 1 - - hello",
        "nov 23 03:12:01 gate sshd[1]: hello",
        "Nov 23 03:12 gate sshd[1]: hello",
        "Nov 00 03:12:01 gate sshd[1]: hello",
        "Nov 23 03:12:01 gate sshd[1] hello",
        "Nov 23 03:12:01 gate sshd[x]: hello",
        "Nov 23 03:12:01 gate sshd[99999999999]: hello",
        "Nov 23 03:12:01 gate : hello",
        "<>Nov 23 03:12:01 gate sshd[1]: hello",
        "<1234>Nov 23 03:12:01 gate sshd[1]: hello",
        "2026-11-23 03:12:01 gate sshd[1]: hello",
        "2026-11-23T03:12:01 gate sshd[1]: hello",
        "2026-11-23T03:12:01.+00:00 gate sshd[1]: hello",
        " Nov 23 03:12:01 gate sshd[1]: hello",
        "x Nov 23 03:12:01 gate sshd[1]: hello",
    ] {
        assert_eq!(parts(line), None, "{line}");
    }
}

#[test]
fn a_line_of_a_local_sender_names_no_host() {
    for line in [
        "<38>Nov 23 03:12:01 sshd[123]: hello",
        "Nov 23 03:12:01 sshd[123]: hello",
        "2026-11-23T03:12:01Z sshd[123]: hello",
    ] {
        assert_eq!(parts(line), Some(sshd(Some(123), "hello")), "{line}");
        assert_eq!(split(line.as_bytes()).map(|record| record.host), Some(&b""[..]), "{line}");
    }
    // What follows the tag is the message, though it look like one itself.
    assert_eq!(parts("Nov 23 03:12:01 sshd[1]: sshd[123]: x: y"), Some(sshd(Some(1), "sshd[123]: x: y")));
    assert_eq!(parts("Nov 23 03:12:01 sshd: hello"), Some(sshd(None, "hello")));
}

#[test]
fn a_facility_and_a_level_may_stand_before_the_tag() {
    assert_eq!(parts("Nov 23 03:12:01 gate auth.info sshd[123]: hello"), Some(sshd(Some(123), "hello")));
    assert_eq!(parts("Nov 23 03:12:01 gate authpriv.notice sshd[123]: a b"), Some(sshd(Some(123), "a b")));
}

#[test]
fn stamp_and_host_are_those_of_the_header() {
    for (line, stamp, host) in [
        ("Nov  3 03:12:01 gate sshd[1]: x", "Nov  3 03:12:01", "gate"),
        ("<38>Nov 23 2026 03:12:01 gate sshd[1]: x", "Nov 23 2026 03:12:01", "gate"),
        ("2026-11-23T03:12:01.5Z gate sshd[1]: x", "2026-11-23T03:12:01.5Z", "gate"),
        ("<38>1 2026-11-23T03:12:01.5+01:00 gate sshd 1 - - x", "2026-11-23T03:12:01.5+01:00", "gate"),
        ("<38>1 - - sshd 1 - - x", "", ""),
    ] {
        let record = split(line.as_bytes()).unwrap();
        assert_eq!((record.stamp, record.host), (stamp.as_bytes(), host.as_bytes()), "{line}");
    }
}

#[test]
fn a_line_of_rfc_5424_is_taken_apart() {
    let head = "<38>1 2026-11-23T03:12:01.123456Z gate sshd";
    for (line, pid, message) in [
        (format!("{head} 123 - - hello"), Some(123), "hello"),
        (format!("{head} 123 ID47 - hello"), Some(123), "hello"),
        (format!("{head} - - - hello"), None, "hello"),
        (format!("{head} main - - hello"), None, "hello"),
        (format!("{head} 123 - -  hello"), Some(123), "hello"),
        (format!("{head} 123 - -   hello"), Some(123), " hello"),
        (format!("{head} 123 - - \u{feff}hello"), Some(123), "hello"),
        (format!("{head} 123 - -"), Some(123), ""),
        (format!("{head} 123 - [a@1 x=\"1\" y=\"\"] hello"), Some(123), "hello"),
        (format!("{head} 123 - [a][b x=\"\\\"\\]\\\\\"] hello"), Some(123), "hello"),
        (format!("{head} 123 - [a x=\" - - Failed \"] - - hello"), Some(123), "- - hello"),
        (format!("{head} 123 - [a x=\"1\"]"), Some(123), ""),
        ("2026-11-23T03:12:01Z gate sshd 123 - - hello".to_owned(), Some(123), "hello"),
        ("2026-11-23T03:12:01Z gate sshd - - - hello".to_owned(), None, "hello"),
        ("2026-11-23T03:12:01Z gate sshd 123 - [a x=\"1\"] hello".to_owned(), Some(123), "hello"),
    ] {
        assert_eq!(parts(&line), Some(sshd(pid, message)), "{line}");
    }
}

#[test]
fn a_broken_line_of_rfc_5424_is_nothing() {
    let head = "<38>1 2026-11-23T03:12:01Z gate sshd";
    for line in [
        "<38>1 ".to_owned(),
        "<38>2 2026-11-23T03:12:01Z gate sshd 123 - - hello".to_owned(),
        "1 2026-11-23T03:12:01Z gate sshd 123 - - hello".to_owned(),
        "<38>1 Nov 23 03:12:01 gate sshd 123 - - hello".to_owned(),
        "<38>1 2026-11-23T03:12:01Z gate  123 - - hello".to_owned(),
        format!("<38>1 2026-11-23T03:12:01Z {} sshd 1 - - hello", "x".repeat(256)),
        format!("{head} 123 -"),
        format!("{head} 123 - hello"),
        format!("{head} 123 - [] hello"),
        format!("{head} 123 - [a x=1] hello"),
        format!("{head} 123 - [a x=\"1] hello"),
        format!("{head} 123 - [a x=\"]\"] hello"),
        format!("{head} 123 - [a x=\"1\"]hello"),
        format!("{head} 123 - -hello"),
        "2026-11-23T03:12:01Z gate sshd main - - hello".to_owned(),
        "2026-11-23T03:12:01Z gate sshd 123 x - hello".to_owned(),
    ] {
        assert_eq!(parts(&line), None, "{line}");
    }
    // Whoever wrote it is not known, and so not sshd.
    assert_eq!(parts("<38>1 - gate - 123 - - hello"), Some((String::new(), Some(123), "hello".to_owned())));
}

#[test]
fn a_bare_line_is_all_message_but_for_the_programs_name() {
    let message = |line: &'static str| bare(line.as_bytes()).map(|record| (record.process, record.message));
    assert_eq!(message("Failed none\r\n"), Some((&b"sshd"[..], &b"Failed none"[..])));
    assert_eq!(message("sshd-session: Failed"), Some((&b"sshd-session"[..], &b"Failed"[..])));
    assert_eq!(message("sshd: x: y"), Some((&b"sshd"[..], &b"x: y"[..])));
    assert_eq!(message("\r\n"), None);
}

proptest! {
    #[test]
    fn splitting_any_bytes_ends_with_a_record_inside_them_or_none(line in any::<Vec<u8>>()) {
        for record in [split(&line), bare(&line)].into_iter().flatten() {
            prop_assert!(record.message.len() <= line.len());
        }
    }

    #[test]
    fn any_message_comes_out_as_it_went_in(message in "([^ \r\n\u{feff}][^\r\n]*)?", pid in any::<u32>()) {
        for line in [
            format!("Nov 23 03:12:01 gate sshd[{pid}]: {message}"),
            format!("<38>Nov 23 03:12:01 sshd[{pid}]: {message}"),
            format!("Nov 23 2026 03:12:01 gate auth.info sshd[{pid}]: {message}"),
            format!("<38>1 2026-11-23T03:12:01Z gate sshd {pid} - - {message}"),
            format!("<38>1 2026-11-23T03:12:01Z gate sshd {pid} - [a x=\"\\]\"] {message}"),
            format!("2026-11-23T03:12:01+0000 gate sshd {pid} - - {message}"),
        ] {
            prop_assert_eq!(parts(&line), Some(sshd(Some(pid), &message)));
        }
    }

    #[test]
    fn no_message_of_another_program_becomes_one_of_sshd(
        words in prop::collection::vec(prop::sample::select(vec![
            "sshd[7]:", "sshd:", "sshd", "7", "-", " ", ":", "]", "[", "\"", "Nov 23 03:12:01", "gate", "auth.info", "1",
            "<38>", "2026-11-23T03:12:01Z", "x", "[a x=\"", "\"]",
        ]), 0..12),
        glue in any::<bool>(),
    ) {
        let message = words.join(if glue { "" } else { " " });
        for head in [
            "Nov 23 03:12:01 gate cron[9]: ",
            "<38>Nov 23 03:12:01 cron[9]: ",
            "Nov 23 2026 03:12:01 gate auth.info cron: ",
            "<38>1 2026-11-23T03:12:01Z gate cron 9 - - ",
            "<38>1 2026-11-23T03:12:01Z gate cron 9 - [a x=\"1\"] ",
            "2026-11-23T03:12:01Z gate cron 9 - - ",
        ] {
            let line = format!("{head}{message}");
            prop_assert!(parts(&line).is_none_or(|(process, _, _)| process == "cron"), "{}", line);
        }
    }

    #[test]
    fn a_line_cut_anywhere_never_changes_who_wrote_it(cut in 0usize..60) {
        let line = b"2026-11-23T03:12:01.123456+00:00 gate sshd-session[4711]: hello";
        if let Some(record) = split(&line[..cut.min(line.len())]) {
            prop_assert_eq!(record.process, &b"sshd-session"[..]);
            prop_assert_eq!(record.pid, Some(4711));
        }
    }
}
