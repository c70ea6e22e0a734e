//! Models that single a patient out: by steep coefficients, by rare levels, by numbers that few have, by more equations than patients.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::analysis::{RoundState, Spec};
use bocage_protocol::limits;
use bocage_protocol::plan::{self, Link, Position, Sums};
use bocage_protocol::release::Outcome;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::hospital::{Desk, Hospital};
use super::scenario::{Family, Guard};
use super::ward::{Patient, patients};

/// The sums of a step, as an attacker reads them.
pub struct StepSums {
    pub n: f64,
    at: Sums,
    pub sums: Vec<f64>,
}

impl StepSums {
    pub fn score(&self, column: usize) -> f64 {
        self.sums[self.at.score()][column]
    }

    fn in_triangle(from: &[f64], i: usize, j: usize) -> f64 {
        let (row, column) = (i.max(j), i.min(j));
        from[row * (row + 1) / 2 + column]
    }

    pub fn information(&self, i: usize, j: usize) -> f64 {
        Self::in_triangle(&self.sums[self.at.information()], i, j)
    }

    /// Those of whom these are, but not others.
    pub fn less(&self, other: &Self) -> Self {
        let sums = self.sums.iter().zip(&other.sums).map(|(own, other)| own - other).collect();
        Self { n: self.n - other.n, at: self.at, sums }
    }

    fn squares(&self, i: usize, j: usize) -> f64 {
        Self::in_triangle(&self.sums[self.at.squares()], i, j)
    }
}

/// Round 0 of a model, and round 1 at these coefficients if there are any: the sums that leave in the last one.
pub fn step(desk: &Desk<'_>, filter: &str, model: &str, beta: &[f64]) -> Option<StepSums> {
    step_with(desk, filter, "", model, beta)
}

/// The same in a study with these fitted models.
pub fn step_with(desk: &Desk<'_>, filter: &str, models: &str, model: &str, beta: &[f64]) -> Option<StepSums> {
    let asked = format!("{models}\n[[analysis]]\nname = 'a'\nmodel = {{ {model} }}\n");
    let study = desk.hospital.study(filter, &asked);
    let Spec::Model(spec) = &study.analyses[0].spec else { panic!("no model: {model}") };
    let at = Sums { width: spec.columns().count() };
    let mut request = desk.hospital.request(&study);
    let mut release = desk.reply(&request).ok()?;
    if !beta.is_empty() {
        let position = Position { beta: beta.to_vec(), ..spec.start() };
        let steps = vec![Step { analysis: 0, state: RoundState::At(position) }];
        request = RoundRequest { round: 1, steps, ..request };
        release = desk.reply(&request).ok()?;
    }
    match release.parts.remove(0).outcome {
        Outcome::Model(model) => Some(StepSums { n: model.n as f64, at, sums: model.sums }),
        Outcome::Refused(_) => None,
        other => panic!("no model: {other:?}"),
    }
}

fn ask(rows: &[Patient], on: Controls, model: &str, beta: &[f64]) -> Option<StepSums> {
    step(&Hospital::ward(rows).open(on), "", model, beta)
}

/// Eighty patients of whom a model may be asked: whatever tells them apart has many on both sides.
pub fn eighty() -> Vec<Patient> {
    many(80)
}

/// So many of the same kind.
fn many(n: usize) -> Vec<Patient> {
    patients(n, |i| Patient {
        age: 30 + (i % 25) as i64,
        weight: Some(60.0 + (7 * i % 23) as f64),
        area: ["a", "c"][i % 2],
        sex: ["0", "1"][i / 2 % 2],
        sick: Some(i / 4 % 2 == 0),
        dose: 1.0 + 0.01 * (i % 11) as f64,
        ..Patient::default()
    })
}

/// The one whom the attacker is after.
pub fn target() -> Patient {
    Patient { age: 111, weight: Some(250.0), sex: "1", sick: Some(true), ..Patient::default() }
}

fn eighty_and(target: Patient) -> Vec<Patient> {
    eighty().into_iter().chain([target]).collect()
}

pub fn near(found: f64, truth: f64, within: f64) -> bool {
    (found - truth).abs() < within
}

/// From columns that are scaled by the ward's contract.
pub fn age(z: f64) -> f64 {
    60.0 + 60.0 * z
}

pub fn weight(z: f64) -> f64 {
    150.0 + 150.0 * z
}

