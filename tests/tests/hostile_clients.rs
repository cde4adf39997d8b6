//! Clients of the control socket and of HTTP that mean harm: they are refused, and keep nobody else waiting.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use ssh_guard_tests::daemon::{Daemon, HTTP, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::PATIENCE;

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

fn assert_lives(daemon: &Daemon<'_>) {
    assert!(!daemon.output().contains("panicked"), "{}", daemon.output());
    assert_eq!(daemon.cli(&["status"]).code, 0, "{}", daemon.output());
}

fn ask_socket(daemon: &Daemon<'_>, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The daemon may hang up before it has read everything.
    drop(stream.write_all(request));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_control_socket_bears_garbage_and_slow_clients() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    for (group, mode) in [("no-such-group", 0o600), ("root", 0o660)] {
        let lab = Lab::new();
        let site = Site::with_log(&format!("control.group = '{group}'"));
        let daemon = Daemon::start_at(site, lab.server(), &[]);
        let found = std::fs::metadata(daemon.socket()).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{group}");
    }
    let site = Site::with_log("");
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    let post = |path: &str, body: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        ask_socket(&daemon, (head + body).as_bytes())
    };
    let many = format!(
        "{{\"addresses\":[{}\"203.0.113.7\"],\"seconds\":60,\"reason\":null}}",
        "\"203.0.113.7\",".repeat(100_000)
    );
    for (answer, status) in [
        (post("/v1/ban", &many), "413"),
        (post("/v1/ban", "{"), "400"),
        (post("/v1/ban", "{\"addresses\":[\"localhost\"],\"seconds\":60,\"reason\":null}"), "422"),
        (post("/v1/ban", "{\"addresses\":[\"203.0.113.7\"],\"seconds\":-1,\"reason\":null}"), "422"),
        (post("/v1/status", ""), "405"),
        (post("/v1/nothing", ""), "404"),
        (ask_socket(&daemon, b"GET /v1/bans?limit=x HTTP/1.1\r\nHost: x\r\n\r\n"), "400"),
        (ask_socket(&daemon, b"\0\xff\xfe garbage\r\n\r\n"), "400"),
        (
            ask_socket(&daemon, format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)).as_bytes()),
            "431",
        ),
    ] {
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer:.300}");
    }
    for (seconds, reason) in [(u64::MAX, 1), (0, 1), (60, 100_000)] {
        let reason = "x".repeat(reason);
        let body =
            format!("{{\"addresses\":[\"203.0.113.7\"],\"seconds\":{seconds},\"reason\":\"{reason}\"}}");
        let answer = post("/v1/ban", &body);
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("\"error\":"), "{answer:.300}");
    }
    assert_eq!(daemon.json(&["bans"])["bans"].as_array().unwrap().len(), 0);
    let slow: Vec<_> = (0..100).map(|_| UnixStream::connect(daemon.socket())).collect();
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    // Each of the others would be waited for five seconds.
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(slow);
    assert_lives(&daemon);
}

fn ask_http(lab: &Lab, request: &str) -> String {
    lab.server().within(|| {
        let mut stream = TcpStream::connect(HTTP).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        drop(stream.write_all(request.as_bytes()));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    })
}

#[test]
fn http_is_for_reading_from_here_and_slow_clients_keep_nobody_waiting() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::with_log("");
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: localhost:9822\r\n\r\n", "200"),
        ("HEAD /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "200"),
        ("POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", "405"),
        ("DELETE /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "405"),
        ("GET /metrics HTTP/1.1\r\nHost: rebound.example:9822\r\n\r\n", "421"),
        ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1.rebound.example\r\n\r\n", "421"),
        ("GET /v1/bans HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "404"),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "404"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = ask_http(&lab, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer:.200}");
    }
    // Each would be waited for five seconds.
    let slow: Vec<_> = lab.server().within(|| {
        let connect = || {
            let mut stream = TcpStream::connect(HTTP).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127").unwrap();
            stream
        };
        (0..60).map(|_| connect()).collect()
    });
    let answer = lab.server().within(|| {
        let mut stream = TcpStream::connect(HTTP).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.ends_with("ok\n"), "{answer}");
    drop(slow);
    assert_lives(&daemon);
}

#[test]
fn the_metrics_are_as_prometheus_wants_them() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("promtool"));
    let lab = Lab::new();
    let site = Site::with_log("");
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7"]).code, 0);
    assert!(daemon.metrics().contains("ssh_guard_bans_total{reason=\"manual\"} 1\n"));
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(daemon.metrics().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
