//! Features as people read them: what is read of which table, and when it must have happened.

use super::{Literal, expression, literal};
use crate::contract::Contract;
use crate::ids::TableName;
use crate::plan::{Contracts, Derived, Edge, Feature, Moment, Pick, Rows, Window};

/// A feature with its name.
pub(in crate::plan) fn feature(feature: &Feature, before: &[Feature], contracts: &Contracts<'_>) -> String {
    match &feature.on {
        None => format!("{} is {}", feature.name, derived(feature, before, contracts)),
        Some(on) => format!("{} of a row in {on} is {}", feature.name, derived(feature, before, contracts)),
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

fn derived(feature: &Feature, before: &[Feature], contracts: &Contracts<'_>) -> String {
    match &feature.of {
        Derived::Has { rows: of, at_least: 1 } => {
            let itself = about_itself(feature, before, contracts);
            format!("whether the patient has {} row {}", if itself { "another" } else { "a" }, rows(of))
        }
        Derived::Has { rows: of, at_least } => {
            let other = if about_itself(feature, before, contracts) { "other " } else { "" };
            format!("whether the patient has at least {at_least} {other}rows {}", rows(of))
        }
        Derived::Count { rows: of } => {
            let other = if about_itself(feature, before, contracts) { "other " } else { "" };
            format!("how many {other}rows the patient has {}", rows(of))
        }
        Derived::Pick { pick, column, rows: of } => {
            let (what, which) = match pick {
                Pick::First => (format!("{column}"), "the patient's first row"),
                Pick::Last => (format!("{column}"), "the patient's last row"),
                Pick::Least => (format!("the smallest {column}"), "the patient's rows"),
                Pick::Greatest => (format!("the greatest {column}"), "the patient's rows"),
                Pick::Mean => (format!("the mean {column}"), "the patient's rows"),
            };
            format!("{what} of {which} {}", rows(of))
        }
        Derived::Sum { column, rows: of, at_most } => {
            format!("the sum of {column} of the patient's rows {}, as of {at_most} rows at most", rows(of))
        }
        Derived::Reached { through, table, column } => {
            format!("{column} of the patient's row in {table} that {through} refers to")
        }
        Derived::Predicted(of) => of.plainly(),
        Derived::Plausible { column, lo, hi } => format!("{column} where it is from {lo} to {hi}, else missing"),
        Derived::Value { table, column } => format!("{column} of the patient's row in {table}"),
        Derived::Age { table, at } => {
            let contract = match table {
                Some(table) => contracts.related.get(table).copied(),
                None => Some(contracts.base),
            };
            let birth = contract.and_then(Contract::birth).map_or_else(|| "birth".to_owned(), ToString::to_string);
            let of = table.as_ref().map(|table| format!(" in {table}")).unwrap_or_default();
            format!("the age in completed years at {}, from {birth}{of}", moment(at))
        }
    }
}

fn rows(rows: &Rows) -> String {
    let condition = rows.filter.as_ref().map(|filter| format!(" where {}", expression(filter))).unwrap_or_default();
    let window = rows.window.as_ref().map(|window| format!(", dated {}", dated(window))).unwrap_or_default();
    format!("in {}{condition}{window}", rows.table)
}

fn dated(window: &Window) -> String {
    let from = window.from.as_ref().map(|edge| format!("from {} on", day(edge)));
    let to = window.to.as_ref().map(|edge| format!("until {}", day(edge)));
    from.into_iter().chain(to).collect::<Vec<_>>().join(" and ")
}

fn day(edge: &Edge) -> String {
    let at = moment(&edge.at);
    let days = |n: u32| if n == 1 { "1 day".to_owned() } else { format!("{n} days") };
    match edge.days {
        0 => at,
        n if n > 0 => format!("{} after {at}", days(n.unsigned_abs())),
        n => format!("{} before {at}", days(n.unsigned_abs())),
    }
}

fn moment(moment: &Moment) -> String {
    match moment {
        Moment::Date(day) => literal(&Literal::Date(*day)),
        Moment::Column(name) => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::front::cohorts::{COHORT, bound, find, plans, with};
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
For each patient, index is onset of the patient's first row in fhir_condition where code like 'E10%' or code like 'E11%'; f2 is whether the patient has at least 2 rows in fhir_condition where code like 'E10%' or code like 'E11%'; f3 is whether the patient has a row in fhir_condition where code in ('C50', 'C61') or code like 'C34%'; f4 is the age in completed years at date '2023-11-14', from birth; f5 is value of the patient's last row in fhir_observation where code = '4548-4', dated from 1 day after index on.
Looks only at rows where f2 and f4 >= 18 and f5 > 7 and not f3 and not (index is null).
";
        assert!(told.starts_with(expected), "{told}");
    }

    #[test]
    fn a_researcher_sees_what_is_made_of_rows_below_what_is_kept() {
        let tree = explained("[cohort]\nfrom = \"patient\"\ninclude = [\"has(observation)\"]\n").tree();
        let expected = "      └─ filter f1
         ├─ make   f1 is whether the patient has a row in fhir_observation
         └─ read   which rows fhir_observation has
";
        assert!(tree.ends_with(expected), "{tree}");
    }

    #[test]
    fn every_kind_of_feature_and_window_has_words() {
        let say = |text: &str| {
            let cohort = format!("[cohort]\nfrom = \"patient\"\ninclude = [\"({text}) is not null\"]\n");
            explained(&cohort).makes.last().unwrap().split_once(" is ").unwrap().1.to_owned()
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
        assert!(
            of_events
                .makes
                .contains(&"f1 is the age in completed years at onset, from birth in fhir_patient".to_owned())
                || of_events
                    .makes
                    .contains(&"f2 is the age in completed years at onset, from birth in fhir_patient".to_owned())
        );
        assert!(of_events.makes.iter().any(|made| made.ends_with("sex of the patient's row in fhir_patient")));
    }
}
