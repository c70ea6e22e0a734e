//! `discovered(column)` as the first key of a table, and `top`: how many of the keys that the data has are shown.

use sqlparser::ast::Expr as Sql;

use super::super::sql::parse;
use super::Binding;
use super::table::{RawTable, call_of_one, label, text_place as table_place};
use crate::analysis::{DiscoveredSpec, Spec, TableSpec};
use crate::ids::ColumnName;
use crate::plan::{TypeProblem, check_discovered};
use crate::settings::join;

/// What names the discovered key of a table. It is no function: no row has a value of it.
pub(in crate::front) const DISCOVERED: &str = "discovered";

/// What is wrong with it anywhere else.
pub(in crate::front) fn misplaced() -> TypeProblem {
    TypeProblem::new("`discovered` is the first key of a table and stands nowhere else")
        .hint("write table = { by = [\"discovered(column)\"], … }")
}

/// Keys that are shown where the text does not say how many.
const SHOWN: u32 = 50;

/// Whether a key's text asks for discovered keys, rightly or not.
pub(super) fn is_discovered(text: &str) -> bool {
    matches!(parse(text), Ok(Sql::Function(function)) if function.name.to_string().eq_ignore_ascii_case(DISCOVERED))
}

impl Binding<'_> {
    /// The discovered key of a table, with its heading, if its first key is one; what is wrong with others is noted.
    pub(super) fn discovered_key(&mut self, key: &str, raw: &RawTable) -> Option<Option<(String, ColumnName)>> {
        for (i, _) in raw.by.iter().enumerate().skip(1).filter(|(_, text)| is_discovered(text)) {
            let problem = if is_discovered(&raw.by[0]) {
                TypeProblem::new("a table has one discovered key").hint("ask for the other one in a table of its own")
            } else {
                TypeProblem::new("a discovered key is the first one").hint("write it before the other keys")
            };
            self.refuse::<()>(&join(key, &format!("by[{i}]")), problem);
        }
        let discovered = raw.by.first().filter(|text| is_discovered(text));
        self.fits_beside(key, raw, raw.by.iter().any(|text| is_discovered(text)));
        let Some(text) = discovered else { return Some(None) };
        let place = join(key, "by[0]");
        let column = self.discovered_column(&place, text)?;
        match check_discovered(&column, self.contract()) {
            Ok(()) => Some(Some((label(text), column))),
            Err(problem) => self.refuse(&place, problem),
        }
    }

    /// What the rest of the table says that goes with a discovered key only, or not with one.
    fn fits_beside(&mut self, key: &str, raw: &RawTable, discovered: bool) {
        if discovered && raw.roll_up == Some(true) {
            let problem = TypeProblem::new("a table of discovered keys is not rolled up");
            self.refuse::<()>(&join(key, "roll_up"), problem.hint("leave `roll_up` out"));
        }
        match raw.top {
            Some(_) if !discovered => {
                let problem = TypeProblem::new("`top` is of a table whose first key is discovered");
                self.refuse::<()>(
                    &join(key, "top"),
                    problem.hint("write by = [\"discovered(column)\", …], or leave it out"),
                );
            }
            Some(top) => {
                if let Some(problem) = DiscoveredSpec::problem_of(top) {
                    self.refuse::<()>(&join(key, "top"), TypeProblem::new(problem));
                }
            }
            None => {}
        }
    }

    fn discovered_column(&mut self, place: &str, text: &str) -> Option<ColumnName> {
        let sql = parse(text).ok()?;
        let column = match call_of_one(&sql) {
            Some((_, Sql::Identifier(name))) => name.value.parse::<ColumnName>().ok(),
            _ => None,
        };
        let problem = TypeProblem::new(format!("`{}` names no column", label(text)));
        match column {
            Some(column) if self.derive.contains_key(&column) => self.refuse(
                place,
                problem.hint(format!("`{column}` is derived; the values of a column only are discovered")),
            ),
            Some(column) => Some(column),
            None => self.refuse(place, problem.hint("write discovered(column)")),
        }
    }
}

/// The question, of a table whose first key is discovered.
pub(super) fn spec((label, key): (String, ColumnName), table: TableSpec, top: Option<u32>) -> Spec {
    Spec::Discovered(DiscoveredSpec { label, key, table, top: top.unwrap_or(SHOWN) })
}

