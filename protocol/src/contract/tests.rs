//! Rules as they are written, and what differs between two contracts.

use super::*;

const LIVES: &str = r#"
    id = "lives@1"
    title = "Lives"
    subject = "patient"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "born"
    type = "date"
    range = ["1900-01-01", "2030-12-31"]
    required = true
    [[column]]
    name = "died"
    type = "date"
    range = ["1900-01-01", "2030-12-31"]
    [[column]]
    name = "weight"
    type = "float"
    unit = "kg"
    range = [0, 500]
    groupings = [{ name = "heavy", breaks = [100] }]
    [[column]]
    name = "sex"
    type = "code"
    system = "iso5218"
    codes = [{ code = "1", label = "male" }, { code = "2", label = "female" }]
"#;

const RULES: &str = r#"
    [[rule]]
    name = "born_first"
    check = "born <= died"
    on_fail = "null"
    column = "died"
    [[rule]]
    name = "future"
    kind = "future_date"
    [[rule]]
    name = "twice"
    kind = "duplicate"
    columns = ["patient", "born"]
    on_fail = "reject"
"#;

fn lives() -> Contract {
    parse(LIVES, "lives.toml").unwrap()
}

fn problems(rules: &str) -> String {
    parse(&format!("{LIVES}\n{rules}"), "lives.toml").unwrap_err().to_string()
}

#[test]
fn a_contract_without_rules_has_the_hash_that_it_had_before_there_were_rules() {
    let text = "id = \"heart@1\"\nsubject = \"row\"\n[[column]]\nname = \"age\"\ntype = \"int\"\nrange = [0, 120]\n";
    let json = crate::trust::canonical(&parse(text, "heart.toml").unwrap()).unwrap();
    let wanted = r#"{"columns":[{"groupings":[],"invalid":"null","kind":{"int":{"hi":120,"lo":0}},"label":"age","name":"age","required":false,"unit":null}],"id":"heart@1","one_row_per_subject":false,"subject":"row","title":""}"#;
    assert_eq!(String::from_utf8(json).unwrap(), wanted);
}

#[test]
fn rules_are_part_of_a_contract_s_hash_whatever_their_spelling() {
    let with = parse(&format!("{LIVES}\n{RULES}"), "lives.toml").unwrap();
    let spaced = RULES.replace("born <= died", "(born)  <=  died");
    assert_ne!(with.hash(), lives().hash());
    assert_eq!(parse(&format!("{LIVES}\n{spaced}"), "other.toml").unwrap(), with);
    let milder = RULES.replace("reject", "keep");
    assert_ne!(parse(&format!("{LIVES}\n{milder}"), "lives.toml").unwrap().hash(), with.hash());
    let said: Vec<String> = with.rules().iter().map(|r| format!("{}: {} ({})", r.name, r.check, r.on_fail)).collect();
    let wanted = [
        "born_first: born <= died (null)",
        "future: no date in the future: born, died (keep)",
        "twice: unique together: patient, born (reject)",
    ];
    assert_eq!(said, wanted);
}

