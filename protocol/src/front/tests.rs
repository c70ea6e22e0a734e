//! The study language as a researcher meets it: what binds, and what is said about what does not.

use super::{BindContext, StudyText, bind_mapping};
use crate::contract::{self, Contract};
use crate::env::Timestamp;
use crate::plan::{Expr, ParseAs, Type};
use crate::trust::{SecretKey, SignedStudy, Study};

pub(super) const CONTRACT: &str = r#"
    id = "heart@1"
    subject = "row"
    [[column]]
    name = "age"
    type = "int"
    range = [0, 120]
    required = true
    [[column]]
    name = "sex"
    type = "code"
    codes = [{ code = "0", label = "female" }, { code = "1", label = "male" }]
    required = true
    [[column]]
    name = "chol"
    type = "float"
    range = [50, 700]
    [[column]]
    name = "fbs"
    type = "int"
    range = [0, 1]
    [[column]]
    name = "disease"
    type = "bool"
    [[column]]
    name = "seen"
    type = "date"
    range = ["1980-01-01", "1990-12-31"]
"#;

use crate::env::Fixed;

pub(super) fn contract() -> Contract {
    contract::parse(CONTRACT, "heart.toml").unwrap()
}

pub(super) fn bind(text: &str) -> Result<Study, String> {
    bind_to(&contract(), text)
}

/// Binds a text to another contract.
pub(super) fn bind_to(contract: &Contract, text: &str) -> Result<Study, String> {
    let offering: Vec<_> = ["basel", "cleveland", "hungary"].iter().map(|s| s.parse().unwrap()).collect();
    let context = BindContext {
        network: "heart-demo".parse().unwrap(),
        researcher: SecretKey::generate(&mut Fixed(5)).public(),
        offering: &offering,
        roster: &offering,
        min_sites_floor: 3,
        now: Timestamp(1_700_000_000_000),
        nonce: [1; 16],
        permit: None,
    };
    StudyText::parse(text, "study.toml")
        .and_then(|study| study.bind(contract, &context))
        .map_err(|problems| problems.to_string())
}

fn study(filter: &str, by: &str, show: &str) -> String {
    format!(
        "title = 't'\npurpose = 'scientific_research'\ndataset = 'heart@1'\nwhere = \"{filter}\"\n\
         [[analysis]]\nname = 'a'\ntable = {{ by = [{by}], show = [{show}] }}\n"
    )
}

fn filter(text: &str) -> Result<Option<Expr>, String> {
    bind(&study(text, "", "\"count\"")).map(|study| study.filter)
}

#[test]
fn the_study_of_the_readme_binds_signs_and_verifies() {
    let show = "\"count\", \"mean(chol)\", \"sd(chol)\", \"share(disease)\"";
    let study = bind(&study("age between 30 and 80", "\"sex\", \"cut(age, 50, 60)\"", show)).unwrap();
    assert_eq!(study.min_sites, 3);
    assert_eq!(study.sites.count(), 3);
    let signed = SignedStudy::sign(&study, &SecretKey::generate(&mut Fixed(5))).unwrap();
    assert_eq!(signed.verify().unwrap(), study);
}

#[test]
fn a_title_or_heading_that_could_forge_a_line_of_a_log_is_refused() {
    let good = bind(&study("age > 30", "\"sex\"", "\"count\"")).unwrap();
    let key = SecretKey::generate(&mut Fixed(5));
    let refused = |study: &Study| SignedStudy::sign(study, &key).unwrap().verify().is_err();
    assert!(!refused(&good));
    for title in ["one\nINFO forged", "a\u{202e}b", "a\u{61c}b", "a\u{ad}b", "a\u{2028}b"] {
        assert!(refused(&Study { title: title.into(), ..good.clone() }), "{title:?}");
    }
    let mut heading = good;
    let crate::analysis::Spec::Table(table) = &mut heading.analyses[0].spec else { panic!("a table") };
    table.show[0].label = "\u{1b}[31mcount".into();
    assert!(refused(&heading));
    for mark in ["\\u001b", "\\u202e"] {
        let text = study("age > 30", "", "\"count\"").replace("title = 't'", &format!("title = \"t{mark}\""));
        assert!(bind(&text).unwrap_err().contains("title: a title is one line"), "{mark}");
    }
}

