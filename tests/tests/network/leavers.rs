//! Sites that leave a study midway: what had ended by then counts them and is shown, what goes on does without them, and the answer says who, when and why.

use bocage_tests::lab::{HOSPITALS, Lab, status};
use serde_json::{Value, json};

use super::analyses::{analysis, rows};
use super::{EXE, everyone, study};

/// A table of one round, and clusters of several.
fn asked() -> String {
    study("5m")
        + "[[analysis]]\nname = \"groups\"\nkmeans = { columns = [\"age\", \"thalach\"], clusters = 2, starts = 3 }\n"
}

/// A network in which these hospitals let so little leave that they must refuse a later round.
fn capped(sites: &[&str]) -> Lab {
    let lab = Lab::new(EXE);
    sites.iter().for_each(|site| lab.edit_node(site, "[policy]\n", "[policy]\nmax_cells = 60\n"));
    lab
}

fn shown(lab: &Lab, result: &Value) -> (Option<i32>, String, String) {
    let shown = lab.run(&["study", "show", result["study"]["id"].as_str().expect("an id")]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (shown.status.code(), text(&shown.stdout), text(&shown.stderr))
}

#[test]
fn what_was_answered_before_every_site_left_is_shown_and_what_was_not_is_named() {
    let lab = capped(&HOSPITALS);
    let (_coordinator, _nodes) = everyone(&lab);
    let (code, result, said) = lab.study("leavers", &asked()).end();
    assert_eq!(code, 1, "{said}");
    let left = HOSPITALS.map(|site| status(&result, site)["left_in"].as_u64());
    assert!(left.iter().all(|round| round.is_some_and(|round| round > 0)), "{result:#}");
    let (table, groups) = (analysis(&result, "by_sex"), analysis(&result, "groups"));
    let patients = rows(table).iter().filter_map(|row| row[1].as_u64()).sum::<u64>();
    assert!(patients > 600 && table["absent"].is_null(), "{table:#}");
    assert_eq!(groups["absent"], json!(HOSPITALS), "{groups:#}");
    let (code, text, said) = shown(&lab, &result);
    assert_eq!(code, Some(1));
    assert!(text.contains("mean(chol)") && text.contains("all 4 sites stand behind this"), "{text}");
    assert!(text.contains("none of 4 sites stands behind this"), "{text}");
    let round = left[0].expect("a round");
    assert!(text.contains(&format!("cleveland left in round {round}: ")), "{text}");
    assert!(said.contains("error: `groups`: only 0 of 4 sites answered until it ended, and a cell needs"), "{said}");
    assert!(said.contains("counted in `by_sex` only") && !said.contains("not in this result"), "{said}");
    let list = lab.run(&["study", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("4/4"), "all of them answered");
}

#[test]
fn an_answer_says_which_site_of_the_others_left_before_it_ended() {
    let lab = capped(&HOSPITALS[3..]);
    let (_coordinator, _nodes) = everyone(&lab);
    let leaver = HOSPITALS[3];
    let result = lab.study("leaver", &asked()).published();
    assert_eq!(status(&result, leaver)["status"], "refused");
    assert!(analysis(&result, "by_sex")["absent"].is_null());
    assert_eq!(analysis(&result, "groups")["absent"], json!([leaver]));
    let (code, text, _) = shown(&lab, &result);
    assert_eq!(code, Some(0));
    assert!(text.contains(&format!("3 of 4 sites stand behind this: all but {leaver}\n")), "{text}");
    assert!(text.contains("all 4 sites stand behind this"), "{text}");
}
