//! What the study language adds to SQL, made SQL before it is parsed. Words are added and marked, never moved: the parser's positions stay right.
//!
//! ```text
//! last(lab.value where code in @hba1c, after = index)   ─▶   last(lab.value, where(code in (@hba1c)), after = index)
//! ```

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// What a condition in a call is called once it is an argument. No function has this name: the word is SQL's own.
pub(in crate::front) const WHERE: &str = "where";

/// Makes `where` within a call an argument of its own, puts the lists of `in @name` in brackets, and lets `from = …` be an argument's name.
pub(super) fn rewritten(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // One for each open bracket: whether a condition has begun in it that its end must close.
    let mut open: Vec<bool> = Vec::new();
    let mut after_in = false;
    for (i, token) in tokens.iter().enumerate() {
        let here = |token: Token| TokenWithSpan { token, span: tokens[i].span };
        match &token.token {
            Token::LParen => open.push(false),
            Token::RParen if open.pop() == Some(true) => out.push(here(Token::RParen)),
            Token::Comma => {
                if let Some(condition) = open.last_mut().filter(|condition| **condition) {
                    *condition = false;
                    out.push(here(Token::RParen));
                }
            }
            Token::Word(word) if word.keyword == Keyword::WHERE && open.last() == Some(&false) => {
                open.pop();
                open.push(true);
                out.extend([here(Token::Comma), here(plain(WHERE)), here(Token::LParen)]);
                continue;
            }
            Token::Word(word) if after_in && word.value.starts_with('@') => {
                out.extend([here(Token::LParen), token.clone(), here(Token::RParen)]);
                after_in = false;
                continue;
            }
            Token::Word(word) if word.quote_style.is_none() && !open.is_empty() && names_argument(&tokens[i + 1..]) => {
                out.push(here(plain(&word.value)));
                continue;
            }
            _ => {}
        }
        if !matches!(token.token, Token::Whitespace(_)) {
            after_in = matches!(&token.token, Token::Word(word) if word.keyword == Keyword::IN);
        }
        out.push(token.clone());
    }
    out
}

fn names_argument(rest: &[TokenWithSpan]) -> bool {
    let next = rest.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    next.is_some_and(|token| token.token == Token::Eq)
}

/// A word that is no keyword.
fn plain(text: &str) -> Token {
    Token::Word(Word { value: text.to_owned(), quote_style: None, keyword: Keyword::NoKeyword })
}
