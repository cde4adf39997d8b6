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
    assert_eq!(entry.said(None), *expected);
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
fn every_known_program_is_heard_if_root_runs_it() {
    let heard = |program: &str, uid: &str| {
        let json = entry(&format!(r#""MESSAGE":"m","_PID":"7","_UID":"{uid}","_COMM":"{program}""#));
        Entry::parse(json.as_bytes()).unwrap().said(None) == message(program.as_bytes(), 7, b"m")
    };
    for program in ["sshd", "sshd-session", "sshd-auth"] {
        assert!(heard(program, "0"), "{program}");
        assert!(!heard(program, "65534"), "{program}");
    }
    for program in ["dropbear", "proftpd", "vsftpd", "pure-ftpd"] {
        assert!(heard(program, "0"), "{program}");
        assert!(!heard(program, "1000"), "{program}");
    }
    for program in ["logger", "sshd2", "sftpgo", ""] {
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

/// Whether an entry with these fields counts as one of `program`.
fn vouched(fields: &str, writer: Option<&Writer>, program: &str) -> bool {
    let json = entry(&format!(r#""MESSAGE":"m","_PID":"7",{fields}"#));
    let entry = Entry::parse(json.as_bytes()).unwrap();
    match entry.said(writer) {
        Said::NotVouched => false,
        said => {
            assert_eq!(said, message(program.as_bytes(), 7, b"m"));
            true
        }
    }
}

#[test]
fn a_server_with_a_user_of_its_own_is_heard_in_its_unit() {
    let by_sftpgo = r#""_UID":"996","_COMM":"sftpgo","_SYSTEMD_UNIT":"sftpgo.service""#;
    assert!(vouched(by_sftpgo, None, "sftpgo"));
    assert!(vouched(
        r#""_UID":"60001","_COMM":"proftpd","_SYSTEMD_UNIT":"proftpd.service""#,
        None,
        "proftpd"
    ));
}

#[test]
fn no_local_user_is_taken_for_a_server() {
    for fields in [
        // A copy of the program, in a session or in the user's own manager.
        r#""_UID":"1000","_COMM":"sftpgo","_SYSTEMD_UNIT":"session-3.scope""#,
        r#""_UID":"1000","_COMM":"sftpgo","_SYSTEMD_UNIT":"user@1000.service","_SYSTEMD_USER_UNIT":"sftpgo.service""#,
        r#""_UID":"1000","_COMM":"sftpgo","_SYSTEMD_UNIT":"user@1000.service","SYSLOG_IDENTIFIER":"sftpgo""#,
        r#""_UID":"1000","_COMM":"sftpgo","UNIT":"sftpgo.service""#,
        r#""_UID":"1000","_COMM":"sftpgo""#,
        // Something else that the unit runs, or another unit.
        r#""_UID":"996","_COMM":"hook.sh","_SYSTEMD_UNIT":"sftpgo.service""#,
        r#""_UID":"996","_SYSTEMD_UNIT":"sftpgo.service","SYSLOG_IDENTIFIER":"sftpgo""#,
        r#""_UID":"996","_COMM":"sftpgo","_SYSTEMD_UNIT":"proftpd.service""#,
        r#""_UID":"996","_COMM":"sftpgo","_SYSTEMD_UNIT":["sftpgo.service","x"]"#,
        // A shell that Dropbear gave somebody stays in its group.
        r#""_UID":"1000","_COMM":"dropbear","_SYSTEMD_UNIT":"dropbear.service""#,
        r#""_UID":"1000","_COMM":"sshd","_SYSTEMD_UNIT":"ssh.service""#,
    ] {
        assert!(!vouched(fields, None, ""), "{fields}");
    }
}

#[test]
fn a_described_server_is_heard_by_its_unit_or_as_root() {
    let writer = |program: &str, unit: &str| Writer { program: program.to_owned(), unit: unit.to_owned() };
    let root = writer("acme-file-transferd", "");
    assert!(vouched(r#""_UID":"0","_COMM":"acme-file-trans""#, Some(&root), "acme-file-transferd"));
    let syslog = r#""SYSLOG_PID":"7","_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"acme-file-transferd""#;
    assert!(vouched(&format!(r#""_UID":"0",{syslog}"#), Some(&root), "acme-file-transferd"));
    let unit = writer("", "acme.service");
    assert!(vouched(r#""_UID":"996","_COMM":"java","_SYSTEMD_UNIT":"acme.service""#, Some(&unit), "java"));
    let both = writer("acme", "acme.service");
    assert!(vouched(r#""_UID":"996","_COMM":"acme","_SYSTEMD_UNIT":"acme.service""#, Some(&both), "acme"));
    for (fields, writer) in [
        (r#""_UID":"1000","_COMM":"acme-file-trans""#, &root),
        (r#""_UID":"0","_COMM":"sshd""#, &root),
        (r#""_UID":"996","_COMM":"java","_SYSTEMD_UNIT":"other.service""#, &unit),
        (r#""_UID":"996","_COMM":"java""#, &unit),
        (r#""_UID":"0","_COMM":"acme""#, &both),
        (r#""_UID":"996","_COMM":"helper","_SYSTEMD_UNIT":"acme.service""#, &both),
        (r#""_UID":"996","_SYSTEMD_UNIT":"acme.service""#, &both),
    ] {
        assert!(!vouched(fields, Some(writer), ""), "{fields}");
    }
}

#[test]
fn journalctl_is_asked_for_little_more_than_what_counts() {
    let asked = matches(None).join(" ");
    assert!(asked.starts_with("_UID=0 _COMM=sshd _COMM=sshd-session "), "{asked}");
    assert!(asked.contains(" + _UID=0 _TRANSPORT=syslog SYSLOG_IDENTIFIER=sshd "), "{asked}");
    let in_units = " + _SYSTEMD_UNIT=sftpgo.service _SYSTEMD_UNIT=proftpd.service _COMM=sftpgo _COMM=proftpd";
    assert!(asked.ends_with(in_units), "{asked}");
    let root = Writer { program: "acme-file-transferd".to_owned(), unit: String::new() };
    assert_eq!(
        matches(Some(&root)).join(" "),
        "_UID=0 _COMM=acme-file-trans + _UID=0 _TRANSPORT=syslog SYSLOG_IDENTIFIER=acme-file-transferd"
    );
    let unit = Writer { program: "acme".to_owned(), unit: "acme.service".to_owned() };
    assert_eq!(matches(Some(&unit)), ["_SYSTEMD_UNIT=acme.service"]);
}
