//! Which picture fits which answer, and what stands in it.

use bocage_protocol::analysis::{Band, Key, Spec, SurvivalSpec};
use bocage_protocol::plan::{Expr, Literal};

use super::*;
use crate::analysis::answer_columns;
use crate::api::types::{Hidden, HiddenReason, Interval, Value};

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub(super) fn block(columns: &[&str], rows: Vec<Vec<Value>>) -> Block {
    Block { columns: columns.iter().map(|column| (*column).to_owned()).collect(), rows, ..Block::default() }
}

pub(super) fn hidden(row: usize, column: usize, interval: Option<Interval>) -> Hidden {
    Hidden { row, column, interval, reason: HiddenReason::FewerThanK }
}

/// The pictures alone.
pub(super) fn figures(kind: &str, title: Option<&str>, block: &Block) -> Vec<Figure> {
    pictures(kind, title, block).figures
}

fn picture(kind: &str, title: Option<&str>, block: &Block) -> Figure {
    figures(kind, title, block).into_iter().next().expect("a picture")
}

fn drawn(figure: &Figure) -> String {
    svg(figure, "f").into_string()
}

#[test]
fn a_tables_counts_are_bars_and_a_hidden_one_is_where_it_may_end() {
    let mut table = block(&["sex", "count"], vec![vec![text("f"), Value::Count(97)], vec![text("m"), Value::Null]]);
    table.hidden = vec![hidden(1, 1, Some(Interval(10, Some(20))))];
    let figure = picture("table", None, &table);
    assert_eq!(figure.description(), "A bar for each: f: 97; m: hidden, 10 to 20.");
    let svg = drawn(&figure);
    assert!(svg.starts_with("<svg viewBox=\"0 0 720 104\" role=\"img\" aria-labelledby=\"f-t f-d\"><title id=\"f-t\">count by sex; of a hidden number the darker part is certain, the pale one possible</title><desc id=\"f-d\">"));
    assert!(svg.contains("hidden, 10 to 20\n</text>"), "{svg}");
    assert_eq!(
        (svg.matches("<rect").count(), svg.matches("<polygon").count()),
        (2, 1),
        "one is known, one at least and at most"
    );
}

#[test]
fn an_interval_that_says_nothing_does_not_press_the_others_together() {
    let most = |hi| {
        let row = |sex: &str, value| vec![text(sex), value];
        let rows = vec![row("f", Value::Count(97)), row("d", Value::Count(50)), row("m", Value::Null)];
        let mut table = block(&["sex", "count"], rows);
        table.hidden = vec![hidden(2, 1, Some(Interval(0, hi)))];
        let Shape::Bars(bars) = picture("table", None, &table).shape else { panic!("no bars") };
        bars.most
    };
    assert_eq!([Some(1024), Some(110), None].map(most), [97.0, 110.0, 97.0]);
}

#[test]
fn a_histogram_has_bins_side_by_side_for_each_group() {
    let bin = |sex: &str, label: &str, from, to, n| vec![text(sex), text(label), from, to, Value::Count(n)];
    let edge = Value::Number;
    let rows = vec![
        bin("f", "<50", Value::Null, edge(50.0), 20),
        bin("f", "[50, 60)", edge(50.0), edge(60.0), 30),
        bin("f", ">=60", edge(60.0), Value::Null, 25),
        bin("m", "<50", Value::Null, edge(50.0), 41),
    ];
    let Shape::Bars(bars) = picture("histogram", None, &block(&["sex", "age", "from", "to", "count"], rows)).shape
    else {
        panic!("no bars")
    };
    assert!(bars.upright);
    let groups: Vec<(&str, usize)> = bars.panels.iter().map(|panel| (panel.group.as_str(), panel.bars.len())).collect();
    assert_eq!(groups, [("f", 3), ("m", 1)]);
    let labels: Vec<&str> = bars.panels[0].bars.iter().map(|bar| bar.label.as_str()).collect();
    assert_eq!(labels, ["< 50", "50–60", "≥ 60"]);
}

