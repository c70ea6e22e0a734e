//! Every kind of analysis through authority, engine, gate and ledger: what leaves, and how the ledger shows it.

use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::Outcome;
use bocage_protocol::trust::Study;

use super::*;

/// 60 patients: age 30 … 89, sex by turns, cholesterol 180, 182, … 298.
const STUDY: &str = r#"
title = "Every kind"
purpose = "scientific_research"
dataset = "heart@1"
min_sites = 1
[[analysis]]
name = "bins"
histogram = { of = "chol", bins = [200, 250], by = ["sex"] }
[[analysis]]
name = "cross"
crosstab = { rows = "sex", columns = "age >= 60" }
[[analysis]]
name = "median"
quantiles = { of = "age" }
[[analysis]]
name = "flow"
attrition = { steps = ["age >= 31", "chol < 250", "sex = '1'"] }
[[analysis]]
name = "glance"
summary = {}
[[analysis]]
name = "time"
survival = { time = "age", event = "chol >= 240", grid = [40, 60, 75] }
"#;

#[test]
fn every_kind_of_analysis_is_answered_with_what_its_plan_allows() {
    let site = Site::new();
    let custodian = ready(&site);
    let study = site.study_of(STUDY);
    let frame = custodian.round(&site.request(&study));
    let Reply::Released(signed) = reply(&frame) else { panic!("{:?}", reply(&frame)) };
    let release = signed.verify(&custodian.release_key.public()).unwrap();
    let contract = &custodian.config.datasets["heart"].contract;
    let mut kinds = Vec::new();
    for (part, analysis) in release.parts.iter().zip(&study.analyses) {
        let plan = bocage_protocol::analysis::plan_for(
            &analysis.spec,
            study.query(),
            0,
            &bocage_protocol::analysis::RoundState::First,
        );
        let plan = ValidPlan::check(plan.unwrap(), contract).unwrap();
        assert!(part.outcome.fits(&plan), "{}", analysis.name);
        kinds.push(match &part.outcome {
            Outcome::Table(_) => "table",
            Outcome::Bins(_) => "bins",
            Outcome::Discovered(_) => "discovered",
            Outcome::Model(_) => "model",
            Outcome::Lines(_) => "lines",
            Outcome::Refused(_) => "refused",
        });
    }
    assert_eq!(kinds, ["table", "table", "bins", "bins", "table", "bins", "table", "table", "bins", "lines"]);
    let Outcome::Bins(median) = &release.parts[2].outcome else { panic!() };
    let edges: Vec<(u32, u64)> = median.bins.iter().map(|b| (b.upto, b.count.subjects)).collect();
    assert_eq!(edges, [(41, 11), (52, 11), (63, 11), (74, 11), (121, 16)]);
    let config = crate::config::Config::load(&site.origin()).unwrap();
    let mut reader = ledger::show::Reader::new(&config.contracts);
    let mut left = Vec::new();
    custodian.ledger.records(None, |record| left.extend(reader.show(record).left)).unwrap();
    let shown = |name: &str| {
        let part = left.iter().find(|part| part.analysis == name).unwrap();
        let cell = |c: &ledger::show::ShownCell| (c.cell.join(", "), c.count.map(|n| n.subjects));
        part.cells.iter().map(cell).collect::<Vec<_>>()
    };
    assert_eq!(shown("median")[0], ("age in 0 … 40".to_owned(), Some(11)));
    // One patient is lost at the first step: it is merged with the second.
    let merged = "lost at step 1 (age >= 31) or lost at step 2 (chol < 250)".to_owned();
    assert_eq!(shown("flow")[0], (merged, Some(26)));
    assert_eq!(shown("flow")[1..].iter().map(|c| c.1).collect::<Vec<_>>(), [Some(17), Some(17)]);
    // The 15 with an event are 60 … 74 years old; of the others 10 are below 40, which is merged.
    let line = |text: &str, n| (text.to_owned(), n);
    let wanted = [
        line("time or event not known, any age", None),
        line("without an event, age < 75", Some(30)),
        line("without an event, age >= 75", Some(15)),
        line("chol >= 240, any age", Some(15)),
    ];
    assert_eq!(shown("time"), wanted);
    assert_eq!(shown("glance_sex")[0], ("sex = female".to_owned(), Some(30)));
}

