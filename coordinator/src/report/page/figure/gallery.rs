//! Pictures of awkward data: whatever an answer holds, each is well-formed, has words, and no text leaves it.

use maud::Render as _;

use super::draw::width;
use super::tests::{block, figures, hidden, text};
use super::*;
use crate::api::types::{Interval, Value};

/// An answer's kind, a further block's title, the block.
type Awkward = (&'static str, &'static str, Option<&'static str>, Block);

fn long(at: usize) -> String {
    format!("C(Höchster_Blutdruck_in_Ruhe_ÄÖÜß <script>alert(1)</script> & \"mehr\")[Stufe {at:03} von vielen]")
}

fn rows<const N: usize>(count: usize, row: impl Fn(usize) -> [Value; N]) -> Vec<Vec<Value>> {
    (0..count).map(|at| row(at).to_vec()).collect()
}

fn numbers_of(size: f64) -> Block {
    let row = |at: usize| {
        let x = Value::Number(size * (at as f64 + 1.0) / 3.0);
        [text(&format!("group {at}")), Value::Count(at as u64 * 12 + 11), x.clone(), x]
    };
    block(&["group", "count", "sum(x)", "mean(x)"], rows(5, row))
}

fn all_hidden(mut of: Block, interval: Option<Interval>) -> Block {
    for (r, row) in of.rows.iter_mut().enumerate() {
        for (c, value) in row.iter_mut().enumerate().filter(|(_, value)| !matches!(value, Value::Text(_))) {
            *value = Value::Null;
            of.hidden.push(hidden(r, c, interval));
        }
    }
    of
}

fn table(groups: usize, name: impl Fn(usize) -> String) -> Block {
    let row =
        |at: usize| [text(&name(at)), Value::Count(at as u64 * at as u64 + 11), Value::Number(50.0 + at as f64 / 7.0)];
    block(&["group", "count", "mean(x)"], rows(groups, row))
}

fn bands(groups: usize) -> Block {
    let label = |at: usize| match at {
        0 => "<20".to_owned(),
        69 => ">=89".to_owned(),
        _ => format!("[{},{})", 19 + at, 20 + at),
    };
    let row = |at: usize| [text(&long(at / 70)), text(&label(at % 70)), Value::Count(at as u64 % 90 + 11)];
    block(&["sex", "cut(age, 20, …)", "count"], rows(groups * 70, row))
}

fn weeks(groups: usize) -> Block {
    let row = |at: usize| {
        let (group, week) = (at / 60, at % 60);
        let change = (week as f64 / 5.0).sin() * 1e6 * (group as f64 + 1.0);
        [text(&format!("20{:02}-W{:02}", 20 + week / 52, week % 52 + 1)), text(&long(group)), Value::Number(change)]
    };
    let mut block = block(&["week(day)", "region", "sum(change)"], rows(groups * 60, row));
    for row in 30..36 {
        block.rows[row][2] = Value::Null;
        block.hidden.push(hidden(row, 2, Some(Interval(0, (row > 32).then_some(500_000)))));
    }
    block
}

fn histogram(groups: usize, bins: usize) -> Block {
    let row = |at: usize| {
        let (group, bin) = (at / bins, at % bins);
        let from = Value::Number(bin as f64 * 0.125);
        [
            text(&long(group)),
            text(&format!("[{bin})")),
            from.clone(),
            Value::Number(bin as f64 * 0.125 + 0.125),
            Value::Count(bin as u64 * 1_000_003),
        ]
    };
    let mut block = block(&["group", "x", "from", "to", "count"], rows(groups * bins, row));
    for row in 0..block.rows.len().min(3) {
        block.rows[row][4] = Value::Null;
        block.hidden.push(hidden(row, 4, [None, Some(Interval(0, Some(1 << 40))), Some(Interval(900_000, None))][row]));
    }
    block
}

fn survival(groups: usize, name: impl Fn(usize) -> String) -> Block {
    let row = |at: usize| {
        let (group, step) = (at / 12, at % 12);
        let s = (-(step as f64 + 1.0) * 0.09 * (group as f64 + 1.0)).exp();
        let from = step as f64 * 1e3;
        let numbers = [s, (s - 0.05).max(0.0), (s + 0.05).min(1.0), s, s].map(Value::Number);
        let [s, lower, upper, least, most] = numbers;
        [
            text(&name(group)),
            text("[…)"),
            Value::Number(from),
            Value::Number(from + 1e3),
            Value::Count(1_234_567 / (step as u64 + 1)),
            s,
            lower,
            upper,
            least,
            most,
        ]
    };
    let columns = ["arm", "interval", "from", "to", "at_risk", "survival", "lower", "upper", "least", "most"];
    let mut block = block(&columns, rows(groups * 12, row));
    for row in [4, 5] {
        block.rows[row][4] = Value::Null;
        block.rows[row][5] = Value::Null;
        block.hidden.push(hidden(row, 4, Some(Interval(0, Some(1_234_567)))));
        block.hidden.push(hidden(row, 5, None));
    }
    block
}

fn forest(terms: usize, size: f64) -> Block {
    let row = |at: usize| {
        let b = size * ((at as f64 * 0.7).sin() + 0.1);
        // One of them is as good as separated.
        let half = if at == 2 { size * 4e3 } else { size * 0.3 };
        let ratios = [b, b - half, b + half].map(|x| Value::Number((x / size).exp()));
        let [ratio, from, to] = ratios;
        [text(&long(at)), Value::Number(b), Value::Number(b - half), Value::Number(b + half), ratio, from, to]
    };
    block(&["term", "estimate", "from", "to", "odds ratio", "ratio from", "ratio to"], rows(terms, row))
}

fn linear(terms: usize, size: f64) -> Block {
    let mut forest = forest(terms, size);
    forest.columns.truncate(4);
    forest.rows.iter_mut().for_each(|row| row.truncate(4));
    forest
}

fn curve(points: usize, exact: bool) -> Block {
    let row = |at: usize| {
        let score = (at as f64 + 1.0) / (points as f64 + 1.0);
        let (found, spared) = (1.0 - score * score, score.sqrt());
        let most = Value::Number((found + if exact { 0.0 } else { 0.06 }).min(1.0));
        let value = |x: f64| if exact || at.is_multiple_of(2) { Value::Number(x) } else { Value::Null };
        [
            text(&score.to_string()),
            value(found),
            Value::Number(found),
            most,
            value(spared),
            Value::Number(spared),
            Value::Number(spared),
        ]
    };
    let columns = [
        "score from",
        "sensitivity",
        "sensitivity least",
        "sensitivity most",
        "specificity",
        "specificity least",
        "specificity most",
    ];
    block(&columns, rows(points, row))
}

pub(super) fn calibration() -> Block {
    let labels = ["<0.1", "[0.1,0.2)", "[0.2,0.4)", "[0.4,0.8)", ">=0.8"];
    let row = |at: usize| {
        let share = 0.05 + at as f64 * 0.2;
        [
            text(labels[at]),
            Value::Count(400),
            Value::Number(share),
            Value::Number(share - 0.04),
            Value::Number(share + 0.05),
        ]
    };
    let mut block = block(&["expected", "patients", "observed", "from", "to"], rows(5, row));
    block.rows[4][2] = Value::Null;
    block.hidden.push(hidden(4, 2, None));
    block
}

fn loadings() -> Block {
    let row = |at: usize| [text(&format!("PC{}", at / 20 + 1)), text(&long(at % 20)), Value::Number((at as f64).cos())];
    block(&["component", "column", "loading"], rows(200, row))
}

fn crosstab(levels: usize) -> Block {
    let columns: Vec<String> =
        ["rows by columns".to_owned()].into_iter().chain((0..levels).map(long)).chain(["total".to_owned()]).collect();
    let row = |at: usize| {
        let counts = (0..=levels).map(|c| Value::Count((at * c) as u64 + 11));
        [text(&long(at))].into_iter().chain(counts).collect()
    };
    Block { columns, rows: (0..levels).map(row).collect(), ..Block::default() }
}

fn measures(groups: usize) -> Block {
    let names = ["risk_difference", "risk_ratio", "odds_ratio", "standardised_difference"];
    let row = |at: usize| {
        let ends = |x: f64| if at % 4 == 3 { Value::Null } else { Value::Number(x) };
        let x = 0.1 + at as f64 / 7.0;
        [text(&long(at / 4)), text(names[at % 4]), Value::Number(x), ends(x / 3.0), ends(x * 3.0)]
    };
    block(&["group", "measure", "value", "from", "to"], rows(groups * 4, row))
}

fn table_one(columns: usize) -> Block {
    let row = |at: usize| [text(&long(at)), text("a level"), Value::Count(40), Value::Number((at as f64).sin())];
    block(&["column", "level", "no: n", "standardised_difference"], rows(columns, row))
}

fn path(terms: usize) -> Block {
    let terms: Vec<String> = (0..terms).map(long).collect();
    let columns = ["lambda", "columns left", "deviance explained", "(intercept)"].map(str::to_owned);
    let row = |at: usize| {
        let numbers = (0..terms.len()).map(|term| Value::Number(((at * term) as f64 * 0.3).sin() * at as f64));
        let lambda = Value::Number(0.731 * 0.77_f64.powi(at as i32));
        [lambda, Value::Count(at as u64), Value::Number(0.1), Value::Number(-3.0)].into_iter().chain(numbers).collect()
    };
    Block {
        rows: (0..30).map(row).collect(),
        columns: columns.into_iter().chain(terms.clone()).collect(),
        ..Block::default()
    }
}

fn losses() -> Block {
    let row = |at: usize| {
        let chosen = if at == 17 { text("min, 1se") } else { Value::Null };
        [
            Value::Number(0.731 * 0.77_f64.powi(at as i32)),
            Value::Number(1.2 + (at as f64 - 17.0).abs() / 50.0),
            Value::Number(0.02),
            chosen,
        ]
    };
    block(&["lambda", "mean deviance", "standard error", "chosen"], rows(30, row))
}

pub(super) fn gallery() -> Vec<Awkward> {
    let named = |name: &'static str, kind, title, block| (name, kind, title, block);
    let plain = |at: usize| format!("group {at}");
    let unknown = Some(Interval(0, Some(1 << 20)));
    vec![
        named("one row", "table", None, table(1, plain)),
        named("two rows", "table", None, table(2, plain)),
        named("all hidden", "table", None, all_hidden(table(5, plain), unknown)),
        named(
            "all hidden of which something is known",
            "table",
            None,
            all_hidden(table(5, plain), Some(Interval(20, Some(40)))),
        ),
        named("huge", "table", None, numbers_of(1e12)),
        named("tiny", "table", None, numbers_of(1e-9)),
        named("negative", "table", None, numbers_of(-1e5)),
        named("long names", "table", None, table(6, long)),
        named("40 groups", "table", None, table(40, plain)),
        named("300 codes", "table", None, table(300, long)),
        named("70 bands of two groups", "table", None, bands(2)),
        named("8 regions along time", "table", None, weeks(8)),
        named("40 regions along time", "table", None, weeks(40)),
        named("a histogram", "histogram", None, histogram(1, 12)),
        named("a histogram of 1000 bins", "histogram", None, histogram(1, 1000)),
        named("a histogram of 8 groups", "histogram", None, histogram(8, 9)),
        named("a hidden histogram", "histogram", None, all_hidden(histogram(2, 9), unknown)),
        named("a cross-tabulation", "crosstab", None, crosstab(7)),
        named("survival of one", "survival", None, survival(1, |_| String::new())),
        named("survival of two", "survival", None, survival(2, plain)),
        named("survival of 8", "survival", None, survival(8, long)),
        named("survival of 30", "survival", None, survival(30, plain)),
        named("hidden survival", "survival", None, all_hidden(survival(2, plain), None)),
        named("a forest of 60", "model", None, forest(60, 1.0)),
        named("estimates", "model", None, linear(5, 1.0)),
        named("huge estimates", "model", None, linear(3, 1e12)),
        named("tiny estimates", "model", None, linear(4, 1e-9)),
        named("one estimate", "model", None, linear(1, 1.0)),
        named("hidden estimates", "model", None, all_hidden(linear(4, 1.0), None)),
        named("a curve", "evaluate", Some("curve"), curve(9, true)),
        named("a curve of 99 scores", "evaluate", Some("curve"), curve(99, true)),
        named("an inexact curve", "evaluate", Some("curve"), curve(9, false)),
        named("a hidden curve", "evaluate", Some("curve"), all_hidden(curve(9, true), None)),
        named("calibration", "evaluate", Some("calibration"), calibration()),
        named("loadings", "pca", Some("loadings"), loadings()),
        named("measures of two groups", "compare", Some("against a"), measures(1)),
        named("measures of many", "compare", Some("against a"), measures(12)),
        named("hidden measures", "compare", Some("against a"), all_hidden(measures(3), None)),
        named("a love plot", "table_one", None, table_one(40)),
        named("a path", "elastic_net", Some("path"), path(9)),
        named("losses", "elastic_net", Some("losses"), losses()),
    ]
}

/// The texts of a picture with the first and last unit that they take, and their height.
fn texts(svg: &str) -> Vec<(String, i32, i32, i32)> {
    let attribute = |tag: &str, name: &str| {
        let from = tag.split_once(&format!(" {name}=\""))?.1;
        Some(from.split_once('"')?.0.to_owned())
    };
    svg.split("<text")
        .skip(1)
        .map(|rest| {
            let (tag, rest) = rest.split_once('>').unwrap();
            let content = rest.split_once("</text>").unwrap().0.trim();
            let plain = content.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
            let [x, y] = ["x", "y"].map(|name| attribute(tag, name).unwrap().parse::<i32>().unwrap());
            let wide = width(&plain);
            let left = match attribute(tag, "text-anchor").unwrap().as_str() {
                "start" => x,
                "middle" => x - wide / 2,
                _ => x - wide,
            };
            (plain, left, left + wide, y)
        })
        .collect()
}

/// Whether each tag that opens is closed, each attribute quoted, and no text is more than a text.
pub(super) fn well_formed(svg: &str) -> Result<(), String> {
    let (mut open, mut rest) = (Vec::new(), svg);
    while let Some((text, tag)) = rest.split_once('<') {
        let entities = ["&lt;", "&gt;", "&amp;", "&quot;", "&apos;"];
        let bare =
            |of: &str| of.match_indices('&').any(|(at, _)| !entities.iter().any(|entity| of[at..].starts_with(entity)));
        let (tag, after) = tag.split_once('>').ok_or("a tag has no end")?;
        if bare(text) || bare(tag) || text.contains('>') || tag.matches('"').count() % 2 > 0 {
            return Err(format!("{text}<{tag}>"));
        }
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) if open.pop() != Some(name) => return Err(format!("</{name}> closes nothing")),
            (false, false) => open.push(name),
            _ => {}
        }
        rest = after;
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} are open")) }
}

