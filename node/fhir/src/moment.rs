//! Dates, datetimes and times of FHIR, which may be known to the year, month, day, minute or fraction of a second only.

use std::cmp::Ordering;

/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// What kind of moment a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    Date,
    /// A date, and perhaps a time and a zone.
    DateTime,
    /// `hh:mm`, `hh:mm:ss`, and perhaps a fraction.
    Time,
}

/// A moment as precise as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What it is.
    pub sort: Sort,
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    /// Minutes since midnight.
    minutes: Option<i64>,
    /// Seconds and their fraction, in milliseconds. FHIRPath knows them as one precision.
    millis: Option<i64>,
    /// Whether a fraction was written.
    fraction: bool,
    /// Minutes east of Greenwich.
    zone: Option<i64>,
}

impl Moment {
    /// Reads a date, a datetime or a time.
    pub fn parse(text: &str) -> Option<Self> {
        let (month, day, minutes, millis, zone) = (None, None, None, None, None);
        let nothing = Self { sort: Sort::Time, year: 0, month, day, minutes, millis, fraction: false, zone };
        if text.as_bytes().get(2) == Some(&b':') {
            return nothing.with_time(text);
        }
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let year = number(parts.next()?, 4)?;
        let mut part = || parts.next().map(|part| number(part, 2).ok_or(())).transpose().ok();
        let month = part()?.map(|m| m as u32);
        let day = part()?.map(|d| d as u32);
        let sound = parts.next().is_none()
            && month.is_none_or(|m| (1..=12).contains(&m))
            && day.is_none_or(|d| d >= 1 && d <= last_day(year, month.unwrap_or(1)));
        let date = Self { sort: Sort::Date, year, month, day, ..nothing };
        match time {
            None => sound.then_some(date),
            // A literal of FHIRPath may end with the T.
            Some("") => sound.then_some(Self { sort: Sort::DateTime, ..date }),
            Some(_) if !sound || day.is_none() => None,
            Some(time) => {
                let (time, zone) = split_zone(time)?;
                Self { sort: Sort::DateTime, zone, ..date }.with_time(time)
            }
        }
    }

    fn with_time(self, text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let hour = number(parts.next()?, 2)?;
        let minute = number(parts.next()?, 2)?;
        let millis = parts.next().map(|part| millis(part).ok_or(())).transpose().ok()?;
        let sound = parts.next().is_none() && hour < 24 && minute < 60;
        sound.then_some(Self { minutes: Some(hour * 60 + minute), millis, fraction: text.contains('.'), ..self })
    }

    /// Which is earlier. `None` where one is known less precisely than it takes to tell. Without a zone it is UTC.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if (self.sort == Sort::Time) != (other.sort == Sort::Time) {
            return None;
        }
        let (a, b) = (self.in_utc(), other.in_utc());
        for (a, b) in a.into_iter().zip(b) {
            match (a, b) {
                (Some(a), Some(b)) if a == b => {}
                (Some(a), Some(b)) => return Some(a.cmp(&b)),
                (None, None) => {}
                _ => return None,
            }
        }
        Some(Ordering::Equal)
    }

    fn in_utc(&self) -> [Option<i64>; 5] {
        let shifted = self.minutes.map(|minutes| minutes - self.zone.unwrap_or(0));
        match (self.sort, shifted, self.month, self.day) {
            (Sort::DateTime, Some(minutes), Some(month), Some(day)) => {
                let (year, month, day) = moved(self.year, month, day, minutes.div_euclid(DAY));
                [Some(year), Some(month.into()), Some(day.into()), Some(minutes.rem_euclid(DAY)), self.millis]
            }
            (_, _, month, day) => {
                [Some(self.year), month.map(i64::from), day.map(i64::from), self.minutes, self.millis]
            }
        }
    }

    /// The first or last moment that this may be, written as a moment of that sort.
    pub fn boundary(&self, high: bool, sort: Sort) -> String {
        let or = |low: i64, high_: i64| if high { high_ } else { low };
        let month = self.month.unwrap_or(or(1, 12) as u32);
        let day = self.day.unwrap_or(or(1, last_day(self.year, month).into()) as u32);
        let minutes = self.minutes.unwrap_or(or(0, DAY - 1));
        let within = if self.fraction { 0 } else { or(0, 999) };
        let millis = self.millis.map_or(or(0, 59_999), |millis| millis + within);
        let date = format!("{:04}-{month:02}-{day:02}", self.year);
        let time = format!("{:02}:{:02}:{:02}.{:03}", minutes / 60, minutes % 60, millis / 1000, millis % 1000);
        match sort {
            Sort::Date => date,
            Sort::Time => time,
            Sort::DateTime => {
                // The earliest moment of a day is where the day begins first, at UTC+14.
                let zone = self.zone.unwrap_or(or(14 * 60, -12 * 60));
                let sign = if zone < 0 { '-' } else { '+' };
                format!("{date}T{time}{sign}{:02}:{:02}", zone.abs() / 60, zone.abs() % 60)
            }
        }
    }
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn millis(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds = number(whole, 2).filter(|seconds| *seconds <= 60)?;
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("00".chars()).take(3).collect();
    Some(seconds * 1000 + number(&thousandths, 3)?)
}

