//! Groups by whether a condition holds: risks, their difference and ratios, χ², Fisher's test, trend.

use super::{ALL, CompareDriver, STANDARDISED, TESTS};
use crate::analysis::association::proportions::{Share, difference, odds_ratio, risk_ratio, standardised_difference};
use crate::analysis::association::{Test, fisher, points, trend};
use crate::analysis::estimates::Statistics;
use crate::analysis::{SiteAnswer, independence};
use crate::api::types::{AnalysisResult, Block, HiddenReason, NamedBlock, Value};

impl CompareDriver {
    /// `counts` are those of each group, without it and with it.
    pub(super) fn risks(&self, result: &mut AnalysisResult, counts: &[Vec<Option<u64>>], answers: &[SiteAnswer<'_>]) {
        let z = points::z(self.spec.confidence.share());
        let shares: Vec<Option<Share>> = counts.iter().map(|row| share(row)).collect();
        with_shares(&mut result.block, &shares, z);
        let zero = shares[self.reference()];
        let mut against = Statistics::new(["group", "measure", "value", "from", "to"]);
        for (at, group) in self.others() {
            let pair = shares[at].zip(zero);
            let reason = reason(pair.is_some());
            for (name, of) in [
                ("risk_difference", difference as fn(Share, Share, f64) -> _),
                ("risk_ratio", risk_ratio),
                ("odds_ratio", odds_ratio),
            ] {
                against.estimate(&[&group, name], pair.and_then(|(one, zero)| of(one, zero, z)), reason);
            }
            let apart = pair.and_then(|(one, zero)| standardised_difference(one, zero));
            against.number(&[&group, STANDARDISED], apart, reason);
        }
        result.also.push(self.against(against.block()));
        let mut tests = Statistics::tests();
        self.risk_tests(&shares, &mut tests, &mut result.notes);
        if self.spec.within_sites {
            let together = self.within_sites(answers, &mut tests, &mut result.notes);
            result.also.push(NamedBlock { title: "within sites".into(), block: together });
        }
        result.also.push(NamedBlock { title: TESTS.into(), block: tests.block() });
    }

    fn risk_tests(&self, shares: &[Option<Share>], tests: &mut Statistics, notes: &mut Vec<String>) {
        let all: Option<Vec<Share>> = shares.iter().copied().collect();
        if all.is_none() {
            notes.push("not every comparison is given: each needs the counts of its groups exactly".into());
        }
        let matrix = |all: &Vec<Share>| all.iter().map(|s| vec![s.n - s.with, s.with]).collect::<Vec<_>>();
        let chi2 = all.as_ref().and_then(|all| independence::test(&matrix(all)));
        if chi2.as_ref().is_some_and(|test| test.small_expected > 0.2) {
            notes.push("more than a fifth of the expected counts are below 5: p of χ² is rough (Cochran 1954)".into());
        }
        let of = |t: independence::Independence| Test { statistic: t.chi2, df: Some(t.df as f64), df_2: None, p: t.p };
        tests.test("chi2", ALL, chi2.map(of), reason(all.is_some()));
        for (at, group) in self.others() {
            let pair = shares[at].zip(shares[self.reference()]);
            let cells = |share: Share| [share.with, share.n - share.with];
            let p = pair.and_then(|(one, zero)| fisher::exact([cells(one), cells(zero)]));
            if p.is_none() && pair.is_some_and(|(one, zero)| one.n > 0 && zero.n > 0) {
                notes.push(format!("{group} has no exact test: of so many patients χ² says the same"));
            }
            tests.chance("fisher_exact", &group, p, reason(pair.is_some()));
        }
        if !self.spec.scores.is_empty() {
            let trend = all.as_ref().and_then(|all| trend::cochran_armitage(all, &self.spec.scores));
            tests.test("cochran_armitage_trend", ALL, trend, reason(all.is_some()));
        }
    }
}

fn share(row: &[Option<u64>]) -> Option<Share> {
    match row {
        [Some(without), Some(with)] => Some(Share::of(*with, *without)),
        _ => None,
    }
}

fn reason(exact: bool) -> HiddenReason {
    if exact { HiddenReason::TooFewValues } else { HiddenReason::NotAllExact }
}

/// The block with each group's risk and its interval behind the counts.
fn with_shares(block: &mut Block, shares: &[Option<Share>], z: f64) {
    let from = block.columns.len();
    block.columns.extend(["share", "from", "to"].map(str::to_owned));
    for row in 0..block.rows.len() {
        let Some(share) = shares.get(row) else {
            // Of the group of missing values no share is asked.
            block.rows[row].extend([Value::Null, Value::Null, Value::Null]);
            continue;
        };
        let found = share.and_then(|share| share.wilson(z));
        let numbers = [found.map(|f| f.value), found.map(|f| f.from), found.map(|f| f.to)];
        for (column, number) in numbers.into_iter().enumerate() {
            let value = block.value_or_hidden(row, from + column, number, reason(share.is_some()));
            block.rows[row].push(value);
        }
    }
}
