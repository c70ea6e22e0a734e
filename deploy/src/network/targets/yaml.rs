//! YAML in the making: every text is quoted as JSON quotes it, which YAML reads as the same text, so no value becomes syntax.

use std::fmt::Write as _;

/// A value.
#[derive(Debug, Clone)]
pub enum Yaml {
    /// A text, quoted.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Elements, one on a line.
    List(Vec<Yaml>),
    /// Keys of our own with their values, in this order.
    Map(Vec<(String, Yaml)>),
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Yaml {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<T: Into<Yaml>> From<Vec<T>> for Yaml {
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

/// A map of keys of our own.
pub fn map<const N: usize>(pairs: [(&str, Yaml); N]) -> Yaml {
    Yaml::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

impl Yaml {
    /// The document, behind a comment of one or more lines.
    pub fn document(&self, about: &str) -> String {
        let mut text = String::new();
        for line in about.lines() {
            let _ = writeln!(text, "# {line}");
        }
        self.write(&mut text, 0);
        text
    }

    /// Writes a block at this depth; the cursor is at the beginning of a line.
    fn write(&self, text: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        match self {
            Yaml::Map(pairs) => {
                for (key, value) in pairs {
                    let _ = write!(text, "{indent}{key}:");
                    value.behind(text, depth + 1);
                }
            }
            Yaml::List(list) => {
                for value in list {
                    match value {
                        Yaml::Map(pairs) if !pairs.is_empty() => {
                            // The first key stands behind the dash.
                            let mut block = String::new();
                            value.write(&mut block, depth + 1);
                            let _ = write!(text, "{indent}- {}", block.trim_start_matches(' '));
                        }
                        _ => {
                            let _ = write!(text, "{indent}-");
                            value.behind(text, depth + 1);
                        }
                    }
                }
            }
            plain => {
                let _ = writeln!(text, "{indent}{}", plain.scalar());
            }
        }
    }

    fn behind(&self, text: &mut String, depth: usize) {
        match self {
            Yaml::Map(pairs) if !pairs.is_empty() => {
                text.push('\n');
                self.write(text, depth);
            }
            Yaml::List(list) if !list.is_empty() => {
                text.push('\n');
                self.write(text, depth);
            }
            plain => {
                let _ = writeln!(text, " {}", plain.scalar());
            }
        }
    }

    fn scalar(&self) -> String {
        match self {
            // JSON leaves DEL and the separators of lines as they are, which YAML need not print.
            Yaml::Text(text) => serde_json::Value::from(text.as_str())
                .to_string()
                .chars()
                .map(|c| match c {
                    '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => format!("\\u{:04x}", u32::from(c)),
                    c => c.to_string(),
                })
                .collect(),
            Yaml::Flag(flag) => flag.to_string(),
            Yaml::Number(number) => number.to_string(),
            Yaml::List(_) => "[]".to_owned(),
            Yaml::Map(_) => "{}".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_nested_and_every_text_is_quoted() {
        let yaml = map([
            ("a", Yaml::List(vec![map([("x", "1".into()), ("y", vec!["yes", "no: #"].into())]), "b".into()])),
            ("empty", Yaml::Map(Vec::new())),
            ("evil", "x\"\n- y: \u{2028}&a".into()),
        ]);
        let wanted = "# about\na:\n  - x: \"1\"\n    y:\n      - \"yes\"\n      - \"no: #\"\n  - \"b\"\nempty: {}\nevil: \"x\\\"\\n- y: \\u2028&a\"\n";
        assert_eq!(yaml.document("about"), wanted);
    }
}
