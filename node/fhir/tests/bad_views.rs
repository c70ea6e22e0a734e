//! ViewDefinitions with mistakes: all are told at once, each with its place and what to do.

use bocage_fhir::View;

fn problems(text: &str) -> String {
    View::load(text, "v.json").expect_err(text).to_string()
}

#[test]
fn every_mistake_of_a_view_is_told_at_once_with_its_place() {
    let told = problems(
        r#"{ "resorce": "Patient", "constant": [{ "name": "a" }, { "valueString": "x" }, { "name": "d", "valueDate": 5 }],
        "select": [
            { "column": [{ "name": "9id", "path": "id" }, { "name": "b", "pth": "id" }, { "name": "c", "path": "name.frist()" }] },
            { "forEach": "name", "repeat": ["x"], "column": [{ "name": "c", "path": "%aa" }] },
            { "colum": [] },
            { "unionAll": [{ "column": [{ "name": "e", "path": "a" }] }, { "column": [{ "name": "f", "path": "b" }] }] },
            { "forEach": "name..given", "column": [{ "name": "g", "path": "x", "collection": "yes" }] },
            { "repeat": [], "column": [{ "name": "h", "path": "x" }] }],
        "where": [{ "path": "a = " }, {}] }"#,
    );
    for wanted in [
        "v.json: resorce: unknown key\n  hint: did you mean `resource`?",
        "v.json: resource: must name a type of resource\n  hint: ",
        "v.json: constant[0]: has not one value\n  hint: ",
        "v.json: constant[1]: has no `name`",
        "v.json: constant[2].valueDate: not a kind of value",
        "v.json: select[0].column[0].name: must name the column",
        "v.json: select[0].column[1].pth: unknown key\n  hint: did you mean `path`?",
        "v.json: select[0].column[1].path: is missing",
        "v.json: select[0].column[2].path: character 6: there is no function `frist`\n  hint: did you mean `first`?",
        "v.json: select[1]: has several of `forEach`, `forEachOrNull` and `repeat`",
        "v.json: select[1].column[0].path: character 1: there is no constant `%aa`\n  hint: did you mean `%a`?",
        "v.json: select[2].colum: unknown key\n  hint: did you mean `column`?",
        "v.json: select[2]: has no column",
        "v.json: select[3].unionAll[1]: its columns are not those of the first branch",
        "v.json: select[4].forEach: character 6: a name is wanted here",
        "v.json: select[4].column[0].collection: must be true or false",
        "v.json: select[5].repeat: must have a path at least",
        "v.json: where[0].path: character 5: a path is wanted here",
        "v.json: where[1].path: is missing",
        "v.json: select: column `c` is there twice",
    ] {
        assert!(told.contains(wanted), "{wanted}\nnot in\n{told}");
    }
}

#[test]
fn what_is_no_view_at_all_is_told_too() {
    assert!(problems("{").contains("v.json: line 1, column 1: is no JSON from here on"));
    assert!(problems("[]").contains("must be an object"));
    assert!(
        problems(r#"{"resourceType":"Patient","resource":"Patient","select":5}"#)
            .contains("resourceType: is not \"ViewDefinition\"")
    );
    assert!(problems(r#"{"resource":"Patient","select":5}"#).contains("select: must be a list"));
    let large = format!(r#"{{"description":"{}"}}"#, "x".repeat(2 << 20));
    assert!(problems(&large).contains("larger than"));
}