#[test]
fn a_cross_tabulation_is_drawn_without_its_totals_and_a_flow_by_who_is_left() {
    let cells = |label: &str, a, b| vec![text(label), Value::Count(a), Value::Count(b), Value::Count(a + b)];
    let table = block(
        &["sex by disease", "no", "yes", "total"],
        vec![cells("f", 1, 2), cells("m", 3, 4), cells("total", 4, 6)],
    );
    assert_eq!(
        picture("crosstab", None, &table).description(),
        "A bar for each: f, no: 1; f, yes: 2; m, no: 3; m, yes: 4."
    );
    let flow = block(
        &["step", "entered", "excluded", "kept"],
        vec![
            vec![text("adults"), Value::Count(920), Value::Count(20), Value::Count(900)],
            vec![text("ill"), Value::Count(900), Value::Count(600), Value::Count(300)],
        ],
    );
    assert_eq!(picture("attrition", None, &flow).description(), "A bar for each: adults: 900; ill: 300.");
}

#[test]
fn a_model_with_ratios_is_a_forest_about_one_without_its_intercept() {
    let columns =
        ["term", "estimate", "standard error", "statistic", "p", "from", "to", "odds ratio", "ratio from", "ratio to"];
    let row = |term: &str, b: f64| {
        let mut row = vec![text(term)];
        row.extend(
            [b, 0.1, b / 0.1, 0.01, b - 0.2, b + 0.2, b.exp(), (b - 0.2).exp(), (b + 0.2).exp()].map(Value::Number),
        );
        row
    };
    let model = block(&columns, vec![row("(intercept)", -3.0), row("age", 0.0), row("sex[m]", 1.24)]);
    let Shape::Ranges(ranges) = picture("model", None, &model).shape else { panic!("no ranges") };
    assert_eq!(
        (ranges.axis.as_str(), ranges.log, ranges.reference, ranges.rows.len()),
        ("odds ratio", true, Some(1.0), 2)
    );
    assert_eq!(ranges.rows[1].said(true), "3.46 (2.83 to 4.22)");
    let linear = block(&columns[..7], vec![row("age", 0.5)[..7].to_vec()]);
    let Shape::Ranges(ranges) = picture("model", None, &linear).shape else { panic!("no ranges") };
    assert_eq!((ranges.log, ranges.reference, ranges.rows[0].ends), (false, Some(0.0), Some((0.3, 0.7))));
}

#[test]
fn sites_of_a_model_in_two_stages_and_contrasts_are_forests_and_other_further_blocks_have_no_picture() {
    let columns =
        ["term", "site", "estimate", "standard error", "from", "to", "odds ratio", "ratio from", "ratio to", "weight"];
    let row = |term: &str, site: &str, b: f64| {
        let numbers = [b, 0.1, b - 0.2, b + 0.2, b.exp(), (b - 0.2).exp(), (b + 0.2).exp(), 0.5].map(Value::Number);
        [text(term), text(site)].into_iter().chain(numbers).collect::<Vec<Value>>()
    };
    let rows = vec![row("(intercept)", "north", -3.0), row("age", "north", 0.0), row("age", "all sites", 0.1)];
    let forest = block(&columns, rows);
    let Shape::Ranges(ranges) = picture("model", Some("forest"), &forest).shape else { panic!("no ranges") };
    let labels: Vec<&str> = ranges.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!((labels, ranges.reference), (vec!["age, north", "age, all sites"], Some(1.0)));
    assert_eq!(ranges.rows[0].said(true), "1.00 (0.819 to 1.22)");
    let contrasts = block(&columns[2..9], forest.rows.iter().map(|row| row[2..9].to_vec()).collect());
    let mut named = Block { columns: [vec!["contrast".to_owned()], contrasts.columns].concat(), ..contrasts };
    named.rows.iter_mut().for_each(|row| row.insert(0, text("ten years")));
    let Shape::Ranges(ranges) = picture("model", Some("contrasts"), &named).shape else { panic!("no ranges") };
    assert_eq!((ranges.rows[0].label.as_str(), ranges.reference), ("ten years", Some(1.0)));
    let covariance = block(&["term", "age"], vec![vec![text("age"), Value::Number(0.2)]]);
    assert_eq!(figures("model", Some("covariance of the estimates"), &covariance), []);
}

