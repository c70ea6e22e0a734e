//! What a plan reads, keeps, groups and lets out, in words: for the steward who decides, and as a tree for the researcher who asks.
//!
//! Made of plan and contract alone; rows are an argument where somebody may know them. It must explain every statistic: a plan that a person
//! cannot read is not shown to one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::layout::MeasureLayout;
use super::words::{self, Words, expression};
use super::{Bins, Calls, Contracts, Expr, Feature, Grid, RelatedTable, Statistic, ValidPlan};
use crate::counted::counted;
use crate::ids::{ColumnName, ContractId};

/// Rows that one core passes over in a second, for each measure and key: the slow end of what was measured, so that an estimate is seldom short.
const ROWS_A_SECOND: u64 = 20_000_000;

/// A plan in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The columns that are read, with their titles.
    pub reads: Vec<String>,
    /// What is made of a patient's rows in other tables, each by a name that the rest uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub makes: Vec<String>,
    /// Which rows are kept; absent where all are.
    pub keeps: Option<String>,
    /// By what they are grouped, with the number of groups.
    pub groups: Vec<String>,
    /// What is computed for each group.
    pub computes: Vec<String>,
    /// How many groups there are at most.
    pub cells: u64,
    /// How many numbers leave at most, in all rounds.
    pub numbers: u64,
    /// How many rounds there are at most.
    #[serde(default = "one_round", skip_serializing_if = "is_one_round")]
    pub rounds: u32,
    /// What is passed over: rows of the plan's own table, and of those that its features look into.
    pub passes: Vec<Passed>,
    /// About how long that takes one core in all rounds, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secs: Option<u64>,
}

/// What is passed over of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The table.
    pub table: ContractId,
    /// How often each of its rows is looked at in all rounds, once for every measure, key, feature and column.
    pub looks: u64,
    /// How many rows it has, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// How many rows a table's snapshot has, for those who may know.
pub type RowsOf<'a> = &'a dyn Fn(&ContractId) -> Option<u64>;

fn one_round() -> u32 {
    1
}

fn is_one_round(rounds: &u32) -> bool {
    *rounds == 1
}

