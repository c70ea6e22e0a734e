//! The page and the tables: what a stranger writes stays text, nothing is fetched, and what left stands there to the last cell.

use std::collections::BTreeMap;
use std::sync::Arc;

use bocage_protocol::trust::{Permit, SecretKey, SignedStudy, Study};

use super::*;
use crate::config::environment::read_release_key;
use crate::custodian::Custodian;
use crate::custodian::ledger::bodies;
use crate::custodian::ledger::show::Reader;
use crate::custodian::ledger::{Entry, Kind};
use crate::fixture::{NOW, Site, Still};

const HOSTILE: &str = "<script>alert('x')</script> & \"<img src=http://evil/x>\"";

fn custodian(site: &Site, now: Timestamp) -> Custodian {
    let config = site.config();
    std::fs::create_dir_all(&config.state.0).unwrap();
    let ledger = Ledger::open(&config.state.ledger()).unwrap();
    let key = read_release_key(&config.release_key_file).unwrap();
    let custodian = Custodian::new(config, ledger, key, Arc::new(Still(now)), Arc::new(|_| {}), Default::default());
    custodian.take_due_snapshots();
    custodian
}

fn titled(site: &Site, title: &str, nonce: u32) -> Study {
    Study { title: title.to_owned(), nonce: format!("{nonce:032x}"), ..site.study() }
}

/// A site that answered so many studies, refused a stranger, and heard a word of a kind that this version does not know.
fn busy(site: &Site, studies: u32) {
    site.edit_config("name = \"Ada\"", "name = \"Ada <b>Lovelace</b>\"");
    let custodian = custodian(site, NOW);
    for n in 0..studies {
        custodian.round(&site.request(&titled(site, &format!("{HOSTILE} {n}"), n)));
    }
    let stranger = SecretKey::generate(&mut bocage_net::env::SystemEntropy);
    let mut study = titled(site, "Let me in", 1_000_000);
    study.researcher = stranger.public();
    let mut request = site.request(&site.study());
    request.study = SignedStudy::sign(&study, &stranger).unwrap();
    custodian.round(&request);
    let ledger = Ledger::open(&site.config().state.ledger()).unwrap();
    let word = serde_json::json!({"steward": "uid 1000 <i>Eve</i>", "reason": "fits the permit"});
    let mut approval =
        Entry::new(Kind::Request, site.request(&titled(site, &format!("{HOSTILE} 0"), 0)).study.id(), 0, &word);
    approval.body = word;
    ledger.append(NOW, &[approval]).unwrap();
    let file = rusqlite::Connection::open(site.config().state.ledger()).unwrap();
    file.execute_batch("DROP TRIGGER record_no_update").unwrap();
    // As a later version would have written it.
    file.execute_batch("UPDATE record SET kind = 'approval' WHERE body LIKE '%fits the permit%'").unwrap();
}

