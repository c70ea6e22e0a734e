//! Random patients with what hospitals write of them, and the same as CSV files under the contracts that come with Bocage. Codes, days and values are drawn
//! each for itself and evenly, so nothing here knows what a cohort asks.

/// SplitMix64 (Steele, Lea, Flood 2014): the same patients in every run.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn between(&mut self, lo: i32, hi: i32) -> i32 {
        lo + self.below(hi.abs_diff(lo).into()) as i32
    }

    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Nothing in one of `n` cases.
    fn but_one_in<T>(&mut self, n: u64, value: T) -> Option<T> {
        (self.below(n) > 0).then_some(value)
    }
}

/// A row about a patient.
#[derive(Debug, Clone)]
pub struct Event {
    /// Days since 1970.
    pub day: Option<i32>,
    pub end: Option<i32>,
    pub code: &'static str,
    /// A second code: ICD-10, a class, a status.
    pub other: &'static str,
    pub value: Option<f64>,
    pub unit: &'static str,
    /// Whether it is so: of a diagnosis, or of what was observed.
    pub status: &'static str,
    /// Minutes of the day, of what was observed.
    pub minute: Option<i32>,
}

/// A patient.
#[derive(Debug, Clone)]
pub struct Person {
    pub gender: Option<&'static str>,
    pub born: Option<i32>,
    pub conditions: Vec<Event>,
    pub observations: Vec<Event>,
    pub encounters: Vec<Event>,
    pub medications: Vec<Event>,
    pub procedures: Vec<Event>,
}

/// What a kind of rows is drawn from.
struct Pool {
    /// At most so many a patient.
    most: u64,
    codes: &'static [&'static str],
    others: &'static [&'static str],
    statuses: &'static [&'static str],
    /// Times of the day, where rows have some.
    minutes: &'static [i32],
}

/// Three years, to the day before that on which the studies are signed.
const DAYS: (i32, i32) = (19_617, 20_717);

impl Pool {
    fn draw(&self, dice: &mut Dice) -> Vec<Event> {
        (0..dice.below(self.most + 1)).map(|_| self.event(dice)).collect()
    }

    fn event(&self, dice: &mut Dice) -> Event {
        // In steps of four days, so that several rows of a patient have one.
        let day = DAYS.0 + dice.below(((DAYS.1 - DAYS.0) / 4) as u64) as i32 * 4;
        let (stay, tenths) = (dice.between(0, 12), dice.between(0, 3000));
        let code = dice.one_of(self.codes);
        Event {
            day: dice.but_one_in(25, day),
            end: dice.but_one_in(10, day + stay),
            code,
            other: dice.one_of(self.others),
            value: dice.but_one_in(12, f64::from(tenths) / 10.0),
            unit: dice.but_one_in(5, unit(code)).unwrap_or("1"),
            status: dice.one_of(self.statuses),
            minute: if self.minutes.is_empty() { None } else { Some(dice.one_of(self.minutes)).filter(|m| *m > 0) },
        }
    }
}

const ICD10: &[&str] = &[
    "E10.9", "E11.9", "E11.65", "I10", "I48.0", "I48.91", "I60.9", "I63.9", "I64", "I65.2", "I50.1", "I50.22",
    "I50.30", "I50.9", "C50.9", "C61", "J10.0", "J15.9", "J18.9", "J20.9", "Z00.0",
];
const SNOMED: &[&str] = &["38341003", "59621000", "44054006", "195967001"];
const LOINC: &[&str] = &["4548-4", "8480-6", "33914-3", "718-7", "3028437"];
const DRUGS: &[&str] =
    &["314076", "314077", "860975", "861007", "106892", "311034", "197361", "1545958", "1545959", "1125315"];

const VERIFICATIONS: &[&str] = &["confirmed", "confirmed", "provisional", "", "refuted", "entered-in-error"];
const STATUSES: &[&str] = &["final", "final", "amended", "corrected", "", "preliminary", "entered-in-error"];
/// Few, so that some are alike; of 0 the time of the day is not known.
const MINUTES: &[i32] = &[0, 450, 495, 840];

/// The unit that a laboratory has for it.
fn unit(code: &str) -> &'static str {
    match code {
        "4548-4" => "%",
        "8480-6" => "mm[Hg]",
        "33914-3" => "mL/min/{1.73_m2}",
        "3028437" => "8840",
        _ => "g/dL",
    }
}

