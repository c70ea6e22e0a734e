//! Random cohorts as texts of studies, through the front, the binding, the engine and the gate at k = 1: each counts whom a plain reading of it counts.
//!
//! A cohort is drawn as a tree that can write itself down and that can look at a patient; neither knows of the other.

use std::collections::BTreeMap;
use std::fmt;

use bocage_protocol::contract::Contract;
use bocage_tests::federation::{Federation, Gate};

use super::people::{Dice, Event, Person, csv, people};
use super::reference::{TODAY, Table, age, civil, text};
use super::{HEAD, compared, contract, result};

const IDS: [&str; 4] = ["fhir-r4-patient@1", "fhir-r4-condition@3", "fhir-r4-observation@3", "fhir-r4-encounter@2"];

/// A table that is looked into.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Of {
    Condition,
    Observation,
    Encounter,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Of::Condition => "condition",
            Of::Observation => "observation",
            Of::Encounter => "encounter",
        }
    }

    fn rows(self, person: &Person) -> &[Event] {
        match self {
            Of::Condition => &person.conditions,
            Of::Observation => &person.observations,
            Of::Encounter => &person.encounters,
        }
    }

    /// Columns of texts with some of their values.
    fn columns(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Of::Condition => &[
                ("code", &["38341003", "59621000", "44054006"]),
                ("icd10cm", &["E11.9", "E10.9", "I48.0", "I50.1", "J18.9"]),
                ("verification_status", &["confirmed", "provisional", "refuted"]),
            ],
            Of::Observation => &[
                ("code", &["4548-4", "8480-6", "33914-3"]),
                ("unit", &["%", "mm[Hg]", "1"]),
                ("status", &["final", "amended", "preliminary"]),
            ],
            Of::Encounter => &[("class", &["AMB", "EMER", "IMP"])],
        }
    }

    fn value(self, column: &str, row: &Event) -> Option<&'static str> {
        let value = match (self, column) {
            (_, "code") => row.code,
            (_, "unit") => row.unit,
            (Of::Condition, "icd10cm") | (Of::Encounter, "class") => row.other,
            _ => row.status,
        };
        Some(value).filter(|value| !value.is_empty())
    }
}

/// A condition on a row.
enum Where {
    Is(Of, &'static str, &'static str),
    In(Of, &'static str, [&'static str; 2]),
    Begins(Of, &'static str, &'static str),
    Missing(Of, &'static str),
    Above(i32),
    And(Box<Where>, Box<Where>),
    Or(Box<Where>, Box<Where>),
    Not(Box<Where>),
}

/// Of three values: what is not known decides nothing.
fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    if a == Some(false) || b == Some(false) { Some(false) } else { a.zip(b).map(|(a, b)| a && b) }
}

fn not(a: Option<bool>) -> Option<bool> {
    a.map(|a| !a)
}

impl Where {
    fn draw(of: Of, depth: u64, dice: &mut Dice) -> Self {
        let (column, values) = dice.one_of(of.columns());
        let inner = |dice: &mut Dice| Box::new(Self::draw(of, depth - 1, dice));
        match dice.below(if depth > 0 { 9 } else { 6 }) {
            0 | 1 => Self::Is(of, column, dice.one_of(values)),
            2 => Self::In(of, column, [dice.one_of(values), dice.one_of(values)]),
            3 if ["code", "icd10cm"].contains(&column) => Self::Begins(of, column, &dice.one_of(values)[..2]),
            4 => Self::Missing(of, column),
            5 if of == Of::Observation => Self::Above(dice.below(300) as i32),
            3 | 5 => Self::Is(of, column, dice.one_of(values)),
            6 => Self::And(inner(dice), inner(dice)),
            7 => Self::Or(inner(dice), inner(dice)),
            _ => Self::Not(inner(dice)),
        }
    }

