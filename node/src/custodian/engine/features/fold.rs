//! What is made of one patient's rows, and the columns that this gives. Every choice between rows is settled by their values, so that their order
//! never shows.

use bocage_protocol::contract::Kind;
use bocage_protocol::limits;
use bocage_protocol::plan::Pick;
use polars::prelude::{
    BooleanChunked, Column, Float64Chunked, Int64Chunked, IntoColumn as _, NewChunkedArray as _, UInt16Chunked,
};

use super::look::PartRows;

/// How many.
pub fn count(mine: &[usize], _: &PartRows) -> Option<u32> {
    Some(mine.len().min(limits::FEATURE_COUNT as usize) as u32)
}

/// The mean of their values. They are added in their own order, so that it does not depend on the rows'.
pub fn mean(mine: &[usize], rows: &PartRows) -> Option<f64> {
    let values = rows.values()?;
    let mut numbers = mine.iter().map(|at| values.number(*at)).collect::<Option<Vec<f64>>>()?;
    numbers.sort_unstable_by(f64::total_cmp);
    let (least, greatest) = (*numbers.first()?, *numbers.last()?);
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    // Rounding must not carry it out of the column's range.
    mean.is_finite().then(|| mean.clamp(least, greatest))
}

/// The sum of their values, added in their own order.
pub fn sum(mine: &[usize], rows: &PartRows) -> Option<f64> {
    let values = rows.values()?;
    let mut numbers = mine.iter().map(|at| values.number(*at)).collect::<Option<Vec<f64>>>()?;
    numbers.sort_unstable_by(f64::total_cmp);
    Some(numbers.iter().sum::<f64>())
}

/// The place of the row that a pick chooses. Of several at one time, in the contract's order too, it is that of the smallest value, and of equal values any.
pub fn pick(pick: Pick, mine: &[usize], rows: &PartRows) -> Option<u32> {
    let values = rows.values()?;
    let by_time = |a: &usize, b: &usize| rows.earlier(*a, *b);
    let by_value = |a: &usize, b: &usize| values.order(*a, *b);
    let mut mine = mine.iter().copied();
    let at = match pick {
        Pick::First => timed(&mut mine, rows).min_by(|a, b| by_time(a, b).then_with(|| by_value(a, b))),
        Pick::Last => timed(&mut mine, rows).min_by(|a, b| by_time(b, a).then_with(|| by_value(a, b))),
        Pick::Least => mine.min_by(by_value),
        Pick::Greatest => mine.max_by(by_value),
        // It is the value of no row.
        Pick::Mean => None,
    };
    at.and_then(|at| rows.place(at))
}

fn timed<'a>(mine: &'a mut impl Iterator<Item = usize>, rows: &'a PartRows) -> impl Iterator<Item = usize> + 'a {
    mine.filter(|at| rows.time(*at).is_some())
}

/// Whether each subject has so many.
pub fn at_least(found: &[(u32, u32)], subjects: usize, least: u32) -> Column {
    let truths = placed(found.iter().map(|(subject, count)| (*subject, *count >= least)), subjects, least == 0);
    BooleanChunked::from_slice("truths".into(), &truths).into_column()
}

/// How many each subject has.
pub fn counts(found: &[(u32, u32)], subjects: usize) -> Column {
    const { assert!(limits::FEATURE_COUNT <= u16::MAX as u32) };
    let found = found.iter().map(|(subject, count)| (*subject, *count as u16));
    UInt16Chunked::from_vec("counts".into(), placed(found, subjects, 0)).into_column()
}

/// The mean of each subject who has one.
pub fn means(found: &[(u32, f64)], subjects: usize) -> Column {
    let means = placed(found.iter().map(|(subject, mean)| (*subject, Some(*mean))), subjects, None);
    Float64Chunked::from_iter_options("means".into(), means.into_iter()).into_column()
}

/// The sum of each subject, within the range of a column of this kind; 0 where nothing was found. None where it is no column of numbers.
pub fn sums(found: &[(u32, f64)], subjects: usize, kind: Option<&Kind>) -> Option<Column> {
    // What a sum of large values overflows to lies beyond the range, too.
    let within = |lo: f64, hi: f64| found.iter().map(move |(subject, sum)| (*subject, sum.clamp(lo, hi)));
    match kind? {
        Kind::Int { lo, hi } => {
            let whole = within(*lo as f64, *hi as f64).map(|(subject, sum)| (subject, sum as i64));
            Some(Int64Chunked::from_vec("sums".into(), placed(whole, subjects, 0)).into_column())
        }
        Kind::Float { lo, hi } => {
            Some(Float64Chunked::from_vec("sums".into(), placed(within(*lo, *hi), subjects, 0.0)).into_column())
        }
        _ => None,
    }
}

/// Whether there are so many for each row.
pub fn truths(counts: &[u32], least: u32) -> Column {
    BooleanChunked::from_iter_values("truths".into(), counts.iter().map(|count| *count >= least)).into_column()
}

/// How many there are for each row.
pub fn numbers(counts: &[u32]) -> Column {
    Int64Chunked::from_iter_values("counts".into(), counts.iter().map(|count| i64::from(*count))).into_column()
}

/// What was found, by subject numbers.
pub fn placed<T: Copy>(found: impl Iterator<Item = (u32, T)>, subjects: usize, otherwise: T) -> Vec<T> {
    let mut of = vec![otherwise; subjects];
    for (subject, value) in found {
        if let Some(of) = of.get_mut(subject as usize) {
            *of = value;
        }
    }
    of
}
