//! Who may do what: every role at every method of every path.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::lab;
use crate::api::routes;
use crate::bench::{Lab, Manner, TOKEN, person, signed};
use crate::people::Role;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

/// A path with something sound between its braces.
fn sample(path: &str) -> String {
    let id = match path.split('/').nth(2) {
        Some("contracts") => "heart@1".to_owned(),
        Some("checkpoints") => "cleveland".to_owned(),
        Some("users") => "nobody".to_owned(),
        Some("tokens") => "0123456789ab".to_owned(),
        _ => "ab".repeat(32),
    };
    match path.split_once('{') {
        Some((before, rest)) => format!("{before}{id}{}", rest.split_once('}').map_or("", |(_, after)| after)),
        None => path.to_owned(),
    }
}

async fn status(lab: &Lab, method: &'static str, path: &str, token: Option<&str>) -> u16 {
    lab.request(method, path, token, b"{}".to_vec()).await.0
}

#[tokio::test]
async fn no_route_answers_a_role_that_has_no_right_to_it() {
    let (dir, lab) = lab().await;
    let paths: BTreeSet<_> = routes().iter().map(|route| route.path).collect();
    for role in Role::ALL {
        let all = person(dir.path(), role.as_str(), &[role], "all");
        let read = person(dir.path(), &format!("{role}-reader"), &[role], "read");
        for path in &paths {
            for method in METHODS {
                let route = routes().into_iter().find(|route| route.path == *path && route.method.as_str() == method);
                let (got, of_reader) = (
                    status(&lab, method, &sample(path), Some(&all)).await,
                    status(&lab, method, &sample(path), Some(&read)).await,
                );
                let what = format!("{method} {path} as {role}: {got}, by a reader {of_reader}");
                match route {
                    None => assert_eq!((got, of_reader), (405, 405), "{what}"),
                    Some(route) if !role.rights().contains(&route.right) => {
                        assert_eq!((got, of_reader), (403, 403), "{what}")
                    }
                    Some(route) => {
                        assert!(![401, 403, 405, 500].contains(&got), "{what}");
                        assert_eq!(of_reader == 403, route.writes(), "{what}");
                    }
                }
            }
        }
    }
    lab.stop().await;
}

#[tokio::test]
async fn without_a_token_no_method_of_any_path_answers() {
    let (_dir, lab) = lab().await;
    let paths: BTreeSet<_> = routes().iter().map(|route| route.path).collect();
    for path in paths {
        for method in METHODS {
            let got = status(&lab, method, &sample(path), None).await;
            assert!([401, 429].contains(&got), "{method} {path}: {got}");
        }
    }
    lab.stop().await;
}

#[tokio::test]
async fn a_study_is_seen_by_whoever_handed_it_in_and_by_operators_alone() {
    let (dir, mut lab) = lab().await;
    lab.all_honest();
    let [one, two, operator] = [("one", Role::Researcher), ("two", Role::Researcher), ("op", Role::Operator)]
        .map(|(name, role)| person(dir.path(), name, &[role], "all"));
    let study = signed(1);
    let body = serde_json::to_vec(&study).unwrap();
    assert_eq!(lab.request("POST", "/v1/studies", Some(&one), body.clone()).await.0, 201);
    lab.until_published(study.id()).await;
    let path = |end: &str| format!("/v1/studies/{}{end}", study.id());
    for end in ["", "/result", "/publication", "/signed"] {
        for token in [&one, &operator] {
            assert_eq!(lab.request("GET", &path(end), Some(token), vec![]).await.0, 200, "{end}");
        }
        let (status, _, theirs) = lab.request("GET", &path(end), Some(&two), vec![]).await;
        let nowhere = format!("/v1/studies/{}{end}", signed(2).id());
        let (_, _, nobodys) = lab.request("GET", &nowhere, Some(&two), vec![]).await;
        assert_eq!((status, theirs), (404, nobodys), "that it is there at all is not said");
    }
    assert_eq!(lab.request("POST", &path("/cancel"), Some(&two), vec![]).await.0, 404);
    assert_eq!(lab.request("POST", &path("/cancel"), Some(&operator), vec![]).await.0, 403);
    let listed = async |token: &str| {
        let text = lab.request("GET", "/v1/studies", Some(token), vec![]).await.2;
        serde_json::from_str::<Value>(&text).unwrap()["studies"].as_array().unwrap().len()
    };
    assert_eq!((listed(&one).await, listed(&two).await, listed(&operator).await), (1, 0, 1));
    // Whoever has the signed text may hand it in too; its text with another signature is not enough.
    let other = bocage_protocol::trust::SignedStudy { signature: signed(2).signature, ..study.clone() };
    let forged = lab.request("POST", "/v1/studies", Some(&two), serde_json::to_vec(&other).unwrap()).await;
    assert_eq!((forged.0, listed(&two).await), (403, 0), "{}", forged.2);
    assert_eq!(lab.request("POST", "/v1/studies", Some(&two), body).await.0, 200);
    assert_eq!(listed(&two).await, 1);
    lab.stop().await;
}

