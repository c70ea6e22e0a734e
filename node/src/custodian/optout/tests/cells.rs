//! Cell by cell: what an answer may differ by from every earlier one about the same cells, whoever asked, in whatever words, over restarts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// By their labels, how many patients the cells of an answer show.
type Cells = BTreeMap<Vec<String>, Option<u64>>;

/// Ages 30 … 89 in twelve bands of five years, by sex: some 167 patients each of 4,000.
fn by(keys: &str, show: &str, filter: &str) -> String {
    let breaks: Vec<String> = (35..90).step_by(5).map(|age| age.to_string()).collect();
    let keys = keys.replace("AGE", &format!("\"cut(age, {})\"", breaks.join(", ")));
    format!(
        "title = \"Ages\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nmin_sites = 1\n{filter}\n[[analysis]]\nname = \"a\"\n\
         table = {{ by = [{keys}], show = [{show}], roll_up = false }}\n"
    )
}

impl Clinic {
    /// What leaves of a table, by the labels of its cells in alphabetic order, and whether cells are held back. Nobody lacks a value.
    fn cells(&self, custodian: &Custodian, text: &str) -> (Cells, bool) {
        let nonce = self.asked.fetch_add(1, Ordering::Relaxed);
        let study = Study { nonce: format!("{nonce:032x}"), ..self.site.study_of(text) };
        let release = released(custodian, &custodian.round(&self.site.request(&study)));
        let plan = bocage_protocol::analysis::plan_for(
            &study.analyses[0].spec,
            study.query(),
            0,
            &bocage_protocol::analysis::RoundState::First,
        );
        let contract = &custodian.config.datasets["heart"].contract;
        let plan = bocage_protocol::plan::ValidPlan::check(plan.unwrap(), contract).unwrap();
        let Outcome::Table(table) = &release.parts[0].outcome else { panic!("no table") };
        let cell = |(at, cell): (usize, &CellRelease)| {
            let mut labels = plan.layout().labels(0, at);
            labels.sort();
            let count = match cell {
                CellRelease::Shown { count, .. } => Some(count.subjects),
                CellRelease::FewerThanK => None,
            };
            (labels, count)
        };
        let has_values =
            |(labels, _): &(Vec<String>, _)| labels.iter().all(|label| label != bocage_protocol::plan::MISSING);
        (table.cells.iter().enumerate().map(cell).filter(has_values).collect(), table.held_back)
    }
}

const AGES: (&str, &str) = ("AGE, \"sex\"", "\"count\"");

fn differences(a: &Cells, b: &Cells) -> Vec<u64> {
    a.iter().filter_map(|(cell, n)| Some((*n)?.abs_diff((*b.get(cell)?)?))).collect()
}

