//! What is named of a design that tells too few patients apart.

use std::collections::BTreeMap;

use bocage_protocol::PublicError;
use bocage_protocol::contract::parse;
use bocage_protocol::plan::{Explains, Factor, Family, Measure, Model, Plan, Position, Response, Statistic, ValidPlan};
use proptest::prelude::*;

use super::super::model::{NEARER, exact};
use super::super::{Spread, Weights, Withheld};
use super::*;
use crate::custodian::controls::Controls;

const K: u32 = 3;
/// Columns of 0 and 1, and numbers.
const SIDES: usize = 5;
const NUMBERS: usize = 2;

/// A patient: what is 0 or 1, and the numbers.
type Patient = ([bool; SIDES], [i64; NUMBERS]);

fn rules() -> Rules {
    Rules { threshold: K, joint: K, controls: Controls::default() }
}

/// `y` explained by `a0`, `a1`, … of 0 and 1, and `x0`, `x1` of 0 to 9.
fn plan() -> ValidPlan {
    let declared =
        |name: String, hi: u32| format!("[[column]]\nname = \"{name}\"\ntype = \"int\"\nrange = [0, {hi}]\n");
    let mut text = "id = \"demo@1\"\nsubject = \"row\"\n".to_owned() + &declared("y".to_owned(), 99);
    let names: Vec<(String, u32)> =
        (0..SIDES).map(|at| (format!("a{at}"), 1)).chain((0..NUMBERS).map(|at| (format!("x{at}"), 9))).collect();
    text.extend(names.iter().map(|(name, hi)| declared(name.clone(), *hi)));
    let contract = parse(&text, "demo.toml").unwrap();
    let column = |name: &str| Measure::Column(name.parse().unwrap());
    let response = Response { of: column("y"), family: Family::Gaussian, offset: None, weight: None };
    let at = Position { beta: vec![0.0; names.len()], sites: BTreeMap::new(), theta: None, robust: false };
    let model = Model {
        explains: Explains::Mean(response),
        columns: names.iter().map(|(name, _)| vec![Factor::Number(column(name))]).collect(),
        by_site: false,
        at,
        folds: None,
    };
    ValidPlan::check(Plan { query: contract.rows(None), statistic: Statistic::Model(model) }, &contract).unwrap()
}

fn input(layout: &ModelLayout, name: &str) -> usize {
    (0..layout.inputs.measures.len()).find(|input| layout.input_name(*input) == name).unwrap()
}

/// What the engine counts of a design of these columns.
fn counted(layout: &ModelLayout, patients: &[Patient], sides: &[usize], numbers: &[usize]) -> CountedModel {
    let mut both = Vec::new();
    for (i, one) in sides.iter().enumerate() {
        let with = |other: &usize| patients.iter().filter(|(flags, _)| flags[*one] && flags[*other]).count() as u64;
        both.extend(sides[..i].iter().map(with));
    }
    let spread = |number: usize, of: &dyn Fn(&Patient) -> bool| {
        let mut spread = Spread::new(K);
        patients.iter().filter(|p| of(p)).for_each(|(_, numbers)| spread.add(numbers[number], 1, K));
        spread
    };
    let spreads = |number: &usize| {
        let on_sides = sides.iter().flat_map(|side| [false, true].map(|is| spread(*number, &|p| p.0[*side] == is)));
        let all = [spread(*number, &|_| true)].into_iter().chain(on_sides).collect();
        (input(layout, &format!("x{number}")), all)
    };
    CountedModel {
        n: patients.len() as u64,
        sides: sides.iter().map(|at| Side::Two { input: input(layout, &format!("a{at}")), upper: 1.0 }).collect(),
        ones: sides.iter().map(|at| patients.iter().filter(|(flags, _)| flags[*at]).count() as u64).collect(),
        both,
        spreads: numbers.iter().map(spreads).collect(),
        predictions: Vec::new(),
        sums: Vec::new(),
        weights: Weights::default(),
        risk: None,
        described: None,
        folds: Vec::new(),
    }
}

/// All that is told of designs of these columns, each of the same of one of these groups of patients.
fn told(groups: &[&[Patient]], sides: &[usize], numbers: &[usize]) -> BTreeSet<String> {
    let plan = plan();
    let (_, layout) = plan.model().unwrap();
    let of: Vec<CountedModel> = groups.iter().map(|group| counted(layout, group, sides, numbers)).collect();
    let told = Told { layout, sides: &of[0].sides };
    list(&of, layout, rules()).iter().map(|one| told.words(*one)).collect()
}

fn refused(patients: &[Patient], sides: &[usize], numbers: &[usize]) -> PublicError {
    let plan = plan();
    let (_, layout) = plan.model().unwrap();
    check(&[counted(layout, patients, sides, numbers)], layout, rules()).unwrap_err().into()
}

/// Patients whose flags are these in turn, and whose numbers are all different.
fn patients(n: usize, flags: impl Fn(usize) -> [bool; SIDES]) -> Vec<Patient> {
    (0..n).map(|at| (flags(at), [at as i64, 2 * at as i64])).collect()
}

#[test]
fn all_that_has_too_few_patients_is_named_at_once() {
    // The first is rare, of the second and the third nobody has both, and of the second number there are two values.
    let mut all = patients(60, |at| [at == 0, at % 4 == 1, at % 4 == 2, at % 2 == 0, false]);
    all.iter_mut().for_each(|(_, numbers)| numbers[1] %= 4);
    let error = refused(&all, &[0, 1, 2], &[0, 1]);
    assert_eq!(error.message, "`a0` varies too little; `a1` and `a2` vary too little together; `x1` varies too little");
    assert_eq!(
        error.hint.unwrap(),
        "if nobody can have two of `a1`, `a2`, they are one category: cut(a1 + 2 * a2, 1, 2); if everybody has one of them, leave `a2` out; \
         a number of few values is a category: cut(x1, 1, 2, 3, 4, 5, 6, 7, 8, 9); or leave the term out, or ask other sites"
    );
}

