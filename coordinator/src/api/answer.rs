//! What a handler gives back, and what the description of the interface says of it.

use std::marker::PhantomData;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

/// A good answer.
pub(crate) trait Answer: Send {
    /// The statuses that it may have.
    const STATUSES: &'static [StatusCode] = &[StatusCode::OK];
    /// Its media type.
    const MEDIA: &'static str = "application/json";
    /// Its form.
    fn schema(schemas: &mut SchemaGenerator) -> Schema;
    /// It, as HTTP.
    fn respond(self) -> Response;
}

impl<T: Serialize + JsonSchema + Send> Answer for Json<T> {
    fn schema(schemas: &mut SchemaGenerator) -> Schema {
        schemas.subschema_for::<T>()
    }
    fn respond(self) -> Response {
        self.into_response()
    }
}

/// Something that was made just now, or was there already.
pub(crate) struct Made<T> {
    /// Whether it is new.
    pub new: bool,
    /// It.
    pub value: T,
}

impl<T: Serialize + JsonSchema + Send> Answer for Made<T> {
    const STATUSES: &'static [StatusCode] = &[StatusCode::CREATED, StatusCode::OK];
    fn schema(schemas: &mut SchemaGenerator) -> Schema {
        schemas.subschema_for::<T>()
    }
    fn respond(self) -> Response {
        let status = if self.new { StatusCode::CREATED } else { StatusCode::OK };
        (status, Json(self.value)).into_response()
    }
}

/// A text.
pub(crate) struct Text(pub String);

impl Answer for Text {
    const MEDIA: &'static str = "text/plain; charset=utf-8";
    fn schema(schemas: &mut SchemaGenerator) -> Schema {
        String::json_schema(schemas)
    }
    fn respond(self) -> Response {
        ([(CONTENT_TYPE, Self::MEDIA)], self.0).into_response()
    }
}

/// The JSON of a `T`, byte for byte as it was kept.
pub(crate) struct Kept<T>(pub String, PhantomData<fn() -> T>);

impl<T> Kept<T> {
    /// Of this text.
    pub fn of(json: String) -> Self {
        Self(json, PhantomData)
    }
}

impl<T: JsonSchema> Answer for Kept<T> {
    fn schema(schemas: &mut SchemaGenerator) -> Schema {
        schemas.subschema_for::<T>()
    }
    fn respond(self) -> Response {
        ([(CONTENT_TYPE, Self::MEDIA)], self.0).into_response()
    }
}
