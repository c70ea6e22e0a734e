//! The sites of a study: what is signed is how many they are and the root of a hash tree over their names, so that a site is
//! sent its own place in the tree and not the names of all others. A round's bytes then grow with the fleet, not with its square.
//!
//! The tree is that of RFC 9162, section 2.1, with other hashes: neighbours are hashed in pairs, level by level, and what has no
//! neighbour moves up as it is. Leaf and node are hashed under domains of their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, PublicError};
use crate::ids::{Digest, SiteId};
use crate::limits;

const LEAF: &str = "bocage/site/1";
const NODE: &str = "bocage/sites/1";

/// The sites that a study asks, as its text holds them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sites {
    /// How many.
    count: u32,
    /// The root of the tree over their names, sorted.
    root: Digest,
    /// The names, where the whole list came along and fits the root.
    #[serde(skip)]
    names: Option<Vec<SiteId>>,
}

/// Two that have the same root have the same names.
impl PartialEq for Sites {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.root) == (other.count, other.root)
    }
}

/// What comes with a signed study to say who is in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// Everyone, sorted. A researcher sends it to the coordinator.
    All(Vec<SiteId>),
    /// The one site that it is sent to.
    One(Place),
}

/// A site's place in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its position among the sorted names.
    index: u32,
    /// The neighbours on the way up.
    path: Path,
}

/// Digests, from below; written in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
struct Path(Vec<Digest>);

impl TryFrom<String> for Path {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64.decode(text).map_err(|_| "a path is base64")?;
        let (digests, rest) = bytes.as_chunks();
        if rest.is_empty() {
            Ok(Self(digests.iter().copied().map(Digest::from_bytes).collect()))
        } else {
            Err("a path is whole digests")
        }
    }
}

impl From<Path> for String {
    fn from(path: Path) -> String {
        BASE64.encode(path.0.iter().flat_map(|digest| *digest.as_bytes()).collect::<Vec<u8>>())
    }
}

/// The levels of a tree, leaves first, root last.
pub struct Tree(Vec<Vec<Digest>>);

impl Tree {
    /// The tree over sorted names.
    pub fn over(names: &[SiteId]) -> Self {
        let mut levels = vec![names.iter().map(leaf).collect::<Vec<_>>()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let up = level.chunks(2).map(|pair| if let [left, right] = pair { node(left, right) } else { pair[0] });
            let up = up.collect();
            levels.push(up);
        }
        Self(levels)
    }

    fn root(&self) -> Digest {
        let root = self.0.last().and_then(|level| level.first());
        root.copied().unwrap_or_else(|| Digest::of(NODE, &[]))
    }

    /// The place of the name at this position.
    pub fn place(&self, index: usize) -> Place {
        let neighbour = |(height, level): (usize, &Vec<Digest>)| level.get((index >> height) ^ 1).copied();
        Place { index: index as u32, path: Path(self.0.iter().enumerate().filter_map(neighbour).collect()) }
    }
}

fn leaf(site: &SiteId) -> Digest {
    Digest::of(LEAF, &[site.as_str().as_bytes()])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of(NODE, &[left.as_bytes(), right.as_bytes()])
}

