//! The wrapper of what no one but the gate may see.

/// A value on its way from the engine to the gate: no `Debug`, no `Serialize`, no way in but the gate's.
///
/// Derive nothing on it.
#[must_use]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Wraps a result of the engine.
    pub(in crate::custodian) fn new(value: T) -> Self {
        Self(value)
    }

    /// Opens it, in the gate alone.
    pub(super) fn open(self) -> T {
        self.0
    }
}

#[cfg(test)]
impl Private<super::Computed> {
    /// The table of a test.
    pub(in crate::custodian) fn table(counted: super::Counted) -> Self {
        Self(super::Computed::Table(counted))
    }

    /// The keys of a test.
    pub(in crate::custodian) fn keys(counted: super::CountedKeys) -> Self {
        Self(super::Computed::Keys(counted))
    }

    /// Opens a table in a test of the engine.
    pub(in crate::custodian) fn reveal_table(self) -> super::Counted {
        match self.0 {
            super::Computed::Table(counted) => counted,
            super::Computed::Keys(_) | super::Computed::Model(_) => panic!("not one table"),
        }
    }
}
