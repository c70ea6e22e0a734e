//! What paths yield, and what is said of those that are none.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::evaluate::{Scope, collect};
use super::{Compiler, Constant, Item, PathProblem, Trouble};
use crate::json::{Row, read_row};
use crate::names::Names;
use crate::reference::References;

const PATIENT: &str = r#"{
    "resourceType": "Patient", "id": "p1", "active": true, "gender": "female", "birthDate": "1980-02",
    "_birthDate": { "extension": [{ "url": "http://time", "valueTime": "10:00" }] },
    "name": [
        { "use": "official", "family": "A", "given": ["x", "y"] },
        { "use": "usual", "family": "B", "given": [null, "z"] }
    ],
    "multipleBirthInteger": 2, "weight": 70.50, "height": [[1, 2]], "link": [{ "other": { "reference": "Patient/p2" } }],
    "contained": [{ "resourceType": "Device", "id": "d1" }, { "resourceType": "Group", "id": "g1" }],
    "telecom": [{ "rank": 1, "period": { "start": "2020-01-01", "end": "2020-01" } }, { "rank": 3 }]
}"#;

fn constants() -> BTreeMap<String, Constant> {
    [
        ("use".to_owned(), Constant::Text("usual".to_owned())),
        ("one".to_owned(), Constant::Number("1".to_owned())),
        ("day".to_owned(), Constant::Moment("1980-03-01".to_owned())),
    ]
    .into()
}

fn compile(path: &str) -> Result<(super::Expr, Names), Vec<PathProblem>> {
    let constants = constants();
    let mut compiler = Compiler { resource: "Patient", constants: &constants, names: Names::default() };
    compiler.path(path, None).map(|expr| (expr, compiler.names))
}

fn yields(path: &str) -> Result<Vec<String>, Trouble> {
    let (expr, names) = compile(path).unwrap_or_else(|problems| panic!("{path}: {problems:?}"));
    let Ok(Row::Wanted(value)) = read_row(PATIENT, "Patient", &names) else { panic!("no patient") };
    let (references, unresolved) = (References::default(), Cell::new(0));
    let scope = Scope {
        this: Item::Node(&value),
        resource: &value,
        key: None,
        row_index: 4,
        references: &references,
        unresolved: &unresolved,
    };
    let items = collect(&expr, &scope)?;
    items.iter().map(|item| Ok(item.cell()?.unwrap_or_default().into_owned())).collect()
}

