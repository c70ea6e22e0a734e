//! The description of the interface as an OpenAPI 3.1 document, derived from the routes and from the types that they read and write.

use axum::http::StatusCode;
use schemars::generate::{Contract, SchemaSettings};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::call::{BodyPart, PathPart, QueryPart};
use super::route::{Route, refusals};
use super::types::ProblemJson;

/// The forms of what a route takes and gives.
pub(crate) struct Shape {
    path: Option<Schema>,
    query: Option<Schema>,
    body: Option<Schema>,
    statuses: &'static [StatusCode],
    media: &'static str,
    answer: Schema,
}

/// Where forms are collected: answers refer to each other's parts by name, requests stand as a whole.
pub(crate) struct Shapes {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Shapes {
    fn new() -> Self {
        let settings = |contract: Contract, inline: bool| {
            SchemaSettings::draft2020_12().with(|s| {
                s.definitions_path = "/components/schemas".into();
                s.meta_schema = None;
                s.inline_subschemas = inline;
                s.contract = contract;
            })
        };
        Self {
            requests: settings(Contract::Deserialize, true).into_generator(),
            answers: settings(Contract::Serialize, false).into_generator(),
        }
    }

    /// Those of a handler's types.
    pub fn of<P: PathPart, Q: QueryPart, B: BodyPart, A: Answer>(&mut self) -> Shape {
        Shape {
            path: P::schema(&mut self.requests),
            query: Q::schema(&mut self.requests),
            body: B::schema(&mut self.requests),
            statuses: A::STATUSES,
            media: A::MEDIA,
            answer: A::schema(&mut self.answers),
        }
    }
}

/// The document of these routes.
pub(crate) fn document(routes: &[Route]) -> Value {
    let mut shapes = Shapes::new();
    let mut paths: Map<String, Value> = Map::new();
    let problem = shapes.answers.subschema_for::<ProblemJson>();
    for route in routes {
        let shape = (route.shape)(&mut shapes);
        let operation = operation(route, shape);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bocage coordinator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Studies in, published results out. Errors are application/problem+json with a stable code.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Refusal": {
                "description": "It is refused, for the reason that `code` names.",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "schemas": shapes.answers.take_definitions(true),
        },
    })
}

fn operation(route: &Route, shape: Shape) -> Value {
    let roles: Vec<_> = route.right.roles().collect();
    let mut parameters = Vec::new();
    if let (Some(schema), Some(name)) = (&shape.path, parameter(route.path)) {
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    if let Some(query) = &shape.query {
        parameters.extend(query_parameters(query));
    }
    let mut responses: Map<String, Value> = Map::new();
    for status in shape.statuses {
        let content = json!({ shape.media: { "schema": shape.answer } });
        let description = status.canonical_reason().unwrap_or("Answer");
        responses.insert(status.as_u16().to_string(), json!({ "description": description, "content": content }));
    }
    let has = (shape.path.is_some(), shape.query.is_some(), shape.body.is_some());
    for status in refusals(route.writes(), has.0, has.1, has.2) {
        responses.insert(status.as_u16().to_string(), json!({ "$ref": "#/components/responses/Refusal" }));
    }
    let mut operation = json!({
        "summary": route.title,
        "operationId": operation_id(route),
        "x-right": route.right,
        "x-roles": roles,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = shape.body {
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    operation
}

/// The name between the braces of a path.
fn parameter(path: &str) -> Option<&str> {
    path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name)
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty() && *word != "v1");
    format!("{}_{}", route.method.as_str().to_lowercase(), words.collect::<Vec<_>>().join("_"))
}

fn query_parameters(query: &Schema) -> Vec<Value> {
    let query = query.as_value();
    let required = |name: &str| query["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let properties = query["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| json!({ "name": name, "in": "query", "required": required(name), "schema": schema }))
        .collect()
}
