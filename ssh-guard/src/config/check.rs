//! From the configuration as it is written to what it means.

use std::fmt::Display;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Document;
use super::interface::Interfaces;
use super::place::Place;
use super::port::Ports;
use super::problem::{ConfigError, Problem};
use super::settings::{ControlSettings, EventsSettings, GuardSettings, LimitSettings, Operators, Settings};
use super::{Config, Control, Guard, Limits, duration};
use crate::policy::Rules;

mod allow;
mod block;
mod input;
mod pattern;
mod policy;

/// Understands the values of `config`, which came from `document`, and reads the lists that it names.
///
/// # Errors
/// Fails with every value that its key does not allow, and with every line of a list that is no network.
pub fn settings(config: &Config, document: &Document<'_>) -> Result<Settings, ConfigError> {
    let mut check = Check { document, problems: Vec::new() };
    let guard = check.guard(&config.guard);
    let policy = check.policy(&config.policy);
    let allow = check.allow(&config.allow);
    let block = check.block(&config.block);
    let patterns = check.patterns(&config.pattern);
    let inputs = check.inputs(config, patterns.as_deref().unwrap_or_default());
    let limits = check.limits(&config.limits);
    let listen = check.allowed(&Place::of("observe.listen"), config.observe.listen.parse().ok());
    let blind_after = match config.observe.blind_after.as_str() {
        "never" => Some(None),
        time => check.time(&Place::of("observe.blind-after"), time).map(Some),
    };
    let control = check.control(&config.control);
    let store = check.path(&Place::of("store.path"), &config.store.path, |path| !path.ends_with('/'));
    let settings = || {
        let (guard, policy, limits) = (guard?, policy?, limits?);
        let (capacity, evidence) = (limits.sources.get() as usize, limits.evidence as usize);
        let policy = Rules { mask: guard.mask(), capacity, evidence, ..policy };
        Some(Settings {
            guard,
            policy,
            allow: allow?,
            block: block?,
            inputs: inputs?,
            patterns: patterns?,
            limits,
            listen: listen?,
            blind_after: blind_after?,
            control: control?,
            store: store?,
        })
    };
    match (ConfigError::gather(check.problems), settings()) {
        (None, Some(settings)) => Ok(settings),
        (Some(error), _) => Err(error),
        (None, None) => unreachable!("a value is refused with a problem"),
    }
}

/// The check of one configuration: every method gives what a value means, or notes why it means nothing.
struct Check<'c, 't> {
    document: &'c Document<'t>,
    problems: Vec<Problem>,
}

impl Check<'_, '_> {
    fn guard(&mut self, guard: &Guard) -> Option<GuardSettings> {
        let interfaces_at = Place::of("guard.interfaces");
        let interfaces = Interfaces::parse(&guard.interfaces)
            .map_err(|error| self.note(&interfaces_at, &error, Some(error.hint().to_owned())))
            .ok();
        let ports = self.ports(&guard.ports);
        let mode = self.allowed(&Place::of("guard.mode"), guard.mode.parse().ok());
        // A network shorter than /24 is not routed by itself on the internet, so a /24 has one owner; a /48 is what
        // one site gets (RFC 6177).
        let ipv4_prefix = self.whole("guard.ipv4-prefix", guard.ipv4_prefix, 24..=32);
        let ipv6_prefix = self.whole("guard.ipv6-prefix", guard.ipv6_prefix, 48..=128);
        let operators = self.operators(&guard.operators);
        // The bpf file system takes no name with a dot in it (`bpf_lookup` in kernel/bpf/inode.c).
        let pin_path = self.path(&Place::of("guard.pin-path"), &guard.pin_path, |path| !path.contains('.'));
        Some(GuardSettings {
            interfaces: interfaces?,
            ports: ports?,
            mode: mode?,
            dry_run: guard.dry_run,
            ipv4_prefix: ipv4_prefix?,
            ipv6_prefix: ipv6_prefix?,
            operators: operators?,
            pin_path: pin_path?,
        })
    }

    /// Whether an account or a group of that name exists is not asked: it may be made later.
    fn operators(&mut self, names: &[String]) -> Option<Operators> {
        let at = Place::of("guard.operators");
        let mut operators = Operators::default();
        for (index, name) in names.iter().enumerate() {
            let (group, name) = match name.strip_prefix('%') {
                Some(group) => (true, group),
                None => (false, name.as_str()),
            };
            let name = self.allowed(&at.element(index), Some(name).filter(|name| is_account(name)))?;
            let of_kind = if group { &mut operators.groups } else { &mut operators.accounts };
            of_kind.push(name.to_owned());
        }
        Some(operators)
    }

