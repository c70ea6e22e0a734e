//! What each worked cohort asks, counted patient by patient, as plainly as can be: it shares nothing with what it is compared with.

use std::collections::{BTreeMap, BTreeSet};

use super::people::{Event, Person};

/// The day on which the studies are signed.
pub const TODAY: i32 = 20_717;

/// Per group: how many, and the means of what is known.
pub type Table = BTreeMap<Vec<String>, Vec<Option<f64>>>;

/// Year, month and day of a day since 1970, in the Gregorian calendar.
pub fn civil(day: i32) -> (i32, i32, i32) {
    let leap = |year: i32| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut left) = (1970, day);
    while left < 0 {
        year -= 1;
        left += 365 + i32::from(leap(year));
    }
    while left >= 365 + i32::from(leap(year)) {
        left -= 365 + i32::from(leap(year));
        year += 1;
    }
    let months = [31, 28 + i32::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= months[month] {
        left -= months[month];
        month += 1;
    }
    (year, month as i32 + 1, left + 1)
}

/// Completed years.
pub fn age(person: &Person, at: Option<i32>) -> Option<f64> {
    let (born, at) = (civil(person.born?), civil(at?));
    let years = at.0 - born.0 - i32::from((at.1, at.2) < (born.1, born.2));
    (0..=130).contains(&years).then(|| f64::from(years))
}

pub fn text(of: Option<&str>) -> String {
    of.unwrap_or("(missing)").to_owned()
}

fn cut(x: Option<f64>, breaks: &[f64]) -> String {
    let Some(x) = x else { return text(None) };
    match breaks.iter().filter(|edge| x >= **edge).count() {
        0 => format!("<{}", breaks[0]),
        n if n == breaks.len() => format!(">={}", breaks[n - 1]),
        n => format!("[{},{})", breaks[n - 1], breaks[n]),
    }
}

fn truth(of: bool) -> Option<f64> {
    Some(f64::from(u8::from(of)))
}

fn plausible(x: Option<f64>, lo: f64, hi: f64) -> Option<f64> {
    x.filter(|x| (lo..=hi).contains(x))
}

/// Rows with a day between these, both included.
fn within(rows: &[Event], from: i32, to: i32) -> impl Iterator<Item = &Event> {
    rows.iter().filter(move |row| row.day.is_some_and(|day| from <= day && day <= to))
}

/// Diagnoses that nobody took back.
fn diagnosed(person: &Person) -> impl Iterator<Item = &Event> {
    person.conditions.iter().filter(|row| !["refuted", "entered-in-error"].contains(&row.status))
}

/// Whether it is a result of this kind, in this unit, that holds.
fn is(row: &Event, code: &str, unit: &str) -> bool {
    row.code == code && row.unit == unit && ["final", "amended", "corrected"].contains(&row.status)
}

/// The smallest of the values at the earliest (or, with a sign, the latest) moment at which there is one; a row of which the day alone is known is that day's first.
fn earliest<'a, T: PartialOrd>(
    rows: impl Iterator<Item = &'a Event>,
    sign: i32,
    of: impl Fn(&Event) -> Option<T>,
) -> Option<T> {
    let dated = rows.filter_map(|row| Some(((row.day? * sign, row.minute.unwrap_or(-1) * sign), of(row)?)));
    dated.reduce(|a, b| if b.0 < a.0 || (b.0 == a.0 && b.1 < a.1) { b } else { a }).map(|(_, value)| value)
}

