//! The times of lines.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::parse::time::Times;

/// Reads times one after the other; what was read before changes none, and one without a year has come.
pub fn read(data: &[u8]) {
    let Some(([zone, hours, seconds @ ..], stamps)) = data.split_first_chunk::<6>() else { return };
    let zone = zones()[usize::from(*zone) % ZONES.len()].clone();
    // From 1970 to 2106, and on or back by some hours from one line to the next.
    let latest = Timestamp::from_second(u32::from_be_bytes(*seconds).into()).expect("it is of this age");
    let step = SignedDuration::from_hours(i64::from(*hours as i8) * 99);
    let mut times = Times::new(zone.clone());
    let mut latest = latest;
    for stamp in stamps.split(|byte| *byte == b'\n') {
        let alone = Times::new(zone.clone()).read(stamp, latest);
        let told = stamp.escape_ascii();
        assert_eq!(times.read(stamp, latest), alone, "'{told}'");
        assert_eq!(times.read(stamp, latest), alone, "'{told}' again");
        let names_a_year = stamp.first().is_some_and(u8::is_ascii_digit)
            || stamp.split(|byte| *byte == b' ').any(|word| word.len() == 4);
        if let Some(time) = alone.filter(|_| !names_a_year) {
            assert!(time <= latest, "'{told}' is {time}, after {latest}");
        }
        latest = latest.checked_add(step).unwrap_or(latest);
    }
}

const ZONES: [&str; 4] = [
    "UTC0",
    // Berlin, with summer time; Auckland, a day ahead; and one that is no whole hour off.
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "NZST-12NZDT,M9.5.0,M4.1.0/3",
    "NST3:30NDT,M3.2.0,M11.1.0",
];

fn zones() -> &'static [TimeZone; 4] {
    static READ: std::sync::LazyLock<[TimeZone; 4]> =
        std::sync::LazyLock::new(|| ZONES.map(|zone| TimeZone::posix(zone).expect("it is one of POSIX")));
    &READ
}