#[test]
fn one_altered_byte_of_a_signed_study_is_refused() {
    let study = bind(&study("age > 30", "", "\"count\"")).unwrap();
    let signed = SignedStudy::sign(&study, &SecretKey::generate(&mut Fixed(5))).unwrap();
    for at in 0..signed.study.len() {
        let mut bytes = signed.study.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let altered = SignedStudy { study: text, ..signed.clone() };
        assert!(altered.verify().is_err(), "byte {at}");
    }
}

#[test]
fn every_issue_of_a_study_is_reported_at_once_with_place_and_hint() {
    let text =
        study("cholesterol > 200 and weight < 3", "\"chol\", \"sex\"", "\"mean(sex)\", \"men(chol)\", \"mean(fbs)\"")
            .replace("scientific_research", "research")
            + "sites = ['basel']\n";
    let text = text.replace("title = 't'", "title = 't'\nmin_sites = 2\nanswer_within = '10'");
    let problems = bind(&text.replace("title = 't'", "titel = 1\ntitle = 't'")).unwrap_err();
    for wanted in [
        "study.toml: titel: unknown key\n  hint: did you mean `title`?",
        "analysis[0] (a).sites: `sites` is not a key of this section\n  hint: it is the study's own key, and stands above",
        "study.toml: purpose: unknown purpose `research`",
        "study.toml: where: unknown column `cholesterol`\n  hint: did you mean `chol`?",
        "study.toml: where: unknown column `weight`\n  hint: the columns are age, sex",
        "analysis[0] (a).table.show[1]: `men` cannot be shown\n  hint: did you mean `mean`?",
        "min_sites: a cell is published only if 3 sites contribute",
        "answer_within: `10` is not a time",
    ] {
        assert!(problems.contains(wanted), "{wanted}\nnot in\n{problems}");
    }
}

#[test]
fn too_few_sites_are_the_fault_of_the_key_that_the_text_has() {
    let few = study("age > 30", "\"sex\"", "\"count\"").replace("title = 't'", "title = 't'\nsites = ['basel']");
    let problems = bind(&few).unwrap_err();
    assert!(problems.contains("study.toml: sites: 1 sites are asked, but a cell needs 3: the network"), "{problems}");
    assert!(!problems.contains("min_sites"), "{problems}");
    let problems = bind(&few.replace("title = 't'", "title = 't'\nmin_sites = 4")).unwrap_err();
    assert!(problems.contains("study.toml: min_sites: 1 sites are asked, but a cell needs 4\n"), "{problems}");
}

#[test]
fn a_mistake_in_one_place_does_not_hide_those_of_another() {
    let text =
        study("weight > 3 and sex = 7 and age", "\"chol\", \"sx\"", "\"mean(sex)\", \"mean(fbs)\", \"men(age)\"");
    let problems = bind(&text).unwrap_err();
    for wanted in [
        "where: unknown column `weight`",
        "where: `7` is not a code of `sex`",
        "where: expected a condition, found an integer",
        "table.by[0]: a number has no declared levels",
        "table.by[1]: unknown column `sx`",
        "table.show[0]: `sex` is a code of `sex`, which has no sum",
        "table.show[1]: `fbs` has too few values",
        "table.show[2]: `men` cannot be shown",
    ] {
        assert!(problems.contains(wanted), "{wanted}\nnot in\n{problems}");
    }
}

#[test]
fn what_only_the_plan_check_sees_is_reported_at_its_place_in_the_text() {
    let problems = bind(&study("age > 1", "\"chol\", \"sex\"", "\"mean(sex)\", \"mean(fbs)\"")).unwrap_err();
    for wanted in [
        "analysis[0] (a).table.by[0]: a number has no declared levels\n  hint: cut it into bands",
        "analysis[0] (a).table.show[0]: `sex` is a code of `sex`, which has no sum",
        "analysis[0] (a).table.show[1]: `fbs` has too few values to be summed",
    ] {
        assert!(problems.contains(wanted), "{wanted}\nnot in\n{problems}");
    }
}

