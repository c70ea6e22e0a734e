//! Numbers with the word for what they count: `1 site`, `3 sites`, `0 studies`.

/// So many of what `one` is called.
pub fn counted(count: impl TryInto<u64>, one: &str) -> String {
    // What is more than that is more than one.
    let count = count.try_into().unwrap_or(u64::MAX);
    let of_consonant = |stem: &str| !stem.ends_with(['a', 'e', 'i', 'o', 'u']);
    match (count, one.strip_suffix('y').filter(|stem| of_consonant(stem))) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ if one.ends_with('s') => format!("{count} {one}es"),
        _ => format!("{count} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_one_and_all_else_is_many_whatever_the_word_ends_with() {
        let said =
            [counted(1_u32, "site"), counted(0_usize, "site"), counted(2_u64, "address"), counted(1_u8, "address")];
        assert_eq!(said, ["1 site", "0 sites", "2 addresses", "1 address"]);
        assert_eq!([counted(3_u32, "study"), counted(3_u32, "day")], ["3 studies", "3 days"]);
    }
}