fn page(site: &Site, window: Window) -> String {
    let config = Config::load(&site.origin()).unwrap();
    let ledger = Ledger::open_read_only(&config.state.ledger()).unwrap();
    ledger.hold().unwrap();
    let accounts = ledger.accounts(&window).unwrap();
    let verified = ledger.verify().unwrap();
    let (accounts, verified, witness) = (&accounts, &verified, Witness::NotAsked);
    let key = read_release_key(&config.release_key_file).ok();
    let release_key = key.as_ref();
    let report =
        Report { config: &config, ledger: &ledger, accounts, verified, witness, release_key, window, made_at: NOW };
    let mut out = Vec::new();
    report.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn cells_table(site: &Site) -> Vec<BTreeMap<String, String>> {
    let config = Config::load(&site.origin()).unwrap();
    let ledger = Ledger::open_read_only(&config.state.ledger()).unwrap();
    let accounts = ledger.accounts(&Window::default()).unwrap();
    let mut out = Vec::new();
    cells(&config, &ledger, &accounts, &Window::default(), &mut out).unwrap();
    let mut reader = ::csv::Reader::from_reader(out.as_slice());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn what_a_stranger_or_a_steward_wrote_stays_text() {
    let site = Site::new();
    busy(&site, 1);
    let page = page(&site, Window::default());
    for wanted in [
        "&lt;script&gt;alert('x')&lt;/script&gt; &amp; &quot;&lt;img src=http://evil/x&gt;&quot; 0",
        "Ada &lt;b&gt;Lovelace&lt;/b&gt;",
        "uid 1000 &lt;i&gt;Eve&lt;/i&gt;",
        "signer_unknown",
        "approval",
    ] {
        assert!(page.contains(wanted), "{wanted}\nnot in\n{page}");
    }
    for never in ["<script", "<img", "<b>", "<i>"] {
        assert!(!page.contains(never), "{never}");
    }
}

#[test]
fn the_page_fetches_nothing_and_runs_nothing() {
    let site = Site::new();
    busy(&site, 2);
    let page = page(&site, Window::default()).replace("src=http://evil/x", "");
    for never in ["http://", "https://", "src=", "url(", "@import", "<link", "<iframe", "<object", "javascript:"] {
        assert_eq!(page.find(never), None, "{never}");
    }
    assert!(!page.split('<').any(|tag| tag.split('>').next().unwrap_or_default().contains(" on")), "a handler");
    let links: Vec<&str> = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.len() > 5);
    for link in links {
        let target = link.strip_prefix('#').unwrap_or_else(|| panic!("{link} leads elsewhere"));
        assert!(page.contains(&format!("id=\"{target}\"")), "{link} leads nowhere");
    }
}

#[test]
fn the_page_has_every_cell_that_left_and_the_order_of_the_five_safes() {
    let site = Site::new();
    busy(&site, 1);
    let page = page(&site, Window::default());
    let config = Config::load(&site.origin()).unwrap();
    let ledger = Ledger::open_read_only(&config.state.ledger()).unwrap();
    let (mut reader, mut left) = (Reader::new(&config.contracts), Vec::new());
    ledger.records(None, |record| left.extend(reader.show(record).left)).unwrap();
    let cells: Vec<_> = left.iter().flat_map(|left| &left.cells).collect();
    // Women, men, nobody whose sex is missing, and all.
    assert_eq!(cells.len(), 4);
    for cell in cells {
        let name = match cell.cell.as_slice() {
            [] => "all",
            [name] => name.strip_prefix("sex = ").unwrap(),
            more => panic!("{more:?}"),
        };
        let row = match cell.count {
            Some(count) => {
                format!("<td>{name}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>", count.subjects, count.rows)
            }
            None => format!("<tr class=\"hidden\"><td>{name}</td><td class=\"n\">fewer than 11</td>"),
        };
        assert!(page.contains(&row), "{row}\nnot in\n{page}");
        for measure in &cell.measures {
            let value = measure.sum.map(words::sum).or(measure.holds_rows.map(|n| n.to_string())).unwrap();
            assert!(page.contains(&format!("<td class=\"n\">{value}</td>")), "{value}");
        }
    }
    let places: Vec<_> = ["projects", "people", "settings", "data", "outputs", "processing"]
        .map(|id| page.find(&format!("id=\"{id}\"")).unwrap())
        .into();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn the_record_of_processing_says_what_the_configuration_says_and_what_is_not_stated() {
    let site = Site::new();
    busy(&site, 1);
    let silent = page(&site, Window::default());
    assert_eq!(silent.matches("not stated").count(), 3, "{silent}");
    site.write_config(
        "[organisation]\nname = \"North Hospital\"\ncontact = \"privacy@north\"\ndpo = \"Dr. Who\"\ntransfers = \"None.\"\n\
         [ledger]\nkeep_payloads_days = 3650",
    );
    let stated = page(&site, Window::default());
    for wanted in
        ["North Hospital", "privacy@north", "Dr. Who", "None.", "3650 days", "age (whole number)", "127.0.0.1:4433"]
    {
        assert!(stated.contains(wanted), "{wanted}");
    }
    assert!(!stated.contains("not stated"));
}

#[test]
fn a_ledger_that_does_not_hold_is_said_at_the_top() {
    let site = Site::new();
    busy(&site, 1);
    // The fixture's own alteration is one.
    assert!(page(&site, Window::default()).contains("This ledger cannot be trusted"));
    let site = Site::new();
    custodian(&site, NOW);
    let empty = page(&site, Window::default());
    assert!(empty.contains("was recomputed for this report and holds") && empty.contains("Nothing left in this time"));
}

#[test]
fn many_studies_stand_one_by_one_and_a_time_shows_its_own_only() {
    let site = Site::new();
    busy(&site, 30);
    let all = page(&site, Window::default());
    assert_eq!(all.matches("<article").count(), 30);
    assert_eq!(all.matches("<details open").count(), 0, "a click opens one where there are many");
    let later = Window { from: Some(NOW.plus_secs(1)), until: None };
    assert_eq!(page(&site, later).matches("<article").count(), 0);
    let day = Window { from: Some(NOW.plus_secs(-1)), until: Some(NOW.plus_secs(1)) };
    assert_eq!(page(&site, day).matches("<article").count(), 30);
}

#[test]
fn bytes_that_were_dropped_are_said_to_be_and_who_asked_stays() {
    let site = Site::new();
    site.write_config("[ledger]\nkeep_payloads_days = 1");
    custodian(&site, NOW).round(&site.request(&site.study()));
    let late = NOW.plus_secs(100 * 86_400);
    custodian(&site, late).drop_old_payloads();
    let page = page(&site, Window::default());
    assert!(page.contains("the exact bytes were dropped on"), "{page}");
    assert!(page.contains("Cholesterol by sex") && page.contains("Of 2 the exact bytes were dropped"), "{page}");
    assert_eq!(cells_table(&site).len(), 0);
}

#[test]
fn the_table_of_cells_parses_and_has_what_left_with_no_formula_in_it() {
    let site = Site::new();
    custodian(&site, NOW).round(&site.request(&titled(&site, "=cmd|' /C calc'!A0, \"quoted\"", 1)));
    let rows = cells_table(&site);
    // Two cells with two measures each, a hidden one, and one without measures.
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row["title"].starts_with("'=cmd|") && row["title"].ends_with("\"quoted\"")));
    let chol: Vec<_> = rows.iter().filter(|row| row["measure"] == "chol").collect();
    assert_eq!((chol[0]["cell"].as_str(), chol[0]["subjects"].as_str()), ("sex = female", "30"));
    // 180 + 2 i for even i below 60.
    assert_eq!(chol[0]["sum"].parse::<f64>().unwrap().round(), 7140.0);
    assert_eq!((rows[4]["cell"].as_str(), rows[4]["subjects"].as_str()), ("sex = (missing)", ""));
    assert_eq!((rows[5]["cell"].as_str(), rows[5]["subjects"].as_str()), ("", "60"));
}

