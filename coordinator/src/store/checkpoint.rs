//! What the sites' ledgers said of themselves: the newest checkpoint of each, and the first two that one ledger cannot both have had.
//!
//! It must never forget a contradiction: a ledger that was cut off grows past the number at which that could be seen. A release of such a ledger counts
//! all the same: the site signed it, and whether the site may answer is said at the site. What is remembered is told to it with each session.

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::SiteId;
use bocage_protocol::trust::{Contradiction, KeptCheckpoints, PublicKey, SignedCheckpoint};
use rusqlite::{Connection, Row, params};

use super::{StoreError, StoreFile};

/// The table.
pub(super) const TABLE: &str = "
    create table checkpoints (
        site text primary key,
        -- The site's release key. A site with a new one begins anew.
        key text not null,
        newest text not null,
        known text,
        came text,
        noticed_at integer
    ) strict, without rowid;
";

/// A checkpoint that came with a verified release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The site's release key, which signed it.
    pub key: PublicKey,
    /// It.
    pub checkpoint: SignedCheckpoint,
    /// When it came.
    pub at: Timestamp,
}

impl StoreFile {
    /// What is known of a site's ledger.
    pub fn checkpoints(&mut self, site: &SiteId) -> Result<Option<KeptCheckpoints>, StoreError> {
        Ok(read(&self.db, site)?.map(|(_, kept)| kept))
    }

    /// Why sites' ledgers cannot be trusted, where that was noticed.
    pub fn ledger_warnings(&mut self) -> Result<Vec<(SiteId, String)>, StoreError> {
        let sql = "select site, newest, known, came, noticed_at from checkpoints where came is not null";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut warnings = Vec::new();
        while let Some(row) = rows.next()? {
            let site: SiteId = row.get::<_, String>(0)?.try_into().map_err(|_| StoreError::Damaged("a site id"))?;
            warnings.extend(kept(row)?.contradiction.map(|c| (site, words(&c))));
        }
        Ok(warnings)
    }
}

/// What a contradiction says, in a line.
fn words(of: &Contradiction) -> String {
    let (known, came) = (&of.known.checkpoint, &of.came.checkpoint);
    let why = came.contradicts(known).unwrap_or("the ledger is another one than before");
    format!(
        "{why}: {} records at {}, then {} at {}; noticed {}",
        known.records, known.at, came.records, came.at, of.noticed_at
    )
}

/// Takes note of a checkpoint, within the transaction that records its release.
pub(super) fn witness(db: &Connection, witnessed: &Witnessed) -> Result<(), StoreError> {
    let came = &witnessed.checkpoint;
    let site = &came.checkpoint.site;
    let before = read(db, site)?.filter(|(key, _)| *key == witnessed.key.to_string()).map(|(_, kept)| kept);
    let mut contradiction = before.as_ref().and_then(|kept| kept.contradiction.clone());
    if let Some(known) = before.as_ref().map(|kept| &kept.newest)
        && came.checkpoint.contradicts(&known.checkpoint).is_some()
    {
        let found = Contradiction { known: known.clone(), came: came.clone(), noticed_at: witnessed.at };
        tracing::warn!(%site, what = words(&found), "a site's ledger contradicts itself; `bocage node ledger verify --checkpoint` there looks closer");
        contradiction.get_or_insert(found);
    }
    // One that was overtaken says of itself that it is older. One that is shorter and later stands: the ledger goes on from there.
    let overtaken = |known: &SignedCheckpoint| {
        known.checkpoint.records > came.checkpoint.records && known.checkpoint.at >= came.checkpoint.at
    };
    let newest = before.map(|kept| kept.newest).filter(overtaken).unwrap_or_else(|| came.clone());
    let (known, second) = (contradiction.as_ref().map(|c| &c.known), contradiction.as_ref().map(|c| &c.came));
    let sql =
        "insert or replace into checkpoints (site, key, newest, known, came, noticed_at) values (?, ?, ?, ?, ?, ?)";
    db.prepare_cached(sql)?.execute(params![
        site.as_str(),
        witnessed.key.to_string(),
        text(&newest)?,
        known.map(text).transpose()?,
        second.map(text).transpose()?,
        contradiction.as_ref().map(|c| c.noticed_at.0),
    ])?;
    Ok(())
}