#[test]
fn codes_dates_and_truth_values_are_written_as_people_write_them() {
    for good in [
        "sex = 1",
        "sex = '1'",
        "'0' <> sex",
        "sex in (0, '1')",
        "seen >= '1985-01-01'",
        "seen < date '1986-01-01'",
        "disease",
        "not disease and age > 3",
        "disease is not true",
        "age + 1 > 2 * chol",
        "chol is null or chol not between 1 and 2",
        "case when age > 3 then disease else false end",
        "coalesce(chol, age) > 3",
        "nullif(age, 50) is null",
        "days_between(seen, date '1990-01-01') > 30",
        "-age < -3",
        "case sex when '1' then true end",
        "exp(ln(age)) > sqrt(4.5)",
    ] {
        filter(good).unwrap_or_else(|e| panic!("{good}: {e}"));
    }
}

#[test]
fn what_is_not_in_the_language_is_refused_by_name() {
    for (bad, wanted) in [
        ("sex = 'male'", "`male` is the label of code '1'"),
        ("sex = 3", "`3` is not a code of `sex`"),
        ("sex > 0", "has no order"),
        ("age", "expected a condition, found an integer"),
        ("age = 'x'", "an integer cannot be compared with a text"),
        ("seen > 3", "a date cannot be compared with an integer"),
        (
            "days_between(seen, '2020-01-31') > 3",
            "found a date and a text\n  hint: write date '2020-01-31': quotes alone make a text",
        ),
        ("age in (select 1)", "not part of the study language"),
        ("age > (select max(age) from heart)", "not part of the study language"),
        ("cast(age as text) = '3'", "not part of the study language"),
        ("log(age) > 3", "write ln(x)"),
        ("random() > 0.5", "unknown function `random`"),
        ("age % 2 = 0", "the operator `%`"),
        ("age >", "cannot be read as an expression"),
        ("age > 3; drop", "unexpected `;`"),
        ("age > 1e999", "not a number"),
        ("age > 99999999999999999", "beyond"),
        ("grouped(sex, 'x') = 'y'", "no grouping `x`"),
        ("cut(age, 50, 40) = 1", "ascending"),
        ("chol = null", "nothing is equal to null, or larger or smaller\n  hint: write `chol is null`"),
        ("case when age > 3 then null else 1 end > 0", "`null` cannot stand alone"),
    ] {
        let problems = filter(bad).map(|f| format!("{f:?}")).unwrap_err();
        assert!(problems.contains(wanted), "{bad}: {wanted}\nnot in\n{problems}");
    }
}