impl ValidPlan {
    /// The plan in words. `rows` are those of each table's snapshot, for those who may know. The contracts' tables have the plan's own names for
    /// them ([`Contracts::of`] [`ValidPlan::related`]); where one is missing, its columns have no titles.
    pub fn explain<'a>(&self, contracts: impl Into<Contracts<'a>>, rows: Option<RowsOf<'_>>) -> Explained {
        let contracts = &contracts.into();
        let words = Words::new(self.contract(contracts.base), self.called.calls());
        let features = self.features();
        let (groups, computes, numbers) = match &self.plan().statistic {
            Statistic::Table(_) => self.explain_table(&words),
            Statistic::Bins(bins) => self.explain_bins(bins, &words),
            Statistic::Discovered(_) => self.explain_discovered(&words),
            Statistic::Model(_) => self.explain_model(),
        };
        let passes = self.passes(rows);
        Explained {
            reads: self.explain_reads(contracts),
            makes: features
                .iter()
                .enumerate()
                .map(|(i, feature)| words::features::feature(feature, &features[..i], contracts, &self.called))
                .collect(),
            keeps: self.plan().query.filter.as_ref().map(|filter| self.say(filter)),
            groups,
            computes,
            cells: self.most_cells() as u64,
            numbers,
            rounds: 1,
            secs: secs(&passes),
            passes,
        }
    }

    fn passes(&self, rows: Option<RowsOf<'_>>) -> Vec<Passed> {
        // Values are looked up twice: to find the frequent ones, and to count them.
        let discovered = 4 * u64::from(self.discovered().is_some());
        let columns = self.model().map_or(0, |(_, layout)| layout.columns.len() as u64);
        let own = 1
            + self.features().len() as u64
            + self.table().measures.len() as u64
            + self.table().by.len() as u64
            + columns
            + discovered;
        let over = |table: &ContractId, looks| {
            let rows = rows.and_then(|rows| rows(table));
            Passed { table: table.clone(), looks, rows }
        };
        let mut passes = vec![over(&self.plan().query.dataset, own)];
        for name in self.features().iter().flat_map(Feature::tables) {
            let Some(RelatedTable { dataset, .. }) = self.related().get(name) else { continue };
            match passes.iter_mut().find(|passed| passed.table == *dataset) {
                Some(passed) => passed.looks += 1,
                None => passes.push(over(dataset, 1)),
            }
        }
        passes
    }

    /// Every column of its own dataset that the plan reads, each once. The column that names the patient is never among them.
    pub fn reads(&self) -> BTreeSet<ColumnName> {
        self.touches().get(&self.plan().query.dataset).cloned().unwrap_or_default()
    }

    fn explain_reads(&self, contracts: &Contracts<'_>) -> Vec<String> {
        // What is read of the data is no feature.
        let none = Calls::default();
        let words = Words::new(contracts.base, &none);
        let mut reads: Vec<String> = self.reads().iter().map(|name| words.column(name)).collect();
        for (name, table) in self.related().iter().filter(|(_, table)| table.dataset != self.plan().query.dataset) {
            let columns = self.touches().get(&table.dataset).into_iter().flatten();
            let words = contracts.related.get(name).map(|contract| Words::new(contract, &none));
            let word = |column: &ColumnName| words.as_ref().map_or_else(|| column.to_string(), |w| w.column(column));
            let before = reads.len();
            reads.extend(columns.map(|column| format!("{name}.{}", word(column))));
            if reads.len() == before {
                reads.push(format!("which rows {name} has"));
            }
        }
        reads
    }

    /// An expression with the study's names, and with what the study language would write where it gave none.
    fn say(&self, of: &Expr) -> String {
        self.called.calls().say(&expression(of))
    }

    fn explain_table(&self, words: &Words<'_>) -> (Vec<String>, Vec<String>, u64) {
        let levels = self.layout().keys_at(0);
        let group =
            |(key, levels): (&Expr, &super::KeyLevels)| format!("{} ({} groups)", self.say(key), levels.labels.len());
        let groups = self.table().by.iter().zip(&levels).map(group).collect();
        let mut computes = vec!["patients and rows".to_owned()];
        let mut of_a_cell = 2;
        for (asked, layout) in self.table().measures.iter().zip(self.layout().measures()) {
            let (what, numbers) = match layout {
                MeasureLayout::Number(_) => ("patients and rows with a value, sum, sum of squares", 4),
                MeasureLayout::Condition => ("patients and rows where it is known, rows where it is true", 3),
            };
            computes.push(format!("of {}: {what}", words.measure(asked)));
            of_a_cell += numbers;
        }
        // Two more for the whole cohort.
        (groups, computes, (self.layout().cells_at(0) as u64).saturating_mul(of_a_cell).saturating_add(2))
    }

    fn explain_discovered(&self, words: &Words<'_>) -> (Vec<String>, Vec<String>, u64) {
        let (mut groups, mut computes, numbers) = self.explain_table(words);
        if let Some(key) = self.discovered() {
            groups.insert(0, format!("{}, every value found in the data", words.column(key.column())));
            let told = if key.is_text() { "the text itself" } else { "the value itself" };
            computes.insert(0, format!("{told}, where k or more patients of one group have it"));
        }
        // No cohort; one bound on what there is no room for.
        let keys = self.most_keys() as u64;
        (groups, computes, numbers.saturating_sub(2).saturating_mul(keys).saturating_add(1))
    }

    fn explain_bins(&self, bins: &Bins, words: &Words<'_>) -> (Vec<String>, Vec<String>, u64) {
        let cells = self.grid().map_or(0, Grid::cells) as u64;
        let (groups, computes) = match bins {
            Bins::Column(name) => (
                vec![format!("{}, over {cells} public steps of its range", words.column(name))],
                "patients and rows in each bin, after the site has merged steps until every bin has k or more patients",
            ),
            Bins::Steps(steps) => (
                steps.iter().map(|step| format!("the first that is not true of: {}", self.say(step))).collect(),
                "patients and rows who leave at each step, after the site has merged steps until each has k or more patients",
            ),
            Bins::Lines(lines) => (
                lines.words(&self.layout().keys_at(0)).iter().map(|words| self.called.calls().say(words)).collect(),
                "patients and rows in each interval of each group, after the site has merged neighbouring intervals of a group until each has k or more patients",
            ),
        };
        // Each bin has its end, patients and rows; two more for missing values.
        let cells = if let Bins::Lines(_) = bins { self.most_cells() as u64 } else { cells };
        (groups, vec![computes.to_owned()], cells.saturating_mul(3).saturating_add(2))
    }
}

