//! What `log.level` may say. The library that filters takes any word for the name of a part of the program, so that a misspelt level would log
//! nothing at all; here a word that is no level is a problem.

use super::{Problem, nearest};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// What is wrong with a filter of the form `LEVEL` or `LEVEL,PART=LEVEL,…`, at `log.level` of `file`.
pub fn log_filter_problem(text: &str, file: &str) -> Option<Problem> {
    let wrong = text.split(',').map(str::trim).find_map(wrong_word)?;
    let problem = Problem::new(file, "log.level", format!("`{}` is not a log level", wrong.escape_debug()));
    Some(
        problem.hint(match nearest(&wrong.to_lowercase(), LEVELS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "one of error, warn, info, debug and trace, for parts of the program too: \"info,bocage_net=debug\""
                    .to_owned()
            }
        }),
    )
}

/// The word of a directive that should be a level and is none.
fn wrong_word(directive: &str) -> Option<&str> {
    let level = match directive.split_once('=') {
        Some((part, level)) if is_part(part) => level,
        _ => directive,
    };
    (!LEVELS.contains(&level)).then_some(level)
}

/// Whether a text names a part of the program, e.g. `bocage_node::agent`.
fn is_part(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_stands_alone_or_for_a_part_of_the_program_and_anything_else_is_named() {
        for right in ["info", "off", "info,bocage_node=debug", "warn, bocage_node::agent=trace"] {
            assert_eq!(log_filter_problem(right, "f"), None, "{right}");
        }
        let wrong = [
            ("inof", "`inof`", "`info`"),
            ("INFO", "`INFO`", "`info`"),
            ("bocage_node", "`bocage_node`", "one of"),
            ("info,bocage_node=loud", "`loud`", "one of"),
            ("info,", "``", "one of"),
            ("info,a b=debug", "`a b=debug`", "one of"),
        ];
        for (text, named, hint) in wrong {
            let problem = log_filter_problem(text, "f").map(|p| p.to_string()).unwrap_or_default();
            assert!(problem.contains(named) && problem.contains(hint), "{text}: {problem}");
        }
    }
}
