use proptest::prelude::*;

use super::*;

fn utc(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn told(stamp: &str, zone: &TimeZone, latest: &str) -> Option<String> {
    Times::new(zone.clone()).read(stamp.as_bytes(), utc(latest)).map(|time| time.to_string())
}

#[test]
fn a_time_of_rfc_3339_is_exact() {
    for (stamp, time) in [
        ("2026-11-23T03:12:01+00:00", "2026-11-23T03:12:01Z"),
        ("2026-11-23T03:12:01Z", "2026-11-23T03:12:01Z"),
        ("2026-11-23T03:12:01.123456+01:00", "2026-11-23T02:12:01.123456Z"),
        ("2026-11-23T03:12:01.5-05:30", "2026-11-23T08:42:01.5Z"),
        ("2026-11-23T03:12:01+0100", "2026-11-23T02:12:01Z"),
        ("2026-11-23T23:59:60Z", "2026-11-23T23:59:59Z"),
        // It says all: it is believed though it lies ahead.
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ] {
        assert_eq!(
            told(stamp, &zone("Asia/Tokyo"), "2026-11-23T12:00:00Z").as_deref(),
            Some(time),
            "{stamp}"
        );
    }
}

#[test]
fn a_time_without_a_zone_is_in_the_one_given() {
    for stamp in
        ["Nov 23 03:12:01", "2026-11-23T03:12:01", "Nov 23 2026 03:12:01", "Mon Nov 23 03:12:01 2026"]
    {
        let told = told(stamp, &zone("Asia/Tokyo"), "2026-11-23T12:00:00Z");
        assert_eq!(told.as_deref(), Some("2026-11-22T18:12:01Z"), "{stamp}");
    }
}

#[test]
fn a_year_that_is_not_told_makes_it_the_latest_time_that_has_come() {
    for (stamp, latest, time) in [
        ("Nov 23 03:12:01", "2026-11-23T03:12:01Z", "2026-11-23T03:12:01Z"),
        ("Nov 23 03:12:01", "2026-11-23T03:12:00Z", "2025-11-23T03:12:01Z"),
        ("Dec 31 23:59:59", "2027-01-01T00:00:01Z", "2026-12-31T23:59:59Z"),
        ("Jan  1 00:00:00", "2027-01-01T00:00:01Z", "2027-01-01T00:00:00Z"),
        ("Feb 29 12:00:00", "2027-01-01T00:00:01Z", "2024-02-29T12:00:00Z"),
        ("Feb 29 12:00:00", "1903-01-01T00:00:01Z", "1896-02-29T12:00:00Z"),
        ("Nov 3 3:12:01", "2026-11-23T03:12:01Z", ""),
        ("Nov 3 03:12:01", "2026-11-23T03:12:01Z", "2026-11-03T03:12:01Z"),
        ("Nov 03 03:12:01", "2026-11-23T03:12:01Z", "2026-11-03T03:12:01Z"),
    ] {
        assert_eq!(told(stamp, &TimeZone::UTC, latest).unwrap_or_default(), time, "{stamp}, {latest}");
    }
    // The year is that of the zone: in Auckland it has begun already.
    let told = told("Jan  1 00:30:00", &zone("Pacific/Auckland"), "2026-12-31T12:00:00Z");
    assert_eq!(told.as_deref(), Some("2026-12-31T11:30:00Z"));
}

#[test]
fn an_hour_that_comes_twice_is_the_later_one_once_that_has_come() {
    let berlin = zone("Europe/Berlin");
    for (latest, time) in
        [("2026-10-25T00:45:00Z", "2026-10-25T00:30:00Z"), ("2026-10-25T02:00:00Z", "2026-10-25T01:30:00Z")]
    {
        assert_eq!(told("Oct 25 02:30:00", &berlin, latest).as_deref(), Some(time), "{latest}");
    }
    // An hour that never was, in spring, is the one after it.
    assert_eq!(
        told("Mar 29 02:30:00", &berlin, "2026-10-25T00:45:00Z").as_deref(),
        Some("2026-03-29T01:30:00Z")
    );
}

#[test]
fn what_is_no_time_is_none() {
    for stamp in [
        "",
        "Nov",
        "Nov 23",
        "Foo 23 03:12:01",
        "Nov 31 03:12:01",
        "Nov 23 24:00:00",
        "Nov 23 03:12",
        "2026-13-01T00:00:00Z",
        "2026-11-23T03:12:01+1",
        "2026-11-23T03:12:01.Z",
        "2026-11-23",
        "1700000000",
        "Nov 23 03:12:01 2026 x",
        "Nov 23 2026 03:12:01 2026",
        "Nov 23 03:12:01.",
        "Nov 23 03:12:01+01:00",
    ] {
        assert_eq!(told(stamp, &TimeZone::UTC, "2026-11-23T12:00:00Z"), None, "{stamp}");
    }
}

#[test]
fn what_is_remembered_is_forgotten_when_time_has_gone_on() {
    let mut times = Times::new(TimeZone::UTC);
    let mut read = |latest: &str| times.read(b"Nov 23 03:12:01", utc(latest)).unwrap().to_string();
    assert_eq!(read("2026-11-23T03:12:00Z"), "2025-11-23T03:12:01Z");
    assert_eq!(read("2026-11-23T03:12:02Z"), "2026-11-23T03:12:01Z");
    assert_eq!(read("2026-11-23T03:12:03Z"), "2026-11-23T03:12:01Z");
    assert_eq!(read("2026-11-23T03:12:00Z"), "2025-11-23T03:12:01Z");
}

proptest! {
    #[test]
    fn every_time_is_read_as_it_was_written(seconds in 0_i64..4_000_000_000, shift in -86_000_i32..86_000) {
        let time = Timestamp::from_second(seconds).unwrap();
        let zone = jiff::tz::Offset::from_seconds(shift / 60 * 60).unwrap().to_time_zone();
        let civil = zone.to_datetime(time);
        let mut times = Times::new(zone.clone());
        for stamp in [
            civil.strftime("%b %e %H:%M:%S").to_string(),
            civil.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        ] {
            prop_assert_eq!(times.read(stamp.as_bytes(), time), Some(time), "{}", stamp);
        }
    }

    #[test]
    fn no_bytes_break_it(stamp: Vec<u8>, text in "[A-Z0-9][a-z0-9: .TZ+-]{0,40}") {
        let mut times = Times::new(TimeZone::UTC);
        let latest = Timestamp::UNIX_EPOCH;
        for stamp in [&stamp[..], text.as_bytes()] {
            let first = times.read(stamp, latest);
            prop_assert_eq!(times.read(stamp, latest), first);
        }
    }
}