/// Four hundred who weigh nearly the same, and the target.
pub fn nearly_equal() -> Vec<Patient> {
    let ordinary = |i: usize| Patient {
        age: 30 + (i % 25) as i64,
        weight: Some(70.0 + 0.1 * (i % 9) as f64),
        ..Patient::default()
    };
    patients(400, ordinary).into_iter().chain([target()]).collect()
}

/// Σ f(x) = Π (x − xᵢ) from power sums Σ xᵢᵏ, by Newton's identities: its roots are everybody's values.
fn roots_among(power_sums: &[f64], candidates: impl Iterator<Item = i64>, z: impl Fn(i64) -> f64) -> Vec<i64> {
    let n = power_sums.len() - 1;
    let mut elementary = vec![1.0];
    for k in 1..=n {
        let term = |i: usize| (if i % 2 == 1 { 1.0 } else { -1.0 }) * elementary[k - i] * power_sums[i];
        elementary.push((1..=k).map(term).sum::<f64>() / k as f64);
    }
    let value = |x: f64| {
        elementary.iter().enumerate().fold(0.0, |sum, (k, e)| {
            let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
            sum * x + sign * e
        })
    };
    candidates.filter(|candidate| value(z(*candidate)).abs() < 1e-7).collect()
}

fn row_by_information(step: &StepSums) -> bool {
    let z = |column| step.information(0, column) / step.information(0, 0);
    near(age(z(1)), 111.0, 0.5) && near(weight(z(2)), 250.0, 0.5)
}

fn row_by_score(step: &StepSums) -> bool {
    let z = |column| step.score(column) / step.score(0);
    near(age(z(1)), 111.0, 0.5) && near(weight(z(2)), 250.0, 0.5)
}

/// The information of a logistic model of age and weight at coefficients that no round may have: what would leave, were they not bounded.
fn unbounded(rows: &[Patient], beta: [f64; 3]) -> StepSums {
    let at = Sums { width: 3 };
    let mut sums = vec![0.0; at.information().end];
    for patient in rows {
        let x = [1.0, (patient.age as f64 - 60.0) / 60.0, (patient.weight.unwrap_or_default() - 150.0) / 150.0];
        let eta = x.iter().zip(&beta).map(|(x, b)| x * b).sum();
        let y = f64::from(u8::from(patient.sick == Some(true)));
        let weight = plan::Family::Binomial(Link::Logit).row(y, eta, 1.0).weight;
        let products = (0..3).flat_map(|i| (0..=i).map(move |j| x[i] * x[j]));
        sums[at.information()].iter_mut().zip(products).for_each(|(sum, product)| *sum += weight * product);
    }
    StepSums { n: rows.len() as f64, at, sums }
}

/// Somebody who is a little older and heavier than all others, by coefficients as steep as a round may have, and a little steeper.
fn steepest(guard: Guard) -> bool {
    let target = Patient { age: 60, weight: Some(90.0), ..target() };
    let rows = eighty_and(target);
    let is_target = |step: &StepSums| {
        let z = |column| step.information(0, column) / step.information(0, 0);
        near(age(z(1)), 60.0, 0.5) && near(weight(z(2)), 90.0, 0.5)
    };
    // The target's own linear predictor is 0.
    let at = |slope: f64| [0.4 * slope, slope, slope];
    if guard == Guard::Off {
        return is_target(&unbounded(&rows, at(100.0)));
    }
    let on = Guard::Off.but(&STEEP);
    let ask = |slope| ask(&rows, on, "formula = 'sick ~ age + weight'", &at(slope));
    let within = ask(limits::MODEL_SLOPE).expect("a step within the bounds");
    is_target(&within) || ask(limits::MODEL_SLOPE * 1.001).is_some()
}

/// Who is far out weighs much, is far from what the model says, and has most of the information somewhere: each alone would do.
const STEEP: [Control; 3] = [Control::ModelWeights, Control::ModelSquares, Control::ModelLeverage];
/// Who is alone on a side has all of what is said of it.
const RARE: [Control; 2] = [Control::ModelSides, Control::ModelLeverage];
/// Who alone differs, too.
const NARROW: [Control; 2] = [Control::ModelSpread, Control::ModelLeverage];
const RARE_AND_NARROW: [Control; 3] = [Control::ModelSides, Control::ModelSpread, Control::ModelLeverage];

