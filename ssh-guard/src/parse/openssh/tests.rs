mod properties;
mod served;

use std::net::IpAddr;

use super::*;

/// The event that a message of sshd is understood as, all by itself.
fn event(message: &[u8]) -> Option<AuthEvent> {
    let told = read(&Record { process: b"sshd", message, ..Record::default() })?;
    (!matches!(told.bearing, Bearing::Whose | Bearing::Unauthenticated)).then_some(told.event)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn other_programs_say_nothing_about_sshd() {
    let message = b"Failed password for root from 203.0.113.7 port 41022 ssh2";
    for process in ["sshd", "sshd-session", "sshd-auth"] {
        let record = Record { process: process.as_bytes(), message, ..Record::default() };
        assert!(read(&record).is_some(), "{process}");
    }
    for process in ["", "ssh", "SSHD", "sshd ", "sshd-", "sshdx", "sudo", "sshd(pam_unix)"] {
        let record = Record { process: process.as_bytes(), message, ..Record::default() };
        assert!(read(&record).is_none(), "{process}");
    }
}

#[test]
fn a_repeated_message_counts_as_often_as_it_says() {
    let count = |times: &str| {
        let text =
            format!("message repeated {times} times: [ Failed password for x from 203.0.113.7 port 1 ssh2]");
        event(text.as_bytes()).map(|event| event.count.get())
    };
    assert_eq!(count("5"), Some(5));
    assert_eq!(count("4294967295"), Some(u32::MAX));
    for times in ["0", "", "-1", "x", "4294967296"] {
        assert_eq!(count(times), None, "{times}");
    }
    let more = b"message repeated 3 times: [ PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= \
                 rhost=203.0.113.7  user=root]";
    assert_eq!(event(more).map(|event| event.count.get()), Some(6));
    let twice =
        b"message repeated 2 times: [ message repeated 2 times: [ Invalid user x from 203.0.113.7 port 1]]";
    assert_eq!(event(twice), None);
}

#[test]
fn a_cut_message_names_nobody_by_its_end() {
    let end = b" 192.0.2.66 port 22 [preauth]";
    let start = b"Connection closed by invalid user ";
    for length in [CUT - 1, CUT, CUT + 1] {
        let mut message = start.to_vec();
        message.resize(length - end.len(), b'x');
        message.extend(end);
        let event = event(&message).unwrap();
        assert_eq!(event.kind, Kind::Closed);
        assert_eq!(event.address.is_some(), length < CUT, "{length}");
        assert_eq!(event.user.is_some(), length < CUT, "{length}");
    }
}

#[test]
fn a_success_keeps_its_address_when_a_certificates_name_costs_it_its_end() {
    let mut message =
        b"Accepted publickey for alice from 203.0.113.7 port 49985 ssh2: ED25519-CERT ID ".to_vec();
    message.resize(CUT, b'x');
    let event = event(&message).unwrap();
    assert_eq!((event.outcome, event.address), (Outcome::Success, Some(address("203.0.113.7"))));
    assert_eq!(event.user.as_deref(), Some("alice"));
}

#[test]
fn a_long_line_is_read_as_safely_as_a_short_one() {
    for unit in
        [&b"x"[..], b" from 192.0.2.66 port 22", b" 192.0.2.66 port 22: ", b" from 192.0.2.66 port 22 ssh2: "]
    {
        for start in [
            &b"Failed password for invalid user "[..],
            b"Connection closed by invalid user ",
            b"Disconnecting invalid user ",
            b"Bad protocol version identification '",
            b"error: PAM: Authentication failure for illegal user ",
        ] {
            let mut message = start.to_vec();
            while message.len() < 100_000 {
                message.extend(unit);
            }
            assert_eq!(event(&message).and_then(|event| event.address), None);
        }
    }
}

#[test]
fn a_message_cut_at_any_byte_lends_no_part_of_its_address() {
    let messages: [&[u8]; 8] = [
        b"Failed password for root from 203.0.113.77 port 41022 ssh2",
        b"Accepted publickey for alice from 203.0.113.77 port 37643 ssh2: ED25519 SHA256:GA3DljsQojns6Y0Fd9A",
        b"Connection closed by authenticating user root 203.0.113.77 port 57527 [preauth]",
        b"Disconnecting invalid user ghost 203.0.113.77 port 36275: Too many authentication failures [preauth]",
        b"Received disconnect from 203.0.113.77 port 33577:11: disconnected by user [preauth]",
        b"Unable to negotiate with 203.0.113.77 port 34041: no matching cipher found. Their offer: x [preauth]",
        b"drop connection #10 from [203.0.113.77]:58801 on [198.51.100.1]:22 past MaxStartups",
        b"Timeout before authentication for connection from 203.0.113.77 to 198.51.100.1, pid = 4711",
    ];
    for message in messages {
        for end in 0..=message.len() {
            let found = event(&message[..end]).and_then(|event| event.address);
            assert!(
                found.is_none_or(|found| found == address("203.0.113.77")),
                "{}",
                message[..end].escape_ascii()
            );
        }
        assert!(event(message).unwrap().address.is_some());
    }
}
