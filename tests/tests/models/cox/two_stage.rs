//! Every site's own Cox model, and the sites' estimates together.

use bocage_coordinator::api::types::Value;
use bocage_tests::federation::{Federation, Gate, block, number};

use super::super::data;
use super::{LUNG2, cox, lung2, run};

const FORMULA: &str = "formula = \"surv(time, status = 1) ~ age + sex\"";

#[test]
fn each_site_has_the_fit_that_it_has_alone_and_they_are_put_together_by_inverse_variances() {
    let rows = lung2();
    let federation = data::by_site(LUNG2, &rows);
    for errors in ["model", "robust"] {
        let options = format!("{FORMULA}, ties = \"breslow\", standard_errors = \"{errors}\"");
        let result = run(&federation, &format!("{options}, two_stage = \"fixed\""));
        let forest = block(&result, "forest");
        for term in ["age", "sex[1]"] {
            let (mut weights, mut weighted) = (0.0, 0.0);
            for site in ["site1", "site2", "site3"] {
                let alone: Vec<_> = rows.iter().filter(|(own, _)| own == site).cloned().collect();
                let alone = run(&data::by_site(LUNG2, &alone), &options);
                let [estimate, error] = ["estimate", "standard error"].map(|of| number(&alone.block, term, of));
                let text = |text: &str| Value::Text(text.to_owned());
                let row = forest.rows.iter().find(|row| row[..2] == [text(term), text(site)]).expect("a row");
                assert_eq!(row[2..4], [Value::Number(estimate), Value::Number(error)], "{term} of {site}");
                weights += error.powi(-2);
                weighted += estimate * error.powi(-2);
                let patients = block(&result, "patients with all that the model reads");
                assert_eq!(number(patients, site, "events"), number(block(&alone, "fit"), "events", "value"));
            }
            let (mean, error) = (weighted / weights, weights.powf(-0.5));
            assert!((number(&result.block, term, "estimate") - mean).abs() < 1e-12, "{term}");
            assert!((number(&result.block, term, "standard error") - error).abs() < 1e-12, "{term}");
            assert!((number(&result.block, term, "hazard ratio") - mean.exp()).abs() < 1e-12, "{term}");
        }
        assert_eq!(block(&result, "heterogeneity").rows.len(), 2);
        assert!(result.notes[0].starts_with("Cox regression of each site by itself"), "{:?}", result.notes);
    }
}

#[test]
fn a_site_whose_own_fit_has_no_end_or_that_refuses_is_left_out_by_name() {
    let mut rows = lung2();
    // Nobody of this hospital has the event.
    rows.iter_mut().filter(|(site, _)| site == "site2").for_each(|(_, row)| {
        row.insert("status".to_owned(), "0".to_owned());
    });
    let federation = data::by_site(LUNG2, &rows);
    let result = run(&federation, &format!("{FORMULA}, two_stage = \"dersimonian_laird\""));
    let says = |wanted: &str| assert!(result.notes.iter().any(|note| note == wanted), "{:?}", result.notes);
    says("site2 is left out: no fit: nobody has the event");
    assert_eq!(block(&result, "patients with all that the model reads").rows.len(), 2);
    let usual = federation.run(&cox(&format!("{FORMULA}, two_stage = \"fixed\"")), Gate::USUAL).remove(0);
    assert!(
        usual.block.rows.is_empty() && usual.notes.iter().any(|note| note.starts_with("site1 refused: ")),
        "{:?}",
        usual.notes
    );
}

#[test]
fn two_stages_know_no_grid_and_no_test_of_proportionality() {
    let federation: Federation = data::by_site(LUNG2, &lung2());
    for more in ["every = 50, until = 1000", "proportionality = \"identity\""] {
        let text = cox(&format!("{FORMULA}, two_stage = \"fixed\", {more}"));
        let text = format!("title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"lung2@1\"\n{text}");
        let problems = federation.bind(&text).expect_err("a problem");
        assert!(problems.contains("in two stages every site has a fit of its own"), "{problems}");
    }
}
