//! How wide a quantile's interval is: it always holds the truth, and is no wider than what bins of k patients at each site leave open, 3 k sites / (N density),
//! wherever the public grid is finer than that.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use bocage_tests::federation::{Federation, Gate, Mode, number};
use bocage_tests::numbers::Numbers;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

const CONTRACT: &str = r#"
    id = "widths@1"
    subject = "row"
    column = [{ name = "x", type = "float", range = [0, 1000], required = true }]
"#;
const RANGE: f64 = 1000.0;
const AT: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

#[derive(Debug, Clone)]
struct Case {
    k: u32,
    sites: usize,
    /// Patients of each site, as a multiple of k.
    times: usize,
    /// How much the density swings about the even one.
    swing: f64,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    (3u32..=12, 2usize..=5, 60usize..=150, 0.0..0.5f64, any::<u64>()).prop_map(|(k, sites, times, swing, seed)| Case {
        k,
        sites,
        times,
        swing,
        seed,
    })
}

impl Case {
    fn patients(&self) -> usize {
        self.k as usize * self.times * self.sites
    }

    /// The value below which a share of the patients lies, and the density there.
    fn value(&self, share: f64) -> f64 {
        RANGE * (share + self.swing * (TAU * share).sin() / TAU)
    }

    fn density(&self, share: f64) -> f64 {
        1.0 / (RANGE * (1.0 + self.swing * (TAU * share).cos()))
    }

    /// Rounds of a deal: of each few patients in order every site gets one, so that all have the density of the whole.
    fn deal(&self) -> Vec<Vec<f64>> {
        let (n, mut numbers) = (self.patients(), Numbers(self.seed));
        let mut sites = vec![Vec::new(); self.sites];
        for first in (0..n).step_by(self.sites) {
            let turn = numbers.below(self.sites);
            for at in 0..self.sites {
                let share = ((first + at) as f64 + numbers.share()) / n as f64;
                sites[(at + turn) % self.sites].push(self.value(share));
            }
        }
        sites
    }
}

fn holds(case: &Case) -> TestCaseResult {
    let dealt = case.deal();
    let csv = |values: &Vec<f64>| {
        values.iter().fold("x\n".to_owned(), |mut text, x| {
            let _ = writeln!(text, "{x}");
            text
        })
    };
    let names: Vec<String> = (0..case.sites).map(|site| format!("site-{site}")).collect();
    let sites: Vec<(&str, String)> = names.iter().map(String::as_str).zip(dealt.iter().map(csv)).collect();
    let asked = format!("[[analysis]]\nname = \"q\"\nquantiles = {{ of = \"x\", at = {AT:?} }}\n");
    let gate = Gate { threshold: case.k, joint: case.k, min_sites: 2, mode: Mode::Exact };
    let results = Federation::new(CONTRACT, &sites).run(&asked, gate);
    let mut pooled: Vec<f64> = dealt.concat();
    pooled.sort_by(f64::total_cmp);
    for p in AT {
        let at = |column| number(&results[0].block, &p.to_string(), column);
        let (from, value, to) = (at("from"), at("value"), at("to"));
        // The smallest value that a share of p lies at or below.
        let percent = (100.0 * p).round() as usize;
        let truth = pooled[(pooled.len() * percent).div_ceil(100) - 1];
        prop_assert!((from..=to).contains(&truth), "{p}: the truth {truth} is outside {from} … {to}");
        prop_assert!((from..=to).contains(&value), "{p}: {value} is outside {from} … {to}");
        let law = 3.0 * f64::from(case.k) * case.sites as f64 / (case.patients() as f64 * case.density(p));
        let cell = RANGE / 1000.0;
        prop_assert!(law > 5.0 * cell, "the grid is finer");
        prop_assert!(to - from <= law, "{p}: {from} … {to} is wider than {law}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8 * bocage_tests::scale()))]

    #[test]
    fn a_quantile_is_in_its_interval_which_is_no_wider_than_bins_of_k_patients_leave_open(case in cases()) {
        holds(&case)?;
    }
}