#[test]
fn quantiles_are_ranges_and_a_ratio_that_is_not_above_nothing_has_no_place_on_a_logarithmic_axis() {
    let quantile = |at: &str| vec![text(at), Value::Number(54.0), Value::Number(52.0), Value::Number(56.0)];
    let quantiles = block(&["at", "value", "from", "to"], vec![quantile("0.5"), quantile("0.6")]);
    assert_eq!(
        picture("quantiles", None, &quantiles).description(),
        "A point and its interval for each: 0.5: 54.0 (52.0 to 56.0); 0.6: 54.0 (52.0 to 56.0)."
    );
    let ratios = |least| {
        block(
            &["age", "ratio", "from", "to"],
            vec![vec![text("50"), Value::Number(1.2), Value::Number(least), Value::Number(2.0)]],
        )
    };
    let Shape::Ranges(ranges) = picture("standardised", None, &ratios(0.0)).shape else { panic!("no ranges") };
    assert_eq!((ranges.rows[0].value, ranges.rows[0].ends), (Some(1.2), None));
}

#[test]
fn a_mean_is_the_point_of_its_interval_though_its_spread_stands_between() {
    let row = |age: &str, numbers: [f64; 4]| {
        let counts = [Value::Count(40), Value::Count(39)];
        [text(age)].into_iter().chain(counts).chain(numbers.map(Value::Number)).collect::<Vec<_>>()
    };
    let columns = ["age", "count", "valid", "mean(rate)", "sd(rate)", "from", "to"];
    let table =
        block(&columns, vec![row("<50", [149.0, 24.3, 146.0, 152.0]), row(">=50", [134.5, 24.7, 132.0, 137.0])]);
    let figure = picture("compare", None, &table);
    assert!(figure.title().starts_with("mean(rate)"), "{}", figure.title());
    let said = "A point and its interval for each: <50: 149.0 (146.0 to 152.0); >=50: 134.5 (132.0 to 137.0).";
    assert_eq!(figure.description(), said);
}

fn survival() -> Block {
    let row = |sex: &str, from: f64, to: f64, n, s: Option<f64>| {
        let step = text(&format!("[{from},{to})"));
        let mut row = vec![text(sex), step, Value::Number(from), Value::Number(to), Value::Count(n), Value::Count(3)];
        row.push(Value::Count(1));
        row.extend(s.map_or([Value::Null, Value::Null, Value::Null], |s| [s, s - 0.1, s + 0.1].map(Value::Number)));
        row.extend([0.2, 0.9].map(Value::Number));
        row
    };
    let key = |label: &str| Key { label: label.to_owned(), key: Expr::Literal(Literal::Bool(true)) };
    let columns = answer_columns(&Spec::Survival(SurvivalSpec {
        time: key("weeks"),
        event: key("died"),
        competing: vec![],
        by: vec![key("sex")],
        grid: vec![30.0, 60.0, 90.0],
        at: vec![0.5],
        confidence: 0.95,
        band: Band::LogLog,
        least_intervals: None,
    }));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let rows = vec![
        row("f", 0.0, 30.0, 90, Some(0.9)),
        row("f", 30.0, 60.0, 70, None),
        row("f", 60.0, 90.0, 40, Some(0.5)),
        row("m", 0.0, 30.0, 138, Some(0.8)),
        row("m", 30.0, 60.0, 100, Some(0.6)),
        row("m", 60.0, 90.0, 60, Some(0.3)),
    ];
    block(&columns, rows)
}