impl Sites {
    /// These sites, in any order, each counted once.
    pub fn of(mut names: Vec<SiteId>) -> Self {
        names.sort();
        names.dedup();
        Self { count: names.len() as u32, root: Tree::over(&names).root(), names: Some(names) }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Their names, sorted, where they are known: whoever was sent its own place does not know the others'.
    pub fn names(&self) -> Option<&[SiteId]> {
        self.names.as_deref()
    }

    /// Takes in what came with the study. A list must be the one that was signed.
    ///
    /// # Errors
    /// `study_invalid`.
    pub(super) fn learn(&mut self, named: &Named) -> Result<(), PublicError> {
        let Named::All(names) = named else { return Ok(()) };
        let sorted = names.len() <= limits::SITES && names.windows(2).all(|pair| pair[0] < pair[1]);
        if !sorted || names.len() != self.count() || Tree::over(names).root() != self.root {
            let message = "the list of sites is not the one that was signed";
            return Err(
                PublicError::new(ErrorCode::StudyInvalid, message).hint("sign it again with `bocage study run`")
            );
        }
        self.names = Some(names.clone());
        Ok(())
    }

    /// Whether the study names this site, by what came with it. A list counts only once it was taken in.
    pub(super) fn name(&self, site: &SiteId, named: &Named) -> bool {
        match (named, &self.names) {
            (Named::All(_), Some(names)) => names.binary_search(site).is_ok(),
            (Named::All(_), None) => false,
            (Named::One(place), _) => place.leads(leaf(site), self.count) == Some(self.root),
        }
    }
}

impl Place {
    /// Where the path leads from a leaf in a tree of so many; `None` where it is no path of that tree.
    fn leads(&self, leaf: Digest, count: u32) -> Option<Digest> {
        let (mut at, mut level, mut own) = (self.index, count, leaf);
        if at >= count {
            return None;
        }
        let mut path = self.path.0.iter();
        while level > 1 {
            if at ^ 1 < level {
                let other = path.next()?;
                own = if at % 2 == 0 { node(&own, other) } else { node(other, &own) };
            }
            (at, level) = (at / 2, level.div_ceil(2));
        }
        path.next().is_none().then_some(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<SiteId> {
        (0..count).map(|i| format!("s{i:04}").parse().unwrap()).collect()
    }

    /// As a site receives them: without the list.
    fn received(sites: &Sites) -> Sites {
        serde_json::from_str(&serde_json::to_string(sites).unwrap()).unwrap()
    }

    #[test]
    fn every_site_of_a_tree_of_any_size_proves_its_own_place_and_no_other() {
        for count in (1..=33).chain([100, 1000]) {
            let all = names(count);
            let (sites, tree) = (received(&Sites::of(all.clone())), Tree::over(&all));
            assert_eq!((sites.count(), sites.names()), (count, None));
            for index in [0, count / 3, count / 2, count - 1] {
                let place = Named::One(tree.place(index));
                assert!(sites.name(&all[index], &place), "{index} of {count}");
                assert!(!sites.name(&"stranger".parse().unwrap(), &place), "{index} of {count}");
                let other = &all[(index + 1) % count];
                assert!(count == 1 || !sites.name(other, &place), "{index} of {count}");
            }
        }
    }

    #[test]
    fn a_place_of_another_tree_index_or_length_leads_nowhere() {
        let all = names(13);
        let (sites, tree) = (received(&Sites::of(all.clone())), Tree::over(&all));
        let good = tree.place(5);
        let changed = |change: &dyn Fn(&mut Place)| {
            let mut place = good.clone();
            change(&mut place);
            sites.name(&all[5], &Named::One(place))
        };
        assert!(changed(&|_| {}));
        assert!(!changed(&|p| p.index = 4));
        assert!(!changed(&|p| p.index = 13));
        assert!(!changed(&|p| p.index = u32::MAX));
        assert!(!changed(&|p| p.path.0.truncate(3)));
        assert!(!changed(&|p| p.path.0.push(Digest::of("more", &[]))));
        assert!(!changed(&|p| p.path.0.swap(0, 1)));
        let fewer = received(&Sites::of(all[..12].to_vec()));
        assert!(!fewer.name(&all[5], &Named::One(good.clone())));
    }

    #[test]
    fn a_list_counts_only_if_it_is_the_signed_one_sorted_and_without_repeats() {
        let all = names(4);
        let signed = received(&Sites::of(vec![all[2].clone(), all[0].clone(), all[1].clone(), all[3].clone()]));
        let learnt = |list: Vec<SiteId>| {
            let (mut sites, named) = (signed.clone(), Named::All(list));
            assert!(!sites.name(&all[0], &named), "not before it was taken in");
            sites.learn(&named).map(|()| sites.name(&all[3], &named))
        };
        assert_eq!(learnt(all.clone()), Ok(true));
        assert!(learnt(all[..3].to_vec()).is_err());
        assert!(learnt(vec![]).is_err());
        assert!(learnt(vec![all[1].clone(), all[0].clone(), all[2].clone(), all[3].clone()]).is_err());
        assert!(learnt(vec![all[0].clone(), all[0].clone(), all[2].clone(), all[3].clone()]).is_err());
        let mut other = all.clone();
        other[3] = "zz".parse().unwrap();
        assert!(learnt(other).is_err());
        // Whoever signs can make a tree over anything.
        for signed in [vec![all[1].clone(), all[0].clone()], vec![all[0].clone(), all[0].clone()]] {
            let mut sites = Sites { count: 2, root: Tree::over(&signed).root(), names: None };
            assert!(sites.learn(&Named::All(signed)).is_err());
        }
    }

    #[test]
    fn a_place_reads_back_as_it_was_written_and_a_broken_path_does_not() {
        let place = Named::One(Tree::over(&names(9)).place(8));
        let json = serde_json::to_string(&place).unwrap();
        assert_eq!(serde_json::from_str::<Named>(&json).unwrap(), place);
        let bytes = crate::wire::codec::encode(&place).unwrap();
        assert_eq!(crate::wire::codec::decode::<Named>(&bytes, limits::FRAME_BYTES).unwrap(), place);
        assert!(serde_json::from_str::<Named>(r#"{"one":{"index":0,"path":"AAAA"}}"#).is_err());
        assert!(serde_json::from_str::<Named>(r#"{"one":{"index":0,"path":"?"}}"#).is_err());
    }
}
