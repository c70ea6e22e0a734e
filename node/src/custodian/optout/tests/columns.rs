//! A no in a column of one dataset's source, and the other datasets of the node.

use super::*;
use crate::custodian::data::usable;

const REGISTER: &str = r#"
id = "register@1"
subject = "patient"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "name"
type = "text"
required = true
"#;
const NO: &str = "optout = \"consent = 'no'\"";

/// The clinic, and a register of its patients that says who agrees.
fn clinic(more: &str, no: &[u64]) -> Clinic {
    let clinic = Clinic::new("");
    fs::write(clinic.site.path("contracts/register.toml"), REGISTER).unwrap();
    register(&clinic, no);
    let source = "source = { kind = \"csv\", path = \"register.csv\" }";
    clinic.site.write_config(&format!("[dataset.register]\ncontract = \"register@1\"\n{source}\n{more}"));
    clinic
}

/// Those who say no say it in the second of two rows, and every other one of them has no row that fits.
fn register(clinic: &Clinic, no: &[u64]) {
    let row = |i: u64| {
        let (consent, place) = (if no.contains(&i) { "no" } else { "yes" }, no.iter().position(|n| *n == i));
        let name = if place.is_some_and(|place| place % 2 == 1) { String::new() } else { format!("n{i}") };
        format!("p{i},{name},yes\np{i},{name},{consent}\n")
    };
    let rows: String = (0..PATIENTS).map(row).collect();
    fs::write(clinic.site.path("register.csv"), format!("patient,name,consent\n{rows}")).unwrap();
}

fn refresh(custodian: &Custodian) {
    let dataset = &custodian.config.datasets["register"];
    let form = custodian.optouts.site_form(&custodian.release_key).unwrap();
    data::refresh(&custodian.config, &custodian.ledger, dataset, Some(&form), crate::ingest::Why::Refresh, NOW)
        .unwrap();
}

#[test]
fn a_no_in_one_dataset_counts_in_each_that_names_patients_also_of_a_row_that_does_not_fit() {
    let clinic = clinic(NO, &[3, 4, 7]);
    let custodian = clinic.custodian();
    assert_eq!(clinic.count(&custodian), PATIENTS - 3);
    // The next snapshot of the register has another one: who leaves with them is drawn in each dataset.
    let before = clinic.ask(&custodian);
    register(&clinic, &[3, 4, 7, 8]);
    refresh(&custodian);
    let after = clinic.ask(&custodian);
    assert_eq!(count(&after), PATIENTS - 3 - K - 1);
    assert_ne!(before.snapshot, after.snapshot);
    let form = custodian.optouts.form(&custodian.config.datasets["heart"], &custodian.release_key).unwrap().unwrap();
    let used = state::load(&custodian.optouts.dir.join("heart.json"), &form.digest()).unwrap().unwrap();
    for id in ["p3", "p4", "p7", "p8"] {
        assert!(used.last.last().unwrap().patients.contains(&form.of_subject(id)), "{id}");
    }
    // And over a restart.
    drop(custodian);
    let custodian = clinic.custodian();
    assert_eq!(clinic.ask(&custodian).parts, after.parts);
}

#[test]
fn a_site_is_told_how_many_opted_out_by_its_list_by_columns_and_together() {
    let clinic = clinic(&format!("{NO}\n{LIST}"), &[3, 4, 7]);
    clinic.list(&["p4,all,", "p5,all,", "nobody,all,"]);
    let custodian = clinic.custodian();
    let told = |name: &str| {
        let dataset = &custodian.config.datasets[name];
        let manifest = usable(&custodian.config, dataset).unwrap();
        known(&custodian.config, dataset, &manifest, &custodian.release_key).unwrap().unwrap()
    };
    let heart = told("heart");
    assert_eq!((heart.by_column, heart.opted_out), (Some(3), 4));
    let said =
        "2 of 3 listed patients are in the snapshot, 3 of the snapshot's patients opted out by a column; 0 others";
    assert!(heart.to_string().starts_with(said), "{heart}");
    // Every other one who says no has no row that fits.
    assert_eq!(told("register").by_column, Some(2));
}

#[test]
fn what_left_before_a_no_in_another_dataset_does_not_leave_again() {
    let clinic = clinic(NO, &[]);
    let custodian = clinic.custodian();
    let request = clinic.site.request(&clinic.study("scientific_research"));
    let queries = || clinic.queries.load(Ordering::Relaxed);
    assert_eq!(count(&released(&custodian, &custodian.round(&request))), PATIENTS);
    let before = queries();
    register(&clinic, &[9]);
    refresh(&custodian);
    assert_eq!(refusal(&custodian.round(&request)).code, ErrorCode::OptoutsChanged);
    assert_eq!(clinic.count(&custodian), PATIENTS - K - 1);
    assert_eq!(queries(), 2 * before, "no answer from before is given again");
}

#[test]
fn a_dataset_whose_opt_outs_are_its_own_speaks_for_itself_alone() {
    let clinic = clinic(&format!("{NO}\noptout_scope = \"dataset\""), &[3, 4, 7]);
    let custodian = clinic.custodian();
    assert_eq!(clinic.count(&custodian), PATIENTS);
    assert!(changes(&custodian).is_empty());
}

#[test]
fn a_dataset_that_names_no_patient_is_asked_about_as_before() {
    let clinic = clinic(NO, &[3]);
    let path = clinic.site.path("contracts/heart.toml");
    let contract = fs::read_to_string(&path).unwrap().replace("subject = \"patient\"", "subject = \"row\"");
    fs::write(path, contract).unwrap();
    assert_eq!(clinic.count(&clinic.custodian()), 2 * PATIENTS);
}

#[test]
fn nothing_is_answered_while_nobody_can_tell_who_said_no_in_another_dataset() {
    let clinic = clinic(NO, &[3]);
    fs::remove_file(clinic.site.path("register.csv")).unwrap();
    let custodian = clinic.custodian();
    assert_eq!(clinic.refused(&custodian), ErrorCode::OptoutsUnavailable);
    register(&clinic, &[3]);
    refresh(&custodian);
    assert_eq!(clinic.count(&custodian), PATIENTS - 1);
    // Nor where its file of tokens is not what it was.
    let manifest = usable(&custodian.config, &custodian.config.datasets["register"]).unwrap();
    let place = custodian.config.state.snapshots().join("register").join(format!("{}.ids", manifest.content));
    drop(custodian);
    fs::write(place, "else").unwrap();
    assert_eq!(clinic.refused(&clinic.custodian()), ErrorCode::OptoutsUnavailable);
}

#[test]
fn a_snapshot_that_knows_no_strangers_is_taken_again_before_it_speaks_for_all() {
    let clinic = clinic(NO, &[3, 4]);
    drop(clinic.custodian());
    let config = clinic.site.config();
    let taken = usable(&config, &config.datasets["register"]).unwrap();
    let earlier = taken.ids.map(|ids| crate::custodian::snapshot::IdsFile { strangers: false, ..ids });
    let path = config.state.snapshots().join("register").join(format!("{}.json", taken.content));
    fs::write(path, serde_json::to_vec(&Manifest { ids: earlier, ..taken }).unwrap()).unwrap();
    assert!(usable(&config, &config.datasets["register"]).unwrap_err().contains("in its own dataset alone"));
    assert_eq!(clinic.count(&clinic.custodian()), PATIENTS - 2);
}
