//! What fuzzing begins with: the lines that the tests know, in the form that each target reads.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Writes the seeds of a target into its corpus.
pub fn write(target: &str, root: &Path) -> Result<()> {
    let folder = root.join(super::corpus(target));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make '{}'", folder.display()))?;
    for (index, seed) in of(target, root)?.iter().enumerate() {
        let file = folder.join(format!("seed-{index}"));
        fs::write(&file, seed).with_context(|| format!("cannot write '{}'", file.display()))?;
    }
    Ok(())
}

/// The seeds of a target. One that is named as files of the corpus are (`NAME.txt`, `NAME-….txt`) begins with these.
pub fn of(target: &str, root: &Path) -> Result<Vec<Vec<u8>>> {
    let all = || corpus(root, "");
    Ok(match target {
        "header" => lines(&all()?),
        "forged" => forged(&all()?),
        "journal" => lines(&all()?).iter().map(|line| json(line)).collect(),
        "lines" => {
            blocks(&lines(&all()?)).into_iter().map(|block| [&[200, 30], &block[..]].concat()).collect()
        }
        "archive" => archives(&lines(&all()?)),
        "config" => config(&read(&root.join("config/config.toml"))?),
        "lists" => LISTS.iter().map(|list| [b"\x10", list.as_bytes()].concat()).collect(),
        "pattern" => patterns(),
        "expression" => EXPRESSIONS.iter().map(|seed| seed.as_bytes().to_vec()).collect(),
        "syslog" => framed(&lines(&all()?)),
        "events" => posts(),
        "time" => times(&lines(&all()?)),
        "packet" => PACKETS.iter().map(|packet| from_hex(packet)).collect(),
        server => {
            let lines = lines(&corpus(root, server)?);
            let blocks = blocks(&lines);
            [lines, blocks].concat()
        }
    })
}

/// The files of the corpus, in the order of their names; those of a server alone, if one is named.
fn corpus(root: &Path, server: &str) -> Result<Vec<Vec<u8>>> {
    let folder = root.join("tests/corpus");
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot list '{}'", folder.display()))? {
        let path = entry?.path();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let rest = stem
            .strip_prefix(server)
            .filter(|rest| server.is_empty() || rest.is_empty() || rest.starts_with('-'));
        if rest.is_some() {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))
}

/// The lines of corpus files, without what they mean.
fn lines(files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let lines = files.iter().flat_map(|file| file.split(|byte| *byte == b'\n'));
    lines
        .filter(|line| !(line.is_empty() || line.starts_with(b"#") || line.starts_with(b"  ")))
        .map(<[u8]>::to_vec)
        .collect()
}

/// Some lines after each other, as sessions leave them.
fn blocks(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    lines.chunks(8).map(|lines| [lines.join(&b'\n'), b"\n".to_vec()].concat()).collect()
}

/// The names that hostile clients chose, each for another format.
fn forged(files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let named = files.iter().flat_map(|file| file.split(|byte| *byte == b'\n')).filter_map(|line| {
        let name = line.strip_prefix(b"  ")?;
        let at = name.windows(7).position(|window| window == b" user \"")?;
        name[at + 7..].strip_suffix(b"\"")
    });
    let cut = "x from 192.0.2.66 port 22 ssh2: ".repeat(20).into_bytes();
    let chosen = named.chain([&cut[..], b"192.0.2.66 port 22\0x from 192.0.2.66 port 22 ssh2"]);
    chosen.zip((0..=254).cycle()).map(|(name, format)| [&[format], name].concat()).collect()
}

