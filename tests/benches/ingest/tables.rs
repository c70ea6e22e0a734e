//! Laboratory values as CSV and as Parquet, in the order of time: taken as a snapshot, and beside it by Polars alone read, sorted by patient,
//! numbered and written as an Arrow file of the same columns.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::hospital::{DIAGNOSES, rows};
use super::spent::{Python, median};
use super::{Network, RUNS, megabytes};

/// Prints all of it.
pub fn compare() {
    let csv = network("csv");
    let source = csv.data("labs.csv");
    write(&source, rows());
    let polars = Python::with("polars", include_str!("sorted.py"));
    against(&csv, "csv", polars.as_ref());
    if let Some(polars) = &polars {
        let parquet = network("parquet");
        std::fs::create_dir_all(parquet.data("")).expect("the site's data");
        polars.run(&["make", text(&source), text(&parquet.data("labs.parquet")), ""]);
        against(&parquet, "parquet", Some(polars));
    }
    csv.forget();
    write(&source, 2 * rows());
    println!("{} rows of csv, the whole ingest             {}", 2 * rows(), csv.ingest("csv"));
}

/// A site with the values in one kind of file; a node offers no two datasets under one contract.
fn network(kind: &str) -> Network {
    let dataset = format!(
        "[site.dataset.{kind}]\ncontract = \"labs@1\"\nsource = {{ kind = \"{kind}\", path = \"data/labs.{kind}\" }}\n"
    );
    Network::new("contracts = [\"labs.toml\"]", &dataset)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn against(network: &Network, kind: &str, polars: Option<&Python>) {
    let (source, out) = (network.data(&format!("labs.{kind}")), network.path("sorted.arrow"));
    let codes = (0..DIAGNOSES).map(|code| format!("D{code:03}")).collect::<Vec<_>>().join(",");
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..RUNS {
        ours.push(network.ingest(kind));
        if let Some(polars) = polars {
            theirs.push(polars.run(&[kind, text(&source), text(&out), &codes]).0);
        }
    }
    println!("{} rows of {kind}, {:.0} MB", rows(), megabytes(&source));
    let ours = median(&mut ours);
    println!("  the whole ingest                             {ours}");
    if !theirs.is_empty() {
        let theirs = median(&mut theirs);
        println!(
            "  Polars alone                                 {theirs}    ingest / this = {:.2}, of the processor {:.2}",
            ours.wall_secs / theirs.wall_secs,
            ours.cpu_secs / theirs.cpu_secs
        );
    }
}

/// One row a visit, ten visits for three patients, who come again at any time; a diagnosis is the rarer the larger its number.
fn write(path: &Path, rows: u64) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the site's data");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    writeln!(file, "patient,diagnosis,age,lab1,lab2").expect("written");
    let mut numbers = super::hospital::Numbers::new(1);
    let mut below = |n: u64| numbers.below(n);
    for _ in 0..rows {
        let patient = below(rows * 3 / 10 + 1);
        let diagnosis = below(DIAGNOSES).min(below(DIAGNOSES));
        let (age, lab1, lab2) = (18 + below(83), below(100_000), 100_000 + below(100_000));
        writeln!(
            file,
            "p{patient},D{diagnosis:03},{age},{}.{:03},{}.{:03}",
            lab1 / 1000,
            lab1 % 1000,
            lab2 / 1000,
            lab2 % 1000
        )
        .expect("written");
    }
    file.flush().expect("written");
}
