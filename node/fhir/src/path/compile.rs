//! A parsed path made ready for evaluating: names, constants and functions are looked up here, once.

use std::collections::BTreeMap;

use bocage_protocol::settings::nearest;

use super::choice;
use super::item::decimal;
use super::parser::{Ast, Operator, parse};
use super::{Expr, PathProblem};
use crate::moment::{Moment, Sort};
use crate::names::Names;

/// A constant of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Constant {
    Bool(bool),
    Number(String),
    Text(String),
    Moment(String),
    /// Its definition has a mistake, which was said.
    Unknown,
}

const FUNCTIONS: [&str; 14] = [
    "where",
    "exists",
    "empty",
    "not",
    "first",
    "last",
    "count",
    "join",
    "extension",
    "ofType",
    "getResourceKey",
    "getReferenceKey",
    "lowBoundary",
    "highBoundary",
];

/// Compiles the paths of one view, and gathers the names that they read.
pub struct Compiler<'c> {
    /// The view's resource type, which a path may begin with.
    pub resource: &'c str,
    /// Its constants.
    pub constants: &'c BTreeMap<String, Constant>,
    /// What its paths read.
    pub names: Names,
}

impl Compiler<'_> {
    /// Compiles one path. `wanted` is the type that its column declares.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn path(&mut self, text: &str, wanted: Option<&str>) -> Result<Expr, Vec<PathProblem>> {
        let ast = parse(text).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let mut pass = Pass { compiler: self, wanted, problems: &mut problems };
        let expr = pass.expr(&ast);
        if problems.is_empty() { Ok(expr) } else { Err(problems) }
    }
}

struct Pass<'p, 'c> {
    compiler: &'p mut Compiler<'c>,
    wanted: Option<&'p str>,
    problems: &'p mut Vec<PathProblem>,
}

impl Pass<'_, '_> {
    fn expr(&mut self, ast: &Ast) -> Expr {
        match ast {
            Ast::This => Expr::This,
            Ast::Bool(truth) => Expr::Bool(*truth),
            Ast::Text(text) => Expr::Text(text.clone()),
            Ast::Number(text) => self.number(text),
            Ast::Moment(text) => self.moment(text),
            Ast::Constant { name, at } => self.constant(name, *at),
            Ast::Element { of, name, .. } if **of == Ast::This && name == self.compiler.resource => Expr::This,
            Ast::Element { of, name, .. } => {
                let mut names = vec![self.compiler.names.name(name)];
                names.extend(choice::members(name).map(|member| self.compiler.names.name(&member)));
                Expr::Element(self.boxed(of), names)
            }
            Ast::Call { of, name, arguments, at } => self.call(of, name, arguments, *at),
            Ast::Index { of, index } => Expr::Index(self.boxed(of), self.boxed(index)),
            Ast::Binary { operator, left, right } => Expr::Binary(*operator, self.boxed(left), self.boxed(right)),
            Ast::Negative(of) => Expr::Negative(self.boxed(of)),
        }
    }

    fn boxed(&mut self, ast: &Ast) -> Box<Expr> {
        self.expr(ast).into()
    }

    fn number(&mut self, text: &str) -> Expr {
        decimal(text).map_or_else(|| self.wrong(PathProblem::at(0, "a number out of range")), Expr::Number)
    }

    fn moment(&mut self, text: &str) -> Expr {
        match Moment::parse(text) {
            Some(moment) => Expr::Moment(moment, text.to_owned()),
            None => {
                let problem = PathProblem::at(0, format!("`{text}` is no date or time"));
                self.wrong(problem.hint("e.g. @2020-01-31, @2020-01-31T12:00:00Z, @T12:00"))
            }
        }
    }

    fn constant(&mut self, name: &str, at: usize) -> Expr {
        match (name, self.compiler.constants.get(name)) {
            ("rowIndex", _) => Expr::RowIndex,
            ("resource" | "rootResource" | "context", _) => Expr::Resource,
            (_, Some(Constant::Bool(truth))) => Expr::Bool(*truth),
            (_, Some(Constant::Text(text))) => Expr::Text(text.clone()),
            (_, Some(Constant::Number(text))) => self.number(&text.clone()),
            (_, Some(Constant::Moment(text))) => self.moment(&text.clone()),
            (_, Some(Constant::Unknown)) => Expr::Bool(false),
            (_, None) => {
                let known = self.compiler.constants.keys().map(String::as_str).chain(["rowIndex"]);
                let hint = match nearest(name, known) {
                    Some(near) => format!("did you mean `%{near}`?"),
                    None => "constants are declared by the view: \"constant\": [{ \"name\": …, \"valueString\": … }]"
                        .to_owned(),
                };
                self.wrong(PathProblem::at(at, format!("there is no constant `%{name}`")).hint(hint))
            }
        }
    }