/// The message of a line as an entry of a journal.
fn json(line: &[u8]) -> Vec<u8> {
    let mut entry = format!(
        "{{{},\"MESSAGE\":",
        BY_SSHD.map(|(name, value)| format!("\"{name}\":\"{value}\"")).join(",")
    );
    match str::from_utf8(message(line)) {
        Ok(text) => {
            entry.push('"');
            for c in text.chars() {
                match c {
                    '"' | '\\' => entry.extend(['\\', c]),
                    c if c < ' ' => write!(entry, "\\u{:04x}", u32::from(c)).expect("a string takes all"),
                    c => entry.push(c),
                }
            }
            entry.push('"');
        }
        Err(_) => write!(entry, "{:?}", message(line)).expect("a string takes all"),
    }
    entry.push('}');
    entry.into_bytes()
}

/// The message of a line as an exported entry, of text or of bytes.
fn export(line: &[u8]) -> Vec<u8> {
    let fields = BY_SSHD.map(|(name, value)| format!("{name}={value}\n")).concat();
    let message = message(line);
    let length = (message.len() as u64).to_le_bytes();
    if message.len().is_multiple_of(2) {
        return [fields.as_bytes(), b"MESSAGE=", message, b"\n\n"].concat();
    }
    [fields.as_bytes(), b"MESSAGE\n", &length, message, b"\n\n"].concat()
}

const BY_SSHD: [(&str, &str); 6] = [
    ("__CURSOR", "s=e2;i=9"),
    ("__REALTIME_TIMESTAMP", "1795404836118820"),
    ("_UID", "0"),
    ("_COMM", "sshd"),
    ("_PID", "7"),
    ("_TRANSPORT", "syslog"),
];

fn message(line: &[u8]) -> &[u8] {
    line.windows(3).position(|window| window == b"]: ").map_or(line, |at| &line[at + 3..])
}

/// Logs in all forms that are read; two bytes in front tell how.
fn archives(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let form = |each: fn(&[u8]) -> Vec<u8>| {
        lines.chunks(8).map(move |lines| {
            let log: Vec<Vec<u8>> = lines.iter().map(|line| each(line)).collect();
            [&[255, 40], &log.concat()[..]].concat()
        })
    };
    let plain = form(|line| [line, b"\n"].concat());
    let json = form(|line| [&json(line)[..], b"\n"].concat());
    plain.chain(json).chain(form(export)).collect()
}

/// Lines that a pattern reads; the byte in front says which.
fn patterns() -> Vec<Vec<u8>> {
    let line = |(which, line): &(u8, &str)| [&[*which], line.as_bytes()].concat();
    PATTERNS.iter().map(line).collect()
}

