//! A ledger that is an older copy of itself, however it came there, and what a person's word about it does.

use bocage_keep::seal::{Identities, Recipient, generate};
use bocage_protocol::trust::{KeptCheckpoints, SecretKey, SignedCheckpoint};

use super::super::super::ledger::bodies::restored::Accepted;
use super::*;
use crate::backup;
use crate::config::Config;

/// A site that keeps itself, and goes on.
struct Kept {
    site: Site,
    to: Recipient,
    with: Identities,
    clock: Arc<Moved>,
}

impl Kept {
    fn new() -> Self {
        let site = Site::new();
        let key = site.path("backup.key");
        let to = generate(&key).unwrap();
        let clock = Arc::new(Moved(AtomicI64::new(0)));
        Self { to, with: Identities::read(&key).unwrap(), site, clock }
    }

    fn custodian(&self) -> Custodian {
        let config = self.site.config();
        std::fs::create_dir_all(&config.state.0).unwrap();
        let ledger = Ledger::open(&config.state.ledger()).unwrap();
        let key = read_release_key(&config.release_key_file).unwrap();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let custodian = Custodian::new(config, ledger, key, clock, Arc::new(|_| {}), Switches::default());
        custodian.take_due_snapshots();
        custodian
    }

    fn keep(&self) {
        let (config, origin) = (Config::load(&self.site.origin()).unwrap(), self.site.origin());
        let to = self.site.path("kept.age");
        let kept = backup::backup(&config, &origin, &to, std::slice::from_ref(&self.to), false, NOW).unwrap();
        assert!(kept.records.unwrap() > 0);
    }

    fn restore(&self) -> backup::Restored {
        let now = self.clock.now();
        backup::restore(&self.site.path("kept.age"), &self.with, self.site.dir.path(), true, false, now).unwrap()
    }

    /// The request for a study that was signed now.
    fn asks(&self, nonce: char) -> RoundRequest {
        let issued_at = self.clock.now();
        let mut study = other(&self.site, nonce);
        study.expires_at = Timestamp(study.expires_at.0 + issued_at.since_ms(study.issued_at));
        study.issued_at = issued_at;
        self.site.request(&study)
    }

    fn passes(&self, secs: i64) {
        self.clock.0.fetch_add(secs, Ordering::SeqCst);
    }
}

fn checkpoint(frame: &[u8]) -> SignedCheckpoint {
    match reply(frame) {
        Reply::Released(signed) => signed.ledger,
        other => panic!("{other:?}"),
    }
}

fn accept(custodian: &Custodian, known: &[&SignedCheckpoint], knowing: bool) -> Answer {
    let kept = |newest: &&SignedCheckpoint| KeptCheckpoints { newest: (*newest).clone(), contradiction: None };
    custodian.command(person(7), Command::AcceptRestored { checkpoints: known.iter().map(kept).collect(), knowing })
}

