//! A fitted model as a column of a later study: as a key, over a grid, as a weight; by hand, and from the folder of an earlier answer.

use std::collections::BTreeMap;

use bocage_protocol::trust::SecretKey;
use bocage_tests::federation::{Counting, Federation, Gate, number};
use serde_json::json;

use super::data::{self, COVID, RCT};
use super::earlier::{Earlier, Files, researcher};
use super::pooled::{self, Family};

const BY_HAND: &str = r#"
[models.risk]
formula = "death ~ age + sex + lab"
coefficients = { "(intercept)" = -5.25, age = 0.0431, "sex[1]" = 0.37, lab = 0.0123 }
"#;

/// What [`BY_HAND`] says of a patient.
fn risk(row: &BTreeMap<String, String>) -> Option<f64> {
    let x = |name: &str| row[name].parse::<f64>().ok();
    let eta = -5.25 + 0.0431 * x("age")? + 0.37 * x("sex")? + 0.0123 * x("lab")?;
    Some(1.0 / (1.0 + (-eta).exp()))
}

fn study(federation: &Federation, models: &str, analyses: &str) -> Result<bocage_protocol::trust::Study, String> {
    federation.bind(&format!(
        "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"{}\"\n{models}\n{analyses}",
        federation.contract().id()
    ))
}

#[test]
fn patients_are_counted_by_bands_of_what_a_model_expects_of_them_at_one_site_or_six() {
    let asked = "[[analysis]]\nname = \"bands\"\nhistogram = { of = \"predict(risk)\", bins = [0.1, 0.2, 0.4] }\n\
                 [[analysis]]\nname = \"high\"\ntable = { by = [\"sex\"], show = [\"count\", \"share(predict(risk) >= 0.2)\"] }\n\
                 [[analysis]]\nname = \"middle\"\nquantiles = { of = \"score\", at = [0.5] }";
    let models = format!("{BY_HAND}[features]\nscore = \"predict(risk)\"\n");
    let rows = data::covid();
    let scores: Vec<f64> = rows.iter().filter_map(|(_, row)| risk(row)).collect();
    let within = |lo: f64, hi: f64| scores.iter().filter(|score| (lo..hi).contains(*score)).count() as f64;
    for federation in [data::by_site(COVID, &rows), data::dealt(COVID, &rows, 1)] {
        let study = study(&federation, &models, asked).unwrap_or_else(|problems| panic!("{problems}"));
        let results = federation.answer(&study, Gate::OPEN);
        for (band, lo, hi) in
            [("<0.1", 0.0, 0.1), ("[0.1,0.2)", 0.1, 0.2), ("[0.2,0.4)", 0.2, 0.4), (">=0.4", 0.4, 1.1)]
        {
            assert_eq!(number(&results[0].block, band, "count"), within(lo, hi), "{:#?}", results[0].block);
        }
        let men: Vec<f64> = rows.iter().filter(|(_, row)| row["sex"] == "1").filter_map(|(_, row)| risk(row)).collect();
        let high = men.iter().filter(|score| **score >= 0.2).count() as f64 / men.len() as f64;
        assert!((number(&results[1].block, "1", "share(predict(risk) >= 0.2)") - high).abs() < 1e-12);
        let mut sorted = scores.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[scores.len() / 2];
        let [from, to] = ["from", "to"].map(|end| number(&results[2].block, "0.5", end));
        assert!(from <= median && median <= to && to - from < 0.01, "{from} to {to}, {median}");
    }
}