#[test]
fn the_tables_of_studies_and_records_parse() {
    let site = Site::new();
    busy(&site, 2);
    let ledger = Ledger::open_read_only(&site.config().state.ledger()).unwrap();
    let (mut of_studies, mut of_records) = (Vec::new(), Vec::new());
    let accounts = ledger.accounts(&Window::default()).unwrap();
    studies(&accounts.studies, &mut of_studies).unwrap();
    records(&ledger, &Window::default(), &mut of_records).unwrap();
    let lines = |bytes: &[u8]| ::csv::Reader::from_reader(bytes).into_records().map(Result::unwrap).count() as u64;
    assert_eq!(lines(&of_studies), 3);
    assert_eq!(lines(&of_records), ledger.head().unwrap().0);
}

fn person(uid: u32, user: &str) -> bodies::desk::Person {
    bodies::desk::Person { uid, user: user.to_owned() }
}

#[test]
fn who_approved_stands_in_the_studys_own_block_and_tables_in_a_sentence_with_dates() {
    let site = Site::new();
    let custodian = custodian(&site, NOW);
    let request = site.request(&site.study());
    let policy = site.config().policy_version();
    let until = NOW.plus_secs(86_400);
    let note = Some("=fits the permit".to_owned());
    let approval = bodies::desk::Approval { by: person(101, "anna"), policy, until, note, seal: policy };
    let pause = bodies::desk::Pause { by: person(102, "bo"), reason: Some("an incident".to_owned()) };
    let ledger = Ledger::open(&site.config().state.ledger()).unwrap();
    let entries = [Entry::of_study(Kind::Approval, request.study.id(), &approval), Entry::of_site(Kind::Pause, &pause)];
    ledger.append(NOW, &entries[..1]).unwrap();
    custodian.round(&request);
    ledger.append(NOW, &entries[1..]).unwrap();
    let page = page(&site, Window::default());
    let article = page.split("<article").nth(1).unwrap();
    assert!(article.contains("approved by anna (user 101), until "), "{article}");
    assert!(page.contains("all answers stopped by bo (user 102), because: an incident"), "{page}");
    assert!(page.contains("known to the researcher as"), "{page}");
    assert!(!page.contains(&until.0.to_string()) && !page.contains("<dt>seal"), "{page}");
    let rows = cells_table(&site);
    assert!(!rows.is_empty());
    for row in rows {
        assert!(row["decided_by"].contains("anna (user 101)"), "{row:?}");
        assert_ne!(row["snapshot"], row["public_snapshot"]);
        assert!(!row["snapshot"].is_empty() && !row["public_snapshot"].is_empty(), "{row:?}");
    }
}

