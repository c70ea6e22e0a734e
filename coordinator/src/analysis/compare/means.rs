//! Groups by the mean of a number: intervals, differences, Welch's test, analysis of variance.

use bocage_protocol::release::TableRelease;

use super::{ALL, CompareDriver, STANDARDISED, TESTS};
use crate::analysis::association::means::{Group, anova, standardised_difference, welch};
use crate::analysis::estimates::Statistics;
use crate::analysis::same_sites::{Says, of_same_sites, says};
use crate::api::types::{AnalysisResult, Block, Coverage, Hidden, HiddenReason, Interval, NamedBlock, Value, Within};

impl CompareDriver {
    pub(super) fn means(&self, result: &mut AnalysisResult, releases: &[&TableRelease]) {
        let confidence = self.spec.confidence.share();
        let hidden = result.block.hidden.clone();
        let rounded: Vec<usize> =
            result.block.coverage.iter().filter(|coverage| coverage.off > 0).map(|coverage| coverage.row).collect();
        if !rounded.is_empty() {
            result.notes.push(
                "no interval and no test of means that follow from rounded counts: they need each n exactly".into(),
            );
        }
        let covered: Vec<Option<Coverage>> =
            (0..result.block.rows.len()).map(|row| result.block.coverage_of(row, 2).cloned()).collect();
        // Of some groups together.
        let of_all = |groups: &[usize]| {
            let of = groups.iter().map(|group| covered.get(*group).cloned().flatten()).collect::<Option<Vec<_>>>()?;
            of.into_iter().reduce(|all, of| all.and(&of))
        };
        let groups: Vec<Option<Group>> = (0..result.block.rows.len()).map(|row| group(&result.block, row)).collect();
        result.block = with_intervals(&result.block, &groups, confidence, |row| !says_all(releases, row));
        let known = self.groups().len();
        let comparable = |of: &[usize]| {
            let same = of_same_sites(releases, of);
            same.then(|| of.iter().map(|group| groups[*group]).collect::<Option<Vec<Group>>>())
        };
        let mut against = Statistics::new(["group", "measure", "value", "from", "to"]);
        let mut tests = Statistics::tests();
        let zero = self.reference();
        for (at, name) in self.others() {
            let pair = comparable(&[at, zero]);
            if pair.is_none() {
                result
                    .notes
                    .push(format!("{name} is not compared: some sites show the number in one of the two groups only"));
            }
            let reason = reason(&pair, &hidden, &rounded, &[at, zero]);
            let pair = pair.flatten();
            let found = pair.as_ref().and_then(|pair| welch(&pair[0], &pair[1], confidence));
            let both = of_all(&[at, zero]);
            against.estimate(&[&name, "mean_difference"], found.map(|(estimate, _)| estimate), reason);
            against.covered(both.as_ref());
            let apart = pair.as_ref().and_then(|pair| standardised_difference(&pair[0], &pair[1]));
            against.number(&[&name, STANDARDISED], apart, reason);
            against.covered(both.as_ref());
            tests.test("welch_t", &name, found.map(|(_, test)| test), reason);
            tests.covered(both.as_ref());
        }
        if known > 2 {
            let every: Vec<usize> = (0..known).collect();
            let all = comparable(&every);
            if all.is_none() {
                result.notes.push("no analysis of variance: the groups' numbers are not of the same sites".into());
            }
            let reason = reason(&all, &hidden, &rounded, &every);
            tests.test("anova", ALL, all.flatten().and_then(|groups| anova(&groups)), reason);
            tests.covered(of_all(&every).as_ref());
        }
        result.also.push(self.against(against.block()));
        result.also.push(NamedBlock { title: TESTS.into(), block: tests.block() });
    }
}

