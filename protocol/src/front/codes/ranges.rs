//! Ranges of ICD categories, as chapters and blocks are named: `I20-I25`, `C00-D49`.

use std::collections::BTreeSet;

use crate::plan::TypeProblem;

/// The beginnings of all codes in a range of three-character categories, the last one's included: few, since ten or a hundred categories
/// have a beginning in common. A category's last character may be a letter (`C7A`), which comes after the digits; a range that ends in 9 ends behind these.
pub(super) fn prefixes(range: &str) -> Result<BTreeSet<String>, TypeProblem> {
    let ends = range.split_once('-').map(|(from, to)| (from.trim(), to.trim()));
    let Some((from, to)) = ends.filter(|(from, to)| is_category(from) && is_category(to) && from <= to) else {
        let problem = TypeProblem::new(format!("`{range}` is no range of categories"));
        return Err(problem.hint("two of three characters, the earlier one first: range = [\"I20-I25\"]"));
    };
    let to = to.strip_suffix('9').map_or_else(|| to.to_owned(), |decade| format!("{decade}Z"));
    let mut found = BTreeSet::new();
    for letter in 'A'..='Z' {
        let decades = ('0'..='9').map(|digit| (format!("{letter}{digit}"), categories(letter, digit)));
        let within = decades.map(|(decade, all)| {
            let some: Vec<String> =
                all.iter().filter(|c| (from..=to.as_str()).contains(&c.as_str())).cloned().collect();
            if some.len() == all.len() { vec![decade] } else { some }
        });
        let within: Vec<String> = within.flatten().collect();
        let whole = within.len() == 10 && within.iter().all(|decade| decade.len() == 2);
        if whole {
            found.insert(letter.to_string());
        } else {
            found.extend(within);
        }
    }
    Ok(found)
}

fn categories(letter: char, digit: char) -> Vec<String> {
    ('0'..='9').chain('A'..='Z').map(|last| format!("{letter}{digit}{last}")).collect()
}

fn is_category(text: &str) -> bool {
    match text.as_bytes() {
        [letter, digit, last] => {
            letter.is_ascii_uppercase()
                && digit.is_ascii_digit()
                && (last.is_ascii_digit() || last.is_ascii_uppercase())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_or_chapter_is_as_few_beginnings_as_say_it() {
        let of = |range: &str| prefixes(range).unwrap().into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(of("I20-I25"), "I20 I21 I22 I23 I24 I25");
        assert_eq!(of("E11-E11"), "E11");
        assert_eq!(of("I00-I99"), "I");
        assert_eq!(of("A00-B99"), "A B");
        assert_eq!(of("C00-D49"), "C D0 D1 D2 D3 D4");
        assert_eq!(of("C7A-C7B"), "C7A C7B");
        assert!(of("Z37-Z39").ends_with(
            "Z3A Z3B Z3C Z3D Z3E Z3F Z3G Z3H Z3I Z3J Z3K Z3L Z3M Z3N Z3O Z3P Z3Q Z3R Z3S Z3T Z3U Z3V Z3W Z3X Z3Y Z3Z"
        ));
        for bad in ["I25-I20", "I20", "I20-", "i20-i25", "I20.1-I25", "E1-E2", "250-259", ""] {
            assert!(prefixes(bad).is_err(), "{bad}");
        }
    }
}