fn split_zone(time: &str) -> Option<(&str, Option<i64>)> {
    if let Some(time) = time.strip_suffix('Z') {
        return Some((time, Some(0)));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, None)) };
    let (time, zone) = time.split_at(at);
    let (hours, minutes) = zone[1..].split_once(':')?;
    let minutes = number(hours, 2)? * 60 + number(minutes, 2)?;
    Some((time, Some(if zone.starts_with('-') { -minutes } else { minutes })))
}

fn last_day(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A zone moves a date by one day at most.
fn moved(year: i64, month: u32, day: u32, days: i64) -> (i64, u32, u32) {
    match days {
        0 => (year, month, day),
        1.. if day < last_day(year, month) => (year, month, day + 1),
        1.. if month < 12 => (year, month + 1, 1),
        1.. => (year + 1, 1, 1),
        _ if day > 1 => (year, month, day - 1),
        _ if month > 1 => (year, month - 1, last_day(year, month - 1)),
        _ => (year - 1, 12, 31),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(a: &str, b: &str) -> Option<Ordering> {
        Moment::parse(a).unwrap().compare(&Moment::parse(b).unwrap())
    }

    #[test]
    fn moments_are_compared_as_far_as_both_are_known() {
        assert_eq!(compare("2020-01-31", "2020-02"), Some(Ordering::Less));
        assert_eq!(compare("2020-01-31", "2020-01"), None);
        assert_eq!(compare("2020", "2020"), Some(Ordering::Equal));
        assert_eq!(compare("2020-01-01T10:00", "2020-01-01T10:00:01Z"), None);
        assert_eq!(compare("2020-01-01T10:00:00", "2020-01-01T10:00:00.000Z"), Some(Ordering::Equal));
        assert_eq!(compare("10:00", "10:01"), Some(Ordering::Less));
        assert_eq!(compare("10:00", "2020"), None);
    }

    #[test]
    fn zones_move_a_moment_over_the_ends_of_days_months_and_years() {
        let same = [
            ("2020-12-31T23:30:00-01:00", "2021-01-01T00:30:00Z"),
            ("2020-03-01T00:30:00+01:00", "2020-02-29T23:30:00Z"),
            ("2021-01-01T00:00:00+14:00", "2020-12-31T10:00:00Z"),
            ("2020-01-30T23:00:00-02:00", "2020-01-31T01:00:00Z"),
        ];
        for (a, b) in same {
            assert_eq!(compare(a, b), Some(Ordering::Equal), "{a} {b}");
        }
    }

    #[test]
    fn boundaries_fill_what_is_not_known() {
        let boundary = |text: &str, high| {
            let moment = Moment::parse(text).unwrap();
            moment.boundary(high, moment.sort)
        };
        assert_eq!(boundary("2020-02", true), "2020-02-29");
        assert_eq!(boundary("2020", false), "2020-01-01");
        assert_eq!(boundary("12:34", true), "12:34:59.999");
        assert_eq!(boundary("2020-01-01T10:00+01:30", true), "2020-01-01T10:00:59.999+01:30");
        assert_eq!(
            (boundary("12:34:05", true), boundary("12:34:05.1", true)),
            ("12:34:05.999".into(), "12:34:05.100".into())
        );
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for bad in
            ["", "20", "2020-13", "2020-02-30", "2020-1-1", "2020-01T10:00", "24:00", "10:61", "2020-01-01T", "x"]
        {
            let parsed = Moment::parse(bad);
            assert!(parsed.is_none() || bad.ends_with('T'), "{bad}: {parsed:?}");
        }
    }
}
