//! What the parser says of an expression that it gives up, in fewer words, and what was meant.

/// A message without the parser's long lists and places, and a hint where it is plain what was meant.
pub(super) fn shorter(said: &str) -> (String, Option<&'static str>) {
    let (what, place) = said.rsplit_once(" at Line: ").unwrap_or((said, ""));
    let at = match place.split_once(", Column: ") {
        Some(("1", column)) => format!(" at character {column}"),
        Some((line, column)) => format!(" in line {line}, at character {column}"),
        None => String::new(),
    };
    let found = what.rsplit_once("found: ").map(|(_, found)| found).unwrap_or_default();
    if what.contains(" after IS,") {
        let hint = "`is` asks for null, true or false; a value is compared by `=`, a text or code in single quotes";
        return (format!("`is` stands before `{found}`{at}"), Some(hint));
    }
    let hint = match what {
        _ if what.starts_with("Unterminated string") => Some("a single quote has no partner"),
        _ if found == "EOF" => Some("something is missing at its end"),
        _ if what.starts_with("Expected: AND") => Some("write `and` between the two: age between 30 and 60"),
        _ if what.starts_with("Expected: (") => Some("a list stands in parentheses: age in (30, 40)"),
        _ => sign(found),
    };
    (format!("{what}{at}"), hint)
}

/// What to do where one expression ends and something follows.
pub(super) fn between(token: &str) -> &'static str {
    sign(token).unwrap_or(
        "between values stands a comparison, between conditions `and` or `or`, and what a function takes in parentheses",
    )
}

/// How a sign of other languages, or of a word processor, is written.
fn sign(token: &str) -> Option<&'static str> {
    Some(match token {
        "=>" | "≥" => "write >=",
        "=<" | "≤" => "write <=",
        "≠" => "write <>",
        "‘" | "’" | "“" | "”" | "´" | "`" => "write straight quotes: 'text'",
        "," => "commas stand in the parentheses of a list or a function only",
        _ => return None,
    })
}
