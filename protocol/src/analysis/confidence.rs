//! How sure an interval is.

use serde::{Deserialize, Serialize};

/// The share of intervals that hold the truth: above a half and below 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Confidence(f64);

impl Confidence {
    /// The share.
    pub fn share(self) -> f64 {
        self.0
    }
}

impl Default for Confidence {
    /// What is usual: 0.95.
    fn default() -> Self {
        Self(0.95)
    }
}

impl TryFrom<f64> for Confidence {
    type Error = &'static str;

    fn try_from(share: f64) -> Result<Self, Self::Error> {
        // Closer to 1 an interval says nothing, and its quantile loses all digits.
        if (0.5..=0.9999).contains(&share) { Ok(Self(share)) } else { Err("`confidence` is 0.5 to 0.9999") }
    }
}

impl From<Confidence> for f64 {
    fn from(confidence: Confidence) -> f64 {
        confidence.0
    }
}
