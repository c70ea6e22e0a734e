//! Shares against shares, in a square with its diagonal: the receiver operating characteristic of a score, and what came of patients in each band of
//! what was expected of them.

use super::listed;
use super::view::View;
use crate::report::page::number::brief;

/// A share that may lie anywhere between two.
type Between = (f64, f64);

/// A square.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Square {
    pub what: What,
    /// From the left.
    pub spots: Vec<Spot>,
    /// How many rows have no place in it.
    pub without: usize,
}

/// What it shows, and so what its diagonal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum What {
    /// Of a score: who has it and is found against who has it not and is found as well. On the diagonal a score says nothing.
    Characteristic,
    /// Of probabilities: on the diagonal what was expected came.
    Calibration,
}

/// A place in the square.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Spot {
    /// What it is of.
    pub label: String,
    /// How far it may lie to the left and to the right.
    pub x: Between,
    /// How far down and up.
    pub y: Between,
    /// Where it is; none where that is not exact.
    pub at: Option<(f64, f64)>,
}

/// The square of a block that has shares against shares.
pub(super) fn square(view: &View<'_>) -> Option<Square> {
    let square = characteristic(view).or_else(|| calibration(view))?;
    (!square.spots.is_empty()).then_some(square)
}

fn characteristic(view: &View<'_>) -> Option<Square> {
    let of = |name: &str| {
        let end = |end: &str| view.column(&format!("{name} {end}"));
        Some((view.column(name)?, end("least")?, end("most")?))
    };
    let (found, spared) = (of("sensitivity")?, of("specificity")?);
    let rows = 0..view.block.rows.len();
    let spot = |row: usize| {
        let ends = |of: (usize, usize, usize)| view.number(row, of.1).zip(view.number(row, of.2));
        let ((down, up), (least, most)) = (ends(found)?, ends(spared)?);
        let at = view.number(row, spared.0).zip(view.number(row, found.0)).map(|(spared, found)| (1.0 - spared, found));
        Some(Spot { label: view.label(row, view.keys), x: (1.0 - most, 1.0 - least), y: (down, up), at })
    };
    let mut spots: Vec<Spot> = rows.filter_map(spot).collect();
    spots.sort_by(|a, b| (a.x.0 + a.x.1).total_cmp(&(b.x.0 + b.x.1)).then((a.y.0 + a.y.1).total_cmp(&(b.y.0 + b.y.1))));
    let without = view.block.rows.len() - spots.len();
    Some(Square { what: What::Characteristic, spots, without })
}

fn calibration(view: &View<'_>) -> Option<Square> {
    let [expected, observed, from, to] = ["expected", "observed", "from", "to"].map(|heading| view.column(heading));
    let (expected, observed, ends) = (expected?, observed?, (from?, to?));
    let bands: Vec<Between> =
        (0..view.block.rows.len()).map(|row| band(view.text(row, expected)?)).collect::<Option<_>>()?;
    let spot = |(row, x): (usize, &Between)| {
        let value = view.number(row, observed)?;
        let y = view.number(row, ends.0).zip(view.number(row, ends.1)).unwrap_or((value, value));
        Some(Spot { label: view.label(row, view.keys), x: *x, y, at: Some((f64::midpoint(x.0, x.1), value)) })
    };
    let spots: Vec<Spot> = bands.iter().enumerate().filter_map(spot).collect();
    Some(Square { what: What::Calibration, without: bands.len() - spots.len(), spots })
}

/// A band of probabilities: `<0.2`, `[0.2,0.4)`, `>=0.4`.
fn band(label: &str) -> Option<Between> {
    let share = |text: &str| text.parse::<f64>().ok().filter(|x| (0.0..=1.0).contains(x));
    if let Some(to) = label.strip_prefix('<') {
        return Some((0.0, share(to)?));
    }
    if let Some(from) = label.strip_prefix(">=") {
        return Some((share(from)?, 1.0));
    }
    let (from, to) = label.strip_prefix('[')?.strip_suffix(')')?.split_once(',')?;
    share(from).zip(share(to))
}

impl Square {
    /// What goes to the right, and what up.
    pub(super) fn axes(&self) -> [&'static str; 2] {
        match self.what {
            What::Characteristic => ["1 − specificity", "sensitivity"],
            What::Calibration => ["expected", "observed"],
        }
    }

