//! Snapshots in simulated time: when they are taken, when they are not, and what stays of them.

use std::sync::Mutex;

use super::*;
use crate::config::environment::read_release_key;
use crate::custodian::Switches;
use crate::custodian::snapshot::held;
use crate::fixture::{NOW, Site, Still};

const DAY_SECS: i64 = 86_400;

fn at(site: &Site, now: Timestamp) -> Custodian {
    let config = site.config();
    std::fs::create_dir_all(&config.state.0).unwrap();
    let ledger = Ledger::open(&config.state.ledger()).unwrap();
    let key = read_release_key(&config.release_key_file).unwrap();
    Custodian::new(config, ledger, key, Arc::new(Still(now)), Arc::new(|_| {}), Switches::default())
}

/// Other rows in the source, so that a new snapshot is another one.
fn grow(site: &Site, by: usize) {
    let mut text = std::fs::read_to_string(site.path("heart.csv")).unwrap();
    text.push_str(&"40,1,200\n".repeat(by));
    std::fs::write(site.path("heart.csv"), text).unwrap();
}

fn current(custodian: &Custodian) -> Digest {
    usable(&custodian.config, &custodian.config.datasets["heart"]).unwrap().content
}

#[test]
fn a_running_node_takes_a_new_snapshot_when_an_epoch_is_over_and_not_before() {
    let site = Site::new();
    site.write_config("[snapshots]\nepoch_days = 30");
    let custodian = at(&site, NOW);
    custodian.take_due_snapshots();
    let first = current(&custodian);
    grow(&site, 1);
    for early in [NOW, NOW.plus_secs(30 * DAY_SECS - 1), NOW.plus_secs(-40 * DAY_SECS)] {
        at(&site, early).take_due_snapshots();
        assert_eq!(current(&custodian), first);
    }
    let over = NOW.plus_secs(30 * DAY_SECS);
    at(&site, over).take_due_snapshots();
    assert_ne!(current(&custodian), first);
    // When the next one fails, the one before stays in use.
    let second = current(&custodian);
    std::fs::write(site.path("heart.csv"), "").unwrap();
    at(&site, over.plus_secs(31 * DAY_SECS)).take_due_snapshots();
    assert_eq!(current(&custodian), second);
}

#[test]
fn without_epochs_a_snapshot_stays_for_ever() {
    let site = Site::new();
    let custodian = at(&site, NOW);
    custodian.take_due_snapshots();
    let first = current(&custodian);
    grow(&site, 1);
    at(&site, NOW.plus_secs(4000 * DAY_SECS)).take_due_snapshots();
    assert_eq!(current(&custodian), first);
}

#[test]
fn where_the_source_says_who_opted_out_a_snapshot_lasts_a_day_unless_the_site_says_otherwise() {
    let day = NOW.plus_secs(DAY_SECS);
    let site = Site::new();
    let renewed = |more: &str, after: Timestamp| {
        site.write_config(more);
        let custodian = at(&site, NOW);
        custodian.take_due_snapshots();
        let first = current(&custodian);
        grow(&site, 1);
        at(&site, after).take_due_snapshots();
        let renewed = current(&custodian) != first;
        std::fs::remove_dir_all(site.config().state.0).unwrap();
        renewed
    };
    assert!(renewed("optout = \"age > 100\"", day));
    assert!(!renewed("optout = \"age > 100\"", NOW.plus_secs(DAY_SECS - 1)));
    assert!(!renewed("optout = \"false\"", day), "nobody can opt out");
    assert!(!renewed("optout = \"age > 100\"\n[snapshots]\nepoch_days = 0", day), "by hand, as was said");
    assert!(!renewed("optout = \"age > 100\"\n[snapshots]\nepoch_days = 2", day));
    assert!(!renewed("optout = \"age > 100\"\nrefresh = \"25h\"", day));
}

