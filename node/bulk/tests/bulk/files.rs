//! Files that break off, lie or grow: each is whole in the end, or is not believed.

use std::time::Duration;

use crate::hospital::{Hospital, Reply, file, part_of, status};
use crate::site::Site;

#[tokio::test]
async fn a_file_that_breaks_off_goes_on_where_it_was() {
    let hospital = Hospital::with(|seen, _| {
        (seen.is("GET /files/0") && seen.before < 6).then(|| part_of(seen, file(0).as_bytes()).cut_after(1000))
    });
    let site = Site::new(&hospital);
    site.export().await.unwrap();
    site.is_whole();
    let asked = hospital.seen().into_iter().filter(|seen| seen.is("GET /files/0"));
    let ranges: Vec<_> = asked.map(|seen| seen.header("range").to_owned()).collect();
    assert_eq!(ranges[..3], ["", "bytes=1000-", "bytes=2000-"], "more cuts than tries, but each with progress");
    assert_eq!(ranges.len(), 7);
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_or_has_another_file_by_now_sends_it_from_its_beginning() {
    let ignores = Hospital::with(|seen, _| {
        let reply = status(200).header("ETag", "\"v1\"").body(file(0));
        seen.is("GET /files/0").then(|| if seen.before == 0 { reply.cut_after(1000) } else { reply })
    });
    // It is cut within another file's bytes, which must not be mixed with those of the new one.
    let changed = Hospital::with(|seen, _| {
        let old = status(200).header("ETag", "\"v0\"").body(file(1)).cut_after(1000);
        (seen.is("GET /files/0") && seen.before == 0).then_some(old)
    });
    // It answers with a part, but with one of another file that is as long.
    let lies = Hospital::with(|seen, _| {
        let other = file(0).replace("MUSTERMANN", "MISTERMANN");
        let old = status(200).header("ETag", "\"v0\"").body(other).cut_after(1000);
        let range = format!("bytes 1000-{}/{}", file(0).len() - 1, file(0).len());
        let new = status(206).header("ETag", "\"v1\"").header("Content-Range", range).body(&file(0).as_bytes()[1000..]);
        [old, new].into_iter().nth(seen.before).filter(|_| seen.is("GET /files/0"))
    });
    // Without a word on which file it is, no part of it is asked for.
    let mute = Hospital::with(|seen, _| {
        let reply = status(200).body(file(0));
        seen.is("GET /files/0").then(|| if seen.before == 0 { reply.cut_after(1000) } else { reply })
    });
    // It sends a part unasked, of another file.
    let unasked = Hospital::with(|seen, _| {
        let old = status(200).body(file(0).replace("MUSTERMANN", "MISTERMANN")).cut_after(1000);
        let range = format!("bytes 1000-{}/{}", file(0).len() - 1, file(0).len());
        let new = status(206).header("Content-Range", range).body(&file(0).as_bytes()[1000..]);
        [old, new].into_iter().nth(seen.before).filter(|_| seen.is("GET /files/0"))
    });
    for hospital in [ignores, changed, lies, mute, unasked] {
        let site = Site::new(&hospital);
        site.export().await.unwrap();
        site.is_whole();
    }
}

#[tokio::test]
async fn a_part_from_another_place_is_not_appended() {
    // Whole lines of the right number and length, so that no count would tell.
    let lines = |from: usize, to: usize| file(0).split_inclusive('\n').skip(from).take(to - from).collect::<String>();
    let hospital = Hospital::with(move |seen, _| {
        let whole = part_of(seen, file(0).as_bytes()).cut_after(lines(0, 200).len());
        let range = format!("bytes {}-{}/{}", lines(0, 150).len(), lines(0, 350).len() - 1, file(0).len());
        let shifted = status(206).header("ETag", "\"v1\"").header("Content-Range", range).body(lines(150, 350));
        [whole, shifted].into_iter().nth(seen.before).filter(|_| seen.is("GET /files/0"))
    });
    let site = Site::new(&hospital);
    site.export().await.unwrap();
    site.is_whole();
}

#[tokio::test]
async fn a_file_that_is_cut_without_progress_ends_after_some_tries_and_is_kept() {
    let hospital = Hospital::with(|seen, _| {
        (seen.is("GET /files/1") && seen.before < 4).then(|| status(200).body(file(1)).cut_after(0))
    });
    let site = Site::new(&hospital);
    let error = site.fails().await;
    assert!(
        error.contains(
            "Patient.00002: the answer broke off 4 times: the connection was cut\nhint: what is here is kept"
        ),
        "{error}"
    );
    site.export().await.unwrap();
    site.is_whole();
    assert_eq!(hospital.times("GET /fhir/$export"), 1);
}

#[tokio::test]
async fn a_server_that_is_silent_or_sends_a_byte_at_a_time_is_not_waited_for() {
    for reply in [Reply::Silent, Reply::Drip] {
        for place in ["GET /files/0", "GET /jobs"] {
            let reply = reply.clone();
            let hospital = Hospital::with(move |seen, _| seen.is(place).then(|| reply.clone()));
            let mut site = Site::new(&hospital);
            (site.bounds.block_patience, site.bounds.tries) = (Duration::from_millis(500), 2);
            let error = site.fails().await;
            assert!(error.contains("the answer broke off 2 times: 64 KiB took longer than 0.5 s"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_length_that_is_wrong_is_noticed() {
    // Too long: the connection ends before. Too short: the last line breaks off.
    for (length, why) in
        [(file(1).len() + 100, "broke off 4 times"), (file(1).len() - 10, "line 300 is no JSON object")]
    {
        let hospital = Hospital::with(move |seen, _| {
            let reply = status(200).header("Content-Length", length.to_string()).body(file(1));
            seen.is("GET /files/1").then_some(reply)
        });
        let error = Site::new(&hospital).fails().await;
        assert!(error.contains("Patient.00002: ") && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_count_is_healed_by_a_second_look_or_keeps_the_old_export() {
    for (times, healed) in [(1, true), (2, false)] {
        let hospital = Hospital::with(move |seen, hospital| {
            // The first export is sound.
            let later = hospital.times("GET /fhir/$export") > 1;
            let short = status(200).body(&file(1)[..file(1).len() / 2 - file(1).len() / 2 % 60]);
            let less: String = file(1).lines().take(299).map(|line| format!("{line}\n")).collect();
            (later && seen.is("GET /files/1") && seen.before <= times).then(|| short.body(less))
        });
        let site = Site::new(&hospital);
        site.export().await.unwrap();
        if healed {
            site.export().await.unwrap();
        } else {
            let error = site.fails().await;
            let wanted =
                "Patient.00002: 299 resources, where the server's list says 300\nhint: the earlier export stays in use";
            assert!(error.contains(wanted), "{error}");
            assert_eq!(hospital.times("DELETE /jobs/link-secret"), 2, "of the failed one, too");
        }
        site.is_whole();
    }
}

#[tokio::test]
async fn garbage_as_gzip_and_a_page_in_the_place_of_a_file_are_not_believed() {
    for (reply, why) in [
        (status(200).header("Content-Encoding", "gzip").body("MUSTERMANN"), "sent as gzip and is none"),
        (
            status(200).header("Content-Encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0, 1, 2, 3]),
            "sent as gzip and is none",
        ),
        (status(200).header("Content-Encoding", "br").body("x"), "an encoding that was not asked for"),
        (status(200).body("<html>MUSTERMANN</html>"), "line 1 is no JSON object"),
    ] {
        let hospital = Hospital::with(move |seen, _| seen.is("GET /files/2").then(|| reply.clone()));
        let error = Site::new(&hospital).fails().await;
        assert!(error.contains("Device.00001: ") && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_link_that_expired_is_asked_for_anew_once() {
    for code in [403, 404, 410] {
        let hospital = Hospital::with(move |seen, hospital| {
            let fresh = hospital.manifest().replace("link-secret\"", "link-secret-2\"");
            match seen.path.as_str() {
                "/files/1?link-secret" => Some(status(code)),
                "/jobs/link-secret" if seen.before > 0 && seen.method == "GET" => Some(status(200).body(fresh)),
                _ => None,
            }
        });
        let site = Site::new(&hospital);
        site.export().await.unwrap();
        site.is_whole();
        assert_eq!((hospital.times("GET /jobs/link-secret"), hospital.times("GET /files/0")), (2, 1));
    }
    let dead = Hospital::with(|seen, _| seen.is("GET /files/1").then(|| status(410)));
    let error = Site::new(&dead).fails().await;
    assert!(
        error.contains("Patient.00002: the link has expired, and the fresh one that was asked for, too (status 410)"),
        "{error}"
    );
}

#[tokio::test]
async fn other_files_behind_a_fresh_link_are_not_mixed_with_those_that_are_here() {
    let hospital = Hospital::with(|seen, hospital| match seen.path.as_str() {
        "/files/1?link-secret" => Some(status(410)),
        "/jobs/link-secret" if seen.before > 0 && seen.method == "GET" => {
            Some(status(200).body(hospital.manifest().replace("\"count\":400", "\"count\":401")))
        }
        _ => None,
    });
    let error = Site::new(&hospital).fails().await;
    assert!(error.contains("the server lists other files than before\nhint: run the command again"), "{error}");
}

#[tokio::test]
async fn a_file_without_end_and_a_disk_that_is_full_end_the_export() {
    let hospital = Hospital::with(|seen, _| seen.is("GET /files/1").then_some(Reply::Endless));
    let mut site = Site::new(&hospital);
    site.bounds.file_bytes = 1 << 20;
    let error = site.fails().await;
    assert!(error.contains("Patient.00002: more than 1048576 bytes"), "{error}");
    let sound = Hospital::sound();
    let mut site = Site::new(&sound);
    site.bounds.free_bytes = u64::MAX / 2;
    let error = site.fails().await;
    assert!(error.contains("MiB must stay free\nhint: make room"), "{error}");
    site.bounds.free_bytes = 0;
    site.export().await.unwrap();
    site.is_whole();
    assert_eq!(sound.times("GET /fhir/$export"), 1, "it goes on");
}

#[tokio::test]
async fn a_name_that_leads_out_of_the_folder_is_refused() {
    for kind in ["../../escape", "/etc/cron.d/x", "Patient/../..", "..", ""] {
        let hospital = Hospital::with(move |seen, hospital| {
            let text = hospital.manifest().replace("Device", kind);
            (seen.is("GET /jobs")).then(|| status(200).body(text))
        });
        let site = Site::new(&hospital);
        let error = site.fails().await;
        assert!(error.contains("output[2]: its type is not the name of a resource"), "{error}");
        assert_eq!(site.leftovers(), Vec::<String>::new());
    }
}