#[test]
fn inverse_probabilities_of_treatment_weigh_patients_as_in_a_pooled_fit_whatever_the_sites() {
    // Hernán, Robins, "What If" (2020), §12.2: weighted regression of the outcome on treatment.
    let models = "[models.treated]\nformula = \"rx ~ age + risk\"\n\
                  coefficients = { \"(intercept)\" = -0.6, age = 0.011, risk = 0.09 }\n";
    let asked = "[[analysis]]\nname = \"m\"\nmodel = { formula = \"outcome ~ rx\", weights = \"ipw(treated)\" }";
    let rows = data::rct();
    let mut pooled = pooled::Rows::default();
    for (_, row) in &rows {
        let (Ok(age), Ok(risk)) = (row["age"].parse::<f64>(), row["risk"].parse::<f64>()) else { continue };
        let treated = row["rx"] == "true";
        let p = 1.0 / (1.0 + (-(-0.6 + 0.011 * age + 0.09 * risk)).exp());
        pooled.x.push(vec![1.0, f64::from(u8::from(treated))]);
        pooled.y.push(f64::from(u8::from(row["outcome"] == "true")));
        pooled.offset.push(0.0);
        pooled.weight.push(1.0 / if treated { p } else { 1.0 - p });
    }
    let wanted = pooled::fit(Family::Binomial, &pooled).expect("a fit");
    let federations = [1, 2, 4, 16].map(|sites| data::dealt(RCT, &rows, sites));
    for federation in federations.iter().chain([&data::by_site(RCT, &rows)]) {
        let study = study(federation, models, asked).unwrap_or_else(|problems| panic!("{problems}"));
        let result = federation.answer(&study, Gate::OPEN).remove(0);
        for (term, wanted) in [("(intercept)", wanted.estimates[0]), ("rx[true]", wanted.estimates[1])] {
            let found = number(&result.block, term, "estimate");
            assert!((found - wanted).abs() <= 1e-8 * wanted.abs(), "{term}: {found} is not {wanted}");
        }
    }
}

#[test]
fn a_model_of_an_earlier_answer_is_the_one_that_was_published_and_says_where_it_is_from() {
    let federation = data::by_site(COVID, &data::covid());
    let first = study(
        &federation,
        "",
        "[[analysis]]\nname = \"risk\"\nmodel = { formula = \"death ~ age + sex + lab\" }\n\
                                        [[analysis]]\nname = \"sites\"\nmodel = { formula = \"death ~ age + site\" }",
    )
    .expect("a study");
    let (key, earlier) = (researcher(), Earlier::new(&first, &federation.answer(&first, Gate::OPEN)));
    let bound = |models: &str, files: Files| {
        let text = "[[analysis]]\nname = \"calibration\"\nmodel = { formula = \"death ~ linear(risk) + offset(linear(risk))\" }";
        federation.bind_with(
            &format!("title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"covid@1\"\n{models}\n{text}"),
            files,
        )
    };
    let asked = |models: &str, answer: &str| bound(models, earlier.folder(answer, &key));
    let models = "[models.risk]\nfrom = \"first\"\nanalysis = \"risk\"\n";
    let Earlier { signed, answer } = &earlier;
    let second = asked(models, answer).unwrap_or_else(|problems| panic!("{problems}"));
    let [origin] = second.models.as_slice() else { panic!("{:?}", second.models) };
    assert_eq!((origin.name.as_str(), origin.study, origin.analysis.as_str()), ("risk", signed.id(), "risk"));
    // On the rows that it was fitted to, a model is as it should be: the slope is 1, the intercept 0.
    let result = federation.answer(&second, Gate::OPEN).remove(0);
    for term in ["(intercept)", "linear(risk)"] {
        assert!(number(&result.block, term, "estimate").abs() < 1e-6, "{:#?}", result.block);
    }
    for (models, answer, problem) in [
        (models, answer.replace("\"age\"", "\"years\""), "there is no coefficient of `age`"),
        (models, json!({ "study": { "id": second.nonce }, "analyses": [] }).to_string(), "the answer of another study"),
        (models, "{".to_owned(), "its result.json is no answer of a study"),
        ("[models.risk]\nfrom = \"first\"\nanalysis = \"none\"\n", answer.clone(), "that study has no model `none`"),
        ("[models.risk]\nfrom = \"first\"\nanalysis = \"sites\"\n", answer.clone(), "an intercept for each site"),
        ("[models.risk]\nfrom = \"other\"\nanalysis = \"risk\"\n", answer.clone(), "`other/study.json` was not read"),
    ] {
        let problems = asked(models, &answer).expect_err(problem);
        assert!(problems.contains(problem), "{problems}");
    }
    // An answer that was edited is not that of the study, and who signs it anew is another.
    let edited = answer.replacen("\"patients\"", "\"patient\"", 1);
    let mut files = earlier.folder(answer, &key);
    files.insert("first/result.json".to_owned(), Ok(edited.clone()));
    let problems = bound(models, files).expect_err("an edited answer");
    assert!(problems.contains("models.risk.from: its result.json is not the file that was signed"), "{problems}");
    let stranger = SecretKey::generate(&mut Counting(70));
    let problems = bound(models, earlier.folder(&edited, &stranger)).expect_err("another key");
    assert!(problems.contains("another key put the folder together"), "{problems}");
    let mut files = earlier.folder(answer, &key);
    files.remove("first/manifest.json");
    let problems = bound(models, files).expect_err("no manifest");
    assert!(problems.contains("`first/manifest.json` was not read"), "{problems}");
}

