//! Sites and certificates that are refused although the certificate would hold. What is lifted leaves no trace here; the log has it.

use bocage_net::denylist::{Denied, Refused};
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits::CLOCK_TOLERANCE_SECS;
use rusqlite::{TransactionBehavior, params};

use super::{StoreError, StoreFile};

pub(super) const TABLES: &str = "
    create table denied_sites (
        site text primary key,
        at integer not null,
        reason text not null,
        -- Certificates that begin before this are refused: the site has enrolled anew. Null: all are.
        before integer
    ) strict, without rowid;
    create table denied_certificates (
        serial text primary key,
        site text not null,
        at integer not null,
        reason text not null
    ) strict, without rowid;
";

/// A site, or a certificate of one, that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The site.
    pub site: SiteId,
    /// The certificate's serial number; none: all of the site's.
    pub serial: Option<String>,
    /// Since when.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// The site has enrolled anew: only certificates that begin before this are refused.
    pub before: Option<Timestamp>,
}

impl StoreFile {
    /// Refuses a site or a certificate from now on. Invitations that the site has not used yet are good no more.
    pub fn revoke(&mut self, new: &Revoked) -> Result<(), StoreError> {
        let (site, reason) = (new.site.as_str(), &new.reason);
        if let Some(serial) = &new.serial {
            let insert = "insert or replace into denied_certificates (serial, site, at, reason) values (?, ?, ?, ?)";
            self.db.execute(insert, params![serial, site, new.at.0, reason])?;
            return Ok(());
        }
        self.uninvite(&new.site, new.at)?;
        let insert = "insert or replace into denied_sites (site, at, reason, before) values (?, ?, ?, null)";
        self.db.execute(insert, params![site, new.at.0, reason])?;
        Ok(())
    }

    /// Lifts what is refused of a site, or one certificate. Whether there was anything. What was certified before the site's last enrolment stays
    /// refused: its node has a newer one, and whoever has an older one may be a thief.
    pub fn lift(&mut self, site: &SiteId, serial: Option<&str>) -> Result<bool, StoreError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let lifted = match serial {
            Some(serial) => transaction.execute(
                "delete from denied_certificates where serial = ? and site = ?",
                params![serial, site.as_str()],
            )?,
            None => {
                let last = "select max(at) from enrolments where site = ?";
                let enrolled: Option<i64> = transaction.query_row(last, [site.as_str()], |row| row.get(0))?;
                let all = match enrolled {
                    None => transaction.execute("delete from denied_sites where site = ?", [site.as_str()])?,
                    Some(at) => {
                        let before = begins(Timestamp(at)).0;
                        // A single certificate may be from before as well: its number alone does not say.
                        transaction.execute(
                            "insert into denied_sites (site, at, reason, before) \
                             select site, max(at), 'from before the last enrolment', ?2 from denied_certificates where site = ?1 group by site \
                             on conflict (site) do update set before = max(before, ?2) where before is not null",
                            params![site.as_str(), before],
                        )?;
                        transaction.execute(
                            "update denied_sites set before = ?2 where site = ?1 and before is null",
                            params![site.as_str(), before],
                        )?
                    }
                };
                all + transaction.execute("delete from denied_certificates where site = ?", [site.as_str()])?
            }
        };
        transaction.commit()?;
        Ok(lifted > 0)
    }

    /// A site that was refused has enrolled anew: of it only what began before is refused.
    pub fn readmit(&mut self, site: &SiteId, before: Timestamp) -> Result<(), StoreError> {
        self.db.execute("update denied_sites set before = ? where site = ?", params![before.0, site.as_str()])?;
        Ok(())
    }

    /// Everything that is refused, in the order of sites.
    pub fn revoked(&mut self) -> Result<Vec<Revoked>, StoreError> {
        let select = "select site, null, at, reason, before from denied_sites \
             union all select site, serial, at, reason, null from denied_certificates order by 1, 2";
        let mut select = self.db.prepare(select)?;
        let rows = select.query_map([], |row| {
            let site: String = row.get(0)?;
            let before: Option<i64> = row.get(4)?;
            Ok(site.parse().map(|site| Revoked {
                site,
                serial: row.get(1).unwrap_or_default(),
                at: Timestamp(row.get(2).unwrap_or_default()),
                reason: row.get(3).unwrap_or_default(),
                before: before.map(Timestamp),
            }))
        })?;
        rows.map(|row| row?.map_err(|_| StoreError::Damaged("a revoked site"))).collect()
    }
}