impl Explained {
    /// With as many further rounds, at most, of which one lets out what `later` says.
    #[must_use]
    pub fn followed_by(mut self, rounds: u16, later: &Explained) -> Self {
        self.rounds += u32::from(rounds);
        self.numbers = self.numbers.saturating_add(u64::from(rounds).saturating_mul(later.numbers));
        // What a model's steps look at is kept from its first round on: other tables are passed over once.
        for (own, later) in self.passes.iter_mut().zip(&later.passes).take(1) {
            own.looks = own.looks.saturating_add(u64::from(rounds).saturating_mul(later.looks));
        }
        self.secs = secs(&self.passes);
        self
    }

    /// About how long so many rows of each table take one core of a site in all rounds there may be, in seconds.
    pub fn secs_of(&self, rows: u64) -> f64 {
        self.passes.iter().map(|passed| passed.secs_of(rows)).sum()
    }

    /// How many rows of which table are passed over, where all are known.
    fn passed(&self) -> Option<String> {
        let one = self.passes.len() == 1;
        let rounds = if self.rounds == 1 { "" } else { " in each round" };
        let said = |(i, passed): (usize, &Passed)| {
            let of = if one { String::new() } else { format!(" of {}", passed.table) };
            Some(format!("{} rows{of}{}", passed.rows?, if i == 0 { rounds } else { "" }))
        };
        Some(self.passes.iter().enumerate().map(said).collect::<Option<Vec<_>>>()?.join(", and "))
    }

    /// For the steward: one sentence a line.
    pub fn plainly(&self) -> String {
        let mut text = String::new();
        let named = if self.makes.is_empty() { "the column that names" } else { "a column that names" };
        let _ = writeln!(text, "Reads {}; never {} the patient.", listed(&self.reads, "no column"), named);
        if !self.makes.is_empty() {
            let _ = writeln!(text, "Makes for each patient: {}.", self.makes.join("; "));
        }
        let _ = match &self.keeps {
            Some(filter) => writeln!(text, "Looks only at rows where {filter}."),
            None => writeln!(text, "Looks at all rows."),
        };
        let _ = match self.groups.as_slice() {
            [] => writeln!(text, "Makes one group of them."),
            groups => writeln!(text, "Groups them by {}: {} groups at most.", groups.join(", by "), self.cells),
        };
        let _ = writeln!(text, "Computes for each group {}.", self.computes.join("; "));
        let leaves = match self.rounds {
            1 => format!("{} numbers may leave", self.numbers),
            rounds => format!("{} numbers may leave, in {rounds} rounds at most", self.numbers),
        };
        let _ = writeln!(text, "At most {leaves}, none of them about fewer than k patients.");
        if let (Some(passed), Some(secs)) = (self.passed(), self.secs) {
            let all = if self.rounds == 1 { "" } else { " of one core in all" };
            let _ = writeln!(text, "Passes over {passed}, in {}{all}.", time(secs));
        }
        text
    }

