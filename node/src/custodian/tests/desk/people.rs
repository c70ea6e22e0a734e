//! How many studies of one researcher wait, and how many people stand behind so many users.

use super::*;

/// What the ledger says of the study that was told last to wait.
fn last_pending(custodian: &Custodian) -> Pending {
    let mut body = None;
    custodian.ledger.at_the_desk(None, |record| body = record.body::<Pending>()).unwrap();
    body.unwrap()
}

#[test]
fn a_site_lets_so_many_studies_wait_and_no_more() {
    let site = asking();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    let mut body = last_pending(&custodian);
    body.study.key = SecretKey::generate(&mut bocage_net::env::SystemEntropy).public();
    let waiting = |n: usize| Entry::of_study(Kind::Pending, Digest::of("study", &[&n.to_be_bytes()]), &body);
    let entries: Vec<Entry> = (1..limits::PENDING_STUDIES).map(waiting).collect();
    custodian.ledger.append(NOW, &entries).unwrap();
    let next = site.request(&other(&site, 'a'));
    assert_eq!(waits(&custodian.round(&next)).code, ErrorCode::PolicyLater);
    deny(&custodian, &request, "to make room");
    assert_eq!(waits(&custodian.round(&next)).code, ErrorCode::ApprovalPending);
}

#[test]
fn a_researcher_lets_a_tenth_of_them_wait_and_others_find_room() {
    let site = asking();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    waits(&custodian.round(&request));
    let mut body = last_pending(&custodian);
    let entry =
        |n: usize, body: &Pending| Entry::of_study(Kind::Pending, Digest::of("study", &[&n.to_be_bytes()]), body);
    let mine: Vec<Entry> = (2..limits::PENDING_STUDIES_OF_ONE).map(|n| entry(n, &body)).collect();
    custodian.ledger.append(NOW, &mine).unwrap();
    body.study.key = SecretKey::generate(&mut bocage_net::env::SystemEntropy).public();
    let others: Vec<Entry> = (500..500 + limits::PENDING_STUDIES_OF_ONE).map(|n| entry(n, &body)).collect();
    custodian.ledger.append(NOW, &others).unwrap();
    let (last, next) = (site.request(&other(&site, 'a')), site.request(&other(&site, 'b')));
    assert_eq!(waits(&custodian.round(&last)).code, ErrorCode::ApprovalPending, "the others take none of this share");
    let full = waits(&custodian.round(&next));
    assert_eq!(full.code, ErrorCode::PolicyLater);
    assert!(full.message.contains("that you signed") && full.hint.is_some(), "{full}");
    deny(&custodian, &request, "to make room");
    assert_eq!(waits(&custodian.round(&next)).code, ErrorCode::ApprovalPending);
}

#[test]
fn root_and_the_nodes_own_user_are_one_person_and_a_steward_beside_them_is_another() {
    let own = rustix::process::geteuid().as_raw();
    for pair in [[0, own], [own, 0]] {
        let site = Site::new();
        site.edit_config("[policy]", "[policy]\ndecide = \"ask\"\ntwo_persons = true");
        let custodian = ready(&site);
        let request = site.request(&site.study());
        waits(&custodian.round(&request));
        approve(&custodian, &request, pair[0]);
        assert!(failed(approve(&custodian, &request, pair[1])).contains("another person"));
        waits(&custodian.round(&request));
        // Nor if both words stand in the ledger.
        let mut word = None;
        custodian.ledger.at_the_desk(None, |record| word = record.body::<Approval>().or(word.take())).unwrap();
        let unsealed = Approval { by: Person { uid: pair[1], user: String::new() }, ..word.unwrap() };
        let seal = custodian.desk().secret.seal(&request.study.id(), &unsealed);
        let both = Approval { seal, ..unsealed };
        custodian.ledger.append(NOW, &[Entry::of_study(Kind::Approval, request.study.id(), &both)]).unwrap();
        waits(&custodian.round(&request));
        approve(&custodian, &request, own + 1);
        assert!(released(&custodian.round(&request)));
    }
}
