//! Conditions that look from a row at others: at the one that it refers to, and at those of the same patient about it.

use super::{COUNT, bound, find, plans};
use crate::plan::{Contracts, Derived, Edge, Explained, Feature, Moment, Window};
use crate::trust::Study;

const HEAD: &str = r#"
title = "t"
purpose = "scientific_research"
[tables]
patient = "fhir-patient@1"
condition = "fhir-condition@1"
stay = "stay@1"
finding = "finding@1"
transfer = "transfer@1"
"#;

fn study(from: &str, include: &str, table: &str) -> Result<Study, String> {
    let cohort = format!("[cohort]\nfrom = \"{from}\"\ninclude = [\"{include}\"]\n");
    bound(&format!("{HEAD}{cohort}{table}"), &[])
}

fn features(from: &str, include: &str) -> Vec<Feature> {
    let study = study(from, include, COUNT).unwrap_or_else(|wrong| panic!("{include}: {wrong}"));
    plans(&study);
    study.features
}

fn explained(from: &str, include: &str) -> Explained {
    let study = study(from, include, COUNT).unwrap();
    let plan = plans(&study).remove(0);
    plan.explain(Contracts::of(find(&study.dataset).unwrap(), plan.related(), find), None)
}

#[test]
fn a_condition_reads_the_row_that_a_row_refers_to_by_the_column_or_by_the_table() {
    let by_column = features("patient", "has(finding, code = 'I10' and during.ward = 'icu')");
    let by_table = features("patient", "has(finding, code = 'I10' and stay.ward = 'icu')");
    assert_eq!(by_column, by_table);
    let [reached, has] = &by_column[..] else { panic!("{by_column:?}") };
    assert_eq!(reached.on.as_ref().map(|on| on.as_str()), Some("finding"));
    let Derived::Reached { through, table, column } = &reached.of else { panic!("{reached:?}") };
    assert_eq!([through.as_str(), table.as_str(), column.as_str()], ["during", "stay", "ward"]);
    assert_eq!(has.on, None);
    // `date` is the time of the table that has no column of this name.
    let date = features("patient", "has(finding, stay.date < seen)");
    assert!(matches!(&date[0].of, Derived::Reached { column, .. } if column.as_str() == "begin"));
}

#[test]
fn a_row_that_is_counted_reads_the_row_that_it_refers_to_as_its_own() {
    let made = features("finding", "during.ward = 'icu' and finding.stay.cost > 10");
    assert!(made.iter().all(|feature| feature.on.is_none() && matches!(feature.of, Derived::Reached { .. })));
    assert_eq!(made.len(), 2);
    let picked = features("patient", "first(finding.stay.ward where code = 'I10') = 'icu'");
    assert!(matches!(&picked[1].of, Derived::Pick { column, .. } if *column == picked[0].name));
}

#[test]
fn a_window_within_a_condition_is_about_the_row_that_the_condition_is_on() {
    let made = features("patient", "has(stay, ward = 'icu' and has(stay, after = leave, within = days(30)))");
    let [inner, outer] = &made[..] else { panic!("{made:?}") };
    assert_eq!(inner.on.as_ref().map(|on| on.as_str()), Some("stay"));
    let edge = |days| Some(Edge { at: Moment::Column("leave".parse().unwrap()), days });
    let Derived::Has { rows, .. } = &inner.of else { panic!("{inner:?}") };
    assert_eq!(rows.window, Some(Window { from: edge(1), to: edge(30) }));
    assert_eq!(outer.on, None);
    let counted = features("stay", "has(stay, after = leave, within = days(30))");
    assert_eq!(counted.len(), 1, "of the rows that are counted it is a value for each");
    let deep = features("patient", "has(finding, has(stay, has(stay, after = leave), until = stay.leave))");
    assert_eq!(deep.iter().filter(|feature| feature.on.is_some()).count(), 3);
}

#[test]
fn the_same_rows_in_other_words_and_names_are_one_plan() {
    let plan = |from: &str, include: &str| plans(&study(from, include, COUNT).unwrap())[0].digest();
    let one = "has(finding, stay.ward = 'icu' and stay.cost > 10 and has(stay, after = seen))";
    let other = "has(finding, has(stay, after = seen) and stay.cost > 10 and during.ward in ('icu'))";
    assert_eq!(plan("patient", one), plan("patient", other));
    let two = "has(finding, stay.ward = 'icu') and has(stay, ward = 'icu' and has(finding, before = begin))";
    let swapped = "has(stay, has(finding, before = begin) and ward = 'icu') and has(finding, stay.ward = 'icu')";
    assert_eq!(plan("patient", two), plan("patient", swapped));
    assert_ne!(plan("patient", one), plan("patient", two));
}

#[test]
fn a_plan_touches_every_column_that_it_reads_of_whatever_row_and_no_name_of_one() {
    let study =
        study("patient", "has(finding, stay.ward = 'icu' and has(stay, cost > 1, after = seen))", COUNT).unwrap();
    let plan = plans(&study).remove(0);
    let touches: Vec<String> = plan
        .touches()
        .iter()
        .flat_map(|(id, columns)| columns.iter().map(move |column| format!("{}.{column}", id.name())))
        .collect();
    assert_eq!(touches, ["finding.seen", "stay.begin", "stay.cost", "stay.ward"]);
    assert_eq!(study.related.len(), 2);
}