    fn ports(&mut self, ports: &[i64]) -> Option<Ports> {
        let at = Place::of("guard.ports");
        let ports: Vec<Option<NonZeroU16>> = ports
            .iter()
            .enumerate()
            .map(|(index, port)| {
                let port = u16::try_from(*port).ok().and_then(NonZeroU16::new);
                self.allowed(&at.element(index), port)
            })
            .collect();
        let ports = ports.into_iter().collect::<Option<Vec<_>>>()?;
        Ports::new(ports).map_err(|error| self.note(&at, &error, None)).ok()
    }

    fn limits(&mut self, limits: &Limits) -> Option<LimitSettings> {
        let blocklist: Option<u32> = self.whole("limits.blocklist", limits.blocklist, 1_024..=4_194_304);
        let networks: Option<u32> = self.whole("limits.networks", limits.networks, 1_024..=1_048_576);
        let sources: Option<u32> = self.whole("limits.sources", limits.sources, 1_024..=4_194_304);
        let sessions: Option<u32> = self.whole("limits.sessions", limits.sessions, 1_024..=4_194_304);
        // A hundred times a second is as often as the slowest of the kernel's clocks ticks.
        let new_sessions =
            self.whole("limits.new-sessions-per-minute", limits.new_sessions_per_minute, 0..=6_000);
        // More sessions than ports come from no address.
        let open_sessions = self.whole("limits.open-sessions", limits.open_sessions, 0..=65_535);
        let unauthenticated_sessions =
            self.whole("limits.unauthenticated-sessions", limits.unauthenticated_sessions, 0..=1_000_000);
        let evidence = self.whole("limits.evidence", limits.evidence, 0..=4_194_304);
        let line_bytes: Option<usize> = self.whole("limits.line-bytes", limits.line_bytes, 1_024..=65_536);
        Some(LimitSettings {
            blocklist: blocklist?.try_into().ok()?,
            networks: networks?.try_into().ok()?,
            sources: sources?.try_into().ok()?,
            sessions: sessions?.try_into().ok()?,
            new_sessions_per_minute: new_sessions?,
            open_sessions: open_sessions?,
            unauthenticated_sessions: unauthenticated_sessions?,
            evidence: evidence?,
            line_bytes: line_bytes?.try_into().ok()?,
        })
    }

    fn control(&mut self, control: &Control) -> Option<ControlSettings> {
        // `sun_path` holds 108 bytes with its NUL (unix(7)).
        let socket = self.path(&Place::of("control.socket"), &control.socket, |path| path.len() <= 107);
        let group = Some(control.group.clone()).filter(|group| is_group(group));
        let group = self.allowed(&Place::of("control.group"), group);
        let events = match control.events_group.as_str() {
            "" => None,
            group => Some(self.events(group, socket.as_deref()?)?),
        };
        Some(ControlSettings { socket: socket?, group: group?, events })
    }

    fn events(&mut self, group: &str, control: &Path) -> Option<EventsSettings> {
        let at = Place::of("control.events-group");
        let group = self.allowed(&at, Some(group.to_owned()).filter(|group| is_group(group)))?;
        let socket = control.with_file_name(EventsSettings::SOCKET);
        if control == socket || socket.as_os_str().len() > 107 {
            let hint = format!("give 'control.socket' another name than '{}'", EventsSettings::SOCKET);
            let what = format!("the socket of its members would be '{}', which cannot be", socket.display());
            self.note(&at, &what, Some(hint));
            return None;
        }
        Some(EventsSettings { socket, group })
    }

    fn time(&mut self, place: &Place, text: &str) -> Option<Duration> {
        self.allowed(place, duration::parse(text).ok())
    }

    fn path(&mut self, place: &Place, path: &str, fits: impl Fn(&str) -> bool) -> Option<PathBuf> {
        let fits = path.starts_with('/') && path.len() > 1 && !path.contains('\0') && fits(path);
        self.allowed(place, fits.then(|| PathBuf::from(path)))
    }

    fn whole<T: TryFrom<i64>>(&mut self, key: &str, number: i64, range: RangeInclusive<i64>) -> Option<T> {
        let number = range.contains(&number).then_some(number);
        self.allowed(&Place::of(key), number.and_then(|number| T::try_from(number).ok()))
    }

    /// Notes that the key does not allow the value at `place`, if it has no meaning.
    fn allowed<T>(&mut self, place: &Place, meaning: Option<T>) -> Option<T> {
        if meaning.is_none() {
            self.problems.push(self.document.not_allowed(place));
        }
        meaning
    }

    fn note(&mut self, place: &Place, what: &impl Display, hint: Option<String>) {
        self.problems.push(self.document.problem(place, &format!("'{place}': {what}"), hint));
    }
}

/// Whether it can name an account or a group in any directory: passwd(5) separates by colons and lines, and directories
/// have names with blanks and backslashes in them.
fn is_account(name: &str) -> bool {
    (1..=256).contains(&name.len())
        && name.trim() == name
        && !name.starts_with('%')
        && !name.contains(|letter: char| letter == ':' || letter.is_control())
}

/// Whether it can name a group: what groupadd(8) takes.
fn is_group(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte))
}
