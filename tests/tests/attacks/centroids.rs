//! Centroids that single a patient out: one that stands alone, groups of one value, two answers that differ by one, and a variance that is one patient's.

use std::fmt::Write as _;
use std::fs;

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::analysis::RoundState;
use bocage_protocol::contract;
use bocage_protocol::plan::{Centroids, Quantum, RelatedTable};
use bocage_protocol::release::Outcome;
use bocage_protocol::trust::Study;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::cells::answer;
use super::hospital::{Desk, Hospital};
use super::models::{age, eighty, near, nearly_equal, target, weight};
use super::scenario::{Family, Open};
use super::ward::{Patient, patients, sums, table};

const TWO: &str = "kmeans = { columns = ['age', 'weight'], clusters = 2, starts = 2 }";
const TURNED: &str = "kmeans = { columns = ['weight', 'age'], clusters = 2, starts = 2 }";
const THREE: &str = "kmeans = { columns = ['age', 'weight'], clusters = 3, starts = 1 }";

/// A cluster as an attacker reads it: patients, Σ of scaled ages and weights.
#[derive(Clone, Copy)]
struct Cluster([f64; 3]);

impl Cluster {
    fn less(self, other: Self) -> Self {
        Self([0, 1, 2].map(|at| self.0[at] - other.0[at]))
    }

    fn and(self, other: Self) -> Self {
        Self([0, 1, 2].map(|at| self.0[at] + other.0[at]))
    }

    /// Whether it is the target alone, who is then read off it.
    fn is_the_target(self) -> bool {
        let [n, ages, weights] = self.0;
        near(n.abs(), 1.0, 1e-9) && near(age(ages / n), 65.0, 1e-6) && near(weight(weights / n), 150.0, 1e-6)
    }
}

/// A study that has begun, as a coordinator asks it further.
struct Asked<'a> {
    desk: &'a Desk<'a>,
    request: RoundRequest,
    /// Whether weights stand before ages.
    turned: bool,
}

impl<'a> Asked<'a> {
    fn begin(desk: &'a Desk<'a>, question: &str) -> Option<Self> {
        Self::begin_with(desk, &study(desk.hospital, question))
    }

    fn begin_with(desk: &'a Desk<'a>, study: &Study) -> Option<Self> {
        let request = desk.hospital.request(study);
        match desk.reply(&request).ok()?.parts.remove(0).outcome {
            Outcome::Model(_) => Some(Self { desk, request, turned: false }),
            _ => None,
        }
    }

    /// The clusters about these centroids, start by start, each of a patient of this age and weight.
    fn at(&mut self, starts: &[&[(f64, f64)]]) -> Option<Vec<Vec<Cluster>>> {
        let turned = self.turned;
        let order = |[age, weight]: [usize; 2]| if turned { [weight, age] } else { [age, weight] };
        let steps = |(age, weight): &(f64, f64)| {
            let steps = [Centroids::step((age - 60.0) / 60.0), Centroids::step((weight - 150.0) / 150.0)];
            order([0, 1]).map(|at| steps[at]).to_vec()
        };
        let starts: Vec<Vec<Vec<i32>>> = starts.iter().map(|start| start.iter().map(steps).collect()).collect();
        let (clusters, weights) = (starts[0].len(), vec![1.0, 1.0]);
        let state = RoundState::Centroids(Centroids { weights, starts });
        let round = self.request.round + 1;
        self.request = RoundRequest { round, steps: vec![Step { analysis: 0, state }], ..self.request.clone() };
        let Outcome::Model(release) = self.desk.reply(&self.request).ok()?.parts.remove(0).outcome else { return None };
        let [age, weight] = order([1, 2]);
        let cluster = |sums: &[f64]| Cluster([sums[0], sums[age], sums[weight]]);
        Some(release.sums[2..].chunks(3 * clusters).map(|start| start.chunks(3).map(cluster).collect()).collect())
    }
}

fn study(hospital: &Hospital, question: &str) -> Study {
    hospital.study("", &format!("[[analysis]]\nname = 'a'\n{question}\n"))
}

