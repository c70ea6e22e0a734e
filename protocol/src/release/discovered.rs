//! What left of a table of discovered keys: each key with its cells. Keys that no shown cell has are not in it, not even as a number.

use serde::{Deserialize, Serialize};

use super::{CellRelease, Count};
use crate::limits;
use crate::plan::{DiscoveredKey, TableLayout};

/// Tables of discovered keys that passed the gate. There is no total: less the shown keys it would give the others away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiscoveredRelease {
    /// k: no count of 1 … k − 1 subjects is shown, and none of 0 either.
    pub threshold: u32,
    /// Each once, in the column's own order, missing values first. A key that is not here has fewer than k subjects in every cell, or
    /// was left out for want of room.
    pub keys: Vec<KeyRelease>,
    /// Where keys with a cell of k or more subjects were left out for want of room: a power of two that no cell of them exceeds. Those that
    /// are here have the most subjects in such cells.
    pub beyond: Option<u64>,
    /// Whether a cell that is not shown may be of any size, since fewer than k of its subjects have changed since the same was answered.
    pub held_back: bool,
    /// Whether every count is rounded, and sums are of so many ([`super::rounding`]).
    pub rounded: bool,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRelease {
    /// Its name: a text, a code, or an integer in digits; none for missing values.
    pub key: Option<String>,
    /// One a cell of the dense rest, at least one of them shown.
    pub cells: Vec<CellRelease>,
}

impl DiscoveredRelease {
    /// The most subjects of a cell that is not shown, of a key that was not left out for want of room; none: no bound.
    pub fn most_hidden(&self) -> Option<u64> {
        super::most_hidden(self.threshold, self.held_back)
    }

    /// Whether this could be an honest answer: names that the contract and the rules on texts allow, order, shape and size of every value.
    ///
    /// What passes can be merged over any number of sites without overflow, and shown on a terminal.
    pub fn fits(&self, key: &DiscoveredKey, layout: &TableLayout) -> bool {
        let k = u64::from(self.threshold.max(1));
        let plausible = |c: &Count| c.subjects >= k && c.subjects <= c.rows && c.rows <= limits::ROWS;
        let cells = |one: &KeyRelease| {
            one.cells.len() == layout.cells_at(0)
                && one.cells.iter().any(CellRelease::is_shown)
                && one.cells.iter().all(|cell| cell.fits(layout, &plausible))
        };
        let bound = |n: u64| n.is_power_of_two() && n >= k && n <= limits::ROWS;
        self.keys.len() <= layout.keys_that_fit()
            && self.named_in_order(key)
            && self.keys.iter().all(cells)
            && self.beyond.is_none_or(bound)
    }

