//! The gate's rules about the columns of a design and about two of them ([`super::model`], 2 to 4): all that do not hold, so that a study is mended
//! once and not column by column.
//!
//! The list says what as many models of two columns each would say, and nothing beyond: of two, and of a number on a side, it says nothing where one
//! of the two is in it by itself. What helps follows from the plan and from the list, also from what of it is not
//! named: that columns exclude each other it supposes, and does not know.

use std::collections::{BTreeSet, HashSet};

use bocage_protocol::limits;
use bocage_protocol::plan::{ModelLayout, Slot};

use super::Rules;
use super::model::{CountedModel, ELSE, GROUP, Side, TooFew};
use crate::custodian::controls::Control;

#[cfg(test)]
mod tests;

/// So many are named at most; of the others their number is said.
const NAMED: usize = 5;
/// So long may the names be together: what helps and the rest need room beside them.
const NAMES_BYTES: usize = limits::ERROR_TEXT_BYTES / 2;
/// Of so many steps a number is spelt out as bands.
const SCORE: f64 = 10.0;
/// So many columns are made one category at most.
const SET: usize = 8;

/// What has too few patients. It is told in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Few {
    /// A side, or the other one.
    Side(usize),
    /// A cell of two sides, the later one first.
    Two(usize, usize),
    /// A number's values among all.
    Number(usize),
    /// A number's values on one of the two sides.
    Within(usize, usize),
}

/// Says of all these groups together what has too few patients in any of them.
pub(super) fn check(of: &[CountedModel], layout: &ModelLayout, rules: Rules) -> Result<(), TooFew> {
    let few = list(of, layout, rules);
    match of.first().filter(|_| !few.is_empty()) {
        Some(counted) => Err(Told { layout, sides: &counted.sides }.too_few(&few)),
        None => Ok(()),
    }
}

/// What is told: nothing of two of which one is told by itself.
fn list(of: &[CountedModel], layout: &ModelLayout, rules: Rules) -> Vec<Few> {
    let on = |control| rules.controls.enforces(control);
    let few: BTreeSet<Few> = of
        .iter()
        .flat_map(|counted| {
            let sides = on(Control::ModelSides).then(|| sides(counted, layout, rules));
            let spreads = on(Control::ModelSpread).then(|| spreads(counted));
            sides.into_iter().flatten().chain(spreads.into_iter().flatten())
        })
        .collect();
    let by_itself = |one: &&Few| match one {
        Few::Side(_) | Few::Number(_) => true,
        Few::Two(i, j) => !few.contains(&Few::Side(*i)) && !few.contains(&Few::Side(*j)),
        Few::Within(input, at) => !few.contains(&Few::Number(*input)) && !few.contains(&Few::Side(*at)),
    };
    few.iter().filter(by_itself).copied().collect()
}

/// Something that is told apart.
struct Apart {
    /// What is said where it has too few.
    few: Few,
    /// So many patients must be in each cell.
    least: u64,
    /// How many are; none where nobody can be.
    cells: [Option<u64>; 4],
}

