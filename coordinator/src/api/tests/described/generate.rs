//! Requests, sound and otherwise, from an OpenAPI document alone.

use proptest::prelude::*;
use proptest::strategy::{BoxedStrategy, Union};
use proptest::string::string_regex;
use serde_json::{Map, Value};

/// What a client may have learnt elsewhere: without it no request would find anything.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Of studies.
    pub ids: Vec<String>,
    /// Of all else.
    pub others: Vec<String>,
    /// Whole bodies.
    pub bodies: Vec<Vec<u8>>,
}

/// One method of one path.
pub(super) struct Operation {
    pub method: &'static str,
    path: String,
    pub described: Value,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub path: String,
    pub body: Vec<u8>,
}

impl Operation {
    /// All that the document has.
    pub fn all(document: &Value) -> Vec<Self> {
        let methods = [("get", "GET"), ("post", "POST"), ("put", "PUT"), ("delete", "DELETE")];
        let paths = document["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, item)| {
                methods.iter().filter_map(move |(key, method)| {
                    Some(Operation { method, path: path.clone(), described: item.get(key)?.clone() })
                })
            })
            .collect()
    }

    /// Requests of it.
    pub fn requests(&self, known: &Known) -> BoxedStrategy<Sent> {
        let mut path = Just(self.path.clone()).boxed();
        let mut query = Just(String::new()).boxed();
        for parameter in self.described["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap().to_owned();
            let value = parameter_value(&parameter["schema"], known);
            if parameter["in"] == "path" {
                path = (path, value).prop_map(move |(path, v)| path.replace(&format!("{{{name}}}"), &v)).boxed();
            } else {
                let given = (query, value, any::<bool>());
                query = given.prop_map(move |(q, v, is)| if is { format!("{q}&{name}={v}") } else { q }).boxed();
            }
        }
        let body = self.bodies(known);
        (path, query, body).prop_map(|(path, query, body)| Sent { path: format!("{path}?{query}"), body }).boxed()
    }

    fn bodies(&self, known: &Known) -> BoxedStrategy<Vec<u8>> {
        let schema = &self.described["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            return Just(Vec::new()).boxed();
        }
        let sound = value(schema, known).prop_map(|value| serde_json::to_vec(&value).unwrap());
        let lacking = value(schema, known).prop_map(|mut value| {
            if let Some(object) = value.as_object_mut() {
                let first = object.keys().next().cloned();
                first.map(|key| object.remove(&key));
            }
            serde_json::to_vec(&value).unwrap()
        });
        let garbage = proptest::collection::vec(any::<u8>(), 0..60);
        prop_oneof![4 => sound, 2 => prop::sample::select(known.bodies.clone()), 1 => lacking, 1 => garbage].boxed()
    }
}

/// A parameter's text: sound and known, sound, or anything that a URL can carry.
fn parameter_value(schema: &Value, known: &Known) -> BoxedStrategy<String> {
    let text = value(schema, known).prop_map(|value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    });
    prop_oneof![4 => text, 1 => "[A-Za-z0-9._~-]{1,20}", 1 => "(%[0-9a-f]{2}){1,5}"].boxed()
}

/// Values of a schema, as far as our schemas go.
fn value(schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    for key in ["anyOf", "oneOf"] {
        if let Some(ways) = schema[key].as_array() {
            return Union::new(ways.iter().map(|way| value(way, known))).boxed();
        }
    }
    if let Some(only) = schema.get("const") {
        return Just(only.clone()).boxed();
    }
    if let Some(words) = schema["enum"].as_array() {
        return prop::sample::select(words.clone()).boxed();
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec!["object"],
    };
    Union::new(types.into_iter().map(|kind| of_type(kind, schema, known))).boxed()
}

fn of_type(kind: &str, schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    match kind {
        "null" => Just(Value::Null).boxed(),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "integer" => {
            let (least, most) =
                (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64().unwrap_or(u64::MAX));
            (least..=most).prop_map(Value::from).boxed()
        }
        "string" => text(schema, known),
        "array" => {
            let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
            proptest::collection::vec(value(&schema["items"], known), least..least + 3).prop_map(Value::from).boxed()
        }
        _ => {
            let mut all = Just(Map::new()).boxed();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let name = name.clone();
                let with = (all, value(schema, known));
                all = with
                    .prop_map(move |(mut map, value)| {
                        map.insert(name.clone(), value);
                        map
                    })
                    .boxed();
            }
            all.prop_map(Value::Object).boxed()
        }
    }
}

fn text(schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    let Some(pattern) = schema["pattern"].as_str() else {
        return prop_oneof![Just("all".to_owned()), Just("read".to_owned()), ".{0,20}"].prop_map(Value::from).boxed();
    };
    let form = jsonschema::draft202012::new(schema).unwrap();
    let fits = |text: &&String| form.is_valid(&Value::String((*text).clone()));
    let learnt: Vec<_> = known.ids.iter().chain(&known.others).filter(fits).cloned().collect();
    let bare = pattern.trim_start_matches('^').trim_end_matches('$');
    let made = string_regex(bare).unwrap().boxed();
    if learnt.is_empty() {
        return made.prop_map(Value::from).boxed();
    }
    prop_oneof![3 => prop::sample::select(learnt), 1 => made].prop_map(Value::from).boxed()
}
