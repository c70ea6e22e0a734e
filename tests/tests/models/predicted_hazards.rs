//! A Cox model as a column of a later study: the logarithm of its hazard ratio, or the ratio, against a patient in the middle of all ranges.

use std::collections::BTreeMap;

use bocage_protocol::trust::{SecretKey, Study};
use bocage_tests::federation::{Counting, Federation, Gate, block, number};

use super::data::{self, COVID, Rows};
use super::earlier::{Earlier, Files, researcher};

fn study(federation: &Federation, text: &str) -> Result<Study, String> {
    let head = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"covid@1\"\n";
    federation.bind(&format!("{head}{text}"))
}

const BY_HAND: &str = "[models.risk]\nformula = \"surv(los, death) ~ age + sex + lab\"\n\
                       coefficients = { age = 0.03, \"sex[1]\" = 0.4, lab = 0.02 }\n";

/// What [`BY_HAND`] says of a patient: ranges are 0 to 120 and 0 to 100, and the reference of sex is 0.
fn by_hand(row: &BTreeMap<String, String>) -> f64 {
    let x = |name: &str| row[name].parse::<f64>().expect("a number");
    0.03 * (x("age") - 60.0) + 0.4 * x("sex") + 0.02 * (x("lab") - 50.0)
}

/// No value lies on an edge.
#[test]
fn patients_are_counted_by_their_hazard_against_that_of_a_patient_in_the_middle() {
    let rows = data::covid();
    let asked = "[[analysis]]\nname = \"lines\"\nhistogram = { of = \"linear(risk)\", bins = [-1.0003, -0.5003, 0.0003] }\n\
                 [[analysis]]\nname = \"ratios\"\ntable = { by = [\"cut(predict(risk), 0.5001, 1.0003)\"], show = [\"count\"] }\n";
    let of: Vec<f64> = rows.iter().map(|(_, row)| by_hand(row)).collect();
    let within = |lo: f64, hi: f64| of.iter().filter(|eta| (lo..hi).contains(*eta)).count() as f64;
    for federation in [data::by_site(COVID, &rows), data::dealt(COVID, &rows, 1)] {
        let study = study(&federation, &format!("{BY_HAND}{asked}")).unwrap_or_else(|problems| panic!("{problems}"));
        let results = federation.answer(&study, Gate::OPEN);
        for (band, lo, hi) in [
            ("<-1.0003", -99.0, -1.0003),
            ("[-1.0003,-0.5003)", -1.0003, -0.5003),
            ("[-0.5003,0.0003)", -0.5003, 0.0003),
            (">=0.0003", 0.0003, 99.0),
        ] {
            assert!(within(lo, hi) > 20.0, "{band}");
            assert_eq!(number(&results[0].block, band, "count"), within(lo, hi), "{:#?}", results[0].block);
        }
        let (half, one) = (0.5001f64.ln(), 1.0003f64.ln());
        for (band, lo, hi) in [("<0.5001", -99.0, half), ("[0.5001,1.0003)", half, one), (">=1.0003", one, 99.0)] {
            assert_eq!(number(&results[1].block, band, "count"), within(lo, hi), "{:#?}", results[1].block);
        }
    }
}

#[test]
fn what_a_cox_model_expects_is_as_it_should_be_where_it_was_fitted_and_orders_patients_as_well() {
    // A spline's functions and products are centred as in the fit, or not, and only their part of the baseline is lost.
    for terms in ["age + sex + lab", "age * sex + lab", "ns(age, knots = [50, 65]) + age:lab"] {
        let asked = format!(
            "[models.risk]\nanalysis = \"first\"\n\
             [[analysis]]\nname = \"first\"\ncox = {{ formula = \"surv(los, death) ~ {terms}\" }}\n\
             [[analysis]]\nname = \"again\"\ncox = {{ formula = \"surv(los, death) ~ linear(risk)\" }}\n"
        );
        let federation = data::by_site(COVID, &data::covid());
        let study = study(&federation, &asked).unwrap_or_else(|problems| panic!("{problems}"));
        let results = federation.answer(&study, Gate::OPEN);
        let [first, again] = results.as_slice() else { panic!("{results:#?}") };
        assert!(!again.block.rows.is_empty(), "{terms}: {:?}", again.notes);
        let slope = number(&again.block, "linear(risk)", "estimate");
        assert!((slope - 1.0).abs() < 1e-8, "{terms}: {slope}");
        for quantity in ["patients", "events", "log-likelihood", "concordance"] {
            let [one, other] = [first, again].map(|result| number(block(result, "fit"), quantity, "value"));
            assert!((one - other).abs() <= 1e-10 * one.abs(), "{terms}, {quantity}: {one} and {other}");
        }
    }
}