#[test]
fn a_snapshot_stays_until_the_study_that_was_begun_on_it_expires() {
    let site = Site::new();
    site.write_config("[snapshots]\nkeep = 1\nmin_free_mib = 0");
    let custodian = at(&site, NOW);
    custodian.take_due_snapshots();
    let pinned = current(&custodian);
    let study = site.study();
    custodian.round(&site.request(&study));
    let (config, dataset) = (&custodian.config, &custodian.config.datasets["heart"]);
    let holds = |content: &Digest| {
        let held = held(&config.state.snapshots(), "heart").unwrap();
        held.iter().any(|h| h.manifest.content == *content)
    };
    let late = study.expires_at.plus_secs(301);
    assert_eq!(custodian.ledger.pinned(NOW).unwrap().get(&pinned).map(|pin| pin.studies), Some(1));
    assert!(custodian.ledger.pinned(late).unwrap().is_empty());
    for i in 1..=3 {
        grow(&site, i);
        refresh(config, &custodian.ledger, dataset, None, Why::Refresh, NOW.plus_secs(i as i64)).unwrap();
    }
    assert!(holds(&pinned));
    assert_eq!(held(&config.state.snapshots(), "heart").unwrap().len(), 3, "current, one before, the pinned one");
    grow(&site, 9);
    refresh(config, &custodian.ledger, dataset, None, Why::Refresh, late).unwrap();
    assert!(!holds(&pinned));
}

#[test]
fn too_little_room_is_said_and_nothing_is_taken() {
    let site = Site::new();
    site.write_config("[snapshots]\nmin_free_mib = 4294967295");
    let custodian = at(&site, NOW);
    let dataset = &custodian.config.datasets["heart"];
    let error =
        refresh(&custodian.config, &custodian.ledger, dataset, None, Why::Refresh, NOW).unwrap_err().to_string();
    assert!(error.contains("and 4294967295 MiB must stay free\n  hint: make room"), "{error}");
    assert!(usable(&custodian.config, dataset).is_err());
}

/// A site whose dataset is to be refreshed every six hours, at a time.
fn refreshed(site: &Site, now: Timestamp, asked: &Arc<Mutex<Vec<Why>>>) -> Custodian {
    let config = site.config();
    std::fs::create_dir_all(&config.state.0).unwrap();
    let ledger = Ledger::open(&config.state.ledger()).unwrap();
    let key = read_release_key(&config.release_key_file).unwrap();
    let asked = Arc::clone(asked);
    let report: crate::custodian::Report = Arc::new(move |progress| {
        if let Progress::Due { why, .. } = progress {
            asked.lock().unwrap().push(why);
        }
    });
    Custodian::new(config, ledger, key, Arc::new(Still(now)), report, Switches::default())
}

/// What an ingest of the site's dataset does at a time.
fn ingest(custodian: &Custodian, why: Why, now: Timestamp) -> Result<Manifest, SnapshotError> {
    let config = &custodian.config;
    let ingest = Ingest {
        state: &config.state,
        rules: config.snapshots,
        dataset: &config.datasets["heart"],
        form: None,
        others: Others::none(),
        size: Size::default(),
    };
    ingest.run(why, now, &|_| true)
}

#[test]
fn a_dataset_is_asked_for_when_it_is_due_and_after_a_failure_not_before_an_hour() {
    let site = Site::new();
    site.write_config("refresh = \"6h\"");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let look = |secs: i64, starting: bool| {
        let now = NOW.plus_secs(secs);
        let custodian = refreshed(&site, now, &asked);
        custodian.adopt_new_snapshots();
        custodian.ask_for_due_snapshots(starting);
        (std::mem::take(&mut *asked.lock().unwrap()), custodian, now)
    };
    const HOUR: i64 = 3600;
    let (due, custodian, now) = look(0, true);
    assert_eq!(due, [Why::Start]);
    let first = ingest(&custodian, Why::Start, now).unwrap();
    for early in [0, 1, 6 * HOUR - 1] {
        assert_eq!(look(early, true).0, []);
    }
    let (due, custodian, now) = look(6 * HOUR, false);
    assert_eq!(due, [Why::Schedule]);
    // It fails: the one before stays, and nothing is asked for within the hour, not even by a custodian that starts.
    let source = std::fs::read(site.path("heart.csv")).unwrap();
    std::fs::write(site.path("heart.csv"), "").unwrap();
    assert!(ingest(&custodian, Why::Schedule, now).is_err());
    assert_eq!(current(&custodian), first.content);
    for starting in [false, true] {
        assert_eq!(look(7 * HOUR - 1, starting).0, []);
    }
    assert_eq!(look(7 * HOUR, false).0, [Why::Schedule]);
    // A dataset without any snapshot waits as well, but for a custodian that starts.
    snapshot::drop_all(&custodian.config.state.snapshots(), "heart").unwrap();
    assert!(ingest(&custodian, Why::Start, NOW.plus_secs(7 * HOUR)).is_err());
    assert_eq!(look(7 * HOUR + 1, false).0, []);
    assert_eq!(look(7 * HOUR + 1, true).0, [Why::Start]);
    std::fs::write(site.path("heart.csv"), source).unwrap();
    assert!(ingest(&custodian, Why::Start, NOW.plus_secs(8 * HOUR)).is_ok());
    assert_eq!(look(8 * HOUR, true).0, []);
}