#[test]
fn every_picture_of_awkward_data_is_well_formed_has_words_and_fetches_nothing() {
    let mut drawn = 0;
    for (name, kind, title, block) in gallery() {
        for (at, figure) in figures(kind, title, &block).iter().enumerate() {
            let svg = svg(figure, &format!("f-{at}")).render().into_string();
            assert_eq!(well_formed(&svg), Ok(()), "{name}");
            assert!(!svg.contains("<script") && !svg.contains("href") && !svg.contains("url("), "{name}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}: {svg}");
            for words in ["<title id=", "<desc id="] {
                let said = svg.split_once(words).unwrap().1.split_once('>').unwrap().1.split_once('<').unwrap().0;
                assert!(said.len() > 4, "{name}: {words}{said}");
            }
            drawn += 1;
        }
    }
    assert!(drawn > 50, "{drawn}");
    assert!(well_formed("<g><text>a < b</text></g>").is_err() && well_formed("<g><text></g>").is_err());
}

/// Whether every text stands within the picture and on no other.
pub(super) fn texts_apart(name: &str, svg: &str) {
    let (wide, high) = svg.split_once("viewBox=\"0 0 ").unwrap().1.split_once('"').unwrap().0.split_once(' ').unwrap();
    let (wide, high): (i32, i32) = (wide.parse().unwrap(), high.parse().unwrap());
    let texts = texts(svg);
    for (at, (text, left, right, y)) in texts.iter().enumerate() {
        let inside = *left >= 0 && *right <= wide && (8..=high).contains(y);
        assert!(inside, "{name}: {text} from {left} to {right} at {y} of {wide} and {high}");
        for (other, from, to, height) in &texts[..at] {
            let apart = right <= from || left >= to || (y - height).abs() >= 12;
            assert!(apart, "{name}: `{text}` and `{other}` lie on each other at {left}, {y}");
        }
    }
}

