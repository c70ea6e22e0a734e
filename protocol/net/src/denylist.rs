//! Who is no longer admitted although the certificate would still hold: sites, certificates of a site from before it was enrolled anew, and
//! single certificates. Looked at in every handshake, and by whoever serves a session before each request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::SiteId;
use tokio::sync::watch;

use crate::identity::Leaf;

/// Which certificates of a site are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// All.
    All,
    /// Those that begin before this time: the site has been enrolled anew since.
    Before(Timestamp),
}

/// Everything that is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Denied {
    /// Sites.
    pub sites: BTreeMap<SiteId, Refused>,
    /// Single certificates by their serial numbers, see [`Leaf::serial`].
    pub serials: BTreeSet<String>,
}

/// What is refused now. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Denylist(watch::Sender<Arc<Denied>>);

impl Denylist {
    /// From now on this is refused, and nothing else.
    pub fn replace(&self, denied: Denied) {
        self.0.send_replace(Arc::new(denied));
    }

    /// Whether a site is refused that shows this certificate; none where its transport knows no certificates.
    pub fn denies(&self, site: &SiteId, leaf: Option<&Leaf>) -> bool {
        self.0.borrow().denies(site, leaf)
    }

    /// Waits until [`Denylist::denies`] is true.
    pub async fn denied(&self, site: &SiteId, leaf: Option<&Leaf>) {
        // An error would mean that the list is gone, and this holds it.
        let _ = self.0.subscribe().wait_for(|denied| denied.denies(site, leaf)).await;
    }
}

impl Denied {
    fn denies(&self, site: &SiteId, leaf: Option<&Leaf>) -> bool {
        let by_site = self.sites.get(site).is_some_and(|refused| match refused {
            Refused::All => true,
            Refused::Before(time) => leaf.is_some_and(|leaf| leaf.from < *time),
        });
        by_site || leaf.is_some_and(|leaf| self.serials.contains(&leaf.serial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_a_certificate_or_what_is_from_before_a_new_enrolment_is_refused_and_nothing_else() {
        let list = Denylist::default();
        let [aa, bb, cc] = ["aa", "bb", "cc"].map(|site| site.parse::<SiteId>().unwrap());
        let leaf = |serial: &str, from| Leaf {
            serial: serial.into(),
            from: Timestamp(from),
            until: Timestamp(100),
            issuer: None,
        };
        let (old, new) = (leaf("01", 10), leaf("02", 20));
        assert!(!list.denies(&aa, Some(&old)) && !list.denies(&aa, None));
        let sites = [(aa.clone(), Refused::All), (bb.clone(), Refused::Before(Timestamp(20)))];
        list.clone().replace(Denied { sites: sites.into(), serials: ["03".to_owned()].into() });
        assert!(list.denies(&aa, Some(&new)) && list.denies(&aa, None));
        assert!(list.denies(&bb, Some(&old)) && !list.denies(&bb, Some(&new)) && !list.denies(&bb, None));
        assert!(list.denies(&cc, Some(&leaf("03", 20))) && !list.denies(&cc, Some(&old)));
    }
}
