//! Messages as sshd prints them for a client that chose its own words.

use std::net::IpAddr;

/// A message of sshd with room for the client's words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    pub(super) before: &'static str,
    /// How many bytes of the client's words sshd prints.
    pub(super) most: usize,
    /// Behind the words; `ADDR`, here and before them, stands for the client's address.
    pub(super) after: &'static str,
    /// Whether client text stands on both sides of the address, so that it cannot always be told.
    pub(super) between: bool,
}

impl Template {
    /// The message as syslog gets it. What the unprivileged process says is escaped twice up to OpenSSH 9.2: there, and
    /// where it is handed on.
    pub(super) fn serve(&self, words: &[u8], address: IpAddr, twice: bool) -> Vec<u8> {
        // Names arrive as C strings.
        let words = words.split(|&byte| byte == 0).next().unwrap_or_default();
        let words = &words[..words.len().min(self.most)];
        let address = address.to_string();
        let before = self.before.replace("ADDR", &address);
        let after = self.after.replace("ADDR", &address);
        let (after, mark) = match after.strip_suffix(" [preauth]") {
            Some(after) => (after, " [preauth]"),
            None => (&*after, ""),
        };
        // `WORDS` repeats the client's words behind the address.
        let after = match after.split_once("WORDS") {
            Some((left, right)) => [left.as_bytes(), words, right.as_bytes()].concat(),
            None => after.as_bytes().to_vec(),
        };
        let mut message = [before.as_bytes(), words, &after].concat();
        if twice && !mark.is_empty() {
            message = escaped(&message);
        }
        message.extend(mark.as_bytes());
        message = escaped(&message);
        message.truncate(super::CUT);
        message
    }
}

/// Escapes as sshd does (openbsd-compat/vis.c with `VIS_CSTYLE | VIS_NL | VIS_TAB | VIS_OCTAL`).
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in text {
        match byte {
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend(format!("\\{byte:03o}").as_bytes()),
        }
    }
    out
}

const fn around(before: &'static str, most: usize, after: &'static str) -> Template {
    Template { before, most, after, between: false }
}

const fn between(before: &'static str, most: usize, after: &'static str) -> Template {
    Template { before, most, after, between: true }
}

