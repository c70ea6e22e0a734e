//! Hours of the day in which no study begins, by the clock of a place: each moment is held against what that clock shows, so an hour that it shows
//! twice in autumn is quiet both times, and one that it leaves out in spring is no time at all.

use std::fmt;
use std::str::FromStr;

use bocage_protocol::env::Timestamp;
use bocage_protocol::settings::nearest;
use chrono::{DateTime, SecondsFormat, Timelike};
use chrono_tz::{TZ_VARIANTS, Tz};
use serde::{Serialize, Serializer};

const MINUTE_MS: i64 = 60_000;

/// Minutes in which hours that end at all have ended: two days, since a clock may be put back in them.
const MINUTES_MOST: i64 = 2 * 24 * 60;

/// Quiet hours of every day, in minutes since midnight; they may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quiet {
    /// The first minute.
    from: u16,
    /// The minute after the last one.
    to: u16,
    /// By whose clock. Hours in UTC are written without it, as they were when there was nothing else: the policy's version is the same.
    #[serde(serialize_with = "name", skip_serializing_if = "is_utc")]
    zone: Tz,
}

/// Why a text is no quiet hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuietError {
    /// It has another form.
    #[error("not HH:MM-HH:MM, with or without a time zone")]
    Form,
    /// They keep nothing back.
    #[error("begins and ends at the same minute")]
    Empty,
    /// No clock is called so.
    #[error("unknown time zone `{0}`")]
    Zone(String),
}

impl QuietError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Form => "hours of the day in UTC, quiet = [\"22:00-06:00\"], or by the clock of a place, \
                           quiet = [\"22:00-06:00 Europe/Berlin\"]"
                .to_owned(),
            Self::Empty => {
                "hours of no length keep nothing back; pause the node, or set decide = \"refuse\", to answer nothing"
                    .to_owned()
            }
            Self::Zone(text) => match meant(text) {
                Some(zone) => format!("did you mean `{zone}`?"),
                None => "a place of IANA's list of time zones, e.g. Europe/Berlin; without one the hours are UTC's"
                    .to_owned(),
            },
        }
    }
}

/// The place that a text may mean: a city without its continent, or one that is written like it.
fn meant(text: &str) -> Option<&'static str> {
    // Abbreviations and offsets move no clock in spring: whoever wrote one wants to hear of a place.
    let places =
        || TZ_VARIANTS.iter().map(|zone| zone.name()).filter(|name| name.contains('/') && !name.starts_with("Etc"));
    let city = |name: &str| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
    places().find(|name| city(name)).or_else(|| nearest(text, places()))
}

impl FromStr for Quiet {
    type Err = QuietError;

    /// Reads `22:00-06:00` or `22:00-06:00 Europe/Berlin`.
    fn from_str(text: &str) -> Result<Self, QuietError> {
        let (hours, zone) = match *text.split_whitespace().collect::<Vec<_>>() {
            [hours] => (hours, None),
            [hours, zone] => (hours, Some(zone)),
            _ => return Err(QuietError::Form),
        };
        let (from, to) = hours.split_once('-').ok_or(QuietError::Form)?;
        let (from, to) = minute(from).zip(minute(to)).ok_or(QuietError::Form)?;
        if from == to {
            return Err(QuietError::Empty);
        }
        let zone = zone.map_or(Ok(Tz::UTC), |name| name.parse().map_err(|_| QuietError::Zone(name.to_owned())))?;
        Ok(Self { from, to, zone })
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl Quiet {
    /// Whether a moment is quiet. One beyond every calendar is.
    pub fn holds(self, at: Timestamp) -> bool {
        self.local(at).is_none_or(|local| {
            let minute = (local.hour() * 60 + local.minute()) as u16;
            if self.from < self.to {
                (self.from..self.to).contains(&minute)
            } else {
                minute >= self.from || minute < self.to
            }
        })
    }

    /// The first full minute after `now` at which none of these hours are quiet; none where together they are all day.
    pub fn end(hours: &[Self], now: Timestamp) -> Option<Timestamp> {
        let minute = now.0.div_euclid(MINUTE_MS);
        // Clocks are moved at full minutes, so nothing begins or ends between two.
        (1..=MINUTES_MOST)
            .map(|more| Timestamp(minute.saturating_add(more).saturating_mul(MINUTE_MS)))
            .find(|at| !hours.iter().any(|quiet| quiet.holds(*at)))
    }

    /// A moment as the clock of these hours shows it, with its distance from UTC.
    pub fn clock(self, at: Timestamp) -> String {
        self.local(at).map_or_else(|| at.to_string(), |local| local.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    fn local(self, at: Timestamp) -> Option<DateTime<Tz>> {
        Some(DateTime::from_timestamp_millis(at.0)?.with_timezone(&self.zone))
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, zone } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02} {}", from / 60, from % 60, to / 60, to % 60, zone.name())
    }
}

fn name<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.name())
}