#[test]
fn everything_that_is_wrong_with_rules_is_said_at_once_with_its_place() {
    let cases = [
        (
            "name = \"a\"\ncheck = \"born < died\"\nkind = \"duplicate\"",
            "rule[0] (a): a rule has a `check` or a `kind`",
        ),
        ("name = \"A\"\ncheck = \"born < died\"", "rule[0] (A).name: not a valid rule name"),
        (
            "name = \"a\"\ncheck = \"born < dead\"",
            "rule[0] (a).check: unknown column `dead`\n  hint: did you mean `died`?",
        ),
        ("name = \"a\"\ncheck = \"weight\"", "rule[0] (a).check: expected a condition, found a number"),
        ("name = \"a\"\ncheck = \"born <\"", "rule[0] (a).check: cannot be read as an expression"),
        ("name = \"a\"\ncheck = \"1 < 2\"", "rule[0] (a).check: it reads no column"),
        ("name = \"a\"\ncheck = \"patient = 'x'\"", "rule[0] (a).check: `patient` names the patient"),
        (
            "name = \"a\"\ncheck = \"born < died\"\non_fail = \"warn\"",
            "rule[0] (a).on_fail: unknown consequence `warn`\n  hint: \"reject\"",
        ),
        (
            "name = \"a\"\ncheck = \"born < died\"\non_fail = \"null\"",
            "rule[0] (a).on_fail: without `column` there is no value",
        ),
        (
            "name = \"a\"\ncheck = \"born < died\"\non_fail = \"null\"\ncolumn = \"born\"",
            "rule[0] (a).on_fail: `born` is required, so it cannot be left out",
        ),
        (
            "name = \"a\"\ncheck = \"born < died\"\ncolumn = \"dide\"",
            "rule[0] (a).column: there is no column `dide`\n  hint: did you mean `died`?",
        ),
        (
            "name = \"a\"\ncheck = \"born < died\"\ncolumns = [\"died\"]",
            "rule[0] (a).columns: a rule of this kind has no such key",
        ),
        ("name = \"a\"\nchek = \"born < died\"", "rule[0] (a).chek: unknown key\n  hint: did you mean `check`?"),
        (
            "name = \"a\"\nkind = \"duplicates\"\ncolumns = [\"born\"]",
            "rule[0] (a).kind: unknown kind of rule `duplicates`\n  hint: did you mean `duplicate`?",
        ),
        ("name = \"a\"\nkind = \"duplicate\"", "rule[0] (a).columns: needed: which values no two rows share"),
        (
            "name = \"a\"\nkind = \"duplicate\"\ncolumns = [\"born\"]\non_fail = \"null\"",
            "rule[0] (a).on_fail: a row that repeats another",
        ),
        (
            "name = \"a\"\nkind = \"future_date\"\ncolumns = [\"weight\"]",
            "rule[0] (a).columns: `weight` is of type float, neither date nor datetime",
        ),
        ("name = \"a\"\nkind = \"future_date\"\non_fail = \"null\"", "rule[0] (a).on_fail: `born` is required"),
        (
            "name = \"a\"\nkind = \"before_birth\"\nborn = \"people\"",
            "rule[0] (a).column: needed: the column that is looked at\n  hint: e.g. column = \"date\"",
        ),
        (
            "name = \"a\"\nkind = \"before_birth\"\ncolumn = \"died\"",
            "rule[0] (a).born: needed: the dataset that has the birth\n  hint: the name of its contract",
        ),
        (
            "name = \"a\"\nkind = \"before_birth\"\ncolumn = \"died\"\nborn = \"people@2\"",
            "rule[0] (a).born: `people@2` is no name of a dataset\n  hint: without the version: born = \"people\"",
        ),
        (
            "name = \"a\"\nkind = \"before_birth\"\ncolumn = \"died\"\nborn = \"lives\"",
            "rule[0] (a).born: `lives` is this contract\n  hint: write a `check`",
        ),
        (
            "name = \"a\"\nkind = \"before_birth\"\ncolumn = \"weight\"\nborn = \"people\"",
            "rule[0] (a).column: `weight` is of type float, neither date nor datetime",
        ),
        (
            "name = \"a\"\nkind = \"before_birth\"\ncolumns = [\"died\"]\nborn = \"people\"",
            "rule[0] (a).columns: a rule of this kind has no such key",
        ),
        (
            "name = \"a\"\nkind = \"before_birth\"\ncolumn = \"born\"\nborn = \"people\"\non_fail = \"null\"",
            "rule[0] (a).on_fail: `born` is required, so it cannot be left out",
        ),
        (
            "name = \"a\"\nkind = \"dangling\"\ncolumn = \"sex\"",
            "rule[0] (a).column: `sex` refers to no dataset\n  hint: say to whose rows by `references`",
        ),
        (
            "name = \"a\"\nkind = \"dangling\"\ncolumn = \"sex\"\nborn = \"people\"",
            "rule[0] (a).born: a rule of this kind has no such key",
        ),
        (
            "name = \"a\"\nkind = \"dangling\"\ncolumn = \"sax\"",
            "rule[0] (a).column: there is no column `sax`\n  hint: did you mean `sex`?",
        ),
    ];
    for (rule, wanted) in cases {
        let text = problems(&format!("[[rule]]\n{rule}"));
        assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
    }
    let all: String = cases.iter().take(4).map(|(rule, _)| format!("[[rule]]\n{rule}\n")).collect();
    let told = problems(&all);
    let lines: Vec<&str> = told.lines().filter(|line| line.contains(", rule[")).collect();
    assert!(lines.len() == 4 && lines.iter().all(|line| line.starts_with("lives.toml: line ")), "{told}");
    let same = "[[rule]]\nname = \"a\"\ncheck = \"born < died\"\n".repeat(2);
    assert!(problems(&same).contains("rule: `a` is declared twice"));
    let many: String =
        (0..=limits()).map(|i| format!("[[rule]]\nname = \"r{i}\"\ncheck = \"born < died\"\n")).collect();
    assert!(problems(&many).contains("rule: a contract has at most 200 rules"));
}

fn limits() -> usize {
    crate::limits::RULES
}

/// What changes when this of the text is written so.
fn change(from: &str, to: &str) -> Vec<(String, bool)> {
    let text = format!("{LIVES}\n{RULES}");
    assert!(text.contains(from), "{from}");
    let (was, is) = (parse(&text, "a").unwrap(), parse(&text.replacen(from, to, 1), "b").unwrap());
    changes(&was, &is).iter().map(|change| (change.to_string(), change.breaking)).collect()
}

