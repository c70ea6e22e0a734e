//! What the interface says when all is well and when it is not.

use bocage_protocol::trust::{Entry, SignedPublication, SignedStudy, Sites};
use serde_json::json;

use crate::api::types::{DatasetList, NetworkInfo, SiteList, StudyList};
use crate::bench::{CONTRACT, Lab, Manner, RESEARCHER, SITES, STUDY, TOKEN, TestClock, key, signed, study};
use crate::publisher::Publisher;

mod audit;
mod credentials;
mod described;
mod permits;
mod roles;

async fn lab() -> (tempfile::TempDir, Lab) {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(dir.path(), TestClock::new()).await;
    (dir, lab)
}

#[tokio::test]
async fn without_the_token_nothing_answers_but_the_refusal() {
    let (_dir, lab) = lab().await;
    for token in [None, Some(""), Some("0123456789abcdef0123456789abcdeF"), Some("Bearer")] {
        for path in ["/v1/network", "/v1/nowhere", "/"] {
            let (status, kind, text) = lab.request("GET", path, token, vec![]).await;
            assert_eq!((status, kind.as_str()), (401, "application/problem+json"));
            assert!(text.contains(r#""code":"unauthorised""#), "{text}");
        }
    }
    lab.stop().await;
}

#[tokio::test]
async fn every_error_is_a_problem_with_a_code() {
    let (_dir, lab) = lab().await;
    let unknown = format!("/v1/studies/{}", signed(1).id());
    let cases = [
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("DELETE", "/v1/studies", 405, "not_found"),
        ("GET", "/v1/studies/xyz", 400, "malformed"),
        ("GET", unknown.as_str(), 404, "not_found"),
        ("GET", "/v1/contracts/heart@2", 404, "not_found"),
        ("POST", "/v1/studies", 400, "malformed"),
    ];
    for (method, path, expected, code) in cases {
        let (status, kind, text) = lab.request(method, path, Some(TOKEN), b"{}".to_vec()).await;
        assert_eq!((status, kind.as_str()), (expected, "application/problem+json"), "{path}");
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["code"], code, "{path}");
        assert_eq!(problem["type"], format!("urn:bocage:problem:{code}"));
    }
    let (status, problem) = lab.get(&format!("{unknown}?seen=x")).await;
    assert_eq!((status, &problem["code"]), (400, &json!("malformed")));
    let (status, problem) = lab.post("/v1/studies", vec![b' '; bocage_protocol::limits::HTTP_BODY_BYTES + 1]).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    lab.stop().await;
}

#[tokio::test]
async fn a_study_that_no_site_would_run_is_refused_at_the_door() {
    let (_dir, lab) = lab().await;
    let sign = |study: &bocage_protocol::trust::Study| SignedStudy::sign(study, &key(RESEARCHER)).unwrap();
    let good = study(STUDY, &SITES, 1);
    let mut altered = sign(&good);
    altered.study = altered.study.replace("Heart disease", "Heart diseasf");
    let mut stranger = good.clone();
    stranger.researcher = key(55).public();
    let mut elsewhere = good.clone();
    elsewhere.network = "other".parse().unwrap();
    let mut site = good.clone();
    site.sites = Sites::of(vec!["atlantis".parse().unwrap()]);
    let mut contract = good.clone();
    contract.contract = bocage_protocol::ids::Digest::of("x", &[]);
    let bands = (150..160).map(|edge| edge.to_string()).collect::<Vec<_>>().join(", ");
    let analysis = |i: u32| {
        format!(
            "[[analysis]]\nname = \"a{i}\"\ntable = {{ by = [\"sex\", \"age\", \"cut(chol, {bands})\"], show = [\"count\", \"mean(chol)\"] }}\n"
        )
    };
    let head = "title = \"Large\"\npurpose = \"statistics\"\ndataset = \"heart@1\"\n";
    let large = study(&(head.to_owned() + &(0..100).map(analysis).collect::<String>()), &SITES, 1);
    let mut late = good.clone();
    late.issued_at = bocage_protocol::env::Timestamp(1);
    late.expires_at = bocage_protocol::env::Timestamp(2);
    let cases = [
        (altered, 403, "signature_invalid"),
        (SignedStudy::sign(&stranger, &key(55)).unwrap(), 403, "signer_unknown"),
        (sign(&elsewhere), 422, "network_mismatch"),
        (sign(&site), 422, "site_unknown"),
        (sign(&contract), 422, "contract_mismatch"),
        (sign(&late), 422, "study_expired"),
        (sign(&large), 413, "too_large"),
    ];
    for (study, status, code) in cases {
        let (got, problem) = lab.submit(&study).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
    let (_, list) = lab.get("/v1/studies").await;
    assert!(serde_json::from_value::<StudyList>(list).unwrap().studies.is_empty());
    lab.stop().await;
}

#[tokio::test]
async fn the_network_its_sites_and_datasets_are_shown() {
    let (_dir, mut lab) = lab().await;
    let info: NetworkInfo = serde_json::from_value(lab.get("/v1/network").await.1).unwrap();
    assert_eq!((info.network.as_str(), info.min_sites), ("heart-demo", 3));
    let keys: Vec<_> = lab.context.researchers.all().iter().map(|researcher| researcher.key).collect();
    assert_eq!((info.researchers, info.access_bodies), (Some(keys), Some(lab.context.access_bodies.keys())));
    assert_eq!(info.publisher, Some(lab.context.publisher.key()));
    lab.node("hungary", Manner::Honest);
    lab.context.members.session(&"hungary".parse().unwrap()).await.unwrap();
    let list: SiteList = serde_json::from_value(lab.get("/v1/sites").await.1).unwrap();
    let online: Vec<_> = list.sites.iter().filter(|s| s.online).map(|s| s.id.as_str()).collect();
    assert_eq!((list.sites.len(), online), (4, vec!["hungary"]));
    assert_eq!(list.sites[1].software.as_deref(), Some("test 1"));
    let datasets: DatasetList = serde_json::from_value(lab.get("/v1/datasets").await.1).unwrap();
    assert_eq!(datasets.datasets[0].sites, ["hungary".parse().unwrap()]);
    let (status, kind, text) = lab.request("GET", "/v1/contracts/heart@1", Some(TOKEN), vec![]).await;
    assert_eq!((status, kind.as_str(), text.as_str()), (200, "text/plain; charset=utf-8", CONTRACT));
    lab.stop().await;
}

#[tokio::test]
async fn the_list_shows_the_latest_study_first_and_a_result_that_is_not_there_says_so() {
    let (_dir, lab) = lab().await;
    let (one, two) = (signed(1), signed(2));
    lab.submit(&one).await;
    lab.submit(&two).await;
    let (_, list) = lab.get("/v1/studies").await;
    let list: StudyList = serde_json::from_value(list).unwrap();
    assert_eq!(list.studies.iter().map(|s| s.id).collect::<Vec<_>>(), [two.id(), one.id()]);
    for what in ["result", "publication"] {
        let (status, problem) = lab.get(&format!("/v1/studies/{}/{what}", one.id())).await;
        assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
        assert!(problem["hint"].as_str().unwrap().contains("deadline"));
    }
    lab.stop().await;
}

#[tokio::test]
async fn what_is_published_is_signed_byte_for_byte_by_the_same_key_before_and_after_a_restart() {
    let (dir, mut lab) = lab().await;
    lab.all_honest();
    let (study, publisher) = (signed(1), lab.context.publisher.key());
    lab.submit(&study).await;
    lab.until_published(study.id()).await;
    let asked = async |lab: &Lab| {
        let path = |what: &str| format!("/v1/studies/{}/{what}", study.id());
        let result = lab.request("GET", &path("result"), Some(TOKEN), vec![]).await.2;
        let publication: SignedPublication = serde_json::from_value(lab.get(&path("publication")).await.1).unwrap();
        (result, publication)
    };
    let (result, publication) = asked(&lab).await;
    let said = publication.verify().unwrap();
    assert_eq!((said.study, said.publisher), (study.id(), publisher));
    assert_eq!(said.result, Entry::of(result.as_bytes()));
    lab.stop().await;
    let lab = Lab::start(dir.path(), TestClock::new()).await;
    assert!(asked(&lab).await == (result.clone(), publication.clone()));
    lab.stop().await;
    // What is signed with a lost key is signed anew: nothing of it is kept beside the result.
    std::fs::remove_file(Publisher::file(&dir.path().join("state"))).unwrap();
    let lab = Lab::start(dir.path(), TestClock::new()).await;
    let (same, anew) = asked(&lab).await;
    let said = anew.verify().unwrap();
    assert!(same == result && said.publisher == lab.context.publisher.key() && said.publisher != publisher);
    lab.stop().await;
}