/// The sides, and the cells of two sides.
fn apart(counted: &CountedModel, layout: &ModelLayout, rules: Rules) -> impl Iterator<Item = Apart> {
    let (n, of, k) = (counted.summed(), &counted.sides, u64::from(rules.threshold));
    // Where only one of a patient's rows counts, no fewer than k stand for a cell.
    let several = layout.risk.as_ref().is_some_and(|risk| risk.several);
    let joint = if several { k } else { u64::from(rules.joint) };
    let alone = counted.ones.iter().enumerate().map(move |(at, ones)| Apart {
        few: Few::Side(at),
        least: k,
        cells: [Some(*ones), Some(n - ones), None, None],
    });
    let pairs = (0..of.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let together = pairs.map(move |(i, j)| {
        let (one, other, both) = (counted.ones[i], counted.ones[j], counted.both[i * (i - 1) / 2 + j]);
        let (cells, possible) =
            ([both, one - both, other - both, n + both - one - other], possible(&of[i], &of[j], layout));
        let cells = std::array::from_fn(|cell| possible[cell].then_some(cells[cell]));
        Apart { few: Few::Two(i, j), least: joint, cells }
    });
    alone.chain(together)
}

/// The sides, and the cells of two sides, that have too few patients.
pub(super) fn sides(counted: &CountedModel, layout: &ModelLayout, rules: Rules) -> impl Iterator<Item = Few> {
    let few = |apart: &Apart| apart.cells.iter().flatten().any(|n| *n < apart.least);
    apart(counted, layout, rules).filter(few).map(|apart| apart.few)
}

/// The numbers that have too few values, among all or on a side.
pub(super) fn spreads(counted: &CountedModel) -> impl Iterator<Item = Few> {
    counted.spreads.iter().flat_map(|(input, spreads)| {
        let narrow = spreads.iter().enumerate().filter(|(_, spread)| !spread.is_wide());
        // The first is of all; then there are two a side.
        narrow.map(|(slot, _)| slot.checked_sub(1).map_or(Few::Number(*input), |slot| Few::Within(*input, slot / 2)))
    })
}

/// Whether in each of these cells there is nobody, or as many patients as a model must have there, with numbers as different.
pub(super) fn are_empty_or_enough(counted: &CountedModel, layout: &ModelLayout, rules: Rules) -> bool {
    let fits = |apart: Apart| apart.cells.iter().flatten().all(|n| *n == 0 || *n >= apart.least);
    let mut spreads = counted.spreads.iter().flat_map(|(_, spreads)| spreads);
    apart(counted, layout, rules).all(fits) && spreads.all(|spread| spread.is_of_nobody() || spread.is_wide())
}

/// Whether a patient can be in both of two, in the first alone, in the second alone, in neither: as far as keys and levels say it.
fn possible(one: &Side, other: &Side, layout: &ModelLayout) -> [bool; 4] {
    if let (Side::Stretch { input, .. }, Side::Stretch { input: of, .. }) = (one, other) {
        return stretches(one, other, input == of);
    }
    let (Side::Levels { levels: one, .. }, Side::Levels { levels: other, .. }) = (one, other) else { return [true; 4] };
    let apart = one.iter().any(|(key, level)| other.iter().any(|(of, at)| of == key && at != level));
    let within = |inner: &[(usize, u32)], outer: &[(usize, u32)]| inner.iter().all(|part| outer.contains(part));
    let all = match (one.as_slice(), other.as_slice()) {
        ([(key, _)], [(of, _)]) => apart && key == of && layout.inputs.keys[*key].1.labels.len() == 2,
        _ => false,
    };
    // Who is in the narrower is in the wider.
    [!apart, !within(other, one), !within(one, other), !all]
}

/// The same of what lies between knots. Two splines of one number can have knots that overlap.
fn stretches(one: &Side, other: &Side, same: bool) -> [bool; 4] {
    let (Side::Stretch { from: a, to: b, .. }, Side::Stretch { from: c, to: d, .. }) = (one, other) else {
        return [true; 4];
    };
    if !same {
        return [true; 4];
    }
    let (below, above) = (a.is_finite() && c.is_finite(), b.is_finite() && d.is_finite());
    let neither = below || above || b.min(*d) < a.max(*c);
    [a.max(*c) < b.min(*d), a < c || b > d, c < a || d > b, neither]
}

/// What is told of a design, in the study's words.
struct Told<'a> {
    layout: &'a ModelLayout,
    sides: &'a [Side],
}

