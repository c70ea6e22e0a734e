//! Which form fits which table. That a table of any kind has none needs a reason, which stands in the test that walks them.

use super::bars::{self, Bars};
use super::ranges::{self, Ranges};
use super::view::View;
use super::{Figure, Shape, each, measures, path, square, steps};

/// The form of a table's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitting {
    /// Each of its numbers has one.
    Numbers,
    /// The first of its numbers.
    Bars,
    /// Every cell of two keys.
    Cells,
    /// How many have no value.
    Missing,
    Steps,
    Square,
    /// A number with its interval, on one axis.
    Ranges,
    /// Rates, and the ratios of these.
    Rates,
    /// Numbers of this column about 0.
    Points(&'static str),
    /// Measures on axes of their own.
    Measures,
    /// What was lost on each part that was left out.
    Folds,
    /// Coefficients of fits that each left out a part.
    Fits,
    /// Coefficients along penalties.
    Path,
    /// What was lost along penalties.
    Losses,
    /// What adds up along time.
    Hazard,
    /// Tests and settings; measures with nothing to be held against; what another picture shows.
    Nothing,
}

impl Fitting {
    /// The form for the answer to an analysis of this kind, or for a further table with this title.
    pub(super) fn of(kind: &str, title: Option<&str>, view: &View<'_>) -> Self {
        match title {
            None => of_answer(kind, view),
            Some(title) => of_further(kind, title, view),
        }
    }

    /// The pictures of a table in this form; none where they would tell nothing.
    pub(super) fn drawn(self, kind: &str, view: &View<'_>) -> Vec<Figure> {
        let barred =
            |bars: Option<Bars>| bars.filter(Bars::tells).map_or_else(Vec::new, |b| each(b.parts(), Shape::Bars));
        match self {
            Self::Nothing | Self::Numbers => Vec::new(),
            Self::Bars => barred(bars::bars(kind, view)),
            Self::Cells => barred((view.keys == 1).then(|| bars::crossed(view))),
            Self::Missing => {
                barred(view.column("missing").and_then(|column| bars::of_column(view, &view.rows(), column)))
            }
            Self::Steps => steps::steps(view).map_or_else(Vec::new, |steps| each(steps.parts(), Shape::Steps)),
            Self::Square => {
                square::square(view).map(|square| Figure::whole(Shape::Square(square))).into_iter().collect()
            }
            Self::Ranges => ranged(ranges::ranges(view)),
            Self::Rates => ranged(ranges::ranges(view).into_iter().chain(ranges::ratios_of_rates(view))),
            Self::Points(heading) => ranged(ranges::about_zero(view, heading)),
            Self::Measures => ranged(measures::measures(view)),
            Self::Folds => ranged(measures::folds(view)),
            Self::Fits => ranged(path::fits(view)),
            Self::Losses => ranged(path::losses(view)),
            Self::Path => path::coefficients(view).map_or_else(Vec::new, |path| each(path.parts(), Shape::Along)),
            Self::Hazard => path::hazard(view).map_or_else(Vec::new, |hazard| each(hazard.parts(), Shape::Along)),
        }
    }
}

fn ranged(ranges: impl IntoIterator<Item = Ranges>) -> Vec<Figure> {
    ranges.into_iter().flat_map(|ranges| each(ranges.parts(), Shape::Ranges)).collect()
}

fn of_answer(kind: &str, view: &View<'_>) -> Fitting {
    match kind {
        "table" => Fitting::Numbers,
        "histogram" | "attrition" | "pca" | "kmeans" => Fitting::Bars,
        "crosstab" | "accuracy" => Fitting::Cells,
        // Of a condition or a number there is a share or a mean with its interval.
        "compare" if view.column("from").is_none() => Fitting::Cells,
        "table_one" => Fitting::Points("standardised_difference"),
        "elastic_net" => Fitting::Points("estimate"),
        "rates" => Fitting::Rates,
        "summary" => Fitting::Missing,
        "evaluate" | "cross_validation" => Fitting::Nothing,
        _ => by_headings(view),
    }
}

fn of_further(kind: &str, title: &str, view: &View<'_>) -> Fitting {
    match (kind, title) {
        ("compare", "tests") | ("survival", "patients" | "quantiles") => Fitting::Nothing,
        ("compare" | "accuracy", _) => Fitting::Measures,
        ("cross_validation", "folds") => Fitting::Folds,
        ("cross_validation", "coefficients") => Fitting::Fits,
        ("elastic_net", "path") => Fitting::Path,
        ("elastic_net", "losses") => Fitting::Losses,
        ("cox", "baseline") => Fitting::Hazard,
        ("pca", "loadings") => Fitting::Points("loading"),
        ("pca", "correlations with the components") => Fitting::Points("r"),
        ("kmeans", "profiles") => Fitting::Points("difference"),
        ("summary", "quantiles") => Fitting::Nothing,
        ("correlation", "matrix") => Fitting::Nothing,
        _ => by_headings(view),
    }
}

/// A new kind with an estimate and its interval has its picture without a line here.
fn by_headings(view: &View<'_>) -> Fitting {
    let has = |heading: &str| view.column(heading).is_some();
    if has("survival") || has("incidence") {
        Fitting::Steps
    } else if has("sensitivity") || (has("expected") && has("observed") && has("from")) {
        Fitting::Square
    } else if ranges::has_interval(view) {
        Fitting::Ranges
    } else if ["count", "share", "patients"].into_iter().any(has) {
        Fitting::Bars
    } else {
        Fitting::Nothing
    }
}
