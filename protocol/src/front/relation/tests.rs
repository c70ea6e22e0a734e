//! Cohorts across tables as a researcher writes them: what they become, and what is said about those that are wrong.

mod chained;
mod contracts;
mod plausible;
mod rows;
mod worked;
mod wrong;

use std::sync::LazyLock;

use self::contracts::TABLES;
use crate::contract::{Contract, PACKS, parse};
use crate::env::Timestamp;
use crate::front::{BindContext, Files, StudyText};
use crate::ids::ContractId;
use crate::plan::{Contracts, Derived, Edge, Expr, Moment, Pick, ValidPlan, Window};
use crate::trust::{SecretKey, Study};

pub(crate) const HEAD: &str = r#"
title = "t"
purpose = "scientific_research"
[tables]
patient = "fhir-patient@1"
condition = "fhir-condition@1"
observation = "fhir-observation@2"
[codes]
diabetes = { system = "icd10cm", prefix = ["E10", "E11"] }
cancer = { system = "ICD10CM", codes = ["C50", "C61"], prefix = ["C34"] }
"#;

/// The issue's own example.
pub(crate) const COHORT: &str = r#"
[cohort]
from    = "patient"
include = ["age_at(today) >= 18", "has(condition, code in @diabetes, at_least = 2)", "last(observation.value where code = '4548-4', after = first(condition.date where code in @diabetes)) > 7"]
exclude = ["has(condition, code in @cancer)"]
index   = "first(condition.date where code in @diabetes)"
"#;

pub(crate) const COUNT: &str = "[[analysis]]\nname = \"a\"\ntable = { show = [\"count\"] }\n";

use crate::env::Fixed;

/// The day on which these studies are bound.
const TODAY: i32 = 19_675;

/// Those of these tests, and those that come with Bocage.
static CONTRACTS: LazyLock<Vec<Contract>> = LazyLock::new(|| {
    let shipped = PACKS.iter().flat_map(|pack| pack.contracts).copied();
    TABLES.iter().map(|(_, text)| *text).chain(shipped).map(|text| parse(text, "contract.toml").unwrap()).collect()
});

pub(crate) fn find(id: &ContractId) -> Option<&'static Contract> {
    CONTRACTS.iter().find(|contract| contract.id() == id)
}

/// Binds a text to those of the contracts that it names.
pub(crate) fn bound(text: &str, files: &[(&str, &str)]) -> Result<Study, String> {
    read_and_bound(text, files).map(|(_, study)| study)
}

/// A text, and what it is bound to.
pub(crate) fn read_and_bound(text: &str, files: &[(&str, &str)]) -> Result<(StudyText, Study), String> {
    let sites: Vec<_> = ["basel", "bern"].iter().map(|site| site.parse().unwrap()).collect();
    let context = BindContext {
        network: "lab".parse().unwrap(),
        researcher: SecretKey::generate(&mut Fixed(5)).public(),
        offering: &sites,
        roster: &sites,
        min_sites_floor: 2,
        now: Timestamp(i64::from(TODAY) * 86_400_000 + 5),
        nonce: [1; 16],
        permit: None,
    };
    let files: Files = files.iter().map(|(name, text)| ((*name).to_owned(), Ok((*text).to_owned()))).collect();
    let text = StudyText::parse(text, "study.toml").map_err(|problems| problems.to_string())?.with_files(files);
    let related = text.tables().iter().filter_map(|(name, id)| Some((name.clone(), find(id)?))).collect();
    let base = find(text.dataset()).ok_or("no such dataset")?;
    let study = text.bind(Contracts { base, related }, &context).map_err(|problems| problems.to_string())?;
    Ok((text, study))
}

/// The plans of a study.
pub(crate) fn plans(study: &Study) -> Vec<ValidPlan> {
    let contracts = Contracts::of(find(&study.dataset).unwrap(), &study.related, find);
    let plan = |analysis: &crate::analysis::AnalysisSpec| {
        let state = crate::analysis::RoundState::First;
        let plan = crate::analysis::plan_for(&analysis.spec, study.query(), 0, &state).unwrap();
        ValidPlan::check(plan, contracts.clone()).unwrap()
    };
    study.analyses.iter().map(plan).collect()
}

/// A study with one count over what `more` says.
pub(crate) fn with(more: &str) -> String {
    format!("{HEAD}{more}{COUNT}")
}

