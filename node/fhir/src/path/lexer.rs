//! A path cut into tokens.

use super::PathProblem;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name; `true` where it stood in backticks, so that it is no keyword.
    Ident(String, bool),
    /// `'text'`.
    Text(String),
    /// `12` or `1.5`.
    Number(String),
    /// `@2020-01-01`, `@T12:00`: what stands behind `@` and `@T`.
    Moment(String),
    /// `%name`.
    Constant(String),
    /// `$this`.
    This,
    /// An operator or bracket.
    Sign(&'static str),
}

/// The longer ones first.
const SIGNS: [&str; 17] = ["!=", "<=", ">=", ".", ",", "(", ")", "[", "]", "+", "-", "*", "/", "=", "<", ">", "|"];

/// The tokens of a path, each with the position at which it begins.
///
/// # Errors
/// A character or text that is no token.
pub fn tokens(text: &str) -> Result<Vec<(usize, Token)>, PathProblem> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.take(char::is_whitespace);
        let at = lexer.at;
        match lexer.token()? {
            Some(token) => tokens.push((at, token)),
            None => return Ok(tokens),
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, of: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !of(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn token(&mut self) -> Result<Option<Token>, PathProblem> {
        let start = self.at;
        let problem = |message: &str| PathProblem::at(start, message);
        let Some(first) = self.rest().chars().next() else { return Ok(None) };
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
        Ok(Some(match first {
            'a'..='z' | 'A'..='Z' | '_' => Token::Ident(self.take(named).to_owned(), false),
            '`' => Token::Ident(self.quoted('`')?, true),
            '\'' => Token::Text(self.quoted('\'')?),
            '0'..='9' => {
                let digit = |c: char| c.is_ascii_digit();
                self.take(digit);
                // `1.5`, but not the point of `name[0].family`.
                if self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(digit)) {
                    self.at += 1;
                    self.take(digit);
                }
                Token::Number(self.text[start..self.at].to_owned())
            }
            '@' => {
                self.at += 1;
                self.at += usize::from(self.rest().starts_with('T'));
                let moment = self.take(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | 'Z' | '+' | '.'));
                if moment.is_empty() {
                    return Err(problem("`@` begins a date or time").hint("e.g. @2020-01-31 or @T12:00"));
                }
                Token::Moment(moment.to_owned())
            }
            '%' => {
                self.at += 1;
                let name = if self.rest().starts_with('`') { self.quoted('`')? } else { self.take(named).to_owned() };
                if name.is_empty() {
                    return Err(problem("`%` begins the name of a constant").hint("e.g. %rowIndex"));
                }
                Token::Constant(name)
            }
            '$' => {
                self.at += 1;
                match self.take(named) {
                    "this" => Token::This,
                    _ => return Err(problem("of the names with `$` only `$this` is known")),
                }
            }
            _ => {
                let Some(sign) = SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) else {
                    return Err(problem("a character that begins nothing in a path"));
                };
                self.at += sign.len();
                Token::Sign(sign)
            }
        }))
    }

    fn quoted(&mut self, quote: char) -> Result<String, PathProblem> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => {
                    let (_, escaped) = chars.next().unwrap_or((0, ' '));
                    text.push(match escaped {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'f' => '\u{c}',
                        '\'' | '"' | '`' | '\\' | '/' => escaped,
                        _ => return Err(PathProblem::at(start + i, "an escape that is not known")),
                    });
                }
                _ if c == quote => {
                    self.at = start + i + 1;
                    return Ok(text);
                }
                _ => text.push(c),
            }
        }
        Err(PathProblem::at(start, format!("a text that has no end: {quote} is missing")))
    }
}
