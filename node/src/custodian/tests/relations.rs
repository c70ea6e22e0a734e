//! Studies that look into several datasets, on their whole way: what must be offered, what they are pinned to, and what answers depend on.

use bocage_protocol::plan::{Derived, Expr, Feature, RelatedTable, Rows};
use bocage_protocol::release::Release;
use bocage_protocol::trust::Study;

use super::*;
use crate::custodian::ledger::bodies::{Related, Reservation, StepAsked};
use crate::custodian::snapshot::{Manifest, held};
use crate::fixture::CONTRACT;

const VISITS: &str = r#"
id = "visits@1"
subject = "patient"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "reason"
type = "code"
codes = [{ code = "flu" }, { code = "gout" }]
"#;
const COUNT: &str = "title = \"t\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nmin_sites = 1\n\
    [[analysis]]\nname = \"a\"\ntable = { show = [\"count\"] }";

/// A site with 60 patients, of whom 40 have two visits each, and of whom again so many have come with gout.
fn site(gout: usize) -> Site {
    let site = Site::new();
    let column = "[[column]]\nname = \"patient\"\ntype = \"text\"\n[[column]]\nname = \"age\"";
    let contract = CONTRACT.replace("subject = \"row\"", "subject = \"patient\"");
    let contract = contract.replacen("[[column]]\nname = \"age\"", column, 1);
    std::fs::write(site.path("contracts/heart.toml"), contract).unwrap();
    let rows: String = (0..60).map(|i| format!("p{i},{},{},{}\n", 30 + i, i % 2, 180 + 2 * i)).collect();
    std::fs::write(site.path("heart.csv"), format!("patient,age,sex,chol\n{rows}")).unwrap();
    std::fs::write(site.path("contracts/visits.toml"), VISITS).unwrap();
    visits(&site, gout);
    site.write_config("[dataset.visits]\ncontract = \"visits@1\"\nsource = { kind = \"csv\", path = \"visits.csv\" }");
    site
}

fn visits(site: &Site, gout: usize) {
    // In another order than the patients', and of one whom the other dataset does not have.
    let row = |i: usize| format!("p{i},flu\np{i},{}\n", if i < gout { "gout" } else { "flu" });
    let rows: String = (0..40).rev().map(row).collect();
    std::fs::write(site.path("visits.csv"), format!("patient,reason\nstranger,gout\n{rows}")).unwrap();
}

/// A study of the patients who have come with gout.
fn study(site: &Site, nonce: u32) -> Study {
    let visits = bocage_protocol::contract::parse(VISITS, "visits.toml").unwrap();
    let table = RelatedTable { dataset: visits.id().clone(), contract: visits.hash() };
    let gout = Expr::In {
        of: Box::new(Expr::Column("reason".parse().unwrap())),
        list: vec![bocage_protocol::plan::Literal::Text("gout".to_owned())],
    };
    let rows = Rows { table: "visits".parse().unwrap(), filter: Some(gout), window: None };
    let made = "came".parse().unwrap();
    Study {
        related: [("visits".parse().unwrap(), table)].into(),
        features: vec![Feature { name: "came".parse().unwrap(), on: None, of: Derived::Has { rows, at_least: 1 } }],
        filter: Some(Expr::Column(made)),
        nonce: format!("{nonce:032x}"),
        ..site.study_of(COUNT)
    }
}

fn released(custodian: &Custodian, frame: &[u8]) -> Release {
    let Reply::Released(signed) = reply(frame) else { panic!("{:?}", reply(frame)) };
    signed.verify(&custodian.release_key.public()).unwrap()
}

fn counted(release: &Release) -> Option<u64> {
    let Outcome::Table(table) = &release.parts[0].outcome else { panic!("a table") };
    match &table.cells[0] {
        CellRelease::Shown { count, .. } => Some(count.subjects),
        CellRelease::FewerThanK => None,
    }
}

fn current(custodian: &Custodian, dataset: &str) -> Manifest {
    usable(&custodian.config, &custodian.config.datasets[dataset]).unwrap()
}

