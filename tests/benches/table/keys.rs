//! A table by discovered keys, of a text column with some 100,000 values, against Polars' `group_by` on the union of all sites.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use bocage_node::custodian::Custodian;
use bocage_protocol::contract::parse;
use bocage_protocol::ids::SiteId;
use polars::prelude::{DataFrame, Engine, Expr, IntoLazy as _, col, len};

use super::hospital::{self, Data, Hospital, Numbers, median, round, rows, signed, timed};
use super::millis;
use super::pooled::{self, RUNS, SITES, SUBJECT, federated, union};

const VALUES: u64 = 100_000;
const ITEMS: Data = Data { name: "items", contract: contract_text, write: write_rows };

/// Prints the comparison.
pub fn compare() {
    let folder = tempfile::tempdir().expect("a folder");
    let researcher = hospital::researcher();
    let per_site = rows() / SITES;
    let hospital = |i| Hospital::with(&ITEMS, folder.path(), &format!("site-{i}"), per_site, i * per_site, &researcher);
    let hospitals: Vec<Hospital> = (0..SITES).map(hospital).collect();
    let custodians: Vec<Custodian> = hospitals.iter().map(Hospital::custodian).collect();
    let sites: Vec<SiteId> = hospitals.iter().map(|h| h.site.clone()).collect();
    let (union, contract) = (union(&hospitals), parse(&contract_text(), "items.toml").expect("a contract"));
    let (mut ours, mut with, mut without) = (vec![], vec![], vec![]);
    for run in 0..=RUNS {
        hospitals.iter().for_each(Hospital::forget_answers);
        let request = round(signed(STUDY, &sites, &contract, &researcher));
        let (time, shown) = timed(|| federated(&custodians, &request));
        let (counted, values) = timed(|| in_polars(&union, true));
        let (uncounted, _) = timed(|| in_polars(&union, false));
        if run == 0 {
            println!("by discovered keys: {shown} shown by the sites, {values} values in Polars");
            continue;
        }
        ours.push(time);
        with.push(counted);
        without.push(uncounted);
    }
    let ours = median(&mut ours);
    println!("  federated, patients counted             {:7.1} ms", millis(ours));
    pooled::compare("Polars, patients counted (n_unique)", ours, &mut with);
    pooled::compare("Polars, patients not counted", ours, &mut without);
}

const STUDY: &str = "title = \"Items\"\npurpose = \"scientific_research\"\ndataset = \"items@1\"\nmin_sites = 1\n\
    [[analysis]]\nname = \"items\"\n\
    table = { by = [\"discovered(item)\"], show = [\"count\", \"rows\", \"mean(lab)\", \"sd(lab)\"], top = 20 }\n";

fn contract_text() -> String {
    "id = \"items@1\"\ntitle = \"Items\"\nsubject = \"patient\"\n\
     [[column]]\nname = \"patient\"\ntype = \"text\"\nrequired = true\n\
     [[column]]\nname = \"item\"\ntype = \"text\"\nrequired = true\n\
     [[column]]\nname = \"lab\"\ntype = \"float\"\nrange = [0, 100]\nrequired = true\n"
        .to_owned()
}

/// Ten rows for three patients; some items are frequent, and most are rare.
fn write_rows(path: &Path, rows: u64, first_patient: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    writeln!(file, "patient,item,lab").expect("written");
    let mut numbers = Numbers(first_patient + 1);
    for row in 0..rows {
        let (patient, lab) = (first_patient + row * 3 / 10, numbers.below(100_000));
        let item = numbers.below(VALUES) * numbers.below(VALUES) / VALUES;
        writeln!(file, "p{patient},I{item:05},{}.{:03}", lab / 1000, lab % 1000).expect("written");
    }
    file.flush().expect("written");
}

/// The same by somebody with all rows. Answers how many values there are.
fn in_polars(union: &DataFrame, subjects: bool) -> usize {
    let mut wanted: Vec<Expr> =
        vec![len().alias("rows"), col("lab").mean().alias("mean"), col("lab").std(1).alias("sd")];
    if subjects {
        wanted.push(col(SUBJECT).n_unique().alias("subjects"));
    }
    let query = union.clone().lazy().group_by([col("item")]).agg(wanted);
    query.collect_with_engine(Engine::Streaming).expect("a table").unwrap_single().height()
}
