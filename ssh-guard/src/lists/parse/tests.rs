use proptest::prelude::*;

use super::*;

fn read(text: impl AsRef<[u8]>) -> Result<Listed, NoList> {
    let mut parser = Parser::default();
    parser.feed(text.as_ref())?;
    parser.finish()
}

/// What a list holds, in words.
fn told(text: impl AsRef<[u8]>) -> Vec<String> {
    let listed = read(text).unwrap();
    String::from_utf8(listed.to_text()).unwrap().lines().map(str::to_owned).collect()
}

fn lines(count: u32) -> String {
    let listed = Listed { v4: (0x0a00_0000..0x0a00_0000 + count).collect(), ..Listed::default() };
    String::from_utf8(listed.to_text()).unwrap()
}

fn refused(text: impl AsRef<[u8]>) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn lists_are_read_as_they_are_published() {
    let spamhaus = "; Spamhaus DROP List 2026/01/02 - (c) 2026\n; Expires: Mon\n1.10.16.0/20 ; SBL256894\n1.19.0.0/16 ; SBL434604\n";
    assert_eq!(told(spamhaus), ["1.10.16.0/20", "1.19.0.0/16"]);
    let firehol = "#\n# firehol_level1\n#\n# Maintainer URL : http://iplists.firehol.org/\n0.0.0.0/8\n1.10.16.0/20\n5.134.128.0/19\n203.0.113.7\n";
    assert_eq!(told(firehol), ["203.0.113.7", "0.0.0.0/8", "1.10.16.0/20", "5.134.128.0/19"]);
    let with_times = "203.0.113.7 \t2026-01-02 10:00:00 + 600 = 2026-01-02 10:10:00\n2001:db8::7 \t2026-01-02 10:00:00 + 600 = 2026-01-02 10:10:00\n";
    assert_eq!(told(with_times), ["203.0.113.7", "2001:db8::7"]);
    assert_eq!(told("203.0.113.7 203.0.113.8  2001:db8::7 10.0.0.0/8\n").len(), 4);
    let windows =
        "\u{feff}203.0.113.7\r\n\r\n  198.51.100.0/24\t# head office\r\n2001:db8::/32;x\r\n203.0.113.8";
    assert_eq!(told(windows), ["203.0.113.7", "203.0.113.8", "198.51.100.0/24", "2001:db8::/32"]);
    assert!(read("").unwrap().is_empty() && read("# nothing\n;\n\n \t\r\n").unwrap().is_empty());
}

#[test]
fn a_length_is_kept_and_an_envelope_is_not() {
    assert_eq!(told("::ffff:203.0.113.7\n64:ff9b::203.0.113.8\n"), ["203.0.113.7", "203.0.113.8"]);
    assert_eq!(told("203.0.113.7/32\n2001:db8::7/128\n"), ["203.0.113.7/32", "2001:db8::7/128"]);
    assert_eq!(told("::ffff:203.0.113.0/120\n"), ["203.0.113.0/24"]);
}

#[test]
fn an_entry_is_taken_once_and_the_others_are_counted() {
    let listed = read(
        "203.0.113.7\n10.0.0.0/8\n203.0.113.7\n10.0.0.0/8\n203.0.113.7 # again\n2001:db8::7\n2001:DB8::7\n",
    )
    .unwrap();
    assert_eq!((listed.len(), listed.duplicates), (3, 4));
    let listed =
        read("10.0.0.0/8\n10.1.0.0/16\n10.1.2.0/24\n11.0.0.0/8\n2001:db8::/32\n2001:db8:7::/48\n").unwrap();
    assert_eq!((listed.len(), listed.nested()), (6, 3));
}

#[test]
fn a_line_of_rubbish_refuses_the_whole_list_with_its_number() {
    for (line, why) in [
        ("bastion.example", "'bastion.example' is not an address or a network: names are never resolved"),
        ("300.1.2.3", "'300.1.2.3' is not an address or a network: 300 is above 255"),
        ("010.1.2.3", "'010.1.2.3' is not an address or a network: a number starts with 0"),
        ("10.1.2.3/24", "'10.1.2.3/24' is not a network: its address goes on beyond the prefix"),
        ("10.0.0.0/33", "'10.0.0.0/33' is not an address or a network: an IPv4 prefix has at most 32 bits"),
        ("1.2.3.0-1.2.3.255", "'1.2.3.0-1.2.3.255' is not an address or a network: names are never resolved"),
        (
            "1.2.3.0\t1.2.3.255\t24\tname",
            "'1.2.3.0\\t1.2.3.255\\t24\\tname' has more than one address, and other text",
        ),
        ("1.2.3.4,x", "'1.2.3.4,x' is not an address or a network: names are never resolved"),
        ("\u{1b}[2J", "'\\u{1b}[2J' is not an address or a network: names are never resolved"),
    ] {
        assert_eq!(refused(format!("# one\r\n203.0.113.7\n{line}\n")), format!("line 3: {why}"));
    }
}

