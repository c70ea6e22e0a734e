//! What a site released is in its ledger, is served from there again, and cannot be altered unseen.

use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::message::Reply;
use bocage_tests::lab::{HOSPITALS, Lab};

use super::{EXE, everyone, request, study};

fn verify(lab: &Lab) -> (Option<i32>, String) {
    let config = lab.site(HOSPITALS[0]).join("node.toml");
    let output = lab.run(&["node", "ledger", "verify", "--config", config.to_str().expect("UTF-8")]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_repeat_is_served_byte_for_byte_also_after_a_restart_and_one_changed_byte_is_found() {
    let lab = Lab::new(EXE);
    let (_coordinator, mut nodes) = everyone(&lab);
    let signed = SignedStudy::sign(&lab.bound_study(&study("5m")), &lab.researcher()).expect("a signature");
    let request = request(signed);
    let Reply::Released(first) = lab.ask_custodian(HOSPITALS[0], &request) else { panic!("no release") };
    nodes.remove(0).kill();
    let node = lab.node(HOSPITALS[0], &[]);
    node.wait_for_line(&["session ready"]);
    let Reply::Released(again) = lab.ask_custodian(HOSPITALS[0], &request) else { panic!("no release") };
    assert_eq!(first, again);
    assert_eq!(verify(&lab).0, Some(0), "{}", verify(&lab).1);
    node.kill();
    let ledger = lab.site(HOSPITALS[0]).join("state/ledger.sqlite");
    let sql = rusqlite::Connection::open(&ledger).expect("the ledger");
    let triggers: Vec<String> = sql
        .prepare("select name from sqlite_master where type = 'trigger'")
        .and_then(|mut q| q.query_map([], |row| row.get(0))?.collect())
        .expect("triggers");
    for trigger in triggers {
        sql.execute(&format!("drop trigger \"{trigger}\""), []).expect("dropped");
    }
    let changed = sql.execute("update record set at_ms = at_ms + 1 where seq = 2", []).expect("altered");
    assert_eq!(changed, 1);
    drop(sql);
    let (code, said) = verify(&lab);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains('2'), "{said}");
}
