//! Signed documents that people keep as files: canonical JSON as text with a signature over exactly these bytes. A document is
//! parsed strictly, and only what was verified becomes a value.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::canonical::{canonical, from_canonical};
use super::keys::{PublicKey, SecretKey, Signature};
use crate::error::{ErrorCode, PublicError};
use crate::ids::Digest;

/// What can be signed as a document: it names its own signer.
pub trait Document: Serialize + DeserializeOwned {
    /// What the signature is for: one domain for each kind of document.
    const DOMAIN: &'static str;
    /// The most bytes of its canonical JSON.
    const LIMIT_BYTES: usize;
    /// What people call it.
    const NAME: &'static str;
    /// The code of a document that is no sound one.
    const INVALID: ErrorCode;

    /// The key that must have signed it.
    fn signer(&self) -> &PublicKey;

    /// Checks what needs neither clock nor anything outside the document.
    ///
    /// # Errors
    /// The first rule that is broken.
    fn check_shape(&self) -> Result<(), PublicError>;
}

/// A document as it is kept and as it travels.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub struct Signed<T> {
    /// The canonical JSON.
    pub document: String,
    /// Over the bytes of `document`.
    pub signature: Signature,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

/// The same for every kind: `document` is text, and what stands in it is not this form's matter.
impl<T> JsonSchema for Signed<T> {
    fn schema_name() -> Cow<'static, str> {
        "SignedDocument".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let signature = schemas.subschema_for::<Signature>();
        json_schema!({
            "type": "object",
            "description": "A document as it is kept and as it travels.",
            "properties": { "document": { "type": "string", "description": "The canonical JSON." }, "signature": signature },
            "required": ["document", "signature"],
            "additionalProperties": false
        })
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self { document: self.document.clone(), signature: self.signature, of: PhantomData }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        (&self.document, &self.signature) == (&other.document, &other.signature)
    }
}

impl<T: Document> std::fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a signed {} {}", T::NAME, self.digest().short())
    }
}

impl<T: Document> Signed<T> {
    /// Signs a document. `key` must be the one that it names.
    ///
    /// # Errors
    /// The document is not sound, or names another key.
    pub fn sign(document: &T, key: &SecretKey) -> Result<Self, PublicError> {
        document.check_shape()?;
        if *document.signer() != key.public() {
            let message = format!("the {} names another key than the one that signs", T::NAME);
            return Err(PublicError::new(T::INVALID, message));
        }
        let bytes = canonical(document)?;
        let signature = key.sign(T::DOMAIN, &bytes);
        let invalid = |_| PublicError::new(T::INVALID, format!("the {} is not UTF-8", T::NAME));
        Ok(Self { document: String::from_utf8(bytes).map_err(invalid)?, signature, of: PhantomData })
    }

    /// Tells it from every other one.
    pub fn digest(&self) -> Digest {
        Digest::of(T::DOMAIN, &[self.document.as_bytes()])
    }

    /// The document, if its bytes are canonical, sound, and signed by the key that it names. Whether that key is trusted is the
    /// caller's question.
    ///
    /// # Errors
    /// `too_large`, `malformed`, `not_canonical`, or the document's own code.
    pub fn verify(&self) -> Result<T, PublicError> {
        let document: T = from_canonical(self.document.as_bytes(), T::LIMIT_BYTES)?;
        if !document.signer().verifies(T::DOMAIN, self.document.as_bytes(), &self.signature) {
            let message =
                format!("the signature does not fit the {}: it was altered, or signed with another key", T::NAME);
            return Err(PublicError::new(T::INVALID, message));
        }
        document.check_shape()?;
        Ok(document)
    }

    /// As it stands in a file.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a file's text. Nothing is verified yet.
    ///
    /// # Errors
    /// `too_large`, or the document's own code.
    pub fn from_text(text: &str) -> Result<Self, PublicError> {
        // Every byte of the document may be escaped in the file.
        if text.len() > 2 * T::LIMIT_BYTES + 1024 {
            return Err(PublicError::new(ErrorCode::TooLarge, format!("larger than a {} can be", T::NAME)));
        }
        serde_json::from_str(text)
            .map_err(|_| PublicError::new(T::INVALID, format!("the text is not a signed {}", T::NAME)))
    }
}
