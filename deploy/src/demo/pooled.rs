//! The pooled answer in the clear, straight from the four files: what nobody may compute outside this demo.
//!
//! It shares no code with the engine, the contract or the expression language, so that an error there cannot hide here.

use serde::Serialize;

use super::setting::Hospital;

/// One patient.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Patient {
    site: usize,
    age: f64,
    male: bool,
    chol: Option<f64>,
    disease: bool,
}

/// All patients that the study asks about: between 30 and 80 years old.
#[derive(Debug)]
pub struct Pooled {
    patients: Vec<Patient>,
    sites: Vec<&'static str>,
}

/// One cell of the pooled answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PooledRow {
    /// `female` or `male`.
    pub sex: &'static str,
    /// `<50`, `[50,60)` or `>=60`.
    pub age: &'static str,
    /// Patients.
    pub count: u64,
    /// Those whose cholesterol is known.
    pub chol_n: u64,
    /// Its mean.
    pub chol_mean: Option<f64>,
    /// Its standard deviation (divisor n − 1).
    pub chol_sd: Option<f64>,
    /// The share of patients with heart disease.
    pub disease_share: Option<f64>,
}

/// Mean, standard deviation and number of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// How many.
    pub n: u64,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation (divisor n − 1).
    pub sd: Option<f64>,
}

/// The cells, in the order of the contract: sexes, then ages.
pub const CELLS: [(&str, &str); 6] = [
    ("female", "<50"),
    ("female", "[50,60)"),
    ("female", ">=60"),
    ("male", "<50"),
    ("male", "[50,60)"),
    ("male", ">=60"),
];

impl Pooled {
    /// Reads the files. A line that is not 14 fields, or has no age or sex, is left out, as a node leaves it out.
    pub fn read(hospitals: &'static [Hospital]) -> Self {
        let mut patients = Vec::new();
        for (site, hospital) in hospitals.iter().enumerate() {
            patients.extend(hospital.csv.lines().filter_map(|line| patient(site, line)));
        }
        patients.retain(|p| (30.0..=80.0).contains(&p.age));
        Self { patients, sites: hospitals.iter().map(|h| h.id).collect() }
    }

    /// The whole table.
    pub fn rows(&self) -> Vec<PooledRow> {
        CELLS.iter().map(|(sex, age)| self.row(sex, age)).collect()
    }

    fn row(&self, sex: &'static str, age: &'static str) -> PooledRow {
        let all: Vec<usize> = (0..self.sites.len()).collect();
        let chol = self.chol(sex, age, &all);
        let disease = self.disease(sex, age, &all);
        PooledRow {
            sex,
            age,
            count: self.cell(sex, age, &all).count() as u64,
            chol_n: chol.n,
            chol_mean: chol.mean,
            chol_sd: chol.sd,
            disease_share: disease.mean,
        }
    }

    /// Cholesterol in a cell, at some of the sites.
    pub fn chol(&self, sex: &str, age: &str, sites: &[usize]) -> Moments {
        moments(self.cell(sex, age, sites).filter_map(|p| p.chol).collect())
    }

    /// Heart disease (1 or 0) in a cell, at some of the sites.
    pub fn disease(&self, sex: &str, age: &str, sites: &[usize]) -> Moments {
        moments(self.cell(sex, age, sites).map(|p| if p.disease { 1.0 } else { 0.0 }).collect())
    }

    /// Every choice of sites: which of them stand behind a published number is not published, only how many values do.
    pub fn choices(&self) -> Vec<Vec<usize>> {
        let n = self.sites.len();
        (1..1_usize << n).map(|mask| (0..n).filter(|i| mask >> i & 1 == 1).collect()).collect()
    }

    /// The names of some sites.
    pub fn names(&self, sites: &[usize]) -> Vec<&'static str> {
        sites.iter().map(|i| self.sites[*i]).collect()
    }

    fn cell<'a>(&'a self, sex: &'a str, age: &'a str, sites: &'a [usize]) -> impl Iterator<Item = &'a Patient> {
        self.patients.iter().filter(move |p| {
            let band = if p.age < 50.0 {
                "<50"
            } else if p.age < 60.0 {
                "[50,60)"
            } else {
                ">=60"
            };
            sites.contains(&p.site) && (if p.male { "male" } else { "female" }) == sex && band == age
        })
    }
}

fn patient(site: usize, line: &str) -> Option<Patient> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let number = |at: usize| fields.get(at).filter(|text| **text != "NaN").and_then(|text| text.parse::<f64>().ok());
    if fields.len() != 14 {
        return None;
    }
    let chol = number(4).filter(|chol| *chol != 0.0);
    Some(Patient { site, age: number(0)?, male: number(1)? == 1.0, chol, disease: number(13)? > 0.0 })
}

fn moments(values: Vec<f64>) -> Moments {
    let n = values.len() as f64;
    let mean = (n >= 1.0).then(|| values.iter().sum::<f64>() / n);
    let squares = |mean: f64| values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
    let sd = mean.filter(|_| n >= 2.0).map(|mean| (squares(mean) / (n - 1.0)).sqrt());
    Moments { n: values.len() as u64, mean, sd }
}

#[cfg(test)]
mod tests {
    use super::super::setting::HOSPITALS;
    use super::*;

    #[test]
    fn the_embedded_files_have_the_known_numbers_of_patients() {
        let pooled = Pooled::read(&HOSPITALS);
        let rows = pooled.rows();
        assert_eq!(rows.iter().map(|r| r.count).collect::<Vec<_>>(), [72, 72, 50, 216, 303, 203]);
        assert_eq!(pooled.chol("male", "<50", &[2]).n, 0);
        assert_eq!(pooled.chol("male", "<50", &[0, 1, 3]).n, 180);
        assert_eq!(pooled.disease("male", "<50", &[0]).mean, Some(25.0 / 62.0));
    }

    #[test]
    fn moments_are_those_of_a_textbook() {
        let m = moments(vec![2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!((m.n, m.mean), (8, Some(5.0)));
        assert!((m.sd.unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-15);
        assert_eq!(moments(vec![1.0]).sd, None);
        assert_eq!(moments(vec![]).mean, None);
    }

    #[test]
    fn every_choice_of_sites_is_there_once() {
        let choices = Pooled::read(&HOSPITALS).choices();
        assert_eq!(choices.len(), 15);
        assert_eq!(choices[14], [0, 1, 2, 3]);
    }
}