    fn holds(&self, row: &Event) -> Option<bool> {
        match self {
            Self::Is(of, column, value) => of.value(column, row).map(|found| found == *value),
            Self::In(of, column, values) => of.value(column, row).map(|found| values.contains(&found)),
            Self::Begins(of, column, with) => of.value(column, row).map(|found| found.starts_with(with)),
            Self::Missing(of, column) => Some(of.value(column, row).is_none()),
            Self::Above(least) => row.value.map(|value| value > f64::from(*least)),
            Self::And(a, b) => and(a.holds(row), b.holds(row)),
            Self::Or(a, b) => not(and(not(a.holds(row)), not(b.holds(row)))),
            Self::Not(a) => not(a.holds(row)),
        }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(_, column, value) => write!(f, "{column} = '{value}'"),
            Self::In(_, column, [a, b]) => write!(f, "{column} in ('{a}', '{b}')"),
            Self::Begins(_, column, with) => write!(f, "{column} like '{with}%'"),
            Self::Missing(_, column) => write!(f, "{column} is null"),
            Self::Above(least) => write!(f, "value > {least}"),
            Self::And(a, b) => write!(f, "({a} and {b})"),
            Self::Or(a, b) => write!(f, "({a} or {b})"),
            Self::Not(a) => write!(f, "not ({a})"),
        }
    }
}

/// A day of a patient.
#[derive(Clone, Copy)]
enum Day {
    Today,
    Index,
    Date(i32),
}

impl Day {
    fn draw(indexed: bool, dice: &mut Dice) -> Self {
        match dice.below(if indexed { 5 } else { 2 }) {
            0 => Day::Today,
            1 => Day::Date(TODAY - 1000 + dice.below(900) as i32),
            _ => Day::Index,
        }
    }
}

fn date(day: i32) -> String {
    let (year, month, day) = civil(day);
    format!("date '{year:04}-{month:02}-{day:02}'")
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Day::Today => f.write_str("today"),
            Day::Index => f.write_str("index"),
            Day::Date(day) => f.write_str(&date(*day)),
        }
    }
}

/// A window: `after`, `from`, `before` or `until` a day moved by some, perhaps `within` some.
struct Window {
    edge: &'static str,
    day: Day,
    moved: i32,
    within: Option<i32>,
}

impl Window {
    fn draw(indexed: bool, dice: &mut Dice) -> Self {
        let within = dice.below(400) as i32;
        Self {
            edge: dice.one_of(&["after", "from", "before", "until"]),
            day: Day::draw(indexed, dice),
            moved: dice.below(60) as i32 - 30,
            within: Some(within + 1).filter(|_| dice.below(2) == 0),
        }
    }

    fn holds(&self, day: Option<i32>, index: Option<i32>) -> bool {
        let at = match self.day {
            Day::Today => Some(TODAY),
            Day::Index => index,
            Day::Date(day) => Some(day),
        };
        let Some((day, at)) = day.zip(at) else { return false };
        let (days, far) = (day - at - self.moved, self.within.unwrap_or(i32::MAX));
        match self.edge {
            "after" => 0 < days && days <= far,
            "from" => 0 <= days && days <= far,
            "before" => days < 0 && -days <= far,
            _ => days <= 0 && -days <= far,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (edge, day, sign) = (self.edge, self.day, if self.moved < 0 { '-' } else { '+' });
        write!(f, ", {edge} = {day} {sign} days({})", self.moved.abs())?;
        self.within.map_or(Ok(()), |within| write!(f, ", within = days({within})"))
    }
}

/// Rows of a patient.
struct Rows {
    of: Of,
    condition: Where,
    window: Option<Window>,
}

impl Rows {
    fn draw(of: Of, indexed: bool, dice: &mut Dice) -> Self {
        let window = (dice.below(3) > 0).then(|| Window::draw(indexed, dice));
        Self { of, condition: Where::draw(of, 2, dice), window }
    }

    fn found<'a>(&'a self, person: &'a Person, index: Option<i32>) -> impl Iterator<Item = &'a Event> {
        self.of.rows(person).iter().filter(move |row| {
            self.condition.holds(row) == Some(true)
                && self.window.as_ref().is_none_or(|window| window.holds(row.day, index))
        })
    }