#[test]
fn an_elastic_net_predicts_by_the_coefficients_that_are_published_of_it() {
    let federation = data::by_site(COVID, &data::covid());
    let asked = "[models.net]\nanalysis = \"held\"\n\
                 [[analysis]]\nname = \"held\"\nelastic_net = { formula = \"death ~ age + sex + lab\", lambdas = [0.1, 0.03] }\n\
                 [[analysis]]\nname = \"bands\"\nhistogram = { of = \"predict(net)\", bins = [0.1, 0.2, 0.4] }\n\
                 [[analysis]]\nname = \"good\"\nevaluate = { model = \"net\" }";
    let study = study(&federation, "", asked).unwrap_or_else(|problems| panic!("{problems}"));
    let results = federation.answer(&study, Gate::OPEN);
    let of = |term: &str| number(&results[0].block, term, "estimate");
    let expects = |row: &BTreeMap<String, String>| {
        let x = |name: &str| row[name].parse::<f64>().ok();
        let eta = of("(intercept)") + of("age") * x("age")? + of("sex[1]") * x("sex")? + of("lab") * x("lab")?;
        Some(1.0 / (1.0 + (-eta).exp()))
    };
    let scores: Vec<f64> = data::covid().iter().filter_map(|(_, row)| expects(row)).collect();
    for (band, lo, hi) in [("<0.1", 0.0, 0.1), ("[0.1,0.2)", 0.1, 0.2), ("[0.2,0.4)", 0.2, 0.4), (">=0.4", 0.4, 1.1)] {
        let wanted = scores.iter().filter(|score| (lo..hi).contains(*score)).count() as f64;
        assert_eq!(number(&results[1].block, band, "count"), wanted, "{:#?}", results[1].block);
    }
    // What is held small is too flat.
    assert!(number(&results[2].block, "calibration slope", "value") > 1.0, "{:#?}", results[2].block);
}

