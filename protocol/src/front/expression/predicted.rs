//! What an expression makes of a fitted model: `predict(MODEL)`, `linear(MODEL)`, `ipw(MODEL)`.

use sqlparser::ast::Expr as Sql;

use super::relation::usage;
use super::{Binder, Scope};
use crate::front::relation::Fitted;
use crate::ids::ColumnName;
use crate::plan::{Derived, Expr, Gives, Prediction, TypeProblem};
use crate::settings::nearest;

/// Whether a function of this name is of a fitted model.
pub(super) fn is(name: &str) -> bool {
    matches!(name, "predict" | "linear" | "ipw")
}

impl Binder<'_> {
    /// A call of such a function.
    pub(super) fn predicted(
        &mut self,
        function: &str,
        model: &Sql,
        rest: &[Sql],
        want: Option<ColumnName>,
    ) -> Option<Expr> {
        let (Sql::Identifier(model), []) = (model, rest) else { return self.refuse(usage(function)) };
        let Scope::Study(relations) = &self.scope else { return None };
        let models = relations.models();
        let name = model.value.parse::<ColumnName>().ok();
        let Some(found) = name.and_then(|name| models.get(&name)) else {
            let problem = TypeProblem::new(format!("there is no fitted model `{}`", model.value));
            let near = nearest(&model.value, models.keys().map(ColumnName::as_str));
            let problem = problem.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it: [models.{}] analysis = \"NAME\" of this study, or with from = \"FOLDER\" of an earlier one", model.value),
            });
            return self.refuse(problem);
        };
        // What is wrong with a model is said at its place.
        let fitted = found.clone()?;
        let gives = match (function, fitted.outcome) {
            ("predict", _) => Gives::Mean,
            ("linear", _) => Gives::Linear,
            (_, Some(outcome)) => Gives::Inverse(outcome),
            (_, None) => {
                let problem = TypeProblem::new(format!("the outcome of `{}` is no condition", model.value));
                return self.refuse(problem.hint("ipw() is of a binomial model"));
            }
        };
        let Fitted { fit, columns, beta, from, .. } = fitted;
        let of = Prediction { fit, columns, beta, gives, from, folds: vec![] };
        self.register(Derived::Predicted(Box::new(of)), want)
    }
}