#[test]
fn a_cell_that_loses_fewer_than_k_is_held_back_until_k_have_left_it_over_restarts_and_in_other_words() {
    let clinic = Clinic::of(4000, LIST);
    let custodian = clinic.custodian();
    let first = by(AGES.0, AGES.1, "");
    let before = clinic.cells(&custodian, &first).0;
    clinic.list(&["p7,,"]);
    let (after, held_back) = clinic.cells(&custodian, &first);
    assert!(held_back && before.values().all(Option::is_some));
    let hidden = after.values().filter(|n| n.is_none()).count();
    assert!((1..=12).contains(&hidden), "a group of twelve is in {hidden} of {} cells", after.len());
    assert!(differences(&before, &after).iter().all(|n| *n == 0));
    // Other keys' order, other measures, another requester's study, after a restart.
    drop(custodian);
    let custodian = clinic.custodian();
    for (keys, show) in [("\"sex\", AGE", "\"count\""), (AGES.0, "\"mean(chol)\", \"count\"")] {
        let (again, held_back) = clinic.cells(&custodian, &by(keys, show, ""));
        assert!(held_back);
        assert_eq!(again.values().filter(|n| n.is_none()).count(), hidden);
        assert!(differences(&before, &again).iter().all(|n| *n == 0));
    }
    // Two dozen or more of each cell leave: where nobody of the first group was, that may be seen.
    let many: Vec<String> = (0..720).map(|i| format!("p{i},,")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    clinic.list(&many);
    let (later, _) = clinic.cells(&custodian, &first);
    let apart = differences(&before, &later);
    assert!(apart.iter().all(|n| *n == 0 || *n >= K) && apart.iter().any(|n| *n >= K), "{apart:?}");
    // Who comes back is compared as well.
    clinic.list(&[]);
    assert_eq!(clinic.cells(&custodian, &first), (before, false));
}

#[test]
fn a_table_that_was_not_asked_before_is_not_touched() {
    let clinic = Clinic::of(4000, LIST);
    let custodian = clinic.custodian();
    clinic.cells(&custodian, &by(AGES.0, AGES.1, ""));
    clinic.list(&["p7,,"]);
    for (keys, filter) in [("AGE", ""), (AGES.0, "where = \"chol > 181\"")] {
        let (cells, held_back) = clinic.cells(&custodian, &by(keys, AGES.1, filter));
        assert!(!held_back && cells.values().all(Option::is_some));
    }
}

#[test]
fn a_study_whose_earlier_sets_nobody_knows_any_more_is_not_answered() {
    let clinic = Clinic::of(4000, LIST);
    let custodian = clinic.custodian();
    let first = by(AGES.0, AGES.1, "");
    clinic.cells(&custodian, &first);
    clinic.list(&["p7,,"]);
    clinic.cells(&custodian, &first);
    clinic.list(&["p7,,", "p8,,"]);
    clinic.ask(&custodian);
    let path = custodian.optouts.dir.join("heart.json");
    let form = custodian.optouts.form(&custodian.config.datasets["heart"], &custodian.release_key).unwrap().unwrap();
    let mut kept = state::load(&path, &form.digest()).unwrap().unwrap();
    assert_eq!(kept.out.len(), 2);
    kept.out.clear();
    state::store(&path, &form.digest(), kept).unwrap();
    let study = Study { nonce: format!("{:032x}", 999), ..clinic.site.study_of(&first) };
    let error = refusal(&custodian.round(&clinic.site.request(&study)));
    assert_eq!(error.code, ErrorCode::OptoutsUnavailable);
}

/// A day: patients on the list, and which table is asked.
fn days() -> impl Strategy<Value = Vec<(std::collections::BTreeSet<u32>, usize)>> {
    let some = prop_oneof![
        3 => prop::collection::btree_set(0u32..600, 0..4),
        1 => prop::collection::btree_set((0u32..10).prop_map(|i| i * 60), 0..10),
        1 => prop::collection::btree_set(0u32..600, 11..60),
    ];
    prop::collection::vec((some, 0usize..3), 2..7)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16 * scale()) })]

    #[test]
    fn whatever_opts_out_no_two_answers_differ_in_a_cell_by_one_to_k_less_one(days in days()) {
        let clinic = Clinic::of(600, LIST);
        let custodian = clinic.custodian();
        let words = [by("AGE", "\"count\"", ""), by("AGE", "\"mean(chol)\", \"count\"", ""), by("AGE", "\"count\"", "where = \"age <= 120\"")];
        let mut seen: Vec<(usize, Cells)> = Vec::new();
        for (out, at) in days {
            let lines: Vec<String> = out.iter().map(|i| format!("p{i},,")).collect();
            clinic.list(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            let study = Study { nonce: format!("{:032x}", 1_000_000 + seen.len()), ..clinic.site.study_of(&words[at]) };
            // Where the site waits nothing is learnt.
            if matches!(codec::decode(&custodian.round(&clinic.site.request(&study)), limits::FRAME_BYTES).unwrap(), Reply::Released(_)) {
                seen.push((at, clinic.cells(&custodian, &words[at]).0));
            }
        }
        for (i, (a, first)) in seen.iter().enumerate() {
            for (b, second) in &seen[i + 1..] {
                // The third table is another one, by another filter.
                if (*a == 2) == (*b == 2) {
                    let apart = differences(first, second);
                    prop_assert!(apart.iter().all(|n| *n == 0 || *n >= K), "{apart:?}");
                }
            }
        }
    }
}

pub(super) fn scale() -> u32 {
    std::env::var("BOCAGE_TEST_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}