#[test]
fn rubbish_is_told_within_bounds_and_reading_ends_when_there_is_much() {
    let many = |lines: usize| "rubbish\n".repeat(lines);
    assert!(refused(many(7)).ends_with("; and 2 lines more like these"));
    assert_eq!(refused(many(7)).matches("line ").count(), 5);
    let mut parser = Parser::default();
    assert!(parser.feed(many(999).as_bytes()).is_ok());
    let hopeless = parser.feed(b"rubbish\n203.0.113.7\n").unwrap_err();
    assert!(hopeless.to_string().ends_with("; and a thousand lines more like these"));
    let long = refused(format!("{} x", "y".repeat(2000)));
    assert!(long.len() < 200, "{long}");
    let longer = "1".repeat(LONGEST_LINE + 1);
    assert_eq!(refused(longer), "line 1: the line is longer than 1048576 bytes");
}

#[test]
fn a_comment_may_be_as_long_as_it_likes() {
    assert_eq!(told(format!("#{}\n203.0.113.7\n", "x".repeat(3 * LONGEST_LINE))), ["203.0.113.7"]);
}

#[test]
fn a_list_holds_no_more_than_can_be_blocked() {
    let fits = |text: &str| {
        let mut parser = Parser::new(1000);
        parser.feed(text.as_bytes())?;
        parser.finish()
    };
    assert_eq!(fits(&lines(1000)).unwrap().len(), 1000);
    assert_eq!(fits(&lines(1000).repeat(3)).unwrap().duplicates, 2000);
    assert_eq!(fits(&lines(1001)).unwrap_err().to_string(), "it holds more than 1000 entries");
}

#[test]
fn duplicates_take_no_memory() {
    let mut parser = Parser::new(100_000);
    let text = lines(10_000);
    for _ in 0..100 {
        parser.feed(text.as_bytes()).unwrap();
        assert!(parser.listed.v4.len() <= 210_000, "{}", parser.listed.v4.len());
    }
    let listed = parser.finish().unwrap();
    assert_eq!((listed.len(), listed.duplicates), (10_000, 990_000));
}

proptest! {
    #[test]
    fn an_ipv4_address_is_read_as_the_standard_library_does(text in "[0-9]{0,4}(\\.[0-9]{0,4}){0,5}|[0-9.]{0,16}|\\PC{0,9}") {
        prop_assert_eq!(ipv4(text.as_bytes()), text.parse().ok().map(Ipv4Addr::to_bits));
    }

    #[test]
    fn every_ipv4_address_is_read(bits: u32) {
        prop_assert_eq!(ipv4(Ipv4Addr::from_bits(bits).to_string().as_bytes()), Some(bits));
    }

    #[test]
    fn it_does_not_matter_where_a_list_is_cut(text in "([0-9a-f.:/#; \r\n\t]|203\\.0\\.113\\.[1-9]\n){0,200}", cuts in prop::collection::vec(0..200_usize, 0..8)) {
        let mut parser = Parser::default();
        let mut bytes = text.as_bytes();
        let mut fed = Ok(());
        for cut in cuts {
            let (piece, rest) = bytes.split_at(cut.min(bytes.len()));
            fed = fed.and_then(|()| parser.feed(piece));
            bytes = rest;
        }
        let pieces = fed.and_then(|()| parser.feed(bytes)).and_then(|()| parser.finish());
        prop_assert_eq!(pieces, read(&text));
    }

    #[test]
    fn a_list_is_read_as_it_was_written(v4: Vec<u32>, v6: Vec<u128>, lengths in prop::collection::vec((any::<u128>(), 0..=128_u8), 0..20)) {
        let networks = lengths.into_iter().map(|(bits, length)| Network::from(IpNet::new_assert(Ipv6Addr::from_bits(bits).into(), length).trunc()));
        let mut listed = Listed { v4, v6, networks: networks.collect(), duplicates: 0 };
        // IPv4 addresses in an envelope come back as what they carry.
        listed.v6.retain(|bits| !Source::from(Ipv6Addr::from_bits(*bits)).is_v4());
        listed.compact();
        prop_assert_eq!(read(listed.to_text()).unwrap(), Listed { duplicates: 0, ..listed });
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        drop(read(bytes).map_err(|error| error.to_string()));
    }
}
