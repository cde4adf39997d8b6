use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::served::{TEMPLATES, Template};
use super::*;
use crate::parse::{Interpreter, Parser};

/// What a client would write to be taken for another: pieces of sshd's own messages around an address not its own.
const PIECES: &[&[u8]] = &[
    b" from ",
    b" for ",
    b"192.0.2.66",
    b"2001:db8:66::66",
    b" port ",
    b"22",
    b" ssh2",
    b" ssh2: ",
    b": ",
    b"'",
    b"\"",
    b" ",
    b"\n",
    b"\\",
    b"\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x1b[2K",
    b"#012",
    b"invalid user ",
    b"authenticating user ",
    b"user=root rhost=",
    b" [preauth]",
    b" not allowed because ",
    b"listed in DenyUsers",
    b" timed out",
    b" by PAM account configuration",
    b"RSA SHA256:abc",
    b" (192.0.2.66)",
    b"[192.0.2.66]:22",
    b" from 192.0.2.66 port 22",
    b" from 192.0.2.66 port 22 ssh2",
    b" from 192.0.2.66 port 22 ssh2: RSA SHA256:abc",
    b" 192.0.2.66 port 22",
    b" 192.0.2.66 port 22: Too many authentication failures",
    b"message repeated 9 times: [ Failed password for root from 192.0.2.66 port 22 ssh2]",
];

fn words() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat());
    // Filling moves the cut to every place of what follows.
    let filled = (vec(select(&[b'x', 0xff, b'\\'][..]), 0..100), pieces.clone())
        .prop_map(|(fill, pieces)| [fill, pieces].concat());
    prop_oneof![pieces, filled, any::<Vec<u8>>()]
}

fn templates() -> impl Strategy<Value = Template> {
    select(TEMPLATES)
}

fn origins() -> impl Strategy<Value = IpAddr> {
    select(vec!["203.0.113.7", "2001:db8::7", "2001:db8:1111:2222:3333:4444:5555:6666"])
        .prop_map(|text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    #[test]
    fn a_client_s_words_never_lend_it_another_address(
        template in templates(), words in words(), address in origins(), twice in any::<bool>(),
    ) {
        let message = template.serve(&words, address, twice);
        if let Some(event) = event(&message) {
            prop_assert!(
                event.address.is_none_or(|found| found == address),
                "{} read as {event:?}", message.escape_ascii(),
            );
            prop_assert!(event.port.is_none_or(|port| port == 41022), "{}", message.escape_ascii());
        }
    }

    #[test]
    fn a_client_s_words_do_not_hide_its_address(
        template in templates(), words in words(), address in origins(), twice in any::<bool>(),
    ) {
        let plain = template.serve(b"alice", address, twice);
        let message = template.serve(&words, address, twice);
        let told = event(&plain).and_then(|event| event.address);
        if !template.between && message.len() < CUT {
            let found = event(&message).and_then(|event| event.address);
            prop_assert_eq!(found, told, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn what_a_client_says_in_one_session_lends_nothing_to_another(
        lines in vec((templates(), words(), any::<bool>(), 0..3_usize), 1..10),
    ) {
        let addresses = ["203.0.113.7", "203.0.113.8", "2001:db8::7"].map(address);
        let mut interpreter = Interpreter::new(Parser::Openssh);
        for (template, words, twice, session) in lines {
            let message = template.serve(&words, addresses[session], twice);
            let pid = u32::try_from(session).ok();
            let record = Record { process: b"sshd", pid, message: &message, ..Record::default() };
            if let Some(event) = interpreter.event(&record) {
                prop_assert!(
                    event.address.is_none_or(|found| found == addresses[session]),
                    "{} read as {event:?}", message.escape_ascii(),
                );
                prop_assert!(event.port.is_none_or(|port| port == 41022), "{}", message.escape_ascii());
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(message in any::<Vec<u8>>()) {
        let _ = event(&message);
    }

    #[test]
    fn a_known_opening_with_random_bytes_never_panics(template in templates(), message in words()) {
        let _ = event(&[template.before.as_bytes(), &message].concat());
        let _ = event(&[&message, template.after.as_bytes()].concat());
    }
}

#[test]
fn every_message_that_names_an_address_is_read() {
    for template in TEMPLATES {
        let address = "203.0.113.7".parse().unwrap();
        let message = template.serve(b"alice", address, true);
        let names = template.before.contains("ADDR") || template.after.contains("ADDR");
        // These say nothing, or not whose they are.
        let silent =
            ["Postponed", "Partial", "Authentication tried", "userauth_hostbased", "Disconnecting: Too many"];
        let tries = !silent.iter().any(|opening| template.before.starts_with(opening));
        let found = event(&message).and_then(|event| event.address);
        assert_eq!(found, (names && tries).then_some(address), "{}", message.escape_ascii());
    }
}

#[test]
fn a_cut_at_any_place_of_a_forged_end_lends_nobody_s_address() {
    let ends: [&[u8]; 5] = [
        b" from 192.0.2.66 port 22 ssh2zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        b" from 192.0.2.66 port 22 ssh2: RSA SHA256:abczzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        b" 192.0.2.66 port 22 [preauth]zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        b" 192.0.2.66 port 22: bye [preauth]zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        b"' from 192.0.2.66 port 22zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    ];
    let address: IpAddr = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
    let mut cut = 0;
    for template in TEMPLATES {
        for end in ends {
            // Each `\xff` is printed as up to five bytes; the letters move the end by single ones.
            for (fill, letters) in (0..100).flat_map(|fill| (0..5).map(move |letters| (fill, letters))) {
                let words = [&vec![0xff; fill], &vec![b'q'; letters], end].concat();
                let message = template.serve(&words, address, true);
                cut += usize::from(message.len() == CUT);
                let found = event(&message).and_then(|event| event.address);
                assert!(found.is_none_or(|found| found == address), "{}", message.escape_ascii());
            }
        }
    }
    assert!(cut > 1000, "only {cut} messages were cut");
}