#[test]
fn survival_is_a_stepped_line_for_each_group_that_stops_where_it_is_not_exact_with_who_is_at_risk() {
    let figure = picture("survival", None, &survival());
    assert_eq!(
        figure.title(),
        "Survival over time, with the number at risk; the band is the confidence interval; where a line stops the share is not exact, and a band is where it may lie"
    );
    assert_eq!(figure.description(), "A stepped line for each group: f: from 1 to 0.5 at 90; m: from 1 to 0.3 at 90.");
    let Shape::Steps(steps) = &figure.shape else { panic!("no steps") };
    assert_eq!(steps.curves[0].points[1].ends, Some((0.2, 0.9)), "what it can be, where it is not exact");
    let svg = drawn(&figure);
    let pieces = |colour: &str| svg.matches(&format!("stroke=\"{colour}\"")).count();
    assert_eq!((pieces("#0072B2"), pieces("#D55E00")), (2, 1), "that of f has a gap");
    for at_risk in ["90", "70", "40", "138", "100", "60"] {
        assert!(svg.contains(&format!("\n{at_risk}\n</text>")), "{at_risk}");
    }
}

#[test]
fn beside_a_curve_stands_what_tells_it_from_the_others() {
    let row = |at: &str, stratum: &str| vec![text(at), text(stratum), Value::Number(90.0), Value::Number(0.5)];
    let of = |rows| picture("cox", Some("survival"), &block(&["at", "stratum", "to", "survival"], rows)).shape;
    let names = |rows: Vec<Vec<Value>>| match of(rows) {
        Shape::Steps(steps) => steps.curves.into_iter().map(|curve| curve.name).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let [young, old] = ["age = 50, sex = f, nodes = 3", "age = 70, sex = f, nodes = 3"];
    assert_eq!(names(vec![row(young, "a"), row(old, "a")]), ["age = 50", "age = 70"]);
    assert_eq!(names(vec![row(young, "a"), row(young, "b")]), ["a", "b"]);
    assert_eq!(names(vec![row(young, "a")]), [format!("“{young}”, a")]);
}

#[test]
fn nothing_is_drawn_of_what_no_picture_tells() {
    let rows = |n: usize| (0..n).map(|i| vec![text(&i.to_string()), Value::Count(1)]).collect();
    assert_eq!(figures("table", None, &block(&["k", "count"], vec![])), []);
    assert_eq!(figures("table", None, &block(&["k", "count"], rows(1))), [], "one bar is compared with nothing");
    assert_eq!(figures("model", Some("fit"), &block(&["quantity", "value"], rows(3))), []);
    assert_eq!(figures("summary", None, &block(&["column", "valid"], rows(3))), []);
    let mut nothing_known = block(&["k", "count"], vec![vec![text("a"), Value::Null], vec![text("b"), Value::Null]]);
    nothing_known.hidden = (0..2).map(|row| hidden(row, 1, Some(Interval(0, Some(1024))))).collect();
    assert_eq!(figures("table", None, &nothing_known), []);
}

#[test]
fn what_one_picture_has_no_room_for_stands_in_several_of_one_axis() {
    let arms = |arm: usize| {
        survival().rows.into_iter().take(1).map(move |mut row| {
            row[0] = text(&arm.to_string());
            row
        })
    };
    let many = Block { rows: (0..7).flat_map(arms).collect(), ..survival() };
    let titles: Vec<String> = figures("survival", None, &many).iter().map(Figure::title).collect();
    assert!(titles[0].ends_with("; groups 1 to 3 of 7") && titles[1].ends_with("; groups 4 to 7 of 7"), "{titles:?}");
    let rows = (0..61).map(|i| vec![text(&i.to_string()), Value::Count(i)]).collect();
    let parts = figures("table", None, &block(&["k", "count"], rows));
    let bars = |figure: &Figure| match &figure.shape {
        Shape::Bars(bars) => (bars.most, bars.panels[0].bars.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(parts.iter().map(bars).collect::<Vec<_>>(), [(60.0, 30), (60.0, 31)]);
}

#[test]
fn a_label_that_no_picture_has_room_for_is_cut_and_no_text_leaves_its_place() {
    let long = format!("</text><script>{}", "x".repeat(80));
    let figure = picture(
        "table",
        None,
        &block(&[&long, "count"], vec![vec![text(&long), Value::Count(3)], vec![text("b"), Value::Count(2)]]),
    );
    let svg = drawn(&figure);
    assert!(svg.contains("&lt;/text&gt;&lt;script&gt;") && svg.contains('…') && !svg.contains("<script"), "{svg}");
}

#[test]
fn components_have_bars_of_their_shares_and_points_for_what_they_are_made_of() {
    let share = |name: &str, variance, share, cumulative| {
        vec![text(name), Value::Number(variance), Value::Number(share), Value::Number(cumulative)]
    };
    let rows = vec![share("PC1", 1.6, 0.8, 0.8), share("PC2", 0.4, 0.2, 1.0)];
    let scree = picture("pca", None, &block(&["component", "variance", "share", "cumulative"], rows));
    assert_eq!(scree.description(), "A bar for each: PC1: 0.8; PC2: 0.2.");
    let loading = |component: &str, column: &str, x| vec![text(component), text(column), Value::Number(x)];
    let rows = vec![loading("PC1", "age", 0.8), loading("PC1", "chol", -0.6)];
    let made_of = picture("pca", Some("loadings"), &block(&["component", "column", "loading"], rows));
    assert_eq!(made_of.title(), "loading");
    assert_eq!(made_of.description(), "A point for each: PC1, age: 0.800; PC1, chol: −0.600.");
    assert!(drawn(&made_of).contains("PC1, chol"));
}

#[test]
fn clusters_have_bars_of_their_shares_and_points_for_how_they_differ() {
    let row = |name: &str, n, share| vec![text(name), Value::Count(n), Value::Number(share), Value::Number(44.9)];
    let rows = vec![row("1", 75, 0.75), row("2", 25, 0.25)];
    let shares = picture("kmeans", None, &block(&["cluster", "patients", "share", "age"], rows));
    assert_eq!(shares.description(), "A bar for each: 1: 0.75; 2: 0.25.");
    let rows = vec![vec![text("1"), text("age"), Value::Number(-0.4)], vec![text("2"), text("age"), Value::Null]];
    let mut profiles = block(&["cluster", "column", "difference"], rows);
    profiles.hidden = vec![hidden(1, 2, None)];
    let figure = picture("kmeans", Some("profiles"), &profiles);
    assert_eq!(figure.description(), "A point for each: 1, age: −0.400; 2, age: –.");
}

fn measure(names: &[&str], of: [f64; 3]) -> Vec<Value> {
    names.iter().map(|name| text(name)).chain(of.map(Value::Number)).collect()
}

#[test]
fn measures_of_one_block_have_a_picture_for_each_scale() {
    let columns = ["group", "measure", "value", "from", "to"];
    let mut rows = vec![
        measure(&["m", "risk_difference"], [0.2, 0.1, 0.3]),
        measure(&["m", "risk_ratio"], [2.0, 1.5, 2.6]),
        measure(&["m", "odds_ratio"], [2.7, 1.8, 4.0]),
        vec![text("m"), text("standardised_difference"), Value::Number(0.4), Value::Null, Value::Null],
    ];
    let said = |rows: &[Vec<Value>], title| -> Vec<(String, String)> {
        let figures = figures("compare", Some(title), &block(&columns, rows.to_vec()));
        figures.iter().map(|figure| (figure.title(), figure.description())).collect()
    };
    let of_two = said(&rows, "against f");
    let titles: Vec<&str> = of_two.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles, ["risk_difference with interval", "ratio with interval, on a logarithmic axis"]);
    assert_eq!(of_two[0].1, "A point and its interval for each: m: 0.200 (0.100 to 0.300).");
    let ratios =
        "A point and its interval for each: m, risk_ratio: 2.00 (1.50 to 2.60); m, odds_ratio: 2.70 (1.80 to 4.00).";
    assert_eq!(of_two[1].1, ratios);
    // Points are held against each other where there are two.
    rows.push(vec![text("d"), text("standardised_difference"), Value::Number(-0.1), Value::Null, Value::Null]);
    assert_eq!(said(&rows, "against f")[2].1, "A point for each: m: 0.400; d: −0.100.");
    let within = block(&columns[1..], vec![measure(&["mantel_haenszel_odds_ratio"], [2.5, 1.7, 3.6])]);
    assert!(
        picture("compare", Some("within sites"), &within).description().contains("mantel_haenszel_odds_ratio: 2.50")
    );
    assert_eq!(said(&[measure(&["m", "risk_ratio"], [0.0, 0.0, 0.0])], "against f"), [], "no place on its axis");
}

#[test]
fn the_accuracy_of_a_test_is_shares_and_ratios() {
    let shares = ["sensitivity", "specificity"].map(|name| measure(&[name], [0.8, 0.7, 0.9]));
    let ratios = ["lr_positive", "lr_negative", "diagnostic_odds_ratio"].map(|name| measure(&[name], [3.0, 2.0, 4.0]));
    let rows = shares.into_iter().chain(ratios).collect();
    let figures = figures("accuracy", Some("accuracy"), &block(&["measure", "value", "from", "to"], rows));
    let ranges = figures.iter().map(|figure| match &figure.shape {
        Shape::Ranges(ranges) => (ranges.axis.as_str(), ranges.reference, ranges.rows.len()),
        other => panic!("{other:?}"),
    });
    assert_eq!(ranges.collect::<Vec<_>>(), [("share", None, 2), ("ratio", Some(1.0), 3)]);
}

#[test]
fn how_far_groups_of_a_table_one_are_apart_is_a_point_for_each_column_and_level() {
    let row = |column: &str, level: &str, apart| vec![text(column), text(level), Value::Count(40), Value::Null, apart];
    let rows = vec![
        row("patients", "", Value::Null),
        row("age", "", Value::Number(0.12)),
        row("sex", "f", Value::Number(-0.3)),
        row("sex", "m", Value::Number(0.3)),
    ];
    let one = block(&["column", "level", "no: n", "p", "standardised_difference"], rows);
    let figure = picture("table_one", None, &one);
    assert_eq!(figure.title(), "standardised_difference");
    assert_eq!(figure.description(), "A point for each: age: 0.120; sex, f: −0.300; sex, m: 0.300.");
}

#[test]
fn an_elastic_net_is_lines_along_its_penalties_and_losses_with_a_standard_error() {
    let row = |lambda, left, age, sex| {
        vec![
            Value::Number(lambda),
            Value::Count(left),
            Value::Number(0.1),
            Value::Number(-2.0),
            Value::Number(age),
            Value::Number(sex),
        ]
    };
    let columns = ["lambda", "columns left", "deviance explained", "(intercept)", "age", "sex[m]"];
    let path = block(&columns, vec![row(0.5, 0, 0.0, 0.0), row(0.1, 1, 0.02, 0.0), row(0.02, 2, 0.04, 0.3)]);
    let figure = picture("elastic_net", Some("path"), &path);
    assert_eq!(figure.title(), "coefficient along lambda");
    let said = "A line for each group over 3 steps of lambda from 0.5 to 0.02: age: highest 0.04 in 0.02, lowest 0 in 0.5; \
                sex[m]: highest 0.3 in 0.02, lowest 0 in 0.5.";
    assert_eq!(figure.description(), said);
    let loss = |lambda, mean, chosen| vec![Value::Number(lambda), Value::Number(mean), Value::Number(0.1), chosen];
    let rows = vec![loss(0.5, 1.3, Value::Null), loss(0.1, 1.2, text("min"))];
    let losses =
        picture("elastic_net", Some("losses"), &block(&["lambda", "mean deviance", "standard error", "chosen"], rows));
    let said =
        "A point and its interval for each: lambda 0.5: 1.30 (1.20 to 1.40); lambda 0.1 (min): 1.20 (1.10 to 1.30).";
    assert_eq!(losses.description(), said);
}

/// An epidemic by week and sex, of which one week is hidden.
fn epidemic(weeks: usize) -> Block {
    let row = |week: usize, sex: &str, n: u64| {
        let name = format!("{}-W{:02}", 2020 + week / 52, week % 52 + 1);
        vec![text(&name), text(sex), Value::Count(7), Value::Number(n as f64), Value::Number(0.5)]
    };
    let rows = (0..weeks).flat_map(|week| [row(week, "f", 10 + week as u64), row(week, "m", 300 - week as u64)]);
    let mut block = block(&["week(day)", "sex", "rows", "sum(admitted)", "sd(age)"], rows.collect());
    block.rows[2][3] = Value::Null;
    block.hidden = vec![hidden(2, 3, Some(Interval(5, Some(20))))];
    block
}

#[test]
fn a_table_by_weeks_is_a_line_along_time_for_each_number_that_was_asked_sums_first() {
    let figures = figures("table", None, &epidemic(158));
    let axes: Vec<String> = figures.iter().map(Figure::title).collect();
    assert_eq!(
        axes,
        [
            "sum(admitted) along week(day); where a number is hidden, the pale bar is where it may lie",
            "rows along week(day)"
        ]
    );
    assert_eq!(
        figures[0].description(),
        "A line for each group over 158 steps of week(day) from 2020-W01 to 2023-W02: f: highest 167 in 2023-W02, lowest 10 in 2020-W01, 1 not shown; \
         m: highest 300 in 2020-W01, lowest 143 in 2023-W02."
    );
    let svg = drawn(&figures[0]);
    // The women's first week is alone before the gap.
    assert_eq!((svg.matches("<circle").count(), svg.matches("<polygon").count()), (1, 1), "{svg}");
}

#[test]
fn periods_stand_in_the_order_of_time_and_who_has_no_date_is_left_out() {
    let row = |label: &str, n| vec![text(label), Value::Count(n)];
    let labels = [">2021", "2020-03", "(missing)", "<2020-01", "2020-02", "2021"];
    let table = block(&["when", "count"], labels.iter().map(|label| row(label, 20)).collect());
    let named = labels.map(|label| label.replace("(missing)", bocage_protocol::plan::MISSING));
    let table = Block { rows: named.iter().map(|label| row(label, 20)).collect(), ..table };
    let Shape::Along(along) = picture("table", None, &table).shape else { panic!("no line") };
    assert_eq!(along.periods, ["<2020-01", "2020-02", "2020-03", "2021", ">2021"]);
    let codes = block(&["code", "count"], vec![row("4019", 20), row("2724", 30)]);
    assert!(matches!(picture("table", None, &codes).shape, Shape::Bars(_)), "four digits alone are no year");
}

#[test]
fn a_table_has_a_picture_of_each_number_and_one_below_nothing_is_a_point_about_0_and_no_bar() {
    let row = |sex: &str, n, mean, change| vec![text(sex), Value::Count(n), Value::Number(mean), Value::Number(change)];
    let rows = vec![row("f", 97, 51.5, -2.0), row("m", 206, 53.8, 1.0)];
    let table = block(&["sex", "count", "mean(age)", "mean(change)"], rows);
    let figures = figures("table", None, &table);
    assert_eq!(
        figures.iter().map(Figure::title).collect::<Vec<_>>(),
        ["count by sex", "mean(age) by sex", "mean(change)"]
    );
}

#[test]
fn of_more_numbers_than_have_a_picture_the_others_are_named() {
    let row = |sex: &str, x: f64| [text(sex), Value::Count(97)].into_iter().chain([x; 6].map(Value::Number)).collect();
    let columns = ["sex", "count", "mean(a)", "sd(a)", "mean(b)", "sd(b)", "mean(c)", "mean(d)"];
    let drawn = pictures("table", None, &block(&columns, vec![row("f", 1.0), row("m", 2.0)]));
    let titles: Vec<String> = drawn.figures.iter().map(Figure::title).collect();
    assert_eq!(titles, ["count by sex", "mean(a) by sex", "mean(b) by sex", "mean(c) by sex"]);
    assert_eq!(drawn.without, ["mean(d)"], "how far numbers are spread never has one");
}