    pub(super) fn title(&self) -> String {
        let mut title = match self.what {
            What::Characteristic => "Receiver operating characteristic; on the diagonal the score says nothing",
            What::Calibration => {
                "Calibration: the share observed with its interval over each band of what was expected; on the diagonal both are alike"
            }
        }
        .to_owned();
        if self.what == What::Characteristic && self.spots.iter().any(|spot| spot.at.is_none()) {
            title.push_str("; where a point is not exact, the pale box is where it may lie");
        }
        if self.without > 0 {
            title.push_str(&format!("; {} of {} are hidden", self.without, self.without + self.spots.len()));
        }
        title
    }

    pub(super) fn description(&self) -> String {
        let share = |(lo, hi): Between| if lo == hi { brief(lo) } else { format!("{} to {}", brief(lo), brief(hi)) };
        match self.what {
            What::Characteristic => {
                let said = self.spots.iter().map(|spot| {
                    let spared = (1.0 - spot.x.1, 1.0 - spot.x.0);
                    format!("from {}: sensitivity {}, specificity {}", spot.label, share(spot.y), share(spared))
                });
                format!("A point for each score: {}", listed(said))
            }
            What::Calibration => {
                let said = self.spots.iter().map(|spot| {
                    let observed = spot.at.map_or_else(|| "–".to_owned(), |(_, y)| brief(y));
                    format!("{}: {observed} ({})", spot.label, share(spot.y))
                });
                format!("A point with its interval for each band: {}", listed(said))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::gallery::calibration;
    use super::super::tests::{block, figures, hidden, text};
    use crate::api::types::{Block, Value};

    fn square(title: &str, of: &Block) -> super::Square {
        match figures("evaluate", Some(title), of).into_iter().next().map(|figure| figure.shape) {
            Some(Shape::Square(square)) => square,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_curve_goes_from_nobody_to_everybody_found_and_has_a_box_where_it_is_not_exact() {
        let row = |score: &str, found: Option<f64>, most: f64, spared: f64| {
            let value = found.map_or(Value::Null, Value::Number);
            let found = Value::Number(found.unwrap_or(0.5));
            vec![
                text(score),
                value,
                found,
                Value::Number(most),
                Value::Number(spared),
                Value::Number(spared),
                Value::Number(spared),
            ]
        };
        let mut headings = vec!["score from".to_owned()];
        for name in ["sensitivity", "specificity"] {
            headings.extend(["", " least", " most"].map(|end| format!("{name}{end}")));
        }
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        let mut curve = block(&headings, vec![row("40", Some(0.9), 0.9, 0.25), row("60", None, 0.75, 0.5)]);
        curve.hidden = vec![hidden(1, 1, None)];
        let square = square("curve", &curve);
        let spots: Vec<(&str, Option<(f64, f64)>)> =
            square.spots.iter().map(|spot| (spot.label.as_str(), spot.at)).collect();
        assert_eq!(spots, [("60", None), ("40", Some((0.75, 0.9)))], "from the left, that is from the highest score");
        assert_eq!(
            square.description(),
            "A point for each score: from 60: sensitivity 0.5 to 0.75, specificity 0.5; from 40: sensitivity 0.9, specificity 0.25."
        );
    }

    #[test]
    fn a_calibration_has_what_came_over_each_band_of_what_was_expected_and_says_what_is_hidden() {
        let square = square("calibration", &calibration());
        let expected: Vec<(f64, f64)> = square.spots.iter().map(|spot| spot.x).collect();
        assert_eq!(expected[..2], [(0.0, 0.1), (0.1, 0.2)]);
        assert_eq!(square.spots[0].at, Some((0.05, 0.05)));
        assert!(square.title().ends_with("; 1 of 5 are hidden"), "{}", square.title());
    }

    #[test]
    fn measures_of_other_scales_share_no_axis() {
        let row = |name: &str, value: f64| {
            vec![text(name), Value::Number(value), Value::Number(value - 0.1), Value::Number(value + 0.1)]
        };
        let measures = block(
            &["measure", "value", "from", "to"],
            vec![row("area under the curve", 0.7), row("log-likelihood", -14e3)],
        );
        assert_eq!(figures("cross_validation", None, &measures), []);
    }
}