fn accepted(answer: Answer) -> Accepted {
    match answer {
        Answer::Accepted(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_from_an_older_backup_waits_for_a_word_and_answers_no_study_with_other_bytes_than_before() {
    let kept = Kept::new();
    let (first, second) = (kept.asks('a'), kept.asks('b'));
    let before = kept.custodian();
    let answer = before.round(&first);
    kept.passes(60);
    kept.keep();
    let lost = checkpoint(&before.round(&second));
    drop(before);
    kept.passes(60);
    assert_eq!(kept.restore().manifest.about.site.as_deref(), Some("cleveland"));

    let custodian = kept.custodian();
    assert_eq!(waits(&custodian.round(&first)).code, ErrorCode::Paused, "an older coordinator knows no other word");
    assert_eq!(reply(&custodian.witness(std::slice::from_ref(&lost))), Reply::Witnessed);
    for request in [&first, &second] {
        assert_eq!(waits(&custodian.round(request)).code, ErrorCode::LedgerRestored);
    }
    assert!(
        failed(accept(&custodian, &[&lost], false)).contains("was put in its place"),
        "more is missing than was said"
    );
    assert!(failed(accept(&custodian, &[], false)).contains("was put in its place"));
    assert_eq!(waits(&custodian.round(&first)).code, ErrorCode::LedgerRestored);
    let word = accepted(accept(&custodian, &[&lost], true));
    assert!(word.lost && word.compared.as_ref() == Some(&lost.checkpoint));
    assert!(failed(accept(&custodian, &[], true)).contains("does not wait"));

    assert_eq!(custodian.round(&first), answer, "what the ledger has leaves as it left");
    assert_eq!(
        refusal(&custodian.round(&second)),
        ErrorCode::LedgerRestored,
        "it was answered in the time that is lost"
    );
    kept.passes(60);
    assert!(released(&custodian.round(&kept.asks('c'))), "what is signed now is answered");
    assert_eq!(reply(&custodian.witness(&[lost])), Reply::Witnessed);
    assert!(released(&custodian.round(&kept.asks('d'))), "what was accepted is not asked about again");
    assert!(custodian.ledger.verify().unwrap().is_ok());
}

#[test]
fn a_node_from_a_backup_that_has_everything_goes_on_with_all_studies_after_the_checkpoint_was_compared() {
    let kept = Kept::new();
    let before = kept.custodian();
    let last = checkpoint(&before.round(&kept.asks('a')));
    let waiting = kept.asks('b');
    kept.passes(60);
    kept.keep();
    drop(before);
    kept.restore();
    let custodian = kept.custodian();
    custodian.witness(std::slice::from_ref(&last));
    assert_eq!(waits(&custodian.round(&waiting)).code, ErrorCode::LedgerRestored, "also where nothing is missing");
    assert!(!accepted(accept(&custodian, &[&last], false)).lost);
    assert!(released(&custodian.round(&waiting)));
}

#[test]
fn a_ledger_that_was_put_back_by_other_means_is_known_by_the_coordinators_checkpoint_also_a_second_time() {
    let kept = Kept::new();
    let ledger = kept.site.config().state.ledger();
    let custodian = kept.custodian();
    custodian.round(&kept.asks('a'));
    drop(custodian);
    let old = std::fs::read(&ledger).unwrap();
    let mut lost = Vec::new();
    for nonces in ["bc", "de"] {
        let custodian = kept.custodian();
        for nonce in nonces.chars() {
            kept.passes(60);
            lost.push(checkpoint(&custodian.round(&kept.asks(nonce))));
        }
        custodian.witness(&lost[lost.len() - 1..]);
        assert!(released(&custodian.round(&kept.asks(nonces.chars().next().unwrap()))), "all is there");
        drop(custodian);
        std::fs::write(&ledger, &old).unwrap();
        let custodian = kept.custodian();
        assert!(released(&custodian.round(&kept.asks('f'))), "by itself it cannot tell");
        custodian.witness(&lost);
        assert_eq!(waits(&custodian.round(&kept.asks('f'))).code, ErrorCode::LedgerRestored);
        kept.passes(60);
        assert!(accepted(accept(&custodian, &[], true)).lost);
        drop(custodian);
        // The second time it loses the acceptance, too.
        let _ = std::fs::remove_file(&ledger);
        std::fs::write(&ledger, &old).unwrap();
    }
}

#[test]
fn nobody_stops_a_site_by_a_checkpoint_that_it_did_not_sign_or_starts_it_by_a_line_in_its_ledger() {
    let kept = Kept::new();
    let custodian = kept.custodian();
    let own = checkpoint(&custodian.round(&kept.asks('a')));
    let mut more = own.checkpoint.clone();
    more.records += 100;
    let forged = SignedCheckpoint { checkpoint: more.clone(), ..own.clone() };
    let (sign, stranger) = (SignedCheckpoint::sign, SecretKey::generate(&mut bocage_net::env::SystemEntropy));
    let of_another = sign(more, &stranger).unwrap();
    assert_eq!(reply(&custodian.witness(&[forged.clone(), of_another, own.clone()])), Reply::Witnessed);
    assert!(released(&custodian.round(&kept.asks('b'))));
    assert!(failed(accept(&custodian, &[&own], false)).contains("does not wait"));

    kept.keep();
    drop(custodian);
    kept.restore();
    let custodian = kept.custodian();
    let ends = 1 + kinds(&custodian).iter().position(|kind| kind == "restored").unwrap() as i64;
    let seal = Digest::from_bytes([7; 32]);
    let planted = Accepted { by: person(7), ends, at: NOW, lost: false, compared: None, seal };
    custodian.ledger.append(NOW, &[Entry::of_site(Kind::Accepted, &planted)]).unwrap();
    assert_eq!(waits(&custodian.round(&kept.asks('c'))).code, ErrorCode::Paused);
    assert!(failed(accept(&custodian, &[&forged], true)).contains("not this site's"));
    accepted(accept(&custodian, &[&own], false));
    assert!(released(&custodian.round(&kept.asks('c'))));
}

#[test]
fn a_restored_node_has_its_keys_contracts_and_opt_outs_and_a_running_one_is_never_replaced() {
    let kept = Kept::new();
    let custodian = kept.custodian();
    std::fs::create_dir_all(kept.site.config().state.optouts()).unwrap();
    std::fs::write(kept.site.config().state.optouts().join("heart.json"), "groups").unwrap();
    kept.keep();
    let into = kept.site.path("elsewhere");
    let restored = backup::restore(&kept.site.path("kept.age"), &kept.with, &into, false, false, NOW).unwrap();
    for name in [
        "node.toml",
        "release.key",
        "site.key",
        "site.pem",
        "ca.pem",
        "contracts/heart.toml",
        "state/optouts/heart.json",
    ] {
        let read = |base: &std::path::Path| std::fs::read(base.join(name)).unwrap();
        assert_eq!(read(&into), read(kept.site.dir.path()), "{name}");
    }
    assert!(!into.join("heart.csv").exists() && !into.join("state/snapshots").exists(), "no patient's row is in it");
    assert_eq!(restored.config, into.join("node.toml"));
    drop(custodian);
    let lock = std::fs::File::create(kept.site.config().state.lock()).unwrap();
    lock.lock().unwrap();
    let error =
        backup::restore(&kept.site.path("kept.age"), &kept.with, kept.site.dir.path(), true, false, NOW).unwrap_err();
    assert!(matches!(error, backup::RestoreError::Running(_)), "{error}");
}
