//! Features without names that read each other: what is said of a chain is no longer for each of them than of one alone.

use super::{HEAD, bound, find, plans, with};
use crate::limits;
use crate::plan::{Contracts, Explained};

/// As many features as a study may have, each of which reads the one before twice; what it keeps.
fn chain(keeps: &str) -> String {
    let link = |n: usize| match n {
        1 => "f1 = \"first(condition.date)\"\n".to_owned(),
        n => format!("f{n} = \"first(condition.date, from = f{0}, until = f{0} + days(2))\"\n", n - 1),
    };
    let links: String = (1..=limits::FEATURES).map(link).collect();
    format!("[features]\n{links}[cohort]\nfrom = \"patient\"\ninclude = [\"{keeps}\"]\n")
}

fn explained(more: &str) -> Explained {
    let study = bound(&with(more), &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let plan = plans(&study).remove(0);
    plan.explain(Contracts::of(find(&study.dataset).unwrap(), plan.related(), find), None)
}

#[test]
fn a_chain_of_features_is_told_in_texts_of_bounded_length() {
    let explained = explained(&chain("f64 is not null"));
    assert_eq!(explained.makes.len(), limits::FEATURES);
    let keeps = explained.keeps.as_deref().unwrap();
    assert!(keeps.chars().count() < 250 && keeps.contains('…'), "{keeps}");
    // Its own words, and two others' texts and its own at most.
    assert!(explained.makes.iter().all(|made| made.chars().count() < 3 * 215 + 200), "{:?}", explained.makes);
}

#[test]
fn of_what_is_told_in_short_all_is_told_where_it_is_made_under_the_same_text() {
    let codes = |last: &str| {
        let many: Vec<String> = (10..49).map(|n| format!("'E{n}'")).collect();
        format!("has(condition where code in ({}, '{last}'))", many.join(", "))
    };
    let text = format!("[cohort]\nfrom = \"patient\"\ninclude = [\"{} or not {}\"]\n", codes("I10"), codes("I11"));
    let explained = explained(&text);
    let keeps = explained.keeps.unwrap();
    let (one, other) = keeps.split_once(" or ").unwrap();
    let calls: Vec<&str> = [one, other].map(|part| part.trim_start_matches("not ").trim_matches(['(', ')'])).to_vec();
    assert!(calls.iter().all(|call| call.contains("… ")), "{keeps}");
    assert_ne!(calls[0], calls[1], "they begin alike and are two");
    for call in calls {
        let made = explained.makes.iter().find(|made| made.starts_with(&format!("{call} is whether")));
        assert!(made.is_some_and(|made| made.contains("'E48', 'I1")), "{call}: {:?}", explained.makes);
    }
}

#[test]
fn what_is_wrong_with_a_chain_is_told_in_a_bounded_text() {
    let text = format!("{HEAD}{}[[analysis]]\nname = \"a\"\ntable = {{ show = [\"mean(f64)\"] }}\n", chain("f64 > 3"));
    let found = bound(&text, &[]).unwrap_err();
    assert!(found.contains('…') && found.chars().count() < 2000, "{found}");
}
