//! Reads the time that a line's header tells.
//!
//! | as | in | zone and year |
//! |---|---|---|
//! | `2026-11-23T03:12:01.123456+00:00` | RFC 3339, RFC 5424, rsyslog's default | exact; without an offset, the zone given |
//! | `Nov 23 03:12:01` | RFC 3164 | the zone given; the latest year that fits |
//! | `Nov 23 2026 03:12:01`, `Mon Nov 23 03:12:01 2026` | variants that name the year | the zone given |
//!
//! Where a clock was set back (the end of summer time), an hour comes twice: then the later of the two is meant, if it
//! is not in the future.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Reads times in one zone. A line most often has the time of the one before, to the second or wholly: that is
/// remembered.
#[derive(Debug)]
pub struct Times {
    zone: TimeZone,
    last: Option<Last>,
}

/// What was read last.
#[derive(Debug)]
struct Last {
    stamp: Vec<u8>,
    latest: Timestamp,
    time: Option<Timestamp>,
}

impl Times {
    /// Makes one for logs whose times, where they name no zone, are those of `zone`.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, last: None }
    }

    /// Reads a time; none if it is none. Where the year is not told, it is the one that makes it the latest time not after
    /// `latest`; a time that tells everything may be after it.
    pub fn read(&mut self, stamp: &[u8], latest: Timestamp) -> Option<Timestamp> {
        if let Some(last) = &self.last
            && last.stamp == stamp
            && (last.latest == latest || last.holds_at(latest))
        {
            return last.time;
        }
        let time = read(stamp, &self.zone, latest);
        let last = self.last.get_or_insert_with(|| Last { stamp: Vec::new(), latest, time });
        last.stamp.clear();
        last.stamp.extend_from_slice(stamp);
        (last.latest, last.time) = (latest, time);
        time
    }
}

impl Last {
    /// Whether the year that was found is still the latest: the next one that fits is 365 days later at least.
    fn holds_at(&self, latest: Timestamp) -> bool {
        let age = self.time.map(|time| latest.duration_since(time));
        self.latest <= latest && age.is_some_and(|age| age < jiff::SignedDuration::from_hours(364 * 24))
    }
}

fn read(stamp: &[u8], zone: &TimeZone, latest: Timestamp) -> Option<Timestamp> {
    match stamp.first()? {
        b'0'..=b'9' => rfc3339(stamp, zone, latest),
        _ => named_month(stamp, zone, latest),
    }
}

/// `yyyy-mm-ddThh:mm:ss[.fraction][Z|±hh:mm]`.
fn rfc3339(stamp: &[u8], zone: &TimeZone, latest: Timestamp) -> Option<Timestamp> {
    let (date, rest) = stamp.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let date = Date::new(year, number(&[*m1, *m2])?, number(&[*d1, *d2])?).ok()?;
    let [b'T' | b't' | b' ', rest @ ..] = rest else { return None };
    let (clock, rest) = rest.split_at_checked(8)?;
    let (nanosecond, rest) = fraction(rest)?;
    let civil = at(date, clock, nanosecond)?;
    let offset = match rest {
        [] => return resolve(civil, zone, latest),
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            let hours: i32 = number(&[*h1, *h2])?;
            let minutes: i32 = number(&[*m1, *m2])?;
            let seconds = (hours * 60 + minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    jiff::tz::Offset::from_seconds(offset).ok()?.to_timestamp(civil).ok()
}

/// `[Www ]Mmm dd [yyyy ]hh:mm:ss[.fraction][ yyyy]`, the day padded or not.
fn named_month(stamp: &[u8], zone: &TimeZone, latest: Timestamp) -> Option<Timestamp> {
    let mut words = stamp.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut word = words.next()?;
    if WEEKDAYS.contains(&word) {
        word = words.next()?;
    }
    let month = (1_i8..).zip(MONTHS).find(|(_, name)| *name == word).map(|(month, _)| month)?;
    let day: i8 = number(words.next()?)?;
    let mut clock = words.next()?;
    let mut year = None;
    if let [_, _, _, _] = clock {
        year = Some(number::<i16>(clock)?);
        clock = words.next()?;
    }
    if let Some(last) = words.next() {
        let told = number::<i16>(last).filter(|_| last.len() == 4 && year.is_none())?;
        year = Some(told);
    }
    if words.next().is_some() {
        return None;
    }
    let (clock, rest) = clock.split_at_checked(8)?;
    let (nanosecond, []) = fraction(rest)? else { return None };
    let on = |year| at(Date::new(year, month, day).ok()?, clock, nanosecond);
    if let Some(year) = year {
        return resolve(on(year)?, zone, latest);
    }
    // No two leap years are further apart (1896 and 1904).
    let this_year = zone.to_datetime(latest).year();
    (this_year.saturating_sub(8)..=this_year.saturating_add(1))
        .rev()
        .filter_map(|year| resolve(on(year)?, zone, latest))
        .find(|time| *time <= latest)
}

/// `hh:mm:ss` of a day; a leap second is the one before it.
fn at(date: Date, clock: &[u8], nanosecond: i32) -> Option<DateTime> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let second: i8 = number(&[*s1, *s2])?;
    let second = if second == 60 { 59 } else { second };
    let (hour, minute) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    Some(DateTime::from_parts(date, jiff::civil::Time::new(hour, minute, second, nanosecond).ok()?))
}

/// Strips `.fraction`, of up to nine digits.
fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let [b'.' | b',', rest @ ..] = text else { return Some((0, text)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value: i32 = number(rest.get(..digits).filter(|_| (1..=9).contains(&digits))?)?;
    let scale = (digits..9).fold(1, |scale, _| scale * 10);
    Some((value * scale, &rest[digits..]))
}

/// The moment of a wall clock's time.
fn resolve(civil: DateTime, zone: &TimeZone, latest: Timestamp) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    let later = ambiguous.later().ok()?;
    if later <= latest { Some(later) } else { ambiguous.earlier().ok() }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    let all = digits.iter().all(u8::is_ascii_digit);
    if all { str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

const WEEKDAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests;