/// What one feature is, of a cohort of patients.
fn feature(text: &str) -> Result<Derived, String> {
    let study = bound(&with(&format!("[cohort]\nfrom = \"patient\"\ninclude = [\"({text}) is not null\"]\n")), &[])?;
    Ok(study.features.last().unwrap().of.clone())
}

#[test]
fn the_issues_cohort_becomes_features_a_filter_and_signed_code_lists() {
    let study = bound(&with(COHORT), &[]).unwrap();
    assert_eq!(study.dataset.to_string(), "fhir-patient@1");
    let tables: Vec<String> = study.related.iter().map(|(name, table)| format!("{name} {}", table.dataset)).collect();
    assert_eq!(tables, ["condition fhir-condition@1", "observation fhir-observation@2"]);
    let names: Vec<&str> = study.features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(names, ["index", "f1", "f2", "f3", "f4"]);
    let Derived::Pick { pick: Pick::First, column, .. } = &study.features[0].of else { panic!("the index") };
    assert_eq!(column.as_str(), "onset", "`date` is the table's time");
    assert_eq!(study.features[1].of, Derived::Age { table: None, at: Moment::Date(TODAY) });
    assert!(matches!(&study.features[2].of, Derived::Has { at_least: 2, .. }));
    let Derived::Pick { pick: Pick::Last, rows, .. } = &study.features[3].of else { panic!("the last value") };
    let from = Edge { at: Moment::Column("index".parse().unwrap()), days: 1 };
    assert_eq!(rows.window, Some(Window { from: Some(from), to: None }), "the same first date is one feature");
    let Some(Expr::And(parts)) = &study.filter else { panic!("{:?}", study.filter) };
    assert_eq!(parts.len(), 5, "three includes, an index that is known, one exclude");
    let codes: Vec<String> = study.codes.iter().map(|c| format!("{} {} {}", c.name, c.system, c.count)).collect();
    assert_eq!(codes, ["cancer ICD10CM 3", "diabetes icd10cm 2"]);
    assert_ne!(study.codes[0].hash, study.codes[1].hash);
    plans(&study);
}

#[test]
fn a_window_is_open_or_closed_at_each_end_as_its_word_says() {
    let window = |text: &str| {
        let of = feature(&format!("count(condition where code in @diabetes, {text})")).unwrap();
        let window = of.rows().unwrap().window.clone().unwrap();
        let days = |edge: &Option<Edge>| {
            edge.as_ref().map(|edge| match edge.at {
                Moment::Date(day) => day + edge.days,
                Moment::Column(_) => edge.days,
            })
        };
        (days(&window.from), days(&window.to))
    };
    assert_eq!(window("after = today"), (Some(TODAY + 1), None));
    assert_eq!(window("from = today"), (Some(TODAY), None));
    assert_eq!(window("before = today"), (None, Some(TODAY - 1)));
    assert_eq!(window("until = date '1970-01-11'"), (None, Some(10)));
    assert_eq!(window("until = '1970-01-11'"), (None, Some(10)));
    assert_eq!(window("after = birth, within = days(90)"), (Some(1), Some(90)));
    assert_eq!(window("from = birth + days(30) - days(1), within = days(90)"), (Some(29), Some(119)));
    assert_eq!(window("before = birth, within = days(365)"), (Some(-365), Some(-1)));
    assert_eq!(window("until = birth, within = days(0)"), (Some(0), Some(0)));
    assert_eq!(window("from = birth, before = today"), (Some(0), Some(TODAY - 1)));
    assert_eq!(window("after = last(observation.date)"), (Some(1), None));
}

