use super::*;

/// What is said about `text`, without the program's and the file's name.
fn said(text: &str) -> String {
    refused(text).strip_prefix("ssh-guard: c.toml:").unwrap().trim_end().to_owned()
}

#[test]
fn a_value_that_its_key_does_not_allow_is_refused_with_what_is_allowed() {
    for (key, value) in [
        ("guard.mode", r#""driver""#),
        ("guard.ipv4-prefix", "23"),
        ("guard.ipv4-prefix", "33"),
        ("guard.ipv6-prefix", "47"),
        ("guard.ipv6-prefix", "129"),
        ("guard.pin-path", r#""ssh-guard""#),
        ("guard.pin-path", r#""/sys/fs/bpf/v1.2""#),
        ("policy.threshold", "0"),
        ("policy.threshold", "-1.5"),
        ("policy.threshold", "nan"),
        ("policy.threshold", "inf"),
        ("policy.window", r#""0s""#),
        ("policy.window", r#""10 minutes""#),
        ("policy.window", r#""99999999999999999999s""#),
        ("policy.forget", r#""""#),
        ("policy.known-good", r#""never""#),
        ("policy.known-good-weight", "1.5"),
        ("policy.weights.password", "-0.1"),
        ("policy.weights.pre-auth", "1000.5"),
        ("policy.weights.other", "nan"),
        ("limits.blocklist", "1023"),
        ("limits.networks", "1023"),
        ("limits.networks", "1048577"),
        ("limits.sources", "4194305"),
        ("limits.new-sessions-per-minute", "-1"),
        ("limits.new-sessions-per-minute", "6001"),
        ("limits.sessions", "1023"),
        ("limits.open-sessions", "65536"),
        ("limits.unauthenticated-sessions", "-1"),
        ("limits.line-bytes", "0"),
        ("observe.listen", r#""9822""#),
        ("observe.listen", r#""localhost:9822""#),
        ("control.socket", r#""control.sock""#),
        ("control.group", r#""a:b""#),
        ("control.group", r#""""#),
        ("control.events-group", r#""a:b""#),
    ] {
        let allowed = key::find(key).unwrap().allowed;
        assert_eq!(
            said(&format!("\n{key} = {value}\n")),
            format!("2: '{key}' is {value} and must be {allowed}")
        );
    }
}

#[test]
fn what_is_allowed_is_told_in_words() {
    let operators = r#"must be names of accounts, or of groups after a '%', as in "alice" or "%wheel""#;
    let ports = "must be 1 to 16 different ports from 1 to 65535";
    let long = format!("control.socket = \"/{}\"\n", "x".repeat(107));
    for (text, expected) in [
        (
            "policy.window = \"x\"",
            r#"1: 'policy.window' is "x" and must be a time from 1s to 3650d, as in "90s", "10m" or "1h30m""#,
        ),
        (
            "policy.ladder = []",
            "1: 'policy.ladder' is an array and must be 1 to 16 times, each longer than the one before",
        ),
        (
            "policy.ladder = [\"10m\", \"x\"]",
            "1: 'policy.ladder' holds \"x\" and must be 1 to 16 times, each longer than the one before",
        ),
        ("guard.ports = [\n  22,\n  0,\n]", &format!("3: 'guard.ports' holds 0 and {ports}")),
        ("guard.operators = [\"alice\", \"\"]", &format!("1: 'guard.operators' holds \"\" and {operators}")),
        ("guard.operators = [\"%\"]", &format!("1: 'guard.operators' holds \"%\" and {operators}")),
        ("guard.operators = [\" alice\"]", &format!("1: 'guard.operators' holds \" alice\" and {operators}")),
        ("guard.operators = [\"a:b\"]", &format!("1: 'guard.operators' holds \"a:b\" and {operators}")),
        ("guard.ports = [65536]", &format!("1: 'guard.ports' holds 65536 and {ports}")),
        (&long, "1: 'control.socket' is something long and must be an absolute path of at most 107 bytes"),
    ] {
        assert_eq!(said(text), expected);
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (text, expected) in [
        ("guard.ports = [22, 22]\n", "1: 'guard.ports': 22 is named twice"),
        ("guard.ports = []\n", "1: 'guard.ports': no port is named"),
        (
            "guard.interfaces = [\"auto\", \"eth0\"]\n",
            "1: 'guard.interfaces': 'auto' stands beside other interfaces\nhint: write 'auto' alone, or only names",
        ),
        (
            "policy.ladder = [\n\"1h\",\n\"60m\"]\n",
            "3: 'policy.ladder': '60m' is not longer than '1h' before it\n\
             hint: let each ban be longer than the one before",
        ),
        (
            "allow.sources = [\"10.0.0.1\",\n\"300.1.2.3\"]\n",
            "2: 'allow.sources': '300.1.2.3' is not an address or a network: 300 is above 255\n\
             hint: write an address such as '203.0.113.7' or '2001:db8::7', or a network such as '198.51.100.0/24'",
        ),
        (
            "allow.files = [\"list\"]\n",
            "1: 'allow.files' holds \"list\" and must be the absolute paths of files",
        ),
    ] {
        assert_eq!(said(text), expected);
    }
}

#[test]
fn inputs_that_cannot_work_are_refused() {
    for (text, expected) in [
        (
            "[[input]]\nkind = \"jornal\"\n",
            "2: 'input.kind' is \"jornal\" and must be \"auto\", \"journal\", \"file\", \"syslog\", \"stdin\" or \"socket\"",
        ),
        (
            "\n[[input]]\nkind = \"file\"\n",
            "2: 'input': an input of the kind 'file' needs a 'path'\n\
             hint: add the file, as in path = \"/var/log/auth.log\"",
        ),
        (
            "[[input]]\nkind = \"file\"\npath = \"auth.log\"\n",
            "3: 'input.path' is \"auth.log\" and must be the absolute path of a file",
        ),
        (
            "[[input]]\npath = \"/x\"\n",
            "2: 'input.path': an input of the kind 'auto' has no path\n\
             hint: write kind = \"file\", or take the path out",
        ),
        (
            "[[input]]\nkind = \"journal\"\nbare = true\n",
            "3: 'input.bare': only an input of the kind 'file' or 'stdin' can be bare\nhint: take it out",
        ),
        (
            "[[input]]\nparser = \"telnetd\"\n",
            "2: 'input.parser' is \"telnetd\" and must be \"auto\", \"openssh\", \"dropbear\", \"proftpd\", \"sftpgo\", \"vsftpd\", \"pure-ftpd\" or the name of a pattern",
        ),
        (
            "[[input]]\nname = \"a b\"\n",
            "2: 'input.name' is \"a b\" and must be empty, or 1 to 32 letters, digits, '.', '_' or '-'",
        ),
        (
            "[[input]]\nkind = \"file\"\npath = \"/a/x y\"\n",
            "1: 'input': 'x y' cannot name an input\nhint: give the input a 'name'",
        ),
    ] {
        assert_eq!(said(text), expected);
    }
}

#[test]
fn syslog_from_nobody_knows_whom_is_refused() {
    let syslog = |rest: &str| format!("[[input]]\nkind = \"syslog\"\n{rest}\n");
    let allowed = key::find("input.listen").unwrap().allowed;
    for (rest, expected) in [
        (
            "",
            "1: 'input': an input of the kind 'syslog' needs 'listen'\n\
             hint: add where it is received, as in listen = \"udp://127.0.0.1:5514\"",
        ),
        (
            "listen = \"udp://127.0.0.1\"",
            &format!("3: 'input.listen' is \"udp://127.0.0.1\" and must be {allowed}"),
        ),
        (
            "listen = \"udp://0.0.0.0:514\"",
            "3: 'input.listen': 'udp://0.0.0.0:514' can be reached from elsewhere, and no 'senders' say from whom lines \
             are taken\nhint: add those that send, as in senders = [\"198.51.100.7\"]",
        ),
        (
            "listen = \"udp://0.0.0.0:514\"\nsenders = [\"10.0.0.1\", \"0.0.0.0/0\"]",
            "4: 'input.senders': '0.0.0.0/0' is everybody, who could have anybody banned\n\
             hint: name the machines that send",
        ),
        (
            "listen = \"udp://127.0.0.1:514\"\nsenders = [\"loghost\"]",
            "4: 'input.senders': 'loghost' is not an address or a network: names are never resolved\n\
             hint: write an address such as '203.0.113.7' or '2001:db8::7', or a network such as '198.51.100.0/24'",
        ),
        (
            "listen = \"unix:///run/x\"\nsenders = [\"10.0.0.1\"]",
            "4: 'input.senders': only over UDP and TCP are there senders\n\
             hint: take it out; 'users' says who may send to the socket",
        ),
        (
            "listen = \"udp://127.0.0.1:514\"\nusers = [\"syslog\"]",
            "4: 'input.users': the users who send are known through a Unix socket only\nhint: take it out",
        ),
        (
            "listen = \"unix:///run/x\"\nusers = [\"a b\"]",
            "4: 'input.users' holds \"a b\" and must be names or numbers of users",
        ),
        (
            "listen = \"unix:///run/x\"\npath = \"/run/x\"",
            "4: 'input.path': an input of the kind 'syslog' has no path\nhint: write 'listen' in its place",
        ),
        (
            "listen = \"unix:///run/x\"\nname = \"socket\"",
            "4: 'input.name': 'socket' is the name of what applications post\nhint: give the input another 'name'",
        ),
    ] {
        assert_eq!(said(&syslog(rest)), expected);
    }
    assert_eq!(
        said("[[input]]\nsenders = [\"10.0.0.1\"]\n"),
        "2: 'input.senders': only an input of the kind 'syslog' has 'senders'\n\
         hint: write kind = \"syslog\", or take it out"
    );
    assert_eq!(
        said("control = { socket = \"/run/events.sock\", events-group = \"ftp\" }\n"),
        "1: 'control.events-group': the socket of its members would be '/run/events.sock', which cannot be\n\
         hint: give 'control.socket' another name than 'events.sock'"
    );
}

#[test]
fn inputs_that_get_in_each_others_way_are_refused() {
    let twice = "and count it twice\nhint: take one of the two out";
    let file = |path: &str, name: &str| {
        format!("[[input]]\nkind = \"file\"\npath = \"{path}\"\nname = \"{name}\"\n")
    };
    for (text, expected) in [
        (
            "input = []\n".to_owned(),
            "1: 'input': there is none, so no failure would be seen\nhint: leave 'input' out to have one found",
        ),
        ("[[input]]\n".repeat(65), "1: 'input': there are 65, and at most 64 can be read"),
        (
            "[[input]]\n[[input]]\nkind = \"journal\"\n".to_owned(),
            &format!("2: 'input': this may read what the input 'auto' reads, {twice}"),
        ),
        (
            file("/a/x", "") + &file("/a/../a/./x", "y"),
            &format!("5: 'input': this may read what the input 'x' reads, {twice}"),
        ),
        (
            "[[input]]\nkind = \"stdin\"\n".repeat(2),
            &format!("3: 'input': this may read what the input 'stdin' reads, {twice}"),
        ),
        (
            "[[input]]\nkind = \"syslog\"\nlisten = \"udp://127.0.0.1:514\"\n".repeat(2),
            &format!("4: 'input': this may read what the input 'syslog' reads, {twice}"),
        ),
        (
            file("/a/x", "") + &file("/b/x", ""),
            "8: 'input.name': two inputs are called 'x'\nhint: give each a 'name' of its own",
        ),
    ] {
        assert_eq!(said(&text), expected);
    }
}

#[test]
fn all_wrong_values_are_told_at_once() {
    let text = "policy.window = \"0s\"\nguard.ports = [0]\n[[input]]\nkind = \"x\"\n";
    assert_eq!(refused(text).lines().count(), 3);
}

#[test]
fn what_nobody_blocks_on_purpose_is_refused() {
    for (network, why) in [
        ("10.1.2.3/24", "'10.1.2.3/24' is not a network: its address goes on beyond the prefix"),
        ("127.0.0.0/8", "'127.0.0.0/8' is never banned: it is, or holds, a loopback address"),
        ("0.0.0.0/0", "'0.0.0.0/0' is never banned: it is, or holds, an unspecified address"),
        ("64.0.0.0/7", "'64.0.0.0/7' is wider than a /8, or a /16 of IPv6"),
    ] {
        let told = said(&format!("block.networks = ['192.0.2.7', '{network}']"));
        assert!(told.starts_with(&format!("1: 'block.networks': {why}\nhint: ")), "{told}");
    }
    let files: Vec<String> = (0..33).map(|number| format!("'/{number}'")).collect();
    let told = said(&format!("block.files = [{}]", files.join(", ")));
    assert!(told.starts_with("1: 'block.files': 33 files, and at most 32 are read"), "{told}");
    assert!(said("block.files = ['drop.txt']").ends_with("must be the absolute paths of files"));
}
