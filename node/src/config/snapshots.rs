//! How long snapshots stay, and when a running node takes a new one of a dataset.

use bocage_protocol::front::dates::duration_text;

const DAY_SECS: i64 = 86_400;

/// How long snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRules {
    /// So many stay beside the one in use; those of studies that have not expired stay anyway.
    pub keep: u32,
    /// What must stay free on the disk: the ledger has to go on.
    pub min_free_mib: u32,
    /// After so many days a running node takes a new one; 0: by hand only. None: nothing was said.
    pub epoch_days: Option<u32>,
}

impl SnapshotRules {
    /// The shortest `refresh` of a dataset.
    pub const REFRESH_SECS_MIN: i64 = 60;
    /// The largest `keep`.
    pub const KEEP_MAX: u32 = 100;
    /// The longest epoch: ten years.
    pub const EPOCH_DAYS_MAX: u32 = 3650;
}

impl Default for SnapshotRules {
    fn default() -> Self {
        Self { keep: 2, min_free_mib: 256, epoch_days: None }
    }
}

/// When a running node takes a new snapshot of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// By hand only.
    ByHand,
    /// After so many seconds, as its `refresh` says.
    Own(i64),
    /// After so many seconds, as `snapshots.epoch_days` says.
    Epoch(i64),
    /// Daily: nobody said when, and a column of its source says who opted out, which counts from the next snapshot on.
    OptOuts,
}

impl Refresh {
    /// What follows from the dataset's `refresh`, from `snapshots.epoch_days`, and from whether its source says who opted out.
    pub fn of(own_secs: Option<i64>, epoch_days: Option<u32>, flagged: bool) -> Self {
        match (own_secs, epoch_days) {
            (Some(secs), _) => Self::Own(secs),
            (None, Some(0)) => Self::ByHand,
            (None, Some(days)) => Self::Epoch(i64::from(days) * DAY_SECS),
            (None, None) if flagged => Self::OptOuts,
            (None, None) => Self::ByHand,
        }
    }

    /// As a sentence about snapshots that are taken has it.
    pub fn in_words(self) -> String {
        self.secs().map_or_else(|| "by hand".to_owned(), |secs| format!("every {}", duration_text(secs)))
    }

    /// After how many seconds; none: by hand.
    pub fn secs(self) -> Option<i64> {
        match self {
            Self::ByHand => None,
            Self::Own(secs) | Self::Epoch(secs) => Some(secs),
            Self::OptOuts => Some(DAY_SECS),
        }
    }
}
