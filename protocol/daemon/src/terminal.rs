//! What a hangup means: a daemon reads its configuration again, unless it was started in a terminal that has just been closed.

use std::io::IsTerminal as _;

/// Whether there was a terminal at the start.
#[derive(Debug, Clone, Copy)]
pub struct Terminal(bool);

impl Terminal {
    /// At the start.
    pub fn now() -> Self {
        Self(std::io::stderr().is_terminal())
    }

    /// Whether there was one and is none any more: who sat before it wants the daemon to end.
    pub fn is_gone(self) -> bool {
        self.0 && !std::io::stderr().is_terminal()
    }
}