fn read(db: &Connection, site: &SiteId) -> Result<Option<(String, KeptCheckpoints)>, StoreError> {
    let sql = "select key, newest, known, came, noticed_at from checkpoints where site = ?";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([site.as_str()])?;
    match rows.next()? {
        Some(row) => Ok(Some((row.get(0)?, kept(row)?))),
        None => Ok(None),
    }
}

/// From the columns 1 to 4.
fn kept(row: &Row<'_>) -> Result<KeptCheckpoints, StoreError> {
    let checkpoint = |text: String| -> Result<SignedCheckpoint, StoreError> {
        serde_json::from_str(&text).map_err(|_| StoreError::Damaged("a checkpoint"))
    };
    let both = row.get::<_, Option<String>>(2)?.zip(row.get(3)?).zip(row.get(4)?);
    let contradiction = match both {
        Some(((known, came), at)) => {
            let (known, came) = (checkpoint(known)?, checkpoint(came)?);
            Some(Contradiction { known, came, noticed_at: Timestamp(at) })
        }
        None => None,
    };
    Ok(KeptCheckpoints { newest: checkpoint(row.get(1)?)?, contradiction })
}

fn text(checkpoint: &SignedCheckpoint) -> Result<String, StoreError> {
    serde_json::to_string(checkpoint).map_err(|_| StoreError::Damaged("a checkpoint"))
}

#[cfg(test)]
mod tests {
    use bocage_protocol::ids::Digest;
    use bocage_protocol::trust::Checkpoint;

    use super::*;
    use crate::bench::{key, site};

    fn witnessed(seed: u8, records: u64, head: u8, at: i64) -> Witnessed {
        let head = Digest::from_bytes([head; 32]);
        let release = Digest::from_bytes([3; 32]);
        let checkpoint = Checkpoint { site: site("hungary"), records, head, at: Timestamp(at), release };
        let key = key(seed);
        let checkpoint = SignedCheckpoint::sign(checkpoint, &key).unwrap();
        Witnessed { key: key.public(), checkpoint, at: Timestamp(1000 + at) }
    }

    fn after(witnessed: &[Witnessed]) -> (KeptCheckpoints, Vec<(SiteId, String)>) {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreFile::open(dir.path()).unwrap();
        for one in witnessed {
            witness(&store.db, one).unwrap();
        }
        drop(store);
        let mut store = StoreFile::open(dir.path()).unwrap();
        assert_eq!(store.checkpoints(&site("basel")).unwrap(), None);
        (store.checkpoints(&site("hungary")).unwrap().unwrap(), store.ledger_warnings().unwrap())
    }

    #[test]
    fn the_newest_checkpoint_is_kept_and_an_answer_that_was_overtaken_is_no_contradiction() {
        let sent = [witnessed(1, 5, 1, 10), witnessed(1, 9, 2, 20), witnessed(1, 7, 3, 15), witnessed(1, 5, 1, 10)];
        let (kept, warnings) = after(&sent);
        assert_eq!(kept, KeptCheckpoints { newest: sent[1].checkpoint.clone(), contradiction: None });
        assert_eq!(warnings, []);
    }

    #[test]
    fn a_ledger_that_shrank_or_changed_its_last_record_is_noticed_and_stays_noticed_when_it_has_grown_past_that() {
        for second in [witnessed(1, 6, 7, 30), witnessed(1, 9, 7, 30)] {
            let sent = [witnessed(1, 9, 2, 20), second, witnessed(1, 12, 8, 40), witnessed(1, 15, 9, 50)];
            let (kept, warnings) = after(&sent);
            assert_eq!(kept.newest, sent[3].checkpoint);
            let contradiction = kept.contradiction.unwrap();
            assert_eq!((&contradiction.known, &contradiction.came), (&sent[0].checkpoint, &sent[1].checkpoint));
            assert_eq!(contradiction.noticed_at, Timestamp(1030));
            let (cut, _) = after(&sent[..2]);
            assert_eq!(cut.newest, sent[1].checkpoint, "from there it goes on");
            assert_eq!(warnings[0].0, site("hungary"));
            assert!(warnings[0].1.contains("9 records at"), "{warnings:?}");
        }
    }

    #[test]
    fn a_site_with_a_new_release_key_begins_anew() {
        let sent = [witnessed(1, 9, 2, 20), witnessed(2, 1, 7, 30)];
        let (kept, warnings) = after(&sent);
        assert_eq!(kept, KeptCheckpoints { newest: sent[1].checkpoint.clone(), contradiction: None });
        assert_eq!(warnings, []);
    }
}
