//! Dates and datetimes as text, without a clock: ISO 8601, dates without a zone, datetimes in UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.signed_duration_since(NaiveDate::default()).num_days() as i32)
}

/// Why a text that has the form of a day is none: the month or the day that there is not.
pub fn no_such_day(text: &str) -> Option<String> {
    let day = text.get(..10).filter(|_| text.len() == 10 || text[10..].starts_with(['T', ' ']))?;
    let mut parts =
        day.split('-').map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u32>().ok())?);
    let (Some(Some(year)), Some(Some(month)), Some(Some(of_month)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    if !(1..=12).contains(&month) {
        return Some(format!("there is no month {month:02}"));
    }
    parse_date(day).is_none().then(|| format!("there is no day {of_month:02} in {year:04}-{month:02}"))
}

/// Milliseconds since 1970-01-01T00:00:00Z of `YYYY-MM-DDThh:mm:ss[.fff]`, with `Z`, an offset, or nothing (then UTC).
pub fn parse_datetime(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    Some(naive.and_utc().timestamp_millis())
}

/// `YYYY-MM-DD` of days since 1970-01-01.
pub fn date_text(days: i32) -> String {
    match DateTime::from_timestamp(i64::from(days) * 86_400, 0) {
        Some(time) => time.format("%Y-%m-%d").to_string(),
        None => format!("day {days}"),
    }
}

/// Seconds of `90s`, `10m`, `2h` or `14d`.
pub fn parse_duration_secs(text: &str) -> Option<i64> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|n| i64::from(n) * factor)
}

/// A time as [`parse_duration_secs`] reads it, in the largest unit that has no remainder.
pub fn duration_text(secs: i64) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    let (factor, unit) = units.into_iter().find(|(factor, _)| secs % factor == 0).unwrap_or((1, 's'));
    format!("{}{unit}", secs / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_read_in_utc() {
        assert_eq!(parse_date("1970-01-02"), Some(1));
        assert_eq!(parse_date("1969-12-31"), Some(-1));
        assert_eq!(date_text(19_782), "2024-02-29");
        assert_eq!(parse_datetime("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_datetime("1970-01-01 00:00:01.5"), Some(1500));
        for bad in ["2023-02-29", "2023-2-1", "01.02.2023", "", "+2023-01-1"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_day_that_no_month_has_is_said_so_and_what_is_no_day_at_all_is_not() {
        assert_eq!(no_such_day("2010-13-01").as_deref(), Some("there is no month 13"));
        assert_eq!(no_such_day("2023-02-29").as_deref(), Some("there is no day 29 in 2023-02"));
        assert_eq!(no_such_day("2023-00-29T10:00:00Z").as_deref(), Some("there is no month 00"));
        for other in ["2023-02-28", "soon", "01.02.2023", "2023-02-1", "2023-02-299", "", "ünicode-ünicode"] {
            assert_eq!(no_such_day(other), None, "{other}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration_secs("10m"), Some(600));
        for text in ["90s", "10m", "36h", "14d"] {
            assert_eq!(parse_duration_secs(text).map(duration_text).as_deref(), Some(text));
        }
        assert_eq!(parse_duration_secs("14d"), Some(1_209_600));
        for bad in ["", "m", "10", "-1s", "1.5h", "10 é"] {
            assert_eq!(parse_duration_secs(bad), None, "{bad}");
        }
    }
}