fn is_utc(zone: &Tz) -> bool {
    *zone == Tz::UTC
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUARTER_MS: i64 = 15 * MINUTE_MS;

    /// Clocks that are moved in March and October, in the south, at other hours, by half an hour, for Ramadan, and not at all.
    const ZONES: [&str; 8] = [
        "Europe/Berlin",
        "America/New_York",
        "America/Santiago",
        "Africa/Casablanca",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "UTC",
    ];

    fn quiet(text: &str) -> Quiet {
        text.parse().unwrap()
    }

    fn moment(text: &str) -> Timestamp {
        Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    /// What a person does who looks at the clock on the wall.
    fn looks(hours: &str, shown: &str) -> bool {
        let (from, to) = hours.split_once('-').unwrap();
        if from < to { from <= shown && shown < to } else { from <= shown || shown < to }
    }

    #[test]
    fn quiet_hours_may_go_over_midnight_and_nonsense_is_none() {
        let night = quiet("22:00-06:00");
        let at = |h: i64, m: i64| Timestamp((h * 60 + m) * MINUTE_MS);
        for (minute, holds) in [(at(21, 59), false), (at(22, 0), true), (at(0, 0), true), (at(5, 59), true)] {
            assert_eq!(night.holds(minute), holds, "{minute}");
        }
        assert!(!night.holds(at(6, 0)));
        let noon = quiet("12:00-13:30");
        assert!(noon.holds(at(13, 29)) && !noon.holds(at(13, 30)) && !noon.holds(at(11, 59)));
        assert!(noon.holds(Timestamp(i64::MAX)) && Quiet::end(&[noon], Timestamp(i64::MAX)).is_none());
        for wrong in [
            "",
            "22:00",
            "22-06",
            "22:00-24:00",
            "22:60-23:00",
            "9:00-10:00",
            "+1:00-02:00",
            "x-x",
            "22:00 - 06:00",
            "Europe/Berlin",
            "22:00-06:00 Europe/Berlin now",
        ] {
            assert_eq!(wrong.parse::<Quiet>(), Err(QuietError::Form), "{wrong}");
        }
        assert_eq!("10:00-10:00 UTC".parse::<Quiet>(), Err(QuietError::Empty));
        assert_eq!(night.to_string(), "22:00-06:00 UTC");
        assert_eq!(quiet("22:00-06:00 UTC"), night);
        assert_eq!(quiet("22:00-06:00  Europe/Berlin").to_string(), "22:00-06:00 Europe/Berlin");
    }

    #[test]
    fn a_zone_that_is_none_is_told_the_place_that_was_meant() {
        let hint = |zone: &str| format!("22:00-06:00 {zone}").parse::<Quiet>().unwrap_err().hint();
        for (written, meant) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("new_york", "America/New_York"),
            ("America/NewYork", "America/New_York"),
        ] {
            assert_eq!(hint(written), format!("did you mean `{meant}`?"), "{written}");
        }
        for offset in ["CEST", "UTC+1", "+01:00", "utc"] {
            assert!(hint(offset).starts_with("a place of IANA's list of time zones, e.g. Europe/Berlin"), "{offset}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_is_quiet_twice_and_one_that_never_comes_ends_no_later() {
        // Berlin, 2026: clocks go from 02:00 to 03:00 on 29 March and from 03:00 back to 02:00 on 25 October, both at 01:00 UTC.
        let told = |hours: &str, now: &str| {
            let (quiet, now) = (quiet(&format!("{hours} Europe/Berlin")), moment(now));
            quiet.holds(now).then(|| quiet.clock(Quiet::end(&[quiet], now).unwrap()))
        };
        let says = |text: &str| Some(text.to_owned());
        for (hours, now, until) in [
            ("22:00-06:00", "2026-03-28T23:30:00+01:00", says("2026-03-29T06:00:00+02:00")),
            ("22:00-06:00", "2026-10-24T23:30:00+02:00", says("2026-10-25T06:00:00+01:00")),
            ("22:00-02:30", "2026-03-29T01:59:59+01:00", says("2026-03-29T03:00:00+02:00")),
            ("02:30-06:00", "2026-03-29T01:59:59+01:00", None),
            ("02:30-06:00", "2026-03-29T03:00:00+02:00", says("2026-03-29T06:00:00+02:00")),
            ("02:00-03:00", "2026-03-29T03:00:00+02:00", None),
            ("02:00-03:00", "2026-10-25T02:00:00+02:00", says("2026-10-25T03:00:00+01:00")),
            ("22:00-02:30", "2026-10-25T02:10:00+02:00", says("2026-10-25T02:30:00+02:00")),
            ("22:00-02:30", "2026-10-25T02:45:00+02:00", None),
            ("22:00-02:30", "2026-10-25T02:10:00+01:00", says("2026-10-25T02:30:00+01:00")),
        ] {
            assert_eq!(told(hours, now), until, "{hours} at {now}");
        }
    }

    #[test]
    fn clocks_show_what_another_copy_of_ianas_list_says() {
        // By Python's zoneinfo over the machine's own list.
        for (at, zone, shown) in [
            ("2026-03-08T06:59:59Z", "America/New_York", "2026-03-08T01:59:59-05:00"),
            ("2026-03-08T07:00:00Z", "America/New_York", "2026-03-08T03:00:00-04:00"),
            ("2026-04-04T15:00:00Z", "Australia/Lord_Howe", "2026-04-05T01:30:00+10:30"),
            ("2026-10-03T15:30:00Z", "Australia/Lord_Howe", "2026-10-04T02:30:00+11:00"),
            ("2026-02-15T02:00:00Z", "Africa/Casablanca", "2026-02-15T02:00:00Z"),
            ("2026-03-22T02:00:00Z", "Africa/Casablanca", "2026-03-22T03:00:00+01:00"),
            ("2026-04-05T02:59:59Z", "America/Santiago", "2026-04-04T23:59:59-03:00"),
            ("2026-04-05T03:00:00Z", "America/Santiago", "2026-04-04T23:00:00-04:00"),
            ("2026-04-24T12:00:00Z", "Africa/Cairo", "2026-04-24T15:00:00+03:00"),
            ("2026-07-01T12:00:00Z", "Asia/Kathmandu", "2026-07-01T17:45:00+05:45"),
            ("2026-07-01T12:00:00Z", "UTC", "2026-07-01T12:00:00Z"),
        ] {
            assert_eq!(quiet(&format!("22:00-06:00 {zone}")).clock(moment(at)), shown, "{zone}");
        }
    }

    #[test]
    fn through_a_year_of_quarter_hours_it_is_quiet_when_the_clock_on_the_wall_says_so() {
        let (first, last) = (moment("2026-01-01T00:00:00Z"), moment("2027-01-01T00:00:00Z"));
        let quarters: Vec<Timestamp> = (first.0..last.0).step_by(QUARTER_MS as usize).map(Timestamp).collect();
        for zone in ZONES {
            let clock: Tz = zone.parse().unwrap();
            let shows = |at: &Timestamp| {
                DateTime::from_timestamp_millis(at.0).unwrap().with_timezone(&clock).format("%H:%M").to_string()
            };
            let shown: Vec<String> = quarters.iter().map(shows).collect();
            for hours in ["22:00-06:00", "02:15-02:45", "23:30-02:30"] {
                let quiet = quiet(&format!("{hours} {zone}"));
                let mut until = None;
                for (at, shown) in quarters.iter().zip(&shown).rev() {
                    let holds = looks(hours, shown);
                    assert_eq!(quiet.holds(*at), holds, "{hours} {zone} at {at}");
                    match until {
                        _ if !holds => until = Some(*at),
                        Some(_) if at.0 % (7 * QUARTER_MS) == 0 => {
                            assert_eq!(Quiet::end(&[quiet], *at), until, "{hours} {zone} at {at}");
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn they_end_at_the_first_moment_at_which_no_clock_is_within_its_hours(
            given in prop::collection::vec((0u16..1440, 1u16..1440, 0..ZONES.len()), 1..4),
            now in 1_767_225_600_000i64..1_798_761_600_000,
        ) {
            let hours: Vec<Quiet> = given
                .iter()
                .map(|(from, long, zone)| Quiet { from: *from, to: (from + long) % 1440, zone: ZONES[*zone].parse().unwrap() })
                .collect();
            let any = |at: i64| hours.iter().any(|quiet| quiet.holds(Timestamp(at)));
            let end = Quiet::end(&hours, Timestamp(now)).map_or(now + MINUTES_MOST * MINUTE_MS, |end| end.0);
            prop_assert!(now < end && any(end) == Quiet::end(&hours, Timestamp(now)).is_none());
            if any(now) {
                let odd = (now..end).step_by(59_999);
                prop_assert!(odd.chain([end - 1]).all(any));
            }
        }
    }
}
