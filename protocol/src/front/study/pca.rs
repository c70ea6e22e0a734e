//! `pca = { columns, scale, components }`: principal components.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{Named, PcaScale, PcaSpec, Spec};
use crate::limits;
use crate::plan::TypeProblem;
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawPca {
    columns: Vec<String>,
    scale: Option<PcaScale>,
    components: Option<u32>,
}

impl Binding<'_> {
    pub(super) fn pca(&mut self, key: &str, raw: &RawPca) -> Option<Spec> {
        let place = |name: &str| join(key, &format!("pca.{name}"));
        let columns = self.described_columns(&place("columns"), &raw.columns, limits::MODEL_COLUMNS)?;
        if columns.len() < 2 {
            let problem = TypeProblem::new("principal components are of two columns or more");
            return self.refuse(&place("columns"), problem.hint("e.g. columns = [\"age\", \"chol\", \"ln(crp)\"]"));
        }
        let most = columns.len() as u32;
        let components = raw.components.unwrap_or(most.min(5));
        if !(1..=most).contains(&components) {
            let problem = TypeProblem::new(format!("of {most} columns there are 1 to {most} components"));
            return self.refuse(&place("components"), problem);
        }
        let scale = raw.scale.unwrap_or(PcaScale::Correlation);
        Some(Spec::Pca(PcaSpec { columns, scale, components }))
    }

    /// Columns that are described by themselves: numbers, and keys by their levels but the first.
    pub(super) fn described_columns(&mut self, key: &str, texts: &[String], most: usize) -> Option<Vec<Named>> {
        if texts.is_empty() || texts.len() > most {
            let problem = TypeProblem::new(format!("1 to {most} columns are described, not {}", texts.len()));
            return self.refuse(key, problem.hint("e.g. columns = [\"age\", \"chol\"]"));
        }
        let before = self.problems.0.len();
        let mut all: Vec<Named> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let place = format!("{key}[{i}]");
            for column in self.described(&place, text).unwrap_or_default() {
                if all.iter().any(|earlier| earlier.of == column.of) {
                    self.refuse::<()>(&place, TypeProblem::new(format!("`{}` is named twice", column.label)));
                }
                all.push(column);
            }
        }
        (self.problems.0.len() == before).then_some(all)
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(spec: &PcaSpec, place: &str) -> String {
    match place.strip_prefix("columns") {
        // Where no key has taken several columns, they are those of the text.
        Some(at) if spec.columns.iter().all(|column| !column.label.contains('[')) => format!("pca.columns{at}"),
        Some(_) => "pca.columns".to_owned(),
        None => "pca".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{analyses, one};
    use super::*;

    #[test]
    fn components_are_of_numbers_and_levels() {
        let Ok(Spec::Pca(spec)) = one("pca = { columns = ['age', 'ln(chol)', 'sex'] }") else { panic!("components") };
        assert_eq!(spec.headings()[..2], ["age", "ln(chol)"]);
        assert!(spec.headings()[2].starts_with("sex["), "{:?}", spec.headings());
        assert_eq!((spec.scale, spec.shown()), (PcaScale::Correlation, spec.columns.len().min(5)));
        let Ok(Spec::Pca(spec)) = one("pca = { columns = ['age', 'chol'], scale = 'covariance', components = 1 }")
        else {
            panic!("components")
        };
        assert_eq!((spec.scale, spec.shown()), (PcaScale::Covariance, 1));
    }

    #[test]
    fn what_has_no_components_says_where() {
        for (rest, wanted) in [
            ("columns = ['age']", "pca.columns: principal components are of two columns"),
            ("columns = []", "pca.columns: 1 to "),
            ("columns = ['age', 'age']", "pca.columns[1]: `age` is named twice"),
            ("columns = ['age', 'weigth']", "pca.columns[1]: "),
            ("columns = ['age', 'chol'], components = 3", "pca.components: of 2 columns"),
            ("columns = ['age', 'chol'], components = 0", "pca.components: of 2 columns"),
            ("columns = ['age', 'poly(chol, 2)']", "pca.columns: what is described are numbers"),
            ("columns = ['age', 'chol'], scale = 'sd'", "pca.scale"),
        ] {
            let problems = one(&format!("pca = {{ {rest} }}")).unwrap_err();
            assert!(problems.contains(wanted), "{rest}: {problems}");
        }
    }

    #[test]
    fn a_prediction_is_no_column_of_components_or_clusters_nor_is_what_is_made_of_it() {
        let models = "[models.risk]\nformula = 'chol ~ age'\nlink = 'identity'\nfamily = 'gaussian'\n\
                      coefficients = { '(intercept)' = 1.0, age = 0.5 }\n[features]\nscore = 'predict(risk)'\n";
        for question in
            ["pca = { columns = ['age', 'score'] }", "kmeans = { columns = ['age', 'score'], clusters = 2 }"]
        {
            let problems = analyses(&format!("{models}[[analysis]]\nname = 'a'\n{question}")).unwrap_err();
            assert!(problems.contains("columns[1]: a prediction is not described"), "{problems}");
        }
    }
}