/// Where the text says what the plan's check found at `place`: the other keys stand one further.
pub(super) fn text_place(spec: &DiscoveredSpec, place: &str) -> String {
    let key = place.strip_prefix("by[").and_then(|i| i.trim_end_matches(']').parse::<usize>().ok());
    match (place, key) {
        ("key", _) => "table.by[0]".to_owned(),
        (_, Some(i)) => format!("table.by[{}]", i + 1),
        _ => table_place(&spec.table, place),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::bind_to;
    use crate::analysis::Spec;
    use crate::contract::parse;

    const CONTRACT: &str = r#"
        id = "care@1"
        subject = "patient"
        [[column]]
        name = "patient"
        type = "text"
        [[column]]
        name = "diagnosis"
        type = "text"
        [[column]]
        name = "icd"
        type = "code"
        codes = [CODES]
        [[column]]
        name = "ward"
        type = "int"
        range = [0, 100000]
        [[column]]
        name = "age"
        type = "int"
        range = [0, 120]
        [[column]]
        name = "sex"
        type = "code"
        codes = [{ code = "f" }, { code = "m" }]
        [[column]]
        name = "crp"
        type = "float"
        range = [0, 500]
    "#;

    fn bound(analysis: &str) -> Result<Spec, String> {
        let codes: Vec<String> = (0..5000).map(|i| format!("{{ code = \"C{i}\" }}")).collect();
        let contract = parse(&CONTRACT.replace("CODES", &codes.join(", ")), "care.toml").unwrap();
        let text = format!(
            "title = 't'\npurpose = 'scientific_research'\ndataset = 'care@1'\n[derive]\nold = 'age > 60'\n[[analysis]]\nname = 'a'\n{analysis}"
        );
        bind_to(&contract, &text).map(|study| study.analyses[0].spec.clone())
    }

    #[test]
    fn a_discovered_key_comes_first_and_the_rest_is_a_dense_table() {
        let text =
            "table = { by = ['discovered( diagnosis )', 'sex', 'old'], show = ['count', 'mean(crp)'], top = 20 }";
        let Ok(Spec::Discovered(spec)) = bound(text) else { panic!("{:?}", bound(text)) };
        assert_eq!((spec.label.as_str(), spec.key.as_str(), spec.top), ("discovered( diagnosis )", "diagnosis", 20));
        assert_eq!((spec.table.by.len(), spec.table.show.len(), spec.table.roll_up), (2, 2, false));
        for column in ["diagnosis", "icd", "ward", "age"] {
            let spec = bound(&format!("table = {{ by = ['discovered({column})'], show = ['count'] }}")).unwrap();
            let Spec::Discovered(spec) = spec else { panic!("{column}") };
            assert_eq!((spec.top, spec.table.by.len()), (50, 0));
        }
        let without = bound("table = { by = ['sex'], show = ['count'] }").unwrap();
        assert!(matches!(without, Spec::Table(table) if table.roll_up));
    }

    #[test]
    fn what_cannot_be_discovered_is_refused_at_its_place_with_a_hint() {
        for (by, more, wanted) in [
            ("'sex', 'discovered(icd)'", "", "table.by[1]: a discovered key is the first one\n  hint: write it before"),
            (
                "'discovered(icd)', 'DISCOVERED(ward)'",
                "",
                "table.by[1]: a table has one discovered key\n  hint: ask for",
            ),
            ("'discovered(crp)'", "", "table.by[0]: `crp` is a number, which has no values to discover\n  hint: disc"),
            ("'discovered(patient)'", "", "table.by[0]: `patient` names the patient and cannot be read"),
            ("'discovered(diagnosi)'", "", "table.by[0]: unknown column `diagnosi`\n  hint: did you mean `diagnosis`?"),
            ("'discovered(old)'", "", "table.by[0]: `discovered(old)` names no column\n  hint: `old` is derived"),
            ("'discovered(age + 1)'", "", "table.by[0]: `discovered(age + 1)` names no column\n  hint: write disc"),
            ("'discovered(icd, ward)'", "", "table.by[0]: `discovered(icd, ward)` names no column"),
            ("'discovered(icd) = 1'", "", "table.by[0]: `discovered` is the first key of a table and stands nowhere"),
            ("'discovered(icd)', 'crp'", "", "table.by[1]: a number has no declared levels"),
            ("'discovered(icd)'", ", roll_up = true", "table.roll_up: a table of discovered keys is not rolled up"),
            ("'discovered(icd)'", ", top = 0", "table.top: `top` is 1 to 1000"),
            ("'discovered(icd)'", ", top = 1001", "table.top: `top` is 1 to 1000"),
            ("'sex'", ", top = 5", "table.top: `top` is of a table whose first key is discovered\n  hint: write by ="),
            ("'discovered(icd)', 'age'", "", "table.by: the table has 122 cells for each discovered key: too many"),
        ] {
            let found = bound(&format!("table = {{ by = [{by}], show = ['count']{more} }}")).unwrap_err();
            assert!(found.contains(wanted), "{wanted}\nnot in\n{found}");
        }
    }

    #[test]
    fn discovered_stands_nowhere_but_in_the_keys_of_a_table() {
        for text in [
            "histogram = { of = 'crp', bins = [1], by = ['discovered(icd)'] }",
            "crosstab = { rows = 'discovered(icd)', columns = 'sex' }",
            "quantiles = { of = 'discovered(ward)' }",
            "attrition = { steps = ['discovered(icd) is null'] }",
            "table = { by = ['cut(discovered(ward), 5)'], show = ['count'] }",
            "table = { show = ['share(discovered(icd) is null)'] }",
        ] {
            let found = bound(text).unwrap_err();
            let of_no_column = found.contains("`discovered(ward)` is no column");
            assert!(of_no_column || found.contains("stands nowhere else\n  hint: write table"), "{text}: {found}");
        }
    }

    #[test]
    fn a_key_with_too_many_levels_is_pointed_to_discovery() {
        for (by, wanted) in [
            (
                "'diagnosis'",
                "a text has no declared levels\n  hint: let the data name them, as the first key of a table: discovered(diagnosis)",
            ),
            ("'ward'", "or let the data name them: discovered(ward)"),
            ("'icd', 'age'", "or let the data name the keys of a table: discovered(icd)"),
        ] {
            let found = bound(&format!("table = {{ by = [{by}], show = ['count'] }}")).unwrap_err();
            assert!(found.contains(wanted), "{wanted}\nnot in\n{found}");
        }
    }
}