/// Why there is no number about groups of which `hidden` are their own numbers.
fn reason(found: &Option<Option<Vec<Group>>>, hidden: &[Hidden], rounded: &[usize], groups: &[usize]) -> HiddenReason {
    match found {
        Some(_) if groups.iter().any(|group| rounded.contains(group)) => HiddenReason::Rounded,
        None => HiddenReason::NotAllExact,
        Some(_) => groups.iter().find_map(|group| of_mean(hidden, *group)).unwrap_or(HiddenReason::TooFewValues),
    }
}

/// Why a group has no mean.
fn of_mean(hidden: &[Hidden], group: usize) -> Option<HiddenReason> {
    hidden.iter().find(|hidden| (hidden.row, hidden.column) == (group, 2)).map(|hidden| hidden.reason)
}

/// Whether no site hides the number in a group.
fn says_all(releases: &[&TableRelease], group: usize) -> bool {
    releases.iter().all(|release| says(release, group) != Says::Hides)
}

/// A group's numbers as they are published: count, mean and sd stand behind the group's label.
fn group(block: &Block, row: usize) -> Option<Group> {
    let of_mean = |coverage: &&Coverage| (coverage.row, coverage.column) == (row, 2) && coverage.off == 0;
    let coverage = block.coverage.iter().find(of_mean)?;
    match block.rows[row].as_slice() {
        [_, _, Value::Number(mean), Value::Number(sd)] => Some(Group { n: coverage.n, mean: *mean, sd: *sd }),
        _ => None,
    }
}

/// The block with how many have a value behind the count, and the mean's interval behind its standard deviation.
fn with_intervals(
    table: &Block,
    groups: &[Option<Group>],
    confidence: f64,
    some_hide: impl Fn(usize) -> bool,
) -> Block {
    // Behind the count everything moves by one.
    let moved = |column: usize| if column < 2 { column } else { column + 1 };
    let mut columns = table.columns.clone();
    columns.insert(2, "valid".to_owned());
    columns.extend(["from", "to"].map(str::to_owned));
    let hidden = table.hidden.iter().map(|hidden| Hidden { column: moved(hidden.column), ..hidden.clone() });
    let coverage = table.coverage.iter().map(|c| Coverage { column: moved(c.column), ..c.clone() });
    let within = table.within.iter().map(|within| Within { column: moved(within.column), ..within.clone() });
    let (hidden, coverage, within) = (hidden.collect(), coverage.collect(), within.collect());
    let mut block = Block { columns, rows: vec![], hidden, coverage, within };
    for (row, values) in table.rows.iter().enumerate() {
        let coverage = table.coverage_of(row, 2);
        let valid = match coverage {
            Some(coverage) if !some_hide(row) && coverage.off == 0 => Value::Count(coverage.n),
            _ => {
                let all = !some_hide(row);
                let otherwise = if all { HiddenReason::Rounded } else { HiddenReason::FewerThanK };
                let reason = of_mean(&table.hidden, row).unwrap_or(otherwise);
                let most = |coverage: &Coverage| if all { Some(coverage.n) } else { coverage.of.1 };
                let interval = coverage.map(|coverage| {
                    let most = most(coverage).map(|most| most + coverage.off);
                    Interval(coverage.n.saturating_sub(coverage.off), most)
                });
                block.hidden.push(Hidden { row, column: 2, interval, reason });
                Value::Null
            }
        };
        let mut values = values.clone();
        values.insert(2, valid);
        let ends = groups[row].and_then(|group| group.interval(confidence));
        let few =
            if coverage.is_some_and(|of| of.off > 0) { HiddenReason::Rounded } else { HiddenReason::TooFewValues };
        let reason = of_mean(&table.hidden, row).unwrap_or(few);
        for end in [ends.map(|ends| ends.from), ends.map(|ends| ends.to)] {
            let value = block.value_or_hidden(row, values.len(), end, reason);
            values.push(value);
        }
        block.rows.push(values);
        block.cover(row, block.columns.len() - 2..block.columns.len(), coverage);
    }
    block
}
