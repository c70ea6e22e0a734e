//! Features as people read them: what is read of which table, and when it must have happened.

use super::calls::Calls;
use super::{Literal, expression, literal};
use crate::contract::Contract;
use crate::ids::TableName;
use crate::plan::normal::Called;
use crate::plan::{Contracts, Derived, Edge, Feature, Moment, Pick, Rows, Window};

/// A feature, with its name where the study gave it one.
pub(in crate::plan) fn feature(
    feature: &Feature,
    before: &[Feature],
    contracts: &Contracts<'_>,
    called: &Called,
) -> String {
    let made = derived(feature, before, contracts, called.calls());
    let calls = called.calls();
    let name = match called.written(&feature.name) {
        Some(name) => Some(name.to_string()),
        // Of what a call does not say all.
        None if matches!(feature.of, Derived::Predicted(_)) || calls.is_short(&feature.name) => {
            Some(calls.name(&feature.name))
        }
        None => None,
    };
    match (name, &feature.on) {
        (Some(name), None) => format!("{name} is {made}"),
        (Some(name), Some(on)) => format!("{name} of a row in {on} is {made}"),
        (None, None) => made,
        (None, Some(on)) => format!("of a row in {on} {made}"),
    }
}

/// Whether it counts other rows of the table that it is a column of: a row is none of those about itself.
fn about_itself(feature: &Feature, before: &[Feature], contracts: &Contracts<'_>) -> bool {
    let of = |table: Option<&TableName>| match table {
        Some(table) => contracts.related.get(table).map(|contract| contract.id()),
        None => Some(contracts.base.id()),
    };
    feature.is_of_rows(contracts.base, before) && of(feature.on.as_ref()) == of(feature.of.table())
}

fn derived(feature: &Feature, before: &[Feature], contracts: &Contracts<'_>, calls: &Calls) -> String {
    match &feature.of {
        Derived::Has { rows: of, at_least: 1 } => {
            let itself = about_itself(feature, before, contracts);
            format!("whether the patient has {} row {}", if itself { "another" } else { "a" }, rows(of, calls))
        }
        Derived::Has { rows: of, at_least } => {
            let other = if about_itself(feature, before, contracts) { "other " } else { "" };
            format!("whether the patient has at least {at_least} {other}rows {}", rows(of, calls))
        }
        Derived::Count { rows: of } => {
            let other = if about_itself(feature, before, contracts) { "other " } else { "" };
            format!("how many {other}rows the patient has {}", rows(of, calls))
        }
        Derived::Pick { pick, column, rows: of } => {
            let column = calls.name(column);
            let (what, which) = match pick {
                Pick::First => (column, "the patient's first row"),
                Pick::Last => (column, "the patient's last row"),
                Pick::Least => (format!("the smallest {column}"), "the patient's rows"),
                Pick::Greatest => (format!("the greatest {column}"), "the patient's rows"),
                Pick::Mean => (format!("the mean {column}"), "the patient's rows"),
            };
            format!("{what} of {which} {}", rows(of, calls))
        }
        Derived::Sum { column, rows: of, at_most } => {
            format!(
                "the sum of {} of the patient's rows {}, as of {at_most} rows at most",
                calls.name(column),
                rows(of, calls)
            )
        }
        Derived::Reached { through, table, column } => {
            let (column, through) = (calls.name(column), calls.name(through));
            format!("{column} of the patient's row in {table} that {through} refers to")
        }
        Derived::Predicted(of) => of.plainly(calls),
        Derived::Plausible { column, lo, hi } => {
            format!("{} where it is from {lo} to {hi}, else missing", calls.name(column))
        }
        Derived::Value { table, column } => format!("{} of the patient's row in {table}", calls.name(column)),
        Derived::Age { table, at } => {
            let contract = match table {
                Some(table) => contracts.related.get(table).copied(),
                None => Some(contracts.base),
            };
            let birth = contract.and_then(Contract::birth).map_or_else(|| "birth".to_owned(), ToString::to_string);
            let of = table.as_ref().map(|table| format!(" in {table}")).unwrap_or_default();
            format!("the age in completed years at {}, from {birth}{of}", moment(at, calls))
        }
    }
}

fn rows(rows: &Rows, calls: &Calls) -> String {
    let condition = rows.filter.as_ref().map(|filter| format!(" where {}", calls.say(&expression(filter))));
    let window = rows.window.as_ref().map(|window| format!(", dated {}", dated(window, calls)));
    format!("in {}{}{}", rows.table, condition.unwrap_or_default(), window.unwrap_or_default())
}

fn dated(window: &Window, calls: &Calls) -> String {
    let from = window.from.as_ref().map(|edge| format!("from {} on", day(edge, calls)));
    let to = window.to.as_ref().map(|edge| format!("until {}", day(edge, calls)));
    from.into_iter().chain(to).collect::<Vec<_>>().join(" and ")
}

fn day(edge: &Edge, calls: &Calls) -> String {
    let at = moment(&edge.at, calls);
    let days = |n: u32| if n == 1 { "1 day".to_owned() } else { format!("{n} days") };
    match edge.days {
        0 => at,
        n if n > 0 => format!("{} after {at}", days(n.unsigned_abs())),
        n => format!("{} before {at}", days(n.unsigned_abs())),
    }
}

