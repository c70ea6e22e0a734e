//! What models cost: a logistic regression of 1 M × 20, its cross-validation and an elastic net of 200 k × 10, a Cox model of 200 k × 10, Kaplan–Meier
//! curves of 1 M, principal components and k-means of 1 M × 20
//! over four sites, against what a user of pooled rows would take ([`pooled`]). The whole way is real: dispatch, QUIC on loopback, agents, custodians' sockets, ledgers, and the gate as nodes are delivered.
//!
//! `cargo bench -p bocage-tests --bench models`; `BOCAGE_BENCH_SCALE` divides the rows, and `-- TITLE` asks one question alone.

mod data;
#[path = "../hospital/mod.rs"]
mod hospital;
mod pooled;

use std::time::Duration;

use bocage_coordinator::api::types::{StudyResult, Value};
use bocage_coordinator::store::StudyRecord;

use data::Table;
use hospital::network::Network;
use hospital::{Hospital, is_a_bench, is_wanted, median};
use pooled::Pooled;

const SITES: u64 = 4;
const RUNS: usize = 5;
/// How often centroids move at most, here and there.
const ITERATIONS: usize = 20;
/// Of the elastic nets, here and there.
const PENALTIES: &str = "[0.1, 0.03, 0.01, 0.003, 0.001]";

/// A question, and who else answers it.
struct Task {
    table: &'static Table,
    title: &'static str,
    analysis: String,
    /// The tools on pooled rows, as [`pooled`] knows them.
    others: &'static [&'static str],
    /// What of an answer is printed, so that a reader sees that it is the same.
    check: fn(&StudyResult) -> Vec<f64>,
}

fn tasks() -> Vec<Task> {
    let terms = |letter: char, n: usize| (0..n).map(|i| format!("{letter}{i}")).collect::<Vec<_>>().join(" + ");
    let columns = |letter: char, n: usize| (0..n).map(|i| format!("\"{letter}{i}\"")).collect::<Vec<_>>().join(", ");
    vec![
        Task {
            table: &data::TAB,
            title: "logistic regression, 20 columns",
            analysis: format!("model = {{ formula = \"y ~ {}\" }}", terms('x', 20)),
            others: &["numpy, IRLS", "scikit-learn, newton-cholesky", "statsmodels, GLM"],
            check: |result| column(result, "estimate", 3),
        },
        Task {
            table: &data::NET,
            title: "logistic regression, 10 columns, 5 folds",
            analysis: format!("cross_validation = {{ formula = \"y ~ {}\", folds = 5 }}", terms('x', 10)),
            others: &["scikit-learn, 5 folds and all"],
            check: |result| column(result, "value", 3),
        },
        Task {
            table: &data::NET,
            title: "elastic net, 10 columns, 5 penalties",
            analysis: format!("elastic_net = {{ formula = \"y ~ {}\", lambdas = {PENALTIES} }}", terms('x', 10)),
            others: &["scikit-learn, saga down the path"],
            check: |result| column(result, "estimate", 3),
        },
        Task {
            table: &data::NET,
            title: "elastic net, 10 columns, 5 penalties, 5 folds",
            analysis: format!(
                "elastic_net = {{ formula = \"y ~ {}\", lambdas = {PENALTIES}, folds = 5 }}",
                terms('x', 10)
            ),
            others: &["scikit-learn, LogisticRegressionCV"],
            check: |result| column(result, "estimate", 3),
        },
        Task {
            table: &data::COX,
            title: "Cox model, 10 columns",
            analysis: format!("cox = {{ formula = \"surv(time, event) ~ {}\" }}", terms('z', 10)),
            others: &["lifelines, CoxPHFitter"],
            check: |result| column(result, "estimate", 3),
        },
        Task {
            table: &data::KM,
            title: "Kaplan-Meier, 121 intervals",
            analysis: "survival = { time = \"time\", event = \"event\", every = 90, until = 10890 }".to_owned(),
            others: &["lifelines, KaplanMeierFitter"],
            check: |result| column(result, "survival", 121),
        },
        Task {
            table: &data::TAB,
            title: "principal components, 20 columns",
            analysis: format!("pca = {{ columns = [{}], scale = \"covariance\" }}", columns('x', 20)),
            others: &["numpy, eigvalsh of cov", "scikit-learn, PCA"],
            check: |result| column(result, "variance", 3),
        },
        Task {
            table: &data::TAB,
            title: "k-means, 20 columns, 5 clusters, one start",
            analysis: format!(
                "kmeans = {{ columns = [{}], clusters = 5, starts = 1, scale = \"none\", iterations = {ITERATIONS} }}",
                columns('x', 20)
            ),
            others: &["scikit-learn, KMeans"],
            check: |result| column(result, "share", 3),
        },
    ]
}

