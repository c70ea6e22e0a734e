//! Running the site's own command. No shell reads what it is told: study, title and site stand in its environment.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Notice;

/// Runs the command for one notice, for so long at most.
pub(super) fn run(command: &[String], notice: &Notice, patience: Duration) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.kind().to_string())?;
    runtime.block_on(async {
        let mut command = Command::new(program);
        command.args(arguments).env("BOCAGE_STUDY", notice.pending.study.to_string());
        command.env("BOCAGE_TITLE", &notice.pending.title).env("BOCAGE_SITE", notice.site.as_str());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("{program} does not start: {}", error.kind()))?;
        match tokio::time::timeout(patience, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
            Ok(Err(error)) => Err(format!("{program} cannot be waited for: {}", error.kind())),
            Err(_) => Err(format!("{program} took longer than {} s and was ended", patience.as_secs())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{notice, shell};
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn the_command_is_told_study_title_and_site_and_no_shell_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("told");
        let script =
            format!("printf '%s|%s|%s' \"$BOCAGE_STUDY\" \"$BOCAGE_TITLE\" \"$BOCAGE_SITE\" > {}", file.display());
        run(&shell(&script), &notice(), LONG).unwrap();
        let told = std::fs::read_to_string(file).unwrap();
        assert_eq!(told, format!("{}|Hearts; $(rm x) `y`|cleveland", notice().pending.study));
    }

    #[test]
    fn a_command_that_fails_or_does_not_exist_is_an_error_in_words() {
        let failed = run(&shell("exit 3"), &notice(), LONG).unwrap_err();
        assert!(failed.contains("/bin/sh ended with exit status: 3"), "{failed}");
        let absent = run(&["/no/such/program".to_owned()], &notice(), LONG).unwrap_err();
        assert!(absent.contains("/no/such/program does not start"), "{absent}");
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let slow = run(&shell("exec tail -f /dev/null"), &notice(), Duration::ZERO).unwrap_err();
        assert!(slow.contains("took longer than 0 s and was ended"), "{slow}");
    }
}
