//! Weighs the lines that real servers wrote: one attempt counts once, however many lines it left.

use std::net::IpAddr;
use std::path::Path;

use ssh_guard::moment::Moment;
use ssh_guard::parse::{Interpreter, Parser};
use ssh_guard::policy::{Policy, Rules, Standing, Weights};
use ssh_guard_common::source::SourceMask;

/// What the lines from the first that holds `from` to the last that holds `to` add to the score of `address`.
fn weight(corpus: &str, parser: Parser, weights: Weights, (from, to): (&str, &str), address: &str) -> f64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(corpus);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read '{corpus}': {error}"));
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(['#', ' '])).collect();
    let begin = lines.iter().position(|line| line.contains(from)).expect("the first line is there");
    let end = lines.iter().rposition(|line| line.contains(to)).expect("the last line is there");
    let mut interpreter = Interpreter::new(parser);
    let mut policy = Policy::new(Rules { threshold: 1e6, weights, ..Rules::default() });
    let address: IpAddr = address.parse().expect("it is an address");
    let bare = corpus.contains("bare");
    let mut sum = 0.0;
    for line in &lines[begin..=end] {
        let record = interpreter.record(line.as_bytes(), bare);
        let Some(event) = record.and_then(|record| interpreter.event(&record)) else { continue };
        assert_eq!(event.address, Some(address), "{line}");
        let source = SourceMask::new(32, 64).apply(address.into());
        sum += policy.observe(&event, source, Moment::default(), || Standing::Judged).weight;
    }
    sum
}

#[track_caller]
fn assert_weighs(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
}

#[test]
fn a_session_of_dropbear_weighs_what_was_tried_in_it() {
    for (pid, expected) in [
        // One wrong password, two, and three that ended it.
        ("14598", 1.0),
        ("14697", 2.0),
        ("14874", 3.0),
        // An account that does not exist, and three passwords for one: Dropbear says so once.
        ("14936", 1.0),
        ("14958", 1.0),
        // An account without a shell, and one that is refused.
        ("15043", 1.0),
        ("15862", 1.0),
        // A login, by a password and by a key.
        ("15060", 0.0),
        ("15066", 0.0),
        // A key that was refused, for an account that exists.
        ("15087", 1.0),
        // Nobody tried anything.
        ("15294", 0.1),
        ("15312", 0.1),
        // Of older versions, joined by their process; of PAM.
        ("301]", 1.0),
        ("302]", 1.0),
        ("306]", 0.1),
    ] {
        let lines = (&*format!("dropbear[{pid}"), &*format!("dropbear[{pid}"));
        let found = weight("dropbear.txt", Parser::Auto, Weights::default(), lines, "203.0.113.7");
        assert!((found - expected).abs() < 1e-9, "session {pid} weighs {found} instead of {expected}");
    }
}

#[test]
fn an_attempt_that_pam_tells_of_as_well_counts_once() {
    let both = Weights { pam: 1.0, ..Weights::default() };
    for weights in [Weights::default(), both] {
        // Three wrong passwords and the end; three accounts that do not exist.
        let proftpd = |from, to| weight("proftpd.txt", Parser::Auto, weights, (from, to), "203.0.113.7");
        assert_weighs(proftpd("/dev/ftpd25431", "proftpd[25431]"), 3.0);
        assert_weighs(proftpd("proftpd[25441]", "proftpd[25441]"), 3.0);
        assert_weighs(proftpd("/dev/ftpd25551", "proftpd[25551]"), 1.0);
        // The first line that is read of a session is PAM's: which process serves it is known by the next one alone.
        let dropbear = ("dropbear[402]: pam_unix", "dropbear[402]: Bad PAM");
        assert_weighs(weight("dropbear.txt", Parser::Auto, weights, dropbear, "203.0.113.7"), 1.0);
        let vsftpd = |from, to| weight("vsftpd.txt", Parser::Vsftpd, weights, (from, to), "203.0.113.7");
        assert_weighs(vsftpd("vsftpd[25228]", "vsftpd[25228]"), 1.0);
        // An account that does not exist: PAM does not name it, and the server does.
        assert_weighs(vsftpd("vsftpd[25231]", "vsftpd[25231]"), 1.0);
        assert_weighs(vsftpd("vsftpd[25240]", "vsftpd[25240]"), 3.0);
    }
}

#[test]
fn attempts_on_servers_that_name_no_port_add_up() {
    let weigh = |corpus, parser, lines| weight(corpus, parser, Weights::default(), lines, "203.0.113.7");
    assert_weighs(weigh("proftpd-bare.txt", Parser::Proftpd, ("proftpd[18843]", "proftpd[18843]")), 3.0);
    assert_weighs(weigh("vsftpd.txt", Parser::Vsftpd, ("[pid 25113]", "[pid 25113]")), 3.0);
}
