//! Yes, no, stop and go on.

use bocage_protocol::error::ErrorCode;
use bocage_tests::hold::Hold;
use bocage_tests::lab::{HOSPITALS, status};

use super::{ASKING, assert_pending, everyone, lab, records, released, said, signed, study, submitted, waits};

#[test]
fn an_approved_study_is_published_with_the_site_and_the_researcher_saw_it_wait() {
    let lab = lab();
    let (coordinator, _nodes) = everyone(&lab, &[]);
    let running = lab.study("approved", &study("5m"));
    coordinator.wait_for_line(&["site waits for its steward", ASKING]);
    let listed: serde_json::Value =
        serde_json::from_str(&said(&lab, &["studies", "list", "--format", "json"])).expect("JSON");
    let id = listed["studies"][0]["study"].as_str().expect("an id").to_owned();
    assert_eq!(listed["studies"][0]["state"], "pending");
    let open = lab.get(&format!("/v1/studies/{id}"));
    assert_eq!(status(&open, ASKING)["status"], "pending");
    assert_eq!(status(&open, ASKING)["reason"]["code"], "approval_pending");
    let shown = lab.run(&["study", "show", &id]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("wait for a person there") && text.contains("has not decided yet"), "{text}");
    let dossier = said(&lab, &["studies", "show", &id[..12]]);
    for wanted in ["Reads ", "asked by   Lab", "purpose    scientific_research", "numbers at most", "    nothing\n"] {
        assert!(dossier.contains(wanted), "{wanted} is not in\n{dossier}");
    }
    let approved = said(&lab, &["studies", "approve", &id[..12], "--note", "board of Tuesday"]);
    assert!(approved.contains("approved, until"), "{approved}");
    let (code, result, heard) = running.end();
    assert_eq!(code, 0, "{heard}");
    assert!(heard.contains(&format!("{ASKING}: the steward of {ASKING} has not decided yet")), "{heard}");
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    assert_eq!((records(&lab, "pending"), records(&lab, "approval")), (1, 1));
    let (code, said) = lab.verify_ledger(ASKING);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_refused_study_is_published_without_the_site_and_with_its_reason() {
    let lab = lab();
    let (coordinator, _nodes) = everyone(&lab, &[]);
    let running = lab.study("refused", &study("5m"));
    coordinator.wait_for_line(&["site waits for its steward", ASKING]);
    let listed = said(&lab, &["studies", "list", "--format", "csv"]);
    let id = listed.lines().nth(1).and_then(|line| line.split(',').next()).expect("an id").to_owned();
    said(&lab, &["studies", "refuse", &id, "--reason", "outside our mandate"]);
    let result = running.published();
    assert_eq!(status(&result, ASKING)["status"], "refused", "{result:#}");
    assert_eq!(status(&result, ASKING)["reason"]["code"], "approval_refused");
    assert!(status(&result, ASKING)["reason"]["message"].to_string().contains("outside our mandate"), "{result:#}");
    let (code, _, error) = lab.at_node(ASKING, &["studies", "approve", &id]);
    assert!(code == Some(1) && error.contains("final"), "{error}");
    assert!(said(&lab, &["studies", "list"]).contains("no study is at the desk"));
    assert!(said(&lab, &["studies", "list", "--all"]).contains("outside our mandate"));
}

#[test]
fn a_pause_stops_a_running_query_and_all_studies_until_resume() {
    let lab = lab();
    let hold = Hold::new(lab.path("").as_path());
    let (coordinator, mut nodes) = everyone(&lab, &[]);
    // The last hospital decides by itself; its query is held.
    let site = HOSPITALS[3];
    nodes.remove(3).kill();
    let node = lab.node(site, &[hold.env()]);
    node.wait_for_line(&["session ready"]);
    let study = submitted(&lab);
    let held = hold.next();
    let (code, out, error) = lab.at_node(site, &["pause", "--reason", "an incident"]);
    assert!(code == Some(0) && out.contains("an incident"), "{out}{error}");
    hold.lift();
    held.release();
    coordinator.wait_for_line(&["site waits for its steward", site]);
    let open = lab.get(&format!("/v1/studies/{}", study.id()));
    assert_eq!(status(&open, site)["reason"]["code"], "paused", "{open:#}");
    let ledger = rusqlite::Connection::open(lab.site(site).join("state/ledger.sqlite")).expect("the ledger");
    let left: i64 =
        ledger.query_row("select count(*) from record where kind = 'release'", [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 0, "what was computed did not leave");
    let (code, out, error) = lab.at_node(site, &["resume"]);
    assert!(code == Some(0) && out.contains("answers go on"), "{out}{error}");
    coordinator.wait_for_line(&["site answered", site]);
}

#[test]
fn an_approval_while_answers_are_paused_says_that_the_study_waits_for_resume() {
    let lab = lab();
    let node = lab.node(ASKING, &[]);
    node.wait_for_line(&["the snapshot is in use"]);
    let study = signed(&lab);
    let id = study.id().to_string();
    assert_pending(&waits(&lab, &study));
    said(&lab, &["pause"]);
    let approved = said(&lab, &["studies", "approve", &id]);
    for wanted in ["approved, until", "all answers are paused since", "is answered after `bocage node resume`"] {
        assert!(approved.contains(wanted), "{wanted} is not in\n{approved}");
    }
    said(&lab, &["resume"]);
    assert!(!said(&lab, &["studies", "show", &id]).contains("paused"));
    assert!(released(&lab, &study));
}

#[test]
fn a_changed_node_toml_makes_an_approved_study_wait_again() {
    let lab = lab();
    let node = lab.node(ASKING, &[]);
    node.wait_for_line(&["the snapshot is in use"]);
    let study = signed(&lab);
    let id = study.id().to_string();
    assert_pending(&waits(&lab, &study));
    said(&lab, &["studies", "approve", &id]);
    node.kill();
    lab.edit_node(ASKING, "threshold = 11", "threshold = 12");
    let _again = lab.node(ASKING, &[]);
    assert_pending(&waits(&lab, &study));
    let listed = said(&lab, &["studies", "list"]);
    assert!(listed.contains("the policy has been changed since"), "{listed}");
    said(&lab, &["studies", "approve", &id]);
    assert!(released(&lab, &study));
}

#[test]
fn polls_leave_one_record_and_an_approval_of_another_study_changes_nothing() {
    let lab = lab();
    let node = lab.node(ASKING, &[]);
    node.wait_for_line(&["the snapshot is in use"]);
    let (one, two) = (signed(&lab), signed(&lab));
    for _ in 0..100 * bocage_tests::scale() {
        assert_pending(&waits(&lab, &one));
    }
    assert_eq!((records(&lab, "pending"), records(&lab, "request")), (1, 0));
    assert_pending(&waits(&lab, &two));
    said(&lab, &["studies", "approve", &two.id().to_string()]);
    assert_pending(&waits(&lab, &one));
    assert!(released(&lab, &two));
}

#[test]
fn without_a_running_node_the_desk_can_be_read_and_nothing_can_be_said() {
    let lab = lab();
    let node = lab.node(ASKING, &[]);
    node.wait_for_line(&["the snapshot is in use"]);
    let study = signed(&lab);
    assert_pending(&waits(&lab, &study));
    node.kill();
    // The kernel ends its children a moment later.
    while std::os::unix::net::UnixStream::connect(lab.custodian_socket(ASKING)).is_ok() {
        std::thread::yield_now();
    }
    let id = study.id().to_string();
    assert!(said(&lab, &["studies", "list"]).contains("pending"));
    assert!(said(&lab, &["studies", "show", &id]).contains("Reads "));
    for args in [&["studies", "approve", &id][..], &["pause"], &["resume"]] {
        let (code, _, error) = lab.at_node(ASKING, args);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(error.contains("the node does not run") && error.contains("hint:"), "{error}");
    }
}

#[test]
fn the_sites_command_is_run_once_for_each_study_that_waits_and_reads_neither_data_nor_ledger_nor_keys() {
    let lab = lab();
    let told = lab.path("told");
    // Above what is kept from the command nothing can be made.
    std::fs::write(&told, "").expect("a file");
    let site = lab.site(ASKING);
    let secrets = ["release.key", "state/ledger.sqlite", "data/heart.csv", "tls/key.pem"];
    let secrets = secrets.map(|name| site.join(name).display().to_string()).join(" ");
    let script = format!(
        "echo \\\"$BOCAGE_SITE $BOCAGE_STUDY $BOCAGE_TITLE\\\" >> {told}; for file in {secrets}; do if head -c 1 $file > /dev/null; then echo read $file >> {told}; fi; done; head -c 1 {} > /dev/null && echo ran >> {told}",
        site.join("node.toml").display(),
        told = told.display(),
    );
    let command = format!("[steward]\nnotify_command = [\"/bin/sh\", \"-c\", \"{script}\"]\n[policy]");
    lab.edit_node(ASKING, "[policy]", &command);
    let node = lab.node(ASKING, &[]);
    node.wait_for_line(&["the snapshot is in use"]);
    let study = signed(&lab);
    for _ in 0..3 {
        assert_eq!(waits(&lab, &study).code, ErrorCode::ApprovalPending);
    }
    node.wait_for_line(&["the steward was told"]);
    let told = std::fs::read_to_string(told).expect("what was told");
    assert_eq!(told, format!("{ASKING} {} Desk\nran\n", study.id()));
}

#[test]
fn a_group_of_stewards_is_found_in_the_sandbox_and_the_ledger_names_who_approved() {
    let group = std::process::Command::new("id").arg("-gn").output().expect("id").stdout;
    let group = String::from_utf8(group).expect("a name").trim().to_owned();
    let number = std::process::Command::new("id").arg("-g").output().expect("id").stdout;
    let number = String::from_utf8(number).expect("a number").trim().to_owned();
    for spelt in [format!("\"{group}\""), number] {
        let lab = lab();
        lab.edit_node(ASKING, "[policy]", &format!("[steward]\ngroup = {spelt}\n[policy]"));
        let node = lab.node(ASKING, &[]);
        node.wait_for_line(&["the snapshot is in use"]);
        let study = signed(&lab);
        assert_pending(&waits(&lab, &study));
        let id = study.id().to_string();
        said(&lab, &["studies", "approve", &id]);
        let user = std::process::Command::new("id").arg("-un").output().expect("id").stdout;
        let user = String::from_utf8(user).expect("a name");
        let shown = said(&lab, &["studies", "show", &id]);
        assert!(shown.contains(&format!("approved by {} (user ", user.trim())), "{shown}");
    }
}
