//! Real senders of syslog: rsyslog in all the forms that it sends in, and logger(1).

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::netns::Namespace;
use ssh_guard_tests::process::Process;
use ssh_guard_tests::skip::{Need, find_program};
use ssh_guard_tests::wait::{PATIENCE, eventually, poll};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

/// An input of syslog at a port of the loopback.
fn input(name: &str, listen: &str) -> String {
    format!("[[input]]\nkind = 'syslog'\nname = '{name}'\nlisten = '{listen}'\n")
}

/// rsyslog with files of its own, which sends on what it gets at a socket, in every form.
struct Rsyslog {
    process: Process,
    socket: std::path::PathBuf,
}

impl Rsyslog {
    fn start(namespace: &Namespace, folder: &Path, to: &Path) -> Self {
        let socket = folder.join("in.sock");
        let config = format!(
            "global(workDirectory=\"{folder}\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{folder}/in.sock\")\n\
             module(load=\"omuxsock\")\n\
             template(name=\"forwarded\" type=\"string\" string=\"<%PRI%>%TIMESTAMP% %HOSTNAME% %syslogtag%%msg:::sp-if-no-1st-sp%%msg%\")\n\
             $OMUxSockSocket {to}\n\
             *.* action(type=\"omfwd\" target=\"127.0.0.1\" port=\"5601\" protocol=\"udp\" template=\"RSYSLOG_TraditionalForwardFormat\")\n\
             *.* action(type=\"omfwd\" target=\"127.0.0.1\" port=\"5602\" protocol=\"tcp\" template=\"RSYSLOG_TraditionalForwardFormat\")\n\
             *.* action(type=\"omfwd\" target=\"127.0.0.1\" port=\"5603\" protocol=\"tcp\" TCP_Framing=\"octet-counted\" template=\"RSYSLOG_ForwardFormat\")\n\
             *.* action(type=\"omfwd\" target=\"127.0.0.1\" port=\"5604\" protocol=\"tcp\" TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\")\n\
             *.* action(type=\"omfwd\" target=\"127.0.0.1\" port=\"5605\" protocol=\"tcp\" TCP_Framing=\"traditional\" TCP_FrameDelimiter=\"0\" template=\"RSYSLOG_TraditionalForwardFormat\")\n\
             *.* :omuxsock:;forwarded\n",
            folder = folder.display(),
            to = to.display(),
        );
        let file = folder.join("rsyslog.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(find_program("rsyslogd").unwrap());
        command.arg("-n").arg("-f").arg(&file).arg("-i").arg(folder.join("rsyslog.pid"));
        let mut process = namespace.start(command);
        let there = poll(PATIENCE, || {
            assert!(!process.has_ended(), "rsyslogd ended:\n{}", process.output());
            socket.exists().then_some(())
        });
        assert!(there.is_some(), "rsyslogd makes no socket:\n{}", process.output());
        Self { process, socket }
    }

    fn say(&self, text: &str) {
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(format!("<38>Nov 23 03:12:02 {text}").as_bytes(), &self.socket).unwrap();
    }
}

#[test]
fn what_rsyslog_sends_is_read_in_every_form_that_it_sends_in() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("rsyslogd"));
    let lab = Lab::new();
    let site = Site::new("");
    let local = site.folder().join("log.sock");
    let inputs = [
        ("udp", "udp://127.0.0.1:5601".to_owned()),
        ("lines", "tcp://127.0.0.1:5602".to_owned()),
        ("counted", "tcp://127.0.0.1:5603".to_owned()),
        ("protocol-23", "tcp://127.0.0.1:5604".to_owned()),
        ("nul", "tcp://127.0.0.1:5605".to_owned()),
        ("local", format!("unix://{}", local.display())),
    ];
    let config: String = inputs.iter().map(|(name, listen)| input(name, listen)).collect();
    // No ban before all is read: what is banned is not asked for.
    site.configure(&format!("policy.threshold = 1000\n{config}"));
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut rsyslog = Rsyslog::start(lab.server(), folder.path(), &local);
    for number in 0..6 {
        let (pid, port) = (1000 + number, 20_000 + number);
        rsyslog.say(&format!("sshd[{pid}]: Failed password for root from 203.0.113.7 port {port} ssh2"));
        // As hostile as sshd lets a client be: rsyslog escapes what would end a line.
        rsyslog.say(&format!(
            "sshd[{pid}]: Failed password for invalid user a\n<38>Nov 23 03:12:02 lab sshd[9]: x from 203.0.113.7 port {port} ssh2"
        ));
    }
    for (name, _) in &inputs {
        let read = poll(PATIENCE, || (daemon.input(name)["lines"] == 12).then_some(()));
        let told = daemon.input(name);
        assert!(read.is_some(), "'{name}': {told}\n{}\n{}", daemon.output(), rsyslog.process.output());
        assert_eq!((&told["lost"], &told["error"]), (&0.into(), &serde_json::Value::Null), "{told}");
    }
    assert!(!rsyslog.process.has_ended(), "{}", rsyslog.process.output());
    for (name, _) in &inputs {
        assert_eq!(daemon.input(name)["understood"], 12, "'{name}': {}", daemon.output());
    }
}

#[test]
fn six_failures_that_rsyslog_sends_ban_within_its_own_time() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("rsyslogd"));
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), &input("syslog", "tcp://127.0.0.1:5603"));
    let folder = tempfile::tempdir().unwrap();
    let rsyslog = Rsyslog::start(lab.server(), folder.path(), &folder.path().join("nobody.sock"));
    for number in 0..6 {
        rsyslog.say(&format!(
            "sshd[1]: Failed password for root from 203.0.113.7 port {} ssh2",
            20_000 + number
        ));
    }
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);
}

#[test]
fn what_logger_sends_is_read_in_every_form_that_it_sends_in() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("logger"));
    let lab = Lab::new();
    let config = [input("udp", "udp://127.0.0.1:5601"), input("tcp", "tcp://127.0.0.1:5601")].concat();
    let daemon = Daemon::start(lab.server(), &config);
    let say = |form: &[&str], number: usize| {
        let port = (20_000 + number).to_string();
        let text = format!("Failed password for root from 203.0.113.7 port {port} ssh2");
        let fixed = ["--server", "127.0.0.1", "--port", "5601", "--tag", "sshd", "--id=123"];
        let said = lab.server().said_by("logger", &[&fixed[..], form, &["--", &text]].concat());
        assert_eq!(said, "", "{form:?}");
    };
    for (form, first) in [("--rfc3164", 0), ("--rfc5424", 100)] {
        for number in first..first + 2 {
            say(&["--udp", form], number);
            say(&["--tcp", form], 10 + number);
            say(&["--tcp", form, "--octet-count"], 20 + number);
        }
    }
    eventually(PATIENCE, "all is understood", || {
        daemon.input("udp")["understood"] == 4 && daemon.input("tcp")["understood"] == 8
    });
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);
    assert_eq!((&daemon.input("udp")["lost"], &daemon.input("tcp")["lost"]), (&0.into(), &0.into()));
}
