//! The last value of patients with several in one day, in an export of the generator pysynthea: what `last` gives is what a reader of the resources takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader};

use bocage_protocol::front::dates::parse_datetime;
use bocage_tests::federation::{Federation, Gate};
use bocage_tests::lab::repository;
use flate2::read::MultiGzDecoder;
use serde_json::Value as Json;

use super::{HEAD, contract, plain, result};

/// A value with its day and its moment.
type Seen = (String, i64, f64);

/// What was measured of each code in each patient, and the rows as a site has them.
fn measured(export: File) -> (BTreeMap<String, BTreeMap<String, Vec<Seen>>>, String) {
    let mut found: BTreeMap<String, BTreeMap<String, Vec<Seen>>> = BTreeMap::new();
    let mut rows = "patient,code,value,date,instant\n".to_owned();
    for line in BufReader::new(MultiGzDecoder::new(export)).lines() {
        let resource: Json = serde_json::from_str(&line.expect("a line")).expect("a resource");
        let text = |of: &str| resource.pointer(of).and_then(Json::as_str).expect("a text");
        let Some(value) = resource.pointer("/valueQuantity/value").and_then(Json::as_f64) else { continue };
        let (patient, code, when) =
            (text("/subject/reference"), text("/code/coding/0/code"), text("/effectiveDateTime"));
        let seen = (when[..10].to_owned(), parse_datetime(when).expect("a moment"), value);
        let _ = writeln!(rows, "{patient},{code},{value},{},{when}", &when[..10]);
        found.entry(code.to_owned()).or_default().entry(patient.to_owned()).or_default().push(seen);
    }
    (found, rows)
}

/// The smallest value of the last moment, or of the last day.
fn last(seen: &[Seen], by_moment: bool) -> f64 {
    let time = |of: &Seen| (of.0.clone(), if by_moment { of.1 } else { 0 });
    let end = seen.iter().map(time).max().expect("a value");
    seen.iter().filter(|of| time(of) == end).map(|of| of.2).fold(f64::INFINITY, f64::min)
}

#[test]
fn the_last_of_several_values_of_a_day_is_that_of_the_last_moment_where_the_export_is_there() {
    let path = repository("../shared/data/fhir_pysynthea_ma20/site_1/Observation.ndjson.gz");
    let Ok(export) = File::open(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let (found, rows) = measured(export);
    let patients: std::collections::BTreeSet<&String> = found.values().flat_map(BTreeMap::keys).collect();
    let people = patients.iter().fold("patient\n".to_owned(), |text, patient| format!("{text}{patient}\n"));
    let contracts = ["fhir-r4-patient@1", "fhir-r4-observation@3"].map(contract);
    let federation = Federation::across(&contracts, &[("all", vec![people, rows])]);
    let mut told_apart = 0;
    for (code, patients) in &found {
        if patients.values().all(|seen| last(seen, true) == last(seen, false)) {
            continue;
        }
        told_apart += 1;
        let values: Vec<f64> = patients.values().map(|seen| last(seen, true)).collect();
        let (lo, hi) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| (lo.min(*x), hi.max(*x)));
        let study = format!(
            "{HEAD}[tables]\npatient = \"fhir-r4-patient@1\"\nobservation = \"fhir-r4-observation@3\"\n[cohort]\nfrom = \"patient\"\n\
             [features]\nlatest = \"plausible(last(observation.value where code = '{code}'), {}, {})\"\n\
             [[analysis]]\nname = \"latest\"\ntable = {{ by = [], show = [\"count\", \"mean(latest)\"] }}\n",
            lo.floor() - 1.0,
            hi.ceil() + 1.0
        );
        let study = federation.bind(&study).unwrap_or_else(|problems| panic!("{problems}"));
        let answers = federation.answer(&study, Gate::OPEN);
        let shown = plain(&result(&answers, "latest").block.rows[0][1]).expect("a mean");
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((shown - mean).abs() < 1e-6 * mean.abs().max(1.0), "{code}: {shown}, not {mean}");
    }
    assert!(told_apart > 10, "{told_apart} codes have such a day");
}
