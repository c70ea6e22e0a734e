//! Answers given again: the same plan on the same snapshot, through a gate that is set the same, has one answer, and what left
//! once is not computed a second time. The ledger keeps it, so it outlives the process.
//!
//! It must never take what the ledger holds at its word: an answer counts only if its record is whole and the site's own key
//! signed it. Whatever is wrong with a record, the plan is computed as if there were none.

use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::trust::{SecretKey, SignedRelease};
use bocage_protocol::wire::codec;

use super::gate::{self, GatePolicy, Released};
use super::ledger::bodies;
use super::ledger::{Kind, Ledger, LedgerError, Record};
use crate::config::Mode;

/// The number of the engine's and the gate's rules. To be raised when the same tally or release would come out otherwise.
const RULES: u16 = 7;
/// The first of them that a model's pairs have a threshold of their own in.
const JOINT: u16 = 7;

/// What an answer depends on, and nothing else: not the study, not who asks.
pub(super) fn question(plan: &Digest, snapshot: &Digest, policy: &GatePolicy) -> Digest {
    under(RULES, plan, snapshot, policy)
}

/// Whether this was a plan's question to this snapshot under these thresholds, in whatever mode, by the rules of now or of an earlier version.
pub(super) fn was_of(question: &Digest, plan: &Digest, snapshot: &Digest, policy: GatePolicy) -> bool {
    let policies = || Mode::ALL.map(|(_, mode)| GatePolicy { mode, ..policy });
    (0..=RULES).rev().any(|rules| policies().iter().any(|policy| under(rules, plan, snapshot, policy) == *question))
}

fn under(rules: u16, plan: &Digest, snapshot: &Digest, policy: &GatePolicy) -> Digest {
    let GatePolicy { threshold, joint, mode } = policy;
    let joint = if rules < JOINT { &[][..] } else { &joint.to_be_bytes() };
    let settings = [&rules.to_be_bytes()[..], &threshold.to_be_bytes(), joint, mode.as_str().as_bytes()].concat();
    Digest::of("bocage/question/1", &[plan.as_bytes(), snapshot.as_bytes(), &settings])
}

/// An answer that left before.
pub(super) struct Before {
    /// The record of the release.
    pub seq: i64,
    /// What the gate had let out.
    pub released: Released,
}

/// The answer that this site gave to a question before, if it did.
///
/// # Errors
/// Where the ledger cannot be read.
pub(super) fn before(
    ledger: &Ledger,
    question: &Digest,
    plan: &Digest,
    key: &SecretKey,
) -> Result<Option<Before>, LedgerError> {
    let Some(record) = ledger.answer(question)? else { return Ok(None) };
    let seq = record.seq;
    let released = read(&record, question, plan, key);
    // Dropped bytes cannot leave again; exact answers are computed anew to the same numbers. A mode with noise would have to refuse here.
    if released.is_none() && ledger.dropped(seq)?.is_none() {
        tracing::warn!(
            record = seq,
            "a recorded answer cannot be used again; `bocage node ledger verify` looks closer"
        );
    }
    Ok(released.map(|released| Before { seq, released }))
}