#[test]
fn a_steward_reads_what_is_looked_at_from_each_row() {
    let told = explained("patient", "has(finding, stay.ward = 'icu')").plainly();
    let wanted = "of a row in finding ward of the patient's row in stay that during refers to; whether the patient has a row in finding where during.ward = 'icu'";
    assert!(told.contains(wanted), "{told}");
    let told = explained("patient", "sum(finding.days where code = 'I10', at_most = 20) > 9").plainly();
    let wanted = "Makes for each patient: the sum of days of the patient's rows in finding where code = 'I10', as of 20 rows at most";
    assert!(told.contains(wanted), "{told}");
    let told = explained("stay", "has(stay, after = leave, within = days(30))").plainly();
    let wanted = "Makes for each patient: whether the patient has another row in stay, dated from 1 day after leave on and until 30 days after leave";
    assert!(told.contains(wanted), "{told}");
}

#[test]
fn measures_of_one_column_are_of_the_same_rows_however_these_are_reached() {
    let of = |show: &str| {
        study("finding", "code = 'I10'", &format!("[[analysis]]\nname = \"a\"\ntable = {{ show = {show} }}\n"))
    };
    let two = of("[\"mean(stay.cost)\", \"mean(last(stay.cost))\"]").unwrap_err();
    assert!(two.contains("of one column are of the same rows"), "{two}");
    let summed =
        of("[\"mean(sum(stay.cost, at_most = 5))\", \"mean(sum(stay.cost where ward = 'icu', at_most = 5))\"]");
    assert!(summed.unwrap_err().contains("of one column are of the same rows"));
    let picked = of("[\"mean(last(finding.stay.cost))\", \"mean(first(stay.cost))\"]").unwrap_err();
    assert!(picked.contains("of one column are of the same rows"), "{picked}");
    assert!(of("[\"mean(stay.cost)\", \"sd(stay.cost)\"]").is_ok());
}

#[test]
fn a_sum_is_a_number_within_so_many_rows_of_the_column_s_range() {
    let study = study("patient", "sum(finding.days, at_most = 20) > 9", COUNT).unwrap();
    let plan = plans(&study).remove(0);
    let kind = &plan.contract(find(&study.dataset).unwrap()).column("f1").unwrap().kind;
    assert_eq!(*kind, crate::contract::Kind::Int { lo: 0, hi: 600 });
}

#[test]
fn what_is_wrong_with_a_row_s_view_of_others_is_said_with_a_hint() {
    let mut missing = Vec::new();
    for (from, include, wanted) in [
        (
            "patient",
            "has(finding, during = 'x')",
            "in finding: `during` names a row and cannot be read\n  hint: read a column of the row that it refers to: during.COLUMN",
        ),
        (
            "patient",
            "has(stay, stay = 'x')",
            "in stay: `stay` names a row and cannot be read\n  hint: other datasets refer to rows by it",
        ),
        ("patient", "has(finding, during.wrd = 'icu')", "in stay: unknown column `wrd`\n  hint: did you mean `ward`?"),
        ("patient", "has(finding, during.stay = 'x')", "in stay: `stay` names a row and cannot be read"),
        ("patient", "has(finding, during.patient = 'x')", "in stay: `patient` names the patient and cannot be read"),
        (
            "patient",
            "has(finding, condition.code = 'x')",
            "`condition.code`: a condition on rows reads the columns of their own table, and of those that they refer to",
        ),
        (
            "patient",
            "has(transfer, stay.ward = 'icu')",
            "several columns refer to rows of `stay`: left, entered, number\n  hint: say which one: left.COLUMN",
        ),
        (
            "patient",
            "has(transfer, cause.code = 'x')",
            "`condition` does not say what tells its rows apart\n  hint: the contract fhir-condition@1 names the column: key = ",
        ),
        ("patient", "has(transfer, number.ward = 'icu')", "`number` is of type int, and the key of stay is not"),
        ("patient", "first(condition.stay.ward) = 'icu'", "rows of `condition` do not refer to any of `stay`"),
        (
            "patient",
            "has(finding, age_at(seen) > 3)",
            "`age_at` stands in a study's own conditions, not within one on rows",
        ),
        ("patient", "has(stay, has(finding, after = ward))", "expected a date, found a code of `ward`"),
        ("patient", "has(stay, has(finding, after = birth))", "unknown column `birth`"),
        ("patient", "has(stay, has(finding, days = 'x'))", "in finding: "),
        ("patient", "has(stay, has(stay, at_most = 3))", "`has` takes no `at_most`\n  hint: sum(TABLE.COLUMN"),
        ("patient", "sum(finding.days, at_most = 0) > 1", "`at_most` is a whole number from 1 to 10000"),
        ("patient", "sum(finding.code, at_most = 3) > 1", "expected a number, found a text"),
        (
            "patient",
            "sum(finding, at_most = 3) > 1",
            "`sum` does not take these arguments\n  hint: write sum(TABLE.COLUMN",
        ),
        (
            "patient",
            "sum(finding.days, at_most = 'x') > 1",
            "`at_most = 'x'` is no whole number\n  hint: e.g. at_most = 100",
        ),
        ("stay", "first(finding.days, after = leave) > 1", "other rows about a row are counted, by has or count"),
        ("stay", "stay = 'x'", "`stay` names a row and cannot be read"),
    ] {
        let found = study(from, include, COUNT).map(|study| format!("{study:?}")).unwrap_err();
        if !found.contains(wanted) {
            missing.push(format!("{include}\n{wanted}\nnot in\n{found}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
    let without = HEAD.replace("stay = \"stay@1\"\n", "");
    let text =
        format!("{without}[cohort]\nfrom = \"patient\"\ninclude = [\"has(finding, during.ward = 'icu')\"]\n{COUNT}");
    let found = bound(&text, &[]).unwrap_err();
    assert!(found.contains("`during` refers to rows of stay, and no table is that\n  hint: name it under [tables]: during = \"stay@VERSION\""), "{found}");
}