#[test]
fn no_text_of_a_picture_leaves_it_or_lies_on_another() {
    for (name, kind, title, block) in gallery() {
        for figure in figures(kind, title, &block) {
            texts_apart(name, &svg(&figure, "f").render().into_string());
        }
    }
}

#[test]
fn pictures_have_no_more_than_a_page_of_paper_holds() {
    for (name, kind, title, block) in gallery() {
        let figures = figures(kind, title, &block);
        assert!(figures.len() <= 4 * MOST_NUMBERS, "{name}: {}", figures.len());
        for figure in figures {
            let svg = svg(&figure, "f").render().into_string();
            let high: i32 = svg.split_once("viewBox=\"0 0 720 ").unwrap().1.split_once('"').unwrap().0.parse().unwrap();
            // 17 cm wide, and no higher than 24.
            assert!(high <= 720 * 24 / 17, "{name}: {high}");
        }
    }
}

#[test]
fn what_tells_nothing_has_no_picture() {
    let none = [
        "one row",
        "all hidden",
        "a hidden histogram",
        "hidden survival",
        "hidden estimates",
        "a hidden curve",
        "hidden measures",
    ];
    for (name, kind, title, block) in gallery() {
        let count = figures(kind, title, &block).len();
        assert_eq!(count == 0, none.contains(&name), "{name}: {count}");
    }
}