/// So many patients.
pub fn people(count: usize, dice: &mut Dice) -> Vec<Person> {
    let conditions = Pool { most: 8, codes: SNOMED, others: ICD10, statuses: VERIFICATIONS, minutes: &[] };
    let observations = Pool { most: 14, codes: LOINC, others: &[""], statuses: STATUSES, minutes: MINUTES };
    let encounters = Pool { most: 10, codes: &[""], others: &["AMB", "EMER", "IMP"], statuses: &[""], minutes: &[] };
    let medications = Pool { most: 14, codes: DRUGS, others: &[""], statuses: &[""], minutes: &[] };
    let codes = &["71651007", "73761001"];
    let procedures = Pool { most: 4, codes, others: &["completed", "not-done"], statuses: &[""], minutes: &[] };
    let mut person = |_| {
        let (gender, born) = (dice.one_of(&["male", "female", "other"]), dice.between(-12_000, 20_600));
        Person {
            gender: dice.but_one_in(20, gender),
            born: dice.but_one_in(30, born),
            conditions: conditions.draw(dice),
            observations: observations.draw(dice),
            encounters: encounters.draw(dice),
            medications: medications.draw(dice),
            procedures: procedures.draw(dice),
        }
    };
    (0..count).map(&mut person).collect()
}

fn date(day: Option<i32>) -> String {
    day.map_or_else(String::new, |day| {
        let (year, month, day) = super::reference::civil(day);
        format!("{year:04}-{month:02}-{day:02}")
    })
}

/// The moment, where its time of the day is known.
fn instant(of: &Event) -> String {
    of.day
        .and(of.minute)
        .map_or_else(String::new, |minute| format!("{}T{:02}:{:02}:00Z", date(of.day), minute / 60, minute % 60))
}

/// Rows of one kind as a file: which, and how a row is written behind its patient.
fn file<'a>(
    header: &str,
    people: &'a [Person],
    of: impl Fn(&'a Person) -> &'a [Event],
    row: impl Fn(&Event) -> String,
) -> String {
    let mut text = format!("{header}\n");
    for (number, person) in people.iter().enumerate() {
        for event in of(person) {
            text += &format!("{number},{}\n", row(event));
        }
    }
    text
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// The file of a dataset, by the contract's name.
pub fn csv(people: &[Person], contract: &str) -> String {
    let concept = |gender: &str| match gender {
        "male" => "8507",
        "female" => "8532",
        _ => "8521",
    };
    let person = |header: &str, gender: &dyn Fn(&'static str) -> &'static str| {
        let rows = people.iter().enumerate();
        let row = |(number, person): (usize, &Person)| {
            format!("{number},{},{}\n", person.gender.map_or("", gender), date(person.born))
        };
        format!("{header}\n{}", rows.map(row).collect::<String>())
    };
    match contract {
        "fhir-r4-patient" => person("patient,gender,birth_date", &|gender| gender),
        "omop-person" => person("person_id,gender_concept_id,birth_date", &concept),
        "fhir-r4-condition" => file(
            "patient,code,icd10cm,date,verification_status",
            people,
            |p| &p.conditions,
            |e| format!("{},{},{},{}", e.code, e.other, date(e.day), e.status),
        ),
        "fhir-r4-observation" => file(
            "patient,code,value,unit,status,date,instant",
            people,
            |p| &p.observations,
            |e| format!("{},{},{},{},{},{}", e.code, number(e.value), e.unit, e.status, date(e.day), instant(e)),
        ),
        "fhir-r4-encounter" => file(
            "patient,class,date,end_date",
            people,
            |p| &p.encounters,
            |e| format!("{},{},{}", e.other, date(e.day), date(e.end)),
        ),
        "fhir-r4-medication-request" => {
            file("patient,code,date", people, |p| &p.medications, |e| format!("{},{}", e.code, date(e.day)))
        }
        "fhir-r4-procedure" => file(
            "patient,code,status,date",
            people,
            |p| &p.procedures,
            |e| format!("{},{},{}", e.code, e.other, date(e.day)),
        ),
        "omop-condition-occurrence" => {
            let header = "person_id,condition_concept_id,condition_source_value,condition_start_date";
            file(header, people, |p| &p.conditions, |e| format!("{},{},{}", e.code, e.other, date(e.day)))
        }
        "omop-drug-exposure" => {
            let header = "person_id,drug_concept_id,drug_exposure_start_date";
            file(header, people, |p| &p.medications, |e| format!("{},{}", e.code, date(e.day)))
        }
        "omop-measurement" => {
            let header = "person_id,measurement_concept_id,value_as_number,unit_concept_id,measurement_date,measurement_datetime";
            let row = |e: &Event| format!("{},{},{},{},{}", e.code, number(e.value), e.unit, date(e.day), instant(e));
            file(header, people, |p| &p.observations, row)
        }
        other => panic!("no file of {other}"),
    }
}
