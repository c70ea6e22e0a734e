//! Credentials that are none: none is accepted, and each refusal says no more than it must.

use bocage_net::env::SystemEntropy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::lab;
use crate::bench::{Lab, START, TOKEN, TestClock, person};
use crate::people::{PeopleFile, Role, Token};

/// The status of the answer to a head as it is, or 0 where there is none.
async fn raw(lab: &Lab, path: &str, headers: &str) -> u16 {
    let mut stream = TcpStream::connect(lab.http()).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
}

#[tokio::test]
async fn a_credential_that_is_none_is_never_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let lab = Lab::start(dir.path(), clock.clone()).await;
    let path = "/v1/network";
    assert_eq!(raw(&lab, path, &format!("authorization: Bearer {TOKEN}\r\n")).await, 200, "a sound one is");
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = person(elsewhere.path(), "ada", &Role::ALL, "all");
    let disabled = person(dir.path(), "disabled", &Role::ALL, "all");
    let revoked = person(dir.path(), "revoked", &Role::ALL, "all");
    let mut people = PeopleFile::open(&dir.path().join("state")).unwrap();
    people.set_disabled(&"disabled".parse().unwrap(), true, START, None).unwrap();
    let id = Token::parse(&revoked).unwrap().hash().id();
    people.revoke_token(&id, START, None).unwrap();
    let expired = person(dir.path(), "expired", &Role::ALL, "all");
    let unknown = Token::generate(&mut SystemEntropy).reveal().to_owned();
    let (short, shouted) = (&TOKEN[..TOKEN.len() - 1], TOKEN.to_uppercase());
    let hash = Token::parse(TOKEN).unwrap().hash().to_string();
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    let cases = [
        ("none", path.to_owned(), String::new()),
        ("an empty one", path.to_owned(), bearer("")),
        ("of another network", path.to_owned(), bearer(&foreign)),
        ("of nobody", path.to_owned(), bearer(&unknown)),
        ("of a disabled user", path.to_owned(), bearer(&disabled)),
        ("a revoked one", path.to_owned(), bearer(&revoked)),
        ("a malformed one", path.to_owned(), bearer(short)),
        ("in capitals", path.to_owned(), bearer(&shouted)),
        ("what is kept of it", path.to_owned(), bearer(&hash)),
        ("its digits alone", path.to_owned(), bearer(&TOKEN[7..])),
        ("two in one", path.to_owned(), bearer(&format!("{TOKEN} {TOKEN}"))),
        ("an overlong one", path.to_owned(), bearer(&"a".repeat(8000))),
        ("a head beyond measure", path.to_owned(), bearer(&"a".repeat(40_000))),
        ("not text", path.to_owned(), bearer("\u{ff}\u{fe}")),
        ("two headers", path.to_owned(), bearer(TOKEN) + &bearer(TOKEN)),
        ("as Basic", path.to_owned(), format!("authorization: Basic {TOKEN}\r\n")),
        ("without a scheme", path.to_owned(), format!("authorization: {TOKEN}\r\n")),
        ("as a cookie", path.to_owned(), format!("cookie: token={TOKEN}\r\n")),
        ("in another header", path.to_owned(), format!("x-api-key: {TOKEN}\r\n")),
        ("in the URL", format!("{path}?token={TOKEN}&access_token={TOKEN}"), String::new()),
        ("as a user in the URL", format!("http://ada:{TOKEN}@x{path}"), String::new()),
    ];
    assert!(cases.len() >= 20);
    for (what, path, headers) in &cases {
        let status = raw(&lab, path, headers).await;
        assert!([0, 400, 401, 429, 431].contains(&status), "{what}: {status}");
    }
    assert_eq!(raw(&lab, path, &bearer(&expired)).await, 200, "not yet");
    clock.advance_secs(91 * 86_400);
    assert_eq!(raw(&lab, path, &bearer(&expired)).await, 401);
    assert_eq!(raw(&lab, path, &bearer(TOKEN)).await, 200, "and after all that the sound one still is");
    lab.stop().await;
}

#[tokio::test]
async fn whoever_fails_without_end_is_told_to_wait_and_others_of_the_same_address_are_not() {
    let (_dir, lab) = lab().await;
    let mut last = (0, String::new());
    for _ in 0..100 {
        let (status, _, text) = lab.request("GET", "/v1/network", Some("bocage_no"), vec![]).await;
        last = (status, text);
        if status == 429 {
            break;
        }
        assert_eq!(status, 401);
    }
    assert!(last.0 == 429 && last.1.contains("too_many_requests") && last.1.contains("wait "), "{last:?}");
    assert_eq!(lab.get("/v1/network").await.0, 200);
    lab.stop().await;
}

#[tokio::test]
async fn what_another_process_changes_holds_for_the_next_request() {
    let (dir, lab) = lab().await;
    let token = person(dir.path(), "eve", &[Role::Researcher], "all");
    assert_eq!(lab.request("GET", "/v1/network", Some(&token), vec![]).await.0, 200);
    let mut people = PeopleFile::open(&dir.path().join("state")).unwrap();
    people.set_disabled(&"eve".parse().unwrap(), true, START, None).unwrap();
    let (status, _, text) = lab.request("GET", "/v1/network", Some(&token), vec![]).await;
    assert!(status == 401 && text.contains("the token's user was disabled at 2026-"), "{text}");
    lab.stop().await;
}