#[test]
fn a_later_analysis_waits_for_what_an_earlier_one_of_the_same_study_fits() {
    let asked = "[models.treated]\nanalysis = \"treatment\"\n\
                 [[analysis]]\nname = \"treatment\"\nmodel = { formula = \"rx ~ age + risk\" }\n\
                 [[analysis]]\nname = \"weighted\"\n\
                 model = { formula = \"outcome ~ rx\", weights = \"ipw(treated)\", standard_errors = \"hc0\" }\n\
                 [[analysis]]\nname = \"balance\"\ntable = { by = [\"cut(predict(treated), 0.4, 0.5)\"], show = [\"count\"] }\n\
                 [[analysis]]\nname = \"good\"\nevaluate = { model = \"treated\", grid = [0.4, 0.5], bands = [0.5] }";
    let rows = data::rct();
    let known: Vec<(Vec<f64>, bool, bool)> = rows
        .iter()
        .filter_map(|(_, row)| {
            let x = |name: &str| row[name].parse::<f64>().ok();
            Some((vec![1.0, x("age")?, x("risk")?], row["rx"] == "true", row["outcome"] == "true"))
        })
        .collect();
    let number_of = |is: bool| f64::from(u8::from(is));
    let nothing = |of: f64| vec![of; known.len()];
    let treatment = pooled::Rows {
        x: known.iter().map(|(x, ..)| x.clone()).collect(),
        y: known.iter().map(|(_, treated, _)| number_of(*treated)).collect(),
        offset: nothing(0.0),
        weight: nothing(1.0),
        ..pooled::Rows::default()
    };
    let first = pooled::fit(Family::Binomial, &treatment).expect("a fit");
    let p = |x: &[f64]| {
        let eta: f64 = x.iter().zip(&first.estimates).map(|(x, beta)| x * beta).sum();
        1.0 / (1.0 + (-eta).exp())
    };
    let outcome = pooled::Rows {
        x: known.iter().map(|(_, treated, _)| vec![1.0, number_of(*treated)]).collect(),
        y: known.iter().map(|(.., died)| number_of(*died)).collect(),
        offset: nothing(0.0),
        weight: known.iter().map(|(x, treated, _)| 1.0 / if *treated { p(x) } else { 1.0 - p(x) }).collect(),
        ..pooled::Rows::default()
    };
    let wanted = pooled::fit(Family::Binomial, &outcome).expect("a fit");
    let federations = [1, 4].map(|sites| data::dealt(RCT, &rows, sites));
    for federation in federations.iter().chain([&data::by_site(RCT, &rows)]) {
        let study = study(federation, "", asked).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(study.models.is_empty(), "no earlier study is named");
        let results = federation.answer(&study, Gate::OPEN);
        for (term, wanted) in [("(intercept)", wanted.estimates[0]), ("rx[true]", wanted.estimates[1])] {
            let found = number(&results[1].block, term, "estimate");
            assert!((found - wanted).abs() <= 1e-8 * wanted.abs(), "{term}: {found} is not {wanted}");
        }
        let likely = known.iter().filter(|(x, ..)| p(x) >= 0.5).count() as f64;
        assert_eq!(number(&results[2].block, ">=0.5", "count"), likely);
        assert_eq!(results[3].kind, "evaluate");
        assert!((number(&results[3].block, "calibration slope", "value") - 1.0).abs() < 1e-6, "{:#?}", results[3]);
    }
    // Nobody is told apart by treatment: there is no such fit, and nothing that reads it.
    let none = study(&federations[0], "where = \"rx\"", asked).unwrap_or_else(|problems| panic!("{problems}"));
    let results = federations[0].answer(&none, Gate::OPEN);
    assert!(results.iter().all(|result| result.block.rows.is_empty()), "{results:#?}");
    assert!(results[1].notes.iter().any(|note| note.starts_with("no answer: ")), "{:?}", results[1].notes);
}

#[test]
fn what_waits_for_no_fit_above_it_is_refused_before_anything_is_signed() {
    let federation = data::by_site(RCT, &data::rct());
    let fit = |formula: &str| format!("[[analysis]]\nname = \"treatment\"\nmodel = {{ {formula} }}\n");
    let fine = fit("formula = \"rx ~ age + risk\"");
    let reads = "[[analysis]]\nname = \"m\"\nmodel = { formula = \"outcome ~ rx\", weights = \"ipw(treated)\" }\n";
    let treated = "[models.treated]\nanalysis = \"treatment\"\n";
    for (before, analyses, problem) in [
        (
            treated.to_owned(),
            format!("{reads}{fine}"),
            "`m` reads the fit of `treatment`, which does not stand above it",
        ),
        (format!("where = \"predict(treated) < 0.9\"\n{treated}"), fine.clone(), "a cohort can read none"),
        (treated.replace("\"treatment\"", "\"treatmnt\""), format!("{fine}{reads}"), "did you mean `treatment`?"),
        (treated.to_owned(), format!("{}{reads}", fit("formula = \"rx ~ agee\"")), "is wrong by itself"),
        (treated.to_owned(), format!("{}{reads}", fit("formula = \"rx ~ age + site\"")), "an intercept for each site"),
        (
            treated.to_owned(),
            format!("{}{reads}", fit("formula = \"rx ~ age\", weights = \"ipw(treated)\"")),
            "is wrong by itself",
        ),
    ] {
        let problems = study(&federation, &before, &analyses).map(drop).expect_err(problem);
        assert!(problems.contains(problem), "{problem}: {problems}");
    }
}

