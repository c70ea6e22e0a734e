//! The driver of a table by discovered keys: what all sites say of each key, the most frequent of those that enough sites show.
//!
//! A site that does not name a key has fewer than k patients in each of its cells, or no more than what it says of the keys that it had no room
//! for. **A key is published only if one of its cells is**: what fewer sites show is never named, nor does it move another key's place.

use std::collections::{HashMap, HashSet};

use bocage_protocol::PublicError;
use bocage_protocol::analysis::DiscoveredSpec;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits;
use bocage_protocol::plan::{DiscoveredKey, TableLayout, ValidPlan};
use bocage_protocol::release::{CellRelease, DiscoveredRelease};

use super::pool::{Pool, Pooled, off_of, plus, units};
use super::table::shows_what_there_is;
use super::{Answer, Setting, SiteAnswer, block, notes, sorted};
use crate::api::types::{AnalysisResult, Block, Value};

/// The driver of one table by discovered keys.
#[derive(Debug)]
pub struct DiscoveredDriver {
    setting: Setting,
    spec: DiscoveredSpec,
    key: DiscoveredKey,
    layout: TableLayout,
}

/// A key that is published.
struct Ranked<'a> {
    name: Option<&'a str>,
    named: Vec<Named<'a>>,
    /// The patients that its published cells show, a patient of two cells twice.
    least: u64,
    /// The most that these cells can hold; none: no bound.
    most: Option<u64>,
}

/// What one site says of a key.
#[derive(Clone, Copy)]
struct Named<'a> {
    cells: &'a [CellRelease],
    /// Its place among the sites that answered.
    site: usize,
    /// The most patients of a cell that it hides; none: no bound.
    hidden: Option<u64>,
    /// Whether it rounds.
    rounded: bool,
}

impl DiscoveredDriver {
    pub(super) fn new(setting: Setting, spec: &DiscoveredSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        shows_what_there_is(&setting.name, &spec.table, plan.written())?;
        let key = plan.discovered().cloned().ok_or_else(|| {
            PublicError::new(ErrorCode::StudyInvalid, format!("analysis `{}`: its plan discovers no key", setting.name))
        })?;
        Ok(Self { setting, spec: spec.clone(), key, layout: plan.written().clone() })
    }

