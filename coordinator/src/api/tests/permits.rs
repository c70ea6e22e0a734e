//! Permits at the door, and lists of revoked ones.

use bocage_protocol::trust::{
    Permit, Purpose, Revocations, SecretKey, SignedPermit, SignedRevocations, SignedStudy, Study,
};
use serde_json::{Value, json};

use super::lab;
use crate::api::types::RevocationsList;
use crate::bench::{ACCESS_BODY, HOLDER, Lab, RESEARCHER, START, TOKEN, key, permit, signed, site, under};

/// What makes another permit of a good one.
type Change<'a> = &'a dyn Fn(&mut Permit);

fn list(number: u64, revoked: &[&SignedPermit]) -> SignedRevocations {
    let mut list = Revocations { number, ..Revocations::first(key(ACCESS_BODY).public(), START) };
    for signed in revoked {
        list = list.with(&signed.verify().unwrap(), signed.digest(), START);
    }
    SignedRevocations::sign(&list, &key(ACCESS_BODY)).unwrap()
}

async fn publish(lab: &Lab, list: &SignedRevocations) -> (u16, Value) {
    let (status, _, text) = lab.request("PUT", "/v1/revocations", Some(TOKEN), list.to_text().into_bytes()).await;
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn a_permits_holder_needs_no_entry_of_its_own_and_status_and_result_name_the_permit() {
    let (_dir, mut lab) = lab().await;
    lab.all_honest();
    let (study, _) = under(&permit(|_| ()), 1);
    let (status, body) = lab.submit(&study).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!((&body["researcher"], &body["permit"]["holder"]), (&json!("Grace"), &json!("Grace")));
    lab.until_published(study.id()).await;
    let (_, result) = lab.get(&format!("/v1/studies/{}/result", study.id())).await;
    let named = &result["study"]["permit"];
    assert_eq!((&named["id"], &named["access_body"]), (&json!("DK-2026/17"), &json!("Body")));
    let result = serde_json::from_value(result).unwrap();
    let text = crate::report::text(&result);
    assert!(text.contains("\npermit DK-2026/17 of Grace (University), issued by Body\n\n"), "{text}");
    lab.stop().await;
}

#[tokio::test]
async fn whatever_a_permit_does_not_cover_is_refused_at_the_door_by_its_code() {
    let (_dir, lab) = lab().await;
    let changes: [(Change<'_>, &str); 9] = [
        (&|p| p.network = "elsewhere".parse().unwrap(), "network_mismatch"),
        (&|p| p.holder.key = key(5).public(), "permit_holder"),
        (&|p| p.purposes = vec![Purpose::Statistics], "permit_purpose"),
        (&|p| p.datasets[0].dataset = "lung@1".parse().unwrap(), "permit_scope"),
        (&|p| p.datasets[0].columns = Some(vec!["age".parse().unwrap(), "sex".parse().unwrap()]), "permit_scope"),
        (&|p| p.sites = Some(vec![site("cleveland"), site("hungary"), site("long-beach")]), "permit_sites"),
        (&|p| p.min_sites = 4, "permit_sites"),
        (&|p| p.valid_from = START.plus_secs(3600), "permit_not_yet_valid"),
        (&|p| p.valid_to = START.plus_secs(-400), "permit_expired"),
    ];
    for (change, code) in changes {
        let (status, problem) = lab.submit(&under(&permit(change), 1).0).await;
        assert_eq!(problem["code"], code, "{problem}");
        assert!(status == 403 || code == "network_mismatch", "{problem}");
    }
    let (good, plain) = under(&permit(|_| ()), 2);
    let other = permit(|p| p.nonce = "ef".repeat(16));
    let (without, swapped) = (good.clone().with_permit(None), good.clone().with_permit(Some(other)));
    assert_eq!(lab.submit(&without).await.1["code"], "signer_unknown");
    assert_eq!(lab.submit(&swapped).await.1["code"], "permit_mismatch");
    let named = Study { researcher: key(RESEARCHER).public(), ..plain };
    let named = SignedStudy::sign(&named, &key(RESEARCHER)).unwrap();
    assert_eq!(lab.submit(&named).await.1["code"], "permit_mismatch", "known by name, but its permit is missing");
    assert_eq!(lab.submit(&signed(3).with_permit(good.permit.clone())).await.1["code"], "permit_mismatch");
    let mut altered = good.clone();
    altered.permit.as_mut().unwrap().document = good.permit.unwrap().document.replace("Grace", "Gracf");
    assert_eq!(lab.submit(&altered).await.1["code"], "permit_invalid");
    let stranger: SecretKey = key(55);
    let own = Permit { issuer: stranger.public(), ..permit(|_| ()).verify().unwrap() };
    let own = SignedPermit::sign(&own, &stranger).unwrap();
    assert_eq!(lab.submit(&under(&own, 4).0).await.1["code"], "permit_issuer_unknown");
    assert_ne!(HOLDER, RESEARCHER);
    lab.stop().await;
}

#[tokio::test]
async fn a_published_list_stops_a_permit_is_shown_and_goes_forward_only() {
    let (_dir, lab) = lab().await;
    let permit = permit(|_| ());
    assert_eq!(lab.get("/v1/revocations").await.1, json!({ "lists": [] }));
    let (status, info) = publish(&lab, &list(2, &[&permit])).await;
    assert_eq!((status, &info["access_body"], &info["revoked"]), (200, &json!("Body"), &json!(1)), "{info}");
    assert_eq!(lab.submit(&under(&permit, 1).0).await.1["code"], "permit_revoked");
    assert_eq!(publish(&lab, &list(2, &[&permit])).await.0, 200, "the same again is the same");
    for other in [list(1, &[]), list(2, &[])] {
        let (status, problem) = publish(&lab, &other).await;
        assert_eq!((status, &problem["code"]), (409, &json!("conflict")));
    }
    let shown: RevocationsList = serde_json::from_value(lab.get("/v1/revocations").await.1).unwrap();
    assert_eq!(shown.lists[0].list.verify().unwrap().number, 2);
    let (status, _, text) = lab.request("PUT", "/v1/revocations", Some(TOKEN), b"{}".to_vec()).await;
    assert!(status == 422 && text.contains("revocations_invalid"), "{text}");
    lab.stop().await;
}