fn main() {
    if !is_a_bench() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let researcher = hospital::researcher();
    let texts: Vec<(&str, String)> = data::ALL.iter().map(|table| (table.name, (table.contract)())).collect();
    let contracts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let hospitals: Vec<Hospital> = (0..SITES)
        .map(|i| {
            let hospital = Hospital::of(folder.path(), &format!("site-{i}"), &contracts, &researcher);
            for table in data::ALL {
                let rows = table.rows() / SITES;
                (table.write)(&hospital.file(&format!("{}.csv", table.name)), rows, i * rows);
            }
            hospital
        })
        .collect();
    let mut pooled = Pooled::start(folder.path());
    if pooled.is_none() {
        println!("numpy, scikit-learn and lifelines: absent, so there is nothing to compare with");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let network = Network::of(folder.path(), hospitals, &contracts, researcher).await;
        for task in tasks().iter().filter(|task| is_wanted(task.title)) {
            compare(&network, task, &contracts, pooled.as_mut()).await;
        }
    });
}

async fn compare(network: &Network, task: &Task, contracts: &[(&str, &str)], mut pooled: Option<&mut Pooled>) {
    let text = format!(
        "title = \"A bench\"\npurpose = \"scientific_research\"\ndataset = \"{}@1\"\nmin_sites = 1\n[[analysis]]\nname = \"a\"\n{}\n",
        task.table.name, task.analysis
    );
    let contract = contracts.iter().find(|(name, _)| *name == task.table.name).expect("a contract").1;
    println!("{}, {} rows over {SITES} sites", task.title, task.table.rows() / SITES * SITES);
    let (mut ours, mut first) = (Vec::new(), None);
    let mut others: Vec<Vec<Duration>> = vec![Vec::new(); task.others.len()];
    for run in 0..RUNS {
        let (time, record, result) = network.ask(&text, contract).await;
        first.get_or_insert_with(|| (time, rounds(&record)));
        if run == 0 {
            println!("  {:<40}{:?}", "answers", (task.check)(&result));
        }
        ours.push(time);
        for (name, times) in task.others.iter().zip(&mut others) {
            if let Some((time, answer)) = pooled.as_deref_mut().and_then(|pooled| pooled.run(name)) {
                times.push(time);
                if run == 0 {
                    println!("  {name:<40}{answer}");
                }
            }
        }
    }
    let (first, rounds) = first.expect("a run");
    let ours = median(&mut ours);
    println!("  {:<40}{:7.1} ms    {rounds} rounds; {:.1} ms the first time", "federated", millis(ours), millis(first));
    for (name, times) in task.others.iter().zip(&mut others).filter(|(_, times)| !times.is_empty()) {
        let theirs = median(times);
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("  {name:<40}{:7.1} ms    federated / this = {ratio:.2}", millis(theirs));
    }
}

fn rounds(record: &StudyRecord) -> u16 {
    record.releases.iter().map(|release| release.round + 1).max().unwrap_or(0)
}

/// The first numbers below a heading; of one row, the last of so many.
fn column(result: &StudyResult, heading: &str, n: usize) -> Vec<f64> {
    let block = &result.analyses[0].block;
    let Some(at) = block.columns.iter().position(|column| column == heading) else {
        panic!("no {heading} among {:?}, notes {:?}", block.columns, result.analyses[0].notes)
    };
    let value = |row: &Vec<Value>| match &row[at] {
        Value::Number(x) => Some(*x),
        _ => None,
    };
    let values: Vec<f64> = block.rows.iter().filter_map(value).collect();
    values[..n.min(values.len())].iter().copied().rev().take(3).rev().collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
