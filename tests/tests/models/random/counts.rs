//! Counts of any size, and of any spread about their means: a negative binomial model comes to its end in few rounds, where it should.

use std::collections::BTreeMap;

use bocage_tests::federation::{Gate, block, number};
use bocage_tests::numbers::Numbers;

use super::cases::CONTRACT;
use crate::data::{self, Rows};
use crate::pooled::{self, Family};

const STUDY: &str =
    "[[analysis]]\nname = \"m\"\nmodel = { formula = \"times ~ o + d\", family = \"negative_binomial\" }\n";

/// Of mean 1 and this shape, a sum of exponentials where the shape is whole; none: 1 itself.
fn spread(shape: Option<usize>, draw: &mut Numbers) -> f64 {
    shape.map_or(1.0, |shape| (0..shape).map(|_| -draw.share().ln()).sum::<f64>() / shape as f64)
}

/// By a product of uniform numbers, of parts of the mean that it does not run out in.
fn poisson(mut mean: f64, draw: &mut Numbers) -> u32 {
    let mut count = 0;
    while mean > 0.0 {
        let (part, mut left) = (mean.min(20.0), draw.share());
        while left > (-part).exp() {
            left *= draw.share();
            count += 1;
        }
        mean -= part;
    }
    count
}

fn drawn(level: f64, shape: Option<usize>, patients: usize, draw: &mut Numbers) -> (Rows, pooled::Rows) {
    let (mut file, mut rows) = (Rows::new(), pooled::Rows::default());
    for _ in 0..patients {
        let (o, d) = (draw.within(-1.0, 1.0), draw.happens(0.4));
        let of_d = f64::from(u8::from(d));
        let times = poisson((level + 0.3 * o - 0.4 * of_d).exp() * spread(shape, draw), draw).min(1000);
        let texts = [("o", o.to_string()), ("d", d.to_string()), ("times", times.to_string())];
        let others =
            [("x", "0"), ("k", "0"), ("c", "a"), ("w", "1"), ("number", "0"), ("event", "true"), ("size", "1")];
        let texts = texts.into_iter().chain(others.map(|(name, text)| (name, text.to_owned())));
        file.push((String::new(), texts.map(|(name, text)| (name.to_owned(), text)).collect::<BTreeMap<_, _>>()));
        rows.x.push(vec![1.0, o, of_d]);
        rows.y.push(f64::from(times));
        rows.offset.push(0.0);
        rows.weight.push(1.0);
    }
    (file, rows)
}

#[test]
fn counts_of_any_size_and_spread_are_fitted_in_few_rounds() {
    let mut draw = Numbers(2026);
    for patients in [150, 1000] {
        for level in [-0.5, 1.0, 2.5, 4.0, 5.0] {
            for shape in [Some(1), Some(3), Some(8), Some(30), None] {
                let what = format!("{patients} patients, e^{level}, {shape:?}");
                let (file, rows) = drawn(level, shape, patients, &mut draw);
                let result = data::dealt(CONTRACT, &file, 3).run(STUDY, Gate::OPEN).remove(0);
                assert!(!result.block.rows.is_empty(), "{what}: {:?}", result.notes);
                let fit = block(&result, "fit");
                assert!(number(fit, "rounds", "value") <= 16.0, "{what}: {}", number(fit, "rounds", "value"));
                // What is no wider spread than Poisson's is a Poisson model.
                let (expected, near) = match pooled::fit(Family::NegativeBinomial, &rows) {
                    Some(expected) => (expected, 1e-8),
                    None => (pooled::fit(Family::Poisson, &rows).expect("a fit"), 1e-2),
                };
                for (at, label) in ["(intercept)", "o", "d[true]"].into_iter().enumerate() {
                    let (found, unit) = (number(&result.block, label, "estimate"), expected.errors()[at]);
                    let off = (found - expected.estimates[at]).abs() / unit;
                    assert!(off < near, "{what}: {label} {found} for {}", expected.estimates[at]);
                }
            }
        }
    }
}