#[test]
fn columns_that_exclude_each_other_two_by_two_are_one_category_however_many_are_named() {
    let all = patients(120, |at| std::array::from_fn(|flag| at % 6 == flag));
    let error = refused(&all, &[0, 1, 2, 3, 4], &[]);
    assert!(error.message.ends_with("together; and 5 more such"), "{}", error.message);
    assert_eq!(error.message.matches("vary too little").count(), NAMED);
    let hint = error.hint.unwrap();
    assert!(hint.contains("cut(a0 + 2 * a1 + 3 * a2 + 4 * a3 + 5 * a4, 1, 2, 3, 4, 5);"), "{hint}");
}

#[test]
fn where_one_patient_is_far_from_the_others_no_grouping_of_levels_is_advised() {
    let plan = plan();
    let (_, layout) = plan.model().unwrap();
    let all = patients(60, |at| [at % 2 == 0, at < 30, false, false, false]);
    type Moves = fn(&mut Weights);
    let refused = |far: Moves| {
        let mut counted = counted(layout, &all, &[0, 1], &[0, 1]);
        counted.sums = vec![1.0; layout.block_values()];
        far(&mut counted.weights);
        let Err(Withheld::Model(few)) = exact(counted, &[], layout, rules()) else { panic!("it leaves") };
        PublicError::from(few)
    };
    let cases: [(Moves, &str); 3] = [
        (|weights| weights.leverage(0.9), "a patient is too far from the others"),
        (|weights| weights.add(1.0, 1.0), "a patient weighs too much"),
        (|weights| weights.add_fit(&[0.0], &[1.0]), "a patient is too far from what the model says"),
    ];
    for (far, why) in cases {
        let error = refused(far);
        assert!(error.message.starts_with(why), "{error}");
        assert_eq!(error.hint.unwrap(), format!("{NEARER}; or {ELSE}"));
    }
}

#[test]
fn of_two_of_which_one_is_named_by_itself_nothing_is_said() {
    let all = patients(60, |at| [at < 2, at % 2 == 0, false, false, false]);
    assert_eq!(told(&[&all], &[0, 1], &[0]), BTreeSet::from(["`a0` varies too little".to_owned()]));
}

#[test]
fn what_is_named_of_folds_is_so_of_any_of_them() {
    let first = patients(60, |at| [at < 2, at % 2 == 0, at % 3 == 0, false, false]);
    let second = patients(60, |at| [at % 3 == 0, at < 30, at >= 30, false, false]);
    let named = ["`a0` varies too little", "`a1` and `a2` vary too little together"].map(str::to_owned);
    assert_eq!(told(&[&first, &second], &[0, 1, 2], &[]), BTreeSet::from(named));
}

/// Whether these patients may have come or gone.
fn may_move(patients: &[Patient], sides: &[usize], numbers: &[usize]) -> bool {
    let plan = plan();
    let (_, layout) = plan.model().unwrap();
    are_empty_or_enough(&counted(layout, patients, sides, numbers), layout, rules())
}

#[test]
fn of_those_who_have_moved_nobody_or_k_are_on_each_side_and_in_each_cell_of_two_with_numbers_that_differ() {
    let all = patients(48, |at| [false, at % 2 == 0, at < 24, at == 7, at % 16 == 1]);
    assert!(may_move(&[], &[0, 1, 2, 3, 4], &[0, 1]));
    assert!(may_move(&all, &[0, 1], &[0, 1]), "nobody has the first");
    assert!(may_move(&all, &[0, 1, 2], &[]));
    assert!(!may_move(&all, &[0, 1, 2, 3], &[]), "one has the fourth");
    assert!(may_move(&all, &[1, 4], &[]), "three have the fifth, and none of them the second");
    assert!(!may_move(&all, &[2, 4], &[]), "two of these have the third");
    assert!(!may_move(&all, &[4], &[0]), "three numbers are too few");
    let visit = |at: usize| ([false; SIDES], [at as i64, i64::from(at == 0)]);
    assert!(!may_move(&(0..48).map(visit).collect::<Vec<_>>(), &[], &[0, 1]), "one has another number than all others");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A list spares questions and tells no more than they would.
    #[test]
    fn what_is_named_is_what_models_of_two_columns_would_name(
        groups in proptest::collection::vec(
            proptest::collection::vec(
                (proptest::array::uniform5(proptest::bool::weighted(0.3)), proptest::array::uniform2(0i64..12)),
                1..60,
            ),
            1..3,
        )
    ) {
        let groups: Vec<&[Patient]> = groups.iter().map(Vec::as_slice).collect();
        let (sides, numbers): (Vec<usize>, Vec<usize>) = ((0..SIDES).collect(), (0..NUMBERS).collect());
        let mut by_two = BTreeSet::new();
        for one in &sides {
            sides.iter().filter(|other| *other > one).for_each(|other| by_two.extend(told(&groups, &[*one, *other], &[])));
            numbers.iter().for_each(|number| by_two.extend(told(&groups, &[*one], &[*number])));
        }
        prop_assert_eq!(told(&groups, &sides, &numbers), by_two);
    }
}