/// Forty of each of two kinds, who differ among themselves, and between the kinds nobody but the target.
fn two_kinds_and_the_target() -> Vec<Patient> {
    let of = |i: usize| {
        let (age, weight) = if i.is_multiple_of(2) { (20, 60.0) } else { (90, 220.0) };
        Patient { age: age + (i % 23) as i64, weight: Some(weight + (7 * i % 19) as f64), ..Patient::default() }
    };
    let target = Patient { age: 65, weight: Some(150.0), ..Patient::default() };
    patients(80, of).into_iter().chain([target]).collect()
}

fn alone(on: Controls) -> bool {
    let hospital = Hospital::ward(&two_kinds_and_the_target());
    let desk = hospital.open(on);
    let asked =
        Asked::begin(&desk, THREE).and_then(|mut asked| asked.at(&[&[(30.0, 70.0), (100.0, 230.0), (65.0, 150.0)]]));
    asked.is_some_and(|starts| starts[0].iter().any(|cluster| cluster.is_the_target()))
}

/// A group of one weight and of the target's.
fn uniform(on: Controls) -> bool {
    let mut rows = two_kinds_and_the_target();
    rows[..80].iter_mut().filter(|patient| patient.age < 60).for_each(|patient| patient.weight = Some(70.0));
    if let Some(target) = rows.last_mut() {
        (target.age, target.weight) = (40, Some(91.0));
    }
    let hospital = Hospital::ward(&rows);
    let desk = hospital.open(on);
    let asked = Asked::begin(&desk, TWO).and_then(|mut asked| asked.at(&[&[(30.0, 70.0), (100.0, 230.0)]]));
    asked.is_some_and(|starts| {
        let [n, _, weights] = starts[0][0].0;
        n > 1.0 && near(weight(weights - (n - 1.0) * (70.0 - 150.0) / 150.0), 91.0, 1e-6)
    })
}

/// Nearest to the first of two centroids the target is, and to the second one a little further on.
const WITH: [(f64, f64); 2] = [(40.0, 100.0), (100.0, 230.0)];
const WITHOUT: [(f64, f64); 2] = [(20.0, 50.0), (100.0, 230.0)];

fn differ_by_the_target(one: &[Cluster], other: &[Cluster]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.less(*b).is_the_target()))
}

fn two_rounds(on: Controls) -> bool {
    let hospital = Hospital::ward(&two_kinds_and_the_target());
    let desk = hospital.open(on);
    let Some(mut asked) = Asked::begin(&desk, TWO) else { return false };
    let rounds = asked.at(&[&WITH]).zip(asked.at(&[&WITHOUT]));
    rounds.is_some_and(|(one, other)| differ_by_the_target(&one[0], &other[0]))
}

fn far_apart_rounds(on: Controls) -> bool {
    let hospital = Hospital::ward(&two_kinds_and_the_target());
    let desk = hospital.open(on);
    let Some(mut asked) = Asked::begin(&desk, TWO) else { return false };
    let one = asked.at(&[&WITH]);
    let between = asked.at(&[&[(30.0, 150.0), (33.0, 150.0)]]);
    let other = asked.at(&[&WITHOUT]);
    between.is_some() && one.zip(other).is_some_and(|(one, other)| differ_by_the_target(&one[0], &other[0]))
}

fn two_starts(on: Controls) -> bool {
    let hospital = Hospital::ward(&two_kinds_and_the_target());
    let desk = hospital.open(on);
    let Some(mut asked) = Asked::begin(&desk, TWO) else { return false };
    asked.at(&[&WITH, &WITHOUT]).is_some_and(|starts| differ_by_the_target(&starts[0], &starts[1]))
}

