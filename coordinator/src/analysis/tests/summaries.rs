//! Summaries against all rows in the clear.

use proptest::prelude::*;

use super::patients::{Patient, Site, assert_holds, number, one, pooled, shown, sites};
use crate::api::types::Value;

const SUMMARY: &str = "[[analysis]]\nname = \"s\"\nsummary = { columns = [\"age\", \"sex\", \"chol\", \"sick\"] }\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_summarys_counts_hold_the_pooled_ones_and_its_shares_are_the_pooled_ones(
        sites in sites(),
        min_sites in 1_u32..4,
    ) {
        let result = one(SUMMARY, &sites, min_sites);
        let all = pooled(&sites);
        let valid = |has: &dyn Fn(&Patient) -> bool| all.iter().filter(|p| has(p)).count() as u64;
        let counts = [
            valid(&|_| true),
            valid(&|_| true),
            valid(&|p| p.chol.is_some()),
            valid(&|p| p.sick.is_some()),
        ];
        for (row, valid) in counts.into_iter().enumerate() {
            assert_holds(&result.block, row, 1, valid);
            assert_holds(&result.block, row, 2, all.len() as u64 - valid);
        }
        let shares = result.also.iter().find(|named| named.title == "shares").unwrap();
        for row in 0..shares.block.rows.len() {
            let (column, level) = (&shares.block.rows[row][0], &shares.block.rows[row][1]);
            let (Value::Text(column), Value::Text(level)) = (column, level) else { panic!() };
            let is_at = |p: &&Patient| match column.as_str() {
                "sex" => (level == "male") == p.male,
                _ => p.sick.map_or("(missing)", |sick| if sick { "true" } else { "false" }) == level,
            };
            let n = all.iter().filter(is_at).count() as u64;
            assert_holds(&shares.block, row, 2, n);
            if let Some(share) = shown(&shares.block, row, 3) {
                let of = if column == "sex" { counts[1] } else { counts[3] };
                prop_assert!((share - n as f64 / of as f64).abs() < 1e-12);
            }
        }
    }
}

fn sites_of(chol: &[Option<f64>]) -> Vec<Site> {
    let patient = |i: usize| Patient {
        age: 40 + (i % 30) as i64,
        male: i.is_multiple_of(2),
        chol: chol[i],
        sick: Some(i.is_multiple_of(3)),
    };
    (0..3).map(|_| Site { patients: (0..chol.len()).map(patient).collect(), k: 5 }).collect()
}

#[test]
fn a_summary_is_one_result_with_a_row_a_column() {
    let chol: Vec<_> = (0..60).map(|i| (i < 45).then_some(150.0 + f64::from(i))).collect();
    let sites = sites_of(&chol);
    let result = one(SUMMARY, &sites, 3);
    assert_eq!((result.name.as_str(), result.kind.as_str()), ("s", "summary"));
    let headings = ["column", "valid", "missing", "mean", "sd", "quantile 0.05", "quantile 0.25", "quantile 0.5"];
    assert_eq!(result.block.columns[..8], headings);
    let row = &result.block.rows[2];
    assert_eq!(row[..3], [Value::Text("chol".into()), Value::Count(135), Value::Count(45)]);
    let values: Vec<f64> = pooled(&sites).iter().filter_map(|p| number(p, "chol")).collect();
    let mean = values.iter().sum::<f64>() / 135.0;
    let sd = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 134.0).sqrt();
    assert!((shown(&result.block, 2, 3).unwrap() - mean).abs() < 1e-6);
    assert!((shown(&result.block, 2, 4).unwrap() - sd).abs() < 1e-6);
    assert!((shown(&result.block, 2, 7).unwrap() - 172.0).abs() < 3.0);
    let (from, to) = (shown(&result.also[0].block, 7, 3).unwrap(), shown(&result.also[0].block, 7, 4).unwrap());
    let within = result.block.within.iter().find(|within| (within.row, within.column) == (2, 7)).unwrap();
    assert_eq!((within.from, within.to), (from, to), "a quantile has its interval beside it");
    assert_eq!(result.block.coverage.iter().find(|c| (c.row, c.column) == (2, 3)).unwrap().n, 135);
    assert_eq!(result.block.rows[1][3], Value::Null, "a code has no mean, and nothing is hidden");
    let hidden: Vec<_> = result.block.hidden.iter().map(|h| (h.row, h.column)).collect();
    assert_eq!(hidden, [(3, 2)], "nobody lacks a diagnosis, which looks like fewer than k everywhere");
    assert_eq!(result.also.iter().map(|n| n.title.as_str()).collect::<Vec<_>>(), ["quantiles", "shares"]);
    assert_eq!(result.also[0].block.rows.len(), 10);
    assert_eq!(result.also[1].block.rows.len(), 5, "two sexes; healthy, sick and missing");
}
