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
impl<T> Private<T> {
    /// Opens it in a test of the engine.
    pub(in crate::custodian) fn reveal(self) -> T {
        self.0
    }
}
