//! Who was invited, and who has enrolled by which invitation. Nothing is taken out: the keys that a site had before stay, so that what it
//! released with them can be verified.
//!
//! Of an invitation's token the hash is kept alone.

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::trust::PublicKey;
use rusqlite::{OptionalExtension as _, Row, TransactionBehavior, params};

use super::denied::begins;
use super::{StoreError, StoreFile};

pub(super) const TABLES: &str = "
    create table invitations (
        token text primary key,
        site text not null,
        -- 1: whoever takes it may give the site another release key.
        replace_key integer not null,
        made_at integer not null,
        expires_at integer not null,
        withdrawn_at integer
    ) strict, without rowid;
    create index invitations_of on invitations (site, made_at);
    create table enrolments (
        position integer primary key,
        site text not null,
        release_key text not null,
        tls_key blob not null,
        at integer not null,
        invitation text not null unique references invitations (token)
    ) strict;
";

/// Invitations that are shown: the newest.
const SHOWN: usize = 1000;

/// An invitation, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptInvitation {
    /// The hash of its token.
    pub token: Digest,
    /// Who is invited.
    pub site: SiteId,
    /// Whether the site may get another release key by it.
    pub replace: bool,
    /// When it was made.
    pub made_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When it was taken back, if it was.
    pub withdrawn_at: Option<Timestamp>,
    /// By whom it was used, if it was.
    pub used: Option<Enrolment>,
}

/// That a site enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The site.
    pub site: SiteId,
    /// What signs its releases.
    pub release_key: PublicKey,
    /// Its first TLS key; certificates are renewed with others.
    pub tls_key: [u8; 32],
    /// When.
    pub at: Timestamp,
    /// The hash of the invitation's token.
    pub invitation: Digest,
}

const SELECT: &str = "select i.token, i.site, i.replace_key, i.made_at, i.expires_at, i.withdrawn_at, \
     e.release_key, e.tls_key, e.at from invitations i left join enrolments e on e.invitation = i.token";

impl StoreFile {
    /// Keeps a new invitation. One that its site has not used yet is good no more.
    pub fn invite(&mut self, new: &KeptInvitation) -> Result<(), StoreError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        withdraw(&transaction, &new.site, new.made_at)?;
        transaction.execute(
            "insert into invitations (token, site, replace_key, made_at, expires_at) values (?, ?, ?, ?, ?)",
            params![new.token.to_string(), new.site.as_str(), new.replace, new.made_at.0, new.expires_at.0],
        )?;
        Ok(transaction.commit()?)
    }

    /// Takes back the invitation that a site has not used yet. Whether there was one.
    pub fn uninvite(&mut self, site: &SiteId, now: Timestamp) -> Result<bool, StoreError> {
        withdraw(&self.db, site, now)
    }

    /// The invitation with this token.
    pub fn invitation(&mut self, token: &Digest) -> Result<Option<KeptInvitation>, StoreError> {
        let mut select = self.db.prepare_cached(&format!("{SELECT} where i.token = ?"))?;
        let found = select.query_row([token.to_string()], |row| Ok(kept(row))).optional()?;
        found.transpose()
    }

    /// The newest invitations, latest first.
    pub fn invitations(&mut self) -> Result<Vec<KeptInvitation>, StoreError> {
        let mut select = self.db.prepare(&format!("{SELECT} order by i.made_at desc, i.site limit {SHOWN}"))?;
        let rows = select.query_map([], |row| Ok(kept(row)))?;
        rows.map(|row| row?).collect()
    }

    /// Records that a site enrolled. Its invitation is used from then on. Where it has other keys than before, `why` says that, and what was certified
    /// for those is refused with the same stroke: it would live on for a month.
    pub fn enrol(&mut self, new: &Enrolment, why: Option<&str>) -> Result<(), StoreError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let insert = "insert into enrolments (site, release_key, tls_key, at, invitation) values (?, ?, ?, ?, ?)";
        let (site, key, by) = (new.site.as_str(), new.release_key.to_string(), new.invitation.to_string());
        transaction.execute(insert, params![site, key, new.tls_key, new.at.0, by])?;
        if let Some(why) = why {
            withdraw(&transaction, &new.site, new.at)?;
            let insert = "insert or replace into denied_sites (site, at, reason, before) values (?, ?, ?, ?)";
            transaction.execute(insert, params![site, new.at.0, why, begins(new.at).0])?;
        }
        Ok(transaction.commit()?)
    }

    /// Every enrolment there ever was, in their order: the last of a site holds.
    pub fn enrolments(&mut self) -> Result<Vec<Enrolment>, StoreError> {
        let columns = "invitation, site, 0, 0, 0, null, release_key, tls_key, at";
        let mut select = self.db.prepare(&format!("select {columns} from enrolments order by position"))?;
        let rows = select.query_map([], |row| Ok(enrolment(row)))?;
        rows.map(|row| row??.ok_or(StoreError::Damaged("an enrolment"))).collect()
    }
}

