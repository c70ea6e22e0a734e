//! Coarser forms of a column: bands of numbers, groups of codes, from the finest on.

use std::collections::HashMap;

use super::{RawColumn, RawGroup, Reader};
use crate::contract::{Code, Grouping, Groups, Kind};
use crate::limits;
use crate::settings::{join, nearest};

impl Reader<'_> {
    pub(super) fn groupings(&mut self, raw: &RawColumn, kind: &Kind, key: &str) -> Vec<Grouping> {
        let mut groupings: Vec<Grouping> = Vec::new();
        for grouping in &raw.groupings {
            let place = join(key, &format!("groupings.{}", grouping.name));
            if groupings.iter().any(|g| g.name == grouping.name) {
                self.problem(&place, "declared twice", "rename one of the two, or take it away");
            }
            let groups = match (kind, &grouping.breaks, &grouping.groups) {
                (Kind::Int { .. } | Kind::Float { .. }, Some(breaks), None) => self.breaks(breaks, &place),
                (Kind::Code { codes, .. }, None, Some(groups)) => self.groups(groups, codes, &place),
                (Kind::Int { .. } | Kind::Float { .. }, ..) => {
                    self.problem(&place, "a number is grouped by `breaks`", "e.g. breaks = [40, 60]");
                    None
                }
                (Kind::Code { .. }, ..) => {
                    let hint = "e.g. groups = [{ label = \"any\", codes = [\"1\", \"2\"] }]";
                    self.problem(&place, "a code is grouped by `groups`", hint);
                    None
                }
                _ => {
                    let hint = "take it away: numbers and codes have coarser forms";
                    self.problem(&place, "only int, float and code columns have groupings", hint);
                    None
                }
            };
            if let (Some(finer), Some(coarser)) = (groupings.last(), &groups)
                && !crate::plan::nested(&finer.groups, coarser)
            {
                let hint = "the finest stands first, and each group of one lies within one of the next";
                self.problem(&place, format!("not coarser than `{}`", finer.name), hint);
            }
            groupings.extend(groups.map(|groups| Grouping { name: grouping.name.clone(), groups }));
        }
        groupings
    }

    fn breaks(&mut self, breaks: &[f64], place: &str) -> Option<Groups> {
        let ascending = !breaks.is_empty() && breaks.windows(2).all(|w| w[0] < w[1]) && breaks.len() < limits::CODES;
        if !ascending {
            self.problem(place, "breaks do not ascend", "numbers, each above the one before: breaks = [40, 60]");
        }
        ascending.then(|| Groups::Breaks(breaks.to_vec()))
    }

    fn groups(&mut self, groups: &[RawGroup], codes: &[Code], place: &str) -> Option<Groups> {
        let before = self.problems.0.len();
        let positions: HashMap<&str, usize> = codes.iter().enumerate().map(|(i, c)| (c.code.as_str(), i)).collect();
        let mut of = vec![None; codes.len()];
        for (index, group) in groups.iter().enumerate() {
            for code in &group.codes {
                match positions.get(code.as_str()) {
                    None => {
                        let near = nearest(code, codes.iter().map(|known| known.code.as_str()));
                        let hint = match near {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => "declare it among the column's codes, or take it out of the group".to_owned(),
                        };
                        self.problem(place, format!("`{code}` is not a code of this column"), hint);
                    }
                    Some(at) if of[*at].is_some() => {
                        self.problem(place, format!("`{code}` stands in two groups"), "leave it in one of them");
                    }
                    Some(at) => of[*at] = Some(index as u32),
                }
            }
        }
        for (code, _) in codes.iter().zip(&of).filter(|(_, group)| group.is_none()) {
            let hint = "every code of the column is in one group";
            self.problem(place, format!("code `{}` stands in no group", code.code), hint);
        }
        let labels = groups.iter().map(|g| g.label.clone()).collect();
        (self.problems.0.len() == before).then(|| Groups::Codes { labels, of: of.into_iter().flatten().collect() })
    }
}