    fn window(&self) -> String {
        self.window.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// Which value of several: of numbers, and of days.
fn picked<T: PartialOrd + Copy>(pick: &str, rows: impl Iterator<Item = ((Option<i32>, i32), T)>) -> Option<T> {
    // Of one moment the smallest.
    let timed = |row: ((Option<i32>, i32), T), sign: i32| Some(((row.0.0? * sign, row.0.1 * sign), row.1));
    let first = |a: ((i32, i32), T), b: ((i32, i32), T)| if b < a { b } else { a };
    match pick {
        "first" => rows.filter_map(|row| timed(row, 1)).reduce(first).map(|(_, value)| value),
        "last" => rows.filter_map(|row| timed(row, -1)).reduce(first).map(|(_, value)| value),
        "min" => rows.map(|(_, value)| value).reduce(|a, b| if b < a { b } else { a }),
        _ => rows.map(|(_, value)| value).reduce(|a, b| if b > a { b } else { a }),
    }
}

fn moment(row: &Event) -> (Option<i32>, i32) {
    (row.day, row.minute.unwrap_or(-1))
}

const PICKS: &[&str] = &["first", "last", "min", "max"];

/// What is asked of a patient.
enum Ask {
    Has(Rows, usize),
    Count(Rows, usize),
    Value(&'static str, Rows, i32),
    Since(&'static str, Rows, i32),
    Between(Rows, Rows, i32),
    Gender(&'static str),
    Age(Day, i32),
    And(Box<Ask>, Box<Ask>),
    Or(Box<Ask>, Box<Ask>),
    Not(Box<Ask>),
}

impl Ask {
    fn draw(indexed: bool, depth: u64, dice: &mut Dice) -> Self {
        let of = dice.one_of(&[Of::Condition, Of::Observation, Of::Encounter]);
        let inner = |dice: &mut Dice| Box::new(Self::draw(indexed, depth - 1, dice));
        match dice.below(if depth > 0 { 12 } else { 9 }) {
            0 | 1 => Self::Has(Rows::draw(of, indexed, dice), 1 + dice.below(2) as usize),
            2 => Self::Count(Rows::draw(of, indexed, dice), dice.below(4) as usize),
            3 | 4 => {
                Self::Value(dice.one_of(PICKS), Rows::draw(Of::Observation, indexed, dice), dice.below(250) as i32)
            }
            5 => Self::Since(dice.one_of(PICKS), Rows::draw(of, indexed, dice), TODAY - dice.below(900) as i32),
            6 => {
                let other = Rows::draw(Of::Encounter, indexed, dice);
                Self::Between(Rows::draw(of, indexed, dice), other, dice.below(600) as i32 - 300)
            }
            7 => Self::Gender(dice.one_of(&["male", "female", "other"])),
            8 => Self::Age(Day::draw(indexed, dice), dice.below(80) as i32),
            9 => Self::And(inner(dice), inner(dice)),
            10 => Self::Or(inner(dice), inner(dice)),
            _ => Self::Not(inner(dice)),
        }
    }

    fn holds(&self, person: &Person, index: Option<i32>) -> Option<bool> {
        let day = |pick: &str, rows: &Rows| {
            picked(pick, rows.found(person, index).filter_map(|row| Some((moment(row), row.day?))))
        };
        match self {
            Self::Has(rows, n) | Self::Count(rows, n) => Some(rows.found(person, index).count() >= *n),
            Self::Value(pick, rows, least) => {
                let values = rows.found(person, index).filter_map(|row| Some((moment(row), row.value?)));
                picked(pick, values).map(|value| value > f64::from(*least))
            }
            Self::Since(pick, rows, from) => day(pick, rows).map(|day| day >= *from),
            Self::Between(from, to, least) => {
                day("first", from).zip(day("last", to)).map(|(from, to)| to - from >= *least)
            }
            Self::Gender(gender) => person.gender.map(|of| of == *gender),
            Self::Age(at, least) => {
                let at = match at {
                    Day::Today => Some(TODAY),
                    Day::Index => index,
                    Day::Date(day) => Some(*day),
                };
                age(person, at).map(|age| age >= f64::from(*least))
            }
            Self::And(a, b) => and(a.holds(person, index), b.holds(person, index)),
            Self::Or(a, b) => not(and(not(a.holds(person, index)), not(b.holds(person, index)))),
            Self::Not(a) => not(a.holds(person, index)),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |pick: &str, rows: &Rows| {
            format!("{pick}({}.date where {}{})", rows.of.name(), rows.condition, rows.window())
        };
        match self {
            Self::Has(rows, n) => {
                write!(f, "has({}, {}, at_least = {n}{})", rows.of.name(), rows.condition, rows.window())
            }
            Self::Count(rows, n) => {
                write!(f, "count({} where {}{}) >= {n}", rows.of.name(), rows.condition, rows.window())
            }
            Self::Value(pick, rows, least) => {
                write!(f, "{pick}(observation.value where {}{}) > {least}", rows.condition, rows.window())
            }
            Self::Since(pick, rows, from) => write!(f, "{} >= {}", day(pick, rows), date(*from)),
            Self::Between(from, to, least) => {
                write!(f, "days_between({}, {}) >= {least}", day("first", from), day("last", to))
            }
            Self::Gender(gender) => write!(f, "gender = '{gender}'"),
            Self::Age(at, least) => write!(f, "age_at({at}) >= {least}"),
            Self::And(a, b) => write!(f, "({a} and {b})"),
            Self::Or(a, b) => write!(f, "({a} or {b})"),
            Self::Not(a) => write!(f, "not ({a})"),
        }
    }
}

struct Cohort {
    index: Option<(&'static str, Rows)>,
    include: Vec<Ask>,
    exclude: Vec<Ask>,
}

impl Cohort {
    fn draw(dice: &mut Dice) -> Self {
        let of = dice.one_of(&[Of::Condition, Of::Observation, Of::Encounter]);
        let index = (dice.below(3) > 0).then(|| (dice.one_of(PICKS), Rows::draw(of, false, dice)));
        let asks =
            |n: u64, dice: &mut Dice| -> Vec<Ask> { (0..n).map(|_| Ask::draw(index.is_some(), 2, dice)).collect() };
        let (include, exclude) = (1 + dice.below(2), dice.below(2));
        Self { include: asks(include, dice), exclude: asks(exclude, dice), index }
    }

    fn holds(&self, person: &Person) -> bool {
        let days = |rows: &Rows, pick: &str| {
            picked(pick, rows.found(person, None).filter_map(|row| Some((moment(row), row.day?))))
        };
        let index = self.index.as_ref().map(|(pick, rows)| days(rows, pick));
        let at = index.flatten();
        index.is_none_or(|index| index.is_some())
            && self.include.iter().all(|ask| ask.holds(person, at) == Some(true))
            && self.exclude.iter().all(|ask| ask.holds(person, at) != Some(true))
    }
}

impl fmt::Display for Cohort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |asks: &[Ask]| asks.iter().map(|ask| format!("{:?}", ask.to_string())).collect::<Vec<_>>().join(", ");
        write!(f, "{HEAD}[tables]\npatient = \"{}\"\ncondition = \"{}\"\n", IDS[0], IDS[1])?;
        write!(f, "observation = \"{}\"\nencounter = \"{}\"\n[cohort]\nfrom = \"patient\"\n", IDS[2], IDS[3])?;
        if let Some((pick, rows)) = &self.index {
            let (of, condition, window) = (rows.of.name(), &rows.condition, rows.window());
            writeln!(f, "index = \"{pick}({of}.date where {condition}{window})\"")?;
        }
        writeln!(f, "include = [{}]\nexclude = [{}]", list(&self.include), list(&self.exclude))?;
        f.write_str("[[analysis]]\nname = \"cohort\"\ntable = { by = [\"gender\"], show = [\"count\"] }\n")
    }
}

#[test]
fn random_cohorts_are_what_a_plain_reading_of_them_counts() {
    let mut dice = Dice(20);
    let people = people(240, &mut dice);
    let contracts: Vec<Contract> = IDS.iter().map(|id| contract(id)).collect();
    let tables = |people: &[Person]| -> Vec<String> {
        IDS.iter().map(|id| csv(people, id.split('@').next().unwrap_or_default())).collect()
    };
    let (some, more) = people.split_at(150);
    let federation = Federation::across(&contracts, &[("some", tables(some)), ("more", tables(more))]);
    let (mut counted, mut drawn) = (0, 0);
    let mut sizes = BTreeMap::<bool, usize>::new();
    while counted < 200 {
        let cohort = Cohort::draw(&mut dice);
        drawn += 1;
        assert!(drawn < 240, "the front refuses too many: {counted} of {drawn} are left");
        // What can be told of no patient is refused.
        let Ok(study) = federation.bind(&cohort.to_string()) else { continue };
        counted += 1;
        let mut table = Table::new();
        for person in people.iter().filter(|person| cohort.holds(person)) {
            let count = table.entry(vec![text(person.gender)]).or_insert_with(|| vec![Some(0.0)]);
            count[0] = count[0].map(|n| n + 1.0);
        }
        *sizes.entry(table.is_empty()).or_default() += 1;
        eprintln!("{cohort}");
        compared(&result(&federation.answer(&study, Gate::OPEN), "cohort").block, 1, &table, false);
    }
    assert!(sizes.get(&false).is_some_and(|some| *some >= 100), "most cohorts have somebody: {sizes:?}");
}
