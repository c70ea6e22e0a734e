//! What is read, held to what serde_json reads.

use super::*;
use proptest::prelude::*;

fn names() -> Names {
    let mut names = Names::default();
    for name in ["a", "b", "ab"] {
        names.name(name);
    }
    names
}

fn row(text: &str) -> Result<Row<'_>, Malformed> {
    read_row(text, "Patient", &names())
}

#[test]
fn numbers_keep_their_text_and_strings_lose_their_escapes() {
    let names = names();
    let value = read(r#" {"a": [1.00, -2E+3, true, null], "x": {"a": 5}, "b": "\u00e9\n\"" } "#, &names).unwrap();
    let Value::Object(members) = value else { panic!() };
    assert_eq!(
        members[0].1,
        Value::Array(vec![Value::Number("1.00"), Value::Number("-2E+3"), Value::Bool(true), Value::Null])
    );
    assert_eq!(members[1].1.text(), Some("é\n\""));
    assert_eq!(members.len(), 2);
}

#[test]
fn a_key_may_be_written_with_escapes() {
    let value = read(r#"{"\u0061": 1}"#, &names()).unwrap();
    assert_eq!(value, Value::Object(vec![(names().find("a").unwrap(), Value::Number("1"))]));
}

#[test]
fn a_row_of_another_type_is_left_as_soon_as_that_is_plain() {
    assert_eq!(row(r#"{"resourceType":"Device", and so on"#), Ok(Row::Other("Device".into())));
    assert!(matches!(row(r#"{"id":"1","resourceType":"Patient"}"#), Ok(Row::Wanted(_))));
    for typeless in ["{}", "[]", "5", r#"{"id":"1"}"#, r#"{"resourceType":5}"#] {
        assert_eq!(row(typeless), Ok(Row::Typeless), "{typeless}");
    }
}

#[test]
fn each_kind_of_damage_has_its_name() {
    let bad = [
        (r#"{"resourceType":"Patient","id":"1"#, Malformed::CutShort),
        (r#"{"resourceType":"Patient"} {}"#, Malformed::Trailing),
        (r#"{"resourceType":"Patient","a":1,"a":2}"#, Malformed::Twice),
        (r#"{"resourceType":"Patient",}"#, Malformed::Syntax),
        ("{\"resourceType\":\"Patient\",\"x\":\"\t\"}", Malformed::Syntax),
        (r#"{"resourceType":"Patient","a":"\ud800"}"#, Malformed::Syntax),
        (r#"{"resourceType":"Patient","a":01}"#, Malformed::Syntax),
        ("", Malformed::CutShort),
    ];
    for (text, wanted) in bad {
        assert_eq!(row(text), Err(wanted), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(row(&deep), Err(Malformed::TooDeep));
    assert_eq!(row(&format!(r#"{{"a":{deep}}}"#)), Err(Malformed::TooDeep));
}

/// Texts near JSON: pieces of it in any order find more than random bytes.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"b\"",
        "\"x\"",
        "1",
        "-0",
        "1.5",
        "1e5",
        "0",
        ".",
        "e",
        "-",
        "true",
        "false",
        "null",
        "tru",
        " ",
        "\n",
        "\\",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\n",
        "é",
        "\u{1}",
        "\"a\":1",
        "{\"b\":[1,2]}",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|i| json!(i)),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| json!(x)),
        any::<String>().prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop::sample::select(vec!["a", "b", "ab", "x", "long enough to be found by memchr \""]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn agrees(ours: &Value<'_>, theirs: &serde_json::Value, names: &Names) -> bool {
    match (ours, theirs) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
        (Value::Number(a), serde_json::Value::Number(b)) => *a == b.to_string(),
        (Value::Text(a), serde_json::Value::String(b)) => a == b,
        (Value::Array(a), serde_json::Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b, names))
        }
        (Value::Object(a), serde_json::Value::Object(b)) => {
            let known: Vec<_> = b.iter().filter_map(|(key, value)| Some((names.find(key)?, value))).collect();
            a.len() == known.len() && a.iter().zip(known).all(|((n, a), (m, b))| *n == m && agrees(a, b, names))
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn it_takes_what_serde_json_takes(text in nearly_json()) {
        let ours = read(&text, &names());
        // One more than the grammar asks for, and only for names that are read.
        prop_assume!(ours != Err(Malformed::Twice));
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        // An escape in what is skipped is checked for its form; its half pairs of surrogates are nobody's.
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
    }

    #[test]
    fn what_it_keeps_is_what_serde_json_reads(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let names = names();
        let ours = read(&text, &names).unwrap();
        prop_assert!(agrees(&ours, &value, &names), "{text}");
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        drop(read(&text, &names()));
    }
}
