//! A study that runs beside its test.

use std::process::Child;

use serde_json::Value;

/// A `bocage study run` in the background.
pub struct Running(Option<Child>);

impl Running {
    pub(super) fn of(child: Child) -> Self {
        Self(Some(child))
    }

    /// Waits for the end; answers the exit code, the result and what was said beside it.
    pub fn end(mut self) -> (i32, Value, String) {
        let child = self.0.take().expect("a command that runs");
        let output = child.wait_with_output().expect("the command");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let result = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap_or(-1), result, said)
    }

    /// Waits for a published answer.
    pub fn published(self) -> Value {
        let (code, result, said) = self.end();
        assert_eq!(code, 0, "{said}");
        result
    }
}

impl Drop for Running {
    /// A study that nobody waits for any more ends with its test.
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
