//! Files that list addresses and networks, one a line, with `#` before comments.

use std::path::Path;

use ipnet::IpNet;

use super::file;
use super::network;
use super::problem::Problem;

/// The most networks that the allowlist holds.
pub const MAX_NETWORKS: usize = 16_384;

/// Reads the list at `path`. A network that stands there twice is taken once, and the list is sorted.
///
/// # Errors
/// Fails if the file cannot be read, else with every line that is no network, each as `FILE:LINE: …`.
pub fn read(path: &Path) -> Result<Vec<IpNet>, Vec<Problem>> {
    match file::read(path) {
        Ok(text) => parse(&path.to_string_lossy(), &text),
        Err(error) => Err(vec![Problem {
            hint: Some("correct the path in 'allow.files', or take it out".to_owned())
                .filter(|_| error.is_missing()),
            ..error.problem()
        }]),
    }
}

/// Reads `text`, the content of the list that errors call `name`.
///
/// # Errors
/// Fails with every line that is no network.
pub fn parse(name: &str, text: &str) -> Result<Vec<IpNet>, Vec<Problem>> {
    let mut networks = Vec::new();
    let mut problems = Vec::new();
    // Some editors begin a file with a byte order mark.
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match network::parse(entry) {
            Ok(network) => networks.push(network),
            Err(error) => problems.push(Problem {
                message: format!("{name}:{}: {error}", index + 1),
                hint: Some(error.hint()),
            }),
        }
    }
    if problems.is_empty() { Ok(collapse(networks)) } else { Err(problems) }
}

/// Says whether the allowlist takes so many networks.
///
/// # Errors
/// Fails if it does not.
pub fn check_room(networks: usize) -> Result<(), Problem> {
    if networks <= MAX_NETWORKS {
        return Ok(());
    }
    Err(Problem {
        message: format!("{networks} networks, and the allowlist holds at most {MAX_NETWORKS}"),
        hint: Some("replace addresses by the networks they lie in".to_owned()),
    })
}

/// Sorts networks, and takes each once.
#[must_use]
pub fn collapse(mut networks: Vec<IpNet>) -> Vec<IpNet> {
    networks.sort_unstable();
    networks.dedup();
    networks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_holds_networks_comments_and_blank_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("partners.txt");
        let text = "\u{feff}# partners\r\n\r\n203.0.113.7\r\n  2001:db8::/32 # head office\n\t\n203.0.113.7/32\n10.0.0.0/8";
        std::fs::write(&path, text).unwrap();
        let networks: Vec<String> = read(&path).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.0/8", "203.0.113.7/32", "2001:db8::/32"]);
    }

    #[test]
    fn every_line_that_is_no_network_is_named() {
        let problems =
            parse("/etc/x", "10.0.0.1\n300.1.2.3\n# ok\r\n10.1.2.3/24\nhost.example # it\n").unwrap_err();
        let told: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "/etc/x:2: '300.1.2.3' is not an address or a network: 300 is above 255",
                "/etc/x:4: '10.1.2.3/24' is not a network: its address goes on beyond the prefix",
                "/etc/x:5: 'host.example' is not an address or a network: names are never resolved",
            ]
        );
        assert_eq!(
            problems[1].hint.as_deref(),
            Some("write '10.1.2.0/24' for the network, or '10.1.2.3' for the address alone")
        );
    }

    #[test]
    fn a_list_that_is_missing_is_named() {
        let problems = read(Path::new("/nonexistent/list")).unwrap_err();
        assert_eq!(
            problems,
            [Problem {
                message: "cannot read '/nonexistent/list': there is no such file".to_owned(),
                hint: Some("correct the path in 'allow.files', or take it out".to_owned())
            }]
        );
    }

    proptest! {
        #[test]
        fn no_list_panics(text in "([0-9a-f.:/# \r\n\u{feff}]|.){0,200}") {
            drop(parse("list", &text));
        }
    }
}