fn problem(path: &str) -> String {
    let problems = compile(path).expect_err(path);
    let told = |problem: PathProblem| format!("{} | {}", problem.message, problem.hint.unwrap_or_default());
    problems.into_iter().map(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn paths_yield_what_they_say() {
    let cases: &[(&str, &[&str])] = &[
        ("name.family", &["A", "B"]),
        ("Patient.name.given", &["x", "y", "z"]),
        ("name[1].family", &["B"]),
        ("name[%one].family", &["B"]),
        ("name[9].family", &[]),
        ("name[0 - 1].family", &[]),
        ("name.given.last()", &["z"]),
        ("name.where(use = %use).family", &["B"]),
        ("name.given.where($this = 'x' or $this = 'z')", &["x", "z"]),
        ("name.exists(use = 'old')", &["false"]),
        ("name.count() = 2 and name.given.count() = 3", &["true"]),
        ("(name.family | name.given | 'A').join('+')", &["A+B+x+y+z"]),
        ("(nothing | name.family).first()", &["A"]),
        ("nothing.first().exists().not()", &["true"]),
        ("multipleBirth.exists()", &["true"]),
        ("multipleBirth", &["2"]),
        ("multipleBirth.ofType(boolean)", &[]),
        ("multipleBirth.ofType(integer) + 1", &["3"]),
        ("weight", &["70.50"]),
        ("weight * 2 - 1", &["140"]),
        ("-weight", &["-70.5"]),
        ("weight / 0", &[]),
        ("(1.000000000000000000000000001).highBoundary()", &["1.0000000000000000000000000015"]),
        // Of 28 decimals, the most that there are, the next one cannot be written.
        ("(1.0000000000000000000000000001).highBoundary()", &[]),
        ("(0.0000000000000000000000000001).lowBoundary()", &[]),
        ("1 + 2 * 3", &["7"]),
        ("(1 + 2) * 3 = 9.0", &["true"]),
        ("active", &["true"]),
        ("active and nothing", &[]),
        ("active or nothing", &["true"]),
        ("nothing and active = false", &["false"]),
        ("nothing = 1", &[]),
        ("name.family = 'A'", &["false"]),
        ("gender != 'male'", &["true"]),
        ("birthDate < %day", &["true"]),
        ("birthDate = @1980-02-01", &[]),
        ("birthDate < @1980-02-02", &[]),
        ("birthDate != @1980-03", &["true"]),
        ("telecom.first().period.start > @2019", &["true"]),
        ("telecom.where(rank > 1).rank", &["3"]),
        ("birthDate.highBoundary()", &["1980-02-29"]),
        ("birthDate.extension('http://time').value.ofType(time)", &["10:00"]),
        ("getResourceKey()", &["p1"]),
        ("link.other.getReferenceKey()", &["p2"]),
        ("link.other.getReferenceKey(Group)", &[]),
        ("contained.ofType(Device).getResourceKey()", &["d1"]),
        ("%resource.id", &["p1"]),
        ("%rowIndex + 1", &["5"]),
        ("`name`.`family`.first()", &["A"]),
        (r"'it\'s'", &["it's"]),
    ];
    for (path, wanted) in cases {
        assert_eq!(
            yields(path).as_deref(),
            Ok(&wanted.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..]),
            "{path}"
        );
    }
}

#[test]
fn what_does_not_fit_a_path_is_told_apart() {
    let cases = [
        ("name", Trouble::NotScalar),
        ("name = name", Trouble::NotScalar),
        ("height", Trouble::ArrayInArray),
        ("gender and true", Trouble::NotBoolean),
        ("name.where(family)", Trouble::NotBoolean),
        ("name.family > 'A'", Trouble::Several),
        ("name.family + 'A'", Trouble::Several),
        ("gender + 1", Trouble::Unlike),
        ("gender > 1", Trouble::Unlike),
        ("active > false", Trouble::Unlike),
    ];
    for (path, wanted) in cases {
        assert_eq!(yields(path), Err(wanted), "{path}");
    }
}

#[test]
fn a_path_that_is_none_is_told_where_and_why() {
    let cases = [
        ("", "character 1: a path is wanted here"),
        ("@@", "character 1: `@` begins a date or time | e.g. @2020-01-31"),
        ("name.", "character 6: a name is wanted here"),
        ("name..family", "character 6: a name is wanted here"),
        ("name.where(use = 'x'", "character 21: `,` is wanted here"),
        ("name family", "character 6: `family` is not expected here"),
        ("name[0", "character 7: `]` is wanted here"),
        ("'open", "character 1: a text that has no end"),
        ("name.wher(true)", "character 6: there is no function `wher` | did you mean `where`?"),
        ("name.first(1)", "character 6: `first` does not take these arguments"),
        ("%usse", "character 1: there is no constant `%usse` | did you mean `%use`?"),
        ("$that", "character 1: of the names with `$` only `$this` is known"),
        ("name & gender", "character 6: a character that begins nothing in a path"),
        ("@2020-13", "`2020-13` is no date or time"),
        ("name.first().ofType(string)", "`ofType(string)` stands behind an element only"),
        ("name.getReferenceKey('Patient')", "`getReferenceKey` wants the name of a type"),
        ("a = %b and c.wher(d = %e)", "there is no constant `%b`"),
    ];
    for (path, wanted) in cases {
        assert!(problem(path).contains(wanted), "{path}: {}", problem(path));
    }
    assert_eq!(problem("a = %b and c.wher(d = %e)").lines().count(), 3, "all problems at once");
}

#[test]
fn paths_without_end_are_refused_before_they_exhaust_the_stack() {
    assert!(problem(&"(".repeat(100)).contains("nested more than 50 deep"));
    assert!(problem(&format!("a{}", ".a".repeat(200))).contains("more than 100 steps"));
    assert!(problem(&format!("1{}", " + 1".repeat(200))).contains("more than 100 operands"));
    assert!(problem(&format!("a{}", ".where(a".repeat(100))).contains("nested more than 50 deep"));
    assert!(problem(&"(".repeat(10_000)).contains("a path of more than 1000 parts"));
    // The deepest that is let through.
    let deep = format!("{}a{}", format!("{}.where(", "a".to_owned() + &".a".repeat(8)).repeat(45), ")".repeat(45));
    assert_eq!(yields(&deep), Ok(vec![]));
}