fn moment(moment: &Moment, calls: &Calls) -> String {
    match moment {
        Moment::Date(day) => literal(&Literal::Date(*day)),
        Moment::Column(name) => calls.name(name),
    }
}

#[cfg(test)]
mod tests {
    use crate::front::cohorts::{COHORT, bound, find, plans, with};
    use crate::ids::ContractId;
    use crate::plan::{Contracts, Explained};

    fn explained(cohort: &str) -> Explained {
        let study = bound(&with(cohort), &[]).unwrap();
        let plan = plans(&study).remove(0);
        plan.explain(Contracts::of(find(&study.dataset).unwrap(), plan.related(), find), None)
    }

    #[test]
    fn a_steward_reads_what_is_read_of_which_table_and_when() {
        let told = explained(COHORT).plainly();
        let expected = "\
Reads birth, fhir_condition.code, fhir_condition.onset, fhir_observation.code, fhir_observation.taken, fhir_observation.value; never a column that names the patient.
Makes for each patient: index is onset of the patient's first row in fhir_condition where code like 'E10%' or code like 'E11%'; whether the patient has at least 2 rows in fhir_condition where code like 'E10%' or code like 'E11%'; whether the patient has a row in fhir_condition where code in ('C50', 'C61') or code like 'C34%'; the age in completed years at date '2023-11-14', from birth; value of the patient's last row in fhir_observation where code = '4548-4', dated from 1 day after index on.
Looks only at rows where has(fhir_condition where code like 'E10%' or code like 'E11%', at_least = 2) and age_at(date '2023-11-14') >= 18 and last(fhir_observation.value where code = '4548-4', from = index + days(1)) > 7 and not has(fhir_condition where code in ('C50', 'C61') or code like 'C34%') and not (index is null).
";
        assert!(told.starts_with(expected), "{told}");
    }

    #[test]
    fn a_researcher_sees_what_is_made_of_rows_below_what_is_kept() {
        let tree = explained("[cohort]\nfrom = \"patient\"\ninclude = [\"has(observation)\"]\n").tree();
        let expected = "      └─ filter has(fhir_observation)
         ├─ make   whether the patient has a row in fhir_observation
         └─ read   which rows fhir_observation has
";
        assert!(tree.ends_with(expected), "{tree}");
    }

    #[test]
    fn rows_of_each_table_are_counted_with_what_looks_at_them_and_named() {
        let cohort = "[cohort]\nfrom = \"patient\"\ninclude = [\"has(observation)\", \"count(observation) > 2\"]\n";
        let study = bound(&with(cohort), &[]).unwrap();
        let plan = plans(&study).remove(0);
        let observations = |rows: Option<u64>| {
            let rows = move |id: &ContractId| if id.name() == "fhir-observation" { rows } else { Some(303) };
            plan.explain(Contracts::of(find(&study.dataset).unwrap(), plan.related(), find), Some(&rows))
        };
        let told = observations(Some(100_000_000));
        let wanted = "Passes over 303 rows of fhir-patient@1, and 100000000 rows of fhir-observation@2, in about 10 s.";
        assert!(told.plainly().contains(wanted), "{}", told.plainly());
        assert!(!observations(None).plainly().contains("Passes"), "half of it would be too little");
        // What is made of them is kept for later rounds.
        let all = told.clone().followed_by(24, &told);
        let looks = |of: &Explained| of.passes.iter().map(|passed| passed.looks).collect::<Vec<_>>();
        assert_eq!((looks(&all)[0], looks(&all)[1]), (25 * looks(&told)[0], looks(&told)[1]));
        let wanted = "Passes over 303 rows of fhir-patient@1 in each round, and 100000000 rows of fhir-observation@2, in about 10 s of one core in all.";
        assert!(all.plainly().contains(wanted), "{}", all.plainly());
    }

    #[test]
    fn every_kind_of_feature_and_window_has_words() {
        let say = |text: &str| {
            let cohort = format!("[cohort]\nfrom = \"patient\"\ninclude = [\"({text}) is not null\"]\n");
            explained(&cohort).makes.last().unwrap().clone()
        };
        for (text, wanted) in [
            ("count(condition)", "how many rows the patient has in fhir_condition"),
            ("min(condition.stage)", "the smallest stage of the patient's rows in fhir_condition"),
            ("max(condition.stage)", "the greatest stage of the patient's rows in fhir_condition"),
            ("mean(observation.value)", "the mean value of the patient's rows in fhir_observation"),
            (
                "count(condition, after = birth + days(9), within = days(90))",
                "how many rows the patient has in fhir_condition, dated from 10 days after birth on and until 99 days after birth",
            ),
            (
                "count(condition, before = birth)",
                "how many rows the patient has in fhir_condition, dated until 1 day before birth",
            ),
            (
                "count(condition, until = date '2020-01-31')",
                "how many rows the patient has in fhir_condition, dated until date '2020-01-31'",
            ),
        ] {
            assert_eq!(say(text), wanted, "{text}");
        }
        let of_events =
            explained("[cohort]\nfrom = \"condition\"\ninclude = [\"patient.sex = 'f'\", \"age_at(date) > 5\"]\n");
        let age = "the age in completed years at onset, from birth in fhir_patient";
        assert!(of_events.makes.iter().any(|made| made == age), "{of_events:?}");
        assert!(of_events.makes.iter().any(|made| made.ends_with("sex of the patient's row in fhir_patient")));
    }
}