#[test]
fn a_deep_or_long_expression_is_refused_without_harm() {
    let deep = format!("{}age > 1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(filter(&deep).is_err());
    let sum = format!("{} > 1", vec!["age"; 1900].join("+"));
    assert!(filter(&sum).unwrap_err().contains("deep"));
    assert!(filter(&format!("{} > 1", vec!["age"; 100_000].join("+"))).unwrap_err().contains("too long"));
    assert!(filter(&vec!["age > 1"; 300].join(" and ")).is_ok());
}

#[test]
fn derived_names_are_expanded_and_circles_refused() {
    let text = study("old", "\"old\"", "\"count\"")
        .replace("[[analysis]]", "[derive]\nold = \"decade >= 6\"\ndecade = \"age / 10\"\n[[analysis]]");
    bind(&text).unwrap();
    let circle = text.replace("age / 10", "age + decade");
    assert!(bind(&circle).unwrap_err().contains("`decade` is derived from itself"));
    let taken = text.replace("decade = \"age / 10\"", "decade = \"age / 10\"\nsex = \"age > 3\"");
    assert!(bind(&taken).unwrap_err().contains("derive.sex: the contract has a column of this name"));
}

#[test]
fn what_doubles_at_every_step_is_refused_before_it_is_expanded() {
    let doubled: String = (1..40).map(|n| format!("d{n} = \"d{0} + d{0}\"\n", n - 1)).collect();
    let text = study("sex", "\"sex\"", "\"count\"")
        .replace("[[analysis]]", &format!("[derive]\nd0 = \"age\"\n{doubled}[[analysis]]"));
    assert!(bind(&text).unwrap_err().contains("derive.d39: it has more than 2000 parts"));
    let ranges = format!("{}age{} = 1", "(".repeat(40), " between 1 and 2)".repeat(40));
    assert!(filter(&ranges).unwrap_err().contains("more than 2000 parts"));
    let listed: Vec<String> = (0..9000).map(|n| n.to_string()).collect();
    filter(&format!("age in ({})", listed.join(","))).unwrap();
}

#[test]
fn a_mapping_reads_texts_as_what_their_place_needs() {
    let columns: Vec<_> = ["num", "chol", "seen"].iter().map(|c| c.parse().unwrap()).collect();
    let parsed = |text: &str| bind_mapping(text, Some(&columns)).unwrap();
    let (expr, of) = parsed("num > 0");
    assert_eq!(of, Type::Bool);
    let Expr::Compare { left, .. } = expr else { panic!("a comparison") };
    assert!(matches!(*left, Expr::Parse { to: ParseAs::Float, .. }));
    assert_eq!(parsed("nullif(chol, 0)").1, Type::Float);
    assert_eq!(parsed("chol").1, Type::Text);
    assert_eq!(parsed("case when num = 'a' then 'x' else 'y' end").1, Type::Text);
    assert_eq!(parsed("seen > date '2020-01-01'").1, Type::Bool);
    assert_eq!(parsed("case when seen = 'kPa' then chol * 7.5 else chol end").1, Type::Float);
    assert_eq!(parsed("coalesce(chol, num, 0)").1, Type::Float);
    assert_eq!(parsed("coalesce(chol, num)").1, Type::Text);
    assert_eq!(parsed("num = 2026 - 1990").1, Type::Bool);
    assert!(bind_mapping("nun > 0", Some(&columns)).unwrap_err()[0].hint.as_ref().unwrap().contains("`num`"));
}

#[test]
fn without_its_source_a_mapping_is_held_to_all_but_the_source_s_columns() {
    assert_eq!(bind_mapping("case when unit = 'kPa' then value * 7.5 else value end", None).unwrap().1, Type::Float);
    for (text, wanted) in [
        ("case when unit = 'kPa then value", "cannot be read as an expression"),
        ("num >", "cannot be read as an expression"),
        ("upper(name)", "upper"),
        ("num % 3", "the operator `%`"),
    ] {
        let said = bind_mapping(text, None).unwrap_err();
        assert!(said[0].message.contains(wanted), "{text}: {said:?}");
    }
}

#[test]
fn a_date_is_counted_by_calendar_period_and_what_is_no_date_or_has_too_many_is_said() {
    let by = |key: &str| study("", &format!("{key:?}"), "\"count\"").replace("where = \"\"\n", "");
    let key = |text: &str| match &bind(&by(text)).unwrap().analyses[0].spec {
        crate::analysis::Spec::Table(table) => table.by[0].key.clone(),
        other => panic!("{other:?}"),
    };
    let week = key("week(seen, date '1985-06-05', date '1985-06-30')");
    let Expr::Periods(periods) = &week else { panic!("{week:?}") };
    // From the Monday before to the Monday behind, so that other words for the same weeks are the same plan.
    assert_eq!((periods.from, periods.to), (5632, 5660));
    assert_eq!(key("week(seen, date '1985-06-03', date '1985-06-28')"), week);
    assert!(bind(&by("year(seen)")).is_ok());
    for (key, said) in [
        ("week(age)", "`age` is no date\n  hint: week(…), month(…)"),
        ("week(seen, 1, 2)", "`week` takes a column of dates, or a column and two days\n  hint: e.g. week("),
        ("month(seen, date '1985-02-01', date '1985-01-01')", "month(…) needs a first day that is not after the last"),
        ("seen", "a date has no declared levels\n  hint: count by calendar period: week(seen)"),
        ("weak(seen)", "unknown function `weak`\n  hint: did you mean `week`?"),
    ] {
        let error = bind(&by(key)).unwrap_err();
        assert!(error.contains(said), "{key}: {error}");
    }
    let error = bind(&by("year(seen) = 1985")).unwrap_err();
    assert!(error.contains("a band cannot be compared with an integer"), "{error}");
}
