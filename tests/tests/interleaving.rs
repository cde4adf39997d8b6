//! Sessions as servers tell of them, line by line, said in any order that keeps the order within each: together they
//! count what each counts alone.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;
use ssh_guard::moment::Moment;
use ssh_guard::parse::{Interpreter, Parser, header};
use ssh_guard::policy::{Policy, Rules, Standing};
use ssh_guard_common::source::SourceMask;

/// The messages of a session, and how many attempts it is. `@` stands for the client's address, `#` for its port, `%` for
/// the account, `~` for a host name; a message that begins with `+` is written by PAM's process, one with `^` by the
/// process that listens.
const SESSIONS: &[(&[&str], u32)] = &[
    // Keyboard-interactive of an account, three tries, LogLevel INFO.
    (
        &[
            "+pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=@  user=%",
            "error: PAM: Authentication failure for % from @",
            "+pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=@  user=%",
            "error: PAM: Authentication failure for % from @",
            "error: PAM: Authentication failure for % from @",
            "Connection closed by authenticating user % @ port # [preauth]",
        ],
        3,
    ),
    // The same of five tries: from half of MaxAuthTries on, the server tells of each itself as well.
    (
        &[
            "error: PAM: Authentication failure for % from @",
            "message repeated 2 times: [ error: PAM: Authentication failure for % from @]",
            "error: PAM: Authentication failure for % from @",
            "Failed keyboard-interactive/pam for % from @ port # ssh2",
            "error: PAM: Authentication failure for % from @",
            "Failed keyboard-interactive/pam for % from @ port # ssh2",
            "error: maximum authentication attempts exceeded for % from @ port # ssh2 [preauth]",
            "Disconnecting authenticating user % @ port #: Too many authentication failures [preauth]",
        ],
        5,
    ),
    // Keyboard-interactive of an account that does not exist.
    (
        &[
            "Invalid user % from @ port #",
            "+pam_unix(sshd:auth): check pass; user unknown",
            "+pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=@ ",
            "error: PAM: Authentication failure for illegal user % from @",
            "Failed keyboard-interactive/pam for invalid user % from @ port # ssh2",
            "Connection closed by invalid user % @ port # [preauth]",
        ],
        1,
    ),
    // Where names are printed, PAM's lines name no address.
    (
        &[
            "error: PAM: Authentication failure for % from ~",
            "error: PAM: Authentication failure for % from ~",
            "Connection closed by authenticating user % @ port # [preauth]",
        ],
        2,
    ),
    // Passwords, with PAM.
    (
        &[
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=@  user=%",
            "Failed password for % from @ port # ssh2",
            "message repeated 2 times: [ Failed password for % from @ port # ssh2]",
            "Connection closed by authenticating user % @ port # [preauth]",
            "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=@  user=%",
        ],
        3,
    ),
    // Keys alone, LogLevel VERBOSE.
    (
        &[
            "Connection from @ port # on 198.51.100.1 port 22 rdomain \"\"",
            "Failed publickey for % from @ port # ssh2: ED25519 SHA256:QiSYl/d6XrT5WUMHG2GMFH2",
            "Failed publickey for % from @ port # ssh2: ED25519 SHA256:Kjx2AgzRLso4IrFet7M+TQo",
            "Connection closed by authenticating user % @ port # [preauth]",
        ],
        1,
    ),
    // Keys that are refused before one is not.
    (
        &[
            "Failed publickey for % from @ port # ssh2: ED25519 SHA256:QiSYl/d6XrT5WUMHG2GMFH2",
            "Postponed publickey for % from @ port # ssh2 [preauth]",
            "Accepted publickey for % from @ port # ssh2: ED25519 SHA256:Kjx2AgzRLso4IrFet7M+TQo",
            "Connection closed by @ port #",
        ],
        0,
    ),
    // An account that is locked, LogLevel VERBOSE and INFO.
    (
        &[
            "Connection from @ port # on 198.51.100.1 port 22 rdomain \"\"",
            "User % not allowed because account is locked",
            "Failed password for invalid user % from @ port # ssh2",
            "Connection closed by invalid user % @ port # [preauth]",
        ],
        1,
    ),
    (
        &[
            "User % not allowed because account is locked",
            "Connection closed by invalid user % @ port # [preauth]",
        ],
        1,
    ),
    // An account that is denied.
    (
        &[
            "User % from @ not allowed because listed in DenyUsers",
            "Failed password for invalid user % from @ port # ssh2",
            "Failed password for invalid user % from @ port # ssh2",
            "Connection closed by invalid user % @ port # [preauth]",
        ],
        2,
    ),
    // OpenSSH 6.6: few lines name a port.
    (
        &[
            "Invalid user % from @",
            "input_userauth_request: invalid user % [preauth]",
            "Failed password for invalid user % from @ port # ssh2",
            "Failed password for invalid user % from @ port # ssh2",
            "Connection closed by @ [preauth]",
        ],
        2,
    ),
    (
        &[
            "Invalid user % from @",
            "input_userauth_request: invalid user % [preauth]",
            "Connection closed by @ [preauth]",
        ],
        1,
    ),
    (
        &[
            "Failed password for % from @ port # ssh2",
            "Disconnecting: Too many authentication failures for % [preauth]",
        ],
        1,
    ),
    // OpenSSH 10: the grace time passes.
    (
        &[
            "Invalid user % from @ port #",
            "^Timeout before authentication for connection from @ to 198.51.100.1, pid = $",
        ],
        1,
    ),
    // A signature that cannot be read ends the session.
    (
        &[
            "Connection from @ port # on 198.51.100.1 port 22 rdomain \"\"",
            "Failed publickey for % from @ port # ssh2: ED25519 SHA256:QiSYl/d6XrT5WUMHG2GMFH2",
            "fatal: userauth_pubkey: parse packet: incomplete message [preauth]",
        ],
        1,
    ),
];