    /// The combined answer. The same for any order of `answers`.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let answers = sorted(answers);
        let found = answers.iter().filter_map(|a| match a.answer {
            Answer::Discovered(release) => Some(release),
            _ => None,
        });
        let found: Vec<&DiscoveredRelease> = found.collect();
        // Of a key that a site does not name it may have so many patients in a cell.
        let unnamed: Vec<Option<u64>> = found.iter().map(|release| most_unnamed(release)).collect();
        let cohort = found.iter().map(|release| most_in_all(release)).fold(Some(0), plus);
        let ranked = self.ranked(&found, &unnamed);
        let shown = &ranked[..ranked.len().min(self.spec.top as usize)];
        let mut notes = notes::of_discovered(&self.spec.table, &answers, self.setting.min_sites);
        if found.len() >= self.setting.min_sites as usize {
            notes.extend(self.notes(&ranked, shown.len()));
        }
        let mut all = Block { columns: vec![self.spec.label.clone()], ..Block::default() };
        all.columns.extend(self.spec.table.headings().map(str::to_owned));
        for key in shown {
            let cells = self.cells(&key.named, &unnamed);
            let sites = key.named.len() as u32;
            let pool = Pool::of_cells(&self.layout, self.setting.one_row_per_subject, cells, sites, cohort);
            append(
                &mut all,
                &self.key.label(key.name),
                block::publish(&self.spec.table, &pool, self.setting.min_sites),
            );
        }
        self.setting.result(all, notes)
    }

    /// The keys that are published, those with the most patients first, equals in the column's own order.
    fn ranked<'a>(&self, found: &[&'a DiscoveredRelease], unnamed: &[Option<u64>]) -> Vec<Ranked<'a>> {
        let mut sites: HashMap<Option<&'a str>, Vec<Named<'a>>> = HashMap::new();
        for (site, release) in found.iter().enumerate() {
            let hidden = release.most_hidden();
            for key in &release.keys {
                sites.entry(key.key.as_deref()).or_default().push(Named {
                    cells: &key.cells,
                    site,
                    hidden,
                    rounded: release.rounded,
                });
            }
        }
        let min_sites = self.setting.min_sites;
        let rank = |(name, named): (Option<&'a str>, Vec<Named<'a>>)| {
            let cells = self.cells(&named, unnamed);
            let published: Vec<&Pooled> = cells.iter().filter(|cell| cell.sites >= min_sites).collect();
            let least = published.iter().map(|cell| cell.subjects.shown.saturating_sub(cell.subjects.off)).sum();
            let shown = |cell: &Pooled| cell.subjects.shown + cell.subjects.off;
            let most = published.iter().map(|cell| plus(Some(shown(cell)), cell.subjects.below_k));
            let most = most.fold(Some(0), plus);
            (!published.is_empty()).then_some(Ranked { name, named, least, most })
        };
        let enough = sites.into_iter().filter(|(_, named)| named.len() >= min_sites as usize);
        let mut ranked: Vec<Ranked<'a>> = enough.filter_map(rank).collect();
        let place = |key: &Ranked<'a>| (std::cmp::Reverse(key.least), key.name.map(|name| self.key.value(name)));
        ranked.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
        ranked
    }

    /// The cells of a key over all sites.
    fn cells(&self, named: &[Named<'_>], unnamed: &[Option<u64>]) -> Vec<Pooled> {
        let names: HashSet<usize> = named.iter().map(|of| of.site).collect();
        let others = unnamed.iter().enumerate().filter(|(site, _)| !names.contains(site));
        let others = others.map(|(_, most)| *most).fold(Some(0), plus);
        let cell = |at: usize| {
            let hidden = named.iter().filter(|site| !site.cells[at].is_shown()).map(|site| site.hidden);
            let measures = self.layout.measures().len();
            let mut cell = Pooled::below(hidden.fold(others, plus), measures, self.setting.one_row_per_subject);
            for site in named {
                if let CellRelease::Shown { count, measures } = &site.cells[at] {
                    cell.add_site(count, measures, units(&self.layout, site.rounded).as_deref());
                }
            }
            cell
        };
        (0..self.layout.cells_at(0)).map(cell).collect()
    }

    fn notes(&self, ranked: &[Ranked<'_>], shown: usize) -> Vec<String> {
        let min_sites = self.setting.min_sites;
        if ranked.is_empty() {
            return vec![format!("no key is published: none has a cell that {min_sites} sites show")];
        }
        let mut notes = vec![if shown < ranked.len() {
            format!("{} keys can be published: the {shown} with the most patients are shown", ranked.len())
        } else {
            format!("all {shown} keys that can be published are shown")
        }];
        if min_sites > 1 {
            notes.push(format!(
                "a key is published where {min_sites} sites show it in one cell, however frequent it is elsewhere"
            ));
        }
        let unsure =
            ranked.windows(2).take(shown).filter(|pair| pair[1].most.is_none_or(|most| most > pair[0].least)).count();
        if unsure > 0 {
            notes.push(format!(
                "the order is by the patients that are shown: {unsure} of these {shown} keys could have fewer than the next one, since sites \
                 hide cells of fewer than k or round"
            ));
        }
        if !self.setting.one_row_per_subject && self.layout.cells_at(0) > 1 {
            notes.push("in the order a patient counts once for each cell of a key that they are in".to_owned());
        }
        notes
    }
}

/// The most patients that a site has in a cell of a key which it does not name; none: no bound.
fn most_unnamed(release: &DiscoveredRelease) -> Option<u64> {
    release.most_hidden().map(|most| most.max(release.beyond.unwrap_or_default()))
}

/// The most patients that a site has in any cell: all that it shows or hides of the keys which it names, if that is more than what it can
/// have of others. Not the size of any one cell, so that it may stand for those of which nothing may show.
fn most_in_all(release: &DiscoveredRelease) -> Option<u64> {
    let hidden = release.most_hidden()?;
    let most = |cell: &CellRelease| match cell {
        CellRelease::FewerThanK => hidden,
        CellRelease::Shown { count, .. } => count.subjects + off_of(release.rounded),
    };
    let all = release.keys.iter().flat_map(|key| &key.cells).map(most).fold(0, u64::saturating_add);
    Some(all.max(most_unnamed(release)?).min(limits::ROWS))
}

/// Puts a key's block below the others, with the key before its other columns.
fn append(all: &mut Block, label: &str, of: Block) {
    let above = all.rows.len();
    all.rows.extend(of.rows.into_iter().map(|mut row| {
        row.insert(0, Value::Text(label.to_owned()));
        row
    }));
    let moved = |row: usize, column: usize| (row + above, column + 1);
    all.hidden.extend(of.hidden.into_iter().map(|mut hidden| {
        (hidden.row, hidden.column) = moved(hidden.row, hidden.column);
        hidden
    }));
    all.coverage.extend(of.coverage.into_iter().map(|mut coverage| {
        (coverage.row, coverage.column) = moved(coverage.row, coverage.column);
        coverage
    }));
    all.within.extend(of.within.into_iter().map(|mut within| {
        (within.row, within.column) = moved(within.row, within.column);
        within
    }));
}