fn withdraw(db: &rusqlite::Connection, site: &SiteId, now: Timestamp) -> Result<bool, StoreError> {
    let update = "update invitations set withdrawn_at = ?2 where site = ?1 and withdrawn_at is null \
        and expires_at > ?2 and token not in (select invitation from enrolments)";
    Ok(db.execute(update, params![site.as_str(), now.0])? > 0)
}

fn kept(row: &Row<'_>) -> Result<KeptInvitation, StoreError> {
    let used = enrolment(row)?;
    Ok(KeptInvitation {
        token: parsed(&row.get::<_, String>(0)?)?,
        site: parsed(&row.get::<_, String>(1)?)?,
        replace: row.get(2)?,
        made_at: Timestamp(row.get(3)?),
        expires_at: Timestamp(row.get(4)?),
        withdrawn_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        used,
    })
}

/// The enrolment in a row of [`SELECT`], if there is one.
fn enrolment(row: &Row<'_>) -> Result<Option<Enrolment>, StoreError> {
    let Some(release_key) = row.get::<_, Option<String>>(6)? else { return Ok(None) };
    Ok(Some(Enrolment {
        site: parsed(&row.get::<_, String>(1)?)?,
        release_key: parsed(&release_key)?,
        tls_key: row.get(7)?,
        at: Timestamp(row.get(8)?),
        invitation: parsed(&row.get::<_, String>(0)?)?,
    }))
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Damaged("an invitation or enrolment"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{START, key, site};

    fn invitation(name: &str, token: u8, hours: i64) -> KeptInvitation {
        let made_at = START.plus_secs(hours * 3600);
        KeptInvitation {
            token: Digest::of("test", &[&[token]]),
            site: site(name),
            replace: token == 2,
            made_at,
            expires_at: made_at.plus_secs(86_400),
            withdrawn_at: None,
            used: None,
        }
    }

    fn enrolment(of: &KeptInvitation, seed: u8) -> Enrolment {
        Enrolment {
            site: of.site.clone(),
            release_key: key(seed).public(),
            tls_key: [seed; 32],
            at: of.made_at.plus_secs(60),
            invitation: of.token,
        }
    }

    #[test]
    fn a_newer_invitation_of_a_site_takes_the_place_of_the_one_before_and_of_no_other_site_s() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = StoreFile::open(dir.path()).unwrap();
        let (one, other, two) = (invitation("aa", 1, 0), invitation("bb", 3, 0), invitation("aa", 2, 1));
        for new in [&one, &other, &two] {
            store.invite(new).unwrap();
        }
        let found = |store: &mut StoreFile, of: &KeptInvitation| store.invitation(&of.token).unwrap().unwrap();
        assert_eq!(found(&mut store, &one).withdrawn_at, Some(two.made_at));
        assert_eq!(found(&mut store, &other), other);
        assert_eq!(found(&mut store, &two), two);
        assert_eq!(store.invitation(&Digest::of("test", &[&[9]])).unwrap(), None);
        assert!(store.uninvite(&two.site, two.made_at).unwrap());
        assert!(!store.uninvite(&two.site, two.made_at).unwrap());
        assert_eq!(store.invitations().unwrap().len(), 3);
    }

    #[test]
    fn an_invitation_is_used_once_and_all_keys_that_a_site_had_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (invitation("aa", 1, 0), invitation("aa", 2, 1));
        let (first, second) = (enrolment(&one, 5), enrolment(&two, 6));
        {
            let mut store = StoreFile::open(dir.path()).unwrap();
            store.invite(&one).unwrap();
            store.enrol(&first, None).unwrap();
            assert!(store.enrol(&enrolment(&one, 7), None).is_err());
            assert!(!store.uninvite(&one.site, one.made_at.plus_secs(99)).unwrap(), "a used one is no longer open");
            store.invite(&two).unwrap();
            assert!(store.enrol(&enrolment(&invitation("aa", 9, 0), 7), None).is_err(), "an invitation that never was");
            store.enrol(&second, None).unwrap();
        }
        let mut store = StoreFile::open(dir.path()).unwrap();
        assert_eq!(store.enrolments().unwrap(), [first.clone(), second]);
        let used = store.invitation(&one.token).unwrap().unwrap();
        assert_eq!((used.used, used.withdrawn_at), (Some(first), None));
    }
}