#[test]
fn a_model_that_is_steep_or_not_of_the_contract_is_refused_before_anything_is_signed() {
    let federation = data::by_site(COVID, &data::covid());
    let count = "[[analysis]]\nname = \"t\"\ntable = { by = [\"cut(predict(risk), 0.5)\"], show = [\"count\"] }";
    let with = |coefficients: &str, analysis: &str| {
        let models = format!("[models.risk]\nformula = \"death ~ age + sex\"\ncoefficients = {{ {coefficients} }}\n");
        study(&federation, &models, analysis).map(drop)
    };
    let gentle = "\"(intercept)\" = -5, age = 0.06, \"sex[1]\" = 1";
    assert_eq!(with(gentle, count), Ok(()));
    for (coefficients, analysis, problem) in [
        (
            "\"(intercept)\" = -50, age = 0.5, \"sex[1]\" = 1",
            count,
            "the coefficient of age changes the linear predictor by 30.0 over half of its range: at most 10",
        ),
        (
            "\"(intercept)\" = -40, age = 0.1, \"sex[1]\" = 1",
            count,
            "the intercept is -34.0 in the middle of the ranges: at most 30",
        ),
        ("\"(intercept)\" = -5, age = 0, \"sex[1]\" = 0", count, "the model expects the same of everybody"),
        ("\"(intercept)\" = -5, age = 0.06", count, "there is no coefficient of `sex[1]`"),
        ("\"(intercept)\" = -5, age = 0.06, \"sex[1]\" = 1, lab = 2", count, "`lab` is no column of the formula"),
        (
            gentle,
            "[[analysis]]\nname = \"t\"\ntable = { by = [\"sex\"], show = [\"mean(predict(risk))\"] }",
            "a prediction is not summed",
        ),
        (gentle, "[[analysis]]\nname = \"m\"\nmodel = { formula = \"death ~ log(predict(risk))\" }", ""),
        (
            gentle,
            "[[analysis]]\nname = \"t\"\ntable = { by = [\"cut(predict(rsk), 0.5)\"], show = [\"count\"] }",
            "there is no fitted model `rsk`",
        ),
    ] {
        let problems = with(coefficients, analysis).expect_err(problem);
        assert!(problems.contains(problem), "{problems}");
    }
}

#[test]
fn a_gentle_score_is_a_covariate_under_the_usual_gate_and_a_steep_one_says_nothing() {
    let federation = data::by_site(COVID, &data::covid());
    let fit = |coefficients: &str, formula: &str| {
        let models = format!("[models.risk]\nformula = \"death ~ age + lab\"\ncoefficients = {{ {coefficients} }}\n");
        let asked = format!("[[analysis]]\nname = \"m\"\nmodel = {{ formula = \"{formula}\" }}");
        let study = study(&federation, &models, &asked).unwrap_or_else(|problems| panic!("{problems}"));
        federation.answer(&study, Gate::USUAL).remove(0)
    };
    let gentle = fit("\"(intercept)\" = -3, age = 0.02, lab = 0.01", "los ~ predict(risk)");
    assert!(gentle.block.rows.len() == 2, "{:?}", gentle.notes);
    // Above 0.5 there are the few who are old and ill.
    let steep = "\"(intercept)\" = -34, age = 0.166, lab = 0.19";
    for formula in ["los ~ predict(risk)", "los ~ linear(risk)"] {
        let result = fit(steep, formula);
        let said = "a prediction is so steep that it singles patients out";
        assert!(result.notes.iter().any(|note| note.contains(said)), "{formula}: {:?}", result.notes);
    }
}
