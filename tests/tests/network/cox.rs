//! Models of hazards over the four hospitals as processes: every round crosses the wire, and where the fit ends the score of the pooled rows is 0.

use bocage_tests::lab::{HOSPITALS, Lab, repository, status};
use serde_json::Value;

use super::analyses::{analysis, rows};
use super::{EXE, everyone};

const STUDY: &str = r#"
title = "Hazards"
purpose = "scientific_research"
dataset = "heart@1"
answer_within = "5m"
sites = ["cleveland", "hungary", "long-beach", "switzerland"]
[[analysis]]
name = "by_site"
cox = { formula = "surv(age, thalach >= 130) ~ trestbps", ties = "breslow", proportionality = "identity" }
[[analysis]]
name = "together"
cox = { formula = "surv(age, thalach >= 130) ~ trestbps", ties = "breslow", grid = [50, 58, 80], at = [{ trestbps = 140 }] }
"#;

/// Of whom all is known.
struct Patient {
    site: &'static str,
    time: f64,
    event: bool,
    x: f64,
}

fn patients() -> Vec<Patient> {
    let read = |site: &&'static str| {
        let text =
            std::fs::read_to_string(repository(&format!("tests/data/heart/{site}.csv"))).expect("the hospital's data");
        let patient = |line: &str| {
            let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap_or(f64::NAN)).collect();
            let known = fields[3] > 0.0 && fields[7].is_finite();
            known.then(|| Patient { site, time: fields[0], event: fields[7] >= 130.0, x: fields[3] })
        };
        text.lines().filter_map(patient).collect::<Vec<_>>()
    };
    HOSPITALS.iter().flat_map(read).collect()
}

/// Σ over events of x less its mean among those at risk of the same stratum.
fn score(patients: &[Patient], beta: f64, same: impl Fn(&Patient, &Patient) -> bool) -> f64 {
    let event = |one: &Patient| {
        let at_risk = || patients.iter().filter(|other| same(one, other) && other.time >= one.time);
        let sum = |power: i32| at_risk().map(|other| (beta * other.x).exp() * other.x.powi(power)).sum::<f64>();
        one.x - sum(1) / sum(0)
    };
    patients.iter().filter(|one| one.event).map(event).sum()
}

fn slope(of: &Value) -> f64 {
    rows(of)[0][1].as_f64().unwrap_or_else(|| panic!("{of:#}"))
}

fn block<'a>(of: &'a Value, title: &str) -> &'a Value {
    let found = of["also"].as_array().expect("blocks").iter().find(|block| block["title"] == title);
    found.unwrap_or_else(|| panic!("no {title} in {of:#}"))
}

#[test]
fn hazards_over_four_processes_are_those_of_the_pooled_rows() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let result = lab.study("hazards", STUDY).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    let mut patients = patients();
    let by_site = analysis(&result, "by_site");
    let n = rows(block(by_site, "fit"))[0][1].as_u64();
    assert_eq!(n, Some(patients.len() as u64));
    let found = score(&patients, slope(by_site), |one, other| one.site == other.site);
    assert!(found.abs() < 1e-5, "{found}");
    // Long Beach has few events before 50, so the first two intervals are one.
    let together = analysis(&result, "together");
    let ends: Vec<f64> = rows(block(together, "baseline")).iter().filter_map(|row| row[0].as_f64()).collect();
    assert_eq!(ends, [58.0, 80.0], "{together:#}");
    for patient in &mut patients {
        (patient.time, patient.event) = match patient.time {
            time if time < 58.0 => (58.0, patient.event),
            time if time < 80.0 => (80.0, patient.event),
            _ => (80.0, false),
        };
    }
    let found = score(&patients, slope(together), |_, _| true);
    assert!(found.abs() < 1e-5, "{found}");
    let survival: Vec<f64> = rows(block(together, "survival")).iter().filter_map(|row| row[2].as_f64()).collect();
    assert!(survival.len() == 2 && survival[0] < 1.0 && survival[1] < survival[0], "{survival:?}");
}