impl Told<'_> {
    fn too_few(&self, few: &[Few]) -> TooFew {
        let mut seen = HashSet::new();
        let all = few.iter().map(|one| (*one, self.words(*one)));
        let all: Vec<(Few, String)> = all.filter(|(_, words)| seen.insert(words.clone())).collect();
        let mut bytes = 0;
        let fits = all.iter().take(NAMED).take_while(|(_, words)| {
            bytes += words.len();
            bytes <= NAMES_BYTES
        });
        let named = &all[..fits.count().clamp(1, all.len())];
        let mut why = named.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>().join("; ");
        if named.len() < all.len() {
            why += &format!("; and {} more such", all.len() - named.len());
        }
        let mut hint: Vec<String> = self.apart(few).iter().map(|of| one_category(of)).collect();
        for remedy in named.iter().flat_map(|(one, _)| self.remedies(*one)) {
            if !hint.contains(&remedy) {
                hint.push(remedy);
            }
        }
        hint.push(if hint.is_empty() { ELSE.to_owned() } else { format!("or {ELSE}") });
        TooFew::because(why).hint(hint.join("; "))
    }

    fn words(&self, one: Few) -> String {
        match one {
            Few::Side(at) => format!("`{}` varies too little", self.side(at)),
            Few::Two(i, j) => format!("`{}` and `{}` vary too little together", self.side(j), self.side(i)),
            Few::Number(input) => format!("`{}` varies too little", self.layout.input_name(input)),
            Few::Within(input, at) => {
                format!("`{}` varies too little on one side of `{}`", self.layout.input_name(input), self.side(at))
            }
        }
    }

    fn side(&self, at: usize) -> String {
        match &self.sides[at] {
            Side::Levels { column, .. } => self.layout.name(*column),
            Side::Outcome { .. } => "the outcome".to_owned(),
            Side::Two { input, .. } => self.layout.input_name(*input),
            Side::Stretch { input, .. } => format!("{} between knots", self.layout.input_name(*input)),
        }
    }

    /// What helps.
    fn remedies(&self, one: Few) -> Vec<String> {
        match one {
            Few::Side(at) => self.coarser(at).into_iter().collect(),
            Few::Two(i, j) => [i, j].into_iter().filter_map(|at| self.coarser(at)).collect(),
            Few::Number(input) => self.bands(input).into_iter().collect(),
            Few::Within(input, at) => [self.bands(input), self.coarser(at)].into_iter().flatten().collect(),
        }
    }

    /// How a side becomes larger.
    fn coarser(&self, at: usize) -> Option<String> {
        match &self.sides[at] {
            Side::Levels { levels, .. } => {
                let keys = &self.layout.inputs.keys;
                levels.iter().any(|(key, _)| keys[*key].1.labels.len() > 2).then(|| GROUP.to_owned())
            }
            Side::Stretch { input, .. } => {
                Some(format!("give ns({}, …) fewer knots, or others", self.layout.input_name(*input)))
            }
            Side::Outcome { .. } | Side::Two { .. } => None,
        }
    }

    /// A number of few values as a category.
    fn bands(&self, input: usize) -> Option<String> {
        let (name, (lo, hi)) = (self.layout.input_name(input), self.layout.inputs.ranges[input]);
        if self.layout.outcome == Some(input) {
            return Some(format!("an outcome of few values is a condition, such as ({name} > {lo})"));
        }
        let is = |slot: &Slot| matches!(slot, Slot::Number { input: of, .. } | Slot::Spline { input: of, .. } if *of == input);
        self.layout.columns.iter().flatten().any(is).then(|| {
            let breaks = match self.layout.inputs.whole[input] && hi - lo <= SCORE {
                true => {
                    (1..=(hi - lo) as i64).map(|step| (lo + step as f64).to_string()).collect::<Vec<_>>().join(", ")
                }
                false => "…".to_owned(),
            };
            format!("a number of few values is a category: cut({name}, {breaks})")
        })
    }

    /// Of what is true or false, sets of which each two vary too little together: they could exclude each other.
    fn apart(&self, few: &[Few]) -> Vec<Vec<Flag>> {
        let mut sets: Vec<Vec<usize>> = Vec::new();
        let twos = few.iter().filter_map(|one| if let Few::Two(i, j) = one { Some([*j, *i]) } else { None });
        let flags = twos.flatten().filter(|at| self.flag(*at).is_some()).collect::<BTreeSet<usize>>();
        for at in flags {
            let beside = |other: &usize| few.binary_search(&Few::Two(at, *other)).is_ok();
            match sets.iter_mut().find(|set| set.len() < SET && set.iter().all(beside)) {
                Some(set) => set.push(at),
                None => sets.push(vec![at]),
            }
        }
        let sets = sets.iter().filter(|set| set.len() > 1).take(2);
        sets.map(|set| set.iter().filter_map(|at| self.flag(*at)).collect()).collect()
    }

    fn flag(&self, at: usize) -> Option<Flag> {
        match &self.sides[at] {
            Side::Two { input, .. } => {
                let (lo, _) = self.layout.inputs.ranges[*input];
                (lo == 0.0).then(|| Flag::Number(self.layout.input_name(*input)))
            }
            Side::Levels { levels, .. } => {
                let [(key, 1)] = levels.as_slice() else { return None };
                let is_bool = self.layout.inputs.keys[*key].1.labels == ["false", "true"];
                is_bool.then(|| Flag::Condition(self.layout.key_name(*key)))
            }
            Side::Outcome { .. } | Side::Stretch { .. } => None,
        }
    }
}

/// Something that is true or false, as the study writes it.
enum Flag {
    /// A number that is 0 or 1.
    Number(String),
    /// A condition.
    Condition(String),
}

/// What excludes each other as one category.
fn one_category(flags: &[Flag]) -> String {
    let name = |flag: &Flag| match flag {
        Flag::Number(name) | Flag::Condition(name) => name.clone(),
    };
    let holds = |flag: &Flag| match flag {
        Flag::Number(name) => format!("{name} = 1"),
        Flag::Condition(name) => name.clone(),
    };
    let names: Vec<String> = flags.iter().map(|flag| format!("`{}`", name(flag))).collect();
    let category = if flags.iter().all(|flag| matches!(flag, Flag::Number(_))) {
        let times =
            |(at, flag): (usize, &Flag)| if at == 0 { name(flag) } else { format!("{} * {}", at + 1, name(flag)) };
        let sum: Vec<String> = flags.iter().enumerate().map(times).collect();
        let breaks: Vec<String> = (1..=flags.len()).map(|at| at.to_string()).collect();
        format!("cut({}, {})", sum.join(" + "), breaks.join(", "))
    } else {
        // Where something is missing, no branch holds.
        let none: Vec<String> = flags.iter().map(|flag| format!("not ({})", holds(flag))).collect();
        let each = flags.iter().enumerate().map(|(at, flag)| format!(" when {} then '{}'", holds(flag), at + 1));
        format!("(case when {} then '0'{} end)", none.join(" and "), each.collect::<String>())
    };
    // Then nobody is at the category's first level.
    let whole = names.last().map(|last| format!("; if everybody has one of them, leave {last} out"));
    let whole = whole.unwrap_or_default();
    format!("if nobody can have two of {}, they are one category: {category}{whole}", names.join(", "))
}