    /// For the researcher: what happens first stands lowest.
    pub fn tree(&self) -> String {
        let mut text = String::new();
        let rounds = if self.rounds == 1 { String::new() } else { format!(" in {} rounds", self.rounds) };
        let numbers = self.numbers;
        let _ = writeln!(text, "release    at most {numbers} numbers{rounds}, none about fewer than k patients");
        let _ = writeln!(text, "└─ compute {}", self.computes.join("; "));
        let groups = if self.groups.is_empty() { "all rows together".to_owned() } else { self.groups.join(" × ") };
        let _ = writeln!(text, "   └─ group  {groups}: {}", counted(self.cells, "cell"));
        let _ = writeln!(text, "      └─ filter {}", self.keeps.as_deref().unwrap_or("none"));
        for made in &self.makes {
            let _ = writeln!(text, "         ├─ make   {made}");
        }
        let rows = self.passed().map(|passed| format!(", {passed}")).unwrap_or_default();
        let _ = writeln!(text, "         └─ read   {}{rows}", listed(&self.reads, "no column"));
        text
    }
}

impl Passed {
    fn secs_of(&self, rows: u64) -> f64 {
        rows as f64 * self.looks as f64 / ROWS_A_SECOND as f64
    }
}

/// None where the rows of some table are not known.
fn secs(passes: &[Passed]) -> Option<u64> {
    let secs = passes.iter().map(|passed| Some(passed.secs_of(passed.rows?)));
    Some(secs.sum::<Option<f64>>()? as u64)
}

fn listed(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}