#[test]
fn two_permits_of_one_id_are_two_lines_and_one_that_was_taken_back_says_so() {
    let site = Site::new();
    site.require_permit();
    let custodian = custodian(&site, NOW);
    let other = Permit { nonce: "cd".repeat(16), ..site.permit() };
    let one = site.request_under(&titled(&site, "one", 1), &site.permit());
    let mut two = site.request_under(&titled(&site, "two", 2), &other);
    custodian.round(&one);
    two.revocations = Some(site.list(2, &[&one.study.permit.clone().unwrap()]));
    custodian.round(&two);
    let page = page(&site, Window::default());
    for signed in [&one.study.permit, &two.study.permit] {
        let digest = signed.as_ref().unwrap().digest().short();
        assert!(page.contains(&format!("<td><span class=\"id\">{digest}</span></td><td>Hearts</td>")), "{page}");
    }
    assert_eq!(page.matches("taken back on <").count(), 1, "{page}");
    assert!(page.contains("newly DK-1 ("), "{page}");
}

#[test]
fn a_page_that_was_compared_with_no_checkpoint_says_so_and_an_older_policy_is_named() {
    let site = Site::new();
    custodian(&site, NOW).round(&site.request(&site.study()));
    let before = page(&site, Window::default());
    assert!(before.contains("No checkpoint was compared") && !before.contains("today's is"), "{before}");
    site.edit_config("threshold = 11", "threshold = 12");
    assert!(page(&site, Window::default()).contains("(today's is"));
}

#[test]
fn a_spreadsheet_runs_nothing_that_a_stranger_wrote_and_numbers_stay_numbers() {
    for formula in ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1"] {
        assert_eq!(csv::plain(formula), format!("'{formula}"));
    }
    for harmless in ["-12.5", "7", "text", ""] {
        assert_eq!(csv::plain(harmless), harmless);
    }
}

#[test]
fn the_page_says_of_each_approval_whether_the_site_itself_made_it() {
    use crate::custodian::desk::Secret;
    use crate::custodian::ledger::bodies::desk::{Approval, Person};

    let site = Site::new();
    let custodian = custodian(&site, NOW);
    let request = site.request(&site.study());
    custodian.round(&request);
    let study = request.study.id();
    let key = read_release_key(&site.config().release_key_file).unwrap();
    let by = Person { uid: 7, user: "grace".to_owned() };
    let policy = site.config().policy_version();
    let forged = Approval { by, policy, until: NOW, note: None, seal: policy };
    let own = Approval { seal: Secret(&key).seal(&study, &forged), ..forged.clone() };
    let ledger = Ledger::open(&site.config().state.ledger()).unwrap();
    let words = |approval: &Approval| Entry::of_study(Kind::Approval, study, approval);
    ledger.append(NOW, &[words(&own), words(&forged)]).unwrap();
    let text = page(&site, Window::default());
    // In the table of decisions, and with the study.
    for (said, times) in [("seal checked: this site's own", 2), ("the seal is wrong, and it does not count", 2)] {
        assert_eq!(text.matches(said).count(), times, "{said}");
    }
    std::fs::remove_file(site.config().release_key_file).unwrap();
    assert_eq!(page(&site, Window::default()).matches("seal not checked").count(), 4);
}
