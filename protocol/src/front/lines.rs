//! On which line of a TOML text the value stands that a problem is about.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::settings::{Problem, Problems};

/// The problems of a text, each with the line of its key, as far as that stands in the text. Those of other files stay as they are.
#[must_use]
pub fn with_lines(text: &str, file: &str, problems: Problems) -> Problems {
    let Ok(table) = DeTable::parse(text) else { return problems };
    let located = |mut problem: Problem| {
        if problem.file == file
            && let Some(at) = begin(table.get_ref(), &problem.key)
        {
            problem.line = Some(text.get(..at).unwrap_or_default().matches('\n').count() + 1);
        }
        problem
    };
    Problems(problems.0.into_iter().map(located).collect())
}

/// Where the deepest part of a key begins that is there: what is missing is missing in the section around it.
fn begin(root: &DeTable<'_>, key: &str) -> Option<usize> {
    let (mut table, mut at) = (root, None);
    for part in plain(key).split('.') {
        let (name, indices) = part.split_once('[').map_or((part, ""), |(name, rest)| (name, rest));
        let Some((found, value)) = table.iter().find(|(key, _)| *key.get_ref() == name) else { break };
        at = Some(found.span().start);
        let Some(value) = element(value, indices, &mut at) else { break };
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    at
}

/// The element that `0]` or `0][1]` names.
fn element<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    indices: &str,
    at: &mut Option<usize>,
) -> Option<&'a Spanned<DeValue<'i>>> {
    let mut value = value;
    for index in indices.split(['[', ']']).filter(|index| !index.is_empty()) {
        let DeValue::Array(list) = value.get_ref() else { return None };
        value = list.get(index.parse::<usize>().ok()?)?;
        *at = Some(value.span().start);
    }
    Some(value)
}

/// A key without the names that are told beside an index: `analysis[0] (by_sex).table`.
fn plain(key: &str) -> String {
    let mut out = String::new();
    let mut rest = key;
    while let Some((before, after)) = rest.split_once(" (") {
        out += before;
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "title = \"t\"\nsites = [\n  \"aa\",\n  \"x\",\n]\n\n[cohort]\nfrom = \"b\"\n\n[[analysis]]\nname = \"one\"\n\
                        [[analysis]]\nname = \"two\"\ntable = { by = [\"sex\",\n  \"ag\"], show = [] }\n";

    fn line(key: &str) -> String {
        let problems = with_lines(TEXT, "s.toml", Problem::new("s.toml", key, "wrong").into());
        problems.0[0].place()
    }

    #[test]
    fn a_value_is_told_with_the_line_on_which_it_begins() {
        for (key, wanted) in [
            ("title", "line 1, title"),
            ("sites[1]", "line 4, sites[1]"),
            ("cohort.from", "line 8, cohort.from"),
            ("analysis[1] (two).name", "line 13, analysis[1] (two).name"),
            ("analysis[1] (two).table.by[1]", "line 15, analysis[1] (two).table.by[1]"),
            ("analysis[1] (two).table.show", "line 15, analysis[1] (two).table.show"),
        ] {
            assert_eq!(line(key), wanted);
        }
    }

    #[test]
    fn what_is_missing_is_missing_in_the_section_around_it_and_has_no_line_where_that_is_the_file() {
        assert_eq!(line("cohort.index"), "line 7, cohort.index");
        assert_eq!(line("analysis[0] (one)"), "line 10, analysis[0] (one)");
        assert_eq!(line("analysis[7].name"), "line 10, analysis[7].name");
        assert_eq!(line("where"), "where");
        assert_eq!(line(""), "");
    }

    #[test]
    fn a_problem_of_another_file_and_one_of_a_text_that_is_no_toml_stay_as_they_are() {
        let other: Problems = Problem::new("codes.toml", "title", "wrong").into();
        assert_eq!(with_lines(TEXT, "s.toml", other.clone()), other);
        let syntax: Problems = Problem::new("s.toml", "title", "wrong").into();
        assert_eq!(with_lines("title =", "s.toml", syntax.clone()), syntax);
    }
}