#[test]
fn a_cox_model_of_an_earlier_answer_is_the_one_that_was_published_and_only_as_its_manifest_has_it() {
    let federation = data::by_site(COVID, &data::covid());
    let fits = "[[analysis]]\nname = \"risk\"\ncox = { formula = \"surv(los, death) ~ age + sex + lab\" }\n\
                [[analysis]]\nname = \"alone\"\ncox = { formula = \"surv(los, death) ~ age\", two_stage = \"fixed\" }\n";
    let first = study(&federation, fits).unwrap_or_else(|problems| panic!("{problems}"));
    let results = federation.answer(&first, Gate::OPEN);
    let (key, earlier) = (researcher(), Earlier::new(&first, &results));
    let bound = |analysis: &str, files: Files| {
        let text = format!(
            "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"covid@1\"\n\
             [models.risk]\nfrom = \"first\"\nanalysis = \"{analysis}\"\n\
             [[analysis]]\nname = \"again\"\ncox = {{ formula = \"surv(los, death) ~ linear(risk)\" }}\n\
             [[analysis]]\nname = \"ratios\"\ntable = {{ by = [\"cut(predict(risk), 1)\"], show = [\"count\"] }}\n"
        );
        federation.bind_with(&text, files)
    };
    let second = bound("risk", earlier.folder(&earlier.answer, &key)).unwrap_or_else(|problems| panic!("{problems}"));
    let [origin] = second.models.as_slice() else { panic!("{:?}", second.models) };
    let said = (origin.name.as_str(), origin.study, origin.analysis.as_str());
    assert_eq!(said, ("risk", earlier.signed.id(), "risk"));
    // On the rows that it was fitted to it is as it should be, and counts patients by the coefficients that were published.
    let again = federation.answer(&second, Gate::OPEN);
    let slope = number(&again[0].block, "linear(risk)", "estimate");
    assert!((slope - 1.0).abs() < 1e-8, "{slope}");
    for quantity in ["patients", "events", "log-likelihood", "concordance"] {
        let [one, other] = [&results[0], &again[0]].map(|result| number(block(result, "fit"), quantity, "value"));
        assert!((one - other).abs() <= 1e-10 * one.abs(), "{quantity}: {one} and {other}");
    }
    let published = |term: &str| number(&results[0].block, term, "estimate");
    let [age, sex, lab] = ["age", "sex[1]", "lab"].map(published);
    let is_high = |row: &BTreeMap<String, String>| {
        let x = |name: &str| row[name].parse::<f64>().expect("a number");
        age * (x("age") - 60.0) + sex * x("sex") + lab * (x("lab") - 50.0) >= 0.0
    };
    let high = data::covid().iter().filter(|(_, row)| is_high(row)).count();
    assert!((100..2000).contains(&high), "{high}");
    assert_eq!(number(&again[1].block, ">=1", "count"), high as f64, "{:#?}", again[1].block);
    // An answer that was edited is not the one that was signed; signed by somebody else it is another's.
    let estimate = age.to_string();
    let edited = earlier.answer.replacen(&estimate, &(2.0 * age).to_string(), 1);
    assert_ne!(edited, earlier.answer);
    let mut spoilt = earlier.folder(&earlier.answer, &key);
    spoilt.insert("first/result.json".to_owned(), Ok(edited.clone()));
    let stranger = SecretKey::generate(&mut Counting(70));
    let mut headless = earlier.folder(&earlier.answer, &key);
    headless.insert("first/manifest.json".to_owned(), Ok("{}".to_owned()));
    for (analysis, files, problem) in [
        ("risk", spoilt, "models.risk.from: its result.json is not the file that was signed with the folder"),
        ("risk", earlier.folder(&edited, &stranger), "another key put the folder together"),
        ("risk", headless, "models.risk.from: its manifest.json: "),
        ("alone", earlier.folder(&earlier.answer, &key), "in two stages predicts nothing by its coefficients alone"),
        ("none", earlier.folder(&earlier.answer, &key), "that study has no model `none`"),
    ] {
        let problems = bound(analysis, files).map(drop).expect_err(problem);
        assert!(problems.contains(problem), "{problem}: {problems}");
    }
    // Whoever puts the folder together anew may be the researcher themselves, who believes what they sign.
    let resigned = bound("risk", earlier.folder(&edited, &key)).unwrap_or_else(|problems| panic!("{problems}"));
    assert_ne!(resigned.features, second.features);
}

