//! Absent, killed and overrunning processes: every study still ends, and nobody else notices.

use bocage_tests::hold::Hold;
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::process::kill_pid;
use serde_json::Value;

use super::{EXE, everyone, study};

/// Men and women aged 30 to 80 in all four hospitals.
fn assert_all_four(result: &Value) {
    for site in HOSPITALS {
        assert_eq!(status(result, site)["status"], "answered", "{result:#}");
    }
    let bytes = HOSPITALS.map(|site| status(result, site)["bytes"].as_u64().expect("a reply"));
    assert!(bytes.iter().all(|n| *n == bytes[0]), "hospitals of 123 to 303 patients: {bytes:?}");
    let rows = result["analyses"][0]["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{result:#}");
    assert_eq!(rows[1][1], 722, "{result:#}");
}

#[test]
fn a_node_that_is_absent_at_the_start_is_asked_when_it_comes() {
    let lab = Lab::new(EXE);
    let coordinator = lab.coordinator();
    let _nodes: Vec<_> = HOSPITALS[..3].iter().map(|site| lab.node(site, &[])).collect();
    for site in &HOSPITALS[..3] {
        coordinator.wait_for_line(&["connected", site]);
    }
    let study = lab.study("late", &study("5m"));
    coordinator.wait_for_line(&["site answered", HOSPITALS[2]]);
    let _late = lab.node(HOSPITALS[3], &[]);
    assert_all_four(&study.published());
}

#[test]
fn a_node_that_is_killed_in_mid_query_answers_after_its_restart() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let coordinator = lab.coordinator();
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    let first = lab.node(HOSPITALS[0], &[hold.env()]);
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let study = lab.study("killed", &study("5m"));
    let held = hold.next();
    first.kill();
    drop(held);
    hold.lift();
    let _again = lab.node(HOSPITALS[0], &[]);
    assert_all_four(&study.published());
}

#[test]
fn a_custodian_that_is_killed_in_mid_query_is_restarted_and_tries_once_more() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let coordinator = lab.coordinator();
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    let first = lab.node(HOSPITALS[0], &[hold.env()]);
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let study = lab.study("custodian", &study("5m"));
    let held = hold.next();
    kill_pid(first.child_pid("custodian").expect("a custodian"));
    drop(held);
    hold.next().release();
    assert_all_four(&study.published());
}

#[test]
fn a_query_that_kills_its_custodian_twice_is_too_heavy_and_the_other_sites_are_published() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let coordinator = lab.coordinator();
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    let first = lab.node(HOSPITALS[0], &[hold.env()]);
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let running = lab.study("heavy", &study("5m"));
    for _ in 0..2 {
        let held = hold.next();
        kill_pid(first.child_pid("custodian").expect("a custodian"));
        drop(held);
    }
    let result = running.published();
    assert_eq!(status(&result, HOSPITALS[0])["status"], "refused");
    assert!(status(&result, HOSPITALS[0])["reason"].to_string().contains("query_too_heavy"), "{result:#}");
    hold.lift();
    assert_all_four(&lab.study("after", &study("5m")).published());
}

#[test]
fn a_study_that_too_few_sites_answer_ends_with_an_error_that_says_how_many_and_why() {
    let lab = Lab::new(EXE);
    let coordinator = lab.coordinator();
    let _nodes: Vec<_> = HOSPITALS[..2].iter().map(|site| lab.node(site, &[])).collect();
    for site in &HOSPITALS[..2] {
        coordinator.wait_for_line(&["connected", site]);
    }
    let (code, result, said) =
        lab.study("alone", &study("2s").replace("answer_within", "min_sites = 3\nanswer_within")).end();
    assert_eq!(code, 1, "{said}");
    assert_eq!(status(&result, HOSPITALS[2])["status"], "missing", "the result is printed all the same");
    assert!(said.contains("error: only 2 of 4 sites answered, and a cell needs 3\n"), "{said}");
    let missing = format!("{} are not in this result (missing)", HOSPITALS[2..].join(", "));
    assert!(said.contains(&missing) && said.contains("hint: run the study again when"), "{said}");
    let shown = lab.run(&["study", "show", result["study"]["id"].as_str().expect("an id")]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&shown.stderr).contains("error: only 2 of 4 sites answered"));
    assert!(shown.stdout.is_empty(), "a table of hidden cells alone is not shown to people");
}

#[test]
fn a_query_that_overruns_its_time_is_stopped_by_the_supervisor_and_not_tried_again() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let coordinator = lab.coordinator();
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    let limit = ("BOCAGE_NODE__POLICY__QUERY_SECS".to_owned(), "1".to_owned());
    let first = lab.node(HOSPITALS[0], &[hold.env(), limit]);
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let running = lab.study("overrun", &study("5m"));
    let _held = hold.next();
    let result = running.published();
    assert!(status(&result, HOSPITALS[0])["reason"].to_string().contains("query_too_heavy"), "{result:#}");
    first.wait_for_line(&["ended by force", "custodian", "query_secs"]);
    hold.lift();
    assert_all_four(&lab.study("after", &study("5m")).published());
}

#[test]
fn a_coordinator_that_is_killed_goes_on_with_the_study_after_its_restart() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let coordinator = lab.coordinator();
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    let _first = lab.node(HOSPITALS[0], &[hold.env()]);
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let running = lab.study("restart", &study("5m"));
    let held = hold.next();
    coordinator.kill();
    held.release();
    hold.lift();
    let _coordinator = lab.coordinator();
    assert_all_four(&running.published());
}

#[test]
fn a_site_that_never_answers_is_missing_and_a_late_one_changes_nothing() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let coordinator = lab.coordinator();
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    let _first = lab.node(HOSPITALS[0], &[hold.env()]);
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let running = lab.study("missing", &study("2s"));
    let held = hold.next();
    let result = running.published();
    assert_eq!(status(&result, HOSPITALS[0])["status"], "missing", "{result:#}");
    let id = result["study"]["id"].as_str().expect("an id").to_owned();
    let before = lab.get(&format!("/v1/studies/{id}/result"));
    held.release();
    hold.lift();
    assert_all_four(&lab.study("next", &study("5m")).published());
    assert_eq!(lab.get(&format!("/v1/studies/{id}/result")), before);
}

#[test]
fn a_whole_network_answers_like_the_pooled_rows() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let result = lab.study("plain", &study("5m")).published();
    assert_all_four(&result);
    let women = &result["analyses"][0]["rows"][0];
    assert!(women[1].is_null(), "two hospitals have fewer than 11: {result:#}");
    let hidden = &result["analyses"][0]["hidden"][0];
    assert_eq!((&hidden["row"], &hidden["interval"]), (&0.into(), &serde_json::json!([178, 198])), "194 lies inside");
}