fn two_studies(on: Controls, restart: bool) -> bool {
    let hospital = Hospital::ward(&two_kinds_and_the_target());
    let ask = |desk: &Desk<'_>, at: &[(f64, f64)]| Asked::begin(desk, TWO).and_then(|mut asked| asked.at(&[at]));
    let desk = hospital.open(on);
    let one = ask(&desk, &WITH);
    let other = if restart {
        drop(desk);
        ask(&hospital.open(on), &WITHOUT)
    } else {
        ask(&desk, &WITHOUT)
    };
    one.zip(other).is_some_and(|(one, other)| differ_by_the_target(&one[0], &other[0]))
}

/// The same columns named the other way about, whatever order a site then answers in.
fn in_another_order(on: Controls) -> bool {
    [false, true].into_iter().any(|turned| {
        let hospital = Hospital::ward(&two_kinds_and_the_target());
        let desk = hospital.open(on);
        let one = Asked::begin(&desk, TWO).and_then(|mut asked| asked.at(&[&WITH]));
        let other = Asked::begin(&desk, TURNED).and_then(|asked| Asked { turned, ..asked }.at(&[&WITHOUT]));
        one.zip(other).is_some_and(|(one, other)| differ_by_the_target(&one[0], &other[0]))
    })
}

const PEOPLE: &str = r#"
id = "people@1"
subject = "patient"
one_row_per_subject = true
column = [
    { name = "patient", type = "text" },
    { name = "age", type = "int", range = [0, 120] },
    { name = "weight", type = "float", range = [0, 300] },
]
"#;
const VISITS: &str = r#"
id = "visits@1"
subject = "patient"
column = [{ name = "patient", type = "text" }, { name = "long", type = "bool" }]
"#;
const SOURCE: &str = "source = { kind = \"csv\", path = \"rows.csv\" }";

/// The second study names another dataset of the site, which its question does not look into.
fn beside_another_dataset(on: Controls) -> bool {
    let (mut people, mut visits) = ("patient,age,weight\n".to_owned(), "patient,long\n".to_owned());
    for (at, patient) in two_kinds_and_the_target().iter().enumerate() {
        let _ = writeln!(people, "p{at},{},{}", patient.age, patient.weight.unwrap_or_default());
        let _ = writeln!(visits, "p{at},true");
    }
    let hospital = Hospital::new(PEOPLE, &people);
    fs::write(hospital.path("contracts/visits.toml"), VISITS).expect("the contract");
    fs::write(hospital.path("visits.csv"), visits).expect("the visits");
    let visited = SOURCE.replace("rows", "visits");
    hospital.edit(SOURCE, &format!("{SOURCE}\n[dataset.visits]\ncontract = \"visits@1\"\n{visited}"));
    let visits = contract::parse(VISITS, "visits.toml").expect("a contract");
    let table = RelatedTable { dataset: visits.id().clone(), contract: visits.hash() };
    let mut second = study(&hospital, TWO);
    second.related = [("visits".parse().expect("a table"), table)].into();
    let desk = hospital.open(on);
    let one = Asked::begin(&desk, TWO).and_then(|mut asked| asked.at(&[&WITH]));
    let other = Asked::begin_with(&desk, &second).and_then(|mut asked| asked.at(&[&WITHOUT]));
    one.zip(other).is_some_and(|(one, other)| differ_by_the_target(&one[0], &other[0]))
}

/// More clusters: two of them nearly those of an earlier answer, the others all different.
fn hidden_among_changes(on: Controls) -> bool {
    let hospital = Hospital::ward(&two_kinds_and_the_target());
    let desk = hospital.open(on);
    let Some(mut asked) = Asked::begin(&desk, THREE) else { return false };
    let one = asked.at(&[&[(40.0, 100.0), (95.0, 225.0), (110.0, 235.0)]]);
    let other = asked.at(&[&[(20.0, 50.0), (75.0, 190.0), (101.0, 230.0)]]);
    one.zip(other).is_some_and(|(one, other)| differ_by_the_target(&one[0], &other[0]))
}