#[test]
fn an_area_is_that_of_the_order_of_hazards() {
    let rows = data::covid();
    let federation = data::dealt(COVID, &rows, 1);
    let asked = "[[analysis]]\nname = \"good\"\nevaluate = { score = \"linear(risk)\", truth = \"death\", grid = [-2, -1.5, -1, -0.5, 0, 0.5, 1] }";
    let study = study(&federation, &format!("{BY_HAND}{asked}")).unwrap_or_else(|problems| panic!("{problems}"));
    let result = federation.answer(&study, Gate::OPEN).remove(0);
    // Mann and Whitney's, of all pairs.
    let of = |died: &str| -> Vec<f64> {
        rows.iter().filter(|(_, row)| row["death"] == died).map(|(_, row)| by_hand(row)).collect()
    };
    let (dead, alive) = (of("true"), of("false"));
    let wins: f64 = dead.iter().map(|one| alive.iter().filter(|other| one > other).count() as f64).sum();
    let area = wins / dead.len() as f64 / alive.len() as f64;
    let [least, most] = ["least", "most"].map(|end| number(&result.block, "area under the curve", end));
    assert!(least <= area && area <= most && most - least < 0.2, "{least} to {most}, {area}");
}

#[test]
fn what_a_cox_model_cannot_say_is_refused_before_anything_is_signed() {
    let rows: Rows = data::covid().into_iter().take(40).collect();
    let federation = data::dealt(COVID, &rows, 1);
    let count = "[[analysis]]\nname = \"t\"\ntable = { by = [\"cut(linear(risk), 0)\"], show = [\"count\"] }\n";
    let fit = |more: &str| {
        format!(
            "[models.risk]\nanalysis = \"fit\"\n[[analysis]]\nname = \"fit\"\n\
             cox = {{ formula = \"surv(los, death) ~ age{more} }}\n{count}"
        )
    };
    assert_eq!(study(&federation, &format!("{BY_HAND}{count}")).map(drop), Ok(()));
    assert_eq!(study(&federation, &fit("\"")).map(drop), Ok(()));
    let weights = "[[analysis]]\nname = \"m\"\nmodel = { formula = \"lab ~ sex\", weights = \"ipw(risk)\" }";
    for (text, problem) in [
        (format!("{BY_HAND}{weights}"), "the outcome of `risk` is no condition"),
        (
            format!("{BY_HAND}[[analysis]]\nname = \"e\"\nevaluate = {{ model = \"risk\", truth = \"death\" }}"),
            "`risk` is no logistic model",
        ),
        (
            format!("{}{count}", BY_HAND.replace("[models.risk]", "[models.risk]\nfamily = \"poisson\"")),
            "a model of the time to an event has no family and no link",
        ),
        (
            format!("{}{count}", BY_HAND.replace("age = 0.03", "\"(intercept)\" = 1, age = 0.03")),
            "`(intercept)` is no column of the formula",
        ),
        (
            format!("{}{count}", BY_HAND.replace("age = 0.03", "age = 0.3")),
            "the coefficient of age changes the linear predictor by 18.0 over half of its range: at most 10",
        ),
        (fit("\", two_stage = \"fixed\""), "in two stages predicts nothing by its coefficients alone"),
        (fit(" + offset(lab)\""), "with an offset"),
    ] {
        let problems = study(&federation, &text).map(drop).expect_err(problem);
        assert!(problems.contains(problem), "{problem}: {problems}");
    }
}

#[test]
fn under_the_usual_gate_a_gentle_ratio_is_a_covariate_and_a_steep_one_says_nothing() {
    let federation = data::by_site(COVID, &data::covid());
    let run = |model: &str, of: &str| {
        let asked = format!("{model}[[analysis]]\nname = \"m\"\nmodel = {{ formula = \"los ~ {of}(risk)\" }}");
        let study = study(&federation, &asked).unwrap_or_else(|problems| panic!("{problems}"));
        federation.answer(&study, Gate::USUAL).remove(0)
    };
    for of in ["linear", "predict"] {
        let gentle = run(BY_HAND, of);
        assert_eq!(gentle.block.rows.len(), 2, "{of}: {:?}", gentle.notes);
        let steep = run(&BY_HAND.replace("age = 0.03", "age = 0.16").replace("lab = 0.02", "lab = 0.19"), of);
        let said = "a prediction is so steep that it singles patients out";
        assert!(steep.notes.iter().any(|note| note.contains(said)), "{of}: {:?}", steep.notes);
    }
}
