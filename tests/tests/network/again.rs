//! Patients opt out at one hospital while a fit is under way: it begins again there and everywhere, and says so to whoever reads the answer.

use std::fs;
use std::path::PathBuf;

use bocage_tests::hold::Hold;
use bocage_tests::lab::{Lab, status};
use serde_json::{Value, json};

use super::EXE;
use super::analyses::analysis;

const SITES: [&str; 2] = ["north", "south"];
const CONTRACT: &str = r#"
id = "ward@1"
subject = "patient"
one_row_per_subject = true
[[column]]
name = "patient"
type = "text"
[[column]]
name = "age"
type = "int"
range = [0, 120]
[[column]]
name = "ill"
type = "bool"
"#;
const STUDY: &str = r#"
title = "Again"
purpose = "scientific_research"
dataset = "ward@1"
answer_within = "5m"
sites = ["north", "south"]
[[analysis]]
name = "odds"
model = { formula = "ill ~ age", family = "binomial" }
"#;

fn lab() -> Lab {
    let mut network =
        "[publication]\nmin_sites = 2\n[researcher]\nname = \"Lab\"\nmode = \"exact\"\nallow_without_permit = true\n"
            .to_owned();
    for site in SITES {
        network += &format!(
            "[[site]]\nid = \"{site}\"\n[site.dataset.ward]\ncontract = \"ward@1\"\nsource = {{ kind = \"csv\", path = \"data/ward.csv\" }}\n"
        );
    }
    let lab = Lab::of(EXE, ("ward.toml", CONTRACT), &network);
    for site in SITES {
        lab.confine_if_possible(site);
        let row = |i: usize| format!("{site}-{i},{},{}\n", 30 + i % 40, i % 7 < 1 + i % 40 / 10);
        let rows: String = (0..300).map(row).collect();
        fs::write(lab.site(site).join("data/ward.csv"), format!("patient,age,ill\n{rows}")).expect("data");
    }
    fs::create_dir(list(&lab).parent().expect("a folder")).expect("a folder");
    opt_out(&lab, 0);
    let config = lab.site(SITES[0]).join("node.toml");
    let text = fs::read_to_string(&config).expect("node.toml");
    let section = format!("[optouts]\nsource = {{ kind = \"csv\", path = {:?} }}\n", list(&lab));
    fs::write(config, format!("{text}\n{section}")).expect("node.toml");
    lab
}

/// Outside the node's own folders.
fn list(lab: &Lab) -> PathBuf {
    lab.path("registry/optouts.csv")
}

/// The first so many patients of the first hospital opt out.
fn opt_out(lab: &Lab, first: usize) {
    let lines: String = (0..first).map(|i| format!("{}-{i},all,\n", SITES[0])).collect();
    let new = lab.path("registry/optouts.new");
    fs::write(&new, format!("subject,purpose,date\n{lines}")).expect("the list");
    fs::rename(new, list(lab)).expect("it takes the place");
}

#[test]
fn a_fit_begins_again_when_patients_opt_out_between_two_of_its_rounds_and_the_report_says_so() {
    let lab = lab();
    let coordinator = lab.coordinator();
    let hold = Hold::new(&lab.path(""));
    let _nodes = [lab.node(SITES[0], &[hold.env()]), lab.node(SITES[1], &[])];
    for site in SITES {
        coordinator.wait_for_line(&["connected", site]);
    }
    lab.wait_for_offers(&SITES);
    let running = lab.study("again", STUDY);
    hold.next().release();
    // The second round has begun: who is in it is settled.
    let second = hold.next();
    opt_out(&lab, 60);
    second.release();
    hold.lift();
    let result = running.published();
    let odds = analysis(&result, "odds");
    let again = "it began again in round 3, since opt-outs had changed at north";
    let notes = |of: &Value| of["notes"].as_array().cloned().unwrap_or_default();
    assert!(notes(odds).iter().any(|note| note.as_str().is_some_and(|note| note.starts_with(again))), "{odds:#}");
    assert_eq!(status(&result, SITES[0])["moved_in"], json!([2]), "{result:#}");
    assert!(status(&result, SITES[1])["moved_in"].as_array().is_none_or(Vec::is_empty));
    let shown = lab.run(&["study", "show", result["study"]["id"].as_str().expect("an id")]);
    let text = String::from_utf8_lossy(&shown.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(again) && text.contains("north: opt-outs changed before round 2"), "{text}");
    // As a study that begins now has it, to the last bit.
    let fresh = lab.study("fresh", STUDY).published();
    let fresh = analysis(&fresh, "odds");
    assert_eq!((&odds["block"], &odds["also"]), (&fresh["block"], &fresh["also"]));
    assert_eq!(notes(odds).len(), notes(fresh).len() + 1);
}
