//! How many studies of one researcher are open at a time.

use bocage_protocol::limits;
use bocage_protocol::trust::{SignedStudy, Study};

use super::lab;
use crate::bench::{RESEARCHER, SITES, STUDY, key, study};

fn numbered(n: usize) -> SignedStudy {
    let study = Study { nonce: format!("{n:032x}"), ..study(STUDY, &SITES, 1) };
    SignedStudy::sign(&study, &key(RESEARCHER)).unwrap()
}

#[tokio::test]
async fn a_researcher_has_a_tenth_of_the_open_studies_and_room_again_when_one_is_cancelled() {
    let (_dir, lab) = lab().await;
    let first = numbered(0);
    for n in 0..limits::OPEN_STUDIES_OF_ONE {
        assert_eq!(lab.submit(&numbered(n)).await.0, 201);
    }
    let (code, problem) = lab.submit(&numbered(limits::OPEN_STUDIES_OF_ONE)).await;
    assert_eq!((code, problem["code"].as_str()), (503, Some("busy")), "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("that you signed") && problem["hint"].is_string(),
        "{problem}"
    );
    assert_eq!(lab.submit(&first).await.0, 200, "what is open already may be sent again");
    lab.post(&format!("/v1/studies/{}/cancel", first.id()), vec![]).await;
    assert_eq!(lab.submit(&numbered(limits::OPEN_STUDIES_OF_ONE)).await.0, 201);
    lab.stop().await;
}
