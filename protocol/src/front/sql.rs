//! From an expression's text to the parser's own tree, within bounds. What its parts mean is not this module's business.

mod arguments;

use sqlparser::ast::Expr as Sql;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::limits;
use crate::plan::TypeProblem;

pub(super) use arguments::WHERE;

/// Parses one expression.
///
/// # Errors
/// What the parser expected, and where.
pub(super) fn parse(text: &str) -> Result<Sql, TypeProblem> {
    let refuse = |e: String| TypeProblem::new(format!("cannot be read as an expression: {e}"));
    if text.trim().is_empty() {
        return Err(TypeProblem::new("an expression is empty").hint("write one, e.g. age >= 18, or leave its key out"));
    }
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|e| refuse(e.to_string()))?;
    let bulk =
        |t: &Token| matches!(t, Token::Comma | Token::Number(..) | Token::SingleQuotedString(_) | Token::Whitespace(_));
    if tokens.iter().filter(|t| !bulk(&t.token)).count() > 2 * limits::EXPRESSION_NODES {
        return Err(refuse("it is too long".into()));
    }
    if let Some(problem) = unpaired(&tokens) {
        return Err(refuse(problem));
    }
    let tokens = arguments::rewritten(tokens);
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(limits::EXPRESSION_DEPTH).with_tokens_with_locations(tokens);
    let sql =
        parser.parse_expr().map_err(|e| refuse(e.to_string().trim_start_matches("sql parser error: ").to_owned()))?;
    match parser.peek_token().token {
        Token::EOF => Ok(sql),
        other => Err(refuse(format!("unexpected `{other}`"))),
    }
}

/// The bracket that has no partner: the parser would say only where it gave up.
fn unpaired(tokens: &[TokenWithSpan]) -> Option<String> {
    let mut open: Vec<&TokenWithSpan> = Vec::new();
    for token in tokens {
        match token.token {
            Token::LParen => open.push(token),
            Token::RParen if open.pop().is_none() => {
                return Some(format!("the `)` {} closes nothing", place(token)));
            }
            _ => {}
        }
    }
    open.last().map(|token| format!("the `(` {} is not closed: a `)` is missing", place(token)))
}

fn place(token: &TokenWithSpan) -> String {
    match token.span.start.line {
        0 | 1 => format!("at character {}", token.span.start.column),
        line => format!("in line {line}, at character {},", token.span.start.column),
    }
}