/// Whose weight is known from how all weights vary, as it is nearly all of that.
fn is_the_variance(on: Controls) -> bool {
    let outcome = answer(&nearly_equal(), on, "", "pca = { columns = ['age', 'weight'] }");
    let Outcome::Model(release) = outcome else { return false };
    // Σz and Σz² of the weight stand behind those of the age.
    let (n, sum, squares) = (release.n as f64, release.sums[1], release.sums[4]);
    let outlier = sum / n + ((squares - sum * sum / n) * (n - 1.0) / n).sqrt();
    near(weight(outlier), 250.0, 1.0)
}

/// Whether the one patient whose age a study leaves out, as it says whose ages are plausible, is found: the sum of all weights, less those of whom it left.
fn one_left_out(on: Controls, question: &str) -> bool {
    let rows: Vec<Patient> = eighty().into_iter().chain([target()]).collect();
    let all = answer(&rows, on, "", "table = { show = ['mean(weight)'] }");
    let all = sums(&table(&all).cells[0], Quantum::of_float_range(0.0, 300.0)).expect("shown").sum;
    let hospital = Hospital::ward(&rows);
    let Ok(release) = hospital.open(on).reply(&hospital.request(&study(&hospital, question))) else { return false };
    let Outcome::Model(release) = &release.parts[0].outcome else { return false };
    let left = |sum: &f64| all - 150.0 * release.n as f64 - 150.0 * sum;
    release.n == 80 && release.sums[..2].iter().any(|sum| near(left(sum), 250.0, 1e-3))
}

pub fn family() -> Family {
    Family::new("centroids")
        .against_all(
            [Control::ClusterGroups, Control::ReleaseForm],
            "a centroid that stands where one patient is",
            alone,
        )
        .against(Control::ClusterGroups, "a cluster of one weight, and of the target's", uniform)
        .against(Control::ClusterSteps, "a centroid that moves past one patient", two_rounds)
        .against(Control::ClusterSteps, "the same with another question between", far_apart_rounds)
        .against(Control::ClusterSteps, "two starts of a round that differ by one patient", two_starts)
        .against(Control::ClusterSteps, "two studies that differ by one patient", |on| two_studies(on, false))
        .against(Control::ClusterSteps, "two studies with a restart between", |on| two_studies(on, true))
        .against(Control::ClusterSteps, "the same columns in another order", in_another_order)
        .against(Control::ClusterSteps, "a study that names another dataset", beside_another_dataset)
        .against(Control::ClusterSteps, "one patient among many who change", hidden_among_changes)
        .against(Control::MomentNulls, "the weight of the one whose age a correlation leaves out", |on| {
            one_left_out(on, "correlation = { columns = ['plausible(age, 0, 110)', 'weight'] }")
        })
        .against(Control::MomentNulls, "the same, of complete patients", |on| {
            one_left_out(on, "correlation = { columns = ['plausible(age, 0, 110)', 'weight'], complete = true }")
        })
        .against(Control::MomentNulls, "the weight of the one whose age components leave out", |on| {
            one_left_out(on, "pca = { columns = ['plausible(age, 0, 110)', 'weight'] }")
        })
        .against(Control::MomentShares, "how weights vary is how far one patient's lies from all", is_the_variance)
}

/// A cluster of one answer less two clusters of another, none of which is near to any.
fn two_clusters_together() -> bool {
    let hospital = Hospital::ward(&two_kinds_and_the_target());
    let desk = hospital.open(Controls::default());
    let one = Asked::begin(&desk, TWO).and_then(|mut asked| asked.at(&[&WITH]));
    let four = "kmeans = { columns = ['age', 'weight'], clusters = 4, starts = 1 }";
    let other = Asked::begin(&desk, four)
        .and_then(|mut asked| asked.at(&[&[(25.0, 50.0), (37.0, 50.0), (92.0, 200.0), (107.0, 200.0)]]));
    one.zip(other).is_some_and(|(one, other)| one[0][0].less(other[0][0].and(other[0][1])).is_the_target())
}

pub fn open() -> Vec<Open> {
    let why = "clusters are held against each other one by one, not together";
    vec![Open { name: "a cluster less two clusters of another answer", why, attack: two_clusters_together }]
}
