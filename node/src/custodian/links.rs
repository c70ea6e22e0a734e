//! Who of one dataset is who of another: the number in a base snapshot of each subject of a related one, found by the tokens that stand
//! beside both.
//!
//! A map is made once for a pair of snapshots and kept while there is room. It must never be made of tokens of two forms: nobody would be
//! found, and a study would be told that nobody has a diagnosis.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bocage_protocol::ids::Digest;

use super::optout::{SubjectIds, Token};
use super::snapshot::{self, Manifest, SnapshotError};

/// Subjects that the maps which are kept may speak of together: 4 bytes each.
const KEPT_SUBJECTS: usize = 64 << 20;

/// Why subjects cannot be found again. The texts are for the site's own log.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The tokens of a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The two know their patients by different keys or salts.
    #[error(
        "the snapshots of `{base}` and `{related}` were taken under different release keys or salts\n  hint: take new ones with `bocage node datasets refresh`"
    )]
    Form {
        /// The base dataset.
        base: String,
        /// The related one.
        related: String,
    },
}

/// The base's subject numbers, by those of the related snapshot.
pub struct Link(Vec<u32>);

impl Link {
    /// Who is nobody of the base.
    pub const NOBODY: u32 = u32::MAX;

    /// By the tokens of both.
    pub fn between(base: &SubjectIds, related: &SubjectIds) -> Self {
        let mut base = base.tokens.iter().copied().zip(0u32..).collect::<Vec<(Token, u32)>>();
        base.sort_unstable();
        // Side by side in the tokens' order: much faster for millions of patients than to look each one up.
        let mut wanted = related.tokens.iter().copied().zip(0u32..).collect::<Vec<(Token, u32)>>();
        wanted.sort_unstable();
        let mut numbers = vec![Self::NOBODY; wanted.len()];
        let mut base = base.into_iter().peekable();
        for (token, at) in wanted {
            while base.next_if(|(before, _)| *before < token).is_some() {}
            if let Some((_, number)) = base.peek().filter(|(same, _)| *same == token) {
                numbers[at as usize] = *number;
            }
        }
        Self(numbers)
    }

    /// Of subject numbers, for tests of the engine.
    #[cfg(test)]
    pub fn made(numbers: Vec<u32>) -> Self {
        Self(numbers)
    }

    /// The base's number of a related subject; [`Link::NOBODY`] where the base does not have it.
    #[inline]
    pub fn base(&self, related: u32) -> u32 {
        self.0.get(related as usize).copied().unwrap_or(Self::NOBODY)
    }
}

/// A pair of files of tokens: a map depends on nothing else.
type Pair = (Digest, Digest);

/// The maps that were asked for last.
pub struct Links {
    held: Mutex<VecDeque<(Pair, Arc<Link>)>>,
    most: usize,
}

impl Default for Links {
    fn default() -> Self {
        Self { held: Mutex::default(), most: KEPT_SUBJECTS }
    }
}

impl Links {
    /// The map from a related snapshot to a base. Blocks while it is made.
    ///
    /// # Errors
    /// The tokens of one are missing or damaged, or they are not of one form.
    pub fn get(&self, dir: &Path, base: &Manifest, related: &Manifest) -> Result<Arc<Link>, LinkError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = base.ids.zip(related.ids).map(|(base, related)| (base.content, related.content));
        if let Some(at) = pair.and_then(|pair| held.iter().position(|(known, _)| *known == pair))
            && let Some((pair, link)) = held.remove(at)
        {
            held.push_front((pair, Arc::clone(&link)));
            return Ok(link);
        }
        let ids = |manifest: &Manifest| snapshot::subject_ids(dir, manifest);
        let (base_ids, related_ids) = (ids(base)?, ids(related)?);
        if base.ids.map(|ids| ids.form) != related.ids.map(|ids| ids.form) {
            return Err(LinkError::Form { base: base.dataset.clone(), related: related.dataset.clone() });
        }
        let link = Arc::new(Link::between(&base_ids, &related_ids));
        if let Some(pair) = pair {
            held.push_front((pair, Arc::clone(&link)));
        }
        // The one that is asked for stays, however large.
        while held.len() > 1 && held.iter().map(|(_, link)| link.0.len()).sum::<usize>() > self.most {
            held.pop_back();
        }
        Ok(link)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bocage_protocol::contract::{Contract, parse};
    use bocage_protocol::env::Timestamp;
    use bocage_protocol::settings::Problems;
    use bocage_protocol::trust::SecretKey;
    use serde_json::json;

