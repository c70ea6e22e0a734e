//! Whom a site trusts: access bodies, whose permits it accepts, and researchers who may ask without one.

use bocage_protocol::ids::ContractId;
use bocage_protocol::release::rounding;
use bocage_protocol::trust::PublicKey;
use serde::Serialize;

/// Whom the site trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// Researchers who may ask without a permit.
    pub researchers: Vec<Researcher>,
    /// Access bodies, whose permits the site accepts.
    pub access_bodies: Vec<AccessBody>,
}

/// An access body whose permits the site accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessBody {
    /// As the site calls it.
    pub name: String,
    /// Its key.
    pub key: PublicKey,
    /// How exact answers under its permits are, where the site has decided it.
    pub mode: Option<Mode>,
    /// The datasets that its permits may be about; all if absent.
    pub datasets: Option<Vec<ContractId>>,
    /// How old the newest list of its revoked permits may be: then new studies stop.
    pub revocations_days: u32,
}

impl AccessBody {
    /// `revocations_days` where the site does not say it.
    pub const REVOCATIONS_DAYS_DEFAULT: u32 = 30;
    /// The largest `revocations_days`: a permit that was taken back would go on for a year.
    pub const REVOCATIONS_DAYS_MAX: u32 = 365;
}

/// A researcher whom the site trusts without a permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Researcher {
    /// As the site calls them.
    pub name: String,
    /// Their key.
    pub key: PublicKey,
    /// How exact their answers are, where the site has decided it.
    pub mode: Option<Mode>,
    /// The datasets that they may ask about; all if absent.
    pub datasets: Option<Vec<ContractId>>,
}

/// How exact the values are that leave, from the least strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As they are, above the threshold.
    Exact,
    /// Counts rounded to multiples of five, sums of so many with the mean that they had ([`bocage_protocol::release::rounding`]).
    Round,
}

impl Mode {
    /// Every mode, as it stands in `node.toml`.
    pub const ALL: [(&str, Mode); 2] = [("exact", Mode::Exact), ("round", Mode::Round)];

    /// The mode of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode)
    }

    /// The threshold under which it answers where `k` is asked for.
    pub fn threshold(self, k: u32) -> u32 {
        match self {
            Mode::Exact => k,
            Mode::Round => rounding::threshold(k),
        }
    }

    /// As it stands in `node.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Exact => "exact",
            Mode::Round => "round",
        }
    }
}