fn time(secs: u64) -> String {
    if secs == 0 { "less than a second".to_owned() } else { format!("about {secs} s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{RoundState, plan_for};

    const CONTRACT: &str = r#"
        id = "vector@1"
        subject = "patient"
        one_row_per_subject = true
        [[column]]
        name = "patient"
        type = "text"
        [[column]]
        name = "age"
        label = "age in years"
        type = "int"
        range = [0, 120]
        required = true
        [[column]]
        name = "sex"
        type = "code"
        codes = [{ code = "0", label = "female" }, { code = "1", label = "male" }]
        required = true
        [[column]]
        name = "chol"
        type = "float"
        range = [50, 700]
    "#;

    use crate::env::Fixed;

    fn explained(analysis: &str, filter: &str, rows: Option<u64>) -> Explained {
        let contract = crate::contract::parse(CONTRACT, "vector.toml").unwrap();
        let text = format!(
            "title = \"t\"\npurpose = \"statistics\"\ndataset = \"vector@1\"\n{filter}\n[[analysis]]\nname = \"a\"\n{analysis}\n"
        );
        let sites = ["aa".parse().unwrap(), "bb".parse().unwrap()];
        let context = crate::front::BindContext {
            network: "lab".parse().unwrap(),
            researcher: crate::trust::SecretKey::generate(&mut Fixed(7)).public(),
            offering: &sites,
            roster: &sites,
            min_sites_floor: 2,
            now: crate::env::Timestamp(0),
            nonce: [0; 16],
            permit: None,
        };
        let study = crate::front::StudyText::parse(&text, "s.toml").unwrap().bind(&contract, &context).unwrap();
        let spec = &study.analyses[0].spec;
        let explain = |round, state| {
            let plan = plan_for(spec, study.query(), round, state).unwrap();
            ValidPlan::check(plan, &contract).unwrap().explain(&contract, Some(&|_: &ContractId| rows))
        };
        let first = explain(0, &RoundState::First);
        spec.later_rounds(2).iter().fold(first, |all, (rounds, state)| all.followed_by(*rounds, &explain(1, state)))
    }

    #[test]
    fn a_table_is_told_to_a_steward_in_sentences() {
        let table = "table = { by = [\"sex\", \"cut(age, 50, 60)\"], show = [\"count\", \"mean(chol)\", \"share(chol > 200)\"] }";
        let told = explained(table, "where = \"age between 30 and 80 and sex in (0, 1)\"", Some(303)).plainly();
        let expected = "\
Reads age (age in years), chol, sex; never the column that names the patient.
Looks only at rows where age >= 30 and age < 81 and sex in ('0', '1').
Groups them by sex (2 groups), by cut(age, 50, 60) (3 groups): 6 groups at most.
Computes for each group patients and rows; of chol: patients and rows with a value, sum, sum of squares; of chol > 200: patients and rows where it is known, rows where it is true.
At most 56 numbers may leave, none of them about fewer than k patients.
Passes over 303 rows, in less than a second.
";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_table_is_shown_to_a_researcher_as_a_tree() {
        let expected = "\
release    at most 4 numbers, none about fewer than k patients
└─ compute patients and rows
   └─ group  all rows together: 1 cell
      └─ filter none
         └─ read   no column
";
        assert_eq!(explained("table = { show = [\"count\"] }", "", None).tree(), expected);
    }

    #[test]
    fn what_leaves_is_of_all_rounds() {
        let model = "formula = \"chol > 200 ~ age\", family = \"binomial\"";
        let net = "formula = \"chol > 200 ~ age\", family = \"binomial\", points = 5";
        for (analysis, rounds) in [
            (format!("model = {{ {model} }}"), 25),
            (format!("cross_validation = {{ {model}, folds = 5 }}"), 25),
            (format!("elastic_net = {{ {net} }}"), 75),
            (format!("elastic_net = {{ {net}, folds = 5 }}"), 75),
            ("elastic_net = { formula = \"chol ~ age\", points = 5 }".to_owned(), 1),
            ("kmeans = { columns = [\"age\", \"chol\"], clusters = 3, starts = 2, iterations = 7 }".to_owned(), 8),
            ("pca = { columns = [\"age\", \"chol\"] }".to_owned(), 1),
        ] {
            let explained = explained(&analysis, "", None);
            assert_eq!(explained.rounds, rounds, "{analysis}");
            assert!(explained.numbers >= 3 * u64::from(rounds), "{analysis}: {explained:?}");
            let said = format!("{} numbers may leave, in {rounds} rounds at most", explained.numbers);
            assert_eq!(explained.plainly().contains(&said), rounds > 1, "{}", explained.plainly());
        }
    }

    #[test]
    fn every_kind_of_analysis_is_explained_with_what_it_reads() {
        let kinds = [
            ("histogram = { of = \"chol\", bins = [100, 200] }", "chol"),
            ("quantiles = { of = \"chol\", at = [0.5] }", "chol"),
            ("crosstab = { rows = \"sex\", columns = \"cut(age, 50)\" }", "sex"),
            ("attrition = { steps = [\"age >= 18\", \"chol > 100\"] }", "chol"),
            ("table = { by = [\"discovered(age)\"], show = [\"count\"] }", "age"),
            ("compare = { outcome = \"chol > 200\", by = \"sex\" }", "chol"),
            ("compare = { outcome = \"chol\", by = \"sex\" }", "chol"),
            ("correlation = { columns = [\"cut(age, 50)\", \"cut(chol, 200)\"] }", "age"),
            ("table_one = { by = \"sex\", columns = [\"chol\"] }", "chol"),
            (
                "standardised = { events = \"chol > 200\", over = [\"sex\"], population = { male = 1, female = 1 } }",
                "chol",
            ),
            ("accuracy = { test = \"chol > 200\", truth = \"age > 60\" }", "chol"),
        ];
        for (analysis, column) in kinds {
            let explained = explained(analysis, "", Some(10_000_000_000));
            assert!(explained.reads.iter().any(|name| name.starts_with(column)), "{analysis}: {explained:?}");
            assert!(explained.numbers > 2 && !explained.groups.is_empty(), "{analysis}: {explained:?}");
            assert!(explained.plainly().contains("about "), "{}", explained.plainly());
            assert!(!explained.tree().contains("patient)"), "{}", explained.tree());
        }
    }
}
