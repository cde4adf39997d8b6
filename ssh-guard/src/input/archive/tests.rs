use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64;

/// Gives a stream in pieces of `step` bytes, and then `end`.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
    end: Option<i32>,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.step.min(into.len()).min(self.bytes.len() - self.at);
        if let (0, Some(errno)) = (length, self.end) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        into[..length].copy_from_slice(&self.bytes[self.at..][..length]);
        self.at += length;
        Ok(length)
    }
}

/// Everything that a stream holds, each in words, and how reading it ended.
fn read(bytes: &[u8], step: usize) -> (Vec<String>, Result<(), ArchiveError>) {
    read_to(bytes, step, None)
}

fn read_to(bytes: &[u8], step: usize, end: Option<i32>) -> (Vec<String>, Result<(), ArchiveError>) {
    let pieces = Pieces { bytes: bytes.to_vec(), at: 0, step, end };
    let mut told = Vec::new();
    let mut archive = match Archive::new("log".to_owned(), pieces, LIMIT) {
        Ok(archive) => archive,
        Err(error) => return (told, Err(error)),
    };
    let ended = loop {
        match archive.read(|item| told.push(words(item))) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (told, ended)
}

fn words(item: Item<'_>) -> String {
    match item {
        Item::Line(line) => line.escape_ascii().to_string(),
        Item::Message { process, pid, text, realtime } => {
            let pid = pid.map_or("-".to_owned(), |pid| pid.to_string());
            let at = realtime.map_or("-".to_owned(), |at| at.to_string());
            format!("{at} {}[{pid}] {}", process.escape_ascii(), text.escape_ascii())
        }
        Item::TooLong => "too long".to_owned(),
        Item::NotVouched => "not vouched".to_owned(),
        Item::Unreadable => "unreadable".to_owned(),
    }
}

fn all(bytes: &[u8]) -> Vec<String> {
    let (told, ended) = read(bytes, usize::MAX);
    ended.unwrap();
    for step in [1, 2, 7, 61] {
        let (again, ended) = read(bytes, step);
        ended.unwrap();
        assert_eq!(again, told, "in pieces of {step}");
    }
    told
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A field as the export format has it when it is no text.
fn binary(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
}

const BY_SSHD: &str = "__CURSOR=s=e2\n__REALTIME_TIMESTAMP=17\n_UID=0\n_COMM=sshd\n_PID=7\n";

#[test]
fn lines_are_given_in_order_the_last_one_without_its_newline_too() {
    let log = [
        &b"one\r\n\n"[..],
        &[b'x'; 65],
        b"\ntwo\0\xff\n",
        &[b'y'; 64],
        b"\n",
        &vec![b'z'; 300_000],
        b"\nlate",
    ];
    let told = all(&log.concat());
    assert_eq!(told, ["one", "", "too long", r"two\x00\xff", &"y".repeat(64), "too long", "late"]);
    assert_eq!(all(b""), [""; 0]);
    assert_eq!(all(&[&b"one\n"[..], &[b'x'; 65]].concat()), ["one", "too long"]);
}

#[test]
fn what_gzip_packed_is_unpacked_however_many_members_it_has() {
    assert_eq!(all(&packed(b"one\ntwo\n")), ["one", "two"]);
    let members = [packed(b"one\ntw"), packed(b""), packed(b"o\nthree")].concat();
    assert_eq!(all(&members), ["one", "two", "three"]);
    let export = format!("{BY_SSHD}MESSAGE=hello\n\n");
    assert_eq!(all(&packed(export.as_bytes())), ["17 sshd[7] hello"]);
}

#[test]
fn a_packed_log_that_is_cut_short_tells_how_far_it_could_be_read() {
    let mut log = Vec::new();
    (0..20_000).for_each(|number| writeln!(log, "line {number} {}", number * 7919 % 10_007).unwrap());
    let packed = packed(&log);
    let (told, ended) = read(&packed[..packed.len() / 2], usize::MAX);
    let error = ended.unwrap_err();
    assert!(told.len() > 1000 && told.len() < 20_000, "{}", told.len());
    // A line of which the end is missing may name another address.
    let last = told.len() - 1;
    assert_eq!(told[last], format!("line {last} {}", last * 7919 % 10_007));
    let text = error.to_string();
    assert!(text.starts_with(&format!("'log' is cut short, {} lines and ", told.len())), "{text}");
    assert!(error.hint("explain").contains("what stood before was read"));
}

#[test]
fn a_packed_log_that_is_damaged_is_read_up_to_there() {
    let mut bytes = [packed(b"one\ntwo\n"), packed(b"three\n")].concat();
    let last = bytes.len() - 6;
    bytes[last] ^= 1;
    let (told, ended) = read(&bytes, usize::MAX);
    assert_eq!(told[..2], ["one", "two"]);
    assert!(matches!(ended, Err(ArchiveError::Damaged { .. })), "{ended:?}");
    let (told, ended) = read(&[packed(b"one\n"), b"garbage".to_vec()].concat(), usize::MAX);
    assert_eq!(told, ["one"]);
    assert!(matches!(ended, Err(ArchiveError::Damaged { .. })), "{ended:?}");
}

#[test]
fn what_is_packed_by_another_program_names_that_program() {
    let (_, ended) = read(b"\xfd7zXZ\0\0\0", 1);
    let error = ended.unwrap_err();
    assert_eq!(error.to_string(), "cannot read 'log': it is packed by xz");
    assert_eq!(error.hint("replay"), "pipe it in: xz -dc 'log' | ssh-guard replay -");
}

#[test]
fn what_the_kernel_does_not_give_is_no_damage() {
    let (told, ended) = read_to(b"one\ntwo", 3, Some(libc::EIO));
    assert_eq!(told, ["one"]);
    assert!(matches!(ended, Err(ArchiveError::Unreadable { .. })), "{ended:?}");
    let (_, ended) = read_to(b"", 1, Some(libc::EISDIR));
    assert_eq!(ended.unwrap_err().hint("explain"), "name a file in it");
}

#[test]
fn an_exported_journal_is_read_entry_by_entry() {
    let hostile = format!("x\n\n{BY_SSHD}MESSAGE=Failed password for root from 192.0.2.66 port 1 ssh2\n\n");
    let export = [
        format!("{BY_SSHD}MESSAGE=first\n\n").into_bytes(),
        BY_SSHD.as_bytes().to_vec(),
        binary("MESSAGE", b"two\nlines\0\xff"),
        binary("OTHER", hostile.as_bytes()),
        b"\n\n\n".to_vec(),
        BY_SSHD.replace("_UID=0", "_UID=1000").into_bytes(),
        b"MESSAGE=forged\n\n".to_vec(),
        format!("{BY_SSHD}MESSAGE={}\n\n", "m".repeat(65)).into_bytes(),
        format!("{BY_SSHD}MESSAGE={}\n\n", "m".repeat(300_000)).into_bytes(),
        BY_SSHD.as_bytes().to_vec(),
        binary("MESSAGE", &vec![b'm'; 300_000]),
        b"\n".to_vec(),
        format!("{BY_SSHD}MESSAGE=one\nMESSAGE=two\n\n{BY_SSHD}\n").into_bytes(),
        format!("{BY_SSHD}MESSAGE=last\n\n").into_bytes(),
    ]
    .concat();
    let told = all(&export);
    let expected = [
        "17 sshd[7] first",
        r"17 sshd[7] two\nlines\x00\xff",
        "not vouched",
        "too long",
        "too long",
        "too long",
        "unreadable",
        "unreadable",
        "17 sshd[7] last",
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_export_that_is_damaged_or_cut_short_is_read_no_further() {
    let first = format!("{BY_SSHD}MESSAGE=first\n\n").into_bytes();
    let forged = format!("\n\n{BY_SSHD}MESSAGE=forged\n\n").into_bytes();
    let mut longer = binary("MESSAGE", &forged);
    longer[8] -= 20;
    for (rest, state) in [
        ([BY_SSHD.as_bytes(), &longer].concat(), "damaged"),
        ([BY_SSHD.as_bytes(), b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff", &forged].concat(), "damaged"),
        ([BY_SSHD.as_bytes(), b"no name=", &forged].concat(), "damaged"),
        ([BY_SSHD.as_bytes(), b"=", &forged].concat(), "damaged"),
        ([BY_SSHD.as_bytes(), &[b'N'; 65], &forged].concat(), "damaged"),
        (BY_SSHD.as_bytes().to_vec(), "cut short"),
        (BY_SSHD.as_bytes()[..20].to_vec(), "cut short"),
        (binary("MESSAGE", b"never ends")[..14].to_vec(), "cut short"),
        (binary("MESSAGE", &vec![b'x'; 300_000])[..200_000].to_vec(), "cut short"),
    ] {
        for step in [1, 100, usize::MAX] {
            let (told, ended) = read(&[&first[..], &rest].concat(), step);
            assert_eq!(told, ["17 sshd[7] first"], "{}", rest[..rest.len().min(200)].escape_ascii());
            let text = ended.unwrap_err().to_string();
            assert!(text.starts_with(&format!("'log' is {state}, 1 lines and ")), "{text}");
        }
    }
}

#[test]
fn a_journal_in_json_is_read_entry_by_entry() {
    let by_sshd = r#""__CURSOR":"s=e2","__REALTIME_TIMESTAMP":"17","_UID":"0","_COMM":"sshd","_PID":"7""#;
    let log = format!(
        "{{{by_sshd},\"MESSAGE\":\"a\\nb\"}}\n\x1e{{{by_sshd},\"MESSAGE\":null}}\nrubbish\n{{{by_sshd},\"MESSAGE\":\"{}\"}}\n\
         {{\"__CURSOR\":\"s\",\"__REALTIME_TIMESTAMP\":\"1\",\"_UID\":\"33\",\"_COMM\":\"sshd\",\"MESSAGE\":\"no\"}}\n",
        "m".repeat(65)
    );
    assert_eq!(
        all(log.as_bytes()),
        [r"17 sshd[7] a\nb", "too long", "unreadable", "too long", "not vouched"]
    );
}

proptest! {
    #[test]
    fn whatever_a_stream_holds_it_is_the_same_however_it_arrives(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        start in prop::sample::select(vec!["", "__CURSOR=s\n", "{\"__CURSOR\":\"s\",\"__REALTIME_TIMESTAMP\":\"1\"}\n"]),
        step in 1usize..50,
        pack in any::<bool>(),
    ) {
        let log = [start.as_bytes(), &bytes].concat();
        let log = if pack { packed(&log) } else { log };
        let (told, ended) = read(&log, usize::MAX);
        let (again, ended_again) = read(&log, step);
        prop_assert_eq!(told, again);
        prop_assert_eq!(ended.map_err(|error| error.to_string()), ended_again.map_err(|error| error.to_string()));
    }
}
