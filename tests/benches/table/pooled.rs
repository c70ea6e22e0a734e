//! A federated table against the same question in Polars on the union of all sites, in one process with the same threads, and
//! against DuckDB where Python has it. Runs are interleaved, so that what slows the machine slows all of them; trust the ratios.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use bocage_node::custodian::Custodian;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::release::{Outcome, Release};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, RoundRequest};
use polars::prelude::{DataFrame, Engine, Expr, IntoLazy as _, col, len, lit};
use polars_io::SerReader as _;
use polars_io::ipc::IpcReader;

use super::hospital::{self, Hospital, contract, median, round, rows, signed, study_text, timed};
use super::millis;

pub const SITES: u64 = 4;
pub const RUNS: usize = 7;
/// The snapshots' column of patients' numbers.
pub const SUBJECT: &str = "__subject";

/// Prints every comparison.
pub fn compare_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let researcher = hospital::researcher();
    let per_site = rows() / SITES;
    println!("{} rows over {SITES} sites, {} cores", per_site * SITES, cores());
    let hospitals: Vec<Hospital> = (0..SITES)
        .map(|i| Hospital::new(folder.path(), &format!("site-{i}"), per_site, i * per_site, &researcher))
        .collect();
    let custodians: Vec<Custodian> = hospitals.iter().map(Hospital::custodian).collect();
    let sites: Vec<SiteId> = hospitals.iter().map(|h| h.site.clone()).collect();
    let union = union(&hospitals);
    let mut duck = Duck::start(&hospitals);
    if duck.is_none() {
        println!("DuckDB: absent (`python3 -c \"import duckdb\"` fails), so there is nothing to compare with");
    }
    for cells in [500, 1500] {
        let ask = || round(signed(&study_text(cells), &sites, &contract(), &researcher));
        let mut ours = Vec::new();
        let (mut pooled, mut pooled_rows, mut duck_subjects, mut duck_rows) = (vec![], vec![], vec![], vec![]);
        for run in 0..=RUNS {
            hospitals.iter().for_each(Hospital::forget_answers);
            let request = ask();
            let (time, counted) = timed(|| federated(&custodians, &request));
            let (with, groups) = timed(|| in_polars(&union, cells, true));
            let (without, _) = timed(|| in_polars(&union, cells, false));
            let duck = duck.as_mut().map(|duck| (duck.run(cells, true), duck.run(cells, false)));
            if run == 0 {
                println!("{cells} cells: {counted} shown by the sites, {groups} groups in Polars");
                continue;
            }
            ours.push(time);
            pooled.push(with);
            pooled_rows.push(without);
            if let Some((with, without)) = duck {
                duck_subjects.push(with);
                duck_rows.push(without);
            }
        }
        let ours = median(&mut ours);
        println!("  federated, patients counted             {:7.1} ms", millis(ours));
        compare("Polars, patients counted (n_unique)", ours, &mut pooled);
        compare("Polars, patients not counted", ours, &mut pooled_rows);
        compare("DuckDB, patients counted (count distinct)", ours, &mut duck_subjects);
        compare("DuckDB, patients not counted", ours, &mut duck_rows);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Prints a ratio.
pub fn compare(with: &str, ours: Duration, times: &mut [Duration]) {
    if !times.is_empty() {
        let theirs = median(times);
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("  {with:<40}{:7.1} ms    federated / this = {ratio:.2}", millis(theirs));
    }
}

/// A round at every site at once: judged, recorded, computed, gated, signed, recorded. Answers how many cells were shown.
pub fn federated(custodians: &[Custodian], request: &RoundRequest) -> usize {
    std::thread::scope(|scope| {
        let asked: Vec<_> = custodians.iter().map(|c| scope.spawn(|| c.round(request))).collect();
        asked.into_iter().map(|site| shown(&site.join().expect("an answer"))).sum()
    })
}

fn shown(frame: &[u8]) -> usize {
    let Ok(Reply::Released(signed)) = codec::decode::<Reply>(frame, limits::FRAME_BYTES) else { panic!("refused") };
    let release: Release = codec::decode(&signed.body, limits::FRAME_BYTES).expect("a release");
    let cells = |outcome: &Outcome| match outcome {
        Outcome::Table(table) => table.cells.iter().filter(|cell| cell.is_shown()).count(),
        Outcome::Discovered(found) => {
            found.keys.iter().flat_map(|key| &key.cells).filter(|cell| cell.is_shown()).count()
        }
        _ => 0,
    };
    release.parts.iter().map(|part| cells(&part.outcome)).sum()
}

/// The sites' snapshots as one resident frame: the same columns in the same types, patients numbered through.
pub fn union(hospitals: &[Hospital]) -> DataFrame {
    let mut union: Option<DataFrame> = None;
    for (i, hospital) in hospitals.iter().enumerate() {
        let frame = IpcReader::new(hospital.snapshot()).finish().expect("a snapshot");
        let apart = (col(SUBJECT) + lit(i as u32 * (u32::MAX / SITES as u32))).alias(SUBJECT);
        let frame = frame.lazy().with_columns([apart]).collect().expect("numbered");
        union = Some(match union {
            None => frame,
            Some(all) => all.vstack(&frame).expect("the same columns"),
        });
    }
    let mut union = union.expect("sites");
    union.rechunk_mut();
    union
}

/// The question as somebody with all rows would put it. Answers how many groups there are.
fn in_polars(union: &DataFrame, cells: u32, subjects: bool) -> usize {
    let mut keys = vec![col("diagnosis")];
    if cells != 500 {
        let age = || col("age");
        keys.push(
            (age().gt_eq(lit(45)).cast(polars::prelude::DataType::UInt8)
                + age().gt_eq(lit(65)).cast(polars::prelude::DataType::UInt8))
            .alias("band"),
        );
    }
    let mut wanted: Vec<Expr> = vec![len().alias("rows")];
    if subjects {
        wanted.push(col(SUBJECT).n_unique().alias("subjects"));
    }
    for lab in ["lab1", "lab2"] {
        wanted.push(col(lab).mean().alias(format!("{lab}_mean")));
        wanted.push(col(lab).std(1).alias(format!("{lab}_sd")));
    }
    let query = union.clone().lazy().group_by(keys).agg(wanted);
    let table = query.collect_with_engine(Engine::Streaming).expect("a table").unwrap_single();
    table.height()
}

/// A Python process with DuckDB and all rows in a table of its own.
struct Duck {
    process: Child,
    orders: ChildStdin,
    times: BufReader<ChildStdout>,
}

const DUCK: &str = r#"
import sys, time, duckdb
c = duckdb.connect()
c.execute("set enable_progress_bar = false")
c.execute("set threads = " + sys.argv[1])
files = sys.argv[2:]
c.execute("""create table u as select cast(substr(patient, 2) as integer) subject, diagnosis, cast(age as tinyint) age, lab1, lab2
    from read_csv(?, header = true) order by subject""", [files])
c.execute("create type d as enum (select distinct diagnosis from u order by 1)")
c.execute("alter table u alter diagnosis type d")
print("ready", flush = True)
for line in sys.stdin:
    cells, subjects = line.split()
    keys = "diagnosis" if cells == "500" else "diagnosis, (age >= 45)::tinyint + (age >= 65)::tinyint"
    distinct = "count(distinct subject)," if subjects == "true" else ""
    begun = time.perf_counter()
    c.execute(f"select {keys}, {distinct} count(*), avg(lab1), stddev(lab1), avg(lab2), stddev(lab2) from u group by all").fetchall()
    print(time.perf_counter() - begun, flush = True)
"#;

impl Duck {
    fn start(hospitals: &[Hospital]) -> Option<Self> {
        let works = |e: &mut Command| e.stderr(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|s| s.success());
        if !works(Command::new("python3").args(["-c", "import duckdb"])) {
            return None;
        }
        let mut process = Command::new("python3")
            .args(["-c", DUCK, &cores().to_string()])
            .args(hospitals.iter().map(Hospital::csv))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (orders, times) = (process.stdin.take()?, BufReader::new(process.stdout.take()?));
        let mut duck = Self { process, orders, times };
        duck.line()?;
        Some(duck)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.times.read_line(&mut line).ok()? > 0).then_some(line)
    }

    fn run(&mut self, cells: u32, subjects: bool) -> Duration {
        writeln!(self.orders, "{cells} {subjects}").expect("DuckDB listens");
        let seconds = self.line().and_then(|line| line.trim().parse().ok()).expect("DuckDB answers");
        Duration::from_secs_f64(seconds)
    }
}

impl Drop for Duck {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
