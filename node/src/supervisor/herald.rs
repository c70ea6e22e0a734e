//! The supervisor's side of the herald: it is started before all else, and told of each study that begins to wait.
//!
//! One that has ended is not started again: what it may do, the supervisor itself may give no child any more. Notices are then left out, and the
//! log says so.

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;

use super::process::Reexec;
use super::report::{Pending, pending_report};

/// The hidden subcommand.
pub const COMMAND: &str = "herald";

/// How long handing a line on may take. The pipe holds a hundred of them while the herald is busy with one.
const HAND_ON: Duration = Duration::from_secs(1);

/// The started herald. It ends with the supervisor.
#[derive(Debug)]
pub struct Herald(Child);

impl Herald {
    /// Starts the herald.
    ///
    /// # Errors
    /// Where the operating system does not.
    pub fn start(reexec: &Reexec, options: &[OsString]) -> std::io::Result<Self> {
        let mut command = Command::new(&reexec.exe);
        command.args(&reexec.prefix).arg(COMMAND).args(options).arg("--parent").arg(std::process::id().to_string());
        // What the site's own command says to systemd is not about this node.
        command.env_remove("NOTIFY_SOCKET");
        Ok(Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?))
    }
}

/// Who tells of studies that wait; nobody where the site wants no notice.
pub(super) struct Told(Option<ChildStdin>);

impl Told {
    /// Must be called within the runtime.
    pub(super) fn by(herald: Option<Herald>) -> Self {
        let pipe = herald.and_then(|mut herald| herald.0.stdin.take());
        Self(pipe.and_then(|pipe| ChildStdin::from_std(pipe).ok()))
    }

    /// Hands a study on.
    pub(super) async fn tell(&mut self, pending: &Pending) {
        let Some(pipe) = &mut self.0 else { return };
        let line = pending_report(&pending.study, &pending.title);
        let written = tokio::time::timeout(HAND_ON, pipe.write_all(line.as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            // A line that was cut off would spoil the next one.
            self.0 = None;
            tracing::warn!(study = %pending.study, "nobody is told any more that studies wait, until the node is restarted");
        }
    }
}