#[test]
fn a_round_waits_for_a_snapshot_that_is_on_its_way_and_for_none_that_failed_or_does_not_begin() {
    let site = Site::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let custodian = refreshed(&site, NOW, &asked);
    let ask = || match codec::decode(&custodian.round(&site.request(&site.study())), 1 << 20).unwrap() {
        Reply::Refused(error) => error.code,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(ask(), ErrorCode::SnapshotUnavailable, "nobody asked for one");
    custodian.ask_for_due_snapshots(true);
    assert_eq!((ask(), ask()), (ErrorCode::Busy, ErrorCode::Busy));
    let late = refreshed(&site, NOW.plus_secs(60), &asked);
    late.asked.lock().unwrap().insert("heart".to_owned(), NOW);
    assert!(!late.is_awaited(&late.config.datasets["heart"]), "it should have begun");
    let source = std::fs::read(site.path("heart.csv")).unwrap();
    std::fs::write(site.path("heart.csv"), "").unwrap();
    assert!(ingest(&custodian, Why::Start, NOW).is_err());
    assert_eq!(ask(), ErrorCode::SnapshotUnavailable);
    std::fs::write(site.path("heart.csv"), source).unwrap();
    ingest(&custodian, Why::Start, NOW).unwrap();
    let answered = custodian.round(&site.request(&site.study()));
    assert!(matches!(codec::decode(&answered, 1 << 20).unwrap(), Reply::Released(_)));
}

#[test]
fn a_snapshot_that_an_ingest_took_is_in_the_ledger_before_anything_is_computed_on_it() {
    let site = Site::new();
    let custodian = at(&site, NOW);
    ingest(&custodian, Why::Refresh, NOW).unwrap();
    assert!(custodian.ledger.snapshot("heart").unwrap().is_none());
    custodian.round(&site.request(&site.study()));
    let mut kinds = Vec::new();
    custodian.ledger.records(None, |record| kinds.push(record.kind)).unwrap();
    let first = |of: &str| kinds.iter().position(|kind| kind == of).unwrap();
    assert!(first("snapshot") < first("reservation"), "{kinds:?}");
    let records = || {
        let mut records = 0;
        custodian.ledger.records(None, |record| records += u32::from(record.kind == "snapshot")).unwrap();
        records
    };
    custodian.adopt_new_snapshots();
    at(&site, NOW.plus_secs(1)).adopt_new_snapshots();
    assert_eq!(records(), 1, "once, whoever looks");
    grow(&site, 1);
    let next = ingest(&custodian, Why::Schedule, NOW.plus_secs(2)).unwrap();
    at(&site, NOW.plus_secs(2)).adopt_new_snapshots();
    let (_, last) = custodian.ledger.snapshot("heart").unwrap().unwrap();
    assert_eq!((last.content, last.why.as_str(), records()), (next.content, "schedule", 2));
}

#[test]
fn a_failed_ingest_is_told_until_one_succeeds_and_one_that_was_cut_off_too() {
    let site = Site::new();
    let custodian = at(&site, NOW);
    let dir = custodian.config.state.snapshots();
    let source = std::fs::read(site.path("heart.csv")).unwrap();
    std::fs::write(site.path("heart.csv"), "").unwrap();
    assert!(ingest(&custodian, Why::Start, NOW).is_err());
    let said = unfinished(&dir, "heart").unwrap().sentence();
    assert!(said.starts_with(&format!("the ingest of {NOW} failed: ")) && said.contains("the file is empty"), "{said}");
    std::fs::write(site.path("heart.csv"), source).unwrap();
    // As if the process were killed in the middle.
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let config = &custodian.config;
        let dataset = &config.datasets["heart"];
        let ingest = Ingest {
            state: &config.state,
            rules: config.snapshots,
            dataset,
            form: None,
            others: Others::none(),
            size: Size::default(),
        };
        ingest.run(Why::Start, NOW, &|progress| match progress {
            crate::custodian::snapshot::Progress::Begun => true,
            _ => {
                let said = unfinished(&dir, "heart").unwrap().sentence();
                assert!(said.starts_with("an ingest runs since "), "{said}");
                panic!("killed")
            }
        })
    }));
    assert!(killed.is_err());
    let said = unfinished(&dir, "heart").unwrap().sentence();
    assert!(said.contains("was cut off"), "{said}");
    ingest(&custodian, Why::Start, NOW).unwrap();
    assert_eq!(unfinished(&dir, "heart"), None);
}

