//! What stands in the page, and what never may.

use bocage_protocol::error::{ErrorCode, PublicError};
use maud::Render as _;

use super::chance::Chances;
use super::*;
use crate::api::types::{Block, Hidden, HiddenReason, SiteStatus, Value};
use crate::report::folder::tests::{block, materials};

#[test]
fn the_page_says_who_asked_what_under_which_permit_and_who_answered() {
    let page = page(&materials(|result| {
        result.sites[3].status = SiteStatus::Refused;
        result.sites[3].reason =
            Some(PublicError::new(ErrorCode::PolicyRefused, "not this year").hint("ask in spring"));
    }));
    let receipt = bocage_protocol::ids::Digest::of("receipt", &[b"cleveland"]).to_string();
    for wanted in [
        "<h1>Heart disease</h1>",
        "Grace, University",
        "DK-2026/17",
        "scientific research",
        "<dd>3 of 4</dd>",
        "not this year (<code>policy_refused</code>)",
        "ask in spring",
        "hungary has merged two bands",
        "└─ compute",
        &receipt,
        "bocage study verify DIR",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn the_page_says_in_which_tables_hospitals_stand_by_name() {
    assert!(page(&materials(|_| ())).contains("and none of its tables names a hospital"));
    let with = |text: &'static str, heading: &'static str| {
        page(&materials(move |result| {
            result.analyses[0].also[0].block.rows[0][0] = Value::Text(text.into());
            result.analyses[0].also[0].block.columns[1] = heading.into();
        }))
    };
    let wanted = "By hospital it has only what stands in by_sex_and_age: fit, so nobody";
    for (text, heading) in [("cleveland", "value"), ("site[hungary]", "value"), ("age", "cleveland")] {
        assert!(with(text, heading).contains(wanted), "{text}, {heading}");
    }
}

#[test]
fn a_table_shows_what_is_hidden_as_hidden_and_says_why() {
    let wanted = "<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"by_sex\"><table><caption>by_sex</caption>\
        <thead><tr><th scope=\"col\">sex</th><th scope=\"col\">cut(<wbr>age,<wbr> 50)</th><th class=\"n\" scope=\"col\">count</th><th class=\"n\" scope=\"col\">mean(<wbr>chol)</th></tr></thead>\
        <tbody><tr><th scope=\"row\">female</th><th scope=\"row\">&lt; 50</th>\
        <td class=\"n hidden\" title=\"a site shows fewer than k here, or a coarser grouping only\">hidden [70, 90]</td>\
        <td class=\"n hidden\" title=\"too few sites show it\">hidden</td></tr>\
        <tr><th scope=\"row\">male</th><th scope=\"row\">&gt;= 50</th><td class=\"n\">303</td><td class=\"n\">0.333333*</td></tr></tbody></table></div>\
        <p class=\"soft\">1 hidden: a site shows fewer than k here, or a coarser grouping only.</p>\
        <p class=\"soft\">1 hidden: too few sites show it.</p>\
        <p class=\"soft\">* stands for part of the rows only: such a sum is no total.</p>\
        <ul class=\"soft\"><li>male, &gt;= 50: mean(chol) covers 200 of 303 rows</li></ul>";
    assert_eq!(block::table(&block(), "by_sex", Chances::Nowhere).render().into_string(), wanted);
}

#[test]
fn numbers_of_a_table_that_have_no_picture_are_named_below_those_that_have_one() {
    let page = page(&materials(|result| {
        let row = |sex: &str| [Value::Text(sex.into())].into_iter().chain([1, 2, 3, 4, 5].map(Value::Count)).collect();
        let columns = ["sex", "sum(a)", "sum(b)", "sum(c)", "sum(d)", "sum(e)"].map(String::from).to_vec();
        result.analyses[0].block = Block { columns, rows: vec![row("f"), row("m")], ..Block::default() };
    }));
    assert!(page.contains("<p class=\"soft\">Without a picture, in the table only: sum(e).</p>"), "{page}");
}

#[test]
fn no_text_of_a_result_becomes_a_part_of_the_page() {
    let bad = "<script>alert(1)</script>\"'&<img src=x onerror=y>";
    let page = page(&materials(|result| {
        let analysis = &mut result.analyses[0];
        analysis.kind = format!("table{bad}");
        analysis.notes.push(bad.into());
        analysis.block.columns[0] = bad.into();
        analysis.block.rows[0][0] = Value::Text(bad.into());
        analysis.also[0].title = "shares".into();
        analysis.also[0].block.columns[1] = bad.into();
        analysis.also[0].block.rows[0][0] = Value::Text(bad.into());
        let row = analysis.also[0].block.rows[0].clone();
        analysis.also[0].block.rows.push(row);
        let permit = result.study.permit.as_mut().unwrap();
        permit.access_body = bad.into();
        result.study.title = bad.into();
        result.sites[0].reason = Some(PublicError::new(ErrorCode::Internal, bad).hint(bad));
    }));
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.matches("&lt;script&gt;").count() >= 8, "{}", page.matches("&lt;script&gt;").count());
    assert!(page.contains("<svg"), "the labels of a picture are among them");
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    let page = page(&materials(|_| ()));
    let outside = [
        "http:",
        "https:",
        "src=",
        "url(",
        "@import",
        "<link",
        "<iframe",
        "<object",
        "<script",
        "xmlns",
        "javascript:",
        "onload",
    ];
    assert_eq!(outside.into_iter().filter(|outside| page.contains(outside)).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(page.contains("<svg viewBox=\"0 0 720 "));
}

#[test]
fn all_that_a_click_opens_is_on_paper_too() {
    assert!(STYLE.contains("@media print") && STYLE.contains("details::details-content"));
}

#[test]
fn a_table_wider_than_paper_stands_in_parts_that_each_have_the_names_of_its_rows() {
    let terms: Vec<String> = (0..20).map(|at| format!("C(a_long_name_of_a_column)[level {at}]")).collect();
    let row = |term: &String| {
        let name = [Value::Text(term.clone())];
        name.into_iter().chain((0..20).map(|at| Value::Number(f64::from(at) - 0.123_456_7))).collect()
    };
    let columns = ["term".to_owned()].into_iter().chain(terms.iter().cloned()).collect();
    let matrix = Block { columns, rows: terms.iter().map(row).collect(), ..Block::default() };
    let page = block::table(&matrix, "covariance", Chances::Nowhere).render().into_string();
    let parts: Vec<&str> = page.split("<table>").skip(1).collect();
    assert!(parts.len() > 2 && page.contains("covariance, part 1 of "), "{}", parts.len());
    let columns: Vec<usize> = parts.iter().map(|part| part.matches("scope=\"col\"").count() - 1).collect();
    assert_eq!(columns.iter().sum::<usize>(), 20, "each column once");
    assert!(columns.iter().max().unwrap() - columns.iter().min().unwrap() <= 3, "{columns:?}");
    assert!(parts.iter().all(|part| part.matches("scope=\"row\"").count() == 20));
}

#[test]
fn a_chance_is_written_as_one_and_what_a_contract_calls_so_is_not() {
    let of = |kind: &str, title: Option<&str>, columns: &[&str], row: Vec<Value>| {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let block = Block { columns, rows: vec![row], ..Block::default() };
        block::table(&block, "b", Chances::of(kind, title, &block)).render().into_string()
    };
    let number = |x| Value::Number(x);
    let text = |text: &str| Value::Text(text.to_owned());
    let tested = of(
        "model",
        None,
        &["term", "statistic", "p", "from", "to"],
        vec![text("age"), number(40.0), number(1.5e-287), number(-3.0), number(-2.0)],
    );
    assert!(tested.contains(">&lt;0.001<") && tested.contains(">−3<") && !tested.contains("e-287"), "{tested}");
    for (kind, title, columns, row) in [
        ("crosstab", "test of independence", &["statistic", "value"][..], vec![text("p"), number(0.0)]),
        ("survival", "log-rank test", &["statistic", "value"], vec![text("p"), number(0.0)]),
        ("pca", "adequacy", &["measure", "value"], vec![text("p"), number(0.0)]),
        (
            "compare",
            "against a",
            &["group", "mann_whitney", "value", "least", "most"],
            vec![text("b"), text("p"), number(0.0), number(0.5), number(0.5)],
        ),
        (
            "compare",
            "tests",
            &["test", "group", "statistic", "p"],
            vec![text("t"), text("b"), number(4.0), number(0.0)],
        ),
    ] {
        assert!(of(kind, Some(title), columns, row).contains(">&lt;0.001<"), "{kind}");
    }
    let mean = || number(-3.2);
    for (kind, title, columns, row) in [
        ("table", None, &["measure", "mean(score)"][..], vec![text("p"), mean()]),
        ("table", None, &["statistic", "value"], vec![text("p"), mean()]),
        (
            "model",
            Some("covariance of the estimates"),
            &["term", "statistic", "p"],
            vec![text("p"), number(4.0), mean()],
        ),
        ("correlation", Some("matrix"), &["", "to", "p"], vec![text("p"), number(1.0), mean()]),
        ("crosstab", Some("expected counts"), &["a by b", "to", "p"], vec![text("p"), number(1.0), mean()]),
        ("kmeans", Some("profiles"), &["statistic", "p"], vec![text("p"), mean()]),
    ] {
        let page = of(kind, title, columns, row);
        assert!(page.contains(">−3.2<") && !page.contains("&lt;"), "{kind}: {page}");
    }
}

#[test]
fn rows_of_which_nothing_is_published_are_counted_where_there_are_many() {
    let row =
        |at: usize| vec![Value::Text(format!("code {at}")), if at == 0 { Value::Count(12_345) } else { Value::Null }];
    let hide = |row| Hidden { row, column: 1, interval: None, reason: HiddenReason::TooFewSites };
    let of = |count: usize| Block {
        columns: vec!["code".into(), "count".into()],
        rows: (0..=count).map(row).collect(),
        hidden: (1..=count).map(hide).collect(),
        ..Block::default()
    };
    let page = |count| block::table(&of(count), "codes", Chances::Nowhere).render().into_string();
    assert!(
        page(200).contains(
            "Nothing is published of 200 of 201 rows: they are not listed here, but in <code>tables/</code>."
        )
    );
    assert_eq!((page(200).matches("<tr>").count(), page(200).contains("12\u{202f}345")), (2, true));
    assert_eq!(page(5).matches("<tr>").count(), 7, "few are listed");
}
