//! GiBleed, OHDSI's set of 2,694 persons in OMOP CDM 5.3, with the results of Achilles, the model's own profiler: what a snapshot holds is what Achilles counted.
//!
//! Achilles counts events within their person's observation period only. Which ones are outside, an independent reader of the files says here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bocage_tests::lab::repository;
use flate2::read::MultiGzDecoder;
use polars_io::SerReader as _;
use polars_io::ipc::IpcReader;
use serde_json::Value;

use super::{Network, contract};

/// A table of events: its concept and its date, and Achilles' analyses of persons and of records by concept.
struct Events {
    table: &'static str,
    concept: &'static str,
    date: &'static str,
    persons: &'static str,
    records: &'static str,
}

const EVENTS: &[Events] = &[
    Events {
        table: "visit_occurrence",
        concept: "visit_concept_id",
        date: "visit_start_date",
        persons: "200",
        records: "201",
    },
    Events {
        table: "condition_occurrence",
        concept: "condition_concept_id",
        date: "condition_start_date",
        persons: "400",
        records: "401",
    },
    Events {
        table: "procedure_occurrence",
        concept: "procedure_concept_id",
        date: "procedure_date",
        persons: "600",
        records: "601",
    },
    Events {
        table: "drug_exposure",
        concept: "drug_concept_id",
        date: "drug_exposure_start_date",
        persons: "700",
        records: "701",
    },
    Events {
        table: "observation",
        concept: "observation_concept_id",
        date: "observation_date",
        persons: "800",
        records: "801",
    },
    Events {
        table: "measurement",
        concept: "measurement_concept_id",
        date: "measurement_date",
        persons: "1800",
        records: "1801",
    },
    Events {
        table: "drug_era",
        concept: "drug_concept_id",
        date: "drug_era_start_date",
        persons: "900",
        records: "901",
    },
    Events {
        table: "condition_era",
        concept: "condition_concept_id",
        date: "condition_era_start_date",
        persons: "1000",
        records: "1001",
    },
];

/// Persons and records of each concept.
type Counts = BTreeMap<String, (BTreeSet<u32>, u64)>;

#[test]
fn gibleeds_counts_are_those_of_achilles() {
    let data = repository("../shared/data/omop_gibleed_5.3");
    if !data.is_dir() {
        eprintln!("skipped: GiBleed is not at {}", data.display());
        return;
    }
    let files = tempfile::tempdir().expect("a folder");
    let tables = EVENTS.iter().map(|events| events.table).chain(["person", "observation_period"]);
    for table in tables.clone() {
        fs::write(files.path().join(format!("{table}.csv")), unpacked(&data, table)).expect("the data");
    }
    let network = Network::new("omop-5.3", &site(tables, files.path()));
    let achilles = Achilles::read(&data);

    let (persons, _) = network.snapshot("gibleed", "person");
    assert_eq!((&persons["rows"], &persons["subjects"]), (&Value::from(2694), &Value::from(achilles.one("1"))));
    assert_eq!(persons["report"]["columns"]["birth_date"]["valid"], 2694, "every birth was joined");
    assert_eq!(persons["report"]["columns"]["gender_concept_id"]["valid"], 2694);
    let (periods, _) = network.snapshot("gibleed", "observation_period");
    assert_eq!(periods["subjects"], achilles.one("113"));

    let periods = periods_of(&unpacked(&data, "observation_period"));
    for events in EVENTS {
        let (manifest, rows) = network.snapshot("gibleed", events.table);
        assert_eq!(manifest["report"]["rows_rejected"], Value::Array(vec![]), "{}", events.table);
        let outside = outside(events, &unpacked(&data, events.table), &periods);
        let counted = counted(&rows, events.concept);
        assert_eq!(manifest["rows"], counted.values().map(|(_, records)| records).sum::<u64>());
        let mut corrected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (concept, (persons, records)) in &counted {
            let (gone, out) = outside.get(concept).copied().unwrap_or_default();
            corrected.insert(concept.clone(), (persons.len() as u64 - gone, records - out));
        }
        assert_eq!(corrected, achilles.by_concept(events), "{}", events.table);
    }
}