#[test]
fn every_function_that_reads_rows_binds() {
    let pick = |text: &str| match feature(text).unwrap() {
        Derived::Pick { pick, column, .. } => (pick, column.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(pick("first(observation.value)"), (Pick::First, "value".into()));
    assert_eq!(pick("LAST(condition.date)"), (Pick::Last, "onset".into()));
    assert_eq!(pick("last(observation.date)"), (Pick::Last, "date".into()));
    assert_eq!(pick("min(observation.value where code = 'a')"), (Pick::Least, "value".into()));
    assert_eq!(pick("max(condition.stage where code like 'E%' and stage > 1)"), (Pick::Greatest, "stage".into()));
    assert_eq!(pick("mean(observation.value, code = 'a')"), (Pick::Mean, "value".into()));
    assert!(matches!(feature("has(condition)").unwrap(), Derived::Has { at_least: 1, .. }));
    assert!(matches!(feature("count(condition where code not in @diabetes)").unwrap(), Derived::Count { .. }));
    assert!(matches!(feature("age_at(first(condition.date))").unwrap(), Derived::Age { at: Moment::Column(_), .. }));
}

#[test]
fn events_are_counted_with_what_the_patients_table_says_of_each() {
    let text = "[cohort]\nfrom = \"condition\"\ninclude = [\"patient.sex = 'f'\", \"age_at(date) >= 18\", \"condition.stage > 0\"]\n";
    let study = bound(&with(text), &[]).unwrap();
    let wanted = "Value { table: TableName(\"patient\"), column: ColumnName(\"sex\") }";
    assert_eq!(format!("{:?}", study.features[0].of), wanted);
    let Derived::Age { table: Some(table), at: Moment::Column(at) } = &study.features[1].of else { panic!("an age") };
    assert_eq!((table.as_str(), at.as_str()), ("patient", "onset"), "an age at each event");
    plans(&study);
}

#[test]
fn a_named_value_is_a_column_for_every_kind_of_analysis() {
    let text = format!(
        "{HEAD}{COHORT}\n[features]\nhba1c = \"last(observation.value where code = '4548-4', within = days(365), before = index)\"\n\
         high = \"hba1c > 9 and sick\"\nsick = \"count(condition where stage > 2) >= 2\"\n\
         [derive]\nband = \"cut(hba1c, 6, 8)\"\n\
         [[analysis]]\nname = \"t\"\ntable = {{ by = [\"sex\", \"band\", \"high\"], show = [\"count\", \"mean(hba1c)\", \"share(sick)\", \"mean(count(condition))\"] }}\n\
         [[analysis]]\nname = \"q\"\nquantiles = {{ of = \"hba1c\" }}\n\
         [[analysis]]\nname = \"h\"\nhistogram = {{ of = \"age_at(index)\", bins = [40, 60] }}\n\
         [[analysis]]\nname = \"c\"\ncrosstab = {{ rows = \"sex\", columns = \"sick\" }}\n\
         [[analysis]]\nname = \"f\"\nattrition = {{ steps = [\"hba1c > 8\"] }}\n\
         [[analysis]]\nname = \"s\"\nsummary = {{ columns = [\"sex\", \"hba1c\"] }}\n\
         [[analysis]]\nname = \"all\"\nsummary = {{}}\n"
    );
    let study = bound(&text, &[]).unwrap();
    let (years, names): (Vec<&str>, Vec<&str>) =
        study.analyses.iter().map(|analysis| analysis.name.as_str()).partition(|name| name.ends_with("_years"));
    assert!(years.contains(&"all_birth_years"), "{years:?}");
    let wanted = ["t", "q", "h", "c", "f", "s_sex", "s_hba1c", "s_hba1c_quantiles", "all_birth", "all_sex"];
    assert_eq!(names[..10], wanted);
    assert_eq!(names[10..], ["all_index", "all_hba1c", "all_hba1c_quantiles"]);
    plans(&study);
}

#[test]
fn the_flow_of_a_cohort_begins_with_everybody_and_takes_its_own_steps() {
    let text = format!("{HEAD}{COHORT}[[analysis]]\nname = \"flow\"\nattrition = {{}}\n");
    let study = bound(&text, &[]).unwrap();
    let crate::analysis::Spec::Attrition(flow) = &study.analyses[0].spec else { panic!("a flow") };
    let labels: Vec<&str> = flow.steps.iter().map(|step| step.label.as_str()).collect();
    assert_eq!(labels[0], "age_at(today) >= 18");
    assert_eq!(labels[3..], ["index is not null", "not (has(condition, code in @cancer))"]);
    assert!(flow.whole && study.filter.is_some());
    assert_eq!(plans(&study)[0].plan().query.filter, None);
}

#[test]
fn who_may_or_may_not_be_excluded_stays() {
    let text = "[cohort]\nfrom = \"patient\"\nexclude = [\"last(observation.value) > 7\", \"has(condition)\"]\n";
    let study = bound(&with(text), &[]).unwrap();
    let Some(Expr::And(parts)) = &study.filter else { panic!("{:?}", study.filter) };
    assert!(matches!(&parts[0], Expr::Not(of) if matches!(**of, Expr::Coalesce(_))), "missing is not excluded");
    assert!(matches!(&parts[1], Expr::Not(of) if matches!(**of, Expr::Column(_))));
}

#[test]
fn the_same_cohort_in_other_words_is_one_plan() {
    let digests = |text: &str| plans(&bound(text, &[]).unwrap()).iter().map(ValidPlan::digest).collect::<Vec<_>>();
    let one = with(COHORT);
    let renamed = one
        .replace("patient = ", "people = ")
        .replace("from    = \"patient\"", "from = \"people\"")
        .replace("condition = ", "diagnosis = ")
        .replace("(condition", "(diagnosis");
    assert_eq!(digests(&renamed), digests(&one));
    let reworded = with(
        r#"
[cohort]
from = "patient"
include = ["first(condition.onset where code in @diabetes) is not null", "18 <= old", "not not has(condition where code like 'E11%' or code like 'E10%', at_least = 2)", "not late <= 7"]
exclude = ["has(condition where code in ('C61', 'C50') or code like 'C34%')"]
[features]
unused = "count(observation)"
old = "age_at(today)"
late = "last(observation.value, '4548-4' = code, from = onset + days(1))"
onset = "first(condition.date where code in @diabetes)"
"#,
    );
    assert_eq!(digests(&reworded), digests(&one));
    let other = one.replace("at_least = 2", "at_least = 3");
    assert_ne!(digests(&other), digests(&one));
    assert_ne!(digests(&one.replace("after = first", "from = first")), digests(&one));
}

#[test]
fn the_cells_are_the_same_whatever_is_measured_in_them_and_in_whatever_words() {
    let plan = |text: &str| plans(&bound(text, &[]).unwrap()).remove(0);
    let one = with(COHORT);
    let measured = one.replace("\"count\"]", "\"count\", \"share(has(observation))\", \"share(has(condition))\"]");
    assert_eq!(plan(&measured).cells_digest(), plan(&one).cells_digest());
    assert_ne!(plan(&measured).digest(), plan(&one).digest());
    let other = one.replace("at_least = 2", "at_least = 3");
    assert_ne!(plan(&other).cells_digest(), plan(&one).cells_digest());
    // Whole years of a feature, and days of another table.
    let since = |day: &str| one.replace("code in @cancer", &format!("code in @cancer and onset {day}"));
    let reworded = since("> '2010-01-01'").replace(">= 18", "> 17.5");
    assert_eq!(plan(&reworded).digest(), plan(&since(">= '2010-01-02'")).digest());
}

#[test]
fn a_plan_says_every_column_that_it_touches_in_every_table() {
    let touches = plans(&bound(&with(COHORT), &[]).unwrap())[0].touches().clone();
    let told: Vec<String> = touches
        .iter()
        .map(|(id, columns)| format!("{id}: {}", columns.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(" ")))
        .collect();
    assert_eq!(told, ["fhir-condition@1: code onset", "fhir-observation@2: code taken value", "fhir-patient@1: birth"]);
}

#[test]
fn code_lists_come_from_files_and_hierarchies_too() {
    let text = |list: &str| {
        let cohort = "[cohort]\nfrom = \"patient\"\ninclude = [\"has(condition, code in @l)\"]\n";
        format!("{HEAD}l = {{ system = \"icd10cm\", {list} }}\n{cohort}{COUNT}")
    };
    let files = [
        ("plain.txt", "E10.1\n\n E10.2 \n"),
        ("table.csv", "title;code\n\"a; b\";E10.1\nc;E10.2\n"),
        ("tree.csv", "child,parent\nE10.2,E10\nE10,E\nE10.1,E10\nE10.11,E10.1\nE,E10.2\nF,X\n"),
    ];
    let hash = |list: &str| {
        let study = bound(&text(list), &files).unwrap();
        let list = study.codes.iter().find(|list| list.name.as_str() == "l").unwrap().clone();
        (list.hash, list.count)
    };
    let exact = hash("codes = [\"E10.2\", \"E10.1\", \"E10.1\"]");
    assert_eq!(exact.1, 2);
    assert_eq!(hash("file = \"plain.txt\""), exact);
    assert_eq!(hash("file = \"table.csv\""), exact);
    assert_eq!(hash("codes = [\"E10.1\"], file = \"plain.txt\""), exact);
    let below = hash("descendants = [\"E10.1\"], hierarchy = \"tree.csv\"");
    assert_eq!(below, hash("codes = [\"E10.1\", \"E10.11\"]"));
    assert_eq!(hash("descendants = [\"E\"], hierarchy = \"tree.csv\"").1, 5, "a circle ends");
    assert_ne!(hash("prefix = [\"E10.1\", \"E10.2\"]"), exact);
}