#[test]
fn what_is_kept_for_a_fit_is_dropped_though_no_other_round_comes() {
    let site = Site::new();
    let custodian = ready(&site);
    let text = "title = \"A fit\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nmin_sites = 1\n\
                [[analysis]]\nname = \"fit\"\nmodel = { formula = \"chol ~ age\" }\n";
    let Reply::Released(_) = reply(&custodian.round(&site.request(&site.study_of(text)))) else { panic!("refused") };
    let dropped = [599, 600, 601].map(|secs| custodian.designs.expire(NOW.plus_secs(secs)));
    assert_eq!(dropped, [0, 1, 0]);
}

#[test]
fn a_dataset_with_several_rows_a_patient_answers_no_bins() {
    let site = Site::new();
    let study = site.study_of(STUDY);
    let contract = std::fs::read_to_string(site.path("contracts/heart.toml")).unwrap();
    let several = contract.replace("subject = \"row\"", "subject = \"patient\"")
        + "[[column]]\nname = \"patient\"\ntype = \"text\"\nrequired = true\n";
    let contract = bocage_protocol::contract::parse(&several, "heart.toml").unwrap();
    for analysis in &study.analyses {
        let query = bocage_protocol::plan::Query { contract: contract.hash(), ..study.query() };
        let state = bocage_protocol::analysis::RoundState::First;
        let plan = bocage_protocol::analysis::plan_for(&analysis.spec, query, 0, &state).unwrap();
        let is_bins = analysis.spec.table().is_none();
        match ValidPlan::check(plan, &contract) {
            Ok(_) => assert!(!is_bins, "{}", analysis.name),
            Err(problems) => assert!(is_bins && problems.to_string().contains("several rows"), "{problems}"),
        }
    }
}

#[test]
fn a_table_in_any_order_is_told_under_its_own_headings_and_a_study_in_another_order_is_a_repeat() {
    let site = Site::new();
    let custodian = ready(&site);
    let ask = |by: &str, nonce: u8| {
        let head = "title = \"Ages\"\npurpose = \"statistics\"\ndataset = \"heart@1\"\nmin_sites = 1\n[[analysis]]\nname = \"ages\"\n";
        let study = site.study_of(&format!("{head}table = {{ by = [{by}], show = [\"count\", \"mean(chol)\"] }}\n"));
        let study = Study { nonce: format!("{nonce:032x}"), ..study };
        let frame = custodian.round(&site.request(&study));
        let Reply::Released(_) = reply(&frame) else { panic!("{:?}", reply(&frame)) };
    };
    ask("\"sex\", \"cut(age, 55)\"", 1);
    ask("\"cut(age, 55)\", \"sex\"", 2);
    let config = crate::config::Config::load(&site.origin()).unwrap();
    let mut reader = ledger::show::Reader::new(&config.contracts);
    let (mut left, mut repeats) = (Vec::new(), Vec::new());
    let each = |record: ledger::Record| {
        let spend = record.body::<ledger::bodies::Reservation>().map(|reserved| reserved.spend).unwrap_or_default();
        repeats.extend(spend.iter().map(|spend| spend.repeats.is_some()));
        left.extend(reader.show(record).left);
    };
    custodian.ledger.records(None, each).unwrap();
    assert_eq!((left.len(), repeats), (2, vec![false, true]));
    for part in &left {
        let mut cells: Vec<(Vec<&str>, u64)> = Vec::new();
        // Nobody is without an age or a sex.
        for cell in part.cells.iter().filter(|cell| cell.count.is_some()) {
            let mut labels: Vec<&str> = cell.cell.iter().map(String::as_str).collect();
            labels.sort_unstable();
            cells.push((labels, cell.count.unwrap().subjects));
        }
        cells.sort();
        let wanted = [
            (vec!["cut(age, 55) = <55", "sex = female"], 13),
            (vec!["cut(age, 55) = <55", "sex = male"], 12),
            (vec!["cut(age, 55) = >=55", "sex = female"], 17),
            (vec!["cut(age, 55) = >=55", "sex = male"], 18),
        ];
        assert_eq!(cells, wanted);
    }
}