    use super::*;
    use crate::custodian::optout::IdForm;
    use crate::custodian::snapshot::Taking;
    use crate::custodian::source::DatasetSpec;

    const CONTRACT: &str = "id = \"NAME@1\"\nsubject = \"patient\"\n[[column]]\nname = \"patient\"\ntype = \"TYPE\"";

    struct Site(tempfile::TempDir, SecretKey);

    impl Site {
        fn new() -> Self {
            let key = SecretKey::generate(&mut bocage_net::env::SystemEntropy);
            Self(tempfile::tempdir().unwrap(), key)
        }

        fn take(&self, name: &str, kind: &str, ids: &[&str]) -> Manifest {
            let kind = if kind == "int" { "int\"\nrange = [0, 99]\n#\"" } else { kind };
            let text = CONTRACT.replace("NAME", name).replace("TYPE", kind);
            let contract: Contract = parse(&text, "contract.toml").unwrap();
            fs::write(self.0.path().join(format!("{name}.csv")), format!("patient\n{}\n", ids.join("\n"))).unwrap();
            let section = json!({
                "contract": format!("{name}@1"), "source": {"kind": "csv", "path": format!("{name}.csv")}, "map": {},
            });
            let spec = DatasetSpec::read(name, &section, "node.toml", self.0.path(), &mut Problems::default()).unwrap();
            let form = IdForm::of(None, &self.1).unwrap();
            Taking { form: Some(&form), ..Taking::into(self.0.path()) }.take(&spec, &contract, Timestamp(1)).unwrap()
        }
    }

    fn numbers(link: &Link, count: u32) -> Vec<Option<u32>> {
        (0..count).map(|at| Some(link.base(at)).filter(|number| *number != Link::NOBODY)).collect()
    }

    #[test]
    fn a_patient_is_found_by_the_id_in_either_dataset_and_a_stranger_is_nobody() {
        let site = Site::new();
        let base = site.take("base", "text", &["é", "7", "c", "b"]);
        let related = site.take("related", "text", &["b", "b", "x", "e\u{301}", "7"]);
        let links = Links::default();
        let link = links.get(site.0.path(), &base, &related).unwrap();
        assert_eq!(numbers(&link, 5), [Some(3), None, Some(0), Some(1), None]);
        let back = links.get(site.0.path(), &related, &base).unwrap();
        assert_eq!(numbers(&back, 4), [Some(2), Some(3), None, Some(0)]);
        let numbered = site.take("numbered", "int", &["7", "8"]);
        let link = links.get(site.0.path(), &base, &numbered).unwrap();
        assert_eq!(numbers(&link, 2), [Some(1), None]);
    }

    #[test]
    fn an_id_that_is_spelled_in_two_ways_is_one_patient() {
        let site = Site::new();
        assert_eq!(site.take("base", "text", &["é", "e\u{301}", "e"]).subjects, 2);
    }

    #[test]
    fn a_map_is_made_once_and_the_oldest_go_when_there_is_no_room() {
        let site = Site::new();
        let (a, b) = (site.take("first", "text", &["1", "2"]), site.take("second", "text", &["2", "3", "4"]));
        let links = Links { most: 5, ..Links::default() };
        let get = |base: &Manifest, related: &Manifest| links.get(site.0.path(), base, related).unwrap();
        let first = get(&a, &b);
        get(&b, &a);
        assert!(Arc::ptr_eq(&first, &get(&a, &b)));
        // 2 and 3 subjects fit; those that come on top push out the one that was asked for longest ago.
        let kept = get(&b, &a);
        get(&a, &site.take("third", "text", &["5", "6"]));
        assert!(Arc::ptr_eq(&kept, &get(&b, &a)) && !Arc::ptr_eq(&first, &get(&a, &b)));
        let large = site.take("large", "text", &["1", "2", "3", "4", "5", "6"]);
        assert!(Arc::ptr_eq(&get(&a, &large), &get(&a, &large)));
    }

    #[test]
    fn tokens_of_two_keys_or_none_are_no_map() {
        let site = Site::new();
        let base = site.take("base", "text", &["1"]);
        let site = Site(site.0, SecretKey::generate(&mut bocage_net::env::SystemEntropy));
        let related = site.take("related", "text", &["1"]);
        let links = Links::default();
        assert!(matches!(links.get(site.0.path(), &base, &related), Err(LinkError::Form { .. })));
        let nameless = Manifest { ids: None, ..related };
        assert!(matches!(links.get(site.0.path(), &base, &nameless), Err(LinkError::Snapshot(_))));
        assert!(links.held.lock().unwrap().is_empty(), "nothing wrong is kept");
    }
}