fn refresh(custodian: &Custodian, dataset: &str, secs: i64) -> Manifest {
    let form = custodian.optouts.site_form(&custodian.release_key).unwrap();
    let dataset = &custodian.config.datasets[dataset];
    let now = NOW.plus_secs(secs);
    data::refresh(&custodian.config, &custodian.ledger, dataset, Some(&form), crate::ingest::Why::Refresh, now).unwrap()
}

#[test]
fn patients_are_counted_by_their_rows_in_another_dataset() {
    let site = site(25);
    let custodian = ready(&site);
    let request = site.request(&study(&site, 1));
    let release = released(&custodian, &custodian.round(&request));
    assert_eq!(counted(&release), Some(25));
    let history = custodian.ledger.history(&request.study.id()).unwrap();
    let visits = Related {
        dataset: "visits@1".parse().unwrap(),
        snapshot: current(&custodian, "visits").content,
        left_out: None,
        groups_out: None,
    };
    let reserved = history.round(0).and_then(|round| round.reservation.clone()).unwrap();
    assert_eq!((reserved.snapshot, reserved.related), (current(&custodian, "heart").content, vec![visits]));
}

#[test]
fn fewer_than_k_patients_are_not_shown_however_many_rows_they_have_elsewhere() {
    for (gout, shown) in [(10, None), (11, Some(11))] {
        let site = site(gout);
        let custodian = ready(&site);
        let frame = custodian.round(&site.request(&study(&site, 1)));
        assert_eq!(counted(&released(&custodian, &frame)), shown);
    }
}

#[test]
fn every_dataset_must_be_offered_under_the_contract_that_the_study_names() {
    let site = site(25);
    let refused = |site: &Site, study: &Study| match reply(&ready(site).round(&site.request(study))) {
        Reply::Refused(error) => error,
        other => panic!("not refused: {other:?}"),
    };
    let mut other = study(&site, 1);
    let table: bocage_protocol::ids::TableName = "visits".parse().unwrap();
    other.related.get_mut(&table).unwrap().contract = bocage_protocol::ids::Digest::of("other", &[]);
    let error = refused(&site, &other);
    assert_eq!(error.code, ErrorCode::ContractMismatch);
    assert!(error.message.contains("visits@1"), "{error}");
    site.write_config("");
    let error = refused(&site, &study(&site, 2));
    assert_eq!(error.code, ErrorCode::DatasetNotOffered);
    assert!(error.message.contains("visits@1"), "{error}");
}

#[test]
fn an_answer_depends_on_every_table_that_it_looks_into() {
    let site = site(25);
    let custodian = ready(&site);
    let ask = |nonce| {
        let request = site.request(&study(&site, nonce));
        let release = released(&custodian, &custodian.round(&request));
        let history = custodian.ledger.history(&request.study.id()).unwrap();
        let reservation = history.round(0).unwrap().reservation.clone().unwrap();
        (counted(&release), release.snapshot, reservation.spend[0].repeats.is_some())
    };
    let first = ask(1);
    assert_eq!(ask(2), (first.0, first.1, true));
    // Other rows of the other table, and then the same rows of other patients.
    visits(&site, 30);
    refresh(&custodian, "visits", 1);
    let second = ask(3);
    assert_eq!((second.0, second.2), (Some(30), false));
    assert_ne!(first.1, second.1);
    let text = std::fs::read_to_string(site.path("visits.csv")).unwrap();
    std::fs::write(site.path("visits.csv"), text.replace("p0,", "nobody,")).unwrap();
    refresh(&custodian, "visits", 2);
    let third = ask(4);
    assert_eq!((third.0, third.2), (Some(29), false));
    assert_ne!(second.1, third.1);
}