/// Lines of the pattern by their numbers in `fuzz/src/patterns.rs`.
const PATTERNS: [(u8, &str); 7] = [
    (0, "Nov 23 03:12:01 gate acmed[7]: login failed for bob from 203.0.113.7 port 41022"),
    (
        0,
        "Nov 23 03:12:01 gate acmed[7]: login failed for a from 192.0.2.66 port 1 from 203.0.113.7 port 41022",
    ),
    (0, "login of bob from [2001:db8::7]:41022"),
    (0, "2026-11-23T03:12:01+00:00 gate acmed: message repeated 2 times: [ login of bob from 203.0.113.7]"),
    (1, "203.0.113.7 refused 'bob'\n2001:db8::7 denied ''"),
    (2, r#"{"event":{"name":"login-failed"},"client":{"address":"203.0.113.7","user":"a\"b","port":41022}}"#),
    (
        2,
        r#"Nov 23 03:12:01 gate acmed[7]: {"event":{"name":"login"},"client":{"address":"2001:db8\u003a:7"}}"#,
    ),
];

/// Two expressions and a message, with NUL between.
const EXPRESSIONS: [&str; 6] = [
    "^login failed for (?<user>.*) from (?<source>\\S+) port (?<port>[0-9]+)$\0^x (?<source>.+)$\0login failed for bob from 203.0.113.7 port 41022",
    "^(?:a|b) (?<source>[0-9a-fA-F:.]+)(?: .*)?$\0\0b 2001:db8::7 x",
    "\\A(?<source>\\S+)\\z\0^.*(?<source>\\S+).*$\0[203.0.113.7]:41022",
    "^(?:a*)*(?:a|aa)+ (?<source>\\S+)$\0\0aaaaaaaaaaaaaaaaaaaaaaaa 203.0.113.7",
    "^(?i:FAILED){1,3} (?<source>[^ ]+?) by (?<user>\\w+?).*?$\0\0failed 203.0.113.7 by bob",
    "^(?<source>[[:digit:].]{7,15})\\b.*$\0^(?P<source>\\xff)$\x00203.0.113.7 failed",
];

/// Lines as a connection of syslog has them: with their length, and each with an end; two bytes in front tell how.
fn framed(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let form = |each: fn(&[u8]) -> Vec<u8>| {
        lines.chunks(8).map(move |lines| {
            let stream: Vec<Vec<u8>> = lines.iter().map(|line| each(line)).collect();
            [&[200, 30], &stream.concat()[..]].concat()
        })
    };
    let counted = form(|line| [format!("{} <38>", line.len() + 4).as_bytes(), line].concat());
    let with_newline = form(|line| [b"<38>", line, b"\n"].concat());
    let with_nul = form(|line| [b"<38>", line, b"\0"].concat());
    counted.chain(with_newline).chain(with_nul).collect()
}

/// Bodies of requests; two bytes in front tell the form and the longest line.
fn posts() -> Vec<Vec<u8>> {
    let json = POSTS.iter().map(|body| [b"\0\xff", body.as_bytes()].concat());
    let lines = [[b"\x01\xff", POSTS.join("\n").as_bytes()].concat()];
    let form =
        [b"\x02\xffsource=203.0.113.7&port=41022&user=a%20b&event=failure&count=3&service=ftp".to_vec()];
    json.chain(lines).chain(form).collect()
}

const POSTS: [&str; 4] = [
    r#"{"source":"203.0.113.7","port":41022,"user":"bob","event":"failure","kind":"publickey","service":"sftp"}"#,
    r#"{"source":"fe80::7%eth0","event":"success","at":"2026-11-23T03:12:01Z","session":"s-1"}"#,
    r#"{"source":"2001:db8::7","event":"pre-auth","kind":"timeout","count":4294967295}"#,
    r#"{"source":"::ffff:203.0.113.7","user":"\u0000\"","event":"failure","service":"openssh"}"#,
];

/// The times of lines, some after each other; six bytes in front tell the zone, and what time it is.
fn times(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let stamps: Vec<Vec<u8>> = lines.iter().map(|line| line[..line.len().min(15)].to_vec()).collect();
    let more = TIMES.iter().map(|stamp| stamp.as_bytes().to_vec());
    let stamps: Vec<Vec<u8>> = more.chain(stamps).collect();
    let zones = (0..4).cycle().zip(stamps.chunks(8));
    zones.map(|(zone, stamps)| [&[zone, 1, 0x6b, 0, 0, 0], &stamps.join(&b'\n')[..]].concat()).collect()
}

const TIMES: [&str; 7] = [
    "2026-11-23T03:12:01.123456+01:00",
    "2026-11-23T03:12:01Z",
    "2026-10-25T02:30:00",
    "Feb 29 23:59:60",
    "Mon Nov 23 03:12:01 2026",
    "Nov 23 2026 03:12:01",
    "Oct 25 02:30:00",
];

/// The sample as it is, and each key of it alone in its table.
fn config(sample: &[u8]) -> Vec<Vec<u8>> {
    let mut seeds = vec![sample.to_vec()];
    let mut table = String::new();
    for line in String::from_utf8_lossy(sample).lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if line.starts_with('[') {
            line.clone_into(&mut table);
        } else if line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) {
            seeds.push(format!("{table}\n{line}\n").into_bytes());
        }
    }
    seeds
}

