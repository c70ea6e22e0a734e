//! A steward's word, which no key of the network can speak: whoever holds the coordinator's and the authority's makes no approval.

use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::quic::QuicLink;
use bocage_node::custodian::desk::wire::{Command, Order};
use bocage_protocol::env::Clock as _;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::trust::{SecretKey, SignedStudy};
use bocage_protocol::wire::message::Reply;
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::peer::{ask, ask_bytes};

use super::EXE;
use super::permits::{captured, changed, list, released, under, with_list, with_the_authoritys_key};

const FIRST: &str = HOSPITALS[0];

/// What the first hospital says to a study, with a fresh list of permits taken back.
async fn said(lab: &Lab, link: &QuicLink, study: SignedStudy) -> Option<ErrorCode> {
    let fresh = list(lab, 2, SystemClock.now(), &[]);
    match ask(link, &with_list(study, Some(fresh))).await {
        Reply::Released(_) => None,
        Reply::Pending(error) | Reply::Refused(error) => Some(error.code),
        Reply::Catalogue(_) | Reply::Particulars(_) | Reply::Witnessed => panic!("a catalogue"),
    }
}

/// A steward's yes, as the command beside the node sends it.
fn yes(study: &SignedStudy, token: &str) -> Vec<u8> {
    let command = Command::Approve { study: study.id().to_string(), until: None, note: None };
    serde_json::to_vec(&Order { token: token.to_owned(), command }).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinators_and_the_authoritys_keys_forge_no_approval() {
    let lab = Lab::under_permits(EXE);
    lab.edit_node(FIRST, "[policy]", "[policy]\ndecide = \"ask\"");
    with_the_authoritys_key(&lab);
    let (_node, link, _kept) = captured(&lab).await;
    let (permit, researcher) = (lab.permit(), lab.researcher());
    let (approved, other) = (under(&lab, &permit, &researcher), under(&lab, &permit, &researcher));
    for study in [&approved, &other] {
        assert_eq!(said(&lab, &link, study.clone()).await, Some(ErrorCode::ApprovalPending));
    }

    // Even with the token, which the agent cannot read: the word comes in by the wrong door.
    let token = std::fs::read_to_string(lab.site(FIRST).join("state/run/admin.token")).expect("the token");
    for token in ["", &token] {
        let reply = ask_bytes(&link, &yes(&other, token)).await;
        assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
        assert_eq!(said(&lab, &link, other.clone()).await, Some(ErrorCode::ApprovalPending));
    }

    let (code, _, told) = lab.at_node(FIRST, &["studies", "approve", &approved.id().to_string()]);
    assert_eq!(code, Some(0), "{told}");
    let mut wider = approved.clone();
    wider.study = wider.study.replace("\"int\":30", "\"int\":29");
    assert_eq!(said(&lab, &link, wider).await, Some(ErrorCode::SignatureInvalid), "another question by its approval");
    let attacker = SecretKey::generate(&mut SystemEntropy);
    let theirs = under(&lab, &permit, &attacker);
    assert_eq!(said(&lab, &link, theirs).await, Some(ErrorCode::PermitHolder), "another's study by its approval");
    let swapped = changed(&lab, &lab.access_body(), |p| p.nonce = "56".repeat(16));
    let swapped = approved.clone().with_permit(Some(swapped));
    assert_eq!(said(&lab, &link, swapped).await, Some(ErrorCode::PermitMismatch), "another permit by its approval");
    assert_eq!(said(&lab, &link, other).await, Some(ErrorCode::ApprovalPending), "another study by its approval");
    assert_eq!(released(&lab), 0, "nothing left");
    assert_eq!(said(&lab, &link, approved).await, None, "what the steward approved is answered");
    assert_eq!(released(&lab), 1);
}