#[test]
fn a_study_stays_on_the_snapshots_of_all_its_datasets() {
    let site = site(25);
    site.edit_config("[policy]", "[snapshots]\nkeep = 1\nmin_free_mib = 0\n[policy]");
    let custodian = ready(&site);
    let request = site.request(&study(&site, 1));
    let (heart, before) = (current(&custodian, "heart").content, current(&custodian, "visits").content);
    let reservation = Reservation {
        snapshot: heart,
        left_out: None,
        groups_out: None,
        related: vec![Related {
            dataset: "visits@1".parse().unwrap(),
            snapshot: before,
            left_out: None,
            groups_out: None,
        }],
        steps: StepAsked::all(&request.steps),
        spend: vec![],
        account: None,
        further_rounds: 0,
    };
    custodian.ledger.append(NOW, &[Entry::new(Kind::Reservation, request.study.id(), 0, &reservation)]).unwrap();
    // Two newer ones, of which one stays beside that in use.
    visits(&site, 29);
    refresh(&custodian, "visits", 1);
    visits(&site, 30);
    refresh(&custodian, "visits", 2);
    assert!(custodian.ledger.pinned(NOW).unwrap().contains_key(&before));
    let kept = held(&custodian.config.state.snapshots(), "visits").unwrap();
    assert!(kept.iter().any(|held| held.manifest.content == before), "it is kept for the study");
    assert_eq!(counted(&released(&custodian, &custodian.round(&request))), Some(25));
    assert_eq!(counted(&released(&custodian, &custodian.round(&site.request(&study(&site, 2))))), Some(30));
}

/// Who has come with gout: a hundred of four hundred patients. Those of `no` opt out of the visits alone.
fn visits_of_many(site: &Site, no: &[usize]) {
    let row = |i: usize| {
        let (reason, consent) = (if i < 100 { "gout" } else { "flu" }, if no.contains(&i) { "no" } else { "yes" });
        format!("p{i},{reason},{consent}\n")
    };
    let rows: String = (0..400).map(row).collect();
    std::fs::write(site.path("visits.csv"), format!("patient,reason,consent\n{rows}")).unwrap();
}

/// The cohort before and after these opted out of the dataset that it is made by, and whether the second answer holds back.
fn before_and_after(no: &[usize]) -> (Option<u64>, Option<u64>, bool) {
    let site = site(25);
    let rows: String = (0..400).map(|i| format!("p{i},{},{},{}\n", 30 + i % 60, i % 2, 180 + i)).collect();
    std::fs::write(site.path("heart.csv"), format!("patient,age,sex,chol\n{rows}")).unwrap();
    visits_of_many(&site, &[]);
    let source =
        "source = { kind = \"csv\", path = \"visits.csv\" }\noptout = \"consent = 'no'\"\noptout_scope = \"dataset\"";
    site.write_config(&format!("[dataset.visits]\ncontract = \"visits@1\"\n{source}"));
    let custodian = ready(&site);
    let ask = |nonce| released(&custodian, &custodian.round(&site.request(&study(&site, nonce))));
    let before = counted(&ask(1));
    visits_of_many(&site, no);
    refresh(&custodian, "visits", 60);
    let after = ask(2);
    let Outcome::Table(table) = &after.parts[0].outcome else { panic!("a table") };
    (before, counted(&after), table.held_back)
}

#[test]
fn a_cohort_that_few_leave_since_they_opted_out_of_another_dataset_is_held_back() {
    assert_eq!(before_and_after(&[3]), (Some(100), None, true));
    let sixty: Vec<usize> = (0..60).collect();
    assert_eq!(before_and_after(&sixty), (Some(100), Some(40), false), "so many may be seen to leave");
}

#[test]
fn what_is_decided_about_is_told_with_the_rows_of_every_table() {
    let site = site(20);
    let custodian = ready(&site);
    released(&custodian, &custodian.round(&site.request(&study(&site, 1))));
    let mut told = Vec::new();
    let read = |record: ledger::Record| told.extend(record.body::<ledger::bodies::Decision>());
    custodian.ledger.records(None, read).unwrap();
    let text = told[0].explained.values().next().unwrap();
    assert!(text.contains("Passes over 60 rows of heart@1, and 81 rows of visits@1, in less than a second."), "{text}");
}