const LISTS: [&str; 6] = [
    "# comment\n203.0.113.7\n198.51.100.0/24 ; SBL123\n\n2001:db8::/32\r\n",
    "\u{feff}203.0.113.7 203.0.113.8\n::1\n::ffff:192.0.2.1\n",
    "203.0.113.7 2026-01-02 10:00:00 + 600\n203.0.113.7\n",
    "1.2.3.0 1.2.3.255 24\n",
    "10.1.2.3/24\n",
    "0.0.0.0/0\n::/0\n255.255.255.255/32\nfe80::1%eth0\n",
];

/// Frames to and from port 22, as they come over the wire.
const PACKETS: [&str; 8] = [
    // SYN over IPv4.
    "0200000000010200000000020800 4500003c0000400040060000cb0071070a4d0001 9c0a001600000001000000000a002faf00000000 020405b40402080a00000000000000000103030a",
    // The answer of the server, with payload.
    "0200000000010200000000020800 4500002b00004000400600000a4d0001cb007107 00169c0a0000000100000002501800ff00000000 535348",
    // With options of IPv4.
    "0200000000010200000000020800 4700003000004000400600 00cb0071070a4d0001 0101010101010100 9c0a00160000000100000000500200ff00000000",
    // The first fragment, of eight bytes, and the next one.
    "0200000000010200000000020800 4500001c00012000400600 00cb0071070a4d0001 9c0a001600000001",
    "0200000000010200000000020800 4500002000010001400600 00cb0071070a4d0001 00000000500200ff00000000",
    // Behind two tags, over IPv6.
    "02000000000102000000000288a800078100000586dd 6000000000140640 20010db8000000000000000000000007fd000077000000000000000000000001 9c0a00160000000100000000500200ff00000000",
    // Behind hop-by-hop options, destination options and a fragment header.
    "02000000000102000000000286dd 60000000002c0040 20010db8000000000000000000000007fd000077000000000000000000000001 3c00010400000000 2c00010400000000 0600000000000007 9c0a00160000000100000000500200ff00000000",
    // No TCP.
    "0200000000010200000000020800 4500001c0000400040110000cb0071070a4d0001 9c0a001600080000",
];

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .filter_map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_means_is_no_seed_and_what_it_says_is() {
        let file =
            b"# comment\n\nNov 23 03:12:01 h sshd[1]: a \"b\\\n  failure password user \"x y\"\n".to_vec();
        let line = b"Nov 23 03:12:01 h sshd[1]: a \"b\\";
        assert_eq!(lines(std::slice::from_ref(&file)), [line]);
        assert!(json(line).ends_with(br#""_TRANSPORT":"syslog","MESSAGE":"a \"b\\"}"#));
        assert!(json(b"h sshd[1]: \xff").ends_with(br#","MESSAGE":[255]}"#));
        assert!(export(line).ends_with(b"_TRANSPORT=syslog\nMESSAGE\n\x05\0\0\0\0\0\0\0a \"b\\\n\n"));
        assert_eq!(forged(&[file])[0], b"\0x y");
    }

    #[test]
    fn a_server_begins_with_its_own_lines() {
        let root = crate::command::root();
        assert!(of("openssh", &root).unwrap().len() > 300);
        assert!(of("open", &root).unwrap().is_empty());
    }

    #[test]
    fn each_key_of_the_sample_is_a_seed() {
        let seeds = config(b"# What it is.\n[a]\n# k = 1\n\n# [b]\n# l = \"x = y\"\n");
        assert_eq!(seeds[1..], [b"[a]\nk = 1\n".to_vec(), b"[b]\nl = \"x = y\"\n".to_vec()]);
    }

    #[test]
    fn packets_are_as_long_as_their_headers_say() {
        for packet in PACKETS.map(from_hex) {
            let at = packet
                .windows(2)
                .position(|window| window == [0x08, 0x00] || window == [0x86, 0xdd])
                .unwrap()
                + 2;
            let length = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
            let told = if packet[at] >> 4 == 4 { length(at + 2) } else { 40 + length(at + 4) };
            assert_eq!(packet.len() - at, told, "{packet:02x?}");
        }
    }
}
