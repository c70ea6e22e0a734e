//! An outcome among its own terms is explained wholly by itself, and nothing of the other terms is seen. R drops such a term with a warning; here the
//! formula is refused.

use super::super::Binding;
use super::super::formula::RightSide;
use crate::plan::{Factor, Measure, TypeProblem};

impl Binding<'_> {
    /// Nothing, where a term has the outcome in it.
    pub(super) fn explains_another(&mut self, key: &str, outcome: &Measure, right: &RightSide) -> Option<()> {
        let is_outcome = |factor: &Factor| match factor {
            Factor::Number(of) | Factor::Spline { of, .. } => of == outcome,
            Factor::Level { key, .. } => matches!(outcome, Measure::Condition(condition) if condition == key),
        };
        let mut terms = right.terms.iter();
        let Some(term) = terms.find(|term| term.columns.iter().flat_map(|column| &column.of).any(is_outcome)) else {
            return Some(());
        };
        let problem =
            TypeProblem::new(format!("the outcome stands on both sides of `~`: in the term `{}`", term.label));
        self.refuse(key, problem.hint("leave the term out: whatever is explained by itself says nothing of the others"))
    }
}

#[cfg(test)]
mod tests {
    use crate::front::tests::bind;

    fn bound(analysis: &str) -> Result<(), String> {
        let text = "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n[[analysis]]\nname = 'm'\n";
        bind(&format!("{text}{analysis}")).map(drop)
    }

    #[test]
    fn an_outcome_among_its_own_terms_is_refused_in_whatever_form() {
        for (formula, term) in [
            ("chol ~ chol + sex", "chol"),
            ("chol ~ age:chol", "age:chol"),
            ("chol ~ age + poly(chol, 2)", "poly(chol, 2)"),
            ("chol ~ ns(chol, knots = [200, 300])", "ns(chol, knots = [200, 300])"),
            ("log(chol) ~ ln(chol) + age", "ln(chol)"),
            ("disease ~ age + disease", "disease"),
            ("disease ~ C(disease)", "C(disease)"),
        ] {
            let problem = bound(&format!("model = {{ formula = '{formula}' }}")).expect_err(formula);
            let wanted =
                format!("model.formula: the outcome stands on both sides of `~`: in the term `{term}`\n  hint: ");
            assert!(problem.contains(&wanted), "{problem}");
        }
        let net = bound("elastic_net = { formula = 'chol ~ chol + sex' }").unwrap_err();
        assert!(net.contains("elastic_net.formula: the outcome stands on both sides"), "{net}");
        bound("model = { formula = 'ln(chol) ~ chol + sex' }").unwrap();
        bound("model = { formula = 'disease ~ age + sex' }").unwrap();
    }
}
