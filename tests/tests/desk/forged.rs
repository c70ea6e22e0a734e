//! An approval that nobody gave.

use rusqlite::Connection;

use super::{ASKING, assert_pending, lab, released, said, signed, waits};

#[test]
fn an_approval_that_was_written_into_the_ledgers_file_does_not_count_and_is_found() {
    let lab = lab();
    let node = lab.node(ASKING, &[]);
    node.wait_for_line(&["the snapshot is in use"]);
    let (real, forged) = (signed(&lab), signed(&lab));
    assert_pending(&waits(&lab, &real));
    assert_pending(&waits(&lab, &forged));
    said(&lab, &["studies", "approve", &real.id().to_string()]);
    node.kill();
    // The real approval's own bytes, in the other study's name, at the end of the file.
    let sql = Connection::open(lab.site(ASKING).join("state/ledger.sqlite")).expect("the ledger");
    let copy =
        "insert into record select (select max(seq) from record) + 1, at_ms, kind, ?, round, body, payload, hash, hash
                from record where kind = 'approval'";
    assert_eq!(sql.execute(copy, [forged.id().to_string()]).expect("written"), 1);
    drop(sql);
    let again = lab.node(ASKING, &[]);
    again.wait_for_line(&["the ledger's chain is broken"]);
    assert_pending(&waits(&lab, &forged));
    let shown = said(&lab, &["studies", "show", &forged.id().to_string()]);
    assert!(shown.contains("state      pending") && !shown.contains("what was said"), "{shown}");
    assert!(released(&lab, &real));
    let (code, said) = lab.verify_ledger(ASKING);
    assert_eq!(code, Some(1), "{said}");
}
