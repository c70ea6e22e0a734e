//! How long the answer to a plan is on the wire at most: a matter of plan and contract alone. What is filled up to it has one length whatever the data
//! are, so the length tells neither how large a number is nor how many are hidden.

use crate::limits::{ERROR_TEXT_BYTES, FRAME_BYTES};
use crate::plan::{MeasureLayout, ValidPlan};

/// Study, site, round, snapshot, salt and checkpoint.
const HEADING: usize = 1024;
/// Of a part: which analysis, its plan's digest, what the outcome is, its threshold, total and marks.
const PART: usize = 160;
/// A number, or the length of a list.
const NUMBER: usize = 9;
/// Patients and rows.
const COUNT: usize = 2 * NUMBER;
/// A sum of quanta or of their squares.
const SUM: usize = 17;
/// A model that is refused has as much room for why: which level has too few is a matter of the data.
const REFUSAL: usize = 2 * (ERROR_TEXT_BYTES + NUMBER);
/// Keys that are found in the data and longer lists of them come filled up to powers of two: all that there could be would be megabytes.
const FOUND: usize = 64 << 10;

/// The most bytes that a site's answer to one analysis takes.
pub fn most_bytes(plan: &ValidPlan) -> usize {
    if let Some((_, layout)) = plan.model() {
        return PART + REFUSAL.max(2 * NUMBER + size_of::<f64>() * layout.values());
    }
    let measure = |measure: &MeasureLayout| match measure {
        MeasureLayout::Number(_) => 1 + COUNT + 2 * SUM,
        MeasureLayout::Condition => 1 + COUNT + NUMBER,
    };
    let cell = 1 + COUNT + NUMBER + plan.layout().measures().iter().map(measure).sum::<usize>();
    let bin = NUMBER + COUNT;
    // A line has one bin at least, and its length.
    let line = NUMBER;
    let cells = match (plan.grid(), plan.discovered()) {
        (Some(_), _) => plan.most_cells().saturating_mul(line + bin),
        (None, None) => plan.most_cells().saturating_mul(cell),
        (None, Some(key)) => {
            let keys = plan.most_keys().min(key.most());
            keys.saturating_mul(1 + key.longest() + 2 * NUMBER + plan.layout().cells_at(0).saturating_mul(cell))
        }
    };
    PART.saturating_add(cells)
}

