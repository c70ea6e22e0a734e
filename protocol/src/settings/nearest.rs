//! "did you mean": the name that somebody meant who wrote another.

/// The name nearest to `wanted`, if one is near enough to be meant.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wanted.to_lowercase();
    names
        .into_iter()
        .filter_map(|name| {
            let known = name.to_lowercase();
            let begins =
                lower.len() >= 3 && known.len() >= 3 && (lower.starts_with(&known) || known.starts_with(&lower));
            let distance = strsim::damerau_levenshtein(&lower, &known);
            // However long the rest is that somebody left out or added.
            (begins || distance <= 1 + known.len() / 4).then_some(((distance, !begins), name))
        })
        .min_by_key(|(order, _)| *order)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("cholesterol", ["age", "chol"]), Some("chol"));
        assert_eq!(nearest("ag", ["age", "chol"]), Some("age"));
        assert_eq!(nearest("weight", ["age", "chol"]), None);
        assert_eq!(nearest("form", ["formula", "from"]), Some("from"));
        assert_eq!(nearest("ward", ["word", "wards"]), Some("wards"));
        assert_eq!(nearest("ada", ["Ida", "Ada"]), Some("Ada"), "a capital is no other letter");
        assert_eq!(nearest("optouts_scope", ["optout", "optout_scope"]), Some("optout_scope"));
        assert_eq!(nearest("optout_scope_of", ["optout", "optout_scope"]), Some("optout_scope"));
    }
}