    /// Whether every name is one that a value has, and each value stands after the one before.
    fn named_in_order(&self, key: &DiscoveredKey) -> bool {
        let named = |one: &KeyRelease| match &one.key {
            None => key.can_be_missing(),
            Some(text) => key.value(text).is_some(),
        };
        let values = self.keys.iter().map(|one| one.key.as_deref().map(|text| key.value(text)));
        self.keys.iter().all(named) && values.is_sorted_by(|a, b| a < b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::parse;
    use crate::plan::{Discovered, Expr, Measure, Plan, Statistic, Table, ValidPlan};
    use crate::release::{MeasureRelease, Outcome, TableRelease};

    const CONTRACT: &str = r#"
        id = "demo@1"
        subject = "row"
        [[column]]
        name = "note"
        type = "text"
        [[column]]
        name = "icd"
        type = "code"
        required = true
        codes = [{ code = "I10" }, { code = "E11" }]
        [[column]]
        name = "ward"
        type = "int"
        range = [0, 100000]
        [[column]]
        name = "ill"
        type = "bool"
        required = true
        [[column]]
        name = "crp"
        type = "float"
        range = [0, 500]
    "#;

    fn plan(column: &str) -> ValidPlan {
        let contract = parse(CONTRACT, "demo.toml").unwrap();
        let query = contract.rows(None);
        let measures = vec![Measure::Column("crp".parse().unwrap())];
        let table = Table { by: vec![Expr::Column("ill".parse().unwrap())], measures, roll_up: false };
        let discovered = Discovered { key: column.parse().unwrap(), table };
        ValidPlan::check(Plan { query, statistic: Statistic::Discovered(discovered) }, &contract).unwrap()
    }

    fn shown(subjects: u64, rows: u64) -> CellRelease {
        CellRelease::Shown { count: Count { subjects, rows }, measures: vec![MeasureRelease::Hidden] }
    }

    fn key(name: Option<&str>) -> KeyRelease {
        KeyRelease { key: name.map(str::to_owned), cells: vec![CellRelease::FewerThanK, shown(3, 3)] }
    }

    fn of(names: &[Option<&str>]) -> DiscoveredRelease {
        DiscoveredRelease {
            threshold: 3,
            keys: names.iter().map(|name| key(*name)).collect(),
            beyond: None,
            held_back: false,
            rounded: false,
        }
    }

    fn fits(column: &str, release: DiscoveredRelease) -> bool {
        Outcome::Discovered(release).fits(&plan(column))
    }

    #[test]
    fn keys_fit_in_their_columns_order_each_once_and_under_their_one_name() {
        assert!(fits("note", of(&[])));
        assert!(fits("note", of(&[None, Some(""), Some("a"), Some("b")])));
        assert!(fits("icd", of(&[Some("I10"), Some("E11")])), "as the contract lists them");
        assert!(fits("ward", of(&[None, Some("9"), Some("10")])));
        let long = "x".repeat(limits::KEY_BYTES + 1);
        for (column, bad) in [
            ("note", &[Some("b"), Some("a")][..]),
            ("note", &[Some("a"), Some("a")]),
            ("note", &[Some("a"), None]),
            ("note", &[None, None]),
            ("note", &[Some("a\u{1b}[2J")]),
            ("note", &[Some(&long)]),
            ("note", &[Some(crate::plan::MISSING)]),
            ("icd", &[Some("E11"), Some("I10")]),
            ("icd", &[Some("E12")]),
            ("icd", &[None]),
            ("ward", &[Some("10"), Some("9")]),
            ("ward", &[Some("09")]),
            ("ward", &[Some("100001")]),
        ] {
            assert!(!fits(column, of(bad)), "{column}: {bad:?}");
        }
    }

    #[test]
    fn cells_of_a_key_fit_as_those_of_a_table_and_one_of_them_is_shown() {
        let with = |cells: Vec<CellRelease>| DiscoveredRelease {
            keys: vec![KeyRelease { key: Some("a".into()), cells }],
            ..of(&[])
        };
        assert!(fits("note", with(vec![shown(3, 4), shown(9, 9)])));
        for bad in [
            vec![CellRelease::FewerThanK, CellRelease::FewerThanK],
            vec![shown(3, 3)],
            vec![shown(3, 3), shown(3, 3), shown(3, 3)],
            vec![shown(3, 3), shown(2, 3)],
            vec![shown(3, 3), shown(4, 3)],
            vec![shown(3, 3), shown(3, limits::ROWS + 1)],
            vec![shown(3, 3), CellRelease::Shown { count: Count { subjects: 3, rows: 3 }, measures: vec![] }],
        ] {
            assert!(!fits("note", with(bad.clone())), "{bad:?}");
        }
    }

    #[test]
    fn a_bound_on_what_was_left_out_is_a_power_of_two_from_k_on() {
        let beyond = |n| DiscoveredRelease { beyond: Some(n), ..of(&[Some("a")]) };
        assert!(fits("note", beyond(4)) && fits("note", beyond(limits::ROWS)));
        for bad in [0, 2, 3, 5, limits::ROWS * 2, u64::MAX] {
            assert!(!fits("note", beyond(bad)), "{bad}");
        }
    }

    #[test]
    fn more_keys_than_the_dense_rest_leaves_room_for_do_not_fit() {
        let most = plan("ward").most_keys();
        assert_eq!(most, limits::DISCOVERED_KEYS);
        let names: Vec<String> = (0..=most).map(|i| i.to_string()).collect();
        let keys = |n: usize| of(&names[..n].iter().map(|name| Some(name.as_str())).collect::<Vec<_>>());
        assert!(fits("ward", keys(most)));
        assert!(!fits("ward", keys(most + 1)));
    }

    #[test]
    fn another_statistics_outcome_does_not_fit() {
        let table = TableRelease {
            threshold: 3,
            step: 0,
            total: None,
            cells: vec![shown(3, 3), shown(3, 3)],
            held_back: false,
            rounded: false,
        };
        assert!(!Outcome::Table(table).fits(&plan("note")));
        let contract = parse(CONTRACT, "demo.toml").unwrap();
        let discovered = plan("note").plan().clone();
        let Statistic::Discovered(Discovered { table, .. }) = discovered.statistic else { panic!() };
        let dense = ValidPlan::check(Plan { statistic: Statistic::Table(table), ..discovered }, &contract).unwrap();
        assert!(!Outcome::Discovered(of(&[Some("a")])).fits(&dense));
    }
}