/// The length to which a release of `bytes`, the answer to `plans`, is filled up: one for all data, or, where keys are found in it and there are many,
/// one of a few.
pub fn filled<'a>(plans: impl IntoIterator<Item = &'a ValidPlan>, bytes: usize) -> usize {
    let mut open = false;
    let fixed = plans.into_iter().fold(HEADING, |sum, plan| {
        let most = most_bytes(plan);
        let found = plan.discovered().is_some() && most > FOUND;
        open |= found;
        sum.saturating_add(if found { FOUND } else { most })
    });
    let length = if open && bytes > fixed { bytes.next_power_of_two() } else { fixed };
    length.max(bytes).min(FRAME_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Contract, parse};
    use crate::env::Timestamp;
    use crate::error::{ErrorCode, PublicError};
    use crate::ids::{Digest, SiteId};
    use crate::limits;
    use crate::plan::{Bins, Discovered, Expr, Lines, Measure, Plan, Statistic, Table};
    use crate::release::{
        BinRelease, BinsRelease, CellRelease, Count, DiscoveredRelease, KeyRelease, LinesRelease, MeasureRelease,
        Outcome, Part, Release, TableRelease,
    };
    use crate::trust::{SecretKey, SignedRelease, Standing};
    use crate::wire::codec;
    use crate::wire::message::Reply;

    const CONTRACT: &str = "id = \"demo@1\"\nsubject = \"row\"\n[[column]]\nname = \"x\"\ntype = \"float\"\nrange = [0, 99]\n\
        [[column]]\nname = \"ill\"\ntype = \"bool\"\nrequired = true\n[[column]]\nname = \"note\"\ntype = \"text\"\n\
        [[column]]\nname = \"icd\"\ntype = \"code\"\ncodes = [{ code = \"I10\" }, { code = \"E11\" }]\n";

    fn contract() -> Contract {
        parse(CONTRACT, "demo.toml").unwrap()
    }

    fn column(name: &str) -> Expr {
        Expr::Column(name.parse().unwrap())
    }

    fn table() -> Table {
        let holds = Measure::Condition(column("ill"));
        Table { by: vec![column("ill")], measures: vec![Measure::Column("x".parse().unwrap()), holds], roll_up: false }
    }

    fn plan(statistic: Statistic) -> ValidPlan {
        let contract = contract();
        ValidPlan::check(Plan { query: contract.rows(None), statistic }, &contract).unwrap()
    }

    fn found(key: &str) -> ValidPlan {
        plan(Statistic::Discovered(Discovered { key: key.parse().unwrap(), table: table() }))
    }

    fn count(n: u64) -> Count {
        Count { subjects: n, rows: n }
    }

    /// A cell of that many patients, hidden where there are none.
    fn cell(plan: &ValidPlan, n: u64) -> CellRelease {
        if n == 0 {
            return CellRelease::FewerThanK;
        }
        let (valid, sum) = (count(n), i128::from(n) * -(1 << 31));
        let measure = |layout: &MeasureLayout| match layout {
            MeasureLayout::Number(_) => MeasureRelease::Number { valid, sum, sum_sq: i128::from(n) << 62 },
            MeasureLayout::Condition => MeasureRelease::Condition { valid, holds_rows: n },
        };
        CellRelease::Shown { count: valid, measures: plan.layout().measures().iter().map(measure).collect() }
    }

    fn of_table(plan: &ValidPlan, n: u64) -> Outcome {
        let cells = vec![cell(plan, n); plan.layout().cells_at(0)];
        Outcome::Table(TableRelease {
            threshold: 11,
            step: 0,
            total: (n > 0).then(|| count(n)),
            cells,
            held_back: false,
            rounded: false,
        })
    }

    fn of_keys(plan: &ValidPlan, names: &[String]) -> Outcome {
        let cells = vec![cell(plan, limits::ROWS); plan.layout().cells_at(0)];
        let keys = names.iter().map(|name| KeyRelease { key: Some(name.clone()), cells: cells.clone() }).collect();
        let beyond = Some(limits::ROWS);
        Outcome::Discovered(DiscoveredRelease { threshold: 11, keys, beyond, held_back: false, rounded: false })
    }

    /// A reply with so many of an answer, as it would be sent, and the length that it is filled up to.
    fn lengths(plan: &ValidPlan, outcome: Outcome, copies: usize) -> (usize, usize) {
        assert!(matches!(outcome, Outcome::Refused(_)) || outcome.fits(plan), "no honest answer");
        let site: SiteId = "a".repeat(31).parse().unwrap();
        let digest = Digest::of("test", &[]);
        let snapshot_at = Timestamp(1_800_000_000_000);
        let parts = vec![Part { analysis: u16::MAX, plan: digest, outcome }; copies];
        let release = Release { study: digest, site, round: 99, snapshot: digest, snapshot_at, parts };
        let ledger = Standing { records: limits::EXACT_INT as u64, head: digest, at: snapshot_at };
        let key = SecretKey::generate(&mut crate::env::Fixed(7));
        let signed = SignedRelease::sign(&release, ledger, &key).unwrap();
        let bytes = codec::encode(&Reply::Released(signed)).unwrap().len();
        (bytes, filled(std::iter::repeat_n(plan, copies), bytes))
    }

    #[test]
    fn a_table_has_one_length_whether_its_cells_are_hidden_small_or_as_large_as_there_are() {
        let plan = plan(Statistic::Table(table()));
        let all = [0, 11, 300, 70_000, 1 << 33, limits::ROWS / 2].map(|n| (lengths(&plan, of_table(&plan, n), 50), n));
        assert!(all.iter().all(|((bytes, length), _)| bytes <= length && *length == all[0].0.1), "{all:?}");
        assert!(
            all.is_sorted_by(|(a, _), (b, _)| a.0 <= b.0) && all[0].0.0 < all[5].0.0,
            "of their own length: {all:?}"
        );
        let refused = Outcome::Refused(PublicError::new(ErrorCode::Internal, "the site could not prepare its answer"));
        let (bytes, length) = lengths(&plan, refused, 50);
        assert!(bytes <= length && length == all[0].0.1, "{bytes}");
    }

    #[test]
    fn bins_and_lines_have_one_length_however_many_they_are() {
        let quantiles = plan(Statistic::Bins(Bins::Column("x".parse().unwrap())));
        let edges: Vec<f64> = (1..60).map(f64::from).collect();
        let lines = plan(Statistic::Bins(Bins::Lines(Lines { by: vec![column("ill")], of: column("x"), edges })));
        for (plan, n) in [(&quantiles, 1), (&lines, 2)] {
            let cells = plan.grid().unwrap().cells() as u32;
            let line = |step: usize, n: u64| -> Vec<BinRelease> {
                let ends = (1..=cells).filter(|end| end % step as u32 == 0 || *end == cells);
                ends.map(|upto| BinRelease { upto, count: count(n) }).collect()
            };
            let outcome = |step, subjects| match n {
                1 => Outcome::Bins(BinsRelease {
                    threshold: 11,
                    missing: Some(count(subjects)),
                    bins: line(step, subjects),
                    held_back: false,
                    rounded: false,
                }),
                _ => {
                    let lines = vec![line(step, subjects); 2];
                    Outcome::Lines(LinesRelease { threshold: 11, lines, held_back: false, rounded: false })
                }
            };
            let most = limits::ROWS / (4 * u64::from(cells));
            let all =
                [(1, most), (1, 11), (7, 400), (cells as usize, 11)].map(|(s, n)| lengths(plan, outcome(s, n), 9));
            assert!(all.iter().all(|(bytes, length)| bytes <= length && *length == all[0].1), "{all:?}");
        }
    }

    #[test]
    fn codes_that_are_found_have_one_length_and_texts_one_of_a_few() {
        let codes = found("icd");
        let all = [&[][..], &["I10".to_owned()], &["I10".to_owned(), "E11".to_owned()]];
        let all = all.map(|names| lengths(&codes, of_keys(&codes, names), 9));
        assert!(all.iter().all(|(bytes, length)| bytes <= length && *length == all[0].1), "{all:?}");

        let texts = found("note");
        let named = |n: usize| (0..n).map(|i| format!("{i:0200}")).collect::<Vec<_>>();
        let few: std::collections::BTreeSet<usize> = (0..2000)
            .step_by(37)
            .map(|n| {
                let (bytes, length) = lengths(&texts, of_keys(&texts, &named(n)), 1);
                assert!(bytes <= length && (length <= 66 << 10 || length.is_power_of_two()), "{bytes} {length}");
                length
            })
            .collect();
        assert!(few.len() <= 5, "{few:?}");
    }

    #[test]
    fn the_largest_table_fills_a_frame_and_no_more() {
        let plan = plan(Statistic::Table(table()));
        assert_eq!(filled(std::iter::repeat_n(&plan, 1_000_000), 1000), FRAME_BYTES);
    }
}