fn read(record: &Record, question: &Digest, plan: &Digest, key: &SecretKey) -> Option<Released> {
    if record.kind() != Some(Kind::Release) || record.hash != record.expected_hash().to_string() {
        return None;
    }
    let body: bodies::Released = record.body()?;
    let part = body.parts.iter().position(|part| part.question == Some(*question))?;
    let signed: SignedRelease = codec::decode(record.payload.as_ref()?, limits::FRAME_BYTES).ok()?;
    gate::again(&signed, part, plan, key)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use bocage_protocol::release::{Outcome, Release};
    use bocage_protocol::trust::Study;
    use bocage_protocol::wire::message::Reply;
    use rusqlite::Connection;

    use super::super::ledger::bodies::Reservation;
    use super::super::{Custodian, Switches, data};
    use super::*;
    use crate::config::environment::read_release_key;
    use crate::fixture::{NOW, Site, Still};

    /// A custodian that counts its queries.
    fn counting(site: &Site) -> (Custodian, Arc<AtomicU32>) {
        let config = site.config();
        std::fs::create_dir_all(&config.state.0).unwrap();
        let ledger = Ledger::open(&config.state.ledger()).unwrap();
        let key = read_release_key(&config.release_key_file).unwrap();
        let queries = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&queries);
        let switches = Switches {
            before_query: Some(Arc::new(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            })),
            ..Switches::default()
        };
        let custodian = Custodian::new(config, ledger, key, Arc::new(Still(NOW)), Arc::new(|_| {}), switches);
        custodian.take_due_snapshots();
        (custodian, queries)
    }

    /// The same questions, asked by another study.
    fn study(site: &Site, nonce: u8) -> Study {
        Study { nonce: format!("{nonce:032x}"), ..site.study() }
    }

    fn ask(custodian: &Custodian, site: &Site, study: &Study) -> Release {
        let frame = custodian.round(&site.request(study));
        let Reply::Released(signed) = codec::decode(&frame, limits::FRAME_BYTES).unwrap() else { panic!("refused") };
        signed.verify(&custodian.release_key.public()).unwrap()
    }

    fn tables(release: &Release) -> Vec<Vec<u8>> {
        release.parts.iter().map(|part| codec::encode(&part.outcome).unwrap()).collect()
    }

    fn repeated(custodian: &Custodian, site: &Site, study: &Study) -> Vec<Option<i64>> {
        let id = site.request(study).study.id();
        let mut repeats = Vec::new();
        custodian
            .ledger
            .records(Some(&id), |r| repeats.extend(r.body::<Reservation>().into_iter().flat_map(|r| r.spend)))
            .unwrap();
        repeats.into_iter().map(|spend| spend.repeats).collect()
    }

    #[test]
    fn another_study_with_the_same_plans_gets_the_same_bytes_without_a_query_even_after_a_restart() {
        let site = Site::new();
        let (custodian, queries) = counting(&site);
        let first = ask(&custodian, &site, &study(&site, 1));
        assert_eq!(queries.load(Ordering::Relaxed), 2);
        drop(custodian);
        let (custodian, queries) = counting(&site);
        let second = ask(&custodian, &site, &study(&site, 2));
        assert_eq!(queries.load(Ordering::Relaxed), 0);
        assert_ne!(first.study, second.study);
        assert_eq!(tables(&first), tables(&second));
        assert!(second.parts.iter().all(|part| matches!(part.outcome, Outcome::Table(_))));
        let seq = repeated(&custodian, &site, &study(&site, 2));
        assert!(seq.len() == 2 && seq[0].is_some() && seq[0] == seq[1], "{seq:?}");
        assert_eq!(repeated(&custodian, &site, &study(&site, 1)), [None, None]);
        assert!(custodian.ledger.verify().unwrap().is_ok());
        assert_eq!(custodian.ledger.in_flight().unwrap(), None);
    }

    #[test]
    fn only_the_plan_that_is_new_is_computed() {
        let site = Site::new();
        let (custodian, queries) = counting(&site);
        let mut part = study(&site, 1);
        part.analyses.truncate(1);
        let one = ask(&custodian, &site, &part);
        let both = ask(&custodian, &site, &study(&site, 2));
        assert_eq!(queries.load(Ordering::Relaxed), 2);
        assert_eq!(tables(&one)[0], tables(&both)[0]);
    }

    #[test]
    fn nothing_is_used_again_over_a_new_snapshot_or_under_another_threshold() {
        let site = Site::new();
        let (custodian, queries) = counting(&site);
        let old = ask(&custodian, &site, &study(&site, 1));
        let text = std::fs::read_to_string(site.path("heart.csv")).unwrap();
        std::fs::write(site.path("heart.csv"), format!("{text}44,1,201\n")).unwrap();
        let dataset = &custodian.config.datasets["heart"];
        data::refresh(&custodian.config, &custodian.ledger, dataset, None, crate::ingest::Why::Refresh, NOW).unwrap();
        let new = ask(&custodian, &site, &study(&site, 2));
        assert_eq!(queries.load(Ordering::Relaxed), 4);
        assert_ne!(tables(&old), tables(&new));
        drop(custodian);
        site.edit_config("threshold = 11", "threshold = 12");
        let (custodian, queries) = counting(&site);
        ask(&custodian, &site, &study(&site, 3));
        assert_eq!(queries.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_question_is_known_again_in_either_mode_and_by_earlier_rules_but_not_under_another_threshold() {
        let [plan, snapshot, other] = ["plan", "snapshot", "other"].map(|name| Digest::of(name, &[]));
        for (_, mode) in Mode::ALL {
            let policy = GatePolicy { threshold: 5, joint: 3, mode };
            let asked = question(&plan, &snapshot, &policy);
            assert!(was_of(&asked, &plan, &snapshot, policy));
            assert!(was_of(&under(RULES - 1, &plan, &snapshot, &policy), &plan, &snapshot, policy));
            assert!(!was_of(&asked, &plan, &snapshot, GatePolicy { threshold: 6, ..policy }));
            assert!(!was_of(&asked, &plan, &snapshot, GatePolicy { joint: 5, ..policy }));
            assert!(was_of(&under(JOINT - 1, &plan, &snapshot, &policy), &plan, &snapshot, policy));
            assert!(!was_of(&asked, &plan, &other, policy));
            assert!(!was_of(&asked, &other, &snapshot, policy));
        }
    }

    #[test]
    fn a_record_that_was_altered_answers_nothing() {
        let site = Site::new();
        let (custodian, _) = counting(&site);
        let honest = ask(&custodian, &site, &study(&site, 1));
        drop(custodian);
        let file = Connection::open(site.config().state.ledger()).unwrap();
        let alter = "DROP TRIGGER record_no_update; UPDATE record SET payload = x'00' WHERE kind = 'release'";
        file.execute_batch(alter).unwrap();
        drop(file);
        let (custodian, queries) = counting(&site);
        let again = ask(&custodian, &site, &study(&site, 2));
        assert_eq!(queries.load(Ordering::Relaxed), 2);
        assert_eq!(tables(&honest), tables(&again));
    }

    #[test]
    fn a_release_of_another_key_answers_nothing() {
        let site = Site::new();
        let (custodian, _) = counting(&site);
        ask(&custodian, &site, &study(&site, 1));
        let mut release = None;
        custodian
            .ledger
            .records(None, |r| release = (r.kind() == Some(Kind::Release)).then_some(r).or(release.take()))
            .unwrap();
        let (record, other) = (release.unwrap(), SecretKey::generate(&mut bocage_net::env::SystemEntropy));
        let body: bodies::Released = record.body().unwrap();
        let signed: SignedRelease = codec::decode(record.payload.as_ref().unwrap(), limits::FRAME_BYTES).unwrap();
        let plan = signed.verify(&custodian.release_key.public()).unwrap().parts[0].plan;
        let question = body.parts[0].question.unwrap();
        assert!(read(&record, &question, &plan, &custodian.release_key).is_some());
        assert!(read(&record, &question, &plan, &other).is_none());
        assert!(read(&record, &question, &Digest::of("another", &[]), &custodian.release_key).is_none());
        assert!(read(&record, &Digest::of("another", &[]), &plan, &custodian.release_key).is_none());
    }
}
