//! Servers that make us wait: as they ask, as long as is bearable, and never for ever.

use bocage_bulk::Event;

use crate::hospital::{Hospital, Reply, status};
use crate::site::Site;

#[tokio::test]
async fn a_server_that_works_on_it_is_asked_again_when_it_says() {
    let hospital = Hospital::with(|seen, _| {
        let busy = status(202).header("X-Progress", "Patients: 42.7% done, MUSTERMANN next");
        match seen.before {
            _ if !seen.is("GET /jobs") => None,
            0 => Some(busy.header("Retry-After", "120")),
            // A minute after the two that passed.
            1 => Some(busy.header("Retry-After", "Sun, 06 Nov 1994 08:52:37 GMT")),
            2 | 3 => Some(busy),
            _ => None,
        }
    });
    let site = Site::new(&hospital);
    let mut told = Vec::new();
    site.watched(&mut |event| {
        if let Event::Waiting { percent, secs } = event {
            told.push((percent, secs));
        }
    })
    .await
    .unwrap();
    site.is_whole();
    assert_eq!(told, [(Some(42), 120), (Some(42), 60), (Some(42), 5), (Some(42), 7)]);
    assert_eq!(*site.timer.waits.lock().unwrap(), [120, 60, 5, 7]);
}

#[tokio::test]
async fn an_export_that_is_never_ready_is_given_up_and_dropped_at_the_server() {
    let hospital = Hospital::with(|seen, _| seen.is("GET /jobs").then(|| status(202)));
    let site = Site::new(&hospital);
    let error = site.fails().await;
    assert!(error.contains("the export at 127.0.0.1: the export was not ready after 86"), "{error}");
    assert!(error.contains("hint: ask for less"), "{error}");
    assert_eq!(hospital.times("DELETE /jobs/link-secret"), 1);
    assert!(hospital.times("GET /jobs/link-secret") < 400, "it waits longer each time");
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wait_of_a_year_is_refused_at_once() {
    for place in ["GET /fhir/$export", "GET /files/1"] {
        let hospital =
            Hospital::with(move |seen, _| seen.is(place).then(|| status(429).header("Retry-After", "31536000")));
        let site = Site::new(&hospital);
        let error = site.fails().await;
        assert!(error.contains("the server asks to wait 31536000 s, longer than the 86400 s"), "{error}");
        assert_eq!(site.timer.waits.lock().unwrap().len(), 0);
    }
}

#[tokio::test]
async fn too_many_requests_and_a_server_that_is_down_are_waited_out_everywhere() {
    for place in ["GET /fhir/$export", "GET /jobs", "GET /files/1", "DELETE /jobs"] {
        let hospital = Hospital::with(move |seen, _| match (seen.is(place), seen.before) {
            (true, 0) => Some(status(429).header("Retry-After", "17")),
            (true, 1) => Some(status(503)),
            (true, 2) => Some(Reply::Silent.cut_after(0)),
            _ => None,
        });
        let site = Site::new(&hospital);
        let export = site.export().await.unwrap();
        site.is_whole();
        assert_eq!(export.kept_at_server, None, "{place}");
        let waits = site.timer.waits.lock().unwrap();
        assert_eq!((waits[0], waits.len()), (17, 3), "{place}");
    }
}

#[tokio::test]
async fn a_server_that_stays_down_is_named_and_what_is_here_is_kept() {
    let hospital = Hospital::with(|seen, _| (seen.is("GET /files/1") && seen.before < 4).then(|| status(503)));
    let site = Site::new(&hospital);
    let error = site.fails().await;
    assert!(error.contains("Patient.00002: status 503\nhint: ask the server's administrator"), "{error}");
    site.export().await.unwrap();
    site.is_whole();
    assert_eq!(
        (hospital.times("GET /fhir/$export"), hospital.times("GET /files/0")),
        (1, 1),
        "the first file was kept"
    );
}

#[tokio::test]
async fn an_export_that_fails_at_the_server_ends_with_its_codes_and_without_its_words() {
    let outcome = r#"{"issue":[{"code":"too-costly","diagnostics":"MUSTERMANN"},{"code":"MUSTERMANN"}]}"#;
    let hospital = Hospital::with(move |seen, _| seen.is("GET /jobs").then(|| status(500).body(outcome)));
    let error = Site::new(&hospital).fails().await;
    assert!(error.contains("the server gave up the export (status 500: too-costly)\n"), "{error}");
    assert_eq!(hospital.times("DELETE /jobs/link-secret"), 1);

    let refused = Hospital::with(move |seen, _| seen.is("GET /fhir").then(|| status(400).body(outcome)));
    let error = Site::new(&refused).fails().await;
    assert!(error.contains("/fhir: status 400: too-costly\nhint: see that url, level and types"), "{error}");
}

#[tokio::test]
async fn an_answer_to_the_request_that_does_not_follow_the_standard_is_named() {
    let nowhere = Hospital::with(|seen, _| seen.is("GET /fhir").then(|| status(202)));
    assert!(Site::new(&nowhere).fails().await.contains("does not say where the export is (Content-Location)"));
    let elsewhere = Hospital::with(|seen, _| {
        seen.is("GET /fhir").then(|| status(202).header("Content-Location", "https://evil.example.org/jobs/1"))
    });
    assert!(Site::new(&elsewhere).fails().await.contains("keeps the export's status on another server"));
}

#[tokio::test]
async fn a_list_of_files_without_end_is_cut_off() {
    let hospital = Hospital::with(|seen, _| seen.is("GET /jobs").then_some(Reply::Endless));
    let error = Site::new(&hospital).fails().await;
    assert!(error.contains("the export at 127.0.0.1: more than 16777216 bytes"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_server_and_to_no_other() {
    let other = Hospital::sound();
    let target = other.address.clone();
    let hospital = Hospital::with(move |seen, _| match seen.path.as_str() {
        "/files/1?link-secret" => Some(status(302).header("Location", "/files/1")),
        "/files/2?link-secret" => Some(status(302).header("Location", format!("{target}/files/2"))),
        _ => None,
    });
    let site = Site::new(&hospital);
    let error = site.fails().await;
    assert!(error.contains("Device.00001: the server redirects to another host"), "{error}");
    assert_eq!(other.asked(), Vec::<String>::new(), "nobody went there");
    assert_eq!(hospital.times("GET /files/1"), 2);
}