/// Every message that prints what a client chose, with the limits of its format.
pub(super) const TEMPLATES: &[Template] = &[
    around("Failed password for invalid user ", 100, " from ADDR port 41022 ssh2"),
    around("Failed password for ", 100, " from ADDR port 41022 ssh2"),
    around("Failed keyboard-interactive/pam for invalid user ", 100, " from ADDR port 41022 ssh2"),
    between(
        "Failed publickey for ",
        100,
        " from ADDR port 41022 ssh2: ED25519 SHA256:QiSYl/d6XrT5WUMHG2GMFH2",
    ),
    between(
        "Failed publickey for alice from ADDR port 41022 ssh2: RSA-CERT ID ",
        250,
        " (serial 0) CA RSA SHA256:x",
    ),
    between(
        "Failed hostbased for alice from ADDR port 41022 ssh2: RSA SHA256:x, client user \"",
        100,
        "\", client host \"WORDS\"",
    ),
    between("Failed gssapi-with-mic for invalid user ", 100, " from ADDR port 41022 ssh2: WORDS@EXAMPLE"),
    between(
        "Accepted publickey for alice from ADDR port 41022 ssh2: RSA-CERT ID ",
        900,
        " (serial 0) CA RSA SHA256:x",
    ),
    around("Invalid user ", 100, " from ADDR port 41022"),
    around("Invalid user ", 100, " from ADDR"),
    around(
        "error: maximum authentication attempts exceeded for invalid user ",
        100,
        " from ADDR port 41022 ssh2 [preauth]",
    ),
    around("Connection closed by invalid user ", 187, " ADDR port 41022 [preauth]"),
    around("Connection closed by authenticating user ", 180, " ADDR port 41022 [preauth]"),
    around("Connection reset by invalid user ", 187, " ADDR port 41022 [preauth]"),
    around("Connection from invalid user ", 187, " ADDR port 41022 timed out [preauth]"),
    around("Disconnected from invalid user ", 187, " ADDR port 41022 [preauth]"),
    between(
        "Disconnecting invalid user ",
        187,
        " ADDR port 41022: Too many authentication failures [preauth]",
    ),
    between(
        "Disconnecting invalid user ",
        187,
        " ADDR port 41022: Change of username or service not allowed: (WORDS,ssh-connection) -> (x, [preauth]",
    ),
    around("Disconnecting: Too many authentication failures for ", 62, " [preauth]"),
    around("Received disconnect from ADDR port 41022:11: ", 400, " [preauth]"),
    around("Received disconnect from ADDR: 11: ", 400, " [preauth]"),
    around("Bad protocol version identification '", 100, "' from ADDR port 41022"),
    around("Bad protocol version identification '", 100, "' from ADDR"),
    around("error: kex_exchange_identification: client sent invalid protocol identifier \"", 256, "\""),
    around("error: Bad remote protocol version identification: '", 100, "'"),
    around("scanned from ADDR port 41022 with ", 256, ".  Don't panic."),
    around("Protocol major versions differ for ADDR port 41022: SSH-2.0-OpenSSH_7.4 vs. ", 200, ""),
    around(
        "Unable to negotiate with ADDR port 41022: no matching cipher found. Their offer: ",
        900,
        " [preauth]",
    ),
    between(
        "ssh_dispatch_run_fatal: Connection from invalid user ",
        187,
        " ADDR port 41022: message authentication code incorrect [preauth]",
    ),
    around("error: PAM: Authentication failure for illegal user ", 100, " from ADDR"),
    around(
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=ADDR  user=",
        99,
        "",
    ),
    around("refused connect from ", 0, "203.0.113.66.evil.example (ADDR)"),
    around("User ", 100, " from ADDR not allowed because listed in DenyUsers"),
    around("User ", 100, " not allowed because account is locked"),
    around("fatal: Access denied for user ", 400, " by PAM account configuration [preauth]"),
    around("administratively prohibited connection for invalid user ", 100, " from ADDR port 41022"),
    around("Postponed keyboard-interactive for invalid user ", 100, " from ADDR port 41022 ssh2 [preauth]"),
    around("input_userauth_request: invalid user ", 100, " [preauth]"),
    around("Failed rsa for ", 100, " from ADDR port 41022 ssh1"),
    around(
        "Partial publickey for ",
        100,
        " from ADDR port 41022 ssh2: ED25519 SHA256:QiSYl/d6XrT5WUMHG2GMFH2",
    ),
    around(
        "error: public key ED25519-SK SHA256:QiSYl/d6 signature for invalid user ",
        100,
        " from ADDR port 41022 rejected: user presence (authenticator touch) requirement not met",
    ),
    around("fatal: Client version \"", 100, "\" uses unsafe key agreement; refusing connection"),
    around(
        "fatal: Unable to negotiate with ADDR: no matching cipher found. Their offer: ",
        300,
        " [preauth]",
    ),
    between(
        "Unable to negotiate with authenticating user ",
        180,
        " ADDR port 41022: no matching cipher found. Their offer: WORDS [preauth]",
    ),
    between(
        "fatal: userauth_finish: send PAM banner: Connection from authenticating user ",
        180,
        " ADDR port 41022: Broken pipe [preauth]",
    ),
    around(
        "Disconnecting: Too many authentication failures for ",
        20,
        " from ADDR port 41022 ssh2 [preauth]",
    ),
    around(
        "Authentication tried for ",
        100,
        " with correct key but not from a permitted host (host=ADDR, ip=ADDR).",
    ),
    around("error: Received disconnect from ADDR port 41022: ", 400, " [preauth]"),
    around("fatal: Access denied for user ", 100, "."),
    around("userauth_pubkey: unsupported public key algorithm: ", 300, " [preauth]"),
    around("Login name ", 100, " does not match stored username alice"),
    around("userauth_hostbased mismatch: client sends ", 100, ", but we resolve ADDR to ADDR [preauth]"),
];
