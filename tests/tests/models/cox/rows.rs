//! Patients with several rows, each for a part of the time: covariates that change, and errors by patient.

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::{Gate, block, number};

use super::super::data::{self, Rows};
use super::{cox, equal, lung2, run};

const CONTRACT: &str = r#"
    id = "lung2@1"
    subject = "patient"
    column = [
        { name = "patient", type = "text" },
        { name = "begin", type = "int", range = [0, 1100] },
        { name = "time", type = "float", range = [1, 1100] },
        { name = "status", type = "int", range = [0, 1] },
        { name = "age", type = "int", range = [30, 100] },
        { name = "sex", type = "code", codes = [{ code = "0" }, { code = "1" }] },
        { name = "on", type = "code", codes = [{ code = "0" }, { code = "1" }] },
    ]
"#;

const FORMULA: &str = "formula = \"surv(begin, time, status = 1) ~ age + sex + on\"";
const THREE: [(&str, &str); 3] = [("age", "age"), ("sex", "sex[1]"), ("on", "on[1]")];

/// Two of three patients in two rows: something begins at a day of their own (as `cut` of `tests/reference/cox.py`). `changes`: whether the rows say so.
fn cut(changes: bool) -> Rows {
    let mut all = Vec::new();
    for (i, (site, row)) in lung2().into_iter().enumerate() {
        let (day, time) = (30 + 37 * i % 300, row["time"].parse::<f64>().expect("a time"));
        let with = |begin: usize, time: f64, status: &str, on: &str| {
            let mut row = row.clone();
            let values = [("patient", format!("p{i:03}")), ("begin", begin.to_string()), ("time", time.to_string())];
            row.extend(values.map(|(name, value)| (name.to_owned(), value)));
            row.extend([("status", status), ("on", on)].map(|(name, value)| (name.to_owned(), value.to_owned())));
            (site.clone(), row)
        };
        if i % 3 == 0 || day as f64 >= time {
            all.push(with(0, time, &row["status"], "0"));
        } else {
            all.push(with(0, day as f64, "0", "0"));
            all.push(with(day, time, &row["status"], if changes { "1" } else { "0" }));
        }
    }
    all
}

#[test]
fn covariates_change_from_row_to_row_and_errors_are_by_patient() {
    let federation = data::dealt(CONTRACT, &cut(true), 1);
    let says =
        |result: &AnalysisResult| result.notes.iter().any(|note| note.contains("a patient can have several rows"));
    let of_model = run(&federation, &format!("{FORMULA}, proportionality = \"log\""));
    equal(&of_model, "lung2, rows", &THREE, "errors");
    let robust = run(&federation, &format!("{FORMULA}, standard_errors = \"robust\""));
    equal(&robust, "lung2, rows", &THREE, "robust");
    assert!(says(&of_model) && !says(&robust), "{:?}, {:?}", of_model.notes, robust.notes);
    let breslow = format!("{FORMULA}, standard_errors = \"robust\", ties = \"breslow\"");
    equal(&run(&federation, &breslow), "lung2, rows, breslow", &THREE, "robust");
}

#[test]
fn a_follow_up_that_is_cut_into_rows_is_still_one_patients() {
    let formula = "formula = \"surv(begin, time, status = 1) ~ age + sex\", standard_errors = \"robust\"";
    let whole = super::pooled("formula = \"surv(time, status = 1) ~ age + sex\", standard_errors = \"robust\"");
    let rows = run(&data::dealt(CONTRACT, &cut(false), 1), formula);
    for row in ["age", "sex[1]"] {
        for column in ["estimate", "standard error"] {
            let (one, other) = (number(&whole.block, row, column), number(&rows.block, row, column));
            assert!((one - other).abs() <= 1e-9 * one.abs(), "{row} {column}: {one} and {other}");
        }
    }
    for row in ["patients", "events", "log-likelihood", "concordance"] {
        let of = |result| number(block(result, "fit"), row, "value");
        assert!((of(&whole) - of(&rows)).abs() <= 1e-9 * of(&whole).abs(), "{row}");
    }
}

#[test]
fn whose_rows_overlap_is_left_out_with_all_of_them() {
    let mut rows = cut(true);
    let second = rows.iter().position(|(_, row)| row["begin"] != "0").expect("a second row");
    let day: i64 = rows[second].1["begin"].parse().expect("a day");
    rows[second].1.insert("begin".to_owned(), (day - 1).to_string());
    let result = run(&data::dealt(CONTRACT, &rows, 1), FORMULA);
    assert_eq!(number(block(&result, "fit"), "patients", "value"), 227.0);
    rows.retain({
        let patient = rows[second].1["patient"].clone();
        move |(_, row)| row["patient"] != patient
    });
    let without = run(&data::dealt(CONTRACT, &rows, 1), FORMULA);
    assert_eq!(number(&result.block, "age", "estimate"), number(&without.block, "age", "estimate"));
}

#[test]
fn without_a_start_several_rows_a_patient_are_refused() {
    let federation = data::dealt(CONTRACT, &cut(true), 1);
    let text = format!(
        "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"lung2@1\"\n{}",
        cox("formula = \"surv(time, status = 1) ~ age\"")
    );
    let problems = federation.bind(&text).unwrap_err();
    assert!(problems.contains("a patient can have several rows in `lung2@1`"), "{problems}");
    assert!(problems.contains("surv(start, stop, event)"), "{problems}");
}

#[test]
fn under_the_usual_gate_many_rows_of_few_patients_are_few() {
    // Six patients have ten events and ten rows without each.
    let mut text = "patient,begin,time,status,age,sex,on\n".to_owned();
    for i in 0..120 {
        let (patient, row) = (i / 20, i % 20);
        text += &format!("p{patient},{},{},{},{},0,0\n", 50 * row + i, 50 * row + i + 40, row % 2, 40 + i % 30);
    }
    let federation = bocage_tests::federation::Federation::new(CONTRACT, &[("north", text)]);
    let gate = Gate { min_sites: 1, ..Gate::USUAL };
    let result = federation.run(&cox("formula = \"surv(begin, time, status = 1) ~ age\""), gate).remove(0);
    assert!(result.block.rows.is_empty());
    let wanted = "north refused: fewer than 11 patients have all that the model reads";
    assert!(result.notes.iter().any(|note| note.starts_with(wanted)), "{:?}", result.notes);
}

#[test]
fn under_the_usual_gate_patients_are_counted_once_on_either_side() {
    let federation = data::dealt(CONTRACT, &cut(true), 1);
    let gate = Gate { min_sites: 1, ..Gate::USUAL };
    let result = federation.run(&cox(FORMULA), gate).remove(0);
    assert_eq!(number(block(&result, "fit"), "patients", "value"), 228.0, "{:?}", result.notes);
}