#[test]
fn a_dataset_is_taken_behind_those_that_its_rules_look_into_and_says_which_snapshots_these_were() {
    let site = Site::new();
    let people = "id = \"people@1\"\nsubject = \"patient\"\nbirth = \"born\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
        [[column]]\nname = \"born\"\ntype = \"date\"\nrange = [\"1900-01-01\", \"2100-12-31\"]\n";
    let visits = "id = \"visits@1\"\nsubject = \"patient\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
        [[column]]\nname = \"seen\"\ntype = \"date\"\nrange = [\"1900-01-01\", \"2100-12-31\"]\n\
        [[rule]]\nname = \"lived\"\nkind = \"before_birth\"\ncolumn = \"seen\"\nborn = \"people\"\non_fail = \"reject\"\n";
    std::fs::write(site.path("contracts/people.toml"), people).unwrap();
    std::fs::write(site.path("contracts/visits.toml"), visits).unwrap();
    std::fs::write(site.path("people.csv"), "patient,born\na,2000-01-01\nb,2000-01-01\n").unwrap();
    std::fs::write(site.path("visits.csv"), "patient,seen\na,1999-12-31\na,2000-01-01\n").unwrap();
    // By its name it would be the first.
    let section = |name: &str, of: &str| {
        format!("[dataset.{name}]\ncontract = \"{of}@1\"\nsource = {{ kind = \"csv\", path = \"{of}.csv\" }}\n")
    };
    site.write_config(&format!("{}{}", section("a_visits", "visits"), section("z_people", "people")));
    let custodian = at(&site, NOW);
    let order: Vec<&str> = in_order(&custodian.config.datasets).iter().map(|dataset| dataset.name.as_str()).collect();
    assert_eq!(order, ["z_people", "a_visits", "heart"]);
    custodian.take_due_snapshots();
    let manifest = |name: &str| usable(&custodian.config, &custodian.config.datasets[name]).unwrap();
    let (visits, people) = (manifest("a_visits"), manifest("z_people"));
    assert_eq!((visits.rows, &visits.against), (1, &[("z_people".to_owned(), people.content)].into()));
    // Where that dataset has none, the one before stays.
    std::fs::remove_dir_all(site.path("state/snapshots/z_people")).unwrap();
    std::fs::remove_file(site.path("people.csv")).unwrap();
    let form = custodian.token_form(&custodian.config.datasets["a_visits"]).unwrap();
    let again = |dataset| refresh(&custodian.config, &custodian.ledger, dataset, form.as_ref(), Why::Refresh, NOW);
    let error = again(&custodian.config.datasets["a_visits"]).unwrap_err().to_string();
    assert!(error.contains("no snapshot of `z_people` can be used: dataset `z_people` has no snapshot"), "{error}");
    assert_eq!(manifest("a_visits").content, visits.content);
}
