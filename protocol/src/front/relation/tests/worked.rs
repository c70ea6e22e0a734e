//! The worked cohorts of docs/STUDIES.md are what they say: each binds to the contracts that come with Bocage, and every site could answer it.

use super::{bound, plans};

const STUDIES: &str = include_str!("../../../../../docs/STUDIES.md");

const HEAD: &str = "title = \"A worked cohort\"\npurpose = \"scientific_research\"\n";

/// The files that the worked cohorts name.
const FILES: [(&str, &str); 2] = [
    ("codes/cancer.csv", "code,title\nC50.9,Breast\nC61,Prostate\n"),
    ("codes/ancestors.csv", "parent,child\n21601855,1545958\n1545958,1545959\n"),
];

fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    text.split(language).skip(1).filter_map(|block| block.split("```").next()).collect()
}

#[test]
fn every_worked_cohort_binds_to_the_contracts_and_makes_plans() {
    let section = STUDIES.split("### Ten worked cohorts").nth(1).and_then(|rest| rest.split("\n##").next()).unwrap();
    let tables = blocks(section, "```text\n");
    let texts = blocks(section, "```toml\n");
    assert_eq!((tables.len(), texts.len()), (1, 10));
    for text in texts {
        let tables = if text.contains("[tables]") { "" } else { tables[0] };
        let study = bound(&format!("{HEAD}{tables}{text}"), &FILES).unwrap_or_else(|wrong| panic!("{text}\n{wrong}"));
        assert!(!study.features.is_empty(), "{text}");
        assert_eq!(plans(&study).len(), study.analyses.len());
    }
}

#[test]
fn the_first_example_across_tables_binds_to_the_contracts_that_come_with_bocage() {
    let section = STUDIES.split("## Cohorts across tables").nth(1).unwrap();
    let study = bound(&format!("{HEAD}{}", blocks(section, "```toml\n")[0]), &FILES).unwrap();
    assert_eq!(plans(&study).len(), 1);
}

#[test]
fn a_list_of_one_edition_of_icd_10_is_refused_for_another() {
    let tables = blocks(STUDIES.split("### Ten worked cohorts").nth(1).unwrap(), "```text\n")[0];
    let codes = "[codes]\nstroke = { system = \"icd10cm\", prefix = [\"I63\"] }\n";
    let study = |column: &str| {
        let include = format!("[cohort]\nfrom = \"patient\"\ninclude = [\"has(condition, {column} in @stroke)\"]\n");
        bound(&format!("{HEAD}{tables}{codes}{include}{}", super::COUNT), &[])
    };
    assert!(study("icd10cm").is_ok());
    for (column, system) in [("icd10", "icd10"), ("icd10gm", "icd10gm")] {
        let said = study(column).unwrap_err();
        assert!(
            said.contains(&format!("`{column}` has codes of `{system}`, and `@stroke` those of `icd10cm`")),
            "{said}"
        );
    }
}

#[test]
fn what_puts_values_of_one_day_in_order_is_read_where_it_chooses() {
    let tables = blocks(STUDIES.split("### Ten worked cohorts").nth(1).unwrap(), "```text\n")[0];
    let read = |pick: &str| {
        let include =
            format!("[cohort]\nfrom = \"patient\"\ninclude = [\"{pick}(observation.value, until = today) > 1\"]\n");
        let study = bound(&format!("{HEAD}{tables}{include}{}", super::COUNT), &[]).unwrap();
        let plans = plans(&study);
        let columns = &plans[0].touches()[&"fhir-r4-observation@3".parse().unwrap()];
        columns.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(read("last"), ["date", "instant", "value"]);
    assert_eq!(read("first"), ["date", "instant", "value"]);
    assert_eq!(read("max"), ["date", "value"]);
}

#[test]
fn what_is_shown_of_conditions_from_row_to_row_binds_to_the_contracts_that_come_with_bocage() {
    let section =
        STUDIES.split("#### From row to row").nth(1).and_then(|rest| rest.split("**Who is in.**").next()).unwrap();
    let tables = blocks(STUDIES.split("### Ten worked cohorts").nth(1).unwrap(), "```text\n")[0];
    let codes = "[codes]\ndiabetes = { system = \"icd10cm\", block = [\"E08-E13\"] }\n";
    let texts = blocks(section, "```toml\n");
    assert_eq!(texts.len(), 2);
    for text in texts {
        let study = format!("{HEAD}{tables}{codes}[cohort]\nfrom = \"patient\"\n{text}{}", super::COUNT);
        let study = bound(&study, &[]).unwrap_or_else(|wrong| panic!("{text}\n{wrong}"));
        assert!(study.features.iter().any(|feature| feature.on.is_some()), "{text}");
        plans(&study);
    }
    let stays = "[[analysis]]\nname = \"a\"\ntable = { by = [\"class\"], show = [\"rows\", \"share(has(encounter, class = 'IMP', after = end_date, within = days(30)))\"] }\n";
    let study = format!("{HEAD}{tables}[cohort]\nfrom = \"encounter\"\ninclude = [\"class = 'IMP'\"]\n{stays}");
    assert_eq!(plans(&bound(&study, &[]).unwrap()).len(), 1);
}
