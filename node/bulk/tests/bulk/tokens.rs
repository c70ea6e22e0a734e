//! SMART backend services, and that the token goes to nobody else.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;

use crate::hospital::{Hospital, Seen, file, status};
use crate::site::{START, Site};

fn key() -> String {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem()
}

fn form(seen: &Seen) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://form/?{}", seen.body)).unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_registered_client_gets_a_token_for_an_assertion_of_its_key() {
    for pem in [key(), include_str!("rsa-for-tests.pem").to_owned()] {
        let hospital = Hospital::with_tokens(|_, _| None);
        let mut site = Site::registered(&hospital, &pem);
        site.server.types = vec!["Patient".parse().unwrap(), "Device".parse().unwrap()];
        site.export().await.unwrap();
        site.is_whole();
        assert_eq!(hospital.times("POST /token"), 1, "one token serves until it ends");
        let asked = hospital.seen().into_iter().find(|seen| seen.is("POST /token")).unwrap();
        let form = form(&asked);
        assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
        assert_eq!(
            (form["grant_type"].as_str(), form["scope"].as_str()),
            ("client_credentials", "system/Patient.rs system/Device.rs")
        );
        let parts: Vec<&str> = form["client_assertion"].split('.').collect();
        let claims: Value = serde_json::from_slice(&BASE64.decode(parts[1]).unwrap()).unwrap();
        assert_eq!((&claims["iss"], &claims["sub"]), (&Value::from("bocage"), &Value::from("bocage")));
        assert_eq!(claims["aud"], format!("{}/token", hospital.address));
        assert_eq!(claims["exp"], START.0 / 1000 + 240, "five minutes are the most");
        assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
    }
}

#[tokio::test]
async fn a_token_is_renewed_shortly_before_its_end_and_where_the_server_forgot_it() {
    let hospital = Hospital::with_tokens(|seen, _| (seen.is("GET /files/1") && seen.before == 0).then(|| status(401)));
    let site = Site::registered(&hospital, &key());
    site.watched(&mut |event| {
        // It lives for 300 s: 271 s later it is about to end.
        if matches!(event, bocage_bulk::Event::Ready { .. }) {
            site.timer.jump(271);
        }
    })
    .await
    .unwrap();
    site.is_whole();
    let of_files: Vec<_> = hospital
        .seen()
        .into_iter()
        .filter(|seen| seen.is("GET /files"))
        .map(|seen| seen.header("authorization").to_owned())
        .collect();
    assert_eq!(of_files, ["Bearer token-2", "Bearer token-2", "Bearer token-3", "Bearer token-3"]);
    assert_eq!(hospital.times("GET /fhir/.well-known/smart-configuration"), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_by_its_code_and_no_more() {
    let denied = r#"{"error":"invalid_client","error_description":"token-of MUSTERMANN"}"#;
    let hospital = Hospital::with_tokens(move |seen, _| seen.is("POST /token").then(|| status(400).body(denied)));
    let error = Site::registered(&hospital, &key()).fails().await;
    assert!(
        error.contains(
            "the token server 127.0.0.1: no access token: invalid_client (status 400)\nhint: see that client_id"
        ),
        "{error}"
    );
    let odd = Hospital::with_tokens(|seen, _| {
        seen.is("POST /token").then(|| status(401).body(r#"{"error":"token-MUSTERMANN"}"#))
    });
    assert!(Site::registered(&odd, &key()).fails().await.contains("no access token: status 401\n"));
    let other = Hospital::with_tokens(|seen, _| {
        seen.is("POST /token").then(|| status(200).body(r#"{"access_token":"token-1","token_type":"mac"}"#))
    });
    assert!(Site::registered(&other, &key()).fails().await.contains("holds no bearer token"));
}

#[tokio::test]
async fn a_server_that_accepts_no_token_or_wants_one_from_nobody_is_named() {
    let hospital = Hospital::with_tokens(|seen, _| seen.is("GET /fhir/$export").then(|| status(401)));
    let error = Site::registered(&hospital, &key()).fails().await;
    assert!(error.contains("/fhir: the server does not accept a fresh access token (status 401)"), "{error}");
    assert_eq!(hospital.times("POST /token"), 2);
    let error = Site::new(&Hospital::with_tokens(|_, _| None)).fails().await;
    assert!(
        error.contains("does not accept a request without a token (status 401)\nhint: set client_id and key_file"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_without_smart_configuration_is_named() {
    for (reply, why) in [
        (status(404), "/fhir/.well-known/smart-configuration: status 404"),
        (status(200).body("{}"), "does not say where tokens are"),
        (
            status(200).body(r#"{"token_endpoint":"http://token.example.org/"}"#),
            "token_endpoint is not an https:// address",
        ),
    ] {
        let hospital = Hospital::with_tokens(move |seen, _| seen.is("GET /fhir/.well-known").then(|| reply.clone()));
        let error = Site::registered(&hospital, &key()).fails().await;
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn files_on_another_server_are_fetched_without_the_token_or_not_at_all() {
    let store = Hospital::with(|seen, _| seen.is("GET /files").then(|| status(200).body(file(2))));
    for needs_token in [false, true] {
        let there = store.address.clone();
        let hospital = Hospital::with_tokens(move |seen, hospital| {
            let manifest =
                hospital.manifest().replace(&format!("{}/files/2", hospital.address), &format!("{there}/files/2"));
            let manifest =
                manifest.replace("\"requiresAccessToken\":true", &format!("\"requiresAccessToken\":{needs_token}"));
            if seen.is("GET /files") && !needs_token {
                return Some(status(200).body(file(seen.path[7..8].parse().unwrap())));
            }
            (seen.is("GET /jobs") && !seen.header("authorization").is_empty()).then(|| status(200).body(manifest))
        });
        let mut site = Site::registered(&hospital, &key());
        site.server.base = bocage_bulk::Base::parse(&format!("{}/fhir", hospital.address), true).unwrap();
        if needs_token {
            let error = site.fails().await;
            assert!(
                error.contains("Device.00001: its link leads to another server and needs the access token"),
                "{error}"
            );
        } else {
            site.export().await.unwrap();
            site.is_whole();
        }
    }
    assert_eq!(store.seen().len(), 1);
    assert_eq!(store.seen()[0].header("authorization"), "");
}
