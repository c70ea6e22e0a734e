//! What stands in the page, and what never may.

use bocage_protocol::error::{ErrorCode, PublicError};
use maud::Render as _;

use super::*;
use crate::api::types::{SiteStatus, Value};
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
fn a_table_shows_what_is_hidden_as_hidden_and_says_why() {
    let wanted = "<div class=\"scroll\"><table><caption>by_sex</caption>\
        <thead><tr><th scope=\"col\">sex</th><th scope=\"col\">cut(age, 50)</th><th class=\"n\" scope=\"col\">count</th><th class=\"n\" scope=\"col\">mean(chol)</th></tr></thead>\
        <tbody><tr><th scope=\"row\">female</th><th scope=\"row\">&lt; 50</th>\
        <td class=\"n hidden\" title=\"a site shows fewer than k here, or a coarser grouping only\">hidden [70, 90]</td>\
        <td class=\"n hidden\" title=\"too few sites show it\">hidden</td></tr>\
        <tr><th scope=\"row\">male</th><th scope=\"row\">&gt;= 50</th><td class=\"n\">303</td><td class=\"n\">0.333333*</td></tr></tbody></table></div>\
        <p class=\"soft\">1 hidden: a site shows fewer than k here, or a coarser grouping only.</p>\
        <p class=\"soft\">1 hidden: too few sites show it.</p>\
        <p class=\"soft\">* stands for part of the rows only: such a sum is no total.</p>\
        <ul class=\"soft\"><li>male, &gt;= 50: mean(chol) covers 200 of 303 rows</li></ul>";
    assert_eq!(block::table(&block(), "by_sex").render().into_string(), wanted);
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
