//! No change without its entry: whatever the coordinator's end cuts short is in the audit after it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::bench::{Lab, TestClock};
use crate::server::Moment;

const REVOKE: &str = "/v1/sites/cleveland/revocation";

async fn entries(lab: &Lab) -> Vec<Value> {
    lab.get("/v1/audit").await.1["entries"].as_array().unwrap().clone()
}

async fn revoked(lab: &Lab) -> usize {
    lab.get("/v1/revoked").await.1["revoked"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_change_that_the_coordinators_end_cuts_short_is_in_the_audit_whether_it_was_made_or_not() {
    for dies_at in Moment::OF_A_CHANGE {
        let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
        // The task of the change ends here, as by the end of the process: nothing behind this moment happens.
        let at = Arc::new(move |moment| assert_ne!(moment, dies_at, "the coordinator dies here"));
        let lab = Lab::start_at(dir.path(), clock.clone(), at).await;
        assert_eq!(lab.post(REVOKE, b"{}".to_vec()).await.0, 500);
        let made = usize::from(dies_at == Moment::Changed);
        assert_eq!((revoked(&lab).await, entries(&lab).await), (made, vec![]), "{dies_at:?}");
        lab.stop().await;

        let lab = Lab::start(dir.path(), clock).await;
        let all = entries(&lab).await;
        assert_eq!((revoked(&lab).await, all.len()), (made, 1), "{dies_at:?}");
        assert_eq!(all[0]["action"], "POST /v1/sites/{site}/revocation");
        assert_eq!(
            (&all[0]["who"], &all[0]["subject"], &all[0]["status"]),
            (&json!("ada"), &json!("cleveland"), &Value::Null)
        );
        // A change that comes to its end has a status, and a start that follows adds nothing.
        assert_eq!(lab.post(REVOKE, b"{}".to_vec()).await.0, 200);
        assert_eq!(entries(&lab).await[1]["status"], 200);
        lab.stop().await;
    }
}

#[tokio::test]
async fn what_is_refused_leaves_no_entry_and_nothing_under_way() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let lab = Lab::start(dir.path(), clock.clone()).await;
    assert_eq!(lab.post("/v1/sites/nowhere/revocation", b"{}".to_vec()).await.0, 422);
    assert_eq!(lab.post(REVOKE, b"nothing".to_vec()).await.0, 400);
    lab.stop().await;
    let lab = Lab::start(dir.path(), clock).await;
    assert_eq!(entries(&lab).await, Vec::<Value>::new());
    lab.stop().await;
}
