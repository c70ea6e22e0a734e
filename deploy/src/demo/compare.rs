//! Whether the published answer agrees with the pooled one: every number equal, every interval around the truth.

use bocage_coordinator::api::types::{Block, Interval, SiteReport, SiteStatus, StudyResult, Value};
use serde::Serialize;

use super::pooled::{Moments, Pooled};

/// Means and standard deviations agree within this part of the contract's range of cholesterol.
const RELATIVE: f64 = 1e-9;
/// The contract's range of cholesterol, 50 to 700 mg/dL.
const CHOL_RANGE: f64 = 650.0;

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What is compared: `male [50,60): mean(chol)`.
    pub what: String,
    /// Whether it holds.
    pub holds: bool,
    /// How, in words: the pooled value, or the sites that the number covers.
    pub how: String,
}

/// All comparisons of a result with the pooled truth.
pub fn compare(result: &StudyResult, pooled: &Pooled) -> Vec<Check> {
    let answered = result.sites.iter().filter(|s| s.status == SiteStatus::Answered).count();
    let mut checks =
        vec![check("sites", answered == 4 && result.sites.len() == 4, format!("{answered} of 4 hospitals answered"))];
    let rows = pooled.rows();
    match result.analyses.as_slice() {
        [analysis] if analysis.block.rows.len() == rows.len() => {
            for (row, truth) in rows.iter().enumerate() {
                let cell = Cell { block: &analysis.block, row, pooled, sex: truth.sex, age: truth.age };
                cell.compare(truth.count, &mut checks);
            }
        }
        _ => checks.push(check("table", false, format!("the result is not one table of {} rows", rows.len()))),
    }
    checks
}

/// That every hospital refused, and how.
pub fn refusals(result: &StudyResult) -> Vec<Check> {
    let refusal = |site: &SiteReport| {
        let refused = site.status == SiteStatus::Refused;
        let how = match &site.reason {
            Some(reason) if refused => format!("refuses: {reason}"),
            _ => format!("was to refuse, and has {}", site.status),
        };
        check(site.id.to_string(), refused, how)
    };
    result.sites.iter().map(refusal).collect()
}

fn check(what: impl Into<String>, holds: bool, how: impl Into<String>) -> Check {
    Check { what: what.into(), holds, how: how.into() }
}

struct Cell<'a> {
    block: &'a Block,
    row: usize,
    pooled: &'a Pooled,
    sex: &'static str,
    age: &'static str,
}

