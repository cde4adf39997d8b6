use super::*;

/// An entry with the fields given, as `journalctl` of systemd 252 prints it.
fn entry(fields: &str) -> String {
    let cursor = "s=e223c0b547aa4ef083c958f3fc313320;i=9;b=a143b64702244ccea21e9a9ebc8116d7;m=4eea7ef3;\
        t=660e9437c2124;x=5759d3765adebb68";
    format!(
        r#"{{"__MONOTONIC_TIMESTAMP":"1323990771",{fields},"_BOOT_ID":"a143b64702244ccea21e9a9ebc8116d7","__REALTIME_TIMESTAMP":"1795404836118820","__CURSOR":"{cursor}"}}"#
    )
}

fn message<'a>(process: &'a [u8], pid: u32, text: &'a [u8]) -> Said<'a> {
    Said::Message { process, pid: Some(pid), text }
}

#[track_caller]
fn assert_said(fields: &str, expected: &Said<'_>) {
    let json = entry(fields);
    let entry = Entry::parse(json.as_bytes()).unwrap();
    assert_eq!(entry.said(), *expected);
    assert_eq!(entry.realtime(), Some(1_795_404_836_118_820));
    assert!(entry.cursor.ends_with("x=5759d3765adebb68"));
}

const BY_SSHD: &str = r#""_PID":"22331","_UID":"0","_COMM":"sshd","_TRANSPORT":"syslog""#;
const FAILED: &str = "Failed password for root from 192.0.2.1 port 2 ssh2";

#[test]
fn a_message_of_sshd_is_read_whatever_bytes_it_has() {
    for (json, text) in [
        (format!(r#""{FAILED}""#).as_str(), FAILED.as_bytes()),
        (r#""two\nlines \"quoted\"""#, b"two\nlines \"quoted\""),
        ("[99,97,102,233,32,98,10,0]", b"caf\xe9 b\n\0"),
        ("[]", b""),
    ] {
        assert_said(&format!(r#"{BY_SSHD},"MESSAGE":{json}"#), &message(b"sshd", 22331, text));
    }
}

#[test]
fn a_message_without_escapes_is_not_copied() {
    let json = entry(&format!(r#"{BY_SSHD},"MESSAGE":"plain""#));
    let entry = Entry::parse(json.as_bytes()).unwrap();
    assert!(matches!(entry.message, Value::Bytes(Cow::Borrowed(b"plain"))));
    assert!(matches!(entry.cursor, Cow::Borrowed(_)));
}

#[test]
fn what_cannot_be_one_message_is_none() {
    assert_said(&format!(r#"{BY_SSHD},"MESSAGE":null"#), &Said::TooLong);
    for json in [r#","MESSAGE":[[110,101],"second"]"#, r#","MESSAGE":["first",null]"#, ""] {
        assert_said(&format!("{BY_SSHD}{json}"), &Said::Unreadable);
    }
    for broken in ["", "{}", "[]", "-- No entries --", r#"{"__CURSOR":"s","__REALTIME_TIMESTAMP":"1""#] {
        assert!(Entry::parse(broken.as_bytes()).is_err(), "{broken}");
    }
    let no_byte = entry(&format!(r#"{BY_SSHD},"MESSAGE":[256]"#));
    assert!(Entry::parse(no_byte.as_bytes()).is_err());
}

#[test]
fn every_program_of_openssh_is_heard_if_root_runs_it() {
    let heard = |program: &str, uid: &str| {
        let json = entry(&format!(r#""MESSAGE":"m","_PID":"7","_UID":"{uid}","_COMM":"{program}""#));
        Entry::parse(json.as_bytes()).unwrap().said() == message(program.as_bytes(), 7, b"m")
    };
    for program in ["sshd", "sshd-session", "sshd-auth"] {
        assert!(heard(program, "0"), "{program}");
        assert!(!heard(program, "65534"), "{program}");
    }
    for program in ["logger", "sshd2", ""] {
        assert!(!heard(program, "0"), "{program}");
    }
}

#[test]
fn a_name_that_the_writer_gives_itself_is_not_believed() {
    let sshd = r#""SYSLOG_IDENTIFIER":"sshd""#;
    let own_pid = r#""_PID":"7","SYSLOG_PID":"7""#;
    let syslog = r#""_TRANSPORT":"syslog""#;
    for fields in [
        format!(r#"{sshd},{own_pid},{syslog},"_UID":"0","_COMM":"logger""#),
        format!(r#"{sshd},{own_pid},{syslog},"_UID":"0","_COMM":null"#),
        format!(r#"{sshd},{own_pid},{syslog},"_UID":"0","_COMM":["sshd","logger"]"#),
        format!(r#"{sshd},{own_pid},{syslog},"_UID":"65534""#),
        format!(r#"{sshd},{own_pid},{syslog},"_COMM":"sshd""#),
        format!(r#"{sshd},{own_pid},"_TRANSPORT":"journal","_UID":"0""#),
        format!(r#"{sshd},"_PID":"7","SYSLOG_PID":"77",{syslog},"_UID":"0""#),
        format!(r#"{sshd},"_PID":"7",{syslog},"_UID":"0""#),
        format!(r#"{sshd},"SYSLOG_PID":"7",{syslog},"_UID":"0""#),
        format!(r#"{sshd},{syslog},"_UID":"0""#),
    ] {
        assert_said(&format!(r#"{fields},"MESSAGE":"{FAILED}""#), &Said::NotVouched);
    }
}

#[test]
fn sshd_is_heard_when_it_has_ended_before_journald_looked_it_up() {
    let fields = r#""SYSLOG_IDENTIFIER":"sshd","_UID":"0","_PID":"7","SYSLOG_PID":"7","_TRANSPORT":"syslog""#;
    assert_said(&format!(r#"{fields},"MESSAGE":"m""#), &message(b"sshd", 7, b"m"));
}