/// When a certificate begins that is made at this time.
pub fn begins(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(1000).saturating_mul(1000)).plus_secs(-CLOCK_TOLERANCE_SECS)
}

/// The list as handshakes go by it.
pub fn denied(revoked: &[Revoked]) -> Denied {
    let mut denied = Denied::default();
    for of in revoked {
        match (&of.serial, of.before) {
            (Some(serial), _) => {
                denied.serials.insert(serial.clone());
            }
            (None, None) => {
                denied.sites.insert(of.site.clone(), Refused::All);
            }
            (None, Some(time)) => {
                denied.sites.insert(of.site.clone(), Refused::Before(time));
            }
        }
    }
    denied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::site;

    fn revoked(name: &str, serial: Option<&str>) -> Revoked {
        let serial = serial.map(str::to_owned);
        Revoked { site: site(name), serial, at: Timestamp(7), reason: "stolen".into(), before: None }
    }

    #[test]
    fn lifting_a_site_opens_nothing_to_a_single_certificate_from_before_its_last_enrolment() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = StoreFile::open(dir.path()).unwrap();
        // Once before it had enrolled with other keys already.
        store.revoke(&revoked("hungary", None)).unwrap();
        store.readmit(&site("hungary"), Timestamp(9)).unwrap();
        store.revoke(&revoked("hungary", Some("0a"))).unwrap();
        let enrolled = Timestamp(1_790_000_000_000);
        let sql = "pragma foreign_keys = off; insert into enrolments (site, release_key, tls_key, at, invitation) \
            values ('hungary', '', x'', 1790000000000, '')";
        store.db.execute_batch(sql).unwrap();
        assert!(store.lift(&site("hungary"), None).unwrap());
        let list = denied(&store.revoked().unwrap());
        assert_eq!(list.sites.get(&site("hungary")), Some(&Refused::Before(begins(enrolled))));
        assert!(list.serials.is_empty() && !store.lift(&site("hungary"), None).unwrap());
    }

    #[test]
    fn what_is_refused_survives_a_restart_and_is_lifted_by_site_or_by_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = StoreFile::open(dir.path()).unwrap();
        let all = [revoked("cleveland", None), revoked("hungary", Some("0a")), revoked("hungary", Some("0b"))];
        all.iter().for_each(|of| store.revoke(of).unwrap());
        drop(store);
        let mut store = StoreFile::open(dir.path()).unwrap();
        assert_eq!(store.revoked().unwrap(), all);
        let list = denied(&all);
        assert_eq!((list.sites.get(&site("cleveland")), list.serials.len()), (Some(&Refused::All), 2));
        store.readmit(&site("cleveland"), Timestamp(9)).unwrap();
        let list = denied(&store.revoked().unwrap());
        assert_eq!(list.sites.get(&site("cleveland")), Some(&Refused::Before(Timestamp(9))));
        assert!(store.lift(&site("hungary"), Some("0a")).unwrap());
        assert!(!store.lift(&site("cleveland"), Some("0b")).unwrap());
        assert!(store.lift(&site("hungary"), None).unwrap() && store.lift(&site("cleveland"), None).unwrap());
        assert!(!store.lift(&site("cleveland"), None).unwrap());
        assert_eq!(store.revoked().unwrap(), []);
    }
}