const LISTENER: usize = 1;

fn lines(number: usize, shape: usize, source: u8, shared: bool) -> VecDeque<String> {
    let (messages, _) = SESSIONS[shape];
    let address = format!("203.0.113.{source}");
    // A success forgives what was done to its account, so that those of others are told apart.
    let user = if shared && !messages.iter().any(|message| message.contains("Accepted")) {
        "root".to_owned()
    } else {
        format!("user{number}")
    };
    let pid = 1000 + 10 * number;
    let line = |(index, message): (usize, &&str)| {
        let (pid, message) = match message.as_bytes()[0] {
            b'+' => (pid + index + 1, &message[1..]),
            b'^' => (LISTENER, &message[1..]),
            _ => (pid, *message),
        };
        let message = message.replace('@', &address).replace('#', &(40_000 + number).to_string());
        let message = message.replace('~', "192.0.2.66.evil.example").replace('%', &user);
        let own = (1000 + 10 * number).to_string();
        format!("Nov 23 03:12:01 gate sshd[{pid}]: {}", message.replace('$', &own))
    };
    messages.iter().enumerate().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn sessions_count_what_they_count_alone(
        sessions in prop::collection::vec((0..SESSIONS.len(), 1..4_u8, any::<bool>()), 1..16),
        order in prop::collection::vec(any::<prop::sample::Index>(), 130),
    ) {
        let mut expected = HashMap::<String, f64>::new();
        let mut waiting = Vec::new();
        for (number, (shape, source, shared)) in sessions.iter().enumerate() {
            waiting.push(lines(number, *shape, *source, *shared));
            *expected.entry(format!("203.0.113.{source}")).or_default() += f64::from(SESSIONS[*shape].1);
        }
        let mut interpreter = Interpreter::new(Parser::Auto);
        let mut policy = Policy::new(Rules { threshold: 1e6, ..Rules::default() });
        let mut scores = HashMap::new();
        for turn in order {
            let open: Vec<_> = waiting.iter_mut().filter(|lines| !lines.is_empty()).collect();
            if open.is_empty() {
                break;
            }
            let turn = turn.index(open.len());
            let line = open.into_iter().nth(turn).and_then(VecDeque::pop_front).unwrap();
            let Some(event) = interpreter.event(&header::split(line.as_bytes()).unwrap()) else { continue };
            let Some(address) = event.address else { continue };
            let source = SourceMask::new(32, 64).apply(address.into());
            let judgement = policy.observe(&event, source, Moment::default(), || Standing::Exempt);
            scores.insert(address.to_string(), judgement.score);
        }
        prop_assert!(waiting.iter().all(VecDeque::is_empty));
        for (source, expected) in expected {
            let score = scores.get(&source).copied().unwrap_or_default();
            prop_assert!((score - expected).abs() < 1e-9, "{source} has {score}, not {expected}, of {sessions:?}");
        }
    }
}
