//! Tokens to a tree, by the precedence of FHIRPath.

use super::PathProblem;
use super::lexer::{Token, tokens};

/// How deep a path may be nested. Compiling and evaluating recurse.
const DEPTH: usize = bocage_protocol::limits::EXPRESSION_DEPTH;
/// Steps or operands of the same precedence in a row.
const LENGTH: usize = 100;

/// A path as it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Ast {
    /// `$this`, or where a path begins.
    This,
    /// `'text'`.
    Text(String),
    /// `1.5`.
    Number(String),
    /// `@2020`.
    Moment(String),
    /// `true`.
    Bool(bool),
    /// `%name`.
    Constant {
        /// Without `%`.
        name: String,
        /// Where it stands.
        at: usize,
    },
    /// `of.name`.
    Element {
        /// What it is a member of.
        of: Box<Ast>,
        /// Its name.
        name: String,
        /// Where it stands.
        at: usize,
    },
    /// `of.name(arguments)`.
    Call {
        /// What it is called on.
        of: Box<Ast>,
        /// The function.
        name: String,
        /// What it is given.
        arguments: Vec<Ast>,
        /// Where it stands.
        at: usize,
    },
    /// `of[index]`.
    Index {
        /// What it is one of.
        of: Box<Ast>,
        /// Which.
        index: Box<Ast>,
    },
    /// `left operator right`.
    Binary {
        /// What is done.
        operator: Operator,
        /// With this.
        left: Box<Ast>,
        /// And this.
        right: Box<Ast>,
    },
    /// `-of`.
    Negative(Box<Ast>),
}

/// What stands between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Union,
    Plus,
    Minus,
    Times,
    Divided,
}

impl Operator {
    /// The operator, and how tightly it binds.
    fn of(token: &Token) -> Option<(Self, u8)> {
        Some(match token {
            Token::Ident(word, false) if word == "or" => (Self::Or, 1),
            Token::Ident(word, false) if word == "and" => (Self::And, 2),
            Token::Sign("=") => (Self::Equal, 3),
            Token::Sign("!=") => (Self::Unequal, 3),
            Token::Sign("<") => (Self::Less, 4),
            Token::Sign("<=") => (Self::LessOrEqual, 4),
            Token::Sign(">") => (Self::Greater, 4),
            Token::Sign(">=") => (Self::GreaterOrEqual, 4),
            Token::Sign("|") => (Self::Union, 5),
            Token::Sign("+") => (Self::Plus, 6),
            Token::Sign("-") => (Self::Minus, 6),
            Token::Sign("*") => (Self::Times, 7),
            Token::Sign("/") => (Self::Divided, 7),
            _ => return None,
        })
    }
}

/// Parses a path.
///
/// # Errors
/// The first place at which it is none.
pub fn parse(text: &str) -> Result<Ast, PathProblem> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, next: 0, end: text.len() };
    let ast = parser.binary(0, 0)?;
    match parser.peek() {
        None => Ok(ast),
        Some(Token::Ident(word, false)) => Err(parser
            .problem(format!("`{word}` is not expected here"))
            .hint("operators are and, or, =, !=, <, <=, >, >=, |, +, -, *, /")),
        Some(_) => Err(parser.problem("the path ends before this")),
    }
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    end: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn position(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn problem(&self, message: impl std::fmt::Display) -> PathProblem {
        PathProblem::at(self.position(), message)
    }

    fn accept(&mut self, sign: &'static str) -> bool {
        let there = self.peek() == Some(&Token::Sign(sign));
        self.next += usize::from(there);
        there
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), PathProblem> {
        if self.accept(sign) { Ok(()) } else { Err(self.problem(format!("`{sign}` is wanted here"))) }
    }

    fn binary(&mut self, tighter_than: u8, depth: usize) -> Result<Ast, PathProblem> {
        if depth > DEPTH {
            return Err(self.problem(format!("nested more than {DEPTH} deep")));
        }
        let mut left = self.unary(depth)?;
        let mut length = 0;
        while let Some((operator, binds)) = self.peek().and_then(Operator::of).filter(|(_, b)| *b > tighter_than) {
            length += 1;
            if length > LENGTH {
                return Err(self.problem(format!("more than {LENGTH} operands")));
            }
            self.next += 1;
            let right = self.binary(binds, depth + 1)?;
            left = Ast::Binary { operator, left: left.into(), right: right.into() };
        }
        Ok(left)
    }

    fn unary(&mut self, depth: usize) -> Result<Ast, PathProblem> {
        if self.accept("-") {
            return Ok(Ast::Negative(self.steps(depth)?.into()));
        }
        self.accept("+");
        self.steps(depth)
    }

    fn steps(&mut self, depth: usize) -> Result<Ast, PathProblem> {
        let mut ast = self.term(depth)?;
        let mut length = 0;
        loop {
            length += 1;
            if length > LENGTH {
                return Err(self.problem(format!("more than {LENGTH} steps")));
            }
            if self.accept(".") {
                ast = self.step(ast, depth)?;
            } else if self.accept("[") {
                let index = self.binary(0, depth + 1)?.into();
                self.expect("]")?;
                ast = Ast::Index { of: ast.into(), index };
            } else {
                return Ok(ast);
            }
        }
    }

    fn term(&mut self, depth: usize) -> Result<Ast, PathProblem> {
        let at = self.position();
        let Some(token) = self.peek().cloned() else {
            return Err(self.problem("a path is wanted here"));
        };
        let literal = match token {
            Token::Ident(word, false) if word == "true" || word == "false" => Ast::Bool(word == "true"),
            Token::Ident(..) => return self.step(Ast::This, depth),
            Token::Text(text) => Ast::Text(text),
            Token::Number(number) => Ast::Number(number),
            Token::Moment(moment) => Ast::Moment(moment),
            Token::Constant(name) => Ast::Constant { name, at },
            Token::This => Ast::This,
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.binary(0, depth + 1)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign(_) => return Err(self.problem("a path is wanted here")),
        };
        self.next += 1;
        Ok(literal)
    }

    fn step(&mut self, of: Ast, depth: usize) -> Result<Ast, PathProblem> {
        let at = self.position();
        let Some(Token::Ident(name, _)) = self.peek().cloned() else {
            return Err(self.problem("a name is wanted here"));
        };
        self.next += 1;
        let of = of.into();
        if !self.accept("(") {
            return Ok(Ast::Element { of, name, at });
        }
        let mut arguments = Vec::new();
        while !self.accept(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.binary(0, depth + 1)?);
        }
        Ok(Ast::Call { of, name, arguments, at })
    }
}
