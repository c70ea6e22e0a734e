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
cox = { formula = "surv(age, thalach >= 130) ~ trestbps", ties = "breslow", grid = [80], at = [{ trestbps = 140 }] }
[[analysis]]
name = "too_fine"
cox = { formula = "surv(age, thalach >= 130) ~ trestbps", ties = "breslow", grid = [50, 58, 80] }
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

/// The patients of the hospitals that did not refuse: two at least.
fn of_those_who_took_part(of: &Value) -> Vec<Patient> {
    let sites = rows(block(of, "patients with all that the model reads"));
    assert!(sites.len() >= 2, "{of:#}");
    let all: Vec<Patient> = patients().into_iter().filter(|one| sites.iter().any(|row| row[0] == one.site)).collect();
    let n: u64 = sites.iter().filter_map(|row| row[1].as_u64()).sum();
    assert_eq!(n, all.len() as u64, "{of:#}");
    all
}

#[test]
fn hazards_over_four_processes_are_those_of_the_pooled_rows() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let result = lab.study("hazards", STUDY).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    let by_site = analysis(&result, "by_site");
    let patients = of_those_who_took_part(by_site);
    let found = score(&patients, slope(by_site), |one, other| one.site == other.site);
    assert!(found.abs() < 1e-5, "{found}");
    let together = analysis(&result, "together");
    let mut patients = of_those_who_took_part(together);
    let ends: Vec<f64> = rows(block(together, "baseline")).iter().filter_map(|row| row[0].as_f64()).collect();
    assert!(ends.contains(&80.0), "{together:#}");
    for patient in &mut patients {
        let end = ends.iter().find(|end| patient.time < **end);
        (patient.time, patient.event) = (*end.unwrap_or(&80.0), patient.event && end.is_some());
    }
    let found = score(&patients, slope(together), |_, _| true);
    assert!(found.abs() < 1e-5, "{found}");
    let notes = analysis(&result, "too_fine")["notes"].to_string();
    assert!(notes.contains("no fit: all sites keep 1 of the 3 intervals"), "{notes}");
    let survival: Vec<f64> = rows(block(together, "survival")).iter().filter_map(|row| row[2].as_f64()).collect();
    assert_eq!(survival.len(), ends.len());
    assert!(survival.windows(2).all(|w| w[1] < w[0]) && survival[0] < 1.0, "{survival:?}");
}