#[tokio::test]
async fn operators_make_users_and_tokens_and_what_they_did_is_written_down() {
    let (_dir, mut lab) = lab().await;
    lab.node("cleveland", Manner::Honest);
    let (status, user) = lab.post("/v1/users", br#"{"name": "eve", "roles": ["researcher"]}"#.to_vec()).await;
    assert_eq!((status, &user["tokens"]), (201, &json!(0)), "{user}");
    let (status, made) = lab.post("/v1/tokens", br#"{"user": "eve", "days": 7, "scope": "look"}"#.to_vec()).await;
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(lab.request("GET", "/v1/network", Some(&token), vec![]).await.0, 200);
    assert_eq!(lab.request("GET", "/v1/studies", Some(&token), vec![]).await.0, 403, "its scope is to look");
    let (_, _, tokens) = lab.request("GET", "/v1/tokens", Some(TOKEN), vec![]).await;
    assert!(!tokens.contains(&token) && tokens.contains(made["id"].as_str().unwrap()));
    let id = made["id"].as_str().unwrap();
    assert_eq!(lab.request("DELETE", &format!("/v1/tokens/{id}"), Some(TOKEN), vec![]).await.0, 200);
    assert_eq!(lab.request("GET", "/v1/network", Some(&token), vec![]).await.0, 401);
    for (path, expected) in
        [("/v1/users/eve/disable", 200), ("/v1/users/eve/enable", 200), ("/v1/users/adam/disable", 404)]
    {
        assert_eq!(lab.post(path, vec![]).await.0, expected, "{path}");
    }
    assert_eq!(lab.post("/v1/users", br#"{"name": "eve", "roles": ["operator"]}"#.to_vec()).await.0, 409);
    let (_, audit) = lab.get("/v1/audit").await;
    let entries: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["action"].as_str().unwrap(), e["subject"].as_str().unwrap()))
        .collect();
    let made_it = format!("eve {id}");
    assert_eq!(
        entries,
        [
            ("POST /v1/users", "eve"),
            ("POST /v1/tokens", made_it.as_str()),
            ("DELETE /v1/tokens/{id}", id),
            ("POST /v1/users/{name}/disable", "eve"),
            ("POST /v1/users/{name}/enable", "eve"),
        ]
    );
    let first = &audit["entries"][0];
    assert_eq!((&first["who"], &first["status"], &first["address"]), (&json!("ada"), &json!(201), &json!("127.0.0.1")));
    let counts: Vec<_> = audit["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["reason"].as_str().unwrap(), r["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("failed", 2), ("forbidden", 1), ("revoked", 1)]);
    assert!(!audit.to_string().contains(&token));
    let (_, behind) = lab.get("/v1/audit?after=4").await;
    assert_eq!(behind["entries"].as_array().unwrap().len(), 1);
    lab.stop().await;
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_is_in_the_audit_all_the_same() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (dir, lab) = lab().await;
    // The change waits for this other writer, and the client does not wait for the change.
    let other = rusqlite::Connection::open(dir.path().join("state").join(crate::people::FILE)).unwrap();
    assert_eq!(lab.get("/v1/audit").await.1["entries"], json!([]));
    other.execute_batch("begin immediate").unwrap();
    let body = r#"{"name": "eve", "roles": ["researcher"]}"#;
    let head = format!(
        "POST /v1/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(lab.http()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // Said when the handler asks for the body.
    let mut said = [0; 25];
    stream.read_exact(&mut said).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 100"));
    stream.write_all(body.as_bytes()).await.unwrap();
    drop(stream);
    other.execute_batch("commit").unwrap();
    let entry = loop {
        let (_, audit) = lab.get("/v1/audit").await;
        match audit["entries"].get(0) {
            Some(entry) => break entry.clone(),
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!((&entry["action"], &entry["subject"]), (&json!("POST /v1/users"), &json!("eve")));
    lab.stop().await;
}
