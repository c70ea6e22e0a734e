//! How much room a text takes in a picture. No font is at hand here: it is the reader's own, so that these are those of a wide one.

use std::collections::BTreeSet;

/// How high a line of text is.
pub(super) const LINE: i32 = 16;

/// About how wide a text is.
pub(in super::super) fn width(text: &str) -> i32 {
    text.chars().map(tenths).sum::<i32>() / 10 + 1
}

/// The widest of these.
pub(super) fn widest(texts: impl Iterator<Item = impl AsRef<str>>) -> i32 {
    texts.map(|text| width(text.as_ref())).max().unwrap_or(0)
}

/// A text that has room; of a longer one the begin and the end, which tell a level from others of its name.
pub(super) fn cut(text: &str, room: i32) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let mut kept = letters.len() - 1;
    loop {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let begin: String = letters[..head].iter().collect();
        let end: String = letters[letters.len() - tail..].iter().collect();
        let short = format!("{}…{}", begin.trim_end(), end.trim_start());
        if kept == 0 || width(&short) <= room {
            return short;
        }
        kept -= 1;
    }
}

/// Names that have room. Where two would look alike, what all begin and end with is left out; where they still do, they are numbered.
pub(super) fn fit(names: &[&str], room: i32) -> Vec<String> {
    let cut_all = |names: &[&str]| names.iter().map(|name| cut(name, room)).collect::<Vec<_>>();
    let alike = |short: &[String]| {
        let told_apart: BTreeSet<(&str, &str)> = short.iter().map(String::as_str).zip(names.iter().copied()).collect();
        told_apart.len() > short.iter().collect::<BTreeSet<_>>().len()
    };
    let short = cut_all(names);
    if !alike(&short) {
        return short;
    }
    let begin = shared(names.iter().map(|name| name.chars()));
    let rest: Vec<String> = names.iter().map(|name| name.chars().skip(begin).collect()).collect();
    let end = shared(rest.iter().map(|name| name.chars().rev()));
    let own = |name: &String| format!("…{}…", name.chars().take(name.chars().count() - end).collect::<String>());
    let own: Vec<String> = rest.iter().map(own).collect();
    let short = cut_all(&own.iter().map(String::as_str).collect::<Vec<_>>());
    if !alike(&short) {
        return short;
    }
    let numbered = |(at, name): (usize, &&str)| {
        let number = format!("{}: ", at + 1);
        number.clone() + &cut(name, room - width(&number))
    };
    names.iter().enumerate().map(numbered).collect()
}

/// How many letters all of these begin with.
fn shared<'a, L: Iterator<Item = char> + Clone + 'a>(names: impl Iterator<Item = L> + Clone + 'a) -> usize {
    let mut all = names.clone();
    let Some(first) = all.next() else { return 0 };
    let with = |other: L| first.clone().zip(other).take_while(|(a, b)| a == b).count();
    all.map(with).min().unwrap_or(0)
}

/// In tenths of a unit, at the size of the pictures' texts.
fn tenths(letter: char) -> i32 {
    match letter {
        ' ' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | 'i' | 'j' | 'l' | '\u{202f}' => 45,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 54,
        'm' | 'w' | 'M' | 'W' | '…' | '—' | '%' | '@' => 130,
        '⁰'..='⁹' | '⁻' | '¹' | '²' | '³' => 54,
        '−' | '×' | '<' | '>' | '≥' | '=' | '~' | '+' => 110,
        letter if letter.is_uppercase() => 102,
        letter if letter as u32 >= 0x1100 => 130,
        _ => 83,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_room_keeps_its_begin_and_its_end() {
        assert_eq!(cut("C(sex)[male]", 200), "C(sex)[male]");
        let short = cut("C(chest_pain_at_the_first_visit)[asymptomatic]", 200);
        assert!(short.starts_with("C(chest_") && short.ends_with("ptomatic]") && width(&short) <= 200, "{short}");
        assert_eq!(cut("Größe", 0), "…");
        assert!(cut(&"ä".repeat(80), 100).chars().count() > 8);
    }

    #[test]
    fn two_names_never_look_alike() {
        let long = |own: &str| format!("{}{own}{}", "b".repeat(40), "e".repeat(40));
        let [one, two] = [long("1"), long("2")];
        assert_eq!(fit(&[&one, &two], 120), ["…1…", "…2…"]);
        let short = fit(&[&one, &two, "z"], 120);
        assert!(short[0].starts_with("1: b") && short[1].starts_with("2: b") && short[2] == "3: z", "{short:?}");
        assert!(short.iter().all(|name| width(name) <= 120), "{short:?}");
        assert_eq!(fit(&["a", "a"], 120), ["a", "a"], "those that are alike may look so");
    }
}