pub fn family() -> Family {
    let steep = [-15.0, 10.0, 10.0];
    Family::new("models")
        .against_all(STEEP, "steep coefficients leave the information of one patient", move |on| {
            let model = "formula = 'sick ~ age + weight'";
            ask(&eighty_and(target()), on, model, &steep).is_some_and(|step| row_by_information(&step))
        })
        .against(Control::ModelWeights, "steep coefficients leave the information of two who are alike", |on| {
            // Each has half of the information, and little of the deviance: half of all others are sick against all odds.
            let rows: Vec<Patient> = many(160).into_iter().chain([target(), target()]).collect();
            let step = ask(&rows, on, "formula = 'sick ~ age + weight'", &[-9.1, 6.0, 6.0]);
            step.is_some_and(|step| row_by_information(&step))
        })
        .beside("the range of coefficients", "coefficients that are a little steeper than any fit's", steepest)
        .against_all(STEEP, "steep coefficients of a probit do so too", |on| {
            let model = "formula = 'sick ~ age + weight', link = 'probit'";
            ask(&eighty_and(target()), on, model, &[-15.0, 10.0, 10.0]).is_some_and(|step| row_by_information(&step))
        })
        .against_all(STEEP, "steep rates leave the residual of one patient", |on| {
            let model = "formula = 'sick ~ age + weight', family = 'poisson'";
            ask(&eighty_and(target()), on, model, &[0.0, 10.0, 10.0]).is_some_and(|step| row_by_score(&step))
        })
        .against_all(STEEP, "an offset leaves one patient without any step", |on| {
            let model = "formula = 'sick ~ age + weight + offset(dose)', family = 'poisson'";
            let rows = eighty_and(Patient { dose: 30.0, ..target() });
            ask(&rows, on, model, &[]).is_some_and(|step| row_by_score(&step))
        })
        .against_all(STEEP, "a weight that one patient has", |on| {
            let model = "formula = 'sick ~ age + weight', weights = 'dose * dose'";
            let rows = eighty_and(Patient { dose: 1000.0, ..target() });
            ask(&rows, on, model, &[]).is_some_and(|step| row_by_information(&step))
        })
        .against_all(STEEP, "squares of residuals single out who has less than a third of them", |on| {
            let model = "formula = 'weight ~ age', standard_errors = 'hc0'";
            let step = ask(&nearly_equal(), on, model, &[-0.54, 0.0]);
            step.is_some_and(|step| near(age(step.squares(0, 1) / step.squares(0, 0)), 111.0, 3.0))
        })
        .against_all(RARE, "the one patient of a level is counted", |on| {
            let rows = eighty_and(Patient { area: "b", ..target() });
            ask(&rows, on, "formula = 'sick ~ area'", &[]).is_some_and(|step| 4.0 * step.information(1, 1) == 1.0)
        })
        .against_all(RARE, "and whether that patient is sick", |on| {
            let sick = |sick: bool| {
                let rows = eighty_and(Patient { area: "b", sick: Some(sick), ..target() });
                ask(&rows, on, "formula = 'sick ~ area'", &[]).map(|step| step.score(1))
            };
            sick(true) == Some(0.5) && sick(false) == Some(-0.5)
        })
        .against_all(RARE_AND_NARROW, "the numbers of the one patient of a level", |on| {
            let rows = eighty_and(Patient { area: "b", ..target() });
            let step = ask(&rows, on, "formula = 'weight ~ area + age'", &[]);
            step.is_some_and(|step| {
                near(age(step.information(1, 3)), 111.0, 1e-6) && near(weight(step.score(1)), 250.0, 1e-6)
            })
        })
        .against_all(RARE, "a pair of levels that one patient has", |on| {
            let mut rows = eighty_and(Patient { area: "b", ..target() });
            rows.extend(patients(10, |i| Patient { area: "b", sick: Some(i % 2 == 0), ..Patient::default() }));
            let step = ask(&rows, on, "formula = 'sick ~ area + sex'", &[]);
            step.is_some_and(|step| 4.0 * step.information(1, 3) == 1.0)
        })
        .against_all(RARE, "their interaction says what became of that patient", |on| {
            let sick = |sick: bool| {
                let mut rows = eighty_and(Patient { area: "b", sick: Some(sick), ..target() });
                rows.extend(patients(10, |i| Patient { area: "b", sick: Some(i % 2 == 0), ..Patient::default() }));
                ask(&rows, on, "formula = 'sick ~ area * sex'", &[]).map(|step| step.score(4))
            };
            sick(true) == Some(0.5) && sick(false) == Some(-0.5)
        })
        .against_all(RARE, "the sex of the one who is sick", |on| {
            let mut rows = eighty_and(target());
            rows[..80].iter_mut().for_each(|patient| patient.sick = Some(false));
            let step = ask(&rows, on, "formula = 'sick ~ sex'", &[]);
            step.is_some_and(|step| {
                step.sums[Sums::OUTCOME] == 1.0 && step.score(1) + 2.0 * step.information(1, 1) == 1.0
            })
        })
        .against_all(RARE_AND_NARROW, "a spline whose knots have one patient above them", |on| {
            let model = "formula = 'sick ~ ns(age, knots = [100, 105]) + weight'";
            let step = ask(&eighty_and(target()), on, model, &[]);
            step.is_some_and(|step| near(weight(step.information(3, 4) / step.information(3, 0)), 250.0, 1e-3))
        })
        .against_all(NARROW, "a column that is the same for all but one patient", |on| {
            let mut rows = eighty_and(Patient { dose: 40.0, ..target() });
            rows[..80].iter_mut().for_each(|patient| patient.dose = 1.0);
            let step = ask(&rows, on, "formula = 'sick ~ dose + weight'", &[]);
            // The scaled dose is −1 where it is 1.
            let beyond = |step: &StepSums, column| step.information(1, column) + step.information(0, column);
            step.is_some_and(|step| near(weight(beyond(&step, 2) / beyond(&step, 0)), 250.0, 1e-3))
        })
        .against_all(NARROW, "a number that only one patient of a level has otherwise", |on| {
            let mut rows = eighty_and(target());
            rows[..80].iter_mut().filter(|p| p.sex == "1").for_each(|patient| patient.weight = Some(70.0));
            let step = ask(&rows, on, "formula = 'sick ~ sex + weight'", &[]);
            let others = (70.0 - 150.0) / 150.0;
            let z = |step: &StepSums| {
                let (n, sum) = (4.0 * step.information(1, 1), 4.0 * step.information(1, 2));
                sum - (n - 1.0) * others
            };
            step.is_some_and(|step| near(weight(z(&step)), 250.0, 1e-6))
        })
        .against_all(NARROW, "a share that is 0 or 1 for all but one patient", |on| {
            let mut rows = eighty_and(Patient { flag: 0.37, ..target() });
            rows[..80].iter_mut().enumerate().for_each(|(i, patient)| patient.flag = f64::from(u8::from(i % 3 == 0)));
            let step = ask(&rows, on, "formula = 'sick ~ flag'", &[]);
            step.is_some_and(|step| near((0.5 * (4.0 * step.information(0, 1) + step.n)).fract(), 0.37, 1e-6))
        })
        .against(Control::ModelSpread, "how many have the rarest of three values", |on| {
            let mut rows = many(120);
            let dose = |i: usize| if i < 4 { 20.0 } else { [1.0, 10.0][i % 2] };
            rows.iter_mut().enumerate().for_each(|(i, patient)| patient.dose = dose(i));
            let step = ask(&rows, on, "formula = 'sick ~ dose'", &[]);
            step.is_some_and(|step| {
                let (middle, half) = (500.5, 499.5);
                let (z, square) = (4.0 * step.information(0, 1), 4.0 * step.information(1, 1));
                let sum = middle * step.n + half * z;
                let squares = middle * middle * step.n + 2.0 * middle * half * z + half * half * square;
                near((squares - step.n - 11.0 * (sum - step.n)) / 190.0, 4.0, 1e-3)
            })
        })
        .against_all(
            [Control::ModelSize, Control::ModelLeverage],
            "power sums of as many patients solve for all their ages",
            |on| {
                let ages = [5, 20, 35, 50, 65, 80, 95, 110];
                let with =
                    |(i, age): (usize, i64)| Patient { age, weight: Some(60.0 + 5.0 * i as f64), ..Patient::default() };
                let rows: Vec<Patient> = ages.into_iter().enumerate().map(with).collect();
                let step = ask(&rows, on, "formula = 'weight ~ poly(age, 4)'", &[]);
                step.is_some_and(|step| {
                    let power = |k: usize| step.information(k.min(4), k - k.min(4));
                    let sums: Vec<f64> = (0..=8).map(power).collect();
                    roots_among(&sums, 0..=120, |age| (age as f64 - 60.0) / 60.0) == ages
                })
            },
        )
}
