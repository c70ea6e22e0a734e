//! `standardised = { events, by, over, population | rates, per, confidence }`: rates over a standard population, which stands in the study or in
//! a file beside it.

use serde::Deserialize;
use serde_json::Value;

use super::super::codes::table_rows;
use super::Binding;
use crate::analysis::{Key, Spec, Standard, StandardisedSpec};
use crate::limits;
use crate::plan::TypeProblem;
use crate::settings::{join, nearest};

#[derive(Deserialize)]
pub(super) struct RawStandardised {
    events: String,
    by: Option<String>,
    over: Vec<String>,
    population: Option<Value>,
    rates: Option<Value>,
    per: Option<f64>,
    confidence: Option<f64>,
}

/// The files that an analysis names.
pub(super) fn named_files(analysis: &Value) -> impl Iterator<Item = &str> {
    let asked = analysis.get("standardised");
    ["population", "rates"].into_iter().filter_map(move |key| asked?.get(key)?.as_str())
}

impl Binding<'_> {
    pub(super) fn standardised(&mut self, key: &str, raw: &RawStandardised) -> Option<Spec> {
        let at = |name: &str| join(key, &format!("standardised.{name}"));
        self.independent(&join(key, "standardised"));
        let events = self.condition_key(&at("events"), &raw.events);
        let by = match &raw.by {
            Some(text) => self.levelled_key(&at("by"), text).map(Some),
            None => Some(None),
        };
        let over = self.keys(&at("over"), &raw.over);
        let confidence = self.confidence(&at("confidence"), raw.confidence);
        if raw.over.is_empty() {
            let problem = TypeProblem::new("a standard population has strata");
            self.refuse::<()>(&at("over"), problem.hint("e.g. over = [\"cut(age, 40, 65)\", \"sex\"]"));
        }
        let per = raw.per.unwrap_or(1.0);
        if let Some(problem) = StandardisedSpec::problem_of_per(per) {
            self.refuse::<()>(&at("per"), TypeProblem::new(problem).hint("e.g. per = 1000"));
        }
        let over = over.filter(|over| !over.is_empty())?;
        let standard = match (&raw.population, &raw.rates) {
            (Some(value), None) => self.strata(&at("population"), "population", value, &over).map(Standard::Population),
            (None, Some(value)) => self.strata(&at("rates"), "rate", value, &over).map(Standard::Rates),
            _ => {
                let problem = TypeProblem::new("a standard is either a `population` or `rates`");
                let hint = "population = { \"<50\" = 6000, … } for direct, rates = { \"<50\" = 0.1, … } for indirect standardisation; or the name of a file";
                self.refuse(&join(key, "standardised"), problem.hint(hint))
            }
        };
        let standard = standard?;
        if let Some(problem) = standard.problem() {
            let name = if matches!(standard, Standard::Population(_)) { "population" } else { "rates" };
            return self.refuse(&at(name), TypeProblem::new(problem));
        }
        let (events, by, confidence) = (events?, by?, confidence?);
        Some(Spec::Standardised(StandardisedSpec { events, by, over, standard, per, confidence }))
    }

    /// A number for each combination of the keys' levels, the last one fastest.
    fn strata(&mut self, place: &str, heading: &str, value: &Value, over: &[Key]) -> Option<Vec<f64>> {
        let levels: Vec<Vec<String>> = over.iter().map(|key| self.levels(key)).collect();
        let cells = levels.iter().map(Vec::len).fold(1_usize, usize::saturating_mul);
        if cells > limits::CELLS {
            let problem = TypeProblem::new(format!("{cells} strata: at most {}", limits::CELLS));
            return self.refuse(place, problem.hint("use fewer keys or wider bands"));
        }
        let found = match value.as_str() {
            Some(file) => self.strata_of_file(file, heading, over.len()),
            None => {
                let mut found = Vec::new();
                nested(value, over.len(), &mut Vec::new(), &mut found).map(|()| found)
            }
        };
        let found = match found {
            Ok(found) => found,
            Err(problem) => return self.refuse(place, problem),
        };
        let mut numbers: Vec<Option<f64>> = vec![None; cells];
        for (names, number) in found {
            let mut cell = 0;
            for (name, levels) in names.iter().zip(&levels) {
                let Some(level) = levels.iter().position(|label| label == name) else {
                    let near = nearest(name, levels.iter().map(String::as_str));
                    let hint = near
                        .map_or_else(|| format!("one of {}", levels.join(", ")), |n| format!("did you mean `{n}`?"));
                    return self.refuse(place, TypeProblem::new(format!("`{name}` is no level")).hint(hint));
                };
                cell = cell * levels.len() + level;
            }
            if numbers[cell].replace(number).is_some() {
                return self.refuse(place, TypeProblem::new(format!("{} stands there twice", names.join(", "))));
            }
        }
        let missing = numbers.iter().filter(|number| number.is_none()).count();
        if missing > 0 {
            let problem = TypeProblem::new(format!("{missing} of {cells} strata have no number"));
            let hint = format!("write every combination of {}; 0 where nobody is", labels(over));
            return self.refuse(place, problem.hint(hint));
        }
        numbers.into_iter().collect()
    }

    fn strata_of_file(&self, name: &str, heading: &str, keys: usize) -> Result<Vec<Stratum>, TypeProblem> {
        let text = match self.files.get(name) {
            Some(Ok(text)) if text.len() <= limits::STANDARD_TEXT_BYTES => text,
            Some(Ok(_)) => {
                return Err(TypeProblem::new(format!("`{name}` has more than {} bytes", limits::STANDARD_TEXT_BYTES)));
            }
            Some(Err(why)) => return Err(TypeProblem::new(format!("`{name}` cannot be read: {why}"))),
            None => return Err(TypeProblem::new(format!("`{name}` was not read"))),
        };
        let rows = table_rows(text)?;
        let wanted = || {
            TypeProblem::new(format!("the first line of `{name}` does not name {keys} keys and then `{heading}`"))
                .hint(format!("a column for each key of `over`, in its order, and the column {heading}"))
        };
        let header = rows.first().ok_or_else(wanted)?;
        if header.len() != keys + 1 || !header[keys].eq_ignore_ascii_case(heading) {
            return Err(wanted());
        }
        let stratum = |(i, row): (usize, &Vec<String>)| match (row.len(), row.last().and_then(|n| n.parse().ok())) {
            (n, Some(number)) if n == keys + 1 => Ok((row[..keys].to_vec(), number)),
            _ => Err(TypeProblem::new(format!("row {} of `{name}` is not {keys} levels and a number", i + 1))),
        };
        rows.iter().enumerate().skip(1).map(stratum).collect()
    }
}