    fn call(&mut self, of: &Ast, name: &str, arguments: &[Ast], at: usize) -> Expr {
        let high = name == "highBoundary";
        match (name, arguments) {
            ("where", [condition]) => Expr::Where(self.boxed(of), self.boxed(condition)),
            ("exists", []) => Expr::Exists(self.boxed(of)),
            ("exists", [condition]) => Expr::Exists(Expr::Where(self.boxed(of), self.boxed(condition)).into()),
            ("empty", []) => Expr::Empty(self.boxed(of)),
            ("not", []) => Expr::Not(self.boxed(of)),
            ("first", []) => Expr::First(self.boxed(of)),
            ("last", []) => Expr::Last(self.boxed(of)),
            ("count", []) => Expr::Count(self.boxed(of)),
            ("join", []) => Expr::Join(self.boxed(of), String::new()),
            ("join", [Ast::Text(between)]) => Expr::Join(self.boxed(of), between.clone()),
            ("extension", [url @ (Ast::Text(_) | Ast::Constant { .. })]) => self.extension(of, url),
            ("getResourceKey", []) => Expr::ResourceKey(self.boxed(of)),
            ("getReferenceKey", []) => Expr::ReferenceKey(self.boxed(of), None),
            ("getReferenceKey" | "ofType", [kind]) => match type_name(kind) {
                Some(kind) if name == "getReferenceKey" => Expr::ReferenceKey(self.boxed(of), Some(kind.to_owned())),
                Some(kind) => self.of_type(of, kind),
                None => {
                    let problem = PathProblem::at(at, format!("`{name}` wants the name of a type"));
                    self.wrong(problem.hint("e.g. value.ofType(Quantity), subject.getReferenceKey(Patient)"))
                }
            },
            ("lowBoundary" | "highBoundary", []) => {
                let sort = self.sort(of);
                Expr::Boundary { of: self.boxed(of), high, sort }
            }
            _ => self.unknown_call(of, name, arguments, at),
        }
    }

    fn unknown_call(&mut self, of: &Ast, name: &str, arguments: &[Ast], at: usize) -> Expr {
        // What is wrong inside is said too.
        self.expr(of);
        for argument in arguments {
            self.expr(argument);
        }
        if FUNCTIONS.contains(&name) {
            return self.wrong(PathProblem::at(at, format!("`{name}` does not take these arguments")));
        }
        let hint = match nearest(name, FUNCTIONS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("functions are {}", FUNCTIONS.join(", ")),
        };
        self.wrong(PathProblem::at(at, format!("there is no function `{name}`")).hint(hint))
    }

    /// `extension('url')` is `extension.where(url = 'url')`. Of a value such as `birthDate`, extensions stand in `_birthDate`.
    fn extension(&mut self, of: &Ast, url: &Ast) -> Expr {
        let with_url = |of: Expr, url: Expr| {
            let own = Expr::Element(Expr::This.into(), vec![Names::URL]);
            let same = Expr::Binary(Operator::Equal, own.into(), url.into());
            Expr::Where(Expr::Element(of.into(), vec![Names::EXTENSION]).into(), same.into())
        };
        let direct = with_url(self.expr(of), self.expr(url));
        let Ast::Element { of: before, name, at } = of else { return direct };
        let beside = Ast::Element { of: before.clone(), name: format!("_{name}"), at: *at };
        if choice::members(name).next().is_some() || name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return direct;
        }
        let beside = with_url(self.expr(&beside), self.expr(url));
        Expr::Both(direct.into(), beside.into())
    }

    fn of_type(&mut self, of: &Ast, kind: &str) -> Expr {
        if !choice::is_datatype(kind) {
            return Expr::OfType(self.boxed(of), kind.to_owned());
        }
        match of {
            Ast::Element { of, name, .. } => {
                let member = self.compiler.names.name(&choice::member(name, kind));
                Expr::Element(self.boxed(of), vec![member])
            }
            _ => {
                let problem = PathProblem::at(0, format!("`ofType({kind})` stands behind an element only"));
                self.wrong(problem.hint("e.g. component.value.ofType(Quantity)"))
            }
        }
    }

    /// Which moment a path yields, as far as it says so: by `ofType`, or by its column's type.
    fn sort(&self, of: &Ast) -> Option<Sort> {
        let said = match of {
            Ast::Call { name, arguments, .. } if name == "ofType" => arguments.first().and_then(type_name),
            _ => None,
        };
        match said.or(self.wanted)? {
            "dateTime" | "instant" => Some(Sort::DateTime),
            "date" => Some(Sort::Date),
            "time" => Some(Sort::Time),
            _ => None,
        }
    }

    fn wrong(&mut self, problem: PathProblem) -> Expr {
        self.problems.push(problem);
        Expr::Bool(false)
    }
}

/// `Quantity`, or `FHIR.Quantity`.
fn type_name(ast: &Ast) -> Option<&str> {
    match ast {
        Ast::Element { of, name, .. } if **of == Ast::This => Some(name),
        Ast::Element { of, name, .. } => matches!(type_name(of), Some("FHIR" | "System")).then_some(name),
        _ => None,
    }
}
