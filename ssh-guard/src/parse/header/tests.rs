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
        "<86>2026-11-23T03:12:01.123456789-08:00",
    ] {
        assert_eq!(parts(&format!("{time} gate sshd[123]: hello")), Some(sshd(Some(123), "hello")), "{time}");
    }
}

#[test]
fn the_host_may_be_any_word() {
    for host in ["gate", "gate.example.org", "192.0.2.1", "2001:db8::1", "sshd[1]:", "Nov"] {
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
        "Nov 23 03:12:01 sshd[1]: hello",
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
    fn any_message_comes_out_as_it_went_in(message in "[^\r\n]*", pid in any::<u32>()) {
        let line = format!("Nov 23 03:12:01 gate sshd[{pid}]: {message}");
        prop_assert_eq!(parts(&line), Some(sshd(Some(pid), &message)));
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
