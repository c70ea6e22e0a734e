//! From an expression's text to the parser's own tree, within bounds. What its parts mean is not this module's business.

mod arguments;

use sqlparser::ast::Expr as Sql;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::limits;
use crate::plan::TypeProblem;

pub(super) use arguments::WHERE;

/// Parses one expression.
///
/// # Errors
/// What the parser expected, and where.
pub(super) fn parse(text: &str) -> Result<Sql, TypeProblem> {
    let refuse = |e: String| TypeProblem::new(format!("cannot be read as an expression: {e}"));
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|e| refuse(e.to_string()))?;
    let bulk =
        |t: &Token| matches!(t, Token::Comma | Token::Number(..) | Token::SingleQuotedString(_) | Token::Whitespace(_));
    if tokens.iter().filter(|t| !bulk(&t.token)).count() > 2 * limits::EXPRESSION_NODES {
        return Err(refuse("it is too long".into()));
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