fn means(rows: impl IntoIterator<Item = (Vec<String>, Vec<Option<f64>>)>) -> Table {
    let mut groups: BTreeMap<Vec<String>, Vec<Vec<Option<f64>>>> = BTreeMap::new();
    for (key, values) in rows {
        groups.entry(key).or_default().push(values);
    }
    let mean = |rows: &[Vec<Option<f64>>], at: usize| {
        let known: Vec<f64> = rows.iter().filter_map(|row| row[at]).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let shown = |rows: Vec<Vec<Option<f64>>>| {
        let count = Some(rows.len() as f64);
        std::iter::once(count).chain((0..rows[0].len()).map(|at| mean(&rows, at))).collect()
    };
    groups.into_iter().map(|(key, rows)| (key, shown(rows))).collect()
}

fn starts(code: &str, with: &[&str]) -> bool {
    with.iter().any(|with| code.starts_with(with))
}

/// 1. Who is lost at which step, and the cohort.
pub fn diabetes(people: &[Person]) -> (Vec<usize>, Table) {
    let mut flow = vec![people.len(), 0, 0, 0, 0, 0];
    let mut rows = Vec::new();
    for person in people {
        let diabetes = || diagnosed(person).filter(|row| starts(row.other, &["E10", "E11"]));
        let index = earliest(diabetes(), 1, |row| row.day);
        let later = index.and_then(|index| {
            let hba1c = within(&person.observations, index + 1, i32::MAX).filter(|row| is(row, "4548-4", "%"));
            earliest(hba1c, -1, |row| row.value)
        });
        let cancer = diagnosed(person).any(|row| ["C50.9", "C61"].contains(&row.other));
        let adult = age(person, Some(TODAY)).is_some_and(|age| age >= 18.0);
        let steps = [adult, diabetes().count() >= 2, later.is_some_and(|x| x > 7.0), index.is_some(), !cancer];
        let passed = steps.iter().take_while(|step| **step).count();
        (1..=passed).for_each(|step| flow[step] += 1);
        if passed == steps.len() {
            rows.push((vec![text(person.gender), cut(age(person, index), &[40.0, 65.0])], vec![]));
        }
    }
    (flow, means(rows))
}

/// 2. Who has hypertension: gender, treated, age, systolic pressure.
pub fn hypertension(people: &[Person]) -> Vec<(String, bool, Option<f64>, Option<f64>)> {
    let cohort = people.iter().filter(|p| diagnosed(p).any(|row| ["38341003", "59621000"].contains(&row.code)));
    let shown = |person: &Person| {
        let pressures = person.observations.iter().filter(|row| is(row, "8480-6", "mm[Hg]"));
        let systolic = plausible(earliest(pressures, -1, |row| row.value), 40.0, 300.0);
        let lately = within(&person.medications, TODAY - 365, i32::MAX);
        let treated = lately.into_iter().any(|row| ["314076", "314077"].contains(&row.code));
        (text(person.gender), treated, age(person, Some(TODAY)), systolic)
    };
    cohort.map(shown).collect()
}

/// 3.
pub fn metformin(people: &[Person]) -> Table {
    means(people.iter().filter_map(|person| {
        let metformin = person.medications.iter().filter(|row| ["860975", "861007"].contains(&row.code));
        let index = earliest(metformin, 1, |row| row.day)?;
        let insulin =
            |from, to| within(&person.medications, from, to).any(|row| ["106892", "311034"].contains(&row.code));
        let seen = within(&person.encounters, index - 365, index - 1).next().is_some();
        // 2015 began on day 16,436.
        (index >= 16_436 && seen && !insulin(i32::MIN, index)).then(|| {
            let went_on = insulin(index + 1, index + 365);
            (vec![cut(age(person, Some(index)), &[50.0, 70.0])], vec![truth(went_on)])
        })
    }))
}

/// 4.
pub fn stroke(people: &[Person]) -> Table {
    means(people.iter().filter_map(|person| {
        let fibrillation = diagnosed(person).filter(|row| starts(row.other, &["I48"]));
        let index = earliest(fibrillation, 1, |row| row.day)?;
        let strokes = |from, to| {
            let strokes = diagnosed(person).filter(|row| starts(row.other, &["I60", "I61", "I62", "I63", "I64"]));
            strokes.filter(|row| row.day.is_some_and(|day| from <= day && day <= to)).count()
        };
        let before = strokes(i32::MIN, index);
        (before == 0).then(|| (vec![text(person.gender)], vec![truth(strokes(index + 1, index + 730) >= 1)]))
    }))
}

/// 5.
pub fn children(people: &[Person]) -> Table {
    means(people.iter().filter_map(|person| {
        let lately = within(&person.encounters, TODAY - 364, i32::MAX).filter(|row| row.other == "EMER").count();
        let ever = person.encounters.iter().filter(|row| row.other == "EMER").count();
        let young = age(person, Some(TODAY)).is_some_and(|age| age < 5.0);
        (young && lately >= 3).then(|| (vec![text(person.gender)], vec![Some(ever as f64)]))
    }))
}

/// 6.
pub fn mammograms(people: &[Person]) -> Table {
    means(people.iter().filter_map(|person| {
        let of_age = age(person, Some(TODAY)).is_some_and(|age| (50.0..=69.0).contains(&age));
        let done = within(&person.procedures, TODAY - 730, i32::MAX)
            .any(|row| row.code == "71651007" && row.other == "completed");
        (of_age && person.gender == Some("female")).then(|| (vec![(!done).to_string()], vec![]))
    }))
}

/// 7. Before, and later.
pub fn statins(people: &[Person]) -> [Table; 2] {
    let of = |person: &Person| {
        let statin = |row: &&Event| ["1545958", "1545959"].contains(&row.code);
        let index = earliest(person.medications.iter().filter(statin), 1, |row| row.day)?;
        let cholesterol =
            |from, to| within(&person.observations, from, to).filter(|row| row.code == "3028437" && row.unit == "8840");
        let before = plausible(earliest(cholesterol(i32::MIN, index), -1, |row| row.value), 10.0, 1000.0);
        let values: Vec<f64> = cholesterol(index + 91, index + 365).filter_map(|row| row.value).collect();
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let later = plausible(mean, 10.0, 1000.0);
        let fills = within(&person.medications, index, index + 365).filter(statin).count();
        (fills >= 4).then_some((before, later))
    };
    let cohort: Vec<_> = people.iter().filter_map(of).collect();
    let lower = |(before, later): (Option<f64>, Option<f64>)| truth(later? < before?);
    [
        means(cohort.iter().map(|both| (vec![], vec![both.0, lower(*both)]))),
        means(cohort.iter().map(|both| (vec![], vec![both.1]))),
    ]
}

/// 8.
pub fn back(people: &[Person]) -> Table {
    means(people.iter().filter_map(|person| {
        let stays = || person.encounters.iter().filter(|row| row.other == "IMP");
        let index = earliest(stays(), 1, |row| row.end)?;
        let days = earliest(stays(), 1, |row| row.day).map(|admitted| f64::from(index - admitted));
        let back = within(&person.encounters, index + 1, index + 30).any(|row| ["IMP", "EMER"].contains(&row.other));
        Some((vec![cut(days, &[3.0, 8.0]), back.to_string()], vec![]))
    }))
}

/// 9. Patients, and rows.
pub fn pneumonia(people: &[Person]) -> Table {
    let mut found: BTreeMap<Vec<String>, (BTreeSet<usize>, usize)> = BTreeMap::new();
    for (number, person) in people.iter().enumerate() {
        // 2020 began on day 18,262.
        for row in within(&person.conditions, 18_262, i32::MAX).filter(|row| row.other.starts_with("J1")) {
            let key = vec![text(person.gender), cut(age(person, row.day), &[5.0, 18.0, 65.0])];
            let (patients, rows) = found.entry(key).or_default();
            patients.insert(number);
            *rows += 1;
        }
    }
    found
        .into_iter()
        .map(|(key, (patients, rows))| (key, vec![Some(patients.len() as f64), Some(rows as f64)]))
        .collect()
}

/// 10. The filtration before, and the worst later one.
pub fn kidneys(people: &[Person]) -> Vec<(f64, Option<f64>)> {
    let of = |person: &Person| {
        let failure = diagnosed(person)
            .filter(|row| ["I50.1", "I50.9"].contains(&row.other) || starts(row.other, &["I50.2", "I50.3"]));
        let index = failure.filter_map(|row| row.day).min()?;
        let least = |from, to| {
            let rates = within(&person.observations, from, to).filter(|row| is(row, "33914-3", "mL/min/{1.73_m2}"));
            plausible(rates.filter_map(|row| row.value).reduce(f64::min), 0.0, 250.0)
        };
        Some((least(index - 180, index - 1)?, least(index, index + 180)))
    };
    people.iter().filter_map(of).collect()
}

/// Of two numbers each, how many are in which pair of bands.
pub fn crossed(pairs: &[(f64, Option<f64>)], breaks: &[f64]) -> Table {
    means(pairs.iter().map(|(one, other)| (vec![cut(Some(*one), breaks), cut(*other, breaks)], vec![])))
}

/// A table of the hypertension cohort.
pub fn pressure(cohort: &[(String, bool, Option<f64>, Option<f64>)]) -> Table {
    means(cohort.iter().map(|(gender, treated, age, systolic)| {
        let high = systolic.and_then(|x| truth(x >= 140.0));
        (vec![gender.clone(), treated.to_string()], vec![*age, *systolic, high])
    }))
}