/// The levels of a stratum, and its number.
type Stratum = (Vec<String>, f64);

/// Tables within tables, one deep for each key, with numbers inside.
fn nested(value: &Value, depth: usize, names: &mut Vec<String>, found: &mut Vec<Stratum>) -> Result<(), TypeProblem> {
    match (value, depth) {
        (Value::Object(inner), 1..) => {
            for (name, value) in inner {
                names.push(name.clone());
                nested(value, depth - 1, names, found)?;
                names.pop();
            }
            Ok(())
        }
        (Value::Number(number), 0) => {
            found.push((names.clone(), number.as_f64().unwrap_or(f64::NAN)));
            Ok(())
        }
        _ => Err(TypeProblem::new("a number for each stratum, or the name of a file, is wanted")
            .hint("e.g. { \"<50\" = 6000, \">=50\" = 4000 }; with a second key, a table for each level of the first")),
    }
}

fn labels(keys: &[Key]) -> String {
    keys.iter().map(|key| key.label.as_str()).collect::<Vec<_>>().join(" × ")
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(spec: &StandardisedSpec, place: &str) -> String {
    let index = place.strip_prefix("by[").and_then(|i| i.trim_end_matches(']').parse::<usize>().ok());
    let by = usize::from(spec.by.is_some());
    match index {
        Some(0) if by == 1 => "standardised.by".to_owned(),
        Some(i) if i < by + spec.over.len() => format!("standardised.over[{}]", i - by),
        Some(_) => "standardised.events".to_owned(),
        None => "standardised".to_owned(),
    }
}
