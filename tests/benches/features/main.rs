//! What features cost: a study over patients that looks into a table of visits, with 1, 8 and 64 features, and the memory of the custodian's
//! own meanwhile. Beside it what it takes to believe a snapshot of that table, and from a restart to the first answer with it.
//!
//! `cargo bench -p bocage-tests --bench features`; `BOCAGE_BENCH_ROWS` sets the visits (10,000,000), of which three patients have ten.

#[path = "../hospital/mod.rs"]
mod hospital;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use bocage_node::custodian::Custodian;
use bocage_node::custodian::snapshot::Snapshot;
use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::front::StudyText;
use bocage_protocol::limits;
use bocage_protocol::plan::Contracts;
use bocage_protocol::trust::SecretKey;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::Reply;
use bocage_tests::process::anonymous_kib;

use hospital::{DIAGNOSES, Hospital, Numbers, is_a_bench, median, rows, timed, watched};

const RUNS: usize = 3;

const PATIENTS: &str = r#"
id = "patients@1"
title = "Patients"
subject = "patient"
one_row_per_subject = true
[[column]]
name = "patient"
type = "text"
required = true
[[column]]
name = "age"
type = "int"
range = [0, 120]
"#;

fn visits() -> String {
    let codes: Vec<String> = (0..DIAGNOSES).map(|i| format!("{{ code = \"D{i:03}\" }}")).collect();
    format!(
        "id = \"visits@1\"\ntitle = \"Visits\"\nsubject = \"patient\"\ntime = \"day\"\n\
         [[column]]\nname = \"patient\"\ntype = \"text\"\nrequired = true\n\
         [[column]]\nname = \"day\"\ntype = \"date\"\nrange = [\"2000-01-01\", \"2029-12-31\"]\nrequired = true\n\
         [[column]]\nname = \"diagnosis\"\ntype = \"code\"\nrequired = true\ncodes = [{}]\n\
         [[column]]\nname = \"value\"\ntype = \"float\"\nrange = [0, 100]\n",
        codes.join(", ")
    )
}

fn main() {
    if !is_a_bench() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let researcher = hospital::researcher();
    let visits_text = visits();
    let hospital =
        Hospital::of(folder.path(), "site-0", &[("patients", PATIENTS), ("visits", &visits_text)], &researcher);
    let (base, related) = (parse(PATIENTS, "patients.toml"), parse(&visits_text, "visits.toml"));
    let (base, related) = (base.expect("a contract"), related.expect("a contract"));
    let patients = write(&hospital, rows());
    println!("{} rows of {patients} patients, {RUNS} runs, after one that links the tables", rows());
    let custodian = hospital.custodian();
    for features in [1, 8, 64] {
        let mut times = Vec::new();
        let mut most = 0;
        for run in 0..=RUNS {
            hospital.forget_answers();
            let request = study(features, &hospital, &base, &related, &researcher);
            let before = anonymous_kib(std::process::id()).expect("the kernel counts memory");
            let own = || anonymous_kib(std::process::id());
            let (peak, time) = watched(own, || timed(|| answered(&custodian, &request)).0);
            if run > 0 {
                times.push(time);
                most = most.max(peak.saturating_sub(before));
            }
        }
        let secs = median(&mut times).as_secs_f64();
        println!("  {features:2} features  {secs:7.2} s    {:6} MiB more than before", most / 1024);
    }
    drop(custodian);
    let (dir, mut opened) = (hospital.config().state.snapshots(), Vec::new());
    let mut restarted = Vec::new();
    for _ in 0..RUNS {
        opened.push(timed(|| Snapshot::open_current(&dir, "visits").expect("a snapshot")).0);
        hospital.forget_answers();
        let request = study(1, &hospital, &base, &related, &researcher);
        restarted.push(timed(|| answered(&hospital.custodian(), &request)).0);
    }
    let [opened, restarted] = [opened, restarted].map(|mut times| median(&mut times).as_secs_f64());
    println!("  the visits' snapshot opened: its hash, its form     {opened:7.2} s");
    println!("  a custodian's restart to its first answer, 1 feature {restarted:6.2} s");
}

type Request = bocage_protocol::wire::message::RoundRequest;

fn answered(custodian: &Custodian, request: &Request) {
    let reply = codec::decode::<Reply>(&custodian.round(request), limits::FRAME_BYTES).expect("a reply");
    assert!(matches!(reply, Reply::Released(_)), "refused: {reply:?}");
}

/// A study whose cohort has so many features, of four kinds.
fn study(features: u64, hospital: &Hospital, base: &Contract, related: &Contract, researcher: &SecretKey) -> Request {
    let (mut named, mut included) = (String::new(), Vec::new());
    for i in 0..features {
        let rows = format!("where diagnosis = 'D{i:03}'");
        let (of, is) = match i % 4 {
            0 => (format!("mean(visits.value {rows})"), "is null or f < 99"),
            1 => (format!("has(visits, diagnosis = 'D{i:03}')"), "or age < 99"),
            2 => (format!("count(visits, diagnosis = 'D{i:03}')"), "< 5"),
            _ => (format!("last(visits.day {rows})"), "is null or f > date '2000-01-02'"),
        };
        writeln!(named, "f{i} = \"{of}\"").expect("a text");
        included.push(format!("\"f{i} {}\"", is.replace("f ", &format!("f{i} "))));
    }
    let text = format!(
        "title = \"Visits\"\npurpose = \"scientific_research\"\nmin_sites = 1\n\
         [tables]\npatients = \"patients@1\"\nvisits = \"visits@1\"\n\
         [cohort]\nfrom = \"patients\"\ninclude = [{}]\n[features]\n{named}\
         [[analysis]]\nname = \"ages\"\ntable = {{ by = [\"cut(age, 45, 65)\"], show = [\"count\"] }}\n",
        included.join(", ")
    );
    let text = StudyText::parse(&text, "study.toml").expect("a study's text");
    let named = text.tables().iter().map(|(name, id)| (name.clone(), if id == base.id() { base } else { related }));
    let contracts = Contracts { base, related: named.collect() };
    let sites = [hospital.site.clone()];
    hospital::round(hospital::signed_across(None, &text, &sites, contracts, researcher))
}

/// Writes patients and their visits; answers how many patients there are.
fn write(hospital: &Hospital, rows: u64) -> u64 {
    let patients = (rows * 3 / 10).max(1);
    let open = |name: &str| BufWriter::with_capacity(1 << 20, File::create(hospital.file(name)).expect("a file"));
    let mut numbers = Numbers::new(1);
    let mut file = open("patients.csv");
    writeln!(file, "patient,age").expect("written");
    (0..patients).for_each(|patient| writeln!(file, "p{patient},{}", numbers.below(100)).expect("written"));
    file.flush().expect("written");
    let mut file = open("visits.csv");
    writeln!(file, "patient,day,diagnosis,value").expect("written");
    for _ in 0..rows {
        let [patient, day, month, year] = [patients, 28, 12, 20].map(|n| numbers.below(n));
        let [diagnosis, value] = [DIAGNOSES, 100_000].map(|n| numbers.below(n));
        let (day, month, year) = (day + 1, month + 1, year + 2000);
        writeln!(file, "p{patient},{year}-{month:02}-{day:02},D{diagnosis:03},{}.{:03}", value / 1000, value % 1000)
            .expect("written");
    }
    file.flush().expect("written");
    patients
}
