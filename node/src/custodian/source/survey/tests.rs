//! What columns seem to be, and that a survey names nobody.

use std::fmt::Write as _;

use bocage_protocol::settings::Problems;
use serde_json::json;

use super::*;

fn surveyed(csv: &str, subject: Option<&str>) -> Result<Vec<Surveyed>, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.csv"), csv).unwrap();
    let section = json!({"kind": "csv", "path": "x.csv"});
    let source = SourceSpec::read(&section, "flags", "", dir.path(), &mut Problems::default()).unwrap();
    let subject = subject.map(|name| name.parse().unwrap());
    survey(&source, subject.as_ref(), 11).map(|survey| survey.columns).map_err(|e| e.to_string())
}

/// A file of 60 rows whose only column has these values, again and again.
fn seems(values: &[&str]) -> Seems {
    let mut csv = "v,w\n".to_owned();
    (0..60).for_each(|i| writeln!(csv, "{},1", values[i % values.len()]).unwrap());
    surveyed(&csv, None).unwrap().remove(0).seems
}

fn codes(codes: &[&str], more: bool, number: Option<(i64, i64)>) -> Seems {
    Seems::Code { codes: codes.iter().map(|c| (*c).to_owned()).collect(), more, number }
}

#[test]
fn each_type_is_known_by_all_of_its_values() {
    assert_eq!(seems(&["yes", "no"]), Seems::Bool);
    assert_eq!(seems(&["0", "1"]), codes(&["0", "1"], false, Some((0, 1))));
    assert_eq!(seems(&["2.0", "1", "10"]), codes(&["1", "2", "10"], false, Some((1, 10))));
    assert_eq!(seems(&["m", "f"]), codes(&["f", "m"], false, None));
    assert_eq!(seems(&["007", "008"]), codes(&["007", "008"], false, None));
    assert_eq!(seems(&["1.5", "2"]), Seems::Float { lo: 1.5, hi: 2.0 });
    assert_eq!(seems(&["2001-02-03"]), Seems::Date { lo: "2000-01-01".into(), hi: "2009-12-31".into() });
    let midnight =
        |midnight| Seems::Datetime { lo: "2000-01-01T00:00:00Z".into(), hi: "2009-12-31T23:59:59Z".into(), midnight };
    assert_eq!(seems(&["2001-02-03 00:00:00"]), midnight(true));
    assert_eq!(seems(&["2001-02-03T00:00:00Z", "2001-02-03T10:00:00Z"]), midnight(false));
    let numbers: Vec<String> = (0..20).map(|i| (i + 100).to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    // Each of them stands in three rows.
    assert_eq!(seems(&numbers), Seems::Int { lo: 0, hi: 120 });
    let texts: Vec<String> = (0..20).map(|i| format!("text {i}")).collect();
    assert_eq!(seems(&texts.iter().map(String::as_str).collect::<Vec<_>>()), Seems::Text);
}

#[test]
fn a_column_in_which_no_value_comes_again_is_an_identifier_and_one_that_few_have_says_nothing() {
    let mut csv = "id,mrn,rare,none\n".to_owned();
    (0..60).for_each(|i| writeln!(csv, "{},p-{i},{},", i + 1000, if i < 10 { "x" } else { "" }).unwrap());
    let columns = surveyed(&csv, None).unwrap();
    let seems: Vec<&Seems> = columns.iter().map(|c| &c.seems).collect();
    assert_eq!(seems, [&Seems::Identifier, &Seems::Identifier, &Seems::Rare, &Seems::Rare]);
    assert_eq!(columns.iter().map(|c| c.gaps).collect::<Vec<_>>(), [false, false, true, true]);
}

#[test]
fn codes_and_ends_of_ranges_count_patients_where_a_column_names_them() {
    let mut csv = "patient,sex,age\n".to_owned();
    // One patient has forty rows with a code and an age that nobody else has.
    (0..40).for_each(|_| csv.push_str("p0,x,97\n"));
    (0..40).for_each(|i| writeln!(csv, "p{},{},{}", i + 1, if i % 2 == 0 { "f" } else { "m" }, 40 + i).unwrap());
    let by_rows = surveyed(&csv, None).unwrap();
    assert_eq!(by_rows[1].seems, codes(&["f", "m", "x"], false, None));
    assert_eq!(by_rows[2].seems, Seems::Int { lo: 0, hi: 97 });
    let by_patients = surveyed(&csv, Some("patient")).unwrap();
    assert_eq!(by_patients[0].seems, Seems::Subject);
    assert_eq!(by_patients[1].seems, codes(&["f", "m"], true, None));
    assert_eq!(by_patients[2].seems, Seems::Int { lo: 0, hi: 100 });
}

#[test]
fn a_file_that_says_too_little_is_refused_with_a_hint() {
    let few: String = "a,b\n".to_owned() + &"1,2\n".repeat(10);
    assert!(surveyed(&few, None).unwrap_err().contains("it has fewer than 11 rows"));
    let one_patient: String = "p,b\n".to_owned() + &"1,2\n".repeat(50);
    assert!(surveyed(&one_patient, Some("p")).unwrap_err().contains("it has fewer than 11 patients"));
    let bare: String = "63,1,145\n".to_owned() + &"63,1,145\n".repeat(50);
    let error = surveyed(&bare, None).unwrap_err();
    assert!(
        error.contains("numbers for names\n  hint: if the first line is a row already") && !error.contains("63"),
        "{error}"
    );
    let error = surveyed("patient,b\n1,2\n", Some("patents")).unwrap_err();
    assert!(error.contains("there is no column `patents`\n  hint: did you mean `patient`?"), "{error}");
}