fn site<'a>(tables: impl Iterator<Item = &'a str>, files: &Path) -> String {
    let datasets = tables.map(|table| {
        let more = match table {
            "person" => "dates = { ymd = [\"year_of_birth\", \"month_of_birth\", \"day_of_birth\"] }\nmap = { birth_date = \"coalesce(birth_datetime, ymd)\" }\n",
            _ => "",
        };
        // The files unwrap dates in their headers, and have some columns' names of CDM 5.4.
        let rename = match table {
            "visit_occurrence" => "\"date(*,'unixepoch')\" = \"*\", \"admitted_from_concept_id\" = \"admitting_source_concept_id\", \"admitted_from_source_value\" = \"admitting_source_value\", \"discharged_to_*\" = \"discharge_to_*\"",
            _ => "\"date(*,'unixepoch')\" = \"*\"",
        };
        format!(
            "[site.dataset.{table}]\ncontract = \"{}\"\nsource = {{ kind = \"csv\", path = \"{}\" }}\nrename = {{ {rename} }}\n{more}",
            contract("omop-5.3", table),
            files.join(format!("{table}.csv")).display()
        )
    });
    format!("[[site]]\nid = \"gibleed\"\n{}", datasets.collect::<String>())
}

fn unpacked(data: &Path, table: &str) -> String {
    let file = File::open(data.join(format!("{table}.csv.gz"))).expect("a file of GiBleed");
    let mut text = String::new();
    MultiGzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    text
}

/// Rows of a CSV file, as the texts of some columns whose names contain these.
fn texts<const N: usize>(text: &str, columns: [&str; N]) -> Vec<[String; N]> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let at = columns.map(|column| {
        let fits =
            |name: &str| name.to_lowercase() == column || name.to_lowercase().starts_with(&format!("date({column},"));
        header.iter().position(fits).expect("a column of GiBleed")
    });
    reader.records().map(|record| record.expect("a row")).map(|row| at.map(|i| row[i].to_owned())).collect()
}

/// When each person was observed. Dates in ISO form compare as texts.
fn periods_of(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut periods: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for [person, begin, end] in
        texts(text, ["person_id", "observation_period_start_date", "observation_period_end_date"])
    {
        periods.entry(person).or_default().push((begin, end));
    }
    periods
}

/// Of each concept, the persons with events outside of their periods alone, and the events outside.
fn outside(
    events: &Events,
    text: &str,
    periods: &BTreeMap<String, Vec<(String, String)>>,
) -> BTreeMap<String, (u64, u64)> {
    let mut rows: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for [person, concept, date] in texts(text, ["person_id", events.concept, events.date]) {
        let within = periods.get(&person).is_some_and(|p| p.iter().any(|(begin, end)| *begin <= date && date <= *end));
        let (inside, out) = rows.entry((concept, person)).or_default();
        *if within { inside } else { out } += 1;
    }
    let mut outside: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for ((concept, _), (inside, out)) in rows {
        let counts = outside.entry(concept).or_default();
        *counts = (counts.0 + u64::from(inside == 0), counts.1 + out);
    }
    outside
}

/// Persons and records of each concept in a snapshot.
fn counted(rows: &PathBuf, concept: &str) -> Counts {
    let rows = IpcReader::new(File::open(rows).expect("the snapshot")).finish().expect("its rows");
    let subjects = rows.column("__subject").expect("subjects").u32().expect("numbers").clone();
    let concepts = rows.column(concept).expect("concepts").str().expect("texts").clone();
    let mut counts = Counts::new();
    for (subject, concept) in subjects.iter().zip(concepts.iter()) {
        let (persons, records) = counts.entry(concept.expect("required").to_owned()).or_default();
        persons.extend(subject);
        *records += 1;
    }
    counts
}

/// Analysis, first stratum, count.
struct Achilles(Vec<[String; 3]>);

impl Achilles {
    fn read(data: &Path) -> Self {
        Self(texts(&unpacked(data, "achilles_results"), ["analysis_id", "stratum_1", "count_value"]))
    }

    /// The only number of an analysis.
    fn one(&self, analysis: &str) -> u64 {
        let found: Vec<u64> = self.of(analysis).map(|(_, count)| count).collect();
        assert_eq!(found.len(), 1, "analysis {analysis}");
        found[0]
    }

    fn of<'a>(&'a self, analysis: &'a str) -> impl Iterator<Item = (&'a String, u64)> {
        let rows = self.0.iter().filter(move |[of, ..]| of == analysis);
        rows.map(|[_, stratum, count]| (stratum, count.parse().expect("a count")))
    }

    /// Persons and records of each concept.
    fn by_concept(&self, events: &Events) -> BTreeMap<String, (u64, u64)> {
        let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        self.of(events.persons).for_each(|(concept, persons)| counts.entry(concept.clone()).or_default().0 = persons);
        self.of(events.records).for_each(|(concept, records)| counts.entry(concept.clone()).or_default().1 = records);
        counts
    }
}
