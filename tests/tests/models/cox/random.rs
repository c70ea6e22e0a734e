//! A step's sums on random data are those of a plain pass over everybody at risk, event by event, whatever the ties, strata, late entries and
//! coefficients.

use std::fmt::Write as _;

use bocage_protocol::analysis::{RoundState, plan_for};
use bocage_protocol::plan::{Position, ValidPlan};
use bocage_protocol::release::Outcome;
use bocage_tests::federation::Federation;

use super::cox;

const CONTRACT: &str = r#"
    id = "random@1"
    subject = "row"
    column = [
        { name = "come", type = "int", range = [0, 40] },
        { name = "leave", type = "int", range = [1, 41] },
        { name = "dead", type = "bool" },
        { name = "ward", type = "code", codes = [{ code = "a" }, { code = "b" }, { code = "c" }] },
        { name = "x", type = "float", range = [-2, 2] },
        { name = "z", type = "float", range = [-1, 1] },
    ]
"#;

struct Patient {
    come: f64,
    leave: f64,
    dead: bool,
    ward: usize,
    x: [f64; 2],
}

/// Numbers that look random (Knuth's constants).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn patients(seed: u64) -> Vec<Patient> {
    let mut draw = Draw(seed);
    let mut patient = || {
        let come = draw.below(30);
        // Some share covariates, so that risks are equal.
        let x = [draw.below(400) as f64 / 100.0 - 2.0, draw.below(3) as f64 - 1.0];
        Patient {
            come: come as f64,
            leave: (come + 1 + draw.below(9)) as f64,
            dead: draw.below(3) > 0,
            ward: draw.below(3) as usize,
            x: if draw.below(4) == 0 { [0.5, 0.0] } else { x },
        }
    };
    (0..60).map(|_| patient()).collect()
}

fn csv(patients: &[Patient]) -> String {
    let mut text = "come,leave,dead,ward,x,z\n".to_owned();
    for Patient { come, leave, dead, ward, x } in patients {
        writeln!(text, "{come},{leave},{dead},{},{},{}", ["a", "b", "c"][*ward], x[0], x[1]).expect("a text");
    }
    text
}

/// Everything that a step at its end sums, in its order, in the columns' own units.
fn plainly(patients: &[Patient], beta: [f64; 2], efron: bool, strata: bool, late: bool) -> Vec<f64> {
    let (mut sums, mut pairs) = (vec![0.0; 7], vec![0.0; 3]);
    let (mut timed, mut scores) = (vec![0.0; 8], vec![[0.0; 2]; patients.len()]);
    let eta = |p: &Patient| beta[0] * p.x[0] + beta[1] * p.x[1];
    let triangle = |of: &dyn Fn(usize, usize) -> f64| [of(0, 0), of(1, 0), of(1, 1)];
    for (i, one) in patients.iter().enumerate().filter(|(_, one)| one.dead) {
        let same = |p: &Patient| !strata || p.ward == one.ward;
        let at_risk = |p: &Patient| same(p) && p.leave >= one.leave && (!late || p.come < one.leave);
        let tied = |p: &Patient| same(p) && p.dead && p.leave == one.leave;
        let ties = patients.iter().filter(|p| tied(p)).count() as f64;
        let before = patients[..i].iter().filter(|p| tied(p)).count() as f64;
        let share = if efron { before / ties } else { 0.0 };
        let weight = |p: &Patient| {
            let part = if tied(p) { 1.0 - share } else { 1.0 };
            if at_risk(p) { part * eta(p).exp() } else { 0.0 }
        };
        let all: f64 = patients.iter().map(weight).sum();
        let mean = [0, 1].map(|j| patients.iter().map(|p| weight(p) * p.x[j]).sum::<f64>() / all);
        let spread = |a: usize, b: usize| {
            let parts = patients.iter().map(|p| weight(p) * (p.x[a] - mean[a]) * (p.x[b] - mean[b]));
            parts.sum::<f64>() / all
        };
        // The clock of times from 1 to 41.
        let clock = (one.leave - 21.0) / 20.0;
        sums[0] += 1.0;
        sums[1] += eta(one) - all.ln();
        for j in [0, 1] {
            sums[2 + j] += one.x[j] - mean[j];
            timed[j] += clock * (one.x[j] - mean[j]);
            for (p, score) in patients.iter().zip(&mut scores) {
                let own = if tied(p) { (p.x[j] - mean[j]) / ties } else { 0.0 };
                score[j] += own - weight(p) / all * (p.x[j] - mean[j]);
            }
        }
        for (at, value) in triangle(&spread).into_iter().enumerate() {
            sums[4 + at] += value;
            timed[2 + at] += clock * value;
            timed[5 + at] += clock * clock * value;
        }
        for p in patients.iter().filter(|p| at_risk(p) && !tied(p)) {
            let at = if eta(p) < eta(one) { 0 } else { 1 + usize::from(eta(p) == eta(one)) };
            pairs[at] += 1.0;
        }
    }
    let squares = triangle(&|a, b| scores.iter().map(|score| score[a] * score[b]).sum());
    [sums, pairs, squares.to_vec(), timed].concat()
}

/// The same of a site, out of the scaled columns: x is halved.
fn of_site(federation: &Federation, beta: [f64; 2], options: &str) -> Vec<f64> {
    let text = format!(
        "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"random@1\"\n{}",
        cox(&format!("{options}, proportionality = \"identity\", standard_errors = \"robust\""))
    );
    let study = federation.bind(&text).expect("a study");
    let at = Position { beta: vec![2.0 * beta[0], beta[1]], robust: true, ..Position::of_hazards(2) };
    let plan = plan_for(&study.analyses[0].spec, study.query(), 5, &RoundState::At(at)).expect("a plan");
    let plan = ValidPlan::check(plan, federation.contract()).expect("a valid plan");
    let Outcome::Model(release) = federation.outcome(&"here".parse().expect("a site"), &plan, 1).expect("an answer")
    else {
        panic!("no model")
    };
    let (one, three) = ([2.0, 1.0], [4.0, 2.0, 1.0]);
    let units = [&[1.0, 1.0][..], &one, &three, &[1.0; 3], &three, &one, &three, &three].concat();
    assert_eq!(release.sums.len(), units.len());
    release.sums.iter().zip(units).map(|(sum, unit)| sum * unit).collect()
}

#[test]
fn sums_on_random_data_are_those_of_a_plain_pass() {
    for seed in 0..6 {
        let patients = patients(seed);
        let federation = Federation::new(CONTRACT, &[("here", csv(&patients))]);
        for (at, beta) in [[0.0, 0.0], [0.7, -1.2], [-2.5, 3.01]].into_iter().enumerate() {
            let case = seed as usize + at;
            let (efron, strata, late) = (case.is_multiple_of(2), !case.is_multiple_of(3), (seed + at as u64) % 4 < 2);
            let options = format!(
                "formula = \"surv({}leave, dead) ~ x + z\", ties = \"{}\", strata = [{}]",
                if late { "come, " } else { "" },
                if efron { "efron" } else { "breslow" },
                if strata { "\"ward\"" } else { "" },
            );
            let ours = of_site(&federation, beta, &options);
            let theirs = plainly(&patients, beta, efron, strata, late);
            for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                let near = (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0);
                assert!(near, "seed {seed}, {options}, at {beta:?}, number {at}: {ours}, plainly {theirs}");
            }
        }
    }
}
