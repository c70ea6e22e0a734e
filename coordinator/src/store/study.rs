//! Reading and writing studies. Each function is one transaction; what it returns is on the disk.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{Digest, SiteId, StudyId};
use bocage_protocol::limits;
use bocage_protocol::trust::{PublicKey, SignedPermit, SignedRelease, SignedStudy};
use bocage_protocol::wire::codec;
use rusqlite::{OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use super::checkpoint::witness;
use super::{Received, Recorded, ReleaseRecord, StoreError, StoreFile, StudyCounts, StudyRecord, WaitRecord};

type Result<T> = std::result::Result<T, StoreError>;

/// Rows about one site's waits in one round: a steward's message changes a few times, not more.
const WAITS: i64 = 100;

/// A row about a study in one of these, and no answer counts any more.
const CLOSING: [&str; 3] = ["deadlines", "results", "cancellations"];

impl StoreFile {
    /// Records a study that was accepted. If it is there already, that record stands.
    pub fn accept(&mut self, signed: &SignedStudy, accepted_at: Timestamp, answer_by: Timestamp) -> Result<Recorded> {
        let signature = String::from(signed.signature);
        let sites = serde_json::to_string(&signed.sites).map_err(|_| StoreError::Damaged("a list of sites"))?;
        let permit = signed.permit.as_ref().map(SignedPermit::to_text);
        let sql = "insert or ignore into studies (id, study, signature, sites, permit, accepted_at, answer_by)
             values (?, ?, ?, ?, ?, ?, ?)";
        let id = signed.id().to_string();
        let rows =
            self.db.execute(sql, params![id, signed.study, signature, sites, permit, accepted_at.0, answer_by.0])?;
        Ok(recorded(rows))
    }

    /// Records a site's release in a round, while the study takes answers.
    pub fn add_release(&mut self, received: &Received) -> Result<Recorded> {
        Ok(self.add_releases(&[received])?.pop().unwrap_or(Recorded::TooLate))
    }

    /// [`StoreFile::add_release`] for several at once: all of them are written, or none.
    pub fn add_releases(&mut self, releases: &[&Received]) -> Result<Vec<Recorded>> {
        let db = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Many are of one study: whether that takes answers is asked once.
        let mut studies: HashMap<StudyId, (String, bool)> = HashMap::new();
        let mut add = |received: &&Received| {
            // Whether the answer still counts or not, it tells of the site's ledger.
            witness(&db, &received.ledger)?;
            let study = received.study;
            let (id, closed) = match studies.entry(study) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let id = study.to_string();
                    let closed = has_any(&db, &CLOSING, &id)?;
                    new.insert((id, closed))
                }
            };
            if *closed {
                return Ok(Recorded::TooLate);
            }
            let signed = codec::encode(&received.signed).map_err(|_| StoreError::Damaged("a release"))?;
            Ok(recorded(insert_release(&db, id, &received.record, &signed)?))
        };
        let added = releases.iter().map(&mut add).collect::<Result<_>>()?;
        db.commit()?;
        Ok(added)
    }

    /// Records that a site has finally said no, while the study takes answers.
    pub fn add_refusal(&mut self, study: StudyId, site: &SiteId, reason: &PublicError) -> Result<Recorded> {
        let reason = serde_json::to_string(reason).map_err(|_| StoreError::Damaged("a refusal"))?;
        self.while_open(study, |db| {
            let sql = "insert or ignore into refusals (study, site, reason) values (?, ?, ?)";
            db.execute(sql, params![study.to_string(), site.as_str(), reason])
        })
    }

    /// Records what a site said while it let a round wait, or that it waits no more, while the study takes answers. What it said last is not
    /// recorded again, and of what changes all the time the first `WAITS` are.
    pub fn add_wait(
        &mut self,
        study: StudyId,
        site: &SiteId,
        round: u16,
        at: Timestamp,
        reason: Option<&PublicError>,
    ) -> Result<Recorded> {
        let reason = reason.map(serde_json::to_string).transpose().map_err(|_| StoreError::Damaged("a wait"))?;
        self.while_open(study, |db| {
            let key = params![study.to_string(), site.as_str(), round];
            let sql = "select number, reason from waits where study = ? and site = ? and round = ?
                 order by number desc limit 1";
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?));
            let last = db.query_row(sql, key, read).optional()?;
            let (number, said) = last.unwrap_or((0, None));
            if said == reason || (said.is_some() && reason.is_some() && number >= WAITS) {
                return Ok(0);
            }
            let sql = "insert into waits (study, site, round, number, at, reason) values (?, ?, ?, ?, ?, ?)";
            db.execute(sql, params![study.to_string(), site.as_str(), round, number + 1, at.0, reason])
        })
    }

    /// Decides that the deadline has passed: sites that have not answered are missing.
    pub fn decide_deadline(&mut self, study: StudyId, at: Timestamp) -> Result<Recorded> {
        self.while_open(study, |db| {
            let sql = "insert into deadlines (study, decided_at) values (?, ?)";
            db.execute(sql, params![study.to_string(), at.0])
        })
    }

    /// Cancels a study that is not published.
    pub fn cancel(&mut self, study: StudyId, at: Timestamp) -> Result<Recorded> {
        self.unless(&["results", "cancellations"], study, |db| {
            let sql = "insert into cancellations (study, cancelled_at) values (?, ?)";
            db.execute(sql, params![study.to_string(), at.0])?;
            close(db, study)
        })
    }

    /// Publishes a study that is not cancelled. A result that stands is never replaced.
    pub fn publish(&mut self, study: StudyId, at: Timestamp, result: &str) -> Result<Recorded> {
        self.unless(&["results", "cancellations"], study, |db| {
            let sql = "insert into results (study, published_at, result) values (?, ?, ?)";
            db.execute(sql, params![study.to_string(), at.0, result])?;
            close(db, study)
        })
    }

    /// The published result, exactly as it was published.
    pub fn result(&mut self, study: StudyId) -> Result<Option<String>> {
        let sql = "select result from results where study = ?";
        Ok(self.db.query_row(sql, [study.to_string()], |row| row.get(0)).optional()?)
    }

    /// The releases of these sites in a round, exactly as received.
    pub fn releases(&mut self, study: StudyId, round: u16, sites: &[SiteId]) -> Result<Vec<(SiteId, SignedRelease)>> {
        let sql = "select signed from releases where study = ? and site = ? and round = ?";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut releases = Vec::new();
        for site in sites {
            let mut rows = statement.query(params![study.to_string(), site.as_str(), round])?;
            if let Some(row) = rows.next()? {
                let signed = codec::decode(row.get_ref(0)?.as_blob().unwrap_or_default(), limits::FRAME_BYTES);
                releases.push((site.clone(), signed.map_err(|_| StoreError::Damaged("a release"))?));
            }
        }
        Ok(releases)
    }

    /// The receipts of what each site released, round by round. Releases are read one after another: together they may be large.
    pub fn receipts(&mut self, study: StudyId) -> Result<BTreeMap<SiteId, Vec<Digest>>> {
        let sql = "select site, signed from releases where study = ? order by site, round";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([study.to_string()])?;
        let mut receipts: BTreeMap<SiteId, Vec<Digest>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let signed = codec::decode(row.get_ref(1)?.as_blob().unwrap_or_default(), limits::FRAME_BYTES);
            let signed: SignedRelease = signed.map_err(|_| StoreError::Damaged("a release"))?;
            receipts.entry(site_of(row.get(0)?)?).or_default().push(signed.receipt());
        }
        Ok(receipts)
    }

    /// A study with all that is recorded of it.
    pub fn study(&mut self, id: StudyId) -> Result<Option<StudyRecord>> {
        let found = self.select("where s.id = ?", &[&id.to_string()])?;
        found.into_iter().next().map(|study| self.complete(study)).transpose()
    }

    /// All studies, latest first, at most `limit`.
    pub fn studies(&mut self, limit: usize) -> Result<Vec<StudyRecord>> {
        let found = self.select("order by s.position desc limit ?", &[&(limit as i64)])?;
        found.into_iter().map(|study| self.complete(study)).collect()
    }

    /// The ids of studies that are neither published nor cancelled, in the order of acceptance.
    pub fn unfinished(&mut self) -> Result<Vec<StudyId>> {
        let sql = "select id from studies where closed = 0 order by position";
        let mut statement = self.db.prepare_cached(sql)?;
        let ids = statement.query_map([], |row| row.get::<_, String>(0))?;
        ids.map(|id| id?.parse().map_err(|_| StoreError::Damaged("a study id"))).collect()
    }

    /// How many studies there are.
    pub fn counts(&mut self) -> Result<StudyCounts> {
        let count = |sql: &str| -> Result<u64> {
            let count: i64 = self.db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        };
        Ok(StudyCounts {
            open: count("select count(*) from studies where closed = 0")?,
            published: count("select count(*) from results")?,
            cancelled: count("select count(*) from cancellations")?,
        })
    }

    /// How many of the unfinished studies a researcher signed.
    pub fn open_of(&mut self, researcher: &PublicKey) -> Result<usize> {
        let sql = "select count(*) from studies where closed = 0 and json_extract(study, '$.researcher') = ?";
        let count: i64 = self.db.prepare_cached(sql)?.query_row([researcher.to_string()], |row| row.get(0))?;
        usize::try_from(count).map_err(|_| StoreError::Damaged("a number of studies"))
    }

    /// Writes unless a deadline was decided, a result published or the study cancelled.
    pub(super) fn while_open(
        &mut self,
        study: StudyId,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<usize>,
    ) -> Result<Recorded> {
        self.unless(&CLOSING, study, write)
    }

    /// Writes unless one of these tables has a row about the study.
    fn unless(
        &mut self,
        tables: &[&str],
        study: StudyId,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<usize>,
    ) -> Result<Recorded> {
        let id = study.to_string();
        let db = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if has_any(&db, tables, &id)? {
            return Ok(Recorded::TooLate);
        }
        let rows = write(&db)?;
        db.commit()?;
        Ok(recorded(rows))
    }

    fn select(&mut self, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<StudyRecord>> {
        let sql = format!(
            "select s.id, s.study, s.signature, s.sites, s.accepted_at,
             coalesce((select max(n.answer_by) from rounds n where n.study = s.id), s.answer_by), d.decided_at, c.cancelled_at,
             r.published_at, s.permit
             from studies s left join deadlines d on d.study = s.id left join cancellations c on c.study = s.id
             left join results r on r.study = s.id {clause}"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query(params)?;
        let mut studies = Vec::new();
        while let Some(row) = rows.next()? {
            studies.push(study_of(row)?);
        }
        Ok(studies)
    }

    fn complete(&mut self, mut study: StudyRecord) -> Result<StudyRecord> {
        let id = study.id.to_string();
        let sql = "select site, round, reply_bytes, round_trip_us, snapshot, snapshot_at from releases
             where study = ? order by site, round";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([&id])?;
        while let Some(row) = rows.next()? {
            study.releases.push(release_of(row)?);
        }
        let sql = "select site, reason from refusals where study = ? order by site";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([&id])?;
        while let Some(row) = rows.next()? {
            let reason: String = row.get(1)?;
            let reason = serde_json::from_str(&reason).map_err(|_| StoreError::Damaged("a refusal"))?;
            study.refusals.push((site_of(row.get(0)?)?, reason));
        }
        let sql = "select site, round, at, reason from waits where study = ? order by site, round, number";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([&id])?;
        while let Some(row) = rows.next()? {
            let reason: Option<String> = row.get(3)?;
            let reason = reason.map(|reason| serde_json::from_str(&reason)).transpose();
            study.waits.push(WaitRecord {
                site: site_of(row.get(0)?)?,
                round: row.get(1)?,
                at: Timestamp(row.get(2)?),
                reason: reason.map_err(|_| StoreError::Damaged("a wait"))?,
            });
        }
        Ok(study)
    }
}

/// In the transaction that publishes or cancels.
fn close(db: &Transaction<'_>, study: StudyId) -> rusqlite::Result<usize> {
    db.execute("update studies set closed = 1 where id = ?", [study.to_string()])
}

fn recorded(rows: usize) -> Recorded {
    if rows == 0 { Recorded::TooLate } else { Recorded::Yes }
}

fn insert_release(
    db: &Transaction<'_>,
    study: &str,
    release: &ReleaseRecord,
    signed: &[u8],
) -> rusqlite::Result<usize> {
    let sql =
        "insert or ignore into releases (study, site, round, signed, reply_bytes, round_trip_us, snapshot, snapshot_at)
         values (?, ?, ?, ?, ?, ?, ?, ?)";
    db.prepare_cached(sql)?.execute(params![
        study,
        release.site.as_str(),
        release.round,
        signed,
        release.reply_bytes as i64,
        release.round_trip_us as i64,
        release.snapshot.to_string(),
        release.snapshot_at.0,
    ])
}

fn has_any(db: &Transaction<'_>, tables: &[&str], study: &str) -> rusqlite::Result<bool> {
    let has = |table: &str| {
        let sql = format!("select exists (select 1 from {table} where study = ?)");
        db.prepare_cached(&sql)?.query_row([study], |row| row.get(0))
    };
    tables.iter().try_fold(false, |found, table| Ok(found || has(table)?))
}

fn study_of(row: &Row<'_>) -> Result<StudyRecord> {
    let time = |at: usize| Ok::<_, StoreError>(row.get::<_, Option<i64>>(at)?.map(Timestamp));
    Ok(StudyRecord {
        id: row.get::<_, String>(0)?.parse().map_err(|_| StoreError::Damaged("a study id"))?,
        signed: SignedStudy {
            study: row.get(1)?,
            signature: row.get::<_, String>(2)?.try_into().map_err(|_| StoreError::Damaged("a signature"))?,
            sites: serde_json::from_str(&row.get::<_, String>(3)?)
                .map_err(|_| StoreError::Damaged("a list of sites"))?,
            permit: row
                .get::<_, Option<String>>(9)?
                .map(|text| SignedPermit::from_text(&text))
                .transpose()
                .map_err(|_| StoreError::Damaged("a permit"))?,
        },
        accepted_at: Timestamp(row.get(4)?),
        answer_by: Timestamp(row.get(5)?),
        decided_at: time(6)?,
        cancelled_at: time(7)?,
        published_at: time(8)?,
        releases: vec![],
        refusals: vec![],
        waits: vec![],
    })
}

fn release_of(row: &Row<'_>) -> Result<ReleaseRecord> {
    Ok(ReleaseRecord {
        site: site_of(row.get(0)?)?,
        round: row.get(1)?,
        reply_bytes: row.get::<_, i64>(2)?.unsigned_abs(),
        round_trip_us: row.get::<_, i64>(3)?.unsigned_abs(),
        snapshot: row.get::<_, String>(4)?.parse().map_err(|_| StoreError::Damaged("a snapshot's name"))?,
        snapshot_at: Timestamp(row.get(5)?),
    })
}

fn site_of(text: String) -> Result<SiteId> {
    text.try_into().map_err(|_| StoreError::Damaged("a site id"))
}

#[cfg(test)]
mod tests {
    use bocage_protocol::error::ErrorCode;
    use bocage_protocol::trust::{Named, Signature};

    use super::*;
    use crate::bench::witnessed;

    fn signature() -> Signature {
        Signature::try_from(format!("{}==", "A".repeat(86))).unwrap()
    }

    fn study(text: &str) -> SignedStudy {
        SignedStudy { study: text.to_owned(), signature: signature(), sites: Named::All(vec![]), permit: None }
    }

    fn release(study: StudyId, site: &str) -> Received {
        let record = ReleaseRecord {
            site: site.parse().unwrap(),
            round: 0,
            reply_bytes: 300,
            round_trip_us: 1500,
            snapshot: Digest::of("snapshot", &[]),
            snapshot_at: Timestamp(1),
        };
        let (signed, ledger) = witnessed(vec![0, 255, 7], &record.site);
        Received { study, record, signed, ledger }
    }

    fn open(dir: &tempfile::TempDir) -> StoreFile {
        StoreFile::open(dir.path()).unwrap()
    }

    #[test]
    fn what_was_received_reads_back_exactly_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let signed = study("{\"é\":1}");
        let received = release(signed.id(), "hungary");
        let refusal = PublicError::new(ErrorCode::PolicyRefused, "no").hint("ask");
        let mut store = open(&dir);
        assert_eq!(store.accept(&signed, Timestamp(5), Timestamp(9)).unwrap(), Recorded::Yes);
        assert_eq!(store.accept(&signed, Timestamp(6), Timestamp(10)).unwrap(), Recorded::TooLate);
        store.add_release(&received).unwrap();
        store.add_refusal(signed.id(), &"cleveland".parse().unwrap(), &refusal).unwrap();
        drop(store);
        let mut store = open(&dir);
        let found = store.study(signed.id()).unwrap().unwrap();
        assert_eq!((found.accepted_at, found.answer_by), (Timestamp(5), Timestamp(9)));
        assert_eq!(found.signed, signed);
        assert_eq!(found.releases, [received.record]);
        assert_eq!(found.refusals, [("cleveland".parse().unwrap(), refusal)]);
        let hungary: SiteId = "hungary".parse().unwrap();
        let both = [hungary.clone(), "basel".parse().unwrap()];
        let receipts = BTreeMap::from([(hungary.clone(), vec![received.signed.receipt()])]);
        assert_eq!(store.receipts(signed.id()).unwrap(), receipts);
        assert_eq!(store.releases(signed.id(), 0, &both).unwrap(), [(hungary, received.signed)]);
        assert_eq!((found.version(), found.is_open()), (3, true));
        assert_eq!(store.unfinished().unwrap(), [signed.id()]);
    }

    #[test]
    fn an_answer_after_the_deadline_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let signed = study("{}");
        let mut store = open(&dir);
        store.accept(&signed, Timestamp(5), Timestamp(9)).unwrap();
        assert_eq!(store.decide_deadline(signed.id(), Timestamp(9)).unwrap(), Recorded::Yes);
        let received = release(signed.id(), "hungary");
        assert_eq!(store.add_release(&received).unwrap(), Recorded::TooLate);
        assert_eq!(store.decide_deadline(signed.id(), Timestamp(10)).unwrap(), Recorded::TooLate);
        let found = store.study(signed.id()).unwrap().unwrap();
        assert_eq!((found.releases.len(), found.decided_at), (0, Some(Timestamp(9))));
    }

    #[test]
    fn what_a_waiting_site_says_is_recorded_when_it_changes_and_until_it_answers() {
        let dir = tempfile::tempdir().unwrap();
        let signed = study("{}");
        let (id, site): (StudyId, SiteId) = (signed.id(), "hungary".parse().unwrap());
        let said = |n: i64| PublicError::new(ErrorCode::ApprovalPending, format!("later {n}"));
        let mut store = open(&dir);
        store.accept(&signed, Timestamp(5), Timestamp(9)).unwrap();
        let mut add = |at, reason: Option<&PublicError>| store.add_wait(id, &site, 0, Timestamp(at), reason).unwrap();
        assert_eq!(add(5, None), Recorded::TooLate, "it did not wait");
        assert_eq!(add(6, Some(&said(1))), Recorded::Yes);
        assert_eq!(add(7, Some(&said(1))), Recorded::TooLate, "it says the same");
        assert_eq!(add(8, Some(&said(2))), Recorded::Yes);
        drop(store);
        let mut store = open(&dir);
        let found = store.study(id).unwrap().unwrap();
        assert_eq!(found.waiting(0).get(&site), Some(&(Timestamp(6), &said(2))));
        assert!(found.waiting(1).is_empty());
        assert_eq!(found.version(), 3);
        store.add_wait(id, &site, 0, Timestamp(9), None).unwrap();
        assert!(store.study(id).unwrap().unwrap().waiting(0).is_empty());
        for n in 0..2 * WAITS {
            store.add_wait(id, &site, 0, Timestamp(10), Some(&said(n))).unwrap();
        }
        assert_eq!(store.study(id).unwrap().unwrap().waits.len() as i64, WAITS);
        store.add_release(&release(id, "hungary")).unwrap();
        assert!(store.study(id).unwrap().unwrap().waiting(0).is_empty());
    }

    #[test]
    fn a_study_publishes_once_and_is_not_cancelled_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let signed = study("{}");
        let mut store = open(&dir);
        store.accept(&signed, Timestamp(5), Timestamp(9)).unwrap();
        assert_eq!(store.publish(signed.id(), Timestamp(7), "first").unwrap(), Recorded::Yes);
        assert_eq!(store.publish(signed.id(), Timestamp(8), "second").unwrap(), Recorded::TooLate);
        assert_eq!(store.cancel(signed.id(), Timestamp(8)).unwrap(), Recorded::TooLate);
        assert_eq!(store.result(signed.id()).unwrap().as_deref(), Some("first"));
        assert!(store.unfinished().unwrap().is_empty());
    }

    #[test]
    fn a_cancelled_study_is_never_published() {
        let dir = tempfile::tempdir().unwrap();
        let signed = study("{}");
        let mut store = open(&dir);
        store.accept(&signed, Timestamp(5), Timestamp(9)).unwrap();
        assert_eq!(store.cancel(signed.id(), Timestamp(6)).unwrap(), Recorded::Yes);
        assert_eq!(store.publish(signed.id(), Timestamp(8), "x").unwrap(), Recorded::TooLate);
        assert_eq!(store.studies(10).unwrap()[0].cancelled_at, Some(Timestamp(6)));
    }
}
