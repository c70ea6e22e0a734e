//! A clustering whose rounds go on while patients opt out: k of them at once, but not k of each cluster.

use bocage_protocol::analysis::RoundState;
use bocage_protocol::plan::Centroids;
use bocage_protocol::release::ModelRelease;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::models::clinic;
use super::*;

const CLUSTERS: &str = r#"
title = "Kinds of patients"
purpose = "scientific_research"
dataset = "heart@1"
min_sites = 1
[[analysis]]
name = "k"
kmeans = { columns = ["age", "chol"], clusters = 6, starts = 1 }
"#;

/// Centroids at these ages, to which cholesterol hardly counts.
fn at(clinic: &Clinic, study: &Study, round: u16, ages: [f64; 6]) -> RoundRequest {
    let start = ages.iter().map(|age| vec![Centroids::step((age - 60.0) / 60.0), 0]).collect();
    let state = RoundState::Centroids(Centroids { weights: vec![1.0, 1e-12], starts: vec![start] });
    RoundRequest { round, steps: vec![Step { analysis: 0, state }], ..clinic.site.request(study) }
}

fn sizes(release: &Release) -> Vec<f64> {
    match &release.parts[0].outcome {
        Outcome::Model(ModelRelease { sums, .. }) => sums[2..].chunks(3).map(|cluster| cluster[0]).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn clusters_of_whom_few_have_opted_out_are_refused_and_one_of_all_is_not() {
    let clinic = clinic();
    let custodian = clinic.custodian();
    let study = clinic.site.study_of(CLUSTERS);
    let first = released(&custodian, &custodian.round(&clinic.site.request(&study)));
    assert!(matches!(&first.parts[0].outcome, Outcome::Model(release) if release.n == PATIENTS));
    let decades = [35.0, 45.0, 55.0, 65.0, 75.0, 85.0];
    let before = released(&custodian, &custodian.round(&at(&clinic, &study, 1, decades)));
    assert_eq!(sizes(&before).iter().sum::<f64>(), PATIENTS as f64);
    clinic.list_first(24);
    let after = released(&custodian, &custodian.round(&at(&clinic, &study, 2, [35.0, 45.0, 55.0, 65.0, 75.0, 86.0])));
    let Outcome::Refused(error) = &after.parts[0].outcome else { panic!("{after:?}") };
    assert_eq!(error.code, ErrorCode::TooFewForModel);
    assert!(error.message.contains("have come or gone"), "{error:?}");
    // All of them are nearest to the first.
    let one = [60.0, 0.0, 0.0, 120.0, 120.0, 120.0];
    let whole = released(&custodian, &custodian.round(&at(&clinic, &study, 3, one)));
    assert_eq!(sizes(&whole)[0], (PATIENTS - 24) as f64);
}
