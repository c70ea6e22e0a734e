//! Designs and random opt-outs: of whom two answers differ by there is nobody, or k, in each cell of what the design tells apart.

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{TestRng, TestRunner};

use super::models::clinic;
use super::*;

/// Something that is true or false of a patient by their number, as [`clinic`] writes the rows.
type Condition = fn(u64) -> bool;

const MALE: Condition = |i| i % 2 == 1;
const YOUNG: Condition = |i| i % 60 < 20;
const YOUNGEST: Condition = |i| i % 60 < 6;
const LOW: Condition = |i| i * 7 % 100 < 30;

/// Questions, each with two things that its design tells apart.
const QUESTIONS: [(&str, [Condition; 2]); 6] = [
    ("model = { formula = \"chol ~ sex + (age < 50)\" }", [MALE, YOUNG]),
    ("model = { formula = \"chol ~ sex + (age < 36)\" }", [MALE, YOUNGEST]),
    ("model = { formula = \"age ~ sex + (chol < 210)\" }", [MALE, LOW]),
    ("model = { formula = \"(chol < 210) ~ sex\", family = \"binomial\" }", [MALE, LOW]),
    ("cox = { formula = \"surv(age, chol < 210) ~ sex\" }", [MALE, LOW]),
    ("cox = { formula = \"surv(age, chol < 210) ~ sex\", grid = [90] }", [MALE, LOW]),
];

impl Clinic {
    /// Who is left out of a model's answer; none if there is no answer.
    fn model_without(&self, custodian: &Custodian, analysis: &str) -> Option<BTreeSet<u64>> {
        let head = STUDY.split("[[analysis]]").next().unwrap().replace("PURPOSE", "scientific_research");
        let nonce = format!("{:032x}", self.asked.fetch_add(1, Ordering::Relaxed));
        let study = self.site.study_of(&format!("{head}[[analysis]]\nname = \"a\"\n{analysis}\n"));
        let frame = custodian.round(&self.site.request(&Study { nonce, ..study }));
        // Where nobody more may be drawn, no question is answered.
        let Reply::Released(signed) = codec::decode(&frame, limits::FRAME_BYTES).unwrap() else { return None };
        let release = signed.verify(&custodian.release_key.public()).unwrap();
        let Outcome::Model(_) = &release.parts[0].outcome else { return None };
        let (heart, key) = (&custodian.config.datasets["heart"], &custodian.release_key);
        let form = custodian.optouts.form(heart, key).unwrap().unwrap();
        let used = state::load(&custodian.optouts.dir.join("heart.json"), &form.digest()).unwrap();
        let out = used.and_then(|used| used.last.last().map(|last| last.patients.clone())).unwrap_or_default();
        Some((0..PATIENTS).filter(|i| out.contains(&form.of_subject(&format!("p{i}")))).collect())
    }
}

fn nobody_or_k_in_each_cell(moved: &BTreeSet<&u64>, [a, b]: [Condition; 2]) -> bool {
    let mut cells = [0; 4];
    moved.iter().for_each(|i| cells[2 * usize::from(a(**i)) + usize::from(b(**i))] += 1);
    cells.iter().all(|n| *n == 0 || *n >= K)
}

#[test]
fn two_answers_of_a_design_differ_by_nobody_or_k_in_each_cell_of_two_columns() {
    let (differ, refused) = (Cell::new(0u32), Cell::new(0u32));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16 * cells::scale()) };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let all: Vec<u64> = (0..PATIENTS).collect();
    let list = prop_oneof![
        1 => prop::sample::subsequence(all.clone(), 1..4),
        3 => prop::sample::subsequence(all, 30..160),
    ];
    let cases = (prop::sample::select(QUESTIONS.to_vec()), proptest::collection::vec(list, 1..4));
    let run = TestRunner::new_with_rng(config, rng).run(&cases, |((question, told_apart), lists)| {
        let clinic = clinic();
        let custodian = clinic.custodian();
        let mut answers = vec![clinic.model_without(&custodian, question).expect("nobody has opted out")];
        for list in lists {
            let lines: Vec<String> = list.iter().map(|i| format!("p{i},,")).collect();
            clinic.list(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            match clinic.model_without(&custodian, question) {
                Some(out) => answers.push(out),
                None => refused.set(refused.get() + 1),
            }
        }
        for (one, other) in answers.iter().flat_map(|one| answers.iter().map(move |other| (one, other))) {
            let moved: BTreeSet<&u64> = one.difference(other).collect();
            differ.set(differ.get() + u32::from(!moved.is_empty()));
            prop_assert!(nobody_or_k_in_each_cell(&moved, told_apart), "{}: {:?}", question, moved);
        }
        Ok(())
    });
    run.unwrap();
    assert!(differ.get() >= 4 && refused.get() >= 4, "{} answers differ, {} are refused", differ.get(), refused.get());
}
