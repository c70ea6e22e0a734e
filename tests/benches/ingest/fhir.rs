//! An export of observations, Synthea's again and again with other ids, by the shipped view: read alone, ingested as a whole, and flattened
//! to the same rows by DuckDB.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use bocage_fhir::{Damaged, How, Reader, pack};
use bocage_tests::lab::repository;
use flate2::read::GzDecoder;

use super::spent::{self, Python, Spent, median};
use super::{Network, RUNS, megabytes};

/// How the bench starts itself as a process that only reads.
const READ: &str = "--read";
const DATASET: &str = "observation";
const VIEW: &str = "fhir-r4-core/observation";

/// Prints all of it.
pub fn compare() {
    let dataset = format!(
        "[site.dataset.{DATASET}]\ncontract = \"fhir-r4-observation@3\"\nsource = {{ kind = \"fhir\", path = \"data\", view = \"{VIEW}\" }}\n"
    );
    let network = Network::new("packs = [\"fhir-r4-core\"]", &dataset);
    let export = network.data("Observation.ndjson");
    let size = std::env::var("BOCAGE_BENCH_FHIR_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    write(&export, size);
    let duck = Python::with("duckdb", include_str!("flatten.py"));
    let (mut whole, mut read, mut read_by_all, mut one, mut all) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..RUNS {
        for (runs, threads) in [(&mut read, 1), (&mut read_by_all, super::cores())] {
            let mut command = Command::new(std::env::current_exe().expect("this bench"));
            runs.push(spent::by(command.args(["--bench", READ, &threads.to_string()]).arg(&export)));
        }
        whole.push(network.ingest(DATASET));
        if let Some(duck) = &duck {
            let flattened = |threads: &str| {
                let (spent, rows) = duck.run(&[export.to_str().expect("UTF-8"), threads]);
                assert_eq!(rows, network.source_rows(DATASET), "DuckDB's rows");
                spent
            };
            one.push(flattened("1"));
            all.push(flattened(&super::cores().to_string()));
        }
    }
    println!("an export of {:.0} MB, {} rows of the view {VIEW}", megabytes(&export), network.source_rows(DATASET));
    let say = |what: &str, runs: &mut Vec<Spent>| {
        if !runs.is_empty() {
            let spent = median(runs);
            println!("  {what:<44} {spent}  {:4.0} MB/s of a processor", megabytes(&export) / spent.cpu_secs);
        }
    };
    say("read by the view, one thread", &mut read);
    say("read by the view, all threads", &mut read_by_all);
    say("DuckDB, flattened into a table, one thread", &mut one);
    say("DuckDB, flattened into a table, all threads", &mut all);
    say("the whole ingest: rules, sorting, file, hash", &mut whole);
    write(&export, size * 10);
    println!("  one of {:.0} MB, the whole ingest              {}", megabytes(&export), network.ingest(DATASET));
}

/// An export that this process was started to read, and by how many threads.
pub fn asked_to_read() -> Option<(PathBuf, usize)> {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == READ)?;
    Some((args.get(at + 2)?.into(), args.get(at + 1)?.parse().ok()?))
}

/// Reads an export, and nothing else.
pub fn read(export: &Path, threads: usize) {
    let view = pack::find(VIEW).expect("a view").view().expect("a view");
    let how = How { threads, damaged: Damaged::Stop };
    let mut reader = Reader::open_as(export, view, how).expect("an export");
    while reader.next_batch(1 << 16, 16 << 20).expect("rows").is_some() {}
}

/// Writes an export of so many megabytes: the sites' observations again and again, each time of other patients.
fn write(export: &Path, megabytes: u64) {
    fs::create_dir_all(export.parent().expect("a folder")).expect("the site's data");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(export).expect("a file"));
    let (mut written, mut again) = (0, 0);
    while written < megabytes * 1_000_000 {
        for site in 1..=4 {
            let data = repository(&format!("tests/data/fhir/site_{site}/Observation.ndjson.gz"));
            for line in BufReader::new(GzDecoder::new(File::open(data).expect("the data"))).lines() {
                let line = line.expect("a line");
                let line = line.replacen("\"id\":\"", &format!("\"id\":\"{again}-"), 1);
                let line = line.replacen("\"Patient/", &format!("\"Patient/{again}-"), 1);
                writeln!(file, "{line}").expect("written");
                written += line.len() as u64 + 1;
            }
        }
        again += 1;
    }
    file.flush().expect("written");
}
