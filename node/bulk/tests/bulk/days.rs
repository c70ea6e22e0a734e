//! Runs that are killed, cancelled or asked for something else: the next one goes on, and nothing is ever half there.

use crate::hospital::{Hospital, file, part_of, status};
use crate::site::Site;

#[tokio::test]
async fn a_run_that_is_killed_at_any_moment_goes_on_with_the_same_export() {
    let mut at = 0;
    loop {
        at += 1;
        // It is cut and busy now and then, so that there are moments within a file, and after a new export took its place.
        let hospital = Hospital::with(|seen, _| match seen.before {
            0 if seen.is("GET /files") => {
                Some(part_of(seen, file(seen.path[7..8].parse().unwrap()).as_bytes()).cut_after(700))
            }
            0 if seen.is("DELETE") => Some(status(503)),
            _ => None,
        });
        let site = Site::new(&hospital);
        if !site.killed_at(at).await {
            break;
        }
        site.export().await.unwrap();
        site.is_whole();
        assert_eq!(hospital.times("GET /fhir/$export"), 1, "killed at {at}");
    }
    assert!(at > 15, "{at} moments");
}

#[tokio::test]
async fn an_export_that_took_its_place_before_the_kill_is_only_dropped_at_the_server() {
    for at in 1.. {
        let hospital = Hospital::with(|seen, _| (seen.is("DELETE") && seen.before == 0).then(|| status(503)));
        let site = Site::new(&hospital);
        assert!(site.killed_at(at).await);
        if hospital.times("DELETE /jobs/link-secret") == 0 {
            continue;
        }
        let before = hospital.asked().len();
        site.export().await.unwrap();
        site.is_whole();
        assert_eq!(hospital.asked()[before..], ["DELETE /jobs/link-secret"]);
        return;
    }
}

#[tokio::test]
async fn a_file_that_was_on_its_way_goes_on_and_a_whole_one_is_not_fetched_again() {
    let hospital = Hospital::with(|seen, _| {
        (seen.is("GET /files/1") && seen.before < 4)
            .then(|| part_of(seen, file(1).as_bytes()).cut_after(if seen.before == 0 { 500 } else { 0 }))
    });
    let site = Site::new(&hospital);
    site.fails().await;
    site.export().await.unwrap();
    site.is_whole();
    assert_eq!(hospital.times("GET /files/0"), 1);
    let last = hospital.seen().into_iter().rfind(|seen| seen.is("GET /files/1")).unwrap();
    assert_eq!((last.header("range"), last.header("if-range")), ("bytes=500-", "\"v1\""));
}

#[tokio::test]
async fn a_whole_file_that_lost_its_bytes_meanwhile_is_fetched_again() {
    let hospital = Hospital::with(|seen, _| (seen.is("GET /files/2") && seen.before < 4).then(|| status(503)));
    let site = Site::new(&hospital);
    site.fails().await;
    std::fs::write(site.path(".records.draft/Patient.00001.ndjson"), vec![0; 5000]).unwrap();
    site.export().await.unwrap();
    site.is_whole();
    assert_eq!(hospital.times("GET /files/0"), 2);
}

#[tokio::test]
async fn an_export_that_the_server_forgot_is_asked_for_anew() {
    let hospital = Hospital::with(|seen, hospital| {
        let forgot = hospital.times("GET /fhir/$export") == 1 && seen.before > 0;
        (seen.is("GET /jobs") && forgot).then(|| status(404))
    });
    let site = Site::new(&hospital);
    assert!(site.killed_at(4).await);
    site.export().await.unwrap();
    site.is_whole();
    assert_eq!(hospital.times("GET /fhir/$export"), 2);
    let never = Hospital::with(|seen, _| seen.is("GET /jobs").then(|| status(404)));
    assert!(Site::new(&never).fails().await.contains("the server gave up the export (status 404)"));
    assert_eq!(never.times("GET /fhir/$export"), 2, "once more, not for ever");
}

#[tokio::test]
async fn another_question_drops_the_export_that_was_begun() {
    let hospital = Hospital::sound();
    let mut site = Site::new(&hospital);
    assert!(site.killed_at(4).await);
    site.server.types = vec!["Patient".parse().unwrap()];
    site.export().await.unwrap();
    site.is_whole();
    let asked = hospital.asked();
    let dropped = asked.iter().position(|line| line == "DELETE /jobs/link-secret").unwrap();
    assert_eq!(asked[dropped + 1], "GET /fhir/$export");
    assert_eq!(hospital.times("DELETE /jobs/link-secret"), 2);
}

#[tokio::test]
async fn cancelling_tells_the_server_and_leaves_the_folder_in_use_alone() {
    let hospital = Hospital::sound();
    let site = Site::new(&hospital);
    site.export().await.unwrap();
    assert!(!site.cancel().await.unwrap(), "there is nothing to cancel");
    assert!(site.killed_at(5).await);
    assert!(site.leftovers().contains(&".records.draft".to_owned()));
    assert!(site.cancel().await.unwrap());
    site.is_whole();
    assert_eq!(hospital.times("DELETE /jobs/link-secret"), 2);
}

#[tokio::test]
async fn one_process_at_a_time_fetches_into_a_folder() {
    let hospital = Hospital::sound();
    let site = Site::new(&hospital);
    let lock = std::fs::File::create(site.path(".records.lock")).unwrap();
    lock.lock().unwrap();
    assert!(site.fails().await.contains("another process is fetching into this folder"));
    assert_eq!(hospital.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_kill_between_two_renames_loses_no_export() {
    let hospital = Hospital::sound();
    let site = Site::new(&hospital);
    site.export().await.unwrap();
    // As a file system that cannot exchange two folders leaves it.
    std::fs::rename(site.path("records"), site.path(".records.old")).unwrap();
    assert!(!site.cancel().await.unwrap());
    site.is_whole();
}

#[tokio::test]
async fn an_export_that_the_server_does_not_drop_is_in_use_all_the_same() {
    let hospital = Hospital::with(|seen, _| (seen.method == "DELETE").then(|| status(405)));
    let site = Site::new(&hospital);
    let export = site.export().await.unwrap();
    site.is_whole();
    assert_eq!(export.kept_at_server.as_deref(), Some("the export at 127.0.0.1: status 405"));
}