impl Cell<'_> {
    fn compare(&self, count: u64, checks: &mut Vec<Check>) {
        let keys: Vec<&Value> = self.block.rows[self.row].iter().take(2).collect();
        let wanted = [self.sex, self.age].map(|key| Value::Text(key.to_owned()));
        if keys != wanted.iter().collect::<Vec<_>>() {
            checks.push(check(format!("row {}", self.row), false, format!("is not {} {}", self.sex, self.age)));
            return;
        }
        checks.push(self.count(count));
        let chol = |sites: &[usize]| self.pooled.chol(self.sex, self.age, sites);
        let disease = |sites: &[usize]| self.pooled.disease(self.sex, self.age, sites);
        let tolerance = RELATIVE * CHOL_RANGE;
        checks.extend(self.number("mean(chol)", tolerance, &chol, |m| m.mean));
        checks.extend(self.number("sd(chol)", tolerance, &chol, |m| m.sd));
        checks.extend(self.number("share(disease)", RELATIVE, &disease, |m| m.mean));
    }

    fn what(&self, column: &str) -> String {
        format!("{} {}: {column}", self.sex, self.age)
    }

    fn column(&self, heading: &str) -> Option<(usize, &Value)> {
        let at = self.block.columns.iter().position(|c| c == heading)?;
        Some((at, self.block.rows[self.row].get(at)?))
    }

    fn count(&self, truth: u64) -> Check {
        let what = self.what("count");
        match self.column("count") {
            Some((_, Value::Count(n))) => check(what, *n == truth, format!("{n}, pooled {truth}")),
            Some((at, Value::Null)) => match self.interval(at) {
                Some(interval) => {
                    let hi = interval.1.map_or("...".to_owned(), |hi| hi.to_string());
                    let how = format!("hidden [{}, {hi}], pooled {truth}", interval.0);
                    check(what, interval.contains(truth), how)
                }
                None => check(what, false, "hidden without an interval"),
            },
            _ => check(what, false, "not a count"),
        }
    }

    fn interval(&self, column: usize) -> Option<Interval> {
        self.block.hidden.iter().find(|h| h.row == self.row && h.column == column)?.interval
    }

    /// A published number must be that of a choice of sites with as many values as it says it covers. A hidden one has nothing to check.
    fn number(
        &self,
        heading: &str,
        tolerance: f64,
        of: &dyn Fn(&[usize]) -> Moments,
        statistic: fn(Moments) -> Option<f64>,
    ) -> Option<Check> {
        let what = self.what(heading);
        let (at, value) = match self.column(heading) {
            Some((_, Value::Null)) => return None,
            Some((at, Value::Number(x))) => (at, *x),
            Some((at, Value::Count(n))) => (at, *n as f64),
            _ => return Some(check(what, false, "not a number")),
        };
        let all = of(&self.pooled.choices().pop().unwrap_or_default());
        let covered = self.block.coverage.iter().find(|c| c.row == self.row && c.column == at);
        let n = covered.map_or(all.n, |c| c.n);
        let near = |m: Moments| m.n == n && statistic(m).is_some_and(|x| (x - value).abs() <= tolerance);
        if n == all.n {
            let truth = statistic(all).map_or("none".to_owned(), |x| x.to_string());
            return Some(check(what, near(all), format!("{value}, pooled {truth}")));
        }
        let choice = self.pooled.choices().into_iter().find(|sites| near(of(sites)));
        Some(match choice {
            Some(sites) => {
                let how = format!("{value}, the same over {}", self.pooled.names(&sites).join(", "));
                check(what, true, how)
            }
            None => check(what, false, format!("{value} covers {n} of {}, and no choice of sites gives that", all.n)),
        })
    }
}

#[cfg(test)]
mod tests {
    use bocage_coordinator::api::types::{Coverage, Hidden, HiddenReason};

    use super::super::setting::HOSPITALS;
    use super::*;

    fn block(count: Value, mean: Value, interval: Interval, n: u64) -> Block {
        let text = |t: &str| Value::Text(t.into());
        Block {
            columns: ["sex", "cut(age, 50, 60)", "count", "mean(chol)"].map(String::from).to_vec(),
            rows: vec![vec![text("male"), text("<50"), count, mean]],
            hidden: vec![Hidden { row: 0, column: 2, interval: Some(interval), reason: HiddenReason::FewerThanK }],
            coverage: vec![Coverage { row: 0, column: 3, n, of: Interval(216, Some(216)), off: 0 }],
            within: vec![],
        }
    }

    fn holds(block: &Block) -> (bool, bool) {
        let pooled = Pooled::read(&HOSPITALS);
        let cell = Cell { block, row: 0, pooled: &pooled, sex: "male", age: "<50" };
        let chol = |sites: &[usize]| pooled.chol("male", "<50", sites);
        let mean = cell.number("mean(chol)", 1e-9, &chol, |m| m.mean).unwrap();
        (cell.count(216).holds, mean.holds)
    }

    #[test]
    fn a_hidden_count_must_lie_in_its_interval_and_a_mean_must_be_that_of_the_sites_it_covers() {
        let pooled = Pooled::read(&HOSPITALS);
        let whole = Value::Number(pooled.chol("male", "<50", &[0, 1, 2, 3]).mean.unwrap());
        let part = Value::Number(pooled.chol("male", "<50", &[0, 1]).mean.unwrap());
        assert_eq!(holds(&block(Value::Null, whole.clone(), Interval(210, Some(220)), 180)), (true, true));
        assert_eq!(holds(&block(Value::Null, part.clone(), Interval(0, None), 167)), (true, true));
        assert_eq!(holds(&block(Value::Null, part, Interval(217, None), 180)), (false, false));
        assert_eq!(holds(&block(Value::Count(216), whole.clone(), Interval(0, None), 180)), (true, true));
        assert_eq!(holds(&block(Value::Count(215), whole, Interval(0, None), 100)), (false, false));
    }
}