#[test]
fn each_kind_of_difference_is_told_with_whether_it_breaks_something() {
    let one = |from, to| {
        let found = change(from, to);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    let said = |text: &str, breaking| (text.to_owned(), breaking);
    assert_eq!(change("\"lives@1\"", "\"lives@2\""), []);
    assert_eq!(one("[0, 500]", "[0, 600]"), said("weight.range widened: 0 to 500, now 0 to 600", false));
    assert_eq!(one("[0, 500]", "[0, 400.5]"), said("weight.range narrowed: 0 to 500, now 0 to 400.5", true));
    assert_eq!(one("[0, 500]", "[1, 600]"), said("weight.range moved: 0 to 500, now 1 to 600", true));
    let wider = "[\"1900-01-01\", \"2040-12-31\"]\n    required";
    let wanted = said("born.range widened: 1900-01-01 to 2030-12-31, now 1900-01-01 to 2040-12-31", false);
    assert_eq!(one("[\"1900-01-01\", \"2030-12-31\"]\n    required", wider), wanted);
    assert_eq!(one("unit = \"kg\"", "unit = \"g\""), said("weight.unit: kg before, now g", true));
    assert_eq!(one("unit = \"kg\"", ""), said("weight.unit: kg before, now none", true));
    assert_eq!(one("\"iso5218\"", "\"local\""), said("sex.system: iso5218 before, now local", true));
    assert_eq!(one("label = \"male\"", "label = \"man\""), said("sex.codes.1: male before, now man", false));
    assert_eq!(
        one("{ code = \"2\", label = \"female\" }", "{ code = \"2\", label = \"female\" }, { code = \"9\" }"),
        said("sex.codes widened: also 9", false)
    );
    assert_eq!(one("{ code = \"1\", label = \"male\" }, ", ""), said("sex.codes narrowed: no longer 1", true));
    assert_eq!(one("breaks = [100]", "breaks = [120]"), said("weight.groupings.heavy: 100 before, now 120", true));
    assert_eq!(
        one("subject = \"patient\"", "one_row_per_subject = true\nsubject = \"patient\""),
        said("rows: several a patient before, now one a patient", true)
    );
    assert_eq!(one("title = \"Lives\"", "title = \"All lives\""), said("title: Lives before, now All lives", false));
    assert_eq!(
        one("born <= died", "born < died"),
        said("rule.born_first: born <= died (null) before, now born < died (null)", false)
    );
    // Of several values of one time another one is meant.
    let ordered = change("subject = \"patient\"", "time = \"born\"\norder = \"died\"\nsubject = \"patient\"");
    assert_eq!(ordered, [said("time: none before, now born", false), said("order: none before, now died", true)]);
    let required = change("    required = true\n", "");
    assert_eq!(required, [said("born.required: required before, now optional", false)]);
    let removed = change("    [[column]]\n    name = \"weight\"", "    [[column]]\n    name = \"mass\"");
    assert_eq!(removed, [said("weight removed: float in kg", true), said("mass added: float in kg", false)]);
}

#[test]
fn a_column_of_another_type_is_said_to_be_that_and_nothing_of_its_range() {
    let int = "type = \"int\"\n    unit = \"kg\"\n    range = [0, 500]";
    let found = change("type = \"float\"\n    unit = \"kg\"\n    range = [0, 500]", int);
    assert_eq!(found, [("weight.type: float before, now int".to_owned(), true)]);
}

const STAYS: &str = r#"
    id = "stays@1"
    subject = "patient"
    key = "stay"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "stay"
    type = "text"
    [[column]]
    name = "before"
    type = "text"
    references = "stays"
    [[column]]
    name = "born"
    type = "date"
    range = ["1900-01-01", "2030-12-31"]
    precision = "month"
    [[rule]]
    name = "twice"
    kind = "duplicate"
    columns = ["patient", "stay"]
"#;

#[test]
fn a_contract_names_rows_and_says_how_coarse_a_date_may_be() {
    let contract = parse(STAYS, "stays.toml").unwrap();
    assert_eq!(contract.key().map(ColumnName::as_str), Some("stay"));
    assert_eq!(contract.references_to("stays").map(|column| column.name.as_str()).collect::<Vec<_>>(), ["before"]);
    let readable = |name: &str| contract.can_be_read(name);
    assert_eq!(["patient", "stay", "before", "born"].map(readable), [false, false, false, true]);
    assert_eq!(contract.column("born").unwrap().precision, Some(Precision::Month));
    let day = parse(&STAYS.replace("\"month\"", "\"day\""), "stays.toml").unwrap();
    let none = parse(&STAYS.replace("precision = \"month\"", ""), "stays.toml").unwrap();
    assert_eq!(day.hash(), none.hash());
    assert_ne!(day.hash(), contract.hash());
    let found = |other: &Contract| changes(&contract, other).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(found(&day), ["born.precision: month before, now none"]);
    let plain = parse(&STAYS.replace("references = \"stays\"", ""), "stays.toml").unwrap();
    assert_eq!(found(&plain), ["before.references: stays before, now none"]);
}

#[test]
fn a_rule_may_look_into_another_dataset_that_it_names_without_a_version() {
    let rules = "[[rule]]\nname = \"lived\"\nkind = \"before_birth\"\ncolumn = \"born\"\nborn = \"people\"\non_fail = \"null\"\n\
                 [[rule]]\nname = \"there\"\nkind = \"dangling\"\ncolumn = \"before\"\non_fail = \"reject\"\n";
    let text = format!("{}{rules}", STAYS.replace("references = \"stays\"", "references = \"wards\""));
    let contract = parse(&text, "stays.toml").unwrap();
    assert_eq!(contract.looks_into().collect::<Vec<_>>(), ["people", "wards"]);
    let said: Vec<String> =
        contract.rules()[1..].iter().map(|rule| format!("{} ({})", rule.check, rule.on_fail)).collect();
    assert_eq!(
        said,
        ["not before the birth in people: born (null)", "leads to a row of the patient in wards: before (reject)"]
    );
    assert_eq!(contract.rules()[1].at_fault().iter().map(ColumnName::as_str).collect::<Vec<_>>(), ["born"]);
    assert_eq!(lives().looks_into().count(), 0);
    let people =
        parse(&LIVES.replace("subject = \"patient\"", "subject = \"patient\"\nbirth = \"born\""), "lives.toml")
            .unwrap();
    let looks_for = |rule: usize, other| contract.rules()[rule].check.looks_for(other).map(ColumnName::as_str);
    assert_eq!(
        [looks_for(1, &people), looks_for(2, &people), looks_for(2, &contract)],
        [Some("born"), None, Some("stay")]
    );
    let own = parse(&format!("{STAYS}{rules}"), "stays.toml").unwrap_err().to_string();
    assert!(own.contains("rule[2] (there).column: `before` refers to rows of its own dataset"), "{own}");
    let row = LIVES.replace("subject = \"patient\"", "subject = \"row\"");
    let row = format!("{row}\n[[rule]]\nname = \"a\"\nkind = \"before_birth\"\ncolumn = \"died\"\nborn = \"people\"\n");
    let row = parse(&row, "lives.toml").unwrap_err().to_string();
    assert!(row.contains("rule[0] (a): a contract whose rows are patients has no patient who is known"), "{row}");
}

#[test]
fn what_is_wrong_with_names_of_rows_and_with_a_precision_is_said_with_a_hint() {
    let said = |from: &str, to: &str| parse(&STAYS.replace(from, to), "stays.toml").unwrap_err().to_string();
    for (from, to, wanted) in [
        ("key = \"stay\"", "key = \"stai\"", "key: there is no column `stai`\n  hint: did you mean `stay`?"),
        ("key = \"stay\"", "key = \"born\"", "key: `born` is of type date\n  hint: a key is of type text or int"),
        ("key = \"stay\"", "key = \"patient\"", "key: `patient` names the patient"),
        ("key = \"stay\"", "key = \"before\"", "column (before).references: `before` is the key of these rows already"),
        (
            "\"patient\", \"stay\"]",
            "\"stay\", \"born\"]",
            "key: no rule says what becomes of a second row of one `stay`\n  hint: add a [[rule]] with kind = \"duplicate\"",
        ),
        (
            "references = \"stays\"",
            "references = \"stays@1\"",
            "column[2] (before).references: `stays@1` is no name of a dataset\n  hint: without the version: references = \"stays\"",
        ),
        (
            "references = \"stays\"",
            "references = \"Stays!\"",
            "`Stays!` is no name of a dataset\n  hint: the name of its contract",
        ),
        (
            "precision = \"month\"",
            "references = \"stays\"",
            "column[3] (born).references: a column of type date refers to nothing",
        ),
        (
            "\"month\"",
            "\"week\"",
            "column[3] (born).precision: unknown precision `week`\n  hint: \"day\", \"month\" or \"year\"",
        ),
        (
            "references = \"stays\"",
            "precision = \"year\"",
            "column[2] (before).precision: a column of type text has no precision",
        ),
    ] {
        let found = said(from, to);
        assert!(found.contains(wanted), "{wanted}\nnot in\n{found}");
    }
    let rows = said("subject = \"patient\"", "subject = \"row\"");
    assert!(rows.contains("key: a contract whose rows are patients has no other rows to tell apart"), "{rows}");
}
