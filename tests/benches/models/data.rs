//! The data: tables of twenty and of ten correlated numbers and an outcome, times with ten covariates, and times alone.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::hospital::Numbers;

/// A dataset, one row a patient.
pub struct Table {
    pub name: &'static str,
    pub contract: fn() -> String,
    /// Writes so many rows, from this patient on.
    pub write: fn(&Path, u64, u64),
    all: u64,
}

pub const TAB: Table = Table { name: "tab", contract: tab, write: write_outcome::<20>, all: 1_000_000 };
pub const NET: Table = Table { name: "net", contract: net, write: write_outcome::<10>, all: 200_000 };
pub const COX: Table = Table { name: "cox", contract: cox, write: write_cox, all: 200_000 };
pub const KM: Table = Table { name: "km", contract: km, write: write_km, all: 1_000_000 };
pub const ALL: [&Table; 4] = [&TAB, &NET, &COX, &KM];

impl Table {
    /// How many rows there are in all.
    pub fn rows(&self) -> u64 {
        let scale = std::env::var("BOCAGE_BENCH_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        self.all / scale
    }
}

const DAYS: f64 = 365.25;

fn contract(name: &str, columns: impl Iterator<Item = String>) -> String {
    let columns: String = columns.map(|column| format!("[[column]]\n{column}\nrequired = true\n")).collect();
    format!(
        "id = \"{name}@1\"\ntitle = \"{name}\"\nsubject = \"patient\"\none_row_per_subject = true\n\
         [[column]]\nname = \"patient\"\ntype = \"text\"\nrequired = true\n{columns}"
    )
}

fn numbers(letter: char, n: usize) -> impl Iterator<Item = String> {
    (0..n).map(move |i| format!("name = \"{letter}{i}\"\ntype = \"float\"\nrange = [-8, 8]"))
}

fn followed(days: u32) -> [String; 2] {
    [format!("name = \"time\"\ntype = \"int\"\nrange = [0, {days}]"), "name = \"event\"\ntype = \"bool\"".to_owned()]
}

fn tab() -> String {
    contract("tab", numbers('x', 20).chain(["name = \"y\"\ntype = \"bool\"".to_owned()]))
}

fn net() -> String {
    contract("net", numbers('x', 10).chain(["name = \"y\"\ntype = \"bool\"".to_owned()]))
}

fn cox() -> String {
    contract("cox", numbers('z', 10).chain(followed(7400)))
}

fn km() -> String {
    contract("km", followed(11_000).into_iter())
}

fn uniform(numbers: &mut Numbers) -> f64 {
    (numbers.below(1 << 30) as f64 + 0.5) / f64::from(1u32 << 30)
}

/// Nearly normal: twelve uniform ones.
fn normal(numbers: &mut Numbers) -> f64 {
    (0..12).map(|_| uniform(numbers)).sum::<f64>() - 6.0
}

fn create(path: &Path, heading: &str) -> BufWriter<File> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    writeln!(file, "patient,{heading}").expect("written");
    file
}

fn headings(letter: char, n: usize) -> String {
    (0..n).map(|i| format!("{letter}{i},")).collect()
}

fn write_numbers(file: &mut impl std::io::Write, xs: &[f64]) {
    for x in xs {
        write!(file, "{x:.4},").expect("written");
    }
}

fn write_outcome<const COLUMNS: usize>(path: &Path, rows: u64, first_patient: u64) {
    let mut file = create(path, &(headings('x', COLUMNS) + "y"));
    let mut numbers = Numbers::new(first_patient + 1);
    let (mut xs, step) = ([0.0; COLUMNS], 0.8 / COLUMNS as f64);
    for row in 0..rows {
        let mut before = 0.0;
        for x in &mut xs {
            let own = normal(&mut numbers);
            *x = f64::clamp(own + 0.5 * before, -7.9, 7.9);
            before = own;
        }
        let eta = xs.iter().enumerate().map(|(j, x)| x * (step * j as f64 - 0.4)).sum::<f64>() - 1.0;
        let y = uniform(&mut numbers) < 1.0 / (1.0 + (-eta).exp());
        write!(file, "p{},", first_patient + row).expect("written");
        write_numbers(&mut file, &xs);
        writeln!(file, "{y}").expect("written");
    }
    file.flush().expect("written");
}

/// Days until an event of this yearly rate or the end of a follow-up of at most so many years.
fn follow(numbers: &mut Numbers, rate: f64, years: f64) -> (u64, bool) {
    let (event, end) = (-uniform(numbers).ln() / rate, years * uniform(numbers));
    ((event.min(end) * DAYS).ceil() as u64, event <= end)
}

fn write_cox(path: &Path, rows: u64, first_patient: u64) {
    let mut file = create(path, &(headings('z', 10) + "time,event"));
    let mut numbers = Numbers::new(first_patient + 2);
    let mut zs = [0.0; 10];
    for row in 0..rows {
        zs.iter_mut().for_each(|z| *z = normal(&mut numbers));
        let eta = zs.iter().enumerate().map(|(j, z)| z * (j as f64 / 9.0 - 0.5)).sum::<f64>();
        let (time, event) = follow(&mut numbers, 0.1 * eta.exp(), 20.0);
        write!(file, "p{},", first_patient + row).expect("written");
        write_numbers(&mut file, &zs);
        writeln!(file, "{time},{event}").expect("written");
    }
    file.flush().expect("written");
}

fn write_km(path: &Path, rows: u64, first_patient: u64) {
    let mut file = create(path, "time,event");
    let mut numbers = Numbers::new(first_patient + 3);
    for row in 0..rows {
        let (time, event) = follow(&mut numbers, 0.06, 30.0);
        writeln!(file, "p{},{time},{event}", first_patient + row).expect("written");
    }
    file.flush().expect("written");
}
